/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SECCOMP_RET_USER_NOTIF: a parent answers the calls of its child, through the listener's descriptor.
 * GUEST_WORLDS: view mount
 */
#include "filter.h"
#include "passfd.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static pid_t pid;
static int listener = -1;

/* A child runs fn(arg) with the calls `nr` told to us, through `listener`. */
static void supervise(long nr, void (*fn)(void *), void *arg)
{
	int pair[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = MUST(fork());
	if (pid == 0) {
		no_new_privs();
		int fd = MUST(answer(SECCOMP_FILTER_FLAG_NEW_LISTENER, nr, SECCOMP_RET_USER_NOTIF));
		EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
		MUST(send_fd(pair[1], fd, 0));
		close(fd);
		fn(arg);
		_exit(guest_bad != 0);
	}
	listener = receive_fd(pair[0], 0);
	close(pair[0]);
	close(pair[1]);
}

static struct seccomp_notif next(void)
{
	struct seccomp_notif n = { 0 };
	struct pollfd p = { .fd = listener, .events = POLLIN };

	EQ(poll(&p, 1, 10000), 1);
	EQ(p.revents & (POLLIN | POLLHUP), POLLIN);
	MUST(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n));
	return n;
}

static long reply(uint64_t id, int64_t val, int error, unsigned flags)
{
	struct seccomp_notif_resp r = { .id = id, .val = val, .error = error, .flags = flags };

	return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

static void ended(int code)
{
	int status;

	EQ(waitpid(pid, &status, 0), pid);
	EXITED(status, code);
}

/* ---- answers ------------------------------------------------------------------------------------------ */

static void asks(void *unused)
{
	(void)unused;
	EQ(getppid_raw(), 123456789012);
	FAILS(getppid_raw(), EXFULL);
	TRUE(getppid_raw() > 0);
	EQ(syscall(SYS_getppid, 1, 2, 3, 4, 5, 0x600000000), 0);
}

TEST(answers, "a value, an error, go on; what is told of the call")
{
	struct seccomp_notif n;

	supervise(SYS_getppid, asks, NULL);
	n = next();
	EQ(n.pid, pid);
	EQ(n.data.nr, SYS_getppid);
	EQ(n.data.arch, AUDIT_ARCH_X86_64);
	OK(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id));
	FAILS(reply(n.id + 1, 0, 0, 0), ENOENT);
	FAILS(reply(n.id, 1, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE), EINVAL);
	FAILS(reply(n.id, 0, 0, 1 << 10), EINVAL);
	OK(reply(n.id, 123456789012, 0, 0));
	n = next();
	OK(reply(n.id, 0, -EXFULL, 0));
	n = next();
	OK(reply(n.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
	n = next();
	EQ(n.data.args[0], 1);
	EQ(n.data.args[4], 5);
	EQ(n.data.args[5], 0x600000000);
	OK(reply(n.id, 0, 0, 0));
	ended(0);
	struct pollfd p = { .fd = listener, .events = POLLIN };
	EQ(poll(&p, 1, 10000), 1);
	EQ(p.revents & POLLHUP, POLLHUP);
}

static void opens(void *unused)
{
	char buf[8] = "";
	int fd = OK(open("f", O_RDONLY));

	(void)unused;
	EQ(read(fd, buf, sizeof(buf)), 5);
	STR(buf, "hello");
	FAILS(open("none", O_RDONLY), ENOENT);
	fd = OK(open("given", O_RDONLY));
	memset(buf, 0, sizeof(buf));
	EQ(read(fd, buf, sizeof(buf)), 5);
	STR(buf, "hello");
	EQ(lseek(fd, 0, SEEK_CUR), 5);
	OK(close(fd));
}

TEST(files, "calls on files: go on, and a descriptor given instead")
{
	struct seccomp_notif_addfd add = { .flags = SECCOMP_ADDFD_FLAG_SEND };
	struct seccomp_notif n;

	put("f", "hello");
	supervise(SYS_openat, opens, NULL);
	for (int i = 0; i < 2; i++) {
		n = next();
		EQ(n.data.nr, SYS_openat);
		OK(reply(n.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
	}
	n = next();
	add.id = n.id;
	add.srcfd = MUST(open("f", O_RDONLY));
	OK(ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add));
	ended(0);
}

/* ---- without an answer ---------------------------------------------------------------------------------- */

static volatile int caught;

static void note(int sig)
{
	(void)sig;
	caught++;
}

static void interrupted(void *flags)
{
	struct sigaction sa = { .sa_handler = note, .sa_flags = (int)(long)flags };

	OK(sigaction(SIGUSR1, &sa, NULL));
	if (flags)
		EQ(getppid_raw(), 77);
	else
		FAILS(getppid_raw(), EINTR);
	EQ(caught, 1);
}

TEST(signals, "a signal interrupts a call that waits for its answer, or restarts it")
{
	struct seccomp_notif n;

	supervise(SYS_getppid, interrupted, NULL);
	n = next();
	OK(kill(pid, SIGUSR1));
	ended(0);
	FAILS(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id), ENOENT);
	close(listener);
	supervise(SYS_getppid, interrupted, (void *)(long)SA_RESTART);
	uint64_t first = next().id;
	OK(kill(pid, SIGUSR1));
	n = next();
	TRUE(n.id != first);
	FAILS(reply(first, 1, 0, 0), ENOENT);
	OK(reply(n.id, 77, 0, 0));
	ended(0);
}

static void alone(void *unused)
{
	(void)unused;
	FAILS(getppid_raw(), ENOSYS);
	FAILS(getppid_raw(), ENOSYS);
}

TEST(closed, "without a listener, or when it is closed, the answer is ENOSYS")
{
	supervise(SYS_getppid, alone, NULL);
	next();
	close(listener);
	ended(0);
	forbid(SYS_getppid, SECCOMP_RET_USER_NOTIF);
	FAILS(getppid_raw(), ENOSYS);
}

TEST(one_only, "one listener for all filters of a thread; each filter tells its own")
{
	no_new_privs();
	MUST(answer(0, 1001, SECCOMP_RET_USER_NOTIF));
	int fd = MUST(answer(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, 1002,
			     SECCOMP_RET_USER_NOTIF));
	struct pollfd p = { .fd = fd, .events = POLLIN };

	FAILS(answer(SECCOMP_FILTER_FLAG_NEW_LISTENER, 1003, SECCOMP_RET_USER_NOTIF), EBUSY);
	FAILS(syscall(1001), ENOSYS);
	EQ(poll(&p, 1, 0), 0);
	MUST(answer(0, 1002, ERRNO(EXFULL)));
	FAILS(syscall(1002), EXFULL);
}

HELPER(calls)
{
	EQ(getppid_raw(), 42);
	return guest_bad != 0;
}

static void execs(void *unused)
{
	(void)unused;
	execl(guest_self, guest_self, "--helper", "calls", NULL);
}

TEST(over_exec, "the listener goes on over exec")
{
	supervise(SYS_getppid, execs, NULL);
	OK(reply(next().id, 42, 0, 0));
	ended(0);
}
