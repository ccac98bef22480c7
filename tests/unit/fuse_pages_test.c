/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contents that clients read without asking (fuse_pages.c has them, remote_pages.c reads them), and the offsets of open files, which both move:
 * against a model of each file and each open file, over random reads, writes, truncations, seeks and changes behind our back.
 */
#define RIG_NODES 400
#include <linux/fs.h>
#include "fuse_rig.h"
#include "../../src/kernel/fs/remote.h"
#include "../../src/wire/pages.h"

#define FILES	3
#define OPENS	5
#define MOST	60000u

static struct open { long handle; uint64_t node, offset; struct file f; } opens[OPENS];
static uint64_t files[FILES];
static uint8_t buf[MOST + 8192];
static unsigned wrong, known, asked;
static bool others;		/* somebody else changes files, too */

/* ---- one read, as remote_io.c makes it ------------------------------------------------------------------- */

static long ask(struct open *o, uint64_t offset, size_t size, uint8_t *to)
{
	struct um_slot *s = rig_on(UM_OP_READ, o->handle);

	s->req.offset = offset;
	s->req.size = size;
	return rig_data(to);
}

static long read_file(struct open *o, uint64_t offset, size_t size)
{
	struct guest_iov g;
	bool done;
	long n, more;

	iov_single(&g, (gaddr)buf, size);
	n = pages_read(&rig.task, &o->f, &g, offset, &done);
	known += n > 0;
	if (done || n < 0)
		return n;
	asked++;
	more = ask(o, offset == UM_OFFSET_FILE ? offset : offset + (uint64_t)n, size - (size_t)n, buf + n);
	return more < 0 ? (n ? n : more) : n + more;
}

static void check_read(struct open *o, bool own, uint64_t offset, size_t size)
{
	const struct rig_node *n = &rig.node[o->node];
	const uint64_t at = own ? o->offset : offset, left = at < n->size ? n->size - at : 0, want = size < left ? size : left;
	long r = read_file(o, own ? UM_OFFSET_FILE : offset, size);

	if (r != (long)want || memcmp(buf, n->data + at, want)) {
		if (!wrong++)
			diag("%llu bytes at %llu of %llu: %ld", (unsigned long long)size, (unsigned long long)at, (unsigned long long)n->size, r);
	}
	if (own)
		o->offset += want;
}

/* ---- random steps ---------------------------------------------------------------------------------------- */

static char text[9000];

static void write_some(struct open *o)
{
	size_t len = pick(4) ? 1 + pick(100) : 1 + pick(8000);
	struct um_slot *s = rig_on(UM_OP_WRITE, o->handle);
	uint32_t how = pick(3);
	uint64_t at = pick(MOST / 2);

	for (size_t i = 0; i < len; i++)
		text[i] = (char)pick(256);
	s->req.offset = how == 0 ? UM_OFFSET_FILE : how == 1 ? UM_OFFSET_END : at;
	s->req.size = len;
	memcpy(s->data, text, len);
	if ((how == 0 ? o->offset : how == 1 ? rig.node[o->node].size : at) + len > MOST)
		return;
	if (rig_call(0) || s->rep.size != len)
		wrong++;
	if (how < 2)
		o->offset = s->rep.offset;
}

static void truncate_some(struct open *o)
{
	struct um_slot *s = rig_on(UM_OP_SETATTR, o->handle);

	s->req.valid = FATTR_SIZE;
	s->req.size = pick(MOST / 2);
	if (rig_call(0))
		wrong++;
}

/* By the client, or where it cannot by the server. */
static void seek_some(struct open *o)
{
	const uint32_t whence = pick(3);
	const int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (int64_t)o->offset : (int64_t)rig.node[o->node].size;
	const int64_t offset = whence == SEEK_SET ? (int64_t)pick(MOST) : (int64_t)pick(20000) - 10000;
	const long want = base + offset < 0 ? -EINVAL : (long)(base + offset);
	long r;

	if (!pages_seek(&rig.task, &o->f, offset, whence, &r)) {
		struct um_slot *s = rig_on(UM_OP_SEEK, o->handle);

		s->req.offset = (uint64_t)offset;
		s->req.whence = whence;
		r = rig_call(0);
		r = r ? r : (long)s->rep.offset;
	} else {
		known++;
	}
	if (r != want && !wrong++)
		diag("seek %lld by %u: %ld, not %ld", (long long)offset, whence, r, want);
	if (r >= 0)
		o->offset = (uint64_t)r;
}

