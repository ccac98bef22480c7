/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where signals arrive and how they reach the guest (see signal.h for the plan).  The calls by which
 * guests manage signals are in kernel/sys/signal.c.
 *
 * The invariant: while something is queued (task.pending), every signal but SIGSEGV, SIGBUS and SIGSYS is
 * blocked in the kernel, so the queue has rarely more than one entry.  The edge delivers all of it, as the kernel would
 * in the same loop; what the handler of the first blocks is given back to the kernel.
 */
#include "signal.h"
#include "trap.h"
#include "debug.h"
#include "patch.h"
#include "life.h"
#include "../arch/x86_64/offsets.h"
#include <linux/seccomp.h>
#include <asm/signal.h>
#include <asm/prctl.h>

#define SYS_SECCOMP_CODE	1
#define SI_KERNEL		0x80
#define FXSAVE_SIZE		512
#define FP_XSTATE_MAGIC1	0x46505853u
#define EFLAGS_TF		0x100ull
#define EFLAGS_DF		0x400ull
#define EFLAGS_RF		0x10000ull
#define REDZONE			128
#define FORCED_CODE		(-0x756d)	/* of the SIGSYS we send ourselves; guests cannot see it */
/* What stays deliverable while we are busy: faults of our own copies, and trapped calls (none). */
#define BUSY_MASK	(~UM_OURS)

extern char agent_text_start[], agent_text_end[];
extern char call_window[], call_syscall[], call_returned[], call_interrupted[];
extern char last_window[], last_syscall[], last_returned[], last_interrupted[];
extern char notify_window[], notify_syscall[];
extern char leaving_window[], leaving_syscall[], leaving_returned[], leaving_mode[], leaving_mode_end[];
extern char edge_window[], edge_window_end[];
extern char fd_window[], fd_syscall[], fd_slow[], fd_done[], fd_done_end[];
extern char copy_window[], copy_window_end[], copy_fault[];
extern char string_window[], string_window_end[];
extern char fd_entry_plain[], stub_entry_plain[];
_Noreturn void signal_return(void *ucontext);

struct rt_frame {
	uint64_t pretcode;
	struct kernel_ucontext uc;
	struct kernel_siginfo info;
};

static bool within(uint64_t ip, const char *from, const char *to)
{
	return ip >= (uint64_t)from && ip < (uint64_t)to;
}

/* The fault was caused by the instruction itself, not sent by somebody. */
static bool is_synchronous(int sig, const struct kernel_siginfo *info)
{
	return info->code > 0 && (sig == SIGSEGV || sig == SIGBUS || sig == SIGILL ||
				  sig == SIGFPE || sig == SIGTRAP);
}

static size_t fpstate_size(const char *fp)
{
	uint32_t magic, size;
	memcpy(&magic, fp + 464, 4);
	memcpy(&size, fp + 468, 4);
	return magic == FP_XSTATE_MAGIC1 ? size : FXSAVE_SIZE;
}

