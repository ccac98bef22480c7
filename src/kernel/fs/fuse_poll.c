/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FUSE_POLL: open files that are not always ready, because their server says so.
 *
 * A server tells what a file is ready for when it is asked, and says NOTIFY_POLL when it is worth asking again.  Who waits is a guest, in one
 * call of the kernel's for all that it waits for (ready_wait.c): so it gets a descriptor that can be read from the next
 * NOTIFY_POLL on, the end of a pipe.  There is one for all files of a connection.  When the server says something, by whichever of its processes,
 * a byte is put into the pipe, where it stays: whoever has an end wakes up and asks again, and gets that of the next pipe.
 *
 * Whether a server has FUSE_POLL at all is asked behind the first file that is opened: most have not, and whoever uses
 * their files never comes here (ENOSYS; then files are always ready, as the kernel has it).
 */
#include <linux/fcntl.h>
#include <asm/poll.h>
#include "fuse_conn.h"
#include "../fd.h"

#define ALWAYS		(POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)

/* ---- who waits ------------------------------------------------------------------------------------------ */

static bool can_be_read(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return raw_syscall(__NR_poll, &p, 1, 0) == 1;
}

void fuse_poll_free(struct fuse_conn *c)
{
	if (!c->waker[0])
		return;
	fd_give_up(c->waker[0]);
	fd_give_up(c->waker[1]);
	c->waker[0] = c->waker[1] = 0;
}

/* From now on NOTIFY_POLL is not missed.  false: there are no descriptors for that. */
static bool waker_ready(struct fuse_conn *c)
{
	struct stat st;

	if (c->waker[0] && can_be_read(c->waker[0]))
		fuse_poll_free(c);
	if (c->waker[0])
		return true;
	if (fd_pipe(c->waker) || raw_syscall(__NR_fstat, c->waker[0], &st)) {
		fuse_poll_free(c);
		return false;
	}
	c->waker_ino = st.st_ino;
	__atomic_store_n(&c->shm->waker_fd, (uint32_t)c->waker[1], __ATOMIC_RELAXED);
	__atomic_store_n(&c->shm->waker_pid, (uint32_t)process.pid, __ATOMIC_RELEASE);
	return true;
}

void fuse_poll_wake(struct fuse_conn *c)
{
	uint32_t pid = __atomic_load_n(&c->shm->waker_pid, __ATOMIC_ACQUIRE);
	char path[48];
	long fd;

	if (pid == (uint32_t)process.pid && c->waker[1])
		raw_syscall(__NR_write, c->waker[1], "", 1);
	if (!pid || pid == (uint32_t)process.pid)
		return;
	text_format(path, sizeof path, "/proc/%u/fd/%u", pid, __atomic_load_n(&c->shm->waker_fd, __ATOMIC_RELAXED));
	fd = raw_syscall(__NR_openat, AT_FDCWD, path, O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	raw_syscall(__NR_write, fd, "", 1);
	raw_syscall(__NR_close, fd);
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

static void set_polls(struct fuse_conn *c, bool has)
{
	c->can.poll = has;
	__atomic_store_n(&c->shm->polls, has ? UM_POLLS_YES : UM_POLLS_NO, __ATOMIC_RELEASE);
}

/* One that the server has opened. */
static struct fuse_handle *any_file(const struct fuse_conn *c)
{
	for (unsigned k = 0; k < FUSE_HANDLES; k++)
		for (struct fuse_handle *h = c->handles[k]; h; h = h->chain)
			if (!h->dead && !h->lazy && !h->is_dir && !(h->open_flags & O_PATH) && fuse_node_is(h->node, S_IFREG))
				return h;
	return NULL;
}

static int probe_job(struct fuse_job *j)
{
	struct fuse_handle *h = any_file(j->c);
	uint32_t revents;

	if (!h) {			/* closed already: the next one will do */
		j->c->can.poll_asked = false;
		return 0;
	}
	h->users++;
	set_polls(j->c, send_poll(j, h, 0, POLLIN, &revents) != -ENOSYS);
	fuse_handle_put(j, h);
	return 0;
}

void fuse_poll_probe(struct fuse_conn *c, const struct fuse_node *n)
{
	if (c->can.poll_asked || !fuse_node_is(n, S_IFREG))
		return;
	if (c->can.minor < 11) {
		c->can.poll_asked = true;
		set_polls(c, false);
		return;
	}
	c->can.poll_asked = !fuse_job_start(c, probe_job);
}

/* Errors are told as the kernel does. */
static int poll_file(struct fuse_job *j, struct fuse_handle *h, bool wait, uint32_t *revents)
{
	struct fuse_conn *c = j->c;
	int err = fuse_late_open(j, h);

	*revents = ALWAYS;
	if (err || __atomic_load_n(&c->shm->polls, __ATOMIC_RELAXED) == UM_POLLS_NO)
		return err;
	if (wait && waker_ready(c)) {
		j->rep.offset = (uint64_t)process.pid;
		j->rep.size = (uint64_t)c->waker[0];
		j->rep.node = c->waker_ino;
	}
	err = send_poll(j, h, wait ? FUSE_POLL_SCHEDULE_NOTIFY : 0, j->req.mode, revents);
	if (err == -ENOSYS)
		set_polls(c, false);
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
