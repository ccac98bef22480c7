/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server's end of the test bench in fuse_rig.h: a small file system in memory that is driven through
 * fuse_dev_read() and fuse_dev_write(), and keeps account of what the protocol demands: lookup counts,
 * open files, unknown handles.  A test can make it refuse an opcode (rig.refuse), spoil a reply (rig.spoil)
 * or leave one unanswered (rig.mute).
 */
#ifndef UM_FUSE_RIG_SERVER_H
#define UM_FUSE_RIG_SERVER_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "shim.h"
#include "tap.h"
#include "../../src/kernel/fs/fuse_conn.h"

#ifndef RIG_NODES
#define RIG_NODES	20000
#endif
#define RIG_FILES	256
#define RIG_LARGEST	(1u << 20)	/* file */
#define RIG_MESSAGE	(UM_DATA_SIZE + 4096)

struct rig_node {
	bool used;
	uint32_t mode, nlink, uid, gid, rdev;
	uint64_t parent, size, nlookup, mtime;
	char name[256];			/* in parent; "" = no name any more */
	char *data;			/* of files and links */
	char xattr[64];
	uint64_t link_to;		/* a further name of that node */
};

static struct {
	struct fuse_conn *c;
	struct file file;		/* the open /dev/fuse */
	struct task task;
	struct um_server *shm;

	struct rig_node node[RIG_NODES];
	uint64_t next;			/* first unused one */
	struct { bool used; uint64_t node; bool dir; } open[RIG_FILES];
	uint32_t minor, init_flags, init_max_write, init_size, init_max_pages;
	uint64_t entry_valid, attr_valid;
	uint32_t open_flags;		/* FOPEN_* of every OPEN */
	bool typeless;			/* READDIR does not say what kind of file it is */
	bool node_per_name;		/* LINK makes a node of its own, as libfuse's high level does */
	uint64_t generation;		/* of all nodes, less 1 */

	int refuse[64];			/* by opcode: this error */
	void (*spoil)(uint32_t opcode, uint8_t *message, uint32_t *len);
	long wrote;			/* what the last reply's write(2) returned */
	uint32_t mute;			/* opcode that is not answered now */
	uint64_t muted;			/* unique of the request so left */
	unsigned count[64];		/* requests seen, by opcode */
	unsigned forgotten, wrong;	/* nodes forgotten; breaches of protocol */
	bool lies;			/* it says other things than it knows of: then what it takes for a breach is none */
	uint32_t last_uid, last_open, last_write_flags;
	struct fuse_setattr_in last_setattr;
	struct fuse_create_in last_create;
	struct fuse_lk_in last_lk;	/* of SETLK and SETLKW */
	struct fuse_lk_out lk;		/* what GETLK is told */
	struct fuse_flush_in last_flush;
	struct fuse_ioctl_in last_ioctl;
	struct fuse_release_in last_release;
	uint64_t interrupted;		/* unique named by the last INTERRUPT */
	uint8_t in[RIG_MESSAGE], out[RIG_MESSAGE];
} rig;

/* Unless so much of the agent is linked that it has its own. */
__attribute__((weak)) void life_register_lock(struct lock *l) { (void)l; }

/* ---- the file system ------------------------------------------------------------------------------------ */

static void rig_breach(const char *what, uint64_t value)
{
	rig.wrong++;
	if (!rig.lies)
		diag("breach of protocol: %s %llu", what, (unsigned long long)value);
}

static uint64_t rig_new(uint64_t parent, const char *name, uint32_t mode)
{
	uint64_t id = rig.next++;

	if (id >= RIG_NODES)
		abort();
	rig.node[id] = (struct rig_node){ .used = true, .mode = mode, .nlink = 1, .parent = parent, .mtime = 1000 };
	snprintf(rig.node[id].name, sizeof rig.node[id].name, "%s", name);
	return id;
}

