/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths: relative to descriptors and to the cwd, too long, removed, and openat2's rules.
 * GUEST_WORLDS: view mount bind cow bindcow cowmount cowbind cowcow merge secure
 */
#include "guest.h"
#include <linux/openat2.h>
#include <sys/resource.h>

static int open2(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags, .resolve = resolve };

	if (flags & O_CREAT)
		how.mode = 0600;
	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static void tree(void)
{
	OK(mkdir("d", 0700));
	OK(mkdir("d/e", 0700));
	put("d/f", "f");
	put("d/e/g", "g");
	put("top", "top");
	OK(symlink("e", "d/link"));
	OK(symlink("../top", "d/out"));
	OK(symlink("/dev/null", "d/abs"));
}

TEST(at_dirfd, "*at calls relative to a descriptor")
{
	struct stat st;
	char buf[16];
	int d;

	tree();
	d = MUST(open("d", O_RDONLY | O_DIRECTORY));
	OK(chdir("/"));
	OK(close((int)MUST(openat(d, "f", O_RDONLY))));
	OK(fstatat(d, "e/g", &st, 0));
	EQ(st.st_size, 1);
	OK(fstatat(d, "../top", &st, 0));
	EQ(st.st_size, 3);
	OK(fstatat(d, "link", &st, AT_SYMLINK_NOFOLLOW));
	TRUE(S_ISLNK(st.st_mode));
	EQ(readlinkat(d, "link", buf, sizeof(buf)), 1);
	OK(mkdirat(d, "new", 0700));
	OK(symlinkat("f", d, "sym"));
	OK(fchmodat(d, "f", 0640, 0));
	OK(faccessat(d, "new", X_OK, 0));
	OK(renameat(d, "new", d, "old"));
	OK(unlinkat(d, "old", AT_REMOVEDIR));
	OK(unlinkat(d, "sym", 0));
	FAILS(fstatat(d, "sym", &st, 0), ENOENT);
	FAILS(fstatat(d, "f/", &st, 0), ENOTDIR);
	FAILS(fstatat(d, "", &st, 0), ENOENT);
	FAILS(fstatat(d, "f", &st, 0x8000), EINVAL);
}

TEST(fchdir_moves, "chdir, fchdir and getcwd")
{
	char base[PATH_MAX], cwd[PATH_MAX], small[4];
	int d;

	tree();
	REQUIRE(getcwd(base, sizeof(base)));
	d = MUST(open("d", O_PATH | O_DIRECTORY));
	OK(fchdir(d));
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	STR(cwd + strlen(base), "/d");
	STR(get("f"), "f");
	STR(get("../top"), "top");
	OK(chdir("link"));
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	STR(cwd + strlen(base), "/d/e");
	OK(chdir("../.."));
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	STR(cwd, base);
	EQ(syscall(SYS_getcwd, cwd, sizeof(cwd)), (long)strlen(base) + 1);
	FAILS(syscall(SYS_getcwd, small, sizeof(small)), ERANGE);
	FAILS(chdir("top"), ENOTDIR);
	FAILS(chdir("none"), ENOENT);
	FAILS(chdir(""), ENOENT);
	FAILS(fchdir(700), EBADF);
	FAILS(fchdir((int)MUST(open("top", O_RDONLY))), ENOTDIR);
	STR(get("top"), "top");
	OK(chdir("/"));
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	STR(cwd, "/");
	OK(chdir(".."));
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	STR(cwd, "/");
}

TEST(cwd_inherited, "the cwd is inherited by fork and kept by exec")
{
	char out[PATH_MAX] = "", cwd[PATH_MAX];
	int p[2], status;
	ssize_t n;

	tree();
	OK(chdir("d/e"));
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	OK(pipe(p));
	if (fork() == 0) {
		dup2(p[1], 1);
		execl("/bin/pwd", "pwd", "-P", NULL);
		_exit(1);
	}
	OK(wait(&status));
	EXITED(status, 0);
	n = read(p[0], out, sizeof(out) - 1);
	REQUIRE(n > 1);
	out[n - 1] = 0;
	STR(out, cwd);
	if (fork() == 0) {
		OK(chdir("/"));
		_exit(0);
	}
	OK(wait(&status));
	REQUIRE(getcwd(out, sizeof(out)));
	STR(out, cwd);
}

