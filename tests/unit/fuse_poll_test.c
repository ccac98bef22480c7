/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FUSE_POLL (fuse_poll.c): when the server is asked, what of its answer is told, and that a NOTIFY_POLL reaches who waits.
 */
#include <poll.h>
#include "fuse_rig.h"

static struct fuse_poll_in asked;
static uint32_t is_ready;

/* The rig's server knows no POLL: its ENOSYS becomes an answer. */
static void answer(uint32_t opcode, uint8_t *message, uint32_t *len)
{
	struct fuse_out_header *oh = (struct fuse_out_header *)message;
	struct fuse_poll_out out = { .revents = is_ready };

	if (opcode != FUSE_POLL)
		return;
	memcpy(&asked, rig.in + sizeof(struct fuse_in_header), sizeof asked);
	oh->error = 0;
	oh->len = sizeof *oh + sizeof out;
	memcpy(message + sizeof *oh, &out, sizeof out);
	*len = oh->len;
}

static void begin(bool polls)
{
	rig_start();
	rig_new(1, "file", S_IFREG | 0644);
	rig_new(1, "other", S_IFREG | 0644);
	rig_new(1, "dir", S_IFDIR | 0755);
	rig_pump();
	rig.spoil = polls ? answer : NULL;
}

static int poll_on(long h, uint32_t events, bool wait)
{
	struct um_slot *s = rig_on(UM_OP_POLL, h);

	s->req.mode = events;
	s->req.open_flags = wait ? UM_POLL_WAIT : 0;
	return rig_call(0);
}

/* The waker that the last answer names, opened; -1: it is not what it was. */
static int waker(void)
{
	const struct um_reply *rep = &rig_slot(0)->rep;
	char path[48];
	struct stat st;
	int fd;

	snprintf(path, sizeof path, "/proc/%u/fd/%u", (unsigned)rep->offset, (unsigned)rep->size);
	fd = (int)raw_syscall(__NR_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0);
	if (fd >= 0 && !raw_syscall(__NR_fstat, fd, &st) && st.st_ino == rep->node)
		return fd;
	if (fd >= 0)
		raw_syscall(__NR_close, fd);
	return -1;
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	return raw_syscall(__NR_fstat, fd, &st) ? 0 : st.st_ino;
}

static bool woken(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && p.revents & POLLIN;
}

static void test_none(void)
{
	long h, d, p;

	begin(false);
	d = rig_open("dir", O_RDONLY | O_DIRECTORY, 0);
	is_int(rig.count[FUSE_POLL], 0, "a directory is never asked");
	is_int(rig.shm->polls, UM_POLLS_UNKNOWN, "so nobody knows");
	h = rig_open("file", O_RDONLY, 0);
	rig_pump();
	is_int(rig.count[FUSE_POLL], 1, "behind the first file it is asked whether the server has POLL");
	is_int(rig.shm->polls, UM_POLLS_NO, "it has not, and clients know");
	rig_close(rig_open("other", O_RDWR, 0));
	is_int(rig.count[FUSE_POLL], 1, "it is not asked again");
	is_int(poll_on(h, POLLIN | POLLOUT, true), 0, "poll");
	is_int(rig_slot(0)->rep.consumed, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM, "always ready");
	is_int(rig.count[FUSE_POLL], 1, "without asking");
	p = rig_open("file", O_PATH, 0);
	is_int(poll_on(p, POLLIN, false), -EBADF, "of a path");
	rig_close(h);
	rig_close(d);
	rig_close(p);
	rig_stop("none");
}

