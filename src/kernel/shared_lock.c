/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks between processes, in memory that they share.
 *
 * The lock is one word of 64 bits: the number of the thread that holds it, a bit that says that somebody may sleep, and in the
 * high half when that thread began (from /proc), so that another one that got the same number is not taken for it.
 * Who has waited a while looks whether the holder is still there; if not, he takes over, and is told so.
 */
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/time_types.h>
#include "shared_lock.h"
#include "../agent/thread_stat.h"

#define LONG_NS		50000000l
#define WAITERS		0x80000000u

/* The state of a thread ('R', 'Z'...) and, if not 0, the low half of when it began; 0: it is not there. */
static char thread_state(uint32_t tid, uint32_t *began)
{
	char text[512];
	bool opened;
	long n = thread_stat(tid, text, sizeof text, &opened);
	const char *state = thread_stat_field(text, 3), *s = thread_stat_field(text, 22);

	*began = 0;
	if (!opened)
		return raw_syscall(__NR_tkill, tid, 0) == -ESRCH ? 0 : 'S';
	if (!state)
		return n == -ESRCH || !n ? 0 : 'S';
	if (s)
		*began = (uint32_t)text_number(&s);
	return *state;
}

/* The lock's word when we hold it.  When a thread began is looked up once. */
static uint64_t self(struct task *t)
{
	static uint64_t own;		/* of who has no task: umview itself, one thread */
	uint32_t began;

	if (!t) {
		const uint32_t tid = (uint32_t)raw_syscall(__NR_gettid);
		if ((uint32_t)own != tid) {
			thread_state(tid, &began);
			own = (uint64_t)began << 32 | tid;
		}
		return own;
	}
	if ((uint32_t)t->vstat_self != (uint32_t)t->tid) {
		thread_state((uint32_t)t->tid, &began);
		t->vstat_self = (uint64_t)began << 32 | (uint32_t)t->tid;
	}
	return t->vstat_self;
}

static bool holder_is_gone(uint64_t word)
{
	uint32_t began, then = (uint32_t)(word >> 32);
	char state = thread_state((uint32_t)word & ~WAITERS, &began);

	return !state || state == 'Z' || state == 'X' || (then && began && began != then);
}

static bool change(uint64_t *word, uint64_t *from, uint64_t to)
{
	return __atomic_compare_exchange_n(word, from, to, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* true: it was taken from somebody who is no more. */
static bool acquire_slowly(uint64_t *word, uint64_t me)
{
	const struct __kernel_timespec ts = { 0, LONG_NS };
	uint64_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);

	for (;;) {
		if (!seen) {
			if (change(word, &seen, me | WAITERS))
				return false;
		} else if (seen & WAITERS || change(word, &seen, seen | WAITERS)) {
			seen |= WAITERS;
			long r = raw_syscall(__NR_futex, word, FUTEX_WAIT, (uint32_t)seen, &ts);

			if (r == -ETIMEDOUT && holder_is_gone(seen) && change(word, &seen, me | WAITERS))
				return true;
			seen = __atomic_load_n(word, __ATOMIC_RELAXED);
		}
	}
}

bool shared_lock(uint64_t *word, struct task *t)
{
	uint64_t free = 0, me = self(t);

	return !change(word, &free, me) && acquire_slowly(word, me);
}

void shared_unlock(uint64_t *word)
{
	if (__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) & WAITERS)
		raw_syscall(__NR_futex, word, FUTEX_WAKE, 1);
}
