/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a FUSE program, with a keeper above it.
 */
#ifndef UM_MONITOR_KEEPER_H
#define UM_MONITOR_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct service {
	const char *program;		/* path */
	char *const *argv;
	bool keep_cwd;			/* start it in the caller's directory, not in / */
	uint32_t flags;			/* UM_SERVANT_*, and for those */
	uint32_t uid, gid;
	const char *new_place;		/* the mount point, if nothing is there: FUSE programs want a directory */
};

struct keeper_link {
	pid_t pid;			/* of the keeper */
	int socket;
	bool exited;			/* the program (its first process) has ended */
	int status;			/* ... with this wait status */
	bool closed;			/* the keeper is gone */
	char output[8192];		/* the end of what the program printed */
	size_t output_len;
};

int keeper_start(struct keeper_link *k, const struct service *s);	/* 0 or -errno */
void keeper_listen(struct keeper_link *k, int timeout_ms);		/* takes in what it says */
void keeper_accept(struct keeper_link *k);	/* the mount is there: let it run */
void keeper_reject(struct keeper_link *k);	/* it is not: end everything below the keeper */

#endif
