/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual files from the descriptor side: read, write, seek, readdir, copies, dup and close, against a
 * server of two files that lives in this test (it answers in channel_call()).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/fs.h>
#include <linux/memfd.h>
#include "shim.h"
#include "tap.h"
#include "../../src/agent/channel.h"
#include "../../src/kernel/fd.h"
#include "../../src/kernel/fs/remote.h"
#include "handlers.h"

#define ROOM	(1u << 20)

static struct um_slot slot;		/* one server, number 7 */
static struct { uint8_t data[ROOM]; uint64_t size, offset; unsigned flags; } disk[3];	/* by handle, 0 unused */
static unsigned calls, closed_calls, max_piece = UM_DATA_SIZE;
static int fail_next, close_answer;

/* ---- the server ------------------------------------------------------------------------------------- */

struct um_slot *channel_begin(struct task *t, uint32_t server, uint32_t op, int *error)
{
	(void)t;
	if (server != 7) {
		*error = -ENOTCONN;
		return NULL;
	}
	memset(&slot.req, 0, sizeof slot.req);
	memset(&slot.rep, 0, sizeof slot.rep);
	slot.data[0] = 0;
	slot.req.op = op;
	return &slot;
}

int channel_path(struct um_slot *s, const char *path, size_t len)
{
	memcpy(s->data, path, len + 1);
	s->req.path_len = (uint32_t)len;
	return 0;
}

int channel_path2(struct um_slot *s, const char *path, size_t len)
{
	memcpy(s->data + s->req.path_len + 1, path, len + 1);
	s->req.path2_len = (uint32_t)len;
	return 0;
}

struct um_server *channel_server(struct task *t, uint32_t server, int *error)
{
	(void)t;
	(void)server;
	*error = -ENOTCONN;
	return NULL;
}

void channel_task_exit(struct task *t)
{
	(void)t;
}

void channel_after_fork(struct task *t)
{
	(void)t;
}

static int serve_data(struct um_request *q, struct um_reply *p)
{
	uint64_t at = q->offset, n = q->size;

	if (at == UM_OFFSET_FILE)
		at = disk[q->handle].offset;
	if (q->op == UM_OP_WRITE && (q->offset == UM_OFFSET_END || disk[q->handle].flags & O_APPEND))
		at = disk[q->handle].size;
	if (n > max_piece)
		n = max_piece;
	if (q->op == UM_OP_READ) {
		uint64_t have = at < disk[q->handle].size ? disk[q->handle].size - at : 0;

		if (n > have)
			n = have;
		memcpy(slot.data, disk[q->handle].data + at, n);
	} else {
		if (at + n > ROOM)
			return -ENOSPC;
		memcpy(disk[q->handle].data + at, slot.data, n);
		if (at + n > disk[q->handle].size)
			disk[q->handle].size = at + n;
	}
	if (q->offset == UM_OFFSET_FILE || q->offset == UM_OFFSET_END)
		disk[q->handle].offset = at + n;
	p->size = n;
	return 0;
}

static int serve_seek(struct um_request *q, struct um_reply *p)
{
	int64_t base = q->whence == SEEK_CUR ? (int64_t)disk[q->handle].offset :
		       q->whence == SEEK_END ? (int64_t)disk[q->handle].size : 0;

	if (base + (int64_t)q->offset < 0)
		return -EINVAL;
	p->offset = disk[q->handle].offset = (uint64_t)(base + (int64_t)q->offset);
	return 0;
}

static int serve_dir(struct um_request *q, struct um_reply *p)
{
	static const char *const names[] = { ".", "..", "a", "a name of sixteen" };

	if (disk[q->handle].offset)
		return 0;
	for (unsigned i = 0; i < 4; i++) {
		struct linux_dirent64 *d = (struct linux_dirent64 *)(slot.data + p->size);
		unsigned len = (unsigned)((19 + strlen(names[i]) + 1 + 7) & ~7u);

		memset(d, 0, len);
		d->d_ino = i + 10;
		d->d_off = i + 1;
		d->d_reclen = (uint16_t)len;
		d->d_type = i < 2 ? 4 : 8;
		strcpy(d->d_name, names[i]);
		p->size += len;
	}
	disk[q->handle].offset = 4;
	return 0;
}