uint64_t signal_block_all(void)
{
	uint64_t all = ~0ull, old = 0;
	raw_syscall(__NR_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
	return old;
}

void signal_set_mask(uint64_t kernel_mask)
{
	raw_syscall(__NR_rt_sigprocmask, SIG_SETMASK, &kernel_mask, NULL, 8);
}

/* ---- building the guest's frame ----------------------------------------------------------------------- */

static bool on_alt(const struct kernel_stack *alt, uint64_t sp)
{
	return alt->size && sp - alt->sp < alt->size;
}

bool signal_on_altstack(const struct task *t, uint64_t sp)
{
	if (t->sig->alt.flags & UM_SS_AUTODISARM)
		return false;
	return on_alt(&t->sig->alt, sp);
}

/* Where the frame goes, as the kernel's get_sigframe() has it. */
static uint64_t frame_place(struct task *t, const struct kernel_sigaction *act, uint64_t sp,
			    size_t fpsize, uint64_t *fp)
{
	const struct kernel_stack *alt = &t->sig->alt;

	if ((act->flags & SA_ONSTACK) && alt->size && !(alt->flags & UM_SS_DISABLE) &&
	    !signal_on_altstack(t, sp))
		sp = alt->sp + alt->size;
	else
		sp -= REDZONE;
	*fp = (sp - fpsize) & ~63ull;
	return ((*fp - sizeof(struct rt_frame)) & ~15ull) - 8;
}

static struct kernel_stack guest_stack_info(struct task *t, uint64_t sp)
{
	struct kernel_stack s = t->sig->alt;
	if (!s.size)
		s.flags = UM_SS_DISABLE;
	else
		s.flags = (s.flags & UM_SS_AUTODISARM) | (signal_on_altstack(t, sp) ? UM_SS_ONSTACK : 0);
	return s;
}

/*
 * Turns the context in uc (the guest's, its vector state at fp) into the start of the guest's handler,
 * after having saved it in a frame on the guest's stack.  uc->mask is the mask to go back to; it becomes
 * the mask of the handler, as the kernel makes that: from the mask of the waiting call that the signal has
 * interrupted, if there is one, so that what else is pending follows.  false: the guest's stack cannot be written.
 */
static bool enter_handler(struct task *t, int sig, const struct kernel_siginfo *info,
			  struct kernel_ucontext *uc, const char *fp, const struct kernel_sigaction *act)
{
	struct rt_frame f;
	size_t fpsize = fp ? fpstate_size(fp) : 0;
	uint64_t fpdst, guest_mask = uc->mask | (t->sig->mask & SIGBIT(SIGSYS));
	uint64_t at = frame_place(t, act, uc->mc.rsp, fpsize, &fpdst);

	f.pretcode = act->restorer;
	f.uc = *uc;
	f.uc.link = 0;
	f.uc.stack = guest_stack_info(t, uc->mc.rsp);
	f.uc.mask = guest_mask;
	f.uc.mc.fpstate = fp ? fpdst : 0;
	f.info = *info;
	const struct iovec own[] = { { &f, sizeof f }, { (void *)fp, fpsize } };
	const struct iovec guest[] = { { (void *)at, sizeof f }, { (void *)fpdst, fpsize } };
	if (copy_to_guest_blocked(t, own, guest, fp ? 2 : 1))
		return false;
	if (t->sig->alt.flags & UM_SS_AUTODISARM)
		memset(&t->sig->alt, 0, sizeof t->sig->alt);

	uc->mc.rdi = sig;
	uc->mc.rsi = at + offsetof(struct rt_frame, info);
	uc->mc.rdx = at + offsetof(struct rt_frame, uc);
	uc->mc.rax = 0;
	uc->mc.rip = act->handler;
	uc->mc.rsp = at;
	uc->mc.rflags &= ~(EFLAGS_DF | EFLAGS_RF | EFLAGS_TF);
	uc->mc.fpstate = 0;
	if (t->sig->interrupted)
		guest_mask = t->sig->wait_mask;
	guest_mask |= act->mask | (act->flags & SA_NODEFER ? 0 : SIGBIT(sig));
	guest_mask &= ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
	t->sig->mask = guest_mask;
	uc->mask = signal_kernel_mask(guest_mask);
	return true;
}

/* The guest's action on sig, with SA_RESETHAND carried out. */
static struct kernel_sigaction take_action(struct task *t, int sig)
{
	struct sighand *h = t->sighand;
	struct kernel_sigaction act = h->act[sig];

	if ((act.flags & SA_RESETHAND) && act.handler > (uint64_t)SIG_IGN) {
		h->act[sig].handler = (uint64_t)SIG_DFL;
		signal_install_default(sig, &h->act[sig]);
	}
	return act;
}

/* The default action of sig shall happen to the guest when it goes on with context uc. */
static void die_of(struct task *t, int sig, const struct kernel_siginfo *info, struct kernel_ucontext *uc)
{
	signal_default(sig);
	if (!is_synchronous(sig, info))
		raw_syscall(__NR_rt_tgsigqueueinfo, t->pid, t->tid, sig, info);
	uc->mask &= ~SIGBIT(sig);
}

static void deliver(struct task *t, int sig, const struct kernel_siginfo *info,
		    struct kernel_ucontext *uc, const char *fp);

/* The guest's stack has no room for the frame of sig: SIGSEGV, for which it may have a handler on another stack. */
static void no_frame(struct task *t, int sig, struct kernel_ucontext *uc, const char *fp)
{
	struct kernel_siginfo segv = { .signo = SIGSEGV, .code = SI_KERNEL };

	if (sig == SIGSEGV || (uc->mask & SIGBIT(SIGSEGV)))
		t->sighand->act[SIGSEGV].handler = (uint64_t)SIG_DFL;
	if (t->sighand->act[SIGSEGV].handler > (uint64_t)SIG_IGN) {
		deliver(t, SIGSEGV, &segv, uc, fp);
		return;
	}
	signal_default(SIGSEGV);
	raw_syscall(__NR_rt_tgsigqueueinfo, t->pid, t->tid, SIGSEGV, &segv);
	uc->mask &= ~SIGBIT(SIGSEGV);
}

/* One signal for the guest whose context is uc: afterwards uc is what it goes on with. */
static void deliver(struct task *t, int sig, const struct kernel_siginfo *info,
		    struct kernel_ucontext *uc, const char *fp)
{
	struct kernel_sigaction act = take_action(t, sig);

	if (act.handler == (uint64_t)SIG_IGN && !is_synchronous(sig, info))
		return;
	if (act.handler == (uint64_t)SIG_DFL && signal_ignored_by_default(sig))
		return signal_install_default(sig, &act);
	if (act.handler <= (uint64_t)SIG_IGN) {
		die_of(t, sig, info, uc);
		return;
	}
	if (!enter_handler(t, sig, info, uc, fp, &act))
		no_frame(t, sig, uc, fp);
}

/* ---- arrival ---------------------------------------------------------------------------------------- */

/* Sent to the thread, as far as one can tell. */
static bool is_private(const struct kernel_siginfo *info)
{
	return info->code == SI_TKILL;
}

/*
 * A signal found us at work: remember it, see that we come to the edge soon.  by_mask: the kernel was waiting with
 * the mask of the call and let it through; uc has the mask to go back to, as always.
 */
static void queue(struct task *t, const struct kernel_siginfo *info, struct kernel_ucontext *uc, bool by_mask)
{
	struct sigstate *s = t->sig;

	for (int i = 0; i < s->queued; i++)
		if (s->queue[i].signo == info->signo && is_private(&s->queue[i]) == is_private(info))
			return;			/* pending already: only real-time signals queue, and none of those comes twice here */
	if (s->queued == UM_QUEUE)
		return;
	if (!s->queued) {
		size_t size = fpstate_size((const char *)uc->mc.fpstate);
		if (size > TASK_FPSAVE_SIZE)
			agent_panic("vector state of %lu bytes", size);
		memcpy((char *)t + TASK_FPSAVE, (const void *)uc->mc.fpstate, size);
		s->uc = *uc;
		s->uc.mask &= ~SIGBIT(SIGSYS);
		s->interrupted = by_mask;
	}
	s->queue[s->queued++] = *info;
	t->pending = 1;
	uc->mask |= BUSY_MASK;
}

/* Interrupted in one of the windows of entry.S: go on where the window says. */
static void leave_window(struct task *t, struct kernel_ucontext *uc)
{
	uint64_t ip = uc->mc.rip;

	if ((ip >= (uint64_t)call_window && ip <= (uint64_t)call_syscall) ||
	    (ip >= (uint64_t)notify_window && ip <= (uint64_t)notify_syscall) ||
	    (ip >= (uint64_t)leaving_window && ip <= (uint64_t)leaving_syscall))
		uc->mc.rip = (uint64_t)call_interrupted;
	if (ip >= (uint64_t)last_window && ip <= (uint64_t)last_syscall)
		uc->mc.rip = (uint64_t)last_interrupted;
	if (ip >= (uint64_t)fd_window && ip <= (uint64_t)fd_syscall) {
		uc->mc.rip = (uint64_t)fd_slow;
		uc->mc.r11 = (uint64_t)t;	/* the kernel may have been there already */
	}
	if (within(ip, edge_window, edge_window_end)) {
		uc->mc.rip = (uint64_t)edge_window;
		uc->mc.rdi = (uint64_t)t;
	}
}

/* The guest sees nothing of this signal, so a call that it has interrupted is made again. */
static void ignore(struct task *t, struct kernel_ucontext *uc)
{
	if ((long)uc->mc.rax == -EINTR && (uc->mc.rip == (uint64_t)call_returned || uc->mc.rip == (uint64_t)leaving_returned))
		uc->mc.rip = (uint64_t)call_interrupted;
	if ((long)uc->mc.rax == -EINTR && uc->mc.rip == (uint64_t)fd_done) {
		uc->mc.rip = (uint64_t)fd_slow;
		uc->mc.r11 = (uint64_t)t;
	}
	if ((long)uc->mc.rax == -EINTR && uc->mc.rip == (uint64_t)last_returned)
		uc->mc.rip = (uint64_t)last_interrupted;
	leave_window(t, uc);
}

/* The guest ignores it, but the kernel does not know, or not yet. */
static bool is_none(struct task *t, int sig)
{
	const struct kernel_sigaction *act = &t->sighand->act[sig];

	if (act->handler == (uint64_t)SIG_DFL && signal_ignored_by_default(sig)) {
		signal_install_default(sig, act);
		return true;
	}
	return act->handler == (uint64_t)SIG_IGN && signal_always_ours(sig);
}

static void arrived_in_agent(struct task *t, int sig, struct kernel_siginfo *info,
			     struct kernel_ucontext *uc, bool by_mask)
{
	uint64_t ip = uc->mc.rip;

	if (is_synchronous(sig, info)) {
		if (within(ip, copy_window, copy_window_end) || within(ip, string_window, string_window_end) ||
		    within(ip, leaving_mode, leaving_mode_end)) {
			uc->mc.rip = (uint64_t)copy_fault;
			return;
		}
		if (ip == (uint64_t)fd_entry_plain || ip == (uint64_t)stub_entry_plain) {
			uc->mc.rip = uc->mc.rcx + STUB_TRAP;
			return;
		}
		agent_panic("signal %d at %lx, address %lx, stack %lx, call %u", sig, ip,
			    info->sys.addr, uc->mc.rsp, t->nr);
	}
	if (is_none(t, sig)) {
		ignore(t, uc);
		return;
	}
	leave_window(t, uc);
	queue(t, info, uc, by_mask);
}

/* Our own, sent by signal_force_sigsys(): from here on it is what it stands for. */
static bool take_forced(struct task *t, int sig, struct kernel_siginfo *info, struct kernel_ucontext *uc)
{
	struct sigstate *s = t->sig;

	if (sig != SIGSYS || info->code != FORCED_CODE || info->kill.pid != t->pid || !s->forced.signo)
		return false;
	queue(t, &s->forced, uc, false);
	s->forced.signo = 0;
	return true;
}

static void arrived(struct task *t, int sig, struct kernel_siginfo *info, struct kernel_ucontext *uc)
{
	if (take_forced(t, sig, info, uc) || (sig == SIGTRAP && step_taken(t, info, uc)))
		return;
	bool by_mask = t->sig->waiting && uc->mc.rip == (uint64_t)call_returned && (long)uc->mc.rax == -EINTR;
	if (sig == SIGSYS && (sigsys_is_none(info) || sigsys_hold(t, info, by_mask))) {
		ignore(t, uc);
		return;
	}
	if (within(uc->mc.rip, fd_done, fd_done_end))
		uc->mc.rip = t->tail;
	if (within(uc->mc.rip, agent_text_start, agent_text_end)) {
		arrived_in_agent(t, sig, info, uc, by_mask);
		return;
	}
	uc->mc.rip = patch_normalise(uc->mc.rip);
	deliver(t, sig, info, uc, (const char *)uc->mc.fpstate);
	if (t->debug & DEBUG_STEP)
		debug_context(t, UINT32_MAX, &uc->mc);
}

void signal_entry(int sig, struct kernel_siginfo *info, struct kernel_ucontext *uc)
{
	struct task *t = task_of_stack();

	if (sig == SIGSYS && info->code == SYS_SECCOMP_CODE)
		trap_call(t, info, uc);
	else
		arrived(t, sig, info, uc);
}

/* ---- the edge ----------------------------------------------------------------------------------------- */

void signal_regs_to_context(const struct regs *r, struct kernel_mcontext *mc)
{
	mc->r15 = r->r15; mc->r14 = r->r14; mc->r13 = r->r13; mc->r12 = r->r12;
	mc->rbp = r->rbp; mc->rbx = r->rbx; mc->r10 = r->r10; mc->r9 = r->r9;
	mc->r8 = r->r8; mc->rdx = r->rdx; mc->rsi = r->rsi; mc->rdi = r->rdi;
	mc->rax = r->rax; mc->rip = r->rip; mc->rsp = r->rsp; mc->rflags = r->rflags;
	mc->rcx = r->rip; mc->r11 = r->rflags;
}

struct kernel_stack signal_own_stack(const struct task *t)
{
	return (struct kernel_stack){ .sp = (uint64_t)t + TASK_ALTSTACK, .size = TASK_ALTSTACK_SIZE };
}

/*
 * Leaves the agent with the context in uc, mask included, in one step.  All signals must be blocked.
 * uc lies on the agent's stack (or anywhere that stays valid until the kernel has read it).
 */
_Noreturn void signal_leave(struct task *t, struct kernel_ucontext *uc)
{
	uc->stack = signal_own_stack(t);
	signal_return(uc);
}

static bool may_be_fault(const struct kernel_siginfo *info)
{
	return (UM_OURS | SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGFPE)) & SIGBIT(info->signo);
}

