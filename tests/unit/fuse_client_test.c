/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that clients open without asking (remote_client.c opens them, fuse_client.c learns of them): against a model of what each descriptor must
 * read, while names are removed, replaced and made again, nodes are given up, and clients are killed; and what the server sees of it.
 */
#define RIG_NODES 20000
#include <linux/fs.h>
#include <sys/wait.h>
#include "fuse_rig.h"
#include "../../src/kernel/fd.h"
#include "../../src/kernel/fs/remote.h"
#include "../../src/wire/pages.h"

/* ---- a client's open file -------------------------------------------------------------------------------- */

struct open { struct file *f; int carrier; uint64_t node, offset; };

static unsigned by_client, by_server, listed;

/* open(2) for reading without asking, where that can be.  1, 0: ask, or -errno. */
static long open_unasked(const char *path, int flags, struct open *o)
{
	struct where w = { .t = &rig.task, .rest = 1, .node = UM_ROOT_NODE, .walk = UM_WALK_FOLLOW, .mount = { .server = 1, .id = 5 } };
	long r;

	snprintf(w.path, sizeof w.path, "/%s", path);
	r = client_open(&w, flags, &o->f);
	if (r <= 0)
		return r;
	o->carrier = rig_carrier(o->f->handle);
	client_opened(o->f);
	by_client++;
	return 1;
}

static long open_file(const char *path, int flags, struct open *o)
{
	long r = open_unasked(path, flags, o);

	o->offset = 0;
	if (r)
		return r;
	r = rig_open(path, (uint32_t)flags, 0);
	if (r < 0)
		return r;
	o->f = file_new(FILE_REMOTE);
	o->f->server = 1;
	o->f->handle = (uint32_t)r;
	o->f->node = rig_slot(0)->rep.node;
	o->f->mode = rig_slot(0)->rep.attr.mode & S_IFMT;
	o->carrier = rig_carrier(o->f->handle);
	by_server++;
	return 1;
}

static void close_file(struct open *o)
{
	close(o->carrier);
	if (!carrier_is_open(1, o->f->handle) && !client_closed(o->f))
		rig_close(o->f->handle);
	file_put(o->f);
	o->f = NULL;
}

/* read(2): what is known, then what is asked for. */
static long read_file(struct open *o, char *to, size_t size)
{
	struct guest_iov g;
	struct um_slot *s;
	bool done;
	long n, more;

	iov_single(&g, (gaddr)to, size);
	n = pages_read(&rig.task, o->f, &g, UM_OFFSET_FILE, &done);
	if (done || n < 0)
		return n;
	s = rig_on(UM_OP_READ, o->f->handle);
	s->req.offset = UM_OFFSET_FILE;
	s->req.size = size - (size_t)n;
	more = rig_data(to + n);
	return more < 0 ? (n ? n : more) : n + more;
}

/* getdents64(2) */
static long list(struct open *o, char *to, size_t size)
{
	struct guest_iov g;
	struct um_slot *s;
	long r;

	iov_single(&g, (gaddr)to, size);
	if (pages_listing(&rig.task, o->f, &g, &r)) {
		listed += r > 0;
		return r;
	}
	s = rig_on(UM_OP_READDIR, o->f->handle);
	s->req.size = size;
	return rig_data(to);
}

static struct um_open *entry(const struct open *o)
{
	return um_open_of(rig.c->opens, o->f->handle);
}

static void begin(void)
{
	rig_state = 1;
	by_client = by_server = listed = 0;
	rig_start();
	rig.shm->mount_flags |= UM_MNT_ALONE;
	rig.entry_valid = rig.attr_valid = 0;
	rig_pump();
}

/* A file that has been read once. */
static uint64_t known_file(const char *name, const char *text)
{
	uint64_t id = rig_new(1, name, S_IFREG | 0644);
	char buf[100];
	struct open o;

	rig_put(id, text);
	if (open_file(name, O_RDONLY, &o) != 1)
		abort();
	read_file(&o, buf, sizeof buf);
	close_file(&o);
	rig_stat(name);
	return id;
}

