/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operations that make, move and remove names.
 *
 * As in the kernel the last name is looked up first, so that what exists, or is missing, or is of the wrong
 * kind, is refused here and a server sees only requests that make sense.  Every change bumps the version
 * of the directory, so that a LOOKUP answered before it is not believed after it.
 */
#include <linux/stat.h>
#include <linux/fs.h>
#include "fuse_conn.h"

/* ---- making names --------------------------------------------------------------------------------------- */

/* Walks to a name that must be free.  `slash`: a trailing one is allowed (mkdir). */
static int new_name(struct fuse_job *j, struct fuse_place *p, unsigned flags, bool slash)
{
	int err = fuse_change_begin(j, p, WALK_NAME | WALK_NOFOLLOW | flags);

	if (err)
		return err;
	if (p->node)
		err = -EEXIST;
	else if ((j->req.walk & UM_WALK_DIR) && !slash)
		err = -ENOENT;
	else
		err = fuse_may_change(j);
	if (!err)
		err = fuse_may(j, p->dir, MAY_WRITE | MAY_EXEC);
	if (err)
		fuse_change_end(j, p);
	return err;
}

/* Sends a request that makes p's name, a further one of old (or NULL); the new node becomes p->node. */
static int make(struct fuse_job *j, struct fuse_place *p, struct fuse_req *r, uint32_t type, const struct fuse_node *old)
{
	struct fuse_entry_out e = { 0 };
	int err;

	fuse_req_reply(r, &e, fuse_entry_size(j->c));
	err = fuse_call(j, r);
	if (!err)
		err = fuse_created(j, p, &e, type, r->version, &p->node);
	else if (err == -EEXIST)
		fuse_name_drop_at(j->c, p->dir, p->name, p->len);
	if (err)
		return err;
	if (old)
		fuse_shadow_linked(j->c, old, p);
	else
		fuse_shadow_made(j->c, p, p->node);
	fuse_attr_out(j, p->node);
	return 0;
}

int fuse_mknod(struct fuse_job *j, struct fuse_place *p, uint32_t mode, uint32_t rdev)
{
	struct fuse_mknod_in in = { .mode = mode, .rdev = rdev, .umask = j->req.umask };
	struct fuse_req r;

	fuse_req_init(&r, j, FUSE_MKNOD, p->dir->nodeid);
	fuse_req_arg(&r, &in, j->c->can.minor < 12 ? FUSE_COMPAT_MKNOD_IN_SIZE : sizeof in);
	fuse_req_arg(&r, p->name, p->len + 1);
	return make(j, p, &r, mode & S_IFMT, NULL);
}

int fuse_op_mknod(struct fuse_job *j)
{
	uint32_t type = j->req.mode & S_IFMT;
	struct fuse_place p;
	int err;

	if (type == S_IFDIR)
		return -EPERM;
	if (!type)
		type = S_IFREG;
	if (type != S_IFREG && type != S_IFCHR && type != S_IFBLK && type != S_IFIFO && type != S_IFSOCK)
		return -EINVAL;
	if ((type == S_IFCHR || type == S_IFBLK) && j->req.uid)
		return -EPERM;
	err = new_name(j, &p, 0, false);
	if (err)
		return err;
	err = fuse_mknod(j, &p, type | fuse_new_mode(j),
			 type == S_IFCHR || type == S_IFBLK ? j->req.rdev : 0);
	fuse_change_end(j, &p);
	return err;
}

int fuse_op_mkdir(struct fuse_job *j)
{
	struct fuse_mkdir_in in = { .umask = j->req.umask };
	struct fuse_place p;
	struct fuse_req r;
	int err = new_name(j, &p, 0, true);

	if (err)
		return err;
	in.mode = fuse_new_mode(j) & (0777 | S_ISVTX);
	fuse_req_init(&r, j, FUSE_MKDIR, p.dir->nodeid);
	fuse_req_arg(&r, &in, sizeof in);
	fuse_req_arg(&r, p.name, p.len + 1);
	err = make(j, &p, &r, S_IFDIR, NULL);
	fuse_change_end(j, &p);
	return err;
}

/* The target is the second string; in the message it stands behind the name. */
int fuse_op_symlink(struct fuse_job *j)
{
	uint64_t at = (uint64_t)j->req.path_len + 1, len = j->req.path2_len;
	struct fuse_place p;
	struct fuse_req r;
	char *target;
	int err;

	if (!len)
		return -ENOENT;
	if (len > 4095 || at + len > UM_DATA_SIZE)
		return -ENAMETOOLONG;
	target = heap_strndup((const char *)j->shm->data + at, len);
	if (!target)
		return -ENOMEM;
	err = new_name(j, &p, 0, false);
	if (!err) {
		fuse_req_init(&r, j, FUSE_SYMLINK, p.dir->nodeid);
		fuse_req_arg(&r, p.name, p.len + 1);
		fuse_req_arg(&r, target, strlen(target) + 1);
		err = make(j, &p, &r, S_IFLNK, NULL);
		fuse_change_end(j, &p);
	}
	heap_free(target);
	return err;
}

