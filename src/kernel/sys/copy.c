/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls that move data between two descriptors: sendfile, copy_file_range, splice.  With two real ones
 * they are the kernel's.  With a virtual one the agent moves the data through the window of the
 * channel, piece by piece: from there it is written to the other side without a further copy.
 *
 * Positions are explicit throughout; a file's own offset is read at the beginning and set at the end, so
 * nothing has to be undone when a write comes out short.
 */
#include "calls.h"
#include "../fs/fuse.h"
#include <asm/poll.h>
#include <linux/fs.h>

#define SPLICE_NONBLOCK	2u
#define SPLICE_FLAGS	15u		/* all that splice(2) knows */

/* One side of a copy. */
struct end {
	int fd;
	struct file *f;		/* held; NULL: real */
	gaddr where;		/* the guest's offset variable, 0: the file's own offset */
	bool stream;		/* a real one without position: a pipe, a socket */
	int64_t pos;
};

static long end_seek(struct task *t, const struct end *e, int64_t offset, unsigned whence)
{
	return e->f ? file_seek(t, e->f, offset, whence) : raw_syscall(__NR_lseek, e->fd, offset, whence);
}

static void end_close(struct end *e)
{
	if (e->f)
		file_put(e->f);
}

/* Takes hold of fd and finds the position to start at. */
static long end_open(struct task *t, struct end *e, int fd, gaddr where)
{
	*e = (struct end){ .fd = fd, .where = where };
	if (fd_is_ours(fd))
		return -EBADF;
	if (fd_is_virtual(t, fd)) {
		e->f = fd_hold(t, fd);
		if (!e->f)
			return -EBADF;
		if (e->f->kind != FILE_REMOTE)
			return -EINVAL;
	}
	if (where) {
		if (copy_from_guest(t, &e->pos, where, sizeof e->pos))
			return -EFAULT;
		return 0;
	}
	e->pos = end_seek(t, e, 0, SEEK_CUR);
	if (e->pos == -ESPIPE && !e->f) {
		e->stream = true;
		e->pos = 0;
	}
	return e->pos < 0 ? (long)e->pos : 0;
}

/* Both are to be closed, whatever it returns. */
static long ends_open(struct task *t, struct end *in, int in_fd, gaddr in_where, struct end *out, int out_fd,
		      gaddr out_where)
{
	long r = end_open(t, in, in_fd, in_where);

	out->f = NULL;
	return r ? r : end_open(t, out, out_fd, out_where);
}

/* A position that was given: looked at when both descriptors are known to be good. */
static bool bad_pos(const struct end *e)
{
	return e->pos < 0;
}

/* After `done` bytes: the new position goes where the old one came from. */
static long end_finish(struct task *t, const struct end *e, size_t done)
{
	int64_t pos = e->pos + (int64_t)done;

	if (e->where)
		return copy_to_guest(t, e->where, &pos, sizeof pos);
	if (!e->stream && done)
		end_seek(t, e, pos, SEEK_SET);
	return 0;
}

static long end_read(struct task *t, const struct end *in, size_t size, size_t done, uint8_t *buf, uint8_t **data)
{
	uint64_t pos = (uint64_t)in->pos + done;

	if (in->f)
		return file_read_piece(t, in->f, size, pos, data);
	*data = buf;
	return kernel_call(t, __NR_pread64, in->fd, buf, size, pos);
}

/* A real output that has a position gets an explicit one. */
static long real_write(struct task *t, const struct end *out, const uint8_t *data, size_t size, size_t done)
{
	if (out->stream)
		return kernel_call(t, __NR_write, out->fd, data, size);
	return kernel_call(t, __NR_pwrite64, out->fd, data, size, (uint64_t)out->pos + done);
}

