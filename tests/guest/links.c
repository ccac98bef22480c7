/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Symbolic links: chains, loops, dangling ones, `..` through them, trailing slashes.
 * GUEST_WORLDS: view mount bind cow bindcow cowmount cowbind cowcow merge fakeroot secure
 */
#include "guest.h"

TEST(link_slash, "link to a name with a slash behind it: what is there is there, links too, wherever they lead")
{
	put("f", "");
	OK(mkdir("d", 0700));
	OK(symlink("nowhere", "dangling"));
	OK(symlink("f", "to-file"));
	OK(symlink("d", "to-dir"));
	FAILS(link("f", "dangling/"), EEXIST);
	FAILS(link("f", "to-file/"), EEXIST);
	FAILS(link("f", "to-dir//"), EEXIST);
	FAILS(link("f", "f/"), EEXIST);
	FAILS(link("f", "d/"), EEXIST);
	FAILS(link("f", "d/dangling/"), ENOENT);
	FAILS(link("f", "new/"), ENOENT);
	FAILS(link("dangling/", "new"), ENOENT);
}

TEST(read_link, "symlink and readlink, and their errors")
{
	char buf[4];
	struct stat st;

	OK(symlink("some/where", "l"));
	STR(link_of("l"), "some/where");
	EQ(readlink("l", buf, 4), 4);
	EQ(memcmp(buf, "some", 4), 0);
	OK(lstat("l", &st));
	EQ(st.st_size, 10);
	EQ(st.st_mode, S_IFLNK | 0777);
	put("f", "");
	FAILS(readlink("f", buf, 4), EINVAL);
	FAILS(readlink(".", buf, 4), EINVAL);
	FAILS(readlink("none", buf, 4), ENOENT);
	FAILS(syscall(SYS_readlink, "l", buf, 0), EINVAL);
	FAILS(syscall(SYS_readlink, "l", (char *)16, 4), EFAULT);
	FAILS(symlink("x", "l"), EEXIST);
	FAILS(symlink("x", "f"), EEXIST);
	FAILS(symlink("x", "none/l"), ENOENT);
	FAILS(symlink("", "empty"), ENOENT);
	FAILS(symlink("x", "new/"), ENOENT);
	FAILS(symlink("x", ""), ENOENT);
}

TEST(chain_40, "a chain of 40 links resolves, one of 41 is ELOOP")
{
	char from[16], to[16];

	put("l0", "end");
	for (int i = 1; i <= 41; i++) {
		snprintf(from, sizeof(from), "l%d", i);
		snprintf(to, sizeof(to), "l%d", i - 1);
		OK(symlink(to, from));
	}
	STR(get("l40"), "end");
	FAILS(open("l41", O_RDONLY), ELOOP);
	FAILS(access("l41", F_OK), ELOOP);
	TRUE(exists("l41"));
}

TEST(chain_dirs, "links in the middle of a path count too")
{
	char path[400] = "";

	OK(mkdir("d", 0700));
	OK(symlink(".", "d/here"));
	put("d/f", "x");
	strcpy(path, "d");
	for (int i = 0; i < 40; i++)
		strcat(path, "/here");
	strcat(path, "/f");
	STR(get(path), "x");
	strcpy(path, "d");
	for (int i = 0; i < 41; i++)
		strcat(path, "/here");
	strcat(path, "/f");
	FAILS(open(path, O_RDONLY), ELOOP);
}

TEST(loops, "loops are ELOOP for those who follow")
{
	struct stat st;

	OK(symlink("self", "self"));
	OK(symlink("b", "a"));
	OK(symlink("a", "b"));
	FAILS(open("self", O_RDONLY), ELOOP);
	FAILS(stat("a", &st), ELOOP);
	FAILS(open("a/x", O_RDONLY), ELOOP);
	FAILS(chdir("b"), ELOOP);
	FAILS(open("self", O_WRONLY | O_CREAT, 0600), ELOOP);
	FAILS(mkdir("a/b", 0700), ELOOP);
	OK(lstat("self", &st));
	STR(link_of("a"), "b");
	OK(unlink("self"));
	OK(rename("a", "c"));
}

