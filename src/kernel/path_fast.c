/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The path resolver: the fast way (path.c has when to take the slow one).
 *
 * Nearly every path touches nothing virtual and shall reach the kernel as one call, unchanged.  What
 * has to be known for that:
 *
 *  1. With no mount visible at all, only files of processes in /proc (the kernel shows the agent there) and
 *     /dev/fuse differ from what the kernel would do, so only the last name is looked at: "exe", "fuse", and in
 *     what may be /proc "maps", a number (for /proc/PID/fd) and the like.  A link elsewhere that leads to one of
 *     these shows the kernel's truth; the only ones in use, /etc/mtab and /dev/{fd,stdin,stdout,stderr}, lead to
 *     what is right.
 *
 *  2. Else the directory part of the path, taken as text, must be known to lead through real directories only
 *     (path_cache.c), to one in which no name is virtual (or the last name is looked up).  Below a cwd or
 *     descriptor that has nothing virtual at or below it (path_base.c), a single name needs not even that.
 *
 *  3. The last name may be a link that leads anywhere.  So the operation is made in its NOFOLLOW form
 *     (where.fast), and if it meets a link, the path is walked.  Paths that were walked and may be followed
 *     by the kernel are remembered as such, and are then not walked again.  Not so where the directory part has links in it: the
 *     NOFOLLOW form of open knows only "no links at all", so there the last name is looked at beforehand.
 *
 * What is remembered is true for one generation: as long as no mount changes and no process of the view
 * makes or moves a link or moves a directory.  A process outside the view that replaces a directory by a
 * link into a mount is not noticed until then: the kernel follows it, and shows what is really there.  So it is with a file,
 * where the last name is remembered, too: for access, chmod, chown, times and attributes, not for stat and open.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "merge.h"
#include "path_walk.h"
#include "fs/proc.h"
#include "../agent/signal.h"
#include "../agent/trace.h"

/* ---- the text ------------------------------------------------------------------------------------- */

/* Behind the last slash of text[0 .. len); 0 if there is none. */
static inline size_t behind_slash(const char *text, size_t len)
{
	for (; len >= 8; len -= 8) {		/* eight at a time: a byte is zero where it is a slash */
		uint64_t v = load64(text + len - 8) ^ 0x2f2f2f2f2f2f2f2full, low = 0x7f7f7f7f7f7f7f7full;
		uint64_t slashes = ~(((v & low) + low) | v | low);

		if (slashes)
			return len - (size_t)__builtin_clzll(slashes) / 8;
	}
	while (len && text[len - 1] != '/')
		len--;
	return len;
}

struct split split_text(const char *text, size_t len, bool entry)
{
	struct split s = { .end = len };
	size_t n;

	if (text[len - 1] == '/') {
		while (s.end && text[s.end - 1] == '/')
			s.end--;
		if (!entry) {
			s.dir = s.last = s.end;
			return s;
		}
	}
	s.last = behind_slash(text, s.end);
	n = s.end - s.last;
	if (n && n <= 2 && text[s.end - 1] == '.' && text[s.last] == '.')
		s.last = s.end;		/* "." or ".." */
	s.dir = s.last;
	while (s.dir && text[s.dir - 1] == '/')
		s.dir--;
	return s;
}

/* ---- nothing mounted ------------------------------------------------------------------------------ */

static bool all_digits(const char *s)
{
	while (*s >= '0' && *s <= '9')
		s++;
	return !*s;
}

/* Names that we answer for in the directories of processes. */
static bool name_in_proc(const char *s)
{
	static const char names[][10] = { "stat", "status", "maps", "smaps", "numa_maps", "syscall", "fd" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(s, names[i]))
			return true;
	return all_digits(s);
}

/* One of map_files: "FROM-TO" */
static bool is_range(const char *s)
{
	const char *digits = s;

	proc_hex(&s);
	return s > digits && *s == '-';
}

/* Does its beginning say that a path leads to another place than /proc (and not through /dev/fd)? */
static bool begins_elsewhere(const char *s)
{
	return s[0] == '/' && s[1] != '/' && s[1] != '.' && strncmp(s, "/proc", 5) && strncmp(s, "/dev", 4);
}

static bool has_dotdot(const char *s)
{
	while ((s = strchr(s, '/')))
		if (*++s == '.' && s[1] == '.')
			return true;
	return false;
}

