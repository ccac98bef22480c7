/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual /dev/fuse: INIT in its versions, what read(2) and write(2) refuse, bad replies, interrupts,
 * notifications, the last close, the end of a mount, fork, threads.
 */
#include <pthread.h>
#include <sys/wait.h>
#include "fuse_rig.h"

static void begin(void)
{
	rig_start();
	rig_put(rig_new(1, "file", S_IFREG | 0644), "hello");
	rig_new(1, "dir", S_IFDIR | 0755);
}

/* ---- INIT ------------------------------------------------------------------------------------------------ */

static void test_versions(void)
{
	static const struct { uint32_t minor, size; const char *what; } v[] = {
		{ 45, 64, "7.45" }, { 38, 64, "7.38" }, { 31, 64, "7.31" }, { 19, 40, "7.19 with 40 bytes" },
		{ 12, 24, "7.12 with 24 bytes" }, { 8, 24, "7.8 with 24 bytes" }, { 3, 8, "7.3 with 8 bytes" },
	};

	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		begin();
		rig.minor = v[i].minor;
		rig.init_size = v[i].size;
		is_int(rig_pump(), -EAGAIN, "%s: INIT", v[i].what);
		is_int(rig.shm->proto_minor, v[i].minor > 38 ? 38 : v[i].minor, "%s: version", v[i].what);
		is_int(rig.shm->proto_major, 7, "%s: major", v[i].what);
		is_int(rig.c->can.max_write, v[i].minor < 5 ? 4096 : 131072, "%s: max_write", v[i].what);
		is_int(rig_stat("file")->size, 5, "%s: stat", v[i].what);
		long h = rig_open("new", O_RDWR | O_CREAT, 0600);
		ok(h > 0, "%s: create", v[i].what);
		is_int(rig_write_at(h, 0, "abc"), 3, "%s: write", v[i].what);
		is_int(rig_read_at(h, 0, 9), 3, "%s: read", v[i].what);
		is_int(rig_close(h), 0, "%s: close", v[i].what);
		rig_path(rig_begin(0, UM_OP_MKNOD), "node");
		rig_slot(0)->req.mode = S_IFIFO | 0600;
		is_int(rig_call(0), 0, "%s: mknod", v[i].what);
		is_int(rig_do(UM_OP_STATFS, ""), 0, "%s: statfs", v[i].what);
		rig_stop(v[i].what);
	}
}

static void test_init(void)
{
	struct fuse_in_header *h = (struct fuse_in_header *)rig.in;
	struct fuse_init_in *in = (struct fuse_init_in *)(h + 1);

	begin();
	is_int(rig_read_message(), 104, "the INIT request");
	is_int(h->opcode, FUSE_INIT, "opcode");
	is_int(in->minor, 38, "version offered");
	is_int(in->flags & (FUSE_SPLICE_READ | FUSE_WRITEBACK_CACHE), 0, "not offered");
	rig_path(rig_begin(0, UM_OP_STAT), "file");
	rig_post(0);
	is_int(rig_read_message(), -EAGAIN, "requests wait for the answer");
	rig_serve();
	rig_pump();
	is_int(rig_slot(0)->state, UM_SLOT_DONE, "then they are served");
	is_int(rig_slot(0)->rep.error, 0, "well");
	rig_stop("INIT");

	begin();
	rig.refuse[FUSE_INIT] = -EPROTO;
	rig_pump();
	is_int(rig_do(UM_OP_STAT, "file"), -ECONNREFUSED, "INIT refused: no requests");
	rig_stop("INIT refused");

	begin();
	rig.init_size = 4;
	rig_pump();
	is_int(rig_do(UM_OP_STAT, "file"), -ECONNREFUSED, "a reply too short");
	rig_stop("short INIT");

	begin();
	rig.init_max_write = 10;
	rig.init_max_pages = 1;
	rig_pump();
	is_int(rig.c->can.max_write, 4096, "max_write is a page at least");
	is_int(rig.c->can.max_read, 4096, "max_pages limits reading");
	rig_stop("small INIT");

	begin();
	rig.shm->max_read = 8192;
	rig_pump();
	is_int(rig.c->can.max_read, 8192, "the mount option max_read");
	rig_stop("max_read");
}

