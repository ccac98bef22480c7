/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attributes of files in mounted file systems: stat, chmod, chown, times, size, statfs, access and
 * extended attributes.  Each exists twice for the guest, by name and by descriptor; here both are one
 * function about a `struct target`.
 */
#include "../cow.h"
#include "remote.h"
#include <asm/statfs.h>
#include <linux/fuse.h>
#include <linux/limits.h>

#define UM_NSEC_NOW	0x3fffffffl		/* UTIME_NOW, UTIME_OMIT of utimensat(2) */
#define UM_NSEC_OMIT	0x3ffffffel
#define FUSE_DEV_RDEV	(10u << 8 | 229u)	/* /dev/fuse: character device 10, 229 */

struct target {
	struct task *t;
	struct where *w;	/* a place, or */
	const struct file *f;	/* an open file */
};
#define PLACE(w)	((struct target){ (w)->t, (w), NULL })
#define OPENED(t, f)	((struct target){ (t), NULL, (f) })

static struct um_slot *target_begin(struct target at, uint32_t op, long *error)
{
	return at.w ? remote_begin(at.w, op, error) : file_begin(at.t, at.f, op, error);
}

static long target_call(struct target at, struct um_slot *s)
{
	return at.w ? remote_call(at.w, s) : file_call(at.t, at.f, s);
}

/* Our own open /dev/fuse, by descriptor or through AT_EMPTY_PATH. */
static bool target_is_device(struct target at)
{
	const struct file *f = at.w ? at.w->file : at.f;

	return f && f->kind == FILE_FUSE_DEVICE;
}

/* ---- stat ------------------------------------------------------------------------------------------- */

static uint64_t encode_dev(uint32_t minor)
{
	return (minor & 0xff) | (uint64_t)(minor & ~0xffu) << 12;
}

void attr_to_stat(const struct um_attr *a, uint32_t dev_minor, struct stat *st)
{
	memset(st, 0, sizeof *st);
	st->st_dev = encode_dev(dev_minor);
	st->st_ino = a->ino;
	st->st_nlink = a->nlink;
	st->st_mode = a->mode;
	st->st_uid = a->uid;
	st->st_gid = a->gid;
	st->st_rdev = a->rdev;
	st->st_size = (long)a->size;
	st->st_blksize = a->blksize ? a->blksize : 4096;
	st->st_blocks = (long)a->blocks;
	st->st_atime = (unsigned long)a->atime;
	st->st_atime_nsec = a->atimensec;
	st->st_mtime = (unsigned long)a->mtime;
	st->st_mtime_nsec = a->mtimensec;
	st->st_ctime = (unsigned long)a->ctime;
	st->st_ctime_nsec = a->ctimensec;
}

void attr_to_statx(const struct um_attr *a, uint32_t dev_minor, struct statx *sx)
{
	memset(sx, 0, sizeof *sx);
	sx->stx_mask = STATX_BASIC_STATS;
	sx->stx_blksize = a->blksize ? a->blksize : 4096;
	sx->stx_nlink = a->nlink;
	sx->stx_uid = a->uid;
	sx->stx_gid = a->gid;
	sx->stx_mode = (uint16_t)a->mode;
	sx->stx_ino = a->ino;
	sx->stx_size = a->size;
	sx->stx_blocks = a->blocks;
	sx->stx_atime.tv_sec = a->atime;
	sx->stx_atime.tv_nsec = a->atimensec;
	sx->stx_mtime.tv_sec = a->mtime;
	sx->stx_mtime.tv_nsec = a->mtimensec;
	sx->stx_ctime.tv_sec = a->ctime;
	sx->stx_ctime.tv_nsec = a->ctimensec;
	sx->stx_rdev_major = a->rdev >> 8 & 0xfff;
	sx->stx_rdev_minor = (a->rdev & 0xff) | (a->rdev >> 12 & 0xfff00);
	sx->stx_dev_minor = dev_minor;
}

/* What dcache_attr() wants to know of it; an open file that is no server's: node 0. */
struct known { uint32_t server; uint64_t node; const char *path; uint32_t walk; };

static struct known target_node(struct target at)
{
	const struct where *w = at.w;
	const struct file *f = w ? w->file : at.f;

