/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of the real /proc and /dev must look different in a view: the program and the cwd of a guest, its
 * virtual descriptors, the mount tables, /dev/fuse.
 */
#ifndef UM_KERNEL_FS_PROC_H
#define UM_KERNEL_FS_PROC_H

#include "../path.h"

enum proc_what {
	PROC_NONE,		/* nothing special */
	PROC_DIR,		/* a directory, surely no link (self and thread-self are taken as such) */
	PROC_EXE,		/* the program: the kernel's link shows the agent */
	PROC_CWD,		/* our own cwd, virtual */
	PROC_FD,		/* one of our own descriptors, virtual */
	PROC_BOUND,		/* a real one, or our real cwd (AT_FDCWD), behind a bind mount: the kernel knows the other end */
	PROC_HIDDEN,		/* one of the agent's descriptors */
	PROC_MAGIC,		/* a link whose text is no path to walk: only the kernel can follow it */
	PROC_MOUNTS,		/* mounts, mountinfo: ours are added */
	PROC_MOUNTINFO,
};

struct proc_hit {
	uint8_t what;		/* enum proc_what */
	int arg;		/* PROC_EXE: the process, 0 = we; PROC_FD, PROC_BOUND: the descriptor */
};

/* What is at this canonical path?  It begins with "/proc". */
struct proc_hit proc_look(const struct task *t, const char *path, size_t len);

/* The canonical path of the program that a process (0: we) runs.  Length, or -errno: the kernel's link is
 * right, or nobody knows better. */
long proc_exe(int pid, char *buf, size_t size);

/* The operations for places with w->proc set, and for /dev/fuse: real_fs but for what is faked. */
const struct fs_ops *proc_fs(void);
const struct fs_ops *fuse_node_fs(void);

#endif
