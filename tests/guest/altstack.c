/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stacks that handlers run on: the alternate one with all its flags, small ones, and none that is left.
 *
 * GUEST_WORLDS: native view
 */
#include "guest.h"
#include <pthread.h>
#include <setjmp.h>
#include <ucontext.h>
#include <sys/auxv.h>
#include <sys/time.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM	(1u << 31)
#endif

static char area[2][1 << 16] __attribute__((aligned(16)));
static volatile sig_atomic_t seen, flags_inside, error_inside, uc_flags;
static volatile uintptr_t where, uc_sp;

static int set_alt(void *sp, size_t size, int flags)
{
	stack_t st = { .ss_sp = sp, .ss_size = size, .ss_flags = flags };

	return sigaltstack(&st, NULL);
}

static stack_t alt_now(void)
{
	stack_t st;

	memset(&st, 0x55, sizeof(st));
	OK(sigaltstack(NULL, &st));
	return st;
}

static bool on(int n, uintptr_t at)
{
	return at >= (uintptr_t)area[n] && at < (uintptr_t)area[n] + sizeof(area[n]);
}

static void look(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)si;
	where = (uintptr_t)__builtin_frame_address(0);
	flags_inside = alt_now().ss_flags;
	errno = 0;
	set_alt(area[1], sizeof(area[1]), 0);
	error_inside = errno;
	uc_flags = uc->uc_stack.ss_flags;
	uc_sp = (uintptr_t)uc->uc_stack.ss_sp;
	seen++;
}

static void handle(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&sa.sa_mask);
	OK(sigaction(sig, &sa, NULL));
}

TEST(values, "sigaltstack: what is refused, what is given back")
{
	stack_t st = alt_now();

	EQ(st.ss_flags, SS_DISABLE);
	FAILS(set_alt(area[0], 1024, 0), ENOMEM);
	FAILS(set_alt(area[0], sizeof(area[0]), 7), EINVAL);
	FAILS(sigaltstack((stack_t *)8, NULL), EFAULT);
	FAILS(sigaltstack(NULL, (stack_t *)8), EFAULT);
	OK(set_alt(area[0], sizeof(area[0]), 0));
	st = alt_now();
	EQ(st.ss_flags, 0);
	TRUE(st.ss_sp == area[0]);
	EQ(st.ss_size, (long)sizeof(area[0]));
	OK(set_alt(area[1], sizeof(area[1]), SS_ONSTACK));
	EQ(alt_now().ss_flags, 0);
	OK(set_alt(area[0], sizeof(area[0]), SS_AUTODISARM));
	EQ(alt_now().ss_flags, (int)SS_AUTODISARM);
	OK(set_alt(NULL, 0, SS_DISABLE));
	EQ(alt_now().ss_flags, SS_DISABLE);
	EQ(alt_now().ss_size, 0);
}

TEST(on_it, "on the alternate stack: SS_ONSTACK, and it cannot be changed")
{
	OK(set_alt(area[0], sizeof(area[0]), 0));
	handle(SIGUSR1, look, SA_ONSTACK);
	raise(SIGUSR1);
	TRUE(on(0, where));
	EQ(flags_inside, SS_ONSTACK);
	EQ(error_inside, EPERM);
	EQ(uc_flags, 0);
	TRUE(uc_sp == (uintptr_t)area[0]);
	TRUE(alt_now().ss_sp == area[0]);
}

TEST(disarmed, "SS_AUTODISARM: none while the handler runs, it may set another, the old one comes back")
{
	OK(set_alt(area[0], sizeof(area[0]), SS_AUTODISARM));
	handle(SIGUSR1, look, SA_ONSTACK);
	for (int i = 0; i < 3; i++) {
		raise(SIGUSR1);
		TRUE(on(0, where));
		EQ(flags_inside, SS_DISABLE);
		EQ(error_inside, 0);
		EQ(uc_flags, (int)SS_AUTODISARM);
		TRUE(uc_sp == (uintptr_t)area[0]);
		TRUE(alt_now().ss_sp == area[0]);
		EQ(alt_now().ss_flags, (int)SS_AUTODISARM);
	}
}

/* The handler's stack is left by a switch of context, and another signal comes meanwhile. */
static ucontext_t other, inside;
static volatile int steps;
static char other_stack[1 << 16] __attribute__((aligned(16)));

