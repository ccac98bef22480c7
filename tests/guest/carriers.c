/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One file after the other is opened, read and closed, while descriptors of files that were open before live on elsewhere: in children, under
 * other numbers, in messages, in programs that were executed.  Each must stay what it is.  (A view uses what a closed file has left
 * for the next one: kernel/carrier.c.)
 * GUEST_WORLDS: native view mount bind cowmount
 */
#include "guest.h"
#include <pthread.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define FILES 8

static const char *name_of(int i)
{
	static const char *const names[FILES] = { "f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7" };

	return names[i % FILES];
}

/* What fd has to give from its beginning on is file i. */
static bool is_file(int fd, int i)
{
	char buf[8] = "";

	return pread(fd, buf, sizeof buf, 0) == 2 && !strcmp(buf, name_of(i));
}

static void check(int fd, int i, int line)
{
	struct stat a, b;

	if (!is_file(fd, i) || fstat(fd, &a) || stat(name_of(i), &b) || a.st_ino != b.st_ino)
		guest_fail(line, "%d is not %s any more", fd, name_of(i));
}
#define IS_FILE(fd, i) check(fd, i, __LINE__)

static void make_files(void)
{
	for (int i = 0; i < FILES; i++) {
		put(name_of(i), name_of(i));
		STR(get(name_of(i)), name_of(i));
	}
}

/* Others that are opened and closed, with the lowest free number. */
static void others(int lowest)
{
	for (int i = 0; i < 3 * FILES; i++) {
		int fd = MUST(open(name_of(i), O_RDONLY | (i % 2 ? O_CLOEXEC : 0) | (i % 3 ? O_NONBLOCK : 0)));

		EQ(fd, lowest);
		EQ(fcntl(fd, F_GETFD), i % 2 ? FD_CLOEXEC : 0);
		EQ(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), i % 3 ? O_NONBLOCK : O_RDONLY);
		EQ(lseek(fd, 0, SEEK_CUR), 0);
		IS_FILE(fd, i);
		OK(close(fd));
	}
}

/* Opens, and closes again, so that something may have been kept.  The number that is free then. */
static int start(void)
{
	int fd;

	make_files();
	fd = MUST(open(name_of(1), O_RDONLY));
	OK(close(fd));
	others(fd);
	return fd;
}

TEST(duplicates, "a duplicate keeps its file when the first number is closed and used again")
{
	int fd = start(), copy;

	EQ(open(name_of(2), O_RDONLY), fd);
	copy = MUST(fcntl(fd, F_DUPFD, 40));
	OK(close(fd));
	others(fd);
	IS_FILE(copy, 2);
	EQ(dup2(copy, fd), fd);
	OK(close(copy));
	IS_FILE(fd, 2);
	OK(close(fd));
	others(fd);
}

TEST(flags, "flags that a descriptor was given are not the next one's")
{
	int fd = start();

	EQ(open(name_of(2), O_RDONLY), fd);
	OK(fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND));
	OK(close(fd));
	others(fd);
	EQ(open(name_of(3), O_RDONLY), fd);
	OK(fcntl(fd, F_SETOWN, getpid()));
	OK(close(fd));
	EQ(open(name_of(4), O_RDONLY), fd);
	EQ(fcntl(fd, F_GETOWN), 0);
	OK(close(fd));
	others(fd);
}

static void in_children(bool raw)
{
	int fd = start(), status, go[2];
	pid_t pid;

	EQ(open(name_of(2), O_RDONLY), fd);
	OK(pipe(go));
	pid = raw ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
	if (pid == 0) {
		char c;

		close(go[1]);
		if (read(go[0], &c, 1) != 0)
			_exit(2);
		IS_FILE(fd, 2);
		close(fd);
		close(go[0]);
		others(fd);
		_exit(guest_bad ? 1 : 0);
	}
	OK(close(fd));
	others(fd);
	EQ(open(name_of(5), O_RDONLY), fd);
	OK(close(go[1]));
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	IS_FILE(fd, 5);
	OK(close(fd));
	OK(close(go[0]));
	others(fd);
}

TEST(children, "a child keeps what its parent closes")
{
	in_children(false);
}

TEST(children_raw, "the same by the system call")
{
	in_children(true);
}

