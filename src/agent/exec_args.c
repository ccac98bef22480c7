/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is wrong with the arguments and the environment of an exec.
 *
 * The kernel copies them after it has opened the program and before it looks at what the program is; we leave them
 * to the kernel, which gets them last.  So when an exec fails because of what the program is, they are looked at
 * here, to tell the error that comes first.  No exec that succeeds comes here.
 */
#include "exec.h"

#define STRING_MAX	(32 * 4096)	/* the kernel's MAX_ARG_STRLEN */

static long check_string(struct task *t, gaddr s)
{
	char piece[512];

	for (size_t at = 0; at < STRING_MAX; at += sizeof piece) {
		long n = string_from_guest(t, piece, s + at, sizeof piece);

		if (n != -ENAMETOOLONG)
			return n < 0 ? n : 0;
	}
	return -E2BIG;
}

static long check_strings(struct task *t, gaddr v)
{
	uint64_t p;
	long r;

	for (; v; v += 8) {
		if (copy_from_guest(t, &p, v, 8))
			return -EFAULT;
		if (!p)
			return 0;
		r = check_string(t, p);
		if (r)
			return r;
	}
	return 0;
}

long exec_count(struct task *t, gaddr v)
{
	uint64_t p;

	for (long n = 0; v; n++) {
		if (copy_from_guest(t, &p, v + 8 * n, 8))
			return -EFAULT;
		if (!p)
			return n;
	}
	return 0;
}

long exec_check_args(struct task *t, gaddr argv, gaddr envp)
{
	long r = exec_count(t, argv);

	if (r >= 0)
		r = exec_count(t, envp);
	if (r >= 0)
		r = check_strings(t, envp);
	return r < 0 ? r : check_strings(t, argv);
}
