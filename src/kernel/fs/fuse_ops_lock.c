/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UM_OP_LOCK: what fcntl(2) and flock(2) ask for, here or at the server.
 *
 * As in the kernel a server that said so in INIT (FUSE_POSIX_LOCKS, FUSE_FLOCK_LOCKS) is sent GETLK, SETLK
 * and SETLKW, and of its locks we only note who has some, to give them back for who was killed.  For
 * all others the locks are kept in fuse_lock.c.
 */
#include <linux/fcntl.h>
#include <linux/fs.h>
#include "fuse_conn.h"

/* ---- what is asked for ------------------------------------------------------------------------------------- */

/* l_start and l_len from l_whence on, as the kernel's flock64_to_posix_lock. */
static int range(struct fuse_lock *w, int64_t from, int64_t start, int64_t len)
{
	if (__builtin_add_overflow(from, start, &start))
		return -EOVERFLOW;
	if (start < 0)
		return -EINVAL;
	w->start = (uint64_t)start;
	w->end = FUSE_LOCK_END;
	if (len > 0) {
		if (len - 1 > INT64_MAX - start)
			return -EOVERFLOW;
		w->end = (uint64_t)(start + len - 1);
	} else if (len < 0) {
		if (len < -start)
			return -EINVAL;
		w->end = (uint64_t)start - 1;
		w->start = (uint64_t)(start + len);
	}
	return 0;
}

static int want_range(struct fuse_job *j, const struct fuse_handle *h, struct fuse_lock *w)
{
	int64_t from = 0;
	int err = 0;

	switch (j->req.whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		from = (int64_t)fuse_offset_look(h);
		break;
	case SEEK_END:
		err = fuse_getattr(j, h->node, h, false);
		from = (int64_t)h->node->attr.size;
		break;
	default:
		return -EINVAL;
	}
	return err ? err : range(w, from, (int64_t)j->req.offset, (int64_t)j->req.size);
}

static int may_have(const struct fuse_handle *h, uint32_t type)
{
	uint32_t mode = h->open_flags & O_ACCMODE;

	if (type == F_RDLCK)
		return mode == O_RDONLY || mode == O_RDWR ? 0 : -EBADF;
	return type == F_UNLCK || mode == O_WRONLY || mode == O_RDWR ? 0 : -EBADF;
}

static int want(struct fuse_job *j, const struct fuse_handle *h, struct fuse_lock *w)
{
	uint32_t flags = j->req.open_flags;
	int err;

	*w = (struct fuse_lock){
		.owner = FUSE_OWNER_PROCESS | j->req.tgid, .end = FUSE_LOCK_END, .type = j->req.mode,
		.pid = j->req.tgid, .handle = h->number,
	};
	if (flags & (UM_LOCK_OFD | UM_LOCK_FLOCK)) {
		w->owner = FUSE_OWNER_FILE | h->number;
		w->pid = (uint32_t)-1;
	}
	if (w->type != F_RDLCK && w->type != F_WRLCK && w->type != F_UNLCK)
		return -EINVAL;
	if (flags & UM_LOCK_FLOCK) {
		w->kind = LOCK_FLOCK;
		return flags & UM_LOCK_GET ? -EINVAL : 0;
	}
	if ((flags & UM_LOCK_GET) && w->type == F_UNLCK)
		return -EINVAL;
	err = want_range(j, h, w);
	return err || (flags & UM_LOCK_GET) ? err : may_have(h, w->type);
}

static void tell(struct fuse_job *j, const struct fuse_lock *l)
{
	struct um_lock out = { .type = F_UNLCK };

	if (l) {
		out.type = l->type;
		out.pid = (int32_t)l->pid;
		out.start = (int64_t)l->start;
		out.len = l->end == FUSE_LOCK_END ? 0 : (int64_t)(l->end - l->start + 1);
	}
	memcpy(j->shm->data, &out, sizeof out);
	j->rep.size = sizeof out;
}

/* ---- here -------------------------------------------------------------------------------------------------- */

/* flock(2) that changes the kind of a lock lets go of it first: that is how it is documented. */
static void let_go(struct fuse_conn *c, struct fuse_node *n, const struct fuse_lock *w)
{
	struct fuse_lock none = *w;

	for (const struct fuse_lock *l = n->locks; l; l = l->next) {
		if (l->kind != LOCK_FLOCK || l->owner != w->owner || l->type == w->type)
			continue;
		none.type = F_UNLCK;
		fuse_lock_set(c, n, &none);
		return;
	}
}

