/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ptrace(2) as debuggers use it: what the tracer sees of a child, stop by stop, is what it sees natively.
 *
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include "tracer.h"
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

static volatile int word = 1;

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

static void handled_or_not(void)
{
	signal(SIGUSR1, on_usr);
	for (int i = 0; i < 40; i++)
		syscall(SYS_getppid);
	_exit(handled);
}

TEST(signal_at_call, "a signal given at a call's begin or end comes behind the call, as the kernel's; at a step, at once")
{
	for (int i = 0; i < 120; i++) {		/* the site becomes a patched one meanwhile */
		const int step = i % 3 == 2;
		pid_t pid = traced(handled_or_not, PTRACE_O_TRACESYSGOOD);
		siginfo_t si = { 0 };
		int end = 0;

		for (int j = 0; j < 6 + 2 * (i / 6) + i % 2; j++)	/* rt_sigaction, then getppid */
			EQ(next(pid, PTRACE_SYSCALL, 0, &end), SYSGOOD);
		if (step) {
			EQ(next(pid, PTRACE_SINGLESTEP, 0, &end), SIGTRAP);
			EQ(next(pid, PTRACE_CONT, SIGUSR1, &end), -1);
		} else {
			if (i % 2)
				EQ(next(pid, PTRACE_SYSCALL, SIGUSR1, &end), SYSGOOD);
			EQ(next(pid, PTRACE_SYSCALL, i % 2 ? 0 : SIGUSR1, &end), SIGUSR1);
			OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &si));
			EQ(si.si_code, SI_KERNEL);
			EQ(next(pid, PTRACE_CONT, SIGUSR1, &end), -1);
		}
		EXITED(end, SIGUSR1);
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
	int gate[2];
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
