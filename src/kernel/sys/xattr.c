/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extended attributes.  The l-variants come here with AT_SYMLINK_NOFOLLOW in `at` (src/syscalls.tbl).
 */
#include "calls.h"
#include "../fs/ident.h"
#include <linux/limits.h>
#include <linux/xattr.h>

/* XATTR_NAME_MAX and its NUL. */
struct attr_name { char text[XATTR_NAME_MAX + 1]; };

static long fetch_name(struct task *t, struct attr_name *name, gaddr from)
{
	long len = string_from_guest(t, name->text, from, sizeof name->text);

	if (len == -ENAMETOOLONG || len == 0)
		return -ERANGE;
	return len < 0 ? len : 0;
}

static long check_set(size_t size, int flags)
{
	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	return size > XATTR_SIZE_MAX ? -E2BIG : 0;
}

/* A held virtual descriptor that may be asked, or NULL and *error. */
static struct file *hold(struct task *t, int fd, long *error)
{
	struct file *f = fd_hold(t, fd);

	if (f && !(f->flags & FILE_PATH) && f->kind == FILE_REMOTE)
		return f;
	*error = f && f->kind != FILE_REMOTE ? -EOPNOTSUPP : -EBADF;
	if (f)
		file_put(f);
	return NULL;
}

/* ---- by path ---------------------------------------------------------------------------------------- */

long sys_xattr_get(struct task *t, gaddr path, gaddr attr, gaddr value, size_t size, int at)
{
	struct attr_name name;
	struct where w;
	long r = fetch_name(t, &name, attr);

	if (r)
		return r;
	r = where_begin(&w, t, AT_FDCWD, path, where_flags(at) | WHERE_LOOKS);
	while (where_next(&w, &r)) {
		r = w.strict ? perm_xattr(&w, name.text, PERM_R) : 0;
		if (!r)
			r = place_call(&w, getxattr, EOPNOTSUPP, name.text, value, size);
	}
	return where_end(&w, r);
}

long sys_xattr_set(struct task *t, gaddr path, gaddr attr, gaddr value, size_t size, int flags, int at)
{
	struct attr_name name;
	struct where w;
	long r = check_set(size, flags);

	if (!r)
		r = fetch_name(t, &name, attr);
	if (r)
		return r;
	r = where_begin(&w, t, AT_FDCWD, path, where_flags(at) | WHERE_CHANGE);
	while (where_next(&w, &r)) {
		r = w.strict ? perm_xattr(&w, name.text, PERM_W) : 0;
		if (!r)
			r = place_change(&w, CHANGE_OLD, setxattr, EOPNOTSUPP, name.text, value, size, flags);
	}
	return where_end(&w, r);
}

long sys_xattr_list(struct task *t, gaddr path, gaddr list, size_t size, int at)
{
	struct where w;
	long r = where_begin(&w, t, AT_FDCWD, path, where_flags(at) | WHERE_LOOKS);

	while (where_next(&w, &r))
		r = place_call(&w, listxattr, EOPNOTSUPP, list, size);
	return where_end(&w, r);
}

long sys_xattr_remove(struct task *t, gaddr path, gaddr attr, int at)
{
	struct attr_name name;
	struct where w;
	long r = fetch_name(t, &name, attr);

	if (r)
		return r;
	r = where_begin(&w, t, AT_FDCWD, path, where_flags(at) | WHERE_CHANGE);
	while (where_next(&w, &r)) {
		r = w.strict ? perm_xattr(&w, name.text, PERM_W) : 0;
		if (!r)
			r = place_change(&w, CHANGE_OLD, removexattr, EOPNOTSUPP, name.text);
	}
	return where_end(&w, r);
}

/* ---- by descriptor ---------------------------------------------------------------------------------- */

/* Who has an identity sees another mode in an access list. */
static long show_list(struct task *t, int fd, gaddr attr, gaddr value, long n)
{
	struct target g = target_fd(t, fd);
	struct attr_name name;

	if (!fetch_name(t, &name, attr))
		ident_acl_show(&g, name.text, value, n);
	return n;
}

