/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File locks: record locks of processes and of open files, and flock: who is in whose way, how ranges are
 * split and joined, who waits, and when a lock goes away.
 *
 * GUEST_WORLDS: view mount cow bindcow cowmount cowbind cowcow merge
 */
#include "guest.h"
#include <pthread.h>
#include <sys/file.h>
#include <sys/socket.h>

static int lock(int fd, int cmd, int type, long start, long len)
{
	struct flock l = { .l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	return fcntl(fd, cmd, &l);
}

/* What stands in the way of a write lock of one byte: "R10+5", "W10+0", or "-". */
static const char *at(int fd, int cmd, long pos)
{
	static char text[4][64];
	static int turn;
	char *s = text[turn++ & 3];
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = pos, .l_len = 1 };

	if (fcntl(fd, cmd, &l) < 0)
		return strerrorname_np(errno);
	if (l.l_type == F_UNLCK)
		return "-";
	snprintf(s, 64, "%c%ld+%ld", l.l_type == F_RDLCK ? 'R' : 'W', (long)l.l_start, (long)l.l_len);
	return s;
}

/* A child that does what it is told through a pipe and tells when it is done. */
struct child {
	pid_t pid;
	int to, from;
};

static struct child child_start(void (*fn)(int in, int out))
{
	struct child c;
	int to[2], from[2];

	MUST(pipe(to));
	MUST(pipe(from));
	c.pid = MUST(fork());
	if (!c.pid) {
		close(to[1]);
		close(from[0]);
		guest_bad = 0;
		fn(to[0], from[1]);
		_exit(guest_bad ? 1 : 0);
	}
	close(to[0]);
	close(from[1]);
	c.to = to[1];
	c.from = from[0];
	return c;
}

static void say(int fd) { OK(write(fd, "x", 1)); }
static void hear(int fd) { char c; EQ(read(fd, &c, 1), 1); }

static bool silent(int fd)
{
	fd_set set;
	struct timeval tv = { 0, 150000 };

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, &tv) == 0;
}

static void child_end(struct child *c)
{
	int status;

	OK(waitpid(c->pid, &status, 0));
	EXITED(status, 0);
}

TEST(ranges, "record locks of a process are split, joined and changed")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600)), status;

	OK(lock(fd, F_SETLK, F_WRLCK, 10, 20));
	OK(lock(fd, F_SETLK, F_UNLCK, 15, 5));
	OK(lock(fd, F_SETLK, F_RDLCK, 28, 10));
	OK(lock(fd, F_SETLK, F_WRLCK, 100, 10));
	OK(lock(fd, F_SETLK, F_WRLCK, 110, 10));
	OK(lock(fd, F_SETLK, F_WRLCK, 95, 8));
	OK(lock(fd, F_SETLK, F_RDLCK, 200, 0));
	OK(lock(fd, F_SETLK, F_WRLCK, 300, 1));
	STR(at(fd, F_GETLK, 12), "-");
	if (!MUST(fork())) {
		guest_bad = 0;
		STR(at(fd, F_GETLK, 9), "-");
		STR(at(fd, F_GETLK, 10), "W10+5");
		STR(at(fd, F_GETLK, 15), "-");
		STR(at(fd, F_GETLK, 20), "W20+8");
		STR(at(fd, F_GETLK, 28), "R28+10");
		STR(at(fd, F_GETLK, 119), "W95+25");
		STR(at(fd, F_GETLK, 200), "R200+100");
		STR(at(fd, F_GETLK, 300), "W300+1");
		STR(at(fd, F_GETLK, 301), "R301+0");
		OK(lock(fd, F_SETLK, F_RDLCK, 30, 5));
		FAILS(lock(fd, F_SETLK, F_WRLCK, 30, 5), EAGAIN);
		FAILS(lock(fd, F_SETLK, F_RDLCK, 9, 2), EAGAIN);
		OK(lock(fd, F_SETLK, F_WRLCK, 15, 5));
		_exit(guest_bad ? 1 : 0);
	}
	OK(wait(&status));
	EXITED(status, 0);
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
}

