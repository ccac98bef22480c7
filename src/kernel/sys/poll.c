/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * poll(2) and select(2), of processes that have open what is not always ready (kernel/ready.h).  What is not about such
 * files is made as it came.  Their kin with a mask of signals come here by signal.c; epoll_ctl(2) is in fd.c.
 */
#include <linux/fcntl.h>
#include "calls.h"
#include "../ready.h"

#define NSEC		1000000000l
#define USEC		1000000l
#define FD_SETSIZE	1024u
#define MOST		(1u << 20)	/* descriptors of one call that are looked at */
#define SELECT_IN	(POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR)
#define SELECT_OUT	(POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR)

/* The time of a call: a timespec.  0; -EINVAL, -EFAULT: the kernel says what is wrong with it. */
static int get_time(struct task *t, gaddr from, struct timespec64 *time)
{
	if (copy_from_guest(t, time, from, sizeof *time))
		return -EFAULT;
	return time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= NSEC ? -EINVAL : 0;
}

/* A timeval, which may have any number of microseconds. */
static int get_timeval(struct task *t, gaddr from, struct timespec64 *time)
{
	if (copy_from_guest(t, time, from, sizeof *time))
		return -EFAULT;
	if (__builtin_add_overflow(time->tv_sec, time->tv_nsec / USEC, &time->tv_sec))
		return -EINVAL;
	time->tv_nsec = time->tv_nsec % USEC * (NSEC / USEC);
	return time->tv_sec < 0 || time->tv_nsec < 0 ? -EINVAL : 0;
}

static void put_time(struct task *t, gaddr to, const struct timespec64 *left)
{
	if (to)
		copy_to_guest(t, to, left, sizeof *left);
}

/* ---- poll ------------------------------------------------------------------------------------------------ */

/* More than the process may have open the kernel does not look at. */
static bool is_too_many(unsigned n)
{
	uint64_t limit[2];

	return n > FD_SETSIZE && (n > MOST || raw_syscall(__NR_prlimit64, 0, 7 /* RLIMIT_NOFILE */, 0, limit) || n > limit[0]);
}

/* The guest's array, if the kernel alone cannot do it; else NULL. */
static struct pollfd *poll_import(struct task *t, gaddr fds, unsigned n)
{
	struct pollfd *p = process.watch & WATCH_VIRTUAL && n && !is_too_many(n) ? heap_alloc(n * sizeof *p) : NULL;

	if (!p)
		return NULL;
	if (!copy_from_guest(t, p, fds, n * sizeof *p) && ready_concerns(t, p, n))
		return p;
	heap_free(p);
	return NULL;
}

/* p is given up. */
static long poll_export(struct task *t, gaddr fds, unsigned n, struct pollfd *p, long r)
{
	for (unsigned i = 0; (r >= 0 || r == -EINTR) && i < n; i++)
		if (copy_to_guest(t, fds + i * sizeof *p + offsetof(struct pollfd, revents), &p[i].revents, sizeof p->revents))
			r = -EFAULT;
	heap_free(p);
	return r;
}

long sys_poll(struct task *t, gaddr fds, unsigned nfds, int timeout)
{
	struct timespec64 left = { timeout / 1000, timeout % 1000 * 1000000L };
	struct pollfd *p = poll_import(t, fds, nfds);

	if (!p)
		return kernel_call(t, __NR_poll, fds, nfds, timeout);
	return poll_export(t, fds, nfds, p, ready_wait(t, p, nfds, false, timeout < 0 ? NULL : &left, 0, 0));
}

long poll_call(struct task *t, gaddr fds, unsigned nfds, gaddr timeout, long mask, size_t size)
{
	struct timespec64 left;
	struct pollfd *p = timeout && get_time(t, timeout, &left) ? NULL : poll_import(t, fds, nfds);
	long r;

	if (!p)
		return kernel_call(t, __NR_ppoll, fds, nfds, timeout, mask, size);
	r = ready_wait(t, p, nfds, false, timeout ? &left : NULL, mask, size);
	put_time(t, timeout, &left);
	return poll_export(t, fds, nfds, p, r);
}

/* ---- select ---------------------------------------------------------------------------------------------- */

struct select {
	unsigned n, words;		/* descriptors, and what of a set is looked at */
	gaddr at[3];			/* the guest's sets, or 0 */
	uint64_t *wanted[3], *set[3];	/* what they hold; what is found */
	struct pollfd *p;		/* one for each descriptor that is in any of them */
	unsigned np;
};

static const short select_events[3] = { SELECT_IN, SELECT_OUT, POLLPRI };

static bool is_in(const uint64_t *set, unsigned fd)
{
	return set[fd / 64] >> fd % 64 & 1;
}