__attribute__((noinline)) static bool maybe_ours(const char *path, const char *last)
{
	if (!strcmp(last, "exe") || !strcmp(last, "fuse"))
		return true;
	return (name_in_proc(last) || is_range(last)) && (!begins_elsewhere(path) || has_dotdot(path));
}

/*
 * By the first letter of a name, the lengths (as bits, 31 stands for all above) with which it must be looked at:
 * numbers, ranges, and those that maybe_ours() knows.  For all others one look at this table is all.
 */
#define LONG	0xffffe000u		/* two addresses */
#define DIGIT	(LONG | 0x3feu)
static const uint32_t lengths[128] = {
	['0'] = DIGIT, ['1'] = DIGIT, ['2'] = DIGIT, ['3'] = DIGIT, ['4'] = DIGIT, ['5'] = DIGIT, ['6'] = DIGIT,
	['7'] = DIGIT, ['8'] = DIGIT, ['9'] = DIGIT, ['a'] = LONG, ['b'] = LONG, ['c'] = LONG, ['d'] = LONG,
	['e'] = LONG | 1u << 3, ['f'] = LONG | 1u << 2 | 1u << 4, ['m'] = 1u << 4, ['n'] = 1u << 9,
	['s'] = 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7,
};

bool path_only_real(const struct where *w)
{
	const char *end = w->path + w->len, *last;
	size_t n;

	if (!view_is_empty(w->t) || w->t->fs->root)
		return false;
	last = w->path + behind_slash(w->path, w->len);
	n = (size_t)(end - last);
	if (!(lengths[*last & 127] >> (n < 31 ? n : 31) & 1))
		return true;
	if (n < 13 && *last <= '9' && end[-1] > '9')	/* a number is one to its end, and a range is longer */
		return true;
	return !maybe_ours(w->path, last);
}

/* ---- the fast way --------------------------------------------------------------------------------- */

/* In a directory some of whose names are virtual or faked: is the kernel to be asked for this one? */
static bool check_name(struct where *w, const char *path, size_t len)
{
	struct mount m;
	enum view_hit hit = view_lookup(w->t, path, len, &m);

	if (hit == VIEW_MOUNT || (hit == VIEW_ABOVE && entry_only(w->flags)))
		return false;
	if (len == 9 && !memcmp(path, "/dev/fuse", 9))
		return false;
	if (view_has(UM_MOUNT_MERGE) && merge_has(w->t, path, len))
		return false;
	return !path_within(path, len, "/proc", 5) || proc_look(w->t, path, len).what == PROC_NONE;
}

/* The same where the text is not the canonical path. */
__attribute__((noinline))
static bool check_text(struct where *w, uint64_t key, uint64_t generation, const struct split *s)
{
	char path[UM_PATH_MAX + 256];
	size_t len = cache_canon(key, w->path, s->dir, generation, path, UM_PATH_MAX), n = s->end - s->last;

	if (!len || n > 255)
		return false;
	if (len == 1)
		len = 0;
	if (n) {
		path[len++] = '/';
		memcpy(path + len, w->path + s->last, n);
		len += n;
	}
	path[len] = 0;
	return check_name(w, path, len);
}

/* The last name is not known to be no link, and the operation shall not find out.  -EAGAIN: it is one. */
static int look_at_last(struct where *w, uint64_t key, uint64_t generation, size_t end)
{
	char first;
	long r = raw_syscall(__NR_readlinkat, w->dfd, w->path, &first, 1);

	if (r >= 0)
		return -EAGAIN;
	if (r == -EINVAL)
		cache_store(CACHE_WHOLE(key), w->path, end, generation, CACHE_KNOWN, NULL, 0);
	return 0;
}

/* The directory part is fine: what of the last name?  False: the slow way. */
static bool last_name(struct where *w, uint64_t key, uint64_t generation, const struct split *s, unsigned known)
{
	if (s->last == s->end || !follows(w->flags))
		return true;
	if (known & CACHE_LINKS || w->flags & WHERE_VERIFY)
		return cache_find(CACHE_WHOLE(key), w->path, s->end, generation) ||
		       look_at_last(w, key, generation, s->end) == 0;
	/* others would look by a call of its own */
	w->fast = w->flags & WHERE_CHEAP || !cache_find(CACHE_WHOLE(key), w->path, s->end, generation);
	w->generation = generation;
	w->key = key;
	return true;
}

