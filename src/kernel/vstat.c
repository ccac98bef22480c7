/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of virtual attributes: a hash table in shared memory, chains by index (wire/vstat.h).
 *
 * Writing.  A new or changed record is filled while no chain leads to it, then one store (of a bucket, or of the
 * `next` before it) puts it in the place of the old one, which goes to the free list.  Before anything
 * is touched, the header says which records are in the writer's hands: `taken` comes from the free list, `dropped` goes there.
 *
 * The lock (shared_lock.h) may be taken over from somebody who was killed: then what is on no chain and not free becomes
 * free.
 *
 * Reading.  `seq` of a record grows whenever it is freed or filled, and is odd in between.  A reader goes
 * from link to record, and is right about a record if `seq` was the same before and after, and if, with `seq` known, the link
 * still led there, out of a record that was still the same.  If not, it begins again; only writers that get on make it.
 */
#include "shared_lock.h"
#include "vstat.h"

#define TRIES		100000		/* in a table that is not broken two are many */
#define WORDS		(sizeof(struct vstat) / 8)

/* ---- where things are ------------------------------------------------------------------------------------ */

static uint32_t *bucket_at(const struct vtable *vt, uint32_t b)
{
	return (uint32_t *)((char *)vt->head + UM_VTABLE_BUCKETS_AT) + b;
}

/* Record number n, 1 <= n <= capacity. */
static struct um_vstat_record *record(const struct vtable *vt, uint32_t n)
{
	return (struct um_vstat_record *)((char *)vt->head + um_vtable_records_at(vt->buckets)) + (n - 1);
}

static bool is_record(const struct vtable *vt, uint32_t n)
{
	return n && n <= vt->capacity;
}

static uint64_t hash_of(uint64_t dev, uint64_t ino)
{
	uint64_t h = (ino ^ (dev << 40 | dev >> 24)) * 0x9e3779b97f4a7c15ULL;

	h ^= h >> 29;
	return h * 0xbf58476d1ce4e5b9ULL;
}

static uint32_t bucket_of(const struct vtable *vt, uint64_t hash)
{
	return (uint32_t)(hash >> 32) & (vt->buckets - 1);
}

static uint64_t *filter_word(const struct vtable *vt, uint64_t hash)
{
	return (uint64_t *)((char *)vt->head + UM_VTABLE_FILTER_AT) + (hash >> 12) % UM_VTABLE_FILTER;
}

static uint64_t filter_bits(uint64_t hash)
{
	return 1ULL << (hash & 63) | 1ULL << (hash >> 6 & 63);
}

