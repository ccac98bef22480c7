/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mincow_fs: places in a copy-on-write mount of the kind `mincow`, of which nothing is in the session's tree.
 *
 * An operation is made below, where the kernel permits it, and only what it refuses for want of permission (EACCES, EPERM,
 * EROFS) is made as in any copy-on-write mount.  What is in the tree, or was removed there, is never looked for below
 * again: such places have cow_fs at once, and so has a call on two names as soon as one of them is such a place.
 */
#include "cow.h"
#include "real.h"
#include <linux/fs.h>

static bool refused(long r)
{
	return r == -EACCES || r == -EPERM || r == -EROFS;
}

/* The canonical path has lost the slash that the guest wrote at its end; the kernel is to see it. */
static void end_with(struct where *w, bool slash)
{
	if (!w->trailing)
		return;
	if (slash)
		w->path[w->len++] = '/';
	else
		w->len--;
	w->path[w->len] = 0;
}

#define below(w, verb, ...) ({ \
	struct where *w_ = (w); \
	long r_; \
	end_with(w_, true); \
	r_ = real_fs.verb(w_, ##__VA_ARGS__); \
	end_with(w_, false); \
	r_; })

#define first_below(w, verb, ...) ({ \
	long r__ = below(w, verb, ##__VA_ARGS__); \
	refused(r__) ? cow_fs.verb((w), ##__VA_ARGS__) : r__; })

static long mincow_open(struct where *w, int flags, unsigned mode)
{
	return first_below(w, open, flags, mode);
}

static long mincow_access(struct where *w, int mode, int flags)
{
	return first_below(w, access, mode, flags);
}

static long mincow_mkdir(struct where *w, unsigned mode)
{
	return first_below(w, mkdir, mode);
}

static long mincow_mknod(struct where *w, unsigned mode, unsigned dev)
{
	return first_below(w, mknod, mode, dev);
}

static long mincow_unlink(struct where *w, int flags)
{
	return first_below(w, unlink, flags);
}

static long mincow_symlink(struct where *w, const char *target)
{
	return first_below(w, symlink, target);
}

/* Called for the new name. */
static long mincow_link(struct where *from, struct where *to, int flags)
{
	bool no_name = !from->cow;	/* O_TMPFILE: below, or in the tree */
	long r = -EPERM;

	if ((no_name || from->fs == &mincow_fs) && to->fs == &mincow_fs) {
		end_with(to, true);
		r = no_name ? real_fs.link(from, to, flags) : below(from, link, to, flags);
		end_with(to, false);
	}
	return refused(r) || (no_name && r == -EXDEV) ? cow_fs.link(from, to, flags) : r;
}

static long mincow_rename(struct where *from, struct where *to, unsigned flags)
{
	long r = -EPERM;

	if (flags & RENAME_WHITEOUT)
		return -EINVAL;		/* as in the tree */
	if (to->fs == &mincow_fs) {
		end_with(to, true);
		r = below(from, rename, to, flags);
		end_with(to, false);
	}
	return refused(r) ? cow_fs.rename(from, to, flags) : r;
}

static long mincow_chmod(struct where *w, unsigned mode, int flags)
{
	return first_below(w, chmod, mode, flags);
}

static long mincow_chown(struct where *w, unsigned uid, unsigned gid)
{
	return first_below(w, chown, uid, gid);
}

static long mincow_utimens(struct where *w, const struct timespec64 *ts)
{
	return first_below(w, utimens, ts);
}

static long mincow_truncate(struct where *w, uint64_t size)
{
	return first_below(w, truncate, size);
}

static long mincow_setxattr(struct where *w, const char *name, gaddr buf, size_t size, int flags)
{
	return first_below(w, setxattr, name, buf, size, flags);
}

static long mincow_removexattr(struct where *w, const char *name)
{
	return first_below(w, removexattr, name);
}

const struct fs_ops mincow_fs = {
	.name = "mincow",
	.open = mincow_open,
	.access = mincow_access,
	.mkdir = mincow_mkdir,
	.mknod = mincow_mknod,
	.unlink = mincow_unlink,
	.symlink = mincow_symlink,
	.link = mincow_link,
	.rename = mincow_rename,
	.chmod = mincow_chmod,
	.chown = mincow_chown,
	.utimens = mincow_utimens,
	.truncate = mincow_truncate,
	.setxattr = mincow_setxattr,
	.removexattr = mincow_removexattr,
};
