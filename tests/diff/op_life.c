/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps that start somebody else: a child or a thread that takes the next steps while its parent waits, and
 * programs of the tree (prog.c tells what it was given).
 */
#include "diff.h"
#include <pthread.h>
#include <sched.h>

static unsigned thread_steps;
static int thread_unshares;

static void say_status(int status)
{
	if (WIFEXITED(status))
		say(" exit %d", WEXITSTATUS(status));
	else
		say(" killed by %s", sigabbrev_np(WTERMSIG(status)));
}

/* A pid is no result. */
static void wait_for(pid_t pid, bool program)
{
	int status;

	if (pid < 0) {
		result(-1);
		return;
	}
	while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
		say(" EINTR");
	if (program && WIFSIGNALED(status))
		say(" killed");		/* a damaged program: SIGSEGV natively, SIGKILL in a view (docs/limits.md) */
	else
		say_status(status);
}

static void op_fork(void)
{
	static const unsigned long shared[] = { 0, 0, 0, CLONE_FILES, CLONE_FS, CLONE_FILES | CLONE_FS };
	unsigned count = 1 + pick(12);
	unsigned long flags = PICK_OF(shared);
	pid_t pid;

	if (!(features & FEAT_APART))
		flags = 0;
	say("%u steps, %#lx", count, flags);
	if (depth_now() > 2) {
		say(" too deep");
		return;
	}
	flush_line();
	pid = flags ? (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0L, 0L, 0L, 0L) : fork();
	if (!pid) {
		depth_add(1);
		run_steps(count);
		_exit(7);
	}
	say("  back:");
	if (pid > 0)
		skip_steps(count);
	wait_for(pid, false);
}

static void *thread(void *arg)
{
	depth_add(1);
	*(pid_t *)arg = (pid_t)syscall(SYS_gettid);
	if (thread_unshares) {
		say("  thread");
		result(syscall(SYS_unshare, thread_unshares));
		flush_line();
	}
	run_steps(thread_steps);
	depth_add(-1);
	return arg;
}

static void op_thread(void)
{
	static const int apart[] = { 0, 0, CLONE_FS, CLONE_FILES, CLONE_FS | CLONE_FILES };
	pthread_t t;
	pid_t tid;
	int r;

	thread_steps = 1 + pick(12);
	thread_unshares = PICK_OF(apart);
	if (!(features & FEAT_APART))
		thread_unshares = 0;
	say("%u steps, %#x", thread_steps, (unsigned)thread_unshares);
	if (depth_now() > 2) {
		say(" too deep");
		return;
	}
	flush_line();
	r = pthread_create(&t, NULL, thread, &tid);
	if (!r) {
		pthread_join(t, NULL);
		while (!syscall(SYS_tgkill, getpid(), tid, 0))	/* descriptors of its own are closed then */
			usleep(50);
	}
	say("  back: %d", r);
}

/* ---- programs ------------------------------------------------------------------------------------------------ */

struct start {
	struct upath p;
	int flags;
	bool at;
	char **argv, **env;
	volatile int error;
};

static void start_program(struct start *s)
{
	if (s->at)
		syscall(SYS_execveat, s->p.dfd, s->p.arg, s->argv, s->env, s->flags);
	else
		syscall(SYS_execve, s->p.arg, s->argv, s->env);
	s->error = errno;
	_exit(99);
}

