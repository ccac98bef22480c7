/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whiteouts that are put off: of names below that go, in a directory that may soon go itself.
 *
 * `rm -r` removes names one by one, then the directory, and with it all whiteouts that it has just made.  So a file that goes is only
 * noted, in memory that all processes of the session share (gone.h), and its whiteout is made when anybody does anything else to the
 * session than remove names.  Who looks, looks there before he looks in the tree.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "gone.h"
#include "path_walk.h"

#define UTIME_NOW	0x3fffffffl	/* as tv_nsec: utimensat(2) */
#define UTIME_OMIT	0x3ffffffel

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

/* The directory of a name that goes is changed by that. */
static void touch_parent(char *up)
{
	char *slash = strrchr(up, '/');
	const struct timespec64 ts[2] = { { 0, UTIME_OMIT }, { 0, UTIME_NOW } };

	*slash = 0;
	raw_syscall(__NR_utimensat, AT_FDCWD, up, ts, 0);
	*slash = '/';
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
	if (!gone_add(c->gone, rel))
		return -EAGAIN;
	touch_parent(up);
	return 0;
}

void cow_directory_went(const struct cow *c, const char *rel)
{
	if (c->gone && gone_any(c->gone))
		gone_drop(c->gone, rel);
}

void cow_gone_mend(const struct cow *c)
{
	if (c->gone)
		gone_mend(c->gone);
}

/* ---- they become whiteouts ------------------------------------------------------------------------------- */

/* The times of the directory in which that is done, which it changes. */
struct keeping {
	struct stat st;
	uint32_t dir;		/* the length of its path, or UINT32_MAX */
	char path[UM_PATH_MAX];
};

static void keep_end(struct keeping *k)
{
	const struct timespec64 ts[2] = {
		{ 0, UTIME_OMIT }, { (int64_t)k->st.st_mtime, (int64_t)k->st.st_mtime_nsec },
	};

	if (k->dir != UINT32_MAX)
		raw_syscall(__NR_utimensat, AT_FDCWD, k->path, ts, 0);
	k->dir = UINT32_MAX;
}

static void keep_begin(struct keeping *k, const char *up, uint32_t dir)
{
	if (k->dir == dir && !memcmp(k->path, up, dir))
		return;
	keep_end(k);
	memcpy(k->path, up, dir);
	k->path[dir] = 0;
	if (!cow_look(k->path, &k->st))
		k->dir = dir;
}

/* Nothing shows there any more: it has a whiteout already, or its directory has gone. */
static bool needs_none(long r)
{
	return r == -EEXIST || r == -ENOENT || r == -ENOTDIR;
}

static long settle(struct cow *c, struct keeping *k, char *rel, char *up)
{
	struct um_cow_gone *g = c->gone;
	uint32_t dir, at = (uint32_t)strlen(c->tree) + 1;
	long r, failed = 0;

	for (uint32_t i = g->n; i-- > 0; ) {		/* the last one: then all are gone at once */
		if (!gone_get(g, i, rel, &dir)) {
			gone_forget(g, i);
			continue;
		}
		r = cow_up_path(c, up, rel);
		if (!r) {
			keep_begin(k, up, dir ? at + dir : at - 1);
			r = cow_make_whiteout(c, up);
		}
		if (!r || needs_none(r) || r == -ENAMETOOLONG)
			gone_forget(g, i);
		else
			failed = r;
	}
	keep_end(k);
	return failed;
}

long cow_settle(struct cow *c, bool *any)
{
	struct keeping *k;
	long r;

	*any = c->gone && gone_any(c->gone);
	if (!*any)
		return 0;
	k = heap_alloc(sizeof *k + 2 * UM_PATH_MAX);
	if (!k)
		return -ENOMEM;
	k->dir = UINT32_MAX;
	r = settle(c, k, (char *)(k + 1), (char *)(k + 1) + UM_PATH_MAX);
	heap_free(k);
	return r;
}