	if (!f)
		return (struct known){ w->mount.server, w->node, w->path + w->rest, w->walk };
	return (struct known){ f->server, f->kind == FILE_REMOTE ? f->node : 0, "", 0 };
}

/* What need not be asked for: as dcache_attr(). */
static int target_known(struct target at, struct um_attr *a)
{
	const struct known k = target_node(at);

	return dcache_attr(at.t, k.server, k.node, k.path, k.walk, a);
}

static long target_attr(struct target at, struct um_attr *a)
{
	long r;
	struct um_slot *s;

	if (target_is_device(at)) {
		*a = (struct um_attr){ .ino = 1, .mode = S_IFCHR | 0666, .nlink = 1, .rdev = FUSE_DEV_RDEV };
		return 0;
	}
	r = target_known(at, a);
	if (r)
		return r > 0 ? 0 : r;
	s = target_begin(at, UM_OP_STAT, &r);
	if (!s)
		return r;
	r = target_call(at, s);
	if (!r)
		*a = s->rep.attr;
	return r;
}

static uint32_t target_dev(struct target at)
{
	struct mount m;

	if (at.w && !at.w->file)
		return at.w->mount.dev_minor;
	if (!view_mount_by_id(at.t, at.w ? at.w->file->mount : at.f->mount, &m, NULL, 0))
		return m.dev_minor;
	return 0;		/* the device itself, or unmounted while open */
}

static long target_look(struct target at, struct stat *st)
{
	struct um_attr a;
	long r = target_attr(at, &a);

	if (!r)
		attr_to_stat(&a, target_dev(at), st);
	return r;
}

static long target_stat(struct target at, gaddr buf)
{
	struct stat st;
	long r = target_look(at, &st);

	if (r)
		return r;
	cow_show(at.t, &st);	/* how many names there are, where some are removed or changed in a session */
	return copy_to_guest(at.t, buf, &st, sizeof st);
}

static long target_statx(struct target at, gaddr buf)
{
	struct um_attr a;
	struct statx sx;
	struct stat st;
	long r = target_attr(at, &a);

	if (r)
		return r;
	attr_to_stat(&a, target_dev(at), &st);
	attr_to_statx(&a, target_dev(at), &sx);
	cow_show(at.t, &st);
	sx.stx_nlink = (uint32_t)st.st_nlink;
	sx.stx_attributes_mask = STATX_ATTR_MOUNT_ROOT;
	if (at.w && remote_is_root(at.w))
		sx.stx_attributes = STATX_ATTR_MOUNT_ROOT;
	return copy_to_guest(at.t, buf, &sx, sizeof sx);
}

static long target_statfs(struct target at, gaddr buf)
{
	long r;
	struct um_slot *s = target_begin(at, UM_OP_STATFS, &r);

	if (!s)
		return r;
	r = target_call(at, s);
	if (r)
		return r;
	if (s->rep.size < sizeof(struct statfs))
		return -EIO;
	return copy_to_guest(at.t, buf, s->data, sizeof(struct statfs));
}

/* ---- setattr ---------------------------------------------------------------------------------------- */

static struct um_slot *setattr_begin(struct target at, uint32_t valid, long *error)
{
	struct um_slot *s = target_begin(at, UM_OP_SETATTR, error);

	if (s)
		s->req.valid = valid;
	return s;
}

static long target_chmod(struct target at, unsigned mode)
{
	long r;
	struct um_slot *s = setattr_begin(at, FATTR_MODE, &r);

	if (!s)
		return r;
	s->req.mode = mode & 07777;
	return target_call(at, s);
}

/* An id of -1 is left alone; both: the set-id bits still go. */
static long target_chown(struct target at, unsigned uid, unsigned gid)
{
	uint32_t valid = (uid != ~0u ? FATTR_UID : 0) | (gid != ~0u ? FATTR_GID : 0);
	long r;
	struct um_slot *s;

	s = setattr_begin(at, valid | FATTR_KILL_SUIDGID, &r);
	if (!s)
		return r;
	s->req.set_uid = uid;
	s->req.set_gid = gid;
	return target_call(at, s);
}

static uint32_t time_valid(long nsec, uint32_t set, uint32_t now)
{
	if (nsec == UM_NSEC_OMIT)
		return 0;
	return nsec == UM_NSEC_NOW ? set | now : set;
}

