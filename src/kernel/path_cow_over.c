/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slow way in copy-on-write mounts over something virtual: a mounted image, a bind mount, another copy-on-write mount.
 *
 * What the tree has not is below, and there somebody else answers than the kernel by the view's own path.  Who that is the walk
 * finds out as for any path: it begins once more at the root, and up to the place where the copy-on-write mount is only mounts of a lower
 * rank count (walk.under).  It goes on from there as that mount's walk, and remembers in place.top whose session gets
 * what is changed.  Several such mounts may lie above each other: then the topmost is meant, and those below it are each looked
 * through in the same way.
 *
 * Links below are followed in the view.  A server only says where one lies when it is asked, so before a change it is (walk_settle_top):
 * the path of a change is that of its place in the tree.
 */
#include "cow.h"
#include "path_walk.h"

const struct under *walk_under(const struct walk *k)
{
	const struct under *u = k->under;

	while (u && k->len > u->cut)
		u = u->outer;
	return u;
}

/* Would the kernel, by the path of the view, find what is there? */
static bool is_kernels(const struct place *p)
{
	return !p->remote && !p->bind && !p->read_only && p->cow_state != COW_ABSENT && !place_is_moved(p);
}

/* v as what is below the mount of this rank, at v[0 .. cut), has it.  pure: all links that were followed lead there for the kernel, too. */
static int locate_below(struct walk *k, uint32_t rank, size_t cut, const struct top *top, bool pure)
{
	const struct under here = { k->under, rank, cut };
	const struct place start = { .top = *top };
	bool last = k->last, cacheable = k->cacheable, grounded = k->grounded, kernels, may_be;
	int r;

	k->under = &here;
	k->pure = pure;
	r = walk_locate_from(k, &start);
	k->under = here.outer;
	k->last = last;
	kernels = !r && is_kernels(&k->place);
	may_be = kernels || (!r && k->place.cow && !k->place.cow_bound);	/* what comes behind it */
	k->anchored = false;
	k->pure = pure && kernels;
	k->cacheable = cacheable && may_be;
	k->grounded = grounded && may_be;
	if (r != -ENOENT)
		return r;
	k->place = start;		/* hidden there */
	k->place.cow_state = COW_ABSENT;
	k->place.cow_known = true;
	return 0;
}

int walk_step_under(struct walk *k, bool copied)
{
	const struct place *p = &k->place;
	struct top top = p->top;
	int r;

	if (!top.id)
		top = (struct top) { .id = p->cow, .rank = p->since, .cut = (uint32_t)p->cow_cut };
	if (!copied)
		top.id = 0;
	r = locate_below(k, p->since, p->cow_cut, &top, p->cow_pure);
	return r ? r : 1;
}

int walk_locate_below(struct walk *k, const struct cow *c)
{
	struct mount m;
	int r = view_mount_by_id(k->t, c->id, &m, NULL, 0);

	return r ? r : locate_below(k, m.rank, strlen(c->dir), &(struct top) { 0 }, false);
}

/* ---- links on the way to a change ------------------------------------------------------------------- */

static bool is_followed(const struct walk *k)
{
	return !(k->flags & WHERE_ENTRY) && (k->w->trailing || !(k->flags & WHERE_NOFOLLOW));
}

/* The directory of v's last name, which comes after the link if there is one. */
static long settle_parent(struct walk *k)
{
	size_t len = k->len, dir = len;
	char *rest = k->rest;
	long r;

	while (k->v[dir - 1] != '/')
		dir--;
	r = walk_prepend(k, k->v + dir, len - dir);
	if (r)
		return r;
	walk_truncate(k, dir - 1);
	r = walk_ask(k, UM_WALK_DIR | UM_WALK_FOLLOW, NULL);
	if (r)
		return r;
	k->rest = rest;
	k->v[dir - 1] = '/';
	k->len = len;
	return 0;
}

long walk_settle_top(struct walk *k)
{
	long r = -ENOENT;

	if (!k->place.remote)
		return 0;
	if (is_followed(k))
		r = walk_ask(k, UM_WALK_FOLLOW | (k->w->trailing ? UM_WALK_DIR : 0), NULL);
	if (r != -ENOENT || k->flags & WHERE_PARENT || !k->parent.remote || k->w->last != LAST_NAME)
		return r == -ENOENT ? 0 : r;
	return settle_parent(k);
}

int walk_finish_top(struct walk *k)
{
	const struct top *top = &k->place.top;
	struct where *w = k->w;

	if (k->len + 2 > sizeof(w->path))
		return -ENAMETOOLONG;
	memcpy(w->path, k->v, k->len + 1);
	w->len = k->len;
	w->fs = &cow_fs;
	w->read_only = w->kept = w->fast = w->moved = w->nested = false;
	w->proc.what = 0;
	w->dfd = AT_FDCWD;
	w->upath = (gaddr)w->path;
	w->bind = w->bound = 0;
	w->via = w->cow = top->id;
	w->cow_at = top->cut + (w->path[top->cut] == '/');
	w->cow_state = COW_LOWER;
	w->cow_below = true;
	w->cow_unseen = top->unseen;
	w->cow_placed = w->last == LAST_NAME && k->parent.cow == top->id && k->parent.cow_state == COW_MERGED && !k->parent.top.id;
	w->state = STATE_PATH;
	for (w->rest = w->len; w->rest && w->path[w->rest - 1] != '/'; w->rest--)
		;
	return 0;
}

/* ---- files with several names ----------------------------------------------------------------------- */

/* The newest session over something that v is not in the tree of, and that has a copy of v's file by another name. */
static struct cow *has_copy_of(struct walk *k)
{
	uint32_t from = k->place.cow && k->place.bind ? k->place.cow : 0;
	struct stat st, there;
	struct cow *found = NULL;

	cow_open_all(k->t);
	for (struct cow *c = cow_first(k->t); c && c->id <= k->place.top.id; c = cow_next(k->t, c))
		if (c->over && c->id > from && cow_knows_links(c) && path_within(k->v, k->len, c->dir, strlen(c->dir)) &&
		    !cow_low_look(k->t, c, k->v, &st) && cow_index_find(c, &st, &there))
			found = c;
	return found;
}

int walk_other_name_over(struct walk *k)
{
	struct cow *c = k->place.cow_state == COW_ABSENT ? NULL : has_copy_of(k);
	size_t cut = c ? strlen(c->dir) : 0;
	int r;

	if (!c)
		return 0;
	r = (int)cow_copy_up(k->w, c, k->v + cut + (k->v[cut] == '/'), false);
	k->generation = view_generation(k->t);		/* directories may have come to the tree */
	if (!r)
		r = walk_locate(k);
	k->pure = k->cacheable = false;
	return r;
}
