/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device in an epoll set (fuse_bell.c): ready when there is something to be done, and else not.
 */
#define RIG_NODES 100
#include <sys/epoll.h>
#include "fuse_rig.h"

/* As a client rings that finds the bell set. */
static bool ring(void)
{
	char path[48];
	int fd;

	if (!__atomic_exchange_n(&rig.shm->bell, 0, __ATOMIC_SEQ_CST))
		return false;
	snprintf(path, sizeof path, "/proc/%u/fd/%u", rig.shm->bell_pid, rig.shm->bell_fd);
	fd = (int)raw_syscall(__NR_openat, AT_FDCWD, path, O_WRONLY | O_NONBLOCK, 0);
	if (fd < 0 || write(fd, "", 1) != 1)
		abort();
	return close(fd) == 0;
}

static void test_epoll(void)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = 77 };
	int set = epoll_create1(EPOLL_CLOEXEC);
	uint32_t bell = 77;

	rig_start();
	rig_new(1, "file", S_IFREG | 0644);
	is_int(fuse_dev_epoll(&rig.file, set, EPOLL_CTL_ADD, (gaddr)&e), 0, "the device becomes part of an epoll set");
	is_int(fuse_dev_epoll(&rig.file, set, EPOLL_CTL_ADD, (gaddr)&e), -EEXIST, "once");
	is_int(fuse_dev_epoll(&rig.file, -1, EPOLL_CTL_ADD, (gaddr)&e), -EBADF, "not of what is none");
	is_int(fuse_dev_epoll(&rig.file, set, EPOLL_CTL_ADD, 8), -EFAULT, "an event that cannot be read");
	is_int(epoll_wait(set, &e, 1, 0), 1, "INIT waits");
	ok(e.data.u64 == 77 && e.events == EPOLLIN, "as the server has named it");
	rig_pump();
	is_int(epoll_wait(set, &e, 1, 0), 0, "nothing does");
	is_int(rig.shm->bell, 1, "who asks now is to ring");

	rig_path(rig_begin(0, UM_OP_STAT), "file");
	rig_post(0);
	ok(ring(), "he does");
	ok(!ring(), "the next one need not");
	is_int(epoll_wait(set, &e, 1, 0), 1, "ready");
	ok(rig_read_message() > 0, "a message");
	is_int(epoll_wait(set, &e, 1, 0), 0, "was all there is");
	rig_serve();
	rig_pump();
	is_int(rig_slot(0)->state, UM_SLOT_DONE, "it is answered");
	is_int(epoll_wait(set, &e, 1, 0), 0, "nothing waits");

	rig_path(rig_begin(0, UM_OP_STAT), "file");
	rig_post(0);
	ring();
	is_int(epoll_wait(set, &e, 1, 0), 1, "ready, though all is known");
	rig.file.open_flags = O_RDWR;
	is_int(rig_read_message(), -EINTR, "so there is nothing to read, and a read that would sleep is interrupted");
	is_int(rig_slot(0)->state, UM_SLOT_DONE, "it is answered");
	is_int(epoll_wait(set, &e, 1, 0), 0, "not ready any more");
	rig.file.open_flags = O_RDWR | O_NONBLOCK;
	is_int(rig_read_message(), -EAGAIN, "one that does not sleep says so");

	rig.shm->state = UM_SERVER_ENDING;
	ring();
	is_int(epoll_wait(set, &e, 1, 0), 1, "ready to hear of the end");
	is_int(fuse_dev_epoll(&rig.file, set, EPOLL_CTL_DEL, 0), 0, "it leaves the set");
	rig_stop("epoll");
	raw_syscall(__NR_pread64, process.world_fd, &bell, sizeof bell, UM_OFF_SERVER(1) + offsetof(struct um_server, bell));
	is_int(bell, 0, "nobody is to ring");
	close(set);
}

int main(void)
{
	test_epoll();
	return done();
}
