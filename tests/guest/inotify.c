/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inotify: every event, its name and cookie, as the kernel tells it of a real directory.
 * GUEST_WORLDS: view mount
 */
#include "guest.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <utime.h>

#define ALL	(IN_ALL_EVENTS)

static const struct { uint32_t bit; const char *name; } bits[] = {
	{ IN_ACCESS, "access" }, { IN_MODIFY, "modify" }, { IN_ATTRIB, "attrib" }, { IN_CLOSE_WRITE, "close-write" },
	{ IN_CLOSE_NOWRITE, "close" }, { IN_OPEN, "open" }, { IN_MOVED_FROM, "from" }, { IN_MOVED_TO, "to" },
	{ IN_CREATE, "create" }, { IN_DELETE, "delete" }, { IN_DELETE_SELF, "delete-self" }, { IN_MOVE_SELF, "move-self" },
	{ IN_UNMOUNT, "unmount" }, { IN_Q_OVERFLOW, "overflow" }, { IN_IGNORED, "ignored" }, { IN_ISDIR, "dir" },
};

static int watching(void)
{
	return (int)MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
}

/* What is in the queue: "WD BIT+BIT NAME; ...".  A move's two halves have "=" in front: the cookies are the same. */
static const char *events(int fd)
{
	static char out[8192], buf[65536] __attribute__((aligned(8)));
	uint32_t cookie = 0;
	size_t at = 0;
	ssize_t n;

	out[0] = 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n && at < sizeof(out) - 512;) {
			const struct inotify_event *e = (const void *)(buf + i);
			const char *plus = "";

			at += (size_t)sprintf(out + at, "%s%s", at ? "; " : "", e->cookie && e->cookie == cookie ? "=" : "");
			if (e->wd != 1)
				at += (size_t)sprintf(out + at, "%d ", e->wd);
			for (size_t b = 0; b < sizeof(bits) / sizeof(bits[0]); b++)
				if (e->mask & bits[b].bit) {
					at += (size_t)sprintf(out + at, "%s%s", plus, bits[b].name);
					plus = "+";
				}
			if (e->len)
				at += (size_t)snprintf(out + at, 300, " %s", e->name);
			TRUE(!e->cookie == !(e->mask & (IN_MOVED_FROM | IN_MOVED_TO)));
			cookie = e->cookie;
			i += (ssize_t)sizeof(*e) + e->len;
		}
	}
	EQ(errno, EAGAIN);
	return out;
}

/* ---- what happens in a directory ------------------------------------------------------------------- */

TEST(files_in_it, "a directory: files are made, opened, read, written, changed, closed, removed")
{
	int fd = watching(), f;
	char c;

	put("old", "text");
	EQ(inotify_add_watch(fd, ".", ALL), 1);
	f = OK(open("new", O_RDWR | O_CREAT | O_EXCL, 0600));
	STR(events(fd), "create new; open new");
	EQ(read(f, &c, 1), 0);
	STR(events(fd), "");
	EQ(write(f, "abc", 3), 3);
	STR(events(fd), "modify new");
	EQ(pwrite(f, "abc", 3, 10), 3);
	STR(events(fd), "modify new");
	EQ(pread(f, &c, 1, 0), 1);
	STR(events(fd), "access new");
	OK(ftruncate(f, 1));
	STR(events(fd), "modify new");
	OK(fchmod(f, 0640));
	STR(events(fd), "attrib new");
	OK(futimens(f, NULL));
	STR(events(fd), "attrib new");
	OK(fsync(f));
	EQ(file_size(f), 1);
	STR(events(fd), "");
	OK(close(f));
	STR(events(fd), "close-write new");
	f = OK(open("old", O_RDONLY));
	EQ(read(f, &c, 1), 1);
	OK(close(f));
	STR(events(fd), "open old; access old; close old");
	OK(unlink("new"));
	STR(events(fd), "delete new");
	OK(access("old", R_OK));
	TRUE(exists("old"));
	f = OK(open("old", O_PATH));
	OK(close(f));
	STR(events(fd), "");
}

