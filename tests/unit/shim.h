/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a unit test may look at in the hosted stand-in for the agent's mechanism (shim.c).  Everything in
 * shim.c is weak: a test that needs another heap_alloc() or kernel_call6() just defines it.
 */
#ifndef UM_SHIM_H
#define UM_SHIM_H

#include "../../src/kernel/task.h"

extern char shim_log[16384];		/* all lines of agent_log(), each with its newline */
extern unsigned shim_log_len;
void shim_log_clear(void);

extern long shim_heap_live;		/* heap_alloc()s not yet freed */
extern long shim_heap_fail_after;	/* >= 0: that many more allocations succeed, then NULL */

extern long shim_last_call;		/* number of the last kernel_call6() */
extern long (*shim_kernel_call)(long nr, const long *args);	/* if set, answers instead of the kernel */

#endif
