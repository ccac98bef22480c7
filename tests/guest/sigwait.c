/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for signals: sigsuspend, ppoll, pselect, epoll_pwait, sigwaitinfo, signalfd, real-time queues.
 * GUEST_WORLDS: view
 */
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/time.h>

static volatile sig_atomic_t seen, order[64], norder;

static void note(int sig)
{
	if (norder < 64)
		order[norder++] = sig;
	seen++;
}

static void handle(int sig)
{
	struct sigaction sa = { .sa_handler = note };

	OK(sigaction(sig, &sa, NULL));
}

static sigset_t set_of(int a, int b)
{
	sigset_t s;

	sigemptyset(&s);
	if (a)
		sigaddset(&s, a);
	if (b)
		sigaddset(&s, b);
	return s;
}

static void block(int a, int b)
{
	sigset_t s = set_of(a, b);

	OK(sigprocmask(SIG_BLOCK, &s, NULL));
}

static pid_t send_later(int sig, long ms)
{
	pid_t parent = getpid(), child = MUST(fork());

	if (child == 0) {
		sleep_ms(ms);
		kill(parent, sig);
		_exit(0);
	}
	return child;
}

static void blocked_again(int sig)
{
	sigset_t now;

	OK(sigprocmask(SIG_BLOCK, NULL, &now));
	EQ(sigismember(&now, sig), 1);
}

TEST(suspend, "sigsuspend: waits with another mask, gives the old one back")
{
	sigset_t none = set_of(0, 0), all;

	handle(SIGUSR1);
	block(SIGUSR1, SIGSYS);
	for (int i = 0; i < 100; i++) {
		OK(raise(SIGUSR1));
		FAILS(sigsuspend(&none), EINTR);
		EQ(seen, i + 1);
	}
	blocked_again(SIGUSR1);
	blocked_again(SIGSYS);
	send_later(SIGUSR1, 30);
	sigfillset(&all);
	sigdelset(&all, SIGUSR1);
	FAILS(sigsuspend(&all), EINTR);
	EQ(seen, 101);
	blocked_again(SIGUSR1);
	OK(wait(NULL));
	FAILS(syscall(SYS_rt_sigsuspend, (void *)16, 8), EFAULT);
	FAILS(syscall(SYS_rt_sigsuspend, &none, 3), EINVAL);
}

TEST(poll_masked, "ppoll: pending at the call, arriving during it, time-out")
{
	struct timespec no_time = { 0, 0 }, while_ = { 5, 0 };
	sigset_t none = set_of(0, 0);
	struct pollfd pfd = { .events = POLLIN };
	int p[2];

	OK(pipe(p));
	pfd.fd = p[0];
	handle(SIGUSR1);
	block(SIGUSR1, 0);
	EQ(ppoll(&pfd, 1, &no_time, &none), 0);
	OK(raise(SIGUSR1));
	FAILS(ppoll(&pfd, 1, &while_, &none), EINTR);
	EQ(seen, 1);
	send_later(SIGUSR1, 30);
	FAILS(ppoll(&pfd, 1, &while_, &none), EINTR);
	EQ(seen, 2);
	OK(wait(NULL));
	blocked_again(SIGUSR1);
	EQ(write(p[1], "x", 1), 1);
	EQ(ppoll(&pfd, 1, NULL, &none), 1);
	OK(raise(SIGUSR1));
	EQ(ppoll(&pfd, 1, &while_, NULL), 1);
	EQ(seen, 2);
}

TEST(select_masked, "pselect likewise")
{
	struct timespec while_ = { 5, 0 }, no_time = { 0, 0 };
	sigset_t none = set_of(0, 0);
	fd_set r;
	int p[2];

	OK(pipe(p));
	handle(SIGUSR1);
	block(SIGUSR1, 0);
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	EQ(pselect(p[0] + 1, &r, NULL, NULL, &no_time, &none), 0);
	FD_SET(p[0], &r);
	OK(raise(SIGUSR1));
	FAILS(pselect(p[0] + 1, &r, NULL, NULL, &while_, &none), EINTR);
	EQ(seen, 1);
	send_later(SIGUSR1, 30);
	FAILS(pselect(0, NULL, NULL, NULL, &while_, &none), EINTR);
	EQ(seen, 2);
	OK(wait(NULL));
	EQ(write(p[1], "x", 1), 1);
	EQ(pselect(p[0] + 1, &r, NULL, NULL, NULL, &none), 1);
	TRUE(FD_ISSET(p[0], &r));
}

