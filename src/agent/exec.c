/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * execve in a view: everything the kernel would check is checked here, then the agent's image is executed
 * by descriptor, with the state of this process in front of the arguments; the new agent (start.c) loads
 * the program whose descriptor it was left.
 *
 * Scripts: each `#!` replaces the first argument by interpreter, its argument, and the script's path, at
 * most five times (the kernel's limit).  fusermount and fusermount3 are ours, whatever the path says.
 */
#include "exec.h"
#include "life.h"
#include "load.h"
#include "signal.h"
#include "../kernel/cow.h"
#include "../kernel/cred.h"
#include "../kernel/fd.h"
#include "../kernel/guard.h"
#include "../kernel/path_walk.h"
#include "../kernel/perm.h"
#include "../kernel/fs/ident.h"
#include "../kernel/fs/remote.h"
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/ptrace.h>
#include <asm/signal.h>
#include <asm/statfs.h>

#define SCRIPT_LINE	256		/* the kernel's BINPRM_BUF_SIZE */
#define SCRIPT_DEPTH	5
#define FRONT		(2 + 2 * SCRIPT_DEPTH)
#define X_OK		1
#define FS_NOSUID	2		/* in statfs.f_flags */
#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK	0x10000
#endif

/*
 * What one exec needs, in one mapping that outlives the call (lifestate.exec_buf): this, the new argument
 * vector, and the strings we make ourselves, one behind the other, so that few pages are touched.
 */
struct exec_buf {
	const char *front[FRONT];	/* what stands instead of the guest's argv[0] */
	int nfront;
	size_t nargs;			/* of the guest, without argv[0] */
	char *boot, *execfn, *exe, *fds, *cwd, *cred;
	char *path;			/* of the file being looked at */
	int hold_fd;			/* keeps the program's mount busy, or -1 */
	struct elf_head head;		/* of the file being looked at */
	int guard_fd;			/* the guest's own filters, or -1 */
	bool opened;			/* what the guest names could be opened: then its arguments are to be looked at */
	int fds_fd;			/* the table of descriptors if it is long, or -1 */
	char *tip, *end;		/* free room for strings */
	uint64_t argv[];
};
#define STRINGS		(UM_BOOT_MAX + UM_BOOT_MAX / 2 + UM_CRED_TEXT + (5 + SCRIPT_DEPTH) * (UM_PATH_MAX + SCRIPT_LINE + 64))

/* A string of length n has been written at b->tip: keep it. */
static char *keep(struct exec_buf *b, size_t n)
{
	char *s = b->tip;
	b->tip += n + 1;
	return s;
}

/* ---- opening what shall be executed -------------------------------------------------------------------- */

/* With other threads about, the descriptors for the next image are close-on-exec until the last moment. */
static int open_cloexec(void)
{
	return life_threads() > 1 ? O_CLOEXEC : 0;
}

static long check_executable(int fd)
{
	struct stat st;
	long r = raw_syscall(__NR_fstat, fd, &st);

	if (r < 0)
		return r;
	if ((st.st_mode & S_IFMT) != S_IFREG)
		return -EACCES;
	return raw_syscall(439 /* faccessat2 */, fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS);
}

static long open_real(struct where *w)
{
	int flags = O_RDONLY | O_NONBLOCK | open_cloexec() |
		    (w->fast || w->flags & WHERE_NOFOLLOW ? O_NOFOLLOW : 0);
	long fd, r;

	if ((w->flags & WHERE_EMPTY) && !*(const char *)w->upath) {
		char link[40];
		text_format(link, sizeof link, w->dfd == AT_FDCWD ? "." : "/proc/thread-self/fd/%d", w->dfd);
		fd = raw_syscall(__NR_openat, AT_FDCWD, link, flags & ~O_NOFOLLOW, 0);
		if (fd == -ENOENT)
			fd = -EBADF;
	} else {
		fd = raw_syscall(__NR_openat, w->dfd, w->upath, flags, 0);
	}
	if (fd == -ELOOP && w->fast && !(w->flags & WHERE_NOFOLLOW))
		return -UM_EAGAIN;
	if (fd < 0)
		return fd == -ENXIO ? -EACCES : fd;	/* a socket */
	r = check_executable(fd);
	if (r < 0) {
		raw_syscall(__NR_close, fd);
		return r;
	}
	return fd;
}

/*
 * A program that runs keeps its mount busy, although its text is a copy: a carrier of the file, parked
 * among the agent's own descriptors, that the next image keeps until it executes something else.
 */
static int hold_file(struct file *f)
{
	int fd = carrier_open(f->server, f->handle, O_RDONLY);

	if (fd < 0)
		return -1;
	int parked = fd_park(fd);
	if (parked < 0)
		raw_syscall(__NR_close, fd);
	else
		fd_disown(parked);	/* the next image's, and a vfork parent shares our table */
	return parked < 0 ? -1 : parked;
}

static long open_remote(struct where *w, int *hold)
{
	struct file *f;
	long r = remote_access(w, X_OK, AT_EACCESS);

	if (r == 0)
		r = remote_open_file(w, O_RDONLY, 0, &f);
	if (r < 0)
		return r;
	if (w->mount.flags & 8 /* MS_NOEXEC */)
		r = -EACCES;
	else if ((f->mode & S_IFMT) != S_IFREG)
		r = -EACCES;
	else
		r = file_to_memfd(w->t, f, w->path, open_cloexec());
	if (r >= 0 && hold && (*hold = hold_file(f)) >= 0)
		file_put(f);
	else
		remote_close(w->t, f);
	return r;
}

/* A program by its descriptor: the path in the view, if that is behind a bind mount. */
static bool path_of_descriptor(struct task *t, int fd, char *path)
{
	uint32_t bound, bind = fd < 0 ? 0 : base_bind(t, fd, &bound);

	return bind && !cow_is_mount(t, bind) && base_path(t, fd, view_generation(t), path, UM_PATH_MAX) > 0;
}

/* Opens a program; *virtual_path (UM_PATH_MAX bytes) is its path in the view if the kernel has another (or
 * none), else "".  *hold, if wanted, becomes what keeps its mount busy, or -1. */
static long open_program(struct task *t, int dfd, gaddr path, unsigned flags, char *virtual_path, int *hold)
{
	struct where w;
	long r = where_begin(&w, t, dfd, path, flags);

	*virtual_path = 0;
	if (hold)
		*hold = -1;
	while (where_next(&w, &r)) {
		bool remote = w.fs == &remote_fs;

		r = w.strict ? perm_have(&w, PERM_X) : 0;
		if (r)
			continue;
		r = remote ? open_remote(&w, hold) : w.fuse_device ? -EACCES : open_real(&w);
		if (r >= 0 && (remote || (w.bind && !cow_is_mount(t, w.bind))) && where_path(&w, virtual_path, UM_PATH_MAX) < 0)
			*virtual_path = 0;
		if (r >= 0 && !remote && !w.len && !path_of_descriptor(t, dfd, virtual_path))
			*virtual_path = 0;
	}
	return where_end(&w, r);
}

static void drop_hold(struct exec_buf *b)
{
	if (b->hold_fd >= 0)
		raw_syscall(__NR_close, b->hold_fd);
	b->hold_fd = -1;
}

/* ---- scripts ------------------------------------------------------------------------------------------- */

static char *skip_blanks(char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

/*
 * The `#!` line in line[0 .. n): *interp and *arg (NULL if none) point into it.  -ENOEXEC: there is no
 * interpreter in it, or its name does not fit.
 */
static long parse_script(char *line, long n, char **interp, char **arg)
{
	char *end = NULL, *s;

	for (long i = 2; i < n && !end; i++)
		if (line[i] == '\n' || !line[i])
			end = line + i;
	bool whole = end != NULL;
	if (!end)
		end = line + n;
	*end = 0;
	*interp = s = skip_blanks(line + 2);
	while (*s && *s != ' ' && *s != '\t')
		s++;
	if (s == *interp || (!*s && !whole && n >= SCRIPT_LINE))
		return -ENOEXEC;
	*arg = NULL;
	if (*s) {
		*s++ = 0;
		s = skip_blanks(s);
		for (char *e = end; e > s && (e[-1] == ' ' || e[-1] == '\t'); )
			*--e = 0;
		*arg = *s ? s : NULL;
	}
	return 0;
}

static char *keep_text(struct exec_buf *b, const char *s)
{
	return keep(b, text_format(b->tip, b->end - b->tip, "%s", s));
}

/* The script at b->path runs by its interpreter: changes front; *next is the interpreter's path. */
static long enter_script(struct exec_buf *b, char *line, long n, char **next)
{
	char *interp, *arg;
	long r = parse_script(line, n, &interp, &arg);

	if (r)
		return r;
	int more = arg ? 2 : 1;
	for (int i = b->nfront - 1; i >= 1; i--)
		b->front[i + more] = b->front[i];
	*next = keep_text(b, interp);
	b->front[0] = *next;
	if (arg)
		b->front[1] = keep_text(b, arg);
	b->front[more] = b->path;
	b->nfront += more;
	return 0;
}

/* ---- from path to program ------------------------------------------------------------------------------- */

static bool is_fusermount(const char *path)
{
	const char *base = strrchr(path, '/');
	base = base ? base + 1 : path;
	return !strcmp(base, "fusermount") || !strcmp(base, "fusermount3");
}

/* The interpreter would be given a path through a descriptor that is closed by then. */
static bool closes_on_exec(int dfd, const char *path)
{
	return !strncmp(path, "/dev/fd/", 8) && dfd >= 0 &&
	       raw_syscall(__NR_fcntl, dfd, F_GETFD) == FD_CLOEXEC;
}

/*
 * Opens b->path (first as dfd, flags say), follows scripts, and leaves an ELF program in *e with its
 * descriptor.  b->exe becomes its path if the kernel does not know that, else NULL.
 */
static long find_program(struct task *t, int dfd, gaddr path, unsigned flags, struct exec_buf *b,
			 struct elf_file *e)
{
	const char *why;

	for (int depth = 0; ; depth++) {
		b->exe = b->tip;
		long fd = open_program(t, dfd, path, flags, b->exe, &b->hold_fd);
		if (fd < 0)
			return fd;
		b->opened = true;
		elf_read_head(&b->head, fd);
		if (b->head.size >= 2 && b->head.data[0] == '#' && b->head.data[1] == '!') {
			char *next, *line = (char *)b->head.data;
			long n = b->head.size < SCRIPT_LINE ? b->head.size : SCRIPT_LINE;
			raw_syscall(__NR_close, fd);
			drop_hold(b);
			if (depth >= SCRIPT_DEPTH)
				return -ELOOP;
			if (depth == 0 && closes_on_exec(dfd, b->path))
				return -ENOENT;
			line[n] = 0;
			long r = enter_script(b, line, n, &next);
			if (r)
				return r;
			b->path = next;
			dfd = AT_FDCWD;
			path = (gaddr)b->path;
			flags = 0;
			continue;
		}
		if (*b->exe)
			keep(b, strlen(b->exe));
		else
			b->exe = NULL;
		long r = elf_open(e, fd, &b->head, &why);
		if (r) {
			raw_syscall(__NR_close, fd);
			drop_hold(b);
			if (r == -ENOEXEC)
				agent_log("exec %s: %s", b->path, why);
		}
		return r;
	}
}

static long open_interp(struct task *t, struct exec_buf *b, const struct elf_file *e)
{
	struct elf_file i;
	const char *why;

	if (!e->interp)
		return -1;
	if (!*e->interp)		/* to the kernel that is the working directory */
		return -EACCES;
	long fd = open_program(t, AT_FDCWD, (gaddr)e->interp, 0, b->tip /* its path: nobody asks */, NULL);
	if (fd < 0)
		return fd;
	elf_read_head(&b->head, fd);
	long r = elf_open(&i, fd, &b->head, &why);
	if (r) {
		raw_syscall(__NR_close, fd);
		return r == -ENOEXEC ? -ELIBBAD : r;
	}
	elf_close(&i);
	return fd;
}

/* ---- the vectors ---------------------------------------------------------------------------------------- */

/*
 * Most execs fit into a buffer of the image that need not be mapped; one thread at a time has it.  (A
 * vfork child that has executed something gives it back by its parent, in exec_buf_free.)
 */
static char common_buf[STRINGS + 4096] __attribute__((aligned(16), section(".bss.exec")));
static uint32_t common_used;

static long buf_alloc(size_t size)
{
	uint32_t no = 0;
	if (size <= sizeof common_buf &&
	    __atomic_compare_exchange_n(&common_used, &no, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return (long)common_buf;
	return own_map(size, PROT_READ | PROT_WRITE, 0, -1, 0);
}

void exec_buf_free(struct task *t)
{
	if (t->life->exec_buf == common_buf)
		__atomic_store_n(&common_used, 0, __ATOMIC_RELEASE);
	else if (t->life->exec_buf)
		own_unmap(t->life->exec_buf, t->life->exec_size);
	t->life->exec_buf = NULL;
}

void exec_after_fork(void)
{
	common_used = 0;
}

static long new_buf(struct task *t, gaddr argv, struct exec_buf **out)
{
	long n = exec_count(t, argv);
	if (n < 0)
		return n;
	size_t fixed = sizeof(struct exec_buf) + (n + FRONT + 4) * 8, size = fixed + STRINGS;
	long at = buf_alloc(size);
	if (at < 0)
		return at;
	struct exec_buf *b = (void *)at;
	t->life->exec_buf = b;
	t->life->exec_size = size;
	b->tip = (char *)b + fixed;
	b->end = (char *)b + size;
	b->nargs = n > 0 ? n - 1 : 0;
	b->nfront = 1;
	b->exe = b->fds = b->cwd = b->cred = NULL;
	b->hold_fd = b->guard_fd = b->fds_fd = -1;
	b->opened = false;
	b->front[0] = "";
	if (n > 0) {
		uint64_t first;
		if (copy_from_guest(t, &first, argv, 8))
			return -EFAULT;
		b->front[0] = (const char *)first;
	}
	*out = b;
	return 0;
}

static long fill_argv(struct task *t, struct exec_buf *b, gaddr argv)
{
	uint64_t *v = b->argv;

	*v++ = (uint64_t)b->boot;
	*v++ = (uint64_t)b->execfn;
	for (int i = 0; i < b->nfront; i++)
		*v++ = (uint64_t)b->front[i];
	if (b->nargs && copy_from_guest(t, v, argv + 8, b->nargs * 8))
		return -EFAULT;
	v[b->nargs] = 0;
	return 0;
}

static void name_for_guest(struct task *t, struct exec_buf *b, int dfd, gaddr path)
{
	int prefix = text_format(b->tip, 32, "/dev/fd/%d/", dfd);
	char *name = b->tip + prefix;
	long n = string_from_guest(t, name, path, UM_PATH_MAX);

	if (n > 0 && (*name == '/' || dfd == AT_FDCWD)) {
		memmove(b->tip, name, n + 1);
		prefix = 0;
	} else if (n <= 0) {
		n = -1;				/* nor the slash before it */
		b->tip[prefix - 1] = 0;
	}
	b->path = b->execfn = keep(b, prefix + n);
}

/* ---- the exec itself ------------------------------------------------------------------------------------ */

/* Who the program will be: set-id bits count, unless the file system or the guest says that they do not.  (Of
 * what is in a mount prog_fd is a copy, that has none.) */
static long identity_after(struct task *t, struct exec_buf *b, int prog_fd)
{
	struct cred *c = cred_copy(t->cred);
	struct statfs fs;
	struct stat st;

	if (!c)
		return -ENOMEM;
	bool set_id = !guard_no_new_privs(t) && raw_syscall(__NR_fstatfs, prog_fd, &fs) == 0 &&
		      !(fs.f_flags & FS_NOSUID) && raw_syscall(__NR_fstat, prog_fd, &st) == 0;
	if (set_id)
		ident_show(t, &st);
	cred_exec(c, set_id ? st.st_mode : 0, set_id ? st.st_uid : 0, set_id ? st.st_gid : 0);
	cred_write(c, b->tip);
	b->cred = keep(b, strlen(b->tip));
	heap_free(c);
	return 0;
}

static long describe_files(struct task *t, struct exec_buf *b)
{
	int n = files_describe(t->files, b->tip, UM_BOOT_MAX / 2);

	if (n >= 0) {
		b->fds = keep(b, n);
		return 0;
	}
	n = n == -ENOSPC ? files_carry(t->files) : n;
	b->fds_fd = n < 0 ? -1 : n;
	return n < 0 ? n : 0;
}

static long write_boot(struct task *t, struct exec_buf *b, int prog_fd, int interp_fd)
{
	long r = describe_files(t, b);
	int nc = r < 0 ? (int)r : fsinfo_describe(t->fs, b->tip, UM_CWD_MAX);

	b->cwd = nc >= 0 ? keep(b, nc) : NULL;
	if (nc < 0)
		return nc == -ENOSPC ? -E2BIG : nc;
	b->guard_fd = guard_file(t);
	if (b->guard_fd < -1)
		return b->guard_fd;
	if (t->cred && identity_after(t, b, prog_fd))
		return -ENOMEM;
	struct boot boot = {
		.image_fd = process.image_fd, .world_fd = process.world_fd,
		.view = t->view, .epoch = t->epoch, .server = t->is_server,
		.umask = t->fs->umask, .ignored = signal_ignored(t), .sigsys_blocked = t->sig->mask & SIGBIT(SIGSYS),
		.prog_fd = prog_fd, .interp_fd = interp_fd, .hold_fd = b->hold_fd,
		.guard = guard_word(t), .guard_fd = b->guard_fd, .fds_fd = b->fds_fd, .own_pids = process.own_pids, .polls = process.polls || t->polls,
		.cred = b->cred, .fds = b->fds, .cwd = b->cwd, .exe = b->exe,
	};
	b->boot = b->tip;
	return boot_write(&boot, b->boot, UM_BOOT_MAX);
}

static void keep_open(long fd, bool yes)
{
	if (fd >= 0 && open_cloexec())
		raw_syscall(__NR_fcntl, fd, F_SETFD, yes ? 0 : FD_CLOEXEC);
}

static long execute_image(struct task *t, struct exec_buf *b, gaddr argv, gaddr envp, struct elf_file *e,
			  long interp_fd)
{
	long r = write_boot(t, b, e->fd, interp_fd);

	if (r >= 0)
		r = fill_argv(t, b, argv);
	if (r < 0)
		return r;
	keep_open(e->fd, true);
	keep_open(interp_fd, true);
	if (b->guard_fd >= 0)
		raw_syscall(__NR_fcntl, b->guard_fd, F_SETFD, 0);
	if (b->fds_fd >= 0)
		raw_syscall(__NR_fcntl, b->fds_fd, F_SETFD, 0);
	signal_before_exec(t);
	lock_acquire(&t->files->lock);
	carrier_drop_spares(t->files);
	lock_release(&t->files->lock);
	if (t->life->traceme)
		raw_syscall(__NR_ptrace, PTRACE_TRACEME);
	r = raw_syscall(__NR_execveat, process.image_fd, "", b->argv, envp, AT_EMPTY_PATH);
	signal_after_failed_exec(t);
	keep_open(e->fd, false);
	keep_open(interp_fd, false);
	return r;
}

static unsigned where_flags(int flags)
{
	return (flags & AT_EMPTY_PATH ? WHERE_EMPTY : 0) | (flags & AT_SYMLINK_NOFOLLOW ? WHERE_NOFOLLOW : 0);
}

/* The program cannot be executed: r, unless its arguments cannot be read. */
static long not_executed(struct task *t, const struct exec_buf *b, gaddr argv, gaddr envp, long r)
{
	long e = b->opened ? exec_check_args(t, argv, envp) : 0;

	return e ? e : r;
}

static long exec_with(struct task *t, struct exec_buf *b, int dfd, gaddr path, gaddr argv, gaddr envp,
		      int flags)
{
	struct elf_file e;
	unsigned where = where_flags(flags);

	name_for_guest(t, b, dfd, path);
	if (is_fusermount(b->path) && process.world->umview_path[0]) {
		dfd = AT_FDCWD;
		path = (gaddr)process.world->umview_path;
		where = WHERE_VIEW;
	}
	long r = find_program(t, dfd, path, where, b, &e);
	if (r < 0)
		return not_executed(t, b, argv, envp, r);
	long interp_fd = open_interp(t, b, &e);
	r = interp_fd < -1 ? not_executed(t, b, argv, envp, interp_fd) : execute_image(t, b, argv, envp, &e, interp_fd);
	if (interp_fd >= 0)
		raw_syscall(__NR_close, interp_fd);
	raw_syscall(__NR_close, e.fd);
	if (b->guard_fd >= 0)
		raw_syscall(__NR_close, b->guard_fd);
	if (b->fds_fd >= 0)
		raw_syscall(__NR_close, b->fds_fd);
	drop_hold(b);
	elf_close(&e);
	return r;
}

/* Flags that there are not: but what is wrong with the path itself comes first. */
static long bad_flags(struct task *t, gaddr path, int flags)
{
	char text[UM_PATH_MAX];
	long n = string_from_guest(t, text, path, sizeof text);

	if (n < 0)
		return n;
	return n || flags & AT_EMPTY_PATH ? -EINVAL : -ENOENT;
}

/* Does the kernel know AT_EXECVE_CHECK (since Linux 6.14)?  Our own image passes. */
static bool kernel_checks(void)
{
	return raw_syscall(__NR_execveat, process.image_fd, "", NULL, NULL, AT_EMPTY_PATH | AT_EXECVE_CHECK) == 0;
}

/* Only what the kernel looks at before it knows what the program is: 0 if all is well with that. */
static long check_program(struct task *t, int dfd, gaddr path, gaddr argv, gaddr envp, int flags)
{
	char where[UM_PATH_MAX];
	long r = open_program(t, dfd, path, where_flags(flags), where, NULL);

	if (r < 0)
		return r;
	raw_syscall(__NR_close, r);
	return exec_check_args(t, argv, envp);
}

long exec_program(struct task *t, int dfd, gaddr path, gaddr argv, gaddr envp, int flags)
{
	struct exec_buf *b = NULL;

	if (flags & AT_EXECVE_CHECK && kernel_checks() && !(flags & ~(AT_EXECVE_CHECK | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)))
		return check_program(t, dfd, path, argv, envp, flags);
	if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return bad_flags(t, path, flags);
	long r = new_buf(t, argv, &b);
	if (r == 0)
		r = exec_with(t, b, dfd, path, argv, envp, flags);
	else if (r == -EFAULT)
		r = check_program(t, dfd, path, argv, envp, flags);
	exec_buf_free(t);
	return r;
}