TEST(by_name, "a directory: changes by name, each kind of time, extended attributes")
{
	struct timespec atime[2] = { { 1, 0 }, { 0, UTIME_OMIT } }, mtime[2] = { { 0, UTIME_OMIT }, { 1, 0 } };
	struct timespec both[2] = { { 1, 0 }, { 2, 0 } }, none[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };
	int fd = watching();

	put("f", "text");
	EQ(inotify_add_watch(fd, ".", ALL), 1);
	OK(chmod("f", 0600));
	STR(events(fd), "attrib f");
	OK(chown("f", (uid_t)-1, getegid()));
	STR(events(fd), "attrib f");
	OK(truncate("f", 2));
	STR(events(fd), "modify f");
	OK(utimensat(AT_FDCWD, "f", atime, 0));
	STR(events(fd), "access f");
	OK(utimensat(AT_FDCWD, "f", mtime, 0));
	STR(events(fd), "modify f");
	OK(utimensat(AT_FDCWD, "f", both, 0));
	STR(events(fd), "attrib f");
	OK(utimensat(AT_FDCWD, "f", NULL, 0));
	STR(events(fd), "attrib f");
	OK(utimensat(AT_FDCWD, "f", none, 0));
	STR(events(fd), "");
	FAILS(truncate("none", 2), ENOENT);
	FAILS(mkdir("f", 0700), EEXIST);
	FAILS(rmdir("f"), ENOTDIR);
	STR(events(fd), "");
	if (setxattr("f", "user.x", "y", 1, 0) == 0) {
		STR(events(fd), "attrib f");
		OK(removexattr("f", "user.x"));
		STR(events(fd), "attrib f");
	}
}

TEST(other_kinds, "a directory: directories, links, FIFOs")
{
	char buf[4096];
	int fd = watching(), d;

	OK(mkdir("sub", 0755));
	EQ(inotify_add_watch(fd, ".", ALL), 1);
	OK(mkdir("dir", 0755));
	STR(events(fd), "create+dir dir");
	OK(symlink("nowhere", "sym"));
	STR(events(fd), "create sym");
	OK(mknod("fifo", S_IFIFO | 0600, 0));
	STR(events(fd), "create fifo");
	OK(link("fifo", "fifo2"));
	STR(events(fd), "create fifo2");
	TRUE(readlink("sym", buf, sizeof(buf)) > 0);
	STR(events(fd), "");
	OK(unlink("sym"));
	OK(unlink("fifo"));
	OK(unlink("fifo2"));
	STR(events(fd), "delete sym; delete fifo; delete fifo2");
	d = OK(open("sub", O_RDONLY | O_DIRECTORY));
	STR(events(fd), "open+dir sub");
	TRUE(syscall(SYS_getdents64, d, buf, sizeof(buf)) > 0);
	STR(events(fd), "access+dir sub");
	OK(close(d));
	STR(events(fd), "close+dir sub");
	put("sub/deep", "is not told of");
	OK(chmod("sub", 0700));
	STR(events(fd), "attrib+dir sub");
	FAILS(rmdir("sub"), ENOTEMPTY);
	OK(unlink("sub/deep"));
	OK(rmdir("sub"));
	OK(rmdir("dir"));
	STR(events(fd), "delete+dir sub; delete+dir dir");
}

TEST(truncated_open, "O_TRUNC modifies what was there")
{
	int fd = watching(), f;

	put("f", "text");
	EQ(inotify_add_watch(fd, ".", IN_MODIFY | IN_CREATE | IN_CLOSE), 1);
	f = OK(open("f", O_WRONLY | O_CREAT | O_TRUNC, 0600));
	STR(events(fd), "modify f");
	EQ(write(f, "x", 1), 1);
	STR(events(fd), "modify f");
	OK(close(f));
	STR(events(fd), "close-write f");
	f = OK(open("g", O_WRONLY | O_CREAT | O_TRUNC, 0600));
	OK(close(f));
	STR(events(fd), "create g; close-write g");
}

TEST(copies, "a descriptor's copies: only the last close is told")
{
	int fd = watching(), f, g, status;
	pid_t pid;

	EQ(inotify_add_watch(fd, ".", IN_CLOSE), 1);
	f = OK(open("f", O_WRONLY | O_CREAT, 0600));
	g = OK(dup(f));
	OK(close(f));
	STR(events(fd), "");
	pid = fork();
	if (pid == 0) {
		close(g);
		_exit(0);
	}
	OK(waitpid(pid, &status, 0));
	STR(events(fd), "");
	OK(close(g));
	STR(events(fd), "close-write f");
}

