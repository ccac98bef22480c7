/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories: making, removing, reading (with telldir, seekdir, rewinddir), large ones.
 * GUEST_WORLDS: view mount cow bindcow cowmount cowbind cowcow merge secure
 */
#include "guest.h"
#include <sys/statvfs.h>

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory but "." and "..", sorted, with a space after each. */
static const char *list(const char *path)
{
	static char text[8192];
	char *names[512];
	struct dirent *e;
	int n = 0, dots = 0;
	DIR *d = opendir(path);

	REQUIRE(d);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			dots++;
		else if (n < 512)
			names[n++] = strdup(e->d_name);
	}
	closedir(d);
	EQ(dots, 2);
	qsort(names, (size_t)n, sizeof(names[0]), by_name);
	text[0] = 0;
	for (int i = 0; i < n; i++) {
		strcat(strcat(text, names[i]), " ");
		free(names[i]);
	}
	return text;
}

TEST(make_remove, "mkdir and rmdir, and their errors")
{
	struct stat st;

	umask(022);
	OK(mkdir("d", 0777));
	OK(stat("d", &st));
	EQ(st.st_mode, S_IFDIR | 0755);
	FAILS(mkdir("d", 0700), EEXIST);
	FAILS(mkdir("d/", 0700), EEXIST);
	FAILS(mkdir("none/d", 0700), ENOENT);
	FAILS(mkdir("", 0700), ENOENT);
	FAILS(mkdir("/", 0700), EEXIST);
	FAILS(mkdir(".", 0700), EEXIST);
	OK(mkdir("d/sub/", 0700));
	FAILS(rmdir("d"), ENOTEMPTY);
	put("f", "");
	FAILS(mkdir("f/x", 0700), ENOTDIR);
	FAILS(mkdir("f", 0700), EEXIST);
	FAILS(rmdir("f"), ENOTDIR);
	FAILS(unlink("d"), EISDIR);
	FAILS(rmdir("none"), ENOENT);
	FAILS(rmdir("."), EINVAL);
	FAILS(rmdir("d/sub/."), EINVAL);
	FAILS(rmdir("d/.."), ENOTEMPTY);
	OK(rmdir("d/sub/"));
	OK(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
	STR(list("."), "f ");
	FAILS(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR), ENOTDIR);
	FAILS(unlinkat(AT_FDCWD, "f", 0x4000), EINVAL);
	FAILS(unlink("none"), ENOENT);
	FAILS(unlink("f/"), ENOTDIR);
}

TEST(mkdir_links, "mkdir and rmdir at symbolic links")
{
	OK(symlink("target", "dangling"));
	FAILS(mkdir("dangling", 0700), EEXIST);
	FAILS(mkdir("dangling/", 0700), EEXIST);
	OK(mkdir("target", 0700));
	OK(symlink("target", "link"));
	FAILS(rmdir("link"), ENOTDIR);
	FAILS(rmdir("link/"), ENOTDIR);
	FAILS(mkdir("link", 0700), EEXIST);
	OK(mkdir("link/in", 0700));
	STR(list("target"), "in ");
	FAILS(unlink("link/"), ENOTDIR);
	OK(unlink("link"));
}

TEST(link_count, "a directory's link count is 2 and its subdirectories")
{
	struct stat st;

	OK(mkdir("d", 0700));
	OK(stat("d", &st));
	EQ(st.st_nlink, 2);
	OK(mkdir("d/a", 0700));
	OK(mkdir("d/b", 0700));
	put("d/f", "");
	OK(stat("d", &st));
	EQ(st.st_nlink, 4);
	OK(rmdir("d/a"));
	OK(stat("d", &st));
	EQ(st.st_nlink, 3);
}

TEST(types, "d_type and d_ino agree with stat")
{
	struct dirent *e;
	struct stat st;
	DIR *d;
	int seen = 0;

	put("file", "");
	OK(mkdir("dir", 0700));
	OK(symlink("file", "link"));
	d = opendir(".");
	REQUIRE(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		seen++;
		OK(lstat(e->d_name, &st));
		if (!on_fuse())		/* libfuse 2 without use_ino says "unknown" */
			EQ(st.st_ino, e->d_ino);
		if (e->d_type != DT_UNKNOWN)
			EQ(e->d_type, IFTODT(st.st_mode));
	}
	EQ(seen, 3);
	closedir(d);
}