static void test_ready(void)
{
	long h;

	begin(true);
	is_ready = POLLOUT;
	h = rig_open("file", O_RDWR, 0);
	rig_pump();
	is_int(rig.shm->polls, UM_POLLS_YES, "the server has POLL, and clients know");
	is_int(asked.flags, 0, "asking for that wakes nobody");
	is_int(poll_on(h, POLLIN | POLLPRI, false), 0, "poll");
	is_int(rig_slot(0)->rep.consumed, POLLOUT, "what the server says");
	is_int(asked.events, POLLIN | POLLPRI, "what is of interest is told");
	is_int(asked.kh, h, "and which file");
	is_int(asked.flags, 0, "nobody waits");
	is_int((int)rig_slot(0)->rep.size, 0, "so there is nothing to wait for");
	is_ready = POLLIN | POLLHUP;
	is_int(poll_on(h, POLLIN, false), 0, "poll");
	is_int(rig_slot(0)->rep.consumed, POLLIN | POLLHUP, "more than was asked for");
	rig.spoil = NULL;
	rig.refuse[FUSE_POLL] = -EACCES;
	is_int(poll_on(h, POLLIN, false), 0, "a server that refuses");
	is_int(rig_slot(0)->rep.consumed, POLLERR, "is an error to who polls");
	rig.refuse[FUSE_POLL] = 0;
	is_int(poll_on(h, POLLIN, false), 0, "one that has none after all");
	ok(rig_slot(0)->rep.consumed & POLLIN, "is always ready");
	is_int(rig.shm->polls, UM_POLLS_NO, "and not asked again");
	rig_close(h);
	rig_stop("ready");
}

static void test_wake(void)
{
	struct fuse_notify_poll_wakeup_out news = { .kh = 99 };
	int first, second, third;
	long h;

	begin(true);
	is_ready = 0;
	h = rig_open("file", O_RDWR, 0);
	rig_pump();
	is_int(rig_reply(0, FUSE_NOTIFY_POLL, &news, sizeof news), 24, "news that nobody waits for");
	is_int(poll_on(h, POLLIN, true), 0, "who waits");
	is_int(asked.flags, FUSE_POLL_SCHEDULE_NOTIFY, "wants to be told");
	first = waker();
	ok(first >= 0 && !woken(first), "sleeps");
	is_int(rig_reply(0, FUSE_NOTIFY_POLL, &news, sizeof news), 24, "news");
	ok(woken(first), "wake him");
	second = waker();
	ok(second >= 0 && woken(second), "who looks for that waker now is woken at once");
	raw_syscall(__NR_close, second);
	is_int(poll_on(h, POLLIN, true), 0, "another one asks");
	third = waker();
	is_int(poll_on(h, POLLIN, true), 0, "he asks again");
	second = waker();
	ok(second >= 0 && !woken(second) && woken(first), "and sleeps by another one");
	is_int(rig_slot(0)->rep.node, inode_of(third), "which is that of all who sleep now");
	is_int(rig_reply(0, FUSE_NOTIFY_POLL, &news, 7), -EINVAL, "news too short");
	ok(!woken(second), "wake nobody");
	rig.shm->waker_pid = 77777777;
	is_int(rig_reply(0, FUSE_NOTIFY_POLL, &news, sizeof news), 24, "news for a process that is no more");
	raw_syscall(__NR_close, first);
	raw_syscall(__NR_close, third);
	rig_close(h);
	rig_stop("wake");
	ok(poll(&(struct pollfd){ .fd = second }, 1, 0) == 1, "the end of the server wakes who waits");
	raw_syscall(__NR_close, second);
}

static void test_old(void)
{
	long h;

	rig_start();
	rig.minor = 10;
	rig_new(1, "file", S_IFREG | 0644);
	rig_pump();
	h = rig_open("file", O_RDONLY, 0);
	rig_pump();
	is_int(rig.count[FUSE_POLL], 0, "protocol 7.10 has no POLL");
	is_int(poll_on(h, POLLIN, false), 0, "poll");
	ok(rig_slot(0)->rep.consumed & POLLIN, "always ready");
	rig_close(h);
	rig_stop("old");
}

/* A name longer than 255 bytes: as long as the server says in STATFS. */
static void test_long_name(void)
{
	static char name[600];

	begin(false);
	memset(name, 'n', 300);
	ok(!rig_stat(name), "a name of 300 bytes");
	is_int(rig_slot(0)->rep.error, -ENAMETOOLONG, "is too long for a server whose names have 255");
	is_int(rig.count[FUSE_STATFS], 1, "as it said");
	ok(!rig_stat(name), "again");
	is_int(rig.count[FUSE_STATFS], 1, "it is asked once");
	rig_stop("long name");
}

int main(void)
{
	test_none();
	test_ready();
	test_wake();
	test_old();
	test_long_name();
	return done();
}
