/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The path resolver: the fast way, and when to take the slow one.
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
 * link into a mount is not noticed until then: the kernel follows it, and shows what is really there.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "merge.h"
#include "path_walk.h"
#include "perm.h"
#include "fs/proc.h"
#include "../agent/channel.h"

/* ---- the text ------------------------------------------------------------------------------------- */

/* text[0 .. dir) is the directory part, text[last .. end) the last name; empty if the path ends in a name that is
 * none ("/", ".", ".."), then all of it is directory. */
struct split {
	size_t dir, last, end;
};

static struct split split_text(const char *text, size_t len, bool entry)
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
	for (s.last = s.end; s.last && text[s.last - 1] != '/'; s.last--)
		;
	n = s.end - s.last;
	if (n && n <= 2 && text[s.end - 1] == '.' && text[s.last] == '.')
		s.last = s.end;		/* "." or ".." */
	s.dir = s.last;
	while (s.dir && text[s.dir - 1] == '/')
		s.dir--;
	return s;
}

static bool entry_only(unsigned flags)
{
	return flags & (WHERE_ENTRY | WHERE_PARENT);
}

static bool follows(unsigned flags)
{
	return !(flags & (WHERE_NOFOLLOW | WHERE_ENTRY | WHERE_PARENT));
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

static bool only_real(const struct where *w)
{
	const char *end = w->path + w->len, *last = end;
	size_t n;

	if (!view_is_empty(w->t) || w->t->fs->root)
		return false;
	while (last > w->path && last[-1] != '/')
		last--;
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
	w->fast = true;
	return true;
}

/* An operation has met a link on the fast way: may the kernel follow it? */
static bool whole_is_known(const struct where *w)
{
	struct split s = split_text(w->path, w->len, false);
	uint64_t generation = view_generation(w->t);
	struct base b = { .key = base_key(w->t, BASE_ROOT) };

	return (w->path[0] == '/' || !base_find(w->t, w->dfd, generation, &b)) &&
	       cache_find(CACHE_WHOLE(b.key), w->path, s.end, generation);
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

static bool fast_way(struct where *w)
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

/* ---- the slow way --------------------------------------------------------------------------------- */

int walk_begin(struct walk *k, struct where *w, struct file *base)
{
	struct split s = split_text(w->path, w->len, entry_only(w->flags));
	int r = walk_start(k, w, w->flags, w->path, w->len);

	if (r)
		return r;
	k->last_at = k->rest + s.last;
	k->dir_len = s.dir;
	if (w->path[0] == '/')
		return walk_root(k);
	return base ? walk_file(k, base) : walk_base(k, w->dfd);
}

/* The kernel may follow the last name of this text: it leads to something real. */
static void remember_whole(const struct walk *k)
{
	const struct where *w = k->w;
	struct split s = split_text(w->path, w->len, false);

	if (k->pure && k->cacheable && k->verified && !k->rewrite && !k->place.remote && follows(k->flags) &&
	    s.last < s.end)
		cache_store(CACHE_WHOLE(k->key), w->path, s.end, k->generation, CACHE_KNOWN, NULL, 0);
}

static long finish_walk(struct where *w, struct walk *k, long r)
{
	if (!r)
		r = walk_run(k);
	if (r == WALK_NATIVE) {
		w->leads_nowhere = true;
		where_native(w);
		return 0;
	}
	if (!r && w->state == STATE_RAW)
		remember_whole(k);
	return r;
}

__attribute__((noinline)) long walk_slow(struct where *w, struct file *base)
{
	struct walk k;
	long r = walk_begin(&k, w, base);

	return finish_walk(w, &k, r);
}

/* An operation has met a link. */
__attribute__((noinline)) static long again(struct where *w)
{
	struct walk k;
	long r;

	w->fast = w->below_plain = false;
	if (w->state == STATE_RAW) {
		if (!w->strict && whole_is_known(w) && !(view_has(UM_MOUNT_COW) && cow_has_links(w->t))) {
			where_native(w);
			return 0;
		}
		w->links = 0;
		r = walk_begin(&k, w, NULL);
		k.verify = true;
		k.lazy = false;
	} else {
		r = walk_start(&k, w, w->flags, w->path + w->rest, w->len - w->rest);
		if (!r)
			r = where_resume(w, &k);
	}
	return finish_walk(w, &k, r);
}

/* ---- what handlers call --------------------------------------------------------------------------- */

void where_init(struct where *w, struct task *t, int dfd, gaddr upath, unsigned flags)
{
	w->t = t;
	w->fs = &real_fs;
	w->flags = flags;
	w->dfd = dfd;
	w->upath = upath;
	w->made_for = NULL;
	w->leads_nowhere = w->fast = w->below_plain = w->read_only = w->moved = w->kept = w->nested = w->fuse_device = w->trailing = false;
	w->strict = __builtin_expect(t->cred != NULL, 0) && perm_is_strict(t->cred, flags & WHERE_REALLY);
	w->dir_mode = 0;
	w->proc.what = PROC_NONE;
	w->mount.server = UM_SERVERS;	/* nobody */
	w->base = 0;
	w->handle = 0;
	w->rest = 0;
	w->walk = 0;
	w->file = NULL;
	w->links = 0;
	w->last = LAST_NAME;
	w->state = STATE_RAW | STATE_NEW;
	w->bind = w->bound = w->cow = w->via = 0;
	w->cow_copied = false;
	w->name[0] = 0;
}

struct file *virtual_base(struct task *t, int dfd)
{
	return dfd == AT_FDCWD ? fsinfo_cwd(t) : fd_hold(t, dfd);
}

/* A name below of a file that has been changed by another of its names: it is to lead to the copy. */
static inline bool is_other_name(struct where *w)
{
	return view_has(UM_MOUNT_COW) && cow_is_other_name(w, follows(w->flags) && !w->fast);
}

/* w->path has the text. */
static long begin(struct where *w)
{
	struct file *base = NULL;
	long r;

	if (!w->len)
		return where_empty(w);
	if (w->path[0] != '/') {
		base = virtual_base(w->t, w->dfd);
		if (!base && fd_is_ours(w->dfd))
			return -EBADF;
	}
	if (!base && !w->strict && (only_real(w) || (fast_way(w) && !is_other_name(w))))
		return 0;
	w->fast = w->below_plain = false;
	r = walk_slow(w, base);
	w->state |= STATE_NEW;
	file_put(base);
	return r;
}

/* An absolute path of a guest with a root of its own. */
__attribute__((noinline)) static long begin_below_root(struct where *w)
{
	long n = path_below_root(w->t, w->path, w->len, sizeof(w->path));

	if (n < 0)
		return n;
	w->len = (size_t)n;
	w->dfd = AT_FDCWD;
	w->upath = (gaddr)w->path;
	return begin(w);
}

static long fetch_text(struct where *w)
{
	size_t n;

	w->path[0] = 0;
	if (!w->asked_text)
		return w->asked || !(w->flags & WHERE_EMPTY) ? string_from_guest(w->t, w->path, w->asked, sizeof(w->path)) : 0;
	n = strlen(w->asked_text);
	if (n >= sizeof(w->path))
		return -ENAMETOOLONG;
	memcpy(w->path, w->asked_text, n + 1);
	return (long)n;
}

static inline long begin_once(struct where *w, struct task *t)
{
	long n;

	where_init(w, t, w->asked_dfd, w->asked_text ? (gaddr)w->path : w->asked, w->asked_flags);
	n = fetch_text(w);
	if (n < 0)
		return n;
	w->len = (size_t)n;
	if (w->path[0] == '/' && __builtin_expect(t->fs->root != NULL, 0) && !(w->flags & WHERE_VIEW))
		return begin_below_root(w);
	return begin(w);
}

/* Until what is found holds at the end. */
__attribute__((noinline)) static long begin_settled(struct where *w, struct task *t)
{
	long r;

	for (;; w->tries++) {
		w->changes = cow_changes(t);
		r = begin_once(w, t);
		if (w->tries >= WHERE_TRIES || (r != -UM_ERETRY && !where_is_stale(w)))
			return r == -UM_ERETRY ? -ENOENT : r;
		file_put(w->file);
	}
}

static inline long begin_asked(struct where *w, struct task *t)
{
	w->tries = 0;
	return __builtin_expect(view_has(UM_MOUNT_COW), 0) ? begin_settled(w, t) : begin_once(w, t);
}

long where_begin(struct where *w, struct task *t, int dfd, gaddr upath, unsigned flags)
{
	w->asked_text = NULL;
	w->asked = upath;
	w->asked_dfd = dfd;
	w->asked_flags = flags;
	return begin_asked(w, t);
}

long where_begin_path(struct where *w, struct task *t, int dfd, const char *path, unsigned flags)
{
	w->asked_text = path;
	w->asked_dfd = dfd;
	w->asked_flags = flags;
	return begin_asked(w, t);
}

/* The operation has been made, with this result: was it about what it should have been? */
static bool has_held(const struct where *w, long r)
{
	if (!view_has(UM_MOUNT_COW) || w->tries >= WHERE_TRIES || r == -EINTR || r == -UM_ERESTART)
		return true;
	if (r == -UM_ERETRY && !(w->asked_flags & WHERE_SECOND))
		return false;
	return (r >= 0 && !(w->asked_flags & WHERE_LOOKS)) || !where_is_stale(w);
}

bool where_next(struct where *w, long *r)
{
	if (w->state & STATE_NEW) {
		w->state &= (uint8_t)~STATE_NEW;
		return *r >= 0;
	}
	if (*r == -UM_EAGAIN) {
		*r = again(w);
		if (has_held(w, *r < 0 ? *r : -UM_EAGAIN))
			return *r >= 0;
	} else if (has_held(w, *r)) {
		return false;
	}
	w->tries++;
	file_put(w->file);
	*r = begin_settled(w, w->t);
	w->state &= (uint8_t)~STATE_NEW;
	return *r >= 0;
}

long where_end(struct where *w, long r)
{
	file_put(w->file);
	w->file = NULL;
	if (r == -UM_ERETRY && !(w->asked_flags & WHERE_SECOND))
		return -ENOENT;
	return r == -UM_EAGAIN ? -ELOOP : r;
}
