/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ptrace(2) as debuggers use it: what the tracer sees of a child, stop by stop, is what it sees natively.
 *
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <linux/filter.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>

#define SYSGOOD	(SIGTRAP | 0x80)
#define EVENT(e) (SIGTRAP | (e) << 8)

static volatile int word = 1;

/* A child that asks to be traced, stops, and runs f(). */
static pid_t traced(void (*f)(void), long options)
{
	int status;
	pid_t pid = MUST(fork());

	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			_exit(99);
		raise(SIGSTOP);
		f();
		_exit(7);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	REQUIRE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, options | PTRACE_O_EXITKILL));
	return pid;
}

/* Runs on; the next stop's status >> 8, or -1 when it has ended (status then in *end). */
static int next(pid_t pid, int request, int sig, int *end)
{
	int status;

	REQUIRE(ptrace(request, pid, 0, sig) == 0);
	REQUIRE(waitpid(pid, &status, __WALL) == pid);
	if (WIFSTOPPED(status))
		return status >> 8;
	*end = status;
	return -1;
}

static struct user_regs_struct registers(pid_t pid)
{
	struct user_regs_struct u;

	REQUIRE(ptrace(PTRACE_GETREGS, pid, 0, &u) == 0);
	return u;
}

static void run_out(pid_t pid, int code)
{
	int end = 0;

	EQ(next(pid, PTRACE_CONT, 0, &end), -1);
	EXITED(end, code);
}

/* ---- system calls ------------------------------------------------------------------------------------- */

static void some_calls(void)
{
	for (int i = 0; i < 40; i++) {		/* often enough to be patched */
		syscall(SYS_getppid);
		syscall(SYS_lseek, 1000, 0, 0);
		syscall(SYS_umask, 022);
	}
	syscall(SYS_close, 1001);
}

TEST(sequence, "PTRACE_SYSCALL stops at the begin and the end of each call, numbers and results right")
{
	static const long want[] = { SYS_getppid, SYS_lseek, SYS_umask };
	pid_t pid = traced(some_calls, PTRACE_O_TRACESYSGOOD);
	int end = 0, wrong = 0;

	for (int i = 0; i < 120; i++) {
		wrong += next(pid, PTRACE_SYSCALL, 0, &end) != SYSGOOD;
		struct user_regs_struct in = registers(pid);
		wrong += next(pid, PTRACE_SYSCALL, 0, &end) != SYSGOOD;
		struct user_regs_struct out = registers(pid);
		wrong += (long)in.orig_rax != want[i % 3] || (long)in.rax != -ENOSYS;
		wrong += out.orig_rax != in.orig_rax || out.rip != in.rip || out.rsp != in.rsp || out.rbx != in.rbx;
		wrong += (i % 3 == 0 && (pid_t)out.rax != getpid()) || (i % 3 == 1 && (long)out.rax != -EBADF);
	}
	EQ(wrong, 0);
	run_out(pid, 7);
}

TEST(info, "PTRACE_GET_SYSCALL_INFO, event messages and signal information of such stops")
{
	pid_t pid = traced(some_calls, PTRACE_O_TRACESYSGOOD);
	int end = 0, wrong = 0;

	for (int i = 0; i < 240; i++) {
		struct { uint8_t op, pad[3]; uint32_t arch; uint64_t ip, sp, nr; uint64_t args[6]; } info;
		unsigned long message = 0;
		siginfo_t si;

		wrong += next(pid, PTRACE_SYSCALL, 0, &end) != SYSGOOD;
		memset(&info, 0xff, sizeof(info));
		wrong += ptrace(0x420e /* GET_SYSCALL_INFO */, pid, sizeof(info), &info) != (i % 2 ? 33 : 80);
		wrong += info.op != (i % 2 ? 2 : 1);
		wrong += info.ip != registers(pid).rip || info.sp != registers(pid).rsp;
		OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
		wrong += message != (i % 2 ? 2 : 1);
		OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &si));
		wrong += si.si_code != SYSGOOD;
	}
	EQ(wrong, 0);
	run_out(pid, 7);
}

