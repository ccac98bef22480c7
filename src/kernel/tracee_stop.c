/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which stops of a traced thread its debugger sees, and how the thread runs on (tracee.h).
 *
 * The mechanism's own stops are hidden: seccomp's SIGSYS; the calls of the agent; the kernel's stop at an exec,
 * which starts the agent.  The agent's events (agent/debug.h) take their place.  A call by a site that traps: the
 * kernel's stop at its begin is shown, the one at its end is hidden if a SIGSYS is pending then, and the
 * agent tells of the end.  A signal in the middle of a call that is shown is put off until the call's end has
 * been shown, as it is natively.
 */
#include "tracee.h"
#include "fs/proc.h"
#include "../arch/x86_64/offsets.h"
#include <linux/audit.h>
#include <asm/signal.h>

#define STOPPED(sig, event)	(((sig) | (event) << 8) << 8 | 0x7f)
#define EVENTMSG_EXIT		2	/* PTRACE_EVENTMSG_SYSCALL_EXIT */
#define SYS_SECCOMP_CODE	1
#define SI_USER			0		/* sigaction(2): kill, tkill, the kernel */
#define SI_KERNEL		0x80
#define SYSGOOD			0x80
#define EFLAGS_TF		0x100ull

extern char _start[], first_task_region[], copy_window[], copy_window_end[], string_window[], string_window_end[];

/* ---- running on --------------------------------------------------------------------------------------- */

static uint32_t wanted(const struct tracee *c)
{
	return c->mode == RUN_CALLS ? DEBUG_CALLS : c->mode == RUN_STEP ? DEBUG_STEP : 0;
}

static long go(struct tracee *c, long request, int sig)
{
	long r = tracee_ptrace(request, c->tid, 0, (unsigned long)sig);

	c->event = 0;
	c->step = c->fresh = false;
	if (c->moved)
		c->owed = 0;
	c->moved = false;
	return r;
}

/* In the agent, and nothing it does will be told of: so that it is, it must come back to the guest first. */
static void come_back(struct tracee *c, enum tracee_place place)
{
	const uint32_t pending = 1;

	if (place == IN_AGENT && c->mode == RUN_STEP && c->task)
		tracee_write(c, c->task + TASK_PENDING, &pending, sizeof(pending));
	tracee_leave_call(c);
}

/*
 * A step from an event of the agent: the guest's next instruction is far away, but the agent will restore the guest's
 * flags short before it.  With the trap flag among them the steps begin there.
 */
static long step_out(struct tracee *c, int sig)
{
	const uint64_t at = c->regs.rsi + offsetof(struct regs, rflags);
	uint64_t flags;

	c->trapping = tracee_read(c, at, &flags, sizeof(flags)) &&
		      tracee_write(c, at, &(uint64_t){ flags | EFLAGS_TF }, sizeof(flags));
	c->leaving = c->trapping && c->regs.rsi == c->task + TASK_REGS;
	return go(c, PTRACE_CONT, sig);
}

/* One of those steps.  true: the guest has executed its instruction. */
static bool stepped_out(struct tracee *c, enum tracee_place place)
{
	const bool leaving = c->leaving;

	if (place != IN_GUEST) {
		go(c, PTRACE_CONT, 0);
		return false;
	}
	c->leaving = c->trapping = false;
	c->regs.eflags &= ~EFLAGS_TF;
	tracee_ptrace(PTRACE_SETREGS, c->tid, 0, (unsigned long)&c->regs);
	if (leaving)				/* just back, at that instruction */
		go(c, PTRACE_SINGLESTEP, 0);
	return !leaving;
}

/* The stop that has been shown as a call's end is shown as what it is; nothing else says that there is one. */
static long show_again(struct tracee *c)
{
	c->early = false;
	c->ended = true;
	c->queued = c->later;
	return raw_syscall(__NR_kill, process.pid, SIGCHLD);
}

/*
 * With a signal, on from a stop that is not about one.  The kernel would send it itself, but its stop here is another one, where it does
 * nothing with it.  What it would look like: sent_by_us().
 */
static void send_signal(struct tracee *c, int sig)
{
	*(c->step ? &c->given : &c->sent) |= SIGBIT(sig);
	raw_syscall(__NR_tkill, c->tid, sig);
}

