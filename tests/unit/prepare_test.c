/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/monitor/prepare.c: the dynamic linker's call sites, and files that are none. */
#include "../../src/monitor/prepare.c"
#include <stdlib.h>
#include "tap.h"

static void count(uint64_t vaddr, int nr, void *arg)
{
	(void)vaddr;
	(void)nr;
	++*(int *)arg;
}

static void real_linker(void)
{
	struct um_prepared p;

	prepare_linker(&p);
	ok(p.count > 3, "several sites");
	ok(p.size > 0, "the file is known");
	int sorted = 1, one_page = 1;
	for (uint32_t i = 1; i < p.count; i++) {
		sorted &= p.vaddr[i] > p.vaddr[i - 1];
		one_page &= (p.vaddr[i] & ~4095u) == (p.vaddr[0] & ~4095u);
	}
	ok(sorted, "in order");
	ok(one_page, "in one page");
}

static void broken_files(void)
{
	static uint8_t file[8192];
	Elf64_Ehdr *eh = (void *)file;
	Elf64_Phdr *ph = (void *)(file + sizeof(*eh));
	int n = 0;

	ok(!text_of(file, 10), "ten bytes");
	ok(!text_of(file, sizeof(file)), "zeros");
	memcpy(eh->e_ident, ELFMAG, SELFMAG);
	eh->e_ident[EI_CLASS] = ELFCLASS64;
	eh->e_phentsize = sizeof(*ph);
	eh->e_phoff = sizeof(*eh);
	eh->e_phnum = 1;
	*ph = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = 4096, .p_filesz = 4096 };
	ok(text_of(file, sizeof(file)) == ph, "a text segment");
	ph->p_filesz = 4097;
	ok(!text_of(file, sizeof(file)), "a segment beyond the end");
	ph->p_offset = UINT64_MAX - 8;
	ok(!text_of(file, sizeof(file)), "a segment at the end of the world");
	ph->p_offset = 4096;
	ph->p_filesz = 4096;
	eh->e_phoff = UINT64_MAX - 8;
	ok(!text_of(file, sizeof(file)), "headers beyond the end");
	eh->e_phoff = sizeof(*eh);
	eh->e_phnum = 0xffff;
	ok(!text_of(file, sizeof(file)), "too many headers");
	memcpy(file + 4096, "\x90\xb8\x09\0\0\0\x0f\x05", 8);
	memcpy(file + sizeof(file) - 2, "\x0f\x05", 2);
	each_site(file, ph, count, &n);
	is_int(n, 1, "a site near the start, none at the very end");
}

int main(void)
{
	plan(0);
	real_linker();
	broken_files();
	return done();
}
