/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * open and close.  /dev/fuse, faked files of /proc and the like are places with operations of their own
 * (kernel/path.h), so nothing here knows them.
 */
#include "calls.h"
#include "../fs/real.h"
#include <linux/close_range.h>

#define HOW_FLAGS	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | \
			 O_DIRECT | O_LARGEFILE | O_NOATIME | O_TMPFILE | FASYNC | O_PATH | O_NOFOLLOW | O_CLOEXEC)
#define HOW_RESOLVE	(RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | \
			 RESOLVE_IN_ROOT | RESOLVE_CACHED)

static unsigned open_where(uint64_t flags)
{
	bool creates = flags & O_CREAT && !(flags & O_PATH);
	bool nofollow = flags & O_NOFOLLOW || (creates && flags & O_EXCL);

	return (nofollow ? WHERE_NOFOLLOW : 0) | (creates ? WHERE_CREATE : 0);
}

long sys_openat(struct task *t, int dfd, gaddr name, int flags, unsigned mode)
{
	struct where w;
	long r = where_begin(&w, t, dfd, name, open_where((unsigned)flags));

	while (where_next(&w, &r))
		r = place_call(&w, open, EACCES, flags, mode);
	return where_end(&w, r);
}

/* ---- openat2 ---------------------------------------------------------------------------------------- */

/* As the kernel's copy_struct_from_user: what a newer caller adds must be zero. */
static long fetch_how(struct task *t, struct open_how *how, gaddr from, size_t size)
{
	uint8_t extra[64];

	if (size < sizeof *how)
		return -EINVAL;
	if (size > 4096)
		return -E2BIG;
	if (copy_from_guest(t, how, from, sizeof *how))
		return -EFAULT;
	for (size_t at = sizeof *how; at < size; ) {
		size_t n = size - at < sizeof extra ? size - at : sizeof extra;

		if (copy_from_guest(t, extra, from + at, n))
			return -EFAULT;
		for (size_t i = 0; i < n; i++)
			if (extra[i])
				return -E2BIG;
		at += n;
	}
	return 0;
}

static long check_how(const struct open_how *how)
{
	bool makes = how->flags & O_CREAT || (how->flags & O_TMPFILE) == O_TMPFILE;

	if (how->flags & ~(uint64_t)(unsigned)HOW_FLAGS || how->resolve & ~(uint64_t)HOW_RESOLVE)
		return -EINVAL;
	if (how->mode & ~(uint64_t)(makes ? 07777 : 0))
		return -EINVAL;
	if (how->resolve & RESOLVE_BENEATH && how->resolve & RESOLVE_IN_ROOT)
		return -EINVAL;
	if (how->flags & O_PATH && how->flags & ~(uint64_t)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
		return -EINVAL;
	return 0;
}

/* Does a guest's path contain ".." or start at the root?  (Unreadable: the resolver will say so.) */
static bool leaves_base(struct task *t, gaddr name)
{
	char path[UM_PATH_MAX];
	long len = string_from_guest(t, path, name, sizeof path);
	const char *p = path;

	if (len <= 0 || *p == '/')
		return true;
	while (p && *p) {
		if (p[0] == '.' && p[1] == '.' && (!p[2] || p[2] == '/'))
			return true;
		p = strchr(p, '/');
		p += p != NULL;
	}
	return false;
}

/*
 * The resolve flags where the path leads into a mount.  The resolver does not walk under restrictions,
 * so they are tested on what it did: links were followed or not, the mount is that of dfd or not.  What
 * cannot be shown to be harmless gets the error of a path that breaks the rule; a cached lookup (only
 * an attempt by its nature) gets EAGAIN, on which callers try again without it.
 */
static long remote_verdict(const struct where *w, int dfd, gaddr name, uint64_t resolve)
{
	const struct file *base = dfd >= 0 ? fd_peek(w->t, dfd) : dfd == AT_FDCWD ? w->t->fs->cwd : NULL;
	bool same_mount = base && base->mount == w->mount.id;

	if (resolve & RESOLVE_CACHED)
		return -EAGAIN;
	if (resolve & (RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS) && w->links)
		return -ELOOP;
	if (resolve & RESOLVE_NO_XDEV && !same_mount)
		return -EXDEV;
	if (resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) && (w->links || leaves_base(w->t, name)))
		return -EXDEV;
	return 0;
}

/*
 * And where it does not.  A path that the resolver has rewritten hides from the kernel what must be
 * tested, so the guest's own goes to it then; the resolver's result was real without a bind mount, hence both
 * mean the same file.
 */
