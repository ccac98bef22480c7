/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a FUSE server may say, and what a guest may write into its slot, however wrong: neither may bring
 * the client half down, nor leave a request unanswered, nor lose memory, nor have it use a node that it has given back.
 *
 * The input is a string of moves: a request of a guest (its fields and paths from the input), or an
 * answer to the oldest unanswered message: right, right with bytes changed, or made of input only.
 */
#define RIG_NODES 300
#include "../unit/fuse_rig.h"

#define TOLD 4096

static const uint8_t *input;
static size_t left;

/*
 * How often each node was named by replies that were taken, and not forgotten since.  (The rig counts what it meant to
 * say.)  The client may have refused some of that, so it may use and forget a node that often, or less.
 */
static struct told { uint64_t nodeid, n; } told[TOLD];

static uint8_t byte(void)
{
	return left ? left--, *input++ : 0;
}

static void bytes(void *to, size_t n)
{
	for (uint8_t *p = to; n--; )
		*p++ = byte();
}

/* Mostly small, so that it often names something. */
static uint64_t number(void)
{
	uint64_t n = byte();

	if (n >= 250)
		bytes(&n, sizeof n);
	return n;
}

static void put_path(char *to)
{
	static const char *const parts[] = { "a", "b", "dir", "file", ".", "..", "link", "/", "//", "xxxxxxxxxxxx" };
	size_t at = 0;

	for (unsigned n = byte() % 5; n--; ) {
		unsigned k = byte();
		at += (size_t)sprintf(to + at, "%s%s", parts[k % 10], k & 128 ? "/" : "");
	}
	to[at] = 0;
}

static void request(void)
{
	unsigned k = byte() % 4;
	struct um_slot *s;
	char path[128];

	if (rig_slot(k)->state == UM_SLOT_POSTED || rig_slot(k)->state == UM_SLOT_TAKEN) {
		rig_slot(k)->interrupt = byte() & 1;
		return;
	}
	s = rig_begin(k, byte() % 34);
	put_path(path);
	rig_path(s, path);
	put_path(path);
	rig_path2(s, path);
	s->req.walk = byte();
	s->req.base2 = byte() % 8;
	s->req.handle = (uint32_t)byte() % 8;
	if (byte() & 1)
		s->req.base = byte() % 8;
	s->req.open_flags = (uint32_t)number();
	s->req.size = number() * 16;
	s->req.offset = byte() & 1 ? number() : UM_OFFSET_FILE - (byte() & 1);
	s->req.mode = (uint32_t)number();
	s->req.valid = (uint32_t)number();
	s->req.uid = byte() & 1;
	s->req.whence = byte() % 6;
	s->req.tgid = byte() & 1 ? (uint32_t)getpid() : (uint32_t)getppid();
	if (byte() == 255)
		bytes(&s->req, sizeof s->req);
	rig_post(k);
}

static void change(uint32_t opcode, uint8_t *m, uint32_t *len)
{
	struct fuse_out_header *oh = (struct fuse_out_header *)m;

	(void)opcode;
	for (unsigned n = byte() % 4; n--; )
		m[16 + byte() % 160] = byte();
	if (byte() == 1)
		oh->len = *len = 16 + byte();
	if (byte() == 1)
		oh->error = -(int)byte() * 2;
}

static struct told *told_of(uint64_t nodeid)
{
	struct told *t = told;

	while (t->nodeid && t->nodeid != nodeid)
		if (++t == told + TOLD)
			abort();
	t->nodeid = nodeid;
	return t;
}

static void tell(const struct fuse_entry_out *e)
{
	if (e->nodeid && e->nodeid != FUSE_ROOT_ID)
		told_of(e->nodeid)->n++;
}

/* This reply to a message with that opcode was taken. */
static void said(uint32_t opcode, const uint8_t *payload, uint32_t n)
{
	uint8_t room[sizeof(struct fuse_entry_out)] __attribute__((aligned(8))) = { 0 };
	const struct fuse_dirent *d;
	long size;

	switch (opcode) {
	case FUSE_LOOKUP: case FUSE_MKNOD: case FUSE_MKDIR: case FUSE_SYMLINK: case FUSE_LINK: case FUSE_CREATE: case FUSE_TMPFILE:
		memcpy(room, payload, n < sizeof room ? n : sizeof room);
		tell((struct fuse_entry_out *)room);
		break;
	case FUSE_READDIRPLUS:
		for (; (size = fuse_dirent(payload, n, true, &d)) > 0; payload += size, n -= (uint32_t)size)
			tell(&((const struct fuse_direntplus *)payload)->entry_out);
	}
}

