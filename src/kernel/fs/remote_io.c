/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The data of virtual files: the guest's read and write in pieces of the channel's data window, seek,
 * readdir, and the copy of a whole file into memory for exec and mmap.
 *
 * The file's offset lives at the server with the handle, so that it is shared over fork and dup:
 * UM_OFFSET_FILE means "that one, and move it".
 */
#include "proc.h"
#include "dirents.h"
#include "remote.h"
#include <linux/memfd.h>
#include <linux/fs.h>
#include <linux/limits.h>

#define GUEST_END	0x7ffffffff000ul	/* no guest address lies at or above it */

/* ---- the guest's buffers ---------------------------------------------------------------------------- */

long iov_single(struct guest_iov *g, gaddr buf, size_t size)
{
	if ((long)size < 0)
		return -EINVAL;
	if (size > GUEST_END || buf > GUEST_END - size)
		return -EFAULT;
	g->heap = NULL;
	g->v = g->few;
	g->n = 1;
	g->at = 0;
	g->left = size < UM_MAX_RW ? size : UM_MAX_RW;
	g->few[0] = (struct iovec){ (void *)buf, g->left };
	return 0;
}

/* As the kernel's import_iovec: lengths that are no ssize_t are EINVAL, the sum is cut. */
long iov_import(struct task *t, struct guest_iov *g, gaddr vec, unsigned long n)
{
	long r = 0;

	g->heap = NULL;
	g->v = g->few;
	g->at = g->left = 0;
	if (n > UIO_MAXIOV)
		return -EINVAL;
	g->n = (int)n;
	if (n > sizeof g->few / sizeof g->few[0]) {
		g->v = g->heap = heap_alloc(n * sizeof *g->v);
		if (!g->heap)
			return -ENOMEM;
	}
	if (copy_from_guest(t, g->v, vec, n * sizeof *g->v))
		r = -EFAULT;
	for (unsigned long i = 0; !r && i < n; i++) {
		size_t len = g->v[i].iov_len;

		if ((long)len < 0)
			r = -EINVAL;
		else if (len > GUEST_END || (gaddr)g->v[i].iov_base > GUEST_END - len)
			r = -EFAULT;
		if (len > UM_MAX_RW - g->left)
			g->v[i].iov_len = len = UM_MAX_RW - g->left;
		g->left += len;
	}
	if (r)
		iov_done(g);
	return r;
}

void iov_done(struct guest_iov *g)
{
	heap_free(g->heap);
	g->heap = NULL;
}

/* Moves n bytes between p and the guest; stops at the first address that faults. */
static size_t iov_move(struct task *t, struct guest_iov *g, uint8_t *p, size_t n, bool put)
{
	size_t done = 0;

	while (done < n && g->n) {
		size_t piece = g->v->iov_len - g->at;
		gaddr at = (gaddr)g->v->iov_base + g->at;

		if (!piece) {
			g->v++;
			g->n--;
			g->at = 0;
			continue;
		}
		if (piece > n - done)
			piece = n - done;
		if (put ? copy_to_guest(t, at, p + done, piece) : copy_from_guest(t, p + done, at, piece))
			break;
		done += piece;
		g->at += piece;
		g->left -= piece;
	}
	return done;
}

size_t iov_put(struct task *t, struct guest_iov *g, const void *src, size_t n)
{
	return iov_move(t, g, (uint8_t *)src, n, true);
}

size_t iov_get(struct task *t, struct guest_iov *g, void *dst, size_t n)
{
	return iov_move(t, g, dst, n, false);
}

/* ---- read and write --------------------------------------------------------------------------------- */

/* later: not the first piece of this call, so no signal keeps it from being sent. */
static long send_piece(struct task *t, const struct file *f, struct um_slot *s, bool later)
{
	return later ? channel_call_on(t, f->server, s) : channel_call(t, f->server, s);
}

