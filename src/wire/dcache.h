/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the agent of a FUSE server knows of names and attributes, for its clients to read without asking.
 *
 * A part of the server's area (wire/channel.h), mapped read-only by clients.  The server's agent is the only writer and
 * has here what it holds valid itself (kernel/fs/fuse_node.c): a name that is here leads where it says, and attributes
 * are what the server would be answered with, until the time in the entry.  What is not here has to be asked for.
 *
 * Both tables are sets of UM_DCACHE_WAYS entries, found by hash; an entry that is put in may throw another one of its set out.
 * An entry's `seq` is odd while it is being written: a reader copies what it needs and looks whether `seq` is still the same and even.
 * A writer that is killed leaves at most one entry odd, and its mount is over.
 *
 * The rules of the FUSE protocol for how long: entry_valid and attr_valid of linux/fuse.h; FUSE_NOTIFY_INVAL_ENTRY and
 * FUSE_NOTIFY_INVAL_INODE end them early.
 */
#ifndef UM_WIRE_DCACHE_H
#define UM_WIRE_DCACHE_H

#include <stdbool.h>
#include "channel.h"

#define UM_DCACHE_WAYS		4u
#define UM_DCACHE_NODES		(64u << 10)	/* entries; a power of two */
#define UM_DCACHE_NAMES		(64u << 10)
#define UM_DCACHE_NAME_MAX	88u		/* bytes of a name; longer ones have to be asked for */

struct um_dcache_node {
	uint32_t seq;
	uint32_t flags;		/* UM_DCACHE_* */
	uint64_t nodeid;	/* 0: nothing is here */
	uint64_t until;		/* CLOCK_MONOTONIC, ns, or UM_SHOWN_FOREVER */
	struct um_attr attr;
	uint64_t contents;	/* which state of its contents this is about: wire/pages.h */
	uint64_t pad;
};
#define UM_SHOWN_FOREVER	UINT64_MAX	/* until the writer says otherwise: nobody need look at the clock */
#define UM_DCACHE_READ	1u	/* the file was read since: its access time is not known */
#define UM_DCACHE_OPENS	2u	/* it may be opened for reading without asking: wire/pages.h */

/* An extended attribute that programs ask every file for, and that this one does not have: ENODATA.  By number: um_dcache_lacks(). */
#define UM_DCACHE_LACKS(number)	(256u << (number))

struct um_dcache_name {
	uint32_t seq;
	uint32_t hash;
	uint64_t parent;	/* node id of the directory; 0: nothing is here */
	uint64_t node;		/* 0: there is nothing of that name */
	uint64_t until;
	uint32_t type;		/* S_IFMT bits of node */
	uint32_t len;
	char name[UM_DCACHE_NAME_MAX];
};

struct um_dcache {
	struct um_dcache_node nodes[UM_DCACHE_NODES];
	struct um_dcache_name names[UM_DCACHE_NAMES];
};

_Static_assert(sizeof(struct um_dcache_node) == 128, "wire");
_Static_assert(sizeof(struct um_dcache_name) == 128, "wire");

#define UM_DCACHE_OFF		(72ULL << 20)		/* from the start of the server's area */
#define UM_OFF_DCACHE(s)	(UM_OFF_SERVER(s) + UM_DCACHE_OFF)

_Static_assert(UM_SLOTS_OFF + (uint64_t)UM_SLOTS * UM_SLOT_SPAN <= UM_DCACHE_OFF, "wire");
_Static_assert(UM_DCACHE_OFF + sizeof(struct um_dcache) <= UM_SERVER_SPAN, "wire");

/* The writer changes an entry between these two. */
static inline void um_entry_open(uint32_t *seq)
{
	__atomic_store_n(seq, __atomic_load_n(seq, __ATOMIC_RELAXED) | 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void um_entry_close(uint32_t *seq)
{
	__atomic_store_n(seq, __atomic_load_n(seq, __ATOMIC_RELAXED) + 1, __ATOMIC_RELEASE);
}

/* A reader: what has been read of an entry since its seq was `before` is whole. */
static inline bool um_entry_whole(const uint32_t *seq, uint32_t before)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return !(before & 1) && __atomic_load_n(seq, __ATOMIC_RELAXED) == before;
}

/* The number of such an attribute, or -1. */
static inline int um_dcache_lacks(const char *name)
{
	static const char *const names[] = {
		"security.selinux", "system.posix_acl_access", "system.posix_acl_default", "security.capability", "security.SMACK64",
	};

	for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
		if (!strcmp(name, names[i]))
			return i;
	return -1;
}

static inline uint32_t um_dcache_hash(uint64_t parent, const char *name, uint32_t len)
{
	return um_path_hash(name, len) ^ (uint32_t)((parent * 0x9e3779b97f4a7c15ULL) >> 32);
}

/* The first entry of the set that it would be in. */
static inline uint32_t um_dcache_name_set(uint32_t hash)
{
	return (hash ^ hash >> 16) & (UM_DCACHE_NAMES - 1) & ~(UM_DCACHE_WAYS - 1);
}

static inline uint32_t um_dcache_node_set(uint64_t nodeid)
{
	return (uint32_t)((nodeid * 0x9e3779b97f4a7c15ULL) >> 32) & (UM_DCACHE_NODES - 1) & ~(UM_DCACHE_WAYS - 1);
}

#endif
