/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/monitor/prepare.c and straighten.c: prepared text of real files, and files that are none. */
#include "../../src/monitor/prepare.c"
#include "../../src/monitor/straighten.c"
#include "../../src/monitor/world.c"
#include "tap.h"

/* An image that tells where stubs lead: an ELF header, one segment, its entry behind the words. */
#define ENTRY	0x7e9100001234ul
#define FD_ENTRY	0x7e9100004321ul
#define PLAIN	0x111111ul		/* from those to those without fsgsbase */
struct image { Elf64_Ehdr eh; Elf64_Phdr ph; uint64_t words[4]; uint8_t entry[8]; };
#define IMAGE	((struct image) { \
	.eh = { .e_entry = 0x1000 + offsetof(struct image, entry), .e_phoff = sizeof(Elf64_Ehdr), .e_phnum = 1 }, \
	.ph = { .p_type = PT_LOAD, .p_vaddr = 0x1000, .p_filesz = sizeof(struct image) }, \
	.words = { FD_ENTRY + PLAIN, ENTRY + PLAIN, FD_ENTRY, ENTRY } })
static const union { struct image image; uint8_t bytes[sizeof(struct image)]; } image = { IMAGE };
extern const uint8_t um_agent_image[sizeof(image)] __attribute__((alias("image")));

static struct world w;

static const uint8_t *text_of(const struct um_prepared *p)
{
	return world_map(&w, p->copy, UM_PREPARED_SPAN);
}

/* Follows the jump at a patched site to its stub, and looks at where that leads. */
static int check_site(const struct um_prepared *p, const uint8_t *copy, size_t jump, size_t call)
{
	int32_t rel;
	uint64_t word;

	memcpy(&rel, copy + jump + 1, 4);
	uint64_t stub = p->text_vaddr + jump + 5 + (uint64_t)(int64_t)rel;
	if (stub < p->stubs_vaddr || stub + STUB_SIZE > p->stubs_vaddr + p->stubs_size)
		return 0;
	const uint8_t *at = p->stub_pages ? copy + p->text_size + (stub - p->stubs_vaddr)
					  : copy + (stub - p->text_vaddr);
	memcpy(&word, at + STUB_TAIL + STUB_RESUME, 8);
	if (stub + STUB_TAIL + word != p->text_vaddr + call + 2)
		return 0;
	memcpy(&rel, at + STUB_TAIL + 1, 4);
	if (stub + STUB_TAIL + 5 + (uint64_t)(int64_t)rel != p->text_vaddr + call + 2)
		return 0;
	memcpy(&word, copy + ((size_t)(at - copy) & ~(PAGE - 1)) + PAGE - 8, 8);
	if (word != ENTRY + (w.head->fsgsbase ? 0 : PLAIN))
		return 0;
	memcpy(&word, copy + ((size_t)(at - copy) & ~(PAGE - 1)) + PAGE - 16, 8);
	return word == FD_ENTRY + (w.head->fsgsbase ? 0 : PLAIN);
}

static void real_file(int which, const char *name, int least)
{
	const struct um_prepared *p = &w.head->prepared[which];
	int good = 0, bad = 0, foreign = 0;

	if (p->ready != UM_PREPARED_YES) {		/* another C library, or a sanitizer's world */
		skip("no prepared text of this machine's %s", name);
		return;
	}
	const uint8_t *copy = text_of(p);
	for (size_t at = 5; at + 1 < p->text_size; at++) {
		if (copy[at] != 0x0f || copy[at + 1] != 0x05 || copy[at - 5] != 0xe9)
			continue;
		if (check_site(p, copy, at - 5, at))
			good++;
		else
			bad++;
	}
	ok(good >= least, "%s: %d sites lead to stubs and back", name, good);
	is_int(bad, 0, "%s: none leads elsewhere", name);
	ok(p->map_length > p->text_vaddr + p->text_size - PAGE && p->size > 0, "%s: the file is known", name);
	ok(p->path[0] == '/' && access(p->path, R_OK) == 0, "%s: its path", name);

	int fd = open(p->path, O_RDONLY);
	uint8_t *file = malloc(p->size);
	if (read(fd, file, p->size) == (ssize_t)p->size)
		for (size_t at = 0; at + 2 < p->text_size - PAGE; at++)
			foreign += !memcmp(file + p->text_offset + at, "\x0f\x05", 2) && memcmp(copy + at, "\x0f\x05", 2);
	is_int(foreign, 0, "%s: every syscall instruction is where it was", name);
	free(file);
	close(fd);
}