TEST(open_before, "files that were open before the watch was there")
{
	int fd = watching(), f, g, d;
	char c;

	OK(mkdir("d", 0700));
	put("d/f", "text");
	f = OK(open("d/f", O_RDWR));
	g = OK(open("d/f", O_RDONLY));
	d = OK(open("d", O_RDONLY | O_DIRECTORY));
	EQ(inotify_add_watch(fd, "d", ALL), 1);
	STR(events(fd), "");
	EQ(read(f, &c, 1), 1);
	EQ(write(f, "x", 1), 1);
	STR(events(fd), "access f; modify f");
	OK(close(g));
	STR(events(fd), "close f");
	OK(close(f));
	STR(events(fd), "close-write f");
	OK(close(d));
	STR(events(fd), "close+dir");
}

/* ---- moving ---------------------------------------------------------------------------------------- */

TEST(moves, "renaming: within, between two, in, out, over another; cookies")
{
	int fd = watching();

	OK(mkdir("a", 0700));
	OK(mkdir("b", 0700));
	OK(mkdir("c", 0700));
	put("a/f", "");
	put("a/g", "");
	put("c/i", "");
	EQ(inotify_add_watch(fd, "a", ALL), 1);
	EQ(inotify_add_watch(fd, "b", ALL), 2);
	OK(rename("a/f", "a/f2"));
	STR(events(fd), "from f; =to f2");
	OK(rename("a/f2", "b/f3"));
	STR(events(fd), "from f2; =2 to f3");
	OK(rename("b/f3", "c/f4"));
	STR(events(fd), "2 from f3");
	OK(rename("c/f4", "a/f5"));
	STR(events(fd), "to f5");
	OK(rename("c/i", "b/i"));
	STR(events(fd), "2 to i");
	OK(rename("a/f5", "a/g"));
	STR(events(fd), "from f5; =to g");
	OK(mkdir("a/d", 0700));
	put("a/d/x", "");
	OK(rename("a/d", "b/e"));
	STR(events(fd), "create+dir d; from+dir d; =2 to+dir e");
	OK(rename("b", "bb"));
	STR(events(fd), "2 move-self");
	put("bb/new", "");
	STR(events(fd), "2 create new; 2 open new; 2 close-write new");
	OK(rename("c", "bb/c"));
	put("bb/c/unseen", "");
	STR(events(fd), "2 to+dir c");
	OK(rename("a/g", "a/g"));
	FAILS(rename("a/none", "a/x"), ENOENT);
	STR(events(fd), "");
}

TEST(deep_moves, "a watched directory stays watched when one above it is moved, out and in again")
{
	int fd = watching();

	OK(mkdir("a", 0700));
	OK(mkdir("a/b", 0700));
	OK(mkdir("a/b/c", 0700));
	OK(mkdir("x", 0700));
	OK(mkdir("x/y", 0700));
	EQ(inotify_add_watch(fd, "a/b/c", ALL), 1);
	OK(rename("a/b", "x/y/b2"));
	STR(events(fd), "");
	put("x/y/b2/c/f", "");
	STR(events(fd), "create f; open f; close-write f");
	EQ(inotify_add_watch(fd, "x/y", ALL), 2);
	EQ(inotify_add_watch(fd, "x/y/b2/c", ALL), 1);
	OK(rename("x/y/b2", "back"));
	STR(events(fd), "2 from+dir b2");
	OK(chmod("back/c/f", 0600));
	STR(events(fd), "attrib f");
	OK(rmdir("x/y"));
	STR(events(fd), "2 delete-self; 2 ignored");
	OK(rename("back", "x/y"));
	OK(unlink("x/y/c/f"));
	STR(events(fd), "delete f");
}

TEST(exchanged, "RENAME_EXCHANGE, RENAME_NOREPLACE")
{
	int fd = watching();

	put("f", "");
	put("g", "");
	if (syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "g", 2) < 0)
		SKIP("this file system cannot exchange names");
	EQ(inotify_add_watch(fd, ".", ALL), 1);
	OK(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "g", 2));
	STR(events(fd), "from f; =to g; from g; =to f");
	FAILS(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "g", 1), EEXIST);
	STR(events(fd), "");
}

/* ---- of the file itself ---------------------------------------------------------------------------- */

