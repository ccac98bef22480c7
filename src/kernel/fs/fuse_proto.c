/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FUSE messages: building requests, waiting for replies, and the checks on what comes back.
 *
 * A request lives on the stack of the job that waits for it.  It holds pointers to its parts; they are
 * copied once, into the server's buffer, when the server reads; a reply is copied once, from the
 * server's buffer to where the request says.  Sizes of replies are checked before (fuse_dev.c), meanings
 * after, by whoever asked.
 */
#include <linux/stat.h>
#include "fuse_conn.h"
#include "../../wire/dcache.h"

/* ---- requests -------------------------------------------------------------------------------------- */

void fuse_req_init(struct fuse_req *r, struct fuse_job *j, uint32_t opcode, uint64_t nodeid)
{
	memset(r, 0, sizeof *r);
	r->h.len = sizeof r->h;
	r->h.opcode = opcode;
	r->h.nodeid = nodeid;
	r->h.uid = j->c->shm->as & UM_SERVANT_UID ? j->c->shm->as_uid : j->req.uid;
	r->h.gid = j->c->shm->as & UM_SERVANT_GID ? j->c->shm->as_gid : j->req.gid;
	r->h.pid = j->req.pid;
	r->job = j;
}

void fuse_req_arg(struct fuse_req *r, const void *p, size_t n)
{
	r->arg[r->nargs].p = p;
	r->arg[r->nargs++].n = (uint32_t)n;
	r->h.len += (uint32_t)n;
}

void fuse_req_reply(struct fuse_req *r, void *p, size_t n)
{
	r->reply = p;
	r->reply_max = (uint32_t)n;
}

void fuse_req_reply_upto(struct fuse_req *r, void *p, size_t n)
{
	fuse_req_reply(r, p, n);
	r->any_size = true;
}

void fuse_queue(struct fuse_conn *c, struct fuse_req *r)
{
	r->state = REQ_QUEUED;
	r->next = NULL;
	if (c->queue)
		c->queue_last->next = r;
	else
		c->queue = r;
	c->queue_last = r;
}

void fuse_queue_free(struct fuse_conn *c)
{
	while (c->queue) {
		struct fuse_req *r = c->queue;

		c->queue = r->next;
		if (!r->job)
			heap_free(r);
	}
}

int fuse_call(struct fuse_job *j, struct fuse_req *r)
{
	struct fuse_conn *c = j->c;

	if (c->init == INIT_FAILED || c->end == END_OVER)
		return -ENOTCONN;
	c->unique += 2;
	r->h.unique = c->unique;
	r->version = c->version;
	fuse_queue(c, r);
	j->sent = r;
	while (r->state != REQ_DONE)
		co_yield(&j->co);
	j->sent = NULL;
	return r->error;
}

int fuse_call_plain(struct fuse_job *j, uint32_t opcode, uint64_t nodeid, const void *arg, size_t n)
{
	struct fuse_req r;

	fuse_req_init(&r, j, opcode, nodeid);
	if (n)
		fuse_req_arg(&r, arg, n);
	return fuse_call(j, &r);
}

/* ---- those the server has read ----------------------------------------------------------------------- */

static struct fuse_req **sent_chain(struct fuse_conn *c, uint64_t unique)
{
	return &c->sent[unique / 2 % FUSE_SENT];
}

void fuse_sent_put(struct fuse_conn *c, struct fuse_req *r)
{
	struct fuse_req **chain = sent_chain(c, r->h.unique);

	r->next = *chain;
	*chain = r;
}

struct fuse_req *fuse_sent_find(struct fuse_conn *c, uint64_t unique)
{
	struct fuse_req *r = *sent_chain(c, unique);

	while (r && r->h.unique != unique)
		r = r->next;
	return r;
}

void fuse_sent_remove(struct fuse_conn *c, struct fuse_req *r)
{
	struct fuse_req **p = sent_chain(c, r->h.unique);

	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
}