static uint64_t rig_find(uint64_t parent, const char *name)
{
	for (uint64_t i = 2; i < rig.next; i++)
		if (rig.node[i].used && rig.node[i].parent == parent && !strcmp(rig.node[i].name, name))
			return i;
	return 0;
}

static uint64_t rig_real(uint64_t id)
{
	return rig.node[id].link_to ? rig.node[id].link_to : id;
}

static void rig_attr(uint64_t id, struct fuse_attr *a)
{
	const struct rig_node *n = &rig.node[id];

	*a = (struct fuse_attr){ .ino = id, .size = n->size, .blocks = (n->size + 511) / 512, .mode = n->mode,
				 .nlink = n->nlink, .uid = n->uid, .gid = n->gid, .rdev = n->rdev,
				 .mtime = n->mtime, .blksize = 512 };
}

static void rig_entry(uint64_t id, struct fuse_entry_out *e)
{
	id = rig_real(id);
	*e = (struct fuse_entry_out){ .nodeid = id, .generation = 1 + rig.generation, .entry_valid = rig.entry_valid,
				      .attr_valid = rig.attr_valid };
	rig_attr(id, &e->attr);
	rig.node[id].nlookup++;
}

static void rig_put(uint64_t id, const char *text)
{
	struct rig_node *n = &rig.node[id];

	free(n->data);
	n->data = strdup(text);
	n->size = strlen(text);
}

static int rig_resize(struct rig_node *n, uint64_t size)
{
	if (size > RIG_LARGEST)
		return -ENOSPC;
	n->data = realloc(n->data, size + 1);
	if (size > n->size)
		memset(n->data + n->size, 0, size - n->size);
	n->size = size;
	return 0;
}

static uint64_t rig_open_file(uint64_t id, bool dir)
{
	for (uint64_t i = 1; i < RIG_FILES; i++) {
		if (rig.open[i].used)
			continue;
		rig.open[i].used = true;
		rig.open[i].node = id;
		rig.open[i].dir = dir;
		return i;
	}
	return 0;	/* too many: the handle 0 is never a good one */
}

__attribute__((unused)) static unsigned rig_open_count(void)
{
	unsigned n = 0;

	for (int i = 1; i < RIG_FILES; i++)
		n += rig.open[i].used;
	return n;
}

static struct rig_node *rig_file(uint64_t fh)
{
	if (fh && fh < RIG_FILES && rig.open[fh].used)
		return &rig.node[rig.open[fh].node];
	rig_breach("unknown file handle", fh);
	return &rig.node[1];
}

/* ---- its answers: each returns the size of the payload, or -errno ------------------------------------------ */

static size_t rig_entry_size(void) { return rig.minor < 9 ? FUSE_COMPAT_ENTRY_OUT_SIZE : sizeof(struct fuse_entry_out); }
static size_t rig_attr_size(void) { return rig.minor < 9 ? FUSE_COMPAT_ATTR_OUT_SIZE : sizeof(struct fuse_attr_out); }

static long rig_reply_entry(uint64_t id, uint8_t *out)
{
	struct fuse_entry_out e;

	rig_entry(id, &e);
	memcpy(out, &e, rig_entry_size());
	return (long)rig_entry_size();
}

static long rig_reply_attr(uint64_t id, uint8_t *out)
{
	struct fuse_attr_out a = { .attr_valid = rig.attr_valid };

	rig_attr(id, &a.attr);
	memcpy(out, &a, rig_attr_size());
	return (long)rig_attr_size();
}

static long rig_init(const uint8_t *in, uint8_t *out)
{
	struct fuse_init_in i;
	struct fuse_init_out o = { .major = 7, .minor = rig.minor, .max_write = rig.init_max_write,
				   .max_readahead = 131072, .max_pages = (uint16_t)rig.init_max_pages };

	memcpy(&i, in, sizeof i);
	if (i.major != 7)
		rig_breach("INIT major", i.major);
	o.flags = i.flags & rig.init_flags;
	memcpy(out, &o, sizeof o);
	return rig.init_size;
}

