/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an exec keeps and what it resets: signals, mask, timers, threads, ids, limits, names.
 * GUEST_WORLDS: view mount
 */
#include "guest.h"
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>

extern char **environ;

static void nothing(int sig MAYBE)
{
}

/* Executes this program's helper `name` in a child; its wait status. */
static int helper(const char *name, const char *a, const char *b)
{
	int status;
	pid_t pid = MUST(fork());

	if (pid == 0) {
		execl(guest_self, "x", "--helper", name, a, b, NULL);
		_exit(90);
	}
	OK(waitpid(pid, &status, 0));
	return status;
}

HELPER(signals)
{
	struct sigaction sa;
	sigset_t set;

	OK(sigaction(SIGUSR1, NULL, &sa));
	TRUE(sa.sa_handler == SIG_DFL);
	OK(sigaction(SIGUSR2, NULL, &sa));
	TRUE(sa.sa_handler == SIG_IGN);
	OK(sigaction(SIGSYS, NULL, &sa));
	TRUE(sa.sa_handler == (argc > 0 ? SIG_IGN : SIG_DFL));
	OK(sigprocmask(SIG_BLOCK, NULL, &set));
	EQ(sigismember(&set, SIGTERM), 1);
	EQ(sigismember(&set, SIGUSR1), 0);
	EQ(sigismember(&set, SIGSYS), argc > 0);
	OK(sigpending(&set));
	EQ(sigismember(&set, SIGTERM), 1);
	OK(sigaltstack(NULL, &(stack_t){ 0 }));
	return guest_bad;
}

TEST(dispositions, "handlers are reset, ignored stays, the mask and pending signals stay")
{
	sigset_t set;

	signal(SIGUSR1, nothing);
	signal(SIGUSR2, SIG_IGN);
	signal(SIGSYS, nothing);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	if (fork() == 0) {
		OK(raise(SIGTERM));
		execl(guest_self, "x", "--helper", "signals", NULL);
		_exit(90);
	}
	EXITED(({ int s; OK(wait(&s)); s; }), 0);
}

TEST(sigsys_state, "SIGSYS ignored and blocked is so after exec, as any other")
{
	sigset_t set;

	signal(SIGUSR2, SIG_IGN);
	signal(SIGSYS, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGSYS);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	if (fork() == 0) {
		OK(raise(SIGTERM));
		execl(guest_self, "x", "--helper", "signals", "ignored", NULL);
		_exit(90);
	}
	EXITED(({ int s; OK(wait(&s)); s; }), 0);
}

HELPER(altstack)
{
	stack_t st;

	OK(sigaltstack(NULL, &st));
	EQ(st.ss_flags, SS_DISABLE);
	return guest_bad;
}

TEST(altstack_reset, "the alternate stack is gone after exec")
{
	stack_t st = { .ss_sp = malloc(65536), .ss_size = 65536 };

	OK(sigaltstack(&st, NULL));
	EXITED(helper("altstack", NULL, NULL), 0);
}

HELPER(alarm)
{
	sleep_ms(3000);
	return 1;
}

TEST(timer_kept, "an alarm set before exec rings after it")
{
	if (fork() == 0) {
		alarm(1);
		execl(guest_self, "x", "--helper", "alarm", NULL);
		_exit(90);
	}
	SIGNALED(({ int s; OK(wait(&s)); s; }), SIGALRM);
}

HELPER(pids)
{
	char me[16], parent[16];

	snprintf(me, sizeof(me), "%d", getpid());
	snprintf(parent, sizeof(parent), "%d", getppid());
	STR(argv[1], parent);
	EQ(syscall(SYS_gettid), getpid());
	return strcmp(argv[0], "thread") == 0 || strcmp(argv[0], me) == 0 ? guest_bad : 50;
}

TEST(ids_kept, "pid, parent, group and session stay")
{
	char parent[16];
	int status;
	pid_t pid;

	snprintf(parent, sizeof(parent), "%d", getpid());
	pid = MUST(fork());
	if (pid == 0) {
		char me[16];

		snprintf(me, sizeof(me), "%d", getpid());
		execl(guest_self, "x", "--helper", "pids", me, parent, NULL);
		_exit(90);
	}
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}

static void *exec_from_thread(void *parent)
{
	execl(guest_self, "x", "--helper", "pids", "thread", (char *)parent, NULL);
	_exit(90);
}

static void *wait_for_ever(void *unused MAYBE)
{
	for (;;)
		pause();
	return NULL;
}

