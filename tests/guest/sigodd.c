/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signals where the agent's own use of them might show: two of one number, queued ones together with what may be a fault, pending
 * faults and bad addresses, stacks that have to grow for a frame, a child that shares memory with a parent that becomes
 * another program, calls whose result is their own number, and handlers that are reset.
 *
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <ucontext.h>

static volatile sig_atomic_t norder;
static int order[16];			/* the number, or the value it was sent with */
static unsigned long masks[16];

static void record(int sig, siginfo_t *si, void *context)
{
	const ucontext_t *uc = context;

	if (norder >= 16)
		return;
	order[norder] = si->si_code == SI_QUEUE ? si->si_value.sival_int : sig;
	memcpy(&masks[norder++], &uc->uc_sigmask, sizeof masks[0]);
}

static void block(const int *signals, int n, sigset_t *set)
{
	struct sigaction sa = { .sa_sigaction = record, .sa_flags = SA_SIGINFO };

	sigemptyset(&sa.sa_mask);
	sigemptyset(set);
	for (int i = 0; i < n; i++) {
		OK(sigaction(signals[i], &sa, NULL));
		sigaddset(set, signals[i]);
	}
	OK(sigprocmask(SIG_BLOCK, set, NULL));
	norder = 0;
}

TEST(twice, "one for the thread and one for the process: both come")
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGSYS, SIGUSR1 };
	sigset_t set;

	for (int i = 0; i < 4; i++) {
		block(&signals[i], 1, &set);
		OK(kill(getpid(), signals[i]));
		OK(tgkill(getpid(), gettid(), signals[i]));
		OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
		EQ(norder, 2);
	}
}

TEST(queued, "queued ones keep their order when one that may be a fault is pending, too")
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGSYS, 40 };
	sigset_t set;

	for (int i = 0; i < 3; i++) {
		const int both[] = { signals[i], 40 };

		block(both, 2, &set);
		for (int k = 1; k <= 4; k++)
			OK(sigqueue(getpid(), 40, (union sigval){ .sival_int = k }));
		raise(signals[i]);
		OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
		EQ(norder, 5);
		for (int k = 1; k <= 4; k++)
			EQ(order[k - 1], k);
		EQ(order[4], signals[i]);
	}
}

TEST(bad_address, "a signal that is blocked and pending stays so when a call gets a bad address")
{
	static const int signals[] = { SIGSEGV, SIGBUS };
	struct stat st;
	sigset_t set;

	block(signals, 2, &set);
	raise(SIGSEGV);
	raise(SIGBUS);
	FAILS(stat((char *)8, &st), EFAULT);
	FAILS(stat((char *)-1l, &st), EFAULT);
	FAILS(stat((char *)0xffff800000000000, &st), EFAULT);
	FAILS(syscall(SYS_newfstatat, AT_FDCWD, "/", 8, 0), EFAULT);
	FAILS(syscall(SYS_newfstatat, AT_FDCWD, "/", -1l, 0), EFAULT);
	FAILS(syscall(SYS_newfstatat, AT_FDCWD, "/", -8l, 0), EFAULT);
	FAILS(getcwd((char *)-4l, 4096) ? 0 : -1, EFAULT);
	FAILS(syscall(SYS_rt_sigaction, SIGUSR1, -1l, NULL, 8), EFAULT);
	FAILS(syscall(SYS_rt_sigaction, SIGUSR1, NULL, -1l, 8), EFAULT);
	EQ(norder, 0);
	OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
	EQ(norder, 2);
}

/* The kernel's calls alone, with the stack a megabyte further down than it has ever been. */
static void unblock_far_below(const sigset_t *set)
{
	__asm__ volatile("subq $1000000, %%rsp\n\tmovl %0, %%edi\n\tmovq %1, %%rsi\n\txorl %%edx, %%edx\n\tmovl $8, %%r10d\n\t"
			 "movl %2, %%eax\n\tsyscall\n\taddq $1000000, %%rsp"
			 :: "i"(SIG_UNBLOCK), "r"(set), "i"(SYS_rt_sigprocmask)
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r10", "r11", "memory", "cc");
}

TEST(grows, "frames for which the stack has to grow: order and masks as ever")
{
	static const int signals[] = { SIGSEGV, SIGBUS };
	sigset_t set;

	block(signals, 2, &set);
	raise(SIGSEGV);
	raise(SIGBUS);
	unblock_far_below(&set);
	EQ(norder, 2);
	EQ(order[0], SIGSEGV);
	EQ(masks[0], 1l << (SIGBUS - 1));
	EQ(order[1], SIGBUS);
	EQ(masks[1], 0);
}

/* send() of as many bytes as its number is, while each message makes a SIGSYS. */
static long send_44(int fd, const char *bytes)
{
	register long r10 __asm__("r10") = 0, r8 __asm__("r8") = 0, r9 __asm__("r9") = 0;
	long r;

	__asm__ volatile("movl $44, %%eax\n\tsyscall"
			 : "=a"(r) : "D"(fd), "S"(bytes), "d"(44), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return r;
}

TEST(own_number, "a call that the kernel has made is not made again though its result is its number, and a SIGSYS comes")
{
	static const int signals[] = { SIGSYS };
	char bytes[44] = "";
	sigset_t set;
	int sv[2], got = 0;

	block(signals, 1, &set);
	OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
	OK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, sv));
	OK(fcntl(sv[1], F_SETOWN, getpid()));
	OK(fcntl(sv[1], F_SETSIG, SIGSYS));
	OK(fcntl(sv[1], F_SETFL, O_ASYNC | O_NONBLOCK));
	EQ(send_44(sv[0], bytes), 44);
	while (recv(sv[1], bytes, sizeof bytes, 0) > 0)
		got++;
	EQ(got, 1);
	TRUE(norder > 0);
}

