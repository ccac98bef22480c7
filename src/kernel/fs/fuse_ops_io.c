/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operations on the contents of open files.
 *
 * Data goes between the server's buffer and the guest's slot, copied once.  The open file's own offset is
 * kept here, with the handle; who uses and moves it holds the handle's mutex, who writes that of the
 * node (in this order), so that writes do not interleave and appending finds the true end.
 */
#include <linux/stat.h>
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/inotify.h>
#include "fuse_conn.h"

static int io_begin(struct fuse_job *j, struct fuse_handle **out, uint32_t unwanted)
{
	struct fuse_handle *h = fuse_handle_get(j);
	int err = 0;

	if (!h)
		return -EBADF;
	if ((h->open_flags & O_PATH) || (h->open_flags & O_ACCMODE) == unwanted)
		err = -EBADF;
	else if (h->node->bad)
		err = -EIO;
	if (err)
		fuse_handle_put(j, h);
	*out = h;
	return err;
}

/* ---- read ------------------------------------------------------------------------------------------------ */

static int read_some(struct fuse_job *j, struct fuse_handle *h, uint64_t offset, uint32_t at, uint32_t *n)
{
	struct fuse_read_in in = { .fh = h->fh, .offset = offset, .size = *n, .flags = h->open_flags };
	struct fuse_req r;
	int err;

	fuse_req_init(&r, j, FUSE_READ, h->node->nodeid);
	fuse_req_arg(&r, &in, sizeof in);
	fuse_req_reply_upto(&r, j->shm->data + at, *n);
	err = fuse_call(j, &r);
	*n = r.reply_len;
	return err;
}

/* What is known to lie behind the end is not asked for, unless the server wants to be asked always. */
static uint64_t readable(struct fuse_job *j, const struct fuse_handle *h, uint64_t offset, uint64_t size)
{
	const struct fuse_node *n = h->node;

	if (offset > INT64_MAX)
		return 0;
	if (size > INT64_MAX - offset)
		size = INT64_MAX - offset;
	if ((h->fopen & FOPEN_DIRECT_IO) || n->attr_until <= j->now)
		return size;
	if (offset >= n->attr.size)
		return 0;
	return size < n->attr.size - offset ? size : n->attr.size - offset;
}

static int read_at(struct fuse_job *j, struct fuse_handle *h, uint64_t offset)
{
	uint32_t want = (uint32_t)readable(j, h, offset, j->req.size), done = 0;
	int err = 0;

	while (done < want) {
		uint32_t part = want - done, n;

		if (part > j->c->can.max_read)
			part = j->c->can.max_read;
		n = part;
		err = read_some(j, h, offset + done, done, &n);
		if (err)
			break;
		done += n;
		if (n < part)
			break;
	}
	if (done && !(h->open_flags & O_NOATIME) && !fuse_may_change(j))
		h->node->atime_stale = true;
	if (done)
		fuse_shadow_did(j->c, h, h->node, NULL, IN_ACCESS);
	j->rep.size = done;
	return done ? 0 : err;
}

int fuse_op_read(struct fuse_job *j)
{
	struct fuse_handle *h;
	int err;

	if (j->req.size > UM_DATA_SIZE)
		return -EINVAL;
	err = io_begin(j, &h, O_WRONLY);
	if (err)
		return err;
	if (h->is_dir) {
		err = -EISDIR;
	} else if (j->req.offset != UM_OFFSET_FILE) {
		err = j->req.offset > INT64_MAX ? -EINVAL : read_at(j, h, j->req.offset);
	} else {
		fuse_mutex_lock(j, &h->lock);
		err = read_at(j, h, h->offset);
		h->offset += j->rep.size;
		j->rep.offset = h->offset;
		fuse_mutex_unlock(&h->lock);
	}
	fuse_handle_put(j, h);
	return err;
}

/* ---- write ----------------------------------------------------------------------------------------------- */

