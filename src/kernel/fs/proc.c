/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of the real /proc and /dev must look different in a view.
 *
 *	/proc/PID/exe		the program, not the agent that the kernel started (of every process of the view)
 *	/proc/PID/cwd, fd/N	our own, where virtual: a link shows its path, an open opens the file
 *	/proc/PID/fd/N		the agent's own descriptors are not there
 *	/proc/PID/mounts	the kernel's lines and ours behind them; the same for mountinfo
 *	/dev/fuse		is there, may be opened by everybody, and opens our side of it (fs/fuse.h)
 *
 * The resolver asks proc_look() about names below /proc; a faked link that is followed is walked by the
 * resolver, what remains are two tables of operations: real_fs with a few entries replaced.
 */
#include <linux/fcntl.h>
#include <linux/memfd.h>
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

/* A decimal number, or -1. */
static int number(struct name c)
{
	int v = 0;

	if (!c.n || c.n > 9)
		return -1;
	for (size_t i = 0; i < c.n; i++) {
		if (c.s[i] < '0' || c.s[i] > '9')
			return -1;
		v = v * 10 + (c.s[i] - '0');
	}
	return v;
}

static struct proc_hit hit(enum proc_what what, int arg)
{
	return (struct proc_hit) { (uint8_t)what, arg };
}

static struct proc_hit look_at_fd(const struct task *t, bool own, struct name c)
{
	int fd = number(c);
	uint32_t bound;

	if (fd < 0)
		return hit(PROC_NONE, 0);
	if (own && fd_is_ours(fd))
		return hit(PROC_HIDDEN, fd);
	if (own && fd_peek(t, fd))
		return hit(PROC_FD, fd);
	return hit(own && base_bind(t, fd, &bound) ? PROC_BOUND : PROC_MAGIC, fd);
}

/* Below /proc/PID or /proc/PID/task/TID. */
static struct proc_hit look_in_process(const struct task *t, int pid, const char *at, const char *end)
{
	struct name c = next_name(&at, end), sub = next_name(&at, end);
	bool own = !pid;

	if (!c.n)
		return hit(PROC_DIR, 0);
	if (is(c, "fd"))
		return sub.n ? look_at_fd(t, own, sub) : hit(PROC_DIR, 0);
	if (sub.n)
		return hit(PROC_NONE, 0);
	if (is(c, "exe"))
		return hit(PROC_EXE, pid);
	if (is(c, "cwd"))
		return !own ? hit(PROC_MAGIC, 0) : t->fs->cwd ? hit(PROC_CWD, 0) :
		       hit(t->fs->cwd_bind ? PROC_BOUND : PROC_MAGIC, AT_FDCWD);
	if (is(c, "root"))
		return hit(PROC_MAGIC, 0);
	if (is(c, "task") || is(c, "fdinfo") || is(c, "ns") || is(c, "map_files") || is(c, "net"))
		return hit(PROC_DIR, 0);
	if (view_is_empty(t))
		return hit(PROC_NONE, 0);
	if (is(c, "mounts"))
		return hit(PROC_MOUNTS, pid);
	return is(c, "mountinfo") ? hit(PROC_MOUNTINFO, pid) : hit(PROC_NONE, 0);
}

struct proc_hit proc_look(const struct task *t, const char *path, size_t len)
{
	const char *end = path + len, *at = path + 5, *behind;
	struct name c = next_name(&at, end), task;
	int pid = is(c, "self") || is(c, "thread-self") ? process.pid : number(c);

	if (pid <= 0)
		return hit(PROC_NONE, 0);
	if (pid == process.pid || pid == t->tid)
		pid = 0;
	behind = at;
	task = next_name(&behind, end);
	if (is(task, "task") && number(next_name(&behind, end)) > 0)
		at = behind;
	return look_in_process(t, pid, at, end);
}

/* ---- the program of a process --------------------------------------------------------------------- */

/* Reads a whole small file (or as much as fits); NUL-terminated.  Length or -errno. */
static long read_file(int dfd, const char *path, char *buf, size_t size)
{
	long fd = raw_syscall(__NR_openat, dfd, path, O_RDONLY | O_CLOEXEC, 0), n = 0;
	size_t len = 0;

	if (fd < 0)
		return fd;
	while (len + 1 < size && (n = raw_syscall(__NR_read, fd, buf + len, size - 1 - len)) > 0)
		len += (size_t)n;
	raw_syscall(__NR_close, fd);
	buf[len] = 0;
	return n < 0 ? n : (long)len;
}