static long rig_readdir(const struct fuse_in_header *h, const uint8_t *in, uint8_t *out)
{
	const struct fuse_read_in *r = (const struct fuse_read_in *)in;
	bool plus = h->opcode == FUSE_READDIRPLUS;
	uint64_t dir = rig.open[r->fh % RIG_FILES].node;
	long at = 0;

	rig_file(r->fh);
	for (uint64_t i = r->offset < 2 ? 2 : r->offset + 1; i < rig.next; i++) {
		const struct rig_node *n = &rig.node[i];
		size_t len = strlen(n->name), size;
		struct fuse_direntplus d = { .dirent = { .ino = rig_real(i), .off = i, .namelen = (uint32_t)len,
							 .type = rig.typeless ? 0 : rig.node[rig_real(i)].mode >> 12 } };
		if (!n->used || n->parent != dir || !len)
			continue;
		size = plus ? FUSE_DIRENTPLUS_SIZE(&d) : FUSE_DIRENT_SIZE(&d.dirent);
		if (at + (long)size > (long)r->size)
			break;
		memset(out + at, 0, size);
		if (plus) {
			rig_entry(i, &d.entry_out);
			memcpy(out + at, &d, FUSE_NAME_OFFSET_DIRENTPLUS);
			memcpy(out + at + FUSE_NAME_OFFSET_DIRENTPLUS, n->name, len);
		} else {
			memcpy(out + at, &d.dirent, FUSE_NAME_OFFSET);
			memcpy(out + at + FUSE_NAME_OFFSET, n->name, len);
		}
		at += (long)size;
	}
	return at;
}

static long rig_setattr(uint64_t id, const uint8_t *in, uint8_t *out)
{
	struct rig_node *n = &rig.node[id];
	struct fuse_setattr_in s;

	memcpy(&s, in, sizeof s);
	rig.last_setattr = s;
	if (s.valid & FATTR_FH)
		rig_file(s.fh);
	if (s.valid & FATTR_MODE)
		n->mode = (n->mode & S_IFMT) | (s.mode & 07777);
	if (s.valid & FATTR_UID)
		n->uid = s.uid;
	if (s.valid & FATTR_GID)
		n->gid = s.gid;
	if ((s.valid & FATTR_SIZE) && rig_resize(n, s.size))
		return -ENOSPC;
	if (s.valid & FATTR_MTIME)
		n->mtime = s.mtime;
	return rig_reply_attr(id, out);
}

static long rig_make(uint64_t dir, const char *name, uint32_t mode, uint8_t *out)
{
	if (rig_find(dir, name))
		return -EEXIST;
	if (!rig.node[dir].used || (rig.node[dir].mode & S_IFMT) != S_IFDIR)
		return -ENOTDIR;
	return rig_reply_entry(rig_new(dir, name, mode), out);
}

static long rig_create(uint64_t dir, const uint8_t *in, uint8_t *out, bool tmp)
{
	size_t head = rig.minor < 12 ? 8 : sizeof(struct fuse_create_in);
	struct fuse_open_out o = { .open_flags = rig.open_flags };
	struct fuse_create_in c = { 0 };
	const char *name = (const char *)in + head;
	uint64_t id = tmp ? 0 : rig_find(dir, name);

	memcpy(&c, in, head);
	rig.last_create = c;
	if (id && (c.flags & O_EXCL))
		return -EEXIST;
	if (!id)
		id = rig_new(dir, tmp ? "" : name, c.mode);
	o.fh = rig_open_file(id, false);
	rig_reply_entry(id, out);
	memcpy(out + rig_entry_size(), &o, sizeof o);
	return (long)(rig_entry_size() + sizeof o);
}

