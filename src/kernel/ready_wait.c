/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for files of which the kernel does not know when they are ready: ready.h.
 *
 * As the kernel does it: each file is asked; if none is ready the caller sleeps, until something real is ready or a server
 * says that asking is worth while, which makes a descriptor of ours readable (ready_waker.c).  Where that cannot be had, all are asked
 * again every SLICE.  When the time is over they are asked once more.
 */
#include <linux/fcntl.h>
#include "ready.h"
#include "fs/fuse.h"
#include "fs/remote.h"

#define NSEC	1000000000l
#define SLICE	20000000l	/* ns */
#define NOT_OPEN 0x7fffffff	/* a descriptor that nobody has */

struct ready {
	struct task *t;
	bool select;
	unsigned n;
	struct pollfd *p;		/* what is waited for, by the caller */
	struct file **f;		/* which of them are ours, held; else NULL */
	struct pollfd *k;		/* what is waited for by the kernel: all others, then what wakes us */
	unsigned *at;			/* whose it is, in p */
	unsigned nk, others;		/* in k; how many of them are others */
	struct file_waker *waker;	/* who is to wake us */
	unsigned wakers, opened;	/* how many; which of them are in k */
	unsigned found;			/* of ours: ready */
	bool again;			/* there is news already */
	bool slices;			/* somebody cannot wake us */
};

/* ---- what is asked --------------------------------------------------------------------------------------- */

static bool begin(struct ready *s)
{
	char *m = heap_alloc(s->n * (sizeof *s->waker + sizeof *s->f + 2 * sizeof *s->k + sizeof *s->at));

	if (!m)
		return false;
	s->waker = (struct file_waker *)m;
	s->f = (struct file **)(s->waker + s->n);
	s->k = (struct pollfd *)(s->f + s->n);
	s->at = (unsigned *)(s->k + 2 * s->n);
	for (unsigned i = 0; i < s->n; i++) {
		struct file *f = fd_hold(s->t, s->p[i].fd);

		if (f && !ready_is_asked(s->t, f)) {
			file_put(f);
			f = NULL;
		}
		s->f[i] = f;
	}
	return true;
}

static void end(struct ready *s)
{
	for (unsigned i = 0; i < s->n; i++)
		file_put(s->f[i]);
	heap_free(s->waker);
}

static void add_waker(struct ready *s, const struct file_waker *w)
{
	for (unsigned i = 0; i < s->wakers; i++)
		if (s->waker[i].pid == w->pid && s->waker[i].ino == w->ino)
			return;
	s->waker[s->wakers++] = *w;
}

static long ask_server(struct ready *s, const struct pollfd *p, struct file *f, bool wait)
{
	struct file_waker w = { 0 };
	long r = file_poll(s->t, f, (uint16_t)p->events | POLLERR | POLLHUP, wait ? &w : NULL);

	if (r < 0)
		return r == -EINTR ? r : POLLERR;
	if (wait)
		add_waker(s, &w);
	return r;
}

/* It can always be written to; what wakes who reads it is its bell. */
static long ask_device(struct ready *s, const struct file *f)
{
	long bell = fuse_dev_bell(f);

	if (bell == -ENODEV)
		return POLLERR;
	if (bell >= 0)
		s->k[s->nk++] = (struct pollfd){ .fd = (int)bell, .events = POLLIN };
	else
		s->slices = true;
	return POLLOUT | POLLWRNORM | (fuse_dev_readable(f) ? POLLIN | POLLRDNORM : 0);
}

/* What counts of the events of an entry. */
static short relevant(const struct ready *s, const struct pollfd *p)
{
	return s->select ? p->events : (short)(p->events | POLLERR | POLLHUP | POLLNVAL);
}

/* The others, as the kernel gets them. */
static void take_others(struct ready *s)
{
	s->nk = 0;
	for (unsigned i = 0; i < s->n; i++) {
		s->p[i].revents = 0;
		if (s->f[i] || s->p[i].fd < 0)
			continue;
		s->at[s->nk] = i;
		s->k[s->nk] = s->p[i];
		if (fd_is_ours(s->p[i].fd))
			s->k[s->nk].fd = NOT_OPEN;
		s->nk++;
	}
	s->others = s->nk;
}

