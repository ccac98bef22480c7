/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signals: what a handler is told, interruption and restart, masks, alternate stacks, jumps out.
 * GUEST_WORLDS: view mount secure
 */
#include "guest.h"
#include <pthread.h>
#include <setjmp.h>
#include <ucontext.h>
#include <sys/time.h>

static volatile sig_atomic_t seen, last;
static siginfo_t info;
static ucontext_t context;
static sigjmp_buf out;

static void note(int sig)
{
	last = sig;
	seen++;
}

static void note_info(int sig, siginfo_t *si, void *uc)
{
	info = *si;
	memcpy(&context, uc, sizeof(context) - sizeof(context.__fpregs_mem) - sizeof(context.__ssp));
	note(sig);
}

static void handle(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = { .sa_flags = flags };

	sa.sa_handler = fn;
	OK(sigaction(sig, &sa, NULL));
}

static void handle_info(int sig, int flags)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | flags };

	sa.sa_sigaction = note_info;
	OK(sigaction(sig, &sa, NULL));
}

TEST(raise_plain, "raise: the handler runs before it returns")
{
	handle(SIGUSR1, note, 0);
	for (int i = 1; i <= 100; i++) {
		OK(raise(SIGUSR1));
		EQ(seen, i);
	}
	EQ(last, SIGUSR1);
	OK(kill(getpid(), SIGUSR1));
	EQ(seen, 101);
}

TEST(siginfo, "siginfo: who sent it, how, with which value")
{
	union sigval v = { .sival_int = 1234 };
	int status;
	pid_t pid;

	handle_info(SIGUSR1, 0);
	OK(kill(getpid(), SIGUSR1));
	EQ(info.si_signo, SIGUSR1);
	EQ(info.si_code, SI_USER);
	EQ(info.si_pid, getpid());
	EQ(info.si_uid, getuid());
	OK(sigqueue(getpid(), SIGUSR1, v));
	EQ(info.si_code, SI_QUEUE);
	EQ(info.si_value.sival_int, 1234);
	OK(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
	EQ(info.si_code, SI_TKILL);
	handle_info(SIGCHLD, 0);
	pid = MUST(fork());
	if (pid == 0)
		_exit(9);
	while (info.si_signo != SIGCHLD)
		sleep_ms(2);
	EQ(info.si_pid, pid);
	EQ(info.si_status, 9);
	EQ(info.si_code, CLD_EXITED);
	OK(waitpid(pid, &status, 0));
}

TEST(dispositions, "sigaction gives back what was set; ignore, default, reset")
{
	struct sigaction sa = { .sa_flags = SA_RESTART | SA_NODEFER }, old;

	sa.sa_handler = note;
	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGUSR2);
	sigaddset(&sa.sa_mask, SIGSYS);
	OK(sigaction(SIGUSR1, &sa, NULL));
	OK(sigaction(SIGUSR1, NULL, &old));
	TRUE(old.sa_handler == note);
	EQ(old.sa_flags & (SA_RESTART | SA_NODEFER | SA_ONSTACK | SA_SIGINFO | SA_RESETHAND), SA_RESTART | SA_NODEFER);
	EQ(sigismember(&old.sa_mask, SIGUSR2), 1);
	EQ(sigismember(&old.sa_mask, SIGSYS), 1);
	EQ(sigismember(&old.sa_mask, SIGHUP), 0);
	TRUE(signal(SIGUSR1, SIG_IGN) == note);
	OK(raise(SIGUSR1));
	EQ(seen, 0);
	TRUE(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
	handle(SIGUSR1, note, (int)SA_RESETHAND);
	OK(raise(SIGUSR1));
	EQ(seen, 1);
	OK(sigaction(SIGUSR1, NULL, &old));
	TRUE(old.sa_handler == SIG_DFL);
	FAILS(sigaction(SIGKILL, &sa, NULL), EINVAL);
	FAILS(sigaction(SIGSTOP, &sa, NULL), EINVAL);
	FAILS(sigaction(65, &sa, NULL), EINVAL);
	FAILS(syscall(SYS_rt_sigaction, SIGUSR1, (void *)16, NULL, 8), EFAULT);
	FAILS(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 16), EINVAL);
}

static volatile int depth, deepest;

static void nest(int sig)
{
	if (++depth > deepest)
		deepest = depth;
	if (depth < 5)
		raise(sig);
	depth--;
	seen++;
}

