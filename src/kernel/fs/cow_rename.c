/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cow_fs: names that are moved.
 *
 * What is moved leaves a whiteout if something of that name is below.  A directory that shows what is below it is redirected
 * before it is moved: nothing in it is copied.  Not so where what is below is virtual: that is no path of the kernel's, and programs
 * get EXDEV, on which they copy.
 */
#include "cow.h"
#include "ident.h"
#include "real.h"
#include <linux/fs.h>

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
	long r = 0;

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
			r = cow_check_empty(to->t, to->c, to->rel, to->has_up ? &to->up_st : NULL, to->has_low);
	}
	if (!r && from->c->over && (is_merged(from) || (flags & RENAME_EXCHANGE && is_merged(to))))
		r = -EXDEV;
	return r;
}

/* Moves it and leaves a whiteout behind.  n: what is counted then. */
static long move_leaving_white(struct spot *from, struct spot *to, unsigned flags, const struct cow_count *n)
{
	long r = from->c->state->links ? -EINVAL :
		 raw_syscall(__NR_renameat2, AT_FDCWD, from->up, AT_FDCWD, to->up, flags | RENAME_WHITEOUT);

	if (r != -EINVAL && r != -EPERM && r != -ENOSYS)
		return r;
	cow_journal(from->c, UM_COW_MOVED, from->rel, to->rel, from->up_st.st_ino, n);
	r = raw_syscall(__NR_renameat2, AT_FDCWD, from->up, AT_FDCWD, to->up, flags);
	if (!r)
		r = cow_make_whiteout(from->c, from->up);
	return r;
}

static long move_by(struct spot *from, struct spot *to, unsigned flags, const struct cow_count *n)
{
	if (from->has_low)
		return move_leaving_white(from, to, flags, n);
	return raw_syscall(__NR_renameat2, AT_FDCWD, from->up, AT_FDCWD, to->up, flags);
}

/*
 * No directory, or one that replaces no whiteout.  Where the tree had nothing there must be nothing: what has come meanwhile is to be
 * looked at.
 */
static long move_over(struct spot *from, struct spot *to)
{
	bool none = !to->has_up && !to->white;
	struct cow_count n = { 0 };
	struct stat st;
	long r = -EINVAL;

	if (to->has_low && none)
		n = cow_count_less(to->c, &to->low_st);
	else if (to->has_up)
		n = cow_count_forget(to->c, &to->up_st);
	if (n.ino)
		cow_journal(from->c, UM_COW_COUNTED, from->rel, to->rel, from->up_st.st_ino, &n);
	if (none)
		r = move_by(from, to, RENAME_NOREPLACE, &n);
	if (r == -EINVAL)
		r = none && !cow_look(to->up, &st) ? -EEXIST : move_by(from, to, 0, &n);
	if (!r && n.to != UM_COW_FORGET)
		cow_count_set(from->t, from->c, &n);
	return r == -EEXIST && none ? -UM_ERETRY : r;
}

/* A directory cannot be renamed over a whiteout: they change places. */
static long move_over_white(struct spot *from, struct spot *to)
{
	long r = raw_syscall(__NR_renameat2, AT_FDCWD, from->up, AT_FDCWD, to->up, RENAME_EXCHANGE);

	if (!r && !from->has_low)
		raw_syscall(__NR_unlinkat, AT_FDCWD, from->up, 0);
	return r;
}

/* What was found holds; but a whiteout may have been replaced. */
static long move_locked(struct spot *from, struct spot *to)
{
	bool dir = S_ISDIR(from->up_st.st_mode);

	if (to->white && !spot_is_white_yet(to))
		return -UM_ERETRY;
	if (dir && to->has_up) {
		long r = cow_seal(to->t, to->c, &to->up_st);

		if (r)
			return r;
		cow_clear_whiteouts(to->c, to->up);
	}
	return dir && to->white ? move_over_white(from, to) : move_over(from, to);
}

/* It goes on showing what it shows, wherever it comes to be.  merged: as is_merged() said.  The lock is held. */
static long ready_for_move(struct spot *s, bool merged)
{
	long r = cow_look(s->up, &s->up_st);

	s->has_up = !r;
	if (!r && merged)
		r = cow_redirect(s->t, s->c, s->rel, &s->up_st);
	if (!r && S_ISDIR(s->up_st.st_mode) && !cow_dir_flags(s->c, &s->up_st))
		r = cow_set_opaque(s->t, s->c, s->up, false);	/* other things may lie below where it comes to be */
	return r;
}

static long exchange_locked(struct spot *a, struct spot *b, bool a_merged, bool b_merged)
{
	long r = ready_for_move(a, a_merged);

	if (!r)
		r = ready_for_move(b, b_merged);
	if (r)
		return r;
	spot_note(a);
	spot_note(b);
	return raw_syscall(__NR_renameat2, AT_FDCWD, a->up, AT_FDCWD, b->up, RENAME_EXCHANGE);
}

