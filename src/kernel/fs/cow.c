/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cow_fs: places in copy-on-write mounts that a call is about to change.
 *
 * Each operation copies up what it needs, then is the kernel's own on the path in the session's tree.  If what was found does not
 * hold any more at that moment, it begins anew (cow_change.c).
 *
 * Whether the call would have been permitted below is not asked: the copy is the user's own.  What
 * counts are the copy's permissions, and those are what the original's were; and nobody gets to see what he may
 * not read.
 */
#include "cow.h"
#include "ident.h"
#include "real.h"
#include <linux/fs.h>

/* ---- what is there ---------------------------------------------------------------------------------------- */

/* Large, and needed for every change: one is kept. */
static struct spot *spare UM_LARGE;

static struct spot *spot_new(void)
{
	struct spot *s = __atomic_exchange_n(&spare, NULL, __ATOMIC_ACQUIRE);

	if (!s)
		return heap_alloc(sizeof *s);
	s->has_up = s->has_low = s->white = false;
	return s;
}

void spot_done(struct spot *s)
{
	heap_free(__atomic_exchange_n(&spare, s, __ATOMIC_RELEASE));
}

long spot_place(struct spot *s)
{
	long r = s->placed ? 0 : cow_copy_parents(s->w, s->c, s->rel);

	s->placed = !r;
	return r;
}

/* What is in the tree.  The walk has just looked for the name there; anew: it has not, or it may have come since then. */
static long look_up(struct where *w, struct spot *s, bool anew)
{
	bool gone = anew && cow_is_gone_name(s->t, s->c, s->rel);
	long r = -ENOENT;

	if (!gone && (anew || (w->cow_state != COW_LOWER && w->cow_state != COW_ABSENT)))
		r = cow_look(s->up, &s->up_st);
	s->white = r ? gone || (!anew && w->cow_state == COW_ABSENT) : cow_is_whiteout(AT_FDCWD, s->up, &s->up_st);
	s->has_up = !r && !s->white;
	s->seen = anew || !w->cow_unseen;
	return r == -ENOENT ? 0 : r;
}

/* What is below has a copy, made by another of its names. */
static long take_copy(struct spot *s)
{
	long r = cow_copy_up(s->w, s->c, s->rel, false);

	if (!r)
		r = cow_look(s->up, &s->up_st);
	s->has_up = s->placed = !r;
	return r;
}

/*
 * Nobody has looked in the tree: need that be done?  Not for a file that is to go, nor for a name that is to come, if they
 * are what is below: the call that puts a whiteout, or the new thing, there fails with EEXIST if something is.
 */
static bool has_to_be_seen(const struct where *w, const struct spot *s, long low)
{
	if (!w->cow_unseen)
		return false;
	if (w->flags & WHERE_CREATE)
		return low != -ENOENT || w->trailing;
	return low || w->trailing || S_ISDIR(s->low_st.st_mode) || cow_has_names(&s->low_st);
}

static long spot_fill(struct where *w, struct spot *s)
{
	const char *rel = w->path + w->cow_at;
	long r = cow_up_path(s->c, s->up, rel);

	memcpy(s->rel, rel, strlen(rel) + 1);
	if (!r)
		r = cow_low_path(s->c, s->low, rel);
	if (!r)
		r = look_up(w, s, w->cow_copied);
	if (r)
		return r;
	s->placed = w->cow_placed;
	if (s->has_up && w->fast && S_ISLNK(s->up_st.st_mode) && !(w->flags & (WHERE_NOFOLLOW | WHERE_ENTRY | WHERE_PARENT)))
		return -UM_EAGAIN;
	if (!w->cow_below)
		return 0;
	r = cow_low_look(s->t, s->c, s->low, &s->low_st);
	s->has_low = !r;
	if (has_to_be_seen(w, s, r)) {
		long e = look_up(w, s, true);

		if (e)
			return e;
	}
	if (s->has_low && !s->has_up && !s->white && cow_index_find(s->c, &s->low_st, &s->up_st))
		return take_copy(s);
	return r == -ENOENT || r == -EACCES || s->has_up || s->white ? 0 : r;	/* what cannot be read counts as empty */
}

long spot_look_again(struct spot *s)
{
	return look_up(s->w, s, true);
}

/* mkdir and its like: what is there is there, whatever it is. */
static bool makes_entry(const struct where *w)
{
	return (w->flags & (WHERE_ENTRY | WHERE_CREATE | WHERE_PARENT)) == (WHERE_ENTRY | WHERE_CREATE);
}

