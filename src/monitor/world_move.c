/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Moving a mount to another place of its view.
 *
 * It keeps its number, by which open files, cwds and its server know it; so do those that are mounted in it and go along. All get
 * new ranks, since what they come to lie on is covered by them. A bind or merge mount made later whose other end lies in the moved one
 * leads to the new place. What it shows of what is at its mount point itself (a merge, copy-on-write) cannot be moved.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

/* What is to be changed of one mount, and what it was. */
struct change {
	uint32_t id, rank;
	char *path, *target;		/* NULL: stays */
};

static bool goes_along(const struct mount_rec *r, const struct mount_rec *top)
{
	return r == top || (r->owner == top->id && r->flags & UM_MNT_PART) ||
	       (r->rank > top->rank && path_is_below(r->path, top->path));
}

/* Does its other end, which is seen as of its epoch, lie in top? */
static bool leads_into(const struct mount_rec *r, const struct mount_rec *top)
{
	return (r->kind == UM_MOUNT_BIND || r->kind == UM_MOUNT_MERGE) && !r->made && r->epoch > top->id &&
	       path_is_below(r->target, top->path);
}

static bool may_go(const struct mount_rec *r, const struct mount_rec *top)
{
	if (r->kind == UM_MOUNT_COW)
		return false;
	return r != top || (r->kind != UM_MOUNT_MERGE && r->kind != UM_MOUNT_HIDE && !(r->flags & UM_MNT_MERGE));
}

static char *at_new_place(const char *path, const char *from, const char *to, int *error)
{
	const char *rest = path + strlen(from), *base = to[1] ? to : *rest ? "" : "/";
	size_t n = strlen(base), len = n + strlen(rest);
	char *s = len < PATH_MAX ? malloc(len + 1) : NULL;

	if (!s) {
		*error = len < PATH_MAX ? -ENOMEM : -ENAMETOOLONG;
		return NULL;
	}
	memcpy(s, base, n);
	strcpy(s + n, rest);
	return s;
}

/* A list of what changes, by rank, in all->n elements.  0 or -errno. */
static int plan(const struct view *view, const struct mount_rec *top, const char *to, struct change *list, uint32_t *n)
{
	int error = 0;

	for (uint32_t i = 0; i < view->nmounts && !error; i++) {
		const struct mount_rec *r = view->mounts[i];
		bool along = goes_along(r, top), leads = leads_into(r, top);
		struct change *c = &list[*n];

		if (!along && !leads)
			continue;
		if (along && !may_go(r, top))
			return -EINVAL;
		*c = (struct change) { .id = r->id, .rank = along };
		++*n;
		if (along)
			c->path = at_new_place(r->path, top->path, to, &error);
		if (leads)
			c->target = at_new_place(r->target, top->path, to, &error);
	}
	return error;
}

static void swap_strings(char **a, char **b)
{
	char *s = *a;

	if (!*b)
		return;
	*a = *b;
	*b = s;
}

/* Makes the changes, or takes them back, since they change places with what was. */
static void swap_all(struct view *view, struct change *list, uint32_t n)
{
	for (uint32_t i = 0; i < view->nmounts; i++)
		for (uint32_t k = 0; k < n; k++) {
			struct mount_rec *r = view->mounts[i];
			uint32_t rank = r->rank;

			if (r->id != list[k].id)
				continue;
			swap_strings(&r->path, &list[k].path);
			swap_strings(&r->target, &list[k].target);
			if (list[k].rank) {
				r->rank = list[k].rank;
				list[k].rank = rank;
			}
		}
}

static int by_rank(const void *a, const void *b)
{
	const struct mount_rec *x = *(struct mount_rec *const *)a, *y = *(struct mount_rec *const *)b;

	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static int change_all(struct world *w, struct view *view, struct change *list, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		struct mount_rec *r = NULL;

		for (uint32_t i = 0; i < view->nmounts && !r; i++)
			r = view->mounts[i]->id == list[k].id ? view->mounts[i] : NULL;
		if (!r || !mount_own(view, r))
			return -EBUSY;
		if (list[k].rank)
			list[k].rank = w->next_id++;
	}
	swap_all(view, list, n);
	qsort(view->mounts, view->nmounts, sizeof(*view->mounts), by_rank);
	__atomic_add_fetch(&view->slot->moves, 1, __ATOMIC_SEQ_CST);
	int r = view_publish(view);
	if (r < 0) {
		swap_all(view, list, n);
		qsort(view->mounts, view->nmounts, sizeof(*view->mounts), by_rank);
	}
	return r;
}

int mount_move(struct world *w, uint32_t v, const struct mount_rec *top, const char *to)
{
	struct view *view = view_get(w, v);
	uint32_t n = 0;

	if (!view || !top->path[1])
		return -EINVAL;
	if (path_is_below(to, top->path))
		return -ELOOP;
	struct change *list = calloc(view->nmounts, sizeof(*list));
	int r = list ? plan(view, top, to, list, &n) : -ENOMEM;
	if (r == 0)
		r = change_all(w, view, list, n);
	for (uint32_t i = 0; i < n; i++) {
		free(list[i].path);
		free(list[i].target);
	}
	free(list);
	return r;
}
