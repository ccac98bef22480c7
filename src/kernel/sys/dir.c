/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories: making and removing names, reading, and the working directory.
 */
#include "calls.h"
#include "../cow.h"
#include "../merge.h"
#include "../fs/dirents.h"
#include "../fs/proc.h"
#include "../path_walk.h"
#include <asm/statfs.h>
#include <linux/magic.h>

/*
 * "a/." and "a/.." are no names that can be made or removed.  The kernel sees that itself where it gets
 * the guest's own path; the resolver's canonical ones do not show it any more.
 */
static long making_verdict(const struct where *w)
{
	return !w->fast && w->last != LAST_NAME ? -EEXIST : 0;
}

static long removing_verdict(const struct where *w, int flags)
{
	if (w->fast || w->last == LAST_NAME)
		return 0;
	if (!(flags & AT_REMOVEDIR))
		return -EISDIR;
	return w->last == LAST_DOT ? -EINVAL : w->last == LAST_DOTDOT ? -ENOTEMPTY : -EBUSY;
}

long sys_mkdirat(struct task *t, int dfd, gaddr name, unsigned mode)
{
	struct where w;
	long r = where_begin(&w, t, dfd, name, WHERE_ENTRY | WHERE_CREATE | WHERE_CHANGE);

	while (where_next(&w, &r)) {
		r = making_verdict(&w);
		if (!r)
			r = place_change(&w, CHANGE_DIR, mkdir, EPERM, mode);
	}
	return where_end(&w, r);
}

/* Who may make devices is the kernel's or the server's to say; what cannot be made at all, ours. */
long sys_mknodat(struct task *t, int dfd, gaddr name, unsigned mode, unsigned dev)
{
	unsigned type = mode & S_IFMT;
	struct where w;
	long r;

	if (type == S_IFDIR)
		return -EPERM;
	if (type == S_IFLNK || (type && type != S_IFREG && type != S_IFCHR && type != S_IFBLK &&
				type != S_IFIFO && type != S_IFSOCK))
		return -EINVAL;
	r = where_begin(&w, t, dfd, name, WHERE_ENTRY | WHERE_CREATE | WHERE_CHANGE);
	while (where_next(&w, &r)) {
		r = making_verdict(&w);
		if (!r)
			r = place_change(&w, CHANGE_NEW, mknod, EPERM, type ? mode : mode | S_IFREG, dev);
	}
	return where_end(&w, r);
}

long sys_unlinkat(struct task *t, int dfd, gaddr name, int flags)
{
	struct where w;
	long r;

	if (flags & ~AT_REMOVEDIR)
		return -EINVAL;
	r = where_begin(&w, t, dfd, name, WHERE_ENTRY | WHERE_CHANGE);
	while (where_next(&w, &r)) {
		r = removing_verdict(&w, flags);
		if (!r)
			r = place_change(&w, CHANGE_NAME, unlink, EPERM, flags);
	}
	return where_end(&w, r);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

static long real_getdents(struct task *t, long nr, int fd, gaddr buf, unsigned count)
{
	long n, kept;

	do {
		n = real_call(t, nr, fd, buf, count);
		if (n <= 0)
			return n;
		kept = proc_filter_dirents(t, fd, buf, n, nr == __NR_getdents);
		if (kept && view_hides())
			kept = dirents_hide_real(t, fd, buf, kept, nr == __NR_getdents);
	} while (!kept);	/* nothing left is not the end of the directory */
	return kept;
}

static long virtual_getdents(struct task *t, int fd, gaddr buf, unsigned count, bool legacy)
{
	struct file *f = fd_hold(t, fd);
	long r;

	if (!f)
		return -EBADF;
	do
		r = file_readdir(t, f, buf, count, legacy);
	while (r > 0 && view_hides() && !(r = dirents_hide(t, f, buf, r, legacy)));
	file_put(f);
	return r;
}

static inline long any_getdents(struct task *t, int fd, gaddr dirent, unsigned count, bool legacy)
{
	long r = 0;

	if (merge_getdents(t, fd, dirent, count, legacy, &r))
		return r;
	if (cow_getdents(t, fd, dirent, count, legacy, &r))
		return r;
	if (fd_is_virtual(t, fd))
		return virtual_getdents(t, fd, dirent, count, legacy);
	return real_getdents(t, legacy ? __NR_getdents : __NR_getdents64, fd, dirent, count);
}

long sys_getdents64(struct task *t, int fd, gaddr dirent, unsigned count)
{
	return any_getdents(t, fd, dirent, count, false);
}

long sys_getdents(struct task *t, int fd, gaddr dirent, unsigned count)
{
	return any_getdents(t, fd, dirent, count, true);
}

/* ---- the working directory -------------------------------------------------------------------------- */

long sys_chdir(struct task *t, gaddr name)
{
	struct where w;
	long r = where_begin(&w, t, AT_FDCWD, name, WHERE_VERIFY);

	while (where_next(&w, &r)) {
		r = w.strict ? perm_enter(&w) : 0;
		if (!r)
			r = place_call(&w, chdir, ENOTDIR);
	}
	return where_end(&w, r);
}

long sys_fchdir(struct task *t, int fd)
{
	struct file *f;
	long r;

	if (!fd_is_virtual(t, fd)) {
		r = perm_fd_enter(t, fd);
		if (!r)
			r = real_call(t, __NR_fchdir, fd);
		if (!r)
			fsinfo_moved_to(t, fd);
		return r;
	}
	f = fd_hold(t, fd);
	if (!f)
		return -EBADF;
	r = remote_enter(t, f);
	file_put(f);
	return r;
}

/* A real cwd: the kernel says where it is now, or that it has been removed. */
static long real_cwd(struct task *t, char *path, size_t size)
{
	uint32_t bound, bind = base_bind(t, AT_FDCWD, &bound);
	long n = raw_syscall(__NR_getcwd, path, size);
	bool copied;

	return n <= 0 ? n : path_from_kernel(t, bind, bound, path, n - 1, size, &copied);
}

#define UNREACHABLE "(unreachable)"

long sys_getcwd(struct task *t, gaddr buf, size_t size)
{
	char path[UM_PATH_MAX + sizeof UNREACHABLE];
	long len;

	if (!t->fs->cwd && !t->fs->cwd_bind && !t->fs->root && !view_has(UM_MOUNT_COW))
		return kernel_call(t, __NR_getcwd, buf, size);
	len = t->fs->cwd ? path_of_cwd(t, path, UM_PATH_MAX) : real_cwd(t, path, UM_PATH_MAX);
	if (len < 0)
		return len;
	if (path_is_outside(t, path, (size_t)len)) {
		memmove(path + sizeof UNREACHABLE - 1, path, (size_t)len + 1);
		memcpy(path, UNREACHABLE, sizeof UNREACHABLE - 1);
		len += (long)sizeof UNREACHABLE - 1;
	} else {
		len = (long)path_strip_root(t, path, (size_t)len);
	}
	if ((size_t)len + 1 > size)
		return -ERANGE;
	return copy_to_guest(t, buf, path, (size_t)len + 1) ? -EFAULT : len + 1;
}

/* Without privilege, since nothing but the guest's view of paths changes (path_root.c). */
long sys_chroot(struct task *t, gaddr name)
{
	char path[UM_PATH_MAX];
	long n = string_from_guest(t, path, name, sizeof path);

	if (n <= 0)
		return n ? n : -ENOENT;
	n = perm_capable(t, CRED_SYS_CHROOT);
	return n ? n : path_set_root(t, path);
}
