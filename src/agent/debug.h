/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest whose debugger is a guest, too: what its agent tells the debugger's agent.
 *
 * The debugger's agent (kernel/tracee.c) writes `debug` and `traced` into the task of the thread that it holds,
 * and WATCH_DEBUG into its process.watch.  From then on the thread tells of the events below by a private system
 * call, at which the view's filter makes it stop for who traces it (PTRACE_EVENT_SECCOMP).  Nobody else pays.
 */
#ifndef UM_AGENT_DEBUG_H
#define UM_AGENT_DEBUG_H

#include "signal.h"

/* syscall(UM_NR_DEBUG, event, struct regs *, number of the call, its result): the debugger's agent may change the
 * registers; it answers with DEBUG_SEEN and more.  ENOSYS: nobody is there any more. */
enum debug_event {
	DEBUG_ENTRY = 1,	/* a call from a patched site begins (of others the kernel tells) */
	DEBUG_EXIT,		/* a call ends, or a handler begins: the guest goes on with these registers */
	DEBUG_LOADED,		/* the program of an exec is there */
	DEBUG_FILTER,		/* a filter of the guest's asks its tracer; "result" is the filter's word */
};
#define DEBUG_SEEN	1	/* in the answer */
#define DEBUG_TRAP	2	/* to DEBUG_LOADED: send yourself the SIGTRAP that the kernel would send */

/* task.debug: what is told of */
#define DEBUG_CALLS	1u	/* each call's begin and end */
#define DEBUG_STEP	2u	/* each return to the guest */

/* task.traced: the PTRACE_O_* that the debugger wants, and */
#define DEBUG_SEIZED	(1u << 30)
#define DEBUG_TRACED	(1u << 31)

/* Signals that came in the middle of a call, for which the debugger shall stop behind its end.  Written by the
 * debugger's agent while the thread `tid` is stopped; that thread clears `tid`. */
#define DEBUG_LATER	16
struct debug_later {
	int32_t tid;
	uint32_t pad;
	struct kernel_siginfo info;
};
extern struct debug_later debug_later[DEBUG_LATER];

void debug_entry(struct task *t);
/* `tid` is the thread that made the call: a child by fork comes back from it as another one. */
void debug_exit(struct task *t, int tid, uint32_t nr, long result);
/* A filter of the guest's says SECCOMP_RET_TRACE.  true: somebody has been asked, and may have changed the call. */
bool debug_filtered(struct task *t, unsigned data);
/* The guest goes on with this context: behind rt_sigreturn, or at the start of a handler. */
void debug_context(struct task *t, uint32_t nr, struct kernel_mcontext *mc);
/* The program is loaded.  Does not return if somebody traces it. */
void debug_loaded(uint64_t entry, uint64_t sp);

#endif
