/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seccomp(2), and what of prctl(2) is about a guest's own filters.  The checks are here, in the kernel's order;
 * kernel/guard.c keeps the filters and applies them.
 */
#include "seccomp.h"
#include "../cbpf.h"
#include "../guard.h"
#include "handlers.h"
#include <linux/capability.h>
#include <linux/prctl.h>

#define KNOWN_FLAGS (SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW | \
		     SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC_ESRCH | \
		     SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
#ifndef PR_SYS_DISPATCH_INCLUSIVE_ON
#define PR_SYS_DISPATCH_INCLUSIVE_ON 2	/* Linux 6.16 */
#endif
#define USER_END	0x7ffffffff000ul	/* no address of user space is beyond */

static bool may_install(struct task *t)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (t->guard->no_new_privs)
		return true;
	return raw_syscall(__NR_capget, &head, data) == 0 && data[0].effective & 1u << CAP_SYS_ADMIN;
}

/* A copy of the guest's program, checked. */
static long fetch(struct task *t, gaddr args, struct guest_filter **out)
{
	struct sock_fprog prog;
	struct guest_filter *f;
	long r;

	if (copy_from_guest(t, &prog, args, sizeof prog))
		return -EFAULT;
	if (!prog.len || prog.len > BPF_MAXINSNS)
		return -EINVAL;
	if (!may_install(t))
		return -EACCES;
	if (!prog.filter)
		return -EINVAL;
	f = guard_new(prog.len);
	if (!f)
		return -ENOMEM;
	r = copy_from_guest(t, f->code, (gaddr)prog.filter, prog.len * sizeof f->code[0]);
	if (r == 0)
		r = cbpf_check(f->code, f->len);
	if (r) {
		heap_free(f);
		return r;
	}
	guard_ready(f);
	*out = f;
	return 0;
}

static long set_filter(struct task *t, unsigned flags, gaddr args)
{
	struct guest_filter *f;
	long r;

	if (flags & ~(unsigned)KNOWN_FLAGS)
		return -EINVAL;
	if (flags & SECCOMP_FILTER_FLAG_TSYNC && flags & SECCOMP_FILTER_FLAG_NEW_LISTENER &&
	    !(flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH))
		return -EINVAL;
	if (flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV && !(flags & SECCOMP_FILTER_FLAG_NEW_LISTENER))
		return -EINVAL;
	r = fetch(t, args, &f);
	if (r)
		return r;
	f->log = flags & SECCOMP_FILTER_FLAG_LOG;
	f->listener = flags & SECCOMP_FILTER_FLAG_NEW_LISTENER;
	r = guard_add(t, flags, f);
	if (r < 0 || (r > 0 && !f->listener))
		heap_free(f);
	return r;
}

static long action_available(struct task *t, gaddr args)
{
	uint32_t action;

	if (copy_from_guest(t, &action, args, sizeof action))
		return -EFAULT;
	switch (action) {
	case SECCOMP_RET_KILL_PROCESS:
	case SECCOMP_RET_KILL_THREAD:
	case SECCOMP_RET_TRAP:
	case SECCOMP_RET_ERRNO:
	case SECCOMP_RET_USER_NOTIF:
	case SECCOMP_RET_TRACE:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_ALLOW:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

long sys_seccomp(struct task *t, unsigned operation, unsigned flags, gaddr args)
{
	switch (operation) {
	case SECCOMP_SET_MODE_STRICT:
		return flags || args ? -EINVAL : guard_set_strict(t);
	case SECCOMP_SET_MODE_FILTER:
		return set_filter(t, flags, args);
	case SECCOMP_GET_ACTION_AVAIL:
		return flags ? -EINVAL : action_available(t, args);
	case SECCOMP_GET_NOTIF_SIZES:
		return pass_through(t);
	default:
		return -EINVAL;
	}
}

long prctl_set_seccomp(struct task *t, unsigned long mode, gaddr filter)
{
	if (mode == SECCOMP_MODE_STRICT)
		return guard_set_strict(t);
	return mode == SECCOMP_MODE_FILTER ? set_filter(t, 0, filter) : -EINVAL;
}

long prctl_no_new_privs(struct task *t, bool set, unsigned long a, bool rest)
{
	if (set ? a != 1 || rest : a || rest)
		return -EINVAL;
	if (!set)
		return t->guard->no_new_privs;
	t->guard->no_new_privs = true;
	return 0;
}

long prctl_dispatch(struct task *t, unsigned long mode, uint64_t offset, uint64_t len, gaddr selector)
{
	if (mode == PR_SYS_DISPATCH_OFF)
		return offset || len || selector ? -EINVAL : guard_set_dispatch(t, false, 0, 0, 0);
	if (mode == PR_SYS_DISPATCH_INCLUSIVE_ON) {	/* the range itself, not all but it */
		if (!len || offset + len <= offset)
			return -EINVAL;
		offset += len;
		len = -len;
	} else if (mode != PR_SYS_DISPATCH_ON || (offset && offset + len <= offset)) {
		return -EINVAL;
	}
	return selector >= USER_END ? -EFAULT : guard_set_dispatch(t, true, offset, len, selector);
}