TEST(nodefer, "SA_NODEFER nests; without it the signal waits for the handler's end")
{
	handle(SIGUSR1, nest, SA_NODEFER);
	OK(raise(SIGUSR1));
	EQ(deepest, 5);
	EQ(seen, 5);
	depth = 4;
	deepest = 0;
	handle(SIGUSR1, nest, 0);
	OK(raise(SIGUSR1));
	EQ(deepest, 5);
	depth = 0;
	deepest = 0;
	seen = 0;
	handle(SIGUSR1, nest, 0);
	alarm(5);
	if (fork() == 0) {
		/* it blocks itself: raise() in the handler leaves it pending, endlessly */
		handle(SIGUSR1, note, 0);
		OK(raise(SIGUSR1));
		_exit(seen == 1 ? 0 : 1);
	}
	EXITED(({ int s; OK(wait(&s)); s; }), 0);
}

static sigset_t in_handler;

static void look_at_mask(int sig MAYBE)
{
	sigprocmask(SIG_BLOCK, NULL, &in_handler);
	seen++;
}

TEST(handler_mask, "in a handler: its signal, sa_mask and the old mask are blocked; afterwards not")
{
	struct sigaction sa = { .sa_handler = look_at_mask };
	sigset_t set;

	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGUSR2);
	sigaddset(&sa.sa_mask, SIGSYS);
	OK(sigaction(SIGUSR1, &sa, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	OK(sigprocmask(SIG_SETMASK, &set, NULL));
	OK(raise(SIGUSR1));
	EQ(sigismember(&in_handler, SIGUSR1), 1);
	EQ(sigismember(&in_handler, SIGUSR2), 1);
	EQ(sigismember(&in_handler, SIGHUP), 1);
	EQ(sigismember(&in_handler, SIGSYS), 1);
	EQ(sigismember(&in_handler, SIGTERM), 0);
	OK(sigprocmask(SIG_BLOCK, NULL, &set));
	EQ(sigismember(&set, SIGHUP), 1);
	EQ(sigismember(&set, SIGUSR1), 0);
	EQ(sigismember(&set, SIGSYS), 0);
}

TEST(blocking, "sigprocmask, pending, delivery at unblocking, once")
{
	sigset_t set, old;

	handle(SIGUSR1, note, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(sigprocmask(SIG_BLOCK, &set, &old));
	EQ(sigismember(&old, SIGUSR1), 0);
	for (int i = 0; i < 5; i++)
		OK(raise(SIGUSR1));
	EQ(seen, 0);
	OK(sigpending(&old));
	EQ(sigismember(&old, SIGUSR1), 1);
	OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
	EQ(seen, 1);
	sigfillset(&set);
	OK(sigprocmask(SIG_SETMASK, &set, NULL));
	OK(sigprocmask(SIG_BLOCK, NULL, &old));
	EQ(sigismember(&old, SIGSYS), 1);
	EQ(sigismember(&old, SIGKILL), 0);
	EQ(sigismember(&old, SIGSTOP), 0);
	OK(getppid());
	FAILS(sigprocmask(77, &set, NULL), EINVAL);
	FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, (void *)16, NULL, 8), EFAULT);
	FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, NULL, 4), EINVAL);
}

TEST(work_with_all_blocked, "with every signal blocked all calls still work")
{
	sigset_t all;
	int status;

	sigfillset(&all);
	OK(sigprocmask(SIG_SETMASK, &all, NULL));
	put("f", "blocked");
	STR(get("f"), "blocked");
	if (fork() == 0) {
		STR(get("f"), "blocked");
		execl("/bin/sh", "sh", "-c", "exit 8", NULL);
	}
	OK(wait(&status));
	EXITED(status, 8);
}

/* Sends `sig` to `pid` after some milliseconds, from a child that then ends. */
static pid_t send_later(pid_t pid, int sig, long ms)
{
	pid_t child = MUST(fork());

	if (child == 0) {
		signal(sig, SIG_IGN);
		sleep_ms(ms);
		kill(pid, sig);
		_exit(0);
	}
	return child;
}

static int pipes[2];

static long blocking_read(void)
{
	char c;

	return read(pipes[0], &c, 1);
}

static long blocking_sleep(void)
{
	return nanosleep(&(struct timespec){ 5, 0 }, NULL);
}

static long blocking_clock(void)
{
	errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ 5, 0 }, NULL);
	return errno ? -1 : 0;
}

static long blocking_futex(void)
{
	uint32_t word = 0;

	return syscall(SYS_futex, &word, 0, 0, NULL, NULL, 0);
}

static long blocking_pause(void)
{
	return pause();
}