TEST(cwd_removed, "a removed working directory")
{
	char buf[PATH_MAX];
	struct stat st;

	OK(mkdir("d", 0700));
	OK(chdir("d"));
	OK(rmdir("../d"));
	FAILS(syscall(SYS_getcwd, buf, sizeof(buf)), ENOENT);
	if (!on_fuse())
		OK(stat(".", &st));
	FAILS(open("f", O_WRONLY | O_CREAT, 0600), ENOENT);
	FAILS(mkdir("x", 0700), ENOENT);
	FAILS(stat("none", &st), ENOENT);
	OK(stat("/", &st));
	if (!on_fuse()) {
		OK(chdir(".."));
		TRUE(!exists("d"));
	}
}

TEST(too_long, "names of 255 and 256, paths of 4095 and 4096 bytes")
{
	static char path[PATH_MAX + 300];
	struct stat st;
	int n = 0;

	memset(path, 'n', 255);
	put(path, "long");
	STR(get(path), "long");
	path[255] = 'n';
	if (!on_fuse()) {	/* FUSE allows names of 1024 and leaves it to the server */
		FAILS(open(path, O_RDONLY), ENAMETOOLONG);
		FAILS(open(path, O_WRONLY | O_CREAT, 0600), ENAMETOOLONG);
		FAILS(mkdir(path, 0700), ENAMETOOLONG);
		FAILS(stat(path, &st), ENAMETOOLONG);
		FAILS(rename(path, "x"), ENAMETOOLONG);
	}
	memset(path, 0, sizeof(path));
	put("f", "deep");
	while (n < 4094) {
		memcpy(path + n, "./", 2);
		n += 2;
	}
	path[n++] = 'f';
	EQ(n, 4095);
	STR(get(path), "deep");
	memcpy(path + 4094, "/f", 2);
	FAILS(open(path, O_RDONLY), ENAMETOOLONG);
	FAILS(chdir(path), ENAMETOOLONG);
	FAILS(unlink(path), ENAMETOOLONG);
}

TEST(dots, "dots, double slashes and `..` at the root")
{
	struct stat a, b;

	tree();
	STR(get("./d/./e/../f"), "f");
	STR(get(".//d////f"), "f");
	OK(stat("/", &a));
	OK(stat("/../..", &b));
	EQ(a.st_ino, b.st_ino);
	OK(stat("/../../dev/../dev/null", &b));
	TRUE(S_ISCHR(b.st_mode));
	FAILS(stat("d/f/.", &b), ENOTDIR);
	FAILS(stat("d/f/..", &b), ENOTDIR);
	put("...", "three");
	STR(get("..."), "three");
	put("..x", "x");
	STR(get("d/../..x"), "x");
	put(" ", "blank");
	STR(get(" "), "blank");
	put("\xff\n", "bytes");
	STR(get("\xff\n"), "bytes");
}

TEST(empty_path, "AT_EMPTY_PATH")
{
	struct stat st;
	struct statx sx;
	int fd;

	tree();
	fd = MUST(open("d/f", O_RDONLY));
	OK(fstatat(fd, "", &st, AT_EMPTY_PATH));
	EQ(st.st_size, 1);
	OK(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &sx));
	EQ(sx.stx_size, 1);
	OK(fstatat(AT_FDCWD, "", &st, AT_EMPTY_PATH));
	TRUE(S_ISDIR(st.st_mode));
	FAILS(fstatat(700, "", &st, AT_EMPTY_PATH), EBADF);
	FAILS(statx(AT_FDCWD, "", 0, STATX_SIZE, &sx), ENOENT);
	OK(fchownat(fd, "", geteuid(), (gid_t)-1, AT_EMPTY_PATH));
}