long channel_call(struct task *t, uint32_t server, struct um_slot *s)
{
	(void)t;
	(void)server;
	calls++;
	if (fail_next) {
		int e = fail_next;

		fail_next = 0;
		return e;
	}
	switch (s->req.op) {
	case UM_OP_READ:
	case UM_OP_WRITE:
		return serve_data(&s->req, &s->rep);
	case UM_OP_SEEK:
		return serve_seek(&s->req, &s->rep);
	case UM_OP_READDIR:
		return serve_dir(&s->req, &s->rep);
	case UM_OP_CLOSED:
		closed_calls++;
		return close_answer;
	case UM_OP_STAT:
		s->rep.attr = (struct um_attr){ .ino = 5, .size = disk[s->req.handle].size, .mode = 0100644,
						.nlink = 1, .blksize = 512 };
		return 0;
	case UM_OP_SETFL:
		disk[s->req.handle].flags = s->req.open_flags;
		return 0;
	case UM_OP_COPY:	/* by pieces, then */
		calls--;
		return -EOPNOTSUPP;
	default:
		return -ENOSYS;
	}
}

long channel_tell(struct task *t, uint32_t server, struct um_slot *s)
{
	return channel_call(t, server, s);
}

bool channel_later(struct task *t, uint32_t server, uint32_t handle)
{
	(void)t;
	(void)server;
	(void)handle;
	return false;
}

long channel_call_on(struct task *t, uint32_t server, struct um_slot *s)
{
	return channel_call(t, server, s);
}

/* ---- helpers ---------------------------------------------------------------------------------------- */

static struct task task;

static int open_virtual(uint32_t handle, unsigned flags, unsigned type)
{
	struct file *f = file_new(FILE_REMOTE);
	int fd = carrier_open(7, handle, (int)flags);

	disk[handle].flags = flags;
	f->server = 7;
	f->handle = handle;
	f->mode = type;
	f->open_flags = flags & ~(unsigned)O_CLOEXEC;
	f->node = handle;
	if (fd < 0 || fd_install(&task, fd, f))
		exit(99);
	return fd;
}

static void fill(uint32_t handle, uint64_t size)
{
	for (uint64_t i = 0; i < size; i++)
		disk[handle].data[i] = (uint8_t)(i * 7 + i / 251);
	disk[handle].size = size;
	disk[handle].offset = 0;
}

static char *guest(size_t size)
{
	return malloc(size);
}

#define BAD	((gaddr)16)		/* an address that faults */

/* ---- tests ------------------------------------------------------------------------------------------ */

