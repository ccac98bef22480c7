/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The threads that this process debugs (ptrace), as their debugger shall see them: without our agent.
 *
 * A stop of the kernel's that is only the mechanism's is hidden: tracee_stopped() says so, and the thread runs
 * already.  In any other the registers are the guest's, wherever in the agent the thread may be.
 */
#ifndef UM_KERNEL_TRACEE_H
#define UM_KERNEL_TRACEE_H

#include "task.h"
#include "../agent/debug.h"
#include <linux/ptrace.h>

/* struct user_regs_struct of x86-64: what PTRACE_GETREGS gives */
struct user_regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs,
		 eflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};

enum tracee_mode { RUN_CONT, RUN_CALLS, RUN_STEP };	/* PTRACE_CONT, _SYSCALL, _SINGLESTEP */

struct tracee {
	struct tracee *next;
	int tid;
	bool guest;		/* of this view: else all is as the kernel has it */
	bool ready;		/* it has stopped once, and has the options we need */
	bool fresh;		/* just born, in its first stop */
	bool entered;		/* the kernel's stop at the begin of a call has been shown */
	bool in_call;		/* its agent will tell of the end of the call it is in */
	bool early, ended;	/* this stop is shown as that end, although it is a signal's; it has been */
	uint32_t options;	/* PTRACE_O_*, DEBUG_SEIZED: as the debugger wants them */
	uint32_t debug;		/* task.debug as we have written it */
	enum tracee_mode mode;
	enum debug_event event;	/* the stop is one that its agent made, 0: one of the kernel's */
	int later, queued;	/* its true status; to be shown next, if not 0 */
	uint64_t sent, given;	/* signals with which it was let go: on from a call's begin or end; from a step */
	int owed;		/* the status of a stop on the way (tracee_way.c), to be shown at its end; 0: none */
	bool moved;		/* the present stop is shown as that */
	bool masked;		/* SIGTRAP is unblocked for it; mask is the kernel's before */
	uint64_t mask;
	struct kernel_siginfo info;	/* the owed stop's */
	bool step;		/* it is shown as a single step's end */
	bool leaving, trapping;	/* stepping out of the agent: by its edge; with the trap flag set */
	uint64_t message;	/* of the exec that is under way */
	uint64_t task;		/* address of its struct task */
	struct user_regs regs;	/* the kernel's, in this stop */
};

/* Is ptrace the kernel's (umview --plain-ptrace)? */
static inline bool ptrace_is_plain(void)
{
	return process.world->plain_ptrace;
}

/* The record of a thread that we may trace.  tracee_new() makes a new one. */
struct tracee *tracee_find(int tid);
struct tracee *tracee_new(int tid, uint32_t options);
void tracee_gone(int tid);

/* One whose present stop is to be shown once more, to a wait for pid; or NULL. */
struct tracee *tracee_next_queued(int pid);

/* A wait has found tid stopped: shall the caller see it?  *status may be changed. */
bool tracee_stopped(int tid, int *status);

/* Stops on the way (tracee_way.c).  One that is owed: false, the thread goes on; true: it must be shown where it is.  The
 * thread goes on on its way.  Is the present stop one of the way's, and *shown, as the owed one?  No way any more. */
bool tracee_owe(struct tracee *c, int status, const struct kernel_siginfo *info);
long tracee_way_on(struct tracee *c, int sig);
bool tracee_way(struct tracee *c, int *status, bool *shown);
void tracee_way_end(struct tracee *c);

/* PTRACE_* options of the kernel's that we need besides the debugger's. */
#define TRACEE_OPTIONS	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP)

/* c->regs as they are now: 0, or -ESRCH when it is not stopped.  The guest's registers, and back. */
long tracee_load(struct tracee *c);
void tracee_get(struct tracee *c, struct user_regs *u);
long tracee_set(struct tracee *c, const struct user_regs *u);

/* It runs on, in the mode c->mode, with the signal sig. */
long tracee_run(struct tracee *c, int sig);

/* Tells its agent what we want to hear; on detaching, nothing. */
void tracee_tell(struct tracee *c, uint32_t debug, uint32_t traced);

/* Its memory, through the agent's addresses or the guest's. */
bool tracee_read(struct tracee *c, uint64_t at, void *buf, size_t n);
bool tracee_write(struct tracee *c, uint64_t at, const void *buf, size_t n);

/* ptrace(2) itself. */
long tracee_ptrace(long request, int tid, unsigned long addr, unsigned long data);

/* Where its instruction pointer is (tracee_place.c). */
enum tracee_place {
	IN_GUEST,
	IN_STUB,		/* a patched site's stub */
	IN_SHORT,		/* fd_entry's short way: all registers are the guest's but rip */
	IN_ENTRY,		/* on the way in, registers half saved; or in our signal handler */
	IN_AGENT,
};
enum tracee_place tracee_place(struct tracee *c);
/* On the stack of our signal handler. */
bool tracee_in_handler(const struct tracee *c);
/* In a stub, or on the short way: where the guest believes to be. */
uint64_t tracee_normal_rip(struct tracee *c, uint64_t ip);
/* The call that it waits in is to end now, as if a signal had come.  Changes c->regs and gives them to the kernel. */
void tracee_leave_call(struct tracee *c);
/* Address of its struct task, 0 if unknown. */
uint64_t tracee_task(struct tracee *c);

#endif
