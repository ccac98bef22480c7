/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening files: every flag alone and in the combinations that programs use, and the errors.
 * GUEST_WORLDS: view mount bind cow bindcow cowmount cowbind cowcow merge fakeroot secure
 */
#include "guest.h"

TEST(open_missing, "open of a missing file")
{
	FAILS(open("none", O_RDONLY), ENOENT);
	FAILS(open("none/below", O_RDONLY), ENOENT);
	FAILS(open("", O_RDONLY), ENOENT);
	put("file", "x");
	FAILS(open("file/below", O_RDONLY), ENOTDIR);
	FAILS(open("file/", O_RDONLY), ENOTDIR);
	FAILS(open("none/", O_RDONLY | O_CREAT, 0600), EISDIR);
}

TEST(open_creat, "O_CREAT makes a file with mode & ~umask")
{
	struct stat st;
	int fd;

	umask(027);
	fd = MUST(open("f", O_WRONLY | O_CREAT, 0666));
	OK(fstat(fd, &st));
	EQ(st.st_mode, S_IFREG | 0640);
	EQ(st.st_size, 0);
	EQ(st.st_nlink, 1);
	OK(close(fd));
	fd = MUST(open("f", O_WRONLY | O_CREAT, 0777));
	OK(fstat(fd, &st));
	EQ(st.st_mode, S_IFREG | 0640);
	OK(close(fd));
	umask(0);
	fd = MUST(creat("g", 01755));
	OK(fstat(fd, &st));
	EQ(st.st_mode, S_IFREG | 01755);
	EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
}