static int link_to(struct fuse_job *j, struct fuse_node *n, struct fuse_place *to)
{
	struct fuse_link_in in = { .oldnodeid = n->nodeid };
	struct fuse_subjects locked;
	struct fuse_req r;
	int err;

	if (fuse_node_is(n, S_IFDIR))
		return -EPERM;
	locked = fuse_change_lock(j, n, NULL);
	fuse_req_init(&r, j, FUSE_LINK, to->dir->nodeid);
	fuse_req_arg(&r, &in, sizeof in);
	fuse_req_arg(&r, to->name, to->len + 1);
	err = make(j, to, &r, n->attr.mode & S_IFMT, n);
	if (to->node != n) {
		fuse_node_changed(j->c, n);	/* its link count */
		fuse_pages_forget(j->c, n);	/* from now on it is written by another node, too */
	}
	fuse_subjects_unlock(&locked);
	return err;
}

int fuse_op_link(struct fuse_job *j)
{
	struct fuse_place to;
	struct fuse_target from;
	int err = fuse_target(j, &from, 0);

	if (err)
		return err;
	err = new_name(j, &to, WALK_SECOND, false);
	if (!err) {
		err = link_to(j, from.node, &to);
		fuse_change_end(j, &to);
	}
	fuse_target_put(j, &from);
	return err;
}

/* ---- removing names --------------------------------------------------------------------------------------- */

/* The name is gone: its node keeps living while somebody holds it. */
static void name_gone(struct fuse_job *j, struct fuse_place *p)
{
	fuse_node_changed(j->c, p->dir);
	if (p->node) {
		fuse_node_changed(j->c, p->node);
		fuse_node_lingers(j->c, p->node, p->dir);
		if (fuse_node_is(p->node, S_IFDIR))
			p->node->removed = true;
	}
	fuse_name_drop_at(j->c, p->dir, p->name, p->len);
}

static int remove_name(struct fuse_job *j, struct fuse_place *p, uint32_t opcode)
{
	bool is_dir = fuse_node_is(p->node, S_IFDIR);
	int err = fuse_may_delete(j, p->dir, p->node);
	struct fuse_subjects locked;

	if (err)
		return err;
	if (opcode == FUSE_RMDIR && !is_dir)
		return -ENOTDIR;
	if (opcode == FUSE_UNLINK && is_dir)
		return -EISDIR;
	locked = fuse_change_lock(j, p->node, NULL);
	fuse_handles_reap(j, p->node);
	fuse_handles_open(j, p->node);
	err = fuse_call_plain(j, opcode, p->dir->nodeid, p->name, p->len + 1);
	if (!err) {
		name_gone(j, p);
		fuse_shadow_gone(j->c, p);
	} else if (err == -EINTR || err == -ENOENT) {	/* it may be gone: ask again */
		fuse_name_drop_at(j->c, p->dir, p->name, p->len);
	}
	fuse_subjects_unlock(&locked);
	return err;
}

int fuse_op_unlink(struct fuse_job *j)
{
	struct fuse_place p;
	int err = fuse_change_begin(j, &p, WALK_NOFOLLOW);

	if (err)
		return err;
	err = p.dir ? remove_name(j, &p, FUSE_UNLINK) : -EISDIR;
	if (!err)
		fuse_standin_unlinked(j->c, p.node);
	fuse_change_end(j, &p);
	return err;
}

int fuse_op_rmdir(struct fuse_job *j)
{
	struct fuse_place p;
	int err = fuse_change_begin(j, &p, WALK_NOFOLLOW);

	if (err)
		return err;
	if (p.dir)
		err = remove_name(j, &p, FUSE_RMDIR);
	else
		err = p.len == 1 && p.name[0] == '.' ? -EINVAL : -EBUSY;	/* "dir/.", or the root */
	fuse_change_end(j, &p);
	return err;
}

/* ---- moving names ------------------------------------------------------------------------------------------ */

static int rename_send(struct fuse_job *j, struct fuse_place *from, struct fuse_place *to, uint32_t flags)
{
	struct fuse_rename2_in in = { .newdir = to->dir->nodeid, .flags = flags };
	struct fuse_caps *can = &j->c->can;
	struct fuse_req r;
	int err;

	if (flags && (can->no_rename2 || can->minor < 23))
		return -EINVAL;
	fuse_req_init(&r, j, flags ? FUSE_RENAME2 : FUSE_RENAME, from->dir->nodeid);
	fuse_req_arg(&r, &in, flags ? sizeof in : sizeof(struct fuse_rename_in));
	fuse_req_arg(&r, from->name, from->len + 1);
	fuse_req_arg(&r, to->name, to->len + 1);
	err = fuse_call(j, &r);
	if (err == -ENOSYS && flags) {
		can->no_rename2 = true;
		err = -EINVAL;
	}
	return err;
}