/* ---- one by one ------------------------------------------------------------------------------------------ */

static void test_unasked(void)
{
	struct open o, p, q;
	unsigned opened;
	char buf[100];
	long r;

	begin();
	is_int(open_unasked("f", O_RDONLY, &o), 0, "what nobody has opened is asked for");
	known_file("f", "contents");
	opened = rig.count[FUSE_OPEN];
	is_int(open_unasked("f", O_RDONLY, &o), 1, "what was opened before is not");
	is_int(open_unasked("f", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, &p), 1, "twice");
	ok(o.f->handle != p.f->handle, "two handles");
	is_int(open_unasked("f", O_RDWR, &q), 0, "for writing it is");
	is_int(open_unasked("f", O_RDONLY | O_TRUNC, &q), 0, "and to be truncated");
	is_int(open_unasked("f", O_PATH, &q), 0, "and O_PATH");
	is_int(open_unasked("f", O_DIRECTORY, &q), 0, "and as a directory");
	is_int(open_unasked("", O_RDONLY | O_DIRECTORY, &q), 0, "and the root of the mount");
	rig_stat("none");
	is_int(open_unasked("none", O_RDONLY, &q), -ENOENT, "that there is nothing is known, too");
	is_int(read_file(&o, buf, 3), 3, "it is read");
	is_int(read_file(&o, buf, 100), 5, "to the end");
	ok(!memcmp(buf, "tents", 5), "what is there");
	is_int(read_file(&p, buf, 100), 8, "the other one from its start");
	ok(pages_seek(&rig.task, o.f, 1, SEEK_SET, &r) && r == 1, "and sought in");
	is_int(rig.shm->nhandles, 0, "nobody but the clients knows");
	close_file(&o);
	is_int(entry(&p)->state & 3, UM_CLIENT_OPEN, "one is closed, the other not");
	close_file(&p);
	is_int(rig.count[FUSE_OPEN], opened, "the server has not heard of it");

	rig.shm->shadow = 1;
	is_int(open_unasked("f", O_RDONLY, &o), 0, "who watches is to be told");
	rig.shm->shadow = 0;
	is_int(open_unasked("f", O_RDONLY, &o), 1, "nobody watches");
	rig.node[rig_find(1, "f")].mode = S_IFREG | 0600;
	is_int(rig_write_at(rig_open("f", O_WRONLY, 0), 8, " and more"), 9, "it is written to");
	is_int(read_file(&o, buf, 100), 17, "which is read");
	is_int(entry(&o)->state & 3, UM_CLIENT_KNOWN, "since that was asked for, it is known");
	close_file(&o);
	fuse_handles_sweep(rig.c, false);
	rig_pump();
	is_int(rig_open_count(), 1, "and closed");
	rig_stop("unasked");
}

/* The server is told of it before the name goes. */
static void test_removed(void)
{
	struct open o, p;
	unsigned opened;
	char buf[100];

	begin();
	known_file("f", "contents");
	known_file("g", "others");
	open_unasked("f", O_RDONLY, &o);
	open_unasked("g", O_RDONLY, &p);
	opened = rig.count[FUSE_OPEN];
	is_int(rig_do(UM_OP_UNLINK, "f"), 0, "an open file is removed");
	is_int(rig.count[FUSE_OPEN], opened + 1, "the server has opened it before");
	is_int(read_file(&o, buf, 100), 8, "so it can be read");
	known_file("h", "new");
	opened = rig.count[FUSE_OPEN];
	is_int(rig_two(UM_OP_RENAME, "h", "g"), 0, "one is replaced");
	is_int(rig.count[FUSE_OPEN], opened + 1, "the server has opened that, too");
	is_int(read_file(&p, buf, 100), 6, "it is what it was");
	close_file(&o);
	close_file(&p);
	rig_pump();
	is_int(rig_open_count(), 0, "both are closed");

	known_file("f", "contents");
	open_unasked("f", O_RDONLY, &o);
	close(o.carrier);
	opened = rig.count[FUSE_OPEN];
	is_int(rig_do(UM_OP_UNLINK, "f"), 0, "one is removed whose client was killed");
	is_int(rig.count[FUSE_OPEN], opened, "the server need not open that");
	is_int(entry(&o)->owner, 0, "and its entry is free");
	file_put(o.f);
	rig_stop("removed");
}

