/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The generated seccomp filter (filter.h) in a small interpreter of BPF, for all numbers, many arguments
 * and instruction pointers, against the table's classes as C (classes.h).
 */
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tap.h"
#include "filter.h"
#include "classes.h"
#include "../../src/wire/channel.h"

#define START	0x7e9000001000ull
#define END	0x7e9000023456ull
#define ALLOW	1
#define TRAP	0
#define TRACE	2		/* an agent's word to a debugger: UM_NR_DEBUG */

static struct sock_filter prog[4096];
static int length;
static long steps;

static uint32_t load(const struct seccomp_data *d, uint32_t offset)
{
	uint32_t v;

	if (offset > sizeof(*d) - 4 || offset % 4)
		abort();
	memcpy(&v, (const char *)d + offset, 4);
	return v;
}

static int jumps(const struct sock_filter *f, uint32_t a)
{
	switch (BPF_OP(f->code)) {
	case BPF_JEQ:
		return a == f->k;
	case BPF_JGE:
		return a >= f->k;
	case BPF_JGT:
		return a > f->k;
	}
	abort();
}

/* Returns the action; *looked tells whether more than number and architecture was looked at. */
static int run(const struct seccomp_data *d, int *looked)
{
	uint32_t a = 0;

	*looked = 0;
	for (int i = 0; i < length; i++, steps++) {
		const struct sock_filter *f = &prog[i];

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			a = load(d, f->k);
			*looked |= f->k >= offsetof(struct seccomp_data, instruction_pointer);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			break;
		case BPF_RET | BPF_K:
			return f->k == SECCOMP_RET_ALLOW ? ALLOW : f->k == SECCOMP_RET_TRAP ? TRAP :
			       f->k == (SECCOMP_RET_TRACE | UM_NR_DEBUG) ? TRACE : -1;
		case BPF_JMP | BPF_JA:
			i += (int)f->k;
			break;
		default:
			if (BPF_CLASS(f->code) != BPF_JMP)
				abort();
			i += jumps(f, a) ? f->jt : f->jf;
		}
	}
	abort();
}

static int class_of(uint32_t nr)
{
	return nr <= UM_NR_MAX ? um_classes[nr] : UM_CLASS_NONE;
}

static int expected(const struct seccomp_data *d)
{
	const uint32_t nr = (uint32_t)d->nr;
	const uint64_t args[6] = { d->args[0], d->args[1], d->args[2], d->args[3], d->args[4], d->args[5] };

	if (d->arch != AUDIT_ARCH_X86_64 || nr >= 0x40000000)
		return TRAP;
	if (nr == UM_NR_DEBUG)
		return TRACE;
	if (class_of(nr) == UM_CLASS_FREE || (class_of(nr) == UM_CLASS_TEST && um_test_holds(nr, args)))
		return ALLOW;
	return d->instruction_pointer >= START && d->instruction_pointer < END ? ALLOW : TRAP;
}

static const uint64_t pointers[] = {
	0, START - 1, START, START + 2, END - 1, END, END + 1, 0x401000, 0x7f0000001000, ~0ull,
	START - (1ull << 32), START + (1ull << 32), START & 0xffffffff,
};
#define POINTERS	(sizeof(pointers) / sizeof(*pointers))

static long wrong, looked_too_far;

static void try(const struct seccomp_data *d)
{
	int looked, got = run(d, &looked);

	if (got != expected(d) && !wrong++)
		diag("nr %d ip %llx arch %x args %llx %llx %llx %llx %llx: got %d", d->nr,
		     (unsigned long long)d->instruction_pointer, d->arch, (unsigned long long)d->args[0],
		     (unsigned long long)d->args[1], (unsigned long long)d->args[2],
		     (unsigned long long)d->args[3], (unsigned long long)d->args[4], got);
	if (looked && class_of((uint32_t)d->nr) == UM_CLASS_FREE && d->arch == AUDIT_ARCH_X86_64)
		looked_too_far++;
}