/* The tables after a successful rename: names swapped or moved, with what they had of validity. */
static void rename_names(struct fuse_job *j, struct fuse_place *from, struct fuse_place *to, bool exchange)
{
	struct fuse_conn *c = j->c;
	struct fuse_name *e = fuse_name_find(c, from->dir, from->name, from->len);
	uint64_t until = e ? e->until : 0;

	fuse_node_changed(c, from->dir);
	fuse_node_changed(c, to->dir);
	fuse_node_changed(c, from->node);
	fuse_name_drop_at(c, from->dir, from->name, from->len);
	if (to->node) {
		fuse_node_changed(c, to->node);
		if (!exchange)
			fuse_node_lingers(c, to->node, to->dir);
		fuse_name_drop_at(c, to->dir, to->name, to->len);
		if (exchange)
			fuse_name_set(c, from->dir, from->name, from->len, to->node, until);
		else if (fuse_node_is(to->node, S_IFDIR))
			to->node->removed = true;
	}
	fuse_name_set(c, to->dir, to->name, to->len, from->node, until);
}

/* What the VFS refuses, in its order. */
static int rename_check(struct fuse_job *j, struct fuse_place *from, struct fuse_place *to, uint32_t flags)
{
	bool from_dir = fuse_node_is(from->node, S_IFDIR), exchange = flags & RENAME_EXCHANGE;
	bool to_dir = to->node && fuse_node_is(to->node, S_IFDIR);

	if (exchange && !to->node)
		return -ENOENT;
	if (to->node && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if ((j->req.walk & UM_WALK_DIR) && !from_dir)
		return -ENOTDIR;
	if (from_dir && fuse_node_below(to->dir, from->node))
		return -EINVAL;
	if (to_dir && fuse_node_below(from->dir, to->node))
		return exchange ? -EINVAL : -ENOTEMPTY;
	if (to->node && !exchange && from_dir != to_dir)
		return from_dir ? -ENOTDIR : -EISDIR;
	return 0;
}

static int rename_may(struct fuse_job *j, struct fuse_place *from, struct fuse_place *to)
{
	int err = fuse_may_delete(j, from->dir, from->node);

	if (!err && to->node)
		return fuse_may_delete(j, to->dir, to->node);
	return err ? err : fuse_may(j, to->dir, MAY_WRITE | MAY_EXEC);
}

/* The server is asked; what is moved and what is replaced are locked. */
static int rename_locked(struct fuse_job *j, struct fuse_place *from, struct fuse_place *to, uint32_t flags)
{
	int err;

	if (to->node) {
		fuse_handles_reap(j, to->node);
		fuse_handles_open(j, to->node);
	}
	err = rename_send(j, from, to, flags);
	if (!err) {
		rename_names(j, from, to, flags & RENAME_EXCHANGE);
		fuse_shadow_moved(j->c, from, to, flags & RENAME_EXCHANGE);
		if (to->node)
			fuse_standin_unlinked(j->c, to->node);
	} else if (err == -EINTR || err == -ENOENT) {
		fuse_name_drop_at(j->c, from->dir, from->name, from->len);
		fuse_name_drop_at(j->c, to->dir, to->name, to->len);
	}
	return err;
}

static int rename(struct fuse_job *j, struct fuse_place *from, struct fuse_place *to, uint32_t flags)
{
	struct fuse_subjects locked;
	int err;

	if (!from->dir || !to->dir)
		return -EBUSY;		/* a mount point, "." */
	if (flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if ((flags & RENAME_EXCHANGE) && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)))
		return -EINVAL;
	err = rename_check(j, from, to, flags);
	if (err)
		return err;
	if (from->node == to->node && !(flags & RENAME_EXCHANGE))
		return 0;		/* two names of one file: nothing to do */
	err = rename_may(j, from, to);
	if (err)
		return err;
	locked = fuse_change_lock_moved(j, from, to, flags & RENAME_EXCHANGE);
	err = rename_locked(j, from, to, flags);
	fuse_subjects_unlock(&locked);
	return err;
}

/* Both places with their names: too much for the stack of a coroutine. */
int fuse_op_rename(struct fuse_job *j)
{
	struct fuse_place *p = heap_alloc(2 * sizeof *p);
	int err;

	if (!p)
		return -ENOMEM;
	err = fuse_change_begin_two(j, p, WALK_NOFOLLOW);
	if (!err) {
		err = rename(j, &p[0], &p[1], j->req.open_flags);
		fuse_change_end_two(j, p);
	}
	heap_free(p);
	return err;
}
