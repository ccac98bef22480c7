/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Merged directories: `merge A B` shows at B the names that are in A, read-only, and then those that are at B without it.
 *
 * What merge mounts do to a name in a directory in which they show (place.over, the newest first):
 *
 *	in A		at B			there is
 *	nothing		anything		B's, and A has nothing to do with what is below it
 *	no directory	anything		A's
 *	a directory	a directory		B's directory, in which names of A's show
 *	a directory	no directory		A's directory, and all that is below it
 *
 * So B's side goes on as if nothing were mounted: new names are made there, and a merged directory is B's, with its attributes,
 * inode and descriptors.  A's is a place behind a read-only bind mount.  The name of a merged directory can neither go nor
 * move, since A has it, too.
 *
 * Several of them may show in one directory; then B is what those below show.  A may be a server's (-o merge of its mount).
 */
#include <linux/fcntl.h>
#include "merge.h"
#include "path_walk.h"

/* ---- looking into it from the walk -------------------------------------------------------------------- */

/* v as g shows it. */
static int enter_over(struct walk *k, const struct over *o, const struct merge *g)
{
	size_t end = k->len;
	bool last = k->last;
	int r;

	k->place = (struct place) { .since = o->rank };
	k->last = false;
	k->pure = k->anchored = false;
	if (g->m.kind == UM_MOUNT_REMOTE) {
		k->last = last;
		return walk_stand_in(k, &g->m);
	}
	k->place.bind = o->id;
	k->place.read_only = k->place.kept = true;
	k->len = o->cut;
	r = walk_behind(k, &g->m);
	while (!r && !g->plain && k->len < end) {
		for (k->len++; k->len < end && k->v[k->len] != '/'; k->len++)
			;
		r = walk_arrive_behind(k, VIEW_PLAIN);
		r = r < 0 ? r : r == WALK_HIDDEN ? -ENOENT : 0;
	}
	k->len = end;
	k->last = last;
	k->place.nover = 0;
	return r;
}

/* st_mode of v where the walk stands. */
static int mode_here(struct walk *k, uint32_t *mode)
{
	struct stat st;
	const char *path;
	int dfd, r;

	if (k->place.remote)
		return walk_mode(k, mode);
	if (k->place.cow_state == COW_ABSENT)
		return -ENOENT;
	path = walk_kernel_path(k, &dfd);
	r = (int)raw_syscall(__NR_newfstatat, dfd, path, &st, AT_SYMLINK_NOFOLLOW);
	*mode = r ? 0 : st.st_mode;
	return r;
}

/* What a place has in the walk, and would lose by another's coming there. */
struct texts {
	char *back, *low, *there;
};

static void bring_texts(struct walk *k, struct texts *own)
{
	if (own->back)
		memcpy(k->back, own->back, strlen(own->back) + 1);
	if (own->low)
		memcpy(k->low, own->low, strlen(own->low) + 1);
	if (own->there)
		memcpy(k->there, own->there, strlen(own->there) + 1);
	heap_free(own->back);
	heap_free(own->low);
	heap_free(own->there);
}

static int keep_texts(const struct walk *k, struct texts *own)
{
	const struct place *p = &k->place;

	own->back = p->bind ? heap_strndup(k->back, p->back_len) : NULL;
	own->low = p->cow_moved ? heap_strndup(k->low, p->low_len) : NULL;
	own->there = p->cow_bound ? heap_strndup(k->there, p->there_len) : NULL;
	return (p->bind && !own->back) || (p->cow_moved && !own->low) || (p->cow_bound && !own->there) ? -ENOMEM : 0;
}

/* The general way: goes there and comes back. */
__attribute__((noinline))
static int look_far(struct walk *k, const struct over *o, const struct merge *g, uint32_t *mode)
{
	const struct place own = k->place;
	bool pure = k->pure, anchored = k->anchored;
	struct texts own_texts;
	int r = keep_texts(k, &own_texts);

	if (!r)
		r = enter_over(k, o, g);
	if (!r)
		r = mode_here(k, mode);
	bring_texts(k, &own_texts);
	k->place = own;
	k->pure = pure;
	k->anchored = anchored;
	k->back_hash.len = 0;
	return r;
}

/* What o shows at v: *mode is its st_mode, 0 if nothing.  0 or -errno. */
static int look_over(struct walk *k, const struct over *o, uint32_t *mode)
{
	const struct merge *g = merge_get(k->t, o->id);
	struct stat st;
	int r;

	*mode = o->cut == k->len ? S_IFDIR : 0;		/* it begins here */
	if (!g || *mode)
		return 0;
	if (g->plain) {
		r = merge_look(g, k->v + o->cut, k->len - o->cut, k->tmp, &st);
		*mode = r ? 0 : st.st_mode;
	} else {
		r = look_far(k, o, g, mode);
		*mode = r ? 0 : *mode;
	}
	return merge_is_nothing(r) ? 0 : r;
}

/* ---- arriving at a name ------------------------------------------------------------------------------- */

struct overs {			/* of v */
	bool begins;		/* it is where one of them is mounted */
	uint32_t n;
	struct over at[MERGE_DEPTH];
};

static int add_over(uint32_t *n, struct over *at, struct over o)
{
	uint32_t i = *n;

	if (i == MERGE_DEPTH)
		return -ELOOP;
	for (; i && at[i - 1].rank < o.rank; i--)
		at[i] = at[i - 1];
	at[i] = o;
	++*n;
	return 0;
}

