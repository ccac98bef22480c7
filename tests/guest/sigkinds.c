/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where signals come from and what they tell: children, queues, timers, files, message queues; and handlers that nest,
 * that are reset, and that never return, while calls on files are under way.
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include <linux/aio_abi.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <ucontext.h>

static volatile sig_atomic_t count;
static siginfo_t seen[64];

static void note(int sig, siginfo_t *info, void *uc)
{
	struct stat st;
	int e = errno;

	(void)sig;
	(void)uc;
	seen[count++ & 63] = *info;
	stat("f", &st);			/* a handler makes calls as well */
	errno = e;
}

static void handle(int sig, int flags)
{
	struct sigaction sa = { .sa_sigaction = note, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&sa.sa_mask);
	OK(sigaction(sig, &sa, NULL));
}

static void block(int sig)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, sig);
	OK(sigprocmask(SIG_BLOCK, &s, NULL));
}

static void unblock(int sig)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, sig);
	OK(sigprocmask(SIG_UNBLOCK, &s, NULL));
}

/* Waits until that many have come, two seconds at most. */
static void await(int n)
{
	for (int i = 0; i < 2000 && count < n; i++)
		sleep_ms(1);
	EQ(count, n);
}

/* ---- children ------------------------------------------------------------------------------------------ */

TEST(no_zombies, "SA_NOCLDWAIT, and SIGCHLD ignored: children leave nothing to wait for")
{
	for (int ignored = 0; ignored < 2; ignored++) {
		count = 0;
		if (ignored)
			signal(SIGCHLD, SIG_IGN);
		else
			handle(SIGCHLD, SA_NOCLDWAIT | SA_RESTART);
		for (int i = 0; i < 3; i++)
			if (MUST(fork()) == 0)
				_exit(i);
		FAILS(wait(NULL), ECHILD);
		if (!ignored)
			TRUE(count > 0 && seen[0].si_code == CLD_EXITED);
	}
	signal(SIGCHLD, SIG_DFL);
	if (fork() == 0)
		_exit(3);
	EXITED(({ int s; OK(wait(&s)); s; }), 3);
}

TEST(child_stops, "SIGCHLD for stops and continues, and none with SA_NOCLDSTOP")
{
	int status;

	for (int nostop = 0; nostop < 2; nostop++) {
		pid_t pid;

		count = 0;
		handle(SIGCHLD, SA_RESTART | (nostop ? SA_NOCLDSTOP : 0));
		pid = MUST(fork());
		if (pid == 0)
			for (;;)
				pause();
		OK(kill(pid, SIGSTOP));
		await(nostop ? 0 : 1);		/* waited for before it is told, the kernel tells si_status 0 */
		OK(waitpid(pid, &status, WUNTRACED));
		TRUE(WIFSTOPPED(status));
		OK(kill(pid, SIGCONT));
		OK(waitpid(pid, &status, WCONTINUED));
		TRUE(WIFCONTINUED(status));
		await(nostop ? 0 : 2);
		if (!nostop) {
			EQ(seen[0].si_code, CLD_STOPPED);
			EQ(seen[0].si_status, SIGSTOP);
			EQ(seen[1].si_code, CLD_CONTINUED);
		}
		count = 0;
		OK(kill(pid, SIGKILL));
		OK(waitpid(pid, &status, 0));
		await(1);
		EQ(seen[0].si_code, CLD_KILLED);
		EQ(seen[0].si_status, SIGKILL);
		EQ(seen[0].si_pid, pid);
	}
}

/* ---- handlers ------------------------------------------------------------------------------------------ */

static void once(int sig)
{
	struct sigaction now;

	OK(sigaction(sig, NULL, &now));
	TRUE(now.sa_handler == SIG_DFL);
	count++;
}

static void twice(void *arg MAYBE)
{
	struct sigaction sa = { .sa_handler = once, .sa_flags = SA_RESETHAND | SA_NODEFER };

	sigemptyset(&sa.sa_mask);
	OK(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	EQ(count, 1);
	if (!guest_bad)
		raise(SIGUSR1);
}

TEST(reset, "SA_RESETHAND: in the handler the action is the default one already")
{
	SIGNALED(in_child(twice, NULL), SIGUSR1);
}

static volatile int depth, deepest;

static void nest(int sig, siginfo_t *info, void *uc)
{
	int n = info->si_value.sival_int;

	(void)uc;
	EQ(sig, SIGRTMIN + n);
	EQ(info->si_code, SI_QUEUE);
	EQ(info->si_pid, getpid());
	depth++;
	deepest = depth > deepest ? depth : deepest;
	put("nested", "text");
	if (n < 9) {
		OK(sigqueue(getpid(), sig + 1, (union sigval){ .sival_int = n + 1 }));
		EQ(count, 10 - n - 1);	/* all that are higher have been here */
	}
	STR(get("nested"), "text");
	EQ(info->si_value.sival_int, n);
	count++;
	depth--;
}

TEST(nested, "ten real-time handlers, each within the one before, that use files")
{
	struct sigaction sa = { .sa_sigaction = nest, .sa_flags = SA_SIGINFO };

	sigemptyset(&sa.sa_mask);
	for (int i = 0; i < 10; i++)
		OK(sigaction(SIGRTMIN + i, &sa, NULL));
	for (int turn = 0; turn < 20; turn++) {
		count = deepest = 0;
		OK(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 0 }));
		EQ(count, 10);
		EQ(deepest, 10);
	}
}

