/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The path resolver against a matrix: a real tree in a temporary directory, servers mounted into it and bind
 * mounts, and for each path what must be found.  "T" stands for the temporary directory.
 *
 *	T/dir/sub		real
 *	s1:/a/f			node /a/f of server 1
 *	s1:/a + n		WHERE_PARENT: the directory's node and the last name
 *
 * Every line is resolved three times, so that what was remembered is used too.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "tap.h"
#include "fakeworld.h"
#include "../../src/kernel/fd.h"
#include "../../src/kernel/path.h"
#include "../../src/kernel/fs/fuse.h"
#include "../../src/kernel/fs/proc.h"

static char T[64];			/* the temporary directory */
static struct task task;
static struct fw_server *s1, *s2, *s3, *s4, *s5, *s6;

/* ---- what the rest of the agent would be ------------------------------------------------------------- */

static long open_kernel(struct where *w, int flags, unsigned mode)
{
	return kernel_call(w->t, __NR_openat, w->dfd, w->upath, flags, mode);
}

static long readlink_kernel(struct where *w, gaddr buf, size_t size)
{
	return kernel_call(w->t, __NR_readlinkat, w->dfd, w->upath, buf, size);
}

const struct fs_ops real_fs = { .name = "real", .open = open_kernel, .readlink = readlink_kernel };
const struct fs_ops remote_fs = { .name = "remote" };

struct fuse_conn *fuse_conn_join(uint32_t server)
{
	(void)server;
	return NULL;
}

void fuse_conn_leave(struct fuse_conn *c)
{
	(void)c;
}

long fuse_dev_open(struct task *t, int open_flags)
{
	(void)t;
	(void)open_flags;
	return -ENXIO;
}

/* ---- counting our own system calls ------------------------------------------------------------------- */

static int calls;

long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	long r = syscall(nr, a, b, c, d, e, f);

	calls++;
	return r == -1 ? -errno : r;
}

/* ---- resolving --------------------------------------------------------------------------------------- */

static const char *error_name(long r)
{
	static char text[32];

	switch (-r) {
	case ENOENT: return "ENOENT";
	case ENOTDIR: return "ENOTDIR";
	case ELOOP: return "ELOOP";
	case EBUSY: return "EBUSY";
	case EBADF: return "EBADF";
	case EFAULT: return "EFAULT";
	case EACCES: return "EACCES";
	case ENAMETOOLONG: return "ENAMETOOLONG";
	}
	snprintf(text, sizeof(text), "error %ld", r);
	return text;
}

/* Replaces the temporary directory in front by "T". */
static void shorten(char *out, size_t size, const char *path)
{
	size_t n = strlen(T);

	if (!strncmp(path, T, n) && (path[n] == '/' || !path[n]))
		snprintf(out, size, "T%s", path + n);
	else
		snprintf(out, size, "%s", path);
}

static char found[5000];

/* What an operation on a real place sees; creating ones look at the directory only. */
static long find_real(struct where *w)
{
	char link[64], path[4096];
	int nofollow = w->fast || w->flags & (WHERE_NOFOLLOW | WHERE_ENTRY | WHERE_PARENT);
	long fd = kernel_call(w->t, __NR_openat, w->dfd, w->upath, O_PATH | O_CLOEXEC | (nofollow ? O_NOFOLLOW : 0), 0), n;
	struct stat st;

	if (fd == -ENOENT && w->flags & (WHERE_CREATE | WHERE_PARENT)) {
		snprintf(found, sizeof(found), "new");
		return 0;
	}
	if (fd < 0)
		return fd;
	raw_syscall(__NR_fstat, fd, &st);
	snprintf(link, sizeof(link), "/proc/self/fd/%ld", fd);
	n = raw_syscall(__NR_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1);
	raw_syscall(__NR_close, fd);
	path[n] = 0;
	if (w->fast && (st.st_mode & 0170000) == 0120000)
		return -UM_EAGAIN;
	shorten(found, sizeof(found), path);
	return 0;
}

