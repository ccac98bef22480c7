/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which code may be patched, and what a stub looks like: patch_shape.c.  Agent and monitor use it. */
#ifndef UM_AGENT_PATCH_SHAPE_H
#define UM_AGENT_PATCH_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

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
