/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The path resolver against a matrix: for each path what must be found.  Every line is resolved three times,
 * so that what was remembered is used too.
 */
#include "path_rig.h"

/* ---- the matrix -------------------------------------------------------------------------------------- */

#define NF WHERE_NOFOLLOW
#define EN WHERE_ENTRY
#define CR WHERE_CREATE
#define PA (WHERE_PARENT | WHERE_CREATE)
#define VE WHERE_VERIFY

static const struct line real_paths[] = {
	{ "/", 0, "/" }, { "//", 0, "/" }, { "/..", 0, "/" }, { "T", 0, "T" }, { "T/", 0, "T" }, { "T/.", 0, "T" },
	{ "T/dir", 0, "T/dir" }, { "T/dir/", 0, "T/dir" }, { "T//dir///sub//", 0, "T/dir/sub" },
	{ "T/dir/./sub/.", 0, "T/dir/sub" }, { "T/dir/sub/..", 0, "T/dir" }, { "T/dir/sub/../file", 0, "T/dir/file" },
	{ "T/file", 0, "T/file" }, { "T/file/", 0, "ENOTDIR" }, { "T/file/.", 0, "ENOTDIR" }, { "T/file/..", 0, "ENOTDIR" },
	{ "T/file/x", 0, "ENOTDIR" }, { "T/none", 0, "ENOENT" }, { "T/none/x", 0, "ENOENT" }, { "T/none/../file", 0, "ENOENT" },
	{ "T/link", 0, "T/dir" }, { "T/link", NF, "T/link" }, { "T/link/", NF, "T/dir" }, { "T/link/file", 0, "T/dir/file" },
	{ "T/link/sub/deep/f", 0, "T/dir/sub/deep/f" }, { "T/link/..", 0, "T" }, { "T/abs", 0, "T/dir/sub" },
	{ "T/abs/deep/f", 0, "T/dir/sub/deep/f" }, { "T/abs/..", 0, "T/dir" }, { "T/abs/tofile", 0, "T/dir/file" },
	{ "T/abs/tofile", NF, "T/dir/sub/tofile" }, { "T/dangling", 0, "ENOENT" }, { "T/dangling", NF, "T/dangling" },
	{ "T/loop1", 0, "ELOOP" }, { "T/loop1/x", 0, "ELOOP" }, { "T/loop1", NF, "T/loop1" }, { "T/fileslash", 0, "ENOTDIR" },
	{ "T/dirslash", 0, "T/dir" }, { "T/link", VE, "T/dir" }, { "T/dir", VE, "T/dir" }, { "T/dir/sub", EN, "T/dir/sub" },
	{ "T/newdir/", EN | CR, "new" }, { "T/newdir", EN | CR, "new" }, { "T/newreal", CR, "new" }, { "T/link", EN, "T/link" },
	{ "T/dirx/f", 0, "T/dirx/f" }, { "", 0, "ENOENT" }, { "T/dir/file", PA, "T/dir/file" }, { "T/link", PA, "T/link" },
	{ NULL, 0, NULL },
};

