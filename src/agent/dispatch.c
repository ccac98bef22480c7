/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One system call of the guest, from its registers to its result.
 *
 * entry.S comes here with the registers saved, by a patched site or by SIGSYS alike.  The number selects a
 * wrapper of the generated table (src/syscalls.tbl), the wrapper gives the arguments their types and calls
 * the handler; what comes back goes into rax.  Then entry.S does the edge: pending signals, and back to the
 * guest.  rt_sigreturn, exit and a successful execve never come back here.  A call that is traced, or that a
 * filter of the guest's own may forbid, goes a longer way (process.watch).
 */
#include "../kernel/guard.h"
#include "debug.h"
#include "sysnr.h"
#include "trace.h"

extern const syscall_fn um_dispatch[UM_NR_MAX + 1];
extern const syscall_fn um_dispatch_private;

static syscall_fn find(uint32_t nr)
{
	if (nr <= UM_NR_MAX)
		return um_dispatch[nr];
	return nr == UM_NR_CALL ? um_dispatch_private : NULL;
}

static void answer(struct regs *r, uint64_t rax, long result)
{
	if (result == -UM_ERESTART) {		/* the guest makes the call again */
		r->rax = rax;
		r->rip = r->site;
		return;
	}
	r->rax = (uint64_t)result;
}

static long served(struct task *t, unsigned long *args, uint64_t *rax)
{
	const bool traced = trace_on();
	long result = t->nr == UINT32_MAX && t->debug ? t->skipped : -ENOSYS;
	bool passes = true;
	syscall_fn handler;

	if (traced)
		trace_before(t, t->nr, args);
	if (process.watch & WATCH_GUARD)
		passes = guard_passes(t, args, &result);	/* may change the call, too */
	if (t->nr != (uint32_t)*rax)
		*rax = t->nr;
	handler = find(t->nr);
	if (passes && handler)
		result = handler(t, args);
	if (traced)
		trace_after(t, (uint32_t)*rax, args, result);
	return result;
}

static void watched(struct task *t)
{
	struct regs *r = &t->regs;
	const int tid = t->tid;

	if (process.watch & WATCH_DEBUG)
		debug_entry(t);			/* may change the call */
	unsigned long args[6] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };
	uint64_t rax = r->rax;

	t->nr = (uint32_t)rax;
	long result = served(t, args, &rax);
	answer(r, rax, result);
	if (process.watch & WATCH_DEBUG)
		debug_exit(t, tid, (uint32_t)rax, result);
}

/* The number as the kernel takes it: the low half of rax. */
void agent_syscall(struct task *t)
{
	struct regs *r = &t->regs;
	const unsigned long args[6] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };
	const uint64_t rax = r->rax;
	syscall_fn handler;

	if (__builtin_expect(process.watch & WATCH_CALLS, 0)) {
		watched(t);
		return;
	}
	t->nr = (uint32_t)rax;
	handler = find(t->nr);
	answer(r, rax, handler ? handler(t, args) : -ENOSYS);
}

#ifdef UM_HOSTED	/* else in entry.S */
long pass_through(struct task *t)
{
	const struct regs *r = &t->regs;

	return kernel_call6(t, (long)r->rax, (long)r->rdi, (long)r->rsi, (long)r->rdx, (long)r->r10,
			    (long)r->r8, (long)r->r9);
}
#endif
