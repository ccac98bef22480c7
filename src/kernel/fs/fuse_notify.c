/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a server says unasked: that a node or a name has changed behind our back.
 *
 * Contents are cached for reading only (fuse_pages.c), so STORE means that they and the node's attributes are stale; RETRIEVE is given what is
 * known of them.
 */
#include "fuse_conn.h"

/* What RETRIEVE gets: a request that has no answer. */
struct retrieved {
	struct fuse_req r;
	struct fuse_notify_retrieve_in in;
	uint8_t data[];
};

/* As the kernel: no more than is known from the offset on without a gap, nor than one WRITE, nor behind the end. */
static int retrieve(struct fuse_conn *c, const struct fuse_notify_retrieve_out *o)
{
	const struct fuse_node *n = fuse_node_find(c, o->nodeid);
	uint32_t size = o->size < c->can.max_write ? o->size : c->can.max_write;
	struct retrieved *a;

	if (!n)
		return -ENOENT;
	if (o->offset >= n->attr.size)
		size = 0;
	else if (size > n->attr.size - o->offset)
		size = (uint32_t)(n->attr.size - o->offset);
	a = heap_alloc(sizeof *a + size);
	if (!a)
		return -ENOMEM;
	size = fuse_pages_copy(c, n, o->offset, a->data, size);
	a->in = (struct fuse_notify_retrieve_in){ .offset = o->offset, .size = size };
	a->r.h = (struct fuse_in_header){
		.len = sizeof a->r.h, .opcode = FUSE_NOTIFY_REPLY, .unique = o->notify_unique, .nodeid = o->nodeid,
	};
	fuse_req_arg(&a->r, &a->in, sizeof a->in);
	fuse_req_arg(&a->r, a->data, size);
	fuse_queue(c, &a->r);
	return 0;
}

static int inval_inode(struct fuse_conn *c, uint64_t nodeid)
{
	struct fuse_node *n = fuse_node_find(c, nodeid);

	if (!n)
		return -ENOENT;
	fuse_node_changed(c, n);
	n->size_until = 0;
	fuse_pages_forget(c, n);
	return 0;
}

/* child != 0: only if the name leads there, and then it is known to be gone. */
static int inval_entry(struct fuse_conn *c, uint64_t parent, const uint8_t *name, uint32_t len, uint64_t child)
{
	struct fuse_node *dir = fuse_node_find(c, parent);
	struct fuse_name *e;

	if (!fuse_name_ok((const char *)name, len))
		return -EINVAL;
	if (!dir)
		return -ENOENT;
	fuse_node_changed(c, dir);
	e = fuse_name_find(c, dir, (const char *)name, len);
	if (!e)
		return -ENOENT;
	if (e->node)
		fuse_node_changed(c, e->node);
	e->until = 0;
	fuse_dcache_name(c, e);
	if (!child)
		return 0;
	if (!e->node || e->node->nodeid != child)
		return -ENOENT;
	fuse_name_drop(c, e);
	return 0;
}

/* Behind its head a message holds exactly a name and a zero. */
static int name_verdict(size_t len, size_t head, uint32_t namelen)
{
	if (namelen > UM_NAME_MOST)
		return -ENAMETOOLONG;
	return len == head + namelen + 1 ? 0 : -EINVAL;
}

static int notify_entry(struct fuse_conn *c, const uint8_t *data, size_t len)
{
	struct fuse_notify_inval_entry_out o;
	int r;

	if (len < sizeof o)
		return -EINVAL;
	memcpy(&o, data, sizeof o);
	r = name_verdict(len, sizeof o, o.namelen);
	return r ? r : inval_entry(c, o.parent, data + sizeof o, o.namelen, 0);
}

static int notify_delete(struct fuse_conn *c, const uint8_t *data, size_t len)
{
	struct fuse_notify_delete_out o;
	int r;

	if (len < sizeof o)
		return -EINVAL;
	memcpy(&o, data, sizeof o);
	r = name_verdict(len, sizeof o, o.namelen);
	if (!r && !o.child)
		r = -EINVAL;
	return r ? r : inval_entry(c, o.parent, data + sizeof o, o.namelen, o.child);
}

int fuse_notify(struct fuse_conn *c, int code, const uint8_t *data, size_t len)
{
	struct fuse_notify_inval_inode_out inode;
	struct fuse_notify_retrieve_out wanted;
	struct fuse_notify_store_out store;

	switch (code) {
	case FUSE_NOTIFY_POLL:
		if (len != sizeof(struct fuse_notify_poll_wakeup_out))
			return -EINVAL;
		fuse_poll_wake(c);
		return 0;
	case FUSE_NOTIFY_INVAL_INODE:
		if (len != sizeof inode)
			return -EINVAL;
		memcpy(&inode, data, sizeof inode);
		return inval_inode(c, inode.ino);
	case FUSE_NOTIFY_INVAL_ENTRY:
		return notify_entry(c, data, len);
	case FUSE_NOTIFY_DELETE:
		return notify_delete(c, data, len);
	case FUSE_NOTIFY_STORE:
		if (len < sizeof store)
			return -EINVAL;
		memcpy(&store, data, sizeof store);
		return len - sizeof store == store.size ? inval_inode(c, store.nodeid) : -EINVAL;
	case FUSE_NOTIFY_RETRIEVE:
		if (len != sizeof wanted)
			return -EINVAL;
		memcpy(&wanted, data, sizeof wanted);
		return retrieve(c, &wanted);
	default:
		return -EINVAL;
	}
}