static long find_remote(struct where *w)
{
	int error;
	struct um_slot *s = channel_begin(w->t, w->mount.server, UM_OP_STAT, &error);
	const struct fw_server *v = &fw_servers[w->mount.server];
	long r;

	if (!s)
		return error;
	if (w->flags & WHERE_PARENT && w->last == LAST_NAME) {
		snprintf(found, sizeof(found), "s%u:%s + %s", v->number, fw_path(v, w->base ? w->base : w->handle),
			 w->path + w->rest);
		return strcmp(w->name, w->path + w->rest) ? -EINVAL : 0;
	}
	s->req.walk = w->walk;
	s->req.base = w->base;
	s->req.handle = w->handle;
	channel_path(s, w->path + w->rest, w->len - w->rest);
	r = channel_call(w->t, w->mount.server, s);
	if (r == -ENOENT && w->flags & WHERE_CREATE)
		snprintf(found, sizeof(found), "s%u:new %s", v->number, w->path + w->rest);
	if (r)
		return r == -ENOENT && w->flags & WHERE_CREATE ? 0 : r;
	if (s->rep.status == UM_WALK_LINK)
		return where_link(w, s);
	snprintf(found, sizeof(found), "s%u:%s", v->number, fw_path(v, s->rep.node));
	return 0;
}

static struct where last_where;

/* The result as text, in `found`. */
static const char *resolve(int dfd, const char *path, unsigned flags)
{
	struct where *w = &last_where;
	char full[5000];
	long r;

	if (path && path[0] == 'T' && (path[1] == '/' || !path[1]))
		snprintf(full, sizeof(full), "%s%s", T, path + 1);
	else
		snprintf(full, sizeof(full), "%s", path ? path : "");
	strcpy(found, "nothing");
	r = where_begin(w, &task, dfd, path ? (gaddr)full : 0, flags);
	while (where_next(w, &r)) {
		if (w->fuse_device)
			r = snprintf(found, sizeof(found), "fuse") < 0;
		else
			r = w->fs == &remote_fs ? find_remote(w) : find_real(w);
		if (!r && w->proc)
			snprintf(found, sizeof(found), "proc %d", w->proc);
	}
	r = where_end(w, r);
	if (r < 0)
		strcpy(found, error_name(r));
	return found;
}

struct line { const char *path; unsigned flags; const char *want; };

static void check(const char *what, int dfd, const struct line *l)
{
	for (; l->path; l++) {
		for (int i = 0; i < 3; i++)
			if (strcmp(resolve(dfd, l->path, l->flags), l->want))
				break;
		is_str(found, l->want, "%s: \"%s\" %x", what, l->path, l->flags);
	}
}

/* ---- the world --------------------------------------------------------------------------------------- */

static char long_target[4096];

static struct fw_node tree1[] = {
	{ "/a", 'd', "" }, { "/a/f", 'f', "" }, { "/a/inner", 'd', "" }, { "/a/inner/hidden", 'f', "" }, { "/b", 'd', "" },
	{ "/b/x", 'f', "" }, { "/rel", 'l', "a/f" }, { "/abs", 'l', "?dir/file" }, { "/up", 'l', "../file" },
	{ "/toa", 'l', "a" }, { "/selfabs", 'l', "?mnt/a/f" }, { "/out", 'l', "../dir/sub" }, { "/chain", 'l', "toa/f" },
	{ "/lo", 'l', "lo" }, { "/bdots", 'l', "b/../a" }, { "/b/toinner", 'l', "../a/inner" }, { "/slash", 'l', "a/" },
	{ "/d2", 'l', "." }, { "/root", 'l', "/" }, { "/missing", 'l', "nowhere" }, { "/fslash", 'l', "a/f/" }, { "/deep", 'd', "" },
	{ "/deep/er", 'd', "" }, { "/deep/er/g", 'f', "" }, { "/proc", 'l', "/proc/self/fd" }, { NULL, 0, NULL },
};
static const struct fw_node tree2[] = { { "/in", 'f', "" }, { "/back", 'l', "../f" }, { NULL, 0, NULL } };
static const struct fw_node tree3[] = { { "/g", 'f', "" }, { NULL, 0, NULL } };
static const struct fw_node tree4[] = { { NULL, 0, NULL } };
static const struct fw_node tree5[] = { { "/n", 'f', "" }, { NULL, 0, NULL } };
static const struct fw_node tree6[] = { { "/old", 'd', "" }, { "/old/o", 'f', "" }, { NULL, 0, NULL } };

