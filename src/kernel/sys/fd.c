/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors: dup, fcntl, ioctl, and storage calls on open files.
 *
 * Numbers are the kernel's: a carrier is duplicated like any descriptor, then the new number gets the
 * same struct file.
 */
#include "calls.h"
#include "lock.h"
#include "../fs/fuse.h"
#include "../fs/proc.h"
#include <asm/ioctls.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/resource.h>
#include <linux/seccomp.h>

/* ---- dup -------------------------------------------------------------------------------------------- */

/* The kernel has made `fd` a duplicate of a descriptor of f; enters it.  Returns fd. */
static long enter_duplicate(struct task *t, long fd, struct file *f)
{
	long r;

	if (fd < 0)
		return fd;
	file_get(f);
	r = fd_install(t, (int)fd, f);
	if (!r)
		return fd;
	file_put(f);
	raw_syscall(__NR_close, fd);
	return r;
}

static long virtual_dup(struct task *t, int fd, int cmd, gaddr min)
{
	struct file *f = fd_hold(t, fd);
	long r;

	if (!f)
		return -EBADF;
	r = enter_duplicate(t, kernel_call(t, __NR_fcntl, fd, cmd, min), f);
	file_put(f);
	return r;
}

static long real_dup(struct task *t, int fd, long to)
{
	if (to >= 0)
		fd_dup_hint(t, fd, (int)to);
	return to;
}

long sys_dup(struct task *t, int fd)
{
	if (fd_is_virtual(t, fd))
		return virtual_dup(t, fd, F_DUPFD, 0);
	return real_dup(t, fd, real_call(t, __NR_dup, fd));
}

/*
 * newfd's entry changes on the safe side of the kernel's call, so that no thread reads a carrier natively:
 * to a virtual file before it, back to real after it.
 */
static long replace_by_real(struct task *t, int oldfd, int newfd, int flags)
{
	long r = kernel_call(t, __NR_dup3, oldfd, newfd, flags);
	struct file *old = r >= 0 ? fd_remove(t, newfd) : NULL;

	if (old)
		remote_close(t, old);		/* silent, as the kernel's */
	return r;
}

static long replace_by_virtual(struct task *t, int oldfd, int newfd, int flags, struct file *f)
{
	struct file *old = fd_hold(t, newfd);
	long r;

	file_get(f);
	r = fd_install(t, newfd, f);
	if (r)
		file_put(f);
	else
		r = kernel_call(t, __NR_dup3, oldfd, newfd, flags);
	if (r >= 0) {
		if (old)
			remote_close(t, old);
		return r;
	}
	if (old && !fd_install(t, newfd, old))
		return r;
	f = fd_remove(t, newfd);
	if (f)
		file_put(f);
	return r;
}

/* The table would have to grow for a number that the kernel is going to refuse. */
static bool number_allowed(struct task *t, int fd)
{
	struct rlimit64 limit;

	if (fd < 0)
		return false;
	return fd < t->files->size || raw_syscall(__NR_prlimit64, 0, RLIMIT_NOFILE, 0, &limit) ||
	       (uint64_t)fd < limit.rlim_cur;
}

/* dup2(2) is this without flags. */
long sys_dup3(struct task *t, int oldfd, int newfd, int flags)
{
	struct file *f;
	long r;

	if (fd_is_ours(newfd))
		return -EBADF;
	if (!fd_is_virtual(t, oldfd) && !fd_is_virtual(t, newfd)) {
		r = real_call(t, __NR_dup3, oldfd, newfd, flags);
		if (r >= 0 && oldfd != newfd)	/* else newfd is what it was */
			fd_forget_hint(t, newfd);
		return real_dup(t, oldfd, r);
	}
	if (fd_is_ours(oldfd))
		return -EBADF;
	if (oldfd == newfd || flags & ~O_CLOEXEC)
		return -EINVAL;
	if (!number_allowed(t, newfd))
		return -EBADF;
	fd_forget_hint(t, newfd);
	if (!fd_is_virtual(t, oldfd))
		return replace_by_real(t, oldfd, newfd, flags);
	f = fd_hold(t, oldfd);
	if (!f)
		return -EBADF;
	r = replace_by_virtual(t, oldfd, newfd, flags, f);
	file_put(f);
	return r;
}

