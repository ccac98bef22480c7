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

/* A context inside a stub becomes the same state at the site: guests never see our stubs. */
void patch_normalise(uint64_t *rip, uint64_t *rflags, uint64_t rax);

/* What patch_site() would do with the bytes at p (n of them, the syscall at p[at]): for the golden tests.
 * Returns the length of the pattern (start at *start) or 0 when it is none we may patch. */
struct patch_shape { int start, length, nr; bool compare; };
bool patch_recognise(const uint8_t *p, int n, int at, struct patch_shape *shape);

/* Writes the stub for a site into buf (STUB_SIZE bytes), as it will lie at address `stub`. */
void patch_write_stub(uint8_t *buf, uint64_t stub, uint64_t site, const struct patch_shape *shape,
		      uint64_t entry);

#endif
