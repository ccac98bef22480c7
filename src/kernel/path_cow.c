/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slow way in copy-on-write mounts.
 *
 * Behind such a mount a place is either still below (COW_LOWER: the kernel gets the path in the view, as if nothing were
 * mounted), or in the session's tree, and then the walk is behind a bind mount of that tree (COW_MERGED,
 * COW_UPPER).  Which of them is found out name by name, as long as a directory is merged: what is not in the
 * tree is below from there on, and so is everything in it.
 *
 * An operation that only looks at the place knows nothing of all that.  One that changes it gets the
 * operations of cow_fs (fs/cow.c), with the place's path in the tree.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "merge.h"
#include "path_walk.h"

/* ---- in the walk ------------------------------------------------------------------------------------ */

int walk_enter_cow(struct walk *k, const struct mount *m)
{
	struct place *p = &k->place;

	if ((p->remote || p->bind) && !(m->flags & UM_MNT_OVER))
		return -EOPNOTSUPP;
	*p = (struct place) {
		.since = m->rank, .bind = m->id, .cow = m->id, .cow_since = p->since, .cow_state = COW_MERGED,
		.cow_virtual = m->flags & UM_MNT_OVER, .top = walk_under(k) ? p->top : (struct top) { 0 },
		.cow_pure = k->pure, .cow_cut = k->len, .cow_known = true, .cow_under = true,
		.cow_min = m->flags & UM_MNT_MIN,
	};
	k->pure = k->anchored = false;
	if (!(process.watch & WATCH_IDENTITY))		/* fstat() has to show what copies are copies of */
		__atomic_fetch_or(&process.watch, WATCH_IDENTITY, __ATOMIC_ACQ_REL);
	return walk_at_kernels(k, m);
}

/* From here on the kernel's own path is right again, unless what is below is virtual. */
static int step_down(struct walk *k, enum cow_state state)
{
	struct place *p = &k->place;

	if (p->cow_virtual)
		return walk_step_under(k, state != COW_NONE);
	p->cow_state = (uint8_t)state;
	if (p->cow_bound && state == COW_NONE)
		walk_leave_cow_bound(k);
	if (place_is_moved(p) || !p->cow) {
		k->pure = false;
		return 0;
	}
	p->bind = 0;
	p->since = p->cow_since;
	k->pure = p->cow_pure;
	if (state == COW_NONE)
		p->cow = 0;
	return 0;
}

static void stay_in_tree(struct walk *k, enum cow_state state)
{
	k->place.cow_state = (uint8_t)state;
	k->place.cow_over = k->len;
}

/* v is a directory that shows the one at k->low. */
static void show_moved(struct walk *k, size_t low_len)
{
	struct place *p = &k->place;

	p->cow_state = COW_MERGED;
	p->cow_moved = true;
	p->low_len = low_len;
	p->low_cut = k->len;
	p->cow_known = true;
}

/* A directory on the way, whose state is known: no directory of the tree has come or gone since.  0: it is not known; 1 + what
 * walk_step_cow() is to return; -errno. */
static int step_known(struct walk *k, const char *path, size_t len)
{
	unsigned known = k->last ? 0 : cache_find(BASE_TREE, path, len, k->generation);
	size_t n = known & CACHE_MOVED ? cache_canon(BASE_TREE, path, len, k->generation, k->low, sizeof(k->low)) : 0;

	if (!known || (known & CACHE_MOVED && !n))
		return 0;
	if (n) {
		show_moved(k, n);
		return 1;
	}
	if (!(known & CACHE_TREE)) {
		int r = step_down(k, COW_LOWER);

		return r < 0 ? r : r + 1;
	}
	k->place.cow_known = true;
	if (known & CACHE_UPPER)
		stay_in_tree(k, COW_UPPER);
	return 1;
}

/* v is this directory of the tree. */
static int step_into(struct walk *k, const struct cow *c, const char *path, size_t len, const struct stat *st)
{
	struct place *p = &k->place;
	unsigned flags = cow_dir_flags(c, st);
	char *low;
	long n;

	if (flags & UM_VSF_REDIRECT && !p->cow_virtual) {
		n = (low = heap_alloc(UM_PATH_MAX)) ? cow_redirected(c, st, low) : -ENOMEM;
		if (n > 0) {
			memcpy(k->low, low, (size_t)n + 1);
			cache_store(BASE_TREE, path, len, k->generation, CACHE_KNOWN | CACHE_MERGED | CACHE_MOVED, low, (size_t)n);
			show_moved(k, (size_t)n);
			cow_met_moved(st, path);
		}
		heap_free(low);
		return n < 0 ? (int)n : 0;
	}
	if (flags & (UM_VSF_OPAQUE | UM_VSF_REDIRECT) && p->cow_state == COW_MERGED)
		stay_in_tree(k, COW_UPPER);
	cache_store(BASE_TREE, path, len, k->generation,
		    CACHE_KNOWN | (p->cow_state == COW_UPPER ? CACHE_UPPER : CACHE_MERGED), NULL, 0);
	return 0;
}