static void open_one(struct open *o)
{
	static const char *const names[] = { "f0", "f1", "f2" };
	uint32_t k = pick(FILES);

	if (o->handle)
		rig_close(o->handle);
	if (others && !pick(3) && rig.node[files[k]].size) {	/* behind our back: it shows when it is opened */
		rig.node[files[k]].data[pick((uint32_t)rig.node[files[k]].size)] ^= 0x55;
		rig.node[files[k]].mtime += 1000;
	}
	o->handle = rig_open(names[k], O_RDWR, 0);
	o->node = files[k];
	o->offset = 0;
	o->f = (struct file){ .refs = 1, .kind = FILE_REMOTE, .server = 1, .handle = (uint32_t)o->handle, .mode = S_IFREG, .open_flags = O_RDWR };
}

static void step(void)
{
	struct open *o = &opens[pick(OPENS)];

	if (!o->handle || !pick(60)) {
		open_one(o);
		return;
	}
	switch (pick(12)) {
	case 0:	write_some(o); break;
	case 1:	if (!pick(4)) truncate_some(o); break;
	case 2:
	case 3:	seek_some(o); break;
	case 4: rig_stat("f0"); rig_stat("f1"); rig_stat("f2"); break;
	case 5:
	case 6:	check_read(o, false, pick(MOST), 1 + pick(9000)); break;
	default: check_read(o, true, 0, 1 + pick(pick(3) ? 500 : 20000));
	}
}

static void begin(bool alone)
{
	wrong = known = asked = 0;
	rig_state = alone;
	others = !alone;
	rig_start();
	if (alone) {
		rig.shm->mount_flags |= UM_MNT_ALONE;
		rig.entry_valid = rig.attr_valid = 0;
	}
	rig_pump();
	for (int i = 0; i < FILES; i++) {
		char name[16];

		snprintf(name, sizeof name, "f%d", i);
		files[i] = rig_new(1, name, S_IFREG | 0644);
		rig_put(files[i], "contents");
	}
	memset(opens, 0, sizeof opens);
}

static void test_random(bool alone)
{
	begin(alone);
	for (int i = 0; i < 60000; i++) {
		step();
	}
	is_int(wrong, 0, "%s: 60000 steps like the model", alone ? "alone" : "by time-outs");
	ok(known > 5000 && asked > 1000, "... of which %u needed no asking, %u did", known, asked);
	for (int i = 0; i < OPENS; i++)
		if (opens[i].handle)
			rig_close(opens[i].handle);
	rig_stop("random");
}

/* ---- one by one ------------------------------------------------------------------------------------------ */

static long look(struct open *o, size_t size, bool *done)
{
	struct guest_iov g;

	iov_single(&g, (gaddr)buf, size);
	return pages_read(&rig.task, &o->f, &g, 0, done);
}

static void test_which(void)
{
	struct open *o = &opens[0];
	struct um_open *e;
	bool done;

	begin(false);
	open_one(o);
	is_int(look(o, 4, &done), 0, "nothing is known of what was not read");
	ok(!done, "so ask");
	ask(o, 0, 3, buf);
	is_int(look(o, 4, &done), 4, "after 3 bytes of its page were read, 4 are");
	ok(done, "and that is all");
	is_int(look(o, 100, &done), 8, "to the end");
	ok(done, "which it is");
	e = rig.c->opens->open + o->handle % UM_OPENS;
	is_int(e->handle, o->handle, "its offset is shared");
	e->offset |= UM_OPEN_BUSY;
	is_int(read_file(o, 0, 4), 4, "by an offset of its own, even while the server moves the file's");
	struct guest_iov g;
	iov_single(&g, (gaddr)buf, 4);
	is_int(pages_read(&rig.task, &o->f, &g, UM_OFFSET_FILE, &done), 0, "but not by that");
	e->offset &= ~UM_OPEN_BUSY;

	rig.shm->shadow = 1;
	is_int(look(o, 4, &done), 0, "somebody watches: the server's agent has to tell him");
	rig.shm->shadow = 0;
	is_int(look(o, 4, &done), 4, "nobody does");
	rig_close(o->handle);
	is_int(look(o, 4, &done), 0, "closed");
	rig_stop("which");

	begin(false);
	rig.open_flags = FOPEN_DIRECT_IO;
	open_one(o);
	ask(o, 0, 3, buf);
	is_int(look(o, 4, &done), 0, "nothing of a file that the server wants to be asked about");
	rig_close(o->handle);
	rig_stop("direct");
}