/* Virtual or real into virtual: the data is read into, or moved to, the output's own window. */
static long piece_to_virtual(struct task *t, const struct end *in, const struct end *out, size_t size, size_t done)
{
	struct um_slot *s;
	uint8_t *data = NULL, first = 0;
	long r, n = 0;

	if (in->f) {
		n = file_read_piece(t, in->f, size, (uint64_t)in->pos + done, &data);
		if (n <= 0)
			return n;
		first = *data;
	}
	s = file_write_begin(t, out->f, &r);	/* the same window, if both ends have one server: */
	if (!s)
		return r;
	if (data == s->data)
		*data = first;			/* all of it but this byte is as it was */
	if (!in->f)
		n = end_read(t, in, size, done, s->data, &data);
	else if (data != s->data)
		memcpy(s->data, data, (size_t)n);
	if (n <= 0)
		return n;
	return file_write_piece(t, out->f, s, (size_t)n, (uint64_t)out->pos + done);
}

static long piece(struct task *t, const struct end *in, const struct end *out, size_t size, size_t done)
{
	uint8_t *data;
	long n;

	if (out->f)
		return piece_to_virtual(t, in, out, size, done);
	n = end_read(t, in, size, done, NULL, &data);
	return n <= 0 ? n : real_write(t, out, data, (size_t)n, done);
}

/*
 * Up to count bytes, ending early at the end of the input, a short write or an error.  A signal before
 * anything was moved makes the call start again; later the part that was moved is the result.
 */
