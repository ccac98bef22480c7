/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Notification of changes: the kernel watches real files, for those of mounted file systems what stands for them.
 */
#include "calls.h"
#include "../cow.h"

#define IN_DONT_FOLLOW_	0x02000000u
#define BOTH		0x30000000u	/* IN_MASK_CREATE, IN_MASK_ADD: at most one */
#define ALL_BITS	0xf700efffu	/* all that there are: linux/inotify.h, ALL_INOTIFY_BITS */

/* What the kernel looks at before the path. */
static long watch_verdict(int fd, unsigned mask)
{
	if (!(mask & ALL_BITS) || (mask & BOTH) == BOTH)
		return -EINVAL;
	return raw_syscall(__NR_fcntl, fd, F_GETFD) < 0 ? -EBADF : 0;
}

long sys_inotify_add_watch(struct task *t, int fd, gaddr name, unsigned mask)
{
	struct where w;
	long r;

	if (fd_is_ours(fd))
		return -EBADF;
	r = watch_verdict(fd, mask);
	if (r)
		return r;
	cow_watched(t);
	r = where_begin(&w, t, AT_FDCWD, name, mask & IN_DONT_FOLLOW_ ? WHERE_NOFOLLOW : WHERE_VERIFY);
	while (where_next(&w, &r)) {
		r = w.strict ? perm_have(&w, PERM_R) : 0;
		if (r)
			continue;
		if (w.fs != &remote_fs)
			r = kernel_call(t, __NR_inotify_add_watch, fd, w.upath, mask);
		else
			r = remote_watch(&w, fd, mask);
	}
	return where_end(&w, r);
}
