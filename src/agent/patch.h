/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patching hot sites.  See patch.c.
 */
#ifndef UM_AGENT_PATCH_H
#define UM_AGENT_PATCH_H

#include "../kernel/task.h"
#include "patch_shape.h"

/* One more trap at the `syscall` instruction at `site`: at the threshold the site is patched, if its
 * code has a shape we know. */
void patch_count(struct task *t, uint64_t site);

/* Stubs that somebody else has made at [base, base + size), in a page or whole pages: they are known from now on, as
 * those of world->prepared[which].  false: too many. */
bool patch_adopt(uint64_t base, uint64_t size, uint32_t which);
bool patch_is_adopted(uint64_t base);
void patch_forget(uint64_t base);

/* The address to execute again for a trap that will return to `rip`: the instruction before it, or the
 * patched site if the trap came from a stub's own syscall. */
uint64_t patch_site_of_trap(uint64_t rip);

/* An address inside a stub becomes the same state's at the site: guests never see our stubs. */
uint64_t patch_normalise(uint64_t rip);

/* Is rip a stub's first instruction?  Then *nr is its call's number, and patch_resume() tells what is behind that. */
bool patch_stub_begins(uint64_t rip, uint32_t *nr);
uint64_t patch_resume(uint64_t stub);

/* Where stubs are: an array of STUB_AREAS, and where it stands how many are used. */
#define STUB_AREAS	64
struct stub_area {
	uint64_t base;
	uint32_t size, used;	/* bytes; adopted: used - size - 1 is `which` */
};
const struct stub_area *patch_areas(const int **count);

#endif
