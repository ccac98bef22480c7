/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What lay below when something of the session took its place: written down for whoever commits the session
 * (wire/cow.h).  It takes no lock and no system call.
 */
#include "cow.h"

static int64_t in_ns(unsigned long sec, unsigned long nsec)
{
	return (int64_t)(sec * 1000000000ul + nsec);
}

void cow_note_origin(const struct cow *c, const char *rel, const struct stat *low)
{
	uint32_t n = __atomic_fetch_add(&c->state->norigins, 1, __ATOMIC_RELAXED);
	struct um_cow_origin *o = (struct um_cow_origin *)((char *)c->state + UM_COW_ORIGINS_AT) + n;

	if (n >= UM_COW_ORIGINS || n >= __atomic_load_n(&c->state->origins_room, __ATOMIC_ACQUIRE)) {
		__atomic_fetch_sub(&c->state->norigins, 1, __ATOMIC_RELAXED);
		return;
	}
	*o = (struct um_cow_origin) {
		.place = um_cow_place(rel), .dev = um_cow_dev(low->st_dev), .ino = low->st_ino,
		.mtime = in_ns(low->st_mtime, low->st_mtime_nsec), .ctime = in_ns(low->st_ctime, low->st_ctime_nsec),
		.size = (uint64_t)low->st_size, .mode = low->st_mode, .uid = low->st_uid, .gid = low->st_gid,
	};
	__atomic_store_n(&o->nlink, low->st_nlink ? (uint32_t)low->st_nlink : 1, __ATOMIC_RELEASE);
}
