/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of directory prefixes: a small table per process, keyed by where a path starts (BASE_ROOT
 * or the serial of a cwd or descriptor) and the text of its directory part.
 *
 * An entry says that this text leads through real directories only.  It is valid for one generation
 * (view_generation()): any change of the mount table, and any link or directory moved by a process of
 * the view, makes it stale.  It is a cache, so it may forget, and it keeps no text: two 64-bit hashes
 * stand for key and text.  (Who would make them collide could only mislead his own process.)
 *
 * Readers take no lock: every entry has a sequence number, odd while it is written.  Writers try to
 * take one lock, and do without storing if somebody else has it.  The lock holds the process id of its
 * holder, so that a child forked while another thread had it can see that it is nobody's.
 */
#include "path_walk.h"

#define ENTRIES		128u		/* few pages: short programs fault them all in */
#define WAYS		2u

struct entry {
	uint32_t seq;
	uint32_t flags;
	uint64_t generation;
	uint64_t a, b;		/* hashes of key and text */
};

static struct entry table[ENTRIES] UM_LARGE;
static char *canons[ENTRIES] UM_LARGE;		/* under the lock; NULL where the flags say it is not needed */
static uint32_t canon_lens[ENTRIES] UM_LARGE;
static int holder;

struct hash { uint64_t a, b; };

static inline uint32_t load32(const char *s)
{
	uint32_t v;

	__builtin_memcpy(&v, s, 4);
	return v;
}

/* Two words of text into both hashes: the halves of a product of 128 bits each, which no word of text makes zero for the one and the other. */
static inline void mix(struct hash *h, uint64_t v, uint64_t w)
{
	__uint128_t a = (__uint128_t)(v ^ h->a ^ 0x9fb21c651e98df25ull) * (w ^ 0xd6e8feb86659fd93ull);
	__uint128_t b = (__uint128_t)(w ^ h->b ^ 0xa0761d6478bd642full) * (v ^ 0xe7037ed1a0b428dbull);

	h->a = (uint64_t)a ^ (uint64_t)(a >> 64) ^ w;
	h->b = (uint64_t)b ^ (uint64_t)(b >> 64) ^ v;
}

/* The last words are those that end with the text: what of them has been seen already does no harm, its length is known. */
static inline struct hash hash_of(uint64_t key, const char *text, size_t len)
{
	struct hash h = { key * 0x9e3779b97f4a7c15ull + len, ~key - (len << 32) };
	uint64_t tail;
	size_t n = len;

	for (; n > 16; n -= 16, text += 16)
		mix(&h, load64(text), load64(text + 8));
	if (n >= 8) {
		mix(&h, load64(text), load64(text + n - 8));
		return h;
	}
	if (len >= 8)
		tail = load64(text + n - 8);
	else if (n >= 4)
		tail = (uint64_t)load32(text) << 32 | load32(text + n - 4);
	else
		tail = n ? (uint64_t)(unsigned char)text[0] << 16 | (uint64_t)(unsigned char)text[n / 2] << 8 | (unsigned char)text[n - 1] : 0;
	mix(&h, tail, len);
	return h;
}

/* 0, or the flags of the entry at index i if it is the one. */
static inline unsigned entry_read(unsigned i, struct hash h, uint64_t generation)
{
	const struct entry *e = &table[i];
	uint32_t seq = __atomic_load_n(&e->seq, __ATOMIC_ACQUIRE);
	unsigned flags;

	if (e->a != h.a || e->b != h.b || e->generation != generation || seq & 1)
		return 0;
	flags = e->flags;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&e->seq, __ATOMIC_RELAXED) == seq ? flags : 0;
}

unsigned cache_find(uint64_t key, const char *text, size_t len, uint64_t generation)
{
	struct hash h = hash_of(key, text, len);

	for (unsigned way = 0; way < WAYS; way++) {
		unsigned flags = entry_read((h.a + way) % ENTRIES, h, generation);

		if (flags)
			return flags;
	}
	return 0;
}

static bool try_lock(void)
{
	int free = 0;

	if (__atomic_compare_exchange_n(&holder, &free, process.pid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return true;
	return free != process.pid &&
	       __atomic_compare_exchange_n(&holder, &free, process.pid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void unlock(void)
{
	__atomic_store_n(&holder, 0, __ATOMIC_RELEASE);
}

size_t cache_canon(uint64_t key, const char *text, size_t len, uint64_t generation, char *buf, size_t size)
{
	struct hash h = hash_of(key, text, len);
	size_t n = 0;

	if (!try_lock())
		return 0;
	for (unsigned way = 0; way < WAYS && !n; way++) {
		unsigned i = (h.a + way) % ENTRIES;

		if (entry_read(i, h, generation) && canons[i] && canon_lens[i] < size) {
			n = canon_lens[i];
			memcpy(buf, canons[i], n + 1);
		}
	}
	unlock();
	return n;
}

/* The entry that is the same, or stale, or else the first. */
static unsigned victim(struct hash h, uint64_t generation)
{
	for (unsigned way = 0; way < WAYS; way++)
		if (entry_read((h.a + way) % ENTRIES, h, generation))
			return (h.a + way) % ENTRIES;
	for (unsigned way = 0; way < WAYS; way++)
		if (table[(h.a + way) % ENTRIES].generation != generation)
			return (h.a + way) % ENTRIES;
	return h.a % ENTRIES;
}

static void entry_write(struct entry *e, struct hash h, uint64_t generation, unsigned flags)
{
	uint32_t seq = e->seq | 1;

	__atomic_store_n(&e->seq, seq, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	e->a = h.a;
	e->b = h.b;
	e->generation = generation;
	e->flags = flags;
	__atomic_store_n(&e->seq, seq + 1, __ATOMIC_RELEASE);
}

void cache_store(uint64_t key, const char *text, size_t len, uint64_t generation, unsigned flags,
		 const char *canon, size_t canon_len)
{
	struct hash h = hash_of(key, text, len);
	char *copy = NULL, *old;
	unsigned i;

	if (canon) {
		copy = heap_strndup(canon, canon_len);
		if (!copy)
			return;
	}
	if (!try_lock()) {
		heap_free(copy);
		return;
	}
	i = victim(h, generation);
	old = canons[i];
	canons[i] = copy;
	canon_lens[i] = (uint32_t)canon_len;
	entry_write(&table[i], h, generation, flags);
	unlock();
	heap_free(old);
}
