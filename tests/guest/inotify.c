/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inotify: every event, its name and cookie, as the kernel tells it of a real directory.
 * GUEST_WORLDS: view mount
 */
#include "guest.h"
#include "watch.h"
#include <sys/xattr.h>
#include <utime.h>

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
