/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What sys_prctl() hands to seccomp.c. */
#ifndef UM_KERNEL_SYS_SECCOMP_H
#define UM_KERNEL_SYS_SECCOMP_H

#include "../task.h"

long prctl_set_seccomp(struct task *t, unsigned long mode, gaddr filter);
long prctl_no_new_privs(struct task *t, bool set, unsigned long a, bool rest);
long prctl_dispatch(struct task *t, unsigned long mode, uint64_t offset, uint64_t len, gaddr selector);

#endif
