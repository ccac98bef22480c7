/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * real_fs: places that are the kernel's.  Each operation is the guest's call, on the path that the resolver
 * found; most often that is the guest's own pointer.
 *
 * On the fast way (w->fast) nobody has looked at the last name yet.  It may be a link, and where that
 * leads is the resolver's business (it might be into a mount), so a call that would follow it must
 * not: it is made in its NOFOLLOW form, and if it shows a link the answer is -UM_EAGAIN.  Calls without
 * such a form ask readlinkat first, the cheapest way to see a link.
 *
 * After a call that can make a link or directory appear under another name, the prefixes that processes
 * remember as plain must die: view_links_changed().  A new link, a renamed or exchanged directory
 * or link, a second name of a link do that; new directories and everything about files do not, since a
 * remembered prefix consists of directories only and says nothing about names that were not there.
 */
#include "ident.h"
#include "real.h"
#include "../cow.h"
#include "sysnr.h"
#include <linux/fs.h>

static bool must_follow(const struct where *w)
{
	return w->fast && !(w->flags & WHERE_NOFOLLOW);
}

/* AT_* for calls that can be told not to follow. */
static int at_flags(const struct where *w)
{
	return (w->fast || w->flags & WHERE_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0) |
	       (w->flags & WHERE_EMPTY ? AT_EMPTY_PATH : 0);
}

/* The same for who has an identity. */
static struct target target(struct where *w)
{
	return (struct target){ w->t, w->dfd, w->upath, at_flags(w), w->flags & WHERE_STAT ? w : NULL };
}

long real_check_link(struct where *w)
{
	char first;
	long r;

	if (!must_follow(w))
		return 0;
	r = kernel_call(w->t, __NR_readlinkat, w->dfd, w->upath, &first, 1);
	if (r >= 0)
		return -UM_EAGAIN;
	if (r == -EINVAL)
		where_no_link(w);
	return r == -UM_ERESTART ? r : 0;	/* the call itself says what else is wrong */
}

/* ---- attributes ------------------------------------------------------------------------------------- */

/* The guest's buffer is bad; but a link is looked through first. */
static long fault_of(struct where *w)
{
	long r = real_check_link(w);

	return r ? r : -EFAULT;
}

static long real_stat(struct where *w, gaddr buf)
{
	struct target g = target(w);
	unsigned mode;
	long r;

	if (shows_other(w->t))
		return ident_stat(&g, must_follow(w), buf);
	r = kernel_call(w->t, __NR_newfstatat, w->dfd, w->upath, buf, at_flags(w));
	if (r || !must_follow(w))
		return r == -EFAULT ? fault_of(w) : r;
	if (copy_from_guest(w->t, &mode, buf + offsetof(struct stat, st_mode), sizeof mode))
		return -EFAULT;
	return S_ISLNK(mode) ? -UM_EAGAIN : 0;
}

static long real_statx(struct where *w, int flags, unsigned mask, gaddr buf)
{
	struct target g = target(w);
	uint16_t mode;
	long r;

	if (shows_other(w->t))
		return ident_statx(&g, must_follow(w), flags, mask, buf);
	if (must_follow(w))
		mask |= STATX_TYPE;
	r = kernel_call(w->t, __NR_statx, w->dfd, w->upath, flags | at_flags(w), mask, buf);
	if (r || !must_follow(w))
		return r == -EFAULT ? fault_of(w) : r;
	if (copy_from_guest(w->t, &mode, buf + offsetof(struct statx, stx_mode), sizeof mode))
		return -EFAULT;
	return S_ISLNK(mode) ? -UM_EAGAIN : 0;
}

static long real_statfs(struct where *w, gaddr buf)
{
	long r = real_check_link(w);

	return r ? r : kernel_call(w->t, __NR_statfs, w->upath, buf);
}

/* A link seems to permit everything, so only success has to be looked at twice. */
static long real_access(struct where *w, int mode, int flags)
{
	long r = kernel_call(w->t, __NR_faccessat2, w->dfd, w->upath, mode, flags | at_flags(w));

	if (r == -ENOSYS && !(flags | (w->flags & (WHERE_EMPTY | WHERE_NOFOLLOW)))) {
		r = real_check_link(w);
		return r ? r : kernel_call(w->t, __NR_faccessat, w->dfd, w->upath, mode);
	}
	return r ? r : real_check_link(w);
}

/* fchmodat2 came with Linux 6.6; on a link it says EOPNOTSUPP. */
static long real_chmod(struct where *w, unsigned mode, int flags)
{
	struct target g = target(w);
	long r;

	if (has_identity(w->t))
		return ident_chmod(&g, must_follow(w), mode);
	if (!at_flags(w))
		return kernel_call(w->t, __NR_fchmodat, w->dfd, w->upath, mode);
	r = kernel_call(w->t, UM_NR_fchmodat2, w->dfd, w->upath, mode, flags | at_flags(w));
	if (!must_follow(w))
		return r;
	if (r == -EOPNOTSUPP)
		return -UM_EAGAIN;
	if (r != -ENOSYS)
		return r;
	r = real_check_link(w);
	return r ? r : kernel_call(w->t, __NR_fchmodat, w->dfd, w->upath, mode);
}

