/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signals.
 *
 * The kernel's handler for every signal the guest handles (and for SIGSYS, SIGSEGV, SIGBUS always) is
 * signal_entry(), on the task's alternate stack, all signals blocked, so that they come one by one, in the
 * kernel's order.  It decides by where the guest was interrupted:
 *
 *	seccomp's SIGSYS	a trapped call: registers to the task, on to trap_entry (agent/trap.c)
 *	guest code		the guest's frame is built on its stack, its handler runs on return
 *	our code		queued; all else blocked by the mask in our frame; the edge delivers
 *
 * Kernel dispositions carry the guest's SA_RESTART, SA_NOCLDSTOP, SA_NOCLDWAIT; everything else is kept
 * here.  Masks are the kernel's, less SIGSYS, whose blocking is virtual.
 */
#ifndef UM_AGENT_SIGNAL_H
#define UM_AGENT_SIGNAL_H

#include "agent.h"
#include "../kernel/task.h"

/* sigaltstack(2), linux/signal.h not being among the user's headers */
#define UM_SS_ONSTACK		1
#define UM_SS_DISABLE		2
#define UM_SS_AUTODISARM	(1u << 31)

#define UM_NSIG		64
#define SI_TKILL	(-6)	/* si_code, sent to one thread: asm-generic/siginfo.h */
#define SIGBIT(n)	(1ull << ((n) - 1))

/* struct sigaction of the system call */
struct kernel_sigaction {
	uint64_t handler;
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

struct sighand {		/* shared by CLONE_SIGHAND */
	uint32_t refs;
	struct lock lock;
	struct kernel_sigaction act[UM_NSIG + 1];	/* the guest's, by number */
};

struct kernel_stack { uint64_t sp; int32_t flags; int32_t pad; uint64_t size; };

/* struct sigcontext of x86-64, as the kernel writes it */
struct kernel_mcontext {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate;
	uint64_t reserved[8];
};

struct kernel_ucontext {
	uint64_t flags;
	uint64_t link;
	struct kernel_stack stack;
	struct kernel_mcontext mc;
	uint64_t mask;
};

struct kernel_siginfo {		/* 128 bytes; the fields we look at */
	int32_t signo, error, code, pad;
	union {
		uint64_t value[14];
		struct { int32_t pid, uid; } kill;
		struct { uint64_t addr; int32_t nr; uint32_t arch; } sys;
	};
};

#define UM_QUEUE	8	/* one that the kernel has let through, and both kinds of what may be a fault */

struct sigstate {
	uint64_t mask;			/* the guest's blocked signals, as it set them (SIGSYS too) */
	struct kernel_stack alt;	/* the guest's alternate stack */
	int queued;			/* entries of queue[]; signals that came while we were busy */
	struct kernel_siginfo queue[UM_QUEUE];
	struct kernel_ucontext uc;	/* of the first of them: mask to go back to, flags, segments */
	bool waiting;			/* in a call that waits with a mask of its own */
	bool interrupted;		/* the first of queue[] was let through by that mask */
	uint64_t wait_mask;		/* that mask, as the guest gave it */
	bool sys_pending;		/* a SIGSYS of the guest's own waits behind its virtual mask (sigsys.c) */
	bool lent;			/* SIGSYS is blocked in the kernel; others read it */
	struct kernel_siginfo sys_info;
	struct kernel_siginfo forced;	/* signo != 0: what the SIGSYS that signal_force_sigsys() sends means */
};

_Static_assert(sizeof(struct kernel_mcontext) == 256, "sigcontext");
_Static_assert(sizeof(struct kernel_siginfo) == 128, "siginfo");

void signal_start(struct task *t, uint64_t ignored);	/* first thread of a new image */
void signal_thread(struct task *t);		/* gives the kernel this thread's alternate stack */
uint64_t signal_block_all(void);		/* returns the kernel mask before */
void signal_set_mask(uint64_t kernel_mask);
void agent_edge(struct task *t);		/* entry.S: delivers what is queued */

/* Dispositions the next image must start with although ours are installed: bit = ignored. */
uint64_t signal_ignored(struct task *t);
/* Around exec: give the kernel the guest's own idea of SIGSEGV, SIGBUS, SIGSYS; and take it back. */
void signal_before_exec(struct task *t);
void signal_after_failed_exec(struct task *t);

/*
 * The call being served is answered by a signal that cannot be held back (the kernel's force_sig): info is
 * for the guest's handler of SIGSYS, which sees the registers as they were before the call.  The value is the
 * call's result.  Without a handler, or while SIGSYS is blocked, the process ends here.
 */
long signal_force_sigsys(struct task *t, const struct kernel_siginfo *info);

/* signal_action.c: what the kernel has for the guest's actions. */
#define UM_OURS	(SIGBIT(11 /* SIGSEGV */) | SIGBIT(7 /* SIGBUS */) | SIGBIT(31 /* SIGSYS */))	/* always our handler */
static inline bool signal_always_ours(int sig)
{
	return SIGBIT(sig) & UM_OURS;
}
bool signal_ignored_by_default(int sig);
void signal_default(int sig);			/* the kernel's own action, for what shall kill */
void signal_install_default(int sig, const struct kernel_sigaction *act);	/* SIG_DFL; what is pending stays so */

/* Every handler of the guest's becomes the default action; what is ignored stays ignored. */
void signal_clear_handlers(struct task *t);

/* A signal that has come for this thread or its process goes back to the kernel, as what it was: what is the process's comes
 * behind what is pending for the thread.  It must be blocked, or it comes again at once. */
void signal_send_again(struct task *t, const struct kernel_siginfo *info);

/* The guest's own SIGSYS, whose blocking is virtual (sigsys.c). */
/* It has come (by_mask: let through by the mask of the call that waits); true: the guest blocks it, it is kept. */
bool sigsys_hold(struct task *t, const struct kernel_siginfo *info, bool by_mask);
bool sigsys_held(const struct task *t);
const uint32_t *sigsys_shared_state(void);	/* not 0: one is held for the process; also for others who read our memory */
/* Makes of a SIGSYS that has come the one that was meant.  true: there is none any more. */
bool sigsys_is_none(struct kernel_siginfo *info);
void sigsys_release(struct task *t);	/* the mask has changed: is one to be delivered? */
void sigsys_lend(struct task *t);	/* blocks SIGSYS in the kernel, and gives it what is held */
void sigsys_take_back(struct task *t);	/* the contrary, if it was lent */
void sigsys_drop(struct task *t);	/* it is ignored from now on: whatever is held, for whichever thread, goes */
void sigsys_after_fork(struct task *t);	/* a child has nothing pending */

struct sighand *sighand_copy(struct sighand *old);
void sighand_put(struct sighand *s);

static inline bool signal_faults_blocked(const struct task *t)
{
	return t->sig->mask & (SIGBIT(11 /* SIGSEGV */) | SIGBIT(7 /* SIGBUS */));
}

/* A call of the guest's was interrupted: would the kernel make it again after the handler (SA_RESTART)? */
static inline bool signal_restarts(const struct task *t)
{
	int sig = t->sig && t->sighand && t->sig->queued ? t->sig->queue[0].signo : 0;

	return sig > 0 && sig <= UM_NSIG && (t->sighand->act[sig].flags & 0x10000000u /* SA_RESTART */);
}

/* A mask of the guest's as the kernel may have it. */
static inline uint64_t signal_kernel_mask(uint64_t guest) { return guest & ~SIGBIT(31 /* SIGSYS */); }

#endif
