/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for files of which the kernel does not know when they are ready: ready.h.
 *
 * As the kernel does it: each file is asked; if none is ready the caller sleeps, until something real is ready or a server
 * says that asking is worth while, which makes a descriptor of ours readable.  That is opened for this one call: the end of a pipe that the
 * server's agent has, found through /proc.  If that has been given up meanwhile, there is news already.
 */
#include <linux/fcntl.h>
#include "ready.h"
#include "fs/fuse.h"
#include "fs/remote.h"

struct ready {
	struct task *t;
	struct pollfd *p;		/* what is waited for, by the caller; */
	struct pollfd *k;		/* ... by the kernel: the same without what is ours, then the wakers */
	struct file **f;		/* what is ours, held; else NULL */
	struct file_waker *waker;
	unsigned n, wakers, opened;	/* wakers: who is to wake us; so many have been opened */
	unsigned ready;			/* of what is ours */
};

static bool begin(struct ready *s)
{
	const size_t each = 2 * sizeof *s->k + sizeof *s->f + sizeof *s->waker;

	s->waker = heap_alloc(s->n * each);
	if (!s->waker)
		return false;
	s->f = (struct file **)(s->waker + s->n);
	s->k = (struct pollfd *)(s->f + s->n);
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

static long ask_server(struct ready *s, struct pollfd *p, struct file *f, bool wait)
{
	struct file_waker w = { 0 };
	long r = file_poll(s->t, f, (uint16_t)p->events, wait ? &w : NULL);

	if (r < 0)
		return r == -EINTR ? r : POLLERR;
	if (wait)
		add_waker(s, &w);
	return r;
}

/* It can always be written to; whether it can be read the kernel sees by its bell. */
static long ask_device(const struct file *f, const struct pollfd *p, struct pollfd *k)
{
	long bell = fuse_dev_bell(f);

	if (bell == -ENODEV)
		return POLLERR;
	if (bell < 0)
		return bell;
	if (p->events & (POLLIN | POLLRDNORM))
		*k = (struct pollfd){ .fd = (int)bell, .events = POLLIN };
	return POLLOUT | POLLWRNORM;
}

/* All of ours are asked.  0 or -errno. */
static long ask(struct ready *s, bool wait)
{
	s->wakers = s->opened = s->ready = 0;
	for (unsigned i = 0; i < s->n; i++) {
		struct pollfd *p = &s->p[i], *k = &s->k[i];
		long r;

		*k = *p;
		p->revents = k->revents = 0;
		if (!s->f[i])
			continue;
		*k = (struct pollfd){ .fd = -1 };
		r = s->f[i]->kind == FILE_FUSE_DEVICE ? ask_device(s->f[i], p, k) : ask_server(s, p, s->f[i], wait);
		if (r < 0)
			return r;
		p->revents = (short)(r & (p->events | POLLERR | POLLHUP));
		s->ready += p->revents != 0;
	}
	return 0;
}

/* A descriptor of ours; -ESTALE: there is news already. */
static long waker_open(const struct file_waker *w)
{
	char path[48];
	struct stat st;
	long fd;

	text_format(path, sizeof path, "/proc/%u/fd/%u", w->pid, w->fd);
	fd = raw_syscall(__NR_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
	if (fd < 0)
		return fd == -ENOENT || fd == -ENXIO ? -ESTALE : fd;
	if (raw_syscall(__NR_fstat, fd, &st) || st.st_ino != w->ino) {
		raw_syscall(__NR_close, fd);
		return -ESTALE;
	}
	return fd_keep(fd);
}

/* 0, -ESTALE or -ENOMEM. */
static long open_wakers(struct ready *s)
{
	for (; s->opened < s->wakers; s->opened++) {
		long fd = waker_open(&s->waker[s->opened]);

		if (fd == -ESTALE)
			return fd;
		if (fd < 0) {
			agent_log("who waits for a file of a FUSE program cannot be woken by it (process %u): error %ld",
				  s->waker[s->opened].pid, -fd);
			return -ENOMEM;
		}
		s->k[s->n + s->opened] = (struct pollfd){ .fd = (int)fd, .events = POLLIN };
	}
	return 0;
}

static void close_wakers(struct ready *s)
{
	while (s->opened)
		fd_give_up(s->k[s->n + --s->opened].fd);
}

/* The kernel waits; not if something is ready.  0 or -errno. */
static long sleep(struct ready *s, struct timespec64 *left, long mask, size_t size)
{
	struct timespec64 now = { 0, 0 };
	long r = s->ready ? 0 : open_wakers(s);

	if (r && r != -ESTALE)
		return r;
	if (s->ready || r)
		left = &now;
	r = kernel_call(s->t, __NR_ppoll, s->k, s->n + s->opened, left, mask, size);
	close_wakers(s);
	return r < 0 && !(r == -EINTR && s->ready) ? r : 0;
}

/* What the kernel has found, to the rest.  How many are ready. */
static long tell(struct ready *s)
{
	long count = 0;

	for (unsigned i = 0; i < s->n; i++) {
		struct pollfd *p = &s->p[i];

		if (!s->f[i])
			p->revents = s->k[i].revents;
		else if (s->k[i].revents & POLLIN)
			p->revents |= p->events & (POLLIN | POLLRDNORM);
		count += p->revents != 0;
	}
	return count;
}

long ready_wait(struct task *t, struct pollfd *p, unsigned n, struct timespec64 *left, long mask, size_t size)
{
	struct ready s = { .t = t, .p = p, .n = n };
	bool last = false;
	long r = begin(&s) ? 0 : -ENOMEM;

	if (r)
		return r;
	while (!r && !last) {		/* when the time is over, too, all are asked once more */
		last = left && !left->tv_sec && !left->tv_nsec;
		r = ask(&s, !last);
		if (!r)
			r = sleep(&s, left, mask, size);
		if (!r)
			r = tell(&s);
	}
	close_wakers(&s);
	end(&s);
	return r;
}
