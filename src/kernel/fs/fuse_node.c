/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nodes and names.
 *
 * A node stands for a file the server has told us of by a node id.  The server counts how often it told
 * us (nlookup) and may forget the file only when we have given the whole count back, which happens when
 * the node is freed: when no name leads to it and nobody pins it.
 *
 * A name is a directory entry: (directory, name) leads to a node, or to nothing, until the server's
 * time-out; after that it is asked again.  Expired names stay, for they also tell where a node is
 * (UM_OP_PATHOF).  Names pin their directory.  There are at most FUSE_NAMES_MAX; the least recently used
 * ones go first, unless something below or open pins their node.
 *
 * Attributes carry two times: all of them may be used until attr_until, the size until size_until, since
 * our own writes change the former unforeseeably (mtime, blocks) and the latter in a way that is good enough to
 * append.  Reading makes the access time stale, which only stat(2) minds.
 */
#include <linux/stat.h>
#include "fuse_conn.h"

/* ---- nodes ------------------------------------------------------------------------------------------ */

static struct fuse_node **node_chain(struct fuse_conn *c, uint64_t nodeid)
{
	return &c->nodes[(nodeid * 0x9e3779b97f4a7c15ull) >> 32 & (FUSE_HASH - 1)];
}

static void node_hash(struct fuse_conn *c, struct fuse_node *n)
{
	struct fuse_node **chain = node_chain(c, n->nodeid);

	n->chain = *chain;
	*chain = n;
	n->hashed = true;
}

static void node_unhash(struct fuse_conn *c, struct fuse_node *n)
{
	if (!n->hashed)
		return;
	for (struct fuse_node **p = node_chain(c, n->nodeid); *p; p = &(*p)->chain) {
		if (*p == n) {
			*p = n->chain;
			break;
		}
	}
	n->hashed = false;
	fuse_dcache_node(c, n);
}

void fuse_nodes_init(struct fuse_conn *c)
{
	c->root.nodeid = FUSE_ROOT_ID;
	c->root.pins = 1;
	c->names_max = FUSE_NAMES_MAX;
	c->root.attr.mode = __atomic_load_n(&c->shm->rootmode, __ATOMIC_RELAXED) & S_IFMT;
	if (!c->root.attr.mode)
		c->root.attr.mode = S_IFDIR;
	node_hash(c, &c->root);
}

struct fuse_node *fuse_node_find(struct fuse_conn *c, uint64_t nodeid)
{
	struct fuse_node *n = *node_chain(c, nodeid);

	while (n && n->nodeid != nodeid)
		n = n->chain;
	return n;
}

static void node_maybe_free(struct fuse_conn *c, struct fuse_node *n)
{
	if (n->pins || n->names)
		return;
	fuse_clients_know(c, n);
	if (n->pins)
		return;		/* some have it open */
	node_unhash(c, n);
	if (n->nlookup)
		fuse_send_forget(c, n->nodeid, n->nlookup);
	fuse_dir_forget(c, n);
	heap_free(n->was);
	heap_free(n);
}

void fuse_node_unpin(struct fuse_conn *c, struct fuse_node *n)
{
	n->pins--;
	node_maybe_free(c, n);
}

/* Whoever holds it keeps it, but it cannot be found any more. */
void fuse_node_bad(struct fuse_conn *c, struct fuse_node *n)
{
	if (n == &c->root)
		return;
	fuse_clients_know(c, n);
	n->bad = true;
	c->bad_open |= n->nopen > 0;
	node_unhash(c, n);
	for (const struct fuse_name *e = n->names; e; e = e->sibling)
		fuse_dcache_drop_name(c, e);
	if (fuse_node_is(n, S_IFDIR))
		fuse_dcache_drop_directory(c, n);
}

void fuse_node_changed(struct fuse_conn *c, struct fuse_node *n)
{
	n->changed = ++c->version;
	if (fuse_node_is(n, S_IFDIR) && n->opens_shown) {	/* its listing is not what it was */
		n->opens_shown = false;
		n->contents = ++c->contents;
	}
	fuse_node_stale(c, n);
}

void fuse_node_stale(struct fuse_conn *c, struct fuse_node *n)
{
	n->attr_until = 0;
	n->lacks = 0;
	fuse_dcache_node(c, n);
}

/*
 * libfuse goes on to have a file that is open, by another name, and changes the directory when it is closed.  Who lets attributes be valid
 * for a short time need not mind.
 */
void fuse_node_lingers(struct fuse_conn *c, struct fuse_node *n, struct fuse_node *dir)
{
	if (!n->nopen || n->lingers || fuse_node_is(n, S_IFDIR) || !fuse_is_alone(c))
		return;
	n->lingers = fuse_node_pin(dir);
}