/* Does the kernel show the same program there as for us: the agent? */
static bool runs_agent(int pid)
{
	char path[32], ours[128], theirs[128];
	long n, m;

	text_format(path, sizeof(path), "/proc/%d/exe", pid);
	n = raw_syscall(__NR_readlinkat, AT_FDCWD, "/proc/self/exe", ours, sizeof(ours));
	m = raw_syscall(__NR_readlinkat, AT_FDCWD, path, theirs, sizeof(theirs));
	return n > 0 && n == m && !memcmp(ours, theirs, (size_t)n);
}

/* Field 26 of /proc/PID/stat: where the program's text begins (our loader has told the kernel). */
static uint64_t start_code(int pid)
{
	char path[32], text[1024];
	const char *s;

	text_format(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return 0;
	s = strrchr(text, ')');		/* the name in front may contain anything */
	for (int field = 2; s && field < 26; field++)
		s = strchr(s + 1, ' ');
	return s && s[1] ? (uint64_t)text_number(&(const char *) { s + 1 }) : 0;
}

static uint64_t hex(const char **s)
{
	uint64_t v = 0;

	for (;; (*s)++) {
		char c = **s;

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return v;
	}
}

/* A line of /proc/PID/maps: the path of the file mapped over `address`, or NULL. */
static const char *maps_line(const char *s, uint64_t address)
{
	uint64_t from = hex(&s), to;

	if (*s++ != '-')
		return NULL;
	to = hex(&s);
	return address >= from && address < to ? strchr(s, '/') : NULL;
}

struct maps {
	long fd;
	size_t len;
	char buf[UM_PATH_MAX + 128];
};

/* The next line, without its newline; NULL at the end.  `used` is what the last one took. */
static char *next_line(struct maps *m, size_t *used)
{
	char *newline;
	long n;

	m->len -= *used;
	memmove(m->buf, m->buf + *used, m->len);
	m->buf[m->len] = 0;
	while (!(newline = strchr(m->buf, '\n')) && m->len + 1 < sizeof(m->buf)) {
		n = raw_syscall(__NR_read, m->fd, m->buf + m->len, sizeof(m->buf) - 1 - m->len);
		if (n <= 0)
			return NULL;
		m->len += (size_t)n;
		m->buf[m->len] = 0;
	}
	if (!newline)
		return NULL;
	*newline = 0;
	*used = (size_t)(newline - m->buf) + 1;
	return m->buf;
}

/* A program of a mounted file system runs from a copy in memory that bears its path, if that was not too long. */
static const char *name_of_copy(const char *name, size_t *n)
{
	const char *end = strchr(name, 0);

	if (end - name > 10 && !strcmp(end - 10, " (deleted)"))
		end -= 10;
	*n = name[0] == '/' && end - name < 240 ? (size_t)(end - name) : 0;
	return name;
}

static long mapped_file(int pid, uint64_t address, char *buf, size_t size)
{
	struct maps m = { .len = 0 };
	const char *found = NULL, *line;
	size_t used = 0, n;
	char path[32];

	text_format(path, sizeof(path), "/proc/%d/maps", pid);
	m.fd = raw_syscall(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (m.fd < 0)
		return m.fd;
	while (!found && (line = next_line(&m, &used)))
		found = maps_line(line, address);
	raw_syscall(__NR_close, m.fd);
	if (found && !strncmp(found, "/memfd:", 7))
		found = name_of_copy(found + 7, &n);
	else
		n = found ? strlen(found) : 0;
	if (!n || n >= size)
		return -ENOENT;
	memcpy(buf, found, n);
	buf[n] = 0;
	return (long)n;
}

/* process.exe is set for a program that runs from a copy or from behind a bind mount; every other is found by its
 * mapping, so that the path is the present one, with " (deleted)" where it must be. */
long proc_exe(int pid, char *buf, size_t size)
{
	if (!pid && process.exe) {
		size_t n = strlen(process.exe);
		if (n >= size)
			return -ENOENT;
		memcpy(buf, process.exe, n + 1);
		return (long)n;
	}
	if (pid && !runs_agent(pid))
		return -ENOENT;
	if (!pid)
		pid = process.pid;
	uint64_t start = start_code(pid);
	return start > 1 ? mapped_file(pid, start, buf, size) : -EACCES;
}

/* ---- reading faked links -------------------------------------------------------------------------- */

static long link_text(struct where *w, char *buf, size_t size)
{
	struct file *f;
	long n;

	switch (w->proc) {
	case PROC_EXE:
		return proc_exe(w->proc_arg, buf, size);
	case PROC_CWD:
		return path_of_cwd(w->t, buf, size);
	case PROC_BOUND:
		return base_path(w->t, w->proc_arg, view_generation(w->t), buf, size);
	case PROC_FD:
		f = fd_hold(w->t, w->proc_arg);
		if (!f)
			return -ENOENT;
		n = file_path(w->t, f, buf, size);
		if (n == -ENOENT)
			n = text_format(buf, size, "%s (deleted)", f->path ? f->path : "/");
		file_put(f);
		return n;
	default:
		return -EINVAL;
	}
}

static long proc_readlink(struct where *w, gaddr buf, size_t size)
{
	char text[UM_PATH_MAX + 16];
	long n = link_text(w, text, sizeof(text));

	if (n < 0)
		return real_fs.readlink(w, buf, size);
	if (size > (size_t)n)
		size = (size_t)n;
	return copy_to_guest(w->t, buf, text, size) ? -EFAULT : (long)size;
}

/* ---- mount tables --------------------------------------------------------------------------------- */

static long write_all(int fd, const char *buf, size_t n)
{
	while (n) {
		long r = raw_syscall(__NR_write, fd, buf, n);

		if (r < 0)
			return r;
		buf += r;
		n -= (size_t)r;
	}
	return 0;
}

static long copy_file(int from, int to, char *buf, size_t size)
{
	long n, r = 0;

	while (!r && (n = raw_syscall(__NR_read, from, buf, size)) != 0)
		r = n < 0 ? n : write_all(to, buf, (size_t)n);
	return r;
}

static long add_ours(struct task *t, int style, int to, char *buf, size_t size)
{
	long n = view_print(t, style, buf, size);

	return n < 0 ? n : write_all(to, buf, (size_t)n);
}

#define TABLE_SIZE	(UM_SNAPSHOT_SIZE * 4)	/* every byte of it may become \ooo */

/* The kernel's table (open at `from`) and ours into a memory file, which nobody can change any more. */
static long fill_table(struct task *t, int style, int from, int to)
{
	long r, at = own_map(TABLE_SIZE, 3 /* read, write */, 0, -1, 0);

	if (at < 0)
		return at;
	r = copy_file(from, to, (char *)at, TABLE_SIZE);
	if (!r)
		r = add_ours(t, style, to, (char *)at, TABLE_SIZE);
	own_unmap((void *)at, TABLE_SIZE);
	if (!r)
		r = raw_syscall(__NR_fcntl, to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	return r;
}

/* The same file again as the guest would have it: read-only, at offset 0, under the number the kernel chose. */
static long reopen(long real, long memory, int flags)
{
	char path[48];
	long fd, r;

	text_format(path, sizeof(path), "/proc/thread-self/fd/%ld", memory);
	fd = raw_syscall(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | (flags & O_NONBLOCK), 0);
	if (fd < 0)
		return fd;
	r = raw_syscall(__NR_dup3, fd, real, flags & O_CLOEXEC);
	raw_syscall(__NR_close, fd);
	return r;
}

static long proc_open(struct where *w, int flags, unsigned mode)
{
	bool table = w->proc == PROC_MOUNTS || w->proc == PROC_MOUNTINFO;
	long real = real_fs.open(w, flags, mode), memory, r;

	if (real < 0 || !table || flags & O_PATH || (flags & O_ACCMODE) != O_RDONLY)
		return real;
	memory = raw_syscall(__NR_memfd_create, "mounts", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	r = memory;
	if (memory >= 0) {
		r = fill_table(w->t, w->proc == PROC_MOUNTINFO, (int)real, (int)memory);
		if (!r)
			r = reopen(real, memory, flags);
		raw_syscall(__NR_close, memory);
	}
	if (r < 0)
		raw_syscall(__NR_close, real);
	return r;
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