TEST(arguments, "bad arguments, and the ways to name a range")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600)), ro, wo, status;
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = -2, .l_len = -3 };

	OK(write(fd, "0123456789", 10));
	OK(fcntl(fd, F_SETLK, &l));
	l = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = 10, .l_len = 5 };
	OK(fcntl(fd, F_SETLK, &l));
	if (!MUST(fork())) {
		guest_bad = 0;
		STR(at(fd, F_GETLK, 5), "W5+3");
		STR(at(fd, F_GETLK, 8), "-");
		STR(at(fd, F_GETLK, 20), "W20+5");
		_exit(guest_bad ? 1 : 0);
	}
	OK(wait(&status));
	EXITED(status, 0);
	FAILS(lock(fd, F_SETLK, F_WRLCK, -1, 1), EINVAL);
	FAILS(lock(fd, F_SETLK, F_WRLCK, 5, -6), EINVAL);
	FAILS(lock(fd, F_SETLK, F_WRLCK, 2, LONG_MAX), EOVERFLOW);
	OK(lock(fd, F_SETLK, F_WRLCK, 1, LONG_MAX));
	FAILS(lock(fd, F_SETLK, 7, 0, 1), EINVAL);
	FAILS(lock(fd, F_GETLK, F_UNLCK, 0, 1), EINVAL);
	l = (struct flock){ .l_type = F_WRLCK, .l_whence = 9 };
	FAILS(fcntl(fd, F_SETLK, &l), EINVAL);
	l = (struct flock){ .l_type = F_WRLCK, .l_pid = 1 };
	FAILS(fcntl(fd, F_OFD_SETLK, &l), EINVAL);
	FAILS(fcntl(fd, F_SETLK, (void *)8), EFAULT);
	ro = MUST(open("f", O_RDONLY));
	wo = MUST(open("f", O_WRONLY));
	FAILS(lock(ro, F_SETLK, F_WRLCK, 0, 1), EBADF);
	FAILS(lock(wo, F_SETLK, F_RDLCK, 0, 1), EBADF);
	OK(lock(ro, F_SETLK, F_RDLCK, 0, 1));
	OK(lock(wo, F_GETLK, F_RDLCK, 0, 1));
	FAILS(flock(fd, 0), EINVAL);
	FAILS(flock(fd, LOCK_SH | LOCK_EX), EINVAL);
	FAILS(flock(99, LOCK_SH), EBADF);
	FAILS(flock(MUST(open("f", O_PATH)), LOCK_SH), EBADF);
	FAILS(lock(open("f", O_PATH), F_SETLK, F_RDLCK, 0, 1), EBADF);
	OK(flock(MUST(open(".", O_RDONLY)), LOCK_EX));
	OK(lock(open(".", O_RDONLY), F_SETLK, F_RDLCK, 0, 1));
}

TEST(any_close, "a process's locks on a file go with its first close of it")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600)), other = MUST(open("f", O_RDWR)), copy = MUST(dup(fd));
	int probe, status;

	OK(link("f", "g"));	/* for libfuse every name is a file of its own */
	for (int way = 0; way < 3; way++) {
		OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
		OK(lock(other, F_OFD_SETLK, F_RDLCK, 50, 1));
		if (way == 0)
			OK(close(copy));
		else if (way == 1)
			OK(close(MUST(open(on_fuse() ? "f" : "g", O_RDONLY))));
		else
			OK(dup2(0, MUST(dup(fd))));
		if (!MUST(fork())) {
			guest_bad = 0;
			probe = MUST(open("f", O_RDWR));
			STR(at(probe, F_GETLK, 0), "-");
			STR(at(probe, F_GETLK, 50), "R50+1");
			_exit(guest_bad ? 1 : 0);
		}
		OK(wait(&status));
		EXITED(status, 0);
	}
}

static void closes_inherited(void *arg)
{
	close(*(int *)arg);
}