TEST(opath, "O_PATH descriptors as directories and as themselves")
{
	struct stat st;
	int d, f;

	tree();
	d = MUST(open("d", O_PATH));
	OK(fstatat(d, "f", &st, 0));
	OK(close((int)MUST(openat(d, "e/g", O_RDONLY))));
	f = MUST(openat(d, "f", O_PATH));
	FAILS(openat(f, "x", O_RDONLY), ENOTDIR);
	OK(fstat(f, &st));
	EQ(st.st_size, 1);
	OK(fchdir(d));
	STR(get("f"), "f");
	f = MUST(dup(d));
	OK(fstatat(f, "f", &st, 0));
}

TEST(openat2_basics, "openat2: what openat does, and its stricter rules")
{
	struct { struct open_how how; uint64_t more; } big = { { .flags = O_RDONLY }, 0 };

	tree();
	OK(close((int)MUST(open2(AT_FDCWD, "d/f", O_RDONLY, 0))));
	OK(close((int)MUST(open2(AT_FDCWD, "d/new", O_WRONLY | O_CREAT, 0))));
	FAILS(open2(AT_FDCWD, "d/f", O_RDONLY | (1ULL << 40), 0), EINVAL);
	FAILS(open2(AT_FDCWD, "d/f", O_RDONLY, 1ULL << 40), EINVAL);
	FAILS(syscall(SYS_openat2, AT_FDCWD, "d/f", &big.how, 8), EINVAL);
	OK(close((int)MUST(syscall(SYS_openat2, AT_FDCWD, "d/f", &big.how, sizeof(big)))));
	big.more = 1;
	FAILS(syscall(SYS_openat2, AT_FDCWD, "d/f", &big.how, sizeof(big)), E2BIG);
	FAILS(syscall(SYS_openat2, AT_FDCWD, "d/f", NULL, sizeof(big.how)), EFAULT);
	big.how.mode = 0600;
	FAILS(syscall(SYS_openat2, AT_FDCWD, "d/f", &big.how, sizeof(big.how)), EINVAL);
}

static void no_room(void)
{
	static const uint64_t rules[] = { 0, RESOLVE_BENEATH, RESOLVE_IN_ROOT };
	static const char *const names[] = { "d/f", "d/out", "none", "none/x", "top/x", "/none", "../../../../../../x" };
	const char *nowhere = (char *)16;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		FAILS(open(names[i], O_RDONLY), EMFILE);
		FAILS(open(names[i], O_PATH), EMFILE);
		FAILS(open(names[i], O_WRONLY | O_CREAT | O_EXCL, 0600), EMFILE);
		FAILS(open(names[i], O_TMPFILE), EINVAL);
		for (unsigned j = 0; j < 3; j++)
			FAILS(open2(AT_FDCWD, names[i], O_RDONLY, rules[j]), EMFILE);
	}
	FAILS(open("", O_RDONLY), ENOENT);
	FAILS(syscall(SYS_open, nowhere, O_RDONLY), EFAULT);
	for (unsigned j = 0; j < 3; j++) {
		FAILS(open2(AT_FDCWD, "", O_RDONLY, rules[j]), ENOENT);
		FAILS(open2(AT_FDCWD, nowhere, O_RDONLY, rules[j]), EFAULT);
	}
}

TEST(open_no_room, "no number for a descriptor: that comes before what the path's walk says, behind bad flags and pointers")
{
	struct rlimit l;
	int fd;

	tree();
	fd = MUST(dup(0));
	OK(close(fd));
	OK(getrlimit(RLIMIT_NOFILE, &l));
	l.rlim_cur = (rlim_t)fd;
	OK(setrlimit(RLIMIT_NOFILE, &l));
	no_room();
	l.rlim_cur = 0;
	OK(setrlimit(RLIMIT_NOFILE, &l));
	no_room();
}

