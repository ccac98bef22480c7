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

int session_table_attach(struct session *s, void *base, uint64_t size)
{
	struct vtable *vt = calloc(1, sizeof(*vt));
	int r = vt ? vtable_attach(vt, base, size) : -ENOMEM;

	if (r < 0)
		free(vt);
	else
		s->inodes = vt;
	return r;
}

void session_table_detach(struct session *s)
{
	if (s->inodes)
		munmap(s->inodes->head, um_vtable_size(UM_VSTAT_RECORDS));
	free(s->inodes);
}

bool session_vstat(const struct session *s, uint64_t dev, uint64_t ino, struct vstat *out)
{
	return vtable_get(s->inodes, dev, ino, out);
}

int session_set_flags(struct session *s, uint64_t dev, uint64_t ino, uint32_t flags)
{
	const struct vstat v = { .have = flags ? UM_VS_FLAGS : 0, .flags = flags };

	return vtable_set(s->inodes, NULL, dev, ino, &v, UM_VS_FLAGS);
}

int session_note_copy(struct session *s, uint64_t dev, uint64_t ino, const struct vstat *v)
{
	__atomic_add_fetch(&s->state->ncopies, 1, __ATOMIC_RELAXED);
	return vtable_set(s->inodes, NULL, dev, ino, v, ~0u);
}

void session_set_nlink(struct session *s, uint64_t dev, uint64_t ino, int32_t n)
{
	const struct vstat v = { .have = UM_VS_NLINK, .nlink = n };

	vtable_set(s->inodes, NULL, dev, ino, &v, UM_VS_NLINK);
}

void session_name_gone(struct session *s, uint64_t dev, uint64_t ino)
{
	struct vstat v;

	if (vtable_get(s->inodes, dev, ino, &v) && v.have & UM_VS_NLINK)
		vtable_add_nlink(s->inodes, NULL, dev, ino, 1);
}

void session_forget_inode(struct session *s, uint64_t dev, uint64_t ino)
{
	vtable_remove(s->inodes, NULL, dev, ino);
}

void session_tree_lock(struct session *s)
{
	if (shared_lock(&s->state->lock, NULL) || s->state->op != UM_COW_NOTHING)
		session_finish_journal(s);
}

void session_tree_unlock(struct session *s)
{
	shared_unlock(&s->state->lock);
}
