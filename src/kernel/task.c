/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Task regions.  They lie in one window of the address space (UM_TASKS_BASE), so that an address can be
 * recognised as a task's by its high half.  A region whose `busy` is 0 is free: the word is cleared by
 * the last instruction of the thread that used it.
 */
#include "task.h"
#include "guard.h"
#include "path.h"
#include "../agent/signal.h"
#include "../agent/life.h"
#include "../arch/x86_64/offsets.h"
#include <linux/mman.h>

struct process process = { .pid = 0, .world_fd = -1, .image_fd = -1 };

/* What a region holds of its task. */
struct task_page {
	struct task task;
	struct sigstate sig;
	struct lifestate life;
	struct guard guard;
};

_Static_assert(sizeof(struct task_page) <= TASK_SIZE, "task page");
_Static_assert(UM_ERESTART == UM_ERESTART_NR && UM_EAGAIN == UM_EAGAIN_NR, "offsets.h");
_Static_assert(offsetof(struct task, self) == TASK_SELF, "offsets.h");
_Static_assert(offsetof(struct task, pending) == TASK_PENDING, "offsets.h");
_Static_assert(offsetof(struct task, busy) == TASK_BUSY, "offsets.h");
_Static_assert(offsetof(struct task, regs) == TASK_REGS, "offsets.h");
_Static_assert(offsetof(struct task, tail) == TASK_TAIL && offsetof(struct task, flags) == TASK_FLAGS, "offsets.h");
_Static_assert(offsetof(struct process, watch) == PROCESS_WATCH && (WATCH_FD & (WATCH_CALLS | WATCH_VIRTUAL)) != 0 &&
	       (WATCH_FD_TABLE & WATCH_HINTS) != 0 && (WATCH_FD & WATCH_HINTS) == 0, "offsets.h");
_Static_assert(offsetof(struct regs, r15) == REGS_R15 && offsetof(struct regs, rbx) == REGS_RBX &&
	       offsetof(struct regs, r10) == REGS_R10 && offsetof(struct regs, rdi) == REGS_RDI &&
	       offsetof(struct regs, rax) == REGS_RAX && offsetof(struct regs, rip) == REGS_RIP &&
	       offsetof(struct regs, rflags) == REGS_RFLAGS && offsetof(struct regs, rsp) == REGS_RSP &&
	       offsetof(struct regs, site) == REGS_SITE, "offsets.h");
_Static_assert(UM_TASK_SPAN == TASK_SPAN, "offsets.h");
_Static_assert(UM_TASKS_BASE >> 32 == UM_TASKS_HIGH, "offsets.h");

#define REGIONS_MAX	((1ull << 32) / TASK_SPAN - 64)	/* the image takes some room */

struct lock tasks_lock;
static uint32_t regions = 1;	/* mapped so far: the first belongs to the image (agent.ld) */
static uint32_t hole;		/* the one that is none, if not 0: task_keep_off() */
extern char first_task_region[];

static struct task_page *region(uint32_t i)
{
	return (struct task_page *)(first_task_region + (uint64_t)i * TASK_SPAN + TASK_OFFSET);
}

static struct task_page *region_find(void)
{
	for (uint32_t i = 0; i < regions; i++)
		if (!(hole && i == hole) && !__atomic_load_n(&region(i)->task.busy, __ATOMIC_ACQUIRE))
			return region(i);
	if (hole && regions == hole)
		regions++;
	if (regions >= REGIONS_MAX)
		return NULL;
	long r = raw_syscall(__NR_mmap, (char *)region(regions) - TASK_OFFSET, TASK_SPAN, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	return r < 0 ? NULL : region(regions++);
}

static struct task *task_in(struct task_page *p)
{
	p->task.self = &p->task;
	p->task.busy = 1;
	p->task.sig = &p->sig;
	p->task.life = &p->life;
	p->task.guard = &p->guard;
	return &p->task;
}

struct task *task_new(void)
{
	lock_acquire(&tasks_lock);
	struct task_page *p = region_find();
	if (p) {
		memset(p, 0, sizeof *p);
		task_in(p);
	}
	lock_release(&tasks_lock);
	return p ? &p->task : NULL;
}

struct task *task_first(void)
{
	return task_in(region(0));
}

struct task *task_next(const struct task *t)
{
	uint32_t i = t ? ((uint64_t)t - (uint64_t)first_task_region) / TASK_SPAN + 1 : 0;

	for (; i < __atomic_load_n(&regions, __ATOMIC_ACQUIRE); i++)
		if (!(hole && i == hole) && __atomic_load_n(&region(i)->task.self, __ATOMIC_ACQUIRE) &&
		    __atomic_load_n(&region(i)->task.busy, __ATOMIC_ACQUIRE))
			return &region(i)->task;
	return NULL;
}

void task_only(struct task *t)
{
	for (uint32_t i = 0; i < regions; i++)
		if (!(hole && i == hole) && &region(i)->task != t)
			region(i)->task.busy = 0;
}

void task_keep_off(uint64_t address)
{
	uint64_t i = (address - (uint64_t)first_task_region) / TASK_SPAN;

	if (i >= 1 && i < REGIONS_MAX)
		hole = i;
}