/* What names are kept for is given up, but not what somebody has open. */
static void test_given_up(void)
{
	struct open o;
	char buf[100], name[16];

	begin();
	known_file("f", "contents");
	open_unasked("f", O_RDONLY, &o);
	rig.c->names_max = 8;
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "n%d", i);
		rig_new(1, name, S_IFREG | 0644);
		rig_stat(name);
	}
	is_int(read_file(&o, buf, 100), 8, "it can be read");
	rig_on(UM_OP_STAT, o.f->handle);
	is_int(rig_call(0), 0, "and looked at");
	rig_on(UM_OP_PATHOF, o.f->handle);
	is_int(rig_call(0), 0, "and has its path");
	ok(!strcmp((char *)rig_slot(0)->data, "/f"), "which is still known");
	close_file(&o);
	rig_stop("given up");
}

/* Sixteen at a time of one file; the places of those that were killed are used again. */
static void test_places(void)
{
	struct open o[UM_CLIENT_WAYS + 1];
	uint32_t handle;

	begin();
	known_file("f", "contents");
	for (unsigned i = 0; i < UM_CLIENT_WAYS; i++)
		if (open_unasked("f", O_RDONLY, &o[i]) != 1)
			o[i].f = NULL;
	ok(o[UM_CLIENT_WAYS - 1].f, "all places are taken");
	is_int(open_unasked("f", O_RDONLY, &o[UM_CLIENT_WAYS]), 0, "one more is asked for");
	close(o[3].carrier);
	handle = o[3].f->handle;
	is_int(open_unasked("f", O_RDONLY, &o[UM_CLIENT_WAYS]), 1, "the place of one that was killed is taken");
	is_int(o[UM_CLIENT_WAYS].f->handle % UM_OPENS, handle % UM_OPENS, "that one");
	ok(o[UM_CLIENT_WAYS].f->handle != handle, "by another number");
	is_int(rig_close(handle), 0, "the old one is told of again: no harm");
	ok(!client_closed(o[3].f), "nor when it is closed again");
	is_int(entry(&o[UM_CLIENT_WAYS])->state & 3, UM_CLIENT_OPEN, "the new one is open");
	file_put(o[3].f);
	o[3] = o[UM_CLIENT_WAYS];

	pid_t pid = fork();
	if (!pid) {
		rig.task.tid = getpid();
		close_file(&o[5]);
		client_open(&(struct where){ .t = &rig.task, .path = { "/f" }, .rest = 1, .node = 1, .walk = UM_WALK_FOLLOW,
					     .mount = { .server = 1, .id = 5 } }, O_RDONLY, &o[5].f);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	close_file(&o[5]);
	is_int(open_unasked("f", O_RDONLY, &o[5]), 1, "nor does one remain that was killed before it had a carrier");
	for (unsigned i = 0; i < UM_CLIENT_WAYS; i++)
		close_file(&o[i]);
	rig_stop("places");
}

static void test_hostile(void)
{
	struct open o;
	struct um_open *e;

	begin();
	known_file("f", "contents");
	open_unasked("f", O_RDONLY, &o);
	e = entry(&o);
	e->node = 4711;
	rig_on(UM_OP_STAT, o.f->handle);
	is_int(rig_call(0), -EBADF, "a node that there is not");
	e->node = o.f->node;
	e->handle ^= UM_OPENS;
	rig_on(UM_OP_STAT, o.f->handle);
	is_int(rig_call(0), -EBADF, "another number");
	e->handle ^= UM_OPENS;
	rig_on(UM_OP_STAT, UM_HANDLE_DEVICE);
	is_int(rig_call(0), -EBADF, "the device's number");
	e->offset = UINT64_MAX >> 1;
	e->flags = ~0u;
	e->owner = 1;
	rig_on(UM_OP_STAT, o.f->handle);
	is_int(rig_call(0), 0, "what is right is taken");
	is_int(rig_write_at(o.f->handle, 0, "x"), -EBADF, "and may not be written to");
	e->state = 0;
	e->handle = 0;
	close_file(&o);
	rig_pump();
	is_int(rig_open_count(), 0, "however its entry looks then");
	rig_stop("hostile");
}

/* ---- directories ------------------------------------------------------------------------------------------ */

static void test_listing(void)
{
	char buf[4096], name[16];
	struct open o;
	unsigned asked;
	long r;

	begin();
	rig.typeless = true;
	rig_new(1, "d", S_IFDIR | 0755);
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "d/n%d", i);
		rig_new(2, name + 2, S_IFREG | 0644);
	}
	open_file("d", O_RDONLY | O_DIRECTORY, &o);
	while (list(&o, buf, sizeof buf) > 0)
		;
	close_file(&o);
	rig_stat("d");
	open_file("d", O_RDONLY | O_DIRECTORY, &o);
	is_int(by_client, 1, "a directory that has been read is opened without asking");
	is_int(list(&o, buf, 100), 96, "a part of it");
	is_int(listed, 0, "comes from the server's agent, since it is a part");
	is_int(((struct linux_dirent64 *)buf)->d_type, 0, "what kind of file it is, nobody has told");
	close_file(&o);
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "d/n%d", i);
		rig_stat(name);
	}
	open_file("d", O_RDONLY | O_DIRECTORY, &o);
	list(&o, buf, 100);
	is_int(((struct linux_dirent64 *)buf)->d_type, S_IFREG >> 12, "now it is known to the server's agent");
	close_file(&o);
	by_client = 0;
	asked = rig.count[FUSE_READDIR];
	is_int(open_file("d", O_RDONLY | O_DIRECTORY, &o), 1, "it is opened");
	is_int(by_client, 1, "without asking");
	is_int(list(&o, buf, sizeof buf), 240, "and listed");
	is_int(listed, 1, "without asking");
	is_int(((struct linux_dirent64 *)buf)->d_type, S_IFREG >> 12, "with the kinds that are known");
	is_int(list(&o, buf, sizeof buf), 0, "to the end");
	ok(pages_seek(&rig.task, o.f, 0, SEEK_CUR, &r) && r == 12, "its offset is that of the last");
	ok(!pages_seek(&rig.task, o.f, 3, SEEK_SET, &r), "another one only the server finds");
	ok(pages_seek(&rig.task, o.f, 0, SEEK_SET, &r) && !r, "but the start");
	is_int(list(&o, buf, sizeof buf), 240, "from there again");
	is_int(rig.count[FUSE_READDIR], asked, "the server has not heard of it");
	rig_do(UM_OP_UNLINK, "d/n3");
	is_int(list(&o, buf, sizeof buf), 0, "a name goes: this reading is over");
	is_int(rig.count[FUSE_READDIR], asked, "as its server's agent knows");
	pages_seek(&rig.task, o.f, 0, SEEK_SET, &r);
	is_int(list(&o, buf, sizeof buf), 216, "the next one is without it");
	is_int(rig.count[FUSE_READDIR], asked + 2, "for that is asked");
	while (list(&o, buf, 100) > 0)
		;
	pages_seek(&rig.task, o.f, 0, SEEK_SET, &r);
	rig_do(UM_OP_UNLINK, "d/n4");
	is_int(list(&o, buf, sizeof buf), 192, "read to its end by the server's agent, and from the start again");
	close_file(&o);
	rig_pump();
	is_int(rig_open_count(), 0, "closed");
	rig_stop("listing");
}

