/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest can ask of a file server: the table of operations, and those that only look.
 *
 * An operation runs in its job's coroutine: it walks, checks what the kernel's VFS would check before it
 * calls a file system, asks the server, and leaves the result in j->rep.  See wire/channel.h for what each
 * one is given and returns.
 */
#include <linux/stat.h>
#include <linux/mount.h>
#include <linux/magic.h>
#include <asm/statfs.h>
#include "fuse_conn.h"

static int op_none(struct fuse_job *j)
{
	(void)j;
	return -ENOSYS;
}

static const fuse_op_fn ops[] = {
	[UM_OP_NONE] = op_none,
	[UM_OP_STAT] = fuse_op_stat,
	[UM_OP_OPEN] = fuse_op_open,
	[UM_OP_READ] = fuse_op_read,
	[UM_OP_WRITE] = fuse_op_write,
	[UM_OP_READDIR] = fuse_op_readdir,
	[UM_OP_SEEK] = fuse_op_seek,
	[UM_OP_CLOSED] = fuse_op_closed,
	[UM_OP_FSYNC] = fuse_op_fsync,
	[UM_OP_FALLOCATE] = fuse_op_fallocate,
	[UM_OP_SETATTR] = fuse_op_setattr,
	[UM_OP_READLINK] = fuse_op_readlink,
	[UM_OP_SYMLINK] = fuse_op_symlink,
	[UM_OP_LINK] = fuse_op_link,
	[UM_OP_MKNOD] = fuse_op_mknod,
	[UM_OP_MKDIR] = fuse_op_mkdir,
	[UM_OP_UNLINK] = fuse_op_unlink,
	[UM_OP_RMDIR] = fuse_op_rmdir,
	[UM_OP_RENAME] = fuse_op_rename,
	[UM_OP_STATFS] = fuse_op_statfs,
	[UM_OP_ACCESS] = fuse_op_access,
	[UM_OP_GETXATTR] = fuse_op_getxattr,
	[UM_OP_SETXATTR] = fuse_op_setxattr,
	[UM_OP_LISTXATTR] = fuse_op_listxattr,
	[UM_OP_REMOVEXATTR] = fuse_op_removexattr,
	[UM_OP_PATHOF] = fuse_op_pathof,
	[UM_OP_IOCTL] = fuse_op_ioctl,
	[UM_OP_COPY] = fuse_op_copy,
	[UM_OP_MAP] = fuse_op_map,
	[UM_OP_MSYNC] = fuse_op_msync,
	[UM_OP_LOCK] = fuse_op_lock,
	[UM_OP_STANDIN] = fuse_op_standin,
	[UM_OP_WATCH] = fuse_op_watch,
	[UM_OP_SETFL] = fuse_op_setfl,
	[UM_OP_POLL] = fuse_op_poll,
};

int fuse_op(struct fuse_job *j)
{
	if (j->c->end != END_NOT && j->req.op != UM_OP_CLOSED)
		return -ENOTCONN;
	if (j->req.op >= sizeof ops / sizeof *ops)
		return -ENOSYS;
	return ops[j->req.op](j);
}

/* ---- a path, or an open file ------------------------------------------------------------------------- */

int fuse_target(struct fuse_job *j, struct fuse_target *t, unsigned flags)
{
	int r;

	t->h = NULL;
	t->fresh = false;
	if (!j->req.handle || j->req.base || j->req.path_len) {
		r = fuse_walk(j, &t->place, flags);
		if (r)
			return r;
		t->node = t->place.node;
		t->fresh = t->place.fresh;
	} else {
		t->h = fuse_handle_get(j);
		if (!t->h)
			return -EBADF;
		t->node = t->h->node;
	}
	if (!t->node || !t->node->bad)
		return 0;
	fuse_target_put(j, t);
	return -EIO;
}

void fuse_target_put(struct fuse_job *j, struct fuse_target *t)
{
	if (t->h)
		fuse_handle_put(j, t->h);
	else
		fuse_place_put(j, &t->place);
}

/* ---- operations ---------------------------------------------------------------------------------------- */

int fuse_op_stat(struct fuse_job *j)
{
	struct fuse_target t;
	int r = fuse_target(j, &t, 0);

	if (r)
		return r;
	if (!t.fresh)
		r = fuse_getattr(j, t.node, t.h, t.node->atime_stale);
	if (!r)
		fuse_attr_out(j, t.node);
	if (t.h && t.h->open_flags & O_PATH)
		j->rep.open_reply = UM_OPEN_PATH;
	j->rep.offset = t.h ? t.h->open_flags : 0;
	fuse_target_put(j, &t);
	return r;
}

