/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * real_fs on the fast way: nobody has looked at the last name yet, so each operation that would follow a
 * link must notice one and say -UM_EAGAIN, without having touched what the link leads to; and what makes
 * links or moves directories must say so (view_links_changed).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/fs.h>
#include <asm/statfs.h>
#include "shim.h"
#include "tap.h"
#include "../../src/kernel/path.h"
#include "../../src/kernel/fs/real.h"
#include "../../src/wire/world.h"
#include "../../src/kernel/view.h"
#include <sys/mman.h>

static struct task task;
static struct um_world *world;
static char dir[] = "/tmp/umview-real-XXXXXX";

/* name in the test's directory, as the resolver gives it on the fast way */
static struct where *at(const char *name, unsigned flags)
{
	static struct where w[2];
	static unsigned turn;
	struct where *p = &w[turn++ % 2];

	memset(p, 0, sizeof *p);
	p->t = &task;
	p->fs = &real_fs;
	p->flags = flags;
	p->dfd = AT_FDCWD;
	p->fast = true;
	snprintf(p->path, sizeof p->path, "%s/%s", dir, name);
	p->upath = (gaddr)p->path;
	return p;
}

static uint64_t bumps(void)
{
	static uint64_t seen;
	uint64_t n = world->links - seen;

	seen = world->links;
	return n;
}

static void test_follow(void)
{
	struct timespec64 ts[2] = { { 1, 0 }, { 2, 0 } };
	struct stat st;
	struct statx sx;
	struct statfs sf;
	char value[4];

	is_int(real_fs.stat(at("file", 0), (gaddr)&st), 0, "stat of a file");
	ok(S_ISREG(st.st_mode), "... is one");
	is_int(real_fs.stat(at("link", 0), (gaddr)&st), -UM_EAGAIN, "stat of a link that is to be followed");
	is_int(real_fs.stat(at("link", WHERE_NOFOLLOW), (gaddr)&st), 0, "lstat of it");
	ok(S_ISLNK(st.st_mode), "... is one");
	is_int(real_fs.stat(at("none", 0), (gaddr)&st), -ENOENT, "stat of nothing");
	is_int(real_fs.stat(at("file", 0), 16), -EFAULT, "stat to a bad address");
	is_int(real_fs.statx(at("file", 0), 0, 0, (gaddr)&sx), 0, "statx of a file");
	is_int(real_fs.statx(at("link", 0), 0, 0, (gaddr)&sx), -UM_EAGAIN, "statx of a link");
	is_int(real_fs.statx(at("link", WHERE_NOFOLLOW), 0, STATX_BASIC_STATS, (gaddr)&sx), 0, "... unfollowed");
	is_int(real_fs.access(at("file", 0), 4, 0), 0, "access of a file");
	is_int(real_fs.access(at("link", 0), 4, 0), -UM_EAGAIN, "access of a link");
	is_int(real_fs.access(at("dangling", 0), 0, 0), -UM_EAGAIN, "access of a link to nothing");
	is_int(real_fs.access(at("none", 0), 0, 0), -ENOENT, "access of nothing");
	is_int(real_fs.chmod(at("file", 0), 0640, 0), 0, "chmod of a file");
	is_int(real_fs.chmod(at("link", 0), 0600, 0), -UM_EAGAIN, "chmod of a link");
	is_int(real_fs.chown(at("file", 0), ~0u, ~0u), 0, "chown of a file");
	is_int(real_fs.chown(at("link", 0), ~0u, ~0u), -UM_EAGAIN, "chown of a link");
	is_int(real_fs.utimens(at("link", 0), ts), -UM_EAGAIN, "utimens of a link");
	is_int(real_fs.utimens(at("file", 0), ts), 0, "utimens of a file");
	is_int(real_fs.truncate(at("link", 0), 0), -UM_EAGAIN, "truncate of a link");
	is_int(real_fs.statfs(at("link", 0), (gaddr)&sf), -UM_EAGAIN, "statfs of a link");
	is_int(real_fs.getxattr(at("link", 0), "user.x", (gaddr)value, 4), -UM_EAGAIN, "getxattr of a link");
	is_int(real_fs.chdir(at("dirlink", 0)), -UM_EAGAIN, "chdir to a link");
	real_fs.stat(at("file", 0), (gaddr)&st);
	ok(st.st_size == 5 && (st.st_mode & 07777) == 0640 && st.st_mtime == 2, "the file behind the link is as it was");
}