void fuse_node_closed(struct fuse_conn *c, struct fuse_node *n)
{
	struct fuse_node *dir = n->lingers;

	n->lingers = NULL;
	if (!dir)
		return;
	fuse_node_changed(c, dir);
	fuse_node_unpin(c, dir);
}

void fuse_node_read(struct fuse_conn *c, struct fuse_node *n)
{
	n->atime_stale = true;
	fuse_dcache_node(c, n);
}

static int node_attr(struct fuse_conn *c, struct fuse_node *n, const struct fuse_attr *a, uint64_t until, uint64_t version)
{
	if (!fuse_attr_ok(a))
		return -EIO;
	if ((n->attr.mode ^ a->mode) & S_IFMT) {
		fuse_node_bad(c, n);
		return -EIO;
	}
	if (n->changed > version)
		return 0;	/* said before we changed it */
	if (!fuse_is_alone(c) && (n->attr.size != a->size || n->attr.mtime != a->mtime || n->attr.mtimensec != a->mtimensec))
		n->contents = ++c->contents;
	n->attr = *a;
	n->attr_until = n->size_until = until;
	n->atime_stale = false;
	fuse_dcache_node(c, n);
	return 0;
}

int fuse_node_told(struct fuse_job *j, struct fuse_node *n, const struct fuse_attr_out *out, uint64_t version)
{
	int err = node_attr(j->c, n, &out->attr, fuse_attr_until(j, &out->attr, out->attr_valid, out->attr_valid_nsec), version);

	if (!n->names && n != &j->c->root)
		fuse_node_stale(j->c, n);
	return err;
}

struct fuse_node *fuse_node_get(struct fuse_job *j, const struct fuse_entry_out *e, uint64_t version)
{
	struct fuse_conn *c = j->c;
	struct fuse_node *n = fuse_node_find(c, e->nodeid);

	if (n && (n->generation != e->generation || (n->attr.mode ^ e->attr.mode) & S_IFMT)) {
		fuse_node_bad(c, n);
		n = NULL;
	}
	if (!n) {
		n = heap_alloc(sizeof *n);
		if (!n) {
			fuse_send_forget(c, e->nodeid, 1);
			return NULL;
		}
		n->nodeid = e->nodeid;
		n->generation = e->generation;
		n->attr = e->attr;
		n->contents = ++c->contents;
		n->unshown = c->bad_open && fuse_handle_on(c, e->nodeid);
		node_hash(c, n);
	}
	n->pins++;
	n->nlookup++;
	if (n->changed <= version)
		n->removed = false;
	node_attr(c, n, &e->attr, fuse_attr_until(j, &e->attr, e->attr_valid, e->attr_valid_nsec), version);
	return n;
}

/* ---- names ------------------------------------------------------------------------------------------ */

static uint32_t name_hash(const struct fuse_node *dir, const char *name, size_t len)
{
	uint32_t h = um_path_hash(name, (uint32_t)len);

	return h ^ (uint32_t)((uintptr_t)dir >> 4) * 0x9e3779b1u;
}

static struct fuse_name **name_chain(struct fuse_conn *c, uint32_t hash)
{
	return &c->names[(hash ^ hash >> 16) & (FUSE_HASH - 1)];
}

static void lru_out(struct fuse_conn *c, struct fuse_name *e)
{
	*(e->older ? &e->older->newer : &c->oldest) = e->newer;
	*(e->newer ? &e->newer->older : &c->newest) = e->older;
}

static void lru_in(struct fuse_conn *c, struct fuse_name *e)
{
	e->newer = NULL;
	e->older = c->newest;
	*(e->older ? &e->older->newer : &c->oldest) = e;
	c->newest = e;
}

struct fuse_name *fuse_name_find(struct fuse_conn *c, struct fuse_node *dir, const char *name, size_t len)
{
	uint32_t hash = name_hash(dir, name, len);

	for (struct fuse_name *e = *name_chain(c, hash); e; e = e->chain) {
		if (e->hash != hash || e->parent != dir || e->len != len || memcmp(e->name, name, len))
			continue;
		if (e != c->newest) {
			lru_out(c, e);
			lru_in(c, e);
		}
		return e;
	}
	return NULL;
}

/* Takes the name off its node, which may be the last thing that kept the node. */
static void name_detach(struct fuse_conn *c, struct fuse_name *e)
{
	struct fuse_node *n = e->node;

	if (!n)
		return;
	for (struct fuse_name **p = &n->names; *p; p = &(*p)->sibling) {
		if (*p == e) {
			*p = e->sibling;
			break;
		}
	}
	e->node = NULL;
	node_maybe_free(c, n);
}

