/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program's own seccomp filters: what is accepted, each action, filters on filters, arguments.
 * GUEST_WORLDS: view
 */
#include "filter.h"
#include <poll.h>
#include <ucontext.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/time.h>

#define NOWHERE	1000		/* no system call */

static volatile int caught, trapped_calls;
static siginfo_t info;
static ucontext_t context;

static void note(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	info = *si;
	memcpy(&context, uc, offsetof(ucontext_t, __fpregs_mem));
	caught++;
	trapped_calls++;
	((ucontext_t *)uc)->uc_mcontext.gregs[REG_RAX] = 4711;
}

static void handle(int sig, int flags)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | flags };

	sa.sa_sigaction = note;
	OK(sigaction(sig, &sa, NULL));
}

/* ---- the calls ---------------------------------------------------------------------------------------- */

TEST(bad_calls, "seccomp: unknown operations and flags, bad pointers")
{
	struct sock_filter allow = RET(SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = 1, .filter = &allow };

	no_new_privs();
	FAILS(seccomp(77, 0, NULL), EINVAL);
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 1 << 20, &prog), EINVAL);
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 1 << 20, NULL), EINVAL);
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 0, NULL), EFAULT);
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 0, (void *)8), EFAULT);
	FAILS(seccomp(SECCOMP_SET_MODE_STRICT, 1, NULL), EINVAL);
	FAILS(seccomp(SECCOMP_SET_MODE_STRICT, 0, &prog), EINVAL);
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &prog), EINVAL);
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog),
	      EINVAL);
	prog.filter = NULL;
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 0, &prog), EINVAL);
	prog.filter = (void *)8;
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 0, &prog), EFAULT);
	prog.len = 0;
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 0, &prog), EINVAL);
	prog.len = BPF_MAXINSNS + 1;
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 0, &prog), EINVAL);
	FAILS(prctl(PR_SET_SECCOMP, 3, &prog), EINVAL);
	FAILS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL), EFAULT);
	EQ(prctl(PR_GET_SECCOMP), 0);
}

TEST(what_there_is, "SECCOMP_GET_ACTION_AVAIL, SECCOMP_GET_NOTIF_SIZES")
{
	static const uint32_t known[] = {
		SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO,
		SECCOMP_RET_USER_NOTIF, SECCOMP_RET_TRACE, SECCOMP_RET_LOG, SECCOMP_RET_ALLOW };
	struct seccomp_notif_sizes sizes = { 0 };
	uint32_t a;

	for (size_t i = 0; i < LENGTH(known); i++) {
		a = known[i];
		OK(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &a));
	}
	a = SECCOMP_RET_ERRNO | 1;
	FAILS(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &a), EOPNOTSUPP);
	a = 0x12340000;
	FAILS(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &a), EOPNOTSUPP);
	FAILS(seccomp(SECCOMP_GET_ACTION_AVAIL, 1, &a), EINVAL);
	FAILS(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, NULL), EFAULT);
	OK(seccomp(SECCOMP_GET_NOTIF_SIZES, 0, &sizes));
	EQ(sizes.seccomp_notif, sizeof(struct seccomp_notif));
	EQ(sizes.seccomp_notif_resp, sizeof(struct seccomp_notif_resp));
	FAILS(seccomp(SECCOMP_GET_NOTIF_SIZES, 1, &sizes), EINVAL);
	FAILS(seccomp(SECCOMP_GET_NOTIF_SIZES, 0, NULL), EFAULT);
}

TEST(privileges, "a filter needs no_new_privs, or CAP_SYS_ADMIN")
{
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		SKIP("no_new_privs is set already");
	if (geteuid() == 0) {
		OK(answer(0, SYS_getppid, ERRNO(1)));
		EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	} else {
		FAILS(answer(0, SYS_getppid, ERRNO(1)), EACCES);
		OK(getppid_raw());
	}
}

