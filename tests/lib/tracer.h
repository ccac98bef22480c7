/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tracer, for guest programs: a child that is traced, its stops one by one, its registers. */
#ifndef UM_TESTS_TRACER_H
#define UM_TESTS_TRACER_H

#include <sys/ptrace.h>
#include <sys/user.h>
#include <linux/ptrace.h>

#define SYSGOOD	(SIGTRAP | 0x80)
#define EVENT(e) (SIGTRAP | (e) << 8)

/* A child that asks to be traced, stops, and runs f(). */
static MAYBE pid_t traced(void (*f)(void), long options)
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
static MAYBE int next(pid_t pid, int request, int sig, int *end)
{
	int status;

	REQUIRE(ptrace(request, pid, 0, sig) == 0);
	REQUIRE(waitpid(pid, &status, __WALL) == pid);
	if (WIFSTOPPED(status))
		return status >> 8;
	*end = status;
	return -1;
}

static MAYBE struct user_regs_struct registers(pid_t pid)
{
	struct user_regs_struct u;

	REQUIRE(ptrace(PTRACE_GETREGS, pid, 0, &u) == 0);
	return u;
}

static MAYBE void run_out(pid_t pid, int code)
{
	int end = 0;

	EQ(next(pid, PTRACE_CONT, 0, &end), -1);
	EXITED(end, code);
}

#endif
