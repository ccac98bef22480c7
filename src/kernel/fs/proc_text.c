/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests' text that is not what it seems: pages of stubs, and text of the dynamic linker and the C library that the
 * monitor has prepared (wire/world.h), of which the kernel says that it is mapped from the world file.
 */
#include "proc.h"
#include "../../arch/x86_64/offsets.h"

#define PAGE	4096u

void proc_stubs_find(struct proc_stubs *s, int pid)
{
	const int *count;
	const struct stub_area *areas = patch_areas(&count);

	if (!peer_read(pid, count, &s->n, sizeof(s->n)) || s->n < 0 || s->n > STUB_AREAS ||
	    !peer_read(pid, areas, s->area, sizeof(s->area)))
		s->n = 0;
}

/* An area that begins within a page has its place in prepared text. */
bool proc_is_stub(const struct proc_stubs *s, uint64_t page)
{
	for (int i = 0; i < s->n; i++)
		if (s->area[i].base % PAGE == 0 && page >= s->area[i].base && page - s->area[i].base < s->area[i].size)
			return true;
	return false;
}

uint64_t proc_not_in_stub(int pid, uint64_t pc)
{
	struct proc_stubs s;
	uint64_t on;

	proc_stubs_find(&s, pid);
	for (int i = 0; i < s.n; i++) {
		uint64_t in = pc - s.area[i].base, tail = pc - in % PAGE % STUB_SIZE + STUB_TAIL;

		if (in < s.area[i].size && peer_read(pid, (const void *)(tail + STUB_RESUME), &on, sizeof(on)))
			return tail + on;
	}
	return pc;
}

static const struct um_prepared *prepared(uint32_t i)
{
	const struct um_prepared *p = &process.world->prepared[i];

	return __atomic_load_n(&p->ready, __ATOMIC_ACQUIRE) == UM_PREPARED_YES ? p : NULL;
}

const struct um_prepared *proc_prepared_copy(uint64_t offset, bool *stubs)
{
	for (uint32_t i = 0; i < UM_PREPARED; i++) {
		const struct um_prepared *p = prepared(i);

		if (!p || offset < p->copy || offset >= p->copy + p->text_size + (uint64_t)p->stub_pages * PAGE)
			continue;
		*stubs = offset >= p->copy + p->text_size;
		return p;
	}
	return NULL;
}

/* Its stubs tell where the file lies. */
const struct um_prepared *proc_prepared_at(const struct proc_stubs *s, uint64_t address)
{
	for (uint32_t i = 0; i < UM_PREPARED; i++) {
		const struct um_prepared *p = prepared(i);

		for (int k = 0; p && k < s->n; k++) {
			uint64_t text = s->area[k].base - p->stubs_vaddr + p->text_vaddr;

			if (s->area[k].size && s->area[k].used == s->area[k].size + 1 + i && address >= text &&
			    address < text + p->text_size)
				return p;
		}
	}
	return NULL;
}
