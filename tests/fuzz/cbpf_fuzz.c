/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/kernel/cbpf.c: any program that a guest may offer as its seccomp filter is taken or refused as the
 * kernel does, and means the same.
 */
#include "../unit/cbpf_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int works = -1;
	struct sock_filter code[RIG_MAX - HEAD - TAIL];
	unsigned n;

	if (works < 0)
		works = rig_start();
	if (size < sizeof(rig_args))
		return 0;
	memcpy(rig_args, data, sizeof(rig_args));
	n = (unsigned)((size - sizeof(rig_args)) / sizeof(code[0]));
	if (n > sizeof(code) / sizeof(code[0]))
		n = sizeof(code) / sizeof(code[0]);
	memcpy(code, data + sizeof(rig_args), n * sizeof(code[0]));
	rig_set(code, n);
	long ours = rig_ours();
	if (works && rig_kernels(ours != UNTRIED) != ours)
		abort();
	return 0;
}
