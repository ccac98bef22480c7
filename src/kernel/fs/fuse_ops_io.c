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
#include "../../wire/pages.h"

int fuse_io_begin(struct fuse_job *j, struct fuse_handle **out, uint32_t unwanted)
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

static int read_some(struct fuse_job *j, struct fuse_handle *h, uint64_t offset, uint32_t at, uint32_t *n, uint64_t *version)
{
	struct fuse_read_in in = { .fh = h->fh, .offset = offset, .size = *n, .flags = h->open_flags };
	struct fuse_req r;
	int err;

	fuse_req_init(&r, j, FUSE_READ, h->node->nodeid);
	fuse_req_arg(&r, &in, sizeof in);
	fuse_req_reply_upto(&r, j->shm->data + at, *n);
	err = fuse_call(j, &r);
	*n = r.reply_len;
	*version = r.version;
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

/* READs of `want` bytes from offset, into the slot at `at`.  *done: how many there were; *version: of the first. */
static int read_all(struct fuse_job *j, struct fuse_handle *h, uint64_t offset, uint32_t at, uint32_t want, uint32_t *done, uint64_t *version)
{
	uint64_t v;
	int err = want ? fuse_late_open(j, h) : 0;

	*done = 0;
	while (!err && *done < want) {
		uint32_t part = want - *done, n;

		if (part > j->c->can.max_read)
			part = j->c->can.max_read;
		n = part;
		err = read_some(j, h, offset + *done, at + *done, &n, *done ? &v : version);
		if (err)
			break;
		*done += n;
		if (n < part)
			break;
	}
	return *done ? 0 : err;
}

#define AHEAD_LEAST	(16u << 10)

/* Will what is read be of use to those who come later?  Then whole pages are read, and more than was asked for. */
static bool is_for_pages(struct fuse_job *j, struct fuse_handle *h)
{
	if (!h->shared || !j->c->pages)
		return false;
	if (h->node->attr_until <= j->now && (!fuse_is_alone(j->c) || fuse_getattr(j, h->node, h, false)))
		return false;
	return h->node->attr_until > j->now && h->node->attr.size <= fuse_pages_most(j->c);
}

/* Who comes here for what lies behind what the last ones have brought reads on: he gets more and more in advance. */
static uint64_t window_end(struct fuse_handle *h, uint64_t offset, uint64_t end)
{
	if (offset <= h->read_from || offset > h->read_end)
		h->ahead = 0;
	else if (h->ahead < UM_DATA_SIZE)
		h->ahead = h->ahead ? 2 * h->ahead : AHEAD_LEAST;
	return end + h->ahead;
}

static int read_pages(struct fuse_job *j, struct fuse_handle *h, uint64_t offset)
{
	const uint64_t start = offset & ~(uint64_t)(UM_PAGE_SIZE - 1), size = h->node->attr.size;
	const uint32_t before = (uint32_t)(offset - start), want = (uint32_t)readable(j, h, offset, j->req.size);
	const uint64_t contents = h->node->contents;
	uint64_t end = (window_end(h, offset, offset + want) + UM_PAGE_SIZE - 1) & ~(uint64_t)(UM_PAGE_SIZE - 1), version;
	uint32_t done;
	int err;

	if (!want)
		return 0;
	end = end < size ? end : size;
	if (end > start + UM_DATA_SIZE)
		end = start + UM_DATA_SIZE;
	err = read_all(j, h, start, 0, (uint32_t)(end - start), &done, &version);
	if (err)
		return err;
	if (contents == h->node->contents)
		fuse_pages_fill(j->c, h->node, start, j->shm->data, done, version);
	h->read_from = start;
	h->read_end = start + done;
	done = done > before ? done - before : 0;
	j->rep.size = done < want ? done : want;
	memmove(j->shm->data, j->shm->data + before, j->rep.size);
	return 0;
}

static int read_plain(struct fuse_job *j, struct fuse_handle *h, uint64_t offset)
{
	uint64_t version;
	uint32_t done;
	int err = read_all(j, h, offset, 0, (uint32_t)readable(j, h, offset, j->req.size), &done, &version);

	j->rep.size = done;
	return err;
}

/* Does a kernel read this file through its page cache? */
static bool is_by_pages(const struct fuse_handle *h)
{
	return !(h->open_flags & O_DIRECT) && !(h->fopen & FUSE_NO_PAGES);
}

/*
 * From the beginning of a page on, as the kernel's page cache does: there are servers that know nothing else, and give what is in their
 * memory for the last bytes of a file that is read from the middle of a page (fuseiso).  What does not fit into the slot then comes
 * by a READ of its own.
 */
static int read_aligned(struct fuse_job *j, struct fuse_handle *h, uint64_t offset)
{
	const uint32_t before = offset & (UM_PAGE_SIZE - 1), want = (uint32_t)readable(j, h, offset, j->req.size);
	const uint32_t first = before + want < UM_DATA_SIZE ? before + want : UM_DATA_SIZE;
	uint32_t done, rest = 0;
	uint64_t version;
	int err;

	if (!want)
		return 0;
	err = read_all(j, h, offset - before, 0, first, &done, &version);
	if (err || done <= before)
		return err;
	j->rep.size = done - before;
	memmove(j->shm->data, j->shm->data + before, j->rep.size);
	if (done == first && j->rep.size < want)
		read_all(j, h, offset + j->rep.size, (uint32_t)j->rep.size, want - (uint32_t)j->rep.size, &rest, &version);
	j->rep.size += rest;
	return 0;
}

static int read_at(struct fuse_job *j, struct fuse_handle *h, uint64_t offset)
{
	const bool mapped = h->node->map && offset <= INT64_MAX;
	const bool pages = !mapped && offset <= INT64_MAX && (offset & (UM_PAGE_SIZE - 1)) + j->req.size <= UM_DATA_SIZE && is_for_pages(j, h);
	int err = 0;

	if (mapped)
		j->rep.size = fuse_map_read(h->node, offset, j->shm->data, (uint32_t)j->req.size);
	else if (pages)
		err = read_pages(j, h, offset);
	else if (offset <= INT64_MAX && is_by_pages(h))
		err = read_aligned(j, h, offset);
	else
		err = read_plain(j, h, offset);
	if (j->rep.size && !(h->open_flags & O_NOATIME) && !fuse_may_change(j))
		fuse_node_read(j->c, h->node);
	if (j->rep.size)
		fuse_shadow_did(j->c, h, h->node, NULL, IN_ACCESS);
	return err;
}

/* By the open file's own offset, which it moves. */
static int read_on(struct fuse_job *j, struct fuse_handle *h)
{
	uint64_t offset;
	int err;

	fuse_mutex_lock(j, &h->lock);
	offset = fuse_offset_take(h);
	err = read_at(j, h, offset);
	j->rep.offset = offset + j->rep.size;
	fuse_offset_put(h, j->rep.offset);
	fuse_mutex_unlock(&h->lock);
	return err;
}

int fuse_op_read(struct fuse_job *j)
{
	struct fuse_handle *h;
	int err;

	if (j->req.size > UM_DATA_SIZE)
		return -EINVAL;
	err = fuse_io_begin(j, &h, O_WRONLY);
	if (err)
		return err;
	if (h->is_dir)
		err = -EISDIR;
	else if (j->req.offset == UM_OFFSET_FILE)
		err = read_on(j, h);
	else
		err = j->req.offset > INT64_MAX ? -EINVAL : read_at(j, h, j->req.offset);
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

void fuse_size_reaches(struct fuse_job *j, struct fuse_node *n, uint64_t end)
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
	fuse_pages_drop(j->c, h->node, offset, want);
	fuse_map_wrote(h->node, offset, j->shm->data, done);
	if (done) {
		fuse_size_reaches(j, h->node, offset + done);
		fuse_shadow_did(j->c, h, h->node, NULL, IN_MODIFY);
	} else if (err) {
		fuse_node_changed(j->c, h->node);	/* who knows what of it was done */
	}
	j->rep.size = done;
	return done ? 0 : err;
}

/* Where to write; the mutexes are held.  own: the open file's offset. */
static int write_offset(struct fuse_job *j, struct fuse_handle *h, uint64_t own, uint64_t *offset)
{
	int err = 0;

	*offset = j->req.offset == UM_OFFSET_FILE ? own : j->req.offset;
	if (j->req.offset != UM_OFFSET_END && !(h->open_flags & O_APPEND))
		return *offset > INT64_MAX ? -EINVAL : 0;
	if (h->node->size_until <= j->now)
		err = fuse_getattr(j, h->node, h, true);
	*offset = h->node->attr.size;
	return err;
}

static int write_locked(struct fuse_job *j, struct fuse_handle *h, uint64_t own)
{
	uint64_t offset;
	int err;

	fuse_mutex_lock(j, &h->node->lock);
	err = write_offset(j, h, own, &offset);
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
	uint64_t own = 0;
	int err;

	if (j->req.size > UM_DATA_SIZE)
		return -EINVAL;
	err = fuse_io_begin(j, &h, O_RDONLY);
	if (err)
		return err;
	if (moves) {
		fuse_mutex_lock(j, &h->lock);
		own = fuse_offset_take(h);
	}
	err = write_locked(j, h, own);
	if (moves) {
		fuse_offset_put(h, err ? own : j->rep.offset);
		fuse_mutex_unlock(&h->lock);
	}
	fuse_handle_put(j, h);
	return err;
}

/* ---- seek ------------------------------------------------------------------------------------------------- */

/* Data and holes: without the server's help a file is all data, with a hole at its end. */
static int seek_sparse(struct fuse_job *j, struct fuse_handle *h, uint64_t *offset)
{
	struct fuse_lseek_in in = { .offset = *offset, .whence = j->req.whence };
	struct fuse_lseek_out out = { 0 };
	struct fuse_req r;
	int err;

	if (*offset > INT64_MAX)
		return -ENXIO;
	err = j->c->can.no_lseek ? -ENOSYS : fuse_late_open(j, h);
	if (!err) {
		in.fh = h->fh;
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

/* *own: the open file's offset. */
static int seek(struct fuse_job *j, struct fuse_handle *h, uint64_t *own)
{
	uint64_t offset = j->req.offset;
	int err = 0;

	switch (j->req.whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		offset += *own;
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
	*own = j->rep.offset = offset;
	h->at_end = false;
	return 0;
}

int fuse_op_seek(struct fuse_job *j)
{
	struct fuse_handle *h;
	uint64_t own;
	int err = fuse_io_begin(j, &h, O_ACCMODE);

	if (err)
		return err;
	if (h->fopen & (FOPEN_NONSEEKABLE | FOPEN_STREAM)) {
		err = -ESPIPE;
	} else {
		fuse_mutex_lock(j, &h->lock);
		own = fuse_offset_take(h);
		err = seek(j, h, &own);
		fuse_offset_put(h, own);
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
	int err = fuse_io_begin(j, &h, O_ACCMODE);
	bool *unknown;

	if (err)
		return err;
	unknown = h->is_dir ? &j->c->can.no_fsyncdir : &j->c->can.no_fsync;
	err = fuse_map_sync(j, h->node);
	fuse_mutex_lock(j, &h->node->lock);
	if (!*unknown && !err)
		err = fuse_late_open(j, h);
	in.fh = h->fh;
	if (!*unknown && !err)
		err = fuse_call_plain(j, h->is_dir ? FUSE_FSYNCDIR : FUSE_FSYNC, h->node->nodeid, &in, sizeof in);
	fuse_mutex_unlock(&h->node->lock);
	if (err == -ENOSYS) {
		*unknown = true;
		err = 0;
	}
	fuse_handle_put(j, h);
	return err;
}

/* Whoever has the file open may change these, for everybody who has it from the same open(2). */
int fuse_op_setfl(struct fuse_job *j)
{
	const uint32_t some = O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT;
	struct fuse_handle *h;
	int err = fuse_io_begin(j, &h, ~0u);

	if (err)
		return err;
	h->open_flags = (h->open_flags & ~some) | (j->req.open_flags & some);
	fuse_handle_put(j, h);
	return 0;
}

static int fallocate(struct fuse_job *j, struct fuse_handle *h)
{
	struct fuse_fallocate_in in = {
		.fh = h->fh, .offset = j->req.offset, .length = j->req.size, .mode = j->req.mode,
	};
	int err = 0;

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
	if (in.mode & ~(uint32_t)FALLOC_FL_KEEP_SIZE)
		err = fuse_map_sync_range(j, h->node, 0, INT64_MAX);
	if (!err)
		err = fuse_call_plain(j, FUSE_FALLOCATE, h->node->nodeid, &in, sizeof in);
	fuse_pages_forget(j->c, h->node);
	if (!err)			/* else only the size can be another one */
		err = fuse_map_reload(j, h->node, in.offset, in.mode & ~(uint32_t)FALLOC_FL_KEEP_SIZE ? in.length : 0);
	if (!err && !(in.mode & FALLOC_FL_KEEP_SIZE))
		fuse_size_reaches(j, h->node, in.offset + in.length);
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
	int err = fuse_io_begin(j, &h, O_RDONLY);

	if (err)
		return err;
	err = fallocate(j, h);
	fuse_handle_put(j, h);
	return err;
}