static void no_new_privs_is(void *want)
{
	EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), (long)want);
}

TEST(no_new_privs_calls, "PR_SET_NO_NEW_PRIVS: arguments, children")
{
	FAILS(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
	FAILS(prctl(PR_SET_NO_NEW_PRIVS, 2, 0, 0, 0), EINVAL);
	FAILS(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
	FAILS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 1), EINVAL);
	FAILS(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0), EINVAL);
	FAILS(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 1, 0), EINVAL);
	if (!getenv("GUEST_NNP") && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0)
		EXITED(in_child(no_new_privs_is, (void *)0l), 0);
	no_new_privs();
	no_new_privs_is((void *)1l);
	EXITED(in_child(no_new_privs_is, (void *)1l), 0);
}

/* ---- what the check of a program refuses ------------------------------------------------------------- */

#define BAD(...) do { \
	struct sock_filter code_[] = { __VA_ARGS__ }; \
	FAILS(add_filter(0, code_, LENGTH(code_)), EINVAL); } while (0)
#define GOOD(...) do { \
	struct sock_filter code_[] = { __VA_ARGS__ }; \
	OK(add_filter(0, code_, LENGTH(code_))); } while (0)
#define ALLOW	RET(SECCOMP_RET_ALLOW)

TEST(bad_programs, "programs that are no filters: jumps, loads, memory, the end, instructions")
{
	no_new_privs();
	BAD(LOAD(NR));
	BAD(ALLOW, LOAD(NR));
	BAD(LOAD(NR), IF(1, 0, 1), ALLOW);
	BAD(IF(1, 1, 0), ALLOW);
	BAD(BPF_STMT(BPF_JMP | BPF_JA, 1), ALLOW);
	BAD(BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), ALLOW);
	BAD(LOAD(64), ALLOW);
	BAD(LOAD(2), ALLOW);
	BAD(LOAD((uint32_t)-4), ALLOW);
	BAD(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), ALLOW);
	BAD(BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), ALLOW);
	BAD(BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), ALLOW);
	BAD(BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), ALLOW);
	BAD(BPF_STMT(BPF_ST, BPF_MEMWORDS), ALLOW);
	BAD(BPF_STMT(BPF_STX, BPF_MEMWORDS), ALLOW);
	BAD(BPF_STMT(BPF_LD | BPF_MEM, 0), ALLOW);
	BAD(BPF_STMT(BPF_LDX | BPF_MEM, 3), ALLOW);
	BAD(BPF_STMT(BPF_ST, 1), BPF_STMT(BPF_LD | BPF_MEM, 2), ALLOW);
	BAD(IF(0, 1, 0), BPF_STMT(BPF_ST, 1), BPF_STMT(BPF_LD | BPF_MEM, 1), ALLOW);
	BAD(BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), ALLOW);
	BAD(BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3), ALLOW);
	BAD(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), ALLOW);
	BAD(BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 32), ALLOW);
	BAD(BPF_STMT(BPF_RET | BPF_X, 0));
	BAD(BPF_STMT(0xffff, 0), ALLOW);
	GOOD(IF(0, 1, 0), BPF_STMT(BPF_ST, 1), ALLOW);
	GOOD(BPF_STMT(BPF_ST, 15), IF(0, 0, 1), BPF_STMT(BPF_JMP | BPF_JA, 0), BPF_STMT(BPF_LDX | BPF_MEM, 15), ALLOW);
	GOOD(BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0), BPF_STMT(BPF_ALU | BPF_NEG, 0), BPF_STMT(BPF_MISC | BPF_TAX, 0),
	     ALLOW);
	GOOD(BPF_STMT(BPF_JMP | BPF_JA, 1), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), ALLOW);
}