TEST(dangling, "dangling links")
{
	struct stat st;

	OK(symlink("none", "l"));
	FAILS(stat("l", &st), ENOENT);
	OK(lstat("l", &st));
	FAILS(open("l", O_RDONLY), ENOENT);
	FAILS(open("l/x", O_RDONLY), ENOENT);
	FAILS(access("l", F_OK), ENOENT);
	OK(faccessat(AT_FDCWD, "l", F_OK, AT_SYMLINK_NOFOLLOW));
	FAILS(chmod("l", 0600), ENOENT);
	FAILS(chdir("l"), ENOENT);
	FAILS(truncate("l", 0), ENOENT);
	put("l", "made");
	STR(get("none"), "made");
}

TEST(relative, "a relative link starts in its own directory")
{
	OK(mkdir("d", 0700));
	OK(mkdir("d/e", 0700));
	put("d/f", "inner");
	put("f", "outer");
	OK(symlink("../f", "d/e/l"));
	OK(symlink("f", "d/m"));
	OK(symlink("../f", "d/n"));
	STR(get("d/e/l"), "inner");
	STR(get("d/m"), "inner");
	STR(get("d/n"), "outer");
	OK(chdir("d/e"));
	STR(get("l"), "inner");
	STR(get("../n"), "outer");
}

TEST(absolute, "an absolute link, from here and through a directory")
{
	char path[PATH_MAX + 16];

	REQUIRE(getcwd(path, PATH_MAX));
	strcat(path, "/d");
	OK(mkdir("d", 0700));
	put("d/f", "abs");
	OK(symlink(path, "l"));
	STR(get("l/f"), "abs");
	OK(symlink("/dev/null", "null"));
	STR(get("null"), "");
	OK(symlink("/", "root"));
	TRUE(access("root/dev/null", F_OK) == 0);
	STR(link_of("root/proc/self/cwd") + strlen(link_of("root/proc/self/cwd")) - strlen("absolute"), "absolute");
}

TEST(dotdot, "`..` after a link is the parent of what the link means")
{
	OK(mkdir("a", 0700));
	OK(mkdir("a/b", 0700));
	put("a/mark", "in a");
	put("mark", "top");
	OK(symlink("a/b", "l"));
	STR(get("l/../mark"), "in a");
	STR(get("l/../../mark"), "top");
	STR(get("a/b/../mark"), "in a");
	FAILS(open("a/mark/..", O_RDONLY), ENOTDIR);
	FAILS(open("none/../mark", O_RDONLY), ENOENT);
	OK(symlink("l/../mark", "m"));
	STR(get("m"), "in a");
	OK(symlink("..", "a/up"));
	STR(get("a/up/mark"), "top");
	STR(get("a/up/a/up/mark"), "top");
}

TEST(slashes, "trailing slashes and dots follow a link")
{
	struct stat st;

	OK(mkdir("d", 0700));
	put("f", "");
	OK(symlink("d", "ld"));
	OK(symlink("f", "lf"));
	OK(lstat("ld", &st));
	TRUE(S_ISLNK(st.st_mode));
	OK(lstat("ld/", &st));
	TRUE(S_ISDIR(st.st_mode));
	OK(lstat("ld/.", &st));
	TRUE(S_ISDIR(st.st_mode));
	FAILS(lstat("lf/", &st), ENOTDIR);
	FAILS(stat("f/", &st), ENOTDIR);
	FAILS(stat("f/.", &st), ENOTDIR);
	FAILS(stat("lf/.", &st), ENOTDIR);
	STR(link_of("ld"), "d");
	FAILS(readlink("ld/", (char[4]){ 0 }, 4), EINVAL);
	OK(lstat("d//", &st));
	OK(lstat(".//d///.//", &st));
	TRUE(S_ISDIR(st.st_mode));
}

