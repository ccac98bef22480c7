/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attributes: modes, owners, times, statx, access, umask, extended attributes.
 * GUEST_WORLDS: view mount cow bindcow cowmount cowbind cowcow merge fakeroot
 */
#include "guest.h"
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

static struct stat look(const char *path)
{
	struct stat st = { 0 };

	OK(lstat(path, &st));
	return st;
}

TEST(chmod_family, "chmod, fchmod, fchmodat, all bits")
{
	int fd;

	put("f", "");
	for (int m = 0; m < 07777; m += 0123) {
		OK(chmod("f", (mode_t)m));
		EQ(look("f").st_mode, S_IFREG | m);
	}
	OK(chmod("f", 0600));
	fd = MUST(open("f", O_RDONLY));
	OK(fchmod(fd, 0640));
	EQ(look("f").st_mode, S_IFREG | 0640);
	OK(fchmodat(AT_FDCWD, "f", 0444, 0));
	EQ(look("f").st_mode, S_IFREG | 0444);
	FAILS(chmod("none", 0600), ENOENT);
	FAILS(chmod("f/", 0600), ENOTDIR);
	FAILS(fchmod(700, 0600), EBADF);
	OK(mkdir("d", 0700));
	OK(chmod("d", 01755));
	EQ(look("d").st_mode, S_IFDIR | 01755);
}

TEST(umask_rules, "umask: kept, inherited, applied to each kind")
{
	int status;

	EQ(umask(0), 022);
	EQ(umask(077), 0);
	put("f", "");
	OK(mkdir("d", 0777));
	OK(mkfifo("p", 0666));
	EQ(look("f").st_mode, S_IFREG | 0600);
	EQ(look("d").st_mode, S_IFDIR | 0700);
	EQ(look("p").st_mode, S_IFIFO | 0600);
	if (fork() == 0)
		_exit(umask(0) == 077 ? 0 : 1);
	OK(wait(&status));
	EXITED(status, 0);
	EQ(umask(01777), 077);
	EQ(umask(022), 0777);
}

TEST(list_comes, "an access list that was not there, and comes, and goes")
{
	static const char name[] = "system.posix_acl_access";
	const struct {
		uint32_t version;
		struct { uint16_t tag, perm; uint32_t id; } e[5];
	} list = { 2, { { 1, 6, -1u }, { 2, 4, 12345 }, { 4, 0, -1u }, { 16, 4, -1u }, { 32, 0, -1u } } };
	char seen[64];

	put("f", "");
	for (int i = 0; i < 3; i++) {
		for (int again = 0; again < 3; again++)
			if (getxattr("f", name, seen, sizeof seen) >= 0 || (errno != ENODATA && errno != EOPNOTSUPP))
				guest_fail(__LINE__, "a list where none is: errno %d", errno);
		if (setxattr("f", name, &list, sizeof list, 0))
			SKIP("no access lists here");
		EQ(getxattr("f", name, seen, sizeof seen), sizeof list);
		TRUE(on_fuse() || !memcmp(seen, &list, sizeof list));	/* fuse2fs has ids where there are none */
		OK(removexattr("f", name));
	}
}

TEST(chown_self, "chown to oneself, with -1 for what stays")
{
	int fd;

	put("f", "");
	OK(chown("f", geteuid(), getegid()));
	OK(chown("f", (uid_t)-1, (gid_t)-1));
	EQ(look("f").st_uid, on_fuse() ? look("f").st_uid : geteuid());
	fd = MUST(open("f", O_RDONLY));
	OK(fchown(fd, (uid_t)-1, (gid_t)-1));
	OK(chmod("f", 04750));
	OK(fchown(fd, (uid_t)-1, (gid_t)-1));
	EQ(look("f").st_mode & 07777, 0750);
	OK(chmod("f", 06750));
	OK(chown("f", (uid_t)-1, (gid_t)-1));
	EQ(look("f").st_mode & 07777, 0750);
	OK(symlink("f", "l"));
	OK(lchown("l", (uid_t)-1, (gid_t)-1));
	FAILS(chown("none", 0, 0), ENOENT);
	FAILS(fchown(700, 0, 0), EBADF);
}