static int lock_here(struct fuse_job *j, struct fuse_handle *h, const struct fuse_lock *w)
{
	int err = 0;

	if (j->req.open_flags & UM_LOCK_GET) {
		tell(j, fuse_lock_conflict(j->c, h->node, w));
		return 0;
	}
	if (w->kind == LOCK_FLOCK)
		let_go(j->c, h->node, w);
	if (w->type != F_UNLCK)
		err = fuse_lock_wait(j, h->node, w, j->req.open_flags & UM_LOCK_WAIT);
	return err ? err : fuse_lock_set(j->c, h->node, w);
}

/* ---- at the server ------------------------------------------------------------------------------------------ */

static void lk_fill(struct fuse_lk_in *in, const struct fuse_handle *h, const struct fuse_lock *w)
{
	*in = (struct fuse_lk_in){
		.fh = h->fh, .owner = w->owner,
		.lk = { .start = w->start, .end = w->end, .type = w->type, .pid = w->type == F_UNLCK ? 0 : w->pid },
		.lk_flags = w->kind == LOCK_FLOCK ? FUSE_LK_FLOCK : 0,
	};
}

static int get_there(struct fuse_job *j, struct fuse_handle *h, const struct fuse_lock *w)
{
	struct fuse_lk_out out = { 0 };
	struct fuse_lock l;
	struct fuse_lk_in in;
	struct fuse_req r;
	int err;

	lk_fill(&in, h, w);
	fuse_req_init(&r, j, FUSE_GETLK, h->node->nodeid);
	fuse_req_arg(&r, &in, sizeof in);
	fuse_req_reply(&r, &out, sizeof out);
	err = fuse_call(j, &r);
	if (err)
		return err;
	l = (struct fuse_lock){ .start = out.lk.start, .end = out.lk.end, .type = out.lk.type, .pid = out.lk.pid };
	if (l.type != F_UNLCK && (l.type > F_UNLCK || l.end > FUSE_LOCK_END || l.start > l.end))
		return -EIO;
	tell(j, l.type == F_UNLCK ? NULL : &l);
	return 0;
}

static int set_there(struct fuse_job *j, struct fuse_handle *h, const struct fuse_lock *w)
{
	bool waits = (j->req.open_flags & UM_LOCK_WAIT) && w->type != F_UNLCK;
	struct fuse_lock note = *w;
	struct fuse_lk_in in;
	int err;

	lk_fill(&in, h, w);
	if (w->kind == LOCK_FLOCK)
		h->flocked = true;
	err = fuse_call_plain(j, waits ? FUSE_SETLKW : FUSE_SETLK, h->node->nodeid, &in, sizeof in);
	if (err || w->kind == LOCK_FLOCK)
		return err;
	note.kind = LOCK_THEIRS;
	if (w->type != F_UNLCK) {
		note.start = 0;
		note.end = FUSE_LOCK_END;
	}
	fuse_lock_set(j->c, h->node, &note);
	return 0;
}

static int lock_there(struct fuse_job *j, struct fuse_handle *h, const struct fuse_lock *w)
{
	int err = fuse_late_open(j, h);

	if (err)
		return err;
	return j->req.open_flags & UM_LOCK_GET ? get_there(j, h, w) : set_there(j, h, w);
}

/* Does the server want to be asked? */
static bool is_theirs(const struct fuse_conn *c, const struct fuse_lock *w)
{
	return w->kind == LOCK_FLOCK ? c->can.flocks : c->can.locks;
}

int fuse_unlock_at_server(struct fuse_job *j, struct fuse_handle *h, uint64_t owner)
{
	struct fuse_lock none = { .owner = owner, .end = FUSE_LOCK_END, .type = F_UNLCK };
	struct fuse_lk_in in;
	int err = fuse_late_open(j, h);

	if (err)
		return err;
	lk_fill(&in, h, &none);
	return fuse_call_plain(j, FUSE_SETLK, h->node->nodeid, &in, sizeof in);
}

/* ---- the operation ------------------------------------------------------------------------------------------ */

int fuse_op_lock(struct fuse_job *j)
{
	struct fuse_handle *h = fuse_handle_get(j);
	struct fuse_lock w;
	int err = -EBADF;

	if (!h)
		return err;
	h->mature = true;	/* who locks has a descriptor, and with it a carrier */
	if (!(h->open_flags & O_PATH))
		err = h->node->bad ? -EIO : want(j, h, &w);
	if (!err)
		err = is_theirs(j->c, &w) ? lock_there(j, h, &w) : lock_here(j, h, &w);
	fuse_handle_put(j, h);
	return err;
}
