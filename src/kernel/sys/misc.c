/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small calls of no family.
 */
#include "calls.h"

/* The kernel's mask serves real files; the copy goes with the requests to servers. */
long sys_umask(struct task *t, unsigned mask)
{
	long old = kernel_call(t, __NR_umask, mask);

	if (old >= 0)
		t->fs->umask = mask & 0777;
	return old;
}