static int order[80], values[80];

static void record(int sig, siginfo_t *info, void *uc)
{
	(void)uc;
	order[count] = sig - SIGRTMIN;
	values[count] = info->si_value.sival_int;
	count++;
	get("f");
}

TEST(queued, "sixty real-time signals of three numbers queue and are delivered in order, whatever unblocks them")
{
	struct sigaction sa = { .sa_sigaction = record, .sa_flags = SA_SIGINFO };
	sigset_t three, none;

	put("f", "text");
	sigemptyset(&none);
	sigemptyset(&three);
	for (int i = 0; i < 3; i++)
		sigaddset(&three, SIGRTMIN + i);
	sa.sa_mask = three;
	for (int i = 0; i < 3; i++)
		OK(sigaction(SIGRTMIN + i, &sa, NULL));
	for (int turn = 0; turn < 3; turn++) {
		count = 0;
		OK(sigprocmask(SIG_BLOCK, &three, NULL));
		for (int i = 0; i < 60; i++)
			OK(sigqueue(getpid(), SIGRTMIN + i % 3, (union sigval){ .sival_int = i }));
		STR(get("f"), "text");
		EQ(count, 0);
		while (turn == 1 && count < 60)
			FAILS(sigsuspend(&none), EINTR);
		while (turn == 2 && count < 60)
			FAILS(ppoll(NULL, 0, NULL, &none), EINTR);
		OK(sigprocmask(SIG_UNBLOCK, &three, NULL));
		EQ(count, 60);
		for (int n = 0; n < 3; n++)
			for (int i = 0, last = -1; i < 60; i++)
				if (order[i] == n) {
					TRUE(values[i] % 3 == n && values[i] > last);
					last = values[i];
				}
	}
}

/* ---- handlers that do not come back ---------------------------------------------------------------------- */

static ucontext_t back;
static volatile sig_atomic_t armed, jumps;

static void leave(int sig)
{
	(void)sig;
	if (!armed)
		return;
	armed = 0;
	jumps++;
	setcontext(&back);
}

static void work_on_files(int i)
{
	char buf[64];
	struct stat st;
	int fd = open("f", O_RDWR);

	if (fd < 0)
		return;
	if (pwrite(fd, "text", 4, 0) != 4 || pread(fd, buf, sizeof(buf), 0) != 4)
		errno = 0;
	stat(i & 1 ? "f" : "none", &st);
	rename("f", "g");
	rename("g", "f");
	close(fd);
}

TEST(contexts, "setcontext out of handlers that have interrupted calls on files: nothing stays locked")
{
	struct itimerval it = { { 0, 200 }, { 0, 200 } };
	struct sigaction sa = { .sa_handler = leave };
	long end = now_ms() + 5000;
	volatile int turn = 0, fd;

	put("f", "text");
	put("g", "text");
	fd = MUST(open("f", O_RDONLY));
	sigemptyset(&sa.sa_mask);
	OK(sigaction(SIGALRM, &sa, NULL));
	OK(setitimer(ITIMER_REAL, &it, NULL));
	OK(getcontext(&back));
	while (jumps < 1000 && now_ms() < end) {
		if (turn++ % 64 == 0)
			close_range(fd + 1, ~0u, 0);	/* what was left open */
		armed = 1;
		work_on_files(turn);
		armed = 0;
	}
	OK(setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 0 }, { 0, 0 } }, NULL));
	TRUE(jumps > 100);
	unblock(SIGALRM);
	put("h", "afterwards");
	STR(get("h"), "afterwards");
	if (fork() == 0)
		_exit(strcmp(get("h"), "afterwards") != 0);
	EXITED(({ int s; OK(wait(&s)); s; }), 0);
}

/* ---- what is told -------------------------------------------------------------------------------------- */