static void switch_away(int sig, siginfo_t *si, void *context)
{
	(void)sig;
	(void)si;
	(void)context;
	steps++;
	swapcontext(&inside, &other);
	steps++;
}

static void meanwhile(void)
{
	EQ(steps, 1);
	EQ(alt_now().ss_flags, SS_DISABLE);
	OK(set_alt(area[1], sizeof(area[1]), SS_AUTODISARM));
	raise(SIGUSR2);
	TRUE(on(1, where));
	setcontext(&inside);
}

TEST(switched, "swapcontext out of a handler on an SS_AUTODISARM stack, another signal, and back into it")
{
	OK(set_alt(area[0], sizeof(area[0]), SS_AUTODISARM));
	handle(SIGUSR1, switch_away, SA_ONSTACK);
	handle(SIGUSR2, look, SA_ONSTACK);
	for (int i = 0; i < 100; i++) {
		steps = 0;
		getcontext(&other);
		other.uc_stack.ss_sp = other_stack;
		other.uc_stack.ss_size = sizeof(other_stack);
		other.uc_link = NULL;
		makecontext(&other, meanwhile, 0);
		raise(SIGUSR1);
		EQ(steps, 2);
		TRUE(alt_now().ss_sp == area[0]);
	}
}

static sigjmp_buf jump;

static void jump_out(int sig, siginfo_t *si, void *context)
{
	(void)sig;
	(void)si;
	(void)context;
	where = (uintptr_t)__builtin_frame_address(0);
	siglongjmp(jump, 1);
}

TEST(jumped_off, "siglongjmp off the alternate stack, 20000 times: it is free again each time")
{
	OK(set_alt(area[0], sizeof(area[0]), 0));
	handle(SIGUSR1, jump_out, SA_ONSTACK);
	for (int i = 0; i < 20000; i++) {
		if (sigsetjmp(jump, 1) == 0) {
			raise(SIGUSR1);
			FAIL("came back");
		}
		if (i % 1000 == 0) {
			TRUE(on(0, where));
			EQ(alt_now().ss_flags, 0);
		}
	}
}

static void nest(int sig, siginfo_t *si, void *context)
{
	(void)si;
	(void)context;
	TRUE(on(0, (uintptr_t)__builtin_frame_address(0)));
	EQ(alt_now().ss_flags, SS_ONSTACK);
	if (sig < SIGRTMIN + 6)
		raise(sig + 1);
	seen++;
}

TEST(nested, "signals in handlers on the alternate stack go on below, on the same stack")
{
	OK(set_alt(area[0], sizeof(area[0]), 0));
	for (int i = 0; i <= 6; i++)
		handle(SIGRTMIN + i, nest, SA_ONSTACK);
	raise(SIGRTMIN);
	EQ(seen, 7);
	EQ(alt_now().ss_flags, 0);
}

/* ---- small stacks --------------------------------------------------------------------------------- */

static void small_calls(int sig, siginfo_t *si, void *context)
{
	struct stat st;

	(void)sig;
	(void)si;
	(void)context;
	OK(stat("/etc/passwd", &st));
	OK(close(MUST(open("f", O_RDONLY))));
	seen++;
}

TEST(smallest, "a handler that makes calls, on the smallest alternate stack that the kernel takes")
{
	size_t size = getauxval(AT_MINSIGSTKSZ) + 2048;

	put("f", "x");
	small_calls(0, NULL, NULL);	/* the linker's work is done on a larger stack */
	memset(area[0], 0xa5, sizeof(area[0]));
	OK(set_alt(area[0] + 4096, size, 0));
	handle(SIGUSR1, small_calls, SA_ONSTACK);
	for (int i = 0; i < 200; i++)
		raise(SIGUSR1);
	EQ(seen, 201);
	for (size_t i = 0; i < 4096; i++)
		if (area[0][i] != (char)0xa5 || area[0][4096 + size + i] != (char)0xa5) {
			FAIL("written beside the stack");
			break;
		}
}