/* Whiteouts that are put off: those of the names, or, where a directory goes, of all that may be in it.  The lock is held. */
static long settle(struct spot *from, struct spot *to)
{
	bool dir = S_ISDIR(spot_stat(from)->st_mode) || (spot_exists(to) && S_ISDIR(spot_stat(to)->st_mode));
	long r;

	if (dir) {
		cow_change_begin(from->c, from->w, to->w);	/* nobody looks at the directories meanwhile, whose times change */
		r = cow_settle(from->c);
		cow_change_end(from->t, from->c, false);
		return r;
	}
	r = cow_settle_name(from->c, from->rel);
	return r ? r : cow_settle_name(to->c, to->rel);
}

static long exchange_spots(struct spot *a, struct spot *b)
{
	bool a_merged = is_merged(a), b_merged = is_merged(b);
	long r = a->has_up ? 0 : spot_copy_one(a, b);

	if (!r && !b->has_up)
		r = spot_copy_one(b, a);
	if (!r)
		r = cow_lock_place(a->c, a->w, b->w);
	if (r)
		return r;
	r = settle(a, b);
	if (!r) {
		cow_change_begin(a->c, a->w, b->w);
		r = exchange_locked(a, b, a_merged, b_merged);
		cow_change_end(a->t, a->c, true);
	}
	cow_unlock(a->c);
	return r;
}

/* Two names of one file: nothing happens.  Those of a file that has a copy are in the tree. */
static bool is_same(const struct spot *a, const struct spot *b)
{
	const struct stat *x = spot_stat(a), *y = spot_stat(b);

	return spot_exists(b) && a->has_up == b->has_up && x->st_ino == y->st_ino && x->st_dev == y->st_dev;
}

/* The lock is held. */
static long rename_locked(struct spot *from, struct spot *to, bool merged)
{
	long r = ready_for_move(from, merged);
	int pin;

	if (r)
		return r;
	spot_note(to);
	pin = to->has_up ? cow_pin(to->c, to->up, &to->up_st) : -1;
	cow_change_begin(from->c, from->w, to->w);
	r = move_locked(from, to);
	if (!r && to->has_up)
		spot_forget(to, &to->up_st, pin);
	cow_journal_end(from->c);
	cow_change_end(from->t, from->c, S_ISDIR(from->up_st.st_mode) || S_ISLNK(from->up_st.st_mode));
	cow_unpin(pin);
	return r;
}

static long rename_spots(struct spot *from, struct spot *to, unsigned flags)
{
	bool same = !strcmp(from->rel, to->rel) || is_same(from, to), merged = is_merged(from), forget;
	long r = same && !(flags & RENAME_NOREPLACE) ? 0 : rename_verdict(from, to, flags);
	struct stat st;

	if (r || same)
		return r;
	if (flags & RENAME_EXCHANGE)
		return exchange_spots(from, to);
	r = from->has_up ? 0 : spot_copy_one(from, to);
	if (!r)
		r = spot_place_one(to, from);
	if (r)
		return r;
	spot_at(to, to->up);
	forget = to->has_up && ident_will_go(to->w, &st);
	r = cow_lock_place(from->c, from->w, to->w);
	if (r)
		return r;
	r = settle(from, to);
	if (!r)
		r = rename_locked(from, to, merged);
	cow_unlock(from->c);
	if (!r && forget)
		ident_gone(to->t, &st);
	return r;
}

/* Nothing but the kernel's call; but in a directory that moves there may be some that show what is below. */
static long rename_own(struct where *a, struct where *b, unsigned flags)
{
	long r = 0;
	struct cow *c = cow_get(a->t, a->cow, &r);

	if (!c || !cow_knows_moves(c))
		return c ? real_fs.rename(a, b, flags) : r;
	r = cow_lock_place(c, a, b);
	if (r)
		return r;
	cow_change_begin(c, a, b);
	r = real_fs.rename(a, b, flags);
	cow_change_end(a->t, c, true);
	cow_unlock(c);
	return r;
}

/* Are there copies, of which the table knows something that a rename could make it have to forget? */
static bool cow_has_copies(const struct where *w)
{
	long error;
	struct cow *c = cow_get(w->t, w->cow, &error);

	return !c || __atomic_load_n(&c->state->ncopies, __ATOMIC_RELAXED);
}

/* There is nothing to rename, but the kernel looks for both directories before it finds that. */
static long no_place_first(struct where *b, long r)
{
	struct spot *to;
	long e = r == -ENOENT && !b->trailing ? spot_look(b, &to) : r;		/* "name/": that is about the name */

	if (e)
		return e;
	spot_done(to);
	return r;
}

long cow_rename(struct where *a, struct where *b, unsigned flags)
{
	struct spot *from, *to;
	long r;

	if (flags & RENAME_WHITEOUT)
		return -EINVAL;
	if (place_is_own(a) && place_is_own(b) && !a->trailing && !b->trailing && !cow_has_copies(a))
		return rename_own(a, b, flags);
	r = spot_look_both(a, b, &from, &to);
	if (r)
		return no_place_first(b, r);
	if (b->trailing && !S_ISDIR(spot_stat(from)->st_mode))
		r = -ENOTDIR;
	else
		r = rename_spots(from, to, flags);
	spot_done(from);
	spot_done(to);
	return r;
}
