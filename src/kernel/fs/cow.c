/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cow_fs: places in copy-on-write mounts that a call is about to change.
 *
 * Each operation copies up what it needs, then is the kernel's own on the path in the session's tree.  Where there is a
 * whiteout, what replaces it is made in work/ and takes its place by one rename.
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
	long r = s->placed ? 0 : cow_copy_parents(s->t, s->c, s->rel);

	s->placed = !r;
	return r;
}

/* What is in the tree.  The walk has just looked for the name there; anew: it has not, or it may have come since then. */
static long look_up(struct where *w, struct spot *s, bool anew)
{
	long r = -ENOENT;

	if (anew || (w->cow_state != COW_LOWER && w->cow_state != COW_ABSENT))
		r = cow_look(s->up, &s->up_st);
	s->white = r ? !anew && w->cow_state == COW_ABSENT : cow_is_whiteout(AT_FDCWD, s->up, &s->up_st);
	s->has_up = !r && !s->white;
	s->seen = anew || !w->cow_unseen;
	return r == -ENOENT ? 0 : r;
}

/* What is below has a copy, made by another of its names. */
static long take_copy(struct spot *s)
{
	long r = cow_copy_up(s->t, s->c, s->rel, false);

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
		r = look_up(w, s, false);
	if (r)
		return r;
	s->placed = w->cow_placed;
	if (s->has_up && w->fast && S_ISLNK(s->up_st.st_mode) && !(w->flags & (WHERE_NOFOLLOW | WHERE_ENTRY | WHERE_PARENT)))
		return -UM_EAGAIN;
	s->commits = __atomic_load_n(&s->c->state->commits, __ATOMIC_ACQUIRE);
	if (!w->cow_below)
		return 0;
	r = cow_look(s->low, &s->low_st);
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

void spot_look_below(struct spot *s)
{
	if (s->commits == __atomic_load_n(&s->c->state->commits, __ATOMIC_ACQUIRE) || !s->w->cow_below)
		return;
	s->has_low = !cow_look(s->low, &s->low_st);
	if (s->has_low)
		cow_note_origin(s->c, s->rel, &s->low_st);
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

void spot_forget(struct spot *s, const struct stat *st)
{
	cow_index_drop(s->t, s->c, st);
	if (vtable_any(&s->c->inodes) && (S_ISDIR(st->st_mode) || st->st_nlink <= 1))
		vtable_remove(&s->c->inodes, s->t, st->st_dev, st->st_ino);
	if (S_ISDIR(st->st_mode))
		cow_redirect_gone(s->c, st);
}

/* May what is below be written, by who may write it there, or by anybody if it is somebody else's? */
static long writable(const struct spot *s)
{
	long r = raw_syscall(__NR_faccessat2, AT_FDCWD, s->low, 2 /* W_OK */, AT_EACCESS | AT_SYMLINK_NOFOLLOW);

	if (r == -EROFS || r == -ETXTBSY)
		return 0;
	if (r == -EACCES && s->low_st.st_uid != (unsigned)raw_syscall(__NR_geteuid))
		return s->low_st.st_mode & 0222 ? 0 : r;
	return r;
}

/* ---- new things ------------------------------------------------------------------------------------------- */

/* What is to be made, by the kernel, at a path. */
struct making {
	unsigned type;		/* S_IFDIR, ... or 0: open a new file */
	int flags;
	unsigned mode, dev;
	const char *text;
};

void spot_at(struct spot *s, const char *path)
{
	struct where *w = s->w;

	memcpy(w->path, path, strlen(path) + 1);
	w->len = strlen(path);
	w->dfd = AT_FDCWD;
	w->upath = (gaddr)w->path;
	w->fast = false;
}

/* The kernel knows what is opened by another path than the view. */
static void goes_to_tree(struct spot *s)
{
	struct where *w = s->w;

	w->bind = w->via;
	w->bound = w->via == w->cow ? (uint32_t)strlen(s->c->tree) : 0;
}

static long make_at(struct spot *s, const struct making *m, const char *path)
{
	struct where *w = s->w;

	spot_at(s, path);
	switch (m->type) {
	case 0:
		goes_to_tree(s);
		return real_fs.open(w, m->flags | O_CREAT, m->mode);
	case S_IFDIR:
		return real_fs.mkdir(w, m->mode);
	case S_IFLNK:
		return real_fs.symlink(w, m->text);
	default:
		return real_fs.mknod(w, m->mode, m->dev);
	}
}

/* The default list of a directory goes to another. */
static long give_list(const char *from, const char *to, size_t size)
{
	char *list = heap_alloc(size);
	long n = list ? raw_syscall(__NR_lgetxattr, from, ACL_DEFAULT, list, size) : -ENOMEM;

	if (n > 0)
		n = raw_syscall(__NR_lsetxattr, to, ACL_DEFAULT, list, n, 0);
	heap_free(list);
	return n;
}

/* A directory from which new things get what they get from `dir`. */
static long make_like(const char *like, const char *dir, const struct stat *st, long list)
{
	long r = raw_syscall(__NR_mkdirat, AT_FDCWD, like, 0700);

	if (r)
		return r;
	if (st->st_mode & S_ISGID) {
		raw_syscall(__NR_fchownat, AT_FDCWD, like, -1u, st->st_gid, AT_SYMLINK_NOFOLLOW);
		r = raw_syscall(__NR_fchmodat, AT_FDCWD, like, 0700 | S_ISGID);
	}
	if (!r && list > 0)
		r = give_list(dir, like, (size_t)list);
	if (r)
		raw_syscall(__NR_unlinkat, AT_FDCWD, like, AT_REMOVEDIR);
	return r;
}

/*
 * The name in work/ of what is being made for s.  From its directory it gets the default access list and, if that has the bit for
 * it, the group: if there is any of these, the name is in a directory like that one, `like`, which is "" otherwise.
 */
static long name_in_work(struct spot *s, char *work, char *like)
{
	char *last = strrchr(s->up, '/');
	struct stat st;
	long list, r = cow_work_path(s->t, s->c, work);

	like[0] = *last = 0;
	if (!r)
		r = cow_look(s->up, &st);
	list = r ? 0 : raw_syscall(__NR_lgetxattr, s->up, ACL_DEFAULT, 0, 0);
	if (!r && (list > 0 || st.st_mode & S_ISGID)) {
		r = make_like(work, s->up, &st, list);
		if (!r) {
			memcpy(like, work, strlen(work) + 1);
			r = cow_join(work, like, "new");
		}
	}
	*last = '/';
	return r;
}

static long make_for(struct spot *s, const struct making *m, const char *path)
{
	long r;

	s->w->made_for = s->up;
	r = make_at(s, m, path);
	s->w->made_for = NULL;
	return r;
}

/* Makes it in work/ and puts it in the place of the whiteout.  The lock is held. */
static long make_instead(struct spot *s, const struct making *m)
{
	bool dir = m->type == S_IFDIR;
	char *work = heap_alloc(2 * UM_PATH_MAX), *like = work + UM_PATH_MAX;
	long r = work ? name_in_work(s, work, like) : -ENOMEM, e = 0;

	if (!r)
		r = make_for(s, m, work);
	if (r < 0) {
		if (work && like[0])
			raw_syscall(__NR_unlinkat, AT_FDCWD, like, AT_REMOVEDIR);
		heap_free(work);
		return r;
	}
	spot_look_below(s);
	if (s->has_low)
		cow_note_origin(s->c, s->rel, &s->low_st);
	if (dir)
		e = cow_set_opaque(s->t, s->c, work);
	if (!e)
		e = cow_put(work, s->up, dir ? RENAME_EXCHANGE : 0);
	if (e || dir)
		raw_syscall(__NR_unlinkat, AT_FDCWD, work, e && dir ? AT_REMOVEDIR : 0);
	if (like[0])
		raw_syscall(__NR_unlinkat, AT_FDCWD, like, AT_REMOVEDIR);
	if (e && !m->type)
		raw_syscall(__NR_close, r);
	heap_free(work);
	return e ? e : r;
}

static long make_new(struct spot *s, const struct making *m)
{
	long r = spot_place(s);
	struct stat st;

	if (r)
		return r;
	if (s->white) {
		cow_lock(s->t, s->c);
		if (!cow_look(s->up, &st) && cow_is_whiteout(AT_FDCWD, s->up, &st))
			r = make_instead(s, m);
		else
			r = make_at(s, m, s->up);
		cow_unlock(s->c);
	} else {
		r = make_at(s, m, s->up);
		if (r >= 0 && m->type == S_IFDIR && (r = cow_set_opaque(s->t, s->c, s->up)) < 0)
			raw_syscall(__NR_unlinkat, AT_FDCWD, s->up, AT_REMOVEDIR);
	}
	if (r >= 0 && (m->type == S_IFDIR || m->type == S_IFLNK))
		view_links_changed(s->t);
	return r;
}

/* The tree may have something there after all. */
static long make_or_look(struct spot *s, const struct making *m)
{
	long r = make_new(s, m);

	if (r != -EEXIST || s->seen || (r = spot_look_again(s)))
		return r;
	return s->white ? make_new(s, m) : -EEXIST;
}

static long make(struct where *w, const struct making *m)
{
	struct spot *s;
	long r = spot_look(w, &s);

	if (r)
		return r;
	if (spot_exists(s))
		r = -EEXIST;
	else if (w->trailing && m->type != S_IFDIR)
		r = -ENOENT;
	else
		r = make_or_look(s, m);
	spot_done(s);
	return r;
}

static long cow_mkdir(struct where *w, unsigned mode)
{
	const struct making m = { .type = S_IFDIR, .mode = mode };

	return place_is_own(w) ? real_fs.mkdir(w, mode) : make(w, &m);
}

static long cow_mknod(struct where *w, unsigned mode, unsigned dev)
{
	const struct making m = { .type = mode & S_IFMT, .mode = mode, .dev = dev };

	return place_is_own(w) && !w->trailing ? real_fs.mknod(w, mode, dev) : make(w, &m);
}

static long cow_symlink(struct where *w, const char *text)
{
	const struct making m = { .type = S_IFLNK, .text = text };

	return place_is_own(w) && !w->trailing ? real_fs.symlink(w, text) : make(w, &m);
}

/* A whiteout has to go first: for that moment what is below shows. */
long cow_prepare(struct where *w)
{
	struct spot *s;
	long r = spot_look(w, &s);

	if (r)
		return r;
	r = spot_exists(s) ? -EADDRINUSE : w->trailing ? -ENOENT : spot_place(s);
	if (!r && s->white)
		r = raw_syscall(__NR_unlinkat, AT_FDCWD, s->up, 0);
	if (!r)
		memcpy(w->path, s->up, strlen(s->up) + 1);
	spot_done(s);
	return r;
}

/* ---- open ------------------------------------------------------------------------------------------------- */

/* It is in the tree now. */
static long open_copied(struct spot *s, int flags, unsigned mode)
{
	struct where *w = s->w;

	spot_at(s, s->up);
	goes_to_tree(s);
	return real_fs.open(w, flags, mode);
}

/* It is there, and only below. */
static long open_below(struct spot *s, int flags, unsigned mode)
{
	unsigned type = s->low_st.st_mode & S_IFMT;
	bool tmpfile = (flags & O_TMPFILE) == O_TMPFILE;
	long r;

	if (!(type == S_IFDIR && tmpfile) && (type != S_IFREG || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) ||
					      flags & O_DIRECTORY))
		return kernel_call(s->t, __NR_openat, AT_FDCWD, s->low, flags, mode);
	r = type == S_IFDIR ? 0 : writable(s);
	if (!r)
		r = cow_copy_up(s->t, s->c, s->rel, flags & O_TRUNC);
	return r ? r : open_copied(s, flags, mode);
}

static long cow_open(struct where *w, int flags, unsigned mode)
{
	const struct making m = { .flags = flags, .mode = mode };
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
		r = w->trailing ? -EISDIR : make_or_look(s, &m);
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
		r = cow_copy_up(w->t, s->c, s->rel, empty);
	if (!r)
		spot_at(s, s->up);
	spot_done(s);
	return r;
}

static long cow_chmod(struct where *w, unsigned mode, int flags)
{
	long r = to_tree(w, NEED_NOTHING, false);

	return r ? r : real_fs.chmod(w, mode, flags);
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
	long r = to_tree(w, NEED_NOTHING, false);

	if (!r)
		r = real_fs.chown(w, uid, gid);
	if (!r && !has_identity(w->t))
		note_owner(w, uid, gid);
	return r;
}

static long cow_utimens(struct where *w, const struct timespec64 *ts)
{
	long r = to_tree(w, NEED_NOTHING, false);

	return r ? r : real_fs.utimens(w, ts);
}

static long cow_truncate(struct where *w, uint64_t size)
{
	long r = to_tree(w, NEED_WRITABLE, !size);

	return r ? r : real_fs.truncate(w, size);
}

static long cow_setxattr(struct where *w, const char *name, gaddr buf, size_t size, int flags)
{
	long r = to_tree(w, NEED_NOTHING, false);

	return r ? r : real_fs.setxattr(w, name, buf, size, flags);
}

static long cow_removexattr(struct where *w, const char *name)
{
	long r = to_tree(w, NEED_NOTHING, false);

	return r ? r : real_fs.removexattr(w, name);
}

static long access_below(struct spot *s, int mode, int flags)
{
	long r;

	spot_at(s, s->low);
	r = real_fs.access(s->w, mode & ~2, flags);
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