TEST(interrupts, "a handler without SA_RESTART: EINTR from read, sleep, futex, pause")
{
	long (*calls[])(void) = { blocking_read, blocking_sleep, blocking_clock, blocking_futex, blocking_pause };

	OK(pipe(pipes));
	handle(SIGUSR1, note, 0);
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		pid_t child = send_later(getpid(), SIGUSR1, 30);

		seen = 0;
		FAILS(calls[i](), EINTR);
		EQ(seen, 1);
		OK(waitpid(child, NULL, 0));
	}
}

TEST(interrupt_wait, "EINTR from wait; SA_RESTART waits on")
{
	int status;
	pid_t child = MUST(fork()), sender;

	if (child == 0) {
		sleep_ms(150);
		_exit(4);
	}
	handle(SIGUSR1, note, 0);
	sender = send_later(getpid(), SIGUSR1, 30);
	FAILS(waitpid(child, &status, 0), EINTR);
	OK(waitpid(sender, NULL, 0));
	handle(SIGUSR1, note, SA_RESTART);
	sender = send_later(getpid(), SIGUSR1, 30);
	EQ(waitpid(child, &status, 0), child);
	EXITED(status, 4);
	EQ(seen, 2);
	OK(waitpid(sender, NULL, 0));
}

static void feed(int sig)
{
	note(sig);
	if (seen == 3 && write(pipes[1], "!", 1) != 1)
		_exit(50);
}

TEST(restarts, "a handler with SA_RESTART: read goes on, sleep does not")
{
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } }, never = { { 0, 0 }, { 0, 0 } };

	OK(pipe(pipes));
	handle(SIGALRM, feed, SA_RESTART);
	OK(setitimer(ITIMER_REAL, &often, NULL));
	EQ(blocking_read(), 1);
	OK(setitimer(ITIMER_REAL, &never, NULL));
	EQ(seen, 3);
	OK(setitimer(ITIMER_REAL, &often, NULL));
	FAILS(blocking_sleep(), EINTR);
	OK(setitimer(ITIMER_REAL, &never, NULL));
}

TEST(ignored_no_interrupt, "an ignored signal interrupts nothing")
{
	long start = now_ms();
	pid_t child;

	signal(SIGUSR1, SIG_IGN);
	child = send_later(getpid(), SIGUSR1, 10);
	OK(nanosleep(&(struct timespec){ 0, 100000000 }, NULL));
	TRUE(now_ms() - start >= 95);
	OK(waitpid(child, NULL, 0));
}

TEST(remaining, "nanosleep says how much was left")
{
	struct timespec left = { 0, 0 };
	pid_t child;

	handle(SIGUSR1, note, 0);
	child = send_later(getpid(), SIGUSR1, 50);
	FAILS(nanosleep(&(struct timespec){ 10, 0 }, &left), EINTR);
	TRUE(left.tv_sec >= 8 && left.tv_sec < 10);
	OK(waitpid(child, NULL, 0));
}

static void jump(int sig)
{
	note(sig);
	siglongjmp(out, sig);
}

TEST(jump_out, "siglongjmp out of a handler, 1000 times, also out of a blocking read")
{
	sigset_t set;

	handle(SIGUSR1, jump, 0);
	for (volatile int i = 0; i < 1000; i++)
		if (sigsetjmp(out, 1) == 0) {
			raise(SIGUSR1);
			FAIL("came back");
		}
	EQ(seen, 1000);
	OK(sigprocmask(SIG_BLOCK, NULL, &set));
	EQ(sigismember(&set, SIGUSR1), 0);
	OK(pipe(pipes));
	handle(SIGALRM, jump, 0);
	for (volatile int i = 0; i < 50; i++) {
		if (sigsetjmp(out, 1) == 0) {
			setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 0 }, { 0, 1000 } }, NULL);
			blocking_read();
			FAIL("came back");
		}
	}
	OK(getppid());
	put("f", "alive");
	STR(get("f"), "alive");
}

static char *alt;

static void where(int sig MAYBE)
{
	char here;
	stack_t st;

	sigaltstack(NULL, &st);
	if (&here > alt && &here < alt + 65536)
		seen |= 1;
	if (st.ss_flags == SS_ONSTACK)
		seen |= 2;
	if (sigaltstack(&st, NULL) < 0 && errno == EPERM)
		seen |= 4;
}