/* Closed by who only read: the next request says so; or nobody, and it is found out. */
static void test_later(void)
{
	struct open *o = &opens[0], other;
	struct um_slot *s;
	int carrier;

	begin(false);
	open_one(o);
	carrier = rig_carrier((uint32_t)o->handle);
	other = *o;
	ok(pages_closed(&rig.task, &o->f), "closed");
	s = rig_begin(0, UM_OP_STAT);
	rig_path(s, "f0");
	s->req.closed = (uint32_t)o->handle;
	is_int(rig_call(0), 0, "another request");
	is_int(rig_open_count(), 1, "but a copy of the descriptor is open: so is the file");
	raw_syscall(__NR_close, carrier);
	s = rig_begin(0, UM_OP_STAT);
	rig_path(s, "none");
	s->req.closed = (uint32_t)o->handle;
	is_int(rig_call(0), -ENOENT, "a request that fails");
	rig_pump();
	is_int(rig_open_count(), 0, "and now it is released");
	s = rig_begin(0, UM_OP_STAT);
	rig_path(s, "none");
	s->req.closed = (uint32_t)o->handle;
	is_int(rig_call(0), -ENOENT, "once more: no harm");
	ok(!pages_closed(&rig.task, &other.f), "it cannot be closed again");

	o->handle = 0;
	open_one(o);
	ok(pages_closed(&rig.task, &o->f), "another one is closed");
	fuse_handles_sweep(rig.c, false);
	rig_pump();
	is_int(rig_open_count(), 0, "and nobody says so: the sweep finds it, though its thread lives and nobody had seen its lock");
	rig_stop("later");
}

/* A file that was opened for reading before needs no OPEN until something is asked, or its name goes. */
static void test_lazy(void)
{
	struct open *o = &opens[0];
	long h, w;

	begin(true);
	h = rig_open("f0", O_RDONLY, 0);
	is_int(rig.count[FUSE_OPEN], 1, "the first time it is opened at the server");
	*o = (struct open){ .handle = h };
	ask(o, 0, 100, buf);
	rig_close(h);
	h = o->handle = rig_open("f0", O_RDONLY, 0);
	is_int(rig.count[FUSE_OPEN], 1, "the second time not");
	is_int(rig.count[FUSE_RELEASE], 1, "one has been released");
	is_int(rig_close(h), 0, "this one");
	is_int(rig.count[FUSE_RELEASE], 1, "needs no RELEASE");
	w = rig_open("f0", O_RDWR, 0);
	is_int(rig.count[FUSE_OPEN], 2, "for writing it is opened");
	h = o->handle = rig_open("f0", O_RDONLY, 0);
	is_int(rig.count[FUSE_OPEN], 2, "for reading not");
	rig_write_at(w, 0, "other");
	is_int(ask(o, 0, 100, buf), 8, "asked for what is not known");
	is_int(rig.count[FUSE_OPEN], 3, "it is");
	ok(!memcmp(buf, "othernts", 8), "and is what was written");
	rig_close(h);

	h = o->handle = rig_open("f0", O_RDONLY, 0);
	is_int(rig.count[FUSE_OPEN], 3, "once more");
	close(rig_carrier((uint32_t)h));
	rig_do(UM_OP_UNLINK, "f0");
	is_int(rig.count[FUSE_OPEN], 4, "a file that loses its name is opened before");
	is_int(ask(o, 0, 5, buf), 5, "and can be read");
	rig_close(h);
	rig_close(w);
	rig_stop("lazy");

	begin(false);
	h = rig_open("f0", O_RDONLY, 0);
	rig_close(h);
	h = rig_open("f0", O_RDONLY, 0);
	is_int(rig.count[FUSE_OPEN], 2, "where others change files, each is opened");
	rig_close(h);
	rig_stop("not lazy");
}