/* ---- what is refused --------------------------------------------------------------------------------------- */

static long write_raw(const void *p, size_t n)
{
	struct iovec v = { (void *)p, n };

	return fuse_dev_write(&rig.task, &rig.file, &v, 1);
}

static void test_refusals(void)
{
	struct fuse_out_header oh = { .len = 16, .unique = 999 };
	struct iovec small = { rig.in, 4096 }, bad[2] = { { rig.in, 20 }, { (void *)16, 200000 } };
	struct fuse_in_header *h = (struct fuse_in_header *)rig.in;

	begin();
	rig.shm->state = UM_SERVER_OPEN;
	is_int(rig_read_message(), -EPERM, "read before the mount");
	is_int(write_raw(&oh, 16), -EPERM, "write before the mount");
	rig.shm->state = UM_SERVER_LIVE;
	is_int(fuse_dev_read(&rig.task, &rig.file, &small, 1), -EINVAL, "a small buffer");
	rig_pump();
	is_int(write_raw(&oh, 8), -EINVAL, "no whole header");
	is_int(write_raw(&oh, 16), -ENOENT, "an unknown request");
	oh.len = 17;
	is_int(write_raw(&oh, 16), -EINVAL, "a wrong length");
	oh.len = 16;
	oh.error = 5;
	is_int(write_raw(&oh, 16), -EINVAL, "a positive error");
	oh.error = -512;
	is_int(write_raw(&oh, 16), -EINVAL, "an error of the kernel's own");
	is_int(write_raw((void *)8, 16), -EFAULT, "a bad address");

	rig_path(rig_begin(0, UM_OP_STAT), "file");
	rig_post(0);
	is_int(fuse_dev_read(&rig.task, &rig.file, bad, 2), -EFAULT, "read to a bad address");
	is_int(rig_slot(0)->state, UM_SLOT_DONE, "the request is not lost");
	is_int(rig_slot(0)->rep.error, -EIO, "but failed");

	rig_path(rig_begin(0, UM_OP_STAT), "file");
	rig_post(0);
	ok(rig_read_message() > 0, "a LOOKUP");
	oh = (struct fuse_out_header){ .len = 16, .unique = h->unique };
	is_int(write_raw(&oh, 16), -EINVAL, "a reply without its payload");
	is_int(rig_slot(0)->rep.error, -EIO, "is EIO");
	is_int(write_raw(&oh, 16), -ENOENT, "a second reply");

	rig_path(rig_begin(0, UM_OP_STAT), "file");
	rig_post(0);
	rig_read_message();
	memset(rig.out, 0, 256);
	oh = (struct fuse_out_header){ .len = 16 + 128, .unique = h->unique, .error = -ENOENT };
	memcpy(rig.out, &oh, 16);
	is_int(write_raw(rig.out, 144), -EINVAL, "an error with a payload");
	is_int(rig_slot(0)->rep.error, -EIO, "is EIO");
	rig_stop("refusals");
}

/* ---- replies that make no sense ---------------------------------------------------------------------------- */

static uint32_t spoil_op;
static int spoil_how;

static void spoil(uint32_t opcode, uint8_t *m, uint32_t *len)
{
	struct fuse_out_header *oh = (struct fuse_out_header *)m;
	struct fuse_entry_out *e = (struct fuse_entry_out *)(m + sizeof *oh);
	struct fuse_attr_out *a = (struct fuse_attr_out *)(m + sizeof *oh);
	struct fuse_dirent *d = (struct fuse_dirent *)(m + sizeof *oh);

	if (opcode != spoil_op || oh->error)
		return;
	switch (spoil_how) {
	case 0: oh->len = *len += 8; break;			/* too long */
	case 1: oh->len = *len -= 8; break;			/* too short */
	case 2: e->attr.mode = 0; break;
	case 3: e->attr.mode ^= S_IFDIR ^ S_IFREG; break;
	case 4: e->attr.size = 1ull << 63; break;
	case 5: e->nodeid = 1; break;
	case 6: a->attr.mode ^= S_IFDIR ^ S_IFREG; break;
	case 7: a->attr.size = 1ull << 63; break;
	case 8: d->namelen = 0; break;
	case 9: d->name[0] = '/'; break;
	case 10: d->namelen = 5000; break;
	case 11: *(uint32_t *)(m + sizeof *oh) = 100000; break;	/* WRITE: more than was sent */
	case 12: *(uint32_t *)(m + sizeof *oh) = 0; break;	/* WRITE: nothing */
	case 13: d->name[0] = 0; break;
	case 14: m[*len - 1] = 'x'; break;			/* LISTXATTR: no end */
	}
}

