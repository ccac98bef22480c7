/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the server of a mounted file system may have before it at the same time (src/kernel/fs/fuse_mutex.c): requests of
 * several guests are held back, as by a server with many threads, and others must wait, or must not.
 */
#include "fuse_rig.h"
#include <linux/fs.h>

static uint64_t dir, other, file;

/* ---- requests that are not answered yet ------------------------------------------------------------------------ */

static uint64_t holding;		/* by opcode */
static struct { bool used; _Alignas(8) uint8_t message[4096]; } held[8];

static struct fuse_in_header *held_header(int i)
{
	return (struct fuse_in_header *)held[i].message;
}

static bool hold(void)
{
	struct fuse_in_header h;

	memcpy(&h, rig.in, sizeof h);
	if (!(holding >> h.opcode & 1))
		return false;
	for (int i = 0; i < 8; i++) {
		if (held[i].used)
			continue;
		held[i].used = true;
		memcpy(held[i].message, rig.in, sizeof held[i].message);
		return true;
	}
	abort();
}

static void pump(void)
{
	while (rig_read_message() > 0)
		if (!hold())
			rig_serve();
}

/* How many requests of that kind are before the server. */
static int before(uint32_t opcode)
{
	int n = 0;

	for (int i = 0; i < 8; i++)
		n += held[i].used && held_header(i)->opcode == opcode;
	return n;
}

/* One of them is answered; those that come then are held, too. */
static void answer(uint32_t opcode)
{
	for (int i = 0; i < 8; i++) {
		if (!held[i].used || held_header(i)->opcode != opcode)
			continue;
		memcpy(rig.in, held[i].message, sizeof held[i].message);
		held[i].used = false;
		rig_serve();
		pump();
		return;
	}
	ok(false, "a request %u to be answered", opcode);
}

static void hold_these(uint64_t opcodes)
{
	holding = opcodes;
}
#define BIT(op)	(1ull << (op))

/* ---- guests --------------------------------------------------------------------------------------------------- */

static void ask(unsigned k, uint32_t op, const char *path)
{
	rig_path(rig_begin(k, op), path);
	rig_slot(k)->req.mode = 0755;
	rig_post(k);
	pump();
}

static void ask_two(unsigned k, uint32_t op, uint64_t base, const char *path, uint64_t base2, const char *path2)
{
	struct um_slot *s = rig_begin(k, op);

	s->req.base = base;
	s->req.base2 = base2;
	rig_path(s, path);
	rig_path2(s, path2);
	rig_post(k);
	pump();
}

static void ask_open(unsigned k, const char *path, uint32_t flags)
{
	rig_path(rig_begin(k, UM_OP_OPEN), path);
	rig_slot(k)->req.open_flags = flags;
	rig_slot(k)->req.mode = 0644;
	rig_post(k);
	pump();
}

static void ask_write(unsigned k, long handle)
{
	struct um_slot *s = rig_on(UM_OP_WRITE, handle);

	*rig_slot(k) = *s;
	rig_slot(k)->req.size = 3;
	rig_post(k);
	pump();
}

#define WAITS	1000
/* The error of the answer, or WAITS. */
static int result(unsigned k)
{
	if (rig_slot(k)->state != UM_SLOT_DONE)
		return WAITS;
	rig_slot(k)->state = UM_SLOT_IDLE;
	return rig_slot(k)->rep.error;
}

static void begin(void)
{
	rig_start();
	rig.entry_valid = rig.attr_valid = 3600;
	holding = 0;
	dir = rig_new(1, "dir", S_IFDIR | 0755);
	other = rig_new(1, "other", S_IFDIR | 0755);
	file = rig_new(1, "file", S_IFREG | 0644);
	rig_put(file, "hello");
	rig_new(dir, "x", S_IFREG | 0644);
	rig_new(other, "y", S_IFREG | 0644);
	pump();
}

static void end(const char *what)
{
	holding = 0;
	rig_stop(what);
}

/* ---- a directory is looked at and changed ---------------------------------------------------------------------- */

