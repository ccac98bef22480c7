/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The i386 entry to the kernel. */
#ifndef INT80_H
#define INT80_H
#include "guest.h"
#include <sys/wait.h>

/* getpid(2) by it: the process's, -ENOSYS in a view. */
static int getpid_by_int80(void)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
	return (int)r;
}

/* A kernel without IA32 emulation (or booted with ia32_emulation=off) answers with SIGSEGV. */
static bool has_int80(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		getpid_by_int80();
		_exit(0);
	}
	REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
	return !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

#endif
