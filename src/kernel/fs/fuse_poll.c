/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FUSE_POLL: open files that are not always ready, because their server says so.
 *
 * A server tells what a file is ready for when it is asked, and says NOTIFY_POLL when it is worth asking again.  Who waits is a guest, in one
 * call of the kernel's for all that it waits for (sys/poll.c): so it gets a descriptor that can be read from the next
 * NOTIFY_POLL on, the end of a pipe.  There is one for all files of a connection.  When the server says something, a byte is put into
 * the pipe, where it stays, and the pipe is given up: whoever has an end wakes up and asks again, and gets that of the next pipe.
 *
 * Whether a server has FUSE_POLL at all is found out with the first file that is opened: most have not, and whoever uses
 * their files never comes here (ENOSYS; then files are always ready, as the kernel has it).
 */
#include <linux/fcntl.h>
#include <asm/poll.h>
#include "fuse_conn.h"
#include "../fd.h"

#define ALWAYS		(POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)

/* ---- who waits ------------------------------------------------------------------------------------------ */

/* From now on NOTIFY_POLL is not missed. */
static int waker_ready(struct fuse_conn *c)
{
	struct stat st;
	int err;

	if (c->waker[0])
		return 0;
	err = fd_pipe(c->waker);
	if (!err && !raw_syscall(__NR_fstat, c->waker[0], &st))
		c->waker_ino = st.st_ino;
	return err;
}

void fuse_poll_free(struct fuse_conn *c)
{
	if (!c->waker[0])
		return;
	fd_give_up(c->waker[0]);
	fd_give_up(c->waker[1]);
	c->waker[0] = c->waker[1] = 0;
}

void fuse_poll_wake(struct fuse_conn *c)
{
	if (c->waker[0])
		raw_syscall(__NR_write, c->waker[1], "", 1);
	fuse_poll_free(c);
}

/* ---- asking --------------------------------------------------------------------------------------------- */

static int send_poll(struct fuse_job *j, struct fuse_handle *h, uint32_t flags, uint32_t events, uint32_t *revents)
{
	struct fuse_poll_in in = { .fh = h->fh, .kh = h->number, .flags = flags, .events = events };
	struct fuse_poll_out out = { 0 };
	struct fuse_req r;
	int err;

	fuse_req_init(&r, j, FUSE_POLL, h->node->nodeid);
	fuse_req_arg(&r, &in, sizeof in);
	fuse_req_reply(&r, &out, sizeof out);
	err = fuse_call(j, &r);
	*revents = out.revents;
	return err;
}

void fuse_poll_probe(struct fuse_job *j, struct fuse_handle *h)
{
	struct fuse_conn *c = j->c;
	uint32_t revents;

	if (c->can.poll_asked || h->lazy || !fuse_node_is(h->node, S_IFREG) || h->open_flags & O_PATH)
		return;
	c->can.poll_asked = true;
	c->can.poll = c->can.minor >= 11 && send_poll(j, h, 0, POLLIN, &revents) != -ENOSYS;
	__atomic_store_n(&c->shm->polls, c->can.poll, __ATOMIC_RELEASE);
}

/* Errors are told as the kernel does. */
static int poll_file(struct fuse_job *j, struct fuse_handle *h, bool wait, uint32_t *revents)
{
	struct fuse_conn *c = j->c;
	int err = fuse_late_open(j, h);

	*revents = ALWAYS;
	if (!err && !c->can.poll)
		return 0;
	if (!err && wait)
		err = waker_ready(c);
	if (err)
		return err;
	if (wait) {
		j->rep.offset = (uint64_t)process.pid;
		j->rep.size = (uint64_t)c->waker[0];
		j->rep.node = c->waker_ino;
	}
	err = send_poll(j, h, wait ? FUSE_POLL_SCHEDULE_NOTIFY : 0, j->req.mode, revents);
	if (err)
		*revents = err == -ENOSYS ? ALWAYS : POLLERR;
	return err == -EINTR ? err : 0;
}

int fuse_op_poll(struct fuse_job *j)
{
	struct fuse_handle *h;
	int err = fuse_io_begin(j, &h, O_ACCMODE + 1);

	if (err)
		return err;
	err = poll_file(j, h, j->req.open_flags & UM_POLL_WAIT, &j->rep.consumed);
	fuse_handle_put(j, h);
	return err;
}
