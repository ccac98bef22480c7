/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program's own seccomp filters over threads, fork and exec: who inherits, TSYNC, who dies.
 * GUEST_WORLDS: view mount
 */
#include "filter.h"
#include <pthread.h>
#include <semaphore.h>
#include <spawn.h>
#include <sys/resource.h>

static volatile int running, stop;
static sem_t ready, go;
static volatile long result;
static pthread_t thread;

static long call(void)
{
	long r = getppid_raw();

	return r < 0 ? -errno : 0;
}

/* A thread that makes one call when it is told to. */
static void *waits(void *unused)
{
	(void)unused;
	result = syscall(SYS_gettid);
	sem_post(&ready);
	sem_wait(&go);
	result = call();
	return NULL;
}

static void start(void *(*fn)(void *))
{
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	EQ(pthread_create(&thread, NULL, fn, NULL), 0);
	sem_wait(&ready);
}

static void join(void)
{
	sem_post(&go);
	EQ(pthread_join(thread, NULL), 0);
}

/* ---- fork and exec ------------------------------------------------------------------------------------ */

HELPER(expect)		/* ERRNO: of getppid; NO_NEW_PRIVS */
{
	REQUIRE(argc == 2);
	EQ(call(), -atoi(argv[0]));
	EQ(prctl(PR_GET_SECCOMP), SECCOMP_MODE_FILTER);
	EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), atoi(argv[1]));
	EQ(getpid(), syscall(SYS_gettid));
	return guest_bad != 0;
}

/* The next three are for tests/scenario/seccomp.bats. */
HELPER(filtered)	/* PROGRAM ARG...: under a filter that forbids nothing anybody does */
{
	REQUIRE(argc > 0);
	forbid(1001, ERRNO(ENOLINK));
	execvp(argv[0], argv);
	return 127;
}

