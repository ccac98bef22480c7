/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshots the monitor writes, read back as a guest reads them (by their wire format only): hash
 * look-ups, chains of mounts at one path, epochs, branches, a thousand mounts.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tap.h"
#include "../../src/monitor/world.c"

static const struct um_snapshot *snapshot(struct world *w, uint32_t v)
{
	const struct um_view_slot *slot = w->views[v].slot;

	return (const struct um_snapshot *)((const char *)slot + um_snapshot_at(slot->current));
}

static const struct um_mount *mount_of(const struct um_snapshot *s, uint32_t index)
{
	return (const struct um_mount *)((const char *)s + s->mounts) + index;
}

/* -1: plain, 0: above a mount, else the id of the newest mount visible. */
static long lookup(struct world *w, uint32_t v, const char *path, uint32_t epoch)
{
	const struct um_snapshot *s = snapshot(w, v);
	const struct um_hash *tab = (const struct um_hash *)((const char *)s + s->hash);
	uint32_t len = (uint32_t)strlen(path), key = um_path_hash(path, len);

	for (uint32_t i = 0; i < s->hash_size; i++) {
		const struct um_hash *h = &tab[(key + i) & (s->hash_size - 1)];
		if (!h->path)
			return -1;
		if (h->key != key || h->path_len != len || memcmp((const char *)s + h->path, path, len))
			continue;
		for (uint32_t k = h->mount; k; k = mount_of(s, k - 1)->below)
			if (mount_of(s, k - 1)->id < epoch)
				return mount_of(s, k - 1)->id;
		return 0;
	}
	return -1;
}

static int add(struct world *w, uint32_t v, const char *path)
{
	struct mount_rec m = { .kind = UM_MOUNT_REMOTE, .server = 1, .is_dir = 1, .path = (char *)path,
			       .source = (char *)"src", .fstype = (char *)"fuse.x", .options = (char *)"rw" };
	return mount_add(w, v, &m);
}

