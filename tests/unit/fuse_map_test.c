/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of a mounted file system that guests have mapped to store in them (fuse_map.c): against a model, over random stores, reads, writes,
 * truncations, syncs and ends of the mapping; and what happens at the end, and when the server refuses.
 */
#define RIG_NODES 100
#include <linux/fs.h>
#include <sys/mman.h>
#include "fuse_rig.h"

#define MOST	100000u

static uint64_t file;
static long h;			/* open for reading and writing */
static char *mem;		/* the mapping, of MOST bytes; NULL: there is none */
static uint8_t model[MOST];
static uint64_t size;
static unsigned wrong, stored;

/* As a guest: 0 or -errno. */
static int map(void)
{
	struct um_slot *s = rig_on(UM_OP_MAP, h);
	char path[64];
	int r, fd;
	void *at;

	strcpy((char *)s->data, "name");
	r = rig_call(0);
	if (r)
		return r;
	snprintf(path, sizeof path, "/proc/%u/fd/%u", (unsigned)s->rep.offset, (unsigned)s->rep.size);
	fd = (int)raw_syscall(__NR_openat, AT_FDCWD, path, O_RDWR, 0);
	at = mmap(NULL, MOST, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		return -1;
	mem = at;
	return 0;
}

static void unmap(void)
{
	munmap(mem, MOST);
	mem = NULL;
}

static int setup(const char *contents)
{
	rig_start();
	file = rig_new(1, "file", S_IFREG | 0644);
	rig_put(file, contents);
	rig_pump();
	h = rig_open("file", O_RDWR, 0);
	size = strlen(contents);
	memset(model, 0, sizeof model);
	memcpy(model, contents, size);
	wrong = stored = 0;
	mem = NULL;
	return h < 0 ? (int)h : 0;
}

static bool server_has_it(void)
{
	return rig.node[file].size == size && !memcmp(rig.node[file].data, model, size);
}

/* The second that the sweep waits for passes. */
static void sweep(void)
{
	usleep(1010000);
	fuse_handles_sweep(rig.c, false);
	rig_pump();
}

/* ---- random steps ---------------------------------------------------------------------------------------- */

static void store(void)
{
	uint64_t at, n;

	if (!mem || !size)
		return;
	at = pick((uint32_t)size);
	n = 1 + pick(pick(4) ? 30 : 9000);
	for (uint64_t i = at; i < at + n && i < size; i++)
		mem[i] = (char)(model[i] = (uint8_t)pick(256));
	stored++;
}

static void check_read(void)
{
	uint64_t at = pick(MOST), n = 1 + pick(9000), want = at < size ? size - at < n ? size - at : n : 0;
	long r = rig_read_at(h, at, n);

	if ((r != (long)want || memcmp(rig_slot(0)->data, model + at, want)) && !wrong++)
		diag("%llu bytes at %llu of %llu: %ld", (unsigned long long)n, (unsigned long long)at, (unsigned long long)size, r);
	if (mem && size && memcmp(mem, model, size) && !wrong++)
		diag("the mapping is not what it should be");
}

static void write_some(void)
{
	struct um_slot *s = rig_on(UM_OP_WRITE, h);
	uint64_t at = pick(MOST - 9000), n = 1 + pick(pick(3) ? 50 : 9000);

	for (uint64_t i = 0; i < n; i++)
		s->data[i] = (uint8_t)pick(256);
	s->req.offset = at;
	s->req.size = n;
	memcpy(model + at, s->data, n);
	if (at > size)
		memset(model + size, 0, at - size);
	if (at + n > size)
		size = at + n;
	if (rig_call(0))
		wrong++;
}

static void truncate_it(void)
{
	struct um_slot *s = rig_on(UM_OP_SETATTR, h);
	uint64_t to = pick(MOST);

	s->req.valid = FATTR_SIZE;
	s->req.size = to;
	if (rig_call(0))
		wrong++;
	if (to > size)
		memset(model + size, 0, to - size);
	size = to;
}

static void sync_it(void)
{
	struct um_slot *s = pick(2) ? rig_on(UM_OP_FSYNC, h) : rig_begin(0, UM_OP_MSYNC);

	s->req.base = s->req.op == UM_OP_MSYNC ? file : 0;
	if (rig_call(0) || (!server_has_it() && !wrong++))
		for (uint64_t i = 0; i < size; i++)
			if (rig.node[file].size != size || (uint8_t)rig.node[file].data[i] != model[i]) {
				diag("after a sync the server has something else: %llu bytes, not %llu; at %llu %02x, not %02x", (unsigned long long)rig.node[file].size,
				     (unsigned long long)size, (unsigned long long)i, (uint8_t)rig.node[file].data[i], model[i]);
				break;
			}
}

static void step(void)
{
	switch (pick(12)) {
	case 0:	write_some(); break;
	case 1:	if (!pick(3)) truncate_it(); break;
	case 2:	if (!pick(4)) sync_it(); break;
	case 3:
		if (!mem)
			wrong += map() != 0;
		else if (!pick(20))
			unmap();
		break;
	case 4:
	case 5: check_read(); break;
	default: store();
	}
}

static void test_random(void)
{
	setup("some contents of a file");
	rig_state = 7;
	for (int i = 0; i < 30000; i++)
		step();
	is_int(wrong, 0, "30000 steps like the model");
	ok(stored > 10000, "%u of them were stores", stored);
	if (mem)
		unmap();
	sweep();
	ok(server_has_it(), "when nobody maps it any more the server has all of it");
	is_int(rig.shm->nmaps, 0, "and there is no map");
	rig_close(h);
	rig_stop("random");
}

/* ---- one by one ------------------------------------------------------------------------------------------ */

static void test_ends(void)
{
	long other;

	setup("0123456789");
	is_int(map(), 0, "mapped");
	memcpy(mem, "first", 5);
	memcpy(model, "first", 5);
	ok(memcmp(rig.node[file].data, "first", 5), "the server does not know what was stored");
	other = rig_open("file", O_RDONLY, 0);
	is_int(rig_read_at(other, 0, 5), 5, "who reads");
	ok(!memcmp(rig_slot(0)->data, "first", 5), "does");
	is_int(rig_close(other), 0, "closing any descriptor of it");
	ok(server_has_it(), "writes it");
	memcpy(mem, "again", 5);
	memcpy(model, "again", 5);
	is_int(rig_close(h), 0, "it is closed, and mapped still");
	ok(server_has_it(), "written again");
	is_int(rig_open_count(), 1, "but open for the mapping");
	memcpy(mem + 5, "third", 5);
	memcpy(model + 5, "third", 5);
	unmap();
	sweep();
	ok(server_has_it(), "the mapping ends: the rest is written");
	is_int(rig_open_count(), 0, "and it is closed");
	rig_stop("ends");

	setup("0123456789");
	map();
	memcpy(mem, "gone", 4);
	unmap();
	rig_close(h);
	is_int(rig_open_count(), 1, "nobody maps it any more, which has not been seen");
	rig.refuse[FUSE_UNLINK] = -EPERM;
	is_int(rig_do(UM_OP_UNLINK, "file"), -EPERM, "its name is to be removed");
	is_int(rig_open_count(), 0, "it was closed at the server before");
	ok(!memcmp(rig.node[file].data, "gone", 4), "and has what was stored");
	rig.refuse[FUSE_UNLINK] = 0;
	rig_stop("unlinked");

	setup("0123456789");
	map();
	memcpy(mem, "last", 4);
	memcpy(model, "last", 4);
	rig_close(h);
	rig_stop("unmounted");
	ok(server_has_it(), "what was stored before the unmount was written");
	unmap();
}

/* The request in slot 0; while the server has one of that kind, a guest stores. */
static int call_and_store(uint32_t opcode, uint64_t at, char what)
{
	struct fuse_in_header head;

	rig_post(0);
	while (rig_read_message() > 0) {
		memcpy(&head, rig.in, sizeof head);
		if (head.opcode == opcode)
			mem[at] = what;
		rig_serve();
	}
	rig_slot(0)->state = UM_SLOT_IDLE;
	return rig_slot(0)->rep.error;
}

static bool is_written(uint64_t at, char what)
{
	rig_on(UM_OP_FSYNC, h);
	return !rig_call(0) && rig.node[file].data[at] == what && mem[at] == what;
}

/* What is stored while the server works on something beside it is not taken for the server's. */
static void test_meanwhile(void)
{
	struct um_slot *s;

	setup("0123456789");
	map();
	memcpy(rig_on(UM_OP_WRITE, h)->data, "abc", 3);
	rig_slot(0)->req.size = 3;
	is_int(call_and_store(FUSE_WRITE, 7, 'S'), 0, "a write, and beside it a store");
	ok(is_written(7, 'S'), "which is written, too");
	ok(is_written(1, 'b'), "as is what was written");
	s = rig_on(UM_OP_SETATTR, h);
	s->req.valid = FATTR_SIZE;
	s->req.size = 9;
	is_int(call_and_store(FUSE_SETATTR, 2, 'T'), 0, "a truncation");
	ok(is_written(2, 'T'), "and a store");
	mem[9] = 'x';		/* behind the end */
	s = rig_on(UM_OP_SETATTR, h);
	s->req.valid = FATTR_SIZE;
	s->req.size = 6000;
	is_int(call_and_store(FUSE_SETATTR, 3, 'U'), 0, "it grows");
	ok(is_written(3, 'U'), "and a store");
	ok(is_written(9, 0), "what was stored behind the end is not in it");
	memset(mem, 'm', 6000);
	ok(is_written(5000, 'm'), "stored and written");
	is_int(madvise(mem, 4096, MADV_REMOVE), 0, "a hole is made by the mapping");
	ok(is_written(100, 0) && is_written(5000, 'm'), "at the server, too");
	rig.refuse[FUSE_WRITE] = -ENOSPC;
	memset(mem, 'n', 6000);
	s = rig_on(UM_OP_SETATTR, h);
	s->req.valid = FATTR_SIZE;
	s->req.size = 0;
	is_int(rig_call(0), 0, "what cannot be written can be cut off");
	rig.refuse[FUSE_WRITE] = 0;
	unmap();
	sweep();
	is_int((long)rig.node[file].size, 0, "and is not there afterwards");
	rig_close(h);
	rig_stop("meanwhile");
}

/* 64 files can be mapped: those that are not any more do not count; and all can be synchronised. */
static void test_many(void)
{
	char name[16], *at;
	long first;
	int bad = 0;

	setup("0123456789");
	for (int i = 0; i < 80; i++) {
		snprintf(name, sizeof name, "f%d", i);
		rig_put(rig_new(1, name, S_IFREG | 0644), "0123456789");
	}
	map();
	at = mem;
	first = h;
	for (int i = 0; i < 80; i++) {
		snprintf(name, sizeof name, "f%d", i);
		h = rig_open(name, O_RDWR, 0);
		bad += map() != 0;
		unmap();
		rig_close(h);
		h = first;
	}
	is_int(bad, 0, "80 files mapped one after the other");
	at[0] = 'X';
	rig_begin(0, UM_OP_MSYNC)->req.base = 0;
	is_int(rig_call(0), 0, "msync of all");
	is_int(rig.node[file].data[0], 'X', "writes");
	munmap(at, MOST);
	rig_close(h);
	rig_stop("many");
}

/* The worker writes a page while somebody opens the file with O_TRUNC: the server has that WRITE first. */
static void test_truncated(void)
{
	struct fuse_in_header head = { .opcode = 0 };
	uint8_t held[sizeof rig.in];
	bool overtaken = false;

	setup("0123456789");
	map();
	mem[0] = 'x';
	rig_on(UM_OP_FSYNC, h);
	rig_post(0);
	while (head.opcode != FUSE_WRITE && rig_read_message() > 0) {
		memcpy(&head, rig.in, sizeof head);
		if (head.opcode != FUSE_WRITE)
			rig_serve();
	}
	is_int(head.opcode, FUSE_WRITE, "a page is being written");
	memcpy(held, rig.in, sizeof held);
	rig_path(rig_begin(1, UM_OP_OPEN), "file");
	rig_slot(1)->req.open_flags = O_RDWR | O_TRUNC;
	rig_post(1);
	while (rig_read_message() > 0) {
		memcpy(&head, rig.in, sizeof head);
		overtaken |= head.opcode == FUSE_OPEN;
		rig_serve();
	}
	ok(!overtaken, "OPEN with O_TRUNC waits for that");
	memcpy(rig.in, held, sizeof held);
	rig_serve();
	rig_pump();
	rig_slot(0)->state = rig_slot(1)->state = UM_SLOT_IDLE;
	is_int((long)rig.node[file].size, 0, "the file is empty then");
	rig_close((long)rig_slot(1)->rep.handle);
	unmap();
	rig_close(h);
	rig_stop("truncated");
}

static void test_errors(void)
{
	long r;

	setup("0123456789");
	r = rig_open("file", O_RDONLY, 0);
	rig_on(UM_OP_MAP, r);
	is_int(rig_call(0), -EACCES, "not by what is open for reading");
	rig_close(r);
	is_int(map(), 0, "mapped");
	memcpy(mem, "lost", 4);
	rig.refuse[FUSE_WRITE] = -ENOSPC;
	rig_on(UM_OP_FSYNC, h);
	is_int(rig_call(0), -ENOSPC, "the server has no room: fsync says so");
	rig.refuse[FUSE_WRITE] = 0;
	rig_on(UM_OP_FSYNC, h);
	is_int(rig_call(0), 0, "and when it has");
	memcpy(model, "lost", 4);
	ok(server_has_it(), "nothing was lost");
	unmap();
	sweep();
	rig_close(h);
	rig_stop("errors");

	setup("0123456789");
	rig.refuse[FUSE_READ] = -EIO;
	is_int(map(), -EIO, "what cannot be read cannot be mapped");
	rig.refuse[FUSE_READ] = 0;
	is_int(rig.shm->nmaps, 0, "and leaves nothing");
	rig_close(h);
	rig_stop("unreadable");
}

int main(void)
{
	plan(0);
	test_ends();
	test_errors();
	test_meanwhile();
	test_truncated();
	test_many();
	test_random();
	return done();
}
