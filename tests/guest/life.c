/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes: fork, vfork, clone, clone3, posix_spawn, waiting, exiting.
 * GUEST_WORLDS: view cow bindcow cowmount cowbind cowcow
 */
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <linux/sched.h>

extern char **environ;

TEST(fork_basic, "fork: pids, exit status, memory is a copy")
{
	volatile int value = 1;
	pid_t me = getpid(), pid = MUST(fork());
	int status;

	if (pid == 0) {
		value = 2;
		_exit(getppid() == me && getpid() != me && getpid() == syscall(SYS_gettid) ? 11 : 12);
	}
	EQ(waitpid(pid, &status, 0), pid);
	EXITED(status, 11);
	EQ(value, 1);
	FAILS(waitpid(pid, &status, 0), ECHILD);
	FAILS(wait(&status), ECHILD);
}

TEST(statuses, "every exit status, every deadly signal")
{
	static const int deadly[] = { SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL,
		SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGXCPU, SIGVTALRM, SIGIO, SIGSYS, 40 };
	int status;

	for (int code = 0; code < 256; code += 17) {
		if (fork() == 0)
			_exit(code);
		OK(wait(&status));
		EXITED(status, code);
	}
	for (unsigned i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
		if (fork() == 0) {
			setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
			kill(getpid(), deadly[i]);
			for (;;)
				pause();
		}
		OK(wait(&status));
		SIGNALED(status, deadly[i]);
	}
}

TEST(wait_kinds, "waitid, WNOHANG, WNOWAIT, wait4's usage, process groups")
{
	siginfo_t si = { 0 };
	struct rusage ru;
	int status;
	pid_t pid = MUST(fork());

	if (pid == 0) {
		setpgid(0, 0);
		sleep_ms(50);
		_exit(3);
	}
	setpgid(pid, pid);
	EQ(waitpid(pid, &status, WNOHANG), 0);
	OK(waitid(P_PGID, (id_t)pid, &si, WEXITED | WNOWAIT));
	EQ(si.si_pid, pid);
	EQ(si.si_status, 3);
	EQ(si.si_code, CLD_EXITED);
	EQ(si.si_signo, SIGCHLD);
	EQ(wait4(-pid, &status, 0, &ru), pid);
	EXITED(status, 3);
	TRUE(ru.ru_maxrss > 0);
	FAILS(waitid(P_PID, (id_t)pid, &si, WEXITED), ECHILD);
	FAILS(waitpid(pid, &status, 0x8000), EINVAL);
}

TEST(stop_continue, "SIGSTOP and SIGCONT as the parent sees them")
{
	int status;
	pid_t pid = MUST(fork());

	if (pid == 0) {
		for (;;)
			getppid();
	}
	OK(kill(pid, SIGSTOP));
	EQ(waitpid(pid, &status, WUNTRACED), pid);
	TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	OK(kill(pid, SIGCONT));
	EQ(waitpid(pid, &status, WCONTINUED), pid);
	TRUE(WIFCONTINUED(status));
	OK(kill(pid, SIGTERM));
	EQ(waitpid(pid, &status, 0), pid);
	SIGNALED(status, SIGTERM);
}

TEST(vfork_shares, "vfork: shares memory, the parent waits for the child")
{
	volatile int value = 1;
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		value = 2;
		struct timespec ts = { 0, 30000000 };

		nanosleep(&ts, NULL);
		value = 3;
		_exit(7);
	}
	EQ(value, 3);
	OK(waitpid(pid, &status, 0));
	EXITED(status, 7);
}

static int clone_body(void *arg)
{
	*(volatile int *)arg = 5;
	return 9;
}

static int clone_status(int flags, volatile int *value)
{
	static char stack[65536] __attribute__((aligned(16)));
	int status = -1;
	pid_t pid;

	*value = 1;
	pid = clone(clone_body, stack + sizeof(stack), flags, (void *)value);
	if (OK(pid) > 0)
		OK(waitpid(pid, &status, __WALL));
	return status;
}

TEST(clone_flags, "clone with and without CLONE_VM, CLONE_VFORK, CLONE_FILES, no signal")
{
	volatile int value;

	EXITED(clone_status(SIGCHLD, &value), 9);
	EQ(value, 1);
	EXITED(clone_status(CLONE_VM | SIGCHLD, &value), 9);
	EQ(value, 5);
	EXITED(clone_status(CLONE_VM | CLONE_VFORK | SIGCHLD, &value), 9);
	EQ(value, 5);
	EXITED(clone_status(CLONE_FILES | CLONE_FS | SIGCHLD, &value), 9);
	EXITED(clone_status(0, &value), 9);
}

