/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * poll, select and epoll on pipes, files and events; eventfd, timerfd, inotify, pipes.
 * GUEST_WORLDS: view mount
 */
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/timerfd.h>

TEST(poll_mix, "poll of a pipe, a regular file and a bad descriptor")
{
	struct pollfd p[3] = { { .events = POLLIN }, { .events = POLLIN | POLLOUT }, { .fd = 700, .events = POLLIN } };
	int fds[2];

	put("f", "x");
	OK(pipe(fds));
	p[0].fd = fds[0];
	p[1].fd = MUST(open("f", O_RDWR));
	EQ(poll(p, 1, 0), 0);
	EQ(poll(p, 2, 1000), 1);
	EQ(p[1].revents & (POLLIN | POLLOUT), POLLIN | POLLOUT);
	EQ(poll(p, 3, 1000), 2);
	EQ(p[2].revents, POLLNVAL);
	EQ(write(fds[1], "y", 1), 1);
	EQ(poll(p, 2, 1000), 2);
	EQ(p[0].revents, POLLIN);
	OK(close(fds[1]));
	EQ(poll(p, 1, 1000), 1);
	EQ(p[0].revents & POLLHUP, POLLHUP);
	p[0].fd = -1;
	EQ(poll(p, 1, 0), 0);
	FAILS(syscall(SYS_poll, (void *)16, 1, 0), EFAULT);
}

TEST(poll_timeout, "poll waits as long as it was told")
{
	long start = now_ms();

	EQ(poll(NULL, 0, 60), 0);
	TRUE(now_ms() - start >= 59);
	TRUE(now_ms() - start < 5000);
}

TEST(select_files, "select: a regular file is always ready")
{
	struct timeval tv = { 2, 0 };
	fd_set r, w;
	int fd, fds[2];

	put("f", "x");
	fd = MUST(open("f", O_RDWR));
	OK(pipe(fds));
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(fd, &r);
	FD_SET(fds[0], &r);
	FD_SET(fd, &w);
	EQ(select(fds[1] + 1, &r, &w, NULL, &tv), 2);
	TRUE(FD_ISSET(fd, &r) && FD_ISSET(fd, &w) && !FD_ISSET(fds[0], &r));
	FD_ZERO(&r);
	FD_SET(fds[0], &r);
	OK(close(fds[0]));
	FAILS(select(fds[0] + 1, &r, NULL, NULL, &tv), EBADF);
}

TEST(epoll_pipe, "epoll: level, edge, one-shot, modify, delete")
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = 42 }, got[4];
	int ep = MUST(epoll_create1(0)), p[2];

	OK(pipe(p));
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev), EEXIST);
	EQ(epoll_wait(ep, got, 4, 0), 0);
	EQ(write(p[1], "ab", 2), 2);
	EQ(epoll_wait(ep, got, 4, 1000), 1);
	EQ(got[0].data.fd, 42);
	EQ(epoll_wait(ep, got, 4, 1000), 1);
	ev.events = EPOLLIN | EPOLLET;
	OK(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev));
	EQ(epoll_wait(ep, got, 4, 1000), 1);
	EQ(epoll_wait(ep, got, 4, 0), 0);
	EQ(write(p[1], "c", 1), 1);
	EQ(epoll_wait(ep, got, 4, 1000), 1);
	ev.events = EPOLLIN | EPOLLONESHOT;
	OK(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev));
	EQ(epoll_wait(ep, got, 4, 1000), 1);
	EQ(epoll_wait(ep, got, 4, 0), 0);
	OK(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
	FAILS(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL), ENOENT);
	FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, 700, &ev), EBADF);
	FAILS(epoll_wait(ep, got, 0, 0), EINVAL);
}

TEST(epoll_regular, "epoll refuses regular files: EPERM")
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = MUST(epoll_create1(0));

	if (on_fuse())
		SKIP("FUSE has a poll of its own");
	put("f", "");
	FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, open("f", O_RDONLY), &ev), EPERM);
}

TEST(event_fd, "eventfd: counter, semaphore, non-blocking, poll")
{
	struct pollfd p = { .events = POLLIN };
	uint64_t v = 5;
	int fd = MUST(eventfd(0, EFD_NONBLOCK)), sem = MUST(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK));

	FAILS(read(fd, &v, 8), EAGAIN);
	EQ(write(fd, &v, 8), 8);
	EQ(write(fd, &v, 8), 8);
	p.fd = fd;
	EQ(poll(&p, 1, 0), 1);
	EQ(read(fd, &v, 8), 8);
	EQ(v, 10);
	for (int i = 0; i < 3; i++) {
		EQ(read(sem, &v, 8), 8);
		EQ(v, 1);
	}
	FAILS(read(sem, &v, 8), EAGAIN);
	FAILS(read(fd, &v, 4), EINVAL);
}

