/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptor that inotify gives: waited for, passed on, with many watches, full, and of those who are killed.
 * GUEST_WORLDS: view mount
 */
#include "guest.h"
#include "watch.h"
#include "passfd.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* ---- the descriptor -------------------------------------------------------------------------------- */

TEST(waiting, "poll, epoll, FIONREAD and a blocking read, woken by another process")
{
	struct epoll_event ev = { .events = EPOLLIN }, got;
	int fd = watching(), ep = MUST(epoll_create1(0)), n = 0;
	char buf[256];

	EQ(inotify_add_watch(fd, ".", IN_CREATE), 1);
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	for (int way = 0; way < 3; way++) {
		pid_t pid = fork();

		if (pid == 0) {
			char name[] = { 'f', (char)('0' + way), 0 };

			sleep_ms(40);
			put(name, "");
			_exit(0);
		}
		if (way == 0)
			EQ(poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 10000), 1);
		else if (way == 1)
			EQ(epoll_wait(ep, &got, 1, 10000), 1);
		else
			OK(fcntl(fd, F_SETFL, 0));
		if (way < 2) {
			OK(ioctl(fd, FIONREAD, &n));
			EQ(n, 32);
			FAILS(read(fd, buf, 16), EINVAL);
		}
		EQ(read(fd, buf, sizeof(buf)), 32);
		STR(((struct inotify_event *)buf)->name, way == 0 ? "f0" : way == 1 ? "f1" : "f2");
		OK(waitpid(pid, NULL, 0));
	}
}

TEST(passed_on, "a descriptor with watches that comes from another process, by SCM_RIGHTS")
{
	int sv[2], fd;
	pid_t pid;

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	put("f", "");
	pid = fork();
	if (pid == 0) {
		fd = watching();
		EQ(inotify_add_watch(fd, ".", IN_ATTRIB), 1);
		EQ(send_fd(sv[1], fd, 0), 1);
		_exit(guest_bad);
	}
	fd = receive_fd(sv[0], 0);
	OK(waitpid(pid, NULL, 0));
	OK(chmod("f", 0600));
	STR(events(fd), "attrib f");
	EQ(inotify_add_watch(fd, "f", IN_ATTRIB), 2);
	OK(chmod("f", 0640));
	STR(events(fd), "attrib f; 2 attrib");
	EQ(inotify_add_watch(dup(fd), ".", IN_DELETE), 1);
	OK(unlink("f"));
	STR(events(fd), "2 attrib; 2 ignored; delete f");
}

TEST(mixed, "real files and files here on one descriptor")
{
	char real[] = "/tmp/guest-inotify.XXXXXX", path[64];
	int fd = watching();

	REQUIRE(mkdtemp(real));
	snprintf(path, sizeof(path), "%s/file", real);
	EQ(inotify_add_watch(fd, real, IN_CREATE | IN_DELETE), 1);
	EQ(inotify_add_watch(fd, ".", IN_CREATE | IN_DELETE), 2);
	put("here", "");
	put(path, "");
	OK(unlink("here"));
	OK(unlink(path));
	STR(events(fd), "2 create here; create file; 2 delete here; delete file");
	OK(rmdir(real));
	STR(events(fd), "ignored");
}

TEST(by_descriptor, "a watch through /proc/self/fd, and events through another path")
{
	int fd = watching(), d;
	char path[64];

	OK(mkdir("d", 0700));
	d = OK(open("d", O_RDONLY | O_DIRECTORY));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", d);
	EQ(inotify_add_watch(fd, path, IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF), 1);
	OK(mkdirat(d, "x", 0700));
	OK(chdir("d"));
	put("../d/./y", "");
	put("z", "");
	STR(events(fd), "create+dir x; create y; create z");
	EQ(inotify_add_watch(fd, ".", IN_CREATE), 1);
	OK(chdir(".."));
	OK(rename("d", "e"));
	STR(events(fd), "");
	OK(mkdirat(d, "w", 0700));
	STR(events(fd), "create+dir w");
}

/* ---- many ------------------------------------------------------------------------------------------ */

