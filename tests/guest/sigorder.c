/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In which order handlers run of signals that were pending together: the kernel takes those that may be faults first, then by
 * number, those of the thread before those of the process; each frame lies on the one before, so the last one taken runs first.
 *
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include <ucontext.h>

static const int signals[] = { SIGUSR1, SIGSEGV, SIGSYS, SIGBUS, SIGTERM, 37 };
#define NSIGNALS 6

static volatile sig_atomic_t order[16], norder;

static void record(int sig, siginfo_t *si, void *context)
{
	(void)si;
	(void)context;
	if (norder < 16)
		order[norder++] = sig;
}

/* Returns into the program with nothing blocked. */
static void unblock(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	(void)si;
	(void)sig;
	sigemptyset(&uc->uc_sigmask);
}

static void handlers(void)
{
	struct sigaction sa = { .sa_sigaction = record, .sa_flags = SA_SIGINFO };

	sigemptyset(&sa.sa_mask);
	for (int i = 0; i < NSIGNALS; i++)
		OK(sigaction(signals[i], &sa, NULL));
	sa.sa_sigaction = unblock;
	sigfillset(&sa.sa_mask);
	OK(sigaction(SIGUSR2, &sa, NULL));
}

static sigset_t all_of_them(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i < NSIGNALS; i++)
		sigaddset(&set, signals[i]);
	return set;
}

/* The signals of this set (one bit each), to the thread or, where `shared` has a bit, the process; those with odd numbers first. */
static void send(pid_t pid, unsigned which, unsigned shared)
{
	for (int i = 0; i < 2 * NSIGNALS; i++) {
		int k = i < NSIGNALS ? NSIGNALS - 1 - i : i - NSIGNALS;
		if (!(which >> k & 1) || (i < NSIGNALS) != (k & 1))
			continue;
		if (shared >> k & 1)
			OK(kill(pid, signals[k]));
		else
			OK(tgkill(pid, pid, signals[k]));
	}
}

static bool is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGSYS;
}

/* How soon the kernel takes it. */
static int rank(int k, unsigned shared)
{
	return (shared >> k & 1) * 1000 + !is_fault(signals[k]) * 100 + signals[k];
}

static void expect(unsigned which, unsigned shared, const char *how)
{
	int want[NSIGNALS], n = 0;

	for (int k = 0; k < NSIGNALS; k++) {
		int at = n++;
		if (!(which >> k & 1)) {
			n--;
			continue;
		}
		for (; at && rank(want[at - 1], shared) < rank(k, shared); at--)
			want[at] = want[at - 1];
		want[at] = k;
	}
	bool same = norder == n;
	for (int i = 0; i < n && same; i++)
		same = order[i] == signals[want[i]];
	if (same)
		return;
	char text[256];
	int len = snprintf(text, sizeof text, "%s, %#x, shared %#x: ran", how, which, shared);
	for (int i = 0; i < norder; i++)
		len += snprintf(text + len, sizeof text - (size_t)len, " %d", order[i]);
	len += snprintf(text + len, sizeof text - (size_t)len, ", not");
	for (int i = 0; i < n; i++)
		len += snprintf(text + len, sizeof text - (size_t)len, " %d", signals[want[i]]);
	FAIL("%s", text);
}

/* Calls f for each set of two signals or more, and for each way to send them. */
static void each_set(void (*f)(unsigned which, unsigned shared))
{
	for (unsigned which = 0; which < 1u << NSIGNALS; which++)
		for (unsigned shared = 0; shared < 1u << NSIGNALS; shared++)
			if (which & (which - 1) && !(shared & ~which))
				f(which, shared);
}

static void by_sigprocmask(unsigned which, unsigned shared)
{
	sigset_t set = all_of_them();

	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	norder = 0;
	send(getpid(), which, shared);
	EQ(norder, 0);
	OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
	expect(which, shared, "sigprocmask");
}

TEST(unblocked, "signals that one call of sigprocmask unblocks")
{
	handlers();
	each_set(by_sigprocmask);
}

static void by_return(unsigned which, unsigned shared)
{
	sigset_t set = all_of_them();

	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	norder = 0;
	send(getpid(), which, shared);
	raise(SIGUSR2);
	expect(which, shared, "return of a handler");
}