long sys_pidfd_getfd(struct task *t, int pidfd, int targetfd, unsigned flags)
{
	long fd = proc_pidfd_hides(pidfd, targetfd) ? -EBADF : real_call(t, __NR_pidfd_getfd, pidfd, targetfd, flags);

	if (fd < 0 || !fd_adopt(t, (int)fd))
		return fd;
	raw_syscall(__NR_close, fd);
	return -EBADF;
}

/* ---- fcntl ------------------------------------------------------------------------------------------ */

#define SETTABLE	(O_APPEND | O_NONBLOCK | O_NOATIME | FASYNC | O_DIRECT)
#define ON_CARRIER	(O_APPEND | O_NONBLOCK | FASYNC)

/* The carrier knows what F_SETFL set, in whatever process; the rest is as it was opened. */
static long get_flags(struct task *t, int fd, const struct file *f)
{
	long r = kernel_call(t, __NR_fcntl, fd, F_GETFL);

	if (r < 0)
		return r;
	if (f->flags & FILE_PATH)
		return f->open_flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW);
	return (r & ON_CARRIER) | (long)(f->open_flags & ~(unsigned)ON_CARRIER) | 0100000 /* O_LARGEFILE */;
}

static long set_flags(struct task *t, int fd, struct file *f, unsigned flags)
{
	long r = 0;

	if (f->kind == FILE_REMOTE)	/* what we know may be old: others have it open */
		r = file_set_flags(t, f, flags);
	if (!r || r == -ENOTCONN || r == -EIO)	/* whatever is wrong with the file, its descriptor has flags */
		r = kernel_call(t, __NR_fcntl, fd, F_SETFL, flags & ON_CARRIER);
	if (r >= 0)
		f->open_flags = (f->open_flags & ~(unsigned)SETTABLE) | (flags & SETTABLE);
	return r;
}

#define F_DUPFD_QUERY_	1027
#define F_SEAL_FIRST	1033
#define F_SEAL_LAST	1034

/* The descriptor's and the owner's commands work on a carrier; what is about the file does not. */
static long virtual_fcntl(struct task *t, int fd, struct file *f, int cmd, gaddr arg)
{
	switch (cmd) {
	case F_GETFD:
	case F_SETFD:
	case F_DUPFD_QUERY_:
		return kernel_call(t, __NR_fcntl, fd, cmd, arg);
	case F_GETFL:
		return get_flags(t, fd, f);
	}
	if (f->flags & FILE_PATH)
		return -EBADF;
	file_passed(f);
	switch (cmd) {
	case F_SETFL:
		return set_flags(t, fd, f, (unsigned)arg);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return lock_fcntl(t, fd, f, cmd, arg);
	case F_GETOWN:
	case F_SETOWN:
	case F_GETOWN_EX:
	case F_SETOWN_EX:
	case F_GETSIG:
	case F_SETSIG:
		return kernel_call(t, __NR_fcntl, fd, cmd, arg);
	case F_GETPIPE_SZ:
	case F_SETPIPE_SZ:
		return -EBADF;
	default:
		return -EINVAL;		/* leases, seals, hints: not for files of a server */
	}
}

long sys_fcntl(struct task *t, int fd, int cmd, gaddr arg)
{
	struct file *f;
	long r;

	if (!fd_is_virtual(t, fd)) {
		r = real_call(t, __NR_fcntl, fd, cmd, arg);
		return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ? real_dup(t, fd, r) : r;
	}
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		return virtual_dup(t, fd, cmd, arg);
	f = fd_hold(t, fd);
	if (!f)
		return -EBADF;
	r = virtual_fcntl(t, fd, f, cmd, arg);
	file_put(f);
	return r;
}

