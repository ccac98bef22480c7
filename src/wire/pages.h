/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contents of files that a FUSE server's agent has read, and the offsets of open files, for its clients to use without asking.
 *
 * A part of the server's area (wire/channel.h).  The pages have one writer, the server's agent, and are mapped read-only by clients.  A page
 * belongs to a file (node id), to a place in it and to a state of its contents: `contents` is the number that the node
 * has in wire/dcache.h, and becomes another one when what was read may not be true any more.  So a page is good if
 * the attributes of its node are there and valid, and both numbers are the same.  `seq` is as in wire/dcache.h.
 *
 * An open file whose contents may be read from there has a struct um_open.  Its offset is moved by clients and server alike: by one
 * compare-and-swap of a client that has read, or by the server, which sets UM_OPEN_BUSY as long as it works on it.  A client that finds that asks.
 */
#ifndef UM_WIRE_PAGES_H
#define UM_WIRE_PAGES_H

#include "dcache.h"

#define UM_PAGE_SIZE	4096u
#define UM_PAGES	8192u		/* a power of two: 32 MiB */
#define UM_OPENS	16384u		/* likewise */

struct um_page {
	uint32_t seq;
	uint32_t len;		/* bytes that are known: fewer than UM_PAGE_SIZE at the end of the file only */
	uint64_t nodeid;	/* 0: nothing is here */
	uint64_t index;		/* offset in the file / UM_PAGE_SIZE */
	uint64_t contents;
};

struct um_pages {
	uint8_t data[UM_PAGES][UM_PAGE_SIZE];
	struct um_page page[UM_PAGES];
};

struct um_open {
	uint32_t handle;	/* 0: free; that of handle H is number H % UM_OPENS, or it has none */
	uint32_t closed;	/* clients: one of them has closed it.  Who has no other request to say so with says no more */
	uint64_t node;
	uint64_t offset;	/* of the open file */
	uint64_t pad;
};
#define UM_OPEN_BUSY	(1ULL << 63)

struct um_opens {
	struct um_open open[UM_OPENS];
};

_Static_assert(sizeof(struct um_page) == 32, "wire");
_Static_assert(sizeof(struct um_open) == 32, "wire");

#define UM_PAGES_OFF		(UM_DCACHE_OFF + sizeof(struct um_dcache))
#define UM_OPENS_OFF		(UM_PAGES_OFF + sizeof(struct um_pages))
#define UM_OFF_PAGES(s)		(UM_OFF_SERVER(s) + UM_PAGES_OFF)
#define UM_OFF_OPENS(s)		(UM_OFF_SERVER(s) + UM_OPENS_OFF)

_Static_assert(UM_PAGES_OFF % 4096 == 0 && UM_OPENS_OFF % 4096 == 0, "wire");
_Static_assert(UM_OPENS_OFF + sizeof(struct um_opens) <= UM_SERVER_SPAN, "wire");

/* The first page of the set of UM_DCACHE_WAYS that it would be in. */
static inline uint32_t um_page_set(uint64_t nodeid, uint64_t index)
{
	uint64_t h = (nodeid * 0x9e3779b97f4a7c15ULL) ^ index;

	return (uint32_t)((h * 0xbf58476d1ce4e5b9ULL) >> 40) & (UM_PAGES - 1) & ~(UM_DCACHE_WAYS - 1);
}

#endif