/* 3 * (3 + 2 * 4096 + 4) of 32768, and one of n returns.  Then one that counts 11. */
static void nearly_full(void *n)
{
	static struct sock_filter code[BPF_MAXINSNS];
	struct sock_filter one = ALLOW, jump[] = { LOAD(NR), IF(0x80000000, 1, 1), ALLOW, ALLOW };

	for (size_t i = 0; i < LENGTH(code); i++)
		code[i] = one;
	no_new_privs();
	for (int i = 0; i < 3; i++)
		MUST(add_filter(0, code, LENGTH(code)));
	FAILS(add_filter(0, code, LENGTH(code)), ENOMEM);
	FAILS(add_filter(0, code, 4085), ENOMEM);
	MUST(add_filter(0, code, (size_t)n));
	if (add_filter(0, jump, LENGTH(jump)) == 0)
		_exit(2);
	EQ(errno, ENOMEM);
	OK(add_filter(0, &one, 1));
	FAILS(add_filter(0, &one, 1), ENOMEM);
}

TEST(too_many, "the length of all filters together is limited, as the kernel counts it")
{
	EXITED(in_child(nearly_full, (void *)4076l), 2);
	EXITED(in_child(nearly_full, (void *)4077l), 0);
}

/* ---- actions ------------------------------------------------------------------------------------------ */

TEST(errno_free, "a call that never concerns a view is forbidden, also when it is made often")
{
	forbid(SYS_getppid, ERRNO(EADDRINUSE));
	EQ(prctl(PR_GET_SECCOMP), SECCOMP_MODE_FILTER);
	for (int i = 0; i < 500; i++)
		FAILS(getppid_raw(), EADDRINUSE);
	for (int i = 0; i < 200; i++)
		EQ(getppid(), -EADDRINUSE);	/* glibc looks for no error here */
	EQ(getpid(), syscall(SYS_gettid));
}

TEST(errno_handled, "calls that the agent answers are forbidden")
{
	put("f", "12345");
	forbid(SYS_openat, ERRNO(EXFULL));
	MUST(answer(0, SYS_read, ERRNO(EL2HLT)));
	FAILS(open("f", O_RDONLY), EXFULL);
	FAILS(open("not there", O_RDONLY), EXFULL);
	for (int i = 0; i < 100; i++)
		FAILS(read(0, NULL, 0), EL2HLT);
}

TEST(errno_capped, "SECCOMP_RET_ERRNO: 0 is success, more than 4095 is 4095")
{
	forbid(SYS_getppid, ERRNO(0));
	EQ(getppid_raw(), 0);
	MUST(answer(0, SYS_getppid, ERRNO(5000)));
	FAILS(getppid_raw(), 4095);
}

TEST(allowed, "SECCOMP_RET_LOG allows, SECCOMP_RET_TRACE without a tracer is ENOSYS")
{
	pid_t parent = getppid();

	forbid(SYS_getppid, SECCOMP_RET_LOG);
	EQ(getppid_raw(), parent);
	MUST(answer(SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW, SYS_getppid, SECCOMP_RET_TRACE | 5));
	FAILS(getppid_raw(), ENOSYS);
}

TEST(trap, "SECCOMP_RET_TRAP: what the handler is told, and what it makes of it")
{
	long r, at;

	handle(SIGSYS, 0);
	forbid(SYS_getppid, SECCOMP_RET_TRAP | 1234);
	for (int i = 1; i <= 100; i++) {
		asm volatile("leaq 1f(%%rip), %%r8; syscall; 1:" : "=a"(r) : "a"(SYS_getppid) :
			     "r8", "rcx", "r11", "memory");
		asm volatile("mov %%r8, %0" : "=r"(at));
		EQ(r, 4711);
		EQ(caught, i);
	}
	EQ(info.si_signo, SIGSYS);
	EQ(info.si_code, 1 /* SYS_SECCOMP */);
	EQ(info.si_errno, 1234);
	EQ(info.si_syscall, SYS_getppid);
	EQ(info.si_arch, AUDIT_ARCH_X86_64);
	EQ((long)info.si_call_addr, context.uc_mcontext.gregs[REG_RIP]);
	EQ(context.uc_mcontext.gregs[REG_RIP], context.uc_mcontext.gregs[REG_R8]);
	EQ(context.uc_mcontext.gregs[REG_RAX], SYS_getppid);
	EQ(getppid(), 4711);
	EQ(getppid_raw(), 4711);
}