static void test_lookups(void)
{
	begin();
	rig_stat("file");
	hold_these(BIT(FUSE_LOOKUP) | BIT(FUSE_RENAME) | BIT(FUSE_MKDIR));
	ask(1, UM_OP_STAT, "dir");
	ask(2, UM_OP_STAT, "other");
	is_int(before(FUSE_LOOKUP), 2, "LOOKUPs in one directory go side by side");
	ask(3, UM_OP_MKDIR, "new");
	ask(4, UM_OP_STAT, "third");
	is_int(before(FUSE_LOOKUP), 2, "that of a change waits for them, and who comes later for it");
	ask(5, UM_OP_STAT, "file");
	is_int(result(5), 0, "what the cache knows waits for nobody");
	answer(FUSE_LOOKUP);
	is_int(before(FUSE_LOOKUP), 1, "while one is left it waits");
	answer(FUSE_LOOKUP);
	is_int(before(FUSE_LOOKUP), 1, "then it looks");
	answer(FUSE_LOOKUP);
	is_int(before(FUSE_MKDIR), 1, "and is made");
	is_int(before(FUSE_LOOKUP), 0, "with nobody beside it");
	answer(FUSE_MKDIR);
	is_int(result(3), 0, "mkdir");
	answer(FUSE_LOOKUP);
	is_int(result(1) | result(2), 0, "those before it");
	is_int(result(4), -ENOENT, "and the one behind it");
	holding = 0;
	end("lookups");
}

/* The fault that damaged images: a LOOKUP of the new name while RENAME is under way. */
static void test_lookup_of_renamed(void)
{
	begin();
	rig.entry_valid = 0;			/* names are asked for every time */
	hold_these(BIT(FUSE_RENAME));
	ask_two(1, UM_OP_RENAME, 1, "file", 1, "moved");
	is_int(before(FUSE_RENAME), 1, "RENAME is with the server");
	unsigned asked = rig.count[FUSE_LOOKUP];
	ask(2, UM_OP_STAT, "moved");
	ask_open(3, "moved", O_RDWR);
	ask_open(4, "fresh", O_RDWR | O_CREAT);
	ask(5, UM_OP_STAT, "dir/x");
	is_int(rig.count[FUSE_LOOKUP], asked, "no LOOKUP in its directory, nor on the way through it");
	is_int(result(2), WAITS, "stat waits");
	answer(FUSE_RENAME);
	is_int(result(1), 0, "rename");
	is_int(result(2), 0, "the new name is found");
	is_int(result(3), 0, "and can be opened");
	is_int(rig_slot(3)->rep.node, file, "as the same file");
	is_int(result(4) | result(5), 0, "the others go on");
	is_int(rig_close(rig_slot(3)->rep.handle), 0, "close");
	is_int(rig_close(rig_slot(4)->rep.handle), 0, "close of the new one");
	end("lookup of what is renamed");
}

static void test_readdir(void)
{
	begin();
	long h = rig_open("dir", O_RDONLY | O_DIRECTORY, 0);

	rig_stat("dir/x");
	hold_these(BIT(FUSE_READDIR) | BIT(FUSE_UNLINK) | BIT(FUSE_RMDIR));
	struct um_slot *s = rig_begin(1, UM_OP_READDIR);
	s->req.base = 0;
	s->req.handle = (uint32_t)h;
	s->req.size = 4096;
	rig_post(1);
	pump();
	ask(2, UM_OP_UNLINK, "dir/x");
	is_int(before(FUSE_READDIR) + before(FUSE_UNLINK), 1, "a name is not removed while the directory is read");
	answer(FUSE_READDIR);
	answer(FUSE_READDIR);
	is_int(result(1), 0, "read");
	answer(FUSE_UNLINK);
	is_int(result(2), 0, "removed");
	ask(2, UM_OP_RMDIR, "dir");
	rig_post(1);
	pump();
	is_int(before(FUSE_RMDIR), 1, "RMDIR is with the server");
	is_int(before(FUSE_READDIR), 0, "READDIR is not");
	answer(FUSE_RMDIR);
	is_int(result(2), 0, "rmdir");
	is_int(result(1), -ENOENT, "the directory has no entries any more");
	holding = 0;
	is_int(rig_close(h), 0, "close");
	end("readdir");
}

/* ---- what is removed ------------------------------------------------------------------------------------------- */