/* How soon the kernel takes it of those that are pending: forced ones, then the thread's; of these what may be a fault. */
static int rank(const struct kernel_siginfo *info)
{
	if (info->code > 0 && may_be_fault(info))
		return 0;
	return (is_private(info) ? 0 : 256) + (may_be_fault(info) ? 0 : 128) + info->signo;
}

/* The first stays so if the mask of a waiting call has let it through: the others came later. */
static void take_order(struct sigstate *s)
{
	for (int i = s->interrupted ? 2 : 1; i < s->queued; i++) {
		const struct kernel_siginfo info = s->queue[i];
		int at = i;

		for (; at > (s->interrupted ? 1 : 0) && rank(&s->queue[at - 1]) > rank(&info); at--)
			s->queue[at] = s->queue[at - 1];
		s->queue[at] = info;
	}
}

/* A handler begins with the vector state that a program begins with. */
static void clear_vectors(char *fp)
{
	const uint16_t fcw = 0x37f;
	const uint32_t mxcsr = 0x1f80, mask_end = 32, software = 464;

	if (fpstate_size(fp) > FXSAVE_SIZE)
		memset(fp + FXSAVE_SIZE, 0, 8);		/* xstate_bv: nothing is there but what is so */
	memset(fp, 0, 24);
	memcpy(fp, &fcw, sizeof fcw);
	memcpy(fp + 24, &mxcsr, sizeof mxcsr);
	memset(fp + mask_end, 0, software - mask_end);
}