TEST(long_target, "a target of 4095 bytes; a link whose expansion is too long")
{
	char buf[PATH_MAX + 8], back[PATH_MAX + 8];
	int max = on_fuse() ? 1000 : 4095;

	memset(buf, 0, sizeof(buf));
	for (int i = 0; i < max; i++)
		buf[i] = i % 100 == 99 ? '/' : 'x';
	OK(symlink(buf, "l"));
	EQ(readlink("l", back, sizeof(back)), max);
	EQ(memcmp(buf, back, (size_t)max), 0);
	memset(buf, 'y', PATH_MAX);
	FAILS(symlink(buf, "m"), ENAMETOOLONG);
	memset(buf, 0, sizeof(buf));
	for (int i = 0; i < (on_fuse() ? 900 : 2040); i += 2)
		memcpy(buf + i, "./", 2);
	put("f", "far");
	strcat(buf, "f");
	OK(symlink(buf, "longer"));
	STR(get("longer"), "far");
}

TEST(proc_self, "/proc/self is a link to a number; magic links")
{
	char name[64], want[PATH_MAX];
	struct stat a, b;
	int fd;

	snprintf(name, sizeof(name), "%d", getpid());
	STR(link_of("/proc/self"), name);
	REQUIRE(getcwd(want, sizeof(want)));
	STR(link_of("/proc/self/cwd"), want);
	STR(link_of("/proc/self/root"), "/");
	put("f", "magic");
	STR(get("/proc/self/cwd/f"), "magic");
	fd = MUST(open(".", O_RDONLY | O_DIRECTORY));
	snprintf(name, sizeof(name), "/proc/self/fd/%d/f", fd);
	STR(get(name), "magic");
	OK(stat("/proc/self/cwd", &a));
	OK(stat(".", &b));
	EQ(a.st_ino, b.st_ino);
	OK(lstat("/proc/self/cwd", &a));
	TRUE(S_ISLNK(a.st_mode));
}

TEST(owner, "lchown, utimensat and chmod at links")
{
	struct timespec t[2] = { { 1000, 0 }, { 2000, 0 } };
	struct stat st, target_st;

	put("f", "");
	OK(symlink("f", "l"));
	OK(utimensat(AT_FDCWD, "l", t, AT_SYMLINK_NOFOLLOW));
	OK(lstat("l", &st));
	EQ(st.st_mtime, 2000);
	OK(stat("f", &target_st));
	TRUE(target_st.st_mtime != 2000);
	OK(fchownat(AT_FDCWD, "l", geteuid(), getegid(), AT_SYMLINK_NOFOLLOW));
	OK(chmod("l", 0640));
	OK(stat("f", &st));
	EQ(st.st_mode, S_IFREG | 0640);
}

/* By every call that looks at a path in a way of its own. */
static void is_the_one(const char *name, ino_t ino, mode_t mode, off_t size)
{
	struct stat st;
	struct statx x;
	int fd;

	for (int i = 0; i < 4; i++) {		/* what was found the first time may be remembered */
		OK(stat(name, &st));
		EQ(st.st_ino, ino);
		OK(statx(AT_FDCWD, name, 0, STATX_INO | STATX_TYPE, &x));
		EQ(x.stx_ino, ino);
		OK(chmod(name, mode));
		OK(access(name, R_OK));
		if (geteuid())
			EQ(access(name, X_OK), mode & 0100 ? 0 : -1);
		EQ(faccessat(AT_FDCWD, name, X_OK, AT_EACCESS), mode & 0111 ? 0 : -1);
		fd = MUST(open(name, O_RDONLY));
		OK(fstat(fd, &st));
		EQ(st.st_ino, ino);
		EQ(st.st_mode & 07777, mode);
		OK(close(fd));
		OK(truncate(name, size + i));
		OK(stat(name, &st));
		EQ(st.st_size, size + i);
	}
}

static ino_t ino_of(const char *name)
{
	struct stat st;

	OK(stat(name, &st));
	return st.st_ino;
}

