/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories: making and removing names, reading, and the working directory.
 */
#include "calls.h"
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
	long r = where_begin(&w, t, dfd, name, WHERE_ENTRY | WHERE_CREATE);

	while (where_next(&w, &r)) {
		r = making_verdict(&w);
		if (!r)
			r = place_call(&w, mkdir, EPERM, mode);
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
	r = where_begin(&w, t, dfd, name, WHERE_ENTRY | WHERE_CREATE);
	while (where_next(&w, &r)) {
		r = making_verdict(&w);
		if (!r)
			r = place_call(&w, mknod, EPERM, type ? mode : mode | S_IFREG, dev);
	}
	return where_end(&w, r);
}

long sys_unlinkat(struct task *t, int dfd, gaddr name, int flags)
{
	struct where w;
	long r;

	if (flags & ~AT_REMOVEDIR)
		return -EINVAL;
	r = where_begin(&w, t, dfd, name, WHERE_ENTRY);
	while (where_next(&w, &r)) {
		r = removing_verdict(&w, flags);
		if (!r)
			r = place_call(&w, unlink, EPERM, flags);
	}
	return where_end(&w, r);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

/* Is fd a directory /proc/PID/fd, /proc/PID/fdinfo or /proc/PID/task/TID/fd...? */
static bool lists_descriptors(struct task *t, int fd)
{
	char name[40], path[128];
	const char *last;
	long n;

	(void)t;
	text_format(name, sizeof name, "/proc/self/fd/%d", fd);
	n = raw_syscall(__NR_readlinkat, AT_FDCWD, name, path, sizeof path - 1);
	if (n <= 0 || strncmp(path, "/proc/", 6))
		return false;
	path[n] = 0;
	last = strrchr(path, '/');
	return !strcmp(last, "/fd") || !strcmp(last, "/fdinfo");
}

/* A record of getdents (name at 18) or getdents64 (at 19) that names one of the agent's descriptors. */
static bool names_ours(const uint8_t *record, size_t name_at)
{
	const char *name = (const char *)record + name_at, *end = name;
	long number = text_number(&end);

	return number >= 0 && !*end && fd_is_ours((int)number);
}

/* Takes the agent's descriptors out of n bytes of records in guest memory.  Returns what is left. */
static long drop_ours(struct task *t, gaddr buf, long n, size_t name_at)
{
	long kept = 0;
	uint8_t record[64];

	for (long at = 0; at < n; ) {
		uint16_t reclen;

		if (copy_from_guest(t, &reclen, buf + (gaddr)at + 16, sizeof reclen) || !reclen)
			return n;
		if (reclen <= sizeof record) {
			if (copy_from_guest(t, record, buf + (gaddr)at, reclen))
				return n;
			record[reclen - 1] = name_at == 19 ? 0 : record[reclen - 1];
			if (!names_ours(record, name_at)) {
				if (kept != at && copy_to_guest(t, buf + (gaddr)kept, record, reclen))
					return n;
				kept += reclen;
			}
		} else {
			return n;		/* no number is that long */
		}
		at += reclen;
	}
	return kept;
}

/*
 * After getdents on a real directory: does this look like a list of descriptors?  Its third record (or
 * the first, later on) is a link or file with a number for a name.  Only then is the path looked at.
 */
static bool looks_like_descriptors(struct task *t, gaddr buf, long n, bool legacy)
{
	uint8_t head[96];
	size_t size = (size_t)n < sizeof head ? (size_t)n : sizeof head, at = 0, name_at = legacy ? 18 : 19;

	if (copy_from_guest(t, head, buf, size))
		return false;
	while (at + 24 <= size) {
		uint16_t reclen;

		memcpy(&reclen, head + at + 16, sizeof reclen);
		if (head[at + name_at] != '.')
			return head[at + name_at] >= '0' && head[at + name_at] <= '9' && reclen == 24;
		at += reclen;
	}
	return false;
}

static long real_getdents(struct task *t, long nr, int fd, gaddr buf, unsigned count)
{
	bool legacy = nr == __NR_getdents;
	long n;

	do {
		n = real_call(t, nr, fd, buf, count);
		if (n <= 0 || !looks_like_descriptors(t, buf, n, legacy) || !lists_descriptors(t, fd))
			return n;
		n = drop_ours(t, buf, n, legacy ? 18 : 19);
	} while (!n);		/* nothing left is not the end of the directory */
	return n;
}

static long virtual_getdents(struct task *t, int fd, gaddr buf, unsigned count, bool legacy)
{
	struct file *f = fd_hold(t, fd);
	long r;

	if (!f)
		return -EBADF;
	r = file_readdir(t, f, buf, count, legacy);
	file_put(f);
	return r;
}

long sys_getdents64(struct task *t, int fd, gaddr dirent, unsigned count)
{
	if (fd_is_virtual(t, fd))
		return virtual_getdents(t, fd, dirent, count, false);
	return real_getdents(t, __NR_getdents64, fd, dirent, count);
}

long sys_getdents(struct task *t, int fd, gaddr dirent, unsigned count)
{
	if (fd_is_virtual(t, fd))
		return virtual_getdents(t, fd, dirent, count, true);
	return real_getdents(t, __NR_getdents, fd, dirent, count);
}

/* ---- the working directory -------------------------------------------------------------------------- */

long sys_chdir(struct task *t, gaddr name)
{
	struct where w;
	long r = where_begin(&w, t, AT_FDCWD, name, WHERE_VERIFY);

	while (where_next(&w, &r))
		r = place_call(&w, chdir, ENOTDIR);
	return where_end(&w, r);
}

long sys_fchdir(struct task *t, int fd)
{
	struct file *f;
	long r;

	if (!fd_is_virtual(t, fd)) {
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

long sys_getcwd(struct task *t, gaddr buf, size_t size)
{
	char path[UM_PATH_MAX];
	long len;

	if (!t->fs->cwd && !t->fs->cwd_bind)
		return kernel_call(t, __NR_getcwd, buf, size);
	len = path_of_cwd(t, path, sizeof path);
	if (len < 0)
		return len;
	if ((size_t)len + 1 > size)
		return -ERANGE;
	return copy_to_guest(t, buf, path, (size_t)len + 1) ? -EFAULT : len + 1;
}

/*
 * The view's paths are counted from the root of the kernel's name space, so a new root is only possible
 * where nothing is virtual; most callers have no right to it anyway, and hear that from the kernel.
 */
long sys_chroot(struct task *t, gaddr name)
{
	struct where w;
	long r = where_begin(&w, t, AT_FDCWD, name, WHERE_VERIFY);

	while (where_next(&w, &r)) {
		if (w.fs == &real_fs && view_is_empty(t))
			r = kernel_call(t, __NR_chroot, w.upath);
		else
			r = -EPERM;
	}
	return where_end(&w, r);
}