static long target_utimens(struct target at, const struct timespec64 *ts)
{
	static const struct timespec64 both_now[2] = { { 0, UM_NSEC_NOW }, { 0, UM_NSEC_NOW } };
	long r;
	struct um_slot *s;

	if (!ts)
		ts = both_now;
	s = setattr_begin(at, time_valid(ts[0].tv_nsec, FATTR_ATIME, FATTR_ATIME_NOW) |
			      time_valid(ts[1].tv_nsec, FATTR_MTIME, FATTR_MTIME_NOW), &r);
	if (!s)
		return r;
	s->req.atime = ts[0].tv_sec;
	s->req.atime_nsec = (uint32_t)ts[0].tv_nsec;
	s->req.mtime = ts[1].tv_sec;
	s->req.mtime_nsec = (uint32_t)ts[1].tv_nsec;
	return target_call(at, s);
}

static long target_truncate(struct target at, uint64_t size)
{
	long r;
	struct um_slot *s = setattr_begin(at, FATTR_SIZE, &r);

	if (!s)
		return r;
	s->req.size = size;
	return target_call(at, s);
}

/* ---- extended attributes ---------------------------------------------------------------------------- */

/* The path is already in the request; for a descriptor it is empty. */
static struct um_slot *xattr_begin(struct target at, uint32_t op, const char *name, size_t size, long *error)
{
	struct um_slot *s = target_begin(at, op, error);

	if (!s)
		return NULL;
	*error = at.w ? 0 : channel_path(s, "", 0);
	if (!*error && name)
		*error = channel_path2(s, name, strlen(name));
	s->req.size = size;
	return *error ? NULL : s;
}

/* Results of GETXATTR and LISTXATTR: with size 0 only the length was asked for. */
static long xattr_answer(struct target at, struct um_slot *s, gaddr buf, size_t size)
{
	long r = target_call(at, s);

	if (r)
		return r;
	if (s->rep.size > XATTR_SIZE_MAX)
		return -E2BIG;
	if (!size)
		return (long)s->rep.size;
	if (s->rep.size > size)
		return -ERANGE;
	return copy_to_guest(at.t, buf, s->data, s->rep.size) ? -EFAULT : (long)s->rep.size;
}

/* Is it known that the file has no such attribute? */
static bool lacks(struct target at, const char *name)
{
	const struct file *f = at.w ? at.w->file : at.f;
	const struct known k = target_node(at);

	return !(f && f->flags & FILE_PATH) && dcache_lacks(at.t, k.server, k.node, k.path, k.walk, name);
}

static long target_getxattr(struct target at, const char *name, gaddr buf, size_t size)
{
	long r;
	struct um_slot *s;

	if (lacks(at, name))
		return -ENODATA;
	if (size > XATTR_SIZE_MAX)
		size = XATTR_SIZE_MAX;
	s = xattr_begin(at, UM_OP_GETXATTR, name, size, &r);
	return s ? xattr_answer(at, s, buf, size) : r;
}

static long target_listxattr(struct target at, gaddr buf, size_t size)
{
	long r;
	struct um_slot *s;

	if (size > XATTR_LIST_MAX)
		size = XATTR_LIST_MAX;
	s = xattr_begin(at, UM_OP_LISTXATTR, NULL, size, &r);
	return s ? xattr_answer(at, s, buf, size) : r;
}

static long target_setxattr(struct target at, const char *name, gaddr buf, size_t size, int flags)
{
	long r;
	size_t value;
	struct um_slot *s = xattr_begin(at, UM_OP_SETXATTR, name, size, &r);

	if (!s)
		return r;
	s->req.mode = (uint32_t)flags;
	value = (size_t)s->req.path_len + 1 + s->req.path2_len + 1;
	if (size > UM_DATA_SIZE - value)
		return -E2BIG;
	if (copy_from_guest(at.t, s->data + value, buf, size))
		return -EFAULT;
	return target_call(at, s);
}

static long target_removexattr(struct target at, const char *name)
{
	long r;
	struct um_slot *s = xattr_begin(at, UM_OP_REMOVEXATTR, name, 0, &r);

	return s ? target_call(at, s) : r;
}