static void test_read(void)
{
	char *buf = guest(ROOM);
	int fd = open_virtual(1, O_RDONLY, S_IFREG);
	struct iovec v[12];

	fill(1, 300000);
	is_int(sys_read(&task, fd, (gaddr)buf, 10), 10, "read");
	ok(!memcmp(buf, disk[1].data, 10), "... the right bytes");
	is_int(disk[1].offset, 10, "... and the offset moves at the server");
	calls = 0;
	is_int(sys_read(&task, fd, (gaddr)buf, ROOM), 300000 - 10, "a read of several pieces ends at the end");
	is_int(calls, 3, "... in three requests");
	ok(!memcmp(buf, disk[1].data + 10, 300000 - 10), "... the right bytes");
	is_int(sys_read(&task, fd, (gaddr)buf, 1), 0, "end of file");
	calls = 0;
	is_int(sys_read(&task, fd, (gaddr)buf, 0), 0, "a read of nothing");
	is_int(calls, 0, "... asks nobody");
	is_int(sys_pread64(&task, fd, (gaddr)buf, 200000, 5), 200000, "pread of two pieces");
	ok(!memcmp(buf, disk[1].data + 5, 200000), "... the right bytes");
	is_int(disk[1].offset, 300000, "... and leaves the offset");
	is_int(sys_pread64(&task, fd, (gaddr)buf, 1, -1), -EINVAL, "pread before the start");
	is_int(sys_write(&task, fd, (gaddr)buf, 1), -EBADF, "write to a read-only file");
	is_int(sys_read(&task, fd, (gaddr)buf, (size_t)-1), -EINVAL, "a size that is no ssize_t");

	is_int(sys_lseek(&task, fd, 0, SEEK_SET), 0, "lseek");
	is_int(sys_read(&task, fd, BAD, 100), -EFAULT, "read to a bad address");
	is_int(disk[1].offset, 0, "... puts the offset back");
	is_int(sys_lseek(&task, fd, 0, 9), -EINVAL, "lseek with a bad whence");

	for (int i = 0; i < 12; i++)
		v[i] = (struct iovec){ buf + i * 100, i == 3 ? 0 : 50 };
	is_int(sys_preadv2(&task, fd, (gaddr)v, 12, -1, -1, 0), 550, "readv of twelve, one empty");
	ok(!memcmp(buf, disk[1].data, 50) && !memcmp(buf + 1100, disk[1].data + 500, 50), "... scattered");
	v[2].iov_base = (void *)BAD;
	is_int(sys_preadv2(&task, fd, (gaddr)v, 12, 0, 0, 0), 100, "a bad vector ends it");
	v[2].iov_len = (size_t)-1;
	is_int(sys_preadv2(&task, fd, (gaddr)v, 12, 0, 0, 0), -EINVAL, "a length that is no ssize_t");
	is_int(sys_preadv2(&task, fd, (gaddr)v, 1025, 0, 0, 0), -EINVAL, "too many vectors");
	is_int(sys_preadv2(&task, fd, BAD, 2, 0, 0, 0), -EFAULT, "vectors at a bad address");
	is_int(sys_preadv2(&task, fd, (gaddr)v, 1, 0, 0, 0x8), -EOPNOTSUPP, "RWF_NOWAIT");
	fail_next = -EIO;
	is_int(sys_read(&task, fd, (gaddr)buf, 5), -EIO, "the server's error");
	is_int(sys_close(&task, fd), 0, "close");
	is_int(sys_close(&task, fd), -EBADF, "... once");
	free(buf);
}

static void test_write(void)
{
	char *buf = guest(ROOM);
	int fd = open_virtual(2, O_WRONLY, S_IFREG);

	memset(buf, 'x', ROOM);
	memset(&disk[2], 0, sizeof disk[2]);
	is_int(sys_write(&task, fd, (gaddr)buf, 200000), 200000, "write of two pieces");
	is_int(disk[2].size, 200000, "... arrives");
	is_int(sys_pwrite64(&task, fd, (gaddr)"abc", 3, 1), 3, "pwrite");
	ok(!memcmp(disk[2].data, "xabcx", 5), "... in its place");
	is_int(sys_write(&task, fd, BAD, 3), -EFAULT, "write from a bad address");
	is_int(sys_read(&task, fd, (gaddr)buf, 1), -EBADF, "read from a write-only file");
	max_piece = 1000;
	is_int(sys_write(&task, fd, (gaddr)buf, 5000), 1000, "a short write is a result");
	max_piece = UM_DATA_SIZE;
	is_int(sys_write(&task, fd, (gaddr)buf, ROOM), 4 * 128 * 1024 + 2 * 128 * 1024, "a full disk after some pieces");
	is_int(sys_pwrite64(&task, fd, (gaddr)buf, 10, ROOM), -ENOSPC, "... and before any");
	close_answer = -EDQUOT;
	is_int(sys_close(&task, fd), -EDQUOT, "close says what FLUSH said");
	close_answer = 0;

	memset(&disk[2], 0, sizeof disk[2]);
	disk[2].size = 10;
	fd = open_virtual(2, O_WRONLY | O_APPEND, S_IFREG);
	is_int(sys_pwrite64(&task, fd, (gaddr)"end", 3, 0), 3, "pwrite with O_APPEND");
	is_int(disk[2].size, 13, "... appends");
	is_int(disk[2].offset, 0, "... and leaves the offset");
	is_int(sys_write(&task, fd, (gaddr)"end", 3), 3, "write with O_APPEND");
	ok(disk[2].size == 16 && disk[2].offset == 16, "... appends and moves the offset");
	is_int(sys_fcntl(&task, fd, F_GETFL, 0), O_WRONLY | O_APPEND | 0100000, "F_GETFL");
	is_int(sys_fcntl(&task, fd, F_SETFL, O_NONBLOCK), 0, "F_SETFL");
	is_int(disk[2].flags, O_NONBLOCK, "... is told to the server");
	is_int(sys_fcntl(&task, fd, F_GETFL, 0), O_WRONLY | O_NONBLOCK | 0100000, "... is seen");
	is_int(sys_fcntl(&task, fd, F_SETLK, BAD), -EFAULT, "a lock at a bad address");
	is_int(sys_ioctl(&task, fd, 0x5401, BAD), -ENOTTY, "TCGETS");
	sys_close(&task, fd);
	free(buf);
}

