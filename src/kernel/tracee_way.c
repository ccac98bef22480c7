/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stops on the way: they find a traced thread where the guest's registers are nowhere (IN_ENTRY: half saved, or in our
 * signal handler).  The thread goes on to the end of that way, and stops there for the stop that is owed.
 *
 * It must be made to go on by a means that lets it execute something: a signal sent to it now would be taken before its
 * next instruction.  Our handler is left by rt_sigreturn, and at its end the kernel stops it as at that of any call;
 * outside it goes by single steps, which are few.
 */
#include "tracee.h"
#include "../arch/x86_64/offsets.h"
#include <asm/signal.h>

#define SYSGOOD	0x80

/* A step with SIGTRAP blocked would cost the guest its action for it. */
static void unblock_trap(struct tracee *c)
{
	uint64_t mask;

	if (tracee_ptrace(PTRACE_GETSIGMASK, c->tid, 8, (unsigned long)&c->mask) < 0)
		return;
	mask = c->mask & ~SIGBIT(SIGTRAP);
	c->masked = mask != c->mask && tracee_ptrace(PTRACE_SETSIGMASK, c->tid, 8, (unsigned long)&mask) == 0;
}

void tracee_way_end(struct tracee *c)
{
	if (c->masked)
		tracee_ptrace(PTRACE_SETSIGMASK, c->tid, 8, (unsigned long)&c->mask);
	c->masked = false;
}

long tracee_way_on(struct tracee *c, int sig)
{
	const bool step = !tracee_in_handler(c);

	if (step && !c->masked)
		unblock_trap(c);
	c->event = 0;
	c->step = false;
	return tracee_ptrace(step ? PTRACE_SINGLESTEP : PTRACE_SYSCALL, c->tid, 0, (unsigned long)sig);
}

static bool is_fault(const struct kernel_siginfo *info)
{
	return info->code > 0 && (info->signo == SIGSEGV || info->signo == SIGBUS || info->signo == SIGILL ||
				  info->signo == SIGFPE || info->signo == SIGTRAP);
}

bool tracee_owe(struct tracee *c, int status, const struct kernel_siginfo *info)
{
	if (c->owed || (!(status >> 16) && is_fault(info)))
		return true;
	c->owed = status;
	c->info = *info;
	tracee_way_on(c, 0);
	return false;
}

/* Is this stop one that tracee_way_on() has caused? */
static bool caused(const struct tracee *c, int status, struct kernel_siginfo *info)
{
	if (status >> 8 == (SIGTRAP | SYSGOOD))
		return true;
	return status >> 8 == SIGTRAP && tracee_ptrace(PTRACE_GETSIGINFO, c->tid, 0, (unsigned long)info) == 0 &&
	       info->code > 0;
}

bool tracee_way(struct tracee *c, int *status, bool *shown)
{
	struct kernel_siginfo info;

	*shown = c->moved;
	if (c->moved) {			/* somebody has only looked at it (WNOWAIT) */
		*status = c->owed;
		return true;
	}
	if (!c->owed || !caused(c, *status, &info))
		return false;
	if (tracee_place(c) == IN_ENTRY) {
		tracee_way_on(c, 0);
		return true;
	}
	tracee_way_end(c);
	if (*status >> 8 == SIGTRAP && !(c->owed >> 16))	/* so that it can be passed on */
		tracee_ptrace(PTRACE_SETSIGINFO, c->tid, 0, (unsigned long)&c->info);
	c->moved = *shown = true;
	*status = c->owed;
	return true;
}
