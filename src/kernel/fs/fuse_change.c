/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One change at a time in each directory: the places of an operation that changes names, and their locks.
 *
 * As in the kernel the path is walked up to its last name, then the directory is locked, and only then is the name
 * looked up: what was found stays true until the operation is over.  fuse_mutex.c tells the order of locks.
 */
#include <linux/stat.h>
#include "fuse_conn.h"

static void place_lock(struct fuse_job *j, struct fuse_place *p)
{
	fuse_mutex_lock(j, &p->dir->lock);
	p->locked = true;
}

void fuse_change_unlock(struct fuse_place *p)
{
	if (p->locked)
		fuse_mutex_unlock(&p->dir->lock);
	p->locked = false;
}

void fuse_change_end(struct fuse_job *j, struct fuse_place *p)
{
	fuse_change_unlock(p);
	fuse_place_put(j, p);
}

int fuse_change_begin(struct fuse_job *j, struct fuse_place *p, unsigned flags)
{
	int r = fuse_walk(j, p, flags | WALK_PARENT);

	if (r || !p->dir)
		return r;
	place_lock(j, p);
	r = fuse_walk_last(j, p, flags);
	if (r)
		fuse_change_end(j, p);
	return r;
}

/* ---- two places ---------------------------------------------------------------------------------------------- */

/*
 * There is one move between directories at a time (the kernel's s_vfs_rename_mutex): so what lies below what stays true,
 * and no two can put each of two directories below the other.
 */
static void lock_two(struct fuse_job *j, struct fuse_place *p)
{
	bool second_first;

	if (p[0].dir == p[1].dir) {
		place_lock(j, &p[0]);
		return;
	}
	fuse_mutex_lock(j, &j->c->moving);
	second_first = fuse_node_below(p[0].dir, p[1].dir);
	place_lock(j, &p[second_first]);
	place_lock(j, &p[!second_first]);
}

void fuse_change_end_two(struct fuse_job *j, struct fuse_place *p)
{
	bool both = p[0].locked && p[1].locked;

	fuse_change_end(j, &p[0]);
	fuse_change_end(j, &p[1]);
	if (both)
		fuse_mutex_unlock(&j->c->moving);
}

int fuse_change_begin_two(struct fuse_job *j, struct fuse_place *p, unsigned flags)
{
	unsigned second = flags | WALK_NAME | WALK_SECOND;
	int r = fuse_walk(j, &p[0], flags | WALK_PARENT), e = 0;

	if (r)
		return r;
	r = fuse_walk(j, &p[1], second | WALK_PARENT);
	if (r) {
		fuse_place_put(j, &p[0]);
		return r;
	}
	if (!p[0].dir || !p[1].dir)
		return 0;
	lock_two(j, p);
	r = fuse_walk_last(j, &p[0], flags);
	if (!r || r == -ENOTDIR)
		e = fuse_walk_last(j, &p[1], second);
	if (!r || e == -ENAMETOOLONG)	/* that the second name is too long comes before a slash behind the first, which is no directory's */
		r = e;
	if (r)
		fuse_change_end_two(j, p);
	return r;
}

/* ---- what is removed, moved or linked ---------------------------------------------------------------------------- */

struct fuse_subjects fuse_change_lock(struct fuse_job *j, struct fuse_node *a, struct fuse_node *b)
{
	struct fuse_subjects s = { { a, b == a ? NULL : b } };

	for (int i = 0; i < 2; i++)
		if (s.node[i])
			fuse_mutex_lock(j, &s.node[i]->lock);
	return s;
}

void fuse_subjects_unlock(const struct fuse_subjects *s)
{
	for (int i = 0; i < 2; i++)
		if (s->node[i])
			fuse_mutex_unlock(&s->node[i]->lock);
}

/* Those of a rename: directories first, and one that stays where it is not at all. */
struct fuse_subjects fuse_change_lock_moved(struct fuse_job *j, const struct fuse_place *from, const struct fuse_place *to,
					    bool exchange)
{
	struct fuse_node *a = from->node, *b = to->node;
	bool a_dir = fuse_node_is(a, S_IFDIR), b_dir = b && fuse_node_is(b, S_IFDIR), stays = from->dir == to->dir;

	if (a_dir)
		return fuse_change_lock(j, stays ? NULL : a, b_dir && stays && exchange ? NULL : b);
	if (b_dir)
		return fuse_change_lock(j, stays && exchange ? NULL : b, a);
	return b && b < a ? fuse_change_lock(j, b, a) : fuse_change_lock(j, a, b);
}