static long rig_remove(uint64_t dir, const char *name, bool is_dir)
{
	uint64_t id = rig_find(dir, name);

	if (!id)
		return -ENOENT;
	if (is_dir != ((rig.node[rig_real(id)].mode & S_IFMT) == S_IFDIR))
		rig_breach("wrong kind removed", id);
	for (uint64_t i = 2; is_dir && i < rig.next; i++)
		if (rig.node[i].used && rig.node[i].parent == id && rig.node[i].name[0])
			return -ENOTEMPTY;
	rig.node[rig_real(id)].nlink--;
	rig.node[id].name[0] = 0;
	return 0;
}

static long rig_rename(uint64_t dir, uint64_t newdir, const char *name, const char *to, uint32_t flags)
{
	uint64_t id = rig_find(dir, name), old = rig_find(newdir, to);

	if (!id)
		return -ENOENT;
	if (old && flags & 2) {		/* EXCHANGE */
		rig.node[old].parent = dir;
		strcpy(rig.node[old].name, name);
	} else if (old) {
		rig.node[old].name[0] = 0;
		rig.node[old].nlink--;
	}
	rig.node[id].parent = newdir;
	strcpy(rig.node[id].name, to);
	return 0;
}

static long rig_link(uint64_t dir, const uint8_t *in, uint8_t *out)
{
	const struct fuse_link_in *l = (const struct fuse_link_in *)in;
	const char *name = (const char *)in + sizeof *l;
	uint64_t id;

	if (rig_find(dir, name))
		return -EEXIST;
	if (l->oldnodeid >= RIG_NODES)
		return -EINVAL;
	id = rig_new(dir, name, rig.node[l->oldnodeid].mode);
	rig.node[id].link_to = rig.node_per_name ? 0 : l->oldnodeid;
	rig.node[l->oldnodeid].nlink++;
	return rig_reply_entry(id, out);
}

static long rig_read(const uint8_t *in, uint8_t *out)
{
	const struct fuse_read_in *r = (const struct fuse_read_in *)in;
	struct rig_node *n = rig_file(r->fh);

	if (r->offset >= n->size)
		return 0;
	uint64_t size = n->size - r->offset < r->size ? n->size - r->offset : r->size;
	memcpy(out, n->data + r->offset, size);
	return (long)size;
}

static long rig_write(const uint8_t *in, uint8_t *out)
{
	const struct fuse_write_in *w = (const struct fuse_write_in *)in;
	size_t head = rig.minor < 9 ? FUSE_COMPAT_WRITE_IN_SIZE : sizeof *w;
	struct fuse_write_out o = { .size = w->size };
	struct rig_node *n = rig_file(w->fh);

	if (w->offset + w->size > n->size && rig_resize(n, w->offset + w->size))
		return -ENOSPC;
	memcpy(n->data + w->offset, in + head, w->size);
	rig.last_write_flags = rig.minor < 9 ? 0 : w->flags;
	n->mtime++;
	memcpy(out, &o, sizeof o);
	return sizeof o;
}

static long rig_copy(const uint8_t *in, uint8_t *out)
{
	const struct fuse_copy_file_range_in *q = (const struct fuse_copy_file_range_in *)in;
	struct rig_node *from = rig_file(q->fh_in), *to = rig_file(q->fh_out);
	uint64_t left = q->off_in < from->size ? from->size - q->off_in : 0, n = q->len < left ? q->len : left;
	struct fuse_write_out o = { .size = (uint32_t)n };

	if (to != &rig.node[q->nodeid_out])
		rig_breach("copy into another file", q->nodeid_out);
	if (q->off_out + n > to->size && rig_resize(to, q->off_out + n))
		return -ENOSPC;
	memmove(to->data + q->off_out, from->data + q->off_in, n);
	to->mtime++;
	memcpy(out, &o, sizeof o);
	return sizeof o;
}

