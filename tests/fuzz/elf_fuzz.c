/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/agent/load.c: the headers of programs, which anybody may have made. */
#include <stdlib.h>
#include "../unit/shim.h"
#include "agent/load.h"

static int open_file(struct elf_file *e, int fd, const char **why)
{
	struct elf_head h;

	elf_read_head(&h, fd);
	return elf_open(e, fd, &h, why);
}

/* The loader's way into the program is not taken here. */
_Noreturn void load_jump(uint64_t entry, uint64_t sp);
_Noreturn void load_jump(uint64_t entry, uint64_t sp)
{
	(void)entry;
	(void)sp;
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_file e;
	const char *why = NULL;
	long fd = raw_syscall(__NR_memfd_create, "elf", 0);
	int r;

	if (raw_syscall(__NR_write, fd, data, size) != (long)size)
		abort();
	r = open_file(&e, (int)fd, &why);
	if (r == 0)
		elf_close(&e);
	else if (r != -ENOEXEC && r != -ENOMEM && r != -EIO)
		abort();
	raw_syscall(__NR_close, fd);
	if (shim_heap_live)
		abort();
	return 0;
}