static long real_chown(struct where *w, unsigned uid, unsigned gid)
{
	struct target g = target(w);
	long r;

	if (has_identity(w->t))
		return ident_chown(&g, must_follow(w), uid, gid);
	r = real_check_link(w);
	return r ? r : kernel_call(w->t, __NR_fchownat, w->dfd, w->upath, uid, gid, at_flags(w));
}

static long real_utimens(struct where *w, const struct timespec64 *ts)
{
	long r = real_check_link(w);

	return r ? r : kernel_call(w->t, __NR_utimensat, w->dfd, w->upath, ts, at_flags(w));
}

static long real_truncate(struct where *w, uint64_t size)
{
	long r = real_check_link(w);

	return r ? r : kernel_call(w->t, __NR_truncate, w->upath, size);
}

/* ---- open ------------------------------------------------------------------------------------------- */

#define O_OF_PATH	(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define O_KNOWN		(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | \
			 O_SYNC | O_DIRECT | O_LARGEFILE | O_NOATIME | O_TMPFILE | FASYNC | O_OF_PATH)

long real_openat2(struct where *w, const struct open_how *how)
{
	struct open_how own = *how;
	long r;

	if (!must_follow(w) || how->resolve & RESOLVE_NO_SYMLINKS)
		return kernel_call(w->t, __NR_openat2, w->dfd, w->upath, &own, sizeof own);
	own.resolve |= RESOLVE_NO_SYMLINKS;
	r = kernel_call(w->t, __NR_openat2, w->dfd, w->upath, &own, sizeof own);
	return r == -ELOOP ? -UM_EAGAIN : r;
}

/*
 * The fast way uses openat2: O_NOFOLLOW would show in F_GETFL, and with O_PATH it would open the link.
 * openat2 is strict where openat is forgiving, so flags and mode are cleaned as openat does.
 */
struct open_how real_no_link(int flags, unsigned mode)
{
	struct open_how how = { .flags = (unsigned)flags & O_KNOWN, .resolve = RESOLVE_NO_SYMLINKS };

	if (flags & O_PATH)
		how.flags &= O_OF_PATH;
	else if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)
		how.mode = mode & 07777;
	return how;
}

static long open_at(struct where *w, int flags, unsigned mode)
{
	struct open_how how;
	long r;

	if (!must_follow(w))
		return kernel_call(w->t, __NR_openat, w->dfd, w->upath, flags, mode);
	how = real_no_link(flags, mode);
	how.resolve = 0;
	r = real_openat2(w, &how);
	if (r != -ENOSYS)
		return r;
	r = real_check_link(w);		/* a sandbox around us knows no openat2 */
	return r ? r : kernel_call(w->t, __NR_openat, w->dfd, w->upath, flags, mode);
}

static long real_open(struct where *w, int flags, unsigned mode)
{
	long fd = has_identity(w->t) ? ident_open(w, flags, mode, open_at) : open_at(w, flags, mode);

	if (cow_opened_white(w, fd, flags)) {
		raw_syscall(__NR_close, fd);
		return -UM_ERETRY;
	}
	if (fd >= 0 && (w->bind || w->read_only || (w->below_plain && flags & O_DIRECTORY)))
		where_opened(w, (int)fd);
	return fd;
}

/* ---- names ------------------------------------------------------------------------------------------ */

static long real_readlink(struct where *w, gaddr buf, size_t size)
{
	return kernel_call(w->t, __NR_readlinkat, w->dfd, w->upath, buf, size);
}

static long real_mkdir(struct where *w, unsigned mode)
{
	long r = has_identity(w->t) ? ident_mkdir(w, mode) : kernel_call(w->t, __NR_mkdirat, w->dfd, w->upath, mode);

	if (!r && view_has(UM_MOUNT_MERGE))	/* what is in the directory of that name elsewhere, may show in it from now on */
		view_links_changed(w->t);
	return r;
}

static long real_mknod(struct where *w, unsigned mode, unsigned dev)
{
	return has_identity(w->t) ? ident_mknod(w, mode, dev) : kernel_call(w->t, __NR_mknodat, w->dfd, w->upath, mode, dev);
}

/*
 * A real directory with a mount somewhere below it is not empty, even where the mount's point does not
 * really exist.  The fast way knows that there is none.
 */
static bool holds_mounts(struct where *w)
{
	struct mount m;
	size_t len;

	if (w->fast || w->upath != (gaddr)w->path || view_is_empty(w->t))
		return false;
	len = strlen(w->path);
	while (len > 1 && w->path[len - 1] == '/')
		len--;
	return view_lookup(w->t, w->path, len, &m) != VIEW_PLAIN;
}