/* Gives back what it was given, each byte one more; the result is the argument.  An odd command asks for other memory. */
static long rig_ioctl(const uint8_t *in, uint8_t *out)
{
	const struct fuse_ioctl_in *q = (const struct fuse_ioctl_in *)in;
	struct fuse_ioctl_out o = { .result = (int32_t)q->arg, .flags = q->cmd & 1 ? FUSE_IOCTL_RETRY : 0 };
	uint32_t n = q->in_size < q->out_size ? q->in_size : q->out_size;

	rig_file(q->fh);
	rig.last_ioctl = *q;
	memcpy(out, &o, sizeof o);
	for (uint32_t i = 0; i < n; i++)
		out[sizeof o + i] = (uint8_t)(in[sizeof *q + i] + 1);
	return (long)(sizeof o + n);
}

static long rig_xattr(const struct fuse_in_header *h, const uint8_t *in, uint8_t *out)
{
	struct rig_node *n = &rig.node[h->nodeid];
	const struct fuse_getxattr_in *g = (const struct fuse_getxattr_in *)in;
	const char *value = h->opcode == FUSE_LISTXATTR ? "user.one\0user.two" : n->xattr;
	uint32_t size = h->opcode == FUSE_LISTXATTR ? 18 : (uint32_t)strlen(n->xattr);
	struct fuse_getxattr_out o = { .size = size };

	switch (h->opcode) {
	case FUSE_SETXATTR:
		memset(n->xattr, 0, sizeof n->xattr);
		memcpy(n->xattr, in + 8 + strlen((const char *)in + 8) + 1, g->size < 63 ? g->size : 63);
		return 0;
	case FUSE_REMOVEXATTR:
		if (!n->xattr[0])
			return -ENODATA;
		memset(n->xattr, 0, sizeof n->xattr);
		return 0;
	}
	if (!size)
		return -ENODATA;
	if (!g->size) {
		memcpy(out, &o, sizeof o);
		return sizeof o;
	}
	if (g->size < size)
		return -ERANGE;
	memcpy(out, value, size);
	return size;
}

static long rig_open_reply(uint64_t id, const uint8_t *in, uint8_t *out, bool dir)
{
	const struct fuse_open_in *i = (const struct fuse_open_in *)in;
	struct fuse_open_out o = { .open_flags = rig.open_flags };

	rig.last_open = i->flags;
	if (i->flags & O_TRUNC)
		rig_resize(&rig.node[id], 0);
	o.fh = rig_open_file(id, dir);
	memcpy(out, &o, sizeof o);
	return sizeof o;
}

static void rig_release(const uint8_t *in, bool dir)
{
	const struct fuse_release_in *r = (const struct fuse_release_in *)in;

	rig_file(r->fh);
	rig.last_release = *r;
	if (rig.open[r->fh % RIG_FILES].dir != dir)
		rig_breach("released as the wrong kind", r->fh);
	rig.open[r->fh % RIG_FILES].used = false;
}

static void rig_forget_one(uint64_t id, uint64_t n)
{
	if (id == 1)
		return;
	if (id >= RIG_NODES || rig.node[id].nlookup < n) {
		rig_breach("too much forgotten", id);
		return;
	}
	rig.node[id].nlookup -= n;
	rig.forgotten += !rig.node[id].nlookup;
}

static void rig_forget(const struct fuse_in_header *h, const uint8_t *in)
{
	const struct fuse_batch_forget_in *b = (const struct fuse_batch_forget_in *)in;
	const struct fuse_forget_one *one = (const struct fuse_forget_one *)(b + 1);

	if (h->opcode == FUSE_FORGET) {
		rig_forget_one(h->nodeid, ((const struct fuse_forget_in *)in)->nlookup);
		return;
	}
	if (h->len != sizeof *h + sizeof *b + b->count * sizeof *one)
		rig_breach("length of BATCH_FORGET", h->len);
	for (uint32_t i = 0; i < b->count; i++)
		rig_forget_one(one[i].nodeid, one[i].nlookup);
}

