/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent's heap: private memory of one process.  Sizes up to 4 KiB come from free lists by size class,
 * cut from 64 KiB pieces; larger blocks are mappings of their own.  Each block has a 16-byte header
 * with its class.  The lock is taken around fork (life.c), so a child always finds it free.
 */
#include "agent.h"
#include "heap.h"
#include <linux/mman.h>

#define PIECE	(64u << 10)
#define FIRST	(12u << 10)	/* of the image: enough for most programs */
#define CLASSES	(sizeof class_size / sizeof class_size[0])
#define LARGE	0xffu

static const uint16_t class_size[] = { 16, 32, 64, 128, 256, 512, 1024, 2112, 4096 };

struct header {
	uint64_t class;		/* index, or LARGE */
	uint64_t size;		/* LARGE: bytes mapped, header included */
};

struct free_block {
	struct header h;
	struct free_block *next;
};

static struct free_block *free_lists[CLASSES];
/* Placed by agent.ld behind the small variables: what is allocated first shares their page. */
static char first_piece[FIRST] __attribute__((aligned(16), section(".bss.heap")));
static char *piece = first_piece, *piece_end = first_piece + FIRST;
struct lock heap_lock;

static unsigned class_of(size_t size)
{
	unsigned c = 0;
	while (c < CLASSES && class_size[c] < size)
		c++;
	return c;
}

static void *large_alloc(size_t size)
{
	size_t total = (size + sizeof(struct header) + 4095) & ~4095ul;
	if (total < size)
		return NULL;
	long at = own_map(total, PROT_READ | PROT_WRITE, 0, -1, 0);
	if (at < 0)
		return NULL;
	struct header *h = (void *)at;
	h->class = LARGE;
	h->size = total;
	return h + 1;
}

/* Cuts a block of class c from the current piece, or from a new one. */
static struct header *cut(unsigned c)
{
	size_t need = class_size[c] + sizeof(struct header);
	if ((size_t)(piece_end - piece) < need) {
		long at = own_map(PIECE, PROT_READ | PROT_WRITE, 0, -1, 0);
		if (at < 0)
			return NULL;
		piece = (char *)at;
		piece_end = piece + PIECE;
	}
	struct header *h = (void *)piece;
	piece += need;
	h->class = c;
	return h;
}

void *heap_alloc(size_t size)
{
	unsigned c = class_of(size);
	if (c == CLASSES)
		return large_alloc(size);
	lock_acquire(&heap_lock);
	struct header *h;
	if (free_lists[c]) {
		h = &free_lists[c]->h;
		free_lists[c] = free_lists[c]->next;
	} else {
		h = cut(c);
	}
	lock_release(&heap_lock);
	return h ? memset(h + 1, 0, class_size[c]) : NULL;
}

void heap_free(void *p)
{
	if (!p)
		return;
	struct header *h = (struct header *)p - 1;
	if (h->class == LARGE) {
		own_unmap(h, h->size);
		return;
	}
	if (h->class >= CLASSES)
		agent_panic("heap_free of something that is no block");
	lock_acquire(&heap_lock);
	struct free_block *b = (void *)h;
	b->next = free_lists[h->class];
	free_lists[h->class] = b;
	lock_release(&heap_lock);
}

char *heap_copy(const char *s, size_t n, size_t size)
{
	char *p = heap_alloc(size);
	if (p) {
		memcpy(p, s, n);
		p[n] = 0;
	}
	return p;
}

char *heap_strndup(const char *s, size_t n)
{
	return heap_copy(s, n, n + 1);
}