/* An open file loses its last name, perhaps for good: /proc goes on to show its path. */
static void remember_path(const struct fuse_conn *c, struct fuse_node *n)
{
	char *path = heap_alloc(FUSE_PATH_ROOM);
	long len = path ? fuse_node_path(c, n, path, FUSE_PATH_ROOM) : -ENOMEM;

	heap_free(n->was);
	n->was = len < 0 ? NULL : heap_strndup(path, (size_t)len);
	heap_free(path);
}

void fuse_name_drop(struct fuse_conn *c, struct fuse_name *e)
{
	struct fuse_name **p = name_chain(c, e->hash);

	if (e->node && e->node->nopen && e->node->names == e && !e->sibling)
		remember_path(c, e->node);
	fuse_dcache_drop_name(c, e);
	while (*p != e)
		p = &(*p)->chain;
	*p = e->chain;
	lru_out(c, e);
	c->nnames--;
	name_detach(c, e);
	fuse_node_unpin(c, e->parent);
	heap_free(e);
}

void fuse_name_drop_at(struct fuse_conn *c, struct fuse_node *dir, const char *name, size_t len)
{
	struct fuse_name *e = fuse_name_find(c, dir, name, len);

	if (e)
		fuse_name_drop(c, e);
}

/* Room for one more: drops the oldest that nobody needs.  Looks at a few only: it is a limit for memory.  What still exists may be forgotten later. */
static void names_trim(struct fuse_conn *c)
{
	const bool first = c->forgets_first;

	for (int i = 0; i < 32 && c->nnames >= c->names_max; i++) {
		struct fuse_name *e = c->oldest;

		if (e->node && !e->node->pins)
			fuse_clients_know(c, e->node);
		if (!e->node || !e->node->pins) {
			fuse_name_drop(c, e);
			continue;
		}
		lru_out(c, e);
		lru_in(c, e);
	}
	c->forgets_first = first;
}

static void name_attach(struct fuse_conn *c, struct fuse_name *e, struct fuse_node *node)
{
	if (fuse_node_is(node, S_IFDIR) && node->names)		/* directories have one name */
		fuse_name_drop(c, node->names);
	e->node = node;
	e->sibling = node->names;
	node->names = e;
}

static struct fuse_name *name_new(struct fuse_conn *c, struct fuse_node *dir, const char *name, size_t len)
{
	struct fuse_name *e, **chain;

	names_trim(c);
	e = heap_alloc(sizeof *e + len + 1);
	if (!e)
		return NULL;
	memcpy(e->name, name, len);
	e->len = (uint32_t)len;
	e->hash = name_hash(dir, name, len);
	e->parent = fuse_node_pin(dir);
	chain = name_chain(c, e->hash);
	e->chain = *chain;
	*chain = e;
	lru_in(c, e);
	c->nnames++;
	return e;
}

/* The caller has pinned dir and node.  Without memory the name is simply not remembered. */
void fuse_name_set(struct fuse_conn *c, struct fuse_node *dir, const char *name, size_t len,
		   struct fuse_node *node, uint64_t until)
{
	struct fuse_name *e = fuse_name_find(c, dir, name, len);
	bool is_new;

	if (e && (e->node != node || (!node && !until))) {
		fuse_name_drop(c, e);
		e = NULL;
	}
	if (!node && !until)
		return;
	if (node && fuse_node_is(node, S_IFDIR) && fuse_node_below(dir, node))
		return;		/* a loop of directories: the tree stays one */
	is_new = !e;
	if (is_new) {
		e = name_new(c, dir, name, len);
		if (!e)
			return;
		if (node)
			name_attach(c, e, node);
	}
	e->until = until;
	fuse_dcache_name(c, e);
	if (is_new && node && dir->opens_shown && dir->untyped && !--dir->untyped)
		fuse_dir_show(c, dir);		/* with what is known of all its names now */
}

bool fuse_node_below(const struct fuse_node *n, const struct fuse_node *top)
{
	while (n != top) {
		if (!n->names)
			return false;
		n = n->names->parent;
	}
	return true;
}

/* Built from its end.  Returns the length without the NUL. */
long fuse_node_path(const struct fuse_conn *c, const struct fuse_node *n, char *buf, size_t size)
{
	size_t at = size - 1;

	if (n != &c->root && !n->names)
		return -ENOENT;
	for (; n != &c->root; n = n->names->parent) {
		const struct fuse_name *e = n->names;

		if (!e)
			return -ENOENT;
		if (e->len + 1 > at)
			return -ENAMETOOLONG;
		at -= e->len;
		memcpy(buf + at, e->name, e->len);
		buf[--at] = '/';
	}
	if (at == size - 1)
		buf[--at] = '/';
	memmove(buf, buf + at, size - 1 - at);
	buf[size - 1 - at] = 0;
	return (long)(size - 1 - at);
}

void fuse_nodes_free(struct fuse_conn *c)
{
	while (c->oldest)
		fuse_name_drop(c, c->oldest);
	fuse_dir_forget(c, &c->root);
}