static void test_numbers(void)
{
	struct seccomp_data d = { .arch = AUDIT_ARCH_X86_64 };
	long most = 0;

	for (uint32_t nr = 0; nr < 70000; nr++) {
		for (unsigned i = 0; i < POINTERS; i++) {
			d.nr = (int)nr;
			d.instruction_pointer = pointers[i];
			steps = 0;
			try(&d);
			most = steps > most ? steps : most;
		}
	}
	is_int(wrong, 0, "all numbers, many instruction pointers");
	is_int(looked_too_far, 0, "free calls are decided by number alone");
	ok(most < 32, "at most %ld instructions", most);
}

static void test_strange(void)
{
	static const uint32_t numbers[] = { 0x40000000, 0x40000027, 0x7fffffff, 0x80000000, 0xffffffff, 0x756d };
	struct seccomp_data d = { .arch = AUDIT_ARCH_X86_64 };

	wrong = 0;
	for (unsigned k = 0; k < sizeof(numbers) / sizeof(*numbers); k++) {
		for (unsigned i = 0; i < POINTERS; i++) {
			d.nr = (int)numbers[k];
			d.instruction_pointer = pointers[i];
			try(&d);
		}
	}
	is_int(wrong, 0, "x32, negative and private numbers");
	wrong = 0;
	d.arch = AUDIT_ARCH_I386;
	d.instruction_pointer = START;
	for (d.nr = 0; d.nr <= UM_NR_MAX; d.nr++)
		try(&d);
	is_int(wrong, 0, "32-bit calls all trap");
}

/* Values at which some test of the table changes its mind. */
static const uint64_t values[] = {
	0, 1, 2, 3, 6, 7, 8, 15, 21, 22, 35, 59, 4096, 0x10, 0x20, 0x22, 0x32, 0x100000, 0x100022, 0x1001,
	0x1002, 0x1003, 0x1004, 0xffffffff, 1ull << 32, (1ull << 32) | 0x22, 0x7e8effffffff, 0x7e8f00000000,
	0x7e9000000000, 0x7e9fffffffff, 0x7ea000000000, 0x7fffffffffff, ~0ull,
};
#define VALUES	(sizeof(values) / sizeof(*values))

static void test_arguments(void)
{
	uint64_t seed = 12345;
	long held = 0;

	wrong = 0;
	for (uint32_t nr = 0; nr <= UM_NR_MAX; nr++) {
		if (class_of(nr) != UM_CLASS_TEST)
			continue;
		for (int round = 0; round < 20000; round++) {
			struct seccomp_data d = { .nr = (int)nr, .arch = AUDIT_ARCH_X86_64 };

			for (int i = 0; i < 6; i++) {
				seed = seed * 6364136223846793005ull + 1442695040888963407ull;
				d.args[i] = values[(seed >> 33) % VALUES];
			}
			d.instruction_pointer = round & 1 ? START + 8 : 0x401000;
			held += um_test_holds(nr, (const uint64_t *)d.args);
			try(&d);
		}
	}
	is_int(wrong, 0, "tests of arguments");
	ok(held > 1000, "... of which many hold (%ld)", held);
}

static void test_tests(void)
{
	const uint64_t anonymous[6] = { 0, 4096, 3, 0x22, ~0ull, 0 };
	const uint64_t fixed[6] = { 0, 4096, 3, 0x32, ~0ull, 0 };
	const uint64_t file[6] = { 0, 4096, 3, 2, 3, 0 };
	const uint64_t ours[6] = { 0x7e9000000000, 4096 };
	const uint64_t huge[6] = { 0x400000, 1ull << 47 };
	const uint64_t theirs[6] = { 0x7f0000000000, 4096 };
	const uint64_t set_fs[6] = { 0x1002 }, set_gs[6] = { 0x1001 };

	ok(um_test_holds(UM_NR_mmap, anonymous), "mmap: anonymous");
	ok(!um_test_holds(UM_NR_mmap, fixed), "mmap: fixed is seen");
	ok(!um_test_holds(UM_NR_mmap, file), "mmap: a file is seen");
	ok(um_test_holds(UM_NR_munmap, theirs), "munmap: elsewhere");
	ok(!um_test_holds(UM_NR_munmap, ours), "munmap: of the agent is seen");
	ok(!um_test_holds(UM_NR_munmap, huge), "munmap: across the agent is seen");
	ok(um_test_holds(UM_NR_arch_prctl, set_fs) && !um_test_holds(UM_NR_arch_prctl, set_gs),
	   "arch_prctl: FS passes, GS is seen");
}