/* A copy of the linker and the library, as in another root: two more places; what is no library takes one, once. */
static void others(void)
{
	const struct um_prepared *p = w.head->prepared;
	char dir[] = "/tmp/umprepXXXXXX", command[PATH_MAX];

	if (p[0].ready != UM_PREPARED_YES || p[1].ready != UM_PREPARED_YES) {
		skip("no prepared text of this machine's files");
		return;
	}
	ok(mkdtemp(dir), "a directory");
	snprintf(command, sizeof(command), "cd %s && cp %s ld-linux-x86-64.so.2 && cp %s libc.so.6 && echo x >none && chmod +x none",
		 dir, p[0].path, p[1].path);
	is_int(system(command), 0, "copies");
	snprintf(command, sizeof(command), "%s/ld-linux-x86-64.so.2", dir);
	prepare_linker(&w, command);
	is_int((long)p[2].ready, UM_PREPARED_YES, "another linker");
	is_int((long)p[3].ready, UM_PREPARED_YES, "its library");
	ok(p[2].ino != p[0].ino && p[2].text_size == p[0].text_size && p[2].copy != p[0].copy, "a copy of its own");
	ok(!memcmp(text_of(&p[3]), text_of(&p[1]), p[1].text_size), "the same text");
	prepare_linker(&w, command);
	is_int((long)p[4].ready, 0, "known is known");
	snprintf(command, sizeof(command), "%s/none", dir);
	for (int i = 0; i < 3; i++)
		prepare_linker(&w, command);
	is_int((long)p[4].ready, UM_PREPARED_NOT, "what is none");
	is_int((long)p[5].ready, 0, "is noted once");
	prepare_linker(&w, "/nowhere/ld-linux-x86-64.so.2");
	prepare_linker(&w, "none");
	prepare_linker(&w, dir);
	is_int((long)p[5].ready, 0, "what is not there takes no place");
	for (int i = 0; i < 2 * (int)UM_PREPARED; i++) {
		snprintf(command, sizeof(command), "echo %d >%s/%d && chmod +x %s/%d", i, dir, i, dir, i);
		is_int(system(command), 0, "a file");
		snprintf(command, sizeof(command), "%s/%d", dir, i);
		prepare_linker(&w, command);
	}
	is_int((long)p[UM_PREPARED - 1].ready, UM_PREPARED_NOT, "all places are taken");
	ok(p[0].ready == UM_PREPARED_YES && p[3].ready == UM_PREPARED_YES, "nothing is lost");
	snprintf(command, sizeof(command), "rm -r %s", dir);
	is_int(system(command), 0, "cleaned");
}

static void broken_files(void)
{
	static _Alignas(8) uint8_t file[4 * 8192];
	Elf64_Ehdr *eh = (void *)file;
	Elf64_Phdr *ph = (void *)(file + sizeof(*eh));
	static struct job j = { .size = 10 };

	j.file = file;

	ok(!find_text(&j), "ten bytes");
	j.size = sizeof(file);
	ok(!find_text(&j), "zeros");
	memcpy(eh->e_ident, ELFMAG, SELFMAG);
	eh->e_ident[EI_CLASS] = ELFCLASS64;
	eh->e_phentsize = sizeof(*ph);
	eh->e_phoff = sizeof(*eh);
	eh->e_phnum = 2;
	ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = 4096, .p_memsz = 4096 };
	ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = 4096, .p_vaddr = 4096,
			      .p_filesz = 4096, .p_memsz = 4096 };
	ok(find_text(&j) && j.text == &ph[1] && j.end == 8192, "a text segment");
	ph[1].p_filesz = ph[1].p_memsz = sizeof(file);
	ok(!find_text(&j), "a segment beyond the end");
	ph[1].p_offset = UINT64_MAX - 4095;
	ph[1].p_filesz = ph[1].p_memsz = 4096;
	ok(!find_text(&j), "a segment at the end of the world");
	ph[1].p_offset = 4096;
	ph[1].p_vaddr = 4097;
	ok(!find_text(&j), "a segment off the pages");
	ph[1].p_vaddr = UINT64_MAX - 4095;
	ok(!find_text(&j), "an address at the end of the world");
	ph[1].p_vaddr = 4096;
	ph[1].p_flags |= PF_W;
	ok(!find_text(&j), "text that can be written");
	ph[1].p_flags = PF_R;
	ok(!find_text(&j), "no text");
	ph[1].p_flags = ph[0].p_flags = PF_R | PF_X;
	ok(!find_text(&j), "two texts");
	ph[0].p_flags = PF_R;
	ph[0].p_vaddr = 1;
	ok(!find_text(&j), "segments over each other");
	ph[0].p_vaddr = 0;
	eh->e_phoff = UINT64_MAX - 7;
	ok(!find_text(&j), "headers beyond the end");
	eh->e_phoff = sizeof(*eh);
	eh->e_phnum = 0xffff;
	ok(!find_text(&j), "too many headers");
}