TEST(told, "rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal: information of the sender's own making")
{
	siginfo_t mine = { .si_signo = SIGUSR1, .si_code = -7 };
	int pidfd = MUST(syscall(SYS_pidfd_open, getpid(), 0));

	mine.si_pid = 42;
	mine.si_uid = 43;
	mine.si_value.sival_int = 44;
	handle(SIGUSR1, 0);
	OK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &mine));
	OK(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &mine));
	OK(syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, &mine, 0));
	EQ(count, 3);
	for (int i = 0; i < 3; i++) {
		EQ(seen[i].si_code, -7);
		EQ(seen[i].si_pid, 42);
		EQ(seen[i].si_uid, 43);
		EQ(seen[i].si_value.sival_int, 44);
	}
	OK(syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, NULL, 0));
	EQ(seen[3].si_code, SI_USER);
	OK(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
	EQ(seen[4].si_code, SI_TKILL);
	mine.si_code = 5;		/* only the kernel may */
	FAILS(syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &mine), EPERM);
}

TEST(timers, "POSIX timers: the value, the code and the count of what was missed")
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77 };
	struct itimerspec often = { { 0, 1000000 }, { 0, 1000000 } };
	timer_t t;

	handle(SIGUSR1, 0);
	block(SIGUSR1);
	OK(timer_create(CLOCK_MONOTONIC, &ev, &t));
	OK(timer_settime(t, 0, &often, NULL));
	sleep_ms(50);
	STR(get("none"), "(ENOENT)");
	unblock(SIGUSR1);
	TRUE(count >= 1);
	EQ(seen[0].si_code, SI_TIMER);
	EQ(seen[0].si_value.sival_int, 77);
	TRUE(seen[0].si_overrun >= 10);
	OK(timer_delete(t));
}

static volatile pid_t taker;

static void note_thread(int sig)
{
	(void)sig;
	taker = gettid();
	count++;
}

static void *timed_thread(void *arg)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2 };
	struct itimerspec soon = { { 0, 0 }, { 0, 1000000 } };
	timer_t t;

	(void)arg;
	ev._sigev_un._tid = gettid();
	OK(timer_create(CLOCK_MONOTONIC, &ev, &t));
	OK(timer_settime(t, 0, &soon, NULL));
	for (int i = 0; i < 2000 && !count; i++)
		get("f");
	EQ(taker, gettid());
	timer_delete(t);
	return NULL;
}

TEST(timer_of_thread, "SIGEV_THREAD_ID: the thread's own signal")
{
	struct sigaction sa = { .sa_handler = note_thread };
	pthread_t t;

	put("f", "text");
	sigemptyset(&sa.sa_mask);
	OK(sigaction(SIGUSR2, &sa, NULL));
	for (int i = 0; i < 5; i++) {
		count = 0;
		REQUIRE(pthread_create(&t, NULL, timed_thread, NULL) == 0);
		pthread_join(t, NULL);
		EQ(count, 1);
	}
}

TEST(files, "O_ASYNC with F_SETSIG: which descriptor is ready")
{
	int s[2], flags;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	handle(SIGRTMIN + 2, 0);
	OK(fcntl(s[0], F_SETOWN, getpid()));
	OK(fcntl(s[0], F_SETSIG, SIGRTMIN + 2));
	flags = OK(fcntl(s[0], F_GETFL));
	OK(fcntl(s[0], F_SETFL, flags | O_ASYNC));
	EQ(write(s[1], "x", 1), 1);
	await(1);
	EQ(seen[0].si_code, POLL_IN);
	EQ(seen[0].si_fd, s[0]);
	TRUE(seen[0].si_band & POLLIN);
}

TEST(queues, "mq_notify: a message has come")
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 9 };
	struct mq_attr attr = { .mq_maxmsg = 2, .mq_msgsize = 16 };
	char name[40];
	mqd_t q;

	snprintf(name, sizeof(name), "/umview-test-%d", getpid());
	q = mq_open(name, O_CREAT | O_RDWR | O_NONBLOCK, 0600, &attr);
	if (q < 0)
		SKIP("no message queues here");
	OK(mq_unlink(name));
	handle(SIGUSR1, 0);
	OK(mq_notify(q, &ev));
	OK(mq_send(q, "x", 1, 0));
	await(1);
	EQ(seen[0].si_code, SI_MESGQ);
	EQ(seen[0].si_value.sival_int, 9);
	EQ(seen[0].si_pid, getpid());
}

