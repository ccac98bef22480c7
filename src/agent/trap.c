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

/* mov $NR, %eax; mov $NR, %rax; xor %eax, %eax: right before the system call at `end`. */
static bool sets_number(const uint8_t *end, uint64_t nr)
{
	int32_t value;

	memcpy(&value, end - 4, 4);
	if (end[-5] == 0xb8 || !memcmp(end - 7, "\x48\xc7\xc0", 3))
		return (uint64_t)value == nr;
	return !memcmp(end - 2, "\x31\xc0", 2) && nr == 0;
}

/* May the kernel have made this call?  Not if the filter sends it here whatever its arguments are. */
static bool may_be_made(const struct task *t, uint64_t nr)
{
	return !t->guard->caught && agent_may_not_see((uint32_t)nr);
}

/*
 * The kernel keeps one SIGSYS for a thread: if somebody has sent one to it while it enters a system call, that stands for the one
 * that traps the call, which so is neither made nor trapped.  Everything is as before it, but for rip; rcx and r11 are as the kernel
 * leaves them.  A call that we have made has left a mark in r11 (agent_trapped), and one that the kernel makes has its result in rax: so
 * what the program has put there must be known, and a number that is always trapped.
 */
bool trap_is_lost(const struct task *t, const struct kernel_mcontext *mc)
{
	uint8_t code[9];
	const struct iovec own = { code, sizeof code }, guest = { (void *)(mc->rip - sizeof code), sizeof code };

	if (mc->rcx != mc->rip || mc->r11 != mc->rflags || patch_normalise(mc->rip) != mc->rip)
		return false;
	return raw_syscall(__NR_process_vm_readv, t->tid, &own, 1, &guest, 1, 0) == sizeof code &&
	       !memcmp(code + 7, "\x0f\x05", 2) && sets_number(code + 7, mc->rax) && !may_be_made(t, mc->rax);
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
	t->regs.rflags |= EFLAGS_RF;	/* the guest gets it in r11 only, where the kernel leaves none */
}
