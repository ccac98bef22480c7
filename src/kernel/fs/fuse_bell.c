/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device in an epoll set: for servers that wait for requests and for other things with one thread (trio, asyncio).
 *
 * A carrier is an ordinary file to the kernel, and no part of an epoll set.  So the set gets the end of a pipe instead, which can be read when
 * there is something for the server: a byte is in it.  We put it there and take it out, whenever we run (fuse_bell_settle).  When
 * nothing is left to be done, um_server.bell is set; the client that then rings first takes it back and writes the byte, through /proc/PID/fd
 * (channel.c; the monitor likewise).
 *
 * The kernel's FUSE is ready when there is a message for the server.  Ours is ready when a client has asked, and that may turn out to be
 * nothing that the server has to know.  A server that reads then must not sleep, since it waits for other things, too: it gets EINTR, once.
 */
#include <linux/fcntl.h>
#include "fuse_conn.h"
#include "../fd.h"

/* ---- the pipe --------------------------------------------------------------------------------------------- */

static int bell_new(struct fuse_conn *c)
{
	int fd[2], in, out;
	long r = raw_syscall(__NR_pipe2, fd, O_NONBLOCK);

	if (r < 0)
		return (int)r;
	in = fd_park(fd[0]);
	out = in < 0 ? in : fd_park(fd[1]);
	if (out < 0) {
		raw_syscall(__NR_close, fd[1]);
		if (in < 0)
			raw_syscall(__NR_close, fd[0]);
		else
			fd_give_up(in);
		return out;
	}
	raw_syscall(__NR_fcntl, in, F_SETFD, FD_CLOEXEC);
	raw_syscall(__NR_fcntl, out, F_SETFD, FD_CLOEXEC);
	c->bell_in = in;
	c->bell_out = out;
	return 0;
}

void fuse_bell_free(struct fuse_conn *c)
{
	if (!c->bell_in)
		return;
	if (__atomic_load_n(&c->shm->bell_pid, __ATOMIC_RELAXED) == (uint32_t)process.pid)
		__atomic_store_n(&c->shm->bell, 0, __ATOMIC_SEQ_CST);
	fd_give_up(c->bell_in);
	fd_give_up(c->bell_out);
	c->bell_in = c->bell_out = 0;
}

/* ---- the byte in it --------------------------------------------------------------------------------------- */

/* No longer than until somebody asks; a child by fork goes on with pipes of the same numbers. */
static void bell_set(struct fuse_conn *c)
{
	__atomic_store_n(&c->shm->bell_pid, (uint32_t)process.pid, __ATOMIC_RELAXED);
	__atomic_store_n(&c->shm->bell_fd, (uint32_t)c->bell_out, __ATOMIC_RELAXED);
	__atomic_store_n(&c->shm->bell, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void bell_drain(struct fuse_conn *c)
{
	char bytes[64];

	while (raw_syscall(__NR_read, c->bell_in, bytes, sizeof bytes) == (long)sizeof bytes)
		;
	c->rung = false;
}

static void bell_ring(struct fuse_conn *c)
{
	__atomic_store_n(&c->shm->bell, 0, __ATOMIC_SEQ_CST);
	if (!c->rung)
		raw_syscall(__NR_write, c->bell_out, "", 1);
	c->rung = true;
}

/* Is a byte in it, or on its way? */
static bool may_be_rung(const struct fuse_conn *c)
{
	return c->rung || !__atomic_load_n(&c->shm->bell, __ATOMIC_SEQ_CST);
}

void fuse_bell_settle(struct fuse_conn *c)
{
	if (!c->bell_in)
		return;
	if (!fuse_dev_ready(c)) {
		if (may_be_rung(c))
			bell_drain(c);
		bell_set(c);
		if (!fuse_dev_ready(c))
			return;
	}
	bell_ring(c);
}

bool fuse_bell_misled(struct fuse_conn *c)
{
	const bool said = c->bell_in && may_be_rung(c);

	fuse_bell_settle(c);
	return said && !c->rung;
}

/* ---- epoll_ctl(2) ----------------------------------------------------------------------------------------- */

long fuse_dev_epoll(struct file *f, int epfd, int op, gaddr event)
{
	struct fuse_conn *c = f->conn;
	long r = 0;

	if (!c)
		return -EPERM;
	lock_acquire(&fuse_lock);
	if (!c->bell_in)
		r = bell_new(c);
	if (!r) {
		r = raw_syscall(__NR_epoll_ctl, epfd, op, c->bell_in, event);
		fuse_bell_settle(c);
	}
	lock_release(&fuse_lock);
	return r;
}
