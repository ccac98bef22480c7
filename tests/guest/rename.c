/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rename, renameat2 and its flags; link.
 * GUEST_WORLDS: view mount bind cow bindcow cowmount cowbind cowcow merge fakeroot secure
 */
#include "guest.h"

static ino_t inode(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? 0 : st.st_ino;
}

TEST(plain, "rename moves a file, and keeps it the same file")
{
	ino_t ino;

	put("a", "text");
	ino = inode("a");
	OK(rename("a", "b"));
	TRUE(!exists("a"));
	EQ(inode("b"), ino);
	STR(get("b"), "text");
	OK(mkdir("d", 0700));
	OK(rename("b", "d/c"));
	STR(get("d/c"), "text");
	FAILS(rename("b", "x"), ENOENT);
	FAILS(rename("d/c", "none/x"), ENOENT);
	FAILS(rename("", "x"), ENOENT);
	FAILS(rename("d/c", ""), ENOENT);
	OK(rename("d/c", "d/c"));
	STR(get("d/c"), "text");
}

TEST(over, "rename over a file replaces it; who has it open keeps it")
{
	char buf[8] = "";
	int fd;

	put("a", "new");
	put("b", "old");
	fd = MUST(open("b", O_RDONLY));
	OK(rename("a", "b"));
	STR(get("b"), "new");
	EQ(read(fd, buf, 8), 3);
	STR(buf, "old");
	TRUE(!exists("a"));
}

TEST(matrix, "what may be renamed over what")
{
	put("f", "");
	OK(mkdir("empty", 0700));
	OK(mkdir("full", 0700));
	put("full/x", "");
	OK(symlink("f", "l"));
	FAILS(rename("f", "empty"), EISDIR);
	FAILS(rename("empty", "f"), ENOTDIR);
	FAILS(rename("empty", "full"), ENOTEMPTY);
	FAILS(rename("full", "full/sub"), EINVAL);
	FAILS(rename("full", "full/x"), EINVAL);
	FAILS(rename("f", "full/x/y"), ENOTDIR);
	FAILS(rename("full", "l"), ENOTDIR);
	FAILS(rename(".", "x"), EBUSY);
	FAILS(rename("full/..", "x"), EBUSY);
	FAILS(rename("full", "."), EBUSY);
	FAILS(rename("full/x", ".."), EBUSY);
	OK(rename("full", "empty"));
	TRUE(exists("empty/x"));
	OK(rename("l", "m"));
	OK(rename("f", "m"));
	TRUE(!exists("f"));
}

TEST(slashes, "trailing slashes: for directories only")
{
	put("f", "");
	OK(mkdir("d", 0700));
	FAILS(rename("f/", "g"), ENOTDIR);
	FAILS(rename("f", "g/"), ENOTDIR);
	OK(rename("d/", "e"));
	OK(rename("e", "h/"));
	TRUE(exists("h"));
	OK(symlink("h", "l"));
	FAILS(rename("l/", "k"), ENOTDIR);
	FAILS(rename("h", "l/"), ENOTDIR);
}

TEST(links_same, "rename between two names of one file does nothing")
{
	struct stat st;

	put("a", "x");
	OK(link("a", "b"));
	OK(rename("a", "b"));
	TRUE(exists("a"));
	OK(stat("b", &st));
	EQ(st.st_nlink, 2);
}

TEST(open_directory_moves, "a directory that is open, or is the cwd, moves along")
{
	char cwd[PATH_MAX], base[PATH_MAX];
	int fd;

	REQUIRE(getcwd(base, sizeof(base)));
	OK(mkdir("d", 0700));
	put("d/f", "one");
	fd = MUST(open("d", O_RDONLY | O_DIRECTORY));
	OK(rename("d", "e"));
	OK(faccessat(fd, "f", F_OK, 0));
	OK(close((int)MUST(openat(fd, "g", O_WRONLY | O_CREAT, 0600))));
	TRUE(exists("e/g"));
	OK(chdir("e"));
	OK(rename("../e", "../k"));
	STR(get("f"), "one");
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	STR(cwd + strlen(base), "/k");
	STR(get("../k/f"), "one");
	FAILS(open("../e/f", O_RDONLY), ENOENT);
}

