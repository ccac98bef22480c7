/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inotify on files of mounted file systems, the caller's side.
 *
 * The guest's inotify is a real one, its watch is put on a real file: the server names it, its shadow (fuse_shadow.c), in
 * a directory that the monitor holds open.  All else is the kernel's: queue, masks, poll, cookies, the end of a watch.
 */
#include <linux/fcntl.h>
#include "remote.h"

#define TRIES	8	/* a name may have been moved between the answer and its use */

/* The directory of this server in the monitor: its descriptor there, or -errno. */
static long shadow_of(struct task *t, uint32_t server)
{
	int error;
	struct um_server *head = channel_server(t, server, &error);
	struct um_slot *s;
	long r = 0;

	if (!head)
		return error;
	if (!__atomic_load_n(&head->shadow, __ATOMIC_ACQUIRE)) {
		s = channel_begin(t, 0, UM_CTL_SHADOW, &error);
		if (!s)
			return error;
		s->req.handle = server;
		r = channel_call(t, 0, s);
	}
	return r < 0 ? r : (long)__atomic_load_n(&head->shadow, __ATOMIC_ACQUIRE) - 1;
}

/* As long as this inotify lives, the server keeps what it has made for it. */
static bool hold(int fd, uint32_t server)
{
	struct flock lk = {
		.l_type = F_RDLCK, .l_start = (long)UM_WATCH_LOCK(process.world->monitor_pid, server), .l_len = 1,
	};

	return !raw_syscall(__NR_fcntl, fd, F_OFD_SETLK, &lk);
}

static long watch(struct where *w, int fd, unsigned mask, long shadow)
{
	char path[UM_PATH_MAX];
	struct um_slot *s;
	long r;

	s = remote_begin(w, UM_OP_WATCH, &r);
	if (!s)
		return r;
	s->req.mode = !hold(fd, w->mount.server);
	r = remote_call(w, s);
	if (r)
		return r;
	r = text_format(path, sizeof path, "/proc/%u/fd/%ld/%.*s", process.world->monitor_pid, shadow,
			(int)s->rep.size, (const char *)s->data);
	if (r >= (long)sizeof path)
		return -ENAMETOOLONG;
	r = kernel_call(w->t, __NR_inotify_add_watch, fd, path, mask);
	if (r == -EACCES)
		agent_log("inotify: the monitor of the view belongs to somebody else, so its files cannot be watched");
	return r == -ENOENT ? -ESTALE : r;
}

long remote_watch(struct where *w, int fd, unsigned mask)
{
	long shadow, r;

	r = raw_syscall(__NR_inotify_add_watch, fd, 0, mask);	/* no path: is all else right? */
	if (r != -EFAULT)
		return r;
	shadow = shadow_of(w->t, w->mount.server);
	if (shadow < 0)
		return shadow;
	for (int i = 0; i < TRIES; i++) {
		r = watch(w, fd, mask, shadow);
		if (r != -ESTALE)
			break;
	}
	return r == -ESTALE ? -ENOENT : r;
}