static int close_body(void *arg)
{
	close((int)(long)arg);
	return chdir("/");
}

TEST(clone_shared, "CLONE_FILES shares descriptors, CLONE_FS the working directory")
{
	static char stack[65536] __attribute__((aligned(16)));
	char cwd[PATH_MAX], base[PATH_MAX];
	int fd = MUST(dup(0)), status;
	pid_t pid;

	REQUIRE(getcwd(base, sizeof(base)));
	pid = MUST(clone(close_body, stack + sizeof(stack), SIGCHLD, (void *)(long)fd));
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	OK(fcntl(fd, F_GETFD));
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	STR(cwd, base);
	pid = MUST(clone(close_body, stack + sizeof(stack), CLONE_FILES | CLONE_FS | SIGCHLD, (void *)(long)fd));
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	FAILS(fcntl(fd, F_GETFD), EBADF);
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	STR(cwd, "/");
}

static long call_clone3(struct clone_args *a, size_t size)
{
	return syscall(SYS_clone3, a, size);
}

TEST(clone3_basic, "clone3: a fork, its pidfd, its parent_tid; bad arguments")
{
	int pidfd = -1, tid = 0, status;
	struct clone_args a = { .flags = CLONE_PIDFD | CLONE_PARENT_SETTID, .pidfd = (uintptr_t)&pidfd,
		.parent_tid = (uintptr_t)&tid, .exit_signal = SIGCHLD };
	siginfo_t si = { 0 };
	long pid = MUST(call_clone3(&a, sizeof(a)));

	if (pid == 0)
		_exit(21);
	EQ(tid, pid);
	TRUE(pidfd > 2);
	EQ(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	OK(waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED | WNOWAIT));
	EQ(si.si_status, 21);
	OK(waitpid((pid_t)pid, &status, 0));
	EXITED(status, 21);
	FAILS(call_clone3(&a, 8), EINVAL);
	a.flags = CLONE_SIGHAND;
	FAILS(call_clone3(&a, sizeof(a)), EINVAL);
	a.flags = 0;
	a.exit_signal = 300;
	FAILS(call_clone3(&a, sizeof(a)), EINVAL);
	FAILS(call_clone3(NULL, sizeof(a)), EFAULT);
}

TEST(clone3_sizes, "clone3: a caller that knows more fields than the kernel, or fewer")
{
	union { struct clone_args a; char room[4104]; } u = { .a = { .exit_signal = SIGCHLD } };
	static const size_t sizes[] = { 64, 72, 128, 4096 };	/* the first kernel's, and larger ones */
	int status;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		long pid = MUST(call_clone3(&u.a, sizes[i]));

		if (pid == 0)
			_exit(22);
		OK(waitpid((pid_t)pid, &status, 0));
		EXITED(status, 22);
	}
	FAILS(call_clone3(&u.a, 4097), E2BIG);
	u.room[120] = 1;
	FAILS(call_clone3(&u.a, 128), E2BIG);
}

TEST(raw_fork, "fork and vfork by their own numbers, clone without a stack")
{
	int status, tid = 0;
	long pid = MUST(syscall(SYS_fork));

	if (pid == 0)
		_exit(31);
	OK(waitpid((pid_t)pid, &status, 0));
	EXITED(status, 31);
	pid = MUST(syscall(SYS_clone, CLONE_CHILD_SETTID | CLONE_PARENT_SETTID | SIGCHLD, NULL, &tid, &tid, 0));
	if (pid == 0)
		_exit(tid == getpid() ? 32 : 33);
	EQ(tid, pid);
	OK(waitpid((pid_t)pid, &status, 0));
	EXITED(status, 32);
}

TEST(spawn, "posix_spawn: attributes and file actions")
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	char *argv[] = { "sh", "-c", "read x; test \"$x\" = input && exit 4", NULL };
	sigset_t set;
	int status;
	pid_t pid;

	put("in", "input\n");
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "in", O_RDONLY, 0);
	posix_spawnattr_init(&at);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&at, &set);
	sigaddset(&set, SIGUSR1);
	posix_spawnattr_setsigdefault(&at, &set);
	posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	for (int i = 0; i < 30; i++) {
		EQ(posix_spawn(&pid, "/bin/sh", &fa, &at, argv, environ), 0);
		OK(waitpid(pid, &status, 0));
		EXITED(status, 4);
	}
	EQ(posix_spawn(&pid, "/none/such", &fa, &at, argv, environ), ENOENT);
	OK(setenv("PATH", "/usr/bin:/bin", 1));
	EQ(posix_spawnp(&pid, "no-such-program", NULL, NULL, argv, environ), ENOENT);
	FAILS(wait(&status), ECHILD);
}

