/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cow_fs: names that are removed, and made for what has one already.
 *
 * What is removed leaves a whiteout if something of that name is below.
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
			struct linux_dirent64 *d = (struct linux_dirent64 *)(buf + at);

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

void spot_note(const struct spot *s)
{
	if (s->has_low)
		cow_note_origin(s->c, s->rel, &s->low_st);
}

/* ---- unlink, rmdir --------------------------------------------------------------------------------------- */

/* A name that is only below goes.  The lock is held. */
static long hide_below(struct spot *s)
{
	const struct cow_count n = cow_count_less(s->c, &s->low_st);
	long r = n.ino ? -EAGAIN : cow_hide_later(s->t, s->c, s->rel, s->up, &s->low_st);

	if (r != -EAGAIN)
		return r;
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

/* A name of the tree goes, and a whiteout comes if something is below.  The lock is held. */
static long remove_up(struct spot *s, int flags)
{
	const struct cow_count n = cow_count_forget(s->c, &s->up_st);
	long r = 0;
	int pin;

	if (S_ISDIR(s->up_st.st_mode) && cow_dir_flags(s->c, &s->up_st) & UM_VSF_REDIRECT)
		r = cow_seal(s->t, s->c, &s->up_st);
	if (r)
		return r;
	pin = cow_pin(s->c, s->up, &s->up_st);
	if (n.ino)
		cow_journal(s->c, s->has_low ? UM_COW_COUNTED : UM_COW_GONE, "", s->rel, s->has_low ? 0 : s->up_st.st_ino, &n);
	r = s->has_low ? white_over(s) : raw_syscall(__NR_unlinkat, AT_FDCWD, s->up, flags);
	if (r == -ENOTEMPTY && !s->has_low) {
		cow_clear_whiteouts(s->c, s->up);	/* of names that were below once */
		r = raw_syscall(__NR_unlinkat, AT_FDCWD, s->up, flags);
	}
	if (!r)
		spot_forget(s, &s->up_st, pin);
	if (n.ino)
		cow_journal_end(s->c);
	cow_unpin(pin);
	return r;
}

/* May what is there be part of a path? */
static bool leads_on(const struct stat *st)
{
	return S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode);
}

/* A directory that could not go has come back, and nothing that is below shows in it? */
static bool is_sealed(const struct spot *s)
{
	struct stat st;

	return !cow_look(s->up, &st) && S_ISDIR(st.st_mode) && cow_dir_flags(s->c, &st);
}

/* The lock is held. */
static long remove_locked(struct spot *s, int flags)
{
	long r;

	spot_note(s);
	cow_change_begin(s->c, s->w, NULL);
	r = s->has_up ? remove_up(s, flags) : hide_below(s);
	if (flags & AT_REMOVEDIR && (!r || is_sealed(s)))
		cow_directory_went(s->c, s->rel);
	cow_change_end(s->t, s->c, leads_on(spot_stat(s)));
	return r;
}

static long remove_name(struct spot *s, int flags)
{
	bool dir = S_ISDIR(spot_stat(s)->st_mode), forget;
	struct stat st;
	long r = 0;

	if (dir != !!(flags & AT_REMOVEDIR))
		return dir ? -EISDIR : -ENOTDIR;
	if (dir)
		r = cow_check_empty(s->t, s->c, s->rel, s->has_up ? &s->up_st : NULL, s->has_low);
	if (!r)
		r = spot_place(s);
	if (r)
		return r;
	spot_at(s, s->up);
	forget = s->has_up && ident_will_go(s->w, &st);
	r = cow_lock_place(s->c, s->w, NULL);
	if (r)
		return r;
	r = remove_locked(s, flags);
	cow_unlock(s->c);
	if (!r && forget)
		ident_gone(s->t, &st);
	return r;
}

/* A directory of the tree alone holds no whiteouts; what the table says of one does no harm to another. */
static long unlink_own(struct where *w, int flags)
{
	long error;
	struct cow *c = cow_get(w->t, w->cow, &error);
	struct stat st;
	long r = 0;
	int pin;

	if (!c)
		return error;
	if (flags & AT_REMOVEDIR || !__atomic_load_n(&c->state->ncopies, __ATOMIC_RELAXED))
		return real_fs.unlink(w, flags);
	r = cow_look(w->path, &st);
	if (r)
		return r;
	pin = cow_pin(c, w->path, &st);
	r = real_fs.unlink(w, flags);
	if (!r && cow_is_gone(pin, &st)) {
		if (pin >= 0)		/* else there was no record, and the number may be another's by now */
			vtable_remove(&c->inodes, w->t, st.st_dev, st.st_ino);
	} else if (!r && cow_knows_links(c)) {
		cow_lock(w->t, c);
		cow_index_drop(w->t, c, &st);
		cow_unlock(c);
	}
	cow_unpin(pin);
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

bool spot_is_white_yet(const struct spot *s)
{
	struct stat st;

	return !cow_look(s->up, &st) && cow_is_whiteout(AT_FDCWD, s->up, &st);
}

/* Puts a further name of the file at (dfd, path) in the place of a whiteout.  The lock is held. */
static long link_instead(int dfd, gaddr path, int flags, struct spot *to)
{
	char *work = heap_alloc(UM_PATH_MAX);
	long r = work ? cow_work_path(to->t, to->c, work) : -ENOMEM;

	if (!r)
		r = raw_syscall(__NR_linkat, dfd, path, AT_FDCWD, work, flags);
	if (!r) {
		spot_note(to);
		r = raw_syscall(__NR_renameat2, AT_FDCWD, work, AT_FDCWD, to->up, 0);
		if (r)
			raw_syscall(__NR_unlinkat, AT_FDCWD, work, 0);
	}
	heap_free(work);
	return r;
}

/* What held of the other place goes on holding. */
long spot_copy_one(struct spot *s, struct spot *other)
{
	const uint32_t before = s->w->changes;
	long r = cow_copy_up(s->w, s->c, s->rel, false);

	if (other->w->changes == before)
		other->w->changes = s->w->changes;
	return r;
}

long spot_place_one(struct spot *s, struct spot *other)
{
	const uint32_t before = s->w->changes;
	long r = spot_place(s);

	if (other->w->changes == before)
		other->w->changes = s->w->changes;
	return r;
}

static long link_spots(struct spot *from, struct spot *to)
{
	long r;

	if (S_ISDIR(spot_stat(from)->st_mode))
		return -EPERM;
	r = from->has_up ? 0 : spot_copy_one(from, to);
	if (!r)
		r = spot_place_one(to, from);
	if (!r)
		r = cow_lock_place(to->c, from->w, to->w);
	if (r)
		return r;
	r = cow_settle_name(to->c, to->rel);
	if (!r && spot_is_white_yet(to))
		r = link_instead(AT_FDCWD, (gaddr)from->up, 0, to);
	else if (!r)
		r = raw_syscall(__NR_linkat, AT_FDCWD, from->up, AT_FDCWD, to->up, 0);
	cow_unlock(to->c);
	return r;
}

long spot_look_both(struct where *a, struct where *b, struct spot **from, struct spot **to)
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
	if (!r)
		r = cow_lock_place(to->c, b, NULL);
	if (!r) {
		r = cow_settle_name(to->c, to->rel);
		if (!r && spot_is_white_yet(to))
			r = link_instead(a->dfd, a->upath, flags, to);
		else if (!r)
			r = raw_syscall(__NR_linkat, a->dfd, a->upath, AT_FDCWD, to->up, flags);
		cow_unlock(to->c);
	}
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
	r = spot_look_both(a, b, &from, &to);
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