/* ---- ioctl ------------------------------------------------------------------------------------------ */

static long bytes_left(struct task *t, struct file *f, gaddr arg)
{
	struct um_attr a;
	long r = file_attr(t, f, &a), pos;
	int left;

	if (r)
		return r;
	pos = file_seek(t, f, 0, SEEK_CUR);
	if (pos < 0)
		return pos;
	left = (int)((int64_t)a.size - pos);
	return copy_to_guest(t, arg, &left, sizeof left);
}

static long put_size(struct task *t, struct file *f, unsigned cmd, gaddr arg)
{
	struct um_attr a;
	long r = file_attr(t, f, &a);
	int blksize;
	int64_t size;

	if (r)
		return r;
	blksize = a.blksize ? (int)a.blksize : 4096;
	size = (int64_t)a.size;
	return cmd == FIGETBSZ ? copy_to_guest(t, arg, &blksize, sizeof blksize) :
		copy_to_guest(t, arg, &size, sizeof size);
}

/* Who may do to a file system what its files' owners may not. */
static bool is_root(const struct task *t)
{
	return !t->cred && !raw_syscall(__NR_geteuid);
}

/* As the kernel's FUSE does, which knows of no blocks: all are 0. */
static long find_block(struct task *t, gaddr arg)
{
	int block;

	if (!is_root(t))
		return -EPERM;
	if (copy_from_guest(t, &block, arg, sizeof block))
		return -EFAULT;
	if (block < 0)
		return -EINVAL;
	block = 0;
	return copy_to_guest(t, arg, &block, sizeof block);
}

/* No virtual file sends signals. */
static long set_async(struct task *t, gaddr arg)
{
	int on;

	if (copy_from_guest(t, &on, arg, sizeof on))
		return -EFAULT;
	return on ? -ENOTTY : 0;
}

/* The flags of a file: the kernel looks at who asks, and at the mount, before it sends them on. */
static long ioctl_at_server(struct task *t, struct file *f, unsigned cmd, gaddr arg)
{
	struct mount m;

	if ((!S_ISREG(f->mode) && !S_ISDIR(f->mode)) || cmd >> 8 == 'T')	/* isatty(): the kernel would ask, each time */
		return -ENOTTY;
	if ((cmd == FS_IOC_SETFLAGS || cmd == FS_IOC_FSSETXATTR) &&
	    (f->flags & FILE_RDONLY || (!view_mount_by_id(t, f->mount, &m, NULL, 0) && m.flags & UM_MNT_RDONLY)))
		return -EROFS;
	return file_ioctl(t, f, cmd, arg);
}

/* What the kernel does for every file; the rest is the server's. */
static long virtual_ioctl(struct task *t, int fd, struct file *f, unsigned cmd, gaddr arg)
{
	if (f->flags & FILE_PATH)
		return -EBADF;
	switch (cmd) {
	case FIONBIO:
		file_passed(f);
		/* fall through */
	case FIOCLEX:
	case FIONCLEX:
		return kernel_call(t, __NR_ioctl, fd, cmd, arg);
	case FIOASYNC:
		return set_async(t, arg);
	case FIONREAD:
		return S_ISREG(f->mode) ? bytes_left(t, f, arg) : -ENOTTY;
	case FIOQSIZE:
		return S_ISREG(f->mode) || S_ISDIR(f->mode) ? put_size(t, f, cmd, arg) : -ENOTTY;
	case FIGETBSZ:
		return put_size(t, f, cmd, arg);
	case FIBMAP:
		return S_ISREG(f->mode) ? find_block(t, arg) : -ENOTTY;
	case FIFREEZE:
	case FITHAW:
		return is_root(t) ? -EOPNOTSUPP : -EPERM;
	case FS_IOC_FIEMAP:
		return S_ISREG(f->mode) || S_ISDIR(f->mode) ? -EOPNOTSUPP : -ENOTTY;
	default:
		return ioctl_at_server(t, f, cmd, arg);
	}
}

