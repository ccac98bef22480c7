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

static inline uint64_t load64(const char *s)
{
	uint64_t v;

	__builtin_memcpy(&v, s, 8);
	return v;
}

static inline void mix(struct hash *h, uint64_t v)
{
	h->a = (h->a ^ v) * 0x9fb21c651e98df25ull;
	h->a ^= h->a >> 35;
	h->b = (h->b + v) * 0xd6e8feb86659fd93ull;
	h->b ^= h->b >> 32;
}

static struct hash hash_of(uint64_t key, const char *text, size_t len)
{
	struct hash h = { key * 0x9e3779b97f4a7c15ull, ~key };
	uint64_t tail = 0;
	size_t n = len;

	for (; n >= 8; n -= 8, text += 8)
		mix(&h, load64(text));
	if (n && len >= 8)
		tail = load64(text + n - 8);
	else
		for (size_t i = 0; i < n; i++)
			tail = tail << 8 | (unsigned char)text[i];
	mix(&h, tail);
	mix(&h, len);
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
