/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program without any library: its own _start, static, two pages of code.  It reads its stack as the
 * kernel lays it out and makes its calls by hand.  Output: TAP.
 * GUEST_WORLDS: view
 */
#include <asm/unistd.h>
#include <linux/auxvec.h>

static long call(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return r;
}

static unsigned length(const char *s)
{
	unsigned n = 0;

	while (s[n])
		n++;
	return n;
}

static int failures, tests;

static void say(const char *s)
{
	call(__NR_write, 1, (long)s, length(s), 0);
}

static void check(int good, const char *text)
{
	char number[3] = { (char)('0' + ++tests / 10), (char)('0' + tests % 10), 0 };

	say(good ? "ok " : "not ok ");
	say(number);
	say(" - ");
	say(text);
	say("\n");
	failures += !good;
}

static char zeros[20000];	/* more than the file holds: .bss */
static int initialised = 1234;

static int all_zero(const char *p, unsigned n)
{
	while (n--)
		if (*p++)
			return 0;
	return 1;
}

static long auxiliary(long *p, long type)
{
	for (; p[0] != AT_NULL; p += 2)
		if (p[0] == type)
			return p[1];
	return 0;
}

extern char _start[], __ehdr_start[], _end[];

__attribute__((used, noreturn)) void begin(long *sp)
{
	long argc = sp[0], *p = sp + 1 + argc + 1, brk;
	char **argv = (char **)(sp + 1);
	int status = 0;
	long pid;

	while (*p++)
		;
	check(((long)sp & 15) == 0, "the stack is aligned");
	check(argc >= 1 && argv[argc] == 0 && argv[0] && argv[0][0], "argc and argv");
	check(all_zero(zeros, sizeof(zeros)) && initialised == 1234, ".bss is zero, .data is not");
	check(auxiliary(p, AT_ENTRY) == (long)_start, "AT_ENTRY");
	check(auxiliary(p, AT_PHDR) == (long)__ehdr_start + *(long *)(__ehdr_start + 32), "AT_PHDR");
	check(auxiliary(p, AT_BASE) == 0, "AT_BASE of a static program is 0");
	check(auxiliary(p, AT_PAGESZ) == 4096 && auxiliary(p, AT_RANDOM) != 0, "AT_PAGESZ, AT_RANDOM");
	check(auxiliary(p, AT_EXECFN) != 0, "AT_EXECFN");
	check(call(__NR_getpid, 0, 0, 0, 0) > 0, "a call");
	check(call(__NR_access, (long)"/none/such", 0, 0, 0) == -2, "a call that fails");
	check(call(__NR_access, 16, 0, 0, 0) == -14, "a call with a bad pointer");
	brk = call(__NR_brk, 0, 0, 0, 0);
	check(brk >= (long)_end && call(__NR_brk, brk + 8192, 0, 0, 0) == brk + 8192 && *(char *)brk == 0, "brk");
	pid = call(__NR_fork, 0, 0, 0, 0);
	if (pid == 0)
		call(__NR_exit, 7, 0, 0, 0);
	check(pid > 0 && call(__NR_wait4, pid, (long)&status, 0, 0) == pid && status == 7 << 8, "fork, exit, wait4");
	for (int i = 0; i < 5000; i++)
		failures += call(__NR_getppid, 0, 0, 0, 0) <= 0;
	check(failures == 0, "a hot call");
	say("1..14\n");
	call(__NR_exit_group, failures != 0, 0, 0, 0);
	for (;;)
		;
}

__asm__(".globl _start\n_start:\n\txor %ebp,%ebp\n\tmov %rsp,%rdi\n\tand $-16,%rsp\n\tcall begin\n");
