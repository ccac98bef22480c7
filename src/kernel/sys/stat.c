/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stat, statx, statfs and access.
 */
#include "calls.h"
#include "../fs/ident.h"

#define STAT_FLAGS	(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)

static long ident_fstat(struct task *t, int fd, gaddr st)
{
	struct target g = target_fd(t, fd);

	return fd_is_ours(fd) ? -EBADF : ident_stat(&g, false, st);
}

long sys_fstat(struct task *t, int fd, gaddr st)
{
	struct file *f;
	long r;

	if (!fd_is_virtual(t, fd) && shows_other(t))
		return ident_fstat(t, fd, st);
	if (!fd_is_virtual(t, fd))
		return t->nr == __NR_fstat ? real_last(t, __NR_fstat, fd, st) : real_call(t, __NR_fstat, fd, st);
	f = fd_hold(t, fd);
	if (!f)
		return -EBADF;
	r = file_stat(t, f, st);
	file_put(f);
	return r;
}

/* glibc's fstat() comes here, with an empty path. */
long sys_newfstatat(struct task *t, int dfd, gaddr name, gaddr st, int flags)
{
	const unsigned how = where_flags(flags) | WHERE_LOOKS | WHERE_STAT | WHERE_CHEAP;
	struct where w;
	long r;

	if (flags & ~STAT_FLAGS)
		return -EINVAL;
	if (names_fd(t, dfd, name, flags))
		return fd_is_virtual(t, dfd) || shows_other(t) ? sys_fstat(t, dfd, st) :
			real_last(t, __NR_newfstatat, dfd, name, st, flags);	/* stat, lstat name no descriptor */
	switch (where_way(&w, t, dfd, name, how)) {
	case WAY_OWN:
		return pass_last(t);
	case WAY_NOFOLLOW:
		r = leave_call(t, __NR_newfstatat, dfd, (long)name, (long)st, flags | AT_SYMLINK_NOFOLLOW, 0,
			       st + offsetof(struct stat, st_mode));
		if (r != -UM_EAGAIN && r != -EFAULT)	/* a bad buffer: but a link is looked through first */
			return r;
		r = where_at_link(&w, t, dfd, name, how);
		break;
	case WAY_COW:
		r = real_fs.stat(&w, st);
		if (r > -UM_ERESTART && r != -EFAULT && !where_is_stale(&w))
			return r;
		r = where_begin(&w, t, dfd, name, r == -UM_ERETRY ? how & ~WHERE_STAT : how);
		break;
	default:
		r = where_begin(&w, t, dfd, name, how);
	}
	while (where_next(&w, &r))
		r = place_call(&w, stat, EACCES, st);
	return where_end(&w, r);
}

static long fd_statx(struct task *t, int fd, gaddr st)
{
	struct file *f = fd_hold(t, fd);
	long r;

	if (!f)
		return -EBADF;
	r = file_statx(t, f, st);
	file_put(f);
	return r;
}

static long ident_fd_statx(struct task *t, int fd, int flags, unsigned mask, gaddr st)
{
	struct target g = target_fd(t, fd);

	return fd_is_ours(fd) ? -EBADF : ident_statx(&g, false, flags & AT_STATX_SYNC_TYPE, mask, st);
}

long sys_statx(struct task *t, int dfd, gaddr name, int flags, unsigned mask, gaddr st)
{
	const unsigned how = where_flags(flags) | WHERE_LOOKS | WHERE_STAT | WHERE_CHEAP;
	struct where w;
	long r;

	if (mask & STATX__RESERVED || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || flags & ~STAT_FLAGS)
		return -EINVAL;
	if (names_fd(t, dfd, name, flags))
		return fd_is_virtual(t, dfd) ? fd_statx(t, dfd, st) :
			shows_other(t) ? ident_fd_statx(t, dfd, flags, mask, st) :
			real_call(t, __NR_statx, dfd, name, flags, mask, st);
	switch (where_way(&w, t, dfd, name, how)) {
	case WAY_OWN:
		return pass_last(t);
	case WAY_NOFOLLOW:
		r = leave_call(t, __NR_statx, dfd, (long)name, flags | AT_SYMLINK_NOFOLLOW, mask | STATX_TYPE, (long)st,
			       st + offsetof(struct statx, stx_mode));
		if (r != -UM_EAGAIN && r != -EFAULT)	/* a bad buffer: but a link is looked through first */
			return r;
		r = where_at_link(&w, t, dfd, name, how);
		break;
	default:	/* WAY_COW, too */
		r = where_begin(&w, t, dfd, name, how);
	}
	while (where_next(&w, &r))
		r = place_call(&w, statx, EACCES, flags & (AT_STATX_SYNC_TYPE | AT_NO_AUTOMOUNT), mask, st);
	return where_end(&w, r);
}

/* ---- statfs ----------------------------------------------------------------------------------------- */

long sys_statfs(struct task *t, gaddr name, gaddr st)
{
	struct where w;
	long r = where_begin(&w, t, AT_FDCWD, name, WHERE_VERIFY | WHERE_LOOKS);

	while (where_next(&w, &r))
		r = place_call(&w, statfs, ENOSYS, st);
	if (!r && w.read_only)
		r = readonly_statfs(t, st);
	return where_end(&w, r);
}

long sys_fstatfs(struct task *t, int fd, gaddr st)
{
	struct file *f;
	long r;

	if (!fd_is_virtual(t, fd)) {
		r = real_call(t, __NR_fstatfs, fd, st);
		return !r && fd_read_only(t, fd) ? readonly_statfs(t, st) : r;
	}
	f = fd_hold(t, fd);
	if (!f)
		return -EBADF;
	r = file_statfs(t, f, st);
	if (!r && f->flags & FILE_RDONLY)
		r = readonly_statfs(t, st);
	file_put(f);
	return r;
}

/* ---- access ----------------------------------------------------------------------------------------- */

long sys_faccessat2(struct task *t, int dfd, gaddr name, unsigned mode, int flags)
{
	const unsigned how = where_flags(flags) | WHERE_LOOKS | (mode & 2 ? WHERE_CHANGE : 0) | (flags & AT_EACCESS ? 0 : WHERE_REALLY);
	struct where w;
	long r;

	if (mode & ~7u || flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (where_way(&w, t, dfd, name, how) == WAY_OWN)
		return pass_last(t);
	r = where_begin(&w, t, dfd, name, how);
	if (!r && where_is_last(&w, name) && !w.strict)
		return pass_last(t);
	while (where_next(&w, &r)) {
		r = w.strict ? perm_access(&w, mode) : 0;
		if (!r)
			r = place_call(&w, access, EACCES, (int)mode, flags & AT_EACCESS);
		if (!r && w.read_only)
			r = readonly_access(&w, (int)mode);
	}
	return where_end(&w, r);
}