long tracee_run(struct tracee *c, int sig)
{
	enum tracee_place place;

	if (sig && (c->event == DEBUG_ENTRY || c->event == DEBUG_EXIT || c->early)) {
		send_signal(c, sig);
		sig = 0;
	}
	if (c->early)
		return show_again(c);
	if (c->owed && !c->moved)
		return tracee_way_on(c, sig);
	if (!c->guest)
		return go(c, c->mode == RUN_CALLS ? PTRACE_SYSCALL : c->mode == RUN_STEP ? PTRACE_SINGLESTEP : PTRACE_CONT, sig);
	if (c->debug != wanted(c))
		tracee_tell(c, wanted(c), c->options | DEBUG_TRACED);
	place = tracee_place(c);
	if (!c->event && (place == IN_GUEST || place == IN_STUB || c->mode == RUN_CONT))
		c->in_call = false;
	if (c->event == DEBUG_FILTER)
		c->in_call = c->mode != RUN_CONT;
	if (c->mode == RUN_CONT)
		return go(c, PTRACE_CONT, sig);
	if (!c->event && !c->in_call && !c->fresh)
		come_back(c, place);
	if (c->mode == RUN_CALLS)
		return go(c, c->in_call ? PTRACE_CONT : PTRACE_SYSCALL, sig);
	if (c->event == DEBUG_EXIT || c->event == DEBUG_LOADED)
		return step_out(c, sig);
	return go(c, place == IN_GUEST && !c->in_call ? PTRACE_SINGLESTEP : PTRACE_CONT, sig);
}

/* Hidden: it runs on as it did. */
static bool hide(struct tracee *c, int sig)
{
	if (c->owed && !c->moved) {
		tracee_way_on(c, sig);
		return false;
	}
	go(c, c->mode == RUN_CALLS && !c->in_call ? PTRACE_SYSCALL : PTRACE_CONT, sig);
	return false;
}

/* ---- what has stopped --------------------------------------------------------------------------------- */

/* A thread that we have not seen yet: a child that has asked for it, or one that came with its parent. */
static struct tracee *adopt(int tid)
{
	struct tracee *c = tracee_new(tid, 0);

	if (c)
		c->fresh = true;
	return c;
}

static void make_ready(struct tracee *c)
{
	uint32_t traced;

	c->ready = true;
	c->guest = proc_in_view(c->tid);
	if (!c->guest)
		return;
	c->task = tracee_task(c);
	if (c->fresh && c->task && tracee_read(c, c->task + offsetof(struct task, traced), &traced, sizeof(traced)) &&
	    (traced & DEBUG_TRACED))
		c->options = traced & ~DEBUG_TRACED;
	else
		c->fresh = false;
	tracee_ptrace(PTRACE_SETOPTIONS, c->tid, 0, (c->options & ~DEBUG_SEIZED) | TRACEE_OPTIONS);
	tracee_tell(c, 0, c->options | DEBUG_TRACED);
}

static bool is_trap(const struct kernel_siginfo *info)
{
	return info->signo == SIGSYS && info->code == SYS_SECCOMP_CODE;
}

/* Is seccomp's SIGSYS waiting to be delivered? */
static bool trap_pending(struct tracee *c)
{
	struct ptrace_peeksiginfo_args args = { .nr = 1 };
	struct kernel_siginfo info;

	for (; tracee_ptrace(PTRACE_PEEKSIGINFO, c->tid, (unsigned long)&args, (unsigned long)&info) == 1; args.off++)
		if (is_trap(&info))
			return info.sys.arch == AUDIT_ARCH_X86_64;
	return false;
}

/* The kernel's stop at a system call.  One at an end alone is that of an rt_sigreturn by which the agent was left. */
static bool call_stop(struct tracee *c, int *status)
{
	unsigned long message = 0;
	const bool entered = c->entered;
	enum tracee_place place = tracee_place(c);

	if (c->mode != RUN_CALLS || (place != IN_GUEST && place != IN_STUB))
		return hide(c, 0);
	tracee_ptrace(PTRACE_GETEVENTMSG, c->tid, 0, (unsigned long)&message);
	c->entered = message != EVENTMSG_EXIT;
	if (!c->entered && (!entered || trap_pending(c))) {
		c->in_call = entered;
		return hide(c, 0);
	}
	if (!(c->options & PTRACE_O_TRACESYSGOOD))
		*status = STOPPED(SIGTRAP, 0);
	return true;
}