static void test_rmdir(void)
{
	begin();
	uint64_t empty = rig_new(1, "empty", S_IFDIR | 0755);

	hold_these(BIT(FUSE_RMDIR) | BIT(FUSE_MKDIR));
	ask(1, UM_OP_RMDIR, "empty");
	ask(2, UM_OP_STAT, "other/y");
	is_int(result(2), WAITS, "a walk through the parent waits");
	rig_begin(3, UM_OP_MKDIR)->req.base = empty;
	rig_path(rig_slot(3), "in");
	rig_post(3);
	pump();
	is_int(before(FUSE_RMDIR), 1, "RMDIR is with the server");
	is_int(before(FUSE_MKDIR), 0, "nothing is made in its victim");
	answer(FUSE_RMDIR);
	is_int(result(1), 0, "rmdir");
	is_int(result(2), 0, "the walk goes on");
	is_int(result(3), -ENOENT, "what is removed takes no names");

	ask(1, UM_OP_MKDIR, "dir/in");
	is_int(before(FUSE_MKDIR), 1, "MKDIR is with the server");
	ask(2, UM_OP_RMDIR, "dir");
	is_int(before(FUSE_RMDIR), 0, "its directory is not removed meanwhile");
	answer(FUSE_MKDIR);
	is_int(result(1), 0, "mkdir");
	answer(FUSE_RMDIR);
	is_int(result(2), -ENOTEMPTY, "rmdir");
	end("rmdir");
}

static void test_unlink(void)
{
	begin();
	long h = rig_open("file", O_RDWR, 0);
	int carrier = rig_carrier((uint32_t)h);

	hold_these(BIT(FUSE_WRITE) | BIT(FUSE_UNLINK) | BIT(FUSE_SETATTR) | BIT(FUSE_LINK));
	ask_write(1, h);
	is_int(before(FUSE_WRITE), 1, "WRITE is with the server");
	ask(2, UM_OP_UNLINK, "file");
	is_int(before(FUSE_UNLINK), 0, "the file is not removed meanwhile");
	answer(FUSE_WRITE);
	is_int(before(FUSE_UNLINK), 1, "but then");
	struct um_slot *s = rig_begin(3, UM_OP_SETATTR);
	s->req.base = 0;
	s->req.handle = (uint32_t)h;
	s->req.valid = FATTR_SIZE;
	rig_post(3);
	pump();
	is_int(before(FUSE_SETATTR), 0, "nor changed while it is removed");
	answer(FUSE_UNLINK);
	answer(FUSE_SETATTR);
	is_int(result(1) | result(2) | result(3), 0, "all went well");
	rig_stat("dir/x");
	ask_two(1, UM_OP_LINK, dir, "x", 1, "linked");
	rig_path(rig_begin(2, UM_OP_SETATTR), "dir/x");
	rig_slot(2)->req.valid = FATTR_MODE;
	rig_post(2);
	pump();
	is_int(before(FUSE_LINK), 1, "LINK is with the server");
	is_int(before(FUSE_SETATTR), 0, "its file is not changed meanwhile");
	answer(FUSE_LINK);
	answer(FUSE_SETATTR);
	is_int(result(1) | result(2), 0, "link and chmod");
	holding = 0;
	close(carrier);
	is_int(rig_close(h), 0, "close");
	end("unlink");
}

/* ---- two directories --------------------------------------------------------------------------------------------- */

static void test_crossing(void)
{
	begin();
	rig_new(dir, "sub", S_IFDIR | 0755);
	for (unsigned k = 1; k < 6; k++)
		rig_stat(k & 1 ? "dir/x" : "other/y");
	hold_these(BIT(FUSE_RENAME));
	ask_two(1, UM_OP_RENAME, dir, "x", other, "x2");
	ask_two(2, UM_OP_RENAME, other, "y", dir, "y2");
	ask_two(3, UM_OP_RENAME, dir, "sub", 1, "sub2");
	ask_two(4, UM_OP_RENAME, 1, "file", dir, "file2");
	ask(5, UM_OP_RMDIR, "dir");
	is_int(before(FUSE_RENAME), 1, "one move between directories at a time");
	for (int i = 0; i < 4; i++)
		answer(FUSE_RENAME);
	is_int(result(1) | result(2) | result(3) | result(4), 0, "and all come to an end");
	is_int(result(5), -ENOTEMPTY, "a removal in between, too");

	ask_two(1, UM_OP_RENAME, other, "x2", other, "x3");
	ask_two(2, UM_OP_RENAME, dir, "y2", dir, "y3");
	is_int(before(FUSE_RENAME), 2, "within one directory each for itself");
	answer(FUSE_RENAME);
	answer(FUSE_RENAME);
	is_int(result(1) | result(2), 0, "both");
	end("crossing");
}

