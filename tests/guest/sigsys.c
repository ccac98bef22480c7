/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SIGSYS as a program's own signal, sent by another process: umview needs it for itself, so its blocking is
 * virtual in a view, and all of this must look as if it were not.
 *
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include <poll.h>
#include <pthread.h>

static volatile sig_atomic_t seen, from, nested;

static void on_sys(int sig, siginfo_t *si, void *context)
{
	(void)sig;
	(void)context;
	seen++;
	from = si->si_pid;
}

static void handle(int flags)
{
	struct sigaction sa = { .sa_sigaction = on_sys, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&sa.sa_mask);
	OK(sigaction(SIGSYS, &sa, NULL));
}

static sigset_t sys_set(void)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGSYS);
	return s;
}

static void mask(int how)
{
	sigset_t s = sys_set();
	OK(pthread_sigmask(how, &s, NULL) == 0 ? 0 : -1);
}

static bool is_pending(void)
{
	sigset_t s;

	sigemptyset(&s);
	sigpending(&s);
	return sigismember(&s, SIGSYS);
}

/* Another process sends it: `times`, after `ms` each.  Its number. */
static pid_t sender(int times, int us)
{
	pid_t me = getpid(), pid = fork();

	if (pid == 0) {
		for (int i = 0; i < times; i++) {
			usleep(us);
			kill(me, SIGSYS);
		}
		_exit(0);
	}
	return pid;
}

static void reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	EXITED(status, 0);
}

TEST(handler, "a handler, an ignored one, one that is reset")
{
	pid_t pid;

	handle(0);
	pid = sender(1, 1000);
	while (!seen)
		usleep(100);
	EQ(from, pid);
	reap(pid);
	signal(SIGSYS, SIG_IGN);
	reap(sender(3, 100));
	EQ(seen, 1);
	handle(SA_RESETHAND);
	reap(sender(1, 100));
	EQ(seen, 2);
}

static void sleep_in_child(void *arg)
{
	(void)arg;
	signal(SIGSYS, SIG_DFL);
	reap(sender(1, 1000));
	pause();
}

TEST(deadly, "the default action kills")
{
	SIGNALED(in_child(sleep_in_child, NULL), SIGSYS);
}

TEST(blocked, "blocked: pending, once however often it was sent, delivered at unblocking")
{
	handle(0);
	mask(SIG_BLOCK);
	TRUE(!is_pending());
	reap(sender(5, 100));
	TRUE(is_pending());
	EQ(seen, 0);
	mask(SIG_UNBLOCK);
	EQ(seen, 1);
	TRUE(!is_pending());
}

TEST(dropped, "one that is pending when it comes to be ignored is gone")
{
	mask(SIG_BLOCK);
	for (int i = 0; i < 2; i++) {
		OK(i ? kill(getpid(), SIGSYS) : raise(SIGSYS));
		TRUE(is_pending());
		signal(SIGSYS, SIG_IGN);
		TRUE(!is_pending());
		handle(0);
		mask(SIG_UNBLOCK);
		EQ(seen, 0);
		mask(SIG_BLOCK);
	}
}

/* Blocked or ignored, it interrupts nothing; the handler has no SA_RESTART. */
static void undisturbed(void)
{
	struct sigaction old;
	int p[2], status;
	char c = 0;

	MUST(pipe(p));
	OK(sigaction(SIGSYS, NULL, &old));
	pid_t pid = sender(40, 1000), writer = fork();
	if (writer == 0) {
		usleep(60000);
		_exit(write(p[1], "w", 1) != 1);
	}
	EQ(read(p[0], &c, 1), 1);
	EQ(c, 'w');
	reap(pid);
	OK(waitpid(writer, &status, 0));
	EXITED(status, 0);
	EQ(seen, 0);
}

TEST(undisturbing, "blocked or ignored it interrupts no read")
{
	handle(0);
	mask(SIG_BLOCK);
	undisturbed();
	OK(sigaction(SIGSYS, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL));
	mask(SIG_UNBLOCK);
	undisturbed();
}

TEST(waited_for, "sigwaitinfo: pending before, coming during it, 1000 times; sigtimedwait's time-out")
{
	struct timespec short_time = { 0, 20000000 }, none = { 0, 0 };
	sigset_t s = sys_set();
	siginfo_t si;
	pid_t pid;

	mask(SIG_BLOCK);
	pid = sender(1, 10);
	reap(pid);
	EQ(sigwaitinfo(&s, &si), SIGSYS);
	EQ(si.si_pid, pid);
	FAILS(sigtimedwait(&s, &si, &none), EAGAIN);
	FAILS(sigtimedwait(&s, &si, &short_time), EAGAIN);
	for (int i = 0; i < 20; i++) {
		pid = sender(50, 150);
		int n = 0, status;
		/* what comes twice before we look is one */
		while (waitpid(pid, &status, WNOHANG) == 0)
			n += sigtimedwait(&s, &si, &short_time) == SIGSYS;
		TRUE(n > 0);
		sigtimedwait(&s, &si, &none);
		TRUE(!is_pending());
	}
}