TEST(chown_other, "chown to somebody else: for root only")
{
	put("f", "");
	if (on_fuse())
		SKIP("the user is root in an image of his own");
	if (geteuid() != 0) {
		FAILS(chown("f", 12345, (gid_t)-1), EPERM);
		return;
	}
	OK(chmod("f", 06755));
	OK(chown("f", 12345, 54321));
	EQ(look("f").st_uid, 12345);
	EQ(look("f").st_gid, 54321);
	EQ(look("f").st_mode, S_IFREG | 0755);
}

TEST(times, "utimensat: given times, UTIME_NOW, UTIME_OMIT, NULL")
{
	struct timespec t[2] = { { 1000000000, 111 }, { 1200000000, 222 } };
	time_t before = time(NULL);
	struct stat st;

	put("f", "");
	OK(utimensat(AT_FDCWD, "f", t, 0));
	st = look("f");
	EQ(st.st_atim.tv_sec, 1000000000);
	EQ(st.st_mtim.tv_sec, 1200000000);
	if (!on_fuse())
		EQ(st.st_mtim.tv_nsec, 222);
	t[0].tv_nsec = UTIME_OMIT;
	t[1] = (struct timespec){ 1300000000, 0 };
	OK(utimensat(AT_FDCWD, "f", t, 0));
	EQ(look("f").st_atim.tv_sec, 1000000000);
	EQ(look("f").st_mtim.tv_sec, 1300000000);
	t[0].tv_nsec = UTIME_NOW;
	t[1].tv_nsec = UTIME_OMIT;
	OK(utimensat(AT_FDCWD, "f", t, 0));
	TRUE(look("f").st_atim.tv_sec >= before - 1);
	EQ(look("f").st_mtim.tv_sec, 1300000000);
	OK(utimensat(AT_FDCWD, "f", NULL, 0));
	TRUE(look("f").st_mtim.tv_sec >= before - 1);
	t[0].tv_nsec = t[1].tv_nsec = UTIME_OMIT;
	OK(utimensat(AT_FDCWD, "f", t, 0));
	t[0].tv_nsec = 1000000000;
	FAILS(utimensat(AT_FDCWD, "f", t, 0), EINVAL);
	FAILS(utimensat(AT_FDCWD, "none", NULL, 0), ENOENT);
	FAILS(utimensat(AT_FDCWD, "f", NULL, 0x8000), EINVAL);
	FAILS(syscall(SYS_utimensat, AT_FDCWD, "f", (void *)16, 0), EFAULT);
}

TEST(times_old, "utime, utimes, futimesat, futimens")
{
	struct timeval tv[2] = { { 1111, 0 }, { 2222, 0 } };
	struct timespec ts[2] = { { 5555, 0 }, { 6666, 0 } };
	struct utimbuf u = { 3333, 4444 };
	int fd;

	put("f", "");
	OK(utimes("f", tv));
	EQ(look("f").st_mtime, 2222);
	OK(utime("f", &u));
	EQ(look("f").st_atime, 3333);
	EQ(look("f").st_mtime, 4444);
	fd = MUST(open("f", O_RDONLY));
	OK(futimens(fd, ts));
	EQ(look("f").st_mtime, 6666);
	OK(syscall(SYS_futimesat, AT_FDCWD, "f", tv));
	EQ(look("f").st_mtime, 2222);
	OK(syscall(SYS_utimensat, fd, NULL, ts, 0));
	EQ(look("f").st_mtime, 6666);
}

TEST(times_move, "writing moves mtime, chmod moves ctime")
{
	struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };
	int fd;

	put("f", "abc");
	OK(mkdir("d", 0700));
	OK(utimensat(AT_FDCWD, "f", old, 0));
	OK(utimensat(AT_FDCWD, "d", old, 0));
	OK(chmod("f", 0600));
	EQ(look("f").st_mtime, 1000);
	TRUE(look("f").st_ctime > 1000);
	fd = MUST(open("f", O_WRONLY));
	EQ(write(fd, "x", 1), 1);
	OK(close(fd));
	TRUE(look("f").st_mtime > 1000);
	put("d/new", "");
	TRUE(look("d").st_mtime > 1000);
}