TEST(by_descriptor, "signalfd tells all of queued ones, in order, also to a child and through epoll")
{
	struct signalfd_siginfo si[12];
	struct epoll_event ev = { .events = EPOLLIN };
	sigset_t set;
	int fd, ep = MUST(epoll_create1(0)), status;

	sigemptyset(&set);
	for (int i = 0; i < 3; i++)
		sigaddset(&set, SIGRTMIN + i);
	sigaddset(&set, SIGCHLD);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	fd = MUST(signalfd(-1, &set, SFD_NONBLOCK));
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	EQ(epoll_wait(ep, &ev, 1, 0), 0);
	for (int i = 0; i < 9; i++) {
		OK(sigqueue(getpid(), SIGRTMIN + i % 3, (union sigval){ .sival_int = i }));
		STR(get("none"), "(ENOENT)");
	}
	EQ(epoll_wait(ep, &ev, 1, 1000), 1);
	if (fork() == 0) {		/* which has none of these */
		FAILS(read(fd, si, sizeof(si)), EAGAIN);
		_exit(guest_bad ? 1 : 5);
	}
	OK(waitpid(-1, &status, 0));
	EXITED(status, 5);
	EQ(read(fd, si, sizeof(si)), 10 * (long)sizeof(*si));
	EQ(si[0].ssi_signo, SIGCHLD);
	EQ(si[0].ssi_code, CLD_EXITED);
	EQ(si[0].ssi_status, 5);
	for (int i = 0; i < 9; i++) {
		EQ(si[1 + i].ssi_signo, SIGRTMIN + i / 3);
		EQ(si[1 + i].ssi_code, SI_QUEUE);
		EQ(si[1 + i].ssi_int, i % 3 * 3 + i / 3);
		EQ(si[1 + i].ssi_pid, getpid());
		EQ(si[1 + i].ssi_uid, getuid());
	}
	EQ(epoll_wait(ep, &ev, 1, 0), 0);
}

/* ---- waits --------------------------------------------------------------------------------------------- */

static void send_later(int sig, int ms)
{
	if (fork() == 0) {
		sleep_ms(ms);
		kill(getppid(), sig);
		_exit(0);
	}
}

TEST(aio_wait, "io_pgetevents: its mask lets a signal through, and only for the wait")
{
	struct { const sigset_t *set; size_t size; } none = { NULL, 8 };
	struct timespec second = { 2, 0 };
	struct io_event ev;
	aio_context_t ctx = 0;
	sigset_t empty, now;

	if (syscall(SYS_io_setup, 4, &ctx) < 0)
		SKIP("no asynchronous input and output");
	sigemptyset(&empty);
	none.set = &empty;
	handle(SIGUSR1, 0);
	block(SIGUSR1);
	for (int late = 0; late < 2; late++) {
		count = 0;
		if (late)
			send_later(SIGUSR1, 30);
		else
			raise(SIGUSR1);
		FAILS(syscall(SYS_io_pgetevents, ctx, 1L, 1L, &ev, &second, &none), EINTR);
		EQ(count, 1);
		OK(sigprocmask(SIG_BLOCK, NULL, &now));
		EQ(sigismember(&now, SIGUSR1), 1);
	}
	OK(syscall(SYS_io_destroy, ctx));
	while (wait(NULL) > 0)
		;
}

/* A child that waits for a lock we have; its pid. */
static pid_t waiter(bool posix, bool handler, int ready, int held)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	pid_t pid = MUST(fork());
	int fd, r;

	if (pid)
		return pid;
	close(held);
	fd = MUST(open("f", O_RDWR));
	if (handler)
		handle(SIGCONT, 0);
	MUST(write(ready, "x", 1));
	r = posix ? fcntl(fd, F_SETLKW, &fl) : flock(fd, LOCK_EX);
	_exit(r < 0 ? errno : 0);
}

TEST(stopped, "stopped and continued while it waits for a lock: it waits on, or is interrupted by its handler")
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd, p[2], status;
	char c;

	put("f", "text");
	MUST(pipe(p));
	for (int turn = 0; turn < 4; turn++) {
		bool posix = turn & 1, handler = turn & 2;
		pid_t pid;

		fd = MUST(open("f", O_RDWR));
		OK(posix ? fcntl(fd, F_SETLK, &fl) : flock(fd, LOCK_EX));
		pid = waiter(posix, handler, p[1], fd);
		MUST(read(p[0], &c, 1));
		sleep_ms(60);
		for (int i = 0; i < 3; i++) {
			OK(kill(pid, SIGSTOP));
			OK(waitpid(pid, &status, WUNTRACED));
			TRUE(WIFSTOPPED(status));
			sleep_ms(10);
			if (handler && i == 0)
				break;
			OK(kill(pid, SIGCONT));
			sleep_ms(10);
			EQ(waitpid(pid, &status, WNOHANG), 0);
		}
		if (handler)
			OK(kill(pid, SIGCONT));
		else
			OK(close(fd));
		OK(waitpid(pid, &status, 0));
		EXITED(status, handler ? EINTR : 0);
		if (handler)
			OK(close(fd));
	}
}