/* The sets of the guest, and its descriptors. */
static bool select_import(struct task *t, struct select *s)
{
	for (int k = 0; k < 3; k++)
		if (s->at[k] && copy_from_guest(t, s->wanted[k], s->at[k], s->words * sizeof(uint64_t)))
			return false;
	for (unsigned fd = 0; fd < s->n; fd++) {
		short events = 0;

		for (int k = 0; k < 3; k++)
			events |= is_in(s->wanted[k], fd) ? select_events[k] : 0;
		if (events)
			s->p[s->np++] = (struct pollfd){ .fd = (int)fd, .events = events };
	}
	return ready_concerns(t, s->p, s->np);
}

static bool select_begin(struct task *t, struct select *s)
{
	const size_t sets = 6 * s->words * sizeof(uint64_t);

	if (!(process.watch & WATCH_VIRTUAL) || !s->n || s->n > MOST)
		return false;
	s->set[0] = heap_alloc(sets + s->n * sizeof *s->p);
	if (!s->set[0])
		return false;
	for (unsigned k = 0; k < 3; k++) {
		s->set[k] = s->set[0] + k * s->words;
		s->wanted[k] = s->set[0] + (3 + k) * s->words;
	}
	s->p = (struct pollfd *)((char *)s->set[0] + sets);
	if (select_import(t, s))
		return true;
	heap_free(s->set[0]);
	return false;
}

/* Bits that are set. */
static long select_found(struct select *s)
{
	long bits = 0;

	memset(s->set[0], 0, 3 * s->words * sizeof(uint64_t));
	for (unsigned i = 0; i < s->np; i++) {
		const struct pollfd *p = &s->p[i];

		if (p->revents & POLLNVAL)
			return -EBADF;
		for (int k = 0; p->fd >= 0 && k < 3; k++) {
			if (!is_in(s->wanted[k], (unsigned)p->fd) || !(p->revents & select_events[k]))
				continue;
			s->set[k][p->fd / 64] |= 1ul << p->fd % 64;
			bits++;
		}
	}
	return bits;
}

static long select_wait(struct task *t, struct select *s, struct timespec64 *left, const uint64_t pair[2])
{
	long r = ready_wait(t, s->p, s->np, true, left, pair ? (long)pair[0] : 0, pair ? pair[1] : 0);

	if (r < 0)
		return r;
	r = select_found(s);
	for (int k = 0; r >= 0 && k < 3; k++)
		if (s->at[k] && copy_to_guest(t, s->at[k], s->set[k], s->words * sizeof(uint64_t)))
			r = -EFAULT;
	return r;
}

/* No descriptor of this process is as high as that: FDSize of /proc/self/status, if it matters. */
static unsigned table_size(void)
{
	char text[512], *at;
	long n, fd = raw_syscall(__NR_openat, AT_FDCWD, "/proc/thread-self/status", O_RDONLY | O_CLOEXEC, 0);
	unsigned size = 0;

	if (fd < 0)
		return MOST;
	n = raw_syscall(__NR_read, fd, text, sizeof text - 1);
	raw_syscall(__NR_close, fd);
	text[n > 0 ? n : 0] = 0;
	for (at = text; *at && strncmp(at, "\nFDSize:\t", 9); at++)
		;
	for (at += *at ? 9 : 0; *at >= '0' && *at <= '9'; at++)
		size = size * 10 + (unsigned)(*at - '0');
	return size ? size : MOST;
}

/* As the kernel does, before it looks at the sets: there may be no more of them than that. */
static struct select select_of(int n, gaddr in, gaddr out, gaddr ex)
{
	unsigned most = n > (int)FD_SETSIZE ? table_size() : FD_SETSIZE, size = n < 0 ? 0 : (unsigned)n < most ? (unsigned)n : most;

	return (struct select){ .n = size, .words = (size + 63) / 64, .at = { in, out, ex } };
}

long sys_select(struct task *t, int n, gaddr in, gaddr out, gaddr ex, gaddr timeout)
{
	struct select s = select_of(n, in, out, ex);
	struct timespec64 left;
	long r;

	if ((timeout && get_timeval(t, timeout, &left)) || !select_begin(t, &s))
		return kernel_call(t, __NR_select, n, in, out, ex, timeout);
	r = select_wait(t, &s, timeout ? &left : NULL, NULL);
	left.tv_nsec /= NSEC / USEC;
	put_time(t, timeout, &left);
	heap_free(s.set[0]);
	return r;
}

long select_call(struct task *t, int n, gaddr in, gaddr out, gaddr ex, gaddr timeout, long sig)
{
	struct select s = select_of(n, in, out, ex);
	struct timespec64 left;
	long r;

	if ((timeout && get_time(t, timeout, &left)) || !select_begin(t, &s))
		return kernel_call(t, __NR_pselect6, n, in, out, ex, timeout, sig);
	r = select_wait(t, &s, timeout ? &left : NULL, (const uint64_t *)sig);
	put_time(t, timeout, &left);
	heap_free(s.set[0]);
	return r;
}