TEST(inheritance, "a child has no record locks, and its closing takes none away; exec keeps them")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600)), status;
	char num[12];
	pid_t pid;

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	EXITED(in_child(closes_inherited, &fd), 0);
	pid = MUST(fork());
	if (!pid) {
		guest_bad = 0;
		STR(at(fd, F_GETLK, 0), "W0+10");
		FAILS(lock(fd, F_SETLK, F_WRLCK, 0, 1), EAGAIN);
		OK(lock(fd, F_SETLK, F_WRLCK, 20, 10));
		snprintf(num, sizeof num, "%d", fd);
		execl(guest_self, guest_self, "--helper", "holder", num, NULL);
		_exit(9);
	}
	OK(waitpid(pid, &status, WUNTRACED));
	TRUE(WIFSTOPPED(status));
	STR(at(fd, F_GETLK, 20), "W20+10");
	OK(kill(pid, SIGKILL));
	OK(waitpid(pid, &status, 0));
	STR(at(fd, F_GETLK, 20), "-");
}

HELPER(holder)
{
	int fd = atoi(argv[0]);

	if (strcmp(at(fd, F_GETLK, 0), "W0+10"))
		return 1;
	kill(getpid(), SIGSTOP);
	return 0;
}

HELPER(nothing)
{
	kill(getpid(), SIGSTOP);
	return 0;
}

TEST(cloexec, "exec that closes a locked file lets go of it")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600)), status;
	pid_t pid = MUST(fork());

	if (!pid) {
		int own = open("f", O_RDWR | O_CLOEXEC);

		if (lock(own, F_SETLK, F_WRLCK, 0, 10) || flock(own, LOCK_EX))
			_exit(8);
		execl(guest_self, guest_self, "--helper", "nothing", NULL);
		_exit(9);
	}
	OK(waitpid(pid, &status, WUNTRACED));
	TRUE(WIFSTOPPED(status));
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	OK(flock(fd, LOCK_EX | LOCK_NB));
	OK(kill(pid, SIGKILL));
	OK(waitpid(pid, &status, 0));
}

static void waits_record(int in, int out)
{
	int fd = MUST(open("f", O_RDWR));

	(void)in;
	say(out);
	OK(lock(fd, F_SETLKW, F_WRLCK, 5, 10));
	say(out);
}

TEST(waiting, "F_SETLKW waits until the last one in the way is gone")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600)), other = MUST(open("f", O_RDWR));
	struct child c;

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 6));
	OK(lock(other, F_OFD_SETLK, F_RDLCK, 10, 10));
	c = child_start(waits_record);
	hear(c.from);
	TRUE(silent(c.from));
	OK(lock(fd, F_SETLK, F_UNLCK, 5, 1));
	TRUE(silent(c.from));
	OK(lock(other, F_OFD_SETLK, F_UNLCK, 10, 10));
	hear(c.from);
	child_end(&c);
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
}

static void holds_all(int in, int out)
{
	int fd = MUST(open("f", O_RDWR));

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	OK(flock(fd, LOCK_EX));
	say(out);
	hear(in);
}

TEST(killed, "what a killed process held is free at once, its parent looking or not")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600)), keep = dup(fd);
	struct child c = child_start(holds_all), d;
	siginfo_t info;

	hear(c.from);
	FAILS(lock(fd, F_SETLK, F_WRLCK, 0, 1), EAGAIN);
	FAILS(flock(fd, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	OK(kill(c.pid, SIGKILL));
	OK(waitid(P_PID, (id_t)c.pid, &info, WEXITED | WNOWAIT));
	OK(flock(fd, LOCK_SH | LOCK_NB));
	OK(flock(fd, LOCK_UN));
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 1));
	d = child_start(holds_all);
	hear(d.from);
	OK(kill(d.pid, SIGTERM));
	OK(lock(fd, F_SETLKW, F_WRLCK, 0, 1));
	OK(flock(keep, LOCK_EX));
	OK(waitpid(c.pid, NULL, 0));
	OK(waitpid(d.pid, NULL, 0));
}

static void shares(int in, int out)
{
	int fd = 100;

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	say(out);
	hear(in);
}

TEST(killed_sharing, "a killed process's record locks go even if its open file lives on elsewhere")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600)), other = MUST(open("f", O_RDWR));
	struct child c;

	OK(dup2(fd, 100));
	c = child_start(shares);
	hear(c.from);
	STR(at(other, F_GETLK, 0), "W0+10");
	OK(kill(c.pid, SIGKILL));
	OK(waitpid(c.pid, NULL, 0));
	STR(at(other, F_GETLK, 0), "-");
}

