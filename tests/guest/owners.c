/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GUEST_WORLDS: fakeroot
 *
 * Owners, modes and devices of files, as root makes them, and as others do whom root becomes.  Natively this needs root, as
 * identity.c does.
 */
#include "guest.h"
#include "caps.h"
#include <sys/fsuid.h>
#include <sys/sysmacros.h>

static void expect_owner(const char *path, uid_t uid, gid_t gid, mode_t mode, int line)
{
	struct stat st, l;
	struct statx x;
	int fd = open(path, O_PATH | O_NOFOLLOW);

	guest_ok(fstat(fd, &st), line, "fstat");
	guest_ok(lstat(path, &l), line, "lstat");
	guest_ok(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &x), line, "statx");
	close(fd);
	guest_eq(st.st_uid, uid, line, "uid");
	guest_eq(st.st_gid, gid, line, "gid");
	if (mode)
		guest_eq(st.st_mode, mode, line, "mode");
	guest_eq(st.st_mode, l.st_mode, line, "mode of fstat");
	guest_eq(l.st_uid, uid, line, "uid of lstat");
	guest_eq(x.stx_uid, uid, line, "uid of statx");
	guest_eq(x.stx_gid, gid, line, "gid of statx");
	guest_eq(x.stx_mode, st.st_mode, line, "mode of statx");
	guest_eq(makedev(x.stx_rdev_major, x.stx_rdev_minor), st.st_rdev, line, "rdev of statx");
}
#define OWNER(path, uid, gid, mode)	expect_owner(path, uid, gid, mode, __LINE__)

TEST(chown_forms, "chown in all its forms")
{
	int fd;

	ROOT();
	umask(022);
	put("f", "x");
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	OWNER("f", 0, 0, S_IFREG | 0644);
	OK(chown("f", 2000, 4000));
	OWNER("f", 2000, 4000, S_IFREG | 0644);
	OK(chown("l", 2001, -1));
	OWNER("f", 2001, 4000, 0);
	OWNER("l", 0, 0, 0);
	OK(lchown("l", 5, 6));
	OWNER("l", 5, 6, S_IFLNK | 0777);
	OWNER("f", 2001, 4000, 0);
	fd = MUST(open("f", O_RDONLY));
	OK(fchown(fd, -1, 7));
	OWNER("f", 2001, 7, 0);
	close(fd);
	fd = MUST(open("d", O_PATH));
	FAILS(fchown(fd, 1, 1), EBADF);
	OK(fchownat(fd, "", 8, 9, AT_EMPTY_PATH));
	OWNER("d", 8, 9, S_IFDIR | 0755);
	OK(chown("d", 0, 0));
	OWNER("d", 0, 0, S_IFDIR | 0755);
	FAILS(chown("none", 1, 1), ENOENT);
	FAILS(chown("f/x", 1, 1), ENOTDIR);
}

TEST(chown_rules, "who is not root may give groups only")
{
	ROOT();
	OK(chmod(".", 0777));
	put("mine", "x");
	put("other", "x");
	OK(chown("mine", 1000, 2000));
	OK(setgroups(1, (gid_t[]){ 7 }));
	OK(setresgid(2000, 2000, 2000));
	OK(seteuid(1000));
	FAILS(chown("mine", 1001, -1), EPERM);
	FAILS(chown("mine", -1, 8), EPERM);
	OK(chown("mine", -1, 7));
	OK(chown("mine", 1000, 2000));
	FAILS(chown("other", -1, 7), EPERM);
	FAILS(chown("other", 1000, -1), EPERM);
	OK(chmod("mine", 0600));
	FAILS(chmod("other", 0600), EPERM);
	OWNER("mine", 1000, 2000, S_IFREG | 0600);
}

TEST(chmod_forms, "modes, and what takes their set-id bits")
{
	int fd;

	ROOT();
	put("f", "x");
	OK(chmod("f", 07755));
	OWNER("f", 0, 0, S_IFREG | 07755);
	OK(chown("f", 1, 2));
	OWNER("f", 1, 2, S_IFREG | 01755);
	OK(chmod("f", 02644));
	OK(chown("f", 1, 3));
	OWNER("f", 1, 3, S_IFREG | 02644);
	OK(mkdir("d", 0700));
	OK(chmod("d", 06000));
	OK(chown("d", 4, 4));
	OWNER("d", 4, 4, S_IFDIR | 06000);
	put("d/inside", "root may");
	STR(get("d/inside"), "root may");
	fd = MUST(open("f", O_RDWR));
	OK(fchmod(fd, 0));
	OWNER("f", 1, 3, S_IFREG);
	close(fd);
	STR(get("f"), "x");
	OK(access("f", R_OK | W_OK));
	FAILS(access("f", X_OK), EACCES);
	FAILS(fchmodat(AT_FDCWD, "none", 0600, 0), ENOENT);
}

