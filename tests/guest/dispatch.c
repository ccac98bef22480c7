/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Syscall User Dispatch: calls from outside a range become SIGSYS while a byte says so.
 * GUEST_WORLDS: view
 */
#include "filter.h"
#include <ucontext.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF 0
#define PR_SYS_DISPATCH_ON 1
#define SYSCALL_DISPATCH_FILTER_ALLOW 0
#define SYSCALL_DISPATCH_FILTER_BLOCK 1
#endif

static volatile char selector;
static volatile int caught;
static siginfo_t info;
static long rip, rax;

static void emulate(int sig, siginfo_t *si, void *uc)
{
	ucontext_t *u = uc;

	(void)sig;
	selector = SYSCALL_DISPATCH_FILTER_ALLOW;
	info = *si;
	rip = u->uc_mcontext.gregs[REG_RIP];
	rax = u->uc_mcontext.gregs[REG_RAX];
	u->uc_mcontext.gregs[REG_RAX] = 4711;
	caught++;
}

static void handle(void)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO };

	sa.sa_sigaction = emulate;
	MUST(sigaction(SIGSYS, &sa, NULL));
}

static long dispatch(long mode, unsigned long offset, unsigned long len, volatile char *byte)
{
	return prctl(PR_SET_SYSCALL_USER_DISPATCH, mode, offset, len, byte);
}

static bool there_is(void)
{
	return dispatch(PR_SYS_DISPATCH_OFF, 0, 0, NULL) == 0;
}

TEST(bad_arguments, "bad modes, ranges and selectors")
{
	if (!there_is())
		SKIP("this kernel has no Syscall User Dispatch");
	FAILS(dispatch(7, 0, 0, NULL), EINVAL);
	FAILS(dispatch(PR_SYS_DISPATCH_OFF, 1, 0, NULL), EINVAL);
	FAILS(dispatch(PR_SYS_DISPATCH_OFF, 0, 1, NULL), EINVAL);
	FAILS(dispatch(PR_SYS_DISPATCH_OFF, 0, 0, &selector), EINVAL);
	FAILS(dispatch(PR_SYS_DISPATCH_ON, 1, 0, &selector), EINVAL);
	FAILS(dispatch(PR_SYS_DISPATCH_ON, 16, -8ul, &selector), EINVAL);
	FAILS(dispatch(PR_SYS_DISPATCH_ON, 0, 0, (char *)-1l), EFAULT);
	TRUE(getppid_raw() > 0);
}

TEST(by_selector, "the byte decides; the handler sees the call and makes its result")
{
	if (!there_is())
		SKIP("this kernel has no Syscall User Dispatch");
	handle();
	OK(dispatch(PR_SYS_DISPATCH_ON, 0, 0, &selector));
	TRUE(getppid_raw() > 0);
	for (int i = 1; i <= 100; i++) {
		selector = SYSCALL_DISPATCH_FILTER_BLOCK;
		long r = syscall(1000 + i, 1, 2, 3);
		EQ(r, 4711);
		EQ(caught, i);
		EQ(rax, 1000 + i);
	}
	EQ(info.si_signo, SIGSYS);
	EQ(info.si_code, 2 /* SYS_USER_DISPATCH */);
	EQ(info.si_errno, 0);
	EQ(info.si_syscall, 1100);
	EQ(info.si_arch, AUDIT_ARCH_X86_64);
	EQ((long)info.si_call_addr, rip);
	selector = SYSCALL_DISPATCH_FILTER_BLOCK;
	EQ(getppid_raw(), 4711);
	OK(dispatch(PR_SYS_DISPATCH_OFF, 0, 0, NULL));
	selector = SYSCALL_DISPATCH_FILTER_BLOCK;
	TRUE(getppid_raw() > 0);
}

static long outside(void)
{
	long r;

	asm volatile("syscall" : "=a"(r) : "a"(SYS_getppid) : "rcx", "r11", "memory");
	return r;
}