static int write_some(struct fuse_job *j, struct fuse_handle *h, uint64_t offset, uint32_t at, uint32_t *n)
{
	struct fuse_write_in in = { .fh = h->fh, .offset = offset, .size = *n, .flags = h->open_flags };
	struct fuse_write_out out = { 0 };
	struct fuse_req r;
	int err;

	fuse_req_init(&r, j, FUSE_WRITE, h->node->nodeid);
	fuse_req_arg(&r, &in, j->c->can.minor < 9 ? FUSE_COMPAT_WRITE_IN_SIZE : sizeof in);
	fuse_req_arg(&r, j->shm->data + at, *n);
	fuse_req_reply(&r, &out, sizeof out);
	err = fuse_call(j, &r);
	if (!err && out.size > *n)
		err = -EIO;
	*n = err ? 0 : out.size;
	return err;
}

static void size_reaches(struct fuse_job *j, struct fuse_node *n, uint64_t end)
{
	fuse_node_changed(j->c, n);
	if (n->attr.size < end)
		n->attr.size = end;
}

static int write_at(struct fuse_job *j, struct fuse_handle *h, uint64_t offset)
{
	uint32_t want = (uint32_t)j->req.size, done = 0;
	int err = 0;

	if (offset > (uint64_t)INT64_MAX - want)
		return -EFBIG;
	while (done < want) {
		uint32_t part = want - done, n;

		if (part > j->c->can.max_write)
			part = j->c->can.max_write;
		n = part;
		err = write_some(j, h, offset + done, done, &n);
		done += n;
		if (!err && !n)
			err = -EIO;
		if (err || n < part)
			break;
	}
	if (done) {
		size_reaches(j, h->node, offset + done);
		fuse_shadow_did(j->c, h, h->node, NULL, IN_MODIFY);
	}
	j->rep.size = done;
	return done ? 0 : err;
}

/* Where to write; the mutexes are held. */
static int write_offset(struct fuse_job *j, struct fuse_handle *h, uint64_t *offset)
{
	int err = 0;

	*offset = j->req.offset == UM_OFFSET_FILE ? h->offset : j->req.offset;
	if (j->req.offset != UM_OFFSET_END)
		return *offset > INT64_MAX ? -EINVAL : 0;
	if (h->node->size_until <= j->now)
		err = fuse_getattr(j, h->node, h, true);
	*offset = h->node->attr.size;
	return err;
}

static int write_locked(struct fuse_job *j, struct fuse_handle *h)
{
	uint64_t offset;
	int err;

	fuse_mutex_lock(j, &h->node->lock);
	err = write_offset(j, h, &offset);
	if (!err)
		err = fuse_kill_suid(j, h->node);
	if (!err)
		err = write_at(j, h, offset);
	fuse_mutex_unlock(&h->node->lock);
	j->rep.offset = offset + j->rep.size;
	return err;
}

int fuse_op_write(struct fuse_job *j)
{
	bool moves = j->req.offset == UM_OFFSET_FILE || j->req.offset == UM_OFFSET_END;
	struct fuse_handle *h;
	int err;

	if (j->req.size > UM_DATA_SIZE)
		return -EINVAL;
	err = io_begin(j, &h, O_RDONLY);
	if (err)
		return err;
	if (moves)
		fuse_mutex_lock(j, &h->lock);
	err = write_locked(j, h);
	if (moves) {
		if (!err)
			h->offset = j->rep.offset;
		fuse_mutex_unlock(&h->lock);
	}
	fuse_handle_put(j, h);
	return err;
}

/* ---- seek ------------------------------------------------------------------------------------------------- */

/* Data and holes: without the server's help a file is all data, with a hole at its end. */
static int seek_sparse(struct fuse_job *j, struct fuse_handle *h, uint64_t *offset)
{
	struct fuse_lseek_in in = { .fh = h->fh, .offset = *offset, .whence = j->req.whence };
	struct fuse_lseek_out out = { 0 };
	struct fuse_req r;
	int err = -ENOSYS;

	if (*offset > INT64_MAX)
		return -ENXIO;
	if (!j->c->can.no_lseek) {
		fuse_req_init(&r, j, FUSE_LSEEK, h->node->nodeid);
		fuse_req_arg(&r, &in, sizeof in);
		fuse_req_reply(&r, &out, sizeof out);
		err = fuse_call(j, &r);
	}
	if (err != -ENOSYS) {
		*offset = out.offset;
		return err;
	}
	j->c->can.no_lseek = true;
	err = fuse_getattr(j, h->node, h, false);
	if (err)
		return err;
	if (*offset >= h->node->attr.size)
		return -ENXIO;
	if (j->req.whence == SEEK_HOLE)
		*offset = h->node->attr.size;
	return 0;
}