/* All of ours are asked.  0 or -EINTR. */
static long ask(struct ready *s, bool wait)
{
	take_others(s);
	s->wakers = s->found = 0;
	s->again = s->slices = false;
	for (unsigned i = 0; i < s->n; i++) {
		struct pollfd *p = &s->p[i];
		long r;

		if (!s->f[i])
			continue;
		r = s->f[i]->kind == FILE_FUSE_DEVICE ? ask_device(s, s->f[i]) : ask_server(s, p, s->f[i], wait);
		if (r < 0)
			return r;
		p->revents = (short)(r & relevant(s, p) & ~POLLNVAL);
		s->found += p->revents != 0;
	}
	return 0;
}

/* ---- sleeping -------------------------------------------------------------------------------------------- */

static void open_wakers(struct ready *s)
{
	for (s->opened = 0; s->opened < s->wakers; s->opened++) {
		int fd = ready_waker_get(&s->waker[s->opened]);

		if (fd < 0) {
			s->again = s->again || fd == -ESTALE;
			s->slices = true;
			return;
		}
		s->k[s->nk++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	}
}

static void close_wakers(struct ready *s)
{
	while (s->opened) {
		ready_waker_put(s->k[--s->nk].fd);
		s->opened--;
	}
}

static bool is_over(const struct timespec64 *left)
{
	return left && !left->tv_sec && !left->tv_nsec;
}

/* If something is ready nobody waits, and no signal comes in. */
static void look(struct ready *s)
{
	struct timespec64 zero = { 0, 0 };

	raw_syscall(__NR_ppoll, s->k, s->others, &zero, 0, 0);
}

/* 0 or -errno. */
static long doze(struct ready *s, const struct timespec64 *left, long mask, size_t size)
{
	struct timespec64 limit = left ? *left : (struct timespec64){ 0, 0 };
	long r;

	if (s->found) {
		look(s);
		return 0;
	}
	s->opened = 0;
	if (!is_over(left))
		open_wakers(s);
	if (s->again)
		limit = (struct timespec64){ 0, 0 };
	else if (s->slices && (!left || limit.tv_sec || limit.tv_nsec > SLICE))
		limit = (struct timespec64){ 0, SLICE };
	r = kernel_call(s->t, __NR_ppoll, s->k, s->nk, left || s->again || s->slices ? &limit : NULL, mask, size);
	close_wakers(s);
	return r == -UM_ERESTART ? -EINTR : r < 0 ? r : 0;
}

/* What the kernel has found, to the rest.  How many are ready. */
static long tell(struct ready *s)
{
	long count = s->found;

	for (unsigned i = 0; i < s->others; i++) {
		struct pollfd *p = &s->p[s->at[i]];

		if (s->k[i].revents & POLLNVAL) {
			p->revents = POLLNVAL;
		} else {
			p->revents = s->k[i].revents & relevant(s, p);
			if (s->k[i].revents && !p->revents)
				p->fd = -1;	/* select(2) does not want to know of its end, and the kernel would say it again and again */
		}
		count += p->revents != 0;
	}
	return count;
}

/* ---- the time -------------------------------------------------------------------------------------------- */

static struct timespec64 now(void)
{
	struct timespec64 t;

	raw_syscall(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &t);
	return t;
}

/* What is left of it, which began then. */
static struct timespec64 time_left(const struct timespec64 *time, const struct timespec64 *began)
{
	struct timespec64 t = now(), left;

	left.tv_sec = time->tv_sec - (t.tv_sec - began->tv_sec);
	left.tv_nsec = time->tv_nsec - (t.tv_nsec - began->tv_nsec);
	if (left.tv_nsec < 0) {
		left.tv_nsec += NSEC;
		left.tv_sec--;
	} else if (left.tv_nsec >= NSEC) {
		left.tv_nsec -= NSEC;
		left.tv_sec++;
	}
	return left.tv_sec < 0 ? (struct timespec64){ 0, 0 } : left;
}

long ready_wait(struct task *t, struct pollfd *p, unsigned n, bool select, struct timespec64 *left, long mask, size_t size)
{
	struct ready s = { .t = t, .p = p, .n = n, .select = select };
	const struct timespec64 began = now(), time = left ? *left : began;
	const bool wait = !is_over(left);
	bool last = false;
	long r = 0;

	if (t->pending)
		return -UM_ERESTART;
	if (!begin(&s))
		return -ENOMEM;
	while (!r && !last) {
		last = is_over(left);
		r = ask(&s, wait);
		if (left)
			*left = time_left(&time, &began);	/* a server may take its time */
		if (!r)
			r = doze(&s, left, mask, size);
		if (!r)
			r = tell(&s);
		if (left)
			*left = time_left(&time, &began);
	}
	end(&s);
	return r;
}
