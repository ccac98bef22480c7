/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cow_fs: names that are removed, moved, and made for what has one already.
 *
 * What is removed leaves a whiteout if something of that name is below.  A directory that shows what is below it is redirected
 * before it is moved: nothing in it is copied.
 */
#include "cow.h"
#include "ident.h"
#include "real.h"
#include <linux/fs.h>

#define DIRENTS		(16u << 10)

/* ---- whiteouts ------------------------------------------------------------------------------------------- */

void cow_clear_whiteouts(const struct cow *c, const char *dir)
{
	struct stat st;
	long n, fd;
	char *buf;

	if (!cow_look(dir, &st) && (st.st_mode & 0700) != 0700)
		raw_syscall(__NR_fchmodat, AT_FDCWD, dir, 0700);
	fd = raw_syscall(__NR_openat, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	buf = fd < 0 ? NULL : heap_alloc(DIRENTS);
	while (buf && (n = raw_syscall(__NR_getdents64, fd, buf, DIRENTS)) > 0)
		for (long at = 0; at < n; at += ((struct linux_dirent64 *)(buf + at))->d_reclen) {
			const struct linux_dirent64 *d = (const struct linux_dirent64 *)(buf + at);

			if (cow_entry_is_whiteout(c, (int)fd, d))
				raw_syscall(__NR_unlinkat, fd, d->d_name, 0);
		}
	heap_free(buf);
	if (fd >= 0)
		raw_syscall(__NR_close, fd);
}

/* A whiteout has been put in the place of s, which is at work now, and shall go.  Another process may have made a name in
 * it meanwhile, or have put something else there: then it comes back, sealed, for its whiteouts have gone. */
static long end_directory(struct spot *s, const char *work)
{
	struct stat st;
	long r, e = cow_look(work, &st);

	cow_clear_whiteouts(s->c, work);
	r = raw_syscall(__NR_unlinkat, AT_FDCWD, work, AT_REMOVEDIR);
	if (!r)
		return 0;
	if (!e && cow_is_whiteout(AT_FDCWD, work, &st))
		r = -ENOENT;
	else if (!e && S_ISDIR(st.st_mode))
		e = cow_seal(s->t, s->c, &st);
	if (!e)
		e = cow_put(work, s->up, RENAME_EXCHANGE);
	if (!e && S_ISDIR(st.st_mode))
		raw_syscall(__NR_fchmodat, AT_FDCWD, s->up, st.st_mode & 07777);
	if (!e)
		raw_syscall(__NR_unlinkat, AT_FDCWD, work, 0);
	return e ? e : r;
}

/* A whiteout takes the place of what is in the tree.  The lock is held. */
static long white_over(struct spot *s)
{
	bool dir = S_ISDIR(s->up_st.st_mode);
	char *work = heap_alloc(UM_PATH_MAX);
	long r = work ? cow_work_path(s->t, s->c, work) : -ENOMEM;

	if (!r)
		r = cow_make_whiteout(s->c, work);
	if (!r) {
		r = cow_put(work, s->up, dir ? RENAME_EXCHANGE : 0);
		if (r)
			raw_syscall(__NR_unlinkat, AT_FDCWD, work, 0);
		else if (dir)
			r = end_directory(s, work);
		else if (!raw_syscall(__NR_unlinkat, AT_FDCWD, work, 0))
			r = -ENOENT;	/* two names of one file stay: there was a whiteout already */
	}
	heap_free(work);
	return r;
}

/* What is below is going to be hidden by something else, or by nothing. */
static void note_place(const struct spot *s)
{
	if (s->has_low)
		cow_note_origin(s->c, s->rel, &s->low_st);
}

/* ---- unlink, rmdir --------------------------------------------------------------------------------------- */

/* A name that is only below goes.  The lock is held. */
static long hide_below(struct spot *s)
{
	const struct cow_count n = cow_count_less(s->c, &s->low_st);
	long r;

	if (n.ino)
		cow_journal(s->c, UM_COW_COUNTED, "", s->rel, 0, &n);
	r = cow_make_whiteout(s->c, s->up);
	if (!n.ino)
		return r;
	if (!r)
		cow_count_set(s->t, s->c, &n);
	cow_journal_end(s->c);
	return r;
}

static long remove_locked(struct spot *s, int flags)
{
	long r = 0;

	spot_look_below(s);
	if (s->has_up && S_ISDIR(s->up_st.st_mode) && cow_dir_flags(s->c, &s->up_st) & UM_VSF_REDIRECT)
		r = cow_seal(s->t, s->c, &s->up_st);
	if (r)
		return r;
	if (s->has_up && s->has_low)
		return white_over(s);
	if (!s->has_up)
		return hide_below(s);
	r = raw_syscall(__NR_unlinkat, AT_FDCWD, s->up, flags);
	if (r != -ENOTEMPTY)
		return r;
	cow_clear_whiteouts(s->c, s->up);	/* of names that were below once */
	return raw_syscall(__NR_unlinkat, AT_FDCWD, s->up, flags);
}

static long remove_name(struct spot *s, int flags)
{
	bool dir = S_ISDIR(spot_stat(s)->st_mode), forget;
	struct stat st;
	long r = 0;

	if (dir != !!(flags & AT_REMOVEDIR))
		return dir ? -EISDIR : -ENOTDIR;
	if (dir)
		r = cow_check_empty(s->c, s->rel, s->has_up ? &s->up_st : NULL, s->has_low);
	if (!r)
		r = spot_place(s);
	if (r)
		return r;
	spot_at(s, s->up);
	forget = s->has_up && ident_will_go(s->w, &st);
	note_place(s);
	cow_lock(s->t, s->c);
	r = remove_locked(s, flags);
	if (!r && s->has_up)
		spot_forget(s, &s->up_st);
	cow_unlock(s->c);
	if (!r && forget)
		ident_gone(s->t, &st);
	if (!r && (dir || S_ISLNK(spot_stat(s)->st_mode)))
		view_links_changed(s->t);
	return r;
}

/* A directory of the tree alone holds no whiteouts; what the table says of one does no harm to another. */
static long unlink_own(struct where *w, int flags)
{
	long error;
	struct cow *c = cow_get(w->t, w->cow, &error);
	struct stat st;
	long r = 0;

	if (!c)
		return error;
	if (!(flags & AT_REMOVEDIR) && __atomic_load_n(&c->state->ncopies, __ATOMIC_RELAXED))
		r = cow_look(w->path, &st);
	if (r)
		return r;
	r = real_fs.unlink(w, flags);
	if (r || flags & AT_REMOVEDIR || !c->state->ncopies)
		return r;
	if (st.st_nlink <= 1) {
		vtable_remove(&c->inodes, w->t, st.st_dev, st.st_ino);
	} else if (cow_knows_links(c)) {
		cow_lock(w->t, c);
		cow_index_drop(w->t, c, &st);
		cow_unlock(c);
	}
	return r;
}

long cow_unlink(struct where *w, int flags)
{
	struct spot *s;
	long r;

	if (place_is_own(w) && !w->trailing)
		return unlink_own(w, flags);
	r = spot_look(w, &s);
	if (r)
		return r;
	if (!s->seen && flags & AT_REMOVEDIR)
		r = spot_look_again(s);
	if (!r)
		r = spot_exists(s) ? remove_name(s, flags) : -ENOENT;
	if (r == -EEXIST && !s->has_up && !spot_look_again(s))
		r = spot_exists(s) ? remove_name(s, flags) : -ENOENT;
	spot_done(s);
	return r;
}

/* ---- link ------------------------------------------------------------------------------------------------ */

/* Is the whiteout that was there still there?  The lock is held, so what is found stays. */
static bool is_white_yet(const struct spot *s)
{
	struct stat st;

	return !cow_look(s->up, &st) && cow_is_whiteout(AT_FDCWD, s->up, &st);
}

/* Puts a further name of `from` in the place of a whiteout.  The lock is held. */
static long link_instead(struct spot *from, struct spot *to)
{
	char *work = heap_alloc(UM_PATH_MAX);
	long r = work ? cow_work_path(to->t, to->c, work) : -ENOMEM;

	if (!r)
		r = raw_syscall(__NR_linkat, AT_FDCWD, from->up, AT_FDCWD, work, 0);
	if (!r) {
		note_place(to);
		r = raw_syscall(__NR_renameat2, AT_FDCWD, work, AT_FDCWD, to->up, 0);
		if (r)
			raw_syscall(__NR_unlinkat, AT_FDCWD, work, 0);
	}
	heap_free(work);
	return r;
}

static long link_spots(struct spot *from, struct spot *to)
{
	long r;

	if (S_ISDIR(spot_stat(from)->st_mode))
		return -EPERM;
	r = from->has_up ? 0 : cow_copy_up(from->t, from->c, from->rel, false);
	if (!r)
		r = spot_place(to);
	if (r)
		return r;
	if (!to->white && !cow_knows_links(to->c))
		return raw_syscall(__NR_linkat, AT_FDCWD, from->up, AT_FDCWD, to->up, 0);
	cow_lock(to->t, to->c);
	if (to->white && is_white_yet(to))
		r = link_instead(from, to);
	else
		r = raw_syscall(__NR_linkat, AT_FDCWD, from->up, AT_FDCWD, to->up, 0);
	cow_unlock(to->c);
	return r;
}

/* The two places of a call.  0, or -errno and nothing to free. */
static long look_both(struct where *a, struct where *b, struct spot **from, struct spot **to)
{
	long r = spot_look(a, from);

	if (r)
		return r;
	r = spot_exists(*from) ? spot_look(b, to) : -ENOENT;
	if (r)
		spot_done(*from);
	return r;
}

/* A file without a name, by a descriptor, gets its first. */
static long link_nameless(struct where *a, struct where *b, int flags)
{
	struct spot *to;
	long r = spot_look(b, &to);

	if (r)
		return r;
	r = spot_exists(to) ? -EEXIST : spot_place(to);
	cow_lock(to->t, to->c);
	if (!r && to->white && is_white_yet(to))
		r = raw_syscall(__NR_unlinkat, AT_FDCWD, to->up, 0);
	if (!r)
		r = raw_syscall(__NR_linkat, a->dfd, a->upath, AT_FDCWD, to->up, flags);
	cow_unlock(to->c);
	spot_done(to);
	return r;
}

long cow_link(struct where *a, struct where *b, int flags)
{
	const bool slash = b->trailing;
	struct spot *from, *to;
	long r;

	if (!a->cow)
		return link_nameless(a, b, flags);
	if (place_is_own(a) && place_is_own(b) && !a->trailing && !b->trailing)
		return real_fs.link(a, b, flags);
	b->trailing = false;		/* what is there is there, whatever it is */
	r = look_both(a, b, &from, &to);
	if (r)
		return r;
	if (spot_exists(to))
		r = -EEXIST;
	else
		r = slash ? -ENOENT : link_spots(from, to);
	if (!r && S_ISLNK(spot_stat(from)->st_mode))
		view_links_changed(a->t);
	spot_done(from);
	spot_done(to);
	return r;
}

/* ---- rename ---------------------------------------------------------------------------------------------- */

/* Is it a directory that shows the one below its own name (or that itself)? */
static bool is_merged(const struct spot *s)
{
	if (!s->has_up)
		return S_ISDIR(s->low_st.st_mode);
	return S_ISDIR(s->up_st.st_mode) && s->has_low && S_ISDIR(s->low_st.st_mode) &&
	       !cow_dir_flags(s->c, &s->up_st);
}

static bool lies_in(const struct spot *s, const struct spot *dir)
{
	size_t n = strlen(dir->rel);

	return !strncmp(s->rel, dir->rel, n) && s->rel[n] == '/';
}

/* What the kernel would say, had it both of them. */
static long rename_verdict(const struct spot *from, const struct spot *to, unsigned flags)
{
	bool dir = S_ISDIR(spot_stat(from)->st_mode), exists = spot_exists(to);

	if (flags & RENAME_NOREPLACE && exists)
		return -EEXIST;
	if (flags & RENAME_EXCHANGE && !exists)
		return -ENOENT;
	if (dir && lies_in(to, from))
		return -EINVAL;
	if (lies_in(from, to))
		return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if (exists && !(flags & RENAME_EXCHANGE)) {
		bool dir_there = S_ISDIR(spot_stat(to)->st_mode);

		if (dir != dir_there)
			return dir ? -ENOTDIR : -EISDIR;
		if (dir)
			return cow_check_empty(to->c, to->rel, to->has_up ? &to->up_st : NULL, to->has_low);
	}
	return 0;
}

/* Moves it and leaves a whiteout behind.  n: what is counted then. */
static long move_leaving_white(struct spot *from, struct spot *to, const struct cow_count *n)
{
	long r = from->c->state->links ? -EINVAL :
		 raw_syscall(__NR_renameat2, AT_FDCWD, from->up, AT_FDCWD, to->up, RENAME_WHITEOUT);

	if (r != -EINVAL && r != -EPERM && r != -ENOSYS)
		return r;
	cow_journal(from->c, UM_COW_MOVED, from->rel, to->rel, from->up_st.st_ino, n);
	r = raw_syscall(__NR_renameat2, AT_FDCWD, from->up, AT_FDCWD, to->up, 0);
	if (!r)
		r = cow_make_whiteout(from->c, from->up);
	return r;
}

/* No directory, or one that replaces no whiteout. */
static long move_over(struct spot *from, struct spot *to)
{
	struct cow_count n = { 0 };
	long r;

	if (to->has_low && !to->has_up && !to->white)
		n = cow_count_less(to->c, &to->low_st);
	if (n.ino)
		cow_journal(from->c, UM_COW_COUNTED, from->rel, to->rel, from->up_st.st_ino, &n);
	if (from->has_low)
		r = move_leaving_white(from, to, &n);
	else
		r = raw_syscall(__NR_renameat2, AT_FDCWD, from->up, AT_FDCWD, to->up, 0);
	if (!r)
		cow_count_set(from->t, from->c, &n);
	cow_journal_end(from->c);
	return r;
}

/* A directory cannot be renamed over a whiteout: they change places. */
static long move_over_white(struct spot *from, struct spot *to)
{
	long r = raw_syscall(__NR_renameat2, AT_FDCWD, from->up, AT_FDCWD, to->up, RENAME_EXCHANGE);

	if (!r && !from->has_low)
		raw_syscall(__NR_unlinkat, AT_FDCWD, from->up, 0);
	return r;
}

static long move_locked(struct spot *from, struct spot *to)
{
	bool dir = S_ISDIR(from->up_st.st_mode);

	spot_look_below(from);
	if (dir && to->has_up) {
		long r = cow_seal(to->t, to->c, &to->up_st);

		if (r)
			return r;
		cow_clear_whiteouts(to->c, to->up);
	}
	if (dir && to->white && is_white_yet(to))
		return move_over_white(from, to);
	return move_over(from, to);
}

static long copy_for_move(struct spot *s)
{
	bool merged = is_merged(s);
	long r = s->has_up ? 0 : cow_copy_up(s->t, s->c, s->rel, false);

	if (!r)
		r = cow_look(s->up, &s->up_st);
	s->has_up = !r;
	if (!r && merged)
		r = cow_redirect(s->t, s->c, s->rel, &s->up_st);
	if (!r && S_ISDIR(s->up_st.st_mode) && !cow_dir_flags(s->c, &s->up_st))
		r = cow_set_opaque(s->t, s->c, s->up);	/* other things may lie below where it comes to be */
	return r;
}

static long exchange_spots(struct spot *a, struct spot *b)
{
	long r = copy_for_move(a);

	if (!r)
		r = copy_for_move(b);
	if (r)
		return r;
	note_place(a);
	note_place(b);
	return raw_syscall(__NR_renameat2, AT_FDCWD, a->up, AT_FDCWD, b->up, RENAME_EXCHANGE);
}

/* Two names of one file: nothing happens.  Those of a file that has a copy are in the tree. */
static bool is_same(const struct spot *a, const struct spot *b)
{
	const struct stat *x = spot_stat(a), *y = spot_stat(b);

	return spot_exists(b) && a->has_up == b->has_up && x->st_ino == y->st_ino && x->st_dev == y->st_dev;
}

static long rename_spots(struct spot *from, struct spot *to, unsigned flags)
{
	bool same = !strcmp(from->rel, to->rel) || is_same(from, to), forget;
	long r = same && !(flags & RENAME_NOREPLACE) ? 0 : rename_verdict(from, to, flags);
	struct stat st;

	if (r || same)
		return r;
	if (flags & RENAME_EXCHANGE)
		return exchange_spots(from, to);
	r = copy_for_move(from);
	if (!r)
		r = spot_place(to);
	if (r)
		return r;
	note_place(to);
	spot_at(to, to->up);
	forget = to->has_up && ident_will_go(to->w, &st);
	cow_lock(from->t, from->c);
	r = move_locked(from, to);
	if (!r && to->has_up)
		spot_forget(to, &to->up_st);
	cow_unlock(from->c);
	if (!r && forget)
		ident_gone(to->t, &st);
	return r;
}

/* Are there copies, of which the table knows something that a rename could make it have to forget? */
static bool cow_has_copies(const struct where *w)
{
	long error;
	struct cow *c = cow_get(w->t, w->cow, &error);

	return !c || __atomic_load_n(&c->state->ncopies, __ATOMIC_RELAXED);
}

long cow_rename(struct where *a, struct where *b, unsigned flags)
{
	struct spot *from, *to;
	long r;

	if (flags & RENAME_WHITEOUT)
		return -EINVAL;
	if (place_is_own(a) && place_is_own(b) && !a->trailing && !b->trailing && !cow_has_copies(a))
		return real_fs.rename(a, b, flags);
	r = look_both(a, b, &from, &to);
	if (r)
		return r;
	if (b->trailing && !S_ISDIR(spot_stat(from)->st_mode))
		r = -ENOTDIR;
	else
		r = rename_spots(from, to, flags);
	if (!r && (S_ISDIR(from->up_st.st_mode) || S_ISLNK(from->up_st.st_mode) || flags & RENAME_EXCHANGE))
		view_links_changed(a->t);
	spot_done(from);
	spot_done(to);
	return r;
}