static void ask_twice(void)
{
	for (int i = 0; i < 40; i++)
		syscall(SYS_umask, 022);
	_exit(syscall(SYS_umask, 022) == 55 ? 1 : 2);
}

TEST(change_call, "the tracer makes another call of it, no call at all, and another result")
{
	pid_t pid = traced(ask_twice, PTRACE_O_TRACESYSGOOD);
	int end = 0;

	for (int i = 0; i < 41; i++) {
		EQ(next(pid, PTRACE_SYSCALL, 0, &end), SYSGOOD);
		struct user_regs_struct u = registers(pid);
		u.orig_rax = i % 2 ? (unsigned long)SYS_getpid : -1ul;
		OK(ptrace(PTRACE_SETREGS, pid, 0, &u));
		EQ(next(pid, PTRACE_SYSCALL, 0, &end), SYSGOOD);
		u = registers(pid);
		EQ(u.rax, i % 2 ? pid : -ENOSYS);
		if (i == 40) {
			u.rax = 55;
			OK(ptrace(PTRACE_SETREGS, pid, 0, &u));
		}
	}
	run_out(pid, 1);
}

static void regset_call(void)
{
	for (int i = 0; i < 40; i++)
		syscall(SYS_lseek, 1000, 0, 0);
}

TEST(register_sets, "GETREGSET, PEEKUSER and POKEUSER at a call")
{
	pid_t pid = traced(regset_call, PTRACE_O_TRACESYSGOOD);
	struct user_regs_struct u;
	int end = 0;

	for (int i = 0; i < 40; i++) {
		struct iovec iov = { &u, sizeof(u) };
		EQ(next(pid, PTRACE_SYSCALL, 0, &end), SYSGOOD);
		OK(ptrace(PTRACE_GETREGSET, pid, 1, &iov));
		EQ(iov.iov_len, sizeof(u));
		EQ(u.orig_rax, SYS_lseek);
		EQ(u.rdi, 1000);
		EQ(ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), 0), u.rip);
		OK(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rdi), 1L));
		EQ(registers(pid).rdi, 1);
		OK(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rdi), 1002L));
		EQ(next(pid, PTRACE_SYSCALL, 0, &end), SYSGOOD);
		EQ(registers(pid).rax, -EBADF);
	}
	FAILS(ptrace(PTRACE_PEEKUSER, pid, 3, 0), EIO);
	run_out(pid, 7);
}

/* ---- breakpoints and steps ----------------------------------------------------------------------------- */

__attribute__((noinline)) static void here(void)
{
	word = 2;
	__asm__ volatile("" ::: "memory");
}

static void with_call(void)
{
	for (int i = 0; i < 50; i++)
		syscall(SYS_lseek, 1000, 0, 0);
	here();
	syscall(SYS_lseek, 1000, 0, 0);
	word = 3;
}

TEST(breakpoint, "a breakpoint stops there, steps go over calls, patched ones too")
{
	pid_t pid = traced(with_call, 0);
	int end = 0, steps = 0, value = 0;
	long code;

	errno = 0;
	code = ptrace(PTRACE_PEEKTEXT, pid, here, 0);
	EQ(errno, 0);
	OK(ptrace(PTRACE_POKETEXT, pid, here, (code & ~0xffl) | 0xcc));
	EQ(next(pid, PTRACE_CONT, 0, &end), SIGTRAP);
	struct user_regs_struct u = registers(pid);
	EQ(u.rip, (unsigned long)here + 1);
	OK(ptrace(PTRACE_POKETEXT, pid, here, code));
	u.rip--;
	OK(ptrace(PTRACE_SETREGS, pid, 0, &u));
	while (value != 3 && steps < 500) {
		REQUIRE(next(pid, PTRACE_SINGLESTEP, 0, &end) == SIGTRAP);
		steps++;
		value = (int)ptrace(PTRACE_PEEKDATA, pid, &word, 0);
		u = registers(pid);
		TRUE(u.rip < 0x7e9000000000 || u.rip >= 0x7ea000000000);
	}
	TRUE(steps > 5 && steps < 200);
	run_out(pid, 7);
}

