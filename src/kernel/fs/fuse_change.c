/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One change at a time in each directory.
 *
 * The kernel's VFS locks a directory while names in it are made, moved or removed, and servers rely on it: fuse2fs
 * goes read-only when mkdir and rmdir of one name meet.  So an operation that changes names finds its place
 * here; if the directory was changed while it waited for the lock, it looks again.  And there is only one move between
 * directories at a time (the kernel's s_vfs_rename_mutex): two together could put each of two directories below the other.
 */
#include "fuse_conn.h"

/* Finds the place of the operation (one or two), pinned. */
typedef int (*finder)(struct fuse_job *j, struct fuse_place *p, unsigned flags);

static int find_one(struct fuse_job *j, struct fuse_place *p, unsigned flags)
{
	return fuse_walk(j, p, flags);
}

static int find_two(struct fuse_job *j, struct fuse_place *p, unsigned flags)
{
	int r = fuse_walk(j, &p[0], flags);

	if (r)
		return r;
	r = fuse_walk(j, &p[1], flags | WALK_NAME | WALK_SECOND);
	if (r)
		fuse_place_put(j, &p[0]);
	return r;
}

/* The directories of a change, in the order in which they are locked; the second may be NULL. */
struct dirs { struct fuse_node *d[2]; };

static struct dirs dirs_of(const struct fuse_place *p, int n)
{
	struct dirs s = { { p[0].dir, n > 1 ? p[1].dir : NULL } };

	if (s.d[0] == s.d[1])
		s.d[1] = NULL;
	if (s.d[1] && s.d[1] < s.d[0])
		s = (struct dirs) { { s.d[1], s.d[0] } };
	return s;
}

static void dirs_lock(struct fuse_job *j, struct dirs s)
{
	if (s.d[1])
		fuse_mutex_lock(j, &j->c->moving);
	for (int i = 0; i < 2 && s.d[i]; i++) {
		fuse_node_pin(s.d[i]);
		fuse_mutex_lock(j, &s.d[i]->lock);
	}
}

static void dirs_unpin(struct fuse_job *j, struct dirs s)
{
	for (int i = 0; i < 2 && s.d[i]; i++)
		fuse_node_unpin(j->c, s.d[i]);
}

static void dirs_unlock(struct fuse_job *j, struct dirs s)
{
	for (int i = 0; i < 2 && s.d[i]; i++)
		fuse_mutex_unlock(j, &s.d[i]->lock);
	if (s.d[1])
		fuse_mutex_unlock(j, &j->c->moving);
}

static bool dirs_changed(struct dirs s, uint64_t since)
{
	return s.d[0]->changed > since || (s.d[1] && s.d[1]->changed > since);
}

static bool dirs_same(struct dirs s, struct dirs o)
{
	return s.d[0] == o.d[0] && s.d[1] == o.d[1];
}

static void places_put(struct fuse_job *j, struct fuse_place *p, int n)
{
	while (n--)
		fuse_place_put(j, &p[n]);
}

static int begin(struct fuse_job *j, struct fuse_place *p, int n, unsigned flags)
{
	finder find = n > 1 ? find_two : find_one;

	for (;;) {
		uint64_t since = j->c->version;
		int r = find(j, p, flags);
		if (r || !p[0].dir || !p[n - 1].dir)
			return r;
		struct dirs s = dirs_of(p, n);
		dirs_lock(j, s);
		bool good = !dirs_changed(s, since);
		if (!good) {
			places_put(j, p, n);
			r = find(j, p, flags);
			good = !r && dirs_same(s, dirs_of(p, n));
		}
		if (!good)
			dirs_unlock(j, s);
		dirs_unpin(j, s);
		if (good || r)
			return r;
		places_put(j, p, n);
	}
}

static void end(struct fuse_job *j, struct fuse_place *p, int n)
{
	if (p[0].dir && p[n - 1].dir)
		dirs_unlock(j, dirs_of(p, n));
	places_put(j, p, n);
}

int fuse_change_begin(struct fuse_job *j, struct fuse_place *p, unsigned flags) { return begin(j, p, 1, flags); }
void fuse_change_end(struct fuse_job *j, struct fuse_place *p) { end(j, p, 1); }

void fuse_change_unlock(struct fuse_job *j, struct fuse_place *p)
{
	if (p->dir)
		dirs_unlock(j, dirs_of(p, 1));
}

int fuse_change_begin_two(struct fuse_job *j, struct fuse_place *p, unsigned flags) { return begin(j, p, 2, flags); }
void fuse_change_end_two(struct fuse_job *j, struct fuse_place *p) { end(j, p, 2); }
