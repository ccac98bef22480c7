/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contents that clients read without asking: wire/pages.h.
 *
 * What a READ has brought is put here (fuse_pages_fill), unless the file was changed since it was sent.  What is written goes out
 * (fuse_pages_drop); whatever else may have changed contents gives the node a new number, and with that all its pages are nobody's
 * (fuse_pages_forget).  Offsets of open files are in shared memory, too, where the file has an entry there.
 *
 * All of it runs with fuse_lock held.
 */
#include <linux/stat.h>
#include <linux/sysinfo.h>
#include "fuse_conn.h"
#include "../../wire/pages.h"

/* The page of that place in the file, or NULL; with `make` one that it may have. */
static struct um_page *page_find(struct fuse_conn *c, const struct fuse_node *n, uint64_t index, bool make)
{
	struct um_page *set = c->pages->page + um_page_set(n->nodeid, index, c->shm->pages), *unused = NULL;

	for (unsigned i = 0; i < UM_DCACHE_WAYS; i++) {
		if (set[i].nodeid == n->nodeid && set[i].index == index)
			return &set[i];
		if (!set[i].nodeid)
			unused = &set[i];
	}
	if (!make)
		return NULL;
	return unused ? unused : &set[c->pages_turn++ % UM_DCACHE_WAYS];
}

/* How many there are: a 64th of what memory there is, since nobody takes them back while the mount lives. */
#define SHARE		64u
#define LEAST		2048u

void fuse_pages_init(struct fuse_conn *c)
{
	struct sysinfo s = { .mem_unit = 1 };
	uint64_t most;
	uint32_t n = LEAST;

	raw_syscall(__NR_sysinfo, &s);
	most = (uint64_t)s.totalram * (s.mem_unit ? s.mem_unit : 1) / SHARE / UM_PAGE_SIZE;
	while (n < UM_PAGES && 2 * n <= most)
		n *= 2;
	__atomic_store_n(&c->shm->pages, n, __ATOMIC_RELEASE);
}

uint64_t fuse_pages_most(const struct fuse_conn *c)
{
	return (uint64_t)c->shm->pages * UM_PAGE_SIZE / 8;
}

static void page_put(struct fuse_conn *c, const struct fuse_node *n, uint64_t index, const uint8_t *data, uint32_t len)
{
	struct um_page *p = page_find(c, n, index, true);

	um_entry_open(&p->seq);
	memcpy(c->pages->data[p - c->pages->page], data, len);
	__atomic_store_n(&p->len, len, __ATOMIC_RELAXED);
	__atomic_store_n(&p->nodeid, n->nodeid, __ATOMIC_RELAXED);
	__atomic_store_n(&p->index, index, __ATOMIC_RELAXED);
	__atomic_store_n(&p->contents, n->contents, __ATOMIC_RELAXED);
	um_entry_close(&p->seq);
}

void fuse_pages_fill(struct fuse_conn *c, struct fuse_node *n, uint64_t offset, const uint8_t *data, uint32_t len, uint64_t version)
{
	if (!c->pages || n->bad || !n->hashed || n->changed > version || offset % UM_PAGE_SIZE)
		return;
	while (len) {
		uint32_t part = len < UM_PAGE_SIZE ? len : UM_PAGE_SIZE;

		if (part < UM_PAGE_SIZE && (n->attr_until <= fuse_now() || offset + part != n->attr.size))
			return;			/* neither a page nor the end */
		page_put(c, n, offset / UM_PAGE_SIZE, data, part);
		offset += part;
		data += part;
		len -= part;
	}
}

uint32_t fuse_pages_copy(struct fuse_conn *c, const struct fuse_node *n, uint64_t offset, uint8_t *to, uint32_t size)
{
	uint32_t done = 0;

	while (c->pages && done < size) {
		const uint32_t from = (uint32_t)((offset + done) % UM_PAGE_SIZE), most = size - done;
		const struct um_page *p = page_find(c, n, (offset + done) / UM_PAGE_SIZE, false);
		uint32_t part;

		if (!p || p->contents != n->contents || p->len <= from)
			break;
		part = p->len - from < most ? p->len - from : most;
		memcpy(to + done, c->pages->data[p - c->pages->page] + from, part);
		done += part;
	}
	return done;
}