static long rig_name_op(const struct fuse_in_header *h, const uint8_t *in, uint8_t *out)
{
	const struct fuse_mknod_in *m = (const struct fuse_mknod_in *)in;
	const struct fuse_rename2_in *r2 = (const struct fuse_rename2_in *)in;
	const char *s = (const char *)in;
	uint64_t id;
	long n;

	switch (h->opcode) {
	case FUSE_LOOKUP:
		id = rig_find(h->nodeid, s);
		if (id)
			return rig_reply_entry(id, out);
		memset(out, 0, rig_entry_size());
		((struct fuse_entry_out *)out)->entry_valid = rig.entry_valid;
		return rig.entry_valid ? (long)rig_entry_size() : -ENOENT;
	case FUSE_MKNOD:
		n = rig_make(h->nodeid, s + (rig.minor < 12 ? 8 : sizeof *m), m->mode, out);
		if (n > 0)
			((struct fuse_entry_out *)out)->attr.rdev = rig.node[((struct fuse_entry_out *)out)->nodeid].rdev = m->rdev;
		return n;
	case FUSE_MKDIR:
		return rig_make(h->nodeid, s + sizeof(struct fuse_mkdir_in), S_IFDIR | m->mode, out);
	case FUSE_SYMLINK:
		n = rig_make(h->nodeid, s, S_IFLNK | 0777, out);
		if (n > 0)
			rig_put(((struct fuse_entry_out *)out)->nodeid, s + strlen(s) + 1);
		return n;
	case FUSE_UNLINK:
		return rig_remove(h->nodeid, s, false);
	case FUSE_RMDIR:
		return rig_remove(h->nodeid, s, true);
	case FUSE_RENAME:
		s += sizeof(struct fuse_rename_in);
		return rig_rename(h->nodeid, r2->newdir, s, s + strlen(s) + 1, 0);
	case FUSE_RENAME2:
		s += sizeof *r2;
		return rig_rename(h->nodeid, r2->newdir, s, s + strlen(s) + 1, r2->flags);
	case FUSE_LINK:
		return rig_link(h->nodeid, in, out);
	}
	return -ENOSYS;
}

static long rig_answer(const struct fuse_in_header *h, const uint8_t *in, uint8_t *out)
{
	struct fuse_statfs_out st = { .st = { .blocks = 100, .bfree = 50, .bsize = 1024, .namelen = 255 } };
	struct fuse_lseek_out ls = { .offset = 4242 };

	if (h->opcode != FUSE_INIT && h->opcode != FUSE_DESTROY &&
	    (h->nodeid >= RIG_NODES || (h->nodeid != 1 && !rig.node[h->nodeid].nlookup)))
		rig_breach("a node that was forgotten is used", h->nodeid);
	switch (h->opcode) {
	case FUSE_INIT:		return rig_init(in, out);
	case FUSE_GETATTR:	return rig_reply_attr(h->nodeid, out);
	case FUSE_SETATTR:	return rig_setattr(h->nodeid, in, out);
	case FUSE_READLINK:	if (!rig.node[h->nodeid].data)
					return -EINVAL;
				memcpy(out, rig.node[h->nodeid].data, rig.node[h->nodeid].size);
				return (long)rig.node[h->nodeid].size;
	case FUSE_OPEN:
		if (!rig.node[h->nodeid].nlink)
			rig_breach("opened when it has no name any more:", h->nodeid);
		return rig_open_reply(h->nodeid, in, out, false);
	case FUSE_OPENDIR:	return rig_open_reply(h->nodeid, in, out, true);
	case FUSE_READ:		return rig_read(in, out);
	case FUSE_WRITE:	return rig_write(in, out);
	case FUSE_STATFS:	memcpy(out, &st, sizeof st);
				return rig.minor < 4 ? FUSE_COMPAT_STATFS_SIZE : sizeof st;
	case FUSE_RELEASE:	rig_release(in, false); return 0;
	case FUSE_RELEASEDIR:	rig_release(in, true); return 0;
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:	return rig_readdir(h, in, out);
	case FUSE_CREATE:	return rig_create(h->nodeid, in, out, false);
	case FUSE_TMPFILE:	return rig_create(h->nodeid, in, out, true);
	case FUSE_LSEEK:	memcpy(out, &ls, sizeof ls); return sizeof ls;
	case FUSE_SETXATTR:
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
	case FUSE_REMOVEXATTR:	return rig_xattr(h, in, out);
	case FUSE_GETLK:	memcpy(out, &rig.lk, sizeof rig.lk);
				return sizeof rig.lk;
	case FUSE_SETLK:
	case FUSE_SETLKW:	memcpy(&rig.last_lk, in, sizeof rig.last_lk);
				rig_file(rig.last_lk.fh);
				return 0;
	case FUSE_FLUSH:	memcpy(&rig.last_flush, in, sizeof rig.last_flush);
				return 0;
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_ACCESS:
	case FUSE_DESTROY:	return 0;
	case FUSE_IOCTL:	return rig_ioctl(in, out);
	case FUSE_COPY_FILE_RANGE: return rig_copy(in, out);
	case FUSE_FALLOCATE:
		return rig_resize(rig_file(((const struct fuse_fallocate_in *)in)->fh),
				  ((const struct fuse_fallocate_in *)in)->offset + ((const struct fuse_fallocate_in *)in)->length);
	}
	return rig_name_op(h, in, out);
}

