/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Notification of changes: the kernel watches real files, for those of mounted file systems what stands for them.
 */
#include "calls.h"

#define IN_DONT_FOLLOW_	0x02000000u

long sys_inotify_add_watch(struct task *t, int fd, gaddr name, unsigned mask)
{
	struct where w;
	long r;

	if (fd_is_ours(fd))
		return -EBADF;
	r = where_begin(&w, t, AT_FDCWD, name, mask & IN_DONT_FOLLOW_ ? WHERE_NOFOLLOW : WHERE_VERIFY);
	while (where_next(&w, &r)) {
		if (w.fs != &remote_fs)
			r = kernel_call(t, __NR_inotify_add_watch, fd, w.upath, mask);
		else
			r = remote_watch(&w, fd, mask);
	}
	return where_end(&w, r);
}