/* Without memory for the note the server keeps a node for longer than it must: harmless. */
void fuse_send_forget(struct fuse_conn *c, uint64_t nodeid, uint64_t nlookup)
{
	if (c->nforgets == c->forgets_room) {
		uint32_t room = c->forgets_room ? c->forgets_room * 2 : 64;
		struct fuse_forget *more = heap_alloc(room * sizeof *more);

		if (!more)
			return;
		if (c->forgets)
			memcpy(more, c->forgets, c->nforgets * sizeof *more);
		heap_free(c->forgets);
		c->forgets = more;
		c->forgets_room = room;
	}
	c->forgets_first = true;
	c->forgets[c->nforgets++] = (struct fuse_forget){ nodeid, nlookup };
}

/* ---- what old servers say shorter ---------------------------------------------------------------------- */

size_t fuse_entry_size(const struct fuse_conn *c)
{
	return c->can.minor < 9 ? FUSE_COMPAT_ENTRY_OUT_SIZE : sizeof(struct fuse_entry_out);
}

size_t fuse_attr_size(const struct fuse_conn *c)
{
	return c->can.minor < 9 ? FUSE_COMPAT_ATTR_OUT_SIZE : sizeof(struct fuse_attr_out);
}

/* ---- checks ------------------------------------------------------------------------------------------ */

bool fuse_attr_ok(const struct fuse_attr *a)
{
	switch (a->mode & S_IFMT) {
	case S_IFREG: case S_IFDIR: case S_IFLNK: case S_IFCHR: case S_IFBLK: case S_IFIFO: case S_IFSOCK:
		return a->size <= INT64_MAX;
	}
	return false;
}

bool fuse_name_ok(const char *name, size_t len)
{
	if (!len || len > UM_NAME_MOST)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!name[i] || name[i] == '/')
			return false;
	return true;
}

/* The end of a validity the server gave: never so far that adding overflows. */
static uint64_t until(uint64_t now, uint64_t sec, uint32_t nsec)
{
	if (!sec && !nsec)
		return 0;
	if (sec > 1000000000u)
		sec = 1000000000u;
	if (nsec >= FUSE_NSEC)
		nsec = FUSE_NSEC - 1;
	return now + sec * FUSE_NSEC + nsec;
}

bool fuse_is_alone(const struct fuse_conn *c)
{
	return __atomic_load_n(&c->shm->mount_flags, __ATOMIC_RELAXED) & UM_MNT_ALONE;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* libfuse renames what is open to such a name instead of removing it, and removes it by itself when it is closed. */
static bool comes_and_goes(const char *name, size_t len)
{
	static const char hidden[] = ".fuse_hidden";

	return len >= sizeof hidden - 1 && !memcmp(name, hidden, sizeof hidden - 1);
}

uint64_t fuse_absent_until(const struct fuse_job *j, const char *name, size_t len)
{
	return fuse_is_alone(j->c) && !comes_and_goes(name, len) ? UM_SHOWN_FOREVER : 0;
}

uint64_t fuse_entry_until(const struct fuse_job *j, const char *name, size_t len, const struct fuse_entry_out *e)
{
	return later(until(j->now, e->entry_valid, e->entry_valid_nsec), fuse_absent_until(j, name, len));
}

uint64_t fuse_attr_until(const struct fuse_job *j, const struct fuse_attr *a, uint64_t sec, uint32_t nsec)
{
	const bool lasts = fuse_is_alone(j->c) && (a->nlink <= 1 || (a->mode & S_IFMT) == S_IFDIR);

	return later(until(j->now, sec, nsec), lasts ? UM_SHOWN_FOREVER : 0);
}

void fuse_attr_wire(const struct fuse_attr *a, struct um_attr *out)
{
	*out = (struct um_attr){
		.ino = a->ino, .size = a->size, .blocks = a->blocks,
		.atime = (int64_t)a->atime, .mtime = (int64_t)a->mtime, .ctime = (int64_t)a->ctime,
		.atimensec = a->atimensec, .mtimensec = a->mtimensec, .ctimensec = a->ctimensec,
		.mode = a->mode, .nlink = a->nlink, .uid = a->uid, .gid = a->gid, .rdev = a->rdev,
		.blksize = a->blksize ? a->blksize : 4096,
	};
}

void fuse_attr_out(struct fuse_job *j, const struct fuse_node *n)
{
	fuse_attr_wire(&n->attr, &j->rep.attr);
	j->rep.node = n->nodeid;
}
