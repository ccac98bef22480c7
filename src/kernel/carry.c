/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Data that crosses exec by a descriptor (carry.h).  A guest's limit on the size of files concerns files in memory
 * too, but not pipes.
 */
#include <linux/fcntl.h>
#include <linux/memfd.h>
#include "carry.h"
#include "guard.h"

/* A file in memory with what is given, or -errno. */
static long in_file(const char *all, size_t size)
{
	long fd = raw_syscall(__NR_memfd_create, "umview-exec", MFD_CLOEXEC), r = fd;

	if (fd >= 0)
		r = own_write((int)fd, all, size);
	if (r == (long)size && raw_syscall(__NR_lseek, fd, 0, 0 /* SEEK_SET */) == 0)
		return fd;
	if (fd >= 0)
		raw_syscall(__NR_close, fd);
	return r < 0 ? r : -ENOMEM;
}

static long in_pipe(const char *all, size_t size)
{
	int fd[2];
	long r = raw_syscall(__NR_pipe2, fd, O_CLOEXEC | O_NONBLOCK);

	if (r < 0)
		return r;
	raw_syscall(__NR_fcntl, fd[1], F_SETPIPE_SZ, size);
	r = own_write(fd[1], all, size);
	raw_syscall(__NR_close, fd[1]);
	if (r == (long)size)
		return fd[0];
	raw_syscall(__NR_close, fd[0]);
	return -ENOMEM;
}

int carry_out(const char *data, size_t size)
{
	long r = in_file(data, size);

	if (r == -EFBIG)
		r = in_pipe(data, size);
	return (int)r;
}

/* Reads to the end of what there is; the buffer doubles. */
static char *read_all(int fd, size_t *size)
{
	size_t room = 16384;
	char *all = heap_alloc(room);
	long n;

	*size = 0;
	while (all && (n = raw_syscall(__NR_read, fd, all + *size, room - *size)) > 0) {
		*size += (size_t)n;
		if (*size < room)
			continue;
		char *more = heap_alloc(2 * room);
		if (more)
			memcpy(more, all, room);
		heap_free(all);
		all = more;
		room *= 2;
	}
	return all;
}

char *carry_in(int fd, size_t *size)
{
	char *all = read_all(fd, size);

	raw_syscall(__NR_close, fd);
	return all;
}