static void forget(uint64_t nodeid, uint64_t n)
{
	struct told *t = told_of(nodeid);

	if (nodeid == FUSE_ROOT_ID || t->n < n)
		abort();
	t->n -= n;
}

/* A message of the client's: it names only nodes that it has. */
static long read_message(void)
{
	const struct fuse_in_header *h = (struct fuse_in_header *)rig.in;
	const struct fuse_batch_forget_in *b = (const struct fuse_batch_forget_in *)(h + 1);
	const struct fuse_forget_one *one = (const struct fuse_forget_one *)(b + 1);
	long n = rig_read_message();

	if (n <= 0)
		return n;
	switch (h->opcode) {
	case FUSE_INIT: case FUSE_DESTROY: case FUSE_INTERRUPT:
		break;
	case FUSE_FORGET:
		forget(h->nodeid, ((const struct fuse_forget_in *)(h + 1))->nlookup);
		break;
	case FUSE_BATCH_FORGET:
		for (uint32_t i = 0; i < b->count; i++)
			forget(one[i].nodeid, one[i].nlookup);
		break;
	default:
		if (h->nodeid != FUSE_ROOT_ID && !told_of(h->nodeid)->n)
			abort();
	}
	return n;
}

static void answer(void)
{
	struct fuse_in_header *h = (struct fuse_in_header *)rig.in;
	const struct fuse_out_header *oh = (struct fuse_out_header *)rig.out;
	uint8_t raw[300] __attribute__((aligned(8)));
	unsigned how = byte();

	if (read_message() <= 0)
		return;
	if (how < 200 && h->nodeid < RIG_NODES && rig.next + 4 < RIG_NODES) {
		rig.spoil = how < 100 ? NULL : change;
		rig.wrote = 0;
		rig_serve();
		if (rig.wrote > 0 && !oh->error)
			said(h->opcode, rig.out + sizeof *oh, oh->len - (uint32_t)sizeof *oh);
		return;
	}
	size_t n = byte();
	bytes(raw, n);
	uint64_t unique = byte() < 250 ? h->unique : byte();
	int error = how & 1 ? 0 : -(int)byte();
	const struct fuse_req *r = fuse_sent_find(rig.c, unique);
	uint32_t opcode = r ? r->h.opcode : 0;
	if (rig_reply(unique, error, raw, n) > 0 && !error)
		said(opcode, raw, (uint32_t)n);
}

/* Whatever is still open is answered with an error: then nothing may wait any more. */
static void finish(void)
{
	struct fuse_in_header *h = (struct fuse_in_header *)rig.in;

	rig.shm->state = UM_SERVER_ENDING;
	for (unsigned i = 0; i < FUSE_SENT; i++)
		while (rig.c->sent[i])
			rig_reply(rig.c->sent[i]->h.unique, -EIO, NULL, 0);
	while (read_message() > 0)
		if (h->opcode != FUSE_FORGET && h->opcode != FUSE_BATCH_FORGET && h->opcode != FUSE_INTERRUPT)
			rig_reply(h->unique, -EIO, NULL, 0);
	for (unsigned k = 0; k < 4; k++)
		if (rig_slot(k)->state == UM_SLOT_POSTED || rig_slot(k)->state == UM_SLOT_TAKEN)
			abort();
	fuse_conn_leave(rig.c);
	if (shim_heap_live)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuse_in_header *h = (struct fuse_in_header *)rig.in;

	rig_start();
	rig.lies = true;
	memset(told, 0, sizeof told);
	input = data;
	left = size;
	rig.file.open_flags |= O_NONBLOCK;
	rig_put(rig_new(rig_new(1, "dir", S_IFDIR | 0755), "file", S_IFREG | 0644), "hello");
	rig_put(rig_new(1, "link", S_IFLNK | 0777), "dir/file");
	rig.minor = byte() & 1 ? 31 : byte() % 40;
	rig.init_flags = byte() & 1 ? ~0u : 0;
	rig.entry_valid = rig.attr_valid = byte() & 1;
	rig.shm->default_permissions = byte() & 1;
	if (read_message() > 0 && h->opcode == FUSE_INIT)
		rig_serve();
	while (left) {
		if (byte() & 1)
			request();
		else
			answer();
	}
	finish();
	return 0;
}