static long open_close(const char *name, unsigned where, int flags)
{
	long fd = real_fs.open(at(name, where), flags, 0600), shown;

	if (fd < 0)
		return fd;
	shown = raw_syscall(__NR_fcntl, fd, F_GETFL);
	close((int)fd);
	return shown;
}

static void test_open(void)
{
	is_int(open_close("file", 0, O_RDONLY), 0100000, "open; F_GETFL shows no O_NOFOLLOW");
	is_int(open_close("link", 0, O_RDONLY), -UM_EAGAIN, "open of a link");
	is_int(open_close("link", 0, O_PATH), -UM_EAGAIN, "open of a link with O_PATH");
	is_int(open_close("link", 0, O_WRONLY | O_CREAT | O_TRUNC), -UM_EAGAIN, "creation over a link");
	is_int(open_close("dangling", 0, O_WRONLY | O_CREAT), -UM_EAGAIN, "creation through a link to nothing");
	is_int(open_close("dangling", WHERE_NOFOLLOW, O_WRONLY | O_CREAT | O_EXCL), -EEXIST, "... exclusive");
	is_int(open_close("link", WHERE_NOFOLLOW, O_RDONLY | O_NOFOLLOW), -ELOOP, "open of a link with O_NOFOLLOW");
	is_int(open_close("link", WHERE_NOFOLLOW, O_PATH | O_NOFOLLOW), O_PATH | O_NOFOLLOW, "... and O_PATH");
	is_int(open_close("dirlink", 0, O_RDONLY | O_DIRECTORY), -UM_EAGAIN, "open of a link to a directory");
	is_int(open_close("file", 0, O_RDONLY | 0x40000000), 0100000, "a flag that openat ignores");
	is_int(open_close("file", 0, O_PATH | O_RDWR | O_CREAT), O_PATH, "O_PATH ignores the rest");
	is_int(open_close("new", 0, O_RDWR | O_CREAT | O_APPEND), 0100000 | O_RDWR | O_APPEND, "creation");
	is_int(open_close("none", 0, O_RDONLY), -ENOENT, "open of nothing");
}

static void test_bumps(void)
{
	bumps();
	is_int(real_fs.mkdir(at("d", 0), 0755), 0, "mkdir");
	is_int(real_fs.rename(at("file", 0), at("file2", 0), 0), 0, "rename of a file");
	is_int(real_fs.link(at("file2", WHERE_NOFOLLOW), at("file", 0), 0), 0, "link of a file");
	is_int(real_fs.unlink(at("file2", 0), 0), 0, "unlink");
	is_int(bumps(), 0, "none of these can change a prefix");
	is_int(real_fs.symlink(at("s", 0), "x"), 0, "symlink");
	is_int(bumps(), 1, "... can");
	is_int(real_fs.symlink(at("s", 0), "x"), -EEXIST, "symlink over another");
	is_int(bumps(), 0, "... did not");
	is_int(real_fs.rename(at("d", 0), at("e", 0), 0), 0, "rename of a directory");
	is_int(bumps(), 1, "... can");
	is_int(real_fs.rename(at("s", 0), at("s2", 0), 0), 0, "rename of a link");
	is_int(bumps(), 1, "... can");
	is_int(real_fs.link(at("s2", WHERE_NOFOLLOW), at("s3", 0), 0), 0, "link of a link");
	is_int(bumps(), 1, "... can");
	is_int(real_fs.rename(at("e", 0), at("file", 0), RENAME_EXCHANGE), 0, "exchange of a directory and a file");
	is_int(bumps(), 1, "... can");
	is_int(real_fs.link(at("link", 0), at("s4", 0), AT_SYMLINK_FOLLOW), -UM_EAGAIN, "link of what a link leads to");
	is_int(real_fs.unlink(at("file", 0), AT_REMOVEDIR), 0, "rmdir");
	is_int(bumps(), 0, "... cannot");
}

static void script(const char *text)
{
	char command[400];

	snprintf(command, sizeof command, "cd %s && %s", dir, text);
	if (system(command))
		exit(99);
}

int main(void)
{
	plan(0);
	process.world_fd = memfd_create("world", MFD_CLOEXEC);
	if (process.world_fd < 0 || ftruncate(process.world_fd, UM_WORLD_SIZE) < 0 || view_map_world() < 0 ||
	    view_map(0) < 0)
		return 99;
	world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED, process.world_fd, 0);
	process.pid = getpid();
	if (!mkdtemp(dir))
		return 99;
	script("printf hello >file; ln -s file link; ln -s nothing dangling; mkdir sub; ln -s sub dirlink");
	test_follow();
	test_open();
	test_bumps();
	script("rm -r *");
	rmdir(dir);
	return done();
}