/* ---- access ----------------------------------------------------------------------------------------- */

static long target_access(struct target at, int mode, int flags)
{
	long r;
	struct um_slot *s;

	if (target_is_device(at))
		return mode & 1 ? -EACCES : 0;
	s = target_begin(at, UM_OP_ACCESS, &r);
	if (!s)
		return r;
	s->req.mode = (uint32_t)mode;
	s->req.open_flags = (uint32_t)flags;
	return target_call(at, s);
}

/* ---- the two faces ---------------------------------------------------------------------------------- */

long remote_look(struct where *w, struct stat *st)
{
	return target_look(PLACE(w), st);
}

long remote_stat(struct where *w, gaddr buf)
{
	return target_stat(PLACE(w), buf);
}

/* Everything is always up to date at the server, so the flags and the mask change nothing. */
long remote_statx(struct where *w, int flags, unsigned mask, gaddr buf)
{
	(void)flags;
	(void)mask;
	return target_statx(PLACE(w), buf);
}

long remote_access(struct where *w, int mode, int flags)
{
	return target_access(PLACE(w), mode, flags);
}

long remote_statfs(struct where *w, gaddr buf)
{
	return target_statfs(PLACE(w), buf);
}

long remote_chmod(struct where *w, unsigned mode, int flags)
{
	(void)flags;		/* whether to follow was the resolver's business */
	return target_chmod(PLACE(w), mode);
}

long remote_chown(struct where *w, unsigned uid, unsigned gid)
{
	return target_chown(PLACE(w), uid, gid);
}

long remote_utimens(struct where *w, const struct timespec64 *ts)
{
	return target_utimens(PLACE(w), ts);
}

long remote_truncate(struct where *w, uint64_t size)
{
	return target_truncate(PLACE(w), size);
}

long remote_getxattr(struct where *w, const char *name, gaddr buf, size_t size)
{
	return target_getxattr(PLACE(w), name, buf, size);
}

long remote_setxattr(struct where *w, const char *name, gaddr buf, size_t size, int flags)
{
	return target_setxattr(PLACE(w), name, buf, size, flags);
}

long remote_listxattr(struct where *w, gaddr buf, size_t size)
{
	return target_listxattr(PLACE(w), buf, size);
}

long remote_removexattr(struct where *w, const char *name)
{
	return target_removexattr(PLACE(w), name);
}

long file_attr(struct task *t, struct file *f, struct um_attr *a)
{
	return target_attr(OPENED(t, f), a);
}

long file_stat(struct task *t, struct file *f, gaddr buf)
{
	return target_stat(OPENED(t, f), buf);
}

long file_statx(struct task *t, struct file *f, gaddr buf)
{
	return target_statx(OPENED(t, f), buf);
}

long file_access(struct task *t, struct file *f, int mode)
{
	return target_access(OPENED(t, f), mode, AT_EACCESS);
}

long file_statfs(struct task *t, struct file *f, gaddr buf)
{
	return target_statfs(OPENED(t, f), buf);
}

long file_chmod(struct task *t, struct file *f, unsigned mode)
{
	return target_chmod(OPENED(t, f), mode);
}

long file_chown(struct task *t, struct file *f, unsigned uid, unsigned gid)
{
	return target_chown(OPENED(t, f), uid, gid);
}

long file_utimens(struct task *t, struct file *f, const struct timespec64 *ts)
{
	return target_utimens(OPENED(t, f), ts);
}

long file_truncate(struct task *t, struct file *f, uint64_t size)
{
	return target_truncate(OPENED(t, f), size);
}

long file_getxattr(struct task *t, struct file *f, const char *name, gaddr buf, size_t size)
{
	return target_getxattr(OPENED(t, f), name, buf, size);
}

long file_setxattr(struct task *t, struct file *f, const char *name, gaddr buf, size_t size, int flags)
{
	return target_setxattr(OPENED(t, f), name, buf, size, flags);
}

long file_listxattr(struct task *t, struct file *f, gaddr buf, size_t size)
{
	return target_listxattr(OPENED(t, f), buf, size);
}

long file_removexattr(struct task *t, struct file *f, const char *name)
{
	return target_removexattr(OPENED(t, f), name);
}
