/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a command and kills it with SIGKILL as it begins its Nth system call: what it leaves then is what the test looks at.
 *
 * usage: killat N COMMAND [ARG...]
 *
 * The exit status is 0 if it was killed, 100 + its own if it ended before (3 for usage and trouble).  N = 0 never kills: the number
 * of its calls is printed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long at = argc > 2 ? atol(argv[1]) : -1, calls = 0;
	int status, entering = 1;

	if (at < 0)
		return 3;
	pid_t pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		execvp(argv[2], argv + 2);
		_exit(3);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return 3;
	ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	for (int sig = 0;;) {
		ptrace(PTRACE_SYSCALL, pid, 0, sig);	/* fails if it has just been killed */
		if (waitpid(pid, &status, 0) != pid)
			return 3;
		if (!WIFSTOPPED(status))
			break;
		sig = WSTOPSIG(status);
		if (sig == SIGTRAP)
			sig = 0;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		sig = 0;
		calls += entering;
		if (entering && calls == at)
			kill(pid, SIGKILL);
		entering = !entering;
	}
	if (!at)
		printf("%ld\n", calls);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGKILL ? 0 : 3;
	return 100 + WEXITSTATUS(status);
}