TEST(by_range, "calls from the range are let through")
{
	extern char inside[], inside_end[];
	long r;

	if (!there_is())
		SKIP("this kernel has no Syscall User Dispatch");
	handle();
	OK(dispatch(PR_SYS_DISPATCH_ON, (unsigned long)inside, inside_end - inside, &selector));
	for (int i = 1; i <= 100; i++) {
		selector = SYSCALL_DISPATCH_FILTER_BLOCK;
		asm volatile("inside: mov %1, %%eax\nsyscall\nnop\ninside_end:" : "=a"(r) : "i"(SYS_getppid) :
			     "rcx", "r11", "memory");
		TRUE(r > 1 && r != 4711);
		EQ(outside(), 4711);
		EQ(caught, i);
	}
}

TEST(only_range, "the other way round: only calls from the range are dispatched")
{
	extern char other[], other_end[];
	long r;

	if (!there_is())
		SKIP("this kernel has no Syscall User Dispatch");
	handle();
	if (dispatch(2, (unsigned long)other, other_end - other, &selector) < 0 && errno == EINVAL)
		SKIP("not before Linux 6.16");
	for (int i = 1; i <= 100; i++) {
		selector = SYSCALL_DISPATCH_FILTER_BLOCK;
		TRUE(outside() > 1 && caught == i - 1);
		asm volatile("other: mov %1, %%eax\nsyscall\nnop\nother_end:" : "=a"(r) : "i"(SYS_getppid) :
			     "rcx", "r11", "memory");
		EQ(r, 4711);
	}
	FAILS(dispatch(2, 16, 0, &selector), EINVAL);
	FAILS(dispatch(2, 0, 0, &selector), EINVAL);
	FAILS(dispatch(2, 16, -8ul, &selector), EINVAL);
}

static void child(void *unused)
{
	(void)unused;
	selector = SYSCALL_DISPATCH_FILTER_BLOCK;
	TRUE(getppid_raw() > 0);
}

TEST(not_inherited, "a child is free of it")
{
	if (!there_is())
		SKIP("this kernel has no Syscall User Dispatch");
	handle();
	OK(dispatch(PR_SYS_DISPATCH_ON, 0, 0, &selector));
	EXITED(in_child(child, NULL), 0);
	selector = SYSCALL_DISPATCH_FILTER_BLOCK;
	EQ(getppid_raw(), 4711);
}

static void dies(void *how)
{
	char *bad = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!strcmp(how, "value"))
		*bad = 7;
	if (strcmp(how, "default"))
		handle();
	else
		*bad = SYSCALL_DISPATCH_FILTER_BLOCK;
	if (!strcmp(how, "address"))
		munmap(bad, 4096);
	OK(dispatch(PR_SYS_DISPATCH_ON, 0, 0, bad));
	getppid_raw();
	FAIL("still alive");
}

TEST(deaths, "a bad byte, a bad address, no handler")
{
	if (!there_is())
		SKIP("this kernel has no Syscall User Dispatch");
	SIGNALED(in_child(dies, "value"), SIGSYS);
	SIGNALED(in_child(dies, "address"), SIGSEGV);
	SIGNALED(in_child(dies, "default"), SIGSYS);
}

TEST(before_filters, "it comes before a seccomp filter")
{
	if (!there_is())
		SKIP("this kernel has no Syscall User Dispatch");
	handle();
	forbid(SYS_getppid, ERRNO(EXFULL));
	OK(dispatch(PR_SYS_DISPATCH_ON, 0, 0, &selector));
	FAILS(getppid_raw(), EXFULL);
	selector = SYSCALL_DISPATCH_FILTER_BLOCK;
	EQ(getppid_raw(), 4711);
	EQ(info.si_code, 2 /* SYS_USER_DISPATCH */);
	FAILS(getppid_raw(), EXFULL);
}