/* ---- the agent's events ------------------------------------------------------------------------------- */

static void answer(struct tracee *c, long value)
{
	struct user_regs k = c->regs;

	k.orig_rax = (uint64_t)-1;
	k.rax = (uint64_t)value;
	tracee_ptrace(PTRACE_SETREGS, c->tid, 0, (unsigned long)&k);
}

static bool call_event(struct tracee *c, int *status)
{
	*status = STOPPED(c->options & PTRACE_O_TRACESYSGOOD ? SIGTRAP | SYSGOOD : SIGTRAP, 0);
	return true;
}

static bool end_event(struct tracee *c, int *status)
{
	const bool was = c->in_call && !c->ended;

	c->in_call = c->ended = false;
	if (c->mode == RUN_CALLS && was)
		return call_event(c, status);
	if (c->mode != RUN_STEP)
		return hide(c, 0);
	c->step = true;
	*status = STOPPED(SIGTRAP, 0);
	return true;
}

static bool agent_event(struct tracee *c, int *status)
{
	const bool told = c->options & PTRACE_O_TRACEEXEC;
	const enum tracee_place place = tracee_place(c);

	if (place != IN_AGENT && place != IN_ENTRY)	/* the guest itself used the number: ENOSYS */
		return hide(c, 0);
	c->event = (enum debug_event)c->regs.rdi;
	if (c->event == DEBUG_LOADED)
		answer(c, DEBUG_SEEN | (told || c->options & DEBUG_SEIZED ? 0 : DEBUG_TRAP));
	else
		answer(c, DEBUG_SEEN);
	if (c->event == DEBUG_EXIT)
		return end_event(c, status);
	if (c->event == DEBUG_FILTER) {
		*status = STOPPED(SIGTRAP, PTRACE_EVENT_SECCOMP);
		return true;
	}
	c->in_call = c->mode != RUN_CONT;
	if (c->event == DEBUG_ENTRY)
		return c->mode == RUN_CALLS ? call_event(c, status) : hide(c, 0);
	if (!told)
		return hide(c, 0);
	*status = STOPPED(SIGTRAP, PTRACE_EVENT_EXEC);
	return true;
}

/* The agent's image starts, with a new task; what it is told must be there before its first instruction. */
static bool exec_stop(struct tracee *c)
{
	c->in_call = c->fresh = false;
	c->message = (uint64_t)c->tid;
	tracee_ptrace(PTRACE_GETEVENTMSG, c->tid, 0, (unsigned long)&c->message);
	c->task = (uint64_t)first_task_region + TASK_OFFSET;
	tracee_tell(c, wanted(c), c->options | DEBUG_TRACED);
	tracee_write(c, (uint64_t)&process.watch + 3, &(uint8_t){ WATCH_DEBUG >> 24 }, 1);
	go(c, PTRACE_CONT, 0);
	return false;
}

/* ---- signals ------------------------------------------------------------------------------------------ */

static bool in_copy(uint64_t ip)
{
	return (ip >= (uint64_t)copy_window && ip < (uint64_t)copy_window_end) ||
	       (ip >= (uint64_t)string_window && ip < (uint64_t)string_window_end);
}

/* Its agent will send it to itself again behind the end of the call. */
static bool put_off(struct tracee *c, const struct kernel_siginfo *info)
{
	const uint32_t pending = 1;

	for (int i = 0; i < DEBUG_LATER; i++) {
		struct debug_later later;
		const uint64_t at = (uint64_t)&debug_later[i];

		if (!tracee_read(c, at, &later, sizeof(later)) || later.tid)
			continue;
		later = (struct debug_later){ .tid = c->tid, .info = *info };
		tracee_write(c, at, &later, sizeof(later));
		tracee_write(c, c->task + TASK_PENDING, &pending, sizeof(pending));
		tracee_leave_call(c);
		return true;
	}
	return false;
}

/*
 * A call that waits with a mask of its own lets a signal through that would be blocked behind it, so that cannot be
 * put off.  The stop is shown twice.
 */