/* v is this in the tree. */
static int step_on(struct walk *k, const struct cow *c, const char *path, size_t len, const struct stat *st)
{
	struct place *p = &k->place;
	bool merged = p->cow_state == COW_MERGED;

	p->cow_known = !S_ISLNK(st->st_mode);
	if (S_ISDIR(st->st_mode))
		return step_into(k, c, path, len, st);
	if (merged)
		stay_in_tree(k, cow_is_whiteout(AT_FDCWD, path, st) ? COW_ABSENT : COW_UPPER);
	if (p->cow_state == COW_ABSENT)
		p->cow_known = true;	/* it may be a link, but none to follow */
	return 0;
}

int walk_step_cow(struct walk *k)
{
	struct place *p = &k->place;
	const struct cow *c;
	const char *path;
	struct stat st;
	size_t len;
	long error = 0;
	int r;

	p->cow_known = p->cow_unseen = false;
	p->cow_under = p->cow_state == COW_MERGED || p->cow_state == COW_LOWER;
	path = walk_there(k, &len);
	if (p->cow_state == COW_MERGED && cow_is_uncopied(path, len))
		return step_down(k, COW_NONE);
	if (p->cow_state != COW_MERGED && p->cow_state != COW_UPPER)
		return 0;
	if (p->cow_state == COW_MERGED && k->last && may_stay_unseen(k->flags) && !p->read_only && !p->cow_min) {
		r = step_down(k, COW_LOWER);
		if (p->top.id)
			p->top.unseen = true;
		else
			p->cow_unseen = true;
		return r;
	}
	c = cow_get(k->t, p->cow, &error);
	if (!c)
		return (int)error;
	if (p->cow_state == COW_UPPER && !cow_knows_moves(c))
		return 0;
	path = walk_backing(k, &len);
	r = step_known(k, path, len);
	if (r)
		return r < 0 ? r : r - 1;
	if (p->cow_state == COW_MERGED && cow_is_gone_name(k->t, c, path + strlen(c->tree) + 1)) {
		stay_in_tree(k, COW_ABSENT);
		p->cow_known = true;
		return 0;
	}
	r = cow_look(path, &st);
	if (!r)
		return step_on(k, c, path, len, &st);
	if (p->cow_state == COW_UPPER)
		return 0;
	return r == -ENOENT ? step_down(k, COW_LOWER) : r;
}

void walk_remember_below(struct walk *k)
{
	const struct place *p = &k->place;
	char *path = k->tmp;
	size_t n, tail = k->len - p->cow_cut;

	if (k->parent.cow_state != COW_MERGED || p->cow_state != COW_LOWER || p->cow_moved || p->top.id)
		return;
	n = k->parent.back_len;		/* the tree */
	if (n + tail >= sizeof(k->tmp))
		return;
	memmove(path, k->back, n);
	memcpy(path + n, k->v + p->cow_cut, tail);
	cache_store(BASE_TREE, path, n + tail, k->generation, CACHE_KNOWN, NULL, 0);
}

int walk_leave_name(struct walk *k, size_t dir_len)
{
	bool in_tree = k->place.cow && k->place.bind;
	bool merged = k->place.kept || (k->place.remote && !k->parent.remote);	/* the link is in what a merge mount shows */

	walk_truncate(k, dir_len);
	if (k->place.top.id)
		return walk_locate(k);
	if (!k->place.cow && !k->parent.cow && !k->parent.nover)
		return 0;
	k->place = k->parent;
	k->pure = k->parent_pure && !merged;
	if (in_tree)
		k->place.cow_pure = k->pure = false;
	return 0;
}

void walk_remember_tree(struct walk *k, const char *text, size_t len)
{
	const struct place *p = &k->place;
	unsigned flags = p->cow_state == COW_UPPER ? CACHE_UPPER : CACHE_MERGED;
	size_t n;
	const char *path = walk_backing(k, &n);

	if (p->cow_moved && flags == CACHE_MERGED)
		flags |= CACHE_MOVED;
	if (!k->cacheable || !p->cow_known || p->cow_state == COW_LOWER)
		return;
	if (flags == CACHE_MERGED && !p->cow_pure) {
		if (!walk_is_straight(k, text, len))
			return;
		flags |= CACHE_BELOW;
	}
	cache_store(k->key, text, len, k->generation, CACHE_KNOWN | flags |
		    (path_needs_check(k->t, k->v, k->len) ? CACHE_CHECK : 0), path, n);
}

