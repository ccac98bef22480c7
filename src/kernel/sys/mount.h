/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What mount.c and mount_view.c share.
 */
#ifndef UM_KERNEL_SYS_MOUNT_H
#define UM_KERNEL_SYS_MOUNT_H

#include <linux/mount.h>
#include "../path.h"

#define MOUNT_KEPT	(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)

struct mount_args {		/* too large for the stack */
	unsigned long flags;
	uint32_t mode;			/* of what is at the mount point, or bound; 0: nothing is there */
	char source[UM_PATH_MAX];
	char target[UM_PATH_MAX];
	char fstype[128];
	char data[4096];
	char path[UM_PATH_MAX];		/* the target, canonical */
	char bound[UM_PATH_MAX];	/* the source of a bind, canonical */
	char except[4096];		/* as in struct um_ctl_mount */
};

/* The st_mode of a path of the view.  0 or -errno, then *mode is 0. */
long mount_mode(struct task *t, const char *path, uint32_t *mode);

/* a->path and a->mode of a->target: it need not exist, but the directory it would be in must. */
long mount_point(struct task *t, struct mount_args *a);

/* Asks the monitor.  The number of the mount, or -errno. */
long mount_ask(struct task *t, uint32_t op, struct um_ctl_mount *m, const struct mount_args *a);

/* Types of file systems that are ours: viewfs, hide, tmpfs, cow, and those of the machine's of which there is one. */
bool mount_is_view(const char *fstype);
long mount_view(struct task *t, struct mount_args *a);
long mount_bind(struct task *t, struct mount_args *a);
long mount_move(struct task *t, struct mount_args *a);		/* MS_MOVE */
long mount_again(struct task *t, struct mount_args *a);		/* MS_REMOUNT */

#endif
