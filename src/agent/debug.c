/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling a debugger in the view what happens to the guest (see debug.h; the other side is kernel/tracee.c).
 *
 * All of this runs only in threads that are traced, or were when their debugger died.
 */
#include "debug.h"
#include "trap.h"
#include "../arch/x86_64/offsets.h"
#include <linux/ptrace.h>
#include <asm/signal.h>

extern char first_task_region[];
void edge_window(struct task *t);

struct debug_later debug_later[DEBUG_LATER] UM_LARGE;

static long tell(struct task *t, enum debug_event event, struct regs *r, uint32_t nr, long result)
{
	long answer = raw_syscall(UM_NR_DEBUG, event, r, nr, result);

	if (answer < 0)
		t->debug = t->traced = 0;
	return answer;
}

void debug_entry(struct task *t)
{
	bool told = t->trapped;

	t->trapped = 0;
	t->skipped = -ENOSYS;
	if ((t->debug & DEBUG_CALLS) && !told)
		tell(t, DEBUG_ENTRY, &t->regs, (uint32_t)t->regs.rax, -ENOSYS);
	t->behind = t->regs.rip;
}

bool debug_filtered(struct task *t, unsigned data)
{
	t->skipped = -ENOSYS;
	return t->traced & PTRACE_O_TRACESECCOMP && tell(t, DEBUG_FILTER, &t->regs, t->nr, data) >= 0;
}

/* No call is being served any more.  Of a child by fork the signals are the parent's. */
static void send_later(struct task *t, bool child)
{
	t->nr = UINT32_MAX;
	for (int i = 0; i < DEBUG_LATER; i++) {
		struct kernel_siginfo info = debug_later[i].info;

		if (child)
			debug_later[i].tid = 0;
		if (debug_later[i].tid != t->tid)
			continue;
		__atomic_store_n(&debug_later[i].tid, 0, __ATOMIC_RELEASE);
		raw_syscall(__NR_rt_tgsigqueueinfo, t->pid, t->tid, info.signo, &info);
	}
}

void debug_exit(struct task *t, int tid, uint32_t nr, long result)
{
	bool child = t->tid != tid;

	if (t->debug & (child ? DEBUG_STEP : DEBUG_STEP | DEBUG_CALLS))
		tell(t, DEBUG_EXIT, &t->regs, nr, result);
	send_later(t, child);
	/* nobody but us knows that one of these has ended the call: SA_RESTART is ours to carry out */
	if (result == -UM_ERESTART && t->sig->queued && !signal_restarts(t)) {
		t->regs.rax = (uint64_t)-EINTR;
		t->regs.rip = t->behind;
	}
}

void debug_context(struct task *t, uint32_t nr, struct kernel_mcontext *mc)
{
	const uint64_t rcx = mc->rcx, r11 = mc->r11;
	struct regs r;

	signal_context_to_regs(mc, &r);
	r.site = r.rip;
	tell(t, DEBUG_EXIT, &r, nr, (long)r.rax);
	signal_regs_to_context(&r, mc);
	mc->rcx = rcx;
	mc->r11 = r11;
}

void debug_loaded(uint64_t entry, uint64_t sp)
{
	struct task *t = (struct task *)(first_task_region + TASK_OFFSET);
	struct kernel_siginfo trap = { .signo = SIGTRAP };

	if (!(process.watch & WATCH_DEBUG))
		return;
	t->regs = (struct regs){ .rip = entry, .site = entry, .rsp = sp, .rflags = 0x202 };
	long answer = tell(t, DEBUG_LOADED, &t->regs, __NR_execve, 0);
	if (t->debug)
		tell(t, DEBUG_EXIT, &t->regs, __NR_execve, 0);
	trap.kill.pid = t->pid;
	t->nr = UINT32_MAX;
	if (answer > 0 && (answer & DEBUG_TRAP))
		raw_syscall(__NR_rt_tgsigqueueinfo, t->pid, t->tid, SIGTRAP, &trap);
	edge_window(t);
	__builtin_unreachable();
}
