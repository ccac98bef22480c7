/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contents of files that a FUSE server's agent has read, and open files, for its clients to use without asking.
 *
 * A part of the server's area (wire/channel.h).  The pages have one writer, the server's agent, and are mapped read-only by clients.  A page
 * belongs to a file (node id), to a place in it and to a state of its contents: `contents` is the number that the node
 * has in wire/dcache.h, and becomes another one when what was read may not be true any more.  So a page is good if
 * the attributes of its node are there and valid, and both numbers are the same.  `seq` is as in wire/dcache.h.
 *
 * A directory whose entry in wire/dcache.h says UM_DCACHE_OPENS has all of its listing there: a struct um_listing, and behind that the records
 * that getdents64(2) gives.
 *
 * An open file whose contents may be read from there has a struct um_open.  Its offset is moved by clients and server alike: by one
 * compare-and-swap of a client that has read, or by the server, which sets UM_OPEN_BUSY as long as it works on it.  A client that finds that asks.
 *
 * What has UM_DCACHE_OPENS a client opens for reading by itself: it takes an entry of um_opens.client, whose number is the handle.  The server's agent
 * knows of it when it comes with a request; and before it gives a node up, or removes its last name, it looks for those that are open:
 *
 *	client					server's agent
 *	owner: 0 -> its thread			takes UM_DCACHE_OPENS away
 *	fills it; state = OPENING		a full barrier
 *	a full barrier				looks at the entries of that node, and
 *	is UM_DCACHE_OPENS still there,		takes those that are OPENING or OPEN: state = KNOWN
 *	and the name as it was?  else it asks
 *	makes the carrier; state = OPEN
 *	... closes; is no carrier left? state = MAKING, owner = 0
 *
 * So one of the two sees the other.  All that changes `state` is done by compare-and-swap, and it holds the generation of the handle's number.  KNOWN belongs
 * to the server's agent until it frees it.  What a killed client has left is taken by the next one that finds no other place.
 */
#ifndef UM_WIRE_PAGES_H
#define UM_WIRE_PAGES_H

#include "dcache.h"

#define UM_PAGE_SIZE	4096u
#define UM_PAGES	65536u		/* at most, 256 MiB: um_server.pages says how many of them are used */
#define UM_OPENS	16384u		/* a power of two */
#define UM_CLIENT_WAYS	16u
#define UM_LISTING_MOST	(32u << 10)	/* bytes of records: what readdir(3) asks for at once */

struct um_page {
	uint32_t seq;
	uint32_t len;		/* bytes that are known: fewer than UM_PAGE_SIZE at the end of the file only */
	uint64_t nodeid;	/* 0: nothing is here */
	uint64_t index;		/* offset in the file / UM_PAGE_SIZE */
	uint64_t contents;
};

struct um_pages {
	struct um_page page[UM_PAGES];
	uint8_t data[UM_PAGES][UM_PAGE_SIZE];
};

struct um_listing {
	uint64_t last;		/* offset behind the last record */
	uint32_t size;		/* bytes of records, at most UM_LISTING_MOST */
	uint32_t reserved;
};

struct um_open {
	uint32_t handle;	/* 0: free; that of handle H is um_open_of(H), or it has none */
	uint32_t flags;		/* UM_OPEN_* */
	uint64_t node;
	uint64_t offset;	/* of the open file */
	uint32_t owner;		/* um_opens.client: the thread that opened it; 0: free */
	uint32_t state;		/* likewise: generation << 2 | enum um_client_state */
};
#define UM_OPEN_BUSY	(1ULL << 63)
#define UM_OPEN_CLOSED	1u	/* clients: one of them has closed it.  Who has no other request to say so with says no more */
#define UM_OPEN_END	2u	/* of a directory, unless the offset is 0: all of it has been read */
#define UM_OPEN_SHARED	4u	/* clients: a process has got it that did not inherit it; its carrier is not used again (kernel/carrier.c) */

enum um_client_state { UM_CLIENT_MAKING, UM_CLIENT_OPENING, UM_CLIENT_OPEN, UM_CLIENT_KNOWN };

struct um_opens {
	struct um_open open[UM_OPENS];		/* of handles that the server's agent has made */
	struct um_open client[UM_OPENS];	/* of those that clients have */
};

/* The number of a handle that a client has made: this, its generation (16 bits), its place in um_opens.client. */
#define UM_HANDLE_CLIENT	(1u << 31)

_Static_assert(sizeof(struct um_page) == 32, "wire");
_Static_assert(sizeof(struct um_open) == 32, "wire");
_Static_assert(UM_OPENS == 1u << 14, "UM_HANDLE_CLIENT leaves that much");

#define UM_PAGES_OFF		(UM_DCACHE_OFF + sizeof(struct um_dcache))
#define UM_OPENS_OFF		(UM_PAGES_OFF + sizeof(struct um_pages))
#define UM_OFF_PAGES(s)		(UM_OFF_SERVER(s) + UM_PAGES_OFF)
#define UM_OFF_OPENS(s)		(UM_OFF_SERVER(s) + UM_OPENS_OFF)

_Static_assert(UM_PAGES_OFF % 4096 == 0 && UM_OPENS_OFF % 4096 == 0, "wire");
_Static_assert(UM_OPENS_OFF + sizeof(struct um_opens) <= UM_SERVER_SPAN, "wire");

/* The first page of the set of UM_DCACHE_WAYS that it would be in; pages: um_server.pages, whatever stands there. */
static inline uint32_t um_page_set(uint64_t nodeid, uint64_t index, uint32_t pages)
{
	uint64_t h = (nodeid * 0x9e3779b97f4a7c15ULL) ^ index;

	return (uint32_t)((h * 0xbf58476d1ce4e5b9ULL) >> 40) & (pages - 1) & (UM_PAGES - 1) & ~(UM_DCACHE_WAYS - 1);
}

static inline struct um_open *um_open_of(struct um_opens *o, uint32_t handle)
{
	return (handle & UM_HANDLE_CLIENT ? o->client : o->open) + handle % UM_OPENS;
}

/* The first entry of the set of UM_CLIENT_WAYS where clients that open the node have theirs. */
static inline uint32_t um_client_set(uint64_t nodeid)
{
	return (uint32_t)((nodeid * 0x9e3779b97f4a7c15ULL) >> 32) & (UM_OPENS - 1) & ~(UM_CLIENT_WAYS - 1);
}

static inline uint32_t um_client_generation(uint32_t handle)
{
	return (handle & ~UM_HANDLE_CLIENT) / UM_OPENS;
}

static inline uint32_t um_client_handle(uint32_t generation, uint32_t place)
{
	return UM_HANDLE_CLIENT | (generation & 0xffff) * UM_OPENS | place;
}

static inline uint32_t um_client_state(uint32_t handle, enum um_client_state state)
{
	return um_client_generation(handle) << 2 | (uint32_t)state;
}

/* Whoever gets true has changed it. */
static inline bool um_client_turn(struct um_open *o, uint32_t handle, enum um_client_state from, enum um_client_state to)
{
	uint32_t was = um_client_state(handle, from);

	return __atomic_compare_exchange_n(&o->state, &was, um_client_state(handle, to), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* It is MAKING, and its owner is who frees it. */
static inline void um_client_free(struct um_open *o)
{
	__atomic_store_n(&o->handle, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&o->owner, 0, __ATOMIC_RELEASE);
}

#endif
