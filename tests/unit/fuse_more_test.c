/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ioctl and copy_file_range in mounted file systems (fuse_ops_more.c): what goes to the server, what comes back, and what is refused.
 */
#include <linux/fs.h>
#include "fuse_rig.h"

static uint64_t file, other;

static void begin(void)
{
	rig_start();
	file = rig_new(1, "file", S_IFREG | 0644);
	rig_put(file, "some contents");
	other = rig_new(1, "other", S_IFREG | 0644);
	rig_put(other, "other contents");
	rig_new(1, "dir", S_IFDIR | 0755);
	rig_pump();
}

/* ---- ioctl ------------------------------------------------------------------------------------------------ */

static int ask(long h, uint32_t cmd, uint64_t arg, const char *data, uint32_t in, uint32_t out)
{
	struct um_slot *s = rig_on(UM_OP_IOCTL, h);

	s->req.mode = cmd;
	s->req.offset = arg;
	s->req.size = in;
	s->req.rdev = out;
	if (in && in <= 4)
		memcpy(s->data, data, in);
	return rig_call(0);
}

static void test_ioctl(void)
{
	struct um_slot *s;
	long h, d, p;

	begin();
	s = rig_slot(0);
	h = rig_open("file", O_RDONLY, 0);
	is_int(ask(h, 0xc0040102, 77, "abcd", 4, 4), 0, "data in and out");
	ok(s->rep.size == 4 && !memcmp(s->data, "bcde", 4), "four bytes, each one more");
	is_int((int)s->rep.offset, 77, "and a result");
	is_int(rig.last_ioctl.flags, 0, "of a file");
	is_int(rig.last_ioctl.in_size, 4, "with as many bytes");
	is_int(ask(h, 0x80040102, (uint64_t)-5, NULL, 0, 4), 0, "data out only");
	is_int(s->rep.size, 0, "there was none");
	is_int((int)s->rep.offset, -5, "the server's error is the result");
	is_int(ask(h, 0xc0040101, 0, "abcd", 4, 4), -EIO, "it wants other memory: not of a file");
	is_int(ask(h, 0xc0040102, 0, "", UM_IOCTL_MOST + 1, 4), -EINVAL, "no command is about so much");
	d = rig_open("dir", O_RDONLY | O_DIRECTORY, 0);
	is_int(ask(d, 0xc0040102, 1, "abcd", 4, 4), 0, "of a directory");
	is_int(rig.last_ioctl.flags, FUSE_IOCTL_DIR, "which the server is told");
	p = rig_open("file", O_PATH, 0);
	is_int(ask(p, 0xc0040102, 1, "abcd", 4, 4), -EBADF, "of a path");
	rig.refuse[FUSE_IOCTL] = -ENOSYS;
	is_int(ask(h, 0xc0040102, 1, "abcd", 4, 4), -ENOTTY, "a server that has none");
	rig.refuse[FUSE_IOCTL] = 0;
	rig_close(h);
	rig_close(d);
	rig_close(p);
	rig_stop("ioctl");
}

/* ---- copy ------------------------------------------------------------------------------------------------- */

static int copy(long from, uint64_t at, long to, uint64_t where, uint64_t size)
{
	struct um_slot *s = rig_on(UM_OP_COPY, from);

	s->req.offset = at;
	s->req.handle2 = (uint32_t)to;
	s->req.base2 = where;
	s->req.size = size;
	return rig_call(0);
}

static void test_copy(void)
{
	struct um_slot *s;
	long r, w, a;

	begin();
	s = rig_slot(0);
	r = rig_open("file", O_RDONLY, 0);
	w = rig_open("other", O_RDWR, 0);
	a = rig_open("other", O_WRONLY | O_APPEND, 0);
	is_int(rig_read_at(w, 0, 100), 14, "what is there before");
	is_int(copy(r, 5, w, 6, 100), 0, "copied");
	is_int(s->rep.size, 8, "to the end of what there is");
	is_int(rig_read_at(w, 0, 100), 14, "and then");
	ok(!memcmp(s->data, "other contents", 14), "it is there");
	is_int(copy(r, 0, w, 14, 4), 0, "behind the end");
	is_int(rig_read_at(w, 0, 100), 18, "the file has grown");
	ok(!memcmp(s->data, "other contentssome", 18), "by that");
	is_int(rig_stat("other")->size, 18, "and says so");
	is_int(copy(r, 100, w, 0, 4), 0, "from behind the end");
	is_int(s->rep.size, 0, "nothing");
	is_int(copy(w, 0, r, 0, 4), -EBADF, "to what is open for reading");
	is_int(copy(r, 0, a, 0, 4), -EBADF, "to what is open for appending");
	is_int(copy(r, 0, 999, 0, 4), -EBADF, "to what is not open");
	is_int(copy(999, 0, w, 0, 4), -EBADF, "from what is not open");
	is_int(copy(r, UINT64_MAX, w, 0, 4), -EINVAL, "from nowhere");
	is_int(copy(r, 0, w, 0, UM_COPY_MOST + 1ull), -EINVAL, "too much");
	rig.refuse[FUSE_COPY_FILE_RANGE] = -ENOSYS;
	is_int(copy(r, 0, w, 0, 4), -EOPNOTSUPP, "a server that does not");
	rig.refuse[FUSE_COPY_FILE_RANGE] = 0;
	is_int(copy(r, 0, w, 0, 4), -EOPNOTSUPP, "is not asked again");
	rig_close(r);
	rig_close(w);
	rig_close(a);
	rig_stop("copy");
}

int main(void)
{
	plan(0);
	test_ioctl();
	test_copy();
	return done();
}
