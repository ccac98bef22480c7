/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories as they were read, in a mount whose files nobody else changes (UM_MNT_ALONE; what FOPEN_CACHE_DIR allows the kernel).
 *
 * What a server has answered to READDIR hangs on the directory's node, by the offset that was asked for, until something in the
 * directory is changed (node.changed).  Who opens a directory that is known to its end needs no OPENDIR, until he asks for what is not there:
 * then it is sent (fuse_late_open).
 *
 * Offsets mean something only within one reading: libfuse counts in a listing that it makes when a reading begins.  So who
 * has begun with what is known goes on with just that, whatever is changed meanwhile (the handle holds it), and what belongs to
 * a reading that began before a change is not kept.
 *
 * A directory that is known is shown to clients (fuse_dir_show), who list it without asking.
 */
#include <linux/stat.h>
#include "fuse_conn.h"
#include "../../wire/pages.h"

#define ROOM	(8u << 20)		/* bytes of all directories of a mount */

struct fuse_dir_piece {
	struct fuse_dir_piece *next;
	uint64_t offset;
	uint32_t len;
	_Alignas(8) uint8_t data[];	/* struct fuse_dirent records */
};

struct fuse_dir {
	struct fuse_dir_piece *pieces;
	uint64_t at;			/* node.changed then */
	uint32_t users;			/* its node, and handles that read on in it */
	bool whole;			/* from the start to the end */
	bool large;			/* too large to be shown to clients */
};

void fuse_dir_put(struct fuse_conn *c, struct fuse_dir *d)
{
	if (!d || --d->users)
		return;
	while (d->pieces) {
		struct fuse_dir_piece *p = d->pieces;

		d->pieces = p->next;
		c->dir_bytes -= (uint32_t)sizeof *p + p->len;
		heap_free(p);
	}
	heap_free(d);
}

void fuse_dir_forget(struct fuse_conn *c, struct fuse_node *n)
{
	fuse_dir_put(c, n->dir);
	n->dir = NULL;
}

bool fuse_dir_known(const struct fuse_conn *c, const struct fuse_node *n)
{
	return n->dir && n->dir->whole && n->dir->at == n->changed && fuse_is_alone(c);
}

/* Behind which record of that piece does offset lie?  *len: of the rest; NULL: none. */
static const uint8_t *within(const struct fuse_dir_piece *p, uint64_t offset, uint32_t *len)
{
	const struct fuse_dirent *d;
	long size;

	for (uint32_t at = 0; (size = fuse_dirent(p->data + at, p->len - at, false, &d)) > 0; at += (uint32_t)size) {
		if (d->off == offset && at + size < p->len) {
			*len = p->len - at - (uint32_t)size;
			return p->data + at + size;
		}
	}
	return NULL;
}

static const uint8_t *find(const struct fuse_dir *d, uint64_t offset, uint32_t *len)
{
	const uint8_t *data = NULL;

	for (const struct fuse_dir_piece *p = d->pieces; p; p = p->next) {
		if (p->offset == offset) {
			*len = p->len;
			return p->data;
		}
	}
	for (const struct fuse_dir_piece *p = d->pieces; p && !data; p = p->next)
		data = within(p, offset, len);
	return data;
}

const uint8_t *fuse_dir_read(struct fuse_conn *c, struct fuse_handle *h, uint32_t *len)
{
	if (!h->offset) {
		fuse_dir_put(c, h->dir);
		h->dir = fuse_dir_known(c, h->node) ? h->node->dir : NULL;
		if (h->dir)
			h->dir->users++;
	}
	return h->dir ? find(h->dir, h->offset, len) : NULL;
}

/* Does one piece follow the other up to the end? */
static bool is_whole(const struct fuse_dir *d)
{
	uint64_t offset = 0;
	uint32_t len, pieces = 0;

	for (const struct fuse_dir_piece *p = d->pieces; p; p = p->next)
		pieces++;
	while (pieces--) {
		const uint8_t *data = find(d, offset, &len);
		const struct fuse_dirent *e;
		long size;

		if (!data || !len)
			return data;
		for (uint32_t at = 0; (size = fuse_dirent(data + at, len - at, false, &e)) > 0; at += (uint32_t)size)
			offset = e->off;
	}
	return false;
}

