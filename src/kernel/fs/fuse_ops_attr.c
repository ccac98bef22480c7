/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operations that change attributes, and extended attributes.
 *
 * A server that has no extended attributes says ENOSYS once; it is remembered, and guests get
 * EOPNOTSUPP as from the kernel.
 */
#include <linux/stat.h>
#include <linux/xattr.h>
#include <linux/limits.h>
#include <linux/inotify.h>
#include "fuse_conn.h"
#include "../../wire/dcache.h"

/* ---- SETATTR ---------------------------------------------------------------------------------------- */

static int setattr_send(struct fuse_job *j, struct fuse_node *n, const struct fuse_setattr_in *in)
{
	struct fuse_attr_out out = { 0 };
	struct fuse_conn *c = j->c;
	struct fuse_req r;
	int err;

	if (in->valid & FATTR_MTIME)		/* what was stored before does not change it later */
		fuse_map_sync_range(j, n, 0, INT64_MAX);
	fuse_req_init(&r, j, FUSE_SETATTR, n->nodeid);
	fuse_req_arg(&r, in, sizeof *in);
	fuse_req_reply(&r, &out, fuse_attr_size(c));
	err = fuse_call(j, &r);
	fuse_node_changed(c, n);
	if (in->valid & FATTR_SIZE)
		fuse_pages_forget(c, n);
	if (err)
		return err;
	if (in->valid & FATTR_SIZE)
		fuse_map_truncated(n, in->size);
	return fuse_node_told(j, n, &out, c->version);
}

/* "Now" is also given as a time, for servers that do not know the flag. */
static void fill_times(const struct um_request *q, struct fuse_setattr_in *in)
{
	struct timespec64 now = { 0, 0 };

	if (q->valid & (FATTR_ATIME_NOW | FATTR_MTIME_NOW))
		raw_syscall(__NR_clock_gettime, 0 /* CLOCK_REALTIME */, &now);
	in->atime = (uint64_t)(q->valid & FATTR_ATIME_NOW ? now.tv_sec : q->atime);
	in->atimensec = q->valid & FATTR_ATIME_NOW ? (uint32_t)now.tv_nsec : q->atime_nsec;
	in->mtime = (uint64_t)(q->valid & FATTR_MTIME_NOW ? now.tv_sec : q->mtime);
	in->mtimensec = q->valid & FATTR_MTIME_NOW ? (uint32_t)now.tv_nsec : q->mtime_nsec;
}

/* The mode without what a change by somebody else must take away: the set-id bits. */
static bool mode_without_suid(const struct fuse_node *n, uint32_t *mode)
{
	uint32_t kill = n->attr.mode & S_ISUID;

	if ((n->attr.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		kill |= S_ISGID;
	*mode = n->attr.mode & ~kill;
	return kill && !fuse_node_is(n, S_IFDIR);
}

/* Writing to a set-id program, unless as root, and changing the owner of one. */
int fuse_kill_suid(struct fuse_job *j, struct fuse_node *n)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE };
	int r;

	if (j->c->can.killpriv || !j->req.uid || !mode_without_suid(n, &in.mode))
		return 0;
	r = setattr_send(j, n, &in);
	if (!r)
		fuse_shadow_did(j->c, NULL, n, NULL, IN_ATTRIB);
	return r;
}

#define FATTR_GUEST	(FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME | \
			 FATTR_ATIME_NOW | FATTR_MTIME_NOW)

static int setattr_fill(struct fuse_job *j, const struct fuse_target *t, struct fuse_setattr_in *in)
{
	const struct um_request *q = &j->req;

	*in = (struct fuse_setattr_in){
		.valid = q->valid & FATTR_GUEST, .size = q->size, .uid = q->set_uid, .gid = q->set_gid,
		.mode = (t->node->attr.mode & S_IFMT) | (q->mode & 07777),
	};
	fill_times(q, in);
	if (q->valid & FATTR_KILL_SUIDGID && !j->c->can.killpriv && mode_without_suid(t->node, &in->mode))
		in->valid |= FATTR_MODE;
	if (!(q->valid & FATTR_SIZE))
		return 0;
	if (q->size > INT64_MAX)
		return -EINVAL;
	if (fuse_node_is(t->node, S_IFDIR))
		return -EISDIR;
	if (!fuse_node_is(t->node, S_IFREG))
		return -EINVAL;
	if (t->h && (t->h->open_flags & O_ACCMODE) == O_RDONLY)
		return -EINVAL;
	if (t->h && !t->h->unopened) {
		in->valid |= FATTR_FH;
		in->fh = t->h->fh;
	}
	return fuse_may(j, t->node, t->h ? 0 : MAY_WRITE);
}

