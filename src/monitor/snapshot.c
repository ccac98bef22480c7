/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots of views: what guests read.
 *
 * Every change of a view writes a complete new snapshot into the next place of the view's ring and publishes
 * it with one store: readers see the old table or the new one.  The version, twice of which is the snapshot's
 * `seq`, only grows, so `seq` also names a state of the view for whoever caches.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define DEV_MINOR_BASE	0x80000u	/* far above the anonymous devices of a kernel */
#define DEV_MINOR_MASK	0x7ffffu

struct layout {
	struct um_hash *hash;	/* private copy */
	uint32_t hash_size, used;
};

static uint32_t power_of_two_above(uint32_t n)
{
	uint32_t p = 4;
	while (p < n)
		p *= 2;
	return p;
}

/* The entry of a path in the table: its own, or the empty one where it belongs.  `text` is where the
 * path of a string offset can be read. */
static struct um_hash *hash_place(struct layout *l, const char *text, const char *path, uint32_t len)
{
	uint32_t key = um_path_hash(path, len);

	for (uint32_t i = key & (l->hash_size - 1);; i = (i + 1) & (l->hash_size - 1)) {
		struct um_hash *h = &l->hash[i];
		if (!h->path)
			return h;
		if (h->key == key && h->path_len == len && !memcmp(text + h->path, path, len))
			return h;
	}
}

/* Enters a path; returns the mount that was noted there (1 + index) and notes `mount` unless 0. */
static uint32_t hash_enter(struct layout *l, const char *text, uint32_t offset, uint32_t len, uint32_t mount)
{
	struct um_hash *h = hash_place(l, text, text + offset, len);
	uint32_t before = h->mount;

	if (!h->path) {
		*h = (struct um_hash) { um_path_hash(text + offset, len), offset, len, 0 };
		l->used++;
	}
	if (mount)
		h->mount = mount;
	return before;
}

/* Enters a mount point and all its ancestors. */
static uint32_t hash_enter_mount(struct layout *l, const char *text, const struct um_mount *m, uint32_t mount)
{
	const char *path = text + m->path;

	for (uint32_t n = 1; n < m->path_len; n++)
		if (path[n] == '/')
			hash_enter(l, text, m->path, n, 0);
	if (m->path_len > 1)
		hash_enter(l, text, m->path, 1, 0);
	return hash_enter(l, text, m->path, m->path_len, mount);
}

static uint32_t names_of(const char *path)
{
	uint32_t n = 1;
	for (; *path; path++)
		n += *path == '/';
	return n;
}

static size_t strings_of(const struct mount_rec *m)
{
	return strlen(m->path) + strlen(m->source) + strlen(m->fstype) + strlen(m->options) +
	       strlen(m->target) + 5;
}

static uint32_t put_string(char *base, uint32_t *at, const char *s)
{
	uint32_t offset = *at;
	size_t n = strlen(s) + 1;

	memcpy(base + offset, s, n);
	*at += (uint32_t)n;
	return offset;
}

static void put_mount(char *base, uint32_t *at, struct um_mount *to, const struct mount_rec *m)
{
	*to = (struct um_mount) {
		.id = m->id, .rank = m->rank, .kind = m->kind, .server = m->server, .flags = m->flags, .view = m->view,
		.is_dir = m->is_dir, .epoch = m->epoch ? m->epoch : m->id, .dev_minor = DEV_MINOR_BASE | (m->id & DEV_MINOR_MASK),
	};
	to->path_len = (uint32_t)strlen(m->path);
	to->path = put_string(base, at, m->path);
	to->source = put_string(base, at, m->source);
	to->fstype = put_string(base, at, m->fstype);
	to->options = put_string(base, at, m->options);
	to->target = put_string(base, at, m->target);
}

/* Makes the table in private memory, in a size that surely is enough. */
static int hash_build(struct layout *l, const char *text, struct um_mount *m, uint32_t n, uint32_t names)
{
	free(l->hash);
	l->used = 0;
	l->hash_size = power_of_two_above(2 * names);
	l->hash = calloc(l->hash_size, sizeof(*l->hash));
	if (!l->hash)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		m[i].below = hash_enter_mount(l, text, &m[i], i + 1);
	return 0;
}

