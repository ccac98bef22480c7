/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Structures that grow from one kernel to the next, given with their size: what an older caller leaves out is zero,
 * and what a newer one adds must be.
 */
#include "calls.h"

static long all_zero(struct task *t, gaddr from, size_t n)
{
	uint8_t buf[64];

	while (n) {
		size_t k = n < sizeof buf ? n : sizeof buf;

		if (copy_from_guest(t, buf, from, k))
			return -EFAULT;
		for (size_t i = 0; i < k; i++)
			if (buf[i])
				return -E2BIG;
		from += k;
		n -= k;
	}
	return 0;
}

long fetch_struct(struct task *t, void *to, size_t size, gaddr from, size_t given)
{
	if (given > 4096)
		return -E2BIG;
	memset(to, 0, size);
	if (copy_from_guest(t, to, from, given < size ? given : size))
		return -EFAULT;
	return given > size ? all_zero(t, from + size, given - size) : 0;
}
