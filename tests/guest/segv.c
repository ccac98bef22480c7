/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults: SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP with the right details, recovery, and the default death.
 * GUEST_WORLDS: view mount
 */
#include "guest.h"
#include <pthread.h>
#include <setjmp.h>
#include <ucontext.h>
#include <sys/resource.h>

static sigjmp_buf out;
static siginfo_t info;
static volatile int seen;
static volatile unsigned long fault_rip;

static void jump(int sig, siginfo_t *si, void *uc)
{
	info = *si;
	seen++;
	fault_rip = (unsigned long)((ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP];
	siglongjmp(out, sig);
}

static void handle(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags };

	OK(sigaction(sig, &sa, NULL));
}

TEST(read_null, "reading address 16: si_addr, si_code, rip in the program")
{
	handle(SIGSEGV, jump, 0);
	for (volatile int i = 0; i < 200; i++) {
		if (sigsetjmp(out, 1) == 0) {
			(void)*(volatile char *)16;
			FAIL("no fault");
		}
		EQ((long)info.si_addr, 16);
		EQ(info.si_code, SEGV_MAPERR);
		EQ(info.si_signo, SIGSEGV);
	}
	EQ(seen, 200);
	EQ(getppid() > 0, 1);
}

TEST(write_readonly, "writing read-only memory: SEGV_ACCERR")
{
	char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	handle(SIGSEGV, jump, 0);
	if (sigsetjmp(out, 1) == 0)
		p[7] = 1;
	TRUE(info.si_addr == p + 7);
	EQ(info.si_code, SEGV_ACCERR);
}

TEST(noncanonical, "a non-canonical address: SIGSEGV from the kernel, no address")
{
	handle(SIGSEGV, jump, 0);
	if (sigsetjmp(out, 1) == 0)
		(void)*(volatile char *)0x8000000000000000UL;
	EQ(seen, 1);
	EQ(info.si_code, SI_KERNEL);
}

TEST(call_null, "calling address 0: rip is 0")
{
	void (*volatile nowhere)(void) = NULL;

	handle(SIGSEGV, jump, 0);
	if (sigsetjmp(out, 1) == 0)
		nowhere();
	EQ(fault_rip, 0);
	EQ((long)info.si_addr, 0);
}

static void map_it(int sig MAYBE, siginfo_t *si, void *uc MAYBE)
{
	unsigned long page = (unsigned long)si->si_addr & ~4095UL;

	seen++;
	if (mprotect((void *)page, 4096, PROT_READ | PROT_WRITE) < 0)
		_exit(60);
}

TEST(repair, "a handler that mends the fault: the instruction is done again")
{
	volatile char *p = mmap(NULL, 64 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	handle(SIGSEGV, map_it, 0);
	for (int i = 0; i < 64; i++) {
		p[i * 4096] = (char)i;
		EQ(p[i * 4096], i);
	}
	EQ(seen, 64);
}

static void skip_it(int sig MAYBE, siginfo_t *si MAYBE, void *uc)
{
	ucontext_t *u = uc;

	seen++;
	u->uc_mcontext.gregs[REG_RIP] += 2;	/* `movb (%rax),%cl` has two bytes, so has ud2 */
	u->uc_mcontext.gregs[REG_RCX] = 77;
}

TEST(edit_context, "a handler that edits the registers")
{
	long cx;

	handle(SIGSEGV, skip_it, 0);
	handle(SIGILL, skip_it, 0);
	__asm__ volatile("xor %%eax,%%eax; movb (%%rax),%%cl" : "=c"(cx) : : "rax", "memory");
	EQ(cx, 77);
	__asm__ volatile("ud2" : "=c"(cx) : : "memory");
	EQ(cx, 77);
	EQ(seen, 2);
}

static void divide(void)
{
	int a = 1, d = 0;

	__asm__ volatile("idivl %2" : "+a"(a), "+d"(d) : "r"(0));
}

TEST(others, "SIGFPE, SIGILL, SIGTRAP with their codes")
{
	handle(SIGFPE, jump, 0);
	if (sigsetjmp(out, 1) == 0)
		divide();
	EQ(info.si_signo, SIGFPE);
	EQ(info.si_code, FPE_INTDIV);
	handle(SIGILL, jump, 0);
	if (sigsetjmp(out, 1) == 0)
		__asm__ volatile("ud2");
	EQ(info.si_signo, SIGILL);
	EQ(info.si_code, ILL_ILLOPN);
	handle(SIGTRAP, jump, 0);
	if (sigsetjmp(out, 1) == 0)
		__asm__ volatile("int3");
	EQ(info.si_signo, SIGTRAP);
	EQ(info.si_code, SI_KERNEL);
	EQ(seen, 3);
}

static void crash(void *how)
{
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	switch ((long)how) {
	case 0:
		*(volatile char *)16 = 1;
		break;
	case 1:
		__asm__ volatile("ud2");
		break;
	case 2:
		divide();
		break;
	case 3:
		abort();
	case 4:
		__asm__ volatile("hlt");
		break;
	case 5:
		__asm__ volatile("int3");
		break;
	case 6:
		signal(SIGSEGV, SIG_IGN);
		*(volatile char *)16 = 1;
		break;
	default: {
		sigset_t all;

		handle(SIGSEGV, jump, 0);
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, NULL);
		*(volatile char *)16 = 1;
	}
	}
}

TEST(deaths, "the default is death of the right signal; ignored or blocked faults kill too")
{
	static const int sig[] = { SIGSEGV, SIGILL, SIGFPE, SIGABRT, SIGSEGV, SIGTRAP, SIGSEGV, SIGSEGV };

	for (long how = 0; how < 8; how++)
		SIGNALED(in_child(crash, (void *)how), sig[how]);
}