static void test_dup(void)
{
	int fd = open_virtual(1, O_RDONLY, S_IFREG), copy, real = dup(1);
	char c;

	fill(1, 100);
	closed_calls = 0;
	copy = (int)sys_dup(&task, fd);
	ok(copy > fd && fd_peek(&task, copy) == fd_peek(&task, fd), "dup shares the file");
	is_int(sys_read(&task, copy, (gaddr)&c, 1), 1, "... and reads");
	is_int(sys_dup3(&task, copy, 50, 0), 50, "dup2 to a free number");
	is_int(sys_fcntl(&task, 50, F_DUPFD_CLOEXEC, 60), 60, "F_DUPFD_CLOEXEC");
	is_int(sys_fcntl(&task, 60, F_GETFD, 0), 1, "... is close-on-exec");
	is_int(sys_dup3(&task, copy, copy, 0), -EINVAL, "dup3 onto itself");
	is_int(sys_dup3(&task, real, 50, 0), 50, "dup2 of a real one over a virtual one");
	ok(!fd_peek(&task, 50), "... makes it real");
	is_int(closed_calls, 1, "... and tells the server");
	is_int(sys_dup3(&task, copy, real, 0), real, "dup2 of a virtual one over a real one");
	ok(fd_peek(&task, real) != NULL, "... makes it virtual");
	is_int(sys_dup3(&task, 77, 60, 0), -EBADF, "dup2 of none");
	ok(fd_peek(&task, 60) != NULL, "... changes nothing");
	is_int(sys_dup3(&task, copy, 1 << 28, 0), -EBADF, "dup2 to a number beyond the limit");
	ok(!fd_peek(&task, 1 << 28), "... is not entered");
	is_int(sys_close_range(&task, (unsigned)fd, 100, 0), 0, "close_range");
	ok(!fd_peek(&task, fd) && !fd_peek(&task, copy) && !fd_peek(&task, 60) && !fd_peek(&task, real),
	   "... closes them all");
	is_int(closed_calls, 5, "... each told to the server");
	is_int(sys_close_range(&task, 5, 4, 0), -EINVAL, "a range the wrong way round");
}