static void test_bad_replies(void)
{
	static const int entry[] = { 0, 1, 2, 4, 5 }, attr[] = { 0, 1, 6, 7 }, dirent[] = { 8, 9, 10, 13 };
	long h;

	begin();
	rig_pump();
	rig.spoil = spoil;
	rig.entry_valid = rig.attr_valid = 0;
	spoil_op = FUSE_LOOKUP;
	for (size_t i = 0; i < sizeof entry / sizeof *entry; i++) {
		spoil_how = entry[i];
		is_int(rig_do(UM_OP_STAT, "file"), -EIO, "LOOKUP spoilt (%d)", entry[i]);
	}
	spoil_op = FUSE_GETATTR;
	for (size_t i = 0; i < sizeof attr / sizeof *attr; i++) {
		spoil_how = attr[i];
		is_int(rig_do(UM_OP_STAT, ""), -EIO, "GETATTR spoilt (%d)", attr[i]);
	}
	spoil_op = FUSE_MKDIR;
	spoil_how = 3;
	is_int(rig_do(UM_OP_MKDIR, "d3"), -EIO, "MKDIR of a file");
	spoil_op = FUSE_CREATE;
	is_int(rig_open("f3", O_RDWR | O_CREAT, 0600), -EIO, "CREATE of a directory");
	for (int i = 1; i < RIG_FILES; i++)
		rig.open[i].used = false;		/* a server's own fault */
	rig.spoil = NULL;
	h = rig_open("dir", O_RDONLY, 0);
	rig_new(rig_find(1, "dir"), "x", S_IFREG);
	rig.spoil = spoil;
	spoil_op = FUSE_READDIR;
	for (size_t i = 0; i < sizeof dirent / sizeof *dirent; i++) {
		spoil_how = dirent[i];
		rig_on(UM_OP_READDIR, h)->req.size = 4096;
		is_int(rig_call(0), -EIO, "READDIR spoilt (%d)", dirent[i]);
	}
	is_int(rig_close(h), 0, "close");
	h = rig_open("file", O_RDWR, 0);
	spoil_op = FUSE_WRITE;
	spoil_how = 11;
	is_int(rig_write_at(h, 0, "abc"), -EIO, "more written than sent");
	spoil_how = 12;
	is_int(rig_write_at(h, 0, "abc"), -EIO, "nothing written");
	spoil_op = FUSE_READ;
	spoil_how = 0;
	is_int(rig_read_at(h, 0, 3), -EIO, "more read than asked for");
	spoil_op = FUSE_LISTXATTR;
	spoil_how = 14;
	rig_path(rig_begin(0, UM_OP_LISTXATTR), "file");
	rig_slot(0)->req.size = 100;
	is_int(rig_call(0), -EIO, "names without an end");
	rig.spoil = NULL;
	is_int(rig_close(h), 0, "close");
	rig_stop("bad replies");
}

/* ---- interrupts -------------------------------------------------------------------------------------------- */