static void test_build(void)
{
	struct sock_filter p[UM_FILTER_LEN];

	is_int(um_filter_build(p, UM_FILTER_LEN, START, END), UM_FILTER_LEN, "its length");
	is_int(um_filter_build(p, UM_FILTER_LEN - 1, START, END), -ENOSPC, "too little room");
	is_int(um_filter_build(p, UM_FILTER_LEN, END, START), -EINVAL, "bounds in the wrong order");
	is_int(um_filter_build(p, UM_FILTER_LEN, START, START + (1ull << 32)), -EINVAL, "bounds too far apart");
	ok(UM_FILTER_LEN <= 4096, "short enough for the kernel");
}

/* A filter on top: it sees the calls of which `is` says so, by number alone. */
static void test_on_top(int (*build)(struct sock_filter *, int, uint64_t, uint64_t), bool (*is)(int nr), const char *what)
{
	struct sock_filter plain[4096];
	int n = length, looked, bad = 0, seen = 0;

	memcpy(plain, prog, sizeof(plain));
	length = build(prog, 4096, START, END);
	for (int nr = 0; nr < 1000; nr++) {
		struct seccomp_data d = { .arch = AUDIT_ARCH_X86_64, .nr = nr, .instruction_pointer = 0x401000 };
		int action = run(&d, &looked);

		bad += action != (is(nr) ? TRAP : ALLOW) || (!is(nr) && looked);
		seen += is(nr);
		d.instruction_pointer = START + 8;
		bad += run(&d, &looked) != ALLOW;
	}
	is_int(bad, 0, "%s: %d calls are seen, the others are free by number", what, seen);
	memcpy(prog, plain, sizeof(plain));
	length = n;
}

/* The calls about users and groups, prctl, and what secure mode looks at. */
static bool is_for_identity(int nr)
{
	static const int privileged[] = {
		UM_NR_kill, UM_NR_tkill, UM_NR_tgkill, UM_NR_rt_sigqueueinfo, UM_NR_rt_tgsigqueueinfo, UM_NR_pidfd_send_signal,
		UM_NR_sethostname, UM_NR_setdomainname, UM_NR_settimeofday, UM_NR_clock_settime, UM_NR_reboot, UM_NR_iopl,
		UM_NR_ioperm, UM_NR_init_module, UM_NR_delete_module, UM_NR_vhangup, UM_NR_process_vm_readv, UM_NR_process_vm_writev, UM_NR_prlimit64,
		UM_NR_setpriority, UM_NR_sched_setparam, UM_NR_sched_setscheduler, UM_NR_sched_setaffinity, UM_NR_sched_setattr,
	};

	for (size_t i = 0; i < sizeof(privileged) / sizeof(*privileged); i++)
		if (nr == privileged[i])
			return true;
	return (nr >= UM_NR_setreuid && nr <= UM_NR_getresgid) || nr == UM_NR_getuid || (nr >= UM_NR_getgid && nr <= UM_NR_getegid) ||
	       nr == UM_NR_setfsuid || nr == UM_NR_setfsgid || nr == UM_NR_capget || nr == UM_NR_capset || nr == UM_NR_prctl;
}

static bool is_for_polls(int nr)
{
	return nr == UM_NR_poll || nr == UM_NR_ppoll || nr == UM_NR_select || nr == UM_NR_pselect6;
}

/* The kernel itself must take it; what is free must go on to work. */
static void test_kernel(void)
{
	struct sock_fprog fprog = { .len = (unsigned short)length, .filter = prog };
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
			_exit(2);
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fprog))
			_exit(3);
		if (getppid() <= 0)
			_exit(4);
		syscall(SYS_tkill, syscall(SYS_gettid), SIGKILL);
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
		skip("no seccomp filters here");
	else
		ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the kernel takes it (status %x)", status);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fprog);
		syscall(SYS_openat, -100, "/", 0);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "openat() traps (status %x)", status);
}

int main(void)
{
	plan(0);
	length = um_filter_build(prog, 4096, START, END);
	test_build();
	test_on_top(um_identity_build, is_for_identity, "who has an identity");
	test_on_top(um_polls_build, is_for_polls, "who has open what is not always ready");
	test_tests();
	test_numbers();
	test_strange();
	test_arguments();
	test_kernel();
	return done();
}