/* ---- programs and children ----------------------------------------------------------------------------- */

HELPER(nothing) { (void)argc; (void)argv; return 3; }

static void exec_nothing(void)
{
	execl(guest_self, guest_self, "--helper", "nothing", NULL);
}

/* The entry point that the kernel tells the program of; the dynamic linker's is another. */
static void at_entry(pid_t pid, long rax)
{
	struct user_regs_struct u = registers(pid);
	long argc = ptrace(PTRACE_PEEKDATA, pid, u.rsp, 0);

	EQ(argc, 3);
	EQ(u.rbx, 0);
	EQ(u.rbp, 0);
	EQ(u.rax, rax);
	TRUE(u.rip < 0x7e9000000000 || u.rip >= 0x7ea000000000);
}

TEST(exec_trap, "without options, a program that starts stops with SIGTRAP at its first instruction")
{
	pid_t pid = traced(exec_nothing, 0);
	int end = 0;

	EQ(next(pid, PTRACE_CONT, 0, &end), SIGTRAP);
	at_entry(pid, 0);
	run_out(pid, 3);
}

TEST(vfork_child, "a child by vfork asks to be traced, and makes calls before its exec")
{
	int status, end = 0;
	long r;
	pid_t pid = MUST(vfork());

	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			_exit(99);
		for (int i = 0; i < 3; i++)	/* a site that is never patched */
			__asm__ volatile("nop; syscall" : "=a"(r) : "0"(SYS_getppid) : "rcx", "r11", "memory");
		execl("/bin/true", "true", NULL);
		_exit(98);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	EQ(status >> 8, SIGTRAP);
	EQ(next(pid, PTRACE_CONT, 0, &end), -1);
	EXITED(end, 0);
}

TEST(exec_event, "PTRACE_O_TRACEEXEC: begin of the call, event, end of the call")
{
	pid_t pid = traced(exec_nothing, PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD);
	unsigned long message;
	int end = 0;

	EQ(next(pid, PTRACE_SYSCALL, 0, &end), SYSGOOD);
	EQ(registers(pid).orig_rax, SYS_execve);
	EQ(next(pid, PTRACE_SYSCALL, 0, &end), EVENT(PTRACE_EVENT_EXEC));
	OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
	EQ(message, pid);
	at_entry(pid, -ENOSYS);
	EQ(next(pid, PTRACE_SYSCALL, 0, &end), SYSGOOD);
	EQ(registers(pid).orig_rax, SYS_execve);
	EQ(registers(pid).rax, 0);
	EQ(next(pid, PTRACE_SYSCALL, 0, &end), SYSGOOD);
	EQ(registers(pid).rax, -ENOSYS);
	run_out(pid, 3);
}

static void fork_once(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(5);
	waitpid(pid, &status, 0);
	_exit(WIFEXITED(status) && WEXITSTATUS(status) == 5 ? 4 : 6);
}

TEST(fork_event, "PTRACE_O_TRACEFORK: the event names the child, whose first stop is SIGSTOP behind the call")
{
	pid_t pid = traced(fork_once, PTRACE_O_TRACEFORK), child;
	unsigned long message = 0;
	int end = 0, status;

	EQ(next(pid, PTRACE_CONT, 0, &end), EVENT(PTRACE_EVENT_FORK));
	OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
	child = (pid_t)message;
	REQUIRE(waitpid(child, &status, __WALL) == child);
	EQ(status >> 8, SIGSTOP);
	struct user_regs_struct u = registers(pid), v = registers(child);
	EQ(v.rax, 0);
	EQ(v.rip, u.rip);
	EQ(v.rsp, u.rsp);
	TRUE(v.rip < 0x7e9000000000 || v.rip >= 0x7ea000000000);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	run_out(child, 5);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	if (WIFSTOPPED(status)) {
		EQ(status >> 8, SIGCHLD);
		run_out(pid, 4);
	} else {
		EXITED(status, 4);
	}
}