TEST(timer_fd, "timerfd: expirations, relative and absolute, disarm")
{
	struct itimerspec ts = { { 0, 10000000 }, { 0, 10000000 } }, left;
	int fd = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	uint64_t n = 0;

	OK(timerfd_settime(fd, 0, &ts, NULL));
	EQ(read(fd, &n, 8), 8);
	TRUE(n >= 1);
	sleep_ms(50);
	EQ(read(fd, &n, 8), 8);
	TRUE(n >= 3);
	ts = (struct itimerspec){ { 0, 0 }, { 0, 0 } };
	OK(timerfd_settime(fd, 0, &ts, NULL));
	OK(timerfd_gettime(fd, &left));
	EQ(left.it_value.tv_nsec, 0);
}

static void *late_writer(void *arg)
{
	sleep_ms(40);
	(void)!write(*(int *)arg, "late", 4);
	return NULL;
}

TEST(blocking, "a blocked read, poll, select and epoll wake up when data comes from a thread")
{
	for (int way = 0; way < 4; way++) {
		struct epoll_event ev = { .events = EPOLLIN };
		char buf[8];
		int fds[2], ep = MUST(epoll_create1(0));
		pthread_t t;
		fd_set r;

		OK(pipe(fds));
		OK(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev));
		pthread_create(&t, NULL, late_writer, &fds[1]);
		FD_ZERO(&r);
		FD_SET(fds[0], &r);
		if (way == 1)
			EQ(poll(&(struct pollfd){ fds[0], POLLIN, 0 }, 1, -1), 1);
		else if (way == 2)
			EQ(select(fds[0] + 1, &r, NULL, NULL, NULL), 1);
		else if (way == 3)
			EQ(epoll_wait(ep, &ev, 1, -1), 1);
		EQ(read(fds[0], buf, 8), 4);
		pthread_join(t, NULL);
		OK(close(ep));
		OK(close(fds[0]));
		OK(close(fds[1]));
	}
}

TEST(pipes, "pipes: pipe2 flags, capacity, atomic writes, EPIPE, SIGPIPE, tee")
{
	static char big[1 << 17];
	int p[2], q[2], status;

	OK(pipe2(p, O_NONBLOCK | O_CLOEXEC));
	EQ(fcntl(p[0], F_GETFD), FD_CLOEXEC);
	EQ(fcntl(p[1], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	TRUE(fcntl(p[0], F_GETPIPE_SZ) >= 4096);
	TRUE(write(p[1], big, sizeof(big)) > 0);
	FAILS(write(p[1], big, 4096), EAGAIN);
	TRUE(read(p[0], big, sizeof(big)) > 0);
	OK(pipe(q));
	EQ(write(p[1], "tee", 3), 3);
	EQ(tee(p[0], q[1], 3, 0), 3);
	EQ(read(p[0], big, 10), 3);
	EQ(read(q[0], big, 10), 3);
	OK(close(q[0]));
	signal(SIGPIPE, SIG_IGN);
	FAILS(write(q[1], "x", 1), EPIPE);
	if (fork() == 0) {
		signal(SIGPIPE, SIG_DFL);
		(void)!write(q[1], "x", 1);
		_exit(0);
	}
	OK(wait(&status));
	SIGNALED(status, SIGPIPE);
	FAILS(pipe2(p, 0x40000000), EINVAL);
}

TEST(inotify_real, "inotify tells of what happens in a directory")
{
	char buf[4096] __attribute__((aligned(8)));
	struct inotify_event *e = (struct inotify_event *)buf;
	struct pollfd p = { .events = POLLIN };
	int fd = MUST(inotify_init1(IN_CLOEXEC)), wd;

	wd = inotify_add_watch(fd, ".", IN_CREATE | IN_DELETE);
	REQUIRE(wd >= 0);
	put("new-file", "");
	p.fd = fd;
	EQ(poll(&p, 1, 1000), 1);
	TRUE(read(fd, buf, sizeof(buf)) > 0);
	EQ(e->mask, IN_CREATE);
	STR(e->name, "new-file");
	OK(inotify_rm_watch(fd, wd));
	FAILS(inotify_add_watch(fd, "none", IN_CREATE), ENOENT);
}

TEST(uring, "io_uring works or is refused, as it is natively at most")
{
	char params[120] = { 0 };
	long fd = syscall(SYS_io_uring_setup, 4, params);

	/* a view may say ENOSYS; programs then fall back */
	TRUE(fd >= 0 || errno == ENOSYS || errno == EPERM);
}
