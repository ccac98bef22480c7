/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What lies behind a read-only bind mount: where.read_only, and through descriptors FILE_RDONLY and fd_read_only().
 * Reading is as everywhere; what would change something is answered here.
 */
#ifndef UM_KERNEL_FS_READONLY_H
#define UM_KERNEL_FS_READONLY_H

#include "../path.h"

enum readonly_change {
	CHANGE_OLD,		/* of something that has to be there */
	CHANGE_SIZE,		/* the same of a regular file only */
	CHANGE_NEW,		/* a new name */
	CHANGE_DIR,		/* the same of a directory */
	CHANGE_NAME,		/* a name goes */
};

/* EROFS, or what the kernel says before that. */
long readonly_verdict(struct where *w, enum readonly_change change);

/* 0: it may be opened, with these flags (O_CREAT is taken out); or -errno, as of readonly_verdict(). */
long readonly_open(struct where *w, int *flags);

/* access() has said yes to this mode. */
long readonly_access(struct where *w, int mode);

/* Puts ST_RDONLY into a struct statfs. */
long readonly_statfs(struct task *t, gaddr buf);

#endif