TEST(returned, "signals that the return from a handler unblocks")
{
	handlers();
	each_set(by_return);
}

/* Works until told to stop, with something in the vector registers that handlers change. */
static volatile sig_atomic_t stop, runs;

static void disturb(int sig, siginfo_t *si, void *context)
{
	(void)si;
	(void)context;
	__asm__ volatile("pxor %%xmm6, %%xmm6; pxor %%xmm7, %%xmm7" ::: "xmm6", "xmm7");
	runs++;
	if (sig == SIGTERM)
		stop = 1;
}

static void work(void)
{
	const unsigned long want = 0x0123456789abcdef;
	unsigned long a, b;
	struct stat st;

	while (!stop) {
		/* a system call and a long way between them: signals come to both */
		__asm__ volatile("movq %2, %%xmm6\n\tmovq %2, %%xmm7\n\tmov $39, %%eax\n\tsyscall\n\tmov $200, %%ecx\n"
				 "1:\tdec %%ecx\n\tjnz 1b\n\tmovq %%xmm6, %0\n\tmovq %%xmm7, %1"
				 : "=&r"(a), "=&r"(b) : "r"(want) : "rax", "rcx", "r11", "xmm6", "xmm7", "memory");
		if (a != want || b != want)
			_exit(2);
		if (stat("/", &st))
			_exit(3);
	}
}

TEST(storm, "another process sends what may be faults, again and again: registers are as they were, nothing stays blocked")
{
	int status, ready[2];
	char c;

	OK(pipe(ready));
	pid_t pid = MUST(fork());
	if (!pid) {
		struct sigaction sa = { .sa_sigaction = disturb, .sa_flags = SA_SIGINFO };
		for (int i = 0; i < NSIGNALS; i++)
			sigaction(signals[i], &sa, NULL);
		(void)!write(ready[1], "", 1);
		work();
		for (int i = 0; i < NSIGNALS; i++) {
			int before = runs;
			raise(signals[i]);
			if (runs != before + 1)
				_exit(10 + i);		/* blocked, though nobody asked for that */
		}
		_exit(0);
	}
	EQ(read(ready[0], &c, 1), 1);
	for (int i = 0; i < 20000; i++) {
		const int sig = (const int[]) { SIGSEGV, SIGBUS, SIGSYS, SIGUSR1 }[i & 3];
		OK(i & 8 || sig == SIGSYS ? kill(pid, sig) : tgkill(pid, pid, sig));	/* not SIGSYS to a thread: docs/limits.md */
	}
	usleep(1000);
	OK(kill(pid, SIGTERM));
	MUST(waitpid(pid, &status, 0));
	EXITED(status, 0);
}

/* The process is stopped in the middle of its own instructions while they are sent. */
static void while_stopped(unsigned which, unsigned shared)
{
	int status, out[2];

	OK(pipe(out));
	pid_t pid = MUST(fork());
	if (!pid) {
		norder = 0;
		struct timespec end, now;
		clock_gettime(CLOCK_MONOTONIC, &end);
		(void)!write(out[1], "", 1);
		do
			clock_gettime(CLOCK_MONOTONIC, &now);
		while (!norder && now.tv_sec < end.tv_sec + 10);
		(void)!write(out[1], (const void *)order, sizeof order);
		_exit(norder);
	}
	EQ(read(out[0], (void *)order, 1), 1);
	OK(kill(pid, SIGSTOP));
	EQ(MUST(waitpid(pid, &status, WUNTRACED)), pid);
	send(pid, which, shared);
	OK(kill(pid, SIGCONT));
	close(out[1]);
	EQ(read(out[0], (void *)order, sizeof order), (long)sizeof order);
	MUST(waitpid(pid, &status, 0));
	norder = WEXITSTATUS(status);
	close(out[0]);
	expect(which, shared, "in the middle");
}

TEST(stopped, "signals that meet a program in the middle of its instructions")
{
	handlers();
	for (unsigned which = 3; which < 1u << NSIGNALS; which++)
		if (which & (which - 1)) {
			while_stopped(which, 0);
			while_stopped(which, which);
			while_stopped(which, which & 0x15);
		}
}