TEST(openat2_resolve, "RESOLVE_BENEATH, IN_ROOT, NO_SYMLINKS, NO_MAGICLINKS, NO_XDEV")
{
	int d, fd;

	tree();
	d = MUST(open("d", O_PATH));
	OK(close((int)MUST(open2(d, "f", O_RDONLY, RESOLVE_BENEATH))));
	OK(close((int)MUST(open2(d, "e/../f", O_RDONLY, RESOLVE_BENEATH))));
	OK(close((int)MUST(open2(d, "link/g", O_RDONLY, RESOLVE_BENEATH))));
	FAILS(open2(d, "../top", O_RDONLY, RESOLVE_BENEATH), EXDEV);
	FAILS(open2(d, "out", O_RDONLY, RESOLVE_BENEATH), EXDEV);
	FAILS(open2(d, "abs", O_RDONLY, RESOLVE_BENEATH), EXDEV);
	FAILS(open2(d, "/", O_RDONLY, RESOLVE_BENEATH), EXDEV);
	fd = MUST(open2(d, "/f", O_RDONLY, RESOLVE_IN_ROOT));
	OK(close(fd));
	FAILS(open2(d, "/../top", O_RDONLY, RESOLVE_IN_ROOT), ENOENT);
	OK(close((int)MUST(open2(d, "../../f", O_RDONLY, RESOLVE_IN_ROOT))));
	/* in a mounted image EXDEV: docs/limits.md */
	FAILS(open2(d, "abs", O_RDONLY, RESOLVE_IN_ROOT), on_fuse() && errno == EXDEV ? EXDEV : ENOENT);
	FAILS(open2(d, "link/g", O_RDONLY, RESOLVE_NO_SYMLINKS), ELOOP);
	OK(close((int)MUST(open2(d, "e/g", O_RDONLY, RESOLVE_NO_SYMLINKS))));
	FAILS(open2(AT_FDCWD, "/proc/self/exe", O_RDONLY, RESOLVE_NO_MAGICLINKS), ELOOP);
	FAILS(open2(AT_FDCWD, "/proc/self/maps", O_RDONLY, RESOLVE_NO_XDEV), EXDEV);
	OK(close((int)MUST(open2(d, "e/g", O_RDONLY, RESOLVE_NO_XDEV))));
	FAILS(open2(AT_FDCWD, "/proc/self/cwd/d/f", O_RDONLY, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS), on_fuse() && errno == ELOOP ? ELOOP : EXDEV);
	FAILS(open2(d, "f", O_RDONLY, RESOLVE_BENEATH | RESOLVE_IN_ROOT), EINVAL);
	FAILS(syscall(SYS_openat2, d, (char *)1, &(struct open_how){ .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS }, sizeof(struct open_how)), EFAULT);
	FAILS(syscall(SYS_openat2, d, (char *)1, &(struct open_how){ .resolve = RESOLVE_BENEATH }, sizeof(struct open_how)), EFAULT);
	/* what is at the root does not matter */
	FAILS(open2(99, "/proc/self/cwd/none", O_RDONLY, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS), EBADF);
	FAILS(open2(d, "/proc/self/cwd/none", O_RDONLY, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS), ENOENT);
	OK(close(d));
	d = MUST(open("top", O_PATH));
	FAILS(open2(d, "/proc/self/cwd/none", O_RDONLY, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS), ENOTDIR);
}

TEST(link_of_proc, "a link of /proc that was opened itself is no directory to begin at, whatever it leads to")
{
	char path[64];
	struct stat st;
	int d, f, n;

	tree();
	d = MUST(open("d", O_RDONLY));
	f = MUST(open("top", O_RDONLY));
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", i ? f : d);
		n = MUST(open(path, O_PATH | O_NOFOLLOW));
		FAILS(faccessat(n, "f", R_OK, 0), ENOTDIR);
		FAILS(fstatat(n, "f", &st, AT_SYMLINK_NOFOLLOW), ENOTDIR);
		FAILS(readlinkat(n, "none/x", path, sizeof path), ENOTDIR);
		FAILS(openat(n, "..", O_RDONLY), ENOTDIR);
		FAILS(fchdir(n), ENOTDIR);
		OK(close(n));
	}
}

