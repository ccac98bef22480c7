/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a server may do with open files and mostly does not: ioctl, and copying between two of them.
 */
#include <linux/stat.h>
#include <linux/fs.h>
#include <linux/inotify.h>
#include "fuse_conn.h"

/* ---- ioctl ------------------------------------------------------------------------------------------------ */

/*
 * What the kernel calls a restricted ioctl: the command itself says how much data goes in and comes out.  One that asks for
 * other memory of the guest's (FUSE_IOCTL_RETRY) is for character devices only: EIO, as from the kernel.
 */
static int ioctl_send(struct fuse_job *j, struct fuse_handle *h)
{
	struct fuse_ioctl_in in = {
		.fh = h->fh, .flags = h->is_dir ? FUSE_IOCTL_DIR : 0, .cmd = j->req.mode, .arg = j->req.offset,
		.in_size = (uint32_t)j->req.size, .out_size = j->req.rdev,
	};
	struct fuse_ioctl_out out;
	uint8_t *reply = heap_alloc(sizeof out + in.out_size);
	struct fuse_req r;
	int err;

	if (!reply)
		return -ENOMEM;
	fuse_req_init(&r, j, FUSE_IOCTL, h->node->nodeid);
	fuse_req_arg(&r, &in, sizeof in);
	if (in.in_size)
		fuse_req_arg(&r, j->shm->data, in.in_size);
	fuse_req_reply_upto(&r, reply, (uint32_t)sizeof out + in.out_size);
	err = fuse_call(j, &r);
	if (!err && r.reply_len < sizeof out)
		err = -EIO;
	if (!err) {
		memcpy(&out, reply, sizeof out);
		if (out.flags & FUSE_IOCTL_RETRY)
			err = -EIO;
	}
	if (!err) {
		j->rep.size = r.reply_len - sizeof out;
		j->rep.offset = (uint64_t)(int64_t)out.result;
		memcpy(j->shm->data, reply + sizeof out, j->rep.size);
	}
	heap_free(reply);
	return err == -ENOSYS ? -ENOTTY : err;
}

int fuse_op_ioctl(struct fuse_job *j)
{
	struct fuse_handle *h;
	int err;

	if (j->req.size > UM_IOCTL_MOST || j->req.rdev > UM_IOCTL_MOST)
		return -EINVAL;
	err = fuse_io_begin(j, &h, O_ACCMODE + 1);
	if (err)
		return err;
	err = fuse_late_open(j, h);
	if (!err && (h->unopened || (h->is_dir && j->c->can.minor < 18)))
		err = -ENOTTY;
	if (!err)
		err = ioctl_send(j, h);
	if (j->req.size) {		/* whatever it was, it may have changed something */
		fuse_node_changed(j->c, h->node);
		fuse_pages_forget(j->c, h->node);
	}
	fuse_handle_put(j, h);
	return err;
}

/* ---- copy_file_range -------------------------------------------------------------------------------------- */

/* The file that is written to, used by j; its lock is held when this returns 0. */
static int copy_target(struct fuse_job *j, const struct fuse_handle *from, struct fuse_handle **out)
{
	struct fuse_handle *to = fuse_handle_find(j->c, j->req.handle2);

	if (!to || to->open_flags & (O_PATH | O_APPEND) || (to->open_flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (to->node->bad)
		return -EIO;
	if (from->unopened || to->unopened || j->c->can.no_copy || j->c->can.minor < 28)
		return -EOPNOTSUPP;
	to->users++;
	fuse_mutex_lock(j, &to->node->lock);
	*out = to;
	return 0;
}

static int copy(struct fuse_job *j, struct fuse_handle *from, struct fuse_handle *to)
{
	struct fuse_copy_file_range_in in = {
		.fh_in = from->fh, .off_in = j->req.offset, .nodeid_out = to->node->nodeid, .fh_out = to->fh, .off_out = j->req.base2,
		.len = j->req.size,
	};
	struct fuse_write_out out = { 0 };
	struct fuse_req r;
	int err;

	fuse_req_init(&r, j, FUSE_COPY_FILE_RANGE, from->node->nodeid);
	fuse_req_arg(&r, &in, sizeof in);
	fuse_req_reply(&r, &out, sizeof out);
	err = fuse_call(j, &r);
	fuse_pages_drop(j->c, to->node, in.off_out, in.len);
	if (err == -ENOSYS)
		j->c->can.no_copy = true;
	if (!err && out.size > in.len)
		err = -EIO;
	if (err)
		return err == -ENOSYS ? -EOPNOTSUPP : err;
	j->rep.size = out.size;
	if (!out.size)
		return 0;
	err = fuse_map_reload(j, to->node, in.off_out, out.size);
	if (err)
		return err;
	fuse_node_read(j->c, from->node);
	fuse_size_reaches(j, to->node, in.off_out + out.size);
	fuse_shadow_did(j->c, from, from->node, NULL, IN_ACCESS);
	fuse_shadow_did(j->c, to, to->node, NULL, IN_MODIFY);
	return 0;
}

int fuse_op_copy(struct fuse_job *j)
{
	struct fuse_handle *from, *to;
	int err;

	if (j->req.size > UM_COPY_MOST || j->req.offset > INT64_MAX - j->req.size || j->req.base2 > INT64_MAX - j->req.size)
		return -EINVAL;
	err = fuse_io_begin(j, &from, O_WRONLY);
	if (err)
		return err;
	err = fuse_late_open(j, from);
	if (!err)
		err = fuse_map_sync(j, from->node);
	if (!err)
		err = copy_target(j, from, &to);
	if (!err) {
		err = fuse_map_sync_range(j, to->node, j->req.base2, j->req.size);
		if (!err)
			err = fuse_kill_suid(j, to->node);
		if (!err)
			err = copy(j, from, to);
		fuse_mutex_unlock(&to->node->lock);
		fuse_handle_put(j, to);
	}
	fuse_handle_put(j, from);
	return err;
}
