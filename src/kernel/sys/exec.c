/* SPDX-License-Identifier: GPL-2.0-or-later */
/* execveat(2), to which execve(2) is an adapter.  The work is in agent/exec.c. */
#include "handlers.h"
#include "../../agent/exec.h"

long sys_execveat(struct task *t, int dfd, gaddr path, gaddr argv, gaddr envp, int flags)
{
	return exec_program(t, dfd, path, argv, envp, flags);
}
