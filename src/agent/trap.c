/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trapped calls: every site that is not patched comes here by seccomp's SIGSYS.
 *
 * The handler does as little as possible: it stores the guest's registers in the task and changes the
 * signal frame so that the kernel returns to trap_entry, on the agent's stack, with the guest's own
 * mask.  From there a trapped call and one from a patched site are the same.
 */
#include "trap.h"
#include "patch.h"
#include "../kernel/guard.h"
#include "../arch/x86_64/offsets.h"
#include <linux/audit.h>

void trap_entry(void);

void signal_context_to_regs(const struct kernel_mcontext *mc, struct regs *r)
{
	r->r15 = mc->r15; r->r14 = mc->r14; r->r13 = mc->r13; r->r12 = mc->r12;
	r->rbp = mc->rbp; r->rbx = mc->rbx; r->r10 = mc->r10; r->r9 = mc->r9;
	r->r8 = mc->r8; r->rdx = mc->rdx; r->rsi = mc->rsi; r->rdi = mc->rdi;
	r->rax = mc->rax; r->rip = mc->rip; r->rsp = mc->rsp; r->rflags = mc->rflags;
}

void trap_enter(struct task *t, struct kernel_mcontext *mc, uint32_t nr, uint64_t site)
{
	signal_context_to_regs(mc, &t->regs);
	t->regs.rax = nr;
	t->regs.site = site;
	mc->rip = (uint64_t)trap_entry;
	mc->rsp = (uint64_t)t + TASK_STACK_TOP;
	mc->rdi = (uint64_t)t;
	mc->rflags &= ~0x500ull;	/* TF, DF */
}

void trap_call(struct task *t, struct kernel_siginfo *info, struct kernel_ucontext *uc)
{
	struct kernel_mcontext *mc = &uc->mc;

	if (info->sys.arch != AUDIT_ARCH_X86_64) {
		if (!(process.watch & WATCH_GUARD)) {
			mc->rax = (uint64_t)-ENOSYS;
			return;
		}
		t->guard->foreign = info->sys.arch;	/* the guest's own filters look at it first */
		t->guard->foreign_cx = (uint32_t)mc->rcx;
	}
	trap_enter(t, mc, (uint32_t)info->sys.nr, patch_site_of_trap(mc->rip));
}

void agent_trapped(struct task *t)
{
	patch_count(t, t->regs.site);
	if (process.watch & WATCH_DEBUG)
		t->trapped = 1;
	agent_syscall(t);
}
