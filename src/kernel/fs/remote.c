/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remote_fs: what a place in a mounted file system is asked through the channel of its server.  The walk
 * from the mount's root (or from a descriptor's node) to the last name is the server's work; it stops at
 * links and "..", and then where_link() gives the rest to the resolver.
 */
#include "remote.h"

struct um_slot *remote_begin(struct where *w, uint32_t op, long *error)
{
	const char *rest = w->path + w->rest;
	int e = 0;
	struct um_slot *s;

	if (w->file && w->file->kind != FILE_REMOTE) {
		*error = -EPERM;		/* /dev/fuse is nobody's to change */
		return NULL;
	}
	s = channel_begin(w->t, w->mount.server, op, &e);
	*error = e;
	if (!s)
		return NULL;
	s->req.walk = w->walk;
	s->req.base = w->base;
	s->req.handle = w->handle;
	/* A handle without a path would mean the open file, with the rights it was opened for. */
	if (w->file && op != UM_OP_STAT)
		s->req.base = w->file->node;
	else if (!*rest && w->handle && !w->file)
		rest = ".";
	*error = channel_path(s, rest, strlen(rest));
	return *error ? NULL : s;
}

long remote_call(struct where *w, struct um_slot *s)
{
	long r = channel_call(w->t, w->mount.server, s);

	if (!r && s->rep.status == UM_WALK_LINK)
		return where_link(w, s);
	return r;
}

struct um_slot *file_begin(struct task *t, const struct file *f, uint32_t op, long *error)
{
	int e = 0;
	struct um_slot *s;

	if (f->kind != FILE_REMOTE) {
		*error = -EINVAL;
		return NULL;
	}
	s = channel_begin(t, f->server, op, &e);
	*error = e;
	if (s)
		s->req.handle = f->handle;
	return s;
}

long file_call(struct task *t, const struct file *f, struct um_slot *s)
{
	return channel_call(t, f->server, s);
}

bool remote_is_root(const struct where *w)
{
	return !w->file && !w->handle && w->base == UM_ROOT_NODE && !w->path[w->rest];
}

/* ---- one name --------------------------------------------------------------------------------------- */

static long remote_mkdir(struct where *w, unsigned mode)
{
	long r;
	struct um_slot *s;

	if (remote_is_root(w))
		return -EEXIST;
	s = remote_begin(w, UM_OP_MKDIR, &r);
	if (!s)
		return r;
	s->req.mode = mode & 07777;
	return remote_call(w, s);
}

static long remote_mknod(struct where *w, unsigned mode, unsigned dev)
{
	long r;
	struct um_slot *s;

	if (remote_is_root(w))
		return -EEXIST;
	s = remote_begin(w, UM_OP_MKNOD, &r);
	if (!s)
		return r;
	s->req.mode = mode;
	s->req.rdev = dev;
	return remote_call(w, s);
}

static long remote_unlink(struct where *w, int flags)
{
	long r;
	struct um_slot *s;

	if (remote_is_root(w))
		return -EBUSY;
	s = remote_begin(w, flags & AT_REMOVEDIR ? UM_OP_RMDIR : UM_OP_UNLINK, &r);
	return s ? remote_call(w, s) : r;
}

static long remote_symlink(struct where *w, const char *target)
{
	long r;
	struct um_slot *s;

	if (remote_is_root(w))
		return -EEXIST;
	s = remote_begin(w, UM_OP_SYMLINK, &r);
	if (!s)
		return r;
	r = channel_path2(s, target, strlen(target));
	return r ? r : remote_call(w, s);
}

static long remote_readlink(struct where *w, gaddr buf, size_t size)
{
	long r;
	struct um_slot *s;

	if (w->file && !S_ISLNK(w->file->mode))
		return -ENOENT;			/* AT_EMPTY_PATH on something else */
	if (!w->file && !w->path[w->rest])
		return -EINVAL;			/* the mount point */
	s = remote_begin(w, UM_OP_READLINK, &r);
	if (!s)
		return r;
	r = remote_call(w, s);
	if (r)
		return r;
	if (s->rep.size > UM_PATH_MAX)
		return -EIO;
	if (size > s->rep.size)
		size = s->rep.size;
	return copy_to_guest(w->t, buf, s->data, size) ? -EFAULT : (long)size;
}

/* ---- two names: the resolver has found both parents (WHERE_PARENT) ------------------------------------- */

static void second_place(struct um_slot *s, const struct where *w)
{
	s->req.base2 = w->base;
	s->req.handle2 = w->handle;
}

/* "new/" is no name for a link: ENOENT, or EEXIST where something of that name is, be it a symbolic link that leads nowhere. */
static long slash_verdict(struct where *to)
{
	long r;
	struct um_slot *s = remote_begin(to, UM_OP_STAT, &r);

	if (s) {
		s->req.walk &= ~(uint32_t)(UM_WALK_FOLLOW | UM_WALK_DIR);
		for (char *end = (char *)s->data + s->req.path_len; s->req.path_len > 1 && end[-1] == '/'; *--end = 0)
			s->req.path_len--;
		r = channel_call(to->t, to->mount.server, s);
	}
	return r && r != -ENOTDIR ? r : -EEXIST;
}

/* The existing file is walked to first; the server is then told its node. */
static long remote_link(struct where *from, struct where *to, int flags)
{
	const char *name = to->path + to->rest;
	uint64_t node;
	struct um_slot *s;
	long r;

	(void)flags;
	if (remote_is_root(to))
		return -EEXIST;
	s = remote_begin(from, UM_OP_STAT, &r);
	if (s)
		r = remote_call(from, s);
	if (!r && to->trailing)
		return slash_verdict(to);
	if (r)
		return r;
	node = s->rep.node;
	s = channel_begin(from->t, from->mount.server, UM_OP_LINK, &(int){ 0 });
	if (!s)
		return -ENOTCONN;
	s->req.base = node;
	second_place(s, to);
	r = channel_path(s, "", 0);
	if (!r)
		r = channel_path2(s, name, strlen(name));
	return r ? r : channel_call(from->t, from->mount.server, s);
}

static long remote_rename(struct where *from, struct where *to, unsigned flags)
{
	const char *name = to->path + to->rest;
	struct um_slot *s;
	long r;

	if (remote_is_root(from) || remote_is_root(to))
		return -EBUSY;
	s = remote_begin(from, UM_OP_RENAME, &r);
	if (!s)
		return r;
	s->req.open_flags = flags;
	s->req.walk |= to->walk;
	second_place(s, to);
	r = channel_path2(s, name, strlen(name));
	return r ? r : remote_call(from, s);
}

const struct fs_ops remote_fs = {
	.name = "remote",
	.statx = remote_statx,
	.stat = remote_stat,
	.open = remote_open,
	.access = remote_access,
	.readlink = remote_readlink,
	.mkdir = remote_mkdir,
	.mknod = remote_mknod,
	.unlink = remote_unlink,
	.symlink = remote_symlink,
	.link = remote_link,
	.rename = remote_rename,
	.chmod = remote_chmod,
	.chown = remote_chown,
	.utimens = remote_utimens,
	.truncate = remote_truncate,
	.statfs = remote_statfs,
	.getxattr = remote_getxattr,
	.setxattr = remote_setxattr,
	.listxattr = remote_listxattr,
	.removexattr = remote_removexattr,
	.chdir = remote_chdir,
};
