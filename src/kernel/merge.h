/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Merged directories, as they look to everybody but the resolver (path_merge.c has the rule).
 */
#ifndef UM_KERNEL_MERGE_H
#define UM_KERNEL_MERGE_H

#include "path.h"

struct merge {			/* a merge mount */
	struct merge *next;
	struct mount m;
	uint64_t checked;	/* the generation in which `plain` was found out */
	bool plain;		/* the kernel's, and nothing mounted on the way to it or in it */
	size_t len;		/* of target; 0 = the root */
	char target[];
};

static inline bool mount_merges(const struct mount *m)
{
	return m->kind == UM_MOUNT_MERGE || (m->kind == UM_MOUNT_REMOTE && m->flags & UM_MNT_MERGE);
}

/* By the id of the mount, or NULL.  Valid as long as the process lives. */
struct merge *merge_get(const struct task *t, uint32_t id);

/* lstat(2) of a name in it, where it is plain.  buf has UM_PATH_MAX bytes. */
int merge_look(const struct merge *g, const char *tail, size_t n, char *buf, struct stat *st);

static inline bool merge_is_nothing(long r)
{
	return r == -ENOENT || r == -ENOTDIR;
}

/*
 * Does a merge mount show something at this path of the view (canonical), or perhaps do so?  No: what is there, and below it, is
 * what would be there without merge mounts.
 */
bool merge_has(const struct task *t, const char *path, size_t len);

/*
 * The i-th of the merge mounts whose names show in the directory at this path of the view (canonical), the newest being number
 * 0: *w becomes the directory in what it shows.  0, -ENOENT: there are no more; -errno.
 */
long merge_layer(struct task *t, const char *path, uint32_t i, struct where *w);

/* *w becomes what is at this path. */
long merge_place(struct task *t, const char *path, struct where *w);

/* Is fd a merged directory, whose listing we make?  Then *r is what getdents returns. */
bool merge_getdents(struct task *t, int fd, gaddr buf, unsigned count, bool legacy, long *r);

#endif