int walk_merged_behind(struct walk *k, const char *path, size_t len, struct mount *m, enum view_hit *hit)
{
	struct place *p = &k->place;
	int r = 0;

	for (; *hit == VIEW_MOUNT && mount_merges(m) && !r;
	     *hit = view_lookup_under(p->epoch, m->rank, len ? path : "/", len ? len : 1, m))
		r = add_over(&p->nover, p->over, (struct over) { m->id, m->rank, (uint32_t)k->len });
	return r;
}

/*
 * Which concern v: those that begin here (then *hit and *m are what is mounted below them), and those that show in its
 * directory, unless something newer than they is mounted here.
 */
static int collect(struct walk *k, int *hit, struct mount *m, struct overs *all)
{
	const struct place *p = &k->place;
	uint32_t since = p->cow && !p->cow_bound ? p->cow_since : p->since;
	int r = 0;

	all->begins = false;
	all->n = 0;
	while (*hit == VIEW_MOUNT && m->rank > since && mount_merges(m) && !r) {
		if (!(m->flags & UM_MNT_DYING)) {
			r = add_over(&all->n, all->at, (struct over) { m->id, m->rank, (uint32_t)k->len });
			all->begins = true;
		}
		*hit = (int)view_lookup_under(k->t->epoch, m->rank, k->len ? k->v : "/", k->len ? k->len : 1, m);
	}
	for (uint32_t i = 0; i < p->nover && !r; i++)
		if (*hit != VIEW_MOUNT || m->rank <= p->since || m->rank < p->over[i].rank)
			r = add_over(&all->n, all->at, p->over[i]);
	return r;
}

enum { SHOW_DIRECTORIES, SHOW_FILE };

/* Leaves in *all those that count: of several with a directory here (*alone: what is below them does not matter), or the one
 * that has something else. */
static int look_all(struct walk *k, struct overs *all, bool *alone)
{
	uint32_t n = 0, mode;

	*alone = false;
	for (uint32_t i = 0; i < all->n && !*alone; i++) {
		int r = look_over(k, &all->at[i], &mode);

		if (r)
			return r;
		*alone = mode && !S_ISDIR(mode);
		if (*alone && !n) {
			all->at[0] = all->at[i];
			return SHOW_FILE;
		}
		if (S_ISDIR(mode))
			all->at[n++] = all->at[i];
	}
	all->n = n;
	return SHOW_DIRECTORIES;
}

int walk_enter_over(struct walk *k, const struct over *o)
{
	const struct merge *g = merge_get(k->t, o->id);

	return g ? enter_over(k, o, g) : -ENOENT;
}

static int to_over(struct walk *k, const struct over *o, int hit)
{
	int r = walk_enter_over(k, o);

	return r ? r : hit == VIEW_ABOVE ? hit : (int)VIEW_PLAIN;
}

/* Is B's, at which the walk has arrived with this result, a directory?  0, 1, -errno. */
static int is_directory(struct walk *k, int arrived, bool begins)
{
	uint32_t mode = 0;
	int r;

	if (arrived < 0 || arrived == WALK_HIDDEN)
		return arrived == WALK_HIDDEN || merge_is_nothing(arrived) ? 0 : arrived;
	if (begins)
		return 1;
	if (arrived == VIEW_MOUNT)
		return k->place.remote ? k->place.m.is_dir : !k->place.bind || !k->place.cut_is_file;
	r = mode_here(k, &mode);
	return !r ? S_ISDIR(mode) : merge_is_nothing(r) ? 0 : r;
}

int walk_arrive_merged(struct walk *k, int hit, struct mount *m)
{
	struct overs all;
	bool alone;
	int shown, dir, arrived, r = collect(k, &hit, m, &all);

	if (r)
		return r;
	k->place.nover = 0;
	arrived = walk_arrive_at(k, hit, m);
	for (uint32_t i = 0; i < k->place.nover && !r; i++)		/* at the other end of a bind mount */
		r = add_over(&all.n, all.at, k->place.over[i]);
	if (r)
		return r;
	all.begins |= k->place.nover;
	k->place.nover = 0;
	shown = look_all(k, &all, &alone);
	if (shown < 0 || (shown == SHOW_DIRECTORIES && !all.n))
		return shown < 0 ? shown : arrived;
	if (shown == SHOW_FILE)
		return to_over(k, &all.at[0], arrived);
	dir = alone ? 0 : is_directory(k, arrived, all.begins);
	if (dir < 0)
		return dir;
	if (!dir)		/* the lowest of them takes its place */
		arrived = to_over(k, &all.at[--all.n], arrived);
	if (arrived < 0)
		return arrived;
	k->place.nover = all.n;
	memcpy(k->place.over, all.at, all.n * sizeof all.at[0]);
	if (all.begins)
		return (int)VIEW_MOUNT;
	if (k->last && k->flags & WHERE_ENTRY)
		k->place.read_only = k->place.kept = true;
	return arrived;
}

int walk_base_merged(struct walk *k, uint32_t bind)
{
	const struct place own = k->place;
	bool pure = k->pure, anchored = k->anchored, grounded = k->grounded, shows_here;
	int r = walk_locate(k);

	shows_here = !r && k->place.nover && k->place.bind == bind && k->place.remote == own.remote &&
		     (!own.remote || k->place.m.id == own.m.id);
	k->pure = pure;
	k->anchored = anchored;
	k->grounded = grounded;
	if (!shows_here)
		k->place = own;
	return bind ? shows_here : 0;
}