TEST(file_itself, "a file that is watched: to its end")
{
	int fd = watching(), f;
	char c;

	put("f", "text");
	EQ(inotify_add_watch(fd, "f", ALL), 1);
	f = OK(open("f", O_RDWR));
	EQ(read(f, &c, 1), 1);
	EQ(write(f, "x", 1), 1);
	STR(events(fd), "open; access; modify");
	OK(rename("f", "g"));
	STR(events(fd), "move-self");
	OK(link("g", "h"));
	STR(events(fd), "attrib");
	OK(unlink("h"));
	STR(events(fd), "attrib");
	OK(unlink("g"));
	STR(events(fd), "attrib");
	EQ(write(f, "x", 1), 1);
	STR(events(fd), "modify");
	OK(close(f));
	STR(events(fd), "close-write; delete-self; ignored");
	FAILS(inotify_rm_watch(fd, 1), EINVAL);
	put("f", "a new one");
	STR(events(fd), "");
	EQ(inotify_add_watch(fd, "f", ALL), 2);
}

TEST(replaced, "a watched file is renamed over: its watch ends")
{
	int fd = watching();

	put("f", "text");
	put("g", "other");
	EQ(inotify_add_watch(fd, "f", ALL & ~IN_ATTRIB), 1);
	EQ(inotify_add_watch(fd, "g", ALL), 2);
	OK(rename("g", "f"));
	STR(events(fd), "2 move-self; delete-self; ignored");
	OK(chmod("f", 0600));
	STR(events(fd), "2 attrib");
}

TEST(both, "a directory and a file in it, both watched")
{
	int fd = watching(), f;

	put("f", "text");
	EQ(inotify_add_watch(fd, "f", ALL), 1);
	EQ(inotify_add_watch(fd, ".", ALL), 2);
	STR(events(fd), "");
	f = OK(open("f", O_WRONLY));
	STR(events(fd), "2 open f; open");
	EQ(write(f, "x", 1), 1);
	STR(events(fd), "2 modify f; modify");
	OK(close(f));
	STR(events(fd), "2 close-write f; close-write");
	OK(rename("f", "g"));
	STR(events(fd), "2 from f; =2 to g; move-self");
	OK(unlink("g"));
	STR(events(fd), "attrib; delete-self; ignored; 2 delete g");
}

TEST(directory_itself, "a directory's own attributes, its removal")
{
	int fd = watching();

	OK(mkdir("d", 0700));
	OK(mkdir("d/e", 0700));
	EQ(inotify_add_watch(fd, "d", ALL), 1);
	EQ(inotify_add_watch(fd, "d/e", ALL), 2);
	OK(chmod("d/e", 0755));
	STR(events(fd), "attrib+dir e; 2 attrib+dir");
	OK(rmdir("d/e"));
	STR(events(fd), "2 delete-self; 2 ignored; delete+dir e");
	OK(mkdir("d/e", 0755));
	STR(events(fd), "create+dir e");
	EQ(inotify_add_watch(fd, "d/e", ALL), 3);
	put("d/e/f", "");
	STR(events(fd), "3 create f; 3 open f; 3 close-write f");
}

TEST(links_of_it, "a file with two names: told by the one that is used")
{
	int fd = watching(), f;

	OK(mkdir("a", 0700));
	OK(mkdir("b", 0700));
	put("a/f", "text");
	OK(link("a/f", "b/g"));
	EQ(inotify_add_watch(fd, "a", ALL), 1);
	EQ(inotify_add_watch(fd, "b", ALL), 2);
	OK(chmod("a/f", 0600));
	STR(events(fd), "attrib f");
	f = OK(open("b/g", O_WRONLY));
	EQ(write(f, "x", 1), 1);
	OK(close(f));
	STR(events(fd), "2 open g; 2 modify g; 2 close-write g");
	OK(unlink("a/f"));
	STR(events(fd), "delete f");
	OK(chmod("b/g", 0640));
	STR(events(fd), "2 attrib g");
}

/* ---- flags ----------------------------------------------------------------------------------------- */

TEST(oneshot, "IN_ONESHOT: one event, then the watch is gone")
{
	int fd = watching();

	put("f", "");
	EQ(inotify_add_watch(fd, "f", IN_ATTRIB | IN_ONESHOT), 1);
	OK(chmod("f", 0600));
	STR(events(fd), "attrib; ignored");
	OK(chmod("f", 0640));
	STR(events(fd), "");
}

