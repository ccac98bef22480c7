/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks between the threads of one process: one word, and a futex only when somebody must wait.
 *
 * The word is 0 (free), 1 (held) or 2 (held, and somebody may sleep).  Whoever has slept takes the lock
 * as 2, because others may sleep still; so a release that finds 2 wakes one.  A signal for the guest
 * does not matter here: it is queued and the futex call is made again.
 */
#include <linux/futex.h>
#include "agent.h"

void lock_acquire(struct lock *l)
{
	uint32_t free = 0;

	if (__atomic_compare_exchange_n(&l->word, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(&l->word, 2, __ATOMIC_ACQUIRE))
		raw_syscall(__NR_futex, &l->word, FUTEX_WAIT_PRIVATE, 2);
}

void lock_release(struct lock *l)
{
	if (__atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE) == 2)
		raw_syscall(__NR_futex, &l->word, FUTEX_WAKE_PRIVATE, 1);
}
