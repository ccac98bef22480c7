/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `umview diff`: what a session has changed, as a list, as sums, as JSON, or as a text difference.
 *
 *	A added    D deleted    M contents changed    R a directory moved    T something of another type
 *	a only attributes changed
 *
 * and a `!` behind it where something else has changed the same thing below since.  Looking changes nothing and takes no lock: the
 * session may be in use.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "commands.h"
#include "difftext.h"
#include "log.h"
#include "review.h"

static const char usage[] =
"usage: umview diff [--json | --stat | --text] [--session ID | --upper DIR] [PATH...]\n"
"What a copy-on-write session has changed (of PATH, and in it):\n"
"  A added, D deleted, M contents, R moved, T another type, a attributes only; ! changed below since, too\n"
"  -j, --json   a list of objects\n"
"  -s, --stat   sums for each directory\n"
"  -u, --text   a unified difference of texts, too\n";

struct diff {
	const struct review_options *o;
	struct progress progress;
	struct review_counts all;
	json_t *array;
	struct sums *sums;		/* --stat: of the directories that we are in, innermost first */
	bool failed;
};

struct sums {
	struct sums *outer;
	char *path;
	struct review_counts n;
};

/* ---- a line ------------------------------------------------------------------------------------------------ */

static const char letters[CHANGE_KINDS] = {
	[CHANGE_NONE] = ' ', [CHANGE_ADDED] = 'A', [CHANGE_DELETED] = 'D', [CHANGE_CONTENTS] = 'M',
	[CHANGE_ATTRIBUTES] = 'a', [CHANGE_TYPE] = 'T', [CHANGE_MOVED] = 'R',
};

char change_letter(enum change_kind kind)
{
	return letters[kind];
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:	return "file";
	case S_IFDIR:	return "directory";
	case S_IFLNK:	return "link";
	case S_IFCHR:	return "character device";
	case S_IFBLK:	return "block device";
	case S_IFIFO:	return "fifo";
	case S_IFSOCK:	return "socket";
	}
	return "something";
}

static void print_details(const struct change *c)
{
	const char *with = " (";

	if (c->kind == CHANGE_TYPE)
		printf(" (%s, was a %s)", type_name(c->up.st_mode), type_name(c->low.st_mode));
	if (c->kind == CHANGE_TYPE || c->kind == CHANGE_MOVED || !c->attributes)
		return;
	if (c->attributes & CHANGE_MODE)
		printf("%smode %04o -> %04o", with, c->low.st_mode & 07777, c->mode), with = ", ";
	if (c->attributes & CHANGE_OWNER)
		printf("%sowner %u -> %u", with, c->low.st_uid, c->uid), with = ", ";
	if (c->attributes & CHANGE_GROUP)
		printf("%sgroup %u -> %u", with, c->low.st_gid, c->gid), with = ", ";
	if (c->attributes & CHANGE_XATTRS)
		printf("%sextended attributes", with), with = ", ";
	if (c->attributes & CHANGE_TIMES && c->kind == CHANGE_ATTRIBUTES)
		printf("%stime", with), with = ", ";
	if (*with == ',')
		putchar(')');
}

static void print_line(struct review *r, const struct change *c)
{
	char *shown = path_shown(r->s->lower, c->path);
	const struct stat *st = c->has_up ? &c->up : &c->low;

	printf("%c%c %s%s", letters[c->kind], c->conflict ? '!' : ' ', shown ? shown : "?",
	       S_ISDIR(st->st_mode) && *c->path ? "/" : "");
	free(shown);
	if (c->kind == CHANGE_MOVED && (shown = path_shown(r->s->lower, c->from))) {
		printf(" (was %s/)", shown);
		free(shown);
	}
	print_details(c);
	putchar('\n');
}

/* ---- JSON ---------------------------------------------------------------------------------------------------- */