/* ---- the guest's own filters --------------------------------------------------------------------------- */

#define ASK(nr, data) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | (data))

static void filtered(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0 /* nr */),
		ASK(SYS_getppid, 42),
		ASK(SYS_umask, 7),
		ASK(SYS_getsid, 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(*code), .filter = code };
	long r[4];

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(90);
	r[0] = syscall(SYS_getppid);
	r[1] = syscall(SYS_umask, 022);
	r[2] = syscall(SYS_getppid);
	r[3] = syscall(SYS_getsid, 0) == -1 ? errno : 0;
	if (r[0] == -1 && r[1] == -1 && r[2] == -1)
		_exit(errno == ENOSYS ? 8 : 91);
	_exit(r[0] == getppid() && r[1] == 99 && r[2] == getpid() && r[3] == EXDEV ? 9 : 92);
}

TEST(filter_event, "SECCOMP_RET_TRACE: the tracer sees the call, skips it, or makes another one of it")
{
	pid_t pid = traced(filtered, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP);
	struct { uint8_t op, pad[3]; uint32_t arch; uint64_t ip, sp, nr; uint64_t args[6]; uint32_t data; } info;
	unsigned long message = 0;
	siginfo_t si;
	int end = 0;

	EQ(next(pid, PTRACE_CONT, 0, &end), EVENT(PTRACE_EVENT_SECCOMP));
	OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
	EQ(message, 42);
	OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &si));
	EQ(si.si_code, EVENT(PTRACE_EVENT_SECCOMP));
	EQ(ptrace(0x420e /* GET_SYSCALL_INFO */, pid, sizeof(info), &info), 84);
	EQ(info.op, 3);
	EQ(info.data, 42);
	struct user_regs_struct u = registers(pid);
	EQ(u.orig_rax, SYS_getppid);
	EQ(u.rax, -ENOSYS);
	EQ(next(pid, PTRACE_SYSCALL, 0, &end), SYSGOOD);
	EQ(registers(pid).rax, getpid());

	EQ(next(pid, PTRACE_SYSCALL, 0, &end), SYSGOOD);	/* first the begin, then the filter */
	EQ(next(pid, PTRACE_SYSCALL, 0, &end), EVENT(PTRACE_EVENT_SECCOMP));
	u = registers(pid);
	EQ(u.orig_rax, SYS_umask);
	EQ(u.rdi, 022);
	u.orig_rax = -1ul;
	u.rax = 99;
	OK(ptrace(PTRACE_SETREGS, pid, 0, &u));

	EQ(next(pid, PTRACE_CONT, 0, &end), EVENT(PTRACE_EVENT_SECCOMP));
	u = registers(pid);
	u.orig_rax = SYS_getpid;
	OK(ptrace(PTRACE_SETREGS, pid, 0, &u));
	EQ(next(pid, PTRACE_CONT, 0, &end), EVENT(PTRACE_EVENT_SECCOMP));
	u = registers(pid);
	u.orig_rax = SYS_getpgid;				/* which the filter forbids */
	OK(ptrace(PTRACE_SETREGS, pid, 0, &u));
	EQ(next(pid, PTRACE_CONT, 0, &end), EVENT(PTRACE_EVENT_SECCOMP));	/* getppid() at the end */
	run_out(pid, 9);
}

TEST(filter_no_event, "a tracer that has not asked for it: ENOSYS")
{
	run_out(traced(filtered, 0), 8);
}

/* ---- attaching ----------------------------------------------------------------------------------------- */

