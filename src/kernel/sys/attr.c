/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changing attributes: mode, owner, times, size.
 */
#include "calls.h"
#include "../fs/ident.h"
#include <linux/fs.h>

#define AT_FLAGS	(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)
#define NSEC_NOW	0x3fffffffl
#define NSEC_OMIT	0x3ffffffel

/* A virtual descriptor whose attributes may be changed: held, or NULL and *error. */
static struct file *hold_for_change(struct task *t, int fd, long *error)
{
	struct file *f = fd_hold(t, fd);

	if (f && !(f->flags & FILE_PATH))
		return f;
	*error = -EBADF;
	if (f)
		file_put(f);
	return NULL;
}

/* ---- mode and owner --------------------------------------------------------------------------------- */

/* Is this real descriptor one whose attributes may be changed? */
static bool may_change(int fd)
{
	long flags = fd_is_ours(fd) ? -EBADF : raw_syscall(__NR_fcntl, fd, F_GETFL);

	return flags >= 0 && !(flags & O_PATH);
}

static long ident_fchmod(struct task *t, int fd, unsigned mode)
{
	struct target g = target_fd(t, fd);

	return may_change(fd) ? ident_chmod(&g, false, mode) : -EBADF;
}

static long ident_fchown(struct task *t, int fd, unsigned uid, unsigned gid)
{
	struct target g = target_fd(t, fd);

	return may_change(fd) ? ident_chown(&g, false, uid, gid) : -EBADF;
}

long sys_fchmod(struct task *t, int fd, unsigned mode)
{
	struct file *f;
	long r = 0;

	if (fd_is_read_only(t, fd))
		return -EROFS;
	if (!fd_is_virtual(t, fd))
		return cow_fd_change(t, fd, &r, chmod, EPERM, mode, 0) || r ? r : has_identity(t) ? ident_fchmod(t, fd, mode) : real_call(t, __NR_fchmod, fd, mode);
	if (cow_fd_over(t, fd) && (cow_fd_change(t, fd, &r, chmod, EPERM, mode, 0) || r))
		return r;
	f = hold_for_change(t, fd, &r);
	if (!f)
		return r;
	r = file_chmod(t, f, mode);
	file_put(f);
	return r;
}

long sys_fchmodat2(struct task *t, int dfd, gaddr name, unsigned mode, int flags)
{
	struct where w;
	long r;

	if (flags & ~AT_FLAGS)
		return -EINVAL;
	r = where_begin(&w, t, dfd, name, where_flags(flags) | WHERE_CHANGE);
	while (where_next(&w, &r))
		r = place_change(&w, CHANGE_OLD, chmod, EPERM, mode, 0);
	return where_end(&w, r);
}

long sys_fchown(struct task *t, int fd, unsigned uid, unsigned gid)
{
	struct file *f;
	long r = 0;

	if (fd_is_read_only(t, fd))
		return -EROFS;
	if (!fd_is_virtual(t, fd))
		return cow_fd_change(t, fd, &r, chown, EPERM, uid, gid) || r ? r : has_identity(t) ? ident_fchown(t, fd, uid, gid) : real_call(t, __NR_fchown, fd, uid, gid);
	if (cow_fd_over(t, fd) && (cow_fd_change(t, fd, &r, chown, EPERM, uid, gid) || r))
		return r;
	f = hold_for_change(t, fd, &r);
	if (!f)
		return r;
	r = file_chown(t, f, uid, gid);
	file_put(f);
	return r;
}

long sys_fchownat(struct task *t, int dfd, gaddr name, unsigned uid, unsigned gid, int flags)
{
	struct where w;
	long r;

	if (flags & ~AT_FLAGS)
		return -EINVAL;
	r = where_begin(&w, t, dfd, name, where_flags(flags) | WHERE_CHANGE);
	while (where_next(&w, &r))
		r = place_change(&w, CHANGE_OLD, chown, EPERM, uid, gid);
	return where_end(&w, r);
}

/* ---- times ------------------------------------------------------------------------------------------ */

static bool bad_nsec(int64_t nsec)
{
	return nsec != NSEC_NOW && nsec != NSEC_OMIT && (nsec < 0 || nsec > 999999999);
}

/* The kernel looks at times when it has found the file: what is wrong with that comes first. */
static bool bad_times(const struct timespec64 *ts)
{
	return ts && (bad_nsec(ts[0].tv_nsec) || bad_nsec(ts[1].tv_nsec));
}

