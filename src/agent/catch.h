/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filters that the agent puts into the kernel on behalf of a guest that has filters of its own. */
#ifndef UM_AGENT_CATCH_H
#define UM_AGENT_CATCH_H

#include "agent.h"

/*
 * From now on every call of this thread (with SECCOMP_FILTER_FLAG_TSYNC in flags: of all threads) and of
 * what it gives birth to comes to the agent, those too that the view's filter lets through by number.
 * With SECCOMP_FILTER_FLAG_NEW_LISTENER, the calls made by notify_call() are told to the listener, whose
 * descriptor is the result.  As seccomp(2): also the id of a thread that cannot be synchronised, or -errno.
 */
long catch_calls(unsigned flags);

/* The same for the calls about users and groups only: this thread has an identity (kernel/cred.h).  0 or -errno. */
long catch_identity(void);

/* The same for poll and select: of all threads of this process, or, where some have filters of their own, of this one alone: 1.  Else 0 or
 * -errno. */
long catch_polls(void);

/* The next call of this thread carries `action` out: SECCOMP_RET_KILL_THREAD or SECCOMP_RET_KILL_PROCESS. */
void catch_death(uint32_t action);

/* entry.S: the guest's call as it came, told to the listener of catch_calls().  What the listener answers,
 * or, interrupted, what kernel_call() would return. */
long notify_call(struct task *t);

#endif
