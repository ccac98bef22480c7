/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps with a child that does nothing of its own: waiting for it in every way, pidfds, its memory and its descriptors.
 */
#include "diff.h"
#include <sched.h>
#include <sys/uio.h>
#include <sys/resource.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static volatile char *page;		/* shared with children */

static void shared_page(void)
{
	if (!page)
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	page[0] = 0;
}

/* ---- waiting ------------------------------------------------------------------------------------------------ */

static void end_child(unsigned how)
{
	static const int deaths[] = { SIGTERM, SIGKILL, SIGUSR1 };

	if (how < 4)
		_exit((int)how * 85);
	if (how == 7)
		raise(SIGSTOP);
	for (unsigned i = 0; i < 3 && how != 7; i++)
		signal(deaths[i], SIG_DFL);
	if (how != 7) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		raise(deaths[how - 4]);
	}
	_exit(3);
}

static void say_info(const siginfo_t *i, pid_t child)
{
	if (!i->si_signo)
		say(" none");
	else
		say(" signo %d code %d status %d%s%s", i->si_signo, i->si_code, i->si_status,
		    i->si_pid == child ? "" : " other", i->si_uid == getuid() ? "" : " uid");
}

static void say_wait_status(int status)
{
	say(" status %#x", (unsigned)status);
}

static void wait_once(pid_t child, unsigned how, int options)
{
	struct rusage usage = { .ru_maxrss = -1 };
	siginfo_t info = { 0 };
	int status = -1, fd;
	long r;

	switch (how) {
	case 0:
	case 1:
		r = syscall(SYS_wait4, how ? -1 : child, &status, options, &usage);
		say(r == child ? " child" : r < 0 ? " -1" : " %ld", r);
		say_wait_status(status);
		break;
	case 2:
	case 3:
		r = syscall(SYS_waitid, how == 2 ? P_PID : P_ALL, child, &info, options | WEXITED, NULL);
		result(r);
		say_info(&info, child);
		break;
	case 4:
		fd = (int)syscall(SYS_pidfd_open, child, 0);
		r = syscall(SYS_waitid, P_PIDFD, fd, &info, options | WEXITED, NULL);
		result(r);
		say_info(&info, child);
		close(fd);
		break;
	case 5:
		r = syscall(SYS_wait4, 0, NULL, options, NULL);
		say(r == child ? " child" : " no");
		break;
	case 6:
		r = syscall(SYS_waitid, P_PID, child, NULL, options | WEXITED, NULL);
		result(r);
		break;
	default:
		result(syscall(SYS_wait4, child, (void *)16, options, NULL) < 0 ? -1 : 0);
	}
}

static void op_wait(void)
{
	static const int options[] = { 0, 0, WNOHANG, WNOWAIT, WUNTRACED, WNOHANG | WNOWAIT, WCONTINUED, 0x800, __WALL, __WCLONE,
		__WNOTHREAD };
	unsigned ends = pick(8), times = 1 + pick(3), how, option;
	siginfo_t info;
	pid_t child = fork();

	if (!child)
		end_child(ends);
	say("%u", ends);
	/* From here on nothing is left to chance: it has ended, or stopped. */
	waitid(P_PID, (id_t)child, &info, WEXITED | WSTOPPED | WNOWAIT);
	for (unsigned i = 0; i < times; i++) {
		how = pick(8);
		option = (unsigned)PICK_OF(options);
		if (ends == 7)		/* a stop is told once */
			option |= WNOHANG;
		say(", %u %#x", how, option);
		wait_once(child, how, (int)option);
	}
	if (ends == 7) {
		kill(child, SIGCONT);
		waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
	}
	say(" at last");
	wait_once(child, 0, 0);
	if (!waitid(P_PID, (id_t)child, &info, WEXITED))
		say(" still there");
}

/* Behind a bind mount nobody knows by what path one came here that another process has opened: docs/limits.md. */
static bool is_directory(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISDIR(st.st_mode);
}

/* ---- another process ---------------------------------------------------------------------------------------- */

