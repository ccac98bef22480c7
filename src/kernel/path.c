/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The path resolver, from what a handler asks to what it gets: the fast way (path_fast.c) if that is known to be right, else the walk; and once
 * more, when the operation has met a link, or what was found has not held until it was made (cow_change.c).
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "path_walk.h"
#include "perm.h"
#include "fs/proc.h"

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
		cache_store(CACHE_WHOLE(k->key), w->path, s.end, k->generation, CACHE_KNOWN | (k->links ? CACHE_LINKS : 0), NULL, 0);
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
		if (!w->strict && path_whole_is_known(w) && !(view_has(UM_MOUNT_COW) && cow_has_links(w->t))) {
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
	if (!base && !w->strict && (path_only_real(w) || (path_fast_way(w) && !is_other_name(w))))
		return 0;
	w->fast = w->below_plain = false;
	w->generation = 0;
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

/* Its length or -errno. */
static inline long begin_text(struct where *w, struct task *t)
{
	long n;

	where_init(w, t, w->asked_dfd, w->asked_text ? (gaddr)w->path : w->asked, w->asked_flags);
	n = fetch_text(w);
	w->len = n < 0 ? 0 : (size_t)n;
	return n;
}

static inline long begin_once(struct where *w, struct task *t)
{
	long n = begin_text(w, t);

	if (n < 0)
		return n;
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

static void ask(struct where *w, int dfd, gaddr upath, unsigned flags)
{
	w->asked_text = NULL;
	w->asked = upath;
	w->asked_dfd = dfd;
	w->asked_flags = flags;
}

long where_begin(struct where *w, struct task *t, int dfd, gaddr upath, unsigned flags)
{
	ask(w, dfd, upath, flags);
	return begin_asked(w, t);
}

long where_at_link(struct where *w, struct task *t, int dfd, gaddr upath, unsigned flags)
{
	long n;

	ask(w, dfd, upath, flags);
	w->tries = 0;
	n = begin_text(w, t);
	if (n < 0)
		return n;
	w->state = STATE_RAW;
	return -UM_EAGAIN;
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