static long real_unlink(struct where *w, int flags)
{
	struct stat st;
	bool forget;
	long r;

	if (flags & AT_REMOVEDIR && holds_mounts(w))
		return -ENOTEMPTY;
	forget = ident_will_go(w, &st);
	r = kernel_call(w->t, __NR_unlinkat, w->dfd, w->upath, flags);
	if (!r && forget)
		ident_gone(w->t, &st);
	return r;
}

static long real_symlink(struct where *w, const char *target)
{
	long r = kernel_call(w->t, __NR_symlinkat, target, w->dfd, w->upath);

	if (!r)
		view_links_changed(w->t);
	if (!r && has_identity(w->t))
		ident_symlinked(w);
	return r;
}

/* After success: is what now bears this name a link, or (dirs) a directory?  When in doubt, yes. */
static bool moves_prefixes(struct where *w, bool dirs)
{
	struct stat st;

	if (raw_syscall(__NR_newfstatat, w->dfd, w->upath, &st, AT_SYMLINK_NOFOLLOW))
		return true;
	return S_ISLNK(st.st_mode) || (dirs && S_ISDIR(st.st_mode));
}

static long real_link(struct where *from, struct where *to, int flags)
{
	long r = flags & AT_SYMLINK_FOLLOW ? real_check_link(from) : 0;

	if (!r)
		r = kernel_call(from->t, __NR_linkat, from->dfd, from->upath, to->dfd, to->upath, flags);
	if (!r && moves_prefixes(to, false))
		view_links_changed(from->t);
	return r;
}

static long real_rename(struct where *from, struct where *to, unsigned flags)
{
	struct stat st;
	bool forget;
	long r;

	if (holds_mounts(from) || holds_mounts(to))
		return -EBUSY;
	forget = !(flags & RENAME_EXCHANGE) && ident_will_go(to, &st);
	r = kernel_call(from->t, __NR_renameat2, from->dfd, from->upath, to->dfd, to->upath, flags);
	if (r)
		return r;
	if (forget && !ident_stays(to, &st))
		ident_gone(to->t, &st);
	if (moves_prefixes(to, true) || (flags & RENAME_EXCHANGE && moves_prefixes(from, true)))
		view_links_changed(from->t);
	return 0;
}

/* ---- extended attributes ---------------------------------------------------------------------------- */

static bool nofollow(const struct where *w)
{
	return w->flags & WHERE_NOFOLLOW;
}

static long real_getxattr(struct where *w, const char *name, gaddr buf, size_t size)
{
	struct target g = target(w);
	long r = real_check_link(w);

	if (!r)
		r = kernel_call(w->t, nofollow(w) ? __NR_lgetxattr : __NR_getxattr, w->upath, name, buf, size);
	if (r > 0 && size && has_identity(w->t))
		ident_acl_show(&g, name, buf, r);
	return r;
}

static long real_setxattr(struct where *w, const char *name, gaddr buf, size_t size, int flags)
{
	long nr = nofollow(w) ? __NR_lsetxattr : __NR_setxattr, r = real_check_link(w);
	struct target g = target(w);
	struct ident_acl a;

	if (r || !has_identity(w->t))
		return r ? r : kernel_call(w->t, nr, w->upath, name, buf, size, flags);
	r = ident_acl_begin(&g, name, buf, size, &a);
	if (r <= 0)
		return r ? r : kernel_call(w->t, nr, w->upath, name, buf, size, flags);
	r = kernel_call(w->t, nr, w->upath, name, &a.acl, size, flags);
	if (!r)
		ident_acl_end(&g, &a);
	return r;
}

static long real_listxattr(struct where *w, gaddr buf, size_t size)
{
	long r = real_check_link(w);

	return r ? r : kernel_call(w->t, nofollow(w) ? __NR_llistxattr : __NR_listxattr,
				   w->upath, buf, size);
}

static long real_removexattr(struct where *w, const char *name)
{
	long r = real_check_link(w);

	return r ? r : kernel_call(w->t, nofollow(w) ? __NR_lremovexattr : __NR_removexattr,
				   w->upath, name);
}

static long real_chdir(struct where *w)
{
	long r = real_check_link(w);

	if (!r)
		r = kernel_call(w->t, __NR_chdir, w->upath);
	if (!r)
		fsinfo_moved(w->t, w);
	return r;
}

const struct fs_ops real_fs = {
	.name = "real",
	.statx = real_statx,
	.stat = real_stat,
	.open = real_open,
	.access = real_access,
	.readlink = real_readlink,
	.mkdir = real_mkdir,
	.mknod = real_mknod,
	.unlink = real_unlink,
	.symlink = real_symlink,
	.link = real_link,
	.rename = real_rename,
	.chmod = real_chmod,
	.chown = real_chown,
	.utimens = real_utimens,
	.truncate = real_truncate,
	.statfs = real_statfs,
	.getxattr = real_getxattr,
	.setxattr = real_setxattr,
	.listxattr = real_listxattr,
	.removexattr = real_removexattr,
	.chdir = real_chdir,
};
