/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks between the threads of one process: one word, and a futex only when somebody must wait.
 *
 * The word is 0 (free), 1 (held) or 2 (held, and somebody may sleep).  Whoever has slept takes the lock
 * as 2, because others may sleep still; so a release that finds 2 wakes one.  A signal for the guest
 * does not matter here: it is queued and the futex call is made again.
 *
 * A child by vfork or CLONE_VM shares our memory and may be killed while it holds a lock.  So who has waited long
 * looks whether the holder still lives, and if not takes over; what locks protect is changed such that it can be
 * used then (lists by one store each).
 */
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/time_types.h>
#include "agent.h"
#include "../kernel/task.h"
#include "../arch/x86_64/offsets.h"

#define LONG_NS		200000000l

/* The thread we are; 0 before there is a task. */
static uint32_t self(void)
{
#ifdef UM_HOSTED
	return (uint32_t)raw_syscall(__NR_gettid);
#else
	uint64_t sp = (uint64_t)__builtin_frame_address(0);

	return sp >> 32 == UM_TASKS_HIGH ? (uint32_t)((struct task *)(sp & ~(TASK_SPAN - 1ul)))->tid : 0;
#endif
}

/* Has the thread ended, if only as a zombie? */
static bool is_dead(uint32_t tid)
{
	char text[128];

	text_format(text, sizeof text, "/proc/%u/stat", tid);
	long fd = raw_syscall(__NR_openat, AT_FDCWD, text, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd == -ENOENT && raw_syscall(__NR_tkill, tid, 0) == -ESRCH;
	long n = raw_syscall(__NR_read, fd, text, sizeof text - 1);
	raw_syscall(__NR_close, fd);
	text[n > 0 ? n : 0] = 0;
	char *state = strrchr(text, ')');
	return n == -ESRCH || (state && (state[2] == 'Z' || state[2] == 'X'));
}

static bool inherit(struct lock *l)
{
	uint32_t owner = __atomic_load_n(&l->owner, __ATOMIC_ACQUIRE);

	return owner && is_dead(owner) &&
	       __atomic_compare_exchange_n(&l->owner, &owner, self(), false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void wait(struct lock *l)
{
	struct __kernel_timespec ts = { 0, LONG_NS };

	while (__atomic_exchange_n(&l->word, 2, __ATOMIC_ACQUIRE))
		if (raw_syscall(__NR_futex, &l->word, FUTEX_WAIT_PRIVATE, 2, &ts) == -ETIMEDOUT && inherit(l))
			return;
}

void lock_acquire(struct lock *l)
{
	uint32_t free = 0;

	if (!__atomic_compare_exchange_n(&l->word, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		wait(l);
	__atomic_store_n(&l->owner, self(), __ATOMIC_RELEASE);
}

void lock_release(struct lock *l)
{
	__atomic_store_n(&l->owner, 0, __ATOMIC_RELAXED);
	if (__atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE) == 2)
		raw_syscall(__NR_futex, &l->word, FUTEX_WAKE_PRIVATE, 1);
}