/* Where there are no leases. */
static bool writes_to(int own, int fd)
{
	struct stat a, b;

	return !fstat(own, &a) && !fstat(fd, &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev &&
	       (fcntl(own, F_GETFL) & (O_ACCMODE | O_PATH)) % O_PATH;
}

/*
 * Is it open for writing?  The kernel says ETXTBSY then, a view does not (docs/limits.md): such a step is not done.
 * A lease tells, as it cannot be had on what somebody writes to.
 */
static bool open_for_writing(int fd)
{
	bool yes = fcntl(fd, F_SETLEASE, F_RDLCK) && errno == EAGAIN;

	fcntl(fd, F_SETLEASE, F_UNLCK);
	for (int own = 3; own < FD_TRIM && !yes; own++)
		yes = own != fd && writes_to(own, fd);
	return yes;
}

/* It, or what interprets it.  What may be executed but not read a view cannot execute (docs/limits.md): the same. */
static bool busy(int dfd, const char *path, int depth)
{
	char own[40];
	int fd;

	snprintf(own, sizeof own, "/proc/self/fd/%d", dfd);
	if (!*path)
		path = own;
	fd = openat(dfd, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	bool yes = fd >= 0 ? open_for_writing(fd) : errno == EACCES && !faccessat(dfd, path, X_OK, AT_EACCESS);
	char line[257] = "", *name;

	if (fd >= 0 && !yes && depth < 6 && pread(fd, line, sizeof line - 1, 0) > 2 && line[0] == '#' && line[1] == '!') {
		name = line + 2 + strspn(line + 2, " \t");
		name[strcspn(name, " \t\n")] = 0;
		yes = *name && busy(AT_FDCWD, name, depth + 1);
	}
	close(fd);
	return yes;
}

bool few_descriptors;

bool program_busy(const char *path)
{
	return few_descriptors || busy(AT_FDCWD, path, 0) || busy(FD_ROOT, "x", 0) || busy(FD_ROOT, "s0", 0);
}

static bool any_busy(const struct upath *p)
{
	return (p->arg == p->text && busy(p->dfd, p->text, 0)) || program_busy("/");
}

static void op_exec(void)
{
	static const char *const programs[] = { "x", "@/x", "s0", "@/s1", "s2", "s3", "@/s4", "sx", "@/sx", "d/s5", "@/s0", "@/x", "@/s0" };
	static const int flags[] = { 0, 0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 0x400 };
	static struct start *s;
	char *argv[] = { "name", "first", "", NULL }, *env[] = { "E=e", "F", NULL };
	bool vforks = pick(2);
	const char *name = NULL;
	pid_t pid;

	if (!s)
		s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s->argv = argv;
	s->env = env;
	s->error = 0;
	s->at = pick(2);
	if (pick(3)) {
		s->p.dfd = AT_FDCWD;
		s->p.arg = s->p.text;
		name = PICK_OF(programs);
		sprintf(s->p.text, "%s%s", *name == '@' ? root : "", name + (*name == '@'));
		say("%s", name);
	} else {
		pick_at(&s->p);
		if (s->p.dfd != AT_FDCWD)
			s->at = true;
	}
	s->flags = s->at ? PICK_OF(flags) : 0;
	if (s->flags == AT_EMPTY_PATH && !name && pick(2)) {
		s->p.arg = s->p.text;
		*s->p.text = 0;
		say(" EMPTY");
	}
	say(", %s %#x", s->at ? "at" : "", (unsigned)s->flags);
	if (any_busy(&s->p)) {
		say(" busy");
		return;
	}
	flush_line();
	pid = vforks ? vfork() : fork();
	if (!pid)
		start_program(s);
	say("  back:");
	wait_for(pid, true);
	if (s->error)
		say(" %s", strerrorname_np(s->error));
}

static void op_proc(void)
{
	char name[PATH_MAX];
	long n;

	switch (pick(3)) {
	case 0:
		n = readlink("/proc/self/cwd", name, sizeof name - 1);
		break;
	case 1:
		n = readlink("/proc/thread-self/cwd", name, sizeof name - 1);
		break;
	default:
		n = readlink("/proc/self/root", name, sizeof name - 1);
	}
	if (n < 0) {
		result(n);
		return;
	}
	name[n] = 0;
	say_path(name);
}

const struct op ops_life[] = {
	{ "fork", op_fork, 8, 0 },
	{ "thread", op_thread, 6, 0 },
	{ "exec", op_exec, 10, 0 },
	{ "proc", op_proc, 5, 0 },
	{ 0 }
};
