/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading a view: the mount table the monitor publishes (wire/world.h).  Readers take no lock and see
 * one snapshot or the next, never a mixture.
 */
#ifndef UM_KERNEL_VIEW_H
#define UM_KERNEL_VIEW_H

#include "task.h"

/* A copy of what a reader needs of one mount, taken from a consistent snapshot. */
struct mount {
	uint32_t id, rank, kind, server, flags, is_dir, dev_minor, epoch;
	uint32_t path_len;
};

enum view_hit {
	VIEW_PLAIN,		/* nothing virtual at this path or below it */
	VIEW_ABOVE,		/* a mount lies somewhere below this path */
	VIEW_MOUNT,		/* exactly a mount point: *m is filled (newest visible) */
};

/* path: absolute, canonical, len bytes, no trailing slash but "/" itself. */
enum view_hit view_lookup(const struct task *t, const char *path, size_t len, struct mount *m);

/* The same as seen by a process with another epoch (what lies beyond a bind mount). */
enum view_hit view_lookup_at(uint32_t epoch, const char *path, size_t len, struct mount *m);

/* The same by who knows um_path_hash(path, len) already (0: he does not). */
enum view_hit view_lookup_key(uint32_t epoch, const char *path, size_t len, uint32_t key, struct mount *m);

/* The same of mounts of a lower rank than this only: what is below a mount. */
enum view_hit view_lookup_under(uint32_t epoch, uint32_t rank, const char *path, size_t len, struct mount *m);

/* Maps the world's header and the first view, read-only (process.world): once, at start.  0 or -errno. */
int view_map_world(void);

/* Maps the span of a view read-only and makes it this process's (process.views): at start and after a
 * branch.  0 or -errno. */
int view_map(uint32_t view);

/* Is there any mount of this kind?  (When the table is just being changed: perhaps.) */
static inline bool view_has(enum um_mount_kind kind)
{
	return __atomic_load_n(&process.views->kinds, __ATOMIC_ACQUIRE) >> kind & 1;
}

/* Any mount visible to this task at all?  Any that hides something? */
static inline bool view_is_empty(const struct task *t)
{
	uint32_t oldest = __atomic_load_n(&process.views->oldest, __ATOMIC_ACQUIRE);

	return !oldest || oldest >= t->epoch;
}

static inline bool view_hides(void)
{
	return view_has(UM_MOUNT_HIDE);
}

/* Has a mount ever been moved?  Then what a path was once it may not be any more. */
static inline bool view_has_moves(void)
{
	return __atomic_load_n(&process.views->moves, __ATOMIC_ACQUIRE);
}

/*
 * Changes with every change of the mount table, and (by guests) of any link or directory name: what was cached under another value
 * is stale.  Four things in one word: the sequence number of the valid snapshot (it grows with each, whichever place
 * in the ring), the count of changed links, and what this task sees of the table.  They are mixed so that
 * a step of one cannot undo a step of another.
 */
static inline uint64_t view_generation(const struct task *t)
{
	uint64_t g = __atomic_load_n(&process.views->seq, __ATOMIC_ACQUIRE) | 1;

	g = g * 0x9e3779b97f4a7c15ull + __atomic_load_n(&process.world->links, __ATOMIC_ACQUIRE);
	g = g * 0xd6e8feb86659fd93ull + ((uint64_t)t->view << 32 | t->epoch);
	return g ? g : 1;
}

/* The target of a UM_MOUNT_BIND, UM_MOUNT_COW or UM_MOUNT_MERGE mount, and mounts by id.  0 or -ENOENT. */
int view_bind_target(const struct task *t, uint32_t mount_id, char *buf, size_t size);
int view_mount_by_id(const struct task *t, uint32_t mount_id, struct mount *m, char *path, size_t size);

/* The ids of the UM_MOUNT_COW mounts, at most max.  How many. */
int view_cow_ids(const struct task *t, uint32_t *ids, int max);

/* The UM_MOUNT_COW mount in whose tree this real path lies: m, and where it is mounted.  The length of the tree's own path,
 * or -ENOENT. */
int view_cow_by_tree(const struct task *t, const char *path, size_t len, struct mount *m, char *dir, size_t size);

/* The visible mounts as the lines of /proc/PID/mounts (style 0) or mountinfo (style 1).  Returns bytes
 * written, or -ENOSPC. */
long view_print(const struct task *t, int style, char *buf, size_t size);

/* A guest made or moved a link or directory: stale prefixes must die in every process. */
void view_links_changed(const struct task *t);

/* The table of virtual attributes is not empty any more (um_world.vstat_used). */
void view_vstat_used(void);

#endif
