/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mappings of files that were opened through a bind mount.  The kernel shows such a file where the mount leads,
 * and from that alone nobody can tell that the guest came there another way; so it is noted when the guest
 * maps.  What is noted may be out of date, when something else has been mapped over it: who asks checks that the
 * kernel's path lies behind the mount.
 *
 * Notes are never taken away, so another thread, or another process's agent, may walk the list at any time.
 */
#include "proc.h"

static struct proc_bound *notes;	/* newest first */
static uint32_t count;

void proc_bound_note(uint64_t at, uint64_t len, uint32_t bind, uint32_t bound)
{
	struct proc_bound *b, *first = __atomic_load_n(&notes, __ATOMIC_ACQUIRE);

	for (b = first; b; b = b->next)
		if (b->at == at && b->bind == bind && b->len >= len)
			return;
	if (__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) > PROC_BOUND_MAX || !(b = heap_alloc(sizeof(*b))))
		return;
	*b = (struct proc_bound) { first, at, len, bind, bound };
	while (!__atomic_compare_exchange_n(&notes, &b->next, b, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		;
}

size_t proc_bound_list(int pid, struct proc_bound list[PROC_BOUND_MAX])
{
	const struct proc_bound *at;
	size_t n = 0;

	if (!peer_read(pid, &notes, &at, sizeof(at)))
		return 0;
	while (at && n < PROC_BOUND_MAX && peer_read(pid, at, &list[n], sizeof(list[n])))
		at = list[n++].next;
	return n;
}
