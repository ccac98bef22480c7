/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ptrace(2) of processes that run already: attached to while they wait, stopped at any instant, let go.
 *
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include "tracer.h"

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

TEST(attach_open, "the same to one that waits in open, of a name where others have been looked for: the registers are those of the call")
{
	char real[] = "/tmp/guest-attach.XXXXXX", fifo[64];	/* where a view has other mounts */
	int status;

	REQUIRE(mkdtemp(real));
	snprintf(fifo, sizeof(fifo), "%s/fifo", real);
	OK(mkfifo(fifo, 0600));
	pid_t pid = MUST(fork());
	if (!pid) {
		OK(access(fifo, R_OK));
		_exit(open(fifo, O_RDONLY) < 0);
	}
	usleep(50000);
	OK(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD));
	OK(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
	REQUIRE(waitpid(pid, &status, __WALL) == pid);
	EQ(registers(pid).orig_rax, SYS_openat);
	EQ(registers(pid).rax, -512);		/* ERESTARTSYS */
	EQ(next(pid, PTRACE_SYSCALL, 0, &status), SYSGOOD);
	EQ(registers(pid).orig_rax, SYS_openat);
	EQ(registers(pid).rax, -ENOSYS);
	OK(ptrace(PTRACE_DETACH, pid, 0, 0));
	OK(close((int)MUST(open(fifo, O_WRONLY))));
	REQUIRE(waitpid(pid, &status, 0) == pid);
	EXITED(status, 0);
	OK(unlink(fifo));
	OK(rmdir(real));
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