static int gate[2], answer[2];

static pid_t waiting_child(void)
{
	char c;

	OK(pipe(gate));
	OK(pipe(answer));
	pid_t pid = MUST(fork());
	if (!pid) {
		for (int n = 0; n < 2; n++) {
			if (read(gate[0], &c, 1) != 1 || write(answer[1], &c, 1) != 1)
				_exit(1);
		}
		_exit(c);
	}
	usleep(50000);
	return pid;
}

static void one_round(char c)
{
	char back = 0;

	EQ(write(gate[1], &c, 1), 1);
	EQ(read(answer[0], &back, 1), 1);
	EQ(back, c);
}

TEST(attach, "PTRACE_ATTACH to a process that waits in read; detach; it goes on; SEIZE, INTERRUPT, LISTEN")
{
	pid_t pid = waiting_child();
	int status;

	OK(ptrace(PTRACE_ATTACH, pid, 0, 0));
	REQUIRE(waitpid(pid, &status, __WALL) == pid);
	EQ(status >> 8, SIGSTOP);
	struct user_regs_struct u = registers(pid);
	EQ(u.orig_rax, SYS_read);
	EQ(u.rdi, gate[0]);
	TRUE(u.rip < 0x7e9000000000 || u.rip >= 0x7ea000000000);
	OK(ptrace(PTRACE_DETACH, pid, 0, 0));
	one_round(1);
	usleep(50000);
	OK(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD));
	FAILS(ptrace(PTRACE_GETREGS, pid, 0, &u), ESRCH);
	OK(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
	REQUIRE(waitpid(pid, &status, __WALL) == pid);
	EQ(status >> 16, PTRACE_EVENT_STOP);
	EQ(registers(pid).orig_rax, SYS_read);
	OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));	/* the call is made again */
	REQUIRE(waitpid(pid, &status, __WALL) == pid);
	EQ(status >> 8, SYSGOOD);
	EQ(registers(pid).orig_rax, SYS_read);
	EQ(registers(pid).rax, -ENOSYS);
	char c = 2;
	EQ(write(gate[1], &c, 1), 1);
	OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
	REQUIRE(waitpid(pid, &status, __WALL) == pid);
	EQ(status >> 8, SYSGOOD);
	EQ(registers(pid).rax, 1);
	OK(ptrace(PTRACE_DETACH, pid, 0, 0));
	REQUIRE(waitpid(pid, &status, 0) == pid);
	EXITED(status, 2);
}

TEST(nobody_waits, "a process runs while its tracer does not wait")
{
	const char *tier = getenv("UMVIEW_TIER");
	int status;

	if (tier && !strcmp(tier, "trap"))
		SKIP("a call that traps waits for the tracer: docs/limits.md");
	pid_t pid = waiting_child();
	OK(ptrace(PTRACE_SEIZE, pid, 0, 0));
	one_round(1);
	one_round(2);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	EXITED(status, 2);
}

/* A call at a site of no known shape, and one that is soon patched, for ever; ends if a register is not kept. */
extern char busy_begin[], busy_stop[];

static __attribute__((noinline, noclone)) void busy(void)
{
	__asm__ volatile("mov %%r15, %%r14\n"
			 "busy_begin:\n"
			 "	mov $110, %%eax\n"		/* getppid */
			 "	nop\n"
			 "	syscall\n"
			 "	mov $110, %%eax\n"
			 "	syscall\n"
			 "	cmp %%r15, %%r14\n"
			 "	je busy_begin\n"
			 "busy_stop:\n" ::: "rax", "rcx", "r11", "r14", "r15", "memory", "cc");
	_exit(1);
}

/* Once it has been there it must be there each time. */
static int wrong_place(pid_t pid, int *seen)
{
	struct user_regs_struct u = registers(pid);
	const int there = u.rip >= (unsigned long)busy_begin && u.rip <= (unsigned long)busy_stop;

	*seen |= there;
	return *seen && !there;
}