TEST(shell_tools, "system and popen")
{
	char buf[64] = "";
	FILE *f;

	EXITED(system("exit 13"), 13);
	SIGNALED(system("kill -9 $$"), SIGKILL);
	f = popen("echo from popen", "r");
	REQUIRE(f && fgets(buf, sizeof(buf), f));
	STR(buf, "from popen\n");
	EQ(pclose(f), 0);
	f = popen("cat >/dev/null; exit 3", "w");
	REQUIRE(f);
	fputs("text\n", f);
	EXITED(pclose(f), 3);
}

TEST(orphans, "an orphan gets a new parent; a subreaper gets its grandchildren")
{
	int status;
	pid_t child;

	OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	child = MUST(fork());
	if (child == 0) {
		pid_t me = getpid();

		if (fork() == 0) {
			while (getppid() == me)
				sleep_ms(5);
			_exit(getppid() > 1 ? 44 : 45);
		}
		_exit(0);
	}
	EQ(waitpid(child, &status, 0), child);
	TRUE(wait(&status) > 0);
	EXITED(status, 44);
}

TEST(death_signal, "PR_SET_PDEATHSIG")
{
	int p[2];
	char c;

	OK(pipe(p));
	if (fork() == 0) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (write(p[1], "r", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		close(p[1]);
		if (read(p[0], &c, 1) != 1)
			_exit(1);
		_exit(0);
	}
	close(p[1]);
	OK(wait(NULL));
	EQ(read(p[0], &c, 1), 0);	/* the grandchild's end closed */
}

TEST(zombies, "a zombie stays until it is waited for")
{
	char name[64], text[200];
	pid_t pid = MUST(fork());

	if (pid == 0)
		_exit(0);
	OK(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT));
	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	snprintf(text, sizeof(text), "%.150s", get(name));
	TRUE(strstr(text, ") Z ") != NULL);
	OK(kill(pid, 0));
	OK(waitpid(pid, NULL, 0));
	FAILS(kill(pid, 0), ESRCH);
}

TEST(fork_storm, "1000 forks, 20 at a time")
{
	int status, bad = 0;

	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 20; i++)
			if (MUST(fork()) == 0)
				_exit(i);
		for (int i = 0; i < 20; i++)
			bad += wait(&status) < 0 || !WIFEXITED(status);
	}
	EQ(bad, 0);
	FAILS(wait(&status), ECHILD);
}

TEST(fork_tree, "a tree of 63 processes")
{
	int status = 0, sum = 1;

	for (int level = 0; level < 5; level++) {
		pid_t a = MUST(fork()), b = 0;

		if (a > 0)
			b = MUST(fork());
		if (a > 0 && b > 0) {
			while (wait(&status) > 0)
				sum += WEXITSTATUS(status);
			if (level > 0)
				_exit(sum);
			EQ(sum, 63);
			return;
		}
	}
	_exit(1);
}

static void at_exit_writes(void)
{
	if (write(1, "atexit\n", 7) != 7)
		_exit(1);
}

TEST(exits, "exit runs handlers and flushes, _exit does not")
{
	char buf[64] = "";
	int p[2];

	OK(pipe(p));
	for (int way = 0; way < 2; way++) {
		if (fork() == 0) {
			dup2(p[1], 1);
			atexit(at_exit_writes);
			printf("buffered\n");
			if (way == 0)
				_exit(0);
			exit(0);
		}
		OK(wait(NULL));
	}
	EQ(read(p[0], buf, sizeof(buf)), 16);
	STR(buf, "atexit\nbuffered\n");
}

TEST(sessions, "setsid, setpgid, getsid, getpgid")
{
	int status;

	if (fork() == 0) {
		guest_bad = 0;
		EQ(setsid(), getpid());
		EQ(getsid(0), getpid());
		EQ(getpgid(0), getpid());
		FAILS(setsid(), EPERM);
		FAILS(setpgid(0, 0), EPERM);
		_exit(guest_bad);
	}
	OK(wait(&status));
	EXITED(status, 0);
	FAILS(setpgid(0, 1), EPERM);
	FAILS(getsid(999999999), ESRCH);
}