static int setattr(struct fuse_job *j, struct fuse_target *t)
{
	struct fuse_setattr_in in;
	int r = fuse_may_setattr(j, t->node);

	if (t->h && (t->h->open_flags & O_PATH))
		r = -EBADF;
	if (!r && j->req.valid & FATTR_MODE && fuse_node_is(t->node, S_IFLNK))
		r = -EOPNOTSUPP;		/* a link has no mode of its own */
	if (!r)
		r = setattr_fill(j, t, &in);
	if (r)
		return r;
	fuse_mutex_lock(j, &t->node->lock);
	if (in.valid & FATTR_SIZE)
		r = fuse_kill_suid(j, t->node);
	if (!r)
		r = in.valid ? setattr_send(j, t->node, &in) : fuse_getattr(j, t->node, t->h, false);
	fuse_mutex_unlock(&t->node->lock);
	if (!r)
		fuse_shadow_set(j->c, t->h, t->node, t->h ? NULL : &t->place, in.valid);
	return r;
}

int fuse_op_setattr(struct fuse_job *j)
{
	struct fuse_target t;
	int r = fuse_target(j, &t, 0);

	if (r)
		return r;
	r = setattr(j, &t);
	fuse_attr_out(j, t.node);
	fuse_target_put(j, &t);
	return r;
}

int fuse_truncate(struct fuse_job *j, struct fuse_node *n, uint64_t size)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = size };
	int r;

	fuse_mutex_lock(j, &n->lock);
	r = fuse_kill_suid(j, n);
	if (!r)
		r = setattr_send(j, n, &in);
	fuse_mutex_unlock(&n->lock);
	return r;
}

/* ---- extended attributes ------------------------------------------------------------------------------ */

struct xattr {
	struct fuse_target t;
	uint32_t len;
	char name[XATTR_NAME_MAX + 1];
};

/* The name, from behind the path. */
static int xattr_name(struct fuse_job *j, struct xattr *x)
{
	uint64_t at = (uint64_t)j->req.path_len + 1;

	x->len = j->req.path2_len;
	if (!x->len || x->len > XATTR_NAME_MAX)
		return -ERANGE;
	if (at + x->len >= UM_DATA_SIZE)
		return -EINVAL;
	memcpy(x->name, j->shm->data + at, x->len);
	x->name[x->len] = 0;
	x->len = (uint32_t)strlen(x->name);
	return x->len ? 0 : -ERANGE;
}

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/* What the kernel's VFS says of the name spaces. */
static int xattr_may(struct fuse_job *j, const struct xattr *x, bool change)
{
	int r = change ? fuse_may_change(j) : 0;

	if (r)
		return r;
	if (starts(x->name, "trusted."))
		return !j->req.uid ? 0 : change ? -EPERM : -ENODATA;
	if (!starts(x->name, "user."))
		return 0;
	if (!fuse_node_is(x->t.node, S_IFREG) && !fuse_node_is(x->t.node, S_IFDIR))
		return change ? -EPERM : -ENODATA;
	return fuse_may(j, x->t.node, change ? MAY_WRITE : MAY_READ);
}

static int xattr_begin(struct fuse_job *j, struct xattr *x, bool change)
{
	int r = xattr_name(j, x);

	if (!r)
		r = fuse_target(j, &x->t, 0);
	if (r)
		return r;
	r = x->t.h && (x->t.h->open_flags & O_PATH) ? -EBADF : xattr_may(j, x, change);
	if (r)
		fuse_target_put(j, &x->t);
	return r;
}

/* They have been changed. */
static void xattr_changed(struct fuse_job *j, const struct xattr *x)
{
	fuse_shadow_did(j->c, x->t.h, x->t.node, x->t.h ? NULL : &x->t.place, IN_ATTRIB);
}

/* The end of every one of these: `unknown` remembers ENOSYS. */
static int xattr_end(struct fuse_job *j, struct fuse_target *t, int err, bool *unknown)
{
	fuse_target_put(j, t);
	if (err != -ENOSYS)
		return err;
	*unknown = true;
	return -EOPNOTSUPP;
}

/* GETXATTR and LISTXATTR: size 0 asks how much there is. */
static int xattr_fetch(struct fuse_job *j, struct fuse_req *r, uint64_t max)
{
	struct fuse_getxattr_in in = { 0 };
	struct fuse_getxattr_out out = { 0 };
	int err;

	in.size = (uint32_t)(j->req.size > max ? max : j->req.size);
	r->arg[0].p = &in;
	if (in.size)
		fuse_req_reply_upto(r, j->shm->data, in.size);
	else
		fuse_req_reply(r, &out, sizeof out);
	err = fuse_call(j, r);
	if (!err)
		j->rep.size = in.size ? r->reply_len : out.size > max ? max : out.size;
	return err;
}

