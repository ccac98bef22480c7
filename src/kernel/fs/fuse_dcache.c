/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names and attributes that clients find without asking: wire/dcache.h.
 *
 * Nothing is kept here that is not in the tables of fuse_node.c, which call this whenever what they hold becomes valid, another, or
 * invalid.  All of it runs with fuse_lock held, so there is one writer.
 */
#include <linux/stat.h>
#include "fuse_conn.h"
#include "../../wire/dcache.h"

/* ---- an entry -------------------------------------------------------------------------------------------- */

/* `size` is a multiple of 8; others may be reading. */
static void words_store(void *to, const void *from, size_t size)
{
	uint64_t word;

	for (size_t i = 0; i < size; i += 8) {
		memcpy(&word, (const char *)from + i, 8);
		__atomic_store_n((uint64_t *)((char *)to + i), word, __ATOMIC_RELAXED);
	}
}

/* ---- attributes ------------------------------------------------------------------------------------------ */

/* The node's entry, or NULL; with `make` one that it may have. */
static struct um_dcache_node *node_entry(struct fuse_conn *c, uint64_t nodeid, bool make)
{
	struct um_dcache_node *set = c->dcache->nodes + um_dcache_node_set(nodeid), *unused = NULL;

	for (unsigned i = 0; i < UM_DCACHE_WAYS; i++) {
		if (set[i].nodeid == nodeid)
			return &set[i];
		if (!set[i].nodeid)
			unused = &set[i];
	}
	if (!make)
		return NULL;
	return unused ? unused : &set[c->dcache_turn++ % UM_DCACHE_WAYS];
}

static uint32_t flags_of(const struct fuse_node *n)
{
	return (n->atime_stale ? UM_DCACHE_READ : 0) | (n->opens_shown ? UM_DCACHE_OPENS : 0) | n->lacks;
}

void fuse_dcache_node(struct fuse_conn *c, const struct fuse_node *n)
{
	const bool valid = n->attr_until && !n->bad && !n->unshown && n->hashed;
	struct um_dcache_node *e = c->dcache ? node_entry(c, n->nodeid, valid) : NULL;
	struct um_attr attr;

	if (!e)
		return;
	um_entry_open(&e->seq);
	__atomic_store_n(&e->nodeid, valid ? n->nodeid : 0, __ATOMIC_RELAXED);
	if (valid) {
		fuse_attr_wire(&n->attr, &attr);
		__atomic_store_n(&e->flags, flags_of(n), __ATOMIC_RELAXED);
		__atomic_store_n(&e->until, n->attr_until, __ATOMIC_RELAXED);
		__atomic_store_n(&e->contents, n->contents, __ATOMIC_RELAXED);
		words_store(&e->attr, &attr, sizeof attr);
	}
	um_entry_close(&e->seq);
}

/* ---- names ----------------------------------------------------------------------------------------------- */

static bool is_entry_of(const struct um_dcache_name *d, const struct fuse_name *e, uint32_t hash)
{
	return d->hash == hash && d->parent == e->parent->nodeid && d->len == e->len && !memcmp(d->name, e->name, e->len);
}

static struct um_dcache_name *name_entry(struct fuse_conn *c, const struct fuse_name *e, uint32_t hash, bool make)
{
	struct um_dcache_name *set = c->dcache->names + um_dcache_name_set(hash), *unused = NULL;

	for (unsigned i = 0; i < UM_DCACHE_WAYS; i++) {
		if (is_entry_of(&set[i], e, hash))
			return &set[i];
		if (!set[i].parent)
			unused = &set[i];
	}
	if (!make)
		return NULL;
	return unused ? unused : &set[c->dcache_turn++ % UM_DCACHE_WAYS];
}

static void name_fill(struct um_dcache_name *d, const struct fuse_name *e, uint32_t hash)
{
	char name[UM_DCACHE_NAME_MAX] = { 0 };

	memcpy(name, e->name, e->len);
	__atomic_store_n(&d->hash, hash, __ATOMIC_RELAXED);
	__atomic_store_n(&d->parent, e->parent->nodeid, __ATOMIC_RELAXED);
	__atomic_store_n(&d->node, e->node ? e->node->nodeid : 0, __ATOMIC_RELAXED);
	__atomic_store_n(&d->until, e->until, __ATOMIC_RELAXED);
	__atomic_store_n(&d->type, e->node ? e->node->attr.mode & S_IFMT : 0, __ATOMIC_RELAXED);
	__atomic_store_n(&d->len, e->len, __ATOMIC_RELAXED);
	words_store(d->name, name, sizeof name);
}

static void name_put(struct fuse_conn *c, const struct fuse_name *e, bool valid)
{
	struct um_dcache_name *d;
	uint32_t hash;

	if (!c->dcache || e->len > UM_DCACHE_NAME_MAX)
		return;
	hash = um_dcache_hash(e->parent->nodeid, e->name, e->len);
	d = name_entry(c, e, hash, valid);
	if (!d)
		return;
	um_entry_open(&d->seq);
	if (valid)
		name_fill(d, e, hash);
	else
		__atomic_store_n(&d->parent, 0, __ATOMIC_RELAXED);
	um_entry_close(&d->seq);
}

void fuse_dcache_name(struct fuse_conn *c, const struct fuse_name *e)
{
	const struct fuse_node *dir = e->parent;

	name_put(c, e, e->until && dir->hashed && !dir->removed && !(e->node && !e->node->hashed));
}

void fuse_dcache_drop_name(struct fuse_conn *c, const struct fuse_name *e)
{
	name_put(c, e, false);
}

void fuse_dcache_drop_directory(struct fuse_conn *c, const struct fuse_node *dir)
{
	for (const struct fuse_name *e = c->dcache ? c->oldest : NULL; e; e = e->newer)
		if (e->parent == dir)
			fuse_dcache_drop_name(c, e);
}