static void on_child(pid_t child, int pidfd, unsigned what)
{
	static char here[64], there[64] = "untouched";
	struct iovec local = { here, sizeof here }, remote = { there, sizeof there };
	long r;
	int fd;

	switch (what) {
	case 0:
		say(" getfd ");
		r = syscall(SYS_pidfd_getfd, pidfd, pick_fd(), 0);
		result(r);
		if (r >= 0 && (stray((int)r) || r >= FD_TRIM || is_directory((int)r)))
			close((int)r);
		else if (r >= 0)
			say(" e%d", fcntl((int)r, F_GETFD));
		break;
	case 1:
		memset(here, 0, sizeof here);
		say(" readv");
		result(syscall(SYS_process_vm_readv, child, &local, 1L, &remote, 1L, 0L));
		say(" '%.20s'", here);
		break;
	case 2:
		strcpy(here, "written");
		say(" writev");
		result(syscall(SYS_process_vm_writev, child, &local, 1L, &remote, 1L, 0L));
		break;
	case 3:
		say(" kcmp ");
		fd = pick_fd();
		r = syscall(SYS_kcmp, child, getpid(), 0 /* KCMP_FILE */, fd, fd);
		result(r > 0 ? 1 : r);
		break;
	case 4:
		say(" signal");
		result(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
		break;
	case 5:
		say(" bad");
		result(syscall(SYS_pidfd_send_signal, pidfd, 65, NULL, 0));
		result(syscall(SYS_pidfd_getfd, pidfd, 0, 1));
		result(syscall(SYS_process_vm_readv, child, &local, 1L, &(struct iovec){ (void *)16, 8 }, 1L, 0L));
		break;
	}
}

/* What /proc shows of its descriptors and cwd to another process. */
static void look_at_child(pid_t child, int fd)
{
	char link[48], name[PATH_MAX];
	struct stat st;
	long n;

	if (fd < 0)
		sprintf(link, "/proc/%d/cwd", child);
	else
		sprintf(link, "/proc/%d/fd/%d", child, fd);
	n = readlink(link, name, sizeof name - 1);
	say(" look %d", fd);
	if (n < 0) {
		result(n);
		return;
	}
	name[n] = 0;
	if (features & FEAT_ENVIRON)
		say_path(name);
	if (!result(stat(link, &st)) && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
		say_stat(&st);
}

static void op_other(void)
{
	unsigned times = 1 + pick(4), what;
	int pidfd, opened, status, from[2];
	pid_t child;
	char byte;

	if (pipe2(from, O_CLOEXEC) || fcntl(from[0], F_DUPFD_CLOEXEC, 110) < 0 || fcntl(from[1], F_DUPFD_CLOEXEC, 112) < 0) {
		say("no pipe");
		return;
	}
	close(from[0]);
	close(from[1]);
	child = fork();
	if (!child) {
		close(112);
		_exit(read(110, &byte, 1) == 0 ? 9 : 8);
	}
	close(110);
	opened = (int)syscall(SYS_pidfd_open, child, 0);
	pidfd = opened < 0 ? opened : fcntl(opened, F_DUPFD_CLOEXEC, 114);
	close(opened);
	say("child");
	while (times--) {
		what = pick(9);
		if (what < 6)
			on_child(child, pidfd, what);
		else if (what == 6)
			look_at_child(child, -1);
		else
			look_at_child(child, 3 + (int)pick(FD_DRAWN - 2));
	}
	close(112);
	waitpid(child, &status, 0);
	close(pidfd);
	say_wait_status(status);
}

/* ---- clone in other words ----------------------------------------------------------------------------------- */

struct clone3_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

/* A child that only counts: its flags, its parent's view of it. */
static void op_clone3(void)
{
	static const uint64_t flags[] = {
		0, CLONE_PIDFD, CLONE_PARENT_SETTID, CLONE_CHILD_SETTID, CLONE_VM | CLONE_VFORK, CLONE_SIGHAND, 0x100000000 /* CLEAR_SIGHAND */,
		CLONE_THREAD, CLONE_FS | CLONE_NEWNS, CLONE_DETACHED, CLONE_SETTLS | CLONE_SIGHAND,
	};
	static const uint64_t ends[] = { SIGCHLD, SIGCHLD, 0, 100 };
	static const size_t sizes[] = { 88, 88, 64, 80, 56, 100 };
	int pidfd = -1, tid = 0, status = 0;
	union { struct clone3_args a; char room[128]; } u = { .a = { .flags = PICK_OF(flags), .exit_signal = PICK_OF(ends) } };
	struct clone3_args *a = &u.a;
	size_t size = PICK_OF(sizes);
	long r;

	a->pidfd = (uintptr_t)&pidfd;
	a->parent_tid = a->child_tid = (uintptr_t)&tid;
	say("%#llx, %llu, %zu", (unsigned long long)a->flags, (unsigned long long)a->exit_signal, size);
	shared_page();
	if (a->flags & CLONE_VM && a->flags & CLONE_VFORK) {	/* the C library's own way, so that no frame is shared */
		r = vfork();
	} else {
		r = syscall(SYS_clone3, a, size);
	}
	if (!r) {
		page[0] = 1;
		_exit(a->flags & CLONE_CHILD_SETTID ? tid == (int)syscall(SYS_gettid) : 4);
	}
	if (r < 0) {
		result(r);
		return;
	}
	if (a->flags & CLONE_PIDFD) {
		say(" pidfd %d e%d", pidfd, fcntl(pidfd, F_GETFD));
		close(pidfd);
	}
	if (a->flags & CLONE_PARENT_SETTID)
		say(" tid %d", tid == r);
	while (waitpid((pid_t)r, &status, __WALL) < 0 && errno == EINTR)
		say(" EINTR");
	say_wait_status(status);
	say(" ran %d", page[0]);
}

const struct op ops_wait[] = {
	{ "wait", op_wait, 8, 0 },
	{ "other", op_other, 8, 0 },
	{ "clone3", op_clone3, 4, 0 },
	{ 0 }
};