/* JSON is UTF-8; a name may be anything.  Then its bytes are told in hexadecimal, too. */
static void set_bytes(json_t *o, const char *key, const char *bytes)
{
	json_t *j = json_string(bytes);
	char hex_key[32];

	if (j) {
		json_object_set_new(o, key, j);
		return;
	}
	char *text = malloc(2 * strlen(bytes) + 1);
	if (!text)
		return;
	for (size_t i = 0; bytes[i]; i++)
		text[i] = bytes[i] & 0x80 ? '?' : bytes[i], text[i + 1] = 0;
	json_object_set_new(o, key, json_string(text));
	for (size_t i = 0; bytes[i]; i++)
		sprintf(text + 2 * i, "%02x", (unsigned char)bytes[i]);
	snprintf(hex_key, sizeof(hex_key), "%s_hex", key);
	json_object_set_new(o, hex_key, json_string(text));
	free(text);
}

static void set_path(const struct review *r, json_t *o, const char *key, const char *path)
{
	char *text;

	if (asprintf(&text, "%s%s%s", strcmp(r->s->lower, "/") || !*path ? r->s->lower : "", *path ? "/" : "", path) < 0)
		return;
	set_bytes(o, key, text);
	free(text);
}

static json_t *stat_json(const struct stat *st, int dir, const char *name)
{
	json_t *o = json_object();
	char text[4097];

	json_object_set_new(o, "type", json_string(type_name(st->st_mode)));
	json_object_set_new(o, "mode", json_integer(st->st_mode & 07777));
	json_object_set_new(o, "uid", json_integer(st->st_uid));
	json_object_set_new(o, "gid", json_integer(st->st_gid));
	json_object_set_new(o, "mtime", json_real((double)st->st_mtim.tv_sec + (double)st->st_mtim.tv_nsec / 1e9));
	if (S_ISREG(st->st_mode))
		json_object_set_new(o, "size", json_integer(st->st_size));
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		json_object_set_new(o, "major", json_integer(major(st->st_rdev)));
		json_object_set_new(o, "minor", json_integer(minor(st->st_rdev)));
	}
	if (S_ISLNK(st->st_mode) && link_text(dir, name, text, sizeof(text)) == 0)
		set_bytes(o, "target", text);
	return o;
}

static void add_json(struct review *r, const struct change *c)
{
	static const char *const kinds[CHANGE_KINDS] = {
		[CHANGE_NONE] = "none", [CHANGE_ADDED] = "added", [CHANGE_DELETED] = "deleted", [CHANGE_CONTENTS] = "changed",
		[CHANGE_ATTRIBUTES] = "attributes", [CHANGE_TYPE] = "type", [CHANGE_MOVED] = "moved",
	};
	static const char *const attributes[] = { "mode", "owner", "group", "times", "xattrs" };
	struct diff *d = r->arg;
	json_t *o = json_object(), *list = json_array();

	set_path(r, o, "path", c->path);
	if (c->from)
		set_path(r, o, "moved_from", c->from);
	json_object_set_new(o, "change", json_string(kinds[c->kind]));
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
		if (c->attributes & 1u << i)
			json_array_append_new(list, json_string(attributes[i]));
	json_object_set_new(o, "attributes", list);
	json_object_set_new(o, "conflict", c->conflict ? json_string(c->conflict) : json_null());
	json_object_set_new(o, "before", c->has_low ? stat_json(&c->low, c->low_dir, c->name) : json_null());
	json_object_set_new(o, "after", c->has_up ? stat_json(&c->up, c->up_dir, c->name) : json_null());
	json_array_append_new(d->array, o);
}

/* ---- sums ------------------------------------------------------------------------------------------------------ */

static void sums_enter(struct diff *d, const char *path)
{
	struct sums *s = calloc(1, sizeof(*s));

	if (!s)
		return;
	s->outer = d->sums;
	s->path = strdup(path);
	d->sums = s;
}

