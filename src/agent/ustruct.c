/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Structures that grow from one kernel to the next, given with their size: what an older caller leaves out is zero,
 * and what a newer one adds must be.
 */
#include "agent.h"

int copy_struct_from_guest(struct task *t, void *dst, size_t n, gaddr src, size_t size)
{
	uint8_t more[64];

	if (size > 4096)
		return -E2BIG;
	for (size_t at = n; at < size; ) {
		size_t piece = size - at < sizeof more ? size - at : sizeof more;

		if (copy_from_guest(t, more, src + at, piece))
			return -EFAULT;
		for (size_t i = 0; i < piece; i++)
			if (more[i])
				return -E2BIG;
		at += piece;
	}
	if (size < n)
		__builtin_memset((char *)dst + size, 0, n - size);
	return copy_from_guest(t, dst, src, size < n ? size : n) ? -EFAULT : 0;
}