static void test_interrupt(void)
{
	struct um_slot *s;
	long h;

	begin();
	rig_pump();
	h = rig_open("file", O_RDONLY, 0);
	rig.mute = FUSE_READ;
	s = rig_on(UM_OP_READ, h);
	s->req.size = 5;
	is_int(rig_call(0), 1000, "no answer");
	s->interrupt = 1;
	rig_pump();
	is_int(rig.interrupted, rig.muted, "INTERRUPT for that request");
	is_int(rig.count[FUSE_INTERRUPT], 1, "once");
	rig_pump();
	is_int(rig.count[FUSE_INTERRUPT], 1, "only");
	is_int(rig_reply(rig.muted | 1, -EAGAIN, NULL, 0), 16, "the server: too early");
	rig_pump();
	is_int(rig.count[FUSE_INTERRUPT], 2, "told again");
	is_int(rig_reply(rig.muted, -EINTR, NULL, 0), 16, "the answer");
	is_int(s->state, UM_SLOT_DONE, "reaches the guest");
	is_int(s->rep.error, -EINTR, "EINTR");

	s = rig_on(UM_OP_READ, h);
	s->req.size = 5;
	is_int(rig_call(0), 1000, "another one");
	is_int(rig_reply(rig.muted | 1, -ENOSYS, NULL, 0), 16, "the server knows no INTERRUPT");
	s->interrupt = 1;
	rig_pump();
	is_int(rig.count[FUSE_INTERRUPT], 2, "and gets none");
	is_int(rig_reply(rig.muted, 0, "he", 2), 18, "the answer");
	is_int(s->rep.size, 2, "as usual");
	rig.mute = 0;
	is_int(rig_close(h), 0, "close");
	rig_stop("interrupts");
}

/* ---- notifications ----------------------------------------------------------------------------------------- */

static void test_notify(void)
{
	struct fuse_notify_inval_inode_out ino = { .ino = 2 };
	struct { struct fuse_notify_inval_entry_out o; char name[8]; } e = { { .parent = 1, .namelen = 4 }, "file" };
	struct { struct fuse_notify_delete_out o; char name[8]; } d = { { .parent = 1, .child = 2, .namelen = 4 }, "file" };
	struct fuse_notify_store_out store = { .nodeid = 2, .size = 0 };
	unsigned asked;

	begin();
	rig_pump();
	rig_stat("file");
	asked = rig.count[FUSE_GETATTR];
	is_int(rig_reply(0, FUSE_NOTIFY_INVAL_INODE, &ino, sizeof ino), 40, "INVAL_INODE");
	rig_stat("file");
	is_int(rig.count[FUSE_GETATTR], asked + 1, "the attributes are asked for");
	asked = rig.count[FUSE_LOOKUP];
	is_int(rig_reply(0, FUSE_NOTIFY_INVAL_ENTRY, &e, sizeof e.o + 5), 37, "INVAL_ENTRY");
	rig_stat("file");
	is_int(rig.count[FUSE_LOOKUP], asked + 1, "the name is looked up");
	is_int(rig_reply(0, FUSE_NOTIFY_DELETE, &d, sizeof d.o + 5), 45, "DELETE");
	rig_stat("file");
	is_int(rig.count[FUSE_LOOKUP], asked + 2, "the name is looked up");
	is_int(rig_reply(0, FUSE_NOTIFY_STORE, &store, sizeof store), 40, "STORE");
	is_int(rig_reply(0, FUSE_NOTIFY_INVAL_INODE, &ino, 8), -EINVAL, "a short one");
	e.o.namelen = 5;
	is_int(rig_reply(0, FUSE_NOTIFY_INVAL_ENTRY, &e, sizeof e.o + 5), -EINVAL, "a wrong length");
	e.o.namelen = 100000;
	is_int(rig_reply(0, FUSE_NOTIFY_INVAL_ENTRY, &e, sizeof e.o + 5), -ENAMETOOLONG, "an endless name");
	ino.ino = 77;
	is_int(rig_reply(0, FUSE_NOTIFY_INVAL_INODE, &ino, sizeof ino), -ENOENT, "an unknown node");
	is_int(rig_reply(0, 99, &ino, sizeof ino), -EINVAL, "an unknown code");
	is_int(rig_reply(0, FUSE_NOTIFY_POLL, &ino, 8), 24, "POLL");
	rig_stop("notifications");
}

/* What is retrieved from there on must be that. */
static void retrieved(uint64_t offset, uint32_t size, const char *want, const char *what)
{
	static const uint8_t zeros[4096];
	struct fuse_notify_retrieve_out o = { .notify_unique = 4711, .nodeid = 2, .offset = offset, .size = size };
	const struct { struct fuse_in_header h; struct fuse_notify_retrieve_in in; char data[16]; } *m = (const void *)rig.in;
	size_t n = strlen(want);

	memcpy(rig.in, zeros, sizeof *m);
	is_int(rig_reply(0, FUSE_NOTIFY_RETRIEVE, &o, sizeof o), 16 + sizeof o, "%s: taken", what);
	is_int(rig_read_message(), (long)(sizeof m->h + sizeof m->in + n), "%s: a message", what);
	ok(m->h.opcode == FUSE_NOTIFY_REPLY && m->h.unique == 4711 && m->h.nodeid == 2, "%s: the answer to that", what);
	ok(m->in.offset == offset && m->in.size == n && !memcmp(m->data, want, n), "%s: with what is known", what);
	is_int(rig_reply(4711, 0, NULL, 0), -ENOENT, "%s: which has none", what);
}