TEST(altstack, "SA_ONSTACK runs on the alternate stack, and only then")
{
	stack_t st = { .ss_size = 65536 }, old;

	alt = malloc(65536);
	st.ss_sp = alt;
	OK(sigaltstack(NULL, &old));
	EQ(old.ss_flags, SS_DISABLE);
	OK(sigaltstack(&st, NULL));
	OK(sigaltstack(NULL, &old));
	TRUE(old.ss_sp == alt && old.ss_size == 65536 && old.ss_flags == 0);
	handle(SIGUSR1, where, SA_ONSTACK);
	OK(raise(SIGUSR1));
	EQ(seen, 7);
	seen = 0;
	handle(SIGUSR1, where, 0);
	OK(raise(SIGUSR1));
	EQ(seen, 0);
	st.ss_size = 100;
	FAILS(sigaltstack(&st, NULL), ENOMEM);
	st.ss_flags = 0x70;
	FAILS(sigaltstack(&st, NULL), EINVAL);
	FAILS(syscall(SYS_sigaltstack, (void *)16, NULL), EFAULT);
	st = (stack_t){ .ss_flags = SS_DISABLE };
	OK(sigaltstack(&st, NULL));
	OK(sigaltstack(NULL, &old));
	EQ(old.ss_flags, SS_DISABLE);
}

static void *thread_altstack(void *unused MAYBE)
{
	static __thread char mine[32768];
	stack_t st = { .ss_sp = mine, .ss_size = sizeof(mine) }, old;
	long bad = 0;

	bad += sigaltstack(NULL, &old) < 0 || old.ss_flags != SS_DISABLE;
	bad += sigaltstack(&st, NULL) < 0;
	for (int i = 0; i < 100; i++) {
		pthread_kill(pthread_self(), SIGUSR2);
		getppid();
	}
	bad += sigaltstack(NULL, &old) < 0 || old.ss_sp != mine;
	return (void *)bad;
}

TEST(altstack_threads, "each thread has an alternate stack of its own")
{
	pthread_t t[8];
	void *bad;

	handle(SIGUSR2, note, SA_ONSTACK);
	for (long i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, thread_altstack, NULL);
	for (int i = 0; i < 8; i++) {
		pthread_join(t[i], &bad);
		EQ((long)bad, 0);
	}
}

static void calls_inside(int sig)
{
	int saved = errno;

	put("from-handler", "text");
	if (strcmp(get("from-handler"), "text") != 0)
		_exit(40);
	note(sig);
	errno = saved;
}

TEST(calls_in_handler, "a handler makes system calls; errno and results of the interrupted call are right")
{
	struct itimerval often = { { 0, 700 }, { 0, 700 } }, never = { { 0, 0 }, { 0, 0 } };
	struct stat st;
	char buf[8];
	int fd;

	handle(SIGALRM, calls_inside, SA_RESTART);
	OK(setitimer(ITIMER_REAL, &often, NULL));
	put("f", "12345");
	for (long start = now_ms(); now_ms() - start < 400; ) {
		REQUIRE(stat("f", &st) == 0 && st.st_size == 5);
		REQUIRE((fd = open("f", O_RDONLY)) >= 0);
		REQUIRE(read(fd, buf, sizeof(buf)) == 5 && memcmp(buf, "12345", 5) == 0);
		REQUIRE(read(fd, buf, sizeof(buf)) == 0);
		REQUIRE(close(fd) == 0);
	}
	OK(setitimer(ITIMER_REAL, &never, NULL));
	TRUE(seen > 50);
}

TEST(sigsys_is_ours, "SIGSYS sent by kill: handler, ignore, block, default")
{
	sigset_t set;

	handle_info(SIGSYS, 0);
	OK(kill(getpid(), SIGSYS));
	EQ(seen, 1);
	EQ(info.si_signo, SIGSYS);
	EQ(info.si_code, SI_USER);
	EQ(info.si_pid, getpid());
	signal(SIGSYS, SIG_IGN);
	OK(kill(getpid(), SIGSYS));
	EQ(seen, 1);
	handle(SIGSYS, note, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	OK(kill(getpid(), SIGSYS));
	EQ(seen, 1);
	OK(sigpending(&set));
	EQ(sigismember(&set, SIGSYS), 1);
	OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
	EQ(seen, 2);
	put("f", "still works");
	STR(get("f"), "still works");
}

TEST(kill_errors, "kill, tgkill, sigqueue: ESRCH, EINVAL, signal 0")
{
	OK(kill(getpid(), 0));
	FAILS(kill(getpid(), 65), EINVAL);
	FAILS(kill(999999999, SIGTERM), ESRCH);
	FAILS(syscall(SYS_tgkill, getpid(), 999999999, SIGTERM), ESRCH);
	FAILS(syscall(SYS_tgkill, -1, 1, SIGTERM), EINVAL);
	FAILS(sigqueue(999999999, SIGTERM, (union sigval){ 0 }), ESRCH);
}