/* The file at descriptor N of a program that is executed: the shell reads it when it may. */
TEST(executed, "an executed program keeps what it has inherited")
{
	int fd = start(), status, in[2], out[2];
	char *argv[] = { "sh", "-c", "read x; cat <&9", NULL }, buf[16] = "";
	posix_spawn_file_actions_t a;
	pid_t pid;

	EQ(open(name_of(2), O_RDONLY), fd);
	OK(pipe2(in, O_CLOEXEC));
	OK(pipe2(out, O_CLOEXEC));
	EQ(posix_spawn_file_actions_init(&a), 0);
	EQ(posix_spawn_file_actions_adddup2(&a, fd, 9), 0);
	EQ(posix_spawn_file_actions_adddup2(&a, in[0], 0), 0);
	EQ(posix_spawn_file_actions_adddup2(&a, out[1], 1), 0);
	EQ(posix_spawn(&pid, "/bin/sh", &a, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&a);
	OK(close(fd));
	others(fd);
	EQ(open(name_of(6), O_RDONLY), fd);
	EQ(write(in[1], "\n", 1), 1);
	EQ(read(out[0], buf, sizeof buf - 1), 2);
	STR(buf, name_of(2));
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	IS_FILE(fd, 6);
	OK(close(fd));
	others(fd);
}

TEST(executed_closes, "a program that closes what it has inherited, and goes on with other files")
{
	char *argv[] = { "sh", "-c", "read x <&9; exec 9<&-; for i in 1 2 3; do for f in f0 f1 f3; do read x <$f; done; done; :", NULL };
	int fd = start(), status;
	pid_t pid;

	for (int i = 0; i < 4; i++) {
		EQ(open(name_of(2), O_RDONLY), fd);
		pid = i % 2 ? vfork() : fork();
		if (pid == 0) {
			if (dup2(fd, 9) == 9 && !close(fd))
				execv("/bin/sh", argv);
			_exit(99);
		}
		OK(waitpid(pid, &status, 0));
		EXITED(status, 0);
		EQ(lseek(fd, 0, SEEK_SET), 0);
		IS_FILE(fd, 2);
		OK(unlink(name_of(7)));
		put(name_of(7), name_of(7));
		IS_FILE(fd, 2);
		OK(close(fd));
		others(fd);
	}
}

TEST(table_of_own, "close_range(CLOSE_RANGE_UNSHARE) between the fork and the close")
{
	int fd, status, go[2];
	char buf[8];
	pid_t pid;

	OK((int)syscall(SYS_close_range, 500, 501, 2));
	fd = start();
	EQ(open(name_of(2), O_RDONLY), fd);
	OK(pipe(go));
	pid = MUST(fork());
	if (pid == 0) {
		char c;

		close(go[1]);
		if (read(go[0], &c, 1) != 0)
			_exit(2);
		_exit(read(fd, buf, sizeof buf) == 2 && is_file(fd, 2) ? 0 : 1);
	}
	OK((int)syscall(SYS_close_range, 500, 501, 2 /* CLOSE_RANGE_UNSHARE */));
	OK(close(fd));
	others(fd);
	OK(unlink(name_of(2)));
	put("another", "x");
	OK(close(go[1]));
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	OK(close(go[0]));
}

TEST(limit, "as many descriptors as are allowed, closed and opened again")
{
	struct rlimit was, few;
	int fd = start(), n = 0, fds[64];

	OK(getrlimit(RLIMIT_NOFILE, &was));
	few = was;
	few.rlim_cur = 40;
	OK(setrlimit(RLIMIT_NOFILE, &few));
	for (int round = 0; round < 3; round++) {
		for (n = 0; n < 64 && (fds[n] = open(name_of(n), O_RDONLY)) >= 0; n++)
			IS_FILE(fds[n], n);
		EQ(errno, EMFILE);
		TRUE(n > 20);
		while (n)
			OK(close(fds[--n]));
	}
	OK(setrlimit(RLIMIT_NOFILE, &was));
	others(fd);
}

static void send_fd(int to, int fd)
{
	char c = 'x', control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(h), &fd, sizeof fd);
	EQ(sendmsg(to, &m, 0), 1);
}