static void trapped(void *how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	if (!strcmp(how, "ignored"))
		signal(SIGSYS, SIG_IGN);
	if (!strcmp(how, "blocked")) {
		handle(SIGSYS, 0);
		OK(sigprocmask(SIG_BLOCK, &set, NULL));
	}
	forbid(SYS_getppid, SECCOMP_RET_TRAP);
	getppid_raw();
	FAIL("still alive");
}

static void nested(int sig)
{
	(void)sig;
	getppid_raw();
}

static void trapped_twice(void *flags)
{
	struct sigaction sa = { .sa_handler = nested, .sa_flags = (int)(long)flags };

	OK(sigaction(SIGSYS, &sa, NULL));
	forbid(SYS_getppid, SECCOMP_RET_TRAP);
	getppid_raw();
	FAIL("still alive");
}

TEST(trap_kills, "SECCOMP_RET_TRAP without a handler, ignored, blocked, within the handler")
{
	SIGNALED(in_child(trapped, "default"), SIGSYS);
	SIGNALED(in_child(trapped, "ignored"), SIGSYS);
	SIGNALED(in_child(trapped, "blocked"), SIGSYS);
	SIGNALED(in_child(trapped_twice, (void *)0l), SIGSYS);
	SIGNALED(in_child(trapped_twice, (void *)(long)SA_RESETHAND), SIGSYS);
}

static void killed(void *action)
{
	forbid(SYS_getppid, (uint32_t)(unsigned long)action);
	getppid_raw();
	FAIL("still alive");
}

static void divides(void *unused)
{
	struct sock_filter code[] = {
		LOAD(NR), IF(SYS_getppid, 0, 1), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), ALLOW };

	(void)unused;
	no_new_privs();
	MUST(add_filter(0, code, LENGTH(code)));
	getppid_raw();
	FAIL("still alive");
}

TEST(kill_all, "SECCOMP_RET_KILL_PROCESS, KILL_THREAD, an action that nobody knows")
{
	SIGNALED(in_child(killed, (void *)(unsigned long)SECCOMP_RET_KILL_PROCESS), SIGSYS);
	SIGNALED(in_child(killed, (void *)(unsigned long)SECCOMP_RET_KILL_THREAD), SIGSYS);
	SIGNALED(in_child(killed, (void *)0x12340000ul), SIGSYS);
	SIGNALED(in_child(divides, NULL), SIGSYS);
}

static void no_exit(void *unused)
{
	(void)unused;
	forbid(SYS_exit_group, ERRNO(EBUSY));
	FAILS(syscall(SYS_exit_group, 7), EBUSY);
	syscall(SYS_exit, guest_bad ? 1 : 8);
}

TEST(no_exit_group, "exit_group can be forbidden")
{
	EXITED(in_child(no_exit, NULL), 8);
}

/* ---- several filters, and what they look at ------------------------------------------------------------ */

TEST(stacked, "of several filters the most restrictive counts, among equals the newest")
{
	no_new_privs();
	MUST(answer(0, SYS_getppid, ERRNO(1)));
	FAILS(getppid_raw(), 1);
	MUST(answer(0, SYS_getppid, ERRNO(2)));
	FAILS(getppid_raw(), 2);
	MUST(answer(0, SYS_getppid, SECCOMP_RET_TRACE));
	MUST(answer(0, SYS_getppid, SECCOMP_RET_ALLOW));
	FAILS(getppid_raw(), 2);
	handle(SIGSYS, 0);
	MUST(answer(0, SYS_getppid, SECCOMP_RET_TRAP | 3));
	MUST(answer(0, SYS_getppid, ERRNO(9)));
	EQ(getppid_raw(), 4711);
	EQ(info.si_errno, 3);
	MUST(answer(0, SYS_seccomp, ERRNO(EISDIR)));
	FAILS(answer(0, SYS_getppid, SECCOMP_RET_ALLOW), EISDIR);
}

