/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wait4 and waitid, which see the stops of traced threads: those that are only the mechanism's are not shown
 * (kernel/tracee.h), and the wait goes on.
 */
#include "handlers.h"
#include "../tracee.h"
#include <linux/wait.h>
#include <asm/signal.h>

#define CLD_EXITED	1	/* siginfo.code of a child's end: up to CLD_DUMPED */
#define CLD_DUMPED	3
#define CLD_TRAPPED	4
#define CLD_STOPPED	5

static bool is_stop(int status)
{
	return (status & 0xff) == 0x7f;
}

/* A stop that is shown a second time: the thread, 0 if there is none. */
static int queued(int pid, int *status)
{
	struct tracee *c = tracee_next_queued(pid);

	if (!c)
		return 0;
	*status = c->queued;
	c->queued = 0;
	return c->tid;
}

long sys_wait4(struct task *t, int pid, gaddr status, int options, gaddr usage)
{
	int s = 0;
	long r = queued(pid, &s);

	if (!r)
		do
			r = kernel_call(t, __NR_wait4, pid, &s, options, usage);
		while (r > 0 && is_stop(s) && !tracee_stopped((int)r, &s));
	if (r > 0 && !is_stop(s) && s != 0xffff)
		tracee_gone((int)r);
	return r > 0 && status && copy_to_guest(t, status, &s, sizeof(s)) ? -EFAULT : r;
}

/* Of SIGCHLD's siginfo: */
struct child_info { int32_t signo, error, code, pad, pid, uid, status; };

/* false: a stop that is hidden */
static bool shown(struct child_info *i)
{
	int s = i->status << 8 | 0x7f;

	if (i->signo && i->code >= CLD_EXITED && i->code <= CLD_DUMPED)
		tracee_gone(i->pid);
	if (!i->signo || (i->code != CLD_TRAPPED && i->code != CLD_STOPPED))
		return true;
	if (!tracee_stopped(i->pid, &s))
		return false;
	i->status = s >> 8;
	return true;
}

long sys_waitid(struct task *t, int which, int pid, gaddr info, int options, gaddr usage)
{
	union { struct kernel_siginfo all; struct child_info child; } i = { .child = { .signo = SIGCHLD, .code = CLD_TRAPPED } };
	long r = 0;
	int s;

	i.child.pid = which == P_ALL || which == P_PID ? queued(which == P_PID ? pid : -1, &s) : 0;
	if (i.child.pid)
		i.child.status = s >> 8;
	else
		do {
			memset(&i, 0, sizeof(i));
			r = kernel_call(t, __NR_waitid, which, pid, &i, options, usage);
		} while (r == 0 && !shown(&i.child));
	if (r < 0 || !info)
		return r;
	/* the kernel writes these fields and leaves the rest */
	return copy_to_guest(t, info, &i, sizeof(i.child)) ? -EFAULT : r;
}