static void test_copy(void)
{
	int in, out, real = (int)raw_syscall(__NR_memfd_create, "real", MFD_CLOEXEC), pipes[2];
	int64_t off = 100;
	char *buf = guest(ROOM);

	in = open_virtual(1, O_RDONLY, S_IFREG);
	out = open_virtual(2, O_WRONLY, S_IFREG);
	fill(1, 300000);
	memset(&disk[2], 0, sizeof disk[2]);
	is_int(sys_copy_file_range(&task, in, 0, out, 0, ROOM, 0), 300000, "copy_file_range within one server");
	ok(disk[2].size == 300000 && !memcmp(disk[1].data, disk[2].data, 300000), "... copies");
	ok(disk[1].offset == 300000 && disk[2].offset == 300000, "... and moves both offsets");
	is_int(sys_copy_file_range(&task, in, (gaddr)&off, real, 0, 1000, 0), -EXDEV, "virtual to real: two file systems");
	is_int(sys_copy_file_range(&task, real, 0, out, (gaddr)&off, 500, 0), -EXDEV, "and the other way");
	is_int(sys_sendfile(&task, real, in, (gaddr)&off, 1000), 1000, "sendfile of virtual to real");
	is_int(off, 1100, "... moves the offset given");
	is_int(pread(real, buf, 2000, 0), 1000, "... all of it");
	ok(!memcmp(buf, disk[1].data + 100, 1000), "... the right bytes");
	is_int(lseek(real, 0, SEEK_CUR), 1000, "... and the real offset");
	lseek(real, 0, SEEK_SET);
	disk[2].offset = 10;
	is_int(sys_sendfile(&task, out, real, 0, 500), 500, "sendfile of real to virtual");
	ok(!memcmp(disk[2].data + 10, disk[1].data + 100, 500), "... the right bytes");
	is_int(sys_copy_file_range(&task, in, 0, out, 0, 1, 1), -EINVAL, "flags");
	is_int(sys_copy_file_range(&task, out, 0, in, 0, 1, 0), -EBADF, "the wrong way round");

	off = 0;
	if (pipe(pipes))
		exit(99);
	is_int(sys_sendfile(&task, pipes[1], in, (gaddr)&off, 5000), 5000, "sendfile to a pipe");
	is_int(read(pipes[0], buf, ROOM), 5000, "... all of it");
	ok(off == 5000 && !memcmp(buf, disk[1].data, 5000), "... the right bytes");
	is_int(sys_sendfile(&task, out, pipes[0], 0, 5), -EINVAL, "sendfile from a pipe");
	is_int(sys_splice(&task, in, 0, out, 0, 5, 0), -EINVAL, "splice without a pipe");
	is_int(sys_lseek(&task, in, 0, SEEK_SET), 0, "back");
	is_int(sys_splice(&task, in, 0, pipes[1], 0, 100000, 0), 65536, "splice to a pipe: as much as there is room");
	is_int(sys_splice(&task, in, 0, pipes[1], 0, 1, 2), -EAGAIN, "... no more without blocking");
	ok(read(pipes[0], buf, ROOM) == 65536 && !memcmp(buf, disk[1].data, 65536), "... the right bytes");
	is_int(disk[1].offset, 65536, "... and the offset");
	is_int(write(pipes[1], "piped", 5), 5, "a little in the pipe");
	off = 7;
	is_int(sys_splice(&task, pipes[0], 0, out, (gaddr)&off, 100, 0), 5, "splice from a pipe: what is there");
	ok(off == 12 && !memcmp(disk[2].data + 7, "piped", 5), "... the right bytes");
	is_int(sys_lseek(&task, in, 0, SEEK_SET), 0, "back");
	is_int(sys_sendfile(&task, real, in, 0, 3), 3, "sendfile with the file's own offset");
	is_int(disk[1].offset, 3, "... which moves");
	close(pipes[0]);
	close(pipes[1]);
	close(real);
	sys_close(&task, in);
	sys_close(&task, out);
	free(buf);
}

static void test_dir(void)
{
	struct linux_dirent64 *d;
	unsigned char buf[1000];
	int fd = open_virtual(1, O_RDONLY, S_IFDIR);
	long n;

	fill(1, 0);
	n = sys_getdents64(&task, fd, (gaddr)buf, sizeof buf);
	is_int(n, 24 * 3 + 40, "getdents64");
	d = (struct linux_dirent64 *)(buf + 72);
	is_str(d->d_name, "a name of sixteen", "... the last name");
	disk[1].offset = 0;
	is_int(sys_getdents(&task, fd, (gaddr)buf, sizeof buf), n, "getdents: the same size");
	is_str((char *)buf + 72 + 18, "a name of sixteen", "... the name one byte earlier");
	is_int(buf[72 + 39], 8, "... the type at the end");
	is_int(buf[23], 4, "... of the first, too");
	is_int(sys_getdents64(&task, fd, (gaddr)buf, sizeof buf), 0, "the end");
	disk[1].offset = 0;
	is_int(sys_getdents64(&task, fd, BAD, 500), -EFAULT, "a bad address");
	is_int(sys_read(&task, fd, (gaddr)buf, 1), -EISDIR, "read of a directory");
	sys_close(&task, fd);
}