/* ---- the server's loop ------------------------------------------------------------------------------------ */

static long rig_read_message(void)
{
	struct iovec v = { rig.in, sizeof rig.in };

	return fuse_dev_read(&rig.task, &rig.file, &v, 1);
}

__attribute__((unused)) static long rig_reply(uint64_t unique, int error, const void *data, size_t n)
{
	struct fuse_out_header oh = { .len = (uint32_t)(sizeof oh + n), .error = error, .unique = unique };
	struct iovec v[2] = { { &oh, sizeof oh }, { (void *)data, n } };

	return fuse_dev_write(&rig.task, &rig.file, v, n ? 2 : 1);
}

/* Answers the message in rig.in. */
static void rig_serve(void)
{
	struct fuse_in_header h;
	struct fuse_out_header *oh = (struct fuse_out_header *)rig.out;
	struct iovec v = { rig.out, 0 };
	uint32_t len;
	long n;

	memcpy(&h, rig.in, sizeof h);
	rig.count[h.opcode & 63]++;
	rig.last_uid = h.uid;
	if (h.opcode == FUSE_FORGET || h.opcode == FUSE_BATCH_FORGET) {
		rig_forget(&h, rig.in + sizeof h);
		return;
	}
	if (h.opcode == FUSE_INTERRUPT) {
		rig.interrupted = ((struct fuse_interrupt_in *)(rig.in + sizeof h))->unique;
		return;
	}
	if (rig.mute == h.opcode) {
		rig.muted = h.unique;
		return;
	}
	memset(rig.out, 0, 4096);
	n = rig.refuse[h.opcode & 63] ? rig.refuse[h.opcode & 63] : rig_answer(&h, rig.in + sizeof h, rig.out + sizeof *oh);
	*oh = (struct fuse_out_header){ .unique = h.unique, .error = n < 0 ? (int)n : 0 };
	len = oh->len = (uint32_t)(sizeof *oh + (n > 0 ? (size_t)n : 0));
	if (rig.spoil)
		rig.spoil(h.opcode, rig.out, &len);
	v.iov_len = len;
	rig.wrote = fuse_dev_write(&rig.task, &rig.file, &v, 1);
}

/* Serves until there is nothing left to do; the last result of read(2): -EAGAIN, -ENODEV... */
static long rig_pump(void)
{
	long n;

	while ((n = rig_read_message()) > 0)
		rig_serve();
	return n;
}

#endif