/* Operations that would lock the same thing twice. */
static void test_itself(void)
{
	begin();
	rig_stat("dir/x");
	ask_two(1, UM_OP_LINK, dir, "", dir, "loop");
	is_int(result(1), -EPERM, "a directory linked into itself");
	ask_two(1, UM_OP_RENAME, 1, "dir", dir, "below");
	is_int(result(1), -EINVAL, "moved into itself");
	ask_two(1, UM_OP_RENAME, dir, "x", 1, "dir");
	is_int(result(1), -ENOTEMPTY, "moved over its own directory");
	ask_two(1, UM_OP_RENAME, 1, "file", 1, "file");
	is_int(result(1), 0, "to its own name");
	ask_two(1, UM_OP_LINK, file, "", 1, "second");
	ask_two(2, UM_OP_RENAME, 1, "file", 1, "second");
	is_int(result(1) | result(2), 0, "to another of its names");
	ask_two(1, UM_OP_RENAME, 1, "other/.", 1, "z");
	is_int(result(1), -EBUSY, "\".\"");
	ask(1, UM_OP_RMDIR, "other/.");
	is_int(result(1), -EINVAL, "removed as \".\"");
	end("itself");
}

/* A server that says of a directory that it lies in itself. */
static void loop(uint32_t opcode, uint8_t *message, uint32_t *len)
{
	struct fuse_entry_out e;

	(void)len;
	if (opcode != FUSE_LOOKUP)
		return;
	rig_entry(dir, &e);
	memcpy(message + sizeof(struct fuse_out_header), &e, sizeof e);
	((struct fuse_out_header *)message)->error = 0;
	*len = ((struct fuse_out_header *)message)->len = (uint32_t)(sizeof(struct fuse_out_header) + sizeof e);
}

static void test_loop(void)
{
	begin();
	rig_stat("dir/x");
	rig.spoil = loop;
	ask(1, UM_OP_RMDIR, "dir/loop");
	is_int(result(1), -ELOOP, "a directory in itself is refused");
	rig.spoil = NULL;
	ask(1, UM_OP_STAT, "dir/x");
	is_int(result(1), 0, "and nothing stays locked");
	end("loop");
}

/* ---- callers that are killed ----------------------------------------------------------------------------------- */

/* Nobody waits for the answer any more: the lock is held until it has come all the same. */
static void test_killed(void)
{
	begin();
	rig_stat("dir/x");
	rig_stat("other/y");
	hold_these(BIT(FUSE_MKDIR) | BIT(FUSE_RENAME));
	ask(1, UM_OP_MKDIR, "new");
	rig_slot(1)->owner = 0x7ffffff0;	/* no such thread */
	ask(2, UM_OP_RMDIR, "new");
	is_int(result(2), WAITS, "rmdir of what a killed process is making waits");
	is_int(rig_slot(1)->state, UM_SLOT_TAKEN, "whose slot is nobody's until then");
	answer(FUSE_MKDIR);
	is_int(rig_slot(1)->state, UM_SLOT_DONE, "the answer is left there");
	is_int(result(2), 0, "and rmdir finds it made");
	ask_two(1, UM_OP_RENAME, dir, "x", other, "x2");
	ask_two(3, UM_OP_RENAME, other, "y", dir, "y2");
	rig_slot(3)->owner = 0x7ffffff0;	/* killed while it waits for a lock */
	answer(FUSE_RENAME);
	answer(FUSE_RENAME);
	is_int(result(1), 0, "one rename");
	ask(2, UM_OP_STAT, "dir/y2");
	is_int(result(2), 0, "what was asked before the end is done");
	end("killed");
}

/* An OPEN that could wait does not while the name is being removed: later the file could not be opened any more. */
static void test_late(void)
{
	long h;

	begin();
	rig.shm->mount_flags |= UM_MNT_ALONE;
	rig_close(rig_open("file", O_RDONLY, 0));
	rig.count[FUSE_OPEN] = 0;
	h = rig_open("file", O_RDONLY, 0);
	is_int(rig.count[FUSE_OPEN], 0, "a file that was open before need not be opened at once");
	hold_these(BIT(FUSE_UNLINK));
	ask(1, UM_OP_UNLINK, "file");
	is_int(rig.count[FUSE_OPEN], 1, "but before its name is removed");
	ask_open(2, "file", O_RDONLY);
	is_int(rig.count[FUSE_OPEN], 2, "and while it is");
	answer(FUSE_UNLINK);
	is_int(result(1), 0, "removed");
	is_int(result(2), 0, "opened");
	holding = 0;
	is_int(rig_close((long)rig_slot(2)->rep.handle), 0, "close");
	is_int(rig_close(h), 0, "close");
	end("late");
}

int main(void)
{
	plan(0);
	test_lookups();
	test_lookup_of_renamed();
	test_readdir();
	test_rmdir();
	test_unlink();
	test_crossing();
	test_itself();
	test_loop();
	test_killed();
	test_late();
	return done();
}