long spot_look(struct where *w, struct spot **out)
{
	long error = 0;
	struct cow *c = cow_get(w->t, w->cow, &error);
	struct spot *s = c ? spot_new() : NULL;

	*out = NULL;
	if (!s)
		return c ? -ENOMEM : error;
	s->t = w->t;
	s->w = w;
	s->c = c;
	error = spot_fill(w, s);
	if (!error && s->has_low)
		error = cow_has_room(c);	/* whoever makes room on a full disk needs none */
	if (!error && w->trailing && !makes_entry(w) && spot_exists(s) && !S_ISDIR(spot_stat(s)->st_mode))
		error = -ENOTDIR;
	if (error) {
		spot_done(s);
		return error;
	}
	*out = s;
	return 0;
}

void spot_forget(struct spot *s, const struct stat *st, int pin)
{
	cow_index_drop(s->t, s->c, st);
	if (cow_is_gone(pin, st) && vtable_any(&s->c->inodes))
		vtable_remove(&s->c->inodes, s->t, st->st_dev, st->st_ino);
	if (S_ISDIR(st->st_mode))
		cow_redirect_gone(s->c, st);
}

/* May what is below be written, by who may write it there, or by anybody if it is somebody else's? */
static long writable(const struct spot *s)
{
	long r = cow_low_access(s->t, s->c, s->low, 2 /* W_OK */);

	if (r == -EROFS || r == -ETXTBSY)
		return 0;
	if (r == -EACCES && s->low_st.st_uid != (unsigned)raw_syscall(__NR_geteuid))
		return s->low_st.st_mode & 0222 ? 0 : r;
	return r;
}

void spot_at(struct spot *s, const char *path)
{
	struct where *w = s->w;

	memcpy(w->path, path, strlen(path) + 1);
	w->len = strlen(path);
	w->dfd = AT_FDCWD;
	w->upath = (gaddr)w->path;
	w->fast = false;
}

void spot_goes_to_tree(struct spot *s)
{
	struct where *w = s->w;

	w->bind = w->via;
	w->bound = w->via == w->cow ? (uint32_t)strlen(s->c->tree) : 0;
}

/* ---- open ------------------------------------------------------------------------------------------------- */

/* It is in the tree now. */
static long open_copied(struct spot *s, int flags, unsigned mode)
{
	struct where *w = s->w;
	long r;

	spot_at(s, s->up);
	spot_goes_to_tree(s);
	w->fast = !(w->flags & WHERE_NOFOLLOW);		/* it is no link; but a whiteout may be one */
	r = real_fs.open(w, flags, mode);
	return r == -UM_EAGAIN ? -UM_ERETRY : r;
}

/* It is there, and only below. */
static long open_below(struct spot *s, int flags, unsigned mode)
{
	unsigned type = s->low_st.st_mode & S_IFMT;
	bool tmpfile = (flags & O_TMPFILE) == O_TMPFILE;
	long r;

	if (!(type == S_IFDIR && tmpfile) && (type != S_IFREG || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) ||
					      flags & O_DIRECTORY))
		return cow_low_open(s->t, s->c, s->low, flags, mode);
	r = type == S_IFDIR ? 0 : writable(s);
	if (!r)
		r = cow_copy_up(s->w, s->c, s->rel, flags & O_TRUNC);
	return r ? r : open_copied(s, flags, mode);
}

static long cow_open(struct where *w, int flags, unsigned mode)
{
	struct spot *s;
	long r;

	if (place_is_own(w) && !w->trailing)
		return real_fs.open(w, flags, mode);
	r = spot_look(w, &s);
	if (r)
		return r;
	if (!s->seen && !(flags & O_EXCL) && (r = spot_look_again(s)))
		;
	else if (s->has_up)
		r = open_copied(s, flags, mode);
	else if (spot_exists(s))
		r = open_below(s, flags, mode);
	else if (flags & O_CREAT && (flags & O_TMPFILE) != O_TMPFILE)
		r = w->trailing ? -EISDIR : cow_open_new(s, flags, mode);
	else
		r = -ENOENT;
	spot_done(s);
	return r;
}

/* ---- changes of what is there ----------------------------------------------------------------------------- */

enum need { NEED_NOTHING, NEED_WRITABLE };

