/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The calls by which guests manage signals.  Dispositions and the alternate stack are virtual (our own
 * are in the kernel, agent/signal.c); masks are the kernel's, less SIGSYS, in every call that takes one.
 */
#include "handlers.h"
#include "../../agent/debug.h"
#include "../../agent/trap.h"
#include "../ready.h"
#include <linux/auxvec.h>
#include <asm/signal.h>
#include <linux/poll.h>

#define UNBLOCKABLE	(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP))
#define KNOWN_FLAGS	(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_EXPOSE_TAGBITS | SA_ONSTACK | \
			 SA_RESTART | SA_NODEFER | SA_RESETHAND | SA_RESTORER)

/* What a call takes as a mask and its size. */
static int fetch_mask(struct task *t, gaddr set, size_t size, uint64_t *mask)
{
	return size != sizeof *mask ? -EINVAL : copy_from_guest(t, mask, set, sizeof *mask) ? -EFAULT : 0;
}

long sys_rt_sigaction(struct task *t, int sig, gaddr act, gaddr old, size_t size)
{
	struct sighand *h = t->sighand;
	struct kernel_sigaction new, before;
	long r = 0;

	if (size != 8)
		return -EINVAL;
	if (act && copy_from_guest(t, &new, act, sizeof new))
		return -EFAULT;
	if (sig < 1 || sig > UM_NSIG || (act && (SIGBIT(sig) & UNBLOCKABLE)))
		return -EINVAL;
	lock_acquire(&h->lock);
	before = h->act[sig];
	if (act) {
		new.flags &= KNOWN_FLAGS;
		new.mask &= ~UNBLOCKABLE;
		h->act[sig] = new;
		r = signal_install(sig, &new);
	}
	lock_release(&h->lock);
	if (r == 0 && act && sig == SIGSYS && new.handler == (uint64_t)SIG_IGN)
		sigsys_drop(t);
	if (r == 0 && old && copy_to_guest(t, old, &before, sizeof before))
		return -EFAULT;
	return r;
}

long sys_rt_sigprocmask(struct task *t, int how, gaddr set, gaddr old, size_t size)
{
	uint64_t before = t->sig->mask, new = before, arg, kernel;

	if (size != 8)
		return -EINVAL;
	if (set) {
		if (copy_from_guest(t, &arg, set, 8))
			return -EFAULT;
		if (how == SIG_BLOCK)
			new |= arg;
		else if (how == SIG_UNBLOCK)
			new &= ~arg;
		else if (how == SIG_SETMASK)
			new = arg;
		else
			return -EINVAL;
		new &= ~UNBLOCKABLE;
		kernel = signal_kernel_mask(new);
		long r = kernel_call(t, __NR_rt_sigprocmask, SIG_SETMASK, &kernel, 0, 8);
		if (r < 0)
			return r;
		t->sig->mask = new;
		sigsys_release(t);
	}
	if (old && copy_to_guest(t, old, &before, 8))
		return -EFAULT;
	return 0;
}

long sys_rt_sigpending(struct task *t, gaddr set, size_t size)
{
	uint64_t pending = 0;

	if (size > 8)
		return -EINVAL;
	long r = raw_syscall(__NR_rt_sigpending, &pending, 8);
	if (r < 0)
		return r;
	if (sigsys_held(t))
		pending |= SIGBIT(SIGSYS);
	return copy_to_guest(t, set, &pending, size);
}

/* ---- calls that wait, with a mask of their own or for a mask ------------------------------------------ */

/*
 * From now on to waited() the kernel may let through what `mask` does not block: what interrupts us there meets
 * a handler with that mask.
 */
static void wait_begin(struct task *t, uint64_t mask)
{
	t->sig->wait_mask = mask & ~UNBLOCKABLE;
	t->sig->waiting = true;
	if (t->sig->mask & ~mask & SIGBIT(SIGSYS))
		sigsys_lend(t);
}