static void test_paths(void)
{
	static const char *const good[] = { "/", "/a", "/a/b", "/.a", "/a..", "/..." };
	static const char *const bad[] = { "", "a", "//", "/a/", "/a//b", "/.", "/..", "/a/./b", "/a/.." };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ok(path_is_canonical(good[i]), "canonical: %s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!path_is_canonical(bad[i]), "not canonical: '%s'", bad[i]);
	ok(path_is_below("/a/b", "/a") && path_is_below("/a", "/a") && path_is_below("/x", "/"), "below");
	ok(!path_is_below("/ab", "/a") && !path_is_below("/", "/a"), "not below");
}

static void test_lookups(struct world *w)
{
	uint64_t seq = snapshot(w, 0)->seq;

	is_int(lookup(w, 0, "/", UINT32_MAX), -1, "an empty view is plain");
	is_int(snapshot(w, 0)->hash_size, 0, "... and has no table");
	int a = add(w, 0, "/mnt/a");
	ok(a > 0, "a mount");
	ok(snapshot(w, 0)->seq > seq && !(snapshot(w, 0)->seq & 1), "seq grows and is even");
	is_int(lookup(w, 0, "/mnt/a", UINT32_MAX), a, "found");
	is_int(lookup(w, 0, "/mnt", UINT32_MAX), 0, "its parent is above it");
	is_int(lookup(w, 0, "/", UINT32_MAX), 0, "the root too");
	is_int(lookup(w, 0, "/mnt/b", UINT32_MAX), -1, "a sibling is plain");
	is_int(lookup(w, 0, "/mnt/a/x", UINT32_MAX), -1, "nothing is known below");
	int b = add(w, 0, "/mnt/a");
	is_int(lookup(w, 0, "/mnt/a", UINT32_MAX), b, "the newer one covers");
	is_int(lookup(w, 0, "/mnt/a", (uint32_t)b), a, "its server sees the older one");
	is_int(lookup(w, 0, "/mnt/a", (uint32_t)a), 0, "the older one's server sees neither");
	int root = add(w, 0, "/");
	is_int(lookup(w, 0, "/", UINT32_MAX), root, "a mount on /");
	is_int(mount_remove(w, 0, (uint32_t)b), 0, "the newer one goes");
	is_int(lookup(w, 0, "/mnt/a", UINT32_MAX), a, "the older one shows again");
	is_int(mount_remove(w, 0, (uint32_t)b), -ENOENT, "twice is ENOENT");
	is_int(mount_remove(w, 0, (uint32_t)root), 0, "the root's");
	is_int(mount_remove(w, 0, (uint32_t)a), 0, "the last");
	is_int(lookup(w, 0, "/mnt/a", UINT32_MAX), -1, "plain again");
}

static void test_children(struct world *w)
{
	int inner = add(w, 0, "/m/old");
	int outer = add(w, 0, "/m");
	struct mount_rec *m = mount_by_id(w, 0, (uint32_t)outer);
	struct mount_rec bind = { .kind = UM_MOUNT_BIND, .path = (char *)"/elsewhere", .target = (char *)"/m/x" };

	ok(!mount_has_children(w, 0, m), "what was mounted before lies under it, not in it");
	int b = mount_add(w, 0, &bind);
	ok(mount_has_children(w, 0, m), "a bind shows something in it");
	mount_remove(w, 0, (uint32_t)b);
	int n = add(w, 0, "/m/new");
	ok(mount_has_children(w, 0, m), "a newer mount in it");
	mount_remove(w, 0, (uint32_t)n);
	n = add(w, 0, "/mm");
	ok(!mount_has_children(w, 0, m), "a path that only begins alike");
	ok(mount_at(w, 0, "/m", UINT32_MAX) == m && !mount_at(w, 0, "/m", (uint32_t)outer), "mount_at and epochs");
	mount_remove(w, 0, (uint32_t)n);
	mount_remove(w, 0, (uint32_t)outer);
	mount_remove(w, 0, (uint32_t)inner);
}

static void test_branches(struct world *w)
{
	int a = add(w, 0, "/a"), b = add(w, 0, "/b");
	int v = view_branch(w, 0, (uint32_t)b, "name");

	ok(v > 0, "a branch");
	is_int(w->views[v].slot->depth, 1, "its depth");
	is_str(w->views[v].slot->name, "name", "its name");
	is_int(lookup(w, (uint32_t)v, "/a", UINT32_MAX), a, "it inherits");
	is_int(lookup(w, (uint32_t)v, "/b", UINT32_MAX), -1, "... what its founder saw");
	int c = add(w, (uint32_t)v, "/c");
	is_int(lookup(w, 0, "/c", UINT32_MAX), -1, "its own are not seen outside");
	is_int(mount_by_id(w, (uint32_t)v, (uint32_t)c)->view, v, "... and are marked");
	is_int(mount_by_id(w, 0, (uint32_t)a)->refs, 2, "an inherited mount has two holders");
	mount_remove(w, 0, (uint32_t)a);
	is_int(lookup(w, (uint32_t)v, "/a", UINT32_MAX), a, "unmounted there, still here");
	view_free(w, (uint32_t)v);
	ok(!view_get(w, (uint32_t)v), "it is gone");
	uint64_t before = 0;
	int again = view_branch(w, 0, UINT32_MAX, "");
	is_int(again, v, "the number is used again");
	ok(snapshot(w, (uint32_t)again)->seq > before, "with a later seq");
	view_free(w, (uint32_t)again);
	is_int(view_branch(w, 200, UINT32_MAX, ""), -EINVAL, "no such parent");
	mount_remove(w, 0, (uint32_t)b);
}

static void test_many(struct world *w)
{
	char path[64];
	int first = 0, wrong = 0, last = 0;

	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/srv/images/of/user%d/disk%d", i % 10, i);
		last = add(w, 0, path);
		if (!first)
			first = last;
	}
	ok(last == first + 999, "a thousand mounts");
	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/srv/images/of/user%d/disk%d", i % 10, i);
		wrong += lookup(w, 0, path, UINT32_MAX) != first + i;
	}
	is_int(wrong, 0, "all are found");
	is_int(lookup(w, 0, "/srv/images/of", UINT32_MAX), 0, "an ancestor of all");
	const struct um_snapshot *s = snapshot(w, 0);
	ok(s->hash_size >= 2 * 1015, "the table is at most half full (%u)", s->hash_size);
	ok(s->size < UM_SNAPSHOT_SIZE / 2, "and the snapshot small (%u)", s->size);
	for (int i = 0; i < 1000; i++)
		mount_remove(w, 0, (uint32_t)(first + i));
	is_int(w->views[0].nmounts, 0, "and gone");
}

/* More than fits: refused, and what is valid stays valid. */
static void test_full(struct world *w)
{
	char path[3000] = "/long/";
	int r = 0, n = 0, id = 0;

	memset(path + 6, 'x', 2500);
	while (n < 1000) {
		snprintf(path + 2000, 32, "%d", n);
		r = add(w, 0, path);
		if (r < 0)
			break;
		id = r;
		n++;
	}
	is_int(r, -ENOSPC, "a full table is ENOSPC (after %d)", n);
	snprintf(path + 2000, 32, "%d", n - 1);
	is_int(lookup(w, 0, path, UINT32_MAX), id, "the last that fitted is there");
	is_int(w->views[0].nmounts, n, "and the records agree");
}

int main(void)
{
	struct world *w = calloc(1, sizeof(*w));

	plan(0);
	test_paths();
	is_int(world_create(w), 0, "a world");
	is_int(w->head->magic, (long long)UM_WORLD_MAGIC, "its magic");
	ok(strchr(w->head->umview_path, '/'), "it names the binary");
	test_lookups(w);
	test_children(w);
	test_branches(w);
	test_many(w);
	test_full(w);
	world_destroy(w);
	free(w);
	return done();
}