int vtable_attach(struct vtable *vt, void *base, uint64_t size)
{
	const struct um_vtable *head = base;

	*vt = (struct vtable){ .head = base };
	if (size < sizeof *head || __atomic_load_n(&head->magic, __ATOMIC_ACQUIRE) != UM_VSTAT_MAGIC)
		return -EINVAL;
	vt->capacity = head->capacity;
	vt->buckets = head->buckets;
	if (!vt->capacity || vt->capacity & (vt->capacity - 1) || vt->capacity != vt->buckets ||
	    um_vtable_size(vt->capacity) > size || head->records_at != um_vtable_records_at(vt->buckets))
		return -EINVAL;
	return 0;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

/* Copies that another process may be writing, or reading, meanwhile. */
static void words_copy(uint64_t *to, const uint64_t *from)
{
	for (size_t i = 0; i < WORDS; i++)
		__atomic_store_n(to + i, __atomic_load_n(from + i, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

static bool unchanged(const struct um_vstat_record *r, uint32_t seq)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return !r || __atomic_load_n(&r->seq, __ATOMIC_RELAXED) == seq;
}

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* 1 found, 0 not there, -1 somebody wrote: again. */
static int look(const struct vtable *vt, uint32_t b, uint64_t dev, uint64_t ino, struct vstat *out)
{
	const uint32_t *link = bucket_at(vt, b);
	const struct um_vstat_record *before = NULL;
	uint32_t before_seq = 0;

	for (uint32_t steps = 0; steps <= vt->capacity; steps++) {
		uint32_t n = __atomic_load_n(link, __ATOMIC_ACQUIRE);
		const struct um_vstat_record *r = is_record(vt, n) ? record(vt, n) : NULL;
		uint32_t seq = r ? __atomic_load_n(&r->seq, __ATOMIC_ACQUIRE) : 0;

		if (seq & 1 || __atomic_load_n(link, __ATOMIC_ACQUIRE) != n || !unchanged(before, before_seq))
			return -1;
		if (!r)
			return 0;
		if (load(&r->ino) == ino && load(&r->dev) == dev) {
			words_copy((uint64_t *)out, (const uint64_t *)&r->value);
			return unchanged(r, seq) ? 1 : -1;
		}
		before = r;
		before_seq = seq;
		link = &r->next;
	}
	return 0;
}

/* false: there is no record of this inode. */
static bool may_have(const struct vtable *vt, uint64_t hash)
{
	const uint64_t bits = filter_bits(hash);

	return !vt->head->filter || (__atomic_load_n(filter_word(vt, hash), __ATOMIC_ACQUIRE) & bits) == bits;
}

bool vtable_get(const struct vtable *vt, uint64_t dev, uint64_t ino, struct vstat *out)
{
	const uint64_t hash = hash_of(dev, ino);

	if (vtable_any(vt) && may_have(vt, hash)) {
		uint32_t b = bucket_of(vt, hash);

		for (int i = 0, r; i < TRIES; i++) {
			r = look(vt, b, dev, ino, out);
			if (r > 0)
				return true;
			if (!r)
				break;
		}
	}
	out->have = 0;
	return false;
}

int vtable_each(const struct vtable *vt, int (*fn)(void *arg, uint64_t dev, uint64_t ino, const struct vstat *v),
		void *arg)
{
	uint32_t used = __atomic_load_n(&vt->head->used, __ATOMIC_ACQUIRE);
	int result = 0;

	for (uint32_t n = 1; n <= used && n <= vt->capacity && !result; n++) {
		const struct um_vstat_record *r = record(vt, n);
		uint32_t seq = __atomic_load_n(&r->seq, __ATOMIC_ACQUIRE);
		uint64_t dev = load(&r->dev), ino = load(&r->ino);
		struct vstat v;

		words_copy((uint64_t *)&v, (const uint64_t *)&r->value);
		if (seq && !(seq & 1) && unchanged(r, seq))
			result = fn(arg, dev, ino, &v);
	}
	return result;
}

/* ---- free records ---------------------------------------------------------------------------------------- */

/* Number n, which no chain leads to any more, becomes free. */
static void give_back(struct vtable *vt, uint32_t n)
{
	struct um_vstat_record *r = record(vt, n);

	__atomic_store_n(&r->seq, (r->seq | 1) + (r->seq & 1 ? 2 : 0), __ATOMIC_RELEASE);
	__atomic_store_n(&r->next, vt->head->free, __ATOMIC_RELEASE);
	__atomic_store_n(&vt->head->free, n, __ATOMIC_RELEASE);
}

static bool is_on(const struct vtable *vt, uint32_t first, uint32_t n)
{
	uint32_t at = first;

	for (uint32_t steps = 0; is_record(vt, at) && steps <= vt->capacity; steps++) {
		if (at == n)
			return true;
		at = record(vt, at)->next;
	}
	return false;
}

static uint32_t count(const struct vtable *vt)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i <= vt->head->used && i <= vt->capacity; i++)
		n += record(vt, i)->seq && !(record(vt, i)->seq & 1);
	return n;
}

/* A writer was killed: what it had in its hands and what neither it nor anybody else can reach becomes free. */
static void recover(struct vtable *vt)
{
	struct um_vtable *h = vt->head;
	const uint32_t hands[] = { h->taken, h->dropped };

	for (int i = 0; i < 2; i++)
		if (is_record(vt, hands[i]) && hands[i] <= h->used &&
		    !is_on(vt, *bucket_at(vt, h->bucket & (vt->buckets - 1)), hands[i]) && !is_on(vt, h->free, hands[i]))
			give_back(vt, hands[i]);
	h->taken = h->dropped = 0;
	h->live = count(vt);
}

static void acquire(struct vtable *vt, struct task *t)
{
	if (shared_lock(&vt->head->lock, t))
		recover(vt);
}

static void release(struct vtable *vt)
{
	__atomic_store_n(&vt->head->taken, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&vt->head->dropped, 0, __ATOMIC_RELEASE);
	shared_unlock(&vt->head->lock);
}

/* The number of a record to fill, in our hands; 0: there is none. */
static uint32_t take(struct vtable *vt)
{
	struct um_vtable *h = vt->head;
	uint32_t n = h->free;

	if (is_record(vt, n)) {
		__atomic_store_n(&h->taken, n, __ATOMIC_RELEASE);
		__atomic_store_n(&h->free, record(vt, n)->next, __ATOMIC_RELEASE);
		return n;
	}
	if (h->used >= vt->capacity)
		return 0;
	n = h->used + 1;
	if (vt->grow && n > h->room && vt->grow(vt) < 0)
		return 0;
	__atomic_store_n(&h->taken, n, __ATOMIC_RELEASE);
	__atomic_store_n(&h->used, n, __ATOMIC_RELEASE);
	return n;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

/* The link that leads to the inode's record, or to nothing at the end of its chain. */
static uint32_t *find(const struct vtable *vt, uint32_t b, uint64_t dev, uint64_t ino)
{
	uint32_t *link = bucket_at(vt, b);

	for (uint32_t steps = 0; is_record(vt, *link) && steps <= vt->capacity; steps++) {
		struct um_vstat_record *r = record(vt, *link);

		if (r->ino == ino && r->dev == dev)
			break;
		link = &r->next;
	}
	return link;
}

static void fill(struct um_vstat_record *r, uint32_t next, uint64_t dev, uint64_t ino, const struct vstat *v)
{
	uint32_t seq = r->seq | 1;

	__atomic_store_n(&r->seq, seq, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&r->dev, dev, __ATOMIC_RELAXED);
	__atomic_store_n(&r->ino, ino, __ATOMIC_RELAXED);
	words_copy((uint64_t *)&r->value, (const uint64_t *)v);
	__atomic_store_n(&r->next, next, __ATOMIC_RELEASE);
	__atomic_store_n(&r->seq, seq + 1, __ATOMIC_RELEASE);
}

/* An inode gets its first record. */
static void filter_add(struct vtable *vt, uint64_t dev, uint64_t ino)
{
	const uint64_t hash = hash_of(dev, ino);

	__atomic_fetch_or(filter_word(vt, hash), filter_bits(hash), __ATOMIC_RELEASE);
}

/* There is no record any more: then, and only then, bits go. */
static void filter_clear(struct vtable *vt)
{
	uint64_t *word = filter_word(vt, 0);

	for (uint32_t i = 0; i < UM_VTABLE_FILTER; i++)
		if (__atomic_load_n(word + i, __ATOMIC_RELAXED))
			__atomic_store_n(word + i, 0, __ATOMIC_RELEASE);
}

/* What *link leads to (dev, ino, or nothing) becomes v, or disappears. */
static int replace(struct vtable *vt, uint32_t *link, uint64_t dev, uint64_t ino, const struct vstat *v)
{
	struct um_vtable *h = vt->head;
	uint32_t old = is_record(vt, *link) ? *link : 0, next = old ? record(vt, old)->next : 0, n = 0;

	if (v->have) {
		n = take(vt);
		if (!n)
			return -ENOSPC;
		fill(record(vt, n), next, dev, ino, v);
		filter_add(vt, dev, ino);
	}
	__atomic_store_n(&h->dropped, old, __ATOMIC_RELEASE);
	__atomic_store_n(link, n ? n : next, __ATOMIC_RELEASE);
	h->live += (n != 0) - (old != 0);
	if (old)
		give_back(vt, old);
	if (!h->live)
		filter_clear(vt);
	return 0;
}

static void merge(struct vstat *to, const struct vstat *v, uint32_t mask)
{
	to->have = (to->have & ~mask) | (v->have & mask);
	if (mask & UM_VS_UID)
		to->uid = v->uid;
	if (mask & UM_VS_GID)
		to->gid = v->gid;
	if (mask & UM_VS_MODE)
		to->mode = (to->mode & ~07777u) | (v->mode & 07777);
	if (mask & UM_VS_TYPE)
		to->mode = (to->mode & 07777) | (v->mode & ~07777u);
	if (mask & UM_VS_RDEV)
		to->rdev = v->rdev;
	if (mask & UM_VS_ORIGIN) {
		to->origin_dev = v->origin_dev;
		to->origin_ino = v->origin_ino;
	}
	if (mask & UM_VS_NLINK)
		to->nlink = v->nlink;
	if (mask & UM_VS_FLAGS)
		to->flags = v->flags;
}

static int update(struct vtable *vt, struct task *t, uint64_t dev, uint64_t ino, const struct vstat *v,
		  uint32_t mask, int32_t nlink)
{
	struct um_vtable *h = vt->head;
	uint32_t b = bucket_of(vt, hash_of(dev, ino));
	struct vstat now = { 0 };
	int r = 0;

	acquire(vt, t);
	__atomic_store_n(&h->bucket, b, __ATOMIC_RELEASE);
	uint32_t *link = find(vt, b, dev, ino);
	if (is_record(vt, *link))
		now = record(vt, *link)->value;
	if (v)
		merge(&now, v, mask);
	now.nlink = now.have & UM_VS_NLINK ? now.nlink + nlink : nlink;
	now.have = (now.have & ~UM_VS_NLINK) | (now.nlink ? UM_VS_NLINK : 0);
	if (now.have || is_record(vt, *link))
		r = replace(vt, link, dev, ino, &now);
	release(vt);
	return r;
}

int vtable_set(struct vtable *vt, struct task *t, uint64_t dev, uint64_t ino, const struct vstat *v,
	       uint32_t mask)
{
	return update(vt, t, dev, ino, v, mask, 0);
}

int vtable_add_nlink(struct vtable *vt, struct task *t, uint64_t dev, uint64_t ino, int32_t delta)
{
	return update(vt, t, dev, ino, NULL, 0, delta);
}

void vtable_remove(struct vtable *vt, struct task *t, uint64_t dev, uint64_t ino)
{
	const struct vstat nothing = { 0 };

	if (vtable_any(vt))
		update(vt, t, dev, ino, &nothing, UINT32_MAX, 0);
}
