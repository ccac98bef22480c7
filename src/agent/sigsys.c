/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's own SIGSYS.
 *
 * The kernel may never have SIGSYS blocked while guest code runs: a trapped call would kill the guest.  So its
 * blocking is virtual: one that somebody sends while the guest blocks it has left the kernel, and is held here,
 * as the kernel would: one for each thread and one for the process.  If some other thread would take the latter,
 * that thread is called: by a SIGSYS of ours, for the kernel lets nobody pass on what somebody else has sent.
 *
 * In calls that wait for signals, and at exec, no guest code runs: there the kernel may have it (sigsys_lend).
 */
#include "signal.h"
#include "life.h"
#include <asm/signal.h>

#define SYS		SIGBIT(SIGSYS)
#define CALLED		(-0x756d)	/* si_code of ours: look at what is held for the process */

/* Held for the process.  Handlers come here at any time, so no lock: who moves `state` owns `info`. */
enum { EMPTY, BUSY, FULL };
static struct { uint32_t state; struct kernel_siginfo info; } shared;

static bool move(uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&shared.state, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static bool take_shared(struct kernel_siginfo *info)
{
	if (!move(FULL, BUSY))
		return false;
	*info = shared.info;
	move(BUSY, EMPTY);
	return true;
}

static bool send(int pid, int tid, const struct kernel_siginfo *info)
{
	return raw_syscall(__NR_rt_tgsigqueueinfo, pid, tid, info->signo, info) == 0;
}

/* The next thread of t's process, but not t itself; NULL: behind the last one, and before the first. */
static struct task *next_neighbour(const struct task *t, struct task *other)
{
	while ((other = task_next(other)))
		if (other != t && other->pid == t->pid && other->tid)
			return other;
	return NULL;
}

/* A thread of this process that does not block SIGSYS, or waits for it. */
static struct task *find_taker(struct task *t)
{
	struct task *other = NULL;

	while ((other = next_neighbour(t, other)))
		if (other->sig->lent || !(other->sig->mask & SYS))
			return other;
	return NULL;
}

/* First to where everybody finds it, then to who waits: a waiter looks there after it has said that it waits. */
static void hold_for_process(struct task *t, const struct kernel_siginfo *info)
{
	const struct kernel_siginfo call = { .signo = SIGSYS, .code = CALLED };

	if (!move(EMPTY, BUSY))
		return;			/* one is held already: like the kernel, we keep the first */
	shared.info = *info;
	move(BUSY, FULL);
	struct task *other = find_taker(t);
	if (other)
		send(t->pid, other->tid, &call);
}

bool sigsys_is_none(struct kernel_siginfo *info)
{
	return info->code == CALLED && !take_shared(info);
}

bool sigsys_hold(struct task *t, const struct kernel_siginfo *info, bool by_mask)
{
	if (!((by_mask ? t->sig->wait_mask : t->sig->mask) & SYS))
		return false;
	if (info->code != SI_TKILL && !t->life->own_process) {
		hold_for_process(t, info);
	} else if (!t->sig->sys_pending) {
		t->sig->sys_info = *info;
		t->sig->sys_pending = true;
	}
	return true;
}

bool sigsys_held(const struct task *t)
{
	return t->sig->sys_pending ||
	       (!t->life->own_process && __atomic_load_n(&shared.state, __ATOMIC_SEQ_CST) != EMPTY);
}

const uint32_t *sigsys_shared_state(void)
{
	return &shared.state;
}

/* Neighbours may not get what was the process's: of SIGSYS, for the kernel none of them blocks it. */
void signal_send_again(struct task *t, const struct kernel_siginfo *info)
{
	bool thread = info->code == SI_TKILL || (info->signo == SIGSYS && next_neighbour(t, NULL));

	if (thread || raw_syscall(__NR_rt_sigqueueinfo, t->pid, info->signo, info))
		send(t->pid, t->tid, info);
}

/* Gives what is held to the kernel. */
static void send_held(struct task *t)
{
	struct kernel_siginfo info;

	if (t->sig->sys_pending) {
		t->sig->sys_pending = false;
		send(t->pid, t->tid, &t->sig->sys_info);
	} else if (!t->life->own_process && take_shared(&info)) {
		signal_send_again(t, &info);
	}
}

void sigsys_release(struct task *t)
{
	if (sigsys_held(t) && !(t->sig->mask & SYS))
		send_held(t);
}

void sigsys_lend(struct task *t)
{
	uint64_t sys = SYS;

	raw_syscall(__NR_rt_sigprocmask, SIG_BLOCK, &sys, NULL, 8);
	__atomic_store_n(&t->sig->lent, true, __ATOMIC_SEQ_CST);
	send_held(t);
}

void sigsys_take_back(struct task *t)
{
	uint64_t sys = SYS;

	if (!t->sig->lent)
		return;
	__atomic_store_n(&t->sig->lent, false, __ATOMIC_SEQ_CST);
	raw_syscall(__NR_rt_sigprocmask, SIG_UNBLOCK, &sys, NULL, 8);
}

void sigsys_drop(struct task *t)
{
	struct kernel_siginfo info;
	struct task *other = NULL;

	if (!t->life->own_process)
		take_shared(&info);
	t->sig->sys_pending = false;
	while ((other = next_neighbour(t, other)))
		other->sig->sys_pending = false;
}

void sigsys_after_fork(struct task *t)
{
	t->sig->sys_pending = false;
	shared.state = EMPTY;
}