static long waited(struct task *t, long r)
{
	t->sig->waiting = false;
	sigsys_take_back(t);
	return r;
}

long sys_rt_sigsuspend(struct task *t, gaddr set, size_t size)
{
	uint64_t mask;
	int r = fetch_mask(t, set, size, &mask);

	if (r)
		return r;
	wait_begin(t, mask);
	mask = signal_kernel_mask(mask);
	return waited(t, kernel_call(t, __NR_rt_sigsuspend, &mask, 8));
}

/* SIGSYS is the kernel's meanwhile, what is held as well as what is yet to come. */
static long wait_for_sigsys(struct task *t, uint64_t mask, gaddr info, gaddr timeout)
{
	struct kernel_siginfo si;

	sigsys_lend(t);
	long r = kernel_call(t, __NR_rt_sigtimedwait, &mask, &si, timeout, 8);
	sigsys_take_back(t);
	/* woken for a signal that another thread, which only seems not to block it, has taken meanwhile */
	if ((r == SIGSYS && sigsys_is_none(&si)) || (r == -EINTR && !t->pending))
		return -UM_ERESTART;
	if (r > 0 && info && copy_to_guest(t, info, &si, sizeof si))
		return -EFAULT;
	return r;
}

long sys_rt_sigtimedwait(struct task *t, gaddr set, gaddr info, gaddr timeout, size_t size)
{
	uint64_t mask;
	int r = fetch_mask(t, set, size, &mask);

	if (r)
		return r;
	if (mask & SIGBIT(SIGSYS))
		return wait_for_sigsys(t, mask, info, timeout);
	return kernel_call(t, __NR_rt_sigtimedwait, &mask, info, timeout, 8);
}

static size_t minimal_stack(void)
{
	return 2048;	/* MINSIGSTKSZ: the kernel's own lower limit for sigaltstack */
}

long sys_sigaltstack(struct task *t, gaddr new, gaddr old)
{
	struct kernel_stack *alt = &t->sig->alt, now = *alt, s;
	bool on = signal_on_altstack(t, t->regs.rsp);

	if (!now.size)
		now.flags = UM_SS_DISABLE;
	else
		now.flags = (now.flags & UM_SS_AUTODISARM) | (on ? UM_SS_ONSTACK : 0);
	if (new) {
		if (copy_from_guest(t, &s, new, sizeof s))
			return -EFAULT;
		int mode = s.flags & ~(int)UM_SS_AUTODISARM;
		if (on)
			return -EPERM;
		if (mode != UM_SS_DISABLE && mode != UM_SS_ONSTACK && mode != 0)
			return -EINVAL;
		if (mode == UM_SS_DISABLE)
			memset(&s, 0, sizeof s);
		else if (s.size < minimal_stack())
			return -ENOMEM;
		s.flags &= UM_SS_AUTODISARM;
		*alt = s;
	}
	now.pad = 0;
	if (old && copy_to_guest(t, old, &now, sizeof now))
		return -EFAULT;
	return 0;
}

/*
 * The guest returns from a handler: its frame, corrected (our alternate stack, a mask the kernel may
 * have), is given to the kernel's rt_sigreturn.  With all signals blocked, so that none is queued between
 * the last look and the kernel; one that came before is delivered first, as if it had come before the call.
 */
long sys_rt_sigreturn(struct task *t)
{
	struct { uint64_t sp_minus_8; struct kernel_ucontext uc; } f;
	uint64_t mask = signal_block_all();

	if (t->pending) {
		signal_set_mask(mask);
		return -UM_ERESTART;
	}
	if (copy_from_guest(t, &f.uc, t->regs.rsp, sizeof f.uc)) {
		raw_syscall(__NR_kill, t->pid, SIGSEGV);
		signal_set_mask(mask & ~SIGBIT(SIGSEGV));
		return -EFAULT;
	}
	t->sig->mask = f.uc.mask & ~UNBLOCKABLE;
	f.uc.mask = signal_kernel_mask(t->sig->mask);
	if (!signal_on_altstack(t, f.uc.mc.rsp)) {
		struct kernel_stack s = f.uc.stack;
		if (s.flags & UM_SS_DISABLE)
			memset(&s, 0, sizeof s);
		if (s.size == 0 || s.size >= minimal_stack()) {
			s.flags &= UM_SS_AUTODISARM;
			t->sig->alt = s;
		}
	}
	sigsys_release(t);
	if (t->debug)
		debug_context(t, __NR_rt_sigreturn, &f.uc.mc);
	signal_leave(t, &f.uc);
}

