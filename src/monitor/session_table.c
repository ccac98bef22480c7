/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session's table of virtual attributes and its lock, which are the agent's (kernel/vstat.h, kernel/shared_lock.h).  Apart from
 * everything else, because the agent's headers have the kernel's types where others have the C library's.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "../kernel/shared_lock.h"
#include "../kernel/vstat.h"
#include "session.h"

struct table {
	struct vtable vt;		/* first */
	const struct session *s;
};

/* As kernel/cow_room.c does it. */
static int grow(struct vtable *vt)
{
	uint32_t room = vt->head->room, n = (room > vt->head->used ? room : vt->head->used) + UM_VSTAT_RECORDS_FIRST;

	n = n < vt->capacity ? n : vt->capacity;
	int r = session_reserve(((struct table *)vt)->s, UM_COW_INODES,
				um_vtable_records_at(vt->buckets) + room * sizeof(struct um_vstat_record),
				(n - room) * sizeof(struct um_vstat_record));
	if (!r)
		vt->head->room = n;
	return r;
}

int session_table_attach(struct session *s, void *base, uint64_t size)
{
	struct table *t = calloc(1, sizeof(*t));
	int r = t ? vtable_attach(&t->vt, base, size) : -ENOMEM;

	if (r < 0) {
		free(t);
		return r;
	}
	t->s = s;
	t->vt.grow = grow;
	s->inodes = &t->vt;
	return r;
}

int session_table_begin(void *base, uint64_t size, uint64_t dev, uint64_t ino, uint64_t low_dev, uint64_t low_ino)
{
	const struct vstat v = { .have = UM_VS_ORIGIN, .origin_dev = um_cow_dev(low_dev), .origin_ino = low_ino };
	struct vtable vt = { .head = NULL };
	int r = vtable_attach(&vt, base, size);

	return r < 0 ? r : vtable_set(&vt, NULL, dev, ino, &v, ~0u);
}

void session_table_detach(struct session *s)
{
	if (s->inodes)
		munmap(s->inodes->head, um_vtable_size(UM_VSTAT_RECORDS));
	free(s->inodes);
}

bool session_vstat(const struct session *s, uint64_t dev, uint64_t ino, struct vstat *out)
{
	return vtable_get(s->inodes, um_cow_dev(dev), ino, out);
}

int session_set_flags(struct session *s, uint64_t dev, uint64_t ino, uint32_t flags)
{
	const struct vstat v = { .have = flags ? UM_VS_FLAGS : 0, .flags = flags };

	return vtable_set(s->inodes, NULL, um_cow_dev(dev), ino, &v, UM_VS_FLAGS);
}

int session_note_copy(struct session *s, uint64_t dev, uint64_t ino, const struct vstat *v)
{
	__atomic_add_fetch(&s->state->ncopies, 1, __ATOMIC_RELAXED);
	return vtable_set(s->inodes, NULL, um_cow_dev(dev), ino, v, ~0u);
}

void session_set_nlink(struct session *s, uint64_t dev, uint64_t ino, int32_t n)
{
	const struct vstat v = { .have = UM_VS_NLINK, .nlink = n };

	vtable_set(s->inodes, NULL, um_cow_dev(dev), ino, &v, UM_VS_NLINK);
}

void session_name_gone(struct session *s, uint64_t dev, uint64_t ino)
{
	struct vstat v;

	if (vtable_get(s->inodes, um_cow_dev(dev), ino, &v) && v.have & UM_VS_NLINK)
		vtable_add_nlink(s->inodes, NULL, um_cow_dev(dev), ino, 1);
}

void session_forget_inode(struct session *s, uint64_t dev, uint64_t ino)
{
	vtable_remove(s->inodes, NULL, um_cow_dev(dev), ino);
}

void session_tree_lock(struct session *s)
{
	bool killed = shared_lock(&s->state->lock, NULL);

	if (killed || s->state->op != UM_COW_NOTHING)
		session_finish_journal(s);
	s->state->changes += s->state->changes & 1;	/* nobody is at it any more */
	if (killed)
		session_settle(s, true);	/* what cannot be done is done, or told of, by whoever opens it next */
}

void session_tree_unlock(struct session *s)
{
	shared_unlock(&s->state->lock);
}

void session_change_begin(struct session *s)
{
	session_tree_lock(s);
	__atomic_fetch_add(&s->state->changes, 1, __ATOMIC_SEQ_CST);
}

void session_change_end(struct session *s)
{
	__atomic_fetch_add(&s->state->changes, 1, __ATOMIC_SEQ_CST);
	session_tree_unlock(s);
}