TEST(epoll_masked, "epoll_pwait and epoll_pwait2 likewise")
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 99 };
	struct timespec while_ = { 5, 0 };
	sigset_t none = set_of(0, 0);
	int p[2], ep = MUST(epoll_create1(EPOLL_CLOEXEC));

	OK(pipe(p));
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	handle(SIGUSR1);
	block(SIGUSR1, 0);
	EQ(epoll_pwait(ep, &ev, 1, 0, &none), 0);
	OK(raise(SIGUSR1));
	FAILS(epoll_pwait(ep, &ev, 1, 5000, &none), EINTR);
	send_later(SIGUSR1, 30);
	FAILS(epoll_pwait2(ep, &ev, 1, &while_, &none), EINTR);
	EQ(seen, 2);
	OK(wait(NULL));
	blocked_again(SIGUSR1);
	EQ(write(p[1], "x", 1), 1);
	EQ(epoll_pwait(ep, &ev, 1, 5000, &none), 1);
	EQ(ev.data.u64, 99);
}

TEST(wait_info, "sigwaitinfo, sigtimedwait, sigwait")
{
	struct timespec brief = { 0, 20000000 };
	sigset_t s = set_of(SIGUSR1, SIGUSR2);
	siginfo_t si;
	int sig;

	block(SIGUSR1, SIGUSR2);
	FAILS(sigtimedwait(&s, &si, &brief), EAGAIN);
	OK(sigqueue(getpid(), SIGUSR2, (union sigval){ .sival_int = 7 }));
	EQ(sigwaitinfo(&s, &si), SIGUSR2);
	EQ(si.si_value.sival_int, 7);
	EQ(si.si_code, SI_QUEUE);
	send_later(SIGUSR1, 20);
	EQ(sigwait(&s, &sig), 0);
	EQ(sig, SIGUSR1);
	OK(wait(NULL));
	handle(SIGHUP);
	send_later(SIGHUP, 20);
	FAILS(sigwaitinfo(&s, &si), EINTR);
	EQ(seen, 1);
	OK(wait(NULL));
}

TEST(wait_sigsys, "sigwaitinfo for a SIGSYS that somebody sent")
{
	sigset_t s = set_of(SIGSYS, 0);
	siginfo_t si;

	block(SIGSYS, 0);
	OK(kill(getpid(), SIGSYS));
	EQ(sigwaitinfo(&s, &si), SIGSYS);
	EQ(si.si_pid, getpid());
}

TEST(descriptor, "signalfd: read, poll, several, non-blocking")
{
	sigset_t s = set_of(SIGUSR1, SIGUSR2);
	struct signalfd_siginfo si[4];
	struct pollfd pfd = { .events = POLLIN };
	int fd;

	block(SIGUSR1, SIGUSR2);
	fd = MUST(signalfd(-1, &s, SFD_NONBLOCK | SFD_CLOEXEC));
	FAILS(read(fd, si, sizeof(si)), EAGAIN);
	pfd.fd = fd;
	EQ(poll(&pfd, 1, 0), 0);
	OK(raise(SIGUSR1));
	OK(kill(getpid(), SIGUSR2));
	EQ(poll(&pfd, 1, 1000), 1);
	EQ(read(fd, si, sizeof(si)), (long)(2 * sizeof(si[0])));
	EQ(si[0].ssi_signo + si[1].ssi_signo, SIGUSR1 + SIGUSR2);
	EQ(si[0].ssi_pid, getpid());
	FAILS(signalfd(0, &s, 0), EINVAL);
}

TEST(descriptor_sigsys, "signalfd for a SIGSYS that somebody sent")
{
	sigset_t s = set_of(SIGSYS, 0);
	struct signalfd_siginfo si;
	int fd;

	block(SIGSYS, 0);
	fd = MUST(signalfd(-1, &s, SFD_NONBLOCK));
	OK(kill(getpid(), SIGSYS));
	if (syscall(0x756d, 0, 0, 0) != -1 || errno != ENOSYS) {	/* in a view: docs/limits.md */
		FAILS(read(fd, &si, sizeof(si)), EAGAIN);
		return;
	}
	EQ(read(fd, &si, sizeof(si)), (long)sizeof(si));
	EQ(si.ssi_signo, SIGSYS);
}

TEST(realtime_order, "real-time signals queue: lowest number first, each in order, each with its value")
{
	sigset_t s = set_of(SIGRTMIN + 1, SIGRTMIN + 3);
	siginfo_t si;

	block(SIGRTMIN + 1, SIGRTMIN + 3);
	for (int i = 0; i < 10; i++) {
		OK(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = i }));
		OK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 100 + i }));
	}
	for (int i = 0; i < 20; i++) {
		EQ(sigwaitinfo(&s, &si), i < 10 ? SIGRTMIN + 1 : SIGRTMIN + 3);
		EQ(si.si_value.sival_int, i < 10 ? 100 + i : i - 10);
	}
}

