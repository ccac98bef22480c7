/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/agent/load.c: headers of real and of broken ELF files. */
#include "tap.h"
#include "shim.h"
#include "agent/load.h"
#include <linux/fcntl.h>
#include <stdlib.h>

static int open_file(struct elf_file *e, int fd, const char **why)
{
	struct elf_head h;

	elf_read_head(&h, fd);
	return elf_open(e, fd, &h, why);
}

/* The loader's ways into the program are not taken here. */
_Noreturn void load_jump(uint64_t entry, uint64_t sp);
_Noreturn void load_jump(uint64_t entry, uint64_t sp)
{
	(void)entry;
	(void)sp;
	abort();
}

static struct { Elf64_Ehdr eh; Elf64_Phdr ph[2]; char interp[32]; } good = {
	.eh = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 }, .e_type = ET_DYN,
		.e_machine = EM_X86_64, .e_phoff = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2,
	},
	.ph = {
		{ .p_type = PT_INTERP, .p_offset = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr), .p_filesz = 10 },
		{ .p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W | PF_X },
	},
	.interp = "/lib/ld.x",
};

static int open_bytes(const void *bytes, size_t n, struct elf_file *e, const char **why)
{
	long fd = raw_syscall(__NR_memfd_create, "elf", 0);

	if (raw_syscall(__NR_write, fd, bytes, n) != (long)n)
		return -1;
	int r = open_file(e, fd, why);
	raw_syscall(__NR_close, fd);
	return r;
}

static void real_files(void)
{
	struct elf_file e;
	const char *why;
	long fd = raw_syscall(__NR_openat, AT_FDCWD, "/bin/sh", O_RDONLY);

	is_int(open_file(&e, fd, &why), 0, "/bin/sh");
	ok(e.interp && strstr(e.interp, "ld-linux"), "its interpreter");
	ok(!e.exec_stack, "no executable stack");
	elf_close(&e);
	raw_syscall(__NR_close, fd);
}

static void made_files(void)
{
	struct elf_file e;
	const char *why;

	is_int(open_bytes(&good, sizeof good, &e, &why), 0, "a small good one");
	is_str(e.interp, "/lib/ld.x", "its interpreter");
	ok(e.exec_stack, "executable stack");
	elf_close(&e);
#define BAD(change, text, name) do {						\
		typeof(good) b = good;						\
		change;								\
		is_int(open_bytes(&b, sizeof b, &e, &why), -ENOEXEC, name);	\
		ok(strstr(why, text) != NULL, name ": it says so");		\
	} while (0)
	BAD(b.eh.e_ident[0] = 0, "not an ELF", "no magic number");
	BAD(b.eh.e_ident[EI_CLASS] = ELFCLASS32, "32-bit", "32-bit");
	BAD(b.eh.e_machine = 183, "another processor", "arm64");
	BAD(b.eh.e_type = ET_REL, "neither", "an object file");
	BAD(b.eh.e_phnum = 0, "program header", "no program headers");
	BAD(b.eh.e_phentsize = 32, "program header", "entries of another size");
	BAD(b.eh.e_phoff = 1 << 30, "program header", "headers beyond the end");
	BAD(b.eh.e_phoff = ~0ull - 8, "program header", "headers at the end of the world");
	BAD(b.ph[0].p_offset = ~0ull - 2, "program header", "interpreter beyond the end");
	BAD(b.ph[0].p_filesz = 1, "program header", "interpreter without a name");
	BAD(b.ph[0].p_filesz = 9, "program header", "interpreter without a NUL");
	is_int(open_bytes("\177ELF", 4, &e, &why), -ENOEXEC, "four bytes");
	is_int(open_bytes("", 0, &e, &why), -ENOEXEC, "an empty file");
	is_int(open_file(&e, -1, &why), -EBADF, "no descriptor");
	is_int(shim_heap_live, 0, "nothing is left on the heap");
}

int main(void)
{
	plan(0);
	real_files();
	made_files();
	return done();
}
