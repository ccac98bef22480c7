/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Leaving names out of what getdents and getdents64 have just put into guest memory.  Records are dropped, none is
 * changed, so offsets (telldir, seekdir) stay true.
 */
#ifndef UM_KERNEL_FS_DIRENTS_H
#define UM_KERNEL_FS_DIRENTS_H

#include "../file.h"

/* Drops the records whose name `drop` says yes to.  Bytes left of n. */
long dirents_drop(struct task *t, gaddr buf, long n, bool legacy, bool (*drop)(const void *arg, const char *name),
		  const void *arg);

/* Drops the names that the view hides, from a list of a real directory fd, or of one in a mount.  Bytes left. */
long dirents_hide_real(struct task *t, int fd, gaddr buf, long n, bool legacy);
long dirents_hide(struct task *t, struct file *dir, gaddr buf, long n, bool legacy);

/* Turns struct linux_dirent64 records into those of the old getdents (same sizes), in place. */
void dirents_to_legacy(uint8_t *data, size_t size);

#endif
