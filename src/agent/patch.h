/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patching hot sites.  See patch.c.
 */
#ifndef UM_AGENT_PATCH_H
#define UM_AGENT_PATCH_H

#include "../kernel/task.h"

/* One more trap at the `syscall` instruction at `site`: at the threshold the site is patched, if its
 * code has a shape we know. */
void patch_count(struct task *t, uint64_t site);

/* The address to execute again for a trap that will return to `rip`: the instruction before it, or the
 * patched site if the trap came from a stub's own syscall. */
uint64_t patch_site_of_trap(uint64_t rip);

/* An address inside a stub becomes the same state's at the site: guests never see our stubs. */
uint64_t patch_normalise(uint64_t rip);

/*
 * What may be patched in the n bytes at p, whose p[at] is the syscall instruction.  start: the first
 * instruction replaced; jump: where the 5-byte jump goes (start, or padding that a short jump at start
 * leads to); length: from start to behind the syscall.
 */
struct patch_shape { int start, jump, length, nr; };
bool patch_recognise(const uint8_t *p, int n, int at, struct patch_shape *shape);

/* Writes the stub for the site that starts at `site` into buf (STUB_SIZE bytes), as it will lie at `stub`. */
void patch_write_stub(uint8_t *buf, uint64_t stub, uint64_t site, const struct patch_shape *shape);

#endif
