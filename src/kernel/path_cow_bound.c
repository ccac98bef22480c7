/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slow way through a bind mount (or a merge mount) that shows a place in a copy-on-write mount.
 *
 * Such a place has three paths: `v`, by which the guest came; `there`, by which it is found in the copy-on-write mount itself; and
 * that of the kernel, in the tree or below, as path_cow.c finds it name by name.  What is below is never at v, so it is treated like
 * what a moved directory shows: k->low has its path.  What is mounted, or hidden, there is seen as of the time of the bind mount.
 */
#include "cow.h"
#include "merge.h"
#include "path_walk.h"

const char *walk_there(struct walk *k, size_t *len)
{
	const struct place *p = &k->place;
	size_t tail = k->len - p->cut;

	if (!p->cow_bound) {
		*len = k->len;
		return k->v;
	}
	memcpy(k->there + p->there_len, k->v + p->cut, tail);
	*len = p->there_len + tail;
	k->there[*len] = 0;
	return k->there;
}

void walk_leave_cow_bound(struct walk *k)
{
	struct place *p = &k->place;

	memcpy(k->back, k->there, p->there_len);
	k->back[p->there_len] = 0;
	p->back_len = p->there_len;
	k->back_hash.len = 0;
	p->cow = 0;
	p->cow_state = COW_NONE;
	p->cow_bound = p->cow_moved = p->cow_known = p->cow_unseen = p->cow_under = p->cow_min = false;
}

/* The place in the tree and what is below it get one more name of the path, which has just been added to `there`. */
static int settle_name(struct walk *k, const char *name, size_t n)
{
	struct place *p = &k->place;

	if (p->back_len + n >= sizeof(k->back) || p->low_len + n >= sizeof(k->low))
		return -ENAMETOOLONG;
	memcpy(k->back + p->back_len, name, n);
	p->back_len += n;
	k->back[p->back_len] = 0;
	memcpy(k->low + p->low_len, name, n);
	p->low_len += n;
	k->low[p->low_len] = 0;
	return walk_step_cow(k);
}

/* From the root of the copy-on-write mount m, which is at there[0 .. at), to the whole of `there`. */
static int settle_names(struct walk *k, size_t at, size_t end)
{
	struct place *p = &k->place;
	int r = 0;

	p->there_len = at;
	while (p->there_len < end && p->cow && !r) {
		size_t from = p->there_len, to = from + 1;
		char kept;

		while (to < end && k->there[to] != '/')
			to++;
		p->there_len = to;
		kept = k->there[to];
		r = settle_name(k, k->there + from, to - from);
		k->there[to] = kept;
	}
	if (p->cow)
		return r;
	memcpy(k->back, k->there, end);		/* of the kernel's own, and never copied */
	k->back[end] = 0;
	p->back_len = end;
	return r;
}

int walk_settle_cow(struct walk *k, const struct mount *m, size_t at)
{
	struct place *p = &k->place;
	size_t end = p->back_len;
	bool last = k->last;
	int r;

	if (m->flags & UM_MNT_OVER)
		return -EBUSY;
	memcpy(k->there, k->back, end);
	memcpy(k->low, k->back, at);
	k->there[end] = 0;
	r = view_bind_target(k->t, m->id, k->back, UM_PATH_MAX);
	if (r)
		return r;
	p->tree_len = p->back_len = strlen(k->back);
	p->low_len = at;
	p->low_cut = p->cut;
	p->cow = m->id;
	p->cow_rank = m->rank;
	p->cow_state = COW_MERGED;
	p->cow_bound = p->cow_moved = p->cow_known = p->cow_under = true;
	p->cow_pure = p->cow_unseen = false;
	p->cow_min = m->flags & UM_MNT_MIN;
	p->cow_cut = at;
	k->pure = k->anchored = k->last = false;
	if (!(process.watch & WATCH_IDENTITY))		/* fstat() has to show what copies are copies of */
		__atomic_fetch_or(&process.watch, WATCH_IDENTITY, __ATOMIC_ACQ_REL);
	r = settle_names(k, at, end);
	k->last = last;
	return r;
}

bool walk_bound_is_plain(struct walk *k)
{
	const struct place *p = &k->place;
	struct mount m;
	size_t len;
	const char *there = walk_there(k, &len);
	long error;
	const struct cow *c = cow_get(k->t, p->cow, &error);

	return c && !cow_knows_moves(c) && p->cow_state == COW_UPPER && !p->read_only && len && k->len &&
	       view_lookup(k->t, k->v, k->len, &m) == VIEW_PLAIN && view_lookup_at(p->epoch, there, len, &m) == VIEW_PLAIN &&
	       !view_has(UM_MOUNT_MERGE);
}

int walk_arrive_bound(struct walk *k, int hit)
{
	struct place *p = &k->place;
	uint32_t merged = p->nover;
	struct mount m;
	size_t len;
	const char *path = walk_there(k, &len);
	enum view_hit there = view_lookup_at(p->epoch, len ? path : "/", len ? len : 1, &m);
	int r = 0;

	if (there == VIEW_MOUNT && mount_merges(&m))
		r = walk_merged_behind(k, path, len, &m, &there);
	if (!r && there == VIEW_MOUNT && m.rank > p->cow_rank) {
		r = walk_enter_behind(k, &m);
		return r ? r : (int)VIEW_MOUNT;
	}
	if (!r)
		r = walk_step_cow(k);
	if (r)
		return r;
	if (there == VIEW_MOUNT && (!p->cow || p->cow_state == COW_LOWER)) {	/* older than the copy-on-write mount */
		r = walk_enter_behind(k, &m);
		return r ? r : (int)VIEW_MOUNT;
	}
	return p->nover != merged ? (int)VIEW_MOUNT : there == VIEW_PLAIN ? hit : (int)VIEW_ABOVE;
}
