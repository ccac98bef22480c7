/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/agent/patch_shape.c: any bytes around a `syscall` instruction.  What is found to be patchable lies within
 * them, holds the syscall, and has room for the jump.
 */
#include <stdlib.h>
#include "../unit/shim.h"
#include "agent/patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct patch_shape s;
	uint8_t *p;
	int n, at;

	if (size < 3)
		return 0;
	n = (int)size - 1;
	at = data[0] % n;
	p = malloc((size_t)n);
	memcpy(p, data + 1, (size_t)n);
	if (at + 2 <= n) {
		p[at] = 0x0f;
		p[at + 1] = 0x05;
		if (patch_recognise(p, n, at, &s) &&
		    (s.start < 0 || s.start > at || s.start + s.length > n || s.jump < 0 || s.jump + 5 > n))
			abort();
	}
	free(p);
	return 0;
}