TEST(let_through, "ppoll and sigsuspend that let it through: pending before, coming during it")
{
	sigset_t none;

	sigemptyset(&none);
	handle(0);
	mask(SIG_BLOCK);
	reap(sender(1, 10));
	FAILS(ppoll(NULL, 0, NULL, &none), EINTR);
	EQ(seen, 1);
	reap(sender(1, 10));
	FAILS(sigsuspend(&none), EINTR);
	EQ(seen, 2);
	for (int i = 0; i < 200; i++) {
		pid_t pid = sender(1, i * 5);
		FAILS(i & 1 ? ppoll(NULL, 0, NULL, &none) : sigsuspend(&none), EINTR);
		EQ(seen, i + 3);
		reap(pid);
	}
	TRUE(!is_pending());
	reap(sender(1, 10));
	EQ(seen, 202);
	TRUE(is_pending());
}

/* ---- threads -------------------------------------------------------------------------------------- */

static volatile int ready, got;

static void *waiter(void *arg)
{
	sigset_t s = sys_set();
	siginfo_t si;

	(void)arg;
	ready = 1;
	for (int i = 0; i < 100; i++)
		if (sigwaitinfo(&s, &si) == SIGSYS)
			__atomic_add_fetch(&got, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

TEST(waiting_thread, "all threads block it, one waits for it: that one gets it, every time")
{
	pthread_t thread;

	mask(SIG_BLOCK);
	REQUIRE(pthread_create(&thread, NULL, waiter, NULL) == 0);
	for (int i = 0; i < 100; i++) {
		reap(sender(1, 50));
		for (int ms = 0; got <= i && ms < 5000; ms++)
			usleep(1000);
		EQ(got, i + 1);
		if (guest_bad)
			_exit(1);
	}
	pthread_join(thread, NULL);
}

static pthread_t taker;
static volatile int stop;

static void on_sys_thread(int sig)
{
	(void)sig;
	if (pthread_equal(pthread_self(), taker))
		got++;
	else
		nested++;
}

static void *willing(void *arg)
{
	sigset_t none;

	(void)arg;
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	ready = 1;
	while (!stop)
		usleep(500);
	return NULL;
}

TEST(willing_thread, "the thread that does not block it gets it")
{
	mask(SIG_BLOCK);
	signal(SIGSYS, on_sys_thread);
	REQUIRE(pthread_create(&taker, NULL, willing, NULL) == 0);
	while (!ready)
		usleep(100);
	for (int i = 0; i < 50; i++) {
		reap(sender(1, 50));
		for (int ms = 0; got <= i && ms < 5000; ms++)
			usleep(1000);
		EQ(got, i + 1);
	}
	EQ(nested, 0);
	stop = 1;
	pthread_join(taker, NULL);
}

static void *unblocks(void *arg)
{
	(void)arg;
	mask(SIG_UNBLOCK);
	return NULL;
}

TEST(for_the_process, "pending for the process: the next thread that unblocks it takes it; one for a thread stays its own")
{
	pthread_t thread;

	handle(0);
	mask(SIG_BLOCK);
	reap(sender(1, 10));
	REQUIRE(pthread_create(&thread, NULL, unblocks, NULL) == 0);
	pthread_join(thread, NULL);
	EQ(seen, 1);
	TRUE(!is_pending());
	raise(SIGSYS);		/* for this thread */
	TRUE(is_pending());
	REQUIRE(pthread_create(&thread, NULL, unblocks, NULL) == 0);
	pthread_join(thread, NULL);
	EQ(seen, 1);
	TRUE(is_pending());
	mask(SIG_UNBLOCK);
	EQ(seen, 2);
}

/* ---- fork, exec, handlers ------------------------------------------------------------------------- */

static void not_inherited(void *arg)
{
	(void)arg;
	TRUE(!is_pending());
}

HELPER(pending)
{
	sigset_t s = sys_set();
	struct timespec none = { 0, 0 };

	(void)argc;
	(void)argv;
	TRUE(is_pending());
	EQ(sigtimedwait(&s, NULL, &none), SIGSYS);
	TRUE(!is_pending());
	return guest_bad;
}

TEST(over_exec, "a pending one is there after exec, also after one that failed; not in a child by fork")
{
	mask(SIG_BLOCK);
	reap(sender(1, 10));
	EXITED(in_child(not_inherited, NULL), 0);
	if (fork() == 0) {
		reap(sender(1, 10));
		FAILS(execl("/none/such", "x", NULL), ENOENT);
		put("no-program", "\177ELF");
		OK(chmod("no-program", 0755));
		FAILS(execl("./no-program", "x", NULL), ENOEXEC);
		TRUE(is_pending());
		execl(guest_self, "x", "--helper", "pending", NULL);
		_exit(90);
	}
	EXITED(({ int s; OK(wait(&s)); s; }), 0);
	TRUE(is_pending());
}

static void with_calls(int sig)
{
	char buf[64];
	int fd = open("f", O_RDONLY);

	(void)sig;
	if (read(fd, buf, sizeof(buf)) == 5)
		seen++;
	close(fd);
}

TEST(storm, "handlers that make calls, under a storm of it, while the program makes calls")
{
	struct sigaction sa = { .sa_handler = with_calls, .sa_flags = SA_RESTART };
	struct stat st;
	pid_t pid;
	int status;

	put("f", "hello");
	sigemptyset(&sa.sa_mask);
	OK(sigaction(SIGSYS, &sa, NULL));
	pid = sender(1500, 100);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		int fd = MUST(open("f", O_RDONLY));
		OK(fstat(fd, &st));
		OK(close(fd));
		STR(get("f"), "hello");
		OK(stat("/etc/passwd", &st));
		mask(SIG_BLOCK);
		mask(SIG_UNBLOCK);
	}
	EXITED(status, 0);
	TRUE(seen > 100);
	TRUE(!is_pending());
}
