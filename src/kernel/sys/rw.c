/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * read, write and seek.  On a real descriptor each is one comparison and the kernel's call; on a virtual
 * one the file's server is asked; on our own /dev/fuse we are the server.
 */
#include "calls.h"
#include "../dir_list.h"
#include "../fs/fuse.h"
#include <linux/fs.h>

enum direction { READING, WRITING, APPENDING };

static long device_rw(struct task *t, struct file *f, struct guest_iov *g, uint64_t offset, enum direction dir)
{
	if (offset != UM_OFFSET_FILE)
		return -ESPIPE;
	return dir == READING ? fuse_dev_read(t, f, g->v, g->n) : fuse_dev_write(t, f, g->v, g->n);
}

static long virtual_rw(struct task *t, int fd, struct guest_iov *g, uint64_t offset, enum direction dir)
{
	struct file *f = fd_hold(t, fd);
	long r;

	if (!f)
		return -EBADF;
	if (f->kind == FILE_FUSE_DEVICE)
		r = device_rw(t, f, g, offset, dir);
	else
		r = dir == READING ? file_read(t, f, g, offset) : file_write(t, f, g, offset, dir == APPENDING);
	file_put(f);
	return r;
}

/* The memory or the flags are wrong, r tells how: but that the file is not open for this comes first. */
static long mode_first(struct task *t, int fd, enum direction dir, long r)
{
	struct file *f = fd_hold(t, fd);
	unsigned accmode;

	if (!f)
		return -EBADF;
	accmode = f->open_flags & O_ACCMODE;
	if (f->flags & FILE_PATH || accmode == O_ACCMODE || accmode == (dir == READING ? O_WRONLY : O_RDONLY))
		r = -EBADF;
	file_put(f);
	return r;
}

/* Not inlined: it keeps the way of real descriptors short. */
static __attribute__((noinline)) long single_rw(struct task *t, int fd, gaddr buf, size_t count, uint64_t offset, enum direction dir)
{
	struct guest_iov g;
	long r = iov_single(&g, buf, count);

	return r ? mode_first(t, fd, dir, r) : virtual_rw(t, fd, &g, offset, dir);
}

long sys_read(struct task *t, int fd, gaddr buf, size_t count)
{
	if (fd_is_virtual(t, fd))
		return single_rw(t, fd, buf, count, UM_OFFSET_FILE, READING);
	return real_last(t, __NR_read, fd, buf, count);
}

long sys_write(struct task *t, int fd, gaddr buf, size_t count)
{
	if (fd_is_virtual(t, fd))
		return single_rw(t, fd, buf, count, UM_OFFSET_FILE, WRITING);
	return real_last(t, __NR_write, fd, buf, count);
}

static long positioned_rw(struct task *t, int fd, gaddr buf, size_t count, int64_t pos, enum direction dir)
{
	if (pos < 0)
		return -EINVAL;
	if ((int64_t)count < 0 || pos > INT64_MAX - (int64_t)count)
		return mode_first(t, fd, dir, -EINVAL);
	return single_rw(t, fd, buf, count, (uint64_t)pos, dir);
}

long sys_pread64(struct task *t, int fd, gaddr buf, size_t count, int64_t pos)
{
	if (!fd_is_virtual(t, fd))
		return real_last(t, __NR_pread64, fd, buf, count, pos);
	return positioned_rw(t, fd, buf, count, pos, READING);
}

long sys_pwrite64(struct task *t, int fd, gaddr buf, size_t count, int64_t pos)
{
	if (!fd_is_virtual(t, fd))
		return real_last(t, __NR_pwrite64, fd, buf, count, pos);
	return positioned_rw(t, fd, buf, count, pos, WRITING);
}

/* ---- vectors ---------------------------------------------------------------------------------------- */

#define RWF_NO_SIGPIPE	0x100		/* RWF_NOSIGNAL, since Linux 6.18: of files nothing */
#define RWF_NO_APPEND	0x20		/* RWF_NOAPPEND, since Linux 6.9 */
#define RWF_WRITES	(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | RWF_NO_SIGPIPE)
#define RWF_READS	(RWF_WRITES | RWF_NO_APPEND)	/* how it would be written is nothing to who reads */

/* To the kernel what cannot be read as a file can only be read without flags. */
static bool is_directory(struct task *t, int fd)
{
	const struct file *f = fd_peek(t, fd);

	return f && S_ISDIR(f->mode);
}

/* pos -1: the file's own offset, as for readv and writev, which are these calls with it. */
static long vector_rw(struct task *t, int fd, gaddr vec, unsigned long vlen, int64_t pos, int flags,
		      enum direction dir)
{
	struct guest_iov g;
	bool refused;
	long r;

	if (pos < -1)
		return -EINVAL;
	r = iov_import(t, &g, vec, vlen);
	if (r)
		return mode_first(t, fd, dir, r);
	if (!g.left) {
		iov_done(&g);
		return mode_first(t, fd, dir, 0);
	}
	refused = flags & ~(dir == READING ? RWF_READS : RWF_WRITES) || flags & RWF_NOWAIT || (flags & ~RWF_HIPRI && is_directory(t, fd));
	if (flags & RWF_APPEND && dir == WRITING)
		dir = APPENDING;
	if (pos > INT64_MAX - (int64_t)g.left)
		r = mode_first(t, fd, dir, -EINVAL);
	else if (refused)
		r = mode_first(t, fd, dir, -EOPNOTSUPP);
	else
		r = virtual_rw(t, fd, &g, pos == -1 ? UM_OFFSET_FILE : (uint64_t)pos, dir);
	iov_done(&g);
	return r;
}

long sys_preadv2(struct task *t, int fd, gaddr vec, unsigned long vlen, long pos, long pos_high, int flags)
{
	if (!fd_is_virtual(t, fd))
		return real_call(t, __NR_preadv2, fd, vec, vlen, pos, pos_high, flags);
	return vector_rw(t, fd, vec, vlen, pos, flags, READING);
}

static long sync_after(struct task *t, int fd, long written, int flags)
{
	struct file *f = fd_hold(t, fd);
	long r;

	if (!f)
		return written;
	r = file_fsync(t, f, !(flags & RWF_SYNC));
	file_put(f);
	return r ? r : written;
}

long sys_pwritev2(struct task *t, int fd, gaddr vec, unsigned long vlen, long pos, long pos_high, int flags)
{
	long r;

	if (!fd_is_virtual(t, fd))
		return real_call(t, __NR_pwritev2, fd, vec, vlen, pos, pos_high, flags);
	r = vector_rw(t, fd, vec, vlen, pos, flags, WRITING);
	return r > 0 && flags & (RWF_DSYNC | RWF_SYNC) ? sync_after(t, fd, r, flags) : r;
}

/* ---- lseek ------------------------------------------------------------------------------------------ */

long sys_lseek(struct task *t, int fd, int64_t offset, int whence)
{
	struct file *f;
	long r;

	if (!fd_is_virtual(t, fd))
		return dir_list_seek(t, fd, offset, whence, &r) ? r : real_last(t, __NR_lseek, fd, offset, whence);
	f = fd_hold(t, fd);
	if (!f)
		return -EBADF;
	if (f->kind == FILE_FUSE_DEVICE)
		r = -ESPIPE;
	else if (f->flags & FILE_PATH)
		r = -EBADF;
	else if ((unsigned)whence > SEEK_MAX)
		r = -EINVAL;
	else if (!S_ISDIR(f->mode) || !dir_list_seek(t, fd, offset, whence, &r))
		r = file_seek(t, f, offset, (unsigned)whence);
	file_put(f);
	return r;
}