static const struct line mount_paths[] = {
	{ "T/mnt", 0, "s1:/" }, { "T/mnt/", 0, "s1:/" }, { "T/mnt/.", 0, "s1:/" }, { "T/mnt", NF, "s1:/" }, { "T/mnt", EN, "EBUSY" }, { "T/mnt", EN | CR, "error -17" },
	{ "T/mnt/a", 0, "s1:/a" }, { "T/mnt//a/", 0, "s1:/a" }, { "T/mnt/a/f", 0, "s1:/a/f" }, { "T/mnt/a/f/", 0, "ENOTDIR" },
	{ "T/mnt/a/f/x", 0, "ENOTDIR" }, { "T/mnt/under", 0, "ENOENT" }, { "T/mnt/none/x", 0, "ENOENT" },
	{ "T/mnt/..", 0, "T" }, { "T/mnt/../file", 0, "T/file" }, { "T/mnt/../mnt/a", 0, "s1:/a" }, { "T/mnt/a/..", 0, "s1:/" },
	{ "T/mnt/a/../b/x", 0, "s1:/b/x" }, { "T/mnt/a/../../file", 0, "T/file" }, { "T/mnt/a/f/..", 0, "ENOTDIR" },
	{ "T/mnt/none/..", 0, "ENOENT" }, { "T/dir/../mnt/b", 0, "s1:/b" }, { "T/none/../mnt/b", 0, "ENOENT" },
	{ "T/file/../mnt/b", 0, "ENOTDIR" }, { "T/mntx", 0, "ENOENT" }, { "T/mn", 0, "ENOENT" },
	{ "T/mnt/../../../../../..", 0, "/" },
	/* links from real to virtual, within, and out */
	{ "T/tomnt", 0, "s1:/" }, { "T/tomnt", NF, "T/tomnt" }, { "T/tomnt/", NF, "s1:/" }, { "T/tomnt/a/f", 0, "s1:/a/f" },
	{ "T/absmnt", 0, "s1:/a" }, { "T/absmnt/f", 0, "s1:/a/f" }, { "T/absmnt/../b", 0, "s1:/b" }, { "T/dir/up", 0, "s1:/b" },
	{ "T/dir/up/x", 0, "s1:/b/x" }, { "T/link/up/x", 0, "s1:/b/x" }, { "T/mnt/rel", 0, "s1:/a/f" }, { "T/mnt/rel", NF, "s1:/rel" },
	{ "T/mnt/rel/", NF, "ENOTDIR" }, { "T/mnt/rel", EN, "s1:/rel" }, { "T/mnt/abs", 0, "T/dir/file" }, { "T/mnt/up", 0, "T/file" },
	{ "T/mnt/toa/f", 0, "s1:/a/f" }, { "T/mnt/toa", NF, "s1:/toa" }, { "T/mnt/toa/", NF, "s1:/a" },
	{ "T/mnt/selfabs", 0, "s1:/a/f" }, { "T/mnt/out", 0, "T/dir/sub" }, { "T/mnt/out/deep/f", 0, "T/dir/sub/deep/f" },
	{ "T/mnt/out/tofile", 0, "T/dir/file" }, { "T/mnt/out/..", 0, "T/dir" }, { "T/mnt/chain", 0, "s1:/a/f" },
	{ "T/mnt/lo", 0, "ELOOP" }, { "T/mnt/lo/x", 0, "ELOOP" }, { "T/mnt/lo", NF, "s1:/lo" }, { "T/mnt/bdots", 0, "s1:/a" },
	{ "T/mnt/bdots/f", 0, "s1:/a/f" }, { "T/mnt/toa/..", 0, "s1:/" }, { "T/mnt/toa/../b/x", 0, "s1:/b/x" },
	{ "T/mnt/slash", 0, "s1:/a" }, { "T/mnt/bdots/../toa/", NF, "s1:/a" }, { "T/mnt/d2/toa/", NF, "s1:/a" },
	{ "T/mnt/d2/toa/.", NF, "s1:/a" }, { "T/mnt/d2/rel/", NF, "ENOTDIR" }, { "T/mnt/d2/toa", NF, "s1:/toa" }, { "T/mnt/fslash", 0, "ENOTDIR" }, { "T/mnt/root", 0, "/" }, { "T/mnt/missing", 0, "ENOENT" },
	{ "T/mnt/rel", VE, "s1:/a/f" }, { "T/mnt/deep/er/g", 0, "s1:/deep/er/g" }, { "T/mnt/deep/er/../../b/x", 0, "s1:/b/x" },
	/* mounts on mounts, that do not exist, on files */
	{ "T/mnt/a/inner", 0, "s2:/" }, { "T/mnt/a/inner/in", 0, "s2:/in" }, { "T/mnt/a/inner/hidden", 0, "ENOENT" },
	{ "T/mnt/a/inner/..", 0, "s1:/a" }, { "T/mnt/a/inner/../f", 0, "s1:/a/f" }, { "T/mnt/toa/inner/in", 0, "s2:/in" },
	{ "T/mnt/b/toinner/in", 0, "s2:/in" }, { "T/mnt/a/inner/back", 0, "s1:/a/f" }, { "T/ghost/deep/m/g", 0, "s3:/g" },
	{ "T/ghost", 0, "ENOENT" }, { "T/ghost/deep", 0, "ENOENT" }, { "T/ghost/other", 0, "ENOENT" },
	{ "T/ghost/deep/../deep/m/g", 0, "s3:/g" }, { "T/ghost/deep/m/..", 0, "ENOENT" }, { "T/ghost/deep/m/../../../file", 0, "T/file" },
	{ "T/file2", 0, "s4:/" }, { "T/file2/", 0, "ENOTDIR" }, { "T/file2/x", 0, "ENOTDIR" }, { "T/file2/..", 0, "ENOTDIR" },
	{ "T/file2/.", 0, "ENOTDIR" },
	/* making and removing */
	{ "T/mnt/new/", CR, "error -21" }, { "T/mnt/none/new/", CR, "ENOENT" }, { "T/mnt/a/f/new/", CR, "ENOTDIR" }, { "T/mnt/a/", CR, "error -21" },
	{ "T/mnt/none/.", EN | CR, "ENOENT" }, { "T/mnt/a/f/.", EN, "ENOTDIR" }, { "T/mnt/toa/.", EN, "s1:/a" }, { "T/mnt/../none/.", EN, "ENOENT" },
	{ "T/mnt/new", CR, "s1:new new" }, { "T/mnt/new", EN | CR, "s1:new new" }, { "T/mnt/new/", EN | CR, "s1:new new" },
	{ "T/newinmnt", CR, "s1:new new" }, { "T/newinmnt", EN | CR, "T/newinmnt" }, { "T/mnt/missing", CR, "s1:new nowhere" },
	{ "T/mnt/new", PA, "s1:/ + new" }, { "T/mnt/a/new", PA, "s1:/a + new" }, { "T/mnt/toa/new", PA, "s1:/a + new" },
	{ "T/mnt/toa", PA, "s1:/ + toa" }, { "T/mnt/toa/", PA, "s1:/ + toa" }, { "T/mnt/bdots/new", PA, "s1:/a + new" },
	{ "T/mnt/none/new", PA, "ENOENT" }, { "T/mnt/a/f/new", PA, "ENOTDIR" }, { "T/tomnt/b/new", PA, "s1:/b + new" },
	{ "T/mnt", PA, "EBUSY" }, { "T/mnt/a/inner", PA, "EBUSY" }, { "T/mnt/a", PA, "EBUSY" }, { "T/ghost", PA, "EBUSY" },
	{ NULL, 0, NULL },
};