/* The table of a view: first for all names of all paths, then as small as what they share allows. */
static int layout_hash(struct layout *l, const char *text, struct um_mount *m, const struct view *v)
{
	uint32_t names = 0;

	if (!v->nmounts)
		return 0;
	for (uint32_t i = 0; i < v->nmounts; i++)
		names += names_of(v->mounts[i]->path);
	int r = hash_build(l, text, m, v->nmounts, names);
	return r < 0 ? r : hash_build(l, text, m, v->nmounts, l->used);
}

/* Writes the snapshot's body, at most `limit` bytes, or -ENOSPC (nothing that is valid was touched). */
static int snapshot_write(struct um_snapshot *s, uint32_t limit, const struct view *v, struct layout *l)
{
	char *base = (char *)s;
	struct um_mount *m = (struct um_mount *)(s + 1);
	size_t size = sizeof(*s) + v->nmounts * sizeof(*m);
	uint32_t at = (uint32_t)size;

	for (uint32_t i = 0; i < v->nmounts; i++)
		size += strings_of(v->mounts[i]);
	if (size > limit)
		return -ENOSPC;
	s->kinds = s->oldest = 0;
	for (uint32_t i = 0; i < v->nmounts; i++) {
		const struct mount_rec *rec = v->mounts[i];
		put_mount(base, &at, &m[i], rec);
		s->kinds |= 1u << rec->kind;
		if (rec->flags & UM_MNT_MERGE)
			s->kinds |= 1u << UM_MOUNT_MERGE;
		if (!s->oldest || rec->id < s->oldest)
			s->oldest = rec->id;
	}
	int r = layout_hash(l, base, m, v);
	if (r < 0)
		return r;
	uint32_t hash = (at + 15) & ~15u;
	if (hash + l->hash_size * sizeof(*l->hash) > limit)
		return -ENOSPC;
	if (l->hash_size)
		memcpy(base + hash, l->hash, l->hash_size * sizeof(*l->hash));
	s->nmounts = v->nmounts;
	s->mounts = sizeof(*s);
	s->strings = (uint32_t)(sizeof(*s) + v->nmounts * sizeof(*m));
	s->hash = hash;
	s->hash_size = l->hash_size;
	s->size = hash + l->hash_size * (uint32_t)sizeof(*l->hash);
	return 0;
}

/* What readers of a path want to know of the whole table, without looking at it. */
static void announce(struct um_view_slot *slot, uint32_t kinds, uint32_t oldest)
{
	__atomic_store_n(&slot->kinds, kinds, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->oldest, oldest, __ATOMIC_SEQ_CST);
}

/* Of two ids, of which 0 is none. */
static uint32_t older(uint32_t a, uint32_t b)
{
	return !a || (b && b < a) ? b : a;
}

/* Writes and publishes the next snapshot of one ring: 0, or -ENOSPC when it is too small for the view. */
static int publish_in(struct view *v, uint32_t ring)
{
	uint32_t k = ring + (v->published[ring != 0] + 1) % UM_RING;
	struct um_snapshot *s = (struct um_snapshot *)((char *)v->slot + um_snapshot_at(k));
	struct layout l = { 0 };

	__atomic_store_n(&s->seq, 2 * v->version + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	int r = snapshot_write(s, um_snapshot_limit(k), v, &l);
	free(l.hash);
	if (r < 0)
		return r;
	v->published[ring != 0] = k - ring;
	v->version++;
	__atomic_store_n(&s->seq, 2 * v->version, __ATOMIC_RELEASE);
	announce(v->slot, v->slot->kinds | s->kinds, older(v->slot->oldest, s->oldest));
	__atomic_store_n(&v->slot->current, k, __ATOMIC_RELEASE);
	announce(v->slot, s->kinds, s->oldest);
	__atomic_store_n(&v->slot->seq, s->seq, __ATOMIC_RELEASE);
	return 0;
}

int view_publish(struct view *v)
{
	int r = publish_in(v, 0);
	return r == -ENOSPC ? publish_in(v, UM_RING) : r;
}