static void test_retrieve(void)
{
	struct fuse_notify_retrieve_out o = { .nodeid = 77 };
	long h;

	begin();
	rig.shm->mount_flags |= UM_MNT_ALONE;
	rig_pump();
	rig_stat("file");
	retrieved(0, 100, "", "nothing has been read");
	h = rig_open("file", O_RDWR, 0);
	is_int(rig_read_at(h, 0, 100), 5, "it is read");
	retrieved(0, 100, "hello", "all of it");
	retrieved(1, 3, "ell", "a part");
	retrieved(4, UINT32_MAX, "o", "the end");
	retrieved(5, 100, "", "behind the end");
	retrieved(UINT64_MAX, 100, "", "far behind");
	is_int(rig_write_at(h, 0, "H"), 1, "it is written");
	retrieved(0, 100, "", "what is not known any more");
	is_int(rig_reply(0, FUSE_NOTIFY_RETRIEVE, &o, sizeof o), -ENOENT, "an unknown node");
	is_int(rig_reply(0, FUSE_NOTIFY_RETRIEVE, &o, 8), -EINVAL, "a short one");
	o.nodeid = 2;
	is_int(rig_reply(0, FUSE_NOTIFY_RETRIEVE, &o, sizeof o), 16 + sizeof o, "one that nobody reads");
	rig_stop("retrieve");
}

/* ---- the last close ---------------------------------------------------------------------------------------- */

static void sweep(void)
{
	rig.c->swept = 0;
	rig_pump();
}

/* One that is seen to be closed waits until another one is released, and then we are told of it. */
static void test_release_once(void)
{
	long h, h2;
	int fd, fd2;

	begin();
	rig_pump();
	h = rig_open("file", O_RDWR, 0);
	h2 = rig_open("dir", O_RDONLY, 0);
	fd = rig_carrier((uint32_t)h);
	fd2 = rig_carrier((uint32_t)h2);
	sweep();
	close(fd);
	close(fd2);
	rig.mute = FUSE_RELEASEDIR;
	sweep();
	is_int(rig.count[FUSE_RELEASEDIR], 1, "two are seen to be closed, one is being released");
	is_int(rig_close(h), 0, "we are told of the one that waits for that");
	rig_reply(rig.muted, 0, NULL, 0);
	for (int i = 0; i < RIG_FILES; i++)
		rig.open[i].used &= !rig.open[i].dir;
	rig.mute = 0;
	rig_pump();
	is_int(rig.count[FUSE_RELEASE], 1, "it is released once");
	is_int(rig.shm->nhandles, 0, "both are");
	rig_stop("release once");
}