TEST(stop_anywhere, "stopped at any instant, a process is at an instruction of its own")
{
	pid_t pid = traced(busy, 0);
	int end = 0, wrong = 0, seen = 0, status;

	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	usleep(10000);
	for (int i = 0; i < 200; i++) {
		usleep((useconds_t)(i % 7) * 10);
		OK(kill(pid, SIGSTOP));
		REQUIRE(waitpid(pid, &status, __WALL) == pid);
		EQ(status >> 8, SIGSTOP);
		wrong += wrong_place(pid, &seen);
		OK(ptrace(PTRACE_CONT, pid, 0, 0));
	}
	EQ(wrong, 0);
	TRUE(seen);
	OK(ptrace(PTRACE_KILL, pid, 0, 0));
	REQUIRE(waitpid(pid, &end, __WALL) == pid);
}

TEST(interrupt_anywhere, "so with PTRACE_INTERRUPT")
{
	pid_t pid = MUST(fork());
	int wrong = 0, seen = 0, status;

	if (!pid)
		busy();
	OK(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL));
	usleep(10000);
	for (int i = 0; i < 200; i++) {
		siginfo_t si;

		usleep((useconds_t)(i % 7) * 10);
		OK(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
		REQUIRE(waitpid(pid, &status, __WALL) == pid);
		EQ(status >> 8, EVENT(PTRACE_EVENT_STOP));
		OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &si));
		EQ(si.si_code, EVENT(PTRACE_EVENT_STOP));
		wrong += wrong_place(pid, &seen);
		OK(ptrace(PTRACE_CONT, pid, 0, 0));
	}
	EQ(wrong, 0);
	TRUE(seen);
	OK(kill(pid, SIGKILL));
	REQUIRE(waitpid(pid, &status, __WALL) == pid);
}

static volatile int tellings;

static void on_told(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)context;
	tellings += si->si_code == SI_QUEUE && si->si_value.sival_int == tellings;
}

static void busy_told(void)
{
	struct sigaction act = { .sa_sigaction = on_told, .sa_flags = SA_SIGINFO };

	sigaction(SIGUSR1, &act, NULL);
	raise(SIGSTOP);
	busy();
}

TEST(signal_anywhere, "a signal that is passed on loses nothing, wherever it came")
{
	pid_t pid = traced(busy_told, 0);
	int end = 0, wrong = 0, seen = 0, status;
	long count = 0;

	EQ(next(pid, PTRACE_CONT, 0, &end), SIGSTOP);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	for (int i = 0; i < 200; i++) {
		siginfo_t si;

		usleep(seen ? (useconds_t)(i % 7) * 10 : 3000);	/* else it may never get there */
		OK(sigqueue(pid, SIGUSR1, (union sigval){ .sival_int = i }));
		REQUIRE(waitpid(pid, &status, __WALL) == pid);
		EQ(status >> 8, SIGUSR1);
		OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &si));
		EQ(si.si_value.sival_int, i);
		wrong += wrong_place(pid, &seen);
		OK(ptrace(PTRACE_CONT, pid, 0, SIGUSR1));
	}
	EQ(wrong, 0);
	TRUE(seen);
	for (int i = 0; i < 1000 && count != 200; i++) {
		usleep(1000);
		OK(kill(pid, SIGSTOP));
		REQUIRE(waitpid(pid, &status, __WALL) == pid);
		count = ptrace(PTRACE_PEEKDATA, pid, &tellings, 0) & 0xffffffff;
		OK(ptrace(PTRACE_CONT, pid, 0, 0));
	}
	EQ(count, 200);
	OK(kill(pid, SIGKILL));
	REQUIRE(waitpid(pid, &status, __WALL) == pid);
}

/* ---- signals ------------------------------------------------------------------------------------------- */

static volatile int handled;
static void on_usr(int sig) { handled = sig; }