TEST(made, "modes that would keep an ordinary owner out")
{
	struct stat st;
	int fd;

	ROOT();
	umask(022);
	OK(mkdir("d", 0555));
	OWNER("d", 0, 0, S_IFDIR | 0555);
	fd = MUST(open("d/f", O_CREAT | O_WRONLY, 0444));
	OWNER("d/f", 0, 0, S_IFREG | 0444);
	close(fd);
	put("d/f", "again");
	STR(get("d/f"), "again");
	OWNER("d/f", 0, 0, S_IFREG | 0444);
	FAILS(open("d/f", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
	FAILS(open("d", O_CREAT | O_RDONLY, 0600), EISDIR);
	OK(symlink("target", "dangling"));
	fd = MUST(open("dangling", O_CREAT | O_RDWR, 0600));
	close(fd);
	OWNER("target", 0, 0, S_IFREG | 0600);
	umask(0277);
	fd = MUST(open("masked", O_CREAT | O_RDWR, 0666));
	OK(fstat(fd, &st));
	EQ(st.st_mode, S_IFREG | 0400);
	OK(mkfifo("fifo", 0666));
	OWNER("fifo", 0, 0, S_IFIFO | 0400);
}

TEST(devices, "device nodes")
{
	struct stat st;
	char c = 1;
	int fd;

	ROOT();
	umask(0);
	OK(mknod("c", S_IFCHR | 0640, makedev(42, 44)));
	OK(mknod("b", S_IFBLK | 0666, makedev(259, 70000)));
	OK(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	OWNER("c", 0, 0, S_IFCHR | 0640);
	OWNER("b", 0, 0, S_IFBLK | 0666);
	OK(stat("c", &st));
	EQ(major(st.st_rdev), 42);
	EQ(minor(st.st_rdev), 44);
	OK(stat("b", &st));
	EQ(st.st_rdev, makedev(259, 70000));
	EQ(st.st_size, 0);
	FAILS(mknod("c", S_IFCHR | 0600, 1), EEXIST);
	OK(chmod("c", 0600));
	OK(chown("c", 3, 4));
	OWNER("c", 3, 4, S_IFCHR | 0600);
	OK(link("c", "c2"));
	OK(unlink("c"));
	OWNER("c2", 3, 4, S_IFCHR | 0600);
	FAILS(open("c2", O_RDWR), ENXIO);
	fd = open("null", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 && errno == EACCES)
		SKIP("a file system without devices");
	EQ(write(fd, "x", 1), 1);
	EQ(read(fd, &c, 1), 0);
	OK(chmod(".", 0777));
	OK(seteuid(1000));
	FAILS(mknod("c3", S_IFCHR | 0600, makedev(1, 3)), EPERM);
}

TEST(owners, "what a user makes is his")
{
	int fd;

	ROOT();
	umask(022);
	OK(chmod(".", 0777));
	OK(setegid(2000));
	OK(seteuid(1000));
	put("f", "x");
	OK(mkdir("d", 0700));
	OK(symlink("x", "l"));
	OK(mkfifo("p", 0600));
	OWNER("f", 1000, 2000, S_IFREG | 0644);
	OWNER("d", 1000, 2000, S_IFDIR | 0700);
	OWNER("l", 1000, 2000, 0);
	OWNER("p", 1000, 2000, S_IFIFO | 0600);
	OK(seteuid(0));
	fd = MUST(open("f", O_RDWR | O_CREAT | O_TRUNC, 0600));
	close(fd);
	OWNER("f", 1000, 2000, S_IFREG | 0644);
	OK(setfsuid(77));
	put("g", "x");
	OWNER("g", 77, 2000, S_IFREG | 0644);
}

TEST(gone, "a new file has nothing of the one that was there before")
{
	ROOT();
	umask(022);
	for (int i = 0; i < 20; i++) {
		put("f", "x");
		OWNER("f", 0, 0, S_IFREG | 0644);
		OK(chown("f", 7, 7));
		OK(unlink("f"));
		OK(mkdir("d", 0755));
		OWNER("d", 0, 0, S_IFDIR | 0755);
		OK(chown("d", 8, 8));
		OK(rmdir("d"));
		put("a", "a");
		put("b", "b");
		OK(chown("a", 9, 9));
		OK(chown("b", 10, 10));
		OK(rename("a", "b"));
		OWNER("b", 9, 9, S_IFREG | 0644);
		OK(link("b", "c"));
		OK(rename("b", "c"));
		OWNER("c", 9, 9, 0);
		OK(unlink("b"));
		OWNER("c", 9, 9, 0);
		OK(unlink("c"));
	}
}