static void crosses(int in, int out)
{
	int fd = MUST(open("f", O_RDWR)), g = MUST(open("g", O_RDWR));

	OK(lock(g, F_SETLK, F_WRLCK, 0, 1));
	say(out);
	hear(in);
	OK(lock(fd, F_SETLKW, F_WRLCK, 0, 1));
	say(out);
}

TEST(deadlock, "two processes that would wait for each other for ever: EDEADLK")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600)), g = MUST(open("g", O_RDWR | O_CREAT, 0600));
	struct child c = child_start(crosses);

	hear(c.from);
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	say(c.to);
	TRUE(silent(c.from));
	FAILS(lock(g, F_SETLKW, F_WRLCK, 0, 1), EDEADLK);
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 1));
	hear(c.from);
	child_end(&c);
	OK(lock(g, F_SETLKW, F_WRLCK, 0, 1));
}

static volatile int rings;
static void ring(int sig) { (void)sig; rings++; }

TEST(interrupted, "a signal ends the wait for a lock; with SA_RESTART the wait goes on")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));
	struct child c = child_start(holds_all);
	struct sigaction sa = { .sa_handler = ring };
	int status;
	pid_t pid;

	hear(c.from);
	OK(sigaction(SIGALRM, &sa, NULL));
	alarm(1);
	FAILS(lock(fd, F_SETLKW, F_WRLCK, 0, 1), EINTR);
	EQ(rings, 1);
	alarm(1);
	FAILS(flock(fd, LOCK_EX), EINTR);
	EQ(rings, 2);
	sa.sa_flags = SA_RESTART;
	OK(sigaction(SIGALRM, &sa, NULL));
	pid = MUST(fork());
	if (!pid) {
		sleep_ms(1600);
		say(c.to);
		_exit(0);
	}
	alarm(1);
	OK(lock(fd, F_SETLKW, F_WRLCK, 0, 1));
	EQ(rings, 3);
	OK(flock(fd, LOCK_EX));
	OK(waitpid(pid, &status, 0));
	child_end(&c);
}

