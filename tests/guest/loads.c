/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs whose segments lie as no usual linker lays them: written here, byte by byte, and executed. Each ends
 * with the number that it finds in its data plus the one in its bss.
 *
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include <elf.h>

#define NUMBER	42
#define CODE	0x800		/* offsets in the file: of the code, and of the data */
#define DATA	0x1800
#define SIZE	0x2000

struct layout {
	int type;
	uint64_t code, data, bss;	/* addresses */
	Elf64_Phdr ph[6];
};

static void put_rel(uint8_t *at, uint64_t next, uint64_t target)
{
	uint32_t rel = (uint32_t)(target - next);

	memcpy(at, &rel, 4);
}

/* mov data(%rip),%edi; add bss(%rip),%edi; mov $231,%eax; syscall */
static void put_code(uint8_t *at, const struct layout *l)
{
	static const uint8_t code[] = "\x8b\x3d____\x03\x3d____\xb8\xe7\0\0\0\x0f\x05";

	memcpy(at, code, sizeof(code) - 1);
	put_rel(at + 2, l->code + 6, l->data);
	put_rel(at + 8, l->code + 12, l->bss);
}

static void write_program(const struct layout *l)
{
	static uint8_t file[SIZE];
	Elf64_Ehdr *eh = (void *)file;
	const uint32_t number = NUMBER;

	*eh = (Elf64_Ehdr){ .e_ident = ELFMAG, .e_type = (Elf64_Half)l->type, .e_machine = EM_X86_64, .e_version = 1,
			    .e_entry = l->code, .e_phoff = sizeof(*eh), .e_ehsize = sizeof(*eh),
			    .e_phentsize = sizeof(Elf64_Phdr) };
	eh->e_ident[EI_CLASS] = ELFCLASS64;
	eh->e_ident[EI_DATA] = ELFDATA2LSB;
	eh->e_ident[EI_VERSION] = 1;
	while (eh->e_phnum < 6 && l->ph[eh->e_phnum].p_type)
		eh->e_phnum++;
	memcpy(file + sizeof(*eh), l->ph, sizeof(l->ph));
	put_code(file + CODE, l);
	memcpy(file + DATA, &number, 4);
	int fd = MUST(open("p", O_CREAT | O_TRUNC | O_WRONLY, 0755));
	EQ(write(fd, file, SIZE), SIZE);
	OK(close(fd));
}

static void runs(const struct layout *l)
{
	int status;
	pid_t pid;

	write_program(l);
	pid = MUST(fork());
	if (!pid) {
		execl("./p", "p", NULL);
		_exit(99);
	}
	OK(waitpid(pid, &status, 0));
	EXITED(status, NUMBER);
	OK(unlink("p"));
}

#define LOAD(flags, off, at, file, mem)	{ PT_LOAD, flags, off, at, at, file, mem, 4096 }
#define R	PF_R
#define W	PF_W
#define X	PF_X
#define BASE	0x400000ul

TEST(plain, "text and data, in order")
{
	runs(&(struct layout){ ET_EXEC, BASE + CODE, BASE + 0x2800, BASE + 0x2900, {
		LOAD(R | X, 0, BASE, 0x1000, 0x1000), LOAD(R | W, DATA, BASE + 0x2800, 4, 0x200) } });
	runs(&(struct layout){ ET_DYN, CODE, 0x2800, 0x2900, {
		LOAD(R | X, 0, 0, 0x1000, 0x1000), LOAD(R | W, DATA, 0x2800, 4, 0x200) } });
}

TEST(one, "all in one segment, writable")
{
	runs(&(struct layout){ ET_EXEC, BASE + CODE, BASE + DATA, BASE + 0x2100, {
		LOAD(R | W | X, 0, BASE, SIZE, 0x2200) } });
	runs(&(struct layout){ ET_DYN, CODE, DATA, 0x3100, { LOAD(R | W | X, 0, 0, SIZE, 0x3200) } });
}

TEST(shared_page, "two segments in one page: the latter has it")
{
	runs(&(struct layout){ ET_EXEC, BASE + CODE, BASE + DATA, BASE + 0x5000, {
		LOAD(R, 0, BASE, 0x700, 0x700), LOAD(R | W | X, CODE, BASE + CODE, SIZE - CODE, 0x6000) } });
	runs(&(struct layout){ ET_DYN, CODE, DATA, 0x5000, {
		LOAD(R, 0, 0, 0x700, 0x700), LOAD(R | W | X, CODE, CODE, SIZE - CODE, 0x6000) } });
}

TEST(any_order, "segments that do not ascend")
{
	runs(&(struct layout){ ET_EXEC, BASE + CODE, BASE + 0x8800, BASE + 0x8900, {
		LOAD(R | W, DATA, BASE + 0x8800, 4, 0x200), LOAD(R | X, 0, BASE, 0x1000, 0x1000) } });
	runs(&(struct layout){ ET_DYN, CODE, 0x8800, 0x8900, {
		LOAD(R, 0, 0x10000, 0x1000, 0x1000), LOAD(R | X, 0, 0, 0x1000, 0x1000),
		LOAD(R, 0, 0x20000, 0x1000, 0x1000), LOAD(R | W, DATA, 0x8800, 4, 0x200) } });
	runs(&(struct layout){ ET_DYN, CODE, 0x8800, 0x8900, {
		LOAD(R | X, 0, 0, 0x1000, 0x1000), LOAD(R | W, DATA, 0x8800, 4, 0x200),
		LOAD(R, 0, 0x4000, 0x1000, 0x1000), LOAD(R, 0, 0x20000, 0x1000, 0x1000) } });
}

TEST(bss_alone, "a segment of which nothing is in the file, and one without any memory")
{
	runs(&(struct layout){ ET_EXEC, BASE + CODE, BASE + DATA, BASE + 0x9000, {
		LOAD(R | W | X, 0, BASE, SIZE, SIZE), LOAD(R | W, 0, BASE + 0x8000, 0, 0x2000),
		LOAD(R | W, 0, BASE + 0x20000, 0, 0) } });
	runs(&(struct layout){ ET_DYN, CODE, DATA, 0x9000, {
		LOAD(R | W | X, 0, 0, SIZE, SIZE), LOAD(R | W, 0, 0x8000, 0, 0x2000) } });
}

TEST(aligned, "two megabytes of alignment")
{
	struct layout l = { ET_DYN, CODE, 0x400000 + DATA, 0x400000 + DATA + 8, {
		LOAD(R | X, 0, 0, 0x1000, 0x1000), LOAD(R | W, DATA, 0x400000 + DATA, 4, 0x2000) } };

	l.ph[0].p_align = l.ph[1].p_align = 0x200000;
	runs(&l);
}

TEST(first_not_at_zero, "a shared object whose first address is not 0, the headers not in memory")
{
	runs(&(struct layout){ ET_DYN, 0x10000 + CODE, 0x12800, 0x12900, {
		LOAD(R | X, 0, 0x10000, 0x1000, 0x1000), LOAD(R | W, DATA, 0x12800, 4, 0x200) } });
	runs(&(struct layout){ ET_DYN, 0x10000 + CODE, 0x12800, 0x12900, {
		LOAD(R | W, DATA, 0x12800, 4, 0x200), LOAD(R | X, 0, 0x10000, 0x1000, 0x1000) } });
}