TEST(becomes, "what has been looked at often becomes a link, a link to another, a file, a directory's; nothing of before is believed")
{
	ino_t one, two, three;
	char name[80];

	OK(mkdir("d", 0700));
	OK(mkdir("e", 0700));
	put("d/f", "one");
	put("two", "two");
	put("e/f", "three");
	one = ino_of("d/f");
	two = ino_of("two");
	three = ino_of("e/f");
	is_the_one("d/f", one, 0600, 10);
	OK(rename("d/f", "d/one"));
	OK(symlink("../two", "d/f"));
	is_the_one("d/f", two, 0700, 20);
	EQ(ino_of("d/one"), one);
	OK(unlink("d/f"));
	FAILS(access("d/f", F_OK), ENOENT);
	OK(symlink("one", "new"));
	OK(rename("new", "d/f"));
	is_the_one("d/f", one, 0640, 30);
	OK(rename("d/one", "d/f"));
	is_the_one("d/f", one, 0710, 40);
	is_the_one("e/f", three, 0600, 50);
	if (!rename("d", "old"))	/* not everywhere can directories be moved */
		OK(symlink("e", "d"));
	snprintf(name, sizeof(name), "%s", faccessat(AT_FDCWD, "old", F_OK, 0) ? "e/f" : "d/f");
	is_the_one(name, three, 0755, 60);
}

/* A real directory, where a view has other mounts, with d/f in it. */
static int real_dir(const char *top, const char *name, const char *target)
{
	char path[PATH_MAX];
	int dir;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	OK(mkdir(path, 0700));
	dir = MUST(open(path, O_PATH));
	OK(mkdirat(dir, "d", 0700));
	if (target)
		OK(symlinkat(target, dir, "d/f"));
	else
		OK(close((int)MUST(openat(dir, "d/f", O_WRONLY | O_CREAT, 0600))));
	OK(close(dir));
	return (int)MUST(open(path, O_PATH));	/* of which nothing is known */
}

TEST(same_text, "the same text from two directories is a link in one, to here, and a file in the other: nobody mixes them up")
{
	char top[] = "/tmp/guest-links.XXXXXX", here[PATH_MAX];
	int a, b;

	REQUIRE(getcwd(here, sizeof(here) - 5));
	strcat(here, "/here");
	put("here", "");
	REQUIRE(mkdtemp(top));
	a = real_dir(top, "a", here);
	b = real_dir(top, "b", NULL);
	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 3; j++)
			OK(faccessat(a, "d/f", R_OK, 0));
		OK(faccessat(b, "d/f", R_OK, 0));
	}
	for (int i = 0; i < 2; i++) {
		OK(unlinkat(i ? b : a, "d/f", 0));
		OK(unlinkat(i ? b : a, "d", AT_REMOVEDIR));
		OK(rmdir(strcat(strcpy(here, top), i ? "/b" : "/a")));
	}
	OK(rmdir(top));
}

TEST(goes, "a file by whose name directories have been looked for goes, and comes back as one")
{
	struct stat st;

	put("f", "");
	OK(symlink("f", "l"));
	for (int i = 0; i < 3; i++) {
		FAILS(lstat("f/x", &st), ENOTDIR);
		FAILS(access("l/x", F_OK), ENOTDIR);
		FAILS(open("l/x", O_RDWR | O_CREAT, 0600), ENOTDIR);
		OK(i ? unlink("f") : rename("f", "g"));
		FAILS(lstat("f/x", &st), ENOENT);
		FAILS(access("l/x", F_OK), ENOENT);
		FAILS(open("l/x", O_RDWR | O_CREAT, 0600), ENOENT);
		OK(mkdir("f", 0700));
		FAILS(stat("l/x", &st), ENOENT);
		put("l/x", "x");
		STR(get("f/x"), "x");
		OK(unlink("f/x"));
		OK(rmdir("f"));
		put("f", "");
	}
}