static void signal_self(void)
{
	signal(SIGUSR1, on_usr);
	signal(SIGUSR2, on_usr);
	raise(SIGUSR1);
	_exit(handled);
}

TEST(signals_changed, "a signal is passed on, swallowed, or becomes another one")
{
	static const int instead[] = { SIGUSR1, 0, SIGUSR2 };

	for (int i = 0; i < 3; i++) {
		pid_t pid = traced(signal_self, 0);
		siginfo_t si;
		int end = 0;

		EQ(next(pid, PTRACE_CONT, 0, &end), SIGUSR1);
		OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &si));
		EQ(si.si_pid, pid);
		EQ(next(pid, PTRACE_CONT, instead[i], &end), -1);
		EXITED(end, instead[i]);
	}
}

static void on_fault(int sig) { _exit(sig); }

static void faulting(void)
{
	signal(SIGSEGV, on_fault);
	*(volatile int *)16 = 1;
}

TEST(step_into_handler, "a step with a signal ends at the first instruction of its handler")
{
	for (int i = 0; i < 2; i++) {
		pid_t pid = traced(i ? faulting : signal_self, 0);
		const int sig = i ? SIGSEGV : SIGUSR1;
		int end = 0;

		EQ(next(pid, PTRACE_CONT, 0, &end), sig);
		EQ(next(pid, PTRACE_SINGLESTEP, sig, &end), SIGTRAP);
		struct user_regs_struct u = registers(pid);
		EQ(u.rip, (unsigned long)(i ? on_fault : on_usr));
		EQ(u.rdi, sig);
		EQ(next(pid, PTRACE_SINGLESTEP, 0, &end), SIGTRAP);
		TRUE(registers(pid).rip - u.rip <= 15);
		run_out(pid, sig);
	}
}

static void blocked_read(void)
{
	struct sigaction act = { .sa_handler = on_usr };

	sigaction(SIGUSR1, &act, NULL);
	char c;

	OK(pipe(gate));
	_exit(read(gate[0], &c, 1) == -1 && errno == EINTR && handled == SIGUSR1 ? 9 : 8);
}

TEST(signal_in_call, "a signal ends a call: first the call's end is seen, then the signal, then the handler runs")
{
	pid_t pid = traced(blocked_read, PTRACE_O_TRACESYSGOOD);
	int end = 0, stop, i = 0;

	do {
		stop = next(pid, PTRACE_SYSCALL, 0, &end);
	} while (i++ < 100 && (stop != SYSGOOD || registers(pid).orig_rax != SYS_read));
	OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
	usleep(100000);
	OK(kill(pid, SIGUSR1));
	REQUIRE(waitpid(pid, &stop, __WALL) == pid);
	EQ(stop >> 8, SYSGOOD);
	EQ(registers(pid).rax, -512 /* ERESTARTSYS */);
	EQ(next(pid, PTRACE_SYSCALL, 0, &end), SIGUSR1);
	EQ(next(pid, PTRACE_CONT, SIGUSR1, &end), -1);
	EXITED(end, 9);
}

TEST(waits, "WNOHANG and waitid see the stops, and no others")
{
	pid_t pid = traced(some_calls, PTRACE_O_TRACESYSGOOD);
	siginfo_t si = { 0 };
	int status = 0;

	EQ(waitpid(pid, &status, WNOHANG | __WALL), 0);
	OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
	OK(waitid(P_PID, (id_t)pid, &si, WSTOPPED | WEXITED | WNOWAIT));
	EQ(si.si_code, CLD_TRAPPED);
	EQ(si.si_status, SYSGOOD);
	OK(waitid(P_PID, (id_t)pid, &si, WSTOPPED | WEXITED));
	EQ(si.si_pid, pid);
	EQ(si.si_status, SYSGOOD);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	OK(waitid(P_PID, (id_t)pid, &si, WEXITED));
	EQ(si.si_code, CLD_EXITED);
	EQ(si.si_status, 7);
}