static long copy_loop(struct task *t, struct end *in, struct end *out, size_t count)
{
	size_t done = 0;
	long n = 0, r;

	if (count > UM_MAX_RW)
		count = UM_MAX_RW;
	while (done < count) {
		size_t size = count - done < UM_DATA_SIZE ? count - done : UM_DATA_SIZE;

		n = piece(t, in, out, size, done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (!done && n < 0)
		return n;
	r = end_finish(t, in, done);
	if (!r)
		r = end_finish(t, out, done);
	return r ? r : (long)done;
}

/* ---- what may be copied ------------------------------------------------------------------------------ */

static long flags_of(const struct end *e)
{
	return e->f ? (long)e->f->open_flags : raw_syscall(__NR_fcntl, e->fd, F_GETFL);
}

static bool is_open(const struct end *e)
{
	long flags = flags_of(e);

	return flags >= 0 && !(flags & O_PATH);
}

static bool may_read(const struct end *e)
{
	long flags = flags_of(e);

	return flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_WRONLY;
}

static bool may_write(const struct end *e)
{
	long flags = flags_of(e);

	return flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY;
}

static bool appends(const struct end *e)
{
	long flags = raw_syscall(__NR_fcntl, e->fd, F_GETFL);	/* carriers have it, too, and whoever set it */

	return flags > 0 && flags & O_APPEND;
}

/* The type bits of st_mode; 0 when the descriptor is not open. */
static unsigned type_of(const struct end *e)
{
	struct stat st;

	if (e->f)
		return e->f->mode & S_IFMT;
	return raw_syscall(__NR_fstat, e->fd, &st) ? 0 : st.st_mode & S_IFMT;
}

/* A position was given for what has none. */
static bool no_position(const struct end *e)
{
	unsigned type = e->where && !e->f ? type_of(e) : 0;

	return type == S_IFIFO || type == S_IFSOCK;
}

static long sendfile_verdict(const struct end *in, const struct end *out)
{
	unsigned type = type_of(in);

	if (!may_read(in))
		return -EBADF;
	if (no_position(in))
		return -ESPIPE;
	if (bad_pos(in))
		return -EINVAL;
	if (!may_write(out))
		return -EBADF;
	if (type != S_IFREG && type != S_IFBLK)
		return -EINVAL;
	return appends(out) && type_of(out) != S_IFIFO ? -EINVAL : 0;
}

long sys_sendfile(struct task *t, int out_fd, int in_fd, gaddr offset, size_t count)
{
	struct end in, out;
	long r;

	if (!fd_is_virtual(t, in_fd) && !fd_is_virtual(t, out_fd))
		return fd_is_ours(in_fd) ? -EBADF : real_call(t, __NR_sendfile, out_fd, in_fd, offset, count);
	if ((long)count < 0)
		return -EINVAL;
	r = ends_open(t, &in, in_fd, offset, &out, out_fd, 0);
	if (!r)
		r = sendfile_verdict(&in, &out);
	if (!r)
		r = copy_loop(t, &in, &out, count);
	end_close(&in);
	end_close(&out);
	return r;
}

static bool same_file(const struct end *a, const struct end *b)
{
	return a->f && b->f && a->f->server == b->f->server && a->f->node == b->f->node;
}

/* As the kernel's generic_copy_file_checks. */
static long copy_verdict(const struct end *in, const struct end *out)
{
	unsigned from = type_of(in), to = type_of(out);

	if (!is_open(in) || !is_open(out))
		return -EBADF;
	if (from == S_IFDIR || to == S_IFDIR)
		return -EISDIR;
	if (from != S_IFREG || to != S_IFREG)
		return -EINVAL;
	if (!may_read(in) || !may_write(out) || appends(out))
		return -EBADF;
	if (!in->f || !out->f || in->f->server != out->f->server)
		return -EXDEV;
	return bad_pos(in) || bad_pos(out) ? -EINVAL : 0;
}

static bool overlap(const struct end *in, const struct end *out, size_t len)
{
	return same_file(in, out) && in->pos < out->pos + (int64_t)len && out->pos < in->pos + (int64_t)len;
}

/* Within one file the copy must not run after the end that it moves itself. */
static long cut_at_end(struct task *t, const struct end *in, const struct end *out, size_t *len)
{
	struct um_attr a;
	long r = same_file(in, out) ? file_attr(t, in->f, &a) : 1;
	int64_t left;

	if (r)
		return r < 0 ? r : 0;
	left = (int64_t)a.size - in->pos;
	if (left < (int64_t)*len)
		*len = left > 0 ? (size_t)left : 0;
	return 0;
}

/* Both ends have one server, which can do it without us.  -EOPNOTSUPP: no. */
static long copy_at_server(struct task *t, struct end *in, struct end *out, size_t len)
{
	long r, n = in->f && out->f && len ? file_copy(t, in->f, in->pos, out->f, out->pos, len) : -EOPNOTSUPP;

	if (n < 0)
		return n;
	r = end_finish(t, in, (size_t)n);
	if (!r)
		r = end_finish(t, out, (size_t)n);
	return r ? r : n;
}

long sys_copy_file_range(struct task *t, int fd_in, gaddr off_in, int fd_out, gaddr off_out, size_t len,
			 unsigned flags)
{
	struct end in, out;
	long r;

	if (!fd_is_virtual(t, fd_in) && !fd_is_virtual(t, fd_out))
		return fd_is_ours(fd_out) ? -EBADF : real_call(t, __NR_copy_file_range, fd_in, off_in, fd_out,
							       off_out, len, flags);
	if (flags)
		return -EINVAL;
	if (len > UM_MAX_RW)
		len = UM_MAX_RW;
	r = ends_open(t, &in, fd_in, off_in, &out, fd_out, off_out);
	if (!r)
		r = copy_verdict(&in, &out);
	if (!r)
		r = cut_at_end(t, &in, &out, &len);
	if (!r && overlap(&in, &out, len))
		r = -EINVAL;
	if (!r)
		r = copy_at_server(t, &in, &out, len);
	if (r == -EOPNOTSUPP)
		r = copy_loop(t, &in, &out, len);
	end_close(&in);
	end_close(&out);
	return r;
}

/* ---- splice ------------------------------------------------------------------------------------------ */

/*
 * Between a file of a server and a pipe.  The kernel would block for a full or empty pipe once, at the
 * beginning, and then move what it can: so the pipe is asked before each piece, and a piece is what a pipe
 * that is ready takes without blocking.
 */
#define PIPE_PIECE	4096u

static long pipe_ready(struct task *t, int fd, short events, bool wait)
{
	struct pollfd p = { .fd = fd, .events = events };
	long r = kernel_call(t, __NR_poll, &p, 1, wait ? -1 : 0);

	return r < 0 ? r : r > 0 ? 1 : 0;
}

static long piece_to_pipe(struct task *t, const struct end *in, const struct end *out, size_t size, size_t done)
{
	uint8_t *data;
	long n = end_read(t, in, size < PIPE_PIECE ? size : PIPE_PIECE, done, NULL, &data);

	return n <= 0 ? n : kernel_call(t, __NR_write, out->fd, data, n);
}

static long piece_from_pipe(struct task *t, const struct end *in, const struct end *out, size_t size, size_t done)
{
	long r, n;
	struct um_slot *s = file_write_begin(t, out->f, &r);

	if (!s)
		return r;
	n = kernel_call(t, __NR_read, in->fd, s->data, size < UM_DATA_SIZE ? size : UM_DATA_SIZE);
	return n <= 0 ? n : file_write_piece(t, out->f, s, (size_t)n, (uint64_t)out->pos + done);
}

static long splice_loop(struct task *t, struct end *in, struct end *out, size_t len, bool wait)
{
	size_t done = 0;
	long n = 0, r;

	while (done < len) {
		n = out->f ? pipe_ready(t, in->fd, POLLIN, wait && !done) : pipe_ready(t, out->fd, POLLOUT, wait && !done);
		if (!n)
			n = -EAGAIN;
		if (n > 0)
			n = out->f ? piece_from_pipe(t, in, out, len - done, done) :
				     piece_to_pipe(t, in, out, len - done, done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (!done && n < 0)
		return n;
	r = end_finish(t, out->f ? out : in, done);
	return r ? r : (long)done;
}

static long splice_verdict(const struct end *in, const struct end *out)
{
	const struct end *pipe = out->f ? in : out, *file = out->f ? out : in;

	if (!is_open(in) || !is_open(out))
		return -EBADF;
	if (type_of(pipe) == S_IFIFO && pipe->where)
		return -ESPIPE;
	if (!may_read(in) || !may_write(out))
		return -EBADF;
	if ((in->f && out->f) || type_of(pipe) != S_IFIFO || type_of(file) != S_IFREG || appends(out))
		return -EINVAL;
	return bad_pos(in) || bad_pos(out) ? -EINVAL : 0;
}

/* Our /dev/fuse on one side: the messages of a server.  0: it is on neither. */
static long splice_device(struct task *t, int fd_in, int fd_out, size_t len)
{
	struct file *in = fd_hold(t, fd_in), *out = fd_hold(t, fd_out);
	long r = 0;

	if (in && in->kind == FILE_FUSE_DEVICE)
		r = out || fd_is_ours(fd_out) ? -EINVAL : fuse_dev_splice(t, in, fd_out, len, false);
	else if (out && out->kind == FILE_FUSE_DEVICE)
		r = in || fd_is_ours(fd_in) ? -EINVAL : fuse_dev_splice(t, out, fd_in, len, true);
	file_put(in);
	file_put(out);
	return r;
}

long sys_splice(struct task *t, int fd_in, gaddr off_in, int fd_out, gaddr off_out, size_t len, unsigned flags)
{
	struct end in, out;
	long r;

	if (!fd_is_virtual(t, fd_in) && !fd_is_virtual(t, fd_out))
		return fd_is_ours(fd_out) ? -EBADF : real_call(t, __NR_splice, fd_in, off_in, fd_out, off_out, len,
							       flags);
	if (flags & ~SPLICE_FLAGS)
		return -EINVAL;
	if (!len)
		return 0;
	r = splice_device(t, fd_in, fd_out, len);
	if (r)
		return r;
	if (len > UM_MAX_RW)
		len = UM_MAX_RW;
	r = ends_open(t, &in, fd_in, off_in, &out, fd_out, off_out);
	if (!r)
		r = splice_verdict(&in, &out);
	if (!r)
		r = splice_loop(t, &in, &out, len, !(flags & SPLICE_NONBLOCK));
	end_close(&in);
	end_close(&out);
	return r;
}