/* An operation has met a link on the fast way: may the kernel follow it?  (Not if what is known is that it is none.) */
bool path_whole_is_known(const struct where *w)
{
	struct split s = split_text(w->path, w->len, false);
	uint64_t generation = view_generation(w->t);
	struct base b = { .key = base_key(w->t, BASE_ROOT) };

	return (w->path[0] == '/' || !base_find(w->t, w->dfd, generation, &b)) &&
	       cache_find(CACHE_WHOLE(b.key), w->path, s.end, generation) & CACHE_LINKS;
}

void where_no_link(const struct where *w)
{
	if (w->fast && w->state == STATE_RAW && w->generation)
		cache_store(CACHE_WHOLE(w->key), w->path, split_text(w->path, w->len, false).end, w->generation, CACHE_KNOWN, NULL, 0);
}

#define NOT_FOR_LOOKS	(WHERE_VERIFY | WHERE_CREATE | WHERE_ENTRY | WHERE_PARENT)

/* A place by the kernel's path of its directory, and the last name of the guest's text. */
struct named {
	size_t len, rest;		/* path[rest ..] is that name, if there is one */
	char path[UM_PATH_MAX + 256];
};

static bool name_place(const struct where *w, uint64_t key, uint64_t generation, const struct split *s, struct named *p)
{
	size_t n = s->end - s->last;

	if (n > 255)
		return false;
	p->len = p->rest = cache_canon(key, w->path, s->dir, generation, p->path, UM_PATH_MAX);
	if (!p->len)
		return false;
	if (n) {
		p->path[p->len++] = '/';
		memcpy(p->path + p->len, w->path + s->last, n);
		p->rest = p->len;
		p->len += n;
		p->path[p->len] = 0;
	}
	return p->len < sizeof(w->path);
}

static void take_place(struct where *w, const struct named *p)
{
	memcpy(w->path, p->path, p->len + 1);
	w->len = p->len;
	w->rest = p->rest;
	w->dfd = AT_FDCWD;
	w->upath = (gaddr)w->path;
	w->state = STATE_PATH | STATE_NEW;
}

/* From the path in the tree to that below, in mount m: path[*cut ..] is the same in both. */
static bool go_below(const struct where *w, struct named *p, struct mount *m, size_t *cut)
{
	char *dir = heap_alloc(UM_PATH_MAX);
	int n = dir ? view_cow_by_tree(w->t, p->path, p->len, m, dir, UM_PATH_MAX) : -ENOMEM;
	size_t d = n < 0 || !strcmp(dir, "/") ? 0 : strlen(dir), tail = p->len - (size_t)n;
	bool fits = n >= 0 && d + tail < sizeof(w->path);

	if (fits) {
		p->rest = p->rest - (size_t)n + d;
		p->len = d + tail;
		memmove(p->path + d, p->path + n, tail + 1);
		memcpy(p->path, dir, d);
		*cut = d;
	}
	heap_free(dir);
	return fits;
}

/* The directory part leads into a copy-on-write mount's tree. */
__attribute__((noinline))
static bool fast_in_tree(struct where *w, uint64_t key, uint64_t generation, const struct split *s, unsigned known)
{
	struct named p;
	struct mount m;
	size_t cut;

	if (w->flags & NOT_FOR_LOOKS || !name_place(w, key, generation, s, &p))
		return false;
	switch (cow_fast_name(w, p.path, p.len, known, s->end > s->last)) {
	case COW_FAST_NO:
		return false;
	case COW_FAST_BELOW:
		if (!(known & CACHE_BELOW))
			return last_name(w, key, generation, s, known);
		if (!go_below(w, &p, &m, &cut))
			return false;
		w->fast = follows(w->flags);
	}
	if (s->end == s->last) {	/* "name/", or "name/.": what has been remembered on the way to "name/more" may be a file */
		if (p.len + 1 >= sizeof(w->path))
			return false;
		p.path[p.len++] = '/';
		p.path[p.len] = 0;
	}
	take_place(w, &p);
	return true;
}

/* It leads to what is below such a mount, and the guest's own text does not. */
__attribute__((noinline))
static bool fast_below(struct where *w, uint64_t key, uint64_t generation, const struct split *s)
{
	struct named p;

	if (s->end == s->last || w->flags & NOT_FOR_LOOKS ||
	    !name_place(w, key, generation, s, &p))
		return false;
	take_place(w, &p);
	w->fast = follows(w->flags);
	return true;
}

