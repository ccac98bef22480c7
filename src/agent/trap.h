/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trapped system calls (SIGSYS), and what signal.c shares with kernel/sys/signal.c. */
#ifndef UM_AGENT_TRAP_H
#define UM_AGENT_TRAP_H

#include "signal.h"

/* The kernel's handler for everything. */
void signal_entry(int sig, struct kernel_siginfo *info, struct kernel_ucontext *uc);

/* signal_entry's part for seccomp's SIGSYS: the call goes on at trap_entry, on the agent's stack. */
void trap_call(struct task *t, struct kernel_siginfo *info, struct kernel_ucontext *uc);

/* A call of the guest, whose registers are mc, goes on there; mc->rip is where it comes back to. */
void trap_enter(struct task *t, struct kernel_mcontext *mc, uint32_t nr, uint64_t site);

/* signal_entry's part for SIGTRAP: is it the guest's own single step through us, and nothing to tell it of? */
bool step_taken(struct task *t, const struct kernel_siginfo *info, struct kernel_ucontext *uc);

/* entry.S, at trap_entry: one trapped call. */
void agent_trapped(struct task *t);

/* Gives the kernel what it must have for the guest's action on sig.  0 or -errno. */
int signal_install(int sig, const struct kernel_sigaction *guest);
bool signal_on_altstack(const struct task *t, uint64_t sp);
struct kernel_stack signal_own_stack(const struct task *t);
void signal_regs_to_context(const struct regs *r, struct kernel_mcontext *mc);
void signal_context_to_regs(const struct kernel_mcontext *mc, struct regs *r);	/* all but r->site */
_Noreturn void signal_leave(struct task *t, struct kernel_ucontext *uc);

#endif
