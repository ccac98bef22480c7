/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent's own dealings with the kernel: memory in its own range, waiting on shared words, the
 * log, the end of everything when an inner contradiction shows.
 */
#include "agent.h"
#include "channel.h"
#include "../kernel/task.h"
#include "../arch/x86_64/offsets.h"
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/time_types.h>
#include <asm/signal.h>

/* ---- own_map: the range [UM_OWN_BASE, UM_OWN_END) --------------------------------------------------- */

static uint64_t own_next = UM_OWN_BASE;

/*
 * Addresses are handed out in a circle: what was unmapped is used again only when the circle came
 * round, which MAP_FIXED_NOREPLACE makes safe.
 */
long own_map(size_t size, int prot, int flags, int fd, uint64_t offset)
{
	size = (size + 4095) & ~4095ul;
	if (!size || size > UM_OWN_END - UM_OWN_BASE)
		return -ENOMEM;
	if (fd < 0)
		flags |= MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uint64_t step = size;
	for (int i = 0; i < 100000; i++) {
		uint64_t at = __atomic_fetch_add(&own_next, step, __ATOMIC_RELAXED);
		if (at + size > UM_OWN_END) {
			__atomic_store_n(&own_next, UM_OWN_BASE, __ATOMIC_RELAXED);
			continue;
		}
		long r = raw_syscall(__NR_mmap, at, size, prot, flags | MAP_FIXED_NOREPLACE, fd, offset);
		if (r != -EEXIST)
			return r;
	}
	return -ENOMEM;
}

void own_unmap(void *p, size_t size)
{
	raw_syscall(__NR_munmap, p, (size + 4095) & ~4095ul);
}

/* ---- futexes ---------------------------------------------------------------------------------------- */

int futex_sleep(struct task *t, uint32_t *word, uint32_t value, int timeout_ms)
{
	struct __kernel_timespec ts = { timeout_ms / 1000, timeout_ms % 1000 * 1000000l };
	struct __kernel_timespec *to = timeout_ms < 0 ? NULL : &ts;
	long r;

	if (t)
		r = kernel_call(t, __NR_futex, word, FUTEX_WAIT, value, to, 0, 0);
	else
		r = raw_syscall(__NR_futex, word, FUTEX_WAIT, value, to, 0, 0);
	if (r == -UM_ERESTART || (r == -EINTR && t))
		return -EINTR;
	return r == -ETIMEDOUT ? -ETIMEDOUT : 0;
}

void futex_wake(uint32_t *word, int how_many)
{
	raw_syscall(__NR_futex, word, FUTEX_WAKE, how_many, 0, 0, 0);
}

/* ---- log and panic ---------------------------------------------------------------------------------- */

/* PREFIX: text, newline, cut to size.  Its length. */
static int line_format(char *line, int size, const char *prefix, const char *fmt, va_list ap)
{
	int n = text_format(line, size, "%s%d: ", prefix, process.pid);

	n += text_vformat(line + n, size - n - 1, fmt, ap);
	if (n > size - 2)
		n = size - 2;
	line[n++] = '\n';
	return n;
}

/*
 * A sandboxed guest may have set RLIMIT_FSIZE to 0, or nobody may be listening any more: the signal that
 * comes of that is not the guest's.  It is this thread's, and comes before the write returns.
 */
long own_write(int fd, const void *data, size_t n)
{
	const uint64_t ours = 1ull << (SIGXFSZ - 1) | 1ull << (SIGPIPE - 1);
	const struct timespec64 now = { 0, 0 };
	uint64_t mask = 0;

	raw_syscall(__NR_rt_sigprocmask, SIG_BLOCK, &ours, &mask, 8);
	long r = raw_syscall(__NR_write, fd, data, n);
	if (r == -EFBIG || r == -EPIPE)
		raw_syscall(__NR_rt_sigtimedwait, &ours, NULL, &now, 8);
	mask = ours & ~mask;
	raw_syscall(__NR_rt_sigprocmask, SIG_UNBLOCK, &mask, NULL, 8);
	return r;
}

/*
 * Log lines go to the monitor's log when the world says that somebody listens: a descriptor number as
 * for the trace.  With nobody listening they are dropped.
 */
void agent_log(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (!process.world || !process.world->log)
		return;
	va_start(ap, fmt);
	int n = line_format(line, sizeof line, "umview: in process ", fmt, ap);
	va_end(ap);
	own_write(process.world->log, line, n);
}

_Noreturn void agent_panic(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	int n = line_format(line, sizeof line, "umview: agent in process ", fmt, ap);
	va_end(ap);
	raw_syscall(__NR_write, 2, line, n);
	long pid = raw_syscall(__NR_getpid);
	for (;;)
		raw_syscall(__NR_kill, pid, SIGKILL);
}