static long fd_utimens(struct task *t, int fd, const struct timespec64 *ts)
{
	long r = 0;
	struct file *f;

	if (fd_is_read_only(t, fd))
		return -EROFS;
	if (!fd_is_virtual(t, fd) && !bad_times(ts))
		r = perm_fd_utimens(t, fd, ts);
	if (r)
		return r;
	if (!fd_is_virtual(t, fd))
		return (!bad_times(ts) && cow_fd_change(t, fd, &r, utimens, EPERM, ts)) || r ? r : real_call(t, __NR_utimensat, fd, 0, ts, 0);
	if (!bad_times(ts) && cow_fd_over(t, fd) && (cow_fd_change(t, fd, &r, utimens, EPERM, ts) || r))
		return r;
	f = hold_for_change(t, fd, &r);
	if (!f)
		return r;
	r = bad_times(ts) ? -EINVAL : file_utimens(t, f, ts);
	file_put(f);
	return r;
}

static long place_utimens(struct where *w, const struct timespec64 *ts)
{
	long r = w->strict && !w->read_only && !bad_times(ts) ? perm_utimens(w, ts) : 0;

	if (r)
		return r;
	if (w->fs == &real_fs || !bad_times(ts))
		return place_change(w, CHANGE_OLD, utimens, EPERM, ts);
	r = place_call(w, access, EACCES, 0, 0);
	return r ? r : -EINVAL;
}

/* ts NULL: now.  With both times left alone the kernel does not even look at the path. */
static long do_utimens(struct task *t, int dfd, gaddr name, const struct timespec64 *ts, int flags)
{
	struct where w;
	long r;

	if (ts && ts[0].tv_nsec == NSEC_OMIT && ts[1].tv_nsec == NSEC_OMIT)
		return 0;
	if (!name && dfd != AT_FDCWD)
		return flags ? -EINVAL : fd_utimens(t, dfd, ts);
	if (flags & ~AT_FLAGS)
		return -EINVAL;
	r = where_begin(&w, t, dfd, name, where_flags(flags) | WHERE_CHANGE);
	while (where_next(&w, &r))
		r = place_utimens(&w, ts);
	return where_end(&w, r);
}

long sys_utimensat(struct task *t, int dfd, gaddr name, gaddr times, int flags)
{
	struct timespec64 ts[2];

	if (times && copy_from_guest(t, ts, times, sizeof ts))
		return -EFAULT;
	return do_utimens(t, dfd, name, times ? ts : NULL, flags);
}

/* utimes(2) is this with AT_FDCWD. */
long sys_futimesat(struct task *t, int dfd, gaddr name, gaddr times)
{
	struct timespec64 ts[2];		/* microseconds at first: struct timeval */

	if (!times)
		return do_utimens(t, dfd, name, NULL, 0);
	if (copy_from_guest(t, ts, times, sizeof ts))
		return -EFAULT;
	for (int i = 0; i < 2; i++) {
		if (ts[i].tv_nsec < 0 || ts[i].tv_nsec >= 1000000)
			return -EINVAL;
		ts[i].tv_nsec *= 1000;
	}
	return do_utimens(t, dfd, name, ts, 0);
}

long sys_utime(struct task *t, gaddr name, gaddr times)
{
	int64_t sec[2];
	struct timespec64 ts[2];

	if (!times)
		return do_utimens(t, AT_FDCWD, name, NULL, 0);
	if (copy_from_guest(t, sec, times, sizeof sec))
		return -EFAULT;
	ts[0] = (struct timespec64){ sec[0], 0 };
	ts[1] = (struct timespec64){ sec[1], 0 };
	return do_utimens(t, AT_FDCWD, name, ts, 0);
}

/* ---- size ------------------------------------------------------------------------------------------- */

long sys_truncate(struct task *t, gaddr name, int64_t length)
{
	struct where w;
	long r;

	if (length < 0)
		return -EINVAL;
	r = where_begin(&w, t, AT_FDCWD, name, WHERE_VERIFY | WHERE_CHANGE);
	while (where_next(&w, &r))
		r = place_change(&w, CHANGE_SIZE, truncate, EPERM, (uint64_t)length);
	return where_end(&w, r);
}

long sys_ftruncate(struct task *t, int fd, int64_t length)
{
	struct file *f;
	long r = 0;

	if (!fd_is_virtual(t, fd))
		return real_call(t, __NR_ftruncate, fd, length);
	if (length < 0)
		return -EINVAL;
	f = hold_for_change(t, fd, &r);
	if (!f)
		return r;
	if (!S_ISREG(f->mode) || (f->open_flags & O_ACCMODE) == O_RDONLY)
		r = -EINVAL;
	else
		r = file_truncate(t, f, (uint64_t)length);
	file_put(f);
	return r;
}
