/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that steps through itself: it has set the trap flag, and gets SIGTRAP after each instruction.  It must not
 * step through us, nor must its flag get lost.  Of a call, its first trap inside a stub is made into a trapped call, whose
 * registers lie in the task and whose flag is off meanwhile; when the edge has put the flag back and is
 * trapped for that, the rest of the edge is done by the return from the signal.
 */
#include "trap.h"
#include "patch.h"

#define TRAP_TRACE	2	/* si_code: asm-generic/siginfo.h */

extern char edge_window[], edge_window_end[];

bool step_taken(struct task *t, const struct kernel_siginfo *info, struct kernel_ucontext *uc)
{
	struct kernel_mcontext *mc = &uc->mc;
	uint32_t nr;

	if (info->code != TRAP_TRACE)
		return false;
	if (patch_stub_begins(mc->rip, &nr)) {
		uint64_t site = patch_site_of_trap(mc->rip);

		mc->rip = patch_resume(mc->rip);
		trap_enter(t, mc, nr, site);
		return true;
	}
	if (mc->rip < (uint64_t)edge_window || mc->rip >= (uint64_t)edge_window_end)
		return false;
	signal_regs_to_context(&t->regs, mc);
	mc->rip = patch_normalise(mc->rip);
	return true;
}
