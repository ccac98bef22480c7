/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clone, clone3, fork, vfork, exit, exit_group; prctl and arch_prctl where they concern us.
 * The work is in agent/life.c.
 */
#include "calls.h"
#include "../../agent/life.h"
#include "../../agent/signal.h"
#include "../cred.h"
#include "../fd.h"
#include "../path.h"
#include "seccomp.h"
#include "../guard.h"
#include <linux/sched.h>
#include <linux/prctl.h>
#include <asm/prctl.h>

#define SHSTK_ENABLE	0x5001	/* ARCH_SHSTK_ENABLE, since Linux 6.6 */

long sys_clone(struct task *t, unsigned long flags, gaddr stack, gaddr ptid, gaddr ctid, unsigned long tls)
{
	struct um_clone_args a = {
		.flags = flags & ~(unsigned long)CSIGNAL, .exit_signal = flags & CSIGNAL,
		.stack = stack, .parent_tid = ptid, .child_tid = ctid, .tls = tls,
	};
	return life_clone(t, &a, 0);
}

long sys_fork(struct task *t)
{
	struct um_clone_args a = { .exit_signal = 17 /* SIGCHLD */ };
	return life_clone(t, &a, 0);
}

long sys_vfork(struct task *t)
{
	struct um_clone_args a = { .flags = CLONE_VM | CLONE_VFORK, .exit_signal = 17 /* SIGCHLD */ };
	return life_clone(t, &a, 0);
}

long sys_clone3(struct task *t, gaddr args, size_t size)
{
	struct um_clone_args a;
	int r;

	if (size < UM_CLONE_ARGS_MIN)
		return -EINVAL;
	r = copy_struct_from_guest(t, &a, sizeof a, args, size);
	if (r)
		return r;
	if (!a.stack != !a.stack_size)
		return -EINVAL;
	return life_clone(t, &a, size);
}

long sys_exit(struct task *t, int code)
{
	life_end(t, code, false);
}

long sys_exit_group(struct task *t, int code)
{
	life_end(t, code, true);
}

/* What we keep for the kernel's tables is copied before they are, and the copy is dropped if they are not. */
long sys_unshare(struct task *t, unsigned long flags)
{
	struct files *files = flags & CLONE_FILES ? files_copy(t->files) : t->files;
	struct fsinfo *fs = flags & CLONE_FS ? fsinfo_copy(t->fs, !(flags & CLONE_FILES)) : t->fs;
	long r = flags & CLONE_NEWNS ? -EPERM : files && fs ? pass_through(t) : -ENOMEM;
	struct files *other_files = r < 0 ? files : t->files;
	struct fsinfo *other_fs = r < 0 ? fs : t->fs;

	if (r >= 0) {
		t->files = files;
		t->fs = fs;
	}
	if (flags & CLONE_FS)
		fsinfo_leave(other_fs, t->fs);
	if (flags & CLONE_FILES)
		files_put(other_files);
	return r;
}

long sys_prctl(struct task *t, int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	long r;

	switch (option) {
	case PR_GET_SECCOMP:			/* ours does not count */
		return guard_mode(t);
	case PR_SET_SECCOMP:
		return prctl_set_seccomp(t, a, b);
	case PR_SET_NO_NEW_PRIVS:
	case PR_GET_NO_NEW_PRIVS:
		return prctl_no_new_privs(t, option == PR_SET_NO_NEW_PRIVS, a, b || c || d);
	case PR_SET_SYSCALL_USER_DISPATCH:
		return prctl_dispatch(t, a, b, c, d);
	default:
		r = t->cred ? cred_prctl(t->cred, option, a, b, c, d) : -ENOSYS;
		return r == -ENOSYS ? pass_through(t) : r;
	}
}

/*
 * gs has our task (entry.S) and reads as 0, as it would without us.  A guest that sets it loses the patched sites' fast
 * way, not its correctness, until it sets it back to 0.
 */
long sys_arch_prctl(struct task *t, int code, unsigned long addr)
{
	unsigned long base;
	long r;

	if (code == SHSTK_ENABLE)
		return -EOPNOTSUPP;
	if (code == ARCH_SET_GS && !addr)
		return raw_syscall(__NR_arch_prctl, code, t);
	if (code != ARCH_GET_GS)
		return pass_through(t);
	r = raw_syscall(__NR_arch_prctl, code, &base);
	if (r)
		return r;
	if (base == (unsigned long)t)
		base = 0;
	return copy_to_guest(t, addr, &base, sizeof(base)) ? -EFAULT : 0;
}