TEST(large, "3000 entries: each is listed once")
{
	static char seen[3000];
	struct dirent *e;
	char name[300];
	int n = 0, k;
	DIR *d;

	OK(mkdir("d", 0700));
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "d/a-name-that-is-somewhat-long-%d", i);
		OK(close((int)MUST(open(name, O_WRONLY | O_CREAT, 0600))));
	}
	d = opendir("d");
	REQUIRE(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		REQUIRE(sscanf(e->d_name, "a-name-that-is-somewhat-long-%d", &k) == 1 && k >= 0 && k < 3000);
		TRUE(!seen[k]);
		seen[k] = 1;
		n++;
	}
	EQ(n, 3000);
	closedir(d);
	FAILS(rmdir("d"), ENOTEMPTY);
}

TEST(remove_while_reading, "rm -r of 1000 entries while iterating misses none")
{
	struct dirent *e;
	char name[64];
	int n = 0;
	DIR *d;

	OK(mkdir("d", 0700));
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "d/f%d", i);
		OK(close((int)MUST(open(name, O_WRONLY | O_CREAT, 0600))));
	}
	d = opendir("d");
	REQUIRE(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		OK(unlinkat(dirfd(d), e->d_name, 0));
		n++;
	}
	closedir(d);
	EQ(n, 1000);
	OK(rmdir("d"));
}

TEST(positions, "telldir, seekdir, rewinddir")
{
	char names[64][64];
	long where[65];
	struct dirent *e;
	int n = 0;
	DIR *d;

	for (int i = 0; i < 50; i++) {
		char name[16];

		snprintf(name, sizeof(name), "e%d", i);
		put(name, "");
	}
	d = opendir(".");
	REQUIRE(d);
	for (where[0] = telldir(d); n < 64 && (e = readdir(d)); where[n] = telldir(d))
		snprintf(names[n++], 64, "%.60s", e->d_name);
	EQ(n, 52);
	for (int i = n - 1; i >= 0; i -= 7) {
		seekdir(d, where[i]);
		e = readdir(d);
		REQUIRE(e);
		STR(e->d_name, names[i]);
	}
	rewinddir(d);
	e = readdir(d);
	REQUIRE(e);
	STR(e->d_name, names[0]);
	put("new", "");
	rewinddir(d);
	for (n = 0; readdir(d); )
		n++;
	EQ(n, 53);
	closedir(d);
}

TEST(getdents_small, "getdents64 with a small buffer")
{
	char buf[64];
	long got, total = 0;
	int fd;

	for (int i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "e%d", i);
		put(name, "");
	}
	fd = MUST(open(".", O_RDONLY | O_DIRECTORY));
	FAILS(syscall(SYS_getdents64, fd, buf, 10), EINVAL);
	while ((got = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (long i = 0; i < got; i += *(uint16_t *)(buf + i + 16))
			total++;
	}
	EQ(got, 0);
	EQ(total, 22);
	EQ(syscall(SYS_getdents64, fd, buf, sizeof(buf)), 0);
	OK(lseek(fd, 0, SEEK_SET));
	TRUE(syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0);
	put("f", "");
	FAILS(syscall(SYS_getdents64, open("f", O_RDONLY), buf, sizeof(buf)), ENOTDIR);
	FAILS(syscall(SYS_getdents64, 700, buf, sizeof(buf)), EBADF);
	OK(lseek(fd, 0, SEEK_SET));
	FAILS(syscall(SYS_getdents64, fd, (char *)16, 1000), EFAULT);
}

TEST(getdents_old, "the old getdents call")
{
	char buf[1024];
	int fd = MUST(open(".", O_RDONLY));
	long n = syscall(SYS_getdents, fd, buf, sizeof(buf));
	int dots = 0;

	REQUIRE(n > 0);
	for (long i = 0; i < n; i += *(uint16_t *)(buf + i + 16))
		dots += buf[i + 18] == '.';
	EQ(dots, 2);
}

