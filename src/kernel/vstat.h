/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual attributes of real files: the table whose layout is wire/vstat.h, wherever it is mapped.
 *
 * Reading takes no lock, makes no system call and never waits.  Writing takes the table's lock; whoever is killed
 * while holding it, at any instruction, leaves each record as it was before or as it should be after.
 */
#ifndef UM_KERNEL_VSTAT_H
#define UM_KERNEL_VSTAT_H

#include "../agent/agent.h"
#include "../wire/vstat.h"

struct vtable {
	struct um_vtable *head;		/* where it is mapped; read-only will do for reading */
	uint32_t capacity, buckets;	/* checked once: the table itself is not believed afterwards */
	int (*grow)(struct vtable *vt);	/* more room for records, on the disk: 0 or -errno; NULL: it is in memory */
};

/* Uses the table (um_vtable_format() has made it) that is mapped at base, size bytes of it.  0, or -EINVAL if it is none. */
int vtable_attach(struct vtable *vt, void *base, uint64_t size);

/* Was there ever anything in it? */
static inline bool vtable_any(const struct vtable *vt)
{
	return __atomic_load_n(&vt->head->used, __ATOMIC_RELAXED) != 0;
}

/* false, and out->have == 0: nothing of this inode is virtual. */
bool vtable_get(const struct vtable *vt, uint64_t dev, uint64_t ino, struct vstat *out);

/*
 * The attributes in mask become those of v; the ones that v has not become real again.  0, or -ENOSPC: the table, or the
 * disk, is full.  t is NULL where there is none (the monitor).
 */
int vtable_set(struct vtable *vt, struct task *t, uint64_t dev, uint64_t ino, const struct vstat *v,
	       uint32_t mask);

/* Adds to the number that is added to st_nlink; UM_VS_NLINK goes when that becomes 0.  0 or -ENOSPC. */
int vtable_add_nlink(struct vtable *vt, struct task *t, uint64_t dev, uint64_t ino, int32_t delta);

/* The inode is gone. */
void vtable_remove(struct vtable *vt, struct task *t, uint64_t dev, uint64_t ino);

/* Calls fn for all there are, until it returns something else than 0, and returns that.  What changes
 * meanwhile may be seen or not. */
int vtable_each(const struct vtable *vt, int (*fn)(void *arg, uint64_t dev, uint64_t ino, const struct vstat *v),
		void *arg);

#endif