static void test_last_close(void)
{
	long h, h2;
	int fd;
	pid_t child;

	begin();
	rig_pump();
	h = rig_open("file", O_RDONLY, 0);
	sweep();
	is_int(rig.shm->nhandles, 1, "young: a missing lock means nothing");
	fd = rig_carrier((uint32_t)h);
	is_int(rig_close(h), 0, "one of two descriptors is closed");
	is_int(rig.count[FUSE_FLUSH], 1, "FLUSH");
	is_int(rig.count[FUSE_RELEASE], 0, "no RELEASE: the lock is there");
	sweep();
	is_int(rig.shm->nhandles, 1, "still open");
	close(fd);
	sweep();
	is_int(rig.shm->nhandles, 0, "the owner died: found by the sweep");
	is_int(rig.count[FUSE_FLUSH], 2, "FLUSH");
	is_int(rig.count[FUSE_RELEASE], 1, "RELEASE");

	h = rig_open("file", O_RDWR, 0);
	fd = rig_carrier((uint32_t)h);
	sweep();
	close(fd);
	rig.mute = FUSE_FLUSH;
	sweep();
	rig_on(UM_OP_CLOSED, h);
	rig_post(0);
	rig_pump();
	is_int(rig_slot(0)->state, UM_SLOT_TAKEN, "closed, which the sweep has seen before we are told: waits for its FLUSH");
	rig_reply(rig.muted, -ENOSPC, NULL, 0);
	rig.mute = 0;
	rig_pump();
	is_int(rig_slot(0)->rep.error, -ENOSPC, "and has its error");
	is_int(rig.count[FUSE_FLUSH], 3, "one FLUSH");
	is_int(rig.count[FUSE_RELEASE], 2, "RELEASE");
	is_int(rig.shm->nhandles, 0, "released");
	rig_slot(0)->state = UM_SLOT_IDLE;

	child = fork();
	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	rig_path(rig_begin(0, UM_OP_OPEN), "file");
	rig_slot(0)->req.pid = (uint32_t)child;
	is_int(rig_call(0), 0, "open by a process that dies before it has its descriptor");
	sweep();
	is_int(rig.shm->nhandles, 0, "released");
	rig_path(rig_begin(0, UM_OP_OPEN), "file");
	rig_slot(0)->req.pid = (uint32_t)child;
	is_int(rig_call(0), 0, "and again");
	uint64_t id = rig_new(1, "other", S_IFREG | 0644);
	struct um_slot *s = rig_begin(0, UM_OP_RENAME);
	rig_path(s, "other");
	rig_path2(s, "file");
	s->req.base2 = UM_ROOT_NODE;
	is_int(rig_call(0), 0, "another file takes its name");
	is_int(rig.shm->nhandles, 0, "released before that");
	rig_put(id, "hello");

	h = rig_open("file", O_RDONLY, 0);
	h2 = rig_open("dir", O_RDONLY, 0);
	fd = rig_carrier((uint32_t)h);
	rig.mute = FUSE_READ;
	rig_on(UM_OP_READ, h)->req.size = 5;
	is_int(rig_call(0), 1000, "a read is under way");
	close(fd);
	rig_begin(1, UM_OP_CLOSED)->req.base = 0;
	rig_slot(1)->req.handle = (uint32_t)h;
	is_int(rig_call(1), 0, "while another thread closes");
	is_int(rig.shm->nhandles, 2, "it stays open for the reader");
	is_int(rig_reply(rig.muted, 0, "hello", 5), 21, "who is answered");
	rig_pump();
	is_int(rig.shm->nhandles, 1, "and then it is released");
	rig.mute = 0;
	is_int(rig_close(h2), 0, "close of a directory");
	is_int(rig.count[FUSE_RELEASEDIR], 1, "RELEASEDIR");
	rig_stop("last close");
}

/* ---- the end ----------------------------------------------------------------------------------------------- */

static void test_end(void)
{
	long h;

	begin();
	rig_pump();
	h = rig_open("file", O_RDONLY, 0);
	rig.mute = FUSE_READ;
	rig_on(UM_OP_READ, h)->req.size = 5;
	is_int(rig_call(0), 1000, "a read is under way");
	rig.shm->state = UM_SERVER_ENDING;
	is_int(rig_read_message(), -EAGAIN, "unmounted: the answer is waited for");
	rig_path(rig_begin(1, UM_OP_STAT), "file");
	is_int(rig_call(1), -ENOTCONN, "new requests are refused");
	is_int(rig_reply(rig.muted, 0, "hello", 5), 21, "the answer");
	is_int(rig_slot(0)->rep.size, 5, "arrives");
	is_int(rig_pump(), -ENODEV, "then ENODEV");
	is_int(rig.count[FUSE_RELEASE], 1, "after RELEASE");
	is_int(rig.count[FUSE_DESTROY], 1, "and DESTROY");
	rig_path(rig_begin(1, UM_OP_STAT), "file");
	rig_post(1);
	is_int(rig_read_message(), -ENODEV, "ENODEV again");
	is_int(rig_slot(1)->rep.error, -ENOTCONN, "and refusals");
	rig_stop("end");

	begin();
	rig.shm->state = UM_SERVER_ENDING;
	is_int(rig_pump(), -ENODEV, "unmounted before INIT");
	is_int(rig.count[FUSE_DESTROY], 0, "no DESTROY");
	rig_stop("end before INIT");

	begin();
	rig_pump();
	rig.shm->state = UM_SERVER_DEAD;
	is_int(rig_pump(), -ENODEV, "declared dead");
	rig_stop("dead");
}

