/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the path resolver stand on: a real tree in a temporary directory, servers mounted into
 * it and bind mounts, and resolve(), which says as text what a path leads to.  "T" stands for the temporary
 * directory.
 *
 *	T/dir/sub		real
 *	s1:/a/f			node /a/f of server 1
 *	s1:/a + n		WHERE_PARENT: the directory's node and the last name
 *	proc 2			a faked place of /proc (enum proc_what)
 */
#ifndef UM_TEST_PATH_RIG_H
#define UM_TEST_PATH_RIG_H

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "tap.h"
#include "fakeworld.h"
#include "nofiles.h"
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

void client_share(uint32_t server, uint32_t handle)
{
	(void)server;
	(void)handle;
}

bool client_is_shared(const struct file *f)
{
	(void)f;
	return true;
}

bool client_closed(const struct file *f)
{
	(void)f;
	return false;
}

bool pages_closed(struct task *t, const struct file *f)
{
	(void)t;
	(void)f;
	return false;
}

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
		return strchr(w->path + w->rest, '/') ? -EINVAL : 0;
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
__attribute__((unused)) static const char *resolve(int dfd, const char *path, unsigned flags)
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
		if (!r && w->proc.what)
			snprintf(found, sizeof(found), "proc %d", w->proc.what);
	}
	r = where_end(w, r);
	if (r < 0)
		strcpy(found, error_name(r));
	return found;
}

struct line { const char *path; unsigned flags; const char *want; };

__attribute__((unused)) static void check(const char *what, int dfd, const struct line *l)
{
	for (; l->path; l++) {
		for (int i = 0; i < 3; i++)
			if (strcmp(resolve(dfd, l->path, l->flags), l->want))
				break;
		is_str(found, l->want, "%s: \"%s\" %x", what, l->path, l->flags);
	}
}

/* ---- the world --------------------------------------------------------------------------------------- */

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

__attribute__((unused)) static void make_dir(const char *path)
{
	raw_syscall(__NR_mkdir, in_t(path), 0755);
}

__attribute__((unused)) static void make_file(const char *path)
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
	make_link("/proc/self/mounts", "mtab");	/* as /etc/mtab is, where there is one */
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

/* ---- virtual descriptors ----------------------------------------------------------------------------- */

__attribute__((unused)) static int open_path(const char *path)
{
	return (int)raw_syscall(__NR_open, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

__attribute__((unused)) static struct file *virtual_dir(struct fw_server *v, const char *path)
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

__attribute__((unused)) static int virtual_fd(struct fw_server *v, const char *path)
{
	struct file *f = virtual_dir(v, path);
	int fd = carrier_open(f->server, f->handle, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fd_install(&task, fd, f))
		abort();
	return fd;
}

__attribute__((unused)) static void close_virtual_fd(int fd)
{
	file_put(fd_remove(&task, fd));
	raw_syscall(__NR_close, fd);
}

/* ---- beginning and end ------------------------------------------------------------------------------- */

/* An empty view; then mount_all(). */
static void rig_begin(void)
{
	plan(0);
	make_tree();
	fw_create();
	task.tid = task.pid = process.pid;
	task.epoch = UINT32_MAX;
	task.files = files_new();
	task.fs = fsinfo_new(022);
	process.exe = strdup(in_t("dir/file"));
}

static int rig_end(void)
{
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

#endif