static long read_piece(struct task *t, struct file *f, size_t size, uint64_t offset, bool later, uint8_t **data)
{
	long r;
	struct um_slot *s = file_begin(t, f, UM_OP_READ, &r);

	if (!s)
		return r;
	s->req.size = size < UM_DATA_SIZE ? size : UM_DATA_SIZE;
	s->req.offset = offset;
	r = send_piece(t, f, s, later);
	if (r)
		return r;
	if (s->rep.size > size || s->rep.size > UM_DATA_SIZE)
		return -EIO;
	*data = s->data;
	return (long)s->rep.size;
}

long file_read_piece(struct task *t, struct file *f, size_t size, uint64_t offset, uint8_t **data)
{
	return read_piece(t, f, size, offset, false, data);
}

struct um_slot *file_write_begin(struct task *t, struct file *f, long *error)
{
	return file_begin(t, f, UM_OP_WRITE, error);
}

static long write_piece(struct task *t, struct file *f, struct um_slot *s, size_t size, uint64_t offset, bool later)
{
	long r;

	s->req.size = size;
	s->req.offset = offset;
	r = send_piece(t, f, s, later);
	if (r)
		return r;
	return s->rep.size <= size ? (long)s->rep.size : -EIO;
}

long file_write_piece(struct task *t, struct file *f, struct um_slot *s, size_t size, uint64_t offset)
{
	return write_piece(t, f, s, size, offset, false);
}

static long may_read(const struct file *f)
{
	unsigned mode = f->open_flags & O_ACCMODE;

	if (f->flags & FILE_PATH || mode == O_WRONLY || mode == O_ACCMODE)
		return -EBADF;
	return S_ISDIR(f->mode) ? -EISDIR : 0;
}

static long may_write(const struct file *f)
{
	unsigned mode = f->open_flags & O_ACCMODE;

	return f->flags & FILE_PATH || mode == O_RDONLY || mode == O_ACCMODE ? -EBADF : 0;
}

long file_read(struct task *t, struct file *f, struct guest_iov *g, uint64_t offset)
{
	bool own = offset == UM_OFFSET_FILE;
	size_t done = 0;
	long r = may_read(f);
	bool all = false;

	if (!r && g->left) {
		long known = pages_read(t, f, g, offset, &all);

		if (all)
			return known;
		done = (size_t)known;
	}
	while (!r && g->left) {
		uint8_t *data;
		size_t copied, want = g->left < UM_DATA_SIZE ? g->left : UM_DATA_SIZE;

		r = read_piece(t, f, want, own ? offset : offset + done, done, &data);
		if (r <= 0)
			break;
		copied = iov_put(t, g, data, (size_t)r);
		done += copied;
		if (copied < (size_t)r) {
			if (own)
				file_seek(t, f, (int64_t)copied - r, SEEK_CUR);
			r = -EFAULT;
		} else {
			r = (size_t)r < want;	/* the end: leave the loop */
		}
	}
	return done ? (long)done : r < 0 ? r : 0;
}

/* Writes on from offset; UM_OFFSET_FILE and UM_OFFSET_END stay what they are from piece to piece. */
static long write_pieces(struct task *t, struct file *f, struct guest_iov *g, uint64_t offset)
{
	bool moves = offset == UM_OFFSET_FILE || offset == UM_OFFSET_END;
	size_t done = 0;
	long r = 0;

	while (!r && g->left) {
		size_t got, want = g->left < UM_DATA_SIZE ? g->left : UM_DATA_SIZE;
		struct um_slot *s = file_write_begin(t, f, &r);

		if (!s)
			break;
		got = iov_get(t, g, s->data, want);
		if (!got) {
			r = -EFAULT;
			break;
		}
		r = write_piece(t, f, s, got, moves ? offset : offset + done, done);
		if (r < 0)
			break;
		done += (size_t)r;
		r = (size_t)r < want;		/* short, or a fault: leave the loop */
	}
	return done ? (long)done : r < 0 ? r : 0;
}

/*
 * The server knows who opened it with O_APPEND.  Appending moves the file's offset, at the server as in the kernel, but when a position was
 * given, which the kernel then ignores: here the offset is put back.
 */