/* The process's, which has come to us only because we do not block it: the kernel has others for the thread yet. */
static bool comes_later(const struct kernel_siginfo *info)
{
	return may_be_fault(info) && !is_private(info) && info->code <= 0;
}

/* All that has come, as the kernel does it: the handler of the last one runs first, and returns into that of the one before. */
static void deliver_queued(struct task *t, struct kernel_ucontext *uc)
{
	struct sigstate *s = t->sig;
	char *fp = (char *)t + TASK_FPSAVE;

	take_order(s);
	for (int i = 0; i < s->queued; i++) {
		const struct kernel_siginfo *info = &s->queue[i];

		if (i && (s->mask & SIGBIT(info->signo) || comes_later(info))) {
			signal_send_again(t, info);
			continue;
		}
		uc->mc.fpstate = (uint64_t)fp;
		deliver(t, info->signo, info, uc, fp);
		s->interrupted = false;
		if (!uc->mc.fpstate)		/* a handler has been entered */
			clear_vectors(fp);
	}
	s->queued = 0;
}

/* What the world expects besides signals at the edge: nothing yet. */
void agent_edge(struct task *t)
{
	struct sigstate *s = t->sig;
	struct { uint64_t sp_minus_8; struct kernel_ucontext uc; } frame;

	uint64_t before = signal_block_all();
	t->pending = 0;
	if (!s->queued) {
		signal_set_mask(before);
		if (t->debug & DEBUG_STEP)
			debug_exit(t, t->tid, UINT32_MAX, (long)t->regs.rax);
		return;
	}
	frame.uc = s->uc;
	signal_regs_to_context(&t->regs, &frame.uc.mc);
	frame.uc.mc.rip = patch_normalise(frame.uc.mc.rip);
	deliver_queued(t, &frame.uc);
	if (t->debug & DEBUG_STEP)
		debug_context(t, UINT32_MAX, &frame.uc.mc);
	signal_leave(t, &frame.uc);
}

