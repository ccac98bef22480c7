/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tracer (`umview --trace`): one line for each system call that comes to the agent.
 */
#ifndef UM_AGENT_TRACE_H
#define UM_AGENT_TRACE_H

#include "../kernel/task.h"

static inline bool trace_on(void)
{
	return __builtin_expect(process.watch & WATCH_TRACE, 0);
}

/* Does anybody want to hear of the end of calls?  Then handlers must return. */
static inline bool trace_ends(void)
{
	return __builtin_expect(process.watch & (WATCH_TRACE | WATCH_DEBUG), 0);
}

/* A line now, with "?" as result, for calls that may not return; nothing for others. */
void trace_before(struct task *t, uint32_t nr, const unsigned long *args);
void trace_after(struct task *t, uint32_t nr, const unsigned long *args, long result);

#endif
