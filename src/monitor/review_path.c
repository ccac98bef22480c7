/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the commands that review sessions share: which paths are meant, how paths are shown, how far they are, how much there is.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "review.h"

/* ---- which paths are meant ------------------------------------------------------------------------------- */

int review_selected(const struct review *r, const char *path)
{
	size_t n = strlen(path);
	int selected = r->nonly ? SELECTED_NOT : SELECTED;

	for (int i = 0; i < r->nonly && selected != SELECTED; i++) {
		const char *only = r->only[i];
		size_t k = strlen(only);
		if (!k || (n >= k && !memcmp(path, only, k) && (!path[k] || path[k] == '/')))
			selected = SELECTED;
		else if (!n || (k > n && !memcmp(path, only, n) && only[n] == '/'))
			selected = SELECTED_WITHIN;
	}
	return selected;
}

/* "/a/./b//../c/" becomes "/a/c". */
static void normalise(char *path)
{
	char *to = path;

	for (char *from = path; *from;) {
		from += strspn(from, "/");
		size_t n = strcspn(from, "/");
		if (n == 2 && from[0] == '.' && from[1] == '.') {
			while (to > path && *--to != '/')
				;
		} else if (n && !(n == 1 && from[0] == '.')) {
			*to++ = '/';
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	*to = 0;
}

/* The directories on the way, as far as there are any, without links. */
static char *without_links(const char *path)
{
	char *part = strdup(path), *all = NULL;

	for (char *slash; part && !all && (slash = strrchr(part, '/'));) {
		*slash = 0;
		char *real = realpath(*part ? part : "/", NULL);
		if (real && asprintf(&all, "%s%s", strcmp(real, "/") ? real : "", path + (slash - part)) < 0)
			all = NULL;
		free(real);
		if (slash == part)
			break;
	}
	free(part);
	return all ? all : strdup(path);
}

static char *inside(const struct session *s, const char *path)
{
	size_t n = strcmp(s->lower, "/") ? strlen(s->lower) : 0;

	if (memcmp(path, s->lower, n) || (path[n] && path[n] != '/'))
		return NULL;
	return strdup(path + n + (path[n] == '/'));
}

static char *one_path(const struct session *s, const char *given)
{
	char *cwd = *given == '/' ? strdup("") : getcwd(NULL, 0), *path = NULL, *rel = NULL;

	if (cwd && asprintf(&path, "%s/%s", cwd, given) >= 0) {
		normalise(path);
		if (strlen(s->lower) <= strlen(path) + 1)
			rel = inside(s, path);
		char *real = rel ? NULL : without_links(path);
		if (real && strlen(real) + 1 >= strlen(s->lower))
			rel = inside(s, real);
		free(real);
	}
	free(path);
	free(cwd);
	return rel;
}

char **review_paths(const struct session *s, int n, char **paths, char *error, size_t size)
{
	char **only = calloc((size_t)n + 1, sizeof(*only));

	for (int i = 0; only && i < n; i++) {
		only[i] = *paths[i] ? one_path(s, paths[i]) : NULL;
		if (only[i])
			continue;
		snprintf(error, size, "%s: does not lie in %s, of which the session holds changes", paths[i], s->lower);
		review_paths_free(only, i);
		return NULL;
	}
	return only;
}

void review_paths_free(char **paths, int n)
{
	for (int i = 0; i < n; i++)
		free(paths[i]);
	free(paths);
}

/* ---- paths without a change ---------------------------------------------------------------------------- */

void review_note_path(struct review *r, const struct change *c)
{
	for (int i = 0; i < r->nonly && c->selected && c->kind != CHANGE_NONE; i++) {
		size_t k = strlen(r->only[i]);
		if (!k || (!strncmp(c->path, r->only[i], k) && (!c->path[k] || c->path[k] == '/')))
			r->changed[i] = true;
	}
}

/* What says that something of this name is on one side, or that it may be: in a directory of the session's own. */
static bool is_somewhere(const struct session *s, const char *path)
{
	char *dir = strdup(path), *slash = dir ? strrchr(dir, '/') : NULL;
	const char *name = slash ? slash + 1 : dir;
	const int sides[] = { s->tree_fd, s->low_fd };
	bool found = !*path;
	struct stat st;

	if (slash)
		*slash = 0;
	for (int i = 0; dir && i < 2 && !found; i++) {
		int fd = sides[i] < 0 ? -1 : open_below(sides[i], slash ? dir : "", O_PATH | O_DIRECTORY);
		if (fd < 0)
			continue;
		found = fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
		close(fd);
	}
	free(dir);
	return found;
}

int review_tell_unchanged(const struct review *r, const char *command, bool quiet)
{
	int nowhere = 0;

	for (int i = 0; i < r->nonly; i++) {
		bool is = r->changed[i] || is_somewhere(r->s, r->only[i]);
		if (r->changed[i] || (is && quiet))
			continue;
		char *shown = path_shown(r->s->lower, r->only[i]);
		say("%s: %s: %s", command, shown ? shown : r->only[i],
		    is ? "the session holds no change of it" : "is neither in the session nor below");
		free(shown);
		nowhere += !is;
	}
	return nowhere;
}

/* How many bytes of this can be shown as they are: a character that is none of control, neither in ASCII nor behind it (U+0080 to
 * U+009F, which terminals obey as well); 0: what begins here is none. */
static int shown_as_is(const unsigned char *p)
{
	int n = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : (*p & 0xf0) == 0xe0 ? 3 : *p >= 0xf0 && *p < 0xf5 ? 4 : 0;

	if (*p < 32 || *p == 127 || *p == '\\' || (*p == 0xc2 && p[1] < 0xa0))
		return 0;
	for (int i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

char *path_shown(const char *lower, const char *path)
{
	char *text = malloc(4 * (strlen(lower) + strlen(path)) + 3), *to = text;
	const char *parts[] = { strcmp(lower, "/") || !*path ? lower : "", *path ? "/" : "", path };

	for (int i = 0; text && i < 3; i++)
		for (const char *p = parts[i]; *p;) {
			int n = shown_as_is((const unsigned char *)p);
			if (!n)
				to += sprintf(to, "\\%03o", (unsigned char)*p++);
			for (; n; n--)
				*to++ = *p++;
		}
	if (text)
		*to = 0;
	return text;
}

/* ---- progress ---------------------------------------------------------------------------------------------- */

#define FIRST_MS	1000
#define EACH_MS		200

static int64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000l + t.tv_nsec / 1000000;
}

void progress_start(struct progress *p, const char *what)
{
	*p = (struct progress) { .what = what, .tty = isatty(STDERR_FILENO), .shown = clock_ms() + FIRST_MS - EACH_MS };
}

void progress_step(struct progress *p)
{
	p->n++;
	if (!p->tty || p->n % 64 || clock_ms() - p->shown < EACH_MS)
		return;
	p->shown = clock_ms();
	p->visible = true;
	fprintf(stderr, "\r%s: %ld names\033[K", p->what, p->n);
	fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (p->visible)
		fputs("\r\033[K", stderr);
	p->visible = false;
}

/* ---- counting ------------------------------------------------------------------------------------------------ */

void review_count(struct review_counts *n, const struct change *c)
{
	n->kinds[c->kind]++;
	n->conflicts += c->conflict != NULL;
	if (c->has_up && S_ISREG(c->up.st_mode) && c->kind != CHANGE_NONE && c->kind != CHANGE_ATTRIBUTES)
		n->bytes += c->up.st_size;
}

void review_counts_text(const struct review_counts *n, char *buf, size_t size)
{
	static const char *const words_of[CHANGE_KINDS] = {
		[CHANGE_ADDED] = "added", [CHANGE_CONTENTS] = "changed", [CHANGE_DELETED] = "deleted",
		[CHANGE_ATTRIBUTES] = "with other attributes", [CHANGE_TYPE] = "of another type",
		[CHANGE_MOVED] = "moved",
	};
	static const enum change_kind order[] = { CHANGE_ADDED, CHANGE_CONTENTS, CHANGE_DELETED, CHANGE_MOVED, CHANGE_TYPE,
						   CHANGE_ATTRIBUTES };
	size_t at = 0;

	*buf = 0;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (n->kinds[order[i]] && at < size)
			at += (size_t)snprintf(buf + at, size - at, "%s%ld %s", at ? ", " : "", n->kinds[order[i]], words_of[order[i]]);
	if (!at)
		at = (size_t)snprintf(buf, size, "nothing changed");
	if (n->conflicts && at < size)
		snprintf(buf + at, size - at, "; %ld changed below, too", n->conflicts);
}

struct counting {
	struct review_counts *n;
	bool first_only;
};

static enum visit visit_count(struct review *r, struct change *c)
{
	struct counting *k = r->arg;

	review_count(k->n, c);
	return k->first_only && c->kind != CHANGE_NONE ? VISIT_STOP : VISIT_ON;
}

static void count_trouble(struct review *r, const char *path, int error)
{
	struct counting *k = r->arg;

	(void)path;
	(void)error;
	k->n->trouble++;
}

int review_session_counts(struct session *s, struct review_counts *n)
{
	struct counting k = { n, false };
	struct review r = { .s = s, .visit = visit_count, .trouble = count_trouble, .arg = &k };

	memset(n, 0, sizeof(*n));
	return review_walk(&r);
}

int review_any(const char *dir, char *error, size_t size)
{
	struct review_counts n = { .conflicts = 0 };
	struct counting k = { &n, true };
	struct session s;
	struct review r = { .s = &s, .visit = visit_count, .trouble = count_trouble, .arg = &k };

	if (session_open(&s, dir, false, error, size) < 0)
		return -1;
	bool any = review_walk(&r) == VISIT_STOP || n.trouble;
	session_close(&s);
	return any;
}

/* ---- lists of strings --------------------------------------------------------------------------------------- */

int strings_add(struct strings *l, const char *text)
{
	char *copy = strdup(text);
	char **more = copy ? reallocarray(l->at, l->n + 1, sizeof(*more)) : NULL;

	if (!more) {
		free(copy);
		return -ENOMEM;
	}
	l->at = more;
	l->at[l->n++] = copy;
	return 0;
}

void strings_free(struct strings *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->at[i]);
	free(l->at);
	*l = (struct strings) { 0 };
}