static char *in_t(const char *path)
{
	static char text[8][4096];
	static int i;

	i = (i + 1) % 8;
	snprintf(text[i], sizeof(text[i]), "%s%s%s", T, *path ? "/" : "", path);
	return text[i];
}

static void make_dir(const char *path)
{
	raw_syscall(__NR_mkdir, in_t(path), 0755);
}

static void make_file(const char *path)
{
	raw_syscall(__NR_close, raw_syscall(__NR_open, in_t(path), O_CREAT | O_WRONLY, 0644));
}

static void make_link(const char *target, const char *path)
{
	raw_syscall(__NR_symlink, target[0] == '?' ? in_t(target + 1) : target, in_t(path));
}

static void make_tree(void)
{
	strcpy(T, "/tmp/um-path-XXXXXX");
	if (!mkdtemp(T))
		abort();
	const char *dirs[] = { "dir", "dir/sub", "dir/sub/deep", "mnt", "mnt/under", "b", "dirx", "fd" };
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		make_dir(dirs[i]);
	const char *files[] = { "file", "file2", "dir/file", "dir/sub/deep/f", "dirx/f" };
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		make_file(files[i]);
	make_link("dir", "link");
	make_link("?dir/sub", "abs");
	make_link("nowhere", "dangling");
	make_link("loop2", "loop1");
	make_link("loop1", "loop2");
	make_link("mnt", "tomnt");
	make_link("?mnt/a", "absmnt");
	make_link("../mnt/b", "dir/up");
	make_link("../file", "dir/sub/tofile");
	make_link("file/", "fileslash");
	make_link("dir/", "dirslash");
	make_link("/dev/fuse", "fusedev");
	make_link("/proc/self/exe", "exelink");
	make_link("mnt/new", "newinmnt");
	make_link("newfile", "newreal");
	for (size_t i = 0; tree1[i].path; i++)
		if (tree1[i].target[0] == '?')
			tree1[i].target = strdup(in_t(tree1[i].target + 1));
}

static void mount_all(void)
{
	s6 = fw_serve(6, tree6);
	fw_mount(UM_MOUNT_REMOTE, in_t("dir/sub/older"), 6, 1, "");	/* before the bind mount of dir */
	s1 = fw_serve(1, tree1);
	fw_mount(UM_MOUNT_REMOTE, in_t("mnt"), 1, 1, "");
	s2 = fw_serve(2, tree2);
	fw_mount(UM_MOUNT_REMOTE, in_t("mnt/a/inner"), 2, 1, "");
	s3 = fw_serve(3, tree3);
	fw_mount(UM_MOUNT_REMOTE, in_t("ghost/deep/m"), 3, 1, "");
	s4 = fw_serve(4, tree4);
	s4->rootless = 1;
	fw_mount(UM_MOUNT_REMOTE, in_t("file2"), 4, 0, "");
	fw_mount(UM_MOUNT_BIND, in_t("b"), 0, 1, in_t("dir"));
	fw_mount(UM_MOUNT_BIND, in_t("bm"), 0, 1, in_t("mnt/a"));
	fw_mount(UM_MOUNT_BIND, in_t("bb"), 0, 1, in_t("b/sub"));
	fw_mount(UM_MOUNT_BIND, in_t("bf"), 0, 0, in_t("dir/file"));
	fw_mount(UM_MOUNT_BIND, in_t("dir/self"), 0, 1, in_t(""));
	s5 = fw_serve(5, tree5);
	fw_mount(UM_MOUNT_REMOTE, in_t("b/newmnt"), 5, 1, "");
}

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