/* It is in the tree when this returns 0, and w leads there. */
static long to_tree(struct where *w, enum need need, bool empty)
{
	struct spot *s;
	long r;

	if (!w->trailing && (w->cow_state == COW_UPPER || w->cow_state == COW_MERGED))
		return 0;
	r = spot_look(w, &s);
	if (r)
		return r;
	if (!spot_exists(s))
		r = -ENOENT;
	else if (!s->has_up && need == NEED_WRITABLE)
		r = S_ISDIR(s->low_st.st_mode) ? -EISDIR : !S_ISREG(s->low_st.st_mode) ? -EINVAL : writable(s);
	if (!r && !s->has_up)
		r = cow_copy_up(w, s->c, s->rel, empty);
	if (!r)
		spot_at(s, s->up);
	spot_done(s);
	return r;
}

/* The operation of real_fs at a place, in the tree.  What shows there cannot go meanwhile. */
#define in_tree(w, need, empty, verb, ...) ({ \
	struct where *w_ = (w); \
	struct cow *c_ = NULL; \
	long r_ = to_tree(w_, (need), (empty)); \
	if (!r_ && !place_is_own(w_)) \
		r_ = hold_place(w_, &c_); \
	if (!r_) \
		r_ = real_fs.verb(w_, ##__VA_ARGS__); \
	if (c_) \
		cow_unlock(c_); \
	r_; })

static long hold_place(const struct where *w, struct cow **held)
{
	long r = 0;
	struct cow *c = cow_get(w->t, w->cow, &r);

	if (c)
		r = cow_lock_place(c, w, NULL);
	*held = r ? NULL : c;
	return r;
}

static long cow_chmod(struct where *w, unsigned mode, int flags)
{
	return in_tree(w, NEED_NOTHING, false, chmod, mode, flags);
}

/* A copy has been given an owner: it is not shown with the original's any more. */
static void note_owner(struct where *w, unsigned uid, unsigned gid)
{
	struct vstat v = { .uid = uid, .gid = gid };
	long error;
	struct cow *c = cow_get(w->t, w->cow, &error);
	struct stat st;

	v.have = (uid != -1u ? UM_VS_UID : 0) | (gid != -1u ? UM_VS_GID : 0);
	if (c && vtable_any(&c->inodes) && v.have && !cow_look(w->path, &st) && vtable_get(&c->inodes, st.st_dev, st.st_ino, &(struct vstat){ 0 }))
		vtable_set(&c->inodes, w->t, st.st_dev, st.st_ino, &v, v.have);
}

static long cow_chown(struct where *w, unsigned uid, unsigned gid)
{
	long r = in_tree(w, NEED_NOTHING, false, chown, uid, gid);

	if (!r && !has_identity(w->t))
		note_owner(w, uid, gid);
	return r;
}

static long cow_utimens(struct where *w, const struct timespec64 *ts)
{
	return in_tree(w, NEED_NOTHING, false, utimens, ts);
}

static long cow_truncate(struct where *w, uint64_t size)
{
	return in_tree(w, NEED_WRITABLE, !size, truncate, size);
}

static long cow_setxattr(struct where *w, const char *name, gaddr buf, size_t size, int flags)
{
	return in_tree(w, NEED_NOTHING, false, setxattr, name, buf, size, flags);
}

static long cow_removexattr(struct where *w, const char *name)
{
	return in_tree(w, NEED_NOTHING, false, removexattr, name);
}

static long access_below(struct spot *s, int mode, int flags)
{
	long r;

	if (s->c->over) {
		r = cow_low_access(s->t, s->c, s->low, mode & ~2);
	} else {
		spot_at(s, s->low);
		r = real_fs.access(s->w, mode & ~2, flags);
	}
	return r || !(mode & 2) ? r : writable(s);
}

/* access(W_OK): what would happen if it were tried. */
static long cow_access(struct where *w, int mode, int flags)
{
	struct spot *s;
	long r;

	if (!w->trailing && (w->cow_state == COW_UPPER || w->cow_state == COW_MERGED))
		return real_fs.access(w, mode, flags);
	r = spot_look(w, &s);
	if (r)
		return r;
	if (!spot_exists(s))
		r = -ENOENT;
	else if (!s->has_up)
		r = access_below(s, mode, flags);
	else
		spot_at(s, s->up);
	if (!r && s->has_up)
		r = real_fs.access(w, mode, flags);
	spot_done(s);
	return r;
}

const struct fs_ops cow_fs = {
	.name = "cow",
	.open = cow_open,
	.access = cow_access,
	.mkdir = cow_mkdir,
	.mknod = cow_mknod,
	.unlink = cow_unlink,
	.symlink = cow_symlink,
	.link = cow_link,
	.rename = cow_rename,
	.chmod = cow_chmod,
	.chown = cow_chown,
	.utimens = cow_utimens,
	.truncate = cow_truncate,
	.setxattr = cow_setxattr,
	.removexattr = cow_removexattr,
};