/*
 * The listener of some guest's seccomp filter answers.  "Go on" is not for the kernel to do, but for the
 * agent of the guest that waits (kernel/guard.c), which takes this value for it.
 */
static long notif_send(struct task *t, int fd, gaddr arg)
{
	struct seccomp_notif_resp resp;

	if (copy_from_guest(t, &resp, arg, sizeof resp) || resp.flags != SECCOMP_USER_NOTIF_FLAG_CONTINUE ||
	    resp.error || resp.val)
		return real_call(t, __NR_ioctl, fd, SECCOMP_IOCTL_NOTIF_SEND, arg);
	resp.flags = 0;
	resp.val = UM_NOTIF_CONTINUE;
	return real_call(t, __NR_ioctl, fd, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

/* What is going to be in the guest that waits. */
static long notif_addfd(struct task *t, int fd, gaddr arg)
{
	struct seccomp_notif_addfd add;

	if (!copy_from_guest(t, &add, arg, sizeof add) && !fd_pass(t, (int)add.srcfd))
		return -EBADF;
	return real_call(t, __NR_ioctl, fd, SECCOMP_IOCTL_NOTIF_ADDFD, arg);
}

/* FICLONE, FICLONERANGE: 0 if both files are the kernel's, else what a kernel says that cannot share their blocks. */
static long clone_verdict(struct task *t, int fd, unsigned cmd, gaddr arg)
{
	int64_t from = (int)arg;

	if (cmd == FICLONERANGE && copy_from_guest(t, &from, arg, sizeof from))
		return -EFAULT;
	bool here = fd_is_virtual(t, fd), there = fd_is_virtual(t, (int)from);
	if (!there && real_call(t, __NR_fcntl, (int)from, F_GETFD) < 0)
		return -EBADF;
	return here && there ? -EOPNOTSUPP : here || there ? -EXDEV : 0;
}

/* May the flags of the file be changed?  Of what lies below a copy-on-write mount they cannot: it would not be its copy's. */
static long flags_verdict(struct task *t, int fd)
{
	struct where w;
	long r;

	if (fd_read_only(t, fd))
		return -EROFS;
	if (!cow_fd(&w, t, fd, &r))
		return 0;
	where_end(&w, 0);
	return w.cow_state == COW_LOWER ? -EOPNOTSUPP : 0;
}

long sys_ioctl(struct task *t, int fd, unsigned cmd, gaddr arg)
{
	struct file *f;
	long r;

	if (cmd == FICLONE || cmd == FICLONERANGE) {
		r = clone_verdict(t, fd, cmd, arg);
		if (r)
			return r;
	}
	if (!fd_is_virtual(t, fd)) {
		if (cmd == SECCOMP_IOCTL_NOTIF_SEND)
			return notif_send(t, fd, arg);
		if (cmd == SECCOMP_IOCTL_NOTIF_ADDFD)
			return notif_addfd(t, fd, arg);
		if (cmd == FS_IOC_SETFLAGS || cmd == FS_IOC_FSSETXATTR) {
			r = flags_verdict(t, fd);
			if (r)
				return r;
		}
		return real_call(t, __NR_ioctl, fd, cmd, arg);
	}
	f = fd_hold(t, fd);
	if (!f)
		return -EBADF;
	if (f->kind == FILE_FUSE_DEVICE && cmd != FIOCLEX && cmd != FIONCLEX && cmd != FIONBIO)
		r = fuse_dev_ioctl(t, f, cmd, arg);
	else
		r = virtual_ioctl(t, fd, f, cmd, arg);
	file_put(f);
	return r;
}

/* ---- storage ---------------------------------------------------------------------------------------- */

static long virtual_sync(struct task *t, int fd, bool datasync)
{
	struct file *f = fd_hold(t, fd);
	long r;

	if (!f)
		return -EBADF;
	r = file_fsync(t, f, datasync);
	file_put(f);
	return r;
}

long sys_epoll_ctl(struct task *t, int epfd, int op, int fd, gaddr event)
{
	struct file *f;
	long r;

	if (fd_is_ours(epfd) || fd_is_ours(fd))
		return -EBADF;
	f = fd_hold(t, fd);
	r = f && f->kind == FILE_FUSE_DEVICE ? fuse_dev_epoll(f, epfd, op, event) : kernel_call(t, __NR_epoll_ctl, epfd, op, fd, event);
	file_put(f);
	return r;
}

long sys_fsync(struct task *t, int fd)
{
	return fd_is_virtual(t, fd) ? virtual_sync(t, fd, false) : real_call(t, __NR_fsync, fd);
}

long sys_fdatasync(struct task *t, int fd)
{
	return fd_is_virtual(t, fd) ? virtual_sync(t, fd, true) : real_call(t, __NR_fdatasync, fd);
}

/* What the kernel finds wrong before it asks a file system. */
static long fallocate_verdict(const struct file *f, unsigned mode)
{
	bool keeps = mode & FALLOC_FL_KEEP_SIZE;

	switch (mode & ~(unsigned)FALLOC_FL_KEEP_SIZE) {
	case 0:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_UNSHARE_RANGE:
		break;
	case FALLOC_FL_PUNCH_HOLE:
		if (!keeps)
			return -EOPNOTSUPP;
		break;
	case FALLOC_FL_COLLAPSE_RANGE:
	case FALLOC_FL_INSERT_RANGE:
		if (keeps)
			return -EOPNOTSUPP;
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (f->flags & FILE_PATH || (f->open_flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (f->kind != FILE_REMOTE || !S_ISREG(f->mode))
		return S_ISDIR(f->mode) ? -EISDIR : -ENODEV;
	return 0;
}

long sys_fallocate(struct task *t, int fd, int mode, int64_t offset, int64_t len)
{
	struct file *f;
	long r;

	if (!fd_is_virtual(t, fd))
		return real_call(t, __NR_fallocate, fd, mode, offset, len);
	if (offset < 0 || len <= 0)
		return -EINVAL;
	if (offset > INT64_MAX - len)
		return -EFBIG;
	f = fd_hold(t, fd);
	if (!f)
		return -EBADF;
	r = fallocate_verdict(f, (unsigned)mode);
	if (!r)
		r = file_fallocate(t, f, mode, offset, len);
	file_put(f);
	return r;
}

/* Advice is taken note of and changes nothing: what is cached is the server's. */
long sys_fadvise64(struct task *t, int fd, int64_t offset, size_t len, int advice)
{
	const struct file *f = fd_peek(t, fd);

	if (!f)
		return real_call(t, __NR_fadvise64, fd, offset, len, advice);
	if (f->flags & FILE_PATH)
		return -EBADF;
	return (int64_t)len < 0 || advice < 0 || advice > 5 ? -EINVAL : 0;
}

/* What was written is at the server already: nothing of it waits here to be sent. */
long sys_sync_file_range(struct task *t, int fd, int64_t offset, int64_t nbytes, unsigned flags)
{
	const struct file *f = fd_peek(t, fd);

	if (!f)
		return real_call(t, __NR_sync_file_range, fd, offset, nbytes, flags);
	if (f->flags & FILE_PATH)
		return -EBADF;
	if (offset < 0 || nbytes < 0 || offset > INT64_MAX - nbytes || flags & ~7u)
		return -EINVAL;
	return S_ISREG(f->mode) || S_ISDIR(f->mode) ? 0 : -ESPIPE;
}