void fuse_pages_list(struct fuse_conn *c, const struct fuse_node *n, const uint8_t *data, uint32_t len)
{
	for (uint32_t at = 0; at < len; at += UM_PAGE_SIZE)
		page_put(c, n, at / UM_PAGE_SIZE, data + at, len - at < UM_PAGE_SIZE ? len - at : UM_PAGE_SIZE);
}

void fuse_pages_drop(struct fuse_conn *c, struct fuse_node *n, uint64_t offset, uint64_t len)
{
	const uint64_t last = (offset + len - 1) / UM_PAGE_SIZE;

	if (!c->pages || !len)
		return;
	for (uint64_t i = offset / UM_PAGE_SIZE; i <= last; i++) {
		struct um_page *p = page_find(c, n, i, false);

		if (!p)
			continue;
		um_entry_open(&p->seq);
		__atomic_store_n(&p->nodeid, 0, __ATOMIC_RELAXED);
		um_entry_close(&p->seq);
	}
}

void fuse_pages_forget(struct fuse_conn *c, struct fuse_node *n)
{
	n->contents = ++c->contents;
	fuse_dcache_node(c, n);
}

/* ---- offsets --------------------------------------------------------------------------------------------- */

/* May its contents be read without asking?  The server has the last word: FOPEN_*. */
static bool is_readable(const struct fuse_conn *c, const struct fuse_handle *h)
{
	const uint32_t mode = h->open_flags & O_ACCMODE;

	if (h->is_dir)
		return fuse_is_alone(c) && !(h->open_flags & O_PATH);
	return fuse_node_is(h->node, S_IFREG) && (mode == O_RDONLY || mode == O_RDWR) && !(h->open_flags & (O_PATH | O_DIRECT)) &&
	       !(h->fopen & FUSE_NO_PAGES);
}

void fuse_offset_share(struct fuse_conn *c, struct fuse_handle *h)
{
	struct um_open *o = c->opens ? um_open_of(c->opens, h->number) : NULL;

	if (!o || o->handle || !is_readable(c, h))
		return;
	__atomic_store_n(&o->flags, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&o->node, h->node->nodeid, __ATOMIC_RELAXED);
	__atomic_store_n(&o->offset, h->offset, __ATOMIC_RELAXED);
	__atomic_store_n(&o->handle, h->number, __ATOMIC_RELEASE);
	h->shared = o;
}

void fuse_offset_unshare(const struct fuse_conn *c, struct fuse_handle *h)
{
	if (h->shared && !c->leaving && h->number & UM_HANDLE_CLIENT)
		fuse_client_gone(h);
	else if (h->shared && !c->leaving)
		__atomic_store_n(&h->shared->handle, 0, __ATOMIC_RELEASE);
	h->shared = NULL;
}

/* What is there is what a client has put there: it is an offset, whatever it is. */
uint64_t fuse_offset_take(struct fuse_handle *h)
{
	if (!h->shared)
		return h->offset;
	return __atomic_fetch_or(&h->shared->offset, UM_OPEN_BUSY, __ATOMIC_ACQ_REL) & ~UM_OPEN_BUSY;
}

void fuse_offset_put(struct fuse_handle *h, uint64_t offset)
{
	h->offset = offset;
	if (!h->shared)
		return;
	__atomic_fetch_and(&h->shared->flags, ~UM_OPEN_END, __ATOMIC_RELAXED);
	__atomic_store_n(&h->shared->offset, offset, __ATOMIC_RELEASE);
}

uint64_t fuse_offset_look(const struct fuse_handle *h)
{
	return h->shared ? __atomic_load_n(&h->shared->offset, __ATOMIC_ACQUIRE) & ~UM_OPEN_BUSY : h->offset;
}

bool fuse_offset_closed(const struct fuse_handle *h)
{
	return h->shared && __atomic_load_n(&h->shared->flags, __ATOMIC_ACQUIRE) & UM_OPEN_CLOSED;
}

bool fuse_offset_ended(const struct fuse_handle *h)
{
	return h->shared && h->is_dir && __atomic_load_n(&h->shared->flags, __ATOMIC_ACQUIRE) & UM_OPEN_END && fuse_offset_look(h);
}