TEST(removed_while_open, "a removed directory that is open is empty")
{
	struct stat st;
	char buf[256];
	int fd;

	OK(mkdir("d", 0700));
	fd = MUST(open("d", O_RDONLY | O_DIRECTORY));
	OK(rmdir("d"));
	if (!on_fuse()) {
		OK(fstat(fd, &st));
		TRUE(S_ISDIR(st.st_mode));
		TRUE(syscall(SYS_getdents64, fd, buf, sizeof(buf)) <= 0);
	}
	FAILS(openat(fd, "f", O_WRONLY | O_CREAT, 0600), ENOENT);
	FAILS(mkdirat(fd, "d", 0700), ENOENT);
}

TEST(deep, "a tree 60 deep, by relative steps, and back")
{
	char cwd[PATH_MAX], back[PATH_MAX];

	REQUIRE(getcwd(cwd, sizeof(cwd)));
	for (int i = 0; i < 60; i++) {
		OK(mkdir("directory", 0700));
		OK(chdir("directory"));
	}
	put("leaf", "bottom");
	REQUIRE(getcwd(back, sizeof(back)));
	EQ(strlen(back), strlen(cwd) + 60 * 10);
	STR(get("leaf"), "bottom");
	for (int i = 0; i < 60; i++)
		OK(chdir(".."));
	REQUIRE(getcwd(back, sizeof(back)));
	STR(back, cwd);
}

TEST(mknod_kinds, "mknod: regular files and FIFOs")
{
	struct stat st;

	umask(022);
	OK(mknod("f", S_IFREG | 0666, 0));
	OK(stat("f", &st));
	EQ(st.st_mode, S_IFREG | 0644);
	OK(mknod("zero", 0600, 0));
	OK(stat("zero", &st));
	EQ(st.st_mode, S_IFREG | 0600);
	FAILS(mknod("f", S_IFREG | 0600, 0), EEXIST);
	FAILS(mknod("f/x", S_IFREG | 0600, 0), ENOTDIR);
	FAILS(mknod("none/x", S_IFREG | 0600, 0), ENOENT);
	FAILS(mknod("d", S_IFDIR | 0600, 0), EPERM);
	FAILS(mknod("x/", S_IFREG | 0600, 0), ENOENT);
	OK(mknod("p", S_IFIFO | 0600, 0));
	OK(stat("p", &st));
	TRUE(S_ISFIFO(st.st_mode));
}

TEST(statfs_family, "statfs, fstatfs, statvfs")
{
	struct statvfs a, b;
	int fd = MUST(open(".", O_RDONLY));

	OK(statvfs(".", &a));
	OK(fstatvfs(fd, &b));
	EQ(a.f_bsize, b.f_bsize);
	EQ(a.f_namemax, b.f_namemax);
	EQ(a.f_namemax, 255);
	TRUE(a.f_blocks > 0);
	FAILS(statvfs("none", &a), ENOENT);
	FAILS(fstatvfs(700, &a), EBADF);
}

static void make_and_remove(int times)
{
	for (int i = 0; i < times; i++) {
		if (mkdir("shared", 0755) < 0 && errno != EEXIST)
			FAIL("mkdir: errno %d", errno);
		if (rmdir("shared") < 0 && errno != ENOENT && errno != ENOTEMPTY)
			FAIL("rmdir: errno %d", errno);
		int fd = open("file", O_RDWR | O_CREAT, 0600);
		if (fd < 0 || close(fd) < 0)
			FAIL("open: errno %d", errno);
		if (rename("file", "other") < 0 && errno != ENOENT)
			FAIL("rename: errno %d", errno);
		if (unlink("other") < 0 && errno != ENOENT)
			FAIL("unlink: errno %d", errno);
		if (guest_bad)
			return;
	}
}

TEST(contended, "eight processes make, move and remove the same names: each call is done wholly or not at all")
{
	int status;

	for (int i = 0; i < 8; i++) {
		if (fork() == 0) {
			make_and_remove(100);
			_exit(guest_bad ? 1 : 0);
		}
	}
	for (int i = 0; i < 8; i++) {
		OK(wait(&status));
		EXITED(status, 0);
	}
	rmdir("shared");
	unlink("file");
	unlink("other");
	OK(mkdir("afterwards", 0755));
}