/*
 * A name that goes, or comes, in a directory that is in the tree and shows what is below it, too: nobody looks for it there before the
 * operation tries (path_cow.c: may_stay_unseen()).
 */
__attribute__((noinline))
static bool fast_change(struct where *w, uint64_t key, uint64_t generation, const struct split *s, unsigned known)
{
	struct named p;
	struct mount m;
	size_t cut;

	if (!may_stay_unseen(w->flags) || w->flags & WHERE_VERIFY || !(known & CACHE_MERGED) || known & (CACHE_CHECK | CACHE_MOVED) ||
	    s->end == s->last || s->end != w->len)
		return false;
	if (!name_place(w, key, generation, s, &p) || !go_below(w, &p, &m, &cut) || m.flags & (UM_MNT_OVER | UM_MNT_MIN | UM_MNT_RDONLY))
		return false;
	take_place(w, &p);
	w->fs = &cow_fs;
	w->via = w->cow = m.id;
	w->cow_at = (uint32_t)cut + 1;
	w->cow_state = COW_LOWER;
	w->cow_below = w->cow_unseen = w->cow_placed = true;
	return true;
}

bool path_fast_way(struct where *w)
{
	struct split s = split_text(w->path, w->len, entry_only(w->flags));
	uint64_t generation = view_generation(w->t);
	struct base b = { .key = base_key(w->t, BASE_ROOT) };
	const bool change = w->flags & WHERE_CHANGE && view_has(UM_MOUNT_COW);
	unsigned known;

	if (w->path[0] != '/') {
		if (base_find(w->t, w->dfd, generation, &b)) {
			w->leads_nowhere = true;	/* nobody knows where that is: the kernel may say */
			return !change;
		}
		if (!change && b.plain && !s.dir && s.last < s.end) {
			bool fine = last_name(w, b.key, generation, &s, 0);

			w->below_plain = fine && (w->fast || !follows(w->flags));
			w->generation = generation;
			return fine;
		}
	}
	known = cache_find(b.key, w->path, s.dir, generation);
	if (!known || change)
		return known && fast_change(w, b.key, generation, &s, known);
	if (known & CACHE_TREE && b.plain && !has_dotdot(w->path) && strncmp(w->path, "..", 2))
		return last_name(w, b.key, generation, &s, known);
	if (known & CACHE_TREE)
		return fast_in_tree(w, b.key, generation, &s, known);
	if (known & CACHE_BELOW)
		return fast_below(w, b.key, generation, &s);
	if (known & CACHE_CHECK) {
		bool fine = known & CACHE_DIRECT ? check_name(w, s.end ? w->path : "/", s.end ? s.end : 1)
						 : check_text(w, b.key, generation, &s);
		if (!fine)
			return false;
	}
	return last_name(w, b.key, generation, &s, known);
}

/* ---- without more of a place --------------------------------------------------------------------- */

static inline bool starts_virtually(const struct task *t, int dfd)
{
	return dfd == AT_FDCWD ? t->fs->cwd != NULL : fd_peek(t, dfd) || fd_is_ours(dfd);
}

enum where_way where_way(struct where *w, struct task *t, int dfd, gaddr upath, unsigned flags)
{
	const bool cow = view_has(UM_MOUNT_COW);
	long n;

	if (t->cred || t->fs->root || signal_faults_blocked(t) || trace_ends())
		return WAY_LONG;
	if (cow && (!(flags & WHERE_CHEAP) || flags & WHERE_CHANGE || (!(flags & WHERE_STAT) && cow_has_links(t))))
		return WAY_LONG;
	if (cow)
		w->changes = cow_changes(t);
	n = string_from_guest(t, w->path, upath, sizeof(w->path));
	if (n <= 0 || (w->path[0] != '/' && starts_virtually(t, dfd)))
		return WAY_LONG;
	w->t = t;
	w->flags = flags;
	w->dfd = dfd;
	w->upath = upath;
	w->len = (size_t)n;
	w->fast = w->below_plain = false;
	if (cow) {
		w->tries = w->bind = w->bound = 0;
		w->read_only = false;
		return path_fast_way(w) ? WAY_COW : WAY_LONG;
	}
	if (path_only_real(w))
		return WAY_OWN;
	return !path_fast_way(w) ? WAY_LONG : w->fast ? WAY_NOFOLLOW : WAY_OWN;
}
