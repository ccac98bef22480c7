/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks between the threads of one process: one word, and a futex only when somebody must wait.
 *
 * The word is 0 (free), or the number of the thread that holds the lock and a bit that says that somebody may sleep.
 * Whoever has slept takes the lock with that bit, because others may sleep still; so a release that finds it
 * wakes one.  A signal for the guest does not matter here: it is queued and the futex call is made again.
 *
 * A child by vfork or CLONE_VM shares our memory and may be killed while it holds a lock.  So who has waited long
 * looks whether the holder still lives, and if not takes over; that the holder stands in the word itself leaves no
 * instruction at which it would be unknown.  What locks protect is changed such that it can be used then (lists
 * by one store each).
 */
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/time_types.h>
#include "agent.h"
#include "thread_stat.h"
#include "../kernel/task.h"
#include "../arch/x86_64/offsets.h"

#define LONG_NS		200000000l
#define WAITERS		0x80000000u
#define SOMEBODY	0x40000000u	/* before there is a task, or it has its number */

/* The thread we are. */
static uint32_t self(void)
{
#ifdef UM_HOSTED
	return (uint32_t)raw_syscall(__NR_gettid);
#else
	const struct task *t = task_of_stack();

	return (uint64_t)t >> 32 == UM_TASKS_HIGH && t->tid ? (uint32_t)t->tid : SOMEBODY;
#endif
}

/* Has the thread ended, if only as a zombie? */
static bool is_dead(uint32_t tid)
{
	char text[128];
	bool opened;
	long n = thread_stat(tid, text, sizeof text, &opened);
	const char *state = thread_stat_field(text, 3);

	if (!opened)
		return n == -ENOENT && raw_syscall(__NR_tkill, tid, 0) == -ESRCH;
	return n == -ESRCH || (state && (*state == 'Z' || *state == 'X'));
}

/* *from becomes what the word was. */
static bool change(struct lock *l, uint32_t *from, uint32_t to)
{
	return __atomic_compare_exchange_n(&l->word, from, to, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void wait(struct lock *l, uint32_t me)
{
	struct __kernel_timespec ts = { 0, LONG_NS };
	uint32_t seen = __atomic_load_n(&l->word, __ATOMIC_RELAXED);

	for (;;) {
		if (seen & WAITERS || (seen && change(l, &seen, seen | WAITERS))) {
			seen |= WAITERS;
			if (raw_syscall(__NR_futex, &l->word, FUTEX_WAIT_PRIVATE, seen, &ts) == -ETIMEDOUT &&
			    seen != (SOMEBODY | WAITERS) && is_dead(seen & ~WAITERS) && change(l, &seen, me | WAITERS))
				return;
			seen = __atomic_load_n(&l->word, __ATOMIC_RELAXED);
		} else if (!seen && change(l, &seen, me | WAITERS)) {
			return;
		}
	}
}

void lock_acquire(struct lock *l)
{
	uint32_t free = 0, me = self();

	if (!change(l, &free, me))
		wait(l, me);
}

void lock_release(struct lock *l)
{
	if (__atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE) & WAITERS)
		raw_syscall(__NR_futex, &l->word, FUTEX_WAKE_PRIVATE, 1);
}
