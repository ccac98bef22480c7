/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * poll(2) and select(2), of processes that have open what is not always ready (kernel/ready.h).  What is not about such
 * files is made as it came.  Their kin with a mask of signals come here by signal.c; epoll_ctl(2) is in fd.c.
 */
#include "calls.h"
#include "../ready.h"

#define NSEC		1000000000
#define MOST		65536u		/* descriptors of one call that are looked at */
#define SELECT_IN	(POLLIN | POLLRDNORM | POLLRDBAND)
#define SELECT_OUT	(POLLOUT | POLLWRNORM | POLLWRBAND)

/* The time of a call, in the unit the guest gave it in.  0; -EINVAL, -EFAULT: the kernel says what is wrong with it. */
static int get_time(struct task *t, gaddr from, int64_t unit, struct timespec64 *time)
{
	if (copy_from_guest(t, time, from, sizeof *time))
		return -EFAULT;
	time->tv_nsec *= unit;
	return time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= NSEC ? -EINVAL : 0;
}

static void put_time(struct task *t, gaddr to, int64_t unit, const struct timespec64 *time)
{
	struct timespec64 left = { time->tv_sec, time->tv_nsec / unit };

	if (to)
		copy_to_guest(t, to, &left, sizeof left);
}

/* ---- poll ------------------------------------------------------------------------------------------------ */

/* The guest's array, if the kernel alone cannot do it; else NULL. */
static struct pollfd *poll_import(struct task *t, gaddr fds, unsigned n)
{
	struct pollfd *p = process.watch & WATCH_VIRTUAL && n && n <= MOST ? heap_alloc(n * sizeof *p) : NULL;

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
	for (unsigned i = 0; r >= 0 && i < n; i++)
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
	return poll_export(t, fds, nfds, p, ready_wait(t, p, nfds, timeout < 0 ? NULL : &left, 0, 0));
}

long poll_call(struct task *t, gaddr fds, unsigned nfds, gaddr timeout, long mask, size_t size)
{
	struct timespec64 left;
	struct pollfd *p = timeout && get_time(t, timeout, 1, &left) ? NULL : poll_import(t, fds, nfds);
	long r;

	if (!p)
		return kernel_call(t, __NR_ppoll, fds, nfds, timeout, mask, size);
	r = ready_wait(t, p, nfds, timeout ? &left : NULL, mask, size);
	put_time(t, timeout, 1, &left);
	return poll_export(t, fds, nfds, p, r);
}

/* ---- select ---------------------------------------------------------------------------------------------- */

struct select {
	unsigned n, words;		/* descriptors, and what of a set is looked at */
	gaddr at[3];			/* the guest's sets, or 0 */
	uint64_t *set[3];		/* what they hold */
	struct pollfd *p;		/* one for each descriptor that is in any of them */
	unsigned np;
};

static const short select_events[3] = { SELECT_IN, SELECT_OUT, POLLPRI };
static const short select_also[3] = { POLLHUP | POLLERR, POLLERR, 0 };

static bool is_in(const uint64_t *set, unsigned fd)
{
	return set[fd / 64] >> fd % 64 & 1;
}

/* The sets of the guest, which lie behind each other at s->set[0]; its descriptors. */
static bool select_import(struct task *t, struct select *s)
{
	const size_t size = s->words * sizeof(uint64_t);

	for (int k = 0; k < 3; k++) {
		s->set[k] = s->set[0] + k * s->words;
		if (s->at[k] && copy_from_guest(t, s->set[k], s->at[k], size))
			return false;
	}
	for (unsigned fd = 0; fd < s->n; fd++) {
		short events = 0;

		for (int k = 0; k < 3; k++)
			events |= is_in(s->set[k], fd) ? select_events[k] : 0;
		if (events)
			s->p[s->np++] = (struct pollfd){ .fd = (int)fd, .events = events };
	}
	return ready_concerns(t, s->p, s->np);
}

static bool select_begin(struct task *t, struct select *s)
{
	const size_t sets = 3 * s->words * sizeof(uint64_t);

	if (!(process.watch & WATCH_VIRTUAL) || !s->n || s->n > MOST)
		return false;
	s->set[0] = heap_alloc(sets + s->n * sizeof *s->p);
	if (!s->set[0])
		return false;
	s->p = (struct pollfd *)((char *)s->set[0] + sets);
	if (select_import(t, s))
		return true;
	heap_free(s->set[0]);
	return false;
}

/*
 * Bits that are set.  What is only said to poll (the end of what is watched for urgent data) is left out from now on: no more of it
 * will come.
 */
static long select_found(struct select *s)
{
	long bits = 0;

	memset(s->set[0], 0, 3 * s->words * sizeof(uint64_t));
	for (unsigned i = 0; i < s->np; i++) {
		struct pollfd *p = &s->p[i];
		long had = bits;

		if (p->revents & POLLNVAL)
			return -EBADF;
		for (int k = 0; k < 3; k++) {
			if (!(p->events & select_events[k]) || !(p->revents & (select_events[k] | select_also[k])))
				continue;
			s->set[k][p->fd / 64] |= 1ul << p->fd % 64;
			bits++;
		}
		if (p->revents && bits == had)
			p->fd = -1;
	}
	return bits;
}

static long select_wait(struct task *t, struct select *s, struct timespec64 *left, const uint64_t pair[2])
{
	long r, bits;

	do {
		r = ready_wait(t, s->p, s->np, left, pair ? (long)pair[0] : 0, pair ? pair[1] : 0);
		bits = r < 0 ? r : select_found(s);
	} while (r > 0 && !bits);
	for (int k = 0; bits >= 0 && k < 3; k++)
		if (s->at[k] && copy_to_guest(t, s->at[k], s->set[k], s->words * sizeof(uint64_t)))
			bits = -EFAULT;
	return bits;
}

static struct select select_of(int n, gaddr in, gaddr out, gaddr ex)
{
	return (struct select){ .n = n < 0 ? 0 : (unsigned)n, .words = n < 0 ? 0 : ((unsigned)n + 63) / 64, .at = { in, out, ex } };
}

long sys_select(struct task *t, int n, gaddr in, gaddr out, gaddr ex, gaddr timeout)
{
	struct select s = select_of(n, in, out, ex);
	struct timespec64 left;
	long r;

	if ((timeout && get_time(t, timeout, 1000, &left)) || !select_begin(t, &s))
		return kernel_call(t, __NR_select, n, in, out, ex, timeout);
	r = select_wait(t, &s, timeout ? &left : NULL, NULL);
	put_time(t, timeout, 1000, &left);
	heap_free(s.set[0]);
	return r;
}

long select_call(struct task *t, int n, gaddr in, gaddr out, gaddr ex, gaddr timeout, long sig)
{
	struct select s = select_of(n, in, out, ex);
	struct timespec64 left;
	long r;

	if ((timeout && get_time(t, timeout, 1, &left)) || !select_begin(t, &s))
		return kernel_call(t, __NR_pselect6, n, in, out, ex, timeout, sig);
	r = select_wait(t, &s, timeout ? &left : NULL, (const uint64_t *)sig);
	put_time(t, timeout, 1, &left);
	heap_free(s.set[0]);
	return r;
}