static char alt[65536];

static int endless(int n)
{
	volatile char room[8000];

	room[n & 4095] = 1;
	return n < 0 ? 0 : endless(n + 1) + room[5];
}

TEST(overflow_recovery, "stack overflow caught on the alternate stack, 20 times")
{
	stack_t st = { .ss_sp = alt, .ss_size = sizeof(alt) };

	setrlimit(RLIMIT_STACK, &(struct rlimit){ 1 << 20, 1 << 20 });
	OK(sigaltstack(&st, NULL));
	handle(SIGSEGV, jump, SA_ONSTACK);
	for (volatile int i = 0; i < 20; i++)
		if (sigsetjmp(out, 1) == 0)
			endless(0);
	EQ(seen, 20);
}

static void overflow_without(void *unused MAYBE)
{
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	setrlimit(RLIMIT_STACK, &(struct rlimit){ 1 << 20, 1 << 20 });
	handle(SIGSEGV, jump, 0);	/* no place for its frame: the kernel kills */
	endless(0);
}

TEST(overflow_deadly, "stack overflow with a handler but no alternate stack kills with SIGSEGV")
{
	SIGNALED(in_child(overflow_without, NULL), SIGSEGV);
}

static __thread sigjmp_buf thread_out;

static void thread_jump(int sig, siginfo_t *si MAYBE, void *uc MAYBE)
{
	siglongjmp(thread_out, sig);
}

static void *fault_often(void *unused MAYBE)
{
	volatile long n = 0;

	for (volatile int i = 0; i < 200; i++) {
		if (sigsetjmp(thread_out, 1) == 0)
			*(volatile char *)(long)(16 + i) = 1;
		else
			n++;
		getppid();
	}
	return (void *)n;
}

TEST(threads, "eight threads fault and recover, each by itself")
{
	pthread_t t[8];
	void *n;

	handle(SIGSEGV, thread_jump, 0);
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, fault_often, NULL);
	for (int i = 0; i < 8; i++) {
		pthread_join(t[i], &n);
		EQ((long)n, 200);
	}
}

TEST(bad_pointers, "system calls with bad pointers give EFAULT, no signal")
{
	struct stat st;

	handle(SIGSEGV, jump, 0);
	if (sigsetjmp(out, 1) != 0)
		FAIL("a signal came");
	else
		for (int i = 0; i < 100; i++) {
			FAILS(syscall(SYS_stat, (void *)16, &st), EFAULT);
			FAILS(syscall(SYS_stat, "/", (void *)16), EFAULT);
			FAILS(syscall(SYS_nanosleep, (void *)16, NULL), EFAULT);
			FAILS(syscall(SYS_pipe, (void *)16), EFAULT);
			FAILS(syscall(SYS_write, 1, (void *)16, 5), EFAULT);
		}
	EQ(seen, 0);
}

static char *comes_and_goes;
static volatile bool enough;

static void *come_and_go(void *arg)
{
	while (!enough) {
		OK(mprotect(comes_and_goes, 4096, PROT_NONE));
		OK(mprotect(comes_and_goes, 4096, PROT_READ | PROT_WRITE));
	}
	return arg;
}

/* What is asked must not have links, be one, and lead to one: whoever looks at what the kernel has filled in is hit now and then. */
static void look_into_the_void(void)
{
	const long end = now_ms() + 500;
	long fine = 0, faults = 0;
	pthread_t thread;

	enough = false;
	comes_and_goes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(comes_and_goes != MAP_FAILED && !pthread_create(&thread, NULL, come_and_go, NULL));
	for (int i = 0; now_ms() < end || !fine || !faults; i++) {
		static const char *const paths[] = { "/etc/passwd", "/etc/mtab", "/etc/hostname" };
		long r = i & 4 ? statx(AT_FDCWD, paths[i % 3], 0, STATX_BASIC_STATS, (struct statx *)comes_and_goes)
			       : stat(paths[i % 3], (struct stat *)comes_and_goes);

		if (r < 0)
			EQ(errno, EFAULT);
		*(r < 0 ? &faults : &fine) += 1;
	}
	enough = true;
	pthread_join(thread, NULL);
}

TEST(void_of_stat, "stat, statx into memory that another thread takes away and gives back: 0 or EFAULT")
{
	look_into_the_void();
}

TEST(void_of_stat_blocked, "the same with SIGSEGV and SIGBUS blocked")
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigaddset(&set, SIGBUS);
	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	look_into_the_void();
}

TEST(sent_by_kill, "SIGSEGV sent by kill is like any other signal")
{
	handle(SIGSEGV, jump, 0);
	if (sigsetjmp(out, 1) == 0)
		kill(getpid(), SIGSEGV);
	EQ(info.si_code, SI_USER);
	EQ(info.si_pid, getpid());
}

TEST(after_many_calls, "a fault in code whose calls have been made often (patched) shows the program's registers")
{
	unsigned long rip = 0;

	handle(SIGSEGV, jump, 0);
	for (volatile int i = 0; i < 100; i++) {
		umask(022);
		if (sigsetjmp(out, 1) == 0) {
			__asm__ volatile("lea 1f(%%rip),%0\n\tmov %0,%1\n1:\tmovb $1,24" : "=&r"((unsigned long){ 0 }), "=m"(rip) : : "memory");
			FAIL("no fault");
		}
		EQ(fault_rip, rip);
	}
}