TEST(flocks, "flock: shared, exclusive, changed, by open file, whatever it is open for")
{
	int a = MUST(open("f", O_RDONLY | O_CREAT, 0600)), b = MUST(open("f", O_RDONLY)), c = MUST(open("f", O_WRONLY));
	int status;

	OK(flock(a, LOCK_SH));
	OK(flock(b, LOCK_SH | LOCK_NB));
	FAILS(flock(c, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	OK(flock(b, LOCK_UN));
	OK(flock(a, LOCK_EX | LOCK_NB));
	FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	OK(lock(c, F_SETLK, F_WRLCK, 0, 0));	/* another matter altogether */
	OK(lock(c, F_SETLK, F_UNLCK, 0, 0));
	OK(flock(dup(a), LOCK_EX | LOCK_NB));
	if (!MUST(fork())) {
		guest_bad = 0;
		OK(flock(a, LOCK_EX | LOCK_NB));
		OK(close(a));
		FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
		_exit(guest_bad ? 1 : 0);
	}
	OK(wait(&status));
	EXITED(status, 0);
	FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	if (!MUST(fork())) {
		guest_bad = 0;
		OK(flock(a, LOCK_UN));
		_exit(guest_bad ? 1 : 0);
	}
	OK(wait(&status));
	EXITED(status, 0);
	OK(flock(b, LOCK_SH | LOCK_NB));
	OK(flock(a, LOCK_SH | LOCK_NB));
	FAILS(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	OK(flock(c, LOCK_SH | LOCK_NB));
	OK(flock(b, LOCK_UN));
	FAILS(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	OK(flock(c, LOCK_UN));
	OK(flock(b, LOCK_EX | LOCK_NB));	/* a lost its own when it tried to change it */
}

static void *takes_flock(void *arg)
{
	return (void *)(long)flock(*(int *)arg, LOCK_EX);
}

TEST(threads, "two threads, two open files: one waits while the other goes on")
{
	int a = MUST(open("f", O_RDWR | O_CREAT, 0600)), b = MUST(open("f", O_RDWR));
	pthread_t th;
	void *result;

	OK(flock(a, LOCK_EX));
	EQ(pthread_create(&th, NULL, takes_flock, &b), 0);
	sleep_ms(100);
	OK(write(a, "still alive", 11));
	OK(lock(a, F_SETLK, F_WRLCK, 0, 0));	/* of the process: not in the way of itself */
	OK(lock(b, F_SETLKW, F_RDLCK, 0, 5));
	OK(close(a));
	EQ(pthread_join(th, &result), 0);
	EQ((long)result, 0);
}

TEST(descriptions, "locks of open files: over dup and fork, until the last close")
{
	int a = MUST(open("f", O_RDWR | O_CREAT, 0600)), b = MUST(open("f", O_RDWR)), copy = MUST(dup(a));
	struct flock l = { .l_type = F_WRLCK, .l_start = 3, .l_len = 1 };
	int pipes[2];
	char c;

	OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	OK(lock(copy, F_OFD_SETLK, F_WRLCK, 0, 10));
	FAILS(lock(b, F_OFD_SETLK, F_RDLCK, 5, 1), EAGAIN);
	FAILS(lock(a, F_SETLK, F_RDLCK, 5, 1), EAGAIN);
	OK(fcntl(b, F_OFD_GETLK, &l));
	EQ(l.l_pid, -1);
	EQ(l.l_len, 10);
	OK(pipe(pipes));
	if (!MUST(fork())) {
		close(pipes[0]);
		close(a);
		sleep_ms(200);
		_exit(0);	/* the last close, of `copy` */
	}
	close(pipes[1]);
	OK(close(a));
	OK(close(copy));
	FAILS(lock(b, F_OFD_SETLK, F_WRLCK, 0, 0), EAGAIN);
	OK(lock(b, F_OFD_SETLKW, F_WRLCK, 0, 0));
	EQ(read(pipes[0], &c, 1), 0);
	OK(wait(NULL));
}

TEST(passed, "an open file sent through a socket keeps its locks")
{
	int a = MUST(open("f", O_RDWR | O_CREAT, 0600)), b = MUST(open("f", O_RDWR)), s[2], got = -1;
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 'x';
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	OK(flock(a, LOCK_EX));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	*h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof a), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(h), &a, sizeof a);
	OK(sendmsg(s[0], &m, 0));
	OK(close(a));
	FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	OK(recvmsg(s[1], &m, 0));
	memcpy(&got, CMSG_DATA(h), sizeof got);
	FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	OK(flock(got, LOCK_EX | LOCK_NB));
	OK(close(got));
	OK(flock(b, LOCK_EX | LOCK_NB));
}

TEST(queue, "eight processes count in one file under a lock, and none loses a turn")
{
	int status, fd = MUST(open("n", O_RDWR | O_CREAT, 0600));
	long n = 0;

	OK(pwrite(fd, &n, sizeof n, 0));
	for (int i = 0; i < 8; i++) {
		if (MUST(fork()))
			continue;
		fd = open("n", O_RDWR);
		for (int k = 0; k < 25; k++) {
			if (i & 1 ? flock(fd, LOCK_EX) : lock(fd, F_OFD_SETLKW, F_WRLCK, 0, 8))
				_exit(1);
			if (i & 1 ? lock(fd, F_OFD_SETLKW, F_WRLCK, 0, 8) : 0)
				_exit(2);
			if (pread(fd, &n, sizeof n, 0) != sizeof n)
				_exit(3);
			n++;
			if (pwrite(fd, &n, sizeof n, 0) != sizeof n || lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0) ||
			    flock(fd, LOCK_UN))
				_exit(4);
		}
		_exit(0);
	}
	for (int i = 0; i < 8; i++) {
		OK(wait(&status));
		EXITED(status, 0);
	}
	EQ(pread(fd, &n, sizeof n, 0), sizeof n);
	EQ(n, 200);
}
