/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps that move data: read and write in all their forms, lseek, truncate, fallocate, copies inside the kernel.
 * Pipes and sockets never block (op_ipc.c); nothing else here can.
 */
#include "diff.h"
#include <sys/uio.h>

static char buf[131072] __attribute__((aligned(4096)));

/* Data that tells which step wrote it. */
static void fill(size_t size)
{
	char word[16];
	size_t n = (size_t)sprintf(word, "<%u>", step_number());

	for (size_t i = 0; i < size; i++)
		buf[i] = word[i % n];
}

static void say_read(long r)
{
	result(r);
	say_data(buf, r);
	if (r > 0 && r <= 12 && buf[0] >= ' ')
		say(" '%.*s'", (int)r, buf);
}

static void *pick_buffer(void)
{
	if (!chance(50))
		return buf;
	say(" BAD");
	return (void *)16;
}

/* One of read, pread64, readv, preadv2, or of those that write. */
static void say_way(unsigned how, size_t size, int64_t at)
{
	static const char *const vectors[] = { "", "", "v ", "v2 " };

	say(", %s%zu", vectors[how], size);
	if (how & 1)
		say(" at %lld", (long long)at);
}

static void op_read(void)
{
	int fd = pick_fd();
	size_t size = pick_size();
	int64_t at = pick_offset();
	unsigned how = pick(4);
	char *to = pick_buffer();
	struct iovec v[2] = { { to, size / 3 }, { to + size / 3, size - size / 3 } };

	say_way(how, size, at);
	switch (how) {
	case 0:
		say_read(syscall(SYS_read, fd, to, size));
		break;
	case 1:
		say_read(syscall(SYS_pread64, fd, to, size, at));
		break;
	case 2:
		say_read(syscall(SYS_readv, fd, v, 2L));
		break;
	case 3:
		say_read(syscall(SYS_preadv2, fd, v, 2L, at, 0L, chance(8) ? 0x1000 : 0));
		break;
	}
}

/* No file becomes huge: what is written far out is walked by every walk. */
static int64_t near_offset(void)
{
	int64_t at = pick_offset();

	return at > 400000 ? 70000 : at;
}

static void op_write(void)
{
	static const int flags[] = { 0, 0, 0, 0x10 /* RWF_APPEND */, 2 /* RWF_DSYNC */, 0x1000, 0x20 /* RWF_NOAPPEND */ };
	int fd = pick_fd(), flag;
	size_t size = pick_size();
	int64_t at = near_offset();
	unsigned how = pick(4);
	char *from = pick_buffer();
	struct iovec v[2] = { { from, size / 3 }, { from + size / 3, size - size / 3 } };

	fill(size);
	say_way(how, size, at);
	switch (how) {
	case 0:
		result(syscall(SYS_write, fd, from, size));
		break;
	case 1:
		result(syscall(SYS_pwrite64, fd, from, size, at));
		break;
	case 2:
		result(syscall(SYS_writev, fd, v, 2L));
		break;
	case 3:
		flag = PICK_OF(flags);
		if (flag == 0x20 && !(features & FEAT_NOAPPEND))
			flag = 0;
		say(", %#x", flag);
		result(syscall(SYS_pwritev2, fd, v, 2L, at, 0L, flag));
		break;
	}
}

/* Positions in directories are the file system's own numbers. */
static void op_lseek(void)
{
	static const int whences[] = { SEEK_SET, SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE, 7 };
	int fd = pick_fd(), whence = PICK_OF(whences);
	int64_t at = near_offset();
	struct stat st;

	say(", %lld, %d", (long long)at, whence);
	if ((whence == SEEK_DATA || whence == SEEK_HOLE) && !(features & FEAT_HOLE))
		whence = SEEK_CUR;
	if (!fstat(fd, &st) && S_ISDIR(st.st_mode)) {
		at = 0;
		whence = SEEK_SET;
	}
	result(syscall(SYS_lseek, fd, at, whence));
}

static void op_ftruncate(void)
{
	int fd = pick_fd();
	int64_t at = near_offset();

	say(", %lld", (long long)at);
	result(syscall(SYS_ftruncate, fd, at));
}

static void op_truncate(void)
{
	struct upath p;
	int64_t at;

	pick_path(&p);
	at = near_offset();
	say(", %lld", (long long)at);
	result(syscall(SYS_truncate, p.arg, at));
}