TEST(above, "a rename above an open directory")
{
	char c;
	int dir, fd;

	OK(mkdir("a", 0700));
	OK(mkdir("a/b", 0700));
	OK(mkdir("a/b/c", 0700));
	put("a/b/c/f", "x");
	dir = MUST(open("a/b/c", O_RDONLY | O_DIRECTORY));
	OK(rename("a", "z"));
	fd = MUST(openat(dir, "f", O_RDONLY));
	EQ(read(fd, &c, 1), 1);
	fd = MUST(openat(dir, "../../b/c/f", O_RDONLY));
	EQ(read(fd, &c, 1), 1);
	OK(rename("z/b", "b"));
	fd = MUST(openat(dir, "../c/f", O_RDONLY));
	EQ(read(fd, &c, 1), 1);
	FAILS(openat(dir, "../../z/b", O_RDONLY), ENOENT);
}

TEST(stale_prefix, "a prefix that was a directory and is now a link, and back")
{
	OK(mkdir("one", 0700));
	OK(mkdir("two", 0700));
	put("one/f", "1");
	put("two/f", "2");
	OK(mkdir("p", 0700));
	put("p/f", "p");
	for (int i = 0; i < 50; i++) {
		STR(get("p/f"), "p");
		OK(rename("p", "saved"));
		OK(symlink("one", "p"));
		STR(get("p/f"), "1");
		OK(unlink("p"));
		OK(symlink("two", "p"));
		STR(get("p/f"), "2");
		OK(unlink("p"));
		FAILS(open("p/f", O_RDONLY), ENOENT);
		OK(rename("saved", "p"));
	}
}

TEST(noreplace, "RENAME_NOREPLACE")
{
	put("a", "a");
	put("b", "b");
	if (renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE) < 0 && errno == EINVAL && on_fuse())
		SKIP("this file system has no rename flags");
	TRUE(exists("c"));
	FAILS(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_NOREPLACE), EEXIST);
	STR(get("c"), "a");
	STR(get("b"), "b");
	FAILS(renameat2(AT_FDCWD, "none", AT_FDCWD, "c", RENAME_NOREPLACE), ENOENT);
}

TEST(exchange, "RENAME_EXCHANGE")
{
	put("a", "file");
	OK(mkdir("d", 0700));
	put("d/in", "dir");
	if (renameat2(AT_FDCWD, "a", AT_FDCWD, "d", RENAME_EXCHANGE) < 0 && errno == EINVAL && on_fuse())
		SKIP("this file system has no rename flags");
	STR(get("d"), "file");
	STR(get("a/in"), "dir");
	FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "none", RENAME_EXCHANGE), ENOENT);
	FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "a/in", RENAME_EXCHANGE), EINVAL);
}

TEST(bad_flags, "unknown and contradicting flags are EINVAL, and nothing moves")
{
	put("a", "a");
	FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", 0x40000000), EINVAL);
	FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
	TRUE(exists("a"));
	TRUE(!exists("b"));
}

TEST(at, "renameat and linkat with directory descriptors")
{
	int d, e;

	OK(mkdir("d", 0700));
	OK(mkdir("e", 0700));
	put("d/f", "f");
	d = MUST(open("d", O_RDONLY | O_DIRECTORY));
	e = MUST(open("e", O_PATH | O_DIRECTORY));
	OK(renameat(d, "f", e, "g"));
	STR(get("e/g"), "f");
	OK(linkat(e, "g", d, "h", 0));
	STR(get("d/h"), "f");
	FAILS(renameat(700, "g", e, "x"), EBADF);
	FAILS(renameat(e, "g", 700, "x"), EBADF);
	OK(renameat(e, "g", AT_FDCWD, "top"));
	STR(get("top"), "f");
}

TEST(hard_links, "link: counts, the same contents, errors")
{
	struct stat st;

	put("a", "text");
	OK(link("a", "b"));
	OK(link("b", "c"));
	OK(stat("a", &st));
	EQ(st.st_nlink, 3);
	EQ(inode("a"), inode("c"));
	put("c", "changed");
	STR(get("a"), "changed");
	OK(unlink("a"));
	OK(stat("b", &st));
	EQ(st.st_nlink, 2);
	STR(get("b"), "changed");
	FAILS(link("b", "c"), EEXIST);
	FAILS(link("none", "d"), ENOENT);
	FAILS(link("b", "none/d"), ENOENT);
	FAILS(link("b/", "d"), ENOTDIR);
	FAILS(link("b", "d/"), ENOENT);
	OK(mkdir("dir", 0700));
	FAILS(link("dir", "dir2"), EPERM);
}