TEST(open_excl, "O_EXCL: EEXIST for anything, links included")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT | O_EXCL, 0600));

	OK(close(fd));
	FAILS(open("f", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	OK(symlink("nowhere", "dangling"));
	FAILS(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	TRUE(!exists("nowhere"));
	OK(mkdir("d", 0700));
	FAILS(open("d", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	OK(close(fd));
}

TEST(open_creat_through_link, "O_CREAT through a dangling link makes its target")
{
	OK(symlink("target", "link"));
	OK(close((int)MUST(open("link", O_WRONLY | O_CREAT, 0644))));
	TRUE(exists("target"));
}

TEST(open_trunc, "O_TRUNC empties; without it contents stay")
{
	put("f", "contents");
	OK(close((int)MUST(open("f", O_WRONLY))));
	STR(get("f"), "contents");
	OK(close((int)MUST(open("f", O_WRONLY | O_TRUNC))));
	STR(get("f"), "");
	put("g", "more");
	OK(close((int)MUST(open("g", O_RDWR | O_TRUNC | O_CREAT, 0600))));
	STR(get("g"), "");
}

TEST(open_append, "O_APPEND writes at the end, wherever the offset is")
{
	int a, b;

	put("f", "12345");
	a = MUST(open("f", O_RDWR | O_APPEND));
	b = MUST(open("f", O_WRONLY | O_APPEND));
	EQ(lseek(a, 0, SEEK_CUR), 0);
	EQ(write(a, "6", 1), 1);
	EQ(lseek(a, 0, SEEK_CUR), 6);
	EQ(write(b, "7", 1), 1);
	EQ(lseek(a, 1, SEEK_SET), 1);
	EQ(write(a, "8", 1), 1);
	STR(get("f"), "12345678");
	EQ(pwrite(a, "9", 1, 0), 1);	/* Linux appends here too */
	STR(get("f"), "123456789");
	OK(fcntl(a, F_SETFL, fcntl(a, F_GETFL) & ~O_APPEND));
	EQ(pwrite(a, "x", 1, 0), 1);
	STR(get("f"), "x23456789");
	OK(fcntl(a, F_SETFL, O_APPEND));
	EQ(fcntl(a, F_GETFL) & O_APPEND, O_APPEND);
	EQ(lseek(a, 0, SEEK_SET), 0);
	EQ(write(a, "0", 1), 1);
	STR(get("f"), "x234567890");
}

TEST(open_directory, "O_DIRECTORY and writing to directories")
{
	put("f", "");
	OK(mkdir("d", 0755));
	FAILS(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	OK(close((int)MUST(open("d", O_RDONLY | O_DIRECTORY))));
	OK(close((int)MUST(open("d", O_RDONLY))));
	OK(close((int)MUST(open("d/", O_RDONLY))));
	FAILS(open("d", O_WRONLY), EISDIR);
	FAILS(open("d", O_RDWR), EISDIR);
	FAILS(open("d", O_RDONLY | O_TRUNC), EISDIR);
	FAILS(open("d", O_RDONLY | O_CREAT, 0600), EISDIR);
}

TEST(open_nofollow, "O_NOFOLLOW: ELOOP for a link as last name only")
{
	OK(mkdir("d", 0755));
	put("d/f", "text");
	OK(symlink("d", "ld"));
	OK(symlink("f", "d/lf"));
	FAILS(open("ld", O_RDONLY | O_NOFOLLOW), ELOOP);
	FAILS(open("ld", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
	FAILS(open("d/lf", O_RDONLY | O_NOFOLLOW), ELOOP);
	OK(close((int)MUST(open("ld/f", O_RDONLY | O_NOFOLLOW))));
	OK(close((int)MUST(open("ld/lf", O_RDONLY))));
	OK(close((int)MUST(open("ld/", O_RDONLY | O_NOFOLLOW | O_DIRECTORY))));
}

TEST(open_access_mode, "the access mode is kept")
{
	char c;
	int fd;

	put("f", "x");
	fd = MUST(open("f", O_RDONLY));
	FAILS(write(fd, "y", 1), EBADF);
	FAILS(pwrite(fd, "y", 1, 0), EBADF);
	FAILS(ftruncate(fd, 0), EINVAL);
	EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	OK(close(fd));
	fd = MUST(open("f", O_WRONLY));
	FAILS(read(fd, &c, 1), EBADF);
	FAILS(pread(fd, &c, 1, 0), EBADF);
	EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
	OK(close(fd));
	fd = MUST(open("f", O_RDWR));
	EQ(read(fd, &c, 1), 1);
	EQ(write(fd, "y", 1), 1);
	EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	OK(close(fd));
}

TEST(open_lowest, "the lowest free descriptor is taken")
{
	int a, b, c;

	put("f", "");
	a = MUST(open("f", O_RDONLY));
	b = MUST(open("f", O_RDONLY));
	c = MUST(open("f", O_RDONLY));
	EQ(b, a + 1);
	EQ(c, a + 2);
	OK(close(b));
	EQ(open("f", O_RDONLY), b);
	OK(close(a));
	EQ(open("f", O_RDONLY), a);
	FAILS(close(c + 40), EBADF);
}

TEST(open_getfl, "F_GETFL shows the status flags, not the creation flags")
{
	int fd = MUST(open("f", O_RDWR | O_CREAT | O_EXCL | O_TRUNC | O_NONBLOCK | O_CLOEXEC | O_SYNC, 0600));
	int flags = (int)MUST(fcntl(fd, F_GETFL));

	EQ(flags & (O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC), 0);
	EQ(flags & O_NONBLOCK, O_NONBLOCK);
	EQ(flags & O_SYNC, O_SYNC);
	EQ(flags & O_ACCMODE, O_RDWR);
	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	OK(fcntl(fd, F_SETFL, 0));
	EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
}

TEST(open_path, "O_PATH: a name without access")
{
	struct stat st;
	char c, link[64];
	int fd;

	put("f", "text");
	fd = MUST(open("f", O_PATH));
	FAILS(read(fd, &c, 1), EBADF);
	FAILS(write(fd, &c, 1), EBADF);
	FAILS(ftruncate(fd, 0), EBADF);
	FAILS(lseek(fd, 0, SEEK_CUR), EBADF);
	FAILS(fchmod(fd, 0600), EBADF);
	OK(fstat(fd, &st));
	EQ(st.st_size, 4);
	OK(close(fd));
	OK(symlink("f", "l"));
	fd = MUST(open("l", O_PATH | O_NOFOLLOW));
	OK(fstat(fd, &st));
	TRUE(S_ISLNK(st.st_mode));
	EQ(readlinkat(fd, "", link, sizeof(link)), 1);
	EQ(link[0], 'f');
	EQ(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
}

TEST(open_reopen, "opening /proc/self/fd/N opens the file anew")
{
	char name[64], c;
	int fd, again;

	put("f", "abc");
	fd = MUST(open("f", O_RDONLY));
	EQ(read(fd, &c, 1), 1);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	again = MUST(open(name, O_RDWR));
	EQ(read(again, &c, 1), 1);
	EQ(c, 'a');
	EQ(lseek(fd, 0, SEEK_CUR), 1);
	EQ(pwrite(again, "X", 1, 2), 1);
	EQ(pread(fd, &c, 1, 2), 1);
	EQ(c, 'X');
}

TEST(open_unlinked, "an open file lives on without its name")
{
	struct stat st;
	char c = 0;
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));

	EQ(write(fd, "abc", 3), 3);
	OK(unlink("f"));
	TRUE(!exists("f"));
	EQ(pread(fd, &c, 1, 1), 1);
	EQ(c, 'b');
	EQ(pwrite(fd, "Z", 1, 5), 1);
	OK(fstat(fd, &st));
	EQ(st.st_size, 6);
	EQ(st.st_nlink, 0);
	put("f", "new");
	EQ(pread(fd, &c, 1, 5), 1);
	EQ(c, 'Z');
	STR(get("f"), "new");
}

TEST(open_tmpfile, "O_TMPFILE has no name until it is linked")
{
	char name[64];
	int fd = open(".", O_RDWR | O_TMPFILE, 0600);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		SKIP("no O_TMPFILE here");
	REQUIRE(fd >= 0);
	EQ(write(fd, "tmp", 3), 3);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, name, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	STR(get("named"), "tmp");
	FAILS(open("named", O_RDWR | O_TMPFILE, 0600), ENOTDIR);
}

TEST(open_efault, "bad pointers give EFAULT, and nothing else happens")
{
	char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(edge != MAP_FAILED);
	OK(munmap(edge + 4096, 4096));
	FAILS(syscall(SYS_open, NULL, O_RDONLY), EFAULT);
	FAILS(syscall(SYS_openat, AT_FDCWD, (char *)8, O_RDONLY), EFAULT);
	FAILS(syscall(SYS_openat, AT_FDCWD, (char *)0xffff800000000000, O_RDONLY), EFAULT);
	memcpy(edge + 4090, "abcdef", 6);	/* a string that runs out of the page */
	FAILS(syscall(SYS_openat, AT_FDCWD, edge + 4090, O_RDONLY), EFAULT);
	edge[4095] = 0;				/* and one that just fits */
	FAILS(syscall(SYS_openat, AT_FDCWD, edge + 4090, O_RDONLY), ENOENT);
	OK(close((int)MUST(syscall(SYS_openat, AT_FDCWD, edge + 4090, O_WRONLY | O_CREAT, 0600))));
	TRUE(exists("abcde"));
}

TEST(open_bad_dirfd, "openat with bad directory descriptors")
{
	int fd;

	put("f", "text");
	fd = MUST(open("f", O_RDONLY));
	FAILS(openat(fd, "x", O_RDONLY), ENOTDIR);
	FAILS(openat(-7, "f", O_RDONLY), EBADF);
	FAILS(openat(999, "f", O_RDONLY), EBADF);
	FAILS(openat(fd, "", O_RDONLY), ENOENT);
	OK(close((int)MUST(openat(999, "/", O_RDONLY))));
}

TEST(open_emfile, "RLIMIT_NOFILE is kept")
{
	int fd, n = 0, free = 0;

	put("f", "");
	fd = MUST(dup(0));
	OK(close(fd));
	for (int i = fd; i < fd + 8; i++)
		free += fcntl(i, F_GETFD) < 0;
	if (syscall(SYS_prlimit64, 0, 7, (unsigned long[]){ (unsigned long)fd + 8, (unsigned long)fd + 8 }, NULL) < 0)
		FAIL("prlimit: errno %d", errno);
	while (n < 100 && open("f", O_RDONLY) >= 0)
		n++;
	EQ(errno, EMFILE);
	EQ(n, free);
}

TEST(open_fifo, "a FIFO by name: both ends, and O_NONBLOCK")
{
	char c = 0;
	int r, w;

	if (mkfifo("p", 0600) < 0 && on_fuse())
		SKIP("no FIFOs here");
	FAILS(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
	r = open("p", O_RDONLY | O_NONBLOCK);
	REQUIRE(r >= 0);
	w = MUST(open("p", O_WRONLY | O_NONBLOCK));
	EQ(write(w, "x", 1), 1);
	EQ(read(r, &c, 1), 1);
	EQ(c, 'x');
	FAILS(read(r, &c, 1), EAGAIN);
	OK(close(w));
	EQ(read(r, &c, 1), 0);
	FAILS(lseek(r, 0, SEEK_SET), ESPIPE);
}

static volatile int alarms;
static void on_alarm(int sig) { (void)sig; alarms++; }

TEST(fifo_blocks, "opening a FIFO waits for the other end, or for a signal; what unlink leaves")
{
	struct sigaction sa = { .sa_handler = on_alarm };
	char text[16] = "";
	int fd, status;
	pid_t pid;

	OK(mkfifo("p", 0600));
	OK(sigaction(SIGALRM, &sa, NULL));
	alarm(1);
	FAILS(open("p", O_RDONLY), EINTR);
	EQ(alarms, 1);
	pid = MUST(fork());
	if (!pid) {
		sleep_ms(100);
		fd = open("p", O_WRONLY);
		sleep_ms(100);
		_exit(fd < 0 || write(fd, "from a child", 12) != 12);
	}
	fd = MUST(open("p", O_RDONLY));
	OK(unlink("p"));
	EQ(read(fd, text, sizeof(text)), 12);
	STR(text, "from a child");
	EQ(read(fd, text, sizeof(text)), 0);
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	OK(mkfifo("p", 0600));
	FAILS(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
	OK(rename("p", "q"));
	fd = MUST(open("q", O_RDWR));
	EQ(write(fd, "x", 1), 1);
	EQ(read(fd, text, 1), 1);
	FAILS(open("q", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(open("q", O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
}

TEST(open_device, "devices open as ever")
{
	char buf[16];
	int fd = MUST(open("/dev/null", O_RDWR));
	int zero = MUST(open("/dev/zero", O_RDONLY));

	EQ(write(fd, buf, 16), 16);
	EQ(read(fd, buf, 16), 0);
	memset(buf, 1, 16);
	EQ(read(zero, buf, 16), 16);
	EQ(buf[15], 0);
	FAILS(open("/dev/tty/x", O_RDONLY), ENOTDIR);
}
