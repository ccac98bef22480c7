/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds the system call sites of the dynamic linker, so that the loader can patch them in every new
 * process at once (struct um_prepared in wire/world.h).  A program's start makes some fifteen calls there, each
 * of which would trap.  They lie in one page, that of its mmap; only those are taken.
 *
 * Everything here is optional: what is not understood is left to trap.
 */
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "agent/patch_shape.h"
#include "prepare.h"

#define LINKER	"/lib64/ld-linux-x86-64.so.2"
#define PAGE	4096u

/* The executable segment, checked against the file's size. */
static const Elf64_Phdr *text_of(const uint8_t *file, size_t size)
{
	const Elf64_Ehdr *eh = (const void *)file;

	if (size < sizeof(*eh) || memcmp(file, ELFMAG, SELFMAG) || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phoff > size ||
	    eh->e_phnum > (size - eh->e_phoff) / sizeof(Elf64_Phdr))
		return NULL;
	const Elf64_Phdr *ph = (const void *)(file + eh->e_phoff);
	for (int i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_flags == (PF_R | PF_X) && ph[i].p_offset <= size &&
		    ph[i].p_filesz <= size - ph[i].p_offset)
			return &ph[i];
	return NULL;
}

/* Calls fn for every patchable site in the text. */
static void each_site(const uint8_t *file, const Elf64_Phdr *text,
		      void (*fn)(uint64_t vaddr, int nr, void *arg), void *arg)
{
	const uint8_t *code = file + text->p_offset;
	struct patch_shape s;

	for (size_t at = 0; at + 1 < text->p_filesz; at++) {
		if (code[at] != 0x0f || code[at + 1] != 0x05)
			continue;
		size_t from = at > 128 ? at - 128 : 0, to = at + 128 < text->p_filesz ? at + 128 : text->p_filesz;
		if (patch_recognise(code + from, (int)(to - from), (int)(at - from), &s) &&
		    s.start == s.jump)
			fn(text->p_vaddr + at, s.nr, arg);
	}
}

struct collect { struct um_prepared *p; uint64_t page; };

static void find_mmap(uint64_t vaddr, int nr, void *arg)
{
	struct collect *c = arg;

	if (nr == SYS_mmap)
		c->page = vaddr & ~(uint64_t)(PAGE - 1);
}

static void take(uint64_t vaddr, int nr, void *arg)
{
	struct collect *c = arg;

	(void)nr;
	/* the jump in front of it must lie in the page, too */
	if (vaddr - 9 >= c->page && vaddr + 2 <= c->page + PAGE && c->p->count < UM_PREPARED_MAX)
		c->p->vaddr[c->p->count++] = (uint32_t)vaddr;
}

void prepare_linker(struct um_prepared *p)
{
	int fd = open(LINKER, O_RDONLY | O_CLOEXEC);
	struct stat st;

	memset(p, 0, sizeof(*p));
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_size > 0) {
		uint8_t *file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		const Elf64_Phdr *text = file == MAP_FAILED ? NULL : text_of(file, (size_t)st.st_size);
		struct collect c = { p, 0 };

		if (text)
			each_site(file, text, find_mmap, &c);
		if (c.page)
			each_site(file, text, take, &c);
		if (p->count) {
			p->dev = st.st_dev;
			p->ino = st.st_ino;
			p->mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
			p->size = (uint64_t)st.st_size;
		}
		if (file != MAP_FAILED)
			munmap(file, (size_t)st.st_size);
	}
	close(fd);
}
