/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A child is killed at one instruction after the other of its calls. One shares our memory, descriptors and working
 * directory, in a view the agent's memory, too; another works on files, perhaps with a server. Whatever it held or had
 * half done, we go on.
 *
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include <sched.h>
#include <sys/ptrace.h>

#define SHOTS	150
#define STEPS	150000	/* of all of them together: one that calls a server takes many */
#define PATIENCE_MS	2000	/* what a child held is taken over after 200 ms */

static char stack[64 << 10] __attribute__((aligned(16)));
static int dir, made;			/* instructions that the last child executed */
static bool finished;			/* by the child, unless it is killed before */

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

static pid_t start_sharing(void)
{
	return clone(child, stack + sizeof(stack), CLONE_VM | CLONE_FILES | CLONE_FS | SIGCHLD, NULL);
}

/* ---- a child of its own ---------------------------------------------------------------------------- */

static int work_on_files(void)
{
	char buf[8];
	struct stat st;
	int bad = 0, fd = open("f", O_CREAT | O_RDWR, 0644);

	bad |= fd < 0;
	bad |= write(fd, "abcdef", 6) != 6;
	bad |= pread(fd, buf, 8, 0) != 6;
	bad |= fstat(fd, &st) != 0;
	bad |= rename("f", "g") != 0;
	bad |= ftruncate(fd, 3) != 0;
	bad |= unlink("g") != 0;
	bad |= close(fd) != 0;
	bad |= mkdir("n", 0755) != 0;
	bad |= rmdir("n") != 0;
	return bad;
}

static pid_t start_alone(void)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (ptrace(PTRACE_TRACEME, 0, 0, 0))
		_exit(1);
	raise(SIGSTOP);
	_exit(work_on_files());
}

/* ---- killing --------------------------------------------------------------------------------------- */

static pid_t (*start)(void);

static int shots_for(int length)
{
	return (long)length * SHOTS / 2 > STEPS ? STEPS * 2 / length : SHOTS;
}

/* Steps through the child and kills it after so many instructions: true if it was done before. */
static bool killed_after(int steps)
{
	int status, sig = 0, n = 0;
	pid_t pid;

	finished = false;
	pid = MUST(start());
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	while (n < steps && !finished) {
		MUST(ptrace(PTRACE_SINGLESTEP, pid, 0, sig));
		REQUIRE(waitpid(pid, &status, 0) == pid);
		if (!WIFSTOPPED(status)) {
			made = n;
			return true;
		}
		sig = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		n++;
	}
	kill(pid, SIGKILL);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	made = n;
	return finished;
}

TEST(everywhere, "killed at many places: the survivor's calls work, and soon")
{
	int length, held = 0;

	MUST(mkdir("d", 0755));
	dir = MUST(open("d", O_RDONLY | O_DIRECTORY));
	EQ(work(), 0);
	start = start_sharing;
	TRUE(killed_after(INT_MAX));
	length = made;
	const int n = shots_for(length);
	for (int i = 0; i < n && !guest_bad; i++) {
		killed_after((int)((long)length * i / n) + i % 7);
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

TEST(on_files, "killed at as many places of calls on files: they work for others")
{
	int length;

	start = start_alone;
	TRUE(killed_after(INT_MAX));
	length = made;
	const int n = shots_for(length);
	for (int i = 0; i < n && !guest_bad; i++) {
		killed_after((int)((long)length * i / n) + i % 7);
		unlink("f");
		unlink("g");
		rmdir("n");
		long before = now_ms();
		EQ(work_on_files(), 0);
		TRUE(now_ms() - before < PATIENCE_MS);
	}
}
