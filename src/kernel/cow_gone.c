/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whiteouts that are put off: of names below that go, in a directory that may soon go itself.
 *
 * `rm -r` removes names one by one, then the directory, and with it all whiteouts that it has just made.  So a file that goes is only
 * noted, in memory that all processes of the session share (gone.h), and its whiteout is made when the name is to come again, or a directory
 * to be moved.  Who looks, looks there before he looks in the tree: whoever makes a whiteout makes it before the note goes.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "gone.h"
#include "path_walk.h"

#define UTIME_NOW	0x3fffffffl	/* as tv_nsec: utimensat(2) */
#define UTIME_OMIT	0x3ffffffel
#define AT_EACCESS	0x200
#define W_OK		2
#define X_OK		1

bool cow_is_gone_name(struct task *t, const struct cow *c, const char *rel)
{
	int r = 0;

	if (!c->gone || !gone_any(c->gone))
		return false;
	for (unsigned tries = 0; (r = gone_has(c->gone, rel)) < 0; tries++) {
		raw_syscall(__NR_sched_yield);
		if (tries < 1000)
			continue;
		cow_lock(t, (struct cow *)c);		/* mends it, if who did that has been killed */
		cow_unlock((struct cow *)c);
	}
	return r;
}

bool cow_is_gone_path(struct task *t, const char *path)
{
	for (const struct cow *c = cow_first(t); c; c = cow_next(t, c)) {
		size_t n = strlen(c->tree);

		if (c->gone && gone_any(c->gone) && path_within(path, strlen(path), c->tree, n) && path[n])
			return cow_is_gone_name(t, c, path + n + 1);
	}
	return false;
}

void cow_watched(struct task *t)
{
	if (!view_has(UM_MOUNT_COW))
		return;
	cow_open_all(t);
	for (const struct cow *c = cow_first(t); c; c = cow_next(t, c))
		__atomic_store_n(&c->state->watched, 1, __ATOMIC_RELAXED);
}

/*
 * The directory of a name that goes: may it be changed, and is it now?  What is in the way the kernel says when a whiteout is made there.
 */
static bool change_parent(char *up)
{
	char *slash = strrchr(up, '/');
	const struct timespec64 ts[2] = { { 0, UTIME_OMIT }, { 0, UTIME_NOW } };
	long r;

	*slash = 0;
	r = raw_syscall(__NR_faccessat2, AT_FDCWD, up, W_OK | X_OK, AT_EACCESS);
	if (!r)
		r = raw_syscall(__NR_utimensat, AT_FDCWD, up, ts, 0);
	*slash = '/';
	return !r;
}

/* Moved directories have names by which nobody finds it again; and of what is virtual somebody else may know. */
static bool may_wait(const struct cow *c, const struct stat *low)
{
	return c->gone && !c->over && !__atomic_load_n(&c->state->watched, __ATOMIC_RELAXED) && !cow_knows_moves(c) && !S_ISDIR(low->st_mode) && !cow_has_names(low);
}

long cow_hide_later(struct task *t, const struct cow *c, const char *rel, char *up, const struct stat *low)
{
	struct stat st;
	int r;

	if (!may_wait(c, low))
		return -EAGAIN;
	if (cow_is_gone_name(t, c, rel))
		return -EEXIST;
	r = cow_look(up, &st);
	if (r != -ENOENT)
		return r ? r : -EEXIST;
	return change_parent(up) && gone_add(c->gone, rel) ? 0 : -EAGAIN;
}

void cow_directory_went(const struct cow *c, const char *rel)
{
	if (c->gone && gone_any(c->gone))
		gone_drop(c->gone, rel);
}

void cow_gone_mend(const struct cow *c, bool killed)
{
	if (c->gone && (killed || gone_is_torn(c->gone)))
		gone_mend(c->gone);
}

/* ---- they become whiteouts ------------------------------------------------------------------------------- */

/* Nothing shows there any more: it has a whiteout already, or its directory has gone. */
static bool needs_none(long r)
{
	return r == -EEXIST || r == -ENOENT || r == -ENOTDIR || r == -ENAMETOOLONG;
}

/* In a directory that nobody may write by now, too; its times are those of when the name went. */
static long make_in(struct cow *c, const char *up, const char *dir)
{
	struct stat st;
	long r = cow_look(dir, &st);
	const struct timespec64 ts[2] = { { 0, UTIME_OMIT }, { (int64_t)st.st_mtime, (int64_t)st.st_mtime_nsec } };

	if (r)
		return r;
	r = cow_make_whiteout(c, up);
	if (r == -EACCES && !raw_syscall(__NR_fchmodat, AT_FDCWD, dir, (st.st_mode & 07777) | 0300)) {
		r = cow_make_whiteout(c, up);
		raw_syscall(__NR_fchmodat, AT_FDCWD, dir, st.st_mode & 07777);
	}
	if (!r)
		raw_syscall(__NR_utimensat, AT_FDCWD, dir, ts, 0);
	return r;
}

/* Entry number i.  path: room for two. */
static long settle(struct cow *c, uint32_t i, char *path)
{
	char *up = path, *dir = path + UM_PATH_MAX;
	uint32_t len;
	long r = 0;

	if (gone_get(c->gone, i, dir, &len)) {
		r = cow_up_path(c, up, dir);
		dir[len] = 0;
		if (!r) {
			len = (uint32_t)(strrchr(up, '/') - up);
			memcpy(dir, up, len);
			dir[len] = 0;
			r = make_in(c, up, dir);
		}
	}
	if (r && !needs_none(r))
		return r;
	gone_forget(c->gone, i);
	return 0;
}

long cow_settle_name(struct cow *c, const char *rel)
{
	long i = c->gone && gone_any(c->gone) ? gone_find(c->gone, rel) : -1, r;
	char *path;

	if (i < 0)
		return 0;
	path = heap_alloc(2 * UM_PATH_MAX);
	r = path ? settle(c, (uint32_t)i, path) : -ENOMEM;
	heap_free(path);
	return r;
}

long cow_settle(struct cow *c)
{
	char *path;
	long r = 0;

	if (!c->gone || !gone_any(c->gone))
		return 0;
	path = heap_alloc(2 * UM_PATH_MAX);
	if (!path)
		return -ENOMEM;
	for (uint32_t i = gone_count(c->gone); i-- > 0 && !r; )
		r = settle(c, i, path);
	heap_free(path);
	return r;
}