static void sums_leave(struct review *r)
{
	struct diff *d = r->arg;
	struct sums *s = d->sums;
	char text[256], *shown;
	long n = 0;

	for (int i = CHANGE_NONE + 1; i < CHANGE_KINDS; i++)
		n += s->n.kinds[i];
	review_counts_text(&s->n, text, sizeof(text));
	shown = path_shown(r->s->lower, s->path ? s->path : "");
	if (n && shown)
		printf("%s: %s\n", shown, text);
	free(shown);
	d->sums = s->outer;
	free(s->path);
	free(s);
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

static enum visit visit(struct review *r, struct change *c)
{
	struct diff *d = r->arg;
	const struct review_options *o = d->o;

	progress_step(&d->progress);
	review_note_path(r, c);
	if (c->moved_away && review_moved_below(r, c->low_path, true) > review_moved_below(r, c->low_path, false))
		return VISIT_SKIP;		/* told where it is now */
	if (c->selected && c->kind != CHANGE_NONE) {
		review_count(&d->all, c);
		if (d->sums)
			review_count(&d->sums->n, c);
		if (o->json)
			add_json(r, c);
		else if (!o->stat)
			print_line(r, c);
		if (o->text && !o->json)
			difftext(r->s->lower, c);
	}
	if (o->stat && c->has_up && S_ISDIR(c->up.st_mode))
		sums_enter(d, c->path);
	return VISIT_ON;
}

static enum visit leave(struct review *r, struct change *c, int up_dir, int low_dir)
{
	(void)c;
	(void)up_dir;
	(void)low_dir;
	sums_leave(r);
	return VISIT_ON;
}

static void trouble(struct review *r, const char *path, int error)
{
	struct diff *d = r->arg;
	char *shown = path_shown(r->s->lower, path);

	progress_end(&d->progress);
	say("diff: %s: %s", shown ? shown : path, strerror(error));
	free(shown);
	d->failed = true;
}

static void print_end(struct session *s, struct diff *d)
{
	char text[256];

	if (d->o->json) {
		json_dumpf(d->array, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		putchar('\n');
	} else if (d->o->stat) {
		review_counts_text(&d->all, text, sizeof(text));
		char *shown = path_shown(s->lower, "");
		printf("%s: %s; %lld bytes in files\n", d->o->npaths ? "all of these" : shown ? shown : "", text, d->all.bytes);
		free(shown);
	}
	json_decref(d->array);
}

int diff_show(struct session *s, const struct review_options *o)
{
	struct diff d = { .o = o, .array = o->json ? json_array() : NULL };
	struct review r = { .s = s, .visit = visit, .leave = o->stat ? leave : NULL, .trouble = trouble, .arg = &d };
	char error[SESSION_ERROR];

	r.nonly = o->npaths;
	r.only = review_paths(s, o->npaths, o->paths, error, sizeof(error));
	if (!r.only) {
		say("diff: %s", error);
		json_decref(d.array);
		return 2;
	}
	r.changed = calloc((size_t)o->npaths + 1, sizeof(*r.changed));
	if (!r.changed) {
		say("diff: out of memory");
		return 2;
	}
	progress_start(&d.progress, "diff");
	review_walk(&r);
	while (d.sums)
		sums_leave(&r);
	progress_end(&d.progress);
	d.failed |= review_tell_unchanged(&r, "diff", true) > 0;
	free(r.changed);
	review_paths_free(r.only, r.nonly);
	print_end(s, &d);
	return ferror(stdout) || fflush(stdout) || d.failed ? 1 : 0;
}

int cmd_diff(int argc, char **argv)
{
	struct review_options o;
	struct session s;
	int r = review_options_parse(&o, argc, argv, "jsu", usage);

	if (r)
		return r < 0 ? 0 : r;
	r = review_outside(&o, "diff");
	if (r >= 0)
		return r;
	r = review_open(&s, &o, "diff", false);
	if (r)
		return r;
	r = diff_show(&s, &o);
	session_close(&s);
	return r;
}