TEST(no_symlinks, "RESOLVE_NO_SYMLINKS: ELOOP at the first link, whatever is behind it, also when it has been looked for before")
{
	static const struct { const char *path; int error; } cases[] = {
		{ "ld/f", ELOOP }, { "d/l", ELOOP }, { "d/l/..", ELOOP }, { "ld/none", ELOOP }, { "ld", ELOOP }, { "ld/../f", ELOOP },
		{ "d/dangling", ELOOP }, { "d/l/x", ELOOP }, { "none/ld", ENOENT }, { "f/ld", ENOTDIR }, { "d/none", ENOENT }, { "d/f", 0 },
	};

	OK(mkdir("d", 0700));
	put("f", "");
	put("d/f", "");
	OK(symlink("d", "ld"));
	OK(symlink("f", "d/l"));
	OK(symlink("nowhere", "d/dangling"));
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(*cases); i++) {
		const char *path = cases[i / 2].path;
		int flags = i % 2 ? O_PATH : O_RDONLY, fd = open(path, flags);

		if (fd >= 0)
			OK(close(fd));
		for (int again = 0; again < 3; again++) {
			fd = open2(AT_FDCWD, path, (uint64_t)flags, again ? RESOLVE_NO_SYMLINKS : RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);
			if (fd >= 0 ? cases[i / 2].error != 0 : cases[i / 2].error != errno)
				guest_fail(__LINE__, "%s, %x: %d, errno %d", path, flags, fd, fd < 0 ? errno : 0);
			if (fd >= 0)
				OK(close(fd));
		}
	}
	OK(close(MUST(open2(AT_FDCWD, "d/l", O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS))));
}

TEST(no_symlinks_unread, "RESOLVE_NO_SYMLINKS: a link that is not followed has not been read either: its access time stays")
{
	static const unsigned long resolve[] = { 0, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS };
	const struct timespec old[] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
	struct stat st;

	OK(mkdir("d", 0700));
	put("d/f", "");
	OK(symlink("d", "ld"));
	OK(utimensat(AT_FDCWD, "ld", old, AT_SYMLINK_NOFOLLOW));
	for (size_t i = 0; i < sizeof(resolve) / sizeof(*resolve); i++) {
		FAILS(open2(AT_FDCWD, "ld/f", O_RDONLY, resolve[i] | RESOLVE_NO_SYMLINKS), ELOOP);
		FAILS(open2(AT_FDCWD, "d/../ld/none", O_RDONLY, resolve[i] | RESOLVE_NO_SYMLINKS), ELOOP);
	}
	OK(lstat("ld", &st));
	EQ(st.st_atime, 1000);
}

TEST(errors_order, "which error comes first")
{
	struct stat st;

	put("f", "");
	FAILS(stat("f/none/x", &st), ENOTDIR);
	FAILS(stat("none/f/..", &st), ENOENT);
	FAILS(access("f", 0x80), EINVAL);
	FAILS(syscall(SYS_newfstatat, AT_FDCWD, "f", (void *)16, 0), EFAULT);
	FAILS(syscall(SYS_newfstatat, AT_FDCWD, "none", (void *)16, 0), ENOENT);
	FAILS(syscall(SYS_newfstatat, AT_FDCWD, (void *)16, (void *)16, 0), EFAULT);
	FAILS(syscall(SYS_stat, NULL, &st), EFAULT);
	FAILS(syscall(SYS_chdir, NULL), EFAULT);
	FAILS(syscall(SYS_mkdir, (void *)-1L, 0), EFAULT);
	FAILS(syscall(SYS_rename, "f", NULL), EFAULT);
	FAILS(syscall(SYS_symlink, NULL, "x"), EFAULT);
	FAILS(syscall(SYS_getcwd, (void *)16, 100), EFAULT);
}

TEST(many_cwds, "a thousand walks up and down")
{
	char cwd[PATH_MAX], base[PATH_MAX];

	tree();
	REQUIRE(getcwd(base, sizeof(base)));
	for (int i = 0; i < 1000; i++) {
		REQUIRE(chdir("d/e") == 0);
		REQUIRE(chdir("../link/..") == 0);
		REQUIRE(chdir("..") == 0);
	}
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	STR(cwd, base);
}