TEST(many, "a watch on each of many files, in a directory that is watched")
{
	int fd = watching(), n = 300;
	char name[32], text[64];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		put(name, "");
		EQ(inotify_add_watch(fd, name, IN_ATTRIB), i + 1);
	}
	EQ(inotify_add_watch(fd, ".", IN_ATTRIB), n + 1);
	for (int i = 0; i < n; i += 7) {
		snprintf(name, sizeof(name), "file%d", i);
		OK(chmod(name, 0600));
		if (i)
			snprintf(text, sizeof(text), "%d attrib %s; %d attrib", n + 1, name, i + 1);
		else
			snprintf(text, sizeof(text), "%d attrib %s; attrib", n + 1, name);
		STR(events(fd), text);
	}
}

TEST(many_open, "a hundred files open at once in a watched directory")
{
	int fd = watching(), f[100];
	char name[32], text[64];

	EQ(inotify_add_watch(fd, ".", IN_CLOSE | IN_MODIFY), 1);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		f[i] = OK(open(name, O_WRONLY | O_CREAT, 0600));
		EQ(write(f[i], "x", 1), 1);
		snprintf(text, sizeof(text), "modify %s", name);
		STR(events(fd), text);
	}
	for (int i = 0; i < 100; i++) {
		OK(close(f[i]));
		snprintf(text, sizeof(text), "close-write f%d", i);
		STR(events(fd), text);
	}
}

TEST(overflow, "a queue that is full: IN_Q_OVERFLOW, and then on")
{
	static char buf[1 << 20] __attribute__((aligned(8)));
	int fd = watching(), most = atoi(get("/proc/sys/fs/inotify/max_queued_events")), n = 0, f;
	struct inotify_event last = { 0 };
	ssize_t size;

	if (most > 40000)
		SKIP("the queue is too long here");
	put("f", "");
	EQ(inotify_add_watch(fd, ".", IN_OPEN | IN_CLOSE), 1);
	for (int i = 0; i <= most / 2; i++) {
		f = open("f", O_RDONLY);
		if (f < 0 || close(f) < 0)
			FAIL("open or close: errno %d", errno);
	}
	while ((size = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < size; i += (ssize_t)sizeof(last) + last.len, n++)
			memcpy(&last, buf + i, sizeof(last));
	EQ(n, most + 1);
	EQ(last.mask, IN_Q_OVERFLOW);
	EQ(last.wd, -1);
	OK(chmod("f", 0600));
	OK(close(open("f", O_RDONLY)));
	STR(events(fd), "open f; close f");
}

/* ---- those who are killed -------------------------------------------------------------------------- */

TEST(killed_watcher, "a watcher that is killed leaves nothing behind for others")
{
	for (int i = 0; i < 20; i++) {
		int p[2], fd;
		pid_t pid;

		OK(pipe(p));
		pid = fork();
		if (pid == 0) {
			fd = inotify_init1(0);
			inotify_add_watch(fd, ".", ALL);
			(void)!write(p[1], "x", 1);
			for (;;)
				if (inotify_add_watch(fd, ".", ALL) < 0)
					_exit(1);
		}
		EQ(read(p[0], &fd, 1), 1);
		put("f", "text");
		OK(kill(pid, SIGKILL));
		OK(waitpid(pid, NULL, 0));
		fd = watching();
		EQ(inotify_add_watch(fd, ".", IN_DELETE), 1);
		OK(unlink("f"));
		STR(events(fd), "delete f");
		OK(close(fd));
		OK(close(p[0]));
		OK(close(p[1]));
	}
}

TEST(killed_writer, "the files of a writer that is killed are closed")
{
	int fd = watching(), p[2];
	char c;
	pid_t pid;

	EQ(inotify_add_watch(fd, ".", IN_CLOSE), 1);
	OK(pipe(p));
	pid = fork();
	if (pid == 0) {
		int f = open("f", O_WRONLY | O_CREAT, 0600);

		(void)!write(f, "x", 1);
		(void)!write(p[1], "x", 1);
		pause();
	}
	EQ(read(p[0], &c, 1), 1);
	STR(events(fd), "");
	OK(kill(pid, SIGKILL));
	OK(waitpid(pid, NULL, 0));
	EQ(poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 10000), 1);
	STR(events(fd), "close-write f");
}