static const struct line bind_paths[] = {
	{ "T/b", 0, "T/dir" }, { "T/b/", 0, "T/dir" }, { "T/b/file", 0, "T/dir/file" }, { "T/b/sub/deep/f", 0, "T/dir/sub/deep/f" },
	{ "T/b/..", 0, "T" }, { "T/b/../file", 0, "T/file" }, { "T/b/sub/../..", 0, "T" }, { "T/b/sub/..", 0, "T/dir" },
	{ "T/b/sub/tofile", 0, "T/dir/file" }, { "T/b/up/x", 0, "s1:/b/x" }, { "T/b/up", NF, "T/dir/up" }, { "T/b/none", 0, "ENOENT" },
	{ "T/b/file/x", 0, "ENOTDIR" }, { "T/b/file/..", 0, "ENOTDIR" }, { "T/b/none/..", 0, "ENOENT" }, { "T/b/new", EN | CR, "new" },
	{ "T/bm", 0, "s1:/a" }, { "T/bm/f", 0, "s1:/a/f" }, { "T/bm/..", 0, "T" }, { "T/bm/inner/in", 0, "s2:/in" },
	{ "T/bm/inner/..", 0, "s1:/a" }, { "T/bm/inner/../..", 0, "T" }, { "T/bm/inner/back", 0, "s1:/a/f" }, { "T/bm/new", PA, "s1:/a + new" },
	{ "T/bb/deep/f", 0, "T/dir/sub/deep/f" }, { "T/bb/..", 0, "T" }, { "T/bb/tofile", 0, "T/file" }, { "T/bf", 0, "T/dir/file" },
	{ "T/bf/", 0, "ENOTDIR" }, { "T/bf/..", 0, "ENOTDIR" }, { "T/b/newmnt/n", 0, "s5:/n" }, { "T/b/newmnt/../file", 0, "T/dir/file" },
	{ "T/dir/newmnt", 0, "ENOENT" }, { "T/dir/sub/older/old/o", 0, "s6:/old/o" }, { "T/b/sub/older/old/o", 0, "s6:/old/o" },
	{ "T/bb/older/old/o", 0, "s6:/old/o" }, { "T/bb/older/..", 0, "T/dir/sub" }, { "T/bb/older/old/../..", 0, "T/dir/sub" },
	{ "T/dir/self/dir/file", 0, "T/dir/file" }, { "T/dir/self/dir/self", 0, "ENOENT" }, { "T/dir/self/b/file", 0, "T/dir/file" },
	{ "T/dir/self/mnt/a/f", 0, "s1:/a/f" }, { "T/dir/self/..", 0, "T/dir" }, { "T/b", PA, "EBUSY" }, { "T/b/file", PA, "T/dir/file" },
	{ NULL, 0, NULL },
};