TEST(statx_fields, "statx says what stat says")
{
	struct statx sx;
	struct stat st;

	put("f", "12345");
	st = look("f");
	OK(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &sx));
	EQ(sx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	EQ(sx.stx_size, 5);
	EQ(sx.stx_ino, st.st_ino);
	EQ(sx.stx_mode, st.st_mode);
	EQ(sx.stx_nlink, st.st_nlink);
	EQ(sx.stx_uid, st.st_uid);
	EQ(sx.stx_mtime.tv_sec, st.st_mtim.tv_sec);
	EQ(sx.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
	EQ(sx.stx_blksize, st.st_blksize);
	EQ(sx.stx_blocks, st.st_blocks);
	EQ(((uint64_t)sx.stx_dev_major << 32) + sx.stx_dev_minor,
	   ((uint64_t)(st.st_dev >> 8 & 0xfff) << 32) + ((st.st_dev & 0xff) | (st.st_dev >> 12 & 0xfff00)));
	OK(symlink("f", "l"));
	OK(statx(AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &sx));
	TRUE(S_ISLNK(sx.stx_mode));
	FAILS(statx(AT_FDCWD, "f", 0x8000, STATX_TYPE, &sx), EINVAL);
	FAILS(statx(AT_FDCWD, "f", 0, 0x80000000, &sx), EINVAL);
	FAILS(syscall(SYS_statx, AT_FDCWD, "f", 0, STATX_TYPE, (void *)16), EFAULT);
	OK(statx(AT_FDCWD, "f", AT_STATX_DONT_SYNC, STATX_SIZE, &sx));
	EQ(sx.stx_size, 5);
}

TEST(stat_family, "stat, lstat, fstat by every number")
{
	struct stat a, b, c, d;
	int fd;

	put("f", "12345");
	fd = MUST(open("f", O_RDONLY));
	OK(syscall(SYS_stat, "f", &a));
	OK(syscall(SYS_lstat, "f", &b));
	OK(syscall(SYS_fstat, fd, &c));
	OK(syscall(SYS_newfstatat, AT_FDCWD, "f", &d, 0));
	EQ(a.st_ino, b.st_ino);
	EQ(b.st_ino, c.st_ino);
	EQ(c.st_ino, d.st_ino);
	EQ(a.st_dev, d.st_dev);
	EQ(c.st_size, 5);
	EQ(memcmp(&a.st_mtim, &c.st_mtim, sizeof(a.st_mtim)), 0);
	FAILS(syscall(SYS_fstat, 700, &c), EBADF);
	FAILS(syscall(SYS_fstat, fd, (void *)16), EFAULT);
}

TEST(access_modes, "access, faccessat, faccessat2")
{
	put("f", "");
	OK(chmod("f", 0644));
	OK(access("f", F_OK));
	OK(access("f", R_OK | W_OK));
	FAILS(access("f", X_OK), EACCES);
	OK(chmod("f", 0755));
	OK(access("f", X_OK));
	FAILS(access("none", F_OK), ENOENT);
	FAILS(access("f", 9), EINVAL);
	FAILS(access("f/x", F_OK), ENOTDIR);
	OK(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, AT_EACCESS));
	OK(syscall(SYS_faccessat2, open("f", O_PATH), "", R_OK, AT_EMPTY_PATH));
	FAILS(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, 0x8000), EINVAL);
	OK(mkdir("d", 0700));
	OK(access("d", R_OK | W_OK | X_OK));
}

