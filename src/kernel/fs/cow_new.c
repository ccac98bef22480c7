/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cow_fs: new things.
 *
 * In a directory that shows what is below it, too, they are made under the lock: so nobody can make the directory another one, or
 * show something of that name, at that moment.  Where there is a whiteout, what replaces it is made in work/ and takes its place by
 * one rename.
 */
#include "cow.h"
#include "ident.h"
#include "real.h"
#include <linux/fs.h>

/* What is to be made, by the kernel, at a path. */
struct making {
	unsigned type;		/* S_IFDIR, ... or 0: open a new file */
	int flags;
	unsigned mode, dev;
	const char *text;
};

static long make_at(struct spot *s, const struct making *m, const char *path)
{
	struct where *w = s->w;

	spot_at(s, path);
	switch (m->type) {
	case 0:
		spot_goes_to_tree(s);
		return real_fs.open(w, m->flags | O_CREAT | O_EXCL, m->mode);	/* or it might wait, for a FIFO */
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
	if (s->has_low)
		cow_note_origin(s->c, s->rel, &s->low_st);
	if (dir)
		e = cow_set_opaque(s->t, s->c, work, true);
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

/* The lock is held, and what was found holds; but a whiteout may have been replaced. */
static long make_locked(struct spot *s, const struct making *m)
{
	long r = cow_settle_name(s->c, s->rel);

	if (r)
		return r;
	if (s->white && spot_is_white_yet(s))
		return make_instead(s, m);
	r = make_at(s, m, s->up);
	if (r >= 0 && m->type == S_IFDIR && (r = cow_set_opaque(s->t, s->c, s->up, true)) < 0)
		raw_syscall(__NR_unlinkat, AT_FDCWD, s->up, AT_REMOVEDIR);
	return r;
}

static long make_new(struct spot *s, const struct making *m)
{
	long r = spot_place(s);

	if (!r)
		r = cow_lock_place(s->c, s->w, NULL);
	if (r)
		return r;
	r = make_locked(s, m);
	cow_unlock(s->c);
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

/* Somebody else may be faster: then it is there, and is to be opened. */
long cow_open_new(struct spot *s, int flags, unsigned mode)
{
	const struct making m = { .flags = flags, .mode = mode };
	long r = make_or_look(s, &m);

	return r == -EEXIST && !(flags & O_EXCL) ? -UM_ERETRY : r;
}

long cow_mkdir(struct where *w, unsigned mode)
{
	const struct making m = { .type = S_IFDIR, .mode = mode };

	return place_is_own(w) ? real_fs.mkdir(w, mode) : make(w, &m);
}

long cow_mknod(struct where *w, unsigned mode, unsigned dev)
{
	const struct making m = { .type = mode & S_IFMT, .mode = mode, .dev = dev };

	return place_is_own(w) && !w->trailing ? real_fs.mknod(w, mode, dev) : make(w, &m);
}

long cow_symlink(struct where *w, const char *text)
{
	const struct making m = { .type = S_IFLNK, .text = text };

	return place_is_own(w) && !w->trailing ? real_fs.symlink(w, text) : make(w, &m);
}

/* A whiteout has to go first: for that moment what is below shows. */
static long clear_place(struct spot *s)
{
	long r = cow_lock_place(s->c, s->w, NULL);

	if (r)
		return r;
	r = cow_settle_name(s->c, s->rel);
	if (!r && spot_is_white_yet(s)) {
		cow_change_begin(s->c, s->w, NULL);
		r = raw_syscall(__NR_unlinkat, AT_FDCWD, s->up, 0);
		cow_change_end(s->t, s->c, false);
	}
	cow_unlock(s->c);
	return r;
}

long cow_prepare(struct where *w)
{
	struct spot *s;
	long r = spot_look(w, &s);

	if (r)
		return r;
	r = spot_exists(s) ? -EADDRINUSE : w->trailing ? -ENOENT : spot_place(s);
	if (!r)
		r = clear_place(s);
	if (!r)
		memcpy(w->path, s->up, strlen(s->up) + 1);
	spot_done(s);
	return r;
}