/*
 * The frame that the edge builds needs the vector state, which is saved by the kernel for a signal: so one is
 * sent.  All others are blocked meanwhile; if one has come before, it is delivered and the call made again.
 */
long signal_force_sigsys(struct task *t, const struct kernel_siginfo *info)
{
	const struct kernel_sigaction *act = &t->sighand->act[SIGSYS];
	struct kernel_siginfo carrier = { .signo = SIGSYS, .code = FORCED_CODE, .kill = { .pid = t->pid } };
	uint64_t mask = signal_block_all();
	long result = (long)t->regs.rax;

	if (t->pending) {
		result = -UM_ERESTART;
	} else if (act->handler <= (uint64_t)SIG_IGN || t->sig->mask & SIGBIT(SIGSYS)) {
		life_kill(t, SECCOMP_RET_KILL_PROCESS);
	} else {
		t->sig->forced = *info;
		raw_syscall(__NR_rt_tgsigqueueinfo, t->pid, t->tid, SIGSYS, &carrier);
	}
	signal_set_mask(mask);
	return result;
}

/* ---- start and exec ----------------------------------------------------------------------------------- */

void signal_thread(struct task *t)
{
	struct kernel_stack s = signal_own_stack(t);
	raw_syscall(__NR_sigaltstack, &s, NULL);
}

void signal_start(struct task *t, uint64_t ignored)
{
	uint64_t mask = 0;

	signal_thread(t);
	for (int sig = 1; sig <= UM_NSIG; sig++) {
		struct kernel_sigaction *a = &t->sighand->act[sig];
		a->handler = ignored & SIGBIT(sig) ? (uint64_t)SIG_IGN : (uint64_t)SIG_DFL;
		if (signal_always_ours(sig))
			signal_install(sig, a);
	}
	raw_syscall(__NR_rt_sigprocmask, SIG_SETMASK, NULL, &mask, 8);
	t->sig->mask = mask;
	if (mask & SIGBIT(SIGSYS))
		signal_set_mask(signal_kernel_mask(mask));
}