/* Allows all but `nr`, whose errno becomes the low bits of the word at `offset`, shifted. */
static void tell(long nr, uint32_t offset, uint32_t shift)
{
	struct sock_filter code[] = {
		LOAD(NR), IF(nr, 1, 0), ALLOW,
		LOAD(offset), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, shift), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff),
		BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_A, 0),
	};
	MUST(add_filter(0, code, LENGTH(code)));
}

TEST(arguments, "filters see all six arguments, both halves, and numbers that are no calls")
{
	no_new_privs();
	for (int i = 0; i < 6; i++) {
		tell(NOWHERE + 2 * i, ARG(i), 4);
		tell(NOWHERE + 2 * i + 1, ARG(i) + 4, 20);
	}
	for (int i = 0; i < 6; i++) {
		unsigned long a[6] = { 0 };

		a[i] = 0xabc0000012345670;
		FAILS(syscall(NOWHERE + 2 * i, a[0], a[1], a[2], a[3], a[4], a[5]), 0x567);
		FAILS(syscall(NOWHERE + 2 * i + 1, a[0], a[1], a[2], a[3], a[4], a[5]), 0xabc);
	}
	FAILS(syscall(NOWHERE + 50), ENOSYS);
	tell(0x40000001, NR, 20);
	FAILS(syscall(0x40000001), 0x400);
	tell(-5, NR, 20);
	FAILS(syscall(-5), 0xfff);
}

TEST(one_argument, "a filter on one argument of a call leaves it alone otherwise")
{
	struct sock_filter code[] = {
		LOAD(NR), IF(SYS_lseek, 0, 4), LOAD(ARG(1) + 4), IF(1, 0, 2), LOAD(ARG(1)), IF(5, 1, 0), ALLOW,
		RET(ERRNO(ENOANO)) };
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));

	no_new_privs();
	MUST(add_filter(0, code, LENGTH(code)));
	EQ(lseek(fd, 5, SEEK_SET), 5);
	FAILS(lseek(fd, 0x100000005, SEEK_SET), ENOANO);
	EQ(lseek(fd, 0x100000006, SEEK_SET), 0x100000006);
	EQ(lseek(fd, 0x200000005, SEEK_SET), 0x200000005);
}

TEST(place, "instruction_pointer is the address behind the call, always; the architecture is x86-64")
{
	extern char behind_getppid[];
	uint64_t ip = (uint64_t)behind_getppid;
	struct sock_filter code[] = {
		LOAD(ARCH), IF(AUDIT_ARCH_X86_64, 1, 0), RET(ERRNO(EL3RST)),
		LOAD(NR), IF(SYS_getppid, 0, 4),
		LOAD(IP), IF((uint32_t)ip, 0, 3), LOAD(IP + 4), IF((uint32_t)(ip >> 32), 0, 1),
		ALLOW, RET(ERRNO(EDOTDOT)) };
	long r;

	no_new_privs();
	MUST(add_filter(0, code, LENGTH(code)));
	for (int i = 0; i < 100; i++) {
		asm volatile("mov %1, %%eax\nsyscall\nbehind_getppid:" : "=a"(r) : "i"(SYS_getppid) :
			     "rcx", "r11", "memory");
		TRUE(r > 0);
		FAILS(getppid_raw(), EDOTDOT);
	}
}

