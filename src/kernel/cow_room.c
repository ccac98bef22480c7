/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Room on the disk for what a session's mapped files have to take.
 *
 * They are sparse.  A store to a page of theirs for which a full disk has no room is a SIGBUS; so the room is taken before, some of
 * it at a time, and who gets none tells his caller ENOSPC.  What a file system cannot promise is not asked for again.
 */
#include "cow.h"

#define CHUNK		1024u		/* records */
#define KEEP_SIZE	1		/* FALLOC_FL_KEEP_SIZE */

static long reserve(const struct cow *c, const char *name, uint64_t at, uint64_t size)
{
	long fd = cow_open_file(c, name), r;

	if (fd < 0)
		return fd;
	do
		r = raw_syscall(__NR_fallocate, fd, KEEP_SIZE, at, size);
	while (r == -EINTR);
	raw_syscall(__NR_close, fd);
	return r == -EOPNOTSUPP || r == -ENOSYS ? 0 : r;
}

long cow_reserve(struct cow *c)
{
	uint32_t room = __atomic_load_n(&c->state->origins_room, __ATOMIC_RELAXED);
	uint32_t n = __atomic_load_n(&c->state->norigins, __ATOMIC_RELAXED) + UM_COW_SLACK + CHUNK;
	long r;

	if (room >= UM_COW_ORIGINS)
		return 0;
	n = n < UM_COW_ORIGINS ? n : UM_COW_ORIGINS;
	if (n <= room)
		return 0;
	r = reserve(c, UM_COW_STATE, UM_COW_ORIGINS_AT + room * sizeof(struct um_cow_origin), (n - room) * sizeof(struct um_cow_origin));
	while (!r && room < n && !__atomic_compare_exchange_n(&c->state->origins_room, &room, n, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
	return r;
}

/* The table's lock is held. */
int cow_grow_inodes(struct vtable *vt)
{
	const struct cow *c = (const struct cow *)((const char *)vt - offsetof(struct cow, inodes));
	uint32_t room = vt->head->room, n = (room > vt->head->used ? room : vt->head->used) + CHUNK;
	long r;

	n = n < vt->capacity ? n : vt->capacity;
	r = reserve(c, UM_COW_INODES, um_vtable_records_at(vt->buckets) + room * sizeof(struct um_vstat_record),
		    (n - room) * sizeof(struct um_vstat_record));
	if (!r)
		vt->head->room = n;
	return (int)r;
}
