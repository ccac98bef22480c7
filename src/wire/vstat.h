/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table of virtual attributes: what files that are really the kernel's are said to be.
 *
 * The key is a real inode (st_dev, st_ino); the value, which of its attributes are virtual and what they are.  One
 * such table lies in the world file (the view's identity: --fakeroot), one in the session file of each copy-on-write.
 * It is shared memory, sparse, of one size for ever: a header, an array of buckets (the first record of each
 * chain), an array of records.  Nothing in it is a pointer; a record's number is its index + 1, 0 is none.
 *
 * Who writes: any guest that holds `lock`.  A record that can be reached is never changed but for `next`: a change is
 * a new record that takes the old one's place by one store.  So readers take no lock, and a writer that is killed
 * leaves every chain whole; the records that it had in its hands stand in `taken` and `dropped`, and
 * whoever takes the lock over puts them back (kernel/vstat.c).
 *
 * Behind the header, in its page, is a filter: two bits of one word for each inode that has a record, set before a chain leads to it.  Most files have
 * none, and the array of buckets has a thousand pages, each of them a page fault for who has not met it.
 */
#ifndef UM_WIRE_VSTAT_H
#define UM_WIRE_VSTAT_H

#include <stdint.h>

#define UM_VSTAT_MAGIC		0x3174617473764d55ULL	/* "UMvstat1" */
#define UM_VSTAT_RECORDS	(1u << 20)		/* in the world's table, and usually */

/* vstat.have */
#define UM_VS_UID		1u
#define UM_VS_GID		2u
#define UM_VS_MODE		4u	/* the permission bits of `mode` */
#define UM_VS_TYPE		8u	/* the type in it: this is kept as an empty regular file */
#define UM_VS_RDEV		16u
#define UM_VS_ORIGIN		32u	/* the inode below that was copied up to this one */
#define UM_VS_NLINK		64u	/* to be added to st_nlink */
#define UM_VS_FLAGS		128u	/* UM_VSF_* */

#define UM_VSF_OPAQUE		1u	/* a directory that hides what lies below it */
#define UM_VSF_REDIRECT		2u	/* one that shows another directory below: wire/cow.h */

struct vstat {
	uint32_t have;		/* which of the others count */
	uint32_t uid, gid;
	uint32_t mode;
	uint64_t rdev;		/* as st_rdev */
	uint64_t origin_dev, origin_ino;
	int32_t	 nlink;
	uint32_t flags;
};

struct um_vstat_record {
	uint32_t seq;		/* odd: free, or being filled */
	uint32_t next;		/* in the chain, or among the free ones */
	uint64_t dev, ino;
	struct vstat value;
};

struct um_vtable {
	uint64_t magic;
	uint32_t capacity;	/* records; these three never change */
	uint32_t buckets;	/* a power of two */
	uint32_t records_at;	/* offset of the first record */
	uint32_t used;		/* records that were ever in use: 0 = the table is, and has always been, empty */
	uint64_t lock;		/* 0, or the writer: kernel/vstat.c */
	uint32_t live;		/* records in chains; a killed writer may leave it wrong by one until the next one comes */
	uint32_t free;		/* first free record */
	uint32_t bucket;	/* what the writer works on, */
	uint32_t taken;		/* the record that it fills, */
	uint32_t dropped;	/* the record that it takes out */
	uint32_t room;		/* in a file: records that there is room for on the disk */
	uint32_t filter;	/* words of the filter; 0: a table of before there was one, all of it has to be looked at */
};

#define UM_VSTAT_RECORDS_FIRST	1024u		/* in a file: that there is room for from the beginning */

#define UM_VTABLE_FILTER_AT	2048u
#define UM_VTABLE_FILTER	256u		/* words of 64 bits */
#define UM_VTABLE_BUCKETS_AT	4096u

static inline uint64_t um_vtable_records_at(uint32_t buckets)
{
	return (UM_VTABLE_BUCKETS_AT + (uint64_t)buckets * 4 + 4095) & ~4095ULL;
}

/* Bytes that a table of so many records (a power of two: as many buckets) takes. */
static inline uint64_t um_vtable_size(uint32_t records)
{
	return (um_vtable_records_at(records) + (uint64_t)records * sizeof(struct um_vstat_record) + 4095) & ~4095ULL;
}

/* Makes an empty table of so many records out of um_vtable_size() zero bytes. */
static inline void um_vtable_format(void *base, uint32_t records)
{
	struct um_vtable *head = (struct um_vtable *)base;

	head->capacity = records;
	head->buckets = records;
	head->records_at = (uint32_t)um_vtable_records_at(records);
	head->filter = UM_VTABLE_FILTER;
	__atomic_store_n(&head->magic, UM_VSTAT_MAGIC, __ATOMIC_RELEASE);
}

_Static_assert(sizeof(struct vstat) == 48, "wire");
_Static_assert(sizeof(struct um_vstat_record) == 72, "wire");
_Static_assert(sizeof(struct um_vtable) == 64, "wire");
_Static_assert(UM_VTABLE_FILTER_AT + UM_VTABLE_FILTER * 8 == UM_VTABLE_BUCKETS_AT, "wire");

#endif