TEST(other_entry, "a call by the i386 entry is seen with its architecture and its own registers")
{
	struct sock_filter code[] = {
		LOAD(ARCH), IF(AUDIT_ARCH_I386, 1, 0), ALLOW, LOAD(NR), IF(20, 0, 2),
		LOAD(ARG(1)), BPF_STMT(BPF_JMP | BPF_JA, 1), RET(SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_A, 0) };
	int status, fd[2];
	pid_t pid;

	MUST(pipe(fd));
	pid = MUST(fork());
	if (pid == 0) {
		long r = 20;

		no_new_privs();
		MUST(add_filter(0, code, LENGTH(code)));
		asm volatile("int $0x80" : "+a"(r) : "b"(1), "c"(0x123), "d"(3) : "memory", "r8", "r9", "r10", "r11");
		EQ((int)r, -0x123);
		_exit(guest_bad != 0);
	}
	MUST(waitpid(pid, &status, 0));
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
		SKIP("this kernel has no i386 entry");
	EXITED(status, 0);
}

/* ---- life goes on under a filter ----------------------------------------------------------------------- */

static void interrupt(int sig)
{
	(void)sig;
	caught++;
}

TEST(signals, "signals, sleeping and restarted calls under a filter")
{
	struct sigaction sa = { .sa_handler = interrupt };
	struct timespec ts = { 0, 1000000 };
	int fd[2], status;
	char c = 0;

	forbid(SYS_getppid, ERRNO(1));
	OK(sigaction(SIGALRM, &sa, NULL));
	ualarm(20000, 0);
	FAILS(poll(NULL, 0, 10000), EINTR);
	EQ(caught, 1);
	OK(nanosleep(&ts, NULL));
	sa.sa_flags = SA_RESTART;
	OK(sigaction(SIGALRM, &sa, NULL));
	MUST(pipe(fd));
	pid_t pid = MUST(fork());
	if (pid == 0) {
		sleep_ms(60);
		_exit(write(fd[1], "x", 1) != 1);
	}
	ualarm(20000, 0);
	EQ(read(fd[0], &c, 1), 1);
	EQ(c, 'x');
	EQ(caught, 2);
	EQ(waitpid(pid, &status, 0), pid);
	EXITED(status, 0);
}

TEST(storm, "trapped calls while signals rain down: each is answered once")
{
	struct sigaction sa = { .sa_handler = interrupt };
	int n;

	OK(sigaction(SIGALRM, &sa, NULL));
	OK(sigaction(SIGVTALRM, &sa, NULL));
	handle(SIGSYS, 0);
	forbid(SYS_getppid, SECCOMP_RET_TRAP | 7);
	MUST(answer(0, SYS_getpgrp, ERRNO(EXDEV)));
	ualarm(300, 300);
	OK(setitimer(ITIMER_VIRTUAL, &(struct itimerval){ { 0, 1000 }, { 0, 1000 } }, NULL));
	for (n = 0; n < 3000; n++) {
		int before = trapped_calls;

		EQ(getppid(), 4711);
		EQ(trapped_calls, before + 1);
		EQ(info.si_errno, 7);
		FAILS(syscall(SYS_getpgrp), EXDEV);
	}
	ualarm(0, 0);
	TRUE(caught > 20);
}

TEST(memory, "memory calls that a view looks at work under a filter as well")
{
	char *p;
	int id;

	forbid(SYS_getppid, ERRNO(1));
	p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(p != MAP_FAILED);
	p[4096] = 1;
	OK(mprotect(p, 4096, PROT_READ));
	OK(madvise(p, 1 << 20, MADV_DONTNEED));
	p = mremap(p + 8192, 65536, 131072, MREMAP_MAYMOVE);
	REQUIRE(p != MAP_FAILED);
	OK(munmap(p, 131072));
	id = OK(shmget(IPC_PRIVATE, 4096, 0600));
	p = shmat(id, NULL, 0);
	OK(shmctl(id, IPC_RMID, NULL));
	REQUIRE(p != (void *)-1);
	p[1] = 1;
	OK(shmdt(p));
}