static void op_fallocate(void)
{
	static const int modes[] = { 0, 1, 3, 0x10, 0x11, 8, 0x20, 2, 0x41, 0x1000 };
	int fd = pick_fd(), mode = PICK_OF(modes);
	int64_t at = near_offset(), len = near_offset();

	say(", %#x, %lld, %lld", mode, (long long)at, (long long)len);
	result(syscall(SYS_fallocate, fd, mode, at, len));
}

/* An offset to give or not, and what has become of it. */
static loff_t *pick_position(loff_t *at)
{
	if (pick(2))
		return NULL;
	*at = near_offset();
	say(" at %lld", (long long)*at);
	return at;
}

static void copied(long r, const loff_t *from, const loff_t *to)
{
	result_of_two(r);
	if (from)
		say(" %lld", (long long)*from);
	if (to)
		say(" to %lld", (long long)*to);
}

/*
 * Into a pipe: the kernel puts the file's pages into it, which later writes change, and notices a broken one even when
 * there is nothing to send; from a mount data is copied (docs/limits.md).
 */
static bool pipe_differs(int out)
{
	struct stat st;

	if (features & FEAT_READY || fstat(out, &st) || !S_ISFIFO(st.st_mode))
		return false;
	say(" to a pipe");
	return true;
}

/* From where to where, and how much. */
struct ends {
	int in, out;
	loff_t at[2], *from, *to;
	size_t size;
};

static void pick_ends(struct ends *e)
{
	e->in = pick_fd();
	e->from = pick_position(&e->at[0]);
	say(", ");
	e->out = pick_fd();
	e->to = pick_position(&e->at[1]);
	e->size = pick_size();
	say(", %zu", e->size);
}

static void op_copy(void)
{
	struct ends e;

	pick_ends(&e);
	copied(syscall(SYS_copy_file_range, e.in, e.from, e.out, e.to, e.size, chance(20) ? 1 : 0), e.from, e.to);
}

static bool is_directory(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISDIR(st.st_mode);
}

static void op_sendfile(void)
{
	loff_t a, *from;
	int in, out;
	size_t size;

	out = pick_fd();
	say(", ");
	in = pick_fd();
	from = pick_position(&a);
	size = pick_size();
	say(", %zu", size);
	if (!size && is_directory(in))		/* EINVAL or nothing, as the kernel's version is */
		return;
	if (!pipe_differs(out))
		copied(syscall(SYS_sendfile, out, in, from, size), from, NULL);
}

static void op_splice(void)
{
	struct ends e;

	pick_ends(&e);
	if (!pipe_differs(e.out))
		copied(syscall(SYS_splice, e.in, e.from, e.out, e.to, e.size, 2 /* SPLICE_F_NONBLOCK */), e.from, e.to);
}

static void op_tee(void)
{
	int in = pick_fd(), out = pick_fd();

	result(syscall(SYS_tee, in, out, pick_size(), 2));
}

static void op_sync(void)
{
	int fd = pick_fd();

	switch (pick(4)) {
	case 0:
		say(", fsync");
		result(syscall(SYS_fsync, fd));
		break;
	case 1:
		say(", fdatasync");
		result(syscall(SYS_fdatasync, fd));
		break;
	case 2:
		say(", fadvise");
		result(syscall(SYS_fadvise64, fd, 0L, 4096L, (long)pick(7)));
		break;
	case 3:
		say(", readahead");
		if (features & FEAT_SPECIAL)
			result(syscall(SYS_readahead, fd, 0L, 4096L));
		break;
	}
}

const struct op ops_rw[] = {
	{ "read", op_read, 60, 0 },
	{ "write", op_write, 60, 0 },
	{ "lseek", op_lseek, 25, 0 },
	{ "ftruncate", op_ftruncate, 10, 0 },
	{ "truncate", op_truncate, 10, 0 },
	{ "fallocate", op_fallocate, 8, FEAT_HOLE },
	{ "copy", op_copy, 10, 0 },
	{ "sendfile", op_sendfile, 10, 0 },
	{ "splice", op_splice, 10, 0 },
	{ "tee", op_tee, 2, FEAT_SPECIAL },
	{ "sync", op_sync, 4, 0 },
	{ 0 }
};