static long real_how(struct where *w, int dfd, gaddr name, const struct open_how *how)
{
	long r;

	if (w->upath == name)
		return real_openat2(w, how);
	if (how->resolve & RESOLVE_NO_SYMLINKS && w->links)
		return -ELOOP;
	if (!(how->resolve & (RESOLVE_NO_XDEV | RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)))
		return real_openat2(w, how);
	if (w->bind || fd_is_virtual(w->t, dfd) || (dfd == AT_FDCWD && w->t->fs->cwd))
		return -EXDEV;
	r = real_check_link(w);
	return r ? r : kernel_call(w->t, __NR_openat2, dfd, name, how, sizeof *how);
}

long sys_openat2(struct task *t, int dfd, gaddr name, gaddr how_at, size_t size)
{
	struct open_how how;
	struct where w;
	long r = fetch_how(t, &how, how_at, size);

	if (!r)
		r = check_how(&how);
	if (r)
		return r;
	r = where_begin(&w, t, dfd, name, open_where(how.flags) |
			(how.resolve & RESOLVE_NO_SYMLINKS ? WHERE_NOFOLLOW : 0));
	while (where_next(&w, &r)) {
		if (w.fs == &real_fs) {
			r = real_how(&w, dfd, name, &how);
			continue;
		}
		r = w.fs == &remote_fs ? remote_verdict(&w, dfd, name, how.resolve) : 0;
		if (!r)
			r = place_call(&w, open, EACCES, (int)how.flags, (unsigned)how.mode);
	}
	return where_end(&w, r);
}

/* ---- close ------------------------------------------------------------------------------------------ */

/*
 * The entry goes first: as long as the carrier is open the kernel gives its number to nobody else, so the
 * entry of another thread's new file cannot be hit.
 */
long close_virtual(struct task *t, int fd)
{
	struct file *f = fd_remove(t, fd);

	if (!f)
		return -EBADF;
	raw_syscall(__NR_close, fd);
	return remote_close(t, f);
}

long sys_close(struct task *t, int fd)
{
	if (fd_is_virtual(t, fd))
		return close_virtual(t, fd);
	fd_forget_hint(t, fd);
	return real_call(t, __NR_close, fd);
}

/* ---- close_range ------------------------------------------------------------------------------------ */

#define OURS_BELOW	1024u		/* the agent's descriptors are below this */

/* The kernel's close_range on what is not the agent's own. */
static long close_real_range(struct task *t, unsigned first, unsigned last, unsigned flags)
{
	long r = 0;
	unsigned from = first;

	for (unsigned fd = first; !r && fd <= last && fd < OURS_BELOW; fd++) {
		if (!fd_is_ours((int)fd))
			continue;
		if (fd > from)
			r = kernel_call(t, __NR_close_range, from, fd - 1, flags);
		from = fd + 1;
	}
	if (!r && from <= last)
		r = kernel_call(t, __NR_close_range, from, last, flags);
	return r;
}

static void close_virtual_range(struct task *t, unsigned first, unsigned last)
{
	unsigned size = (unsigned)__atomic_load_n(&t->files->size, __ATOMIC_ACQUIRE);

	for (unsigned fd = first; fd <= last && fd < size; fd++)
		if (fd_peek(t, (int)fd))
			close_virtual(t, (int)fd);
}

/* A table of descriptors of our own, in the kernel and here. */
static long unshare_files(struct task *t)
{
	struct files *own = files_copy(t->files);
	long r;

	if (!own)
		return -ENOMEM;
	r = raw_syscall(__NR_unshare, 0x400 /* CLONE_FILES */);
	if (r) {
		files_put(own);
		return r;
	}
	files_put(t->files);
	t->files = own;
	return 0;
}

long sys_close_range(struct task *t, unsigned first, unsigned last, unsigned flags)
{
	long r = 0;

	if (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last)
		return -EINVAL;
	if (flags & CLOSE_RANGE_UNSHARE)
		r = unshare_files(t);
	if (r)
		return r;
	flags &= ~CLOSE_RANGE_UNSHARE;
	if (flags & CLOSE_RANGE_CLOEXEC)
		return close_real_range(t, first, last, flags);
	close_virtual_range(t, first, last);
	for (unsigned fd = first; fd <= last && fd < (unsigned)t->files->nhints; fd++)
		fd_forget_hint(t, (int)fd);
	return close_real_range(t, first, last, flags);
}