static volatile int values[64];

static void take_value(int sig MAYBE, siginfo_t *si, void *uc MAYBE)
{
	values[seen++ & 63] = si->si_value.sival_int;
}

TEST(realtime_handler, "queued real-time signals run a handler each, in order, at unblocking")
{
	struct sigaction sa = { .sa_sigaction = take_value, .sa_flags = SA_SIGINFO };
	sigset_t s = set_of(SIGRTMIN, 0);

	OK(sigaction(SIGRTMIN, &sa, NULL));
	block(SIGRTMIN, 0);
	for (int i = 0; i < 30; i++)
		OK(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = i }));
	EQ(seen, 0);
	OK(sigprocmask(SIG_UNBLOCK, &s, NULL));
	EQ(seen, 30);
	for (int i = 0; i < 30; i++)
		EQ(values[i], i);
}

TEST(several_pending, "several pending signals are all delivered at unblocking")
{
	sigset_t s;

	sigemptyset(&s);
	for (int sig = SIGRTMIN; sig < SIGRTMIN + 8; sig++) {
		handle(sig);
		sigaddset(&s, sig);
	}
	OK(sigprocmask(SIG_BLOCK, &s, NULL));
	for (int sig = SIGRTMIN + 7; sig >= SIGRTMIN; sig--)
		OK(raise(sig));
	OK(sigprocmask(SIG_UNBLOCK, &s, NULL));
	EQ(seen, 8);
	/* each next signal interrupts the handler just set up: the last one runs first */
	for (int i = 0; i < 8; i++)
		EQ(order[i], SIGRTMIN + 7 - i);
}

static void *wait_in_thread(void *unused MAYBE)
{
	sigset_t s = set_of(SIGUSR1, 0);
	int sig = 0;

	sigwait(&s, &sig);
	return (void *)(long)sig;
}

TEST(thread_directed, "a signal for a thread is that thread's; one for the process any willing thread's")
{
	pthread_t t;
	void *sig;

	block(SIGUSR1, 0);
	pthread_create(&t, NULL, wait_in_thread, NULL);
	sleep_ms(20);
	EQ(pthread_kill(t, SIGUSR1), 0);
	pthread_join(t, &sig);
	EQ((long)sig, SIGUSR1);
	pthread_create(&t, NULL, wait_in_thread, NULL);
	sleep_ms(20);
	OK(kill(getpid(), SIGUSR1));
	pthread_join(t, &sig);
	EQ((long)sig, SIGUSR1);
}

static pthread_t main_thread;
static volatile int wrong_thread;

static void must_be_main(int sig)
{
	if (!pthread_equal(pthread_self(), main_thread))
		wrong_thread++;
	note(sig);
}

static void *poke_main(void *unused MAYBE)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	for (int i = 0; i < 200; i++) {
		kill(getpid(), SIGUSR2);
		sched_yield();
	}
	return NULL;
}

TEST(unblocked_thread, "a process signal goes to the thread that does not block it")
{
	struct sigaction sa = { .sa_handler = must_be_main, .sa_flags = SA_RESTART };
	pthread_t t;

	main_thread = pthread_self();
	OK(sigaction(SIGUSR2, &sa, NULL));
	pthread_create(&t, NULL, poke_main, NULL);
	pthread_join(t, NULL);
	TRUE(seen > 0);
	EQ(wrong_thread, 0);
}

TEST(itimers, "setitimer, getitimer, alarm, timer_create")
{
	struct itimerval it = { { 0, 0 }, { 0, 30000 } }, left;
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 55 };
	struct itimerspec ts = { { 0, 0 }, { 0, 20000000 } };
	sigset_t s = set_of(SIGRTMIN, 0);
	siginfo_t si;
	timer_t timer;

	handle(SIGALRM);
	OK(setitimer(ITIMER_REAL, &it, NULL));
	OK(getitimer(ITIMER_REAL, &left));
	TRUE(left.it_value.tv_usec > 0 && left.it_value.tv_usec <= 30000);
	FAILS(pause(), EINTR);
	EQ(seen, 1);
	EQ(alarm(100), 0);
	TRUE(alarm(0) >= 99);
	block(SIGRTMIN, 0);
	OK(timer_create(CLOCK_MONOTONIC, &ev, &timer));
	OK(timer_settime(timer, 0, &ts, NULL));
	EQ(sigwaitinfo(&s, &si), SIGRTMIN);
	EQ(si.si_code, SI_TIMER);
	EQ(si.si_value.sival_int, 55);
	OK(timer_delete(timer));
}