/* The server has said that there is none. */
static void xattr_lacks(struct fuse_job *j, struct fuse_node *n, const char *name, uint64_t version)
{
	int number = um_dcache_lacks(name);

	if (number < 0 || !fuse_is_alone(j->c) || n->changed > version)
		return;
	n->lacks |= UM_DCACHE_LACKS(number);
	fuse_dcache_node(j->c, n);
}

int fuse_op_getxattr(struct fuse_job *j)
{
	struct fuse_caps *can = &j->c->can;
	struct fuse_req r;
	struct xattr x;
	int err = xattr_begin(j, &x, false);

	if (err)
		return err;
	fuse_req_init(&r, j, FUSE_GETXATTR, x.t.node->nodeid);
	fuse_req_arg(&r, NULL, sizeof(struct fuse_getxattr_in));
	fuse_req_arg(&r, x.name, x.len + 1);
	err = can->no_getxattr ? -ENOSYS : xattr_fetch(j, &r, XATTR_SIZE_MAX);
	if (err == -ENODATA)
		xattr_lacks(j, x.t.node, x.name, r.version);
	return xattr_end(j, &x.t, err, &can->no_getxattr);
}

/* A list of names is none if one is empty or the last has no end. */
static bool list_ok(const uint8_t *data, uint64_t size)
{
	if (size && data[size - 1])
		return false;
	for (uint64_t i = 0; i < size; i++)
		if (!data[i] && (!i || !data[i - 1]))
			return false;
	return true;
}

int fuse_op_listxattr(struct fuse_job *j)
{
	struct fuse_caps *can = &j->c->can;
	struct fuse_target t;
	struct fuse_req r;
	int err = fuse_target(j, &t, 0);

	if (err)
		return err;
	if (t.h && (t.h->open_flags & O_PATH)) {
		err = -EBADF;
	} else {
		fuse_req_init(&r, j, FUSE_LISTXATTR, t.node->nodeid);
		fuse_req_arg(&r, NULL, sizeof(struct fuse_getxattr_in));
		err = can->no_listxattr ? -ENOSYS : xattr_fetch(j, &r, XATTR_LIST_MAX);
	}
	if (!err && j->req.size && !list_ok(j->shm->data, j->rep.size))
		err = -EIO;
	return xattr_end(j, &t, err, &can->no_listxattr);
}

static int setxattr(struct fuse_job *j, const struct xattr *x)
{
	uint64_t at = (uint64_t)j->req.path_len + 1 + j->req.path2_len + 1;
	struct fuse_setxattr_in in = { .size = (uint32_t)j->req.size, .flags = j->req.mode };
	struct fuse_req r;
	int err;

	if (j->req.mode & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	if (j->req.size > XATTR_SIZE_MAX)
		return -E2BIG;
	if (at + j->req.size > UM_DATA_SIZE)
		return -EINVAL;
	if (j->c->can.no_setxattr)
		return -ENOSYS;
	fuse_req_init(&r, j, FUSE_SETXATTR, x->t.node->nodeid);
	fuse_req_arg(&r, &in, FUSE_COMPAT_SETXATTR_IN_SIZE);
	fuse_req_arg(&r, x->name, x->len + 1);
	fuse_req_arg(&r, j->shm->data + at, j->req.size);
	fuse_mutex_lock(j, &x->t.node->lock);
	err = fuse_call(j, &r);
	fuse_node_changed(j->c, x->t.node);
	fuse_mutex_unlock(&x->t.node->lock);
	return err;
}

int fuse_op_setxattr(struct fuse_job *j)
{
	struct xattr x;
	int err = xattr_begin(j, &x, true);

	if (err)
		return err;
	err = setxattr(j, &x);
	if (!err)
		xattr_changed(j, &x);
	return xattr_end(j, &x.t, err, &j->c->can.no_setxattr);
}

int fuse_op_removexattr(struct fuse_job *j)
{
	struct fuse_caps *can = &j->c->can;
	struct xattr x;
	int err = xattr_begin(j, &x, true);

	if (err)
		return err;
	err = -ENOSYS;
	fuse_mutex_lock(j, &x.t.node->lock);
	if (!can->no_removexattr)
		err = fuse_call_plain(j, FUSE_REMOVEXATTR, x.t.node->nodeid, x.name, x.len + 1);
	fuse_node_changed(j->c, x.t.node);
	fuse_mutex_unlock(&x.t.node->lock);
	if (!err)
		xattr_changed(j, &x);
	return xattr_end(j, &x.t, err, &can->no_removexattr);
}
