/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of the real /proc and /dev must look different in a view.
 *
 *	/proc/PID/exe		the program, not the agent that the kernel started (of every process of the view)
 *	/proc/PID/cwd, fd/N	where virtual: a link shows its path, an open opens the file
 *	/proc/PID/fd, fdinfo	the agent's own descriptors are not there
 *	/proc/PID/maps, status	and other files in which the agent shows: proc_file.c makes them anew
 *	/proc/PID/mounts	the kernel's lines and ours behind them; the same for mountinfo, mountstats
 *	/dev/fuse		is there, may be opened by everybody, and opens our side of it (fs/fuse.h)
 *
 * The resolver asks proc_look() about names below /proc; a faked link that is followed is walked by the
 * resolver, what remains are two tables of operations: real_fs with a few entries replaced.  Processes
 * outside the view are shown as they are; who is inside is asked as late as possible.
 */
#include <linux/fcntl.h>
#include "proc.h"
#include "fuse.h"
#include "../fd.h"
#include "../path_walk.h"

/* ---- names ---------------------------------------------------------------------------------------- */

struct name { const char *s; size_t n; };

/* The component at *at; moves it behind. */
static struct name next_name(const char **at, const char *end)
{
	struct name c = { *at, 0 };

	while (c.s < end && *c.s == '/')
		c.s++;
	while (c.s + c.n < end && c.s[c.n] != '/')
		c.n++;
	*at = c.s + c.n;
	return c;
}

static bool is(struct name c, const char *what)
{
	return c.n == strlen(what) && !memcmp(c.s, what, c.n);
}

/* A decimal number as the kernel takes it, or -1. */
static int number(struct name c)
{
	int v = 0;

	if (!c.n || c.n > 9 || (c.n > 1 && *c.s == '0'))
		return -1;
	for (size_t i = 0; i < c.n; i++) {
		if (c.s[i] < '0' || c.s[i] > '9')
			return -1;
		v = v * 10 + (c.s[i] - '0');
	}
	return v;
}

static enum proc_what own_fd(const struct task *t, int fd)
{
	uint32_t bound;

	if (fd_is_ours(fd))
		return PROC_HIDDEN;
	if (fd_peek(t, fd))
		return PROC_FD;
	return base_bind(t, fd, &bound) || fd_in_tree(t, 0, fd) ? PROC_BOUND : PROC_MAGIC;
}

/* The cwd of the calling thread, another thread's, or another process's. */
static enum proc_what look_at_cwd(const struct task *t, struct proc_hit *h)
{
	h->arg = AT_FDCWD;
	if (h->pid)
		return proc_cwd_kind(h->pid, h->tid);
	return t->fs->cwd ? PROC_CWD : t->fs->cwd_bind || view_has(UM_MOUNT_COW) ? PROC_BOUND : PROC_MAGIC;
}

/* fd/N, fdinfo/N */
static enum proc_what look_at_fd(const struct task *t, struct proc_hit *h, struct name n, bool info)
{
	enum proc_what what;

	h->arg = number(n);
	if (h->arg < 0)
		return PROC_NONE;
	what = h->pid ? proc_fd_kind(h->pid, h->arg) : own_fd(t, h->arg);
	if (!info || what == PROC_HIDDEN)
		return what;
	return what == PROC_FD ? PROC_FDINFO : PROC_NONE;
}

static enum proc_what look_at_name(struct name c)
{
	static const struct { const char *name; enum proc_what what; } files[] = {
		{ "exe", PROC_EXE }, { "maps", PROC_MAPS }, { "status", PROC_STATUS }, { "stat", PROC_STAT },
		{ "smaps", PROC_SMAPS }, { "syscall", PROC_SYSCALL }, { "numa_maps", PROC_NUMA_MAPS },
		{ "root", PROC_MAGIC }, { "task", PROC_DIR }, { "ns", PROC_DIR }, { "net", PROC_DIR },
		{ "fd", PROC_FDS }, { "fdinfo", PROC_DIR }, { "map_files", PROC_DIR },
		{ "mounts", PROC_MOUNTS }, { "mountinfo", PROC_MOUNTINFO }, { "mountstats", PROC_MOUNTSTATS },
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (is(c, files[i].name))
			return files[i].what;
	return PROC_NONE;
}

/* Below /proc/PID or /proc/PID/task/TID. */
static enum proc_what look_in_process(const struct task *t, struct proc_hit *h, const char *at, const char *end)
{
	struct name c = next_name(&at, end), sub = next_name(&at, end);
	enum proc_what what;

