/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory files of our own that grow.  The guest's limit on the size of files (RLIMIT_FSIZE) is not about them, but the
 * kernel applies it: so it is raised for a moment, as far as that is allowed, and its signal kept from the guest.
 */
#include "agent.h"
#include <linux/resource.h>
#include <linux/time_types.h>
#include <asm/signal.h>

/* A call of which SIGXFSZ may come: it is this thread's, and comes before the call returns. */
static long quiet_call(long nr, long fd, long a, long b, long c)
{
	const uint64_t ours = 1ull << (SIGXFSZ - 1);
	const struct timespec64 now = { 0, 0 };
	uint64_t mask = 0;

	raw_syscall(__NR_rt_sigprocmask, SIG_BLOCK, &ours, &mask, 8);
	long r = raw_syscall(nr, fd, a, b, c);
	if (r == -EFBIG)
		raw_syscall(__NR_rt_sigtimedwait, &ours, NULL, &now, 8);
	mask = ours & ~mask;
	raw_syscall(__NR_rt_sigprocmask, SIG_UNBLOCK, &mask, NULL, 8);
	return r;
}

long own_file_call(long nr, long fd, long a, long b, long c)
{
	struct rlimit64 had, all;
	long r = quiet_call(nr, fd, a, b, c);

	if (r != -EFBIG || raw_syscall(__NR_prlimit64, 0, RLIMIT_FSIZE, NULL, &had) || had.rlim_cur >= had.rlim_max)
		return r;
	all = (struct rlimit64){ had.rlim_max, had.rlim_max };
	raw_syscall(__NR_prlimit64, 0, RLIMIT_FSIZE, &all, NULL);
	r = quiet_call(nr, fd, a, b, c);
	raw_syscall(__NR_prlimit64, 0, RLIMIT_FSIZE, &had, NULL);
	return r;
}
