/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Merge mounts, as this process knows them: what they show, and whether it is the kernel's alone, so that one lstat tells of
 * a name; and, for who has a path, whether they show anything there.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "merge.h"

static struct merge *merges UM_LARGE;	/* only grows: readers take no lock */
static struct lock merges_lock UM_LARGE;

static struct merge *find(uint32_t id)
{
	for (struct merge *g = __atomic_load_n(&merges, __ATOMIC_ACQUIRE); g; g = g->next)
		if (g->m.id == id)
			return g;
	return NULL;
}

static struct merge *merge_new(const struct task *t, uint32_t id)
{
	struct merge *g = heap_alloc(sizeof *g + UM_PATH_MAX);

	if (!g)
		return NULL;
	if (view_mount_by_id(t, id, &g->m, NULL, 0) ||
	    (g->m.kind == UM_MOUNT_MERGE && view_bind_target(t, id, g->target, UM_PATH_MAX))) {
		heap_free(g);
		return NULL;
	}
	g->len = strcmp(g->target, "/") ? strlen(g->target) : 0;
	return g;
}

/* Nothing but the kernel on the way to A, and in it? */
static bool is_plain(const struct merge *g)
{
	struct mount m;

	if (g->m.kind != UM_MOUNT_MERGE ||
	    view_lookup_at(g->m.epoch, g->len ? g->target : "/", g->len ? g->len : 1, &m) != VIEW_PLAIN)
		return false;
	for (size_t n = g->len; n > 1; n--)
		if (g->target[n - 1] == '/' && view_lookup_at(g->m.epoch, g->target, n - 1, &m) == VIEW_MOUNT)
			return false;
	return view_lookup_at(g->m.epoch, "/", 1, &m) != VIEW_MOUNT;
}

/* Does it show another place than it did, because that has been moved?  (The newest in the list is found.) */
static bool is_stale(const struct task *t, const struct merge *g, uint64_t generation)
{
	char target[UM_PATH_MAX];

	return view_has_moves() && g->m.kind == UM_MOUNT_MERGE && __atomic_load_n(&g->checked, __ATOMIC_ACQUIRE) != generation &&
	       !view_bind_target(t, g->m.id, target, sizeof target) && strcmp(target, g->target);
}

struct merge *merge_get(const struct task *t, uint32_t id)
{
	uint64_t generation = view_generation(t);
	struct merge *g = find(id), *old = g && is_stale(t, g, generation) ? g : NULL;

	if (!g || old) {
		lock_acquire(&merges_lock);
		g = find(id);
		if ((!g || g == old) && (g = merge_new(t, id))) {
			g->next = merges;
			__atomic_store_n(&merges, g, __ATOMIC_RELEASE);
		}
		lock_release(&merges_lock);
	}
	if (g && __atomic_load_n(&g->checked, __ATOMIC_ACQUIRE) != generation) {
		__atomic_store_n(&g->plain, is_plain(g), __ATOMIC_RELAXED);
		__atomic_store_n(&g->checked, generation, __ATOMIC_RELEASE);
	}
	return g;
}

int merge_look(const struct merge *g, const char *tail, size_t n, char *buf, struct stat *st)
{
	if (g->len + n + 2 > UM_PATH_MAX)
		return -ENOENT;
	memcpy(buf, g->target, g->len);
	memcpy(buf + g->len, tail, n);
	buf[g->len + n] = 0;
	return cow_look(g->len + n ? buf : "/", st);
}

static bool shows(const struct task *t, const struct mount *m, const char *tail, size_t n)
{
	const struct merge *g = merge_get(t, m->id);
	char path[UM_PATH_MAX];
	struct stat st;

	return g && (!g->plain || !merge_is_nothing(merge_look(g, tail, n, path, &st)));
}

bool merge_has(const struct task *t, const char *path, size_t len)
{
	struct mount m;

	if (len == 1)
		len = 0;
	for (size_t n = len;;) {
		uint32_t rank = UINT32_MAX;

		while (view_lookup_under(t->epoch, rank, n ? path : "/", n ? n : 1, &m) == VIEW_MOUNT) {
			if (mount_merges(&m) && (n == len || shows(t, &m, path + n, len - n)))
				return true;
			rank = m.rank;
		}
		if (!n)
			return false;
		do
			n--;
		while (n && path[n] != '/');
	}
}