/* ---- at random -------------------------------------------------------------------------------------------- */

#define OPENS	12
static const char *const names[] = { "a", "b", "c", "d/a", "d/b", "d/c" };
#define NAMES	(sizeof names / sizeof *names)
static struct open opens[OPENS];
static unsigned wrong;

static void check_read(struct open *o)
{
	char buf[200];
	const struct rig_node *n = &rig.node[o->node];
	size_t want = 1 + pick(sizeof buf), left = o->offset < n->size ? (size_t)(n->size - o->offset) : 0;
	long r = read_file(o, buf, want);

	want = want < left ? want : left;
	if ((r != (long)want || (want && memcmp(buf, n->data + o->offset, want))) && !wrong++)
		diag("node %llu at %llu of %llu: %ld", (unsigned long long)o->node, (unsigned long long)o->offset, (unsigned long long)n->size, r);
	o->offset += want;
}

static void check_list(void)
{
	char buf[4096];
	unsigned here = 0, seen = 0;
	struct open o;
	long r;

	rig_stat("d");
	if (open_file("d", O_RDONLY | O_DIRECTORY, &o) != 1)
		return;
	for (uint64_t i = 2; i < rig.next; i++)
		here += rig.node[i].used && rig.node[i].parent == 2 && rig.node[i].name[0];
	while ((r = list(&o, buf, pick(3) ? sizeof buf : 60)) > 0)
		for (long at = 0; at < r; at += ((struct linux_dirent64 *)(buf + at))->d_reclen) {
			wrong += !rig_find(2, ((struct linux_dirent64 *)(buf + at))->d_name);
			seen++;
		}
	if ((r < 0 || seen != here) && !wrong++)
		diag("%u names of %u: %ld", seen, here, r);
	close_file(&o);
}