/* Ten times: a process with three threads that run `other` executes, from its first thread or from another one. */
static void exec_among(void *(*other)(void *), bool from_first)
{
	char parent[16];

	snprintf(parent, sizeof(parent), "%d", getpid());
	for (int i = 0; i < 10; i++) {
		int status;
		pid_t pid = MUST(fork());

		if (pid == 0) {
			pthread_t t;

			for (int k = 0; k < 3; k++)
				pthread_create(&t, NULL, other, NULL);
			if (from_first)
				exec_from_thread(parent);
			pthread_create(&t, NULL, exec_from_thread, parent);
			pthread_join(t, NULL);
			_exit(91);
		}
		OK(waitpid(pid, &status, 0));
		EXITED(status, 0);
	}
}

TEST(from_thread, "exec from a thread that is not the first ends all others, keeps the pid")
{
	exec_among(wait_for_ever, false);
}

static void *spin_calls(void *unused MAYBE)
{
	for (;;)
		syscall(SYS_getppid);
	return NULL;
}

TEST(busy_threads, "exec while other threads are busy with system calls")
{
	exec_among(spin_calls, true);
}

HELPER(failed_then)
{
	return 5;
}

TEST(failed_exec, "after a failed exec everything is as it was")
{
	struct sigaction sa;
	char *p = malloc(100);
	int fd, status;

	put("f", "x");
	fd = MUST(open("f", O_RDONLY | O_CLOEXEC));
	signal(SIGUSR1, nothing);
	strcpy(p, "memory");
	for (int i = 0; i < 20; i++)
		FAILS(execl("f", "f", NULL), EACCES);
	STR(p, "memory");
	TRUE(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	OK(sigaction(SIGUSR1, NULL, &sa));
	TRUE(sa.sa_handler == nothing);
	if (fork() == 0) {
		execl("none", "none", NULL);
		execl("f", "f", NULL);
		execl(guest_self, "x", "--helper", "failed_then", NULL);
		_exit(1);
	}
	OK(wait(&status));
	EXITED(status, 5);
}

HELPER(limits)
{
	struct rlimit r;

	OK(getrlimit(RLIMIT_NOFILE, &r));
	EQ(r.rlim_cur, 50);
	OK(getrlimit(RLIMIT_STACK, &r));
	EQ(r.rlim_cur, 4 << 20);
	EQ(umask(0), 0135);
	EQ(getpriority(PRIO_PROCESS, 0), argc > 0 ? atoi(argv[0]) : -99);
	return guest_bad;
}

TEST(limits_kept, "limits, umask and nice value stay")
{
	/* the run itself may be a nice one already, and only root could take that back */
	int now = getpriority(PRIO_PROCESS, 0), nicer = now + 3 < 19 ? now + 3 : 19;
	char arg[12];

	snprintf(arg, sizeof(arg), "%d", nicer);
	if (fork() == 0) {
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 50, 100 });
		setrlimit(RLIMIT_STACK, &(struct rlimit){ 4 << 20, 8 << 20 });
		umask(0135);
		OK(setpriority(PRIO_PROCESS, 0, nicer));
		execl(guest_self, "x", "--helper", "limits", arg, NULL);
		_exit(90);
	}
	EXITED(({ int s; OK(wait(&s)); s; }), 0);
}

HELPER(name)
{
	char name[17] = "";

	OK(prctl(PR_GET_NAME, name));
	STR(name, "execstate");
	EQ(prctl(PR_GET_PDEATHSIG, &argc), 0);
	EQ(argc, 0);
	EQ(prctl(PR_GET_DUMPABLE), 1);
	return guest_bad;
}

TEST(names_reset, "the task's name is the program's again")
{
	if (strlen(strrchr(guest_self, '/')) != strlen("/execstate"))
		SKIP("a build of another name");
	OK(prctl(PR_SET_NAME, "something else"));
	EXITED(helper("name", NULL, NULL), 0);
}

HELPER(memory)
{
	unsigned char vec[1];

	/* what the last program had mapped is gone */
	return mincore((void *)strtoul(argv[0], NULL, 16), 4096, vec) < 0 && errno == ENOMEM ? 0 : 1;
}

TEST(memory_gone, "the old program's memory is gone")
{
	char text[32];
	char *p = mmap((void *)0x123450000000, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	REQUIRE(p != MAP_FAILED);
	snprintf(text, sizeof(text), "%lx", (unsigned long)p);
	EXITED(helper("memory", text, NULL), 0);
}

TEST(vfork_exec, "vfork and exec, 100 times")
{
	for (int i = 0; i < 100; i++) {
		int status;
		pid_t pid = vfork();

		if (pid == 0) {
			execl("/bin/true", "true", NULL);
			_exit(90);
		}
		REQUIRE(pid > 0);
		OK(waitpid(pid, &status, 0));
		EXITED(status, 0);
	}
}
