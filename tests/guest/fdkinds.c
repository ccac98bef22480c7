/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What /proc shows of descriptors that are no plain files: of locked files, of FIFOs, sockets, directories and
 * O_PATH ones.
 * GUEST_WORLDS: view mount bind
 */
#include "guest.h"
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

static int locks_shown(int pid, int fd)
{
	char name[64];
	const char *text;
	int n = 0;

	snprintf(name, sizeof(name), "/proc/%d/fdinfo/%d", pid, fd);
	text = get(name);
	TRUE(strncmp(text, "pos:", 4) == 0);
	for (; (text = strstr(text, "\nlock:")); text++)
		n++;
	return n;
}

TEST(no_locks, "fdinfo: a file that nobody has locked has no lock")
{
	int fd, dir, path, status;
	pid_t pid;

	put("f", "text");
	fd = MUST(open("f", O_RDWR));
	dir = MUST(open(".", O_RDONLY));
	path = MUST(open("f", O_PATH));
	EQ(locks_shown(getpid(), fd), 0);
	EQ(locks_shown(getpid(), dir), 0);
	EQ(locks_shown(getpid(), path), 0);
	pid = MUST(fork());
	if (pid == 0)
		for (;;)
			pause();
	EQ(locks_shown(pid, fd), 0);
	EQ(locks_shown(pid, dir), 0);
	kill(pid, SIGKILL);
	OK(waitpid(pid, &status, 0));
}

TEST(locks, "fdinfo: the locks of a file")
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 3 };
	int fd;

	put("f", "text");
	fd = MUST(open("f", O_RDWR));
	OK(flock(fd, LOCK_EX));
	OK(fcntl(fd, F_SETLK, &fl));
	fl.l_start = 20;
	OK(fcntl(fd, F_OFD_SETLK, &fl));
	if (on_fuse())
		SKIP("a server's locks are not shown: docs/limits.md");
	EQ(locks_shown(getpid(), fd), 3);
	OK(flock(fd, LOCK_UN));
	EQ(locks_shown(getpid(), fd), 2);
}

/* The link of fd in /proc of pid. */
static const char *fd_link(int pid, int fd)
{
	static char link[PATH_MAX];
	char name[64];
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/%d/fd/%d", pid, fd);
	n = readlink(name, link, sizeof(link) - 1);
	link[n < 0 ? 0 : n] = 0;
	return link;
}

static const char *absolute(const char *name)
{
	static char path[PATH_MAX];

	REQUIRE(getcwd(path, PATH_MAX - 64));
	strcat(path, "/");
	return strcat(path, name);
}

TEST(fifo, "fd, fdinfo of a FIFO: its path, its kind, and it can be opened again there")
{
	char name[64], c = 0;
	struct stat st, named;
	int fd, again, status;
	pid_t pid;

	OK(mkfifo("fifo", 0600));
	fd = MUST(open("fifo", O_RDWR));
	TRUE(strncmp(get("/proc/self/fdinfo/0"), "pos:", 4) == 0);
	EQ(locks_shown(getpid(), fd), 0);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	OK(stat(name, &st));
	TRUE(S_ISFIFO(st.st_mode));
	again = MUST(open(name, O_RDONLY | O_NONBLOCK));
	EQ(write(fd, "x", 1), 1);
	EQ(read(again, &c, 1), 1);
	EQ(c, 'x');
	pid = MUST(fork());
	if (pid == 0) {
		snprintf(name, sizeof(name), "/proc/%d/fd/%d", getppid(), fd);
		again = MUST(open(name, O_WRONLY | O_NONBLOCK));
		EQ(write(again, "y", 1), 1);
		_exit(guest_bad != 0);
	}
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	EQ(read(fd, &c, 1), 1);
	EQ(c, 'y');
	if (on_fuse())
		SKIP("the link shows a name that is gone: docs/limits.md");
	STR(fd_link(getpid(), fd), absolute("fifo"));
	OK(stat("fifo", &named));
	EQ(st.st_ino, named.st_ino);
}

TEST(sockets, "fd of a bound UNIX socket, and of a connection to it: socket:[N]")
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "s" };
	int s = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), c = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), a;
	char want[64];
	struct stat st;

	OK(bind(s, (void *)&sun, sizeof(sun)));
	OK(listen(s, 5));
	OK(connect(c, (void *)&sun, sizeof(sun)));
	a = MUST(accept(s, NULL, NULL));
	for (int i = 0; i < 3; i++) {
		int fd = (int[]){ s, c, a }[i];

		OK(fstat(fd, &st));
		TRUE(S_ISSOCK(st.st_mode));
		snprintf(want, sizeof(want), "socket:[%lu]", (unsigned long)st.st_ino);
		STR(fd_link(getpid(), fd), want);
		EQ(locks_shown(getpid(), fd), 0);
	}
	OK(stat("s", &st));
	TRUE(S_ISSOCK(st.st_mode));
	int path = MUST(open("s", O_PATH));
	STR(fd_link(getpid(), path), absolute("s"));
	FAILS(open("s", O_RDONLY), ENXIO);
}

TEST(kinds, "fd of directories, O_PATH descriptors, links and removed files")
{
	int dir, path, link, gone, parent, status;
	pid_t pid;

	OK(mkdir("d", 0700));
	put("d/f", "text");
	put("g", "text");
	OK(symlink("d/f", "link"));
	dir = MUST(open("d", O_RDONLY | O_DIRECTORY));
	path = MUST(open("d/f", O_PATH));
	link = MUST(open("link", O_PATH | O_NOFOLLOW));
	gone = MUST(open("g", O_RDWR));
	parent = MUST(open("d/..", O_PATH));
	OK(unlink("g"));
	pid = MUST(fork());
	if (pid == 0)
		for (;;)
			pause();
	for (int i = 0; i < 2; i++) {
		int who = i ? pid : getpid();

		STR(fd_link(who, dir), absolute("d"));
		STR(fd_link(who, path), absolute("d/f"));
		STR(fd_link(who, link), absolute("link"));
		STR(fd_link(who, gone), absolute("g (deleted)"));
		if (strlen(fd_link(who, parent)) != strlen(absolute("")) - 1)
			FAIL("parent: %s", fd_link(who, parent));
	}
	kill(pid, SIGKILL);
	OK(waitpid(pid, &status, 0));
}
