/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors: what dup, fork, exec and SCM_RIGHTS share, and which of them are closed when.
 * GUEST_WORLDS: view mount bind cow bindcow cowmount cowbind cowcow merge
 */
#include "guest.h"
#include "passfd.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <linux/close_range.h>

TEST(offset_dup, "dup shares the offset and the status flags, not FD_CLOEXEC")
{
	char c;
	int a, b;

	put("f", "abcdef");
	a = MUST(open("f", O_RDONLY | O_CLOEXEC));
	b = MUST(dup(a));
	EQ(read(a, &c, 1), 1);
	EQ(read(b, &c, 1), 1);
	EQ(c, 'b');
	EQ(lseek(b, 4, SEEK_SET), 4);
	EQ(read(a, &c, 1), 1);
	EQ(c, 'e');
	EQ(fcntl(a, F_GETFD), FD_CLOEXEC);
	EQ(fcntl(b, F_GETFD), 0);
	OK(fcntl(b, F_SETFL, O_NONBLOCK));
	EQ(fcntl(a, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	OK(close(a));
	EQ(read(b, &c, 1), 1);
	EQ(c, 'f');
}

TEST(offset_fork, "parent and child share the offset")
{
	char c;
	int fd, status;
	pid_t pid;

	put("f", "abcdef");
	fd = MUST(open("f", O_RDWR));
	pid = MUST(fork());
	if (pid == 0)
		_exit(read(fd, &c, 1) == 1 && c == 'a' && lseek(fd, 3, SEEK_SET) == 3 ? 0 : 1);
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	EQ(read(fd, &c, 1), 1);
	EQ(c, 'd');
	pid = MUST(fork());
	if (pid == 0)
		_exit(write(fd, "XY", 2) == 2 ? 0 : 1);
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	EQ(lseek(fd, 0, SEEK_CUR), 6);
	STR(get("f"), "abcdXY");
}

TEST(dup2_cases, "dup2, dup3, F_DUPFD, F_DUPFD_CLOEXEC")
{
	char c;
	int a, b;

	put("f", "f");
	put("g", "g");
	a = MUST(open("f", O_RDONLY));
	b = MUST(open("g", O_RDONLY));
	EQ(dup2(a, b), b);
	EQ(read(b, &c, 1), 1);
	EQ(c, 'f');
	EQ(dup2(a, a), a);
	FAILS(dup3(a, a, 0), EINVAL);
	FAILS(dup3(a, b, 0x1), EINVAL);
	EQ(dup3(a, 40, O_CLOEXEC), 40);
	EQ(fcntl(40, F_GETFD), FD_CLOEXEC);
	EQ(fcntl(a, F_DUPFD, 40), 41);
	EQ(fcntl(41, F_GETFD), 0);
	EQ(fcntl(a, F_DUPFD_CLOEXEC, 41), 42);
	EQ(fcntl(42, F_GETFD), FD_CLOEXEC);
	FAILS(dup2(77, 78), EBADF);
	FAILS(dup2(a, -1), EBADF);
	FAILS(dup(77), EBADF);
	FAILS(fcntl(a, F_DUPFD, -1), EINVAL);
	FAILS(dup2(77, a), EBADF);
	OK(lseek(a, 0, SEEK_SET));
}

HELPER(fds)
{
	/* prints which of the descriptors named in the arguments are open */
	for (int i = 0; i < argc; i++)
		printf("%d", fcntl(atoi(argv[i]), F_GETFD) >= 0);
	printf("\n");
	return 0;
}

TEST(cloexec, "exec closes what is marked, and nothing else")
{
	char text[16] = "";
	int p[2], status, out;
	pid_t pid;

	put("f", "");
	dup2((int)MUST(open("f", O_RDONLY)), 20);
	dup3(20, 21, O_CLOEXEC);
	dup2(20, 22);
	OK(fcntl(22, F_SETFD, FD_CLOEXEC));
	dup3(20, 23, O_CLOEXEC);
	OK(fcntl(23, F_SETFD, 0));
	OK(pipe(p));
	out = p[1];
	pid = MUST(fork());
	if (pid == 0) {
		dup2(out, 1);
		execl(guest_self, guest_self, "--helper", "fds", "20", "21", "22", "23", "24", NULL);
		_exit(1);
	}
	OK(close(p[1]));
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	TRUE(read(p[0], text, 15) > 0);
	STR(text, "10010\n");
}

HELPER(offset)
{
	char c;
	int fd = atoi(argv[0]);

	return argc == 1 && read(fd, &c, 1) == 1 && c == 'c' && lseek(fd, 0, SEEK_CUR) == 3 ? 0 : 1;
}

TEST(offset_exec, "an open file survives exec with its offset")
{
	char c, num[8];
	int fd, status;
	pid_t pid;

	put("f", "abcdef");
	fd = MUST(open("f", O_RDONLY));
	OK(lseek(fd, 2, SEEK_SET));
	snprintf(num, sizeof(num), "%d", fd);
	pid = MUST(fork());
	if (pid == 0) {
		execl(guest_self, guest_self, "--helper", "offset", num, NULL);
		_exit(9);
	}
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	EQ(read(fd, &c, 1), 1);
	EQ(c, 'd');
}

TEST(close_range_cases, "close_range: a range, CLOEXEC, and everything")
{
	put("f", "");
	for (int i = 30; i < 40; i++)
		OK(dup2(0, i));
	OK(close_range(32, 34, 0));
	TRUE(fcntl(31, F_GETFD) == 0);
	FAILS(fcntl(32, F_GETFD), EBADF);
	FAILS(fcntl(34, F_GETFD), EBADF);
	TRUE(fcntl(35, F_GETFD) == 0);
	OK(close_range(35, 36, CLOSE_RANGE_CLOEXEC));
	EQ(fcntl(35, F_GETFD), FD_CLOEXEC);
	EQ(fcntl(37, F_GETFD), 0);
	FAILS(close_range(9, 8, 0), EINVAL);
	OK(close_range(3, ~0U, 0));
	FAILS(fcntl(37, F_GETFD), EBADF);
	EQ(open("f", O_RDWR), 3);
	OK(close_range(3, ~0U, CLOSE_RANGE_UNSHARE));
	STR(get("f"), "");
	EQ(open("f", O_RDONLY), 3);
}

static void exit_five(void *unused MAYBE)
{
	_exit(5);
}

TEST(close_every, "a program may close every number there is, and then work on")
{
	int status;

	put("f", "still here");
	for (int i = 3; i < 4096; i++)
		close(i);
	STR(get("f"), "still here");
	EQ(open("f", O_RDONLY), 3);
	status = in_child(exit_five, NULL);
	EXITED(status, 5);
	if (fork() == 0) {
		execl("/bin/sh", "sh", "-c", "exit 6", NULL);
		_exit(1);
	}
	OK(wait(&status));
	EXITED(status, 6);
}

TEST(dup2_every, "dup2 onto every number there is, and then work on")
{
	int status, max = 1100;

	put("f", "here");
	for (int i = 3; i < max; i++)
		if (dup2(2, i) < 0)
			break;
	STR(get("f"), "here");
	if (fork() == 0) {
		execl("/bin/sh", "sh", "-c", "exit 6", NULL);
		_exit(1);
	}
	OK(wait(&status));
	EXITED(status, 6);
}

TEST(rights, "a file sent over a socket is the same open file")
{
	char c;
	int s[2], fd, status;
	pid_t pid;

	put("f", "abcdef");
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	pid = MUST(fork());
	if (pid == 0) {
		int got;

		guest_bad = 0;
		OK(close(s[0]));
		got = receive_fd(s[1], MSG_CMSG_CLOEXEC);
		EQ(fcntl(got, F_GETFD), FD_CLOEXEC);
		EQ(read(got, &c, 1), 1);
		EQ(c, 'b');
		EQ(file_size(got), 6);
		EQ(pwrite(got, "Z", 1, 5), 1);
		EQ(lseek(got, 4, SEEK_SET), 4);
		_exit(guest_bad ? 1 : 0);
	}
	fd = MUST(open("f", O_RDWR));
	EQ(read(fd, &c, 1), 1);
	EQ(send_fd(s[0], fd, 0), 1);
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	EQ(read(fd, &c, 1), 1);
	EQ(c, 'e');
	STR(get("f"), "abcdeZ");
}

TEST(rights_unlinked, "a descriptor in flight keeps its unlinked file")
{
	char buf[8] = "";
	int s[2], fd;

	OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	put("f", "gone");
	fd = MUST(open("f", O_RDONLY));
	EQ(send_fd(s[0], fd, 0), 1);
	OK(close(fd));
	OK(unlink("f"));
	fd = receive_fd(s[1], 0);
	EQ(read(fd, buf, 8), 4);
	STR(buf, "gone");
}

TEST(proc_fd, "/proc/self/fd lists and names what is open")
{
	char link[PATH_MAX], name[64], want[PATH_MAX + 8];
	ssize_t n;
	int fd;

	put("f", "");
	fd = MUST(open("f", O_RDONLY));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = MUST(readlink(name, link, sizeof(link) - 1));
	link[n] = 0;
	REQUIRE(getcwd(want, PATH_MAX));
	strcat(want, "/f");
	STR(link, want);
	OK(close(fd));
	FAILS(readlink(name, link, sizeof(link)), ENOENT);
	FAILS(open(name, O_RDONLY), ENOENT);
}

TEST(kcmp_like, "two opens are two files, a dup is one")
{
	struct stat a, b;
	int x, y;

	put("f", "ab");
	x = MUST(open("f", O_RDONLY));
	y = MUST(open("f", O_RDONLY));
	OK(fstat(x, &a));
	OK(fstat(y, &b));
	EQ(a.st_ino, b.st_ino);
	EQ(a.st_dev, b.st_dev);
	OK(lseek(x, 1, SEEK_SET));
	EQ(lseek(y, 0, SEEK_CUR), 0);
}

TEST(stdio_closed, "a program may start with 0, 1 and 2 closed")
{
	int status;
	pid_t pid = MUST(fork());

	if (pid == 0) {
		close(0);
		close(1);
		execl(guest_self, guest_self, "--helper", "fds", "0", "1", NULL);
		_exit(1);
	}
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	put("f", "");
	close(0);
	EQ(open("f", O_RDONLY), 0);
}

TEST(many_open, "500 descriptors of one file, each with its own offset")
{
	int fds[500];
	char c;

	put("f", "0123456789");
	for (int i = 0; i < 500; i++) {
		fds[i] = MUST(open("f", O_RDONLY));
		OK(lseek(fds[i], i % 10, SEEK_SET));
	}
	for (int i = 499; i >= 0; i--) {
		EQ(read(fds[i], &c, 1), 1);
		EQ(c, '0' + i % 10);
		OK(close(fds[i]));
	}
}

HELPER(many)
{
	int first = atoi(argv[0]), n = atoi(argv[1]), bad = 0;
	char c;

	for (int i = 0; i < n; i++)
		bad += read(first + i, &c, 1) != 1 || c != 'a' + i % 20;
	EQ(bad, 0);
	FAILS(fcntl(first + n, F_GETFD), EBADF);
	FAILS(fcntl(first - 1, F_GETFD), EBADF);	/* was to be closed */
	return guest_bad ? 1 : 0;
}

TEST(many_over_exec, "880 descriptors survive exec with their offsets, files of no size being allowed or not")
{
	struct rlimit r, none = { 0, RLIM_INFINITY };
	int first, status, n = 0;
	char from[16], count[16];

	OK(close_range(3, ~0u, 0));
	OK(getrlimit(RLIMIT_NOFILE, &r));
	r.rlim_cur = r.rlim_max < 2000 ? r.rlim_max : 2000;
	OK(setrlimit(RLIMIT_NOFILE, &r));
	put("f", "abcdefghijklmnopqrst");
	first = MUST(open("f", O_RDONLY | O_CLOEXEC)) + 1;
	for (; n < 880 && n + first + 100 < (int)r.rlim_cur; n++) {
		int fd = open("f", O_RDONLY);

		if (fd != first + n || lseek(fd, n % 20, SEEK_SET) < 0) {
			FAIL("open number %d gave %d: %s", n, fd, strerrorname_np(errno));
			return;
		}
	}
	snprintf(from, sizeof(from), "%d", first);
	snprintf(count, sizeof(count), "%d", n);
	for (int turn = 0; turn < 2; turn++) {
		if (fork() == 0) {
			if (turn)
				OK(setrlimit(RLIMIT_FSIZE, &none));
			execl(guest_self, "x", "--helper", "many", from, count, NULL);
			FAIL("exec: %s", strerrorname_np(errno));
			_exit(90);
		}
		OK(wait(&status));
		EXITED(status, 0);
		for (int i = 0; i < n; i++)
			lseek(first + i, i % 20, SEEK_SET);
	}
}

static volatile bool enough;

static void *open_nothing(void *arg)
{
	while (!enough) {
		FAILS(open("none/f", O_RDONLY), ENOENT);
		FAILS(open("none/f", O_WRONLY | O_CREAT, 0600), ENOENT);
	}
	return arg;
}

TEST(fork_beside_open, "a child has no descriptor more for an open that fails in another thread")
{
	int free = MUST(dup(0)), status;
	pthread_t thread;

	OK(close(free));
	REQUIRE(!pthread_create(&thread, NULL, open_nothing, NULL));
	for (int i = 0; i < 500; i++) {
		pid_t pid = MUST(fork());

		if (!pid)
			_exit(fcntl(free, F_GETFD) >= 0);
		REQUIRE(waitpid(pid, &status, 0) == pid);
		EXITED(status, 0);
	}
	enough = true;
	pthread_join(thread, NULL);
}
