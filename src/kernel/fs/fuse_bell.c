/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device among what is waited for: for servers that wait for requests and for other things with one thread (trio, asyncio).
 *
 * A carrier is an ordinary file to the kernel: always ready, and no part of an epoll set.  So epoll, poll and select get the end of a pipe
 * instead, which can be read when there is something for the server: a byte is in it.  We put it there and take it out, whenever we run (fuse_bell_settle).  When
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
	int fd[2], r = fd_pipe(fd);

	if (r < 0)
		return r;
	c->bell_in = fd[0];
	c->bell_out = fd[1];
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

/* ---- who waits -------------------------------------------------------------------------------------------- */

static long bell_of(struct fuse_conn *c)
{
	long r = 0;

	lock_acquire(&fuse_lock);
	if (!c->bell_in)
		r = bell_new(c);
	if (!r) {
		fuse_bell_settle(c);
		r = c->bell_in;
	}
	lock_release(&fuse_lock);
	return r;
}

long fuse_dev_bell(const struct file *f)
{
	struct fuse_conn *c = f->conn;
	bool mounted = c && c->end != END_OVER && __atomic_load_n(&c->shm->state, __ATOMIC_ACQUIRE) >= UM_SERVER_LIVE;

	return mounted ? bell_of(c) : -ENODEV;
}

bool fuse_dev_readable(const struct file *f)
{
	bool is;

	lock_acquire(&fuse_lock);
	is = fuse_dev_ready(f->conn);
	lock_release(&fuse_lock);
	return is;
}

long fuse_dev_epoll(struct file *f, int epfd, int op, gaddr event)
{
	long bell = f->conn ? bell_of(f->conn) : -EPERM;

	return bell < 0 ? bell : raw_syscall(__NR_epoll_ctl, epfd, op, bell, event);
}