HELPER(state)
{
	printf("mode %d, no_new_privs %d\n", prctl(PR_GET_SECCOMP), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	return 0;
}

HELPER(logged)
{
	forbid(SYS_getppid, SECCOMP_RET_LOG);
	TRUE(getppid_raw() > 0);
	return guest_bad != 0;
}

static void child(void *want)
{
	EQ(call(), -(long)want);
	EQ(prctl(PR_GET_SECCOMP), SECCOMP_MODE_FILTER);
	MUST(answer(0, SYS_getppid, ERRNO(EXDEV)));
	EQ(call(), -EXDEV);
}

static void expect_by_exec(void *want)
{
	execl(guest_self, guest_self, "--helper", "expect", want, "1", NULL);
	FAIL("execl: errno %d", errno);
}

TEST(over_fork, "a child inherits, what it adds is its own")
{
	forbid(SYS_getppid, ERRNO(ENOLINK));
	EXITED(in_child(child, (void *)ENOLINK), 0);
	EQ(call(), -ENOLINK);
}

TEST(over_exec, "filters and no_new_privs go over exec, several times")
{
	char spec[32];

	forbid(SYS_getppid, ERRNO(ENOLINK));
	EXITED(in_child(expect_by_exec, "67"), 0);
	MUST(answer(0, SYS_getppid, ERRNO(EXDEV)));
	EXITED(in_child(expect_by_exec, "18"), 0);
	put("script", "#!/bin/sh\n\"$1\" --helper expect 18 1 && exec \"$1\" --helper expect 18 1\n");
	OK(chmod("script", 0755));
	snprintf(spec, sizeof(spec), "./script");
	pid_t pid = MUST(fork());
	if (pid == 0) {
		execl(spec, spec, guest_self, NULL);
		_exit(99);
	}
	int status;
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}

static void many(void *unused)
{
	static struct sock_filter code[BPF_MAXINSNS];

	(void)unused;
	for (size_t i = 0; i < LENGTH(code); i++)
		code[i] = (struct sock_filter)RET(SECCOMP_RET_ALLOW);
	no_new_privs();
	MUST(add_filter(0, code, 4000));
	MUST(answer(0, SYS_getppid, ERRNO(ENOLINK)));
	for (int i = 0; i < 30; i++)
		MUST(answer(0, 1000 + i, ERRNO(EXDEV)));
	MUST(add_filter(0, code, 4000));
	EQ(call(), -ENOLINK);
	expect_by_exec("67");
}

TEST(large_over_exec, "filters of eight thousand instructions go over exec")
{
	EXITED(in_child(many, NULL), 0);
}

static void limited(void *unused)
{
	static const struct rlimit none = { 0, 0 };

	OK(setrlimit(RLIMIT_FSIZE, &none));
	many(unused);
}

TEST(exec_under_limit, "the same when files may not grow")
{
	EXITED(in_child(limited, NULL), 0);
}

TEST(failed_exec, "an exec that fails changes nothing, and leaves no descriptor")
{
	char *args[] = { "x", NULL };
	int before, after;

	forbid(SYS_getppid, ERRNO(ENOLINK));
	put("junk", "no program");
	OK(chmod("junk", 0755));
	before = OK(dup(0));
	close(before);
	for (int i = 0; i < 20; i++) {
		FAILS(execv("junk", args), ENOEXEC);
		FAILS(execv("nothing", args), ENOENT);
	}
	after = OK(dup(0));
	EQ(after, before);
	EQ(call(), -ENOLINK);
}

TEST(no_exec, "exec can be forbidden")
{
	char *args[] = { "true", NULL };

	forbid(SYS_execve, ERRNO(ENOLINK));
	FAILS(execv("/bin/true", args), ENOLINK);
	EQ(system("exit 0"), 127 << 8);
}

TEST(spawned, "posix_spawn and vfork under a filter")
{
	char *args[] = { guest_self, "--helper", "expect", "67", "1", NULL };
	int status;
	pid_t pid;

	forbid(SYS_getppid, ERRNO(ENOLINK));
	for (int i = 0; i < 5; i++) {
		EQ(posix_spawn(&pid, guest_self, NULL, NULL, args, environ), 0);
		EQ(waitpid(pid, &status, 0), pid);
		EXITED(status, 0);
	}
	pid = vfork();
	if (pid == 0) {
		answer(0, SYS_getppid, SECCOMP_RET_KILL_PROCESS);
		getppid_raw();
		_exit(0);
	}
	EQ(waitpid(pid, &status, 0), pid);
	SIGNALED(status, SIGSYS);
	EQ(call(), -ENOLINK);
}

/* ---- threads --------------------------------------------------------------------------------------------- */

static int waits_for_death(void *unused)
{
	(void)unused;
	return pause();
}

TEST(killed_sharing, "children by CLONE_VM are killed, one after the other, under a filter")
{
	static char stack[16 << 10] __attribute__((aligned(16)));
	int status;

	forbid(SYS_getppid, ERRNO(ENOLINK));
	for (int i = 0; i < 5; i++) {
		pid_t pid = MUST(clone(waits_for_death, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL));
		usleep(2000);
		OK(kill(pid, SIGKILL));
		EQ(waitpid(pid, &status, 0), pid);
		EQ(call(), -ENOLINK);
	}
}

TEST(one_thread, "without TSYNC a filter is its thread's alone")
{
	start(waits);
	forbid(SYS_getppid, ERRNO(EXDEV));
	EQ(call(), -EXDEV);
	join();
	EQ(result, 0);
}

TEST(new_threads, "a new thread inherits")
{
	forbid(SYS_getppid, ERRNO(EXDEV));
	start(waits);
	join();
	EQ(result, -EXDEV);
}

static void *own_privs(void *unused)
{
	(void)unused;
	sem_post(&ready);
	sem_wait(&go);
	result = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	return NULL;
}

TEST(privs_of_threads, "no_new_privs is each thread's own; TSYNC hands it on")
{
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		SKIP("no_new_privs is set already");
	start(own_privs);
	no_new_privs();
	join();
	EQ(result, 0);
	pthread_t other = thread;
	start(own_privs);
	EQ(pthread_equal(thread, other) && 0, 0);
	join();
	EQ(result, 1);
}

TEST(tsync, "TSYNC gives the filters to all threads, those that exist and those that come")
{
	start(waits);
	no_new_privs();
	MUST(answer(0, SYS_getppid, ERRNO(EXDEV)));
	EQ(answer(SECCOMP_FILTER_FLAG_TSYNC, 1001, ERRNO(EXDEV)), 0);
	join();
	EQ(result, -EXDEV);
	start(waits);
	EQ(answer(SECCOMP_FILTER_FLAG_TSYNC, SYS_getppid, ERRNO(EXFULL)), 0);
	join();
	EQ(result, -EXFULL);
	EQ(call(), -EXFULL);
}

static void *has_own(void *unused)
{
	(void)unused;
	no_new_privs();
	MUST(answer(0, SYS_getppid, ERRNO(ENOLINK)));
	return waits(NULL);
}

TEST(tsync_refused, "TSYNC tells which thread has filters of its own, and changes nothing")
{
	start(has_own);
	long tid = result;
	no_new_privs();
	EQ(answer(SECCOMP_FILTER_FLAG_TSYNC, SYS_getppid, ERRNO(EXDEV)), tid);
	FAILS(answer(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, SYS_getppid, ERRNO(EXDEV)), ESRCH);
	EQ(call(), 0);
	EQ(prctl(PR_GET_SECCOMP), 0);
	join();
	EQ(result, -ENOLINK);
}

TEST(tsync_later, "TSYNC with a thread whose filters are older ones of ours")
{
	no_new_privs();
	MUST(answer(0, 1001, ERRNO(EXDEV)));
	start(waits);
	MUST(answer(0, 1002, ERRNO(EXDEV)));
	EQ(answer(SECCOMP_FILTER_FLAG_TSYNC, SYS_getppid, ERRNO(EXDEV)), 0);
	join();
	EQ(result, -EXDEV);
}

static void *spins(void *unused)
{
	(void)unused;
	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	while (!stop)
		if (getppid_raw() < 0 && errno != EXDEV)
			FAIL("errno %d", errno);
	result = call();
	EQ(result, -EXDEV);
	return NULL;
}

TEST(tsync_running, "TSYNC while threads make calls and are born")
{
	pthread_t many[8];

	no_new_privs();
	for (size_t i = 0; i < LENGTH(many); i++) {
		EQ(pthread_create(&many[i], NULL, spins, NULL), 0);
		if (i % 2)
			EQ(answer(SECCOMP_FILTER_FLAG_TSYNC, SYS_getppid, ERRNO(EXDEV)), 0);
	}
	stop = 1;
	for (size_t i = 0; i < LENGTH(many); i++)
		EQ(pthread_join(many[i], NULL), 0);
}

static void *dies(void *unused)
{
	(void)unused;
	MUST(answer(0, 1001, SECCOMP_RET_KILL_THREAD));
	sem_post(&ready);
	sem_wait(&go);
	syscall(1001);
	result = 1;
	return NULL;
}

static void thread_dies(void *unused)
{
	(void)unused;
	no_new_privs();
	result = 0;
	for (int i = 0; i < 3; i++) {
		start(dies);
		join();
		EQ(result, 0);
	}
	EQ(call(), 0);
}

static void *process_dies(void *unused)
{
	(void)unused;
	MUST(answer(0, 1001, SECCOMP_RET_KILL_PROCESS));
	syscall(1001);
	return NULL;
}

static void all_die(void *unused)
{
	(void)unused;
	no_new_privs();
	EQ(pthread_create(&thread, NULL, process_dies, NULL), 0);
	pthread_join(thread, NULL);
	sleep_ms(1000);
	FAIL("still alive");
}

TEST(death, "KILL_THREAD ends a thread, KILL_PROCESS all")
{
	EXITED(in_child(thread_dies, NULL), 0);
	SIGNALED(in_child(all_die, NULL), SIGSYS);
}

static void *goes_strict(void *unused)
{
	(void)unused;
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	getppid_raw();
	result = 1;
	syscall(SYS_exit, 0);
	return NULL;
}

static void strict_thread(void *unused)
{
	(void)unused;
	result = 0;
	EQ(pthread_create(&thread, NULL, goes_strict, NULL), 0);
	EQ(pthread_join(thread, NULL), 0);
	EQ(result, 0);
	EQ(call(), 0);
}

TEST(strict_in_thread, "strict mode kills the thread only")
{
	EXITED(in_child(strict_thread, NULL), 0);
}
