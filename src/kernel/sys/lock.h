/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lock commands of fcntl(2) on a virtual file: sys/lock.c answers them for sys/fd.c.
 */
#ifndef UM_KERNEL_SYS_LOCK_H
#define UM_KERNEL_SYS_LOCK_H

#include "../file.h"

long lock_fcntl(struct task *t, int fd, const struct file *f, int cmd, gaddr arg);

#endif