static void write_at(struct open *o, uint64_t offset, char what, size_t size)
{
	struct um_slot *s = rig_on(UM_OP_WRITE, o->handle);

	s->req.offset = offset;
	s->req.size = size;
	memset(s->data, what, size);
	rig_call(0);
}

/* A read by the file's own offset is one: nobody else reads in the middle of it. */
static void test_records(void)
{
	struct open *o = &opens[0];
	struct um_open *e;
	struct guest_iov g;
	bool done;

	begin(true);
	open_one(o);
	write_at(o, 0, 'a', 3 * UM_PAGE_SIZE);
	ask(o, 0, UM_PAGE_SIZE, buf);
	is_int(look(o, UM_PAGE_SIZE + 100, &done), UM_PAGE_SIZE, "a page is known, the next one is not");
	iov_single(&g, (gaddr)buf, UM_PAGE_SIZE + 100);
	is_int(pages_read(&rig.task, &o->f, &g, UM_OFFSET_FILE, &done), 0, "by the file's own offset: nothing of both");
	ok(!done && g.left == UM_PAGE_SIZE + 100, "... all of it is asked for");
	e = rig.c->opens->open + o->handle % UM_OPENS;
	is_int(e->offset, 0, "... and the offset was not moved");
	iov_single(&g, (gaddr)buf, UM_PAGE_SIZE - 100);
	is_int(pages_read(&rig.task, &o->f, &g, UM_OFFSET_FILE, &done), UM_PAGE_SIZE - 100, "what is known wholly is read");
	is_int(e->offset, UM_PAGE_SIZE - 100, "... and the offset moved");
	rig_close(o->handle);
	rig_stop("records");
}

/* libfuse's high level: a file has a node for each of its names. */
static void test_other_node(void)
{
	struct open *o = &opens[0];
	struct rig_node *n;
	struct um_slot *s;
	bool done;

	begin(true);
	rig.node_per_name = true;
	open_one(o);
	n = &rig.node[o->node];
	ask(o, 0, 8, buf);
	is_int(look(o, 8, &done), 8, "known");
	s = rig_begin(0, UM_OP_LINK);
	rig_path(s, n->name);
	rig_path2(s, "other");
	s->req.base2 = UM_ROOT_NODE;
	is_int(rig_call(0), 0, "link");
	memcpy(n->data, "CONTENTS", 8);		/* by its other name */
	rig_do(UM_OP_UNLINK, "other");
	n->nlink = 1;
	rig_stat(n->name);
	is_int(look(o, 8, &done), 0, "what was known before it had another name may have been written by that");
	ask(o, 0, 8, buf);
	ok(!memcmp(buf, "CONTENTS", 8), "as it was");
	rig_close(o->handle);
	rig_stop("other node");
}

/* Who reads on gets more than he asks for. */
static void test_ahead(void)
{
	struct open *o = &opens[0];
	unsigned reads;

	begin(false);
	open_one(o);
	for (unsigned i = 0; i < 7; i++)	/* 56000 bytes */
		write_at(o, i * 8000u, (char)('a' + i), 8000);
	rig_stat("f0"); rig_stat("f1"); rig_stat("f2");
	o->offset = 0;
	reads = rig.count[FUSE_READ];
	for (unsigned i = 0; i < 560; i++)
		check_read(o, true, 0, 100);
	is_int(wrong, 0, "56000 bytes by 100");
	ok(rig.count[FUSE_READ] - reads <= 5, "in %u READs", rig.count[FUSE_READ] - reads);
	rig_close(o->handle);
	rig_stop("ahead");
}

int main(void)
{
	test_which();
	test_later();
	test_lazy();
	test_records();
	test_other_node();
	test_ahead();
	test_random(false);
	test_random(true);
	return done();
}