static void test_memfd(void)
{
	int fd = open_virtual(1, O_RDONLY, S_IFREG);
	char *buf = guest(ROOM), link[100], path[40];
	long mem;
	ssize_t n;

	fill(1, 300001);
	memset(disk[1].data + 8192, 0, 128 * 1024);
	mem = file_to_memfd(&task, fd_peek(&task, fd), "/a/prog", O_CLOEXEC);
	ok(mem >= 0, "file_to_memfd");
	is_int(pread((int)mem, buf, ROOM, 0), 300001, "... the whole size");
	ok(!memcmp(buf, disk[1].data, 300001), "... the right bytes");
	snprintf(path, sizeof path, "/proc/self/fd/%ld", mem);
	n = readlink(path, link, sizeof link - 1);
	link[n > 0 ? n : 0] = 0;
	is_str(link, "/memfd:umview:0:5:/a/prog (deleted)", "... the name");
	struct stat st;
	raw_syscall(__NR_fstat, mem, &st);
	ok(st.st_blocks * 512 < 200000, "... with a hole where there are zeros");
	close((int)mem);
	fill(1, 0);
	mem = file_to_memfd(&task, fd_peek(&task, fd), "empty", 0);
	is_int(pread((int)mem, buf, ROOM, 0), 0, "an empty file");
	close((int)mem);
	fail_next = -EIO;
	is_int(file_to_memfd(&task, fd_peek(&task, fd), "broken", 0), -EIO, "a file that cannot be read");
	sys_close(&task, fd);
	free(buf);
}

static void test_attr(void)
{
	struct um_attr a = { .ino = 1, .size = 1ull << 40, .blocks = 3, .atime = -5, .mtimensec = 7, .mode = 020600,
			     .nlink = 2, .uid = 1000, .gid = 1001, .rdev = (0x12345u & 0xff) | 0x300 | (0x12345u & ~0xffu) << 12 };
	struct stat st;
	struct statx sx;

	attr_to_stat(&a, 0x1234, &st);
	attr_to_statx(&a, 0x1234, &sx);
	is_int(st.st_dev, 0x34 | 0x12u << 20, "stat: a device with a large minor number");
	is_int(sx.stx_dev_minor, 0x1234, "statx: the same");
	is_int(sx.stx_rdev_major, 3, "statx: major of a special file");
	is_int(sx.stx_rdev_minor, 0x12345, "statx: minor");
	is_int(st.st_size, 1ll << 40, "stat: size");
	is_int((long)st.st_atime, -5, "stat: time before 1970");
	is_int(sx.stx_mtime.tv_nsec, 7, "statx: nanoseconds");
	is_int(st.st_blksize, 4096, "stat: block size when there is none");
	is_int(sx.stx_mask, STATX_BASIC_STATS, "statx: mask");
}

int main(void)
{
	long live;

	plan(0);
	process.world_fd = (int)raw_syscall(__NR_memfd_create, "world", 0);
	process.pid = getpid();
	process.views = (void *)own_map(UM_VIEW_SPAN, 1 /* PROT_READ */, 0, -1, 0);
	task.self = &task;
	task.files = files_new();
	live = shim_heap_live;
	test_read();
	test_write();
	test_dup();
	test_copy();
	test_dir();
	test_memfd();
	test_attr();
	ok(shim_heap_live - live <= 1, "nothing is left but the table of descriptors");
	files_put(task.files);
	return done();
}
