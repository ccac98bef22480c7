/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File locks: flock(2) and the lock commands of fcntl(2).  On virtual files they are kept by the agent of
 * the file's server, or by the server itself (fs/fuse_ops_lock.c).
 */
#include "calls.h"
#include "lock.h"
#include "../../agent/signal.h"
#include <linux/fcntl.h>

/* Only what may wait is left to be made again for a signal that came before it. */
static long lock_call(struct task *t, const struct file *f, unsigned flags, const struct flock *l, struct um_lock *out)
{
	long r;
	struct um_slot *s = file_begin(t, f, UM_OP_LOCK, &r);

	if (!s)
		return r;
	s->req.open_flags = flags;
	s->req.mode = (uint16_t)l->l_type;
	s->req.whence = (uint16_t)l->l_whence;
	s->req.offset = (uint64_t)l->l_start;
	s->req.size = (uint64_t)l->l_len;
	r = flags & UM_LOCK_WAIT ? file_call(t, f, s) : channel_call_on(t, f->server, s);
	if (r == -EINTR)
		return signal_restarts(t) ? -UM_ERESTART : -EINTR;
	if (!r && out)
		memcpy(out, s->data, sizeof *out);
	return r;
}

/*
 * The lock has been set.  If another thread has closed the descriptor meanwhile nobody would ever take it back:
 * the kernel looks too.
 */
static long still_open(struct task *t, int fd, const struct file *f, unsigned flags, struct flock *l)
{
	if (l->l_type == F_UNLCK || flags & UM_LOCK_OFD || fd_peek(t, fd) == f)
		return 0;
	l->l_type = F_UNLCK;
	lock_call(t, f, flags & ~UM_LOCK_WAIT, l, NULL);
	return -EBADF;
}

static long get_lock(struct task *t, const struct file *f, unsigned flags, struct flock *l, gaddr arg)
{
	struct um_lock found;
	long r = lock_call(t, f, flags, l, &found);

	if (r)
		return r;
	l->l_type = (short)found.type;
	if (found.type != F_UNLCK) {
		l->l_whence = 0;
		l->l_start = found.start;
		l->l_len = found.len;
		l->l_pid = found.pid;
	}
	return copy_to_guest(t, arg, l, sizeof *l);
}

long lock_fcntl(struct task *t, int fd, const struct file *f, int cmd, gaddr arg)
{
	bool ofd = cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
	unsigned flags = ofd ? UM_LOCK_OFD : 0;
	struct flock l;
	long r;

	if (copy_from_guest(t, &l, arg, sizeof l))
		return -EFAULT;
	if (ofd && l.l_pid)
		return -EINVAL;
	if (f->kind != FILE_REMOTE)
		return -ENOLCK;
	if (cmd == F_GETLK || cmd == F_OFD_GETLK)
		return get_lock(t, f, flags | UM_LOCK_GET, &l, arg);
	if (cmd == F_SETLKW || cmd == F_OFD_SETLKW)
		flags |= UM_LOCK_WAIT;
	r = lock_call(t, f, flags, &l, NULL);
	return r ? r : still_open(t, fd, f, flags, &l);
}

/* LOCK_SH, LOCK_EX, LOCK_UN, and LOCK_NB with any of them. */
static long virtual_flock(struct task *t, const struct file *f, int operation)
{
	struct flock l = { .l_type = F_UNLCK };
	unsigned flags = operation & LOCK_NB ? UM_LOCK_FLOCK : UM_LOCK_FLOCK | UM_LOCK_WAIT;

	switch (operation & ~LOCK_NB) {
	case LOCK_SH:
		l.l_type = F_RDLCK;
		break;
	case LOCK_EX:
		l.l_type = F_WRLCK;
		break;
	case LOCK_UN:
		break;
	default:
		return -EINVAL;
	}
	if (f->flags & FILE_PATH)
		return -EBADF;
	return f->kind == FILE_REMOTE ? lock_call(t, f, flags, &l, NULL) : -ENOLCK;
}

long sys_flock(struct task *t, int fd, int operation)
{
	struct file *f;
	long r;

	if (!fd_is_virtual(t, fd))
		return real_call(t, __NR_flock, fd, operation);
	f = fd_hold(t, fd);
	if (!f)
		return -EBADF;
	r = virtual_flock(t, f, operation);
	file_put(f);
	return r;
}