long file_write(struct task *t, struct file *f, struct guest_iov *g, uint64_t offset, bool append)
{
	long pos, r = may_write(f);

	if (r)
		return r;
	if (!append)
		return write_pieces(t, f, g, offset);
	if (offset == UM_OFFSET_FILE)
		return write_pieces(t, f, g, UM_OFFSET_END);
	pos = file_seek(t, f, 0, SEEK_CUR);
	r = write_pieces(t, f, g, UM_OFFSET_END);
	if (pos >= 0)
		file_seek(t, f, pos, SEEK_SET);
	return r;
}

long file_seek(struct task *t, struct file *f, int64_t offset, unsigned whence)
{
	long r;
	struct um_slot *s;

	if (f->flags & FILE_PATH)
		return -EBADF;
	if (pages_seek(t, f, offset, whence, &r))
		return r;
	s = file_begin(t, f, UM_OP_SEEK, &r);
	if (!s)
		return r;
	s->req.offset = (uint64_t)offset;
	s->req.whence = whence;
	r = file_call(t, f, s);
	if (r)
		return r;
	return (int64_t)s->rep.offset >= 0 ? (long)s->rep.offset : -EOVERFLOW;
}

long file_fsync(struct task *t, struct file *f, bool datasync)
{
	long r;
	struct um_slot *s;

	if (f->flags & FILE_PATH)
		return -EBADF;
	s = file_begin(t, f, UM_OP_FSYNC, &r);
	if (!s)
		return r;
	s->req.open_flags = datasync;
	return file_call(t, f, s);
}

long file_poll(struct task *t, struct file *f, uint32_t events, struct file_waker *waker)
{
	long r;
	struct um_slot *s = file_begin(t, f, UM_OP_POLL, &r);

	if (!s)
		return r;
	s->req.mode = events;
	s->req.open_flags = waker ? UM_POLL_WAIT : 0;
	r = file_call(t, f, s);
	if (r < 0)
		return r;
	if (waker)
		*waker = (struct file_waker){ (uint32_t)s->rep.offset, (uint32_t)s->rep.size, s->rep.node };
	return s->rep.consumed & 0x7fff;
}

long file_set_flags(struct task *t, struct file *f, unsigned flags)
{
	long r;
	struct um_slot *s = file_begin(t, f, UM_OP_SETFL, &r);

	if (!s)
		return r;
	s->req.open_flags = flags;
	return file_call(t, f, s);
}

long file_fallocate(struct task *t, struct file *f, int mode, int64_t offset, int64_t len)
{
	long r = may_write(f);
	struct um_slot *s;

	if (r)
		return r;
	s = file_begin(t, f, UM_OP_FALLOCATE, &r);
	if (!s)
		return r;
	s->req.mode = (uint32_t)mode;
	s->req.offset = (uint64_t)offset;
	s->req.size = (uint64_t)len;
	return file_call(t, f, s);
}

long file_copy(struct task *t, struct file *in, int64_t from, struct file *out, int64_t to, size_t len)
{
	struct um_slot *s;
	long r;

	if (in->server != out->server)
		return -EOPNOTSUPP;
	s = file_begin(t, in, UM_OP_COPY, &r);
	if (!s)
		return r;
	s->req.offset = (uint64_t)from;
	s->req.handle2 = out->handle;
	s->req.base2 = (uint64_t)to;
	s->req.size = len < UM_COPY_MOST ? len : UM_COPY_MOST;
	r = file_call(t, in, s);
	return r ? r : s->rep.size <= s->req.size ? (long)s->rep.size : -EIO;
}

/* How much of the guest's memory a command is about: its number says so, but for two that are older than that. */
static size_t ioctl_size(unsigned cmd)
{
	return cmd == FS_IOC_GETFLAGS || cmd == FS_IOC_SETFLAGS ? sizeof(int) : _IOC_SIZE(cmd);
}

