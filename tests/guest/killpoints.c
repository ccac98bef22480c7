/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A child that shares our memory, descriptors and working directory is killed at one instruction after the other
 * of calls that change what we share.  In a view that is the agent's memory, too: whatever the child held or
 * had half done there, we go on.
 *
 * GUEST_WORLDS: native view
 */
#include "guest.h"
#include <sched.h>
#include <sys/ptrace.h>

#define SHOTS	150
#define PATIENCE_MS	2000	/* what a child held is taken over after 200 ms */

static char stack[64 << 10] __attribute__((aligned(16)));
static int dir, shots;
static bool finished;		/* by the child, unless it is killed before */

/* Calls that look at and change what the kernel, or the agent, keeps for descriptors and directories. */
static int work(void)
{
	int bad = 0, fd = openat(dir, ".", O_RDONLY | O_DIRECTORY);

	bad |= fd < 0;
	bad |= dup2(fd, 50) != 50;
	bad |= fchdir(fd) != 0;
	bad |= openat(50, "nothing", O_RDONLY) != -1 || errno != ENOENT;
	bad |= chdir("..") != 0;
	bad |= close(50) != 0;
	bad |= close(fd) != 0;
	return bad;
}

static int child(void *arg)
{
	(void)arg;
	if (ptrace(PTRACE_TRACEME, 0, 0, 0))
		return 1;
	raise(SIGSTOP);
	work();
	finished = true;
	return 0;
}

/* Steps through the child and kills it after so many instructions: true if it was done before. */
static bool killed_after(int steps)
{
	int status, sig = 0, n = 0;
	pid_t pid;

	finished = false;
	pid = MUST(clone(child, stack + sizeof(stack), CLONE_VM | CLONE_FILES | CLONE_FS | SIGCHLD, NULL));
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	while (n < steps && !finished) {
		MUST(ptrace(PTRACE_SINGLESTEP, pid, 0, sig));
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
		sig = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		n++;
	}
	kill(pid, SIGKILL);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	shots = n;
	return finished;
}

TEST(everywhere, "killed at 150 places: the survivor's calls work, and soon")
{
	int length, held = 0;

	MUST(mkdir("d", 0755));
	dir = MUST(open("d", O_RDONLY | O_DIRECTORY));
	EQ(work(), 0);
	TRUE(killed_after(INT_MAX));
	length = shots;
	for (int i = 0; i < SHOTS && !guest_bad; i++) {
		killed_after((int)((long)length * i / SHOTS) + i % 7);
		OK(close_range((unsigned)dir + 1, 100, 0));	/* what it had opened */
		long before = now_ms();
		alarm(PATIENCE_MS * 3 / 1000);
		EQ(work(), 0);
		alarm(0);
		TRUE(now_ms() - before < PATIENCE_MS);
		held += now_ms() - before > 150;
	}
	if (getenv("VERBOSE"))
		fprintf(stderr, "# %d instructions, something was held %d times\n", length, held);
}