/* What the server has to say; where it has no opinion the kernel says yes. */
static int access_ask(struct fuse_job *j, struct fuse_node *n, uint32_t mask)
{
	struct fuse_access_in in = { .mask = mask };
	int r = -ENOSYS;

	if (!j->c->can.no_access)
		r = fuse_call_plain(j, FUSE_ACCESS, n->nodeid, &in, sizeof in);
	if (r != -ENOSYS)
		return r;
	j->c->can.no_access = true;
	return 0;
}

static int access_check(struct fuse_job *j, struct fuse_target *t, uint32_t mask)
{
	int r = 0;

	if (mask & MAY_WRITE && (fuse_node_is(t->node, S_IFREG) || fuse_node_is(t->node, S_IFDIR) ||
				 fuse_node_is(t->node, S_IFLNK)))
		r = fuse_may_change(j);
	if (r)
		return r;
	if (fuse_node_is(t->node, S_IFLNK))
		return 0;
	if (fuse_checks(j->c))
		return fuse_may(j, t->node, (int)mask);
	r = access_ask(j, t->node, mask);
	if (r || !(mask & MAY_EXEC) || !fuse_node_is(t->node, S_IFREG))
		return r;
	if (!t->fresh)
		r = fuse_getattr(j, t->node, t->h, false);
	if (!r && !(t->node->attr.mode & 0111))
		r = -EACCES;		/* nobody may execute it, whoever asks */
	return r;
}

int fuse_op_access(struct fuse_job *j)
{
	struct fuse_target t;
	int r;

	if (j->req.mode & ~7u)
		return -EINVAL;
	r = fuse_target(j, &t, 0);
	if (r)
		return r;
	r = access_check(j, &t, j->req.mode);
	fuse_attr_out(j, t.node);
	fuse_target_put(j, &t);
	return r;
}

int fuse_op_readlink(struct fuse_job *j)
{
	struct fuse_target t;
	struct fuse_req r;
	int err = fuse_target(j, &t, 0);

	if (err)
		return err;
	if (!fuse_node_is(t.node, S_IFLNK)) {
		err = j->req.path_len || j->req.base ? -EINVAL : -ENOENT;
	} else {
		fuse_req_init(&r, j, FUSE_READLINK, t.node->nodeid);
		fuse_req_reply_upto(&r, j->shm->data, 4095);
		err = fuse_call(j, &r);
		fuse_link_read(j, t.node, err);
	}
	if (!err) {
		j->shm->data[r.reply_len] = 0;
		j->rep.size = strlen((const char *)j->shm->data);
	}
	fuse_target_put(j, &t);
	return err;
}

#define ST_VALID	0x20u
#define ST_RELATIME	0x1000u

static void statfs_out(struct fuse_job *j, const struct fuse_kstatfs *k)
{
	uint32_t flags = __atomic_load_n(&j->c->shm->mount_flags, __ATOMIC_RELAXED);
	struct statfs s = {
		.f_type = FUSE_SUPER_MAGIC,
		.f_bsize = k->bsize, .f_frsize = k->frsize ? k->frsize : k->bsize,
		.f_blocks = (long)k->blocks, .f_bfree = (long)k->bfree, .f_bavail = (long)k->bavail,
		.f_files = (long)k->files, .f_ffree = (long)k->ffree,
		.f_namelen = k->namelen,
		.f_flags = (flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)) | ST_VALID | ST_RELATIME,
	};

	memcpy(j->shm->data, &s, sizeof s);
	j->rep.size = sizeof s;
}

int fuse_op_statfs(struct fuse_job *j)
{
	struct fuse_kstatfs st;
	struct fuse_target t;
	int err = fuse_target(j, &t, 0);

	if (err)
		return err;
	err = fuse_statfs(j, t.node, &st);
	if (!err)
		statfs_out(j, &st);
	fuse_target_put(j, &t);
	return err;
}

int fuse_op_pathof(struct fuse_job *j)
{
	struct fuse_node *n = j->req.base ? fuse_node_find(j->c, j->req.base) :
					    fuse_handle_node(j->c, j->req.handle);
	long len;

	if (!n)
		return j->req.base ? -ESTALE : -EBADF;
	len = n->removed ? -ENOENT : fuse_node_path(j->c, n, (char *)j->shm->data, FUSE_PATH_ROOM);
	if (len == -ENOENT && j->req.mode && n->was) {
		len = (long)strlen(n->was);
		memcpy(j->shm->data, n->was, (size_t)len);
	}
	if (len < 0)
		return (int)len;
	j->rep.size = (uint64_t)len;
	return 0;
}
