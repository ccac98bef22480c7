/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prints what the patcher would do with every `syscall` in a flat binary, and the stub it would write:
 * the golden tests compare it with NAME.out.
 */
#include <stdio.h>
#include <string.h>
#include "agent/patch.h"
#include "arch/x86_64/offsets.h"

#define SITE	0x401000ul
#define STUB	0x3f0030ul

static void show(const uint8_t *code, int n, int at)
{
	struct patch_shape s;
	uint8_t stub[STUB_SIZE];

	printf("syscall at %d: ", at);
	if (!patch_recognise(code, n, at, &s)) {
		printf("refused\n");
		return;
	}
	printf("number %d, from %d, jump at %d, %d bytes\n  stub", s.nr, s.start, s.jump, s.length);
	patch_write_stub(stub, STUB, SITE + s.start, &s);
	for (int i = 0; i < STUB_SIZE; i++)
		printf(" %02x", stub[i]);
	printf("\n");
}

int main(void)
{
	uint8_t code[4096];
	int n = fread(code, 1, sizeof code, stdin);

	for (int at = 0; at + 1 < n; at++)
		if (code[at] == 0x0f && code[at + 1] == 0x05)
			show(code, n, at);
	return 0;
}