static void *small_thread(void *arg)
{
	struct itimerval row = { { 0, 300 }, { 0, 300 } };
	struct stat st;

	(void)arg;
	setitimer(ITIMER_REAL, &row, NULL);
	for (int i = 0; i < 3000; i++)
		stat("/etc/passwd", &st);
	memset(&row, 0, sizeof(row));
	setitimer(ITIMER_REAL, &row, NULL);
	return NULL;
}

TEST(small_thread_stack, "a thread with a small stack makes calls under a storm whose handlers make calls")
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t set;

	put("f", "x");
	handle(SIGALRM, small_calls, SA_RESTART);
	pthread_attr_init(&attr);
	REQUIRE(pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN + 8192) == 0);
	REQUIRE(pthread_create(&thread, &attr, small_thread, NULL) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_join(thread, NULL);
	TRUE(seen > 0);
}

/* ---- no stack left -------------------------------------------------------------------------------- */

static long self;

/* Runs fn with a stack pointer that leaves `room` bytes above an unmapped page. */
static void with_room(size_t room, void (*fn)(void))
{
	char *p = mmap(NULL, 1 << 17, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t sp;

	REQUIRE(p != MAP_FAILED);
	self = getpid();
	OK(mprotect(p, 1 << 16, PROT_NONE));
	sp = ((uintptr_t)p + (1 << 16) + room) & ~15ul;
	__asm__ volatile("movq %%rsp, %%rbx\n\tmovq %0, %%rsp\n\tcall *%1\n\tmovq %%rbx, %%rsp"
			 : : "r"(sp), "r"(fn) : "rbx", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
			 "memory", "cc");
}

/* kill(getpid(), SIGUSR1) without using the stack: a signal that arrives at a system call. */
static void send_usr1(void)
{
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(SYS_kill), "D"(self), "S"(SIGUSR1) : "rcx", "r11", "memory");
}

/* The same at a call that waits: read from a pipe, interrupted by the timer. */
static long pipe_end, byte_at;

static void wait_in_read(void)
{
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(SYS_read), "D"(pipe_end), "S"(byte_at), "d"(1L) : "rcx", "r11", "memory");
}

static void never(int sig, siginfo_t *si, void *context)
{
	(void)sig;
	(void)si;
	(void)context;
	_exit(66);
}

static void rescue(int sig, siginfo_t *si, void *context)
{
	(void)si;
	(void)context;
	TRUE(on(0, (uintptr_t)__builtin_frame_address(0)));
	seen += sig;
	siglongjmp(jump, 1);
}

TEST(no_room, "no room for a handler's frame: SIGSEGV, whose handler runs on the alternate stack, 50 times")
{
	OK(set_alt(area[0], sizeof(area[0]), 0));
	handle(SIGUSR1, never, 0);
	handle(SIGSEGV, rescue, SA_ONSTACK);
	for (int i = 1; i <= 50; i++) {
		if (sigsetjmp(jump, 1) == 0) {
			with_room(300, send_usr1);
			FAIL("came back");
		}
		EQ(seen, i * SIGSEGV);
	}
}

TEST(no_room_waiting, "the same when the signal interrupts a read")
{
	struct itimerval once = { { 0, 0 }, { 0, 3000 } };
	int p[2];

	MUST(pipe(p));
	pipe_end = p[0];
	byte_at = (long)area[1];
	OK(set_alt(area[0], sizeof(area[0]), 0));
	handle(SIGALRM, never, 0);
	handle(SIGSEGV, rescue, SA_ONSTACK);
	for (int i = 1; i <= 20; i++) {
		if (sigsetjmp(jump, 1) == 0) {
			OK(setitimer(ITIMER_REAL, &once, NULL));
			with_room(300, wait_in_read);
			FAIL("came back");
		}
		EQ(seen, i * SIGSEGV);
	}
}

static void die_without_room(void *arg)
{
	(void)arg;
	handle(SIGUSR1, never, 0);
	with_room(300, send_usr1);
}

static void die_with_handler(void *arg)
{
	(void)arg;
	handle(SIGSEGV, never, 0);
	die_without_room(NULL);
}

TEST(no_room_deadly, "no room for a handler's frame, and none for SIGSEGV's: SIGSEGV kills")
{
	SIGNALED(in_child(die_without_room, NULL), SIGSEGV);
	SIGNALED(in_child(die_with_handler, NULL), SIGSEGV);
}