	if (!c.n)
		return PROC_DIR;
	if (is(c, "cwd") && !sub.n)
		return look_at_cwd(t, h);
	what = look_at_name(c);
	if (is(c, "root") && !sub.n && proc_has_root(t, h->pid, h->tid))
		return PROC_ROOT;
	if (sub.n) {
		if (what == PROC_FDS || is(c, "fdinfo"))
			return look_at_fd(t, h, sub, what != PROC_FDS);
		return is(c, "map_files") ? PROC_MAGIC : PROC_NONE;
	}
	if (what >= PROC_MOUNTS && what <= PROC_MOUNTSTATS && view_is_empty(t) && !t->fs->root)
		return PROC_NONE;
	return what;
}

struct proc_hit proc_look(const struct task *t, const char *path, size_t len)
{
	const char *end = path + len, *at = path + 5, *behind;
	struct name c = next_name(&at, end), task;
	struct proc_hit h = { .arg = PROC_NO_FD };

	h.pid = is(c, "self") || is(c, "thread-self") ? t->pid : number(c);
	if (h.pid <= 0)
		return h;
	if (is(c, "thread-self"))
		h.tid = t->tid;
	behind = at;
	task = next_name(&behind, end);
	if (is(task, "task") && number(task = next_name(&behind, end)) > 0) {
		h.tid = number(task);
		at = behind;
	}
	if (h.pid == process.pid || h.pid == t->pid || h.pid == t->tid)
		h.pid = 0;
	h.what = (uint8_t)look_in_process(t, &h, at, end);
	return h;
}

/* ---- links and directories ------------------------------------------------------------------------ */

/* A link of map_files, which the kernel says leads to the world file: what is mapped there?  Or NULL. */
static const char *prepared_path(const struct where *w)
{
	const char *range = w->path + w->len;
	const struct um_prepared *p;
	struct proc_stubs stubs;

	while (range > w->path && range[-1] != '/')
		range--;
	proc_stubs_find(&stubs, w->proc.pid);
	p = proc_prepared_at(&stubs, proc_hex(&range));
	return p && *range == '-' ? p->path : NULL;
}

/* What the kernel shows is the name of a memory file that stands for something. */
static long standing_text(struct where *w, char *buf, size_t size)
{
	long n = raw_syscall(__NR_readlinkat, w->dfd, w->upath, buf, size - 1);
	const char *stands;
	size_t len;

	if (n < 0)
		return n;
	buf[n] = 0;
	stands = proc_stands_for(buf, &len, NULL, NULL);
	if (!strcmp(buf, PROC_WORLD) && (stands = prepared_path(w)))
		len = strlen(stands);
	if (!stands)
		return n;
	memmove(buf, stands, len);
	return (long)len;
}

static long proc_readlink(struct where *w, gaddr buf, size_t size)
{
	char text[UM_PATH_MAX + 16];
	long n;

	if (w->proc.what == PROC_EXE)
		n = proc_exe(w->proc.pid, text, sizeof(text));
	else if (w->proc.what == PROC_MAGIC)
		n = standing_text(w, text, sizeof(text));
	else
		n = proc_link_text(w->t, &w->proc, text, sizeof(text));
	if (w->proc.what == PROC_EXE && proc_no_descriptor(n))
		return n;
	if (n < 0)
		return real_fs.readlink(w, buf, size);
	n = (long)path_strip_root(w->t, text, (size_t)n);
	if (size > (size_t)n)
		size = (size_t)n;
	return copy_to_guest(w->t, buf, text, size) ? -EFAULT : (long)size;
}

static long proc_open(struct where *w, int flags, unsigned mode)
{
	return proc_made(w, real_fs.open(w, flags, mode), flags);
}

/* Since Linux 6.2 the size of a directory of descriptors is their number. */
static int64_t without_ours(const struct where *w, int64_t size)
{
	int hidden;

	if (w->proc.what != PROC_FDS || size <= 0 || !proc_in_view(w->proc.pid))
		return size;
	hidden = proc_hidden_fds(w->proc.pid);
	return size > hidden ? size - hidden : 0;
}

/* The mode of a link to a descriptor says how that was opened; a carrier is always open for something. */
static unsigned link_mode(const struct where *w, unsigned mode)
{
	struct file *f;

	if (w->proc.what != PROC_FD)
		return mode;
	f = proc_file_of(w->t, &w->proc);
	if (f && (f->flags & FILE_PATH || (f->open_flags & O_ACCMODE) == O_ACCMODE))
		mode &= ~0777u;
	file_put(f);
	return mode;
}

static long proc_stat(struct where *w, gaddr buf)
{
	struct stat st;
	long r = real_fs.stat(w, buf);

	if (r || (w->proc.what != PROC_FDS && w->proc.what != PROC_FD))
		return r;
	if (copy_from_guest(w->t, &st, buf, sizeof(st)))
		return -EFAULT;
	st.st_size = without_ours(w, st.st_size);
	st.st_mode = link_mode(w, st.st_mode);
	return copy_to_guest(w->t, buf, &st, sizeof(st));
}

static long proc_statx(struct where *w, int flags, unsigned mask, gaddr buf)
{
	struct statx st;
	long r = real_fs.statx(w, flags, mask, buf);

	if (r || (w->proc.what != PROC_FDS && w->proc.what != PROC_FD))
		return r;
	if (copy_from_guest(w->t, &st, buf, sizeof(st)))
		return -EFAULT;
	st.stx_size = (uint64_t)without_ours(w, (int64_t)st.stx_size);
	st.stx_mode = (uint16_t)link_mode(w, st.stx_mode);
	return copy_to_guest(w->t, buf, &st, sizeof(st));
}

/* ---- /dev/fuse ------------------------------------------------------------------------------------ */

#define FUSE_MAJOR	10u
#define FUSE_MINOR	229u
#define FUSE_MODE	(0020000u | 0666u)

static long fuse_node_statx(struct where *w, int flags, unsigned mask, gaddr buf)
{
	struct statx st = {
		.stx_mask = STATX_BASIC_STATS, .stx_blksize = 4096, .stx_nlink = 1, .stx_mode = FUSE_MODE,
		.stx_ino = FUSE_MINOR, .stx_rdev_major = FUSE_MAJOR, .stx_rdev_minor = FUSE_MINOR, .stx_dev_minor = 5,
	};

	(void)flags;
	(void)mask;
	return copy_to_guest(w->t, buf, &st, sizeof(st));
}

static long fuse_node_stat(struct where *w, gaddr buf)
{
	struct stat st = {
		.st_dev = 5, .st_ino = FUSE_MINOR, .st_nlink = 1, .st_mode = FUSE_MODE,
		.st_rdev = FUSE_MAJOR << 8 | FUSE_MINOR, .st_blksize = 4096,
	};

	return copy_to_guest(w->t, buf, &st, sizeof(st));
}

static long fuse_node_access(struct where *w, int mode, int flags)
{
	(void)w;
	(void)flags;
	return mode & 1 ? -EACCES : 0;		/* X_OK */
}

static long fuse_node_open(struct where *w, int flags, unsigned mode)
{
	(void)mode;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	return flags & O_DIRECTORY ? -ENOTDIR : fuse_dev_open(w->t, flags);
}

static long fuse_node_readlink(struct where *w, gaddr buf, size_t size)
{
	(void)w;
	(void)buf;
	(void)size;
	return -EINVAL;
}

/* ---- the tables ----------------------------------------------------------------------------------- */

/*
 * Two copies of real_fs with entries replaced, made when first needed.  Threads that make them at the same
 * time write the same; so there is no lock, which a fork could leave held.
 */
static struct fs_ops proc_table, fuse_node_table;
static uint32_t tables_made;

static void tables_make(void)
{
	struct fs_ops proc = real_fs, fuse_node = real_fs;

	proc.name = "proc";
	proc.readlink = proc_readlink;
	proc.stat = proc_stat;
	proc.statx = proc_statx;
	proc.open = proc_open;
	fuse_node.name = "fuse device";
	fuse_node.statx = fuse_node_statx;
	fuse_node.stat = fuse_node_stat;
	fuse_node.access = fuse_node_access;
	fuse_node.open = fuse_node_open;
	fuse_node.readlink = fuse_node_readlink;
	proc_table = proc;
	fuse_node_table = fuse_node;
	__atomic_store_n(&tables_made, 1, __ATOMIC_RELEASE);
}

const struct fs_ops *proc_fs(void)
{
	if (!__atomic_load_n(&tables_made, __ATOMIC_ACQUIRE))
		tables_make();
	return &proc_table;
}

const struct fs_ops *fuse_node_fs(void)
{
	if (!__atomic_load_n(&tables_made, __ATOMIC_ACQUIRE))
		tables_make();
	return &fuse_node_table;
}
