/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where signals and waiting calls meet: calls with a mask of their own and several signals pending, the mask
 * a handler sees there, and the instant before a call blocks.
 *
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>

static volatile sig_atomic_t order[8], norder;
static sigset_t masks[8];		/* blocked in the handler, and in its context */
static sigset_t back[8];

static void record(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	int i = norder;

	(void)si;
	if (i >= 8)
		return;
	order[i] = sig;
	sigprocmask(SIG_SETMASK, NULL, &masks[i]);
	back[i] = uc->uc_sigmask;
	norder = i + 1;
}

static void record_on(int sig, int flags)
{
	struct sigaction sa = { .sa_sigaction = record, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&sa.sa_mask);
	OK(sigaction(sig, &sa, NULL));
}

static void block_set(sigset_t *set, int a, int b)
{
	sigemptyset(set);
	sigaddset(set, a);
	if (b)
		sigaddset(set, b);
	OK(sigprocmask(SIG_BLOCK, set, NULL));
}

/* ---- several pending at once ---------------------------------------------------------------------- */

static int epoll_fd;

static int do_suspend(const sigset_t *m) { return sigsuspend(m); }
static int do_ppoll(const sigset_t *m) { return ppoll(NULL, 0, NULL, m); }
static int do_pselect(const sigset_t *m) { return pselect(0, NULL, NULL, NULL, NULL, m); }
static int do_epoll(const sigset_t *m)
{
	struct epoll_event e;
	return epoll_pwait(epoll_fd, &e, 1, -1, m);
}

static int (*const waits[])(const sigset_t *) = { do_suspend, do_ppoll, do_pselect, do_epoll };
#define NWAITS 4

/* A and B pending and let through by the wait: both handlers run, each sees the wait's mask. */
TEST(two_pending, "sigsuspend, ppoll, pselect, epoll_pwait with two signals pending: both are delivered")
{
	sigset_t set, during;

	epoll_fd = MUST(epoll_create1(0));
	record_on(SIGUSR1, 0);
	record_on(SIGUSR2, 0);
	block_set(&set, SIGUSR1, SIGUSR2);
	for (int i = 0; i < NWAITS; i++) {
		norder = 0;
		raise(SIGUSR1);
		raise(SIGUSR2);
		sigemptyset(&during);
		sigaddset(&during, SIGHUP);
		FAILS(waits[i](&during), EINTR);
		EQ(norder, 2);
		EQ(order[0] + order[1], SIGUSR1 + SIGUSR2);
		sigprocmask(SIG_SETMASK, NULL, &set);
		EQ(sigismember(&set, SIGUSR1) + sigismember(&set, SIGUSR2), 2);
		EQ(sigismember(&set, SIGHUP), 0);
	}
}

TEST(mask_in_wait, "a handler that interrupts a wait sees the wait's mask, and goes back to the old one")
{
	sigset_t set, during;

	epoll_fd = MUST(epoll_create1(0));
	record_on(SIGUSR1, 0);
	block_set(&set, SIGUSR1, SIGUSR2);
	for (int i = 0; i < NWAITS; i++) {
		norder = 0;
		raise(SIGUSR1);
		sigemptyset(&during);
		sigaddset(&during, SIGHUP);
		FAILS(waits[i](&during), EINTR);
		EQ(norder, 1);
		EQ(sigismember(&masks[0], SIGUSR1), 1);
		EQ(sigismember(&masks[0], SIGUSR2), 0);
		EQ(sigismember(&masks[0], SIGHUP), 1);
		EQ(sigismember(&back[0], SIGUSR1), 1);
		EQ(sigismember(&back[0], SIGUSR2), 1);
		EQ(sigismember(&back[0], SIGHUP), 0);
	}
}

TEST(many_in_wait, "eight real-time signals of one wait are delivered in it, each once")
{
	sigset_t set, during;

	sigemptyset(&set);
	for (int i = 0; i < 8; i++) {
		record_on(SIGRTMIN + i, 0);
		sigaddset(&set, SIGRTMIN + i);
	}
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	sigemptyset(&during);
	for (int round = 0; round < 50; round++) {
		int seen = 0;
		norder = 0;
		for (int i = 0; i < 8; i++)
			raise(SIGRTMIN + i);
		FAILS(ppoll(NULL, 0, NULL, &during), EINTR);
		EQ(norder, 8);
		for (int i = 0; i < norder; i++)
			seen |= 1 << (order[i] - SIGRTMIN);
		EQ(seen, 255);
	}
}

/* With data there and a signal pending: the data is reported, the signal stays pending. */
TEST(ready_and_pending, "ppoll of something ready with a signal pending that its mask lets through")
{
	struct pollfd pfd = { .events = POLLIN };
	sigset_t set, during;
	int p[2];

	record_on(SIGUSR1, 0);
	block_set(&set, SIGUSR1, 0);
	MUST(pipe(p));
	OK(write(p[1], "x", 1));
	pfd.fd = p[0];
	raise(SIGUSR1);
	sigemptyset(&during);
	EQ(ppoll(&pfd, 1, NULL, &during), 1);
	EQ(norder, 0);
	sigpending(&set);
	EQ(sigismember(&set, SIGUSR1), 1);
}

/* ---- the instant before it blocks ----------------------------------------------------------------- */

static volatile sig_atomic_t hits;

