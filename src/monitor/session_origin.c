/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What lay below when a session hid it (struct um_cow_origin), found by its path.
 *
 * Guests of a view that runs add records meanwhile, at the end; they are looked at when they are needed.  One that is not complete
 * yet is looked at again later; one whose writer was killed stays so.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "review.h"

#define LATE	64

struct origins {
	uint32_t n;		/* records that have been looked at */
	uint32_t *first, slots;	/* hash table of records: numbers from 1 on, one of each place */
	uint32_t *same;		/* for each record another one of the same place, or 0 */
	uint32_t room;		/* of `same` */
	uint32_t late[LATE];	/* were not complete when they were looked at */
	int nlate;
};

static struct um_cow_origin *record(const struct session *s, uint32_t n)
{
	return (struct um_cow_origin *)((char *)s->state + UM_COW_ORIGINS_AT) + (n - 1);
}

static bool is_complete(const struct session *s, uint32_t n)
{
	return __atomic_load_n(&record(s, n)->nlink, __ATOMIC_ACQUIRE) != 0;
}

static uint32_t *slot_of(const struct session *s, uint64_t place)
{
	const struct origins *o = s->origins;
	uint32_t i = (uint32_t)(place ^ place >> 32) & (o->slots - 1);

	while (o->first[i] && record(s, o->first[i])->place != place)
		i = (i + 1) & (o->slots - 1);
	return &o->first[i];
}

static void add(const struct session *s, uint32_t n)
{
	uint32_t *slot = slot_of(s, record(s, n)->place);

	if (!*slot) {
		*slot = n;
	} else {
		s->origins->same[n] = s->origins->same[*slot];
		s->origins->same[*slot] = n;
	}
}

static void add_late(const struct session *s)
{
	struct origins *o = s->origins;
	int left = 0;

	for (int i = 0; i < o->nlate; i++) {
		if (is_complete(s, o->late[i]))
			add(s, o->late[i]);
		else
			o->late[left++] = o->late[i];
	}
	o->nlate = left;
}

/* Room for n records; all that are known are put in their places anew. */
static int make_room(const struct session *s, uint32_t n)
{
	struct origins *o = s->origins;
	uint32_t slots = 16;

	while (slots < 4 * (n + 1))
		slots *= 2;
	uint32_t *first = calloc(slots, sizeof(*first)), *same = calloc(slots / 2, sizeof(*same));
	if (!first || !same) {
		free(first);
		free(same);
		return -ENOMEM;
	}
	free(o->first);
	free(o->same);
	o->first = first;
	o->same = same;
	o->slots = slots;
	o->room = slots / 2;
	o->nlate = 0;
	o->n = 0;
	return 0;
}

/* Looks at what has been added. */
static int look(const struct session *s)
{
	struct origins *o = s->origins;
	uint32_t n = __atomic_load_n(&s->state->norigins, __ATOMIC_ACQUIRE);

	n = n < UM_COW_ORIGINS ? n : UM_COW_ORIGINS;
	if (n >= o->room && make_room(s, n) < 0)
		return -ENOMEM;
	add_late(s);
	while (o->n < n) {
		o->n++;
		if (is_complete(s, o->n))
			add(s, o->n);
		else if (o->nlate < LATE)
			o->late[o->nlate++] = o->n;
	}
	return 0;
}

int session_origins_open(struct session *s)
{
	s->origins = calloc(1, sizeof(*s->origins));
	return s->origins ? look(s) : -ENOMEM;
}

void session_origins_close(struct session *s)
{
	if (s->origins) {
		free(s->origins->first);
		free(s->origins->same);
	}
	free(s->origins);
	s->origins = NULL;
}

/* The first one of a path counts; 0: there is none. */
static uint32_t first_of(const struct session *s, const char *path)
{
	uint32_t found = 0;

	look(s);
	for (uint32_t n = *slot_of(s, um_cow_place(path)); n; n = s->origins->same[n])
		if (record(s, n)->nlink && (!found || n < found))
			found = n;
	return found;
}

const struct um_cow_origin *session_origin(const struct session *s, const char *path)
{
	uint32_t n = first_of(s, path);

	return n ? record(s, n) : NULL;
}

static void forget(struct session *s, const char *path, uint32_t but)
{
	for (uint32_t n = *slot_of(s, um_cow_place(path)); n; n = s->origins->same[n])
		if (n != but && record(s, n)->nlink)
			__atomic_store_n(&record(s, n)->nlink, 0, __ATOMIC_RELEASE);
}

void session_forget_origin(struct session *s, const char *path)
{
	if (session_origin(s, path))
		forget(s, path, 0);
}

/* As kernel/cow_origin.c takes one.  0: there is no room. */
static uint32_t take(struct session *s)
{
	uint32_t room = __atomic_load_n(&s->state->origins_room, __ATOMIC_ACQUIRE);
	uint32_t want = __atomic_load_n(&s->state->norigins, __ATOMIC_RELAXED) + UM_COW_SLACK;

	if (want > room && want <= UM_COW_ORIGINS) {
		if (session_reserve(s, UM_COW_STATE, UM_COW_ORIGINS_AT + room * sizeof(struct um_cow_origin),
				    (want - room) * sizeof(struct um_cow_origin)) < 0)
			return 0;
		while (room < want && !__atomic_compare_exchange_n(&s->state->origins_room, &room, want, false, __ATOMIC_RELEASE,
								   __ATOMIC_RELAXED))
			;
	}
	uint32_t n = __atomic_fetch_add(&s->state->norigins, 1, __ATOMIC_RELAXED);

	if (n < UM_COW_ORIGINS)
		return n + 1;
	__atomic_fetch_sub(&s->state->norigins, 1, __ATOMIC_RELAXED);
	return 0;
}

/* In the place of the first record: should we be killed in between there is none, and a change of the session that follows is told as
 * a conflict, once. */
void session_renew_origin(struct session *s, const char *path, const struct stat *low)
{
	uint32_t n = first_of(s, path), old = n;

	if (!n && !(n = take(s)))
		return;
	forget(s, path, 0);
	struct um_cow_origin *o = record(s, n);
	*o = (struct um_cow_origin) {
		.place = um_cow_place(path), .dev = um_cow_dev(low->st_dev), .ino = low->st_ino, .size = (uint64_t)low->st_size,
		.mtime = low->st_mtim.tv_sec * 1000000000l + low->st_mtim.tv_nsec,
		.ctime = low->st_ctim.tv_sec * 1000000000l + low->st_ctim.tv_nsec,
		.mode = low->st_mode, .uid = low->st_uid, .gid = low->st_gid,
	};
	__atomic_store_n(&o->nlink, (uint32_t)low->st_nlink, __ATOMIC_RELEASE);
	if (!old)
		look(s);
}