/* As clients have it, to `to`: struct um_listing, and the records.  Its size; 0: it is too large.  What kind of file a name is, if we do not know, they look for themselves. */
static uint32_t listing(struct fuse_conn *c, struct fuse_node *n, uint8_t *to)
{
	struct um_listing head = { .last = 0 };
	const uint8_t *data;
	uint32_t len;

	n->untyped = 0;
	while ((data = find(n->dir, head.last, &len)) && len) {
		const struct fuse_dirent *d;
		long size;

		for (uint32_t at = 0; (size = fuse_dirent(data + at, len - at, false, &d)) > 0; at += (uint32_t)size) {
			uint8_t type = fuse_dirent_type(c, n, d);
			uint32_t put = fuse_record(to + sizeof head + head.size, UM_LISTING_MOST - head.size, d, type, 0);

			if (!put) {
				n->dir->large = true;
				return 0;
			}
			n->untyped += !type;
			head.size += put;
			head.last = d->off;
		}
	}
	memcpy(to, &head, sizeof head);
	return data && head.size ? (uint32_t)sizeof head + head.size : 0;
}

bool fuse_dir_show(struct fuse_conn *c, struct fuse_node *n)
{
	uint8_t *to = c->pages && fuse_dir_known(c, n) && !n->dir->large && n->hashed ? heap_alloc(sizeof(struct um_listing) + UM_LISTING_MOST) : NULL;
	uint32_t size = to ? listing(c, n, to) : 0;

	fuse_pages_list(c, n, to, size);
	heap_free(to);
	return size;
}

/* The records without what READDIRPLUS adds to them, to `to`.  Their length. */
static uint32_t plain_records(uint8_t *to, const uint8_t *from, uint32_t len, bool plus)
{
	const struct fuse_dirent *d;
	uint32_t done = 0;
	long size;

	for (uint32_t at = 0; (size = fuse_dirent(from + at, len - at, plus, &d)) > 0; at += (uint32_t)size) {
		uint32_t n = (uint32_t)FUSE_REC_ALIGN(FUSE_NAME_OFFSET + d->namelen);

		memcpy(to + done, d, FUSE_NAME_OFFSET + d->namelen);
		memset(to + done + FUSE_NAME_OFFSET + d->namelen, 0, n - FUSE_NAME_OFFSET - d->namelen);
		done += n;
	}
	return done;
}

/* That of a node, for what is so now; or NULL. */
static struct fuse_dir *dir_of(struct fuse_conn *c, struct fuse_node *n)
{
	if (n->dir && n->dir->at != n->changed)
		fuse_dir_forget(c, n);
	if (!n->dir)
		n->dir = heap_alloc(sizeof *n->dir);
	if (n->dir && !n->dir->users)
		*n->dir = (struct fuse_dir){ .at = n->changed, .users = 1 };
	return n->dir;
}

void fuse_dir_keep(struct fuse_conn *c, struct fuse_handle *h, uint64_t offset, const uint8_t *data, uint32_t len, bool plus)
{
	struct fuse_dir *d = fuse_is_alone(c) && h->began == h->node->changed + 1 ? dir_of(c, h->node) : NULL;
	struct fuse_dir_piece *p;

	if (!d || d->whole || c->dir_bytes + sizeof *p + len > ROOM)
		return;
	p = heap_alloc(sizeof *p + len);
	if (!p)
		return;
	p->offset = offset;
	p->len = plain_records(p->data, data, len, plus);
	p->next = d->pieces;
	d->pieces = p;
	c->dir_bytes += (uint32_t)sizeof *p + p->len;
	d->whole = !p->len && is_whole(d);
}