/* Is something mounted at this path of a tree, or is it no copy that is meant? */
static bool is_special(const struct task *t, const char *path, size_t len)
{
	char *view = len < UM_PATH_MAX ? heap_copy(path, len, UM_PATH_MAX) : NULL;
	long n = (long)len;
	struct mount m;
	bool special = !view || !cow_to_view(view, &n, UM_PATH_MAX) || n < 0 || cow_is_uncopied(view, (size_t)n) ||
		       view_lookup(t, view, (size_t)n, &m) != VIEW_PLAIN ||
		       (view_has(UM_MOUNT_MERGE) && merge_has(t, view, (size_t)n));

	heap_free(view);
	return special;
}

int cow_fast_name(struct where *w, char *path, size_t len, unsigned known, bool named)
{
	char *dir;
	struct mount m;
	struct stat st;
	int n, r = 0;

	if (known & CACHE_CHECK && named && is_special(w->t, path, len))
		return COW_FAST_NO;
	if (known & CACHE_MERGED && named && cow_is_gone_path(w->t, path))
		return COW_FAST_NO;
	if (known & CACHE_MERGED && named)
		r = cow_look(path, &st);
	if (r)
		return r == -ENOENT && !(known & CACHE_MOVED) && !cow_over_any(w->t) ? COW_FAST_BELOW : COW_FAST_NO;
	if (known & CACHE_MERGED && named && (S_ISLNK(st.st_mode) || S_ISCHR(st.st_mode)))
		return COW_FAST_NO;
	dir = heap_alloc(UM_PATH_MAX);
	n = dir ? view_cow_by_tree(w->t, path, len, &m, dir, UM_PATH_MAX) : -ENOMEM;
	heap_free(dir);
	if (n < 0)
		return COW_FAST_NO;
	w->bind = m.id;
	w->bound = (uint32_t)n;
	w->fast = known & CACHE_UPPER && named && !(w->flags & (WHERE_NOFOLLOW | WHERE_ENTRY));
	return COW_FAST_TREE;
}

/* ---- files with several names ----------------------------------------------------------------------- */

int walk_other_name(struct walk *k)
{
	size_t at = k->place.cow_cut, len;
	long error;
	struct cow *c = cow_get(k->t, k->place.cow, &error);
	struct stat st, there;
	const char *path;
	int dfd, r;

	if (!c || !cow_knows_links(c) || k->flags & WHERE_STAT)
		return 0;
	path = walk_kernel_path(k, &dfd);
	if (raw_syscall(__NR_newfstatat, dfd, path, &st, AT_SYMLINK_NOFOLLOW) || !cow_index_find(c, &st, &there))
		return 0;
	path = walk_there(k, &len);
	at += path[at] == '/';
	r = (int)cow_copy_up(k->w, c, path + at, false);
	k->generation = view_generation(k->t);		/* directories may have come to the tree */
	if (!r)
		r = walk_locate(k);
	k->pure = k->cacheable = false;
	return r;
}

/* ---- the place of a change -------------------------------------------------------------------------- */

/* Is what is below the name of the view's own? */
static bool is_own_name(struct walk *k)
{
	size_t len, low_len;
	const char *there = walk_there(k, &len), *low = walk_backing(k, &low_len);

	return len == low_len && !memcmp(there, low, len);
}

int walk_finish_cow(struct walk *k)
{
	const struct place *p = &k->place;
	struct where *w = k->w;
	bool moved = place_is_moved(p);		/* then it is named by its path in the view */
	bool own = !moved || (p->cow_bound && is_own_name(k));
	size_t len;
	const char *path = moved ? walk_there(k, &len) : walk_backing(k, &len);

	if (len + 2 > sizeof(w->path))
		return -ENAMETOOLONG;
	memcpy(w->path, path, len + 1);
	w->len = len;
	w->fs = p->cow_min && p->cow_state == COW_LOWER && own ? &mincow_fs : &cow_fs;
	w->read_only = false;
	w->proc.what = 0;
	w->dfd = AT_FDCWD;
	w->upath = (gaddr)w->path;
	w->bind = moved || p->cow_bound ? 0 : p->bind;
	w->bound = w->bind ? (uint32_t)p->back_len : 0;
	w->cow_at = (uint32_t)(w->bind ? p->back_len : p->cow_cut);
	w->via = w->cow = p->cow;
	if (p->cow_bound) {
		w->cow_at = (uint32_t)(moved ? p->cow_cut : p->tree_len);
		w->moved = !moved;
		w->nested = p->nested;
		w->bind = p->nested ? 0 : p->bind;
		w->via = p->nested ? p->cow : p->bind;
	}
	w->cow_state = p->cow_state;
	w->cow_below = p->cow_under;
	w->cow_unseen = p->cow_unseen;
	w->cow_placed = p->cow_state != COW_LOWER || (w->last == LAST_NAME && k->parent.cow_state == COW_MERGED);
	if (w->path[w->cow_at] == '/')
		w->cow_at++;
	w->state = STATE_PATH;
	for (w->rest = w->len; w->rest && w->path[w->rest - 1] != '/'; w->rest--)
		;
	return 0;
}