static volatile sig_atomic_t count, pending_in_handler;

static void look(int sig)
{
	sigset_t set;

	count++;
	sigpending(&set);
	pending_in_handler = sigismember(&set, sig);
}

TEST(reset_pending, "SA_RESETHAND of what is ignored by default: a second one that is pending stays so, and is ignored when it comes")
{
	static const int signals[] = { SIGWINCH, SIGURG, SIGCONT, SIGCHLD };
	struct sigaction sa = { .sa_handler = look, .sa_flags = SA_RESETHAND };
	sigset_t set, pending;

	sigemptyset(&sa.sa_mask);
	for (int i = 0; i < 4; i++) {
		OK(sigaction(signals[i], &sa, NULL));
		sigemptyset(&set);
		sigaddset(&set, signals[i]);
		OK(sigprocmask(SIG_BLOCK, &set, NULL));
		kill(getpid(), signals[i]);
		raise(signals[i]);
		count = pending_in_handler = 0;
		OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
		EQ(count, 1);
		EQ(pending_in_handler, 1);
		OK(sigpending(&pending));
		EQ(sigismember(&pending, signals[i]), 0);
		raise(signals[i]);
		EQ(count, 1);
		OK(sigprocmask(SIG_BLOCK, &set, NULL));
		raise(signals[i]);			/* blocked, so it waits though it would be ignored */
		OK(sigpending(&pending));
		EQ(sigismember(&pending, signals[i]), 1);
		OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
	}
}

static volatile int pending_sig;

static void *take_one(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, pending_sig);
	EQ(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
	raise(pending_sig);
	raise(pending_sig);			/* ignored */
	return arg;
}

TEST(reset_elsewhere, "SA_RESETHAND in a thread: what is pending for another one stays so")
{
	static const int signals[] = { SIGWINCH, SIGURG, SIGCONT, SIGCHLD };
	struct sigaction sa = { .sa_handler = look, .sa_flags = SA_RESETHAND };
	struct timespec none = { 0, 0 };
	sigset_t set, pending;
	pthread_t thread;

	sigemptyset(&sa.sa_mask);
	for (int i = 0; i < 4; i++) {
		pending_sig = signals[i];
		sigemptyset(&set);
		sigaddset(&set, pending_sig);
		OK(sigprocmask(SIG_BLOCK, &set, NULL));
		OK(sigaction(pending_sig, &sa, NULL));
		raise(pending_sig);
		count = 0;
		REQUIRE(!pthread_create(&thread, NULL, take_one, NULL));
		pthread_join(thread, NULL);
		EQ(count, 1);
		OK(sigpending(&pending));
		EQ(sigismember(&pending, pending_sig), 1);
		if (i & 1)
			EQ(sigtimedwait(&set, NULL, &none), pending_sig);
		OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
		EQ(count, 1);
		raise(pending_sig);
		EQ(count, 1);
	}
}

/* ---- a child that shares memory -------------------------------------------------------------------------- */

#define AT	((char *)0x10000000)	/* its stack; the parent's next program puts something else there */
#define SIZE	(1 << 20)

struct shared { volatile int runs, sig, stop; };
static struct shared *shared;

static void note(int sig)
{
	shared->sig = sig;
	shared->runs++;
}

static int wait_for_it(void *arg)
{
	(void)arg;
	while (!shared->stop)
		;
	_exit(shared->runs != 1 || shared->sig != SIGUSR1);
}

/* The parent's next program: something else is where the child's stack is in its own memory. */
HELPER(after)
{
	int status;
	pid_t child = atoi(argv[1]);
	char *p = mmap(AT, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[0]), 0);
	if (p != AT || shared == MAP_FAILED)
		return 2;
	memset(p, 0x5a, SIZE);
	kill(child, SIGUSR1);
	for (int i = 0; i < 5000 && !shared->runs; i++)
		usleep(1000);
	shared->stop = 1;
	if (waitpid(child, &status, __WALL) != child || status)
		return 3;
	for (int i = 0; i < SIZE; i++)
		if (p[i] != 0x5a)
			return 4;
	return 0;
}

static void become_another(void *arg MAYBE)
{
	char fd[16], pid[16];
	struct sigaction sa = { .sa_handler = note };
	int memfd = memfd_create("shared", 0);
	char *stack = mmap(AT, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	OK(ftruncate(memfd, 4096));
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	OK(sigaction(SIGUSR1, &sa, NULL));
	int child = clone(wait_for_it, stack + SIZE, CLONE_VM | SIGCHLD, NULL);
	snprintf(fd, sizeof fd, "%d", memfd);
	snprintf(pid, sizeof pid, "%d", child);
	execl(guest_self, guest_self, "--helper", "after", fd, pid, NULL);
	_exit(9);
}

TEST(shared_memory, "a child that shares memory handles a signal when its parent has become another program")
{
	EXITED(in_child(become_another, NULL), 0);
}
