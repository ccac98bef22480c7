/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/agent/boot.c: what one image tells the next over exec.  Any text is taken or refused; what was taken
 * comes back the same when it is written and read again.
 */
#include <stdlib.h>
#include "../unit/shim.h"
#include "agent/exec.h"

static char *copy(const char *s, size_t n)
{
	char *p = malloc(n + 1);

	memcpy(p, s, n);
	p[n] = 0;
	return p;
}

static void same(const char *a, const char *b)
{
	if (strcmp(a ? a : "", b ? b : ""))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[UM_BOOT_MAX];
	char *first = copy((const char *)data, size), *second = NULL;
	struct boot a, b;
	long n;

	if (!boot_read(&a, first))
		goto out;
	n = boot_write(&a, text, sizeof(text));
	if (n <= 0)
		goto out;
	second = copy(text, (size_t)n);
	if (!boot_read(&b, second))
		abort();
	same(a.fds, b.fds);
	same(a.cwd, b.cwd);
	same(a.exe, b.exe);
	if (a.view != b.view || a.epoch != b.epoch || a.prog_fd != b.prog_fd || a.ignored != b.ignored)
		abort();
out:
	free(first);
	free(second);
	return 0;
}
