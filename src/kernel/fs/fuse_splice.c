/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * splice(2) between /dev/fuse and a pipe: how libfuse moves large messages when the file system asks it
 * to, whether we offered it at INIT or not.
 *
 * A message is one unit: it is put together in memory of ours and then read or written as any other.
 * Neither way may wait for the pipe, whose other end is the same thread's: as in the kernel a reply must lie
 * in the pipe as a whole (EINVAL), and a request must find room (EIO, and it is answered so).
 */
#include <asm/ioctls.h>
#include "fuse_conn.h"

#define MOST	((1u << 20) + 4096u)	/* libfuse's largest buffer */

static long pipe_holds(int pipe)
{
	int n = 0;
	long r = raw_syscall(__NR_ioctl, pipe, FIONREAD, &n);

	return r < 0 ? r : n;
}

static long pipe_room(int pipe)
{
	long size = raw_syscall(__NR_fcntl, pipe, F_GETPIPE_SZ), used = pipe_holds(pipe);

	return size < 0 || used < 0 ? -EINVAL : size - used;
}

/* All n bytes; nothing blocks, since the pipe was asked before. */
static long pipe_move(int nr, int pipe, uint8_t *buf, size_t n)
{
	for (size_t done = 0; done < n;) {
		long r = raw_syscall(nr, pipe, buf + done, n - done);

		if (r == -EINTR)
			continue;
		if (r <= 0)
			return r ? r : -EIO;
		done += (size_t)r;
	}
	return 0;
}

static long from_pipe(struct task *t, struct file *f, int pipe, uint8_t *buf, size_t len)
{
	struct iovec v = { buf, len };
	long r = pipe_holds(pipe);

	if (r >= 0 && (size_t)r < len)
		r = -EINVAL;
	if (r >= 0)
		r = pipe_move(__NR_read, pipe, buf, len);
	return r < 0 ? r : fuse_dev_write(t, f, &v, 1);
}

static long to_pipe(struct task *t, struct file *f, int pipe, uint8_t *buf, size_t len)
{
	long r, n, room = pipe_room(pipe);
	struct iovec v = { buf, len };

	if (room < 0)
		return room;
	if ((size_t)room < len)
		v.iov_len = (size_t)room;
	n = fuse_dev_read(t, f, &v, 1);
	if (n <= 0)
		return n;
	r = pipe_move(__NR_write, pipe, buf, (size_t)n);
	return r < 0 ? r : n;
}

long fuse_dev_splice(struct task *t, struct file *f, int pipe, size_t len, bool write)
{
	uint8_t *buf;
	long r;

	if (len > MOST)
		return -EINVAL;
	buf = heap_alloc(len);
	if (!buf)
		return -ENOMEM;
	r = write ? from_pipe(t, f, pipe, buf, len) : to_pipe(t, f, pipe, buf, len);
	heap_free(buf);
	return r;
}
