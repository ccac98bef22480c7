/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process in a view says to it: the private system call (wire/channel.h).  All return a value >= 0,
 * or -errno; outside a view that is -ENOSYS.
 */
#ifndef UM_MONITOR_CLIENT_H
#define UM_MONITOR_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../wire/channel.h"

bool client_inside(void);
int client_info(struct um_info *info);
bool client_is_strict(void);			/* in secure mode */
int client_branch(const char *name);		/* this process changes to a view of its own: its number */
int client_branch_end(int view);
int client_review(int in, int status, int out, int err);		/* review_inside.c */
int client_below(unsigned id);			/* this process sees what is below that copy-on-write mount */
int client_log(const char *line);
int client_log_tail(char *buf, size_t size);
int client_servant(uint32_t flags, uint32_t uid, uint32_t gid);
int client_servants(pid_t *pids, int max);
int client_identity(const char *text);		/* who this thread is from now on: identity.h */

/* One mount of the view, for people. */
struct client_mount {
	struct um_mount_info info;
	const char *path, *source, *fstype, *options, *target;
};

/* All mounts this process sees, oldest first.  Returns their number; free(*list) frees the strings too. */
int client_mounts(struct client_mount **list);

#endif