static long real_fsetxattr(struct task *t, int fd, gaddr attr, gaddr value, size_t size, int flags)
{
	struct target g = target_fd(t, fd);
	struct attr_name name;
	struct ident_acl a;
	long r = has_identity(t) && !fd_is_ours(fd) && !fetch_name(t, &name, attr) ?
		 ident_acl_begin(&g, name.text, value, size, &a) : 0;

	if (r <= 0)
		return r ? r : real_call(t, __NR_fsetxattr, fd, attr, value, size, flags);
	r = real_call(t, __NR_fsetxattr, fd, attr, &a.acl, size, flags);
	if (!r)
		ident_acl_end(&g, &a);
	return r;
}

long sys_fgetxattr(struct task *t, int fd, gaddr attr, gaddr value, size_t size)
{
	struct attr_name name;
	struct file *f;
	long r;

	if (!fd_is_virtual(t, fd)) {
		r = perm_fd_xattr(t, fd, attr, PERM_R);
		if (!r)
			r = real_call(t, __NR_fgetxattr, fd, attr, value, size);
		return r > 0 && size && has_identity(t) ? show_list(t, fd, attr, value, r) : r;
	}
	r = fetch_name(t, &name, attr);
	f = r ? NULL : hold(t, fd, &r);
	if (!f)
		return r;
	r = file_getxattr(t, f, name.text, value, size);
	file_put(f);
	return r;
}

long sys_fsetxattr(struct task *t, int fd, gaddr attr, gaddr value, size_t size, int flags)
{
	struct attr_name name;
	struct file *f;
	long r;

	if (fd_is_read_only(t, fd))
		return -EROFS;
	r = fd_is_virtual(t, fd) || check_set(size, flags) ? 0 : perm_fd_xattr(t, fd, attr, PERM_W);
	if (r)
		return r;
	if (!fd_is_virtual(t, fd) && (!view_has(UM_MOUNT_COW) || raw_syscall(__NR_fcntl, fd, F_GETFD) < 0))
		return real_fsetxattr(t, fd, attr, value, size, flags);
	r = check_set(size, flags);
	if (!r)
		r = fetch_name(t, &name, attr);
	if (!r && !fd_is_virtual(t, fd))
		return cow_fd_change(t, fd, &r, setxattr, EPERM, name.text, value, size, flags) || r ? r : real_fsetxattr(t, fd, attr, value, size, flags);
	if (!r && cow_fd_over(t, fd) && (cow_fd_change(t, fd, &r, setxattr, EPERM, name.text, value, size, flags) || r))
		return r;
	f = r ? NULL : hold(t, fd, &r);
	if (!f)
		return r;
	r = file_setxattr(t, f, name.text, value, size, flags);
	file_put(f);
	return r;
}

long sys_flistxattr(struct task *t, int fd, gaddr list, size_t size)
{
	struct file *f;
	long r = 0;

	if (!fd_is_virtual(t, fd))
		return real_call(t, __NR_flistxattr, fd, list, size);
	f = hold(t, fd, &r);
	if (!f)
		return r;
	r = file_listxattr(t, f, list, size);
	file_put(f);
	return r;
}

long sys_fremovexattr(struct task *t, int fd, gaddr attr)
{
	struct attr_name name;
	struct file *f;
	long r;

	if (fd_is_read_only(t, fd))
		return -EROFS;
	r = fd_is_virtual(t, fd) ? 0 : perm_fd_xattr(t, fd, attr, PERM_W);
	if (r)
		return r;
	if (!fd_is_virtual(t, fd) && (!view_has(UM_MOUNT_COW) || raw_syscall(__NR_fcntl, fd, F_GETFD) < 0))
		return real_call(t, __NR_fremovexattr, fd, attr);
	r = fetch_name(t, &name, attr);
	if (!r && !fd_is_virtual(t, fd))
		return cow_fd_change(t, fd, &r, removexattr, EPERM, name.text) || r ? r : real_call(t, __NR_fremovexattr, fd, attr);
	if (!r && cow_fd_over(t, fd) && (cow_fd_change(t, fd, &r, removexattr, EPERM, name.text) || r))
		return r;
	f = r ? NULL : hold(t, fd, &r);
	if (!f)
		return r;
	r = file_removexattr(t, f, name.text);
	file_put(f);
	return r;
}