static void open_some(struct open *o, const char *name)
{
	uint64_t id = strchr(name, '/') ? rig_find(2, name + 2) : rig_find(1, name);
	long r = open_file(name, O_RDONLY, o);

	if (r != (id ? 1 : -ENOENT) && !wrong++)
		diag("open of %s, which is %llu: %ld", name, (unsigned long long)id, r);
	if (r != 1)
		o->f = NULL;
	o->node = id ? rig_real(id) : 0;
}

static void write_some(const char *name)
{
	static const char *const texts[] = { "some", "text that is longer than the others", "", "x" };
	long h = rig_open(name, O_WRONLY | (pick(2) ? O_CREAT : 0) | (pick(2) ? O_TRUNC : 0), 0644);

	if (h < 0)
		return;
	rig_write_at(h, pick(300), texts[pick(4)]);
	rig_close(h);
}

static void step(void)
{
	struct open *o = &opens[pick(OPENS)];
	const char *name = names[pick(NAMES)];

	switch (pick(16)) {
	case 0: case 1: write_some(name); break;
	case 2:	rig_do(UM_OP_UNLINK, name); break;
	case 3: rig_two(UM_OP_RENAME, name, names[pick(NAMES)]); break;
	case 4: rig_two(UM_OP_LINK, name, names[pick(NAMES)]); break;
	case 5: check_list(); check_list(); check_list(); break;
	case 6: fuse_handles_sweep(rig.c, false); rig_pump(); break;
	case 7: rig.c->names_max = pick(3) ? 4 : 100; break;
	case 8: case 9: rig_stat(name); break;
	default:
		if (!o->f)
			open_some(o, name);
		else if (pick(3))
			check_read(o);
		else
			close_file(o);
	}
}

static void test_random(void)
{
	begin();
	rig_new(1, "d", S_IFDIR | 0755);
	memset(opens, 0, sizeof opens);
	wrong = 0;
	for (int i = 0; i < 60000 && rig.next < RIG_NODES - 100; i++)
		step();
	is_int(wrong, 0, "random steps like the model");
	ok(by_client > 1000 && by_server > 1000 && listed > 100, "... with %u files opened without asking, %u by asking; listed: %u", by_client,
	   by_server, listed);
	for (int i = 0; i < OPENS; i++)
		if (opens[i].f)
			close_file(&opens[i]);
	rig_stop("random");
}

int main(void)
{
	test_unasked();
	test_removed();
	test_given_up();
	test_places();
	test_hostile();
	test_listing();
	test_random();
	return done();
}