/* Code of at most 40 bytes in the middle of nops, its syscall at `at`. */
static const char *straightened(const char *code, size_t n, size_t at)
{
	static uint8_t buf[4200];
	static char text[200];

	memset(buf, 0x90, sizeof(buf));
	memcpy(buf + 2100, code, n);
	if (!straighten(buf, sizeof(buf), 2100 + at))
		return "left";
	text[0] = 0;
	for (size_t i = 0; i < n; i++)
		sprintf(text + strlen(text), "%02x", buf[2100 + i]);
	return text;
}

static void numbers_loaded_early(void)
{
	is_str(straightened("\xb8\x01\x01\0\0\x48\x89\xfe\xbf\x9c\xff\xff\xff\x0f\x05", 15, 13),
	       "4889febf9cffffffb8010100000f05", "two instructions between");
	is_str(straightened("\xb8\x01\x01\0\0\x41\xb8\x01\0\0\0\x45\x31\xd2\x0f\x05", 16, 14),
	       "41b8010000004531d2b8010100000f05", "r8d and r10d are not eax");
	is_str(straightened("\xb8\x01\x01\0\0\x89\xc7\x0f\x05", 9, 7), "left", "eax is read");
	is_str(straightened("\xb8\x01\x01\0\0\x31\xc0\x0f\x05", 9, 7), "left", "eax is overwritten");
	is_str(straightened("\xb8\x01\x01\0\0\x48\x8b\x3f\x0f\x05", 10, 8), "left", "memory is read: it may fault");
	is_str(straightened("\x41\xb8\x01\x01\0\0\x48\x89\xfe\x0f\x05", 11, 9), "left", "not eax, but r8d");
	is_str(straightened("\xb8\x01\x01\x01\0\x48\x89\xfe\x0f\x05", 10, 8), "left", "no number of a call");
	is_str(straightened("\xeb\x05\xb8\x01\x01\0\0\x48\x89\xfe\x0f\x05", 12, 10), "left", "a short jump leads in");
	is_str(straightened("\xe9\x05\0\0\0\xb8\x01\x01\0\0\x48\x89\xfe\x0f\x05", 15, 13), "left", "a long jump leads in");
	is_str(straightened("\x0f\x84\x05\0\0\0\xb8\x01\x01\0\0\x48\x89\xfe\x0f\x05", 16, 14), "left",
	       "a conditional one");
	is_str(straightened("\xeb\x08\xb8\x01\x01\0\0\x48\x89\xfe\x0f\x05", 12, 10),
	       "eb084889feb8010100000f05", "a jump to the syscall itself is none of it");
	is_str(straightened("\xeb\x00\xb8\x01\x01\0\0\x48\x89\xfe\x0f\x05", 12, 10),
	       "eb004889feb8010100000f05", "nor one to the start");
	is_str(straightened("\x0f\x05", 2, 0), "left", "nothing before it");
	is_str(straighten((uint8_t[]){ 0x0f, 5 }, 2, 0) ? "moved" : "left", "left", "at the start of the text");
}

int main(void)
{
	plan(0);
	for (unsigned fsgsbase = 0; fsgsbase < 2; fsgsbase++) {
		is_int(world_create(&w), 0, "a world");
		w.head->fsgsbase = fsgsbase;
		prepare_text(&w);
		real_file(1, "the dynamic linker", 15);
		real_file(0, "the C library", 200);
		if (!fsgsbase)
			world_destroy(&w);
	}
	others();
	broken_files();
	numbers_loaded_early();
	world_destroy(&w);
	return done();
}