static int receive_fd(int from)
{
	char c, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	int fd = -1;

	EQ(recvmsg(from, &m, 0), 1);
	if (CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
	return fd;
}

TEST(messages, "a descriptor on its way in a message keeps its file")
{
	int fd = start(), pair[2], got;

	EQ(open(name_of(2), O_RDONLY), fd);
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	send_fd(pair[0], fd);
	OK(close(fd));
	others(fd);
	EQ(open(name_of(3), O_RDONLY), fd);
	got = receive_fd(pair[1]);
	IS_FILE(got, 2);
	IS_FILE(fd, 3);
	OK(close(got));
	OK(close(fd));
	OK(close(pair[0]));
	OK(close(pair[1]));
	others(fd);
}

TEST(taken, "a descriptor that another process, or this one, has taken by pidfd_getfd keeps its file")
{
	int fd = start(), me = (int)MUST(syscall(SYS_pidfd_open, getpid(), 0)), mine, status, go[2];
	pid_t pid;

	EQ(dup2(me, 50), 50);
	OK(close(me));
	me = 50;
	EQ(open(name_of(2), O_RDONLY), fd);
	mine = (int)MUST(syscall(SYS_pidfd_getfd, me, fd, 0));
	OK(close(fd));
	others(fd);
	IS_FILE(mine, 2);
	OK(unlink(name_of(2)));		/* who serves looks what is still open */
	put("another", "x");
	TRUE(is_file(mine, 2));
	put(name_of(2), name_of(2));
	OK(close(mine));
	OK(pipe(go));
	EQ(dup2(go[0], 52), 52);
	EQ(dup2(go[1], 53), 53);
	OK(close(go[0]));
	OK(close(go[1]));
	pid = MUST(fork());
	if (pid == 0) {
		int theirs = -1;

		for (int i = 0; i < 5000 && theirs < 0; i++, usleep(1000))
			theirs = (int)syscall(SYS_pidfd_getfd, me, 30, 0);
		if (write(53, "x", 1) != 1 || kill(getpid(), SIGSTOP))
			_exit(2);
		_exit(is_file(theirs, 4) ? 0 : 1);
	}
	EQ(open(name_of(4), O_RDONLY), fd);
	EQ(dup2(fd, 30), 30);
	OK(close(fd));
	EQ(read(52, &(char){ 0 }, 1), 1);
	OK(waitpid(pid, &status, WUNTRACED));
	OK(close(30));
	others(fd);
	OK(kill(pid, SIGCONT));
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	OK(close(52));
	OK(close(53));
	OK(close(me));
}

/* Descriptors, as /proc tells. */
static int count(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

TEST(listed, "/proc/self/fd shows what is open, and the limit of descriptors is what it is")
{
	struct rlimit was, few;
	int n, fd;

	make_files();
	n = count();
	fd = start();
	EQ(count(), n);
	EQ(open(name_of(2), O_RDONLY), fd);
	EQ(count(), n + 1);
	OK(getrlimit(RLIMIT_NOFILE, &was));
	few = was;
	few.rlim_cur = (rlim_t)fd + 1;
	OK(setrlimit(RLIMIT_NOFILE, &few));
	FAILS(open(name_of(3), O_RDONLY), EMFILE);
	OK(close(fd));
	others(fd);
	OK(setrlimit(RLIMIT_NOFILE, &was));
}

static void *opens(void *arg)
{
	int n = *(int *)arg;

	for (int i = 0; i < 400 && !guest_bad; i++) {
		int fd = open(name_of(i + n), O_RDONLY | O_CLOEXEC);

		if (fd < 0 || !is_file(fd, i + n))
			guest_fail(__LINE__, "%s: errno %d", name_of(i + n), errno);
		close(fd);
	}
	return NULL;
}

TEST(threads, "threads that open and close, and children that come meanwhile")
{
	pthread_t t[6];
	int numbers[6], status;

	make_files();
	for (int i = 0; i < 6; i++) {
		numbers[i] = i;
		EQ(pthread_create(&t[i], NULL, opens, &numbers[i]), 0);
	}
	for (int i = 0; i < 30; i++) {
		int fd = MUST(open(name_of(i), O_RDONLY));
		pid_t pid = i % 3 ? fork() : vfork();

		if (pid == 0) {
			if (i % 3 == 0)
				execl("/bin/true", "true", (char *)NULL);
			usleep(1000);
			_exit(is_file(fd, i) ? 0 : 1);
		}
		IS_FILE(fd, i);
		OK(close(fd));
		OK(waitpid(pid, &status, 0));
		EXITED(status, 0);
	}
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
}