static const struct line relative_real[] = {	/* from T */
	{ "dir", 0, "T/dir" }, { "dir/file", 0, "T/dir/file" }, { "./dir", 0, "T/dir" }, { ".", 0, "T" }, { "./", 0, "T" }, { "..", 0, "/tmp" },
	{ "link/file", 0, "T/dir/file" }, { "link", 0, "T/dir" }, { "abs", 0, "T/dir/sub" }, { "file", 0, "T/file" }, { "file/", 0, "ENOTDIR" },
	{ "mnt", 0, "s1:/" }, { "mnt/a/f", 0, "s1:/a/f" }, { "./mnt/a", 0, "s1:/a" }, { "mnt/..", 0, "T" }, { "dir/../mnt/b", 0, "s1:/b" },
	{ "tomnt", 0, "s1:/" }, { "dir/up/x", 0, "s1:/b/x" }, { "b/file", 0, "T/dir/file" }, { "ghost/deep/m/g", 0, "s3:/g" },
	{ "", 0, "ENOENT" }, { "none", 0, "ENOENT" }, { "mnt/new", PA, "s1:/ + new" }, { "mnt", PA, "EBUSY" }, { "dangling", NF, "T/dangling" },
	{ "mnt/../dir/file", 0, "T/dir/file" }, { "../../..", 0, "/" }, { "newdir/", EN | CR, "new" },
	{ NULL, 0, NULL },
};

static const struct line relative_plain[] = {	/* from T/dir/sub/deep, nothing virtual below */
	{ "f", 0, "T/dir/sub/deep/f" }, { "./f", 0, "T/dir/sub/deep/f" }, { "..", 0, "T/dir/sub" }, { "../tofile", 0, "T/dir/file" },
	{ "../../../mnt/a/f", 0, "s1:/a/f" }, { "../older/old/o", 0, "s6:/old/o" }, { "none", 0, "ENOENT" }, { ".", 0, "T/dir/sub/deep" },
	{ NULL, 0, NULL },
};

static const struct line relative_virtual[] = {	/* from s1:/a */
	{ "f", 0, "s1:/a/f" }, { "./f", 0, "s1:/a/f" }, { ".", 0, "s1:/a" }, { "..", 0, "s1:/" }, { "../b/x", 0, "s1:/b/x" }, { "../..", 0, "T" },
	{ "../../file", 0, "T/file" }, { "inner/in", 0, "s2:/in" }, { "inner/..", 0, "s1:/a" }, { "../rel", 0, "s1:/a/f" }, { "none", 0, "ENOENT" },
	{ "f/", 0, "ENOTDIR" }, { "f/..", 0, "ENOTDIR" }, { "", 0, "ENOENT" }, { "../abs", 0, "T/dir/file" }, { "../up", 0, "T/file" },
	{ "new", PA, "s1:/a + new" }, { "../new", PA, "s1:/ + new" }, { "inner", PA, "EBUSY" }, { "", WHERE_EMPTY, "s1:/a" },
	{ "../out/deep/f", 0, "T/dir/sub/deep/f" }, { "../../dir/up", 0, "s1:/b" }, { "/", 0, "/" }, { "T/file", 0, "T/file" },
	{ NULL, 0, NULL },
};
/* ---- special places ---------------------------------------------------------------------------------- */