static int seek(struct fuse_job *j, struct fuse_handle *h)
{
	uint64_t offset = j->req.offset;
	int err = 0;

	switch (j->req.whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		offset += h->offset;
		break;
	case SEEK_END:
		fuse_mutex_lock(j, &h->node->lock);
		err = fuse_getattr(j, h->node, h, false);
		offset += h->node->attr.size;
		fuse_mutex_unlock(&h->node->lock);
		break;
	case SEEK_DATA:
	case SEEK_HOLE:
		fuse_mutex_lock(j, &h->node->lock);
		err = h->is_dir ? -EINVAL : seek_sparse(j, h, &offset);
		fuse_mutex_unlock(&h->node->lock);
		break;
	default:
		return -EINVAL;
	}
	if (!err && offset > INT64_MAX)
		err = -EINVAL;
	if (err)
		return err;
	h->offset = j->rep.offset = offset;
	h->at_end = false;
	return 0;
}

int fuse_op_seek(struct fuse_job *j)
{
	struct fuse_handle *h;
	int err = io_begin(j, &h, O_ACCMODE);

	if (err)
		return err;
	if (h->fopen & (FOPEN_NONSEEKABLE | FOPEN_STREAM)) {
		err = -ESPIPE;
	} else {
		fuse_mutex_lock(j, &h->lock);
		err = seek(j, h);
		fuse_mutex_unlock(&h->lock);
	}
	fuse_handle_put(j, h);
	return err;
}

/* ---- fsync, fallocate --------------------------------------------------------------------------------------- */

int fuse_op_fsync(struct fuse_job *j)
{
	struct fuse_fsync_in in = { .fsync_flags = j->req.open_flags & 1 ? FUSE_FSYNC_FDATASYNC : 0 };
	struct fuse_handle *h;
	int err = io_begin(j, &h, O_ACCMODE);
	bool *unknown;

	if (err)
		return err;
	unknown = h->is_dir ? &j->c->can.no_fsyncdir : &j->c->can.no_fsync;
	in.fh = h->fh;
	fuse_mutex_lock(j, &h->node->lock);
	if (!*unknown)
		err = fuse_call_plain(j, h->is_dir ? FUSE_FSYNCDIR : FUSE_FSYNC, h->node->nodeid, &in, sizeof in);
	fuse_mutex_unlock(&h->node->lock);
	if (err == -ENOSYS) {
		*unknown = true;
		err = 0;
	}
	fuse_handle_put(j, h);
	return err;
}

static int fallocate(struct fuse_job *j, struct fuse_handle *h)
{
	struct fuse_fallocate_in in = {
		.fh = h->fh, .offset = j->req.offset, .length = j->req.size, .mode = j->req.mode,
	};
	int err;

	if (in.offset > INT64_MAX || !in.length || in.length > INT64_MAX)
		return -EINVAL;
	if (in.offset + in.length > INT64_MAX)
		return -EFBIG;
	if (h->is_dir)
		return -EISDIR;
	if (j->c->can.no_fallocate ||
	    (in.mode & ~(uint32_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)))
		return -EOPNOTSUPP;
	fuse_mutex_lock(j, &h->node->lock);
	err = fuse_call_plain(j, FUSE_FALLOCATE, h->node->nodeid, &in, sizeof in);
	if (!err && !(in.mode & FALLOC_FL_KEEP_SIZE))
		size_reaches(j, h->node, in.offset + in.length);
	else
		fuse_node_changed(j->c, h->node);
	fuse_mutex_unlock(&h->node->lock);
	if (!err)
		fuse_shadow_did(j->c, h, h->node, NULL, IN_MODIFY);
	if (err != -ENOSYS)
		return err;
	j->c->can.no_fallocate = true;
	return -EOPNOTSUPP;
}

int fuse_op_fallocate(struct fuse_job *j)
{
	struct fuse_handle *h;
	int err = io_begin(j, &h, O_RDONLY);

	if (err)
		return err;
	err = fallocate(j, h);
	fuse_handle_put(j, h);
	return err;
}