TEST(permissions, "what the mode forbids is EACCES")
{
	char c;

	if (geteuid() == 0 || on_fuse())
		SKIP("root may do everything");
	put("f", "x");
	OK(chmod("f", 0));
	FAILS(open("f", O_RDONLY), EACCES);
	FAILS(open("f", O_WRONLY), EACCES);
	FAILS(truncate("f", 0), EACCES);
	FAILS(access("f", R_OK), EACCES);
	OK(chmod("f", 0400));
	OK(read((int)MUST(open("f", O_RDONLY)), &c, 1));
	FAILS(open("f", O_RDWR), EACCES);
	OK(mkdir("d", 0700));
	put("d/f", "");
	OK(chmod("d", 0600));
	FAILS(open("d/f", O_RDONLY), EACCES);
	FAILS(stat("d/f", &(struct stat){ 0 }), EACCES);
	FAILS(chdir("d"), EACCES);
	OK(chmod("d", 0500));
	FAILS(open("d/g", O_WRONLY | O_CREAT, 0600), EACCES);
	FAILS(unlink("d/f"), EACCES);
	FAILS(mkdir("d/e", 0700), EACCES);
	FAILS(rename("d/f", "x"), EACCES);
	OK(chmod("d", 0300));
	FAILS(open("d", O_RDONLY), EACCES);
	OK(unlink("d/f"));
	FAILS(open("/etc/shadow", O_RDONLY), EACCES);
	FAILS(unlink("/etc/passwd"), EACCES);
}

TEST(sticky_suid, "writing takes the set-id bits away")
{
	int fd;

	if (geteuid() == 0 || on_fuse())
		SKIP("root keeps them");
	put("f", "");
	OK(chmod("f", 06755));
	fd = MUST(open("f", O_WRONLY));
	EQ(write(fd, "x", 1), 1);
	EQ(look("f").st_mode, S_IFREG | 0755);
}

TEST(xattrs, "user extended attributes")
{
	char buf[64] = "";
	int fd;

	put("f", "");
	if (setxattr("f", "user.one", "value", 5, 0) < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
		SKIP("no user attributes here");
	EQ(getxattr("f", "user.one", buf, sizeof(buf)), 5);
	EQ(memcmp(buf, "value", 5), 0);
	EQ(getxattr("f", "user.one", NULL, 0), 5);
	FAILS(getxattr("f", "user.one", buf, 2), ERANGE);
	FAILS(getxattr("f", "user.none", buf, sizeof(buf)), ENODATA);
	if (!on_fuse()) {	/* fuse2fs does not look at the flags */
		FAILS(setxattr("f", "user.one", "x", 1, XATTR_CREATE), EEXIST);
		FAILS(setxattr("f", "user.two", "x", 1, XATTR_REPLACE), ENODATA);
		FAILS(removexattr("f", "user.two"), ENODATA);
		FAILS(getxattr("f", "bad", buf, sizeof(buf)), EOPNOTSUPP);
	}
	OK(setxattr("f", "user.one", "new", 3, XATTR_REPLACE));
	fd = MUST(open("f", O_RDONLY));
	EQ(fgetxattr(fd, "user.one", buf, sizeof(buf)), 3);
	EQ(listxattr("f", NULL, 0), 9);
	EQ(flistxattr(fd, buf, sizeof(buf)), 9);
	EQ(memcmp(buf, "user.one", 9), 0);
	OK(removexattr("f", "user.one"));
	EQ(llistxattr("f", NULL, 0), 0);
	FAILS(setxattr("none", "user.x", "", 0, 0), ENOENT);
}

TEST(unusual_ioctl, "ioctls that files do not have: ENOTTY")
{
	int fd, n = 0;

	put("f", "12345");
	fd = MUST(open("f", O_RDONLY));
	EQ(isatty(fd), 0);
	EQ(errno, ENOTTY);
	if (!on_fuse()) {
		OK(syscall(SYS_ioctl, fd, 0x541b /* FIONREAD */, &n));
		EQ(n, 5);
	}
	OK(syscall(SYS_ioctl, fd, 0x5451 /* FIOCLEX */, 0));
	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	OK(syscall(SYS_ioctl, fd, 0x5450 /* FIONCLEX */, 0));
	EQ(fcntl(fd, F_GETFD), 0);
}