/* ---- waiting for descriptors, with a mask ------------------------------------------------------------- */

/* Copies the mask at `set` (may be 0) to *mask; *arg is what the kernel gets.  After success comes waited(). */
static int wait_mask(struct task *t, gaddr set, size_t size, uint64_t *mask, long *arg)
{
	int r = set ? fetch_mask(t, set, size, mask) : 0;

	*arg = 0;
	if (r || !set)
		return r;
	wait_begin(t, *mask);
	*mask = signal_kernel_mask(*mask);
	*arg = (long)mask;
	return 0;
}

/* The same with the mask behind a pair of pointer and size, as pselect6 has it. */
struct wait_pair { uint64_t set, size; };

static long wait_pair(struct task *t, gaddr sig, uint64_t *mask, struct wait_pair *pair, long *arg)
{
	long set;

	*pair = (struct wait_pair){ 0, 0 };
	*arg = sig ? (long)pair : 0;
	if (sig && copy_from_guest(t, pair, sig, sizeof *pair))
		return -EFAULT;
	long r = wait_mask(t, pair->set, pair->size, mask, &set);
	pair->set = set;
	return r;
}

long sys_ppoll(struct task *t, gaddr fds, unsigned nfds, gaddr timeout, gaddr set, size_t size)
{
	uint64_t mask;
	long arg, r = wait_mask(t, set, size, &mask, &arg);
	return r ? r : waited(t, poll_call(t, fds, nfds, timeout, arg, size));
}

long sys_pselect6(struct task *t, int n, gaddr in, gaddr out, gaddr ex, gaddr timeout, gaddr sig)
{
	struct wait_pair pair;
	uint64_t mask;
	long arg, r = wait_pair(t, sig, &mask, &pair, &arg);
	return r ? r : waited(t, select_call(t, n, in, out, ex, timeout, arg));
}

long sys_epoll_pwait(struct task *t, int epfd, gaddr events, int max, int timeout, gaddr set, size_t size)
{
	uint64_t mask;
	long arg, r = wait_mask(t, set, size, &mask, &arg);
	return r ? r : waited(t, kernel_call(t, __NR_epoll_pwait, epfd, events, max, timeout, arg, size));
}

long sys_epoll_pwait2(struct task *t, int epfd, gaddr events, int max, gaddr timeout, gaddr set, size_t size)
{
	uint64_t mask;
	long arg, r = wait_mask(t, set, size, &mask, &arg);
	return r ? r : waited(t, kernel_call(t, __NR_epoll_pwait2, epfd, events, max, timeout, arg, size));
}

long sys_io_pgetevents(struct task *t, unsigned long ctx, long min, long nr, gaddr events, gaddr timeout,
		       gaddr sig)
{
	struct wait_pair pair;
	uint64_t mask;
	long arg, r = wait_pair(t, sig, &mask, &pair, &arg);
	return r ? r : waited(t, kernel_call(t, __NR_io_pgetevents, ctx, min, nr, events, timeout, arg));
}

long sys_signalfd4(struct task *t, int fd, gaddr set, size_t size, int flags)
{
	uint64_t mask;
	int r = fetch_mask(t, set, size, &mask);

	if (r)
		return r;
	mask = signal_kernel_mask(mask);
	return kernel_call(t, __NR_signalfd4, fd, &mask, 8, flags);
}