/* ---- one server, two processes; one connection, several threads -------------------------------------------- */

static void test_fork(void)
{
	int status = 0;
	pid_t child;

	begin();
	rig_pump();
	rig_stat("file");
	child = fork();
	if (!child) {		/* the daemon: goes on where its parent was */
		process.pid = getpid();
		const struct um_attr *a = rig_stat("dir");
		_exit(a && a->mode == (S_IFDIR | 0755) && !rig.wrong ? 0 : 1);
	}
	waitpid(child, &status, 0);
	is_int(status, 0, "the child serves");
	is_int(rig.shm->pid, child, "and says so");
	ok(fuse_conn_join(1) == rig.c, "joined again: the same connection");
	rig.c->refs--;
	rig_stop("fork");
}

static void *server_thread(void *arg)
{
	struct file *f = arg;
	struct task t = { .epoch = UINT32_MAX };
	uint8_t *buf = malloc(RIG_MESSAGE);
	struct iovec v = { buf, RIG_MESSAGE };

	while (fuse_dev_read(&t, f, &v, 1) > 0) {
		struct fuse_in_header *h = (struct fuse_in_header *)buf;
		struct { struct fuse_out_header oh; struct fuse_attr_out a; } m = {
			.oh = { .len = sizeof m, .unique = h->unique },
			.a = { .attr = { .mode = S_IFDIR | 0755, .ino = h->pid } },
		};
		struct fuse_init_out i = { .major = 7, .minor = 31, .max_write = 4096 };

		if (h->opcode == FUSE_INIT)
			memcpy(&m.a, &i, sizeof i), m.oh.len = 16 + sizeof i;
		if (h->opcode == FUSE_DESTROY)
			m.oh.len = 16;
		struct iovec w = { &m, m.oh.len };
		fuse_dev_write(&t, f, &w, 1);
	}
	free(buf);
	return NULL;
}

static int failures;

static void *client_thread(void *arg)
{
	unsigned k = (unsigned)(uintptr_t)arg;
	struct um_slot *s = rig_slot(k);

	for (unsigned i = 0; i < 300; i++) {
		rig_begin(k, UM_OP_STAT)->req.pid = k * 1000 + i;
		rig_post(k);
		__atomic_fetch_add(&rig.shm->doorbell, 1, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&rig.shm->sleepers, __ATOMIC_SEQ_CST))
			futex_wake(&rig.shm->doorbell, 1);
		for (;;) {
			uint32_t state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
			if (state == UM_SLOT_DONE)
				break;
			futex_sleep(NULL, &s->state, state, 10000);
		}
		if (s->rep.error || s->rep.attr.ino != k * 1000 + i)
			__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t server[3], client[4];

	begin();
	rig.file.open_flags = O_RDWR;
	for (size_t i = 0; i < 3; i++)
		pthread_create(&server[i], NULL, server_thread, &rig.file);
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&client[i], NULL, client_thread, (void *)i);
	for (size_t i = 0; i < 4; i++)
		pthread_join(client[i], NULL);
	is_int(failures, 0, "four clients, three servers, no answer lost or mixed up");
	__atomic_store_n(&rig.shm->state, UM_SERVER_ENDING, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&rig.shm->doorbell, 1, __ATOMIC_SEQ_CST);
	futex_wake(&rig.shm->doorbell, 99);
	for (size_t i = 0; i < 3; i++)
		pthread_join(server[i], NULL);
	is_int(rig.shm->sleepers, 0, "all woke up at the end");
	rig.file.open_flags = O_RDWR | O_NONBLOCK;
	rig_stop("threads");
}

int main(void)
{
	plan(0);
	test_versions();
	test_init();
	test_refusals();
	test_bad_replies();
	test_interrupt();
	test_notify();
	test_retrieve();
	test_last_close();
	test_release_once();
	test_end();
	test_fork();
	test_threads();
	return done();
}