TEST(hard_link_symlink, "link does not follow a symbolic link, unless asked")
{
	struct stat st;

	put("f", "");
	OK(symlink("f", "l"));
	OK(linkat(AT_FDCWD, "l", AT_FDCWD, "m", 0));
	OK(lstat("m", &st));
	TRUE(S_ISLNK(st.st_mode));
	OK(linkat(AT_FDCWD, "l", AT_FDCWD, "n", AT_SYMLINK_FOLLOW));
	OK(lstat("n", &st));
	TRUE(S_ISREG(st.st_mode));
	FAILS(linkat(AT_FDCWD, "l", AT_FDCWD, "o", 0x8000), EINVAL);
}

TEST(cross, "rename and link to another file system: EXDEV")
{
	struct stat here, there;

	put("f", "x");
	OK(stat(".", &here));
	OK(stat("/dev", &there));
	if (here.st_dev == there.st_dev)
		SKIP("/dev is no other file system");
	FAILS(rename("f", "/dev/umview-test"), EXDEV);
	FAILS(link("f", "/dev/umview-test"), EXDEV);
	TRUE(exists("f"));
}

TEST(directories_first, "both directories are looked for before the names in them")
{
	OK(mkdir("m", 0700));
	put("m/f", "");
	put("f", "");
	OK(symlink("none", "dangling"));
	FAILS(rename("f/", "none/x"), ENOENT);
	FAILS(rename("m/f/", "dangling/f"), ENOENT);
	FAILS(rename("none", "f/x"), ENOTDIR);
	FAILS(rename("none/", "m/f/x"), ENOTDIR);
	FAILS(rename("none", "m/f/"), ENOENT);
	FAILS(rename("f/", "m/x"), ENOTDIR);
	FAILS(rename("f/x", "none/x"), ENOTDIR);
	FAILS(rename("none/x", "f/x"), ENOENT);
}

TEST(name_too_long, "an old name that is not there comes before a new one that is too long, a directory that is too long before both")
{
	char name[300], path[PATH_MAX + 320], dir[PATH_MAX];

	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = 0;
	FAILS(rename("none", name), ENOENT);
	TRUE(getcwd(dir, sizeof dir));
	snprintf(path, sizeof path, "/proc/self/root%s/%s", dir, name);
	FAILS(rename("none", path), ENOENT);
	put("f", "");
	FAILS(rename("f", path), ENAMETOOLONG);
	FAILS(rename("f/", path), ENAMETOOLONG);
	OK(mkdir("d", 0700));
	FAILS(rename("d/.", path), EBUSY);
	FAILS(rename("d/..", path), EBUSY);
	FAILS(rename("none/.", path), ENOENT);
	FAILS(rename("f/.", path), ENOTDIR);
	FAILS(rename(path, "d/."), EBUSY);
	FAILS(rename(path, "d/.."), EBUSY);
	FAILS(renameat2(AT_FDCWD, path, AT_FDCWD, "d/.", RENAME_NOREPLACE), EEXIST);
	FAILS(renameat(AT_FDCWD, path, 99, "x"), EBADF);
	strcat(path, "/");
	FAILS(rename("none", path), ENOENT);
	FAILS(rename("d/.", path), EBUSY);
	FAILS(rename("d", path), ENAMETOOLONG);
	path[strlen(path) - 1] = 0;
	FAILS(rename(path, "none/x"), ENOENT);
	FAILS(rename(path, "f/x"), ENOTDIR);
	FAILS(rename(path, "x"), ENAMETOOLONG);
	FAILS(rename(path, "/proc/self/fd/0"), EXDEV);
	FAILS(rename(name, "/proc/self/fd/0"), EXDEV);
	FAILS(rename(name, "/proc/self/fd/.."), EXDEV);
	FAILS(rename(name, name), ENAMETOOLONG);
	FAILS(rename(name, "d/.."), EBUSY);
	FAILS(rename("/proc/self/fd/0", name), EXDEV);
	snprintf(path, sizeof path, "/proc/self/root%s/%s/x", dir, name);
	FAILS(rename("none", path), ENAMETOOLONG);
	FAILS(renameat(AT_FDCWD, path, 99, "x"), ENAMETOOLONG);
}