static void test_relative(void)
{
	int fd = open_path(T), plain = open_path(in_t("dir/sub/deep")), v = virtual_fd(s1, "/a"), file = virtual_fd(s1, "/a/f");

	check("fd", fd, relative_real);
	check("plain fd", plain, relative_plain);
	check("virtual fd", v, relative_virtual);
	raw_syscall(__NR_chdir, T);
	fsinfo_moved(&task, NULL);
	check("cwd", AT_FDCWD, relative_real);
	raw_syscall(__NR_chdir, in_t("dir/sub/deep"));
	fsinfo_moved(&task, NULL);
	check("plain cwd", AT_FDCWD, relative_plain);
	is_int(fsinfo_set_cwd(&task, virtual_dir(s1, "/a")), 0, "virtual cwd");
	check("virtual cwd", AT_FDCWD, relative_virtual);
	is_str(resolve(file, "x", 0), "ENOTDIR", "a virtual file is no directory");
	is_str(resolve(file, "", WHERE_EMPTY), "s1:/a/f", "but itself by the empty path");
	is_str(resolve(process.world_fd, "x", 0), "EBADF", "the world's descriptor is not there");
	is_str(resolve(process.world_fd, "", WHERE_EMPTY), "EBADF", "nor by the empty path");
	is_int(where_begin(&last_where, &task, fd, 0, WHERE_EMPTY), 0, "NULL is empty, too");
	is_int(where_begin(&last_where, &task, fd, 0, 0), -EFAULT, "but only there");
	is_str(resolve(777, "x", 0), "EBADF", "a closed descriptor");
	is_str(resolve(777, "T/file", 0), "T/file", "does not matter for an absolute path");
	fsinfo_set_cwd(&task, NULL);
	raw_syscall(__NR_chdir, "/");
	close_virtual_fd(v);
	close_virtual_fd(file);
	raw_syscall(__NR_close, fd);
	raw_syscall(__NR_close, plain);
}

static const struct line proc_paths[] = {
	{ "/proc/self/exe", 0, "s1:/a/f" }, { "/proc/self/exe", NF, "proc 2" }, { "/proc/thread-self/exe", 0, "s1:/a/f" },
	{ "T/exelink", 0, "s1:/a/f" }, { "/proc/self/exe/", 0, "ENOTDIR" }, { "/proc/self/../self/exe", 0, "s1:/a/f" },
	{ "/proc/mounts", 0, "proc 8" }, { "/proc/self/mounts", 0, "proc 8" }, { "/proc/self/mountinfo", 0, "proc 9" },
	{ "T/mtab", 0, "proc 8" }, { "/proc/self/cwd", NF, "proc 3" }, { "/proc/self/cwd/f", 0, "s1:/a/f" },
	{ "/proc/self/cwd", 0, "s1:/a" }, { "/proc/self/cwd/..", 0, "s1:/" }, { "/proc/self/cwd/../../file", 0, "T/file" },
	{ "/proc/1/root", NF, "proc 7" }, { "/proc/self/root/tmp", 0, "/tmp" },
	{ "/dev/fuse", 0, "fuse" }, { "T/fusedev", 0, "fuse" }, { "/dev/../dev/fuse", NF, "fuse" }, { "T/mnt/proc/none", 0, "ENOENT" },
	{ NULL, 0, NULL },
};

static void test_proc(void)
{
	char path[64], buf[4200];
	int fd = virtual_fd(s1, "/a"), file = virtual_fd(s1, "/b/x"), real = open_path(in_t("dir"));
	long n;

	free(process.exe);
	process.exe = strdup(in_t("mnt/a/f"));
	fsinfo_set_cwd(&task, virtual_dir(s1, "/a"));
	check("proc", AT_FDCWD, proc_paths);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	is_str(resolve(AT_FDCWD, path, 0), "s1:/a", "%s, a virtual directory", path);
	is_str(resolve(AT_FDCWD, path, NF), "proc 4", "the link itself");
	n = last_where.fs->readlink(&last_where, (gaddr)buf, sizeof(buf));
	buf[n > 0 ? n : 0] = 0;
	is_str(buf, in_t("mnt/a"), "its text");
	snprintf(path, sizeof(path), "/proc/self/fd/%d/../b/x", fd);
	is_str(resolve(AT_FDCWD, path, 0), "s1:/b/x", "%s", path);
	snprintf(path, sizeof(path), "/dev/fd/%d", file);
	is_str(resolve(AT_FDCWD, path, 0), "s1:/b/x", "%s, a virtual file", path);
	ok(last_where.fs == &remote_fs, "is the file itself");
	snprintf(path, sizeof(path), "/dev/fd/%d/x", file);
	is_str(resolve(AT_FDCWD, path, 0), "ENOTDIR", "%s", path);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d/sub/deep/f", process.pid, real);
	is_str(resolve(AT_FDCWD, path, 0), "T/dir/sub/deep/f", "through a real descriptor");
	snprintf(path, sizeof(path), "/proc/%d/fd/%d/../mnt/a", process.pid, real);
	is_str(resolve(AT_FDCWD, path, 0), "s1:/a", "from a real descriptor into a mount");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", real);
	is_str(resolve(AT_FDCWD, path, 0), "T/dir", "a real descriptor");
	is_str(resolve(AT_FDCWD, path, NF), "proc 7", "its link");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", process.world_fd);
	is_str(resolve(AT_FDCWD, path, NF), "ENOENT", "the agent's own descriptors are not there");
	fsinfo_set_cwd(&task, NULL);
	close_virtual_fd(fd);
	close_virtual_fd(file);
	raw_syscall(__NR_close, real);
}

