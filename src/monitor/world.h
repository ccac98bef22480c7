/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The writer's side of the world file (wire/world.h): the monitor's own records of views and mounts, and
 * the snapshots made from them.  Used by one thread only.
 */
#ifndef UM_MONITOR_WORLD_H
#define UM_MONITOR_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../wire/channel.h"
#include "../wire/world.h"

/* A mount, shared by the views that have it. */
struct mount_rec {
	uint32_t id, kind, server, flags, view, is_dir;
	uint32_t rank;			/* its id, until it is renewed */
	uint32_t epoch;			/* binds: 0 = that of the mount itself */
	uint32_t owner;			/* UM_MNT_PART: the mount it belongs to */
	bool made;			/* `target` is a directory of our own making: private.h */
	bool placeholder;		/* a bind that only makes the path exist until a server is mounted there */
	int refs;			/* views that hold it; freed with the last */
	char *path, *source, *fstype, *options, *target;
};

struct view {
	struct um_view_slot *slot;	/* mapped UM_VIEW_SPAN; NULL: this view does not exist */
	struct mount_rec **mounts;	/* by rank, lowest first */
	uint32_t nmounts, room;
	uint64_t version;		/* of the last snapshot published */
	uint32_t published[2];		/* which it was, in the ring of the small and of the large ones */
};

struct world {
	int fd;				/* an open file description of our own */
	struct um_world *head;
	struct view views[UM_VIEWS];
	uint32_t next_id;
};

/* All return 0 or a value >= 0, or -errno. */
int world_create(struct world *w);		/* with an empty view 0 */
void world_destroy(struct world *w);
void *world_map(const struct world *w, uint64_t offset, size_t size);	/* NULL on failure */
int world_reopen(const struct world *w);	/* a new open file description of the world file */

/* A copy of `parent` as a process with `epoch` sees it.  Returns the number. */
int view_branch(struct world *w, uint32_t parent, uint32_t epoch, const char *name);
void view_free(struct world *w, uint32_t v);
int view_publish(struct view *v);	/* snapshot.c: guests see it as it is now */
struct view *view_get(struct world *w, uint32_t v);	/* NULL if there is none */

/* Adds a mount (strings are copied; id and refs of `like` are ignored) and publishes.  Returns the id. */
int mount_add(struct world *w, uint32_t v, const struct mount_rec *like);
/* The same with `parts` of it, which go when it goes; all at once. */
int mount_add_with(struct world *w, uint32_t v, const struct mount_rec *like, struct mount_rec *parts, uint32_t nparts);
/* In this view only: other flags; a new number, so that it covers newer ones.  0 or -errno. */
int mount_set_flags(struct world *w, uint32_t v, struct mount_rec *m, uint32_t flags);
int mount_renew(struct world *w, uint32_t v, struct mount_rec *m);
/* To another place, with all that is mounted in it (world_move.c).  0 or -errno. */
int mount_move(struct world *w, uint32_t v, const struct mount_rec *top, const char *to);
/* A copy for this view alone, where others have the mount too, so that it can be changed.  NULL: there can be no copy of what ends
 * with its last holder. */
struct mount_rec *mount_own(struct view *view, struct mount_rec *m);
/* Takes it, and what are parts of it, out of this view and publishes.  0, -ENOENT. */
int mount_remove(struct world *w, uint32_t v, uint32_t id);
/* Newest mount (no part of one) exactly at path that is visible at `epoch`, or NULL. */
struct mount_rec *mount_at(struct world *w, uint32_t v, const char *path, uint32_t epoch);
struct mount_rec *mount_by_id(struct world *w, uint32_t v, uint32_t id);
/* Does a newer mount of this view lie below it, or a bind mount show something in it? */
bool mount_has_children(struct world *w, uint32_t v, const struct mount_rec *m);

/* Absolute, no empty name, no "." or "..", no slash at the end but "/" itself. */
bool path_is_canonical(const char *path);
/* Is path the same as dir or below it? */
bool path_is_below(const char *path, const char *dir);

#endif