static int open_path(const char *path)
{
	return (int)raw_syscall(__NR_open, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static struct file *virtual_dir(struct fw_server *v, const char *path)
{
	struct file *f = file_new(FILE_REMOTE);
	char text[4096];

	f->server = v->number;
	f->handle = (uint32_t)fw_find(v, path);
	f->mount = v->head->mount_id;
	f->node = f->handle;
	f->mode = path[0] == '/' && (!path[1] || v->nodes[f->handle - 2].type == 'd') ? 0040000 : 0100000;
	snprintf(text, sizeof(text), "%s/mnt%s", T, path);
	f->path = f->mode == 0040000 ? heap_strndup(text, strlen(text)) : NULL;
	return f;
}

static int virtual_fd(struct fw_server *v, const char *path)
{
	struct file *f = virtual_dir(v, path);
	int fd = carrier_open(f->server, f->handle, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fd_install(&task, fd, f))
		abort();
	return fd;
}

static void close_virtual_fd(int fd)
{
	file_put(fd_remove(&task, fd));
	raw_syscall(__NR_close, fd);
}

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
	{ "/etc/mtab", 0, "proc 8" }, { "/proc/self/cwd", NF, "proc 3" }, { "/proc/self/cwd/f", 0, "s1:/a/f" },
	{ "/proc/self/cwd", 0, "s1:/a" }, { "/proc/self/cwd/..", 0, "s1:/" }, { "/proc/self/cwd/../../file", 0, "T/file" },
	{ "/proc/1/root", NF, "/proc/1/root" }, { "/proc/self/root/tmp", 0, "/tmp" },
	{ "/dev/fuse", 0, "fuse" }, { "T/fusedev", 0, "fuse" }, { "/dev/../dev/fuse", NF, "fuse" }, { "T/mnt/proc/none", 0, "ENOENT" },
	{ NULL, 0, NULL },
};

static void test_proc(void)
{
	char path[64], buf[4200], want[64];
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
	snprintf(want, sizeof(want), "/proc/%d/fd/%d", process.pid, real);
	is_str(resolve(AT_FDCWD, path, NF), want, "its link");
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

/* ---- a cwd behind a bind mount ----------------------------------------------------------------------- */

static void chdir_real(const char *path)
{
	long r = where_begin(&last_where, &task, AT_FDCWD, (gaddr)(path[0] == '.' ? path : in_t(path)), WHERE_VERIFY);

	while (where_next(&last_where, &r))
		r = last_where.fs == &real_fs ? kernel_call(&task, __NR_chdir, last_where.upath) : -EINVAL;
	r = where_end(&last_where, r);
	is_int(r, 0, "chdir %s", path);
	fsinfo_moved(&task, &last_where);
}

static void test_bound_fd(void)
{
	long r = where_begin(&last_where, &task, AT_FDCWD, (gaddr)in_t("b/sub"), 0), fd = -1;
	char buf[4096], path[64];

	while (where_next(&last_where, &r))
		fd = r = last_where.fs->open(&last_where, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	where_opened(&last_where, (int)fd);
	where_end(&last_where, r);
	path_of_fd(&task, (int)fd, buf, sizeof(buf));
	is_str(buf, in_t("b/sub"), "a descriptor's path is the one in the view");
	is_str(resolve((int)fd, "../..", 0), "T", "../.. leaves the bind mount");
	is_str(resolve((int)fd, "../newmnt/n", 0), "s5:/n", "a mount made through it");
	is_str(resolve((int)fd, "deep/f", 0), "T/dir/sub/deep/f", "a file");
	is_str(resolve((int)fd, "deep/./../tofile", 0), "T/dir/file", "a link");
	snprintf(path, sizeof(path), "/proc/self/fd/%ld", fd);
	is_str(resolve(AT_FDCWD, path, 0), "T/dir/sub", "%s", path);
	is_str(resolve(AT_FDCWD, path, NF), "proc 5", "its link");
	r = last_where.fs->readlink(&last_where, (gaddr)buf, sizeof(buf) - 1);
	buf[r > 0 ? r : 0] = 0;
	is_str(buf, in_t("b/sub"), "shows the path in the view");
	strcat(path, "/../..");
	is_str(resolve(AT_FDCWD, path, 0), "T", "%s", path);
	fd_forget_hint(&task, (int)fd);
	path_of_fd(&task, (int)fd, buf, sizeof(buf));
	is_str(buf, in_t("dir/sub"), "until it is closed");
	raw_syscall(__NR_close, fd);
}

static void test_bound_cwd(void)
{
	char buf[4096];

	chdir_real("b/sub");
	path_of_cwd(&task, buf, sizeof(buf));
	is_str(buf, in_t("b/sub"), "its path is the one in the view");
	is_str(resolve(AT_FDCWD, "..", 0), "T/dir", "..");
	is_str(resolve(AT_FDCWD, "../..", 0), "T", "../.. leaves the bind mount");
	is_str(resolve(AT_FDCWD, "/proc/self/cwd/../..", 0), "T", "from /proc/self/cwd, too");
	is_str(resolve(AT_FDCWD, "../newmnt/n", 0), "s5:/n", "a mount made through it");
	is_str(resolve(AT_FDCWD, "older/old/o", 0), "s6:/old/o", "a mount below what is bound");
	is_str(resolve(AT_FDCWD, "tofile", 0), "T/dir/file", "a link");
	is_str(resolve(AT_FDCWD, "deep/f", 0), "T/dir/sub/deep/f", "a file");
	chdir_real("../sub/deep");
	path_of_cwd(&task, buf, sizeof(buf));
	is_str(buf, in_t("b/sub/deep"), "relative to it");
	chdir_real("bb");
	is_str(resolve(AT_FDCWD, "tofile", 0), "T/file", "a bind mount of what is bound");
	is_str(resolve(AT_FDCWD, "older/old/o", 0), "s6:/old/o", "and a mount below that");
	is_str(resolve(AT_FDCWD, "../mnt/a", 0), "s1:/a", "..");
	chdir_real("b");
	path_of_cwd(&task, buf, sizeof(buf));
	is_str(buf, in_t("b"), "at the bind mount itself");
	is_str(resolve(AT_FDCWD, "..", 0), "T", "its ..");
	fsinfo_describe(task.fs, buf, sizeof(buf));
	fsinfo_moved(&task, NULL);
	is_int(fsinfo_restore(&task, buf), 0, "exec: %s", buf);
	is_str(resolve(AT_FDCWD, "..", 0), "T", "and after exec");
	raw_syscall(__NR_chdir, "/");
	fsinfo_moved(&task, NULL);
}

/* ---- limits, changes, cost --------------------------------------------------------------------------- */

static void test_limits(void)
{
	char name[300], path[6000];

	memset(name, 'n', 299);
	name[299] = 0;
	snprintf(path, sizeof(path), "T/mnt/%s", name);
	is_str(resolve(AT_FDCWD, path, 0), "ENAMETOOLONG", "a name of 299 bytes at a server");
	path[6 + 255] = 0;
	is_str(resolve(AT_FDCWD, path, 0), "ENOENT", "of 255");
	snprintf(path, sizeof(path), "T/%s", name);
	is_str(resolve(AT_FDCWD, path, 0), "ENAMETOOLONG", "a real one of 299");
	memset(path, '/', sizeof(path));
	memcpy(path, "T/mnt", 5);
	path[sizeof(path) - 1] = 0;
	path[4999] = 0;
	is_str(resolve(AT_FDCWD, path, 0), "ENAMETOOLONG", "a path of 5000 bytes");
	path[4000] = 0;
	is_str(resolve(AT_FDCWD, path, 0), "s1:/", "4000 are fine");
	memset(long_target, 'x', 4000);
	is_int(where_begin(&last_where, &task, AT_FDCWD, 16, 0), -EFAULT, "a bad pointer");
	where_end(&last_where, 0);
}

static void test_changes(void)
{
	is_str(resolve(AT_FDCWD, "T/dirx/f", 0), "T/dirx/f", "remembered as plain");
	uint32_t id = fw_mount(UM_MOUNT_REMOTE, in_t("dirx"), 3, 1, "");
	is_str(resolve(AT_FDCWD, "T/dirx/f", 0), "ENOENT", "a mount over it is seen");
	is_str(resolve(AT_FDCWD, "T/dirx/g", 0), "s3:/g", "and what is in it");
	fw_mounts[fw_nmounts - 1].flags = UM_MNT_DYING;
	fw_publish();
	is_str(resolve(AT_FDCWD, "T/dirx/g", 0), "ENOENT", "not while it is being unmounted");
	fw_umount(id);
	is_str(resolve(AT_FDCWD, "T/dirx/f", 0), "T/dirx/f", "and its end");
	raw_syscall(__NR_rename, in_t("dirx"), in_t("diry"));
	raw_syscall(__NR_symlink, "mnt/a", in_t("dirx"));
	view_links_changed(&task);
	is_str(resolve(AT_FDCWD, "T/dirx/f", 0), "s1:/a/f", "a directory replaced by a link");
	raw_syscall(__NR_unlink, in_t("dirx"));
	raw_syscall(__NR_rename, in_t("diry"), in_t("dirx"));
	view_links_changed(&task);
	id = fw_mount(UM_MOUNT_REMOTE, in_t("mnt"), 3, 1, "");
	is_str(resolve(AT_FDCWD, "T/mnt/g", 0), "s3:/g", "a second mount on the same point");
	is_str(resolve(AT_FDCWD, "T/mnt/a/inner/in", 0), "ENOENT", "hides what was mounted in the first");
	task.epoch = id;
	is_str(resolve(AT_FDCWD, "T/mnt/g", 0), "ENOENT", "its own server does not see it");
	is_str(resolve(AT_FDCWD, "T/mnt/a/f", 0), "s1:/a/f", "but the one below");
	task.epoch = 1;
	is_str(resolve(AT_FDCWD, "T/mnt/under", 0), "T/mnt/under", "and who was there before all sees the real one");
	task.epoch = UINT32_MAX;
	fw_umount(id);
	id = fw_mount(UM_MOUNT_REMOTE, "/", 6, 1, "");
	is_str(resolve(AT_FDCWD, "/old/o", 0), "s6:/old/o", "a mount on the root");
	is_str(resolve(AT_FDCWD, "/old/../..", 0), "s6:/", "has no parent");
	is_str(resolve(AT_FDCWD, "T/file", 0), "ENOENT", "and hides everything");
	fw_umount(id);
	is_str(resolve(AT_FDCWD, "T/file", 0), "T/file", "until it goes");
}

static void test_missing(void)
{
	is_str(resolve(AT_FDCWD, "T/later/x", 0), "ENOENT", "a directory that is not there yet");
	is_str(resolve(AT_FDCWD, "T/later/../mnt/a", 0), "ENOENT", "leads nowhere else either");
	is_str(resolve(AT_FDCWD, "T/later/mnt", 0), "ENOENT", "not there yet");
	make_dir("later");
	make_file("later/x");
	is_str(resolve(AT_FDCWD, "T/later/x", 0), "T/later/x", "it is made");
	is_str(resolve(AT_FDCWD, "T/later/../mnt/a", 0), "s1:/a", "and leads elsewhere");
	uint32_t id = fw_mount(UM_MOUNT_REMOTE, in_t("later/mnt"), 3, 1, "");
	is_str(resolve(AT_FDCWD, "T/later/mnt", 0), "s3:/", "something is mounted in it");
	fw_umount(id);
}

/* ---- threads, while the table changes ---------------------------------------------------------------- */

static volatile int stop_threads;

static long wrong_place(struct task *t, const char *path, const struct fs_ops *fs, const char *rest)
{
	struct where w;
	long r = where_begin_path(&w, t, AT_FDCWD, path, 0), wrong = 1;

	if (where_next(&w, &r))
		wrong = w.fs != fs || strcmp(fs == &remote_fs ? w.path + w.rest : (char *)w.upath, rest);
	where_end(&w, r);
	return wrong;
}

static void *resolver(void *arg)
{
	struct task t = { .tid = (int)raw_syscall(__NR_gettid), .epoch = UINT32_MAX, .files = task.files, .fs = task.fs };
	char file[100], mnt[100], link[100], bind[100], missing[100];
	long *wrong = arg;

	snprintf(file, sizeof(file), "%s/dir/file", T);
	snprintf(mnt, sizeof(mnt), "%s/tomnt/a/f", T);
	snprintf(link, sizeof(link), "%s/link/file", T);
	snprintf(bind, sizeof(bind), "%s/b/file", T);
	snprintf(missing, sizeof(missing), "%s/none/file", T);
	while (!stop_threads) {
		*wrong += wrong_place(&t, file, &real_fs, file);
		*wrong += wrong_place(&t, mnt, &remote_fs, "a/f");
		*wrong += wrong_place(&t, link, &real_fs, link);
		*wrong += wrong_place(&t, bind, &real_fs, file);
		*wrong += wrong_place(&t, missing, &real_fs, missing);
		wrong[1]++;
	}
	channel_task_exit(&t);
	return NULL;
}

static void test_threads(void)
{
	long wrong[3][2] = { { 0 } };
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, resolver, wrong[i]);
	for (int i = 0; i < 300; i++) {
		uint32_t id = fw_mount(UM_MOUNT_REMOTE, in_t("other/one"), 3, 1, "");

		usleep(300);
		view_links_changed(&task);
		fw_umount(id);
	}
	stop_threads = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	is_int(wrong[0][0] + wrong[1][0] + wrong[2][0], 0, "threads find the same while mounts come and go (%ld rounds)",
	       wrong[0][1] + wrong[1][1] + wrong[2][1]);
}

static int cost(int dfd, const char *path, unsigned flags)
{
	struct where *w = &last_where;
	int before;
	long r;

	r = where_begin(w, &task, dfd, (gaddr)path, flags);
	while (where_next(w, &r))
		r = find_real(w);
	where_end(w, r);
	before = calls;
	r = where_begin(w, &task, dfd, (gaddr)path, flags);
	(void)where_next(w, &r);
	where_end(w, r);
	return calls - before - 1;	/* string_from_guest() of the shim is one */
}

static void test_cost(void)
{
	int fd = open_path(in_t("dir/sub/deep"));

	is_int(cost(AT_FDCWD, in_t("dir/sub/deep/f"), 0), 0, "a remembered directory costs no system call");
	ok(last_where.upath != (gaddr)last_where.path, "and the guest's own pointer goes to the kernel");
	is_int(cost(AT_FDCWD, in_t("file"), 0), 0, "nor does the parent of a mount");
	is_int(cost(AT_FDCWD, in_t("link/file"), 0), 0, "nor a directory behind a link");
	is_int(cost(AT_FDCWD, in_t("link"), 0), 0, "nor a link that was followed before");
	is_int(cost(AT_FDCWD, in_t("dir"), WHERE_VERIFY), 0, "nor a name that was looked at before");
	is_int(cost(fd, "f", 0), 0, "nor a name in a directory descriptor");
	is_int(cost(AT_FDCWD, "/usr/bin/env", 0), 0, "nor a path far away");
	is_int(cost(AT_FDCWD, "/proc/self/status", 0), 0, "nor one in /proc");
	is_int(cost(AT_FDCWD, "/", 0), 0, "nor the root");
	is_int(cost(AT_FDCWD, in_t("none/x"), 0), 0, "nor one where there is nothing");
	raw_syscall(__NR_close, fd);
}

/* find, rm -r and the like: a directory opened in a plain one is plain without asking. */
static void test_inherited(void)
{
	int top = open_path(in_t("dirx")), before, fd;
	long r;

	make_dir("dirx/in");
	resolve(top, "f", NF);
	r = where_begin(&last_where, &task, top, (gaddr)"in", NF);
	(void)where_next(&last_where, &r);
	ok(last_where.below_plain, "a name in a plain directory");
	fd = open_path(in_t("dirx/in"));
	where_opened(&last_where, fd);
	where_end(&last_where, r);
	before = calls;
	r = where_begin_path(&last_where, &task, fd, "x", NF);
	(void)where_next(&last_where, &r);
	ok(last_where.fs == &real_fs && last_where.below_plain, "what is opened there is plain");
	where_end(&last_where, r);
	is_int(calls, before, "without a system call");
	uint32_t id = fw_mount(UM_MOUNT_REMOTE, in_t("dirx/in/x"), 3, 1, "");
	is_str(resolve(fd, "x", 0), "s3:/", "until something is mounted");
	fw_umount(id);
	is_str(resolve(fd, "../f", 0), "T/dirx/f", "its path is found when needed");
	raw_syscall(__NR_close, fd);
	raw_syscall(__NR_close, top);
	fd_forget_hint(&task, fd);
	fd_forget_hint(&task, top);
}

static double nanoseconds(int dfd, const char *path, unsigned flags)
{
	struct timespec64 a, b;
	int n = 200000;
	long r;

	raw_syscall(__NR_clock_gettime, 1, &a);
	for (int i = 0; i < n; i++) {
		r = where_begin_path(&last_where, &task, dfd, path, flags);
		(void)where_next(&last_where, &r);
		where_end(&last_where, r);
	}
	raw_syscall(__NR_clock_gettime, 1, &b);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / n;
}

static void test_speed(void)
{
	int fd = open_path(in_t("dir/sub/deep"));

	diag("/usr/bin/env: %.0f ns", nanoseconds(AT_FDCWD, "/usr/bin/env", NF));
	diag("/usr/bin/env, followed: %.0f ns", nanoseconds(AT_FDCWD, "/usr/bin/env", 0));
	diag("/usr/lib/x86_64-linux-gnu/libc.so.6: %.0f ns",
	     nanoseconds(AT_FDCWD, "/usr/lib/x86_64-linux-gnu/libc.so.6", 0));
	diag("a name in a descriptor: %.0f ns", nanoseconds(fd, "f", NF));
	diag("a name beside a mount: %.0f ns", nanoseconds(AT_FDCWD, in_t("file"), NF));
	diag("behind a bind mount: %.0f ns", nanoseconds(AT_FDCWD, in_t("b/sub/deep/f"), NF));
	chdir_real("b/sub");
	diag("relative, behind a bind mount: %.0f ns", nanoseconds(AT_FDCWD, "deep/f", NF));
	raw_syscall(__NR_chdir, "/");
	fsinfo_moved(&task, NULL);
	raw_syscall(__NR_close, fd);
}

static void test_empty_view(void)
{
	static const struct line lines[] = {
		{ "/", 0, "/" }, { "T/link", 0, "T/dir" }, { "T/tomnt", 0, "T/mnt" }, { "T/mnt/under", 0, "T/mnt/under" },
		{ "/dev/fuse", 0, "fuse" }, { "/proc/self/exe", NF, "proc 2" }, { "/etc/../dev/fuse", 0, "fuse" },
		{ NULL, 0, NULL },
	};

	check("empty", AT_FDCWD, lines);
	is_int(cost(AT_FDCWD, in_t("link/sub"), 0), 0, "no system call of our own");
	ok(!last_where.fast, "links are the kernel's to follow");
	diag("empty view: %.0f ns", nanoseconds(AT_FDCWD, "/usr/bin/env", 0));
}

int main(int argc, char **argv)
{
	plan(0);
	make_tree();
	fw_create();
	task.tid = process.pid;
	task.epoch = UINT32_MAX;
	task.files = files_new();
	task.fs = fsinfo_new();
	process.exe = strdup(in_t("dir/file"));
	test_empty_view();
	mount_all();
	check("real", AT_FDCWD, real_paths);
	check("mounts", AT_FDCWD, mount_paths);
	check("bind", AT_FDCWD, bind_paths);
	test_relative();
	test_proc();
	test_mounts_table();
	test_canonical();
	test_bound_fd();
	test_bound_cwd();
	test_limits();
	test_changes();
	test_missing();
	test_threads();
	test_cost();
	test_inherited();
	if (argc > 1 && !strcmp(argv[1], "--speed"))
		test_speed();
	channel_task_exit(&task);
	files_put(task.files);
	fsinfo_put(task.fs);
	free(process.exe);
	for (int i = 1; i <= 6; i++)
		fw_stop(&fw_servers[i]);
	snprintf(found, sizeof(found), "rm -rf %s", T);
	ok(system(found) == 0, "cleaned up");
	return done();
}
