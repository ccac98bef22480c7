/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seccomp's strict mode: read, write, exit and the return from a handler, and nothing else.
 * GUEST_WORLDS: view mount
 */
#include "filter.h"

static volatile int caught;

static void note(int sig)
{
	(void)sig;
	caught++;
}

enum { BY_PRCTL, BY_SECCOMP };

static void be_strict(long by)
{
	if (by == BY_PRCTL)
		MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	else
		MUST(seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL));
}

static void strict_good(void *by)
{
	int fd[2];
	char c;

	MUST(pipe(fd));
	be_strict((long)by);
	for (int i = 0; i < 50; i++)
		if (write(fd[1], "y", 1) != 1 || read(fd[0], &c, 1) != 1 || c != 'y')
			syscall(SYS_exit, 9);
	syscall(SYS_exit, 5);
}

static void strict_bad(void *nr)
{
	be_strict(BY_SECCOMP);
	syscall((long)nr, 0, 0, 0);
	syscall(SYS_exit, 3);
}

TEST(strict, "strict mode: read, write and exit go on, everything else is SIGKILL")
{
	EXITED(in_child(strict_good, (void *)BY_PRCTL), 5);
	EXITED(in_child(strict_good, (void *)BY_SECCOMP), 5);
	SIGNALED(in_child(strict_bad, (void *)SYS_getpid), SIGKILL);
	SIGNALED(in_child(strict_bad, (void *)SYS_close), SIGKILL);
	SIGNALED(in_child(strict_bad, (void *)SYS_exit_group), SIGKILL);
	SIGNALED(in_child(strict_bad, (void *)SYS_prctl), SIGKILL);
	SIGNALED(in_child(strict_bad, (void *)SYS_seccomp), SIGKILL);
}

TEST(strict_after, "strict mode cannot follow a filter")
{
	forbid(SYS_getppid, ERRNO(1));
	FAILS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), EINVAL);
	FAILS(seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL), EINVAL);
}

static void strict_signal(void *unused)
{
	(void)unused;
	signal(SIGALRM, note);
	ualarm(20000, 0);
	be_strict(BY_PRCTL);
	while (!caught)
		;
	syscall(SYS_exit, 6);
}

TEST(strict_handler, "a handler runs in strict mode and returns")
{
	EXITED(in_child(strict_signal, NULL), 6);
}