TEST(masks, "one watch per file: the mask is replaced, added to, or must be new")
{
	int fd = watching();

	put("f", "");
	OK(mkdir("d", 0700));
	OK(symlink("f", "sym"));
	EQ(inotify_add_watch(fd, "f", IN_ATTRIB), 1);
	EQ(inotify_add_watch(fd, "sym", IN_MODIFY), 1);
	OK(chmod("f", 0600));
	STR(events(fd), "");
	EQ(inotify_add_watch(fd, "./f", IN_ATTRIB | IN_MASK_ADD), 1);
	OK(chmod("f", 0640));
	OK(truncate("f", 1));
	STR(events(fd), "attrib; modify");
	FAILS(inotify_add_watch(fd, "f", IN_ATTRIB | IN_MASK_CREATE), EEXIST);
	FAILS(inotify_add_watch(fd, "f", IN_ATTRIB | IN_MASK_CREATE | IN_MASK_ADD), EINVAL);
	FAILS(inotify_add_watch(fd, "f", IN_ATTRIB | IN_ONLYDIR), ENOTDIR);
	EQ(inotify_add_watch(fd, "d", IN_ATTRIB | IN_ONLYDIR | IN_MASK_CREATE), 2);
	EQ(inotify_add_watch(fd, "sym", IN_ATTRIB | IN_DONT_FOLLOW), 3);
	OK(unlink("sym"));
	STR(events(fd), "3 attrib; 3 ignored");
}

TEST(excl_unlink, "IN_EXCL_UNLINK: no events of files without a name")
{
	for (int excl = 0; excl < 2; excl++) {
		int fd = watching(), f;
		char c;

		put("f", "text");
		f = OK(open("f", O_RDWR));
		EQ(inotify_add_watch(fd, ".", IN_MODIFY | IN_ACCESS | IN_CLOSE | (excl ? IN_EXCL_UNLINK : 0)), 1);
		EQ(write(f, "x", 1), 1);
		STR(events(fd), "modify f");
		OK(unlink("f"));
		EQ(write(f, "x", 1), 1);
		EQ(pread(f, &c, 1, 0), 1);
		STR(events(fd), excl ? "" : "modify f; access f");
		OK(close(f));
		STR(events(fd), excl ? "" : "close-write f");
		OK(close(fd));
	}
}

TEST(refused, "what inotify_add_watch refuses, and in which order")
{
	int fd = watching(), f;

	put("f", "");
	f = OK(open("f", O_RDONLY));
	FAILS(inotify_add_watch(fd, "none", ALL), ENOENT);
	FAILS(inotify_add_watch(fd, "f/x", ALL), ENOTDIR);
	FAILS(inotify_add_watch(fd, "", ALL), ENOENT);
	FAILS(inotify_add_watch(fd, "f", 0), EINVAL);
	FAILS(inotify_add_watch(700, "f", ALL), EBADF);
	FAILS(inotify_add_watch(700, "none", ALL), EBADF);
	FAILS(inotify_add_watch(f, "f", ALL), EINVAL);
	FAILS(inotify_add_watch(0, "f", ALL), EINVAL);
	FAILS(syscall(SYS_inotify_add_watch, fd, 8, ALL), EFAULT);
	FAILS(inotify_rm_watch(fd, 1), EINVAL);
	OK(symlink("loop", "loop"));
	FAILS(inotify_add_watch(fd, "loop", ALL), ELOOP);
	EQ(inotify_add_watch(fd, "loop", ALL | IN_DONT_FOLLOW), 1);
}

TEST(removed_watch, "inotify_rm_watch: no more events, and all can begin anew")
{
	int fd = watching();

	put("f", "");
	EQ(inotify_add_watch(fd, ".", ALL), 1);
	OK(inotify_rm_watch(fd, 1));
	STR(events(fd), "ignored");
	OK(chmod("f", 0600));
	put("g", "");
	OK(unlink("f"));
	STR(events(fd), "");
	EQ(inotify_add_watch(fd, ".", ALL), 2);
	put("f", "");
	OK(unlink("g"));
	STR(events(fd), "2 create f; 2 open f; 2 close-write f; 2 delete g");
}

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

static void send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec io = { "x", 1 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	EQ(sendmsg(socket, &m, 0), 1);
}

TEST(passed_on, "a descriptor with watches that comes from another process, by SCM_RIGHTS")
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec io = { &byte, 1 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int sv[2], fd;
	pid_t pid;

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	put("f", "");
	pid = fork();
	if (pid == 0) {
		fd = watching();
		EQ(inotify_add_watch(fd, ".", IN_ATTRIB), 1);
		send_fd(sv[1], fd);
		_exit(guest_bad);
	}
	EQ(recvmsg(sv[0], &m, 0), 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
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