long file_ioctl(struct task *t, struct file *f, unsigned cmd, gaddr arg)
{
	const size_t size = ioctl_size(cmd);
	struct um_slot *s;
	long r;

	s = file_begin(t, f, UM_OP_IOCTL, &r);
	if (!s)
		return r;
	s->req.mode = cmd;
	s->req.offset = arg;
	s->req.size = _IOC_DIR(cmd) & _IOC_WRITE ? size : 0;
	s->req.rdev = _IOC_DIR(cmd) & _IOC_READ ? (uint32_t)size : 0;
	if (s->req.size && copy_from_guest(t, s->data, arg, size))
		return -EFAULT;
	r = file_call(t, f, s);
	if (r)
		return r;
	if (s->rep.size > s->req.rdev)
		return -EIO;
	if (s->rep.size && copy_to_guest(t, arg, s->data, s->rep.size))
		return -EFAULT;
	return (int)s->rep.offset;
}

/* ---- directories ------------------------------------------------------------------------------------ */

long file_readdir(struct task *t, struct file *f, gaddr buf, size_t size, bool legacy)
{
	struct guest_iov g;
	struct um_slot *s;
	long r;

	if (f->flags & FILE_PATH)
		return -EBADF;
	if (!S_ISDIR(f->mode))
		return -ENOTDIR;
	if (!legacy && !iov_single(&g, buf, size) && pages_listing(t, f, &g, &r))
		return r;
	s = file_begin(t, f, UM_OP_READDIR, &r);
	if (!s)
		return r;
	s->req.size = size < UM_DATA_SIZE ? size : UM_DATA_SIZE;
	r = file_call(t, f, s);
	if (r)
		return r;
	if (s->rep.size > s->req.size)
		return -EIO;
	if (legacy)
		dirents_to_legacy(s->data, s->rep.size);
	return copy_to_guest(t, buf, s->data, s->rep.size) ? -EFAULT : (long)s->rep.size;
}

/* ---- a whole file in memory ------------------------------------------------------------------------- */

static bool all_zero(const uint8_t *p, size_t n)
{
	return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

/* Writes n bytes at offset, page by page, leaving out those that are zero. */
static long fill(long fd, const uint8_t *data, size_t n, uint64_t offset)
{
	for (size_t at = 0; at < n; ) {
		size_t end = at;

		while (end < n && !all_zero(data + end, n - end < 4096 ? n - end : 4096))
			end += n - end < 4096 ? n - end : 4096;
		if (end == at) {
			at += 4096;
			continue;
		}
		long r = own_file_call(__NR_pwrite64, fd, (long)(data + at), (long)(end - at), (long)(offset + at));
		if (r <= 0)
			return r ? r : -EIO;
		at += (size_t)r;
	}
	return 0;
}

long file_stand_in_name(struct task *t, struct file *f, const char *path, char *name)
{
	struct mount m = { .dev_minor = 0 };
	struct um_attr a;
	long r = file_attr(t, f, &a);

	if (r)
		return r;
	view_mount_by_id(t, f->mount, &m, NULL, 0);
	text_format(name, MEMORY_NAME, PROC_STANDS, m.dev_minor, (unsigned long)a.ino, path);
	return 0;
}

long file_copy_to(struct task *t, struct file *f, long fd)
{
	uint64_t offset = 0;
	uint8_t *data;
	long n, r = 0;

	while (!r && (n = file_read_piece(t, f, UM_DATA_SIZE, offset, &data)) != 0) {
		r = n < 0 ? n : fill(fd, data, (size_t)n, offset);
		if (!r)
			offset += (uint64_t)n;
		if (n < (long)UM_DATA_SIZE)
			break;
	}
	return r ? r : own_file_call(__NR_ftruncate, fd, (long)offset, 0, 0);
}

long file_to_memfd(struct task *t, struct file *f, const char *path, int cloexec)
{
	char name[MEMORY_NAME];
	long fd, r = file_stand_in_name(t, f, path, name);

	if (r)
		return r;
	fd = fd_memory(name, MFD_ALLOW_SEALING | (cloexec ? MFD_CLOEXEC : 0));
	if (fd < 0)
		return fd;
	r = file_copy_to(t, f, fd);
	if (r) {
		raw_syscall(__NR_close, fd);
		return r;
	}
	return fd;
}