static void hit(int sig)
{
	(void)sig;
	hits++;
}

static void hit_on(int sig, int flags)
{
	struct sigaction sa = { .sa_handler = hit, .sa_flags = flags };

	sigemptyset(&sa.sa_mask);
	OK(sigaction(sig, &sa, NULL));
}

/* One shot after `us` microseconds, 1 at least. */
static void shoot(int us)
{
	struct itimerval once = { { 0, 0 }, { 0, us } };

	setitimer(ITIMER_REAL, &once, NULL);
}

TEST(never_lost, "a signal let through by a wait's mask interrupts it whenever it comes, 3000 times")
{
	sigset_t set, during;

	epoll_fd = MUST(epoll_create1(0));
	hit_on(SIGALRM, 0);
	block_set(&set, SIGALRM, 0);
	sigemptyset(&during);
	for (int i = 0; i < 3000; i++) {
		int before = hits;
		shoot(1 + i * 7 % 60);
		FAILS(waits[i % NWAITS](&during), EINTR);
		EQ(hits, before + 1);
		if (guest_bad)
			return;
	}
}

/* The signal is one of a row, so a call that it misses is interrupted by the next. */
TEST(row_of_signals, "under a row of signals each blocking call gives EINTR, and no handler runs twice for it")
{
	struct itimerval row = { { 0, 400 }, { 0, 400 } }, never = { { 0, 0 }, { 0, 0 } };
	struct timespec second = { 10, 0 };
	int p[2], calls = 0;
	uint32_t word = 5;
	char c;

	MUST(pipe(p));
	hit_on(SIGALRM, 0);
	OK(setitimer(ITIMER_REAL, &row, NULL));
	for (int i = 0; i < 400; i++) {
		FAILS(read(p[0], &c, 1), EINTR);
		FAILS(poll(&(struct pollfd){ .fd = p[0], .events = POLLIN }, 1, 10000), EINTR);
		FAILS(nanosleep(&second, NULL), EINTR);
		FAILS(syscall(SYS_futex, &word, 0 /* FUTEX_WAIT */, 5, &second, NULL, 0), EINTR);
		FAILS(pause(), EINTR);
		calls += 5;
		if (guest_bad)
			break;
	}
	OK(setitimer(ITIMER_REAL, &never, NULL));
	TRUE(hits >= calls);
}

/* SA_RESTART: a read goes on until there is a byte, whatever came in between. */
static int feed_fd;

static void *feed(void *arg)
{
	(void)arg;
	for (int i = 0; i < 500; i++) {
		usleep(700);
		if (write(feed_fd, "x", 1) != 1)
			break;
	}
	return NULL;
}

TEST(row_restarted, "with SA_RESTART a read under a row of signals ends with its byte only")
{
	struct itimerval row = { { 0, 300 }, { 0, 300 } }, never = { { 0, 0 }, { 0, 0 } };
	pthread_t thread;
	sigset_t set;
	int p[2];
	char c;

	MUST(pipe(p));
	feed_fd = p[1];
	block_set(&set, SIGALRM, 0);
	REQUIRE(pthread_create(&thread, NULL, feed, NULL) == 0);
	hit_on(SIGALRM, SA_RESTART);
	OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
	OK(setitimer(ITIMER_REAL, &row, NULL));
	for (int i = 0; i < 500; i++) {
		EQ(read(p[0], &c, 1), 1);
		if (guest_bad)
			break;
	}
	OK(setitimer(ITIMER_REAL, &never, NULL));
	pthread_join(thread, NULL);
	TRUE(hits > 50);
}

/* A SIGSTOP and SIGCONT from outside interrupt no call that restarts, and lose no time-out. */
TEST(stopped_in_wait, "stopped and continued in poll, nanosleep and read: they go on")
{
	int p[2], status;
	char c = 0;
	pid_t pid;

	MUST(pipe(p));
	pid = fork();
	if (pid == 0) {
		struct timespec ts = { 0, 150000000 };
		long t = now_ms();
		EQ(poll(NULL, 0, 150), 0);
		EQ(nanosleep(&ts, NULL), 0);
		TRUE(now_ms() - t >= 295);
		EQ(read(p[0], &c, 1), 1);
		EQ(c, 'y');
		_exit(guest_bad ? 1 : 0);
	}
	for (int i = 0; i < 60; i++) {
		OK(kill(pid, SIGSTOP));
		usleep(1500);
		OK(kill(pid, SIGCONT));
		usleep(6000);
	}
	OK(write(p[1], "y", 1));
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}

/* What is ignored interrupts nothing, also the signals that umview has a handler for. */
TEST(ignored_ours, "an ignored SIGSEGV, SIGBUS or SIGSYS that somebody sends interrupts no read")
{
	static const int sigs[] = { SIGSEGV, SIGBUS, SIGSYS };
	pid_t me = getpid(), pid;
	int p[2], status;
	char c;

	MUST(pipe(p));
	for (int i = 0; i < 3; i++)
		OK(sigaction(sigs[i], &(struct sigaction){ .sa_handler = SIG_IGN }, NULL));
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 30; i++) {
			kill(me, sigs[i % 3]);
			usleep(2000);
		}
		_exit(write(p[1], "z", 1) != 1);
	}
	EQ(read(p[0], &c, 1), 1);
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}