static bool ends_early(struct tracee *c, int *status)
{
	uint64_t sig;
	bool waiting;

	if ((long)c->regs.rax > -512 || (long)c->regs.rax < -516 ||
	    !tracee_read(c, c->task + offsetof(struct task, sig), &sig, sizeof(sig)) ||
	    !tracee_read(c, sig + offsetof(struct sigstate, waiting), &waiting, sizeof(waiting)) || !waiting)
		return false;
	c->early = true;
	c->later = *status;
	return call_event(c, status);
}

/* One that send_signal() has sent becomes what the kernel's would be.  true: natively there is no stop for it. */
static bool sent_by_us(struct tracee *c, int sig, struct kernel_siginfo *info)
{
	const uint64_t bit = SIGBIT(sig);
	const bool given = c->given & bit;

	if (!((c->given | c->sent) & bit) || info->code != SI_TKILL || info->kill.pid != process.pid)
		return false;
	*(given ? &c->given : &c->sent) &= ~bit;
	if (given)
		info->code = SI_USER;
	else
		*info = (struct kernel_siginfo){ .signo = sig, .code = SI_KERNEL };
	tracee_ptrace(PTRACE_SETSIGINFO, c->tid, 0, (unsigned long)info);
	return given;
}

static bool signal_stop(struct tracee *c, int sig, int *status)
{
	enum tracee_place place = tracee_place(c);
	struct kernel_siginfo info;

	if (tracee_ptrace(PTRACE_GETSIGINFO, c->tid, 0, (unsigned long)&info) < 0)
		return true;		/* a group stop */
	if (sent_by_us(c, sig, &info))
		return hide(c, sig);
	if (is_trap(&info)) {
		c->in_call = c->mode != RUN_CONT && info.sys.arch == AUDIT_ARCH_X86_64;
		return hide(c, SIGSYS);
	}
	if (sig == SIGTRAP && c->trapping && info.code > 0)
		return stepped_out(c, place);
	if (sig == SIGTRAP && c->mode == RUN_STEP && (place == IN_STUB || place == IN_ENTRY)) {	/* a step into us */
		c->in_call = true;
		return hide(c, 0);
	}
	if (place == IN_GUEST || place == IN_STUB)
		return true;
	if (sig == SIGTRAP && info.code > 0)		/* a watchpoint: the kernel's own accesses hit none */
		return hide(c, 0);
	if ((sig == SIGSEGV || sig == SIGBUS) && info.code > 0 && in_copy(c->regs.rip))
		return hide(c, sig);
	if (c->mode == RUN_CALLS && c->in_call && !c->ended && place == IN_AGENT) {
		if (ends_early(c, status))
			return true;
		if (put_off(c, &info))
			return hide(c, 0);
	}
	return place != IN_ENTRY || tracee_owe(c, *status, &info);
}

bool tracee_stopped(int tid, int *status)
{
	const int sig = *status >> 8 & 0xff, event = *status >> 16;
	struct tracee *c = tracee_find(tid);
	struct kernel_siginfo info;
	struct user_regs regs;
	bool shown;

	if (ptrace_is_plain() || tracee_ptrace(PTRACE_GETREGS, tid, 0, (unsigned long)&regs) < 0)
		return true;			/* not ours */
	if (!c && !(c = adopt(tid)))
		return true;
	c->regs = regs;
	if (!c->ready)
		make_ready(c);
	if (!c->guest)
		return true;
	c->event = 0;
	if (tracee_way(c, status, &shown))
		return shown;
	if (event == PTRACE_EVENT_SECCOMP)
		return agent_event(c, status);
	if (event == PTRACE_EVENT_EXEC || (sig == SIGTRAP && !event && regs.rip == (uint64_t)_start))
		return exec_stop(c);
	if (sig == (SIGTRAP | SYSGOOD))
		return call_stop(c, status);
	if (!event)
		return signal_stop(c, sig, status);
	if (event == PTRACE_EVENT_STOP && sig == SIGTRAP && !c->fresh && tracee_place(c) == IN_ENTRY &&
	    tracee_ptrace(PTRACE_GETSIGINFO, tid, 0, (unsigned long)&info) == 0)
		return tracee_owe(c, *status, &info);
	return true;
}