static void test_mounts_table(void)
{
	static char text[1 << 16];
	long fd, n, r;
	char want[256];

	r = where_begin_path(&last_where, &task, AT_FDCWD, "/proc/self/mounts", 0);
	fd = -1;
	while (where_next(&last_where, &r))
		fd = r = last_where.fs->open(&last_where, O_RDONLY | O_CLOEXEC, 0);
	where_end(&last_where, r);
	ok(fd >= 0, "/proc/self/mounts opens");
	n = raw_syscall(__NR_read, fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	snprintf(want, sizeof(want), "\nimg\\040file %s fuse.test rw,user_id=0 0 0\n", in_t("mnt"));
	ok(strstr(text, want) != NULL, "our mounts are in it");
	is_int(raw_syscall(__NR_write, fd, "x", 1), -EBADF, "read-only");
	ok(raw_syscall(__NR_fcntl, fd, F_GETFD) == FD_CLOEXEC, "close-on-exec");
	raw_syscall(__NR_close, fd);
}

/* ---- canonical paths --------------------------------------------------------------------------------- */

static void test_canonical(void)
{
	static const struct line lines[] = {
		{ "T/link/sub/../file", 0, "T/dir/file" }, { "T/mnt/toa/inner", 0, "T/mnt/a/inner" }, { "T/mnt/bdots", 0, "T/mnt/a" },
		{ "T/mnt/rel", NF, "T/mnt/rel" }, { "T/mnt/none", CR, "T/mnt/none" }, { "T/mnt/toa/none", CR, "T/mnt/a/none" },
		{ "T/mnt/none", 0, "ENOENT" }, { "T/none", 0, "ENOENT" }, { "T/none", CR, "T/none" }, { "T/none/deeper", CR, "T/none/deeper" },
		{ "T/b/sub", 0, "T/b/sub" }, { "T/b/newmnt/n", 0, "T/b/newmnt/n" }, { "/", 0, "/" }, { "T/mnt/out", 0, "T/dir/sub" },
		{ "T/file/x", 0, "ENOTDIR" }, { "T/file/", 0, "ENOTDIR" }, { "T/loop1", 0, "ELOOP" }, { "T/mnt/a/none/x", CR, "ENOENT" },
		{ "T/ghost/deep/m", 0, "T/ghost/deep/m" }, { "T/dangling", CR, "T/nowhere" }, { "T/mnt/missing", CR, "T/mnt/nowhere" },
		{ NULL, 0, NULL },
	};

	for (const struct line *l = lines; l->path; l++) {
		char full[4096], buf[4096], text[4096];
		long r;

		snprintf(full, sizeof(full), "%s%s", l->path[0] == 'T' ? T : "", l->path + (l->path[0] == 'T'));
		r = path_canonical(&task, AT_FDCWD, full, l->flags, buf, sizeof(buf));
		shorten(text, sizeof(text), r < 0 ? error_name(r) : buf);
		is_str(text, l->want, "canonical: %s %x", l->path, l->flags);
	}
}

int main(void)
{
	rig_begin();
	mount_all();
	check("real", AT_FDCWD, real_paths);
	check("mounts", AT_FDCWD, mount_paths);
	check("bind", AT_FDCWD, bind_paths);
	test_relative();
	test_proc();
	test_mounts_table();
	test_canonical();
	return rig_end();
}
