/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Classic BPF as seccomp has it: the check of a program, and its execution on struct seccomp_data.
 */
#ifndef UM_KERNEL_CBPF_H
#define UM_KERNEL_CBPF_H

#include "../agent/agent.h"
#include <linux/filter.h>
#include <linux/seccomp.h>

/* What the kernel's check says of a program for seccomp: 0 or -EINVAL. */
int cbpf_check(const struct sock_filter *prog, unsigned len);

/* What a program that has passed the check returns. */
uint32_t cbpf_run(const struct sock_filter *prog, const struct seccomp_data *data);

/* Does it allow call nr of our architecture, whatever the arguments, wherever it is made?  (false: not known.) */
bool cbpf_always_allows(const struct sock_filter *prog, uint32_t nr);

/* Its length once the kernel has translated it to its own machine: that is what its limit counts. */
unsigned cbpf_translated(const struct sock_filter *prog, unsigned len);

#endif
