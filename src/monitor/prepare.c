/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prepared text: copies of the executable segments of the dynamic linker and the C library in the world file, with
 * every system call site patched that has a shape we know (agent/patch_shape.c) and a call that the filter does not
 * let through by its number anyway.  Guests map them in place of the files' own (agent/prepared.c).  Those of umview itself
 * are prepared when a view begins, others when a guest meets them.
 *
 * The stubs lie in the rest of the text's last page if they fit there, else in pages of their own, which will lie
 * behind the whole file in memory.  A stub goes to the agent through one of two words at the end of its page.
 *
 * Everything here is optional: what is not understood is left to trap.
 */
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/patch_shape.h"
#include "arch/x86_64/offsets.h"
#include "classes.h"
#include "prepare.h"
#include "straighten.h"

#define PAGE		4096ul
#define HEAD		4096ul		/* bytes of a file that are looked at for its headers */
#define AROUND		128ul		/* bytes that patch_recognise() may want to see */
#define SITES		4096u
#define PER_PAGE	((PAGE - 16) / STUB_SIZE)

extern const uint8_t um_agent_image[];

/* A file, and its copy being made. */
struct job {
	const uint8_t *file;		/* its first bytes, HEAD at most */
	size_t size;
	const Elf64_Phdr *text;
	uint64_t end;			/* of the file in memory, from its start */
	uint8_t *copy;			/* UM_PREPARED_SPAN bytes: the text in whole pages, then pages of stubs */
	uint64_t entries[2];		/* where stubs lead: the last words of their page */
	struct um_prepared *p;
	uint32_t stubs;
	uint32_t nsites, sites[SITES];	/* syscall instructions, from the text's start */
};

static uint64_t page_up(uint64_t n)
{
	return (n + PAGE - 1) & ~(PAGE - 1);
}

/* ---- the file ------------------------------------------------------------------------------------- */

/* Its program headers, checked against its size, or NULL. */
static const Elf64_Phdr *headers_of(const uint8_t *file, size_t size, int *n)
{
	const Elf64_Ehdr *eh = (const void *)file;

	if (size < sizeof(*eh) || memcmp(file, ELFMAG, SELFMAG) || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phoff > size || eh->e_phoff & 7 ||
	    eh->e_phnum > (size - eh->e_phoff) / sizeof(Elf64_Phdr))
		return NULL;
	*n = eh->e_phnum;
	return (const void *)(file + eh->e_phoff);
}

/*
 * Finds the one executable segment of a shared object that begins with its own first byte at address 0, and
 * where it ends in memory.
 */
static bool find_text(struct job *j)
{
	int n = 0;
	const Elf64_Phdr *ph = headers_of(j->file, j->size < HEAD ? j->size : HEAD, &n), *first = NULL;

	j->text = NULL;
	j->end = 0;
	for (int i = 0; i < n; i++) {
		if (ph[i].p_type != PT_LOAD)
			continue;
		if (!first)
			first = &ph[i];
		if (ph[i].p_vaddr < j->end || ph[i].p_memsz > UM_PREPARED_SPAN || ph[i].p_vaddr > UM_PREPARED_SPAN)
			return false;
		j->end = ph[i].p_vaddr + ph[i].p_memsz;
		if (!(ph[i].p_flags & PF_X))
			continue;
		if (j->text || ph[i].p_flags & PF_W || ph[i].p_filesz != ph[i].p_memsz ||
		    (ph[i].p_offset | ph[i].p_vaddr) & (PAGE - 1) ||
		    ph[i].p_offset > j->size || ph[i].p_filesz > j->size - ph[i].p_offset)
			return false;
		j->text = &ph[i];
	}
	return j->text && !first->p_vaddr && !first->p_offset && first != j->text;
}

/* ---- sites ---------------------------------------------------------------------------------------- */

/* What is known of the site whose syscall instruction is code[at]; false: leave it alone. */
static bool recognise(const uint8_t *code, size_t n, size_t at, struct patch_shape *s)
{
	size_t from = at > AROUND ? at - AROUND : 0, to = at + AROUND < n ? at + AROUND : n;

	if (!patch_recognise(code + from, (int)(to - from), (int)(at - from), s))
		return false;
	s->start += (int)from;
	s->jump += (int)from;
	return (unsigned)s->nr <= UM_NR_MAX && um_classes[s->nr] >= UM_CLASS_TEST;
}

#define BLOCK	64

/* Is there a syscall instruction that begins in the BLOCK bytes at p?  Written so that the compiler can look at
 * many bytes at once: this is most of what preparing costs. */
static bool block_has_site(const uint8_t *p)
{
	uint8_t hit = 0;

	for (int i = 0; i < BLOCK; i++)
		hit |= (uint8_t)((p[i] == 0x0f) & (p[i + 1] == 0x05));
	return hit;
}

static void note_site(struct job *j, size_t at)
{
	size_t n = j->text->p_filesz;
	struct patch_shape s;

	if (j->copy[at] == 0x0f && j->copy[at + 1] == 0x05 && j->nsites < SITES &&
	    (recognise(j->copy, n, at, &s) || (straighten(j->copy, n, at) && recognise(j->copy, n, at, &s))))
		j->sites[j->nsites++] = (uint32_t)at;
}

/*
 * Finds the syscall instructions that can be patched, having made of as many as possible some that can, and
 * notes where they are.
 */
static void find_sites(struct job *j)
{
	size_t n = j->text->p_filesz, at = 0;

	for (; at + BLOCK < n; at += BLOCK)
		for (size_t i = 0; i < BLOCK && (i || block_has_site(j->copy + at)); i++)
			note_site(j, at + i);
	for (; at + 1 < n; at++)
		note_site(j, at);
}

/* Where the next stub will be in the copy. */
static size_t stub_place(const struct job *j)
{
	size_t base = j->p->stubs_vaddr - j->p->text_vaddr;

	if (j->p->stub_pages)
		return j->p->text_size + j->stubs / PER_PAGE * PAGE + j->stubs % PER_PAGE * STUB_SIZE;
	return base + j->stubs * STUB_SIZE;
}

static void patch_site(struct job *j, const struct patch_shape *s)
{
	const struct um_prepared *p = j->p;
	size_t at = stub_place(j);
	/* in memory, the pages of stubs lie behind the whole file, not behind the text */
	uint64_t stub = p->stub_pages ? p->stubs_vaddr + at - p->text_size : p->text_vaddr + at;
	uint32_t rel = (uint32_t)(stub - (p->text_vaddr + (uint64_t)s->jump + 5));

	patch_write_stub(j->copy + at, stub, p->text_vaddr + (uint64_t)s->start, s);
	memcpy(j->copy + (at & ~(PAGE - 1)) + PAGE - 16, j->entries, 16);
	j->copy[s->jump] = 0xe9;
	memcpy(j->copy + s->jump + 1, &rel, 4);
	if (s->start != s->jump) {
		j->copy[s->start] = 0xeb;
		j->copy[s->start + 1] = (uint8_t)(s->jump - (s->start + 2));
	}
	j->stubs++;
}

/* Stubs go into the last page of the text, or behind the file. */
static void place_stubs(struct job *j, uint32_t sites)
{
	struct um_prepared *p = j->p;
	uint64_t free = (j->text->p_filesz + 15) & ~15ul;

	if (free + sites * STUB_SIZE + 16 <= p->text_size && (free & ~(PAGE - 1)) == p->text_size - PAGE) {
		p->stub_pages = 0;
		p->stubs_vaddr = p->text_vaddr + free;
		p->stubs_size = (uint64_t)sites * STUB_SIZE;
	} else {
		p->stub_pages = (sites + PER_PAGE - 1) / PER_PAGE;
		p->stubs_vaddr = page_up(j->end);
		p->stubs_size = p->stub_pages * PAGE;
	}
}

static void patch_all(struct job *j)
{
	struct patch_shape s;

	for (uint32_t i = 0; i < j->nsites; i++)
		if (recognise(j->copy, j->text->p_filesz, j->sites[i], &s))
			patch_site(j, &s);
}

/* ---- the world ------------------------------------------------------------------------------------ */

/* The words before the agent's first instruction (arch/x86_64/entry.S): two without fsgsbase, two with it. */
static bool find_entries(const struct world *w, struct job *j)
{
	const size_t back = w->head->fsgsbase ? 16 : 32;

	const Elf64_Ehdr *eh = (const void *)um_agent_image;
	const Elf64_Phdr *ph = (const void *)(um_agent_image + eh->e_phoff);

	for (int i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && eh->e_entry - ph[i].p_vaddr < ph[i].p_filesz)
			memcpy(j->entries, um_agent_image + ph[i].p_offset + (eh->e_entry - ph[i].p_vaddr) - back, 16);
	return j->entries[0] && j->entries[1];
}

static uint64_t change_time(const struct stat *st)
{
	return (uint64_t)st->st_ctim.tv_sec * 1000000000u + (uint64_t)st->st_ctim.tv_nsec;
}

/* Memory files may be on a mount that nothing can be executed from. */
static bool world_is_executable(const struct world *w)
{
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, w->fd, 0);

	if (at == MAP_FAILED)
		return false;
	munmap(at, PAGE);
	return true;
}

/* The text as it is, into the world file: without a page fault for every page. */
static bool copy_text(const struct world *w, int fd, uint64_t to, uint64_t from, size_t n)
{
	off_t in = (off_t)from;
	int out = world_reopen(w);		/* with an offset of its own */
	bool good = out >= 0 && lseek(out, (off_t)to, SEEK_SET) >= 0;

	while (good && n) {
		ssize_t r = sendfile(out, fd, &in, n);
		good = r > 0;
		n -= good ? (size_t)r : 0;
	}
	if (out >= 0)
		close(out);
	return good;
}

/* The next place in the header, NULL: there is none. */
static struct um_prepared *next_place(const struct world *w)
{
	struct um_prepared *p = w->head->prepared;

	while (p < w->head->prepared + UM_PREPARED && p->ready)
		p++;
	return p < w->head->prepared + UM_PREPARED ? p : NULL;
}

/* true: p describes the file's text, which is ready. */
static bool prepare_file(struct world *w, struct um_prepared *p, struct job *j, int fd)
{
	bool good = false;

	j->p = p;
	j->copy = NULL;
	p->map_length = j->end;
	p->text_offset = j->text->p_offset;
	p->text_size = page_up(j->text->p_filesz);
	p->text_vaddr = j->text->p_vaddr;
	if (!copy_text(w, fd, p->copy, j->text->p_offset, j->text->p_filesz) ||
	    !(j->copy = world_map(w, p->copy, UM_PREPARED_SPAN)))
		return false;
	madvise(j->copy, p->text_size, MADV_POPULATE_WRITE);		/* one call for all page faults, where there is that */
	find_sites(j);
	place_stubs(j, j->nsites);
	if (j->nsites && p->text_size + p->stub_pages * PAGE <= UM_PREPARED_SPAN) {
		patch_all(j);
		good = true;
	}
	munmap(j->copy, UM_PREPARED_SPAN);
	return good;
}

/* ---- which files ---------------------------------------------------------------------------------- */

static bool is_known(const struct world *w, const struct stat *st)
{
	for (const struct um_prepared *p = w->head->prepared; p < w->head->prepared + UM_PREPARED && p->ready; p++)
		if (p->dev == st->st_dev && p->ino == st->st_ino && p->size == (uint64_t)st->st_size &&
		    p->ctime_ns == change_time(st))
			return true;
	return false;
}

/* An open file takes a place, whether or not it can be prepared: so nobody asks again. */
static void prepare_open(struct world *w, int fd, const char *path)
{
	struct um_prepared p = { 0 }, *place = next_place(w);
	struct job *j = calloc(1, sizeof(*j));
	uint8_t *head = malloc(HEAD);
	struct stat st;

	if (!j || !head || !place || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || is_known(w, &st))
		goto out;
	p.dev = st.st_dev;
	p.ino = st.st_ino;
	p.size = j->size = (size_t)st.st_size;
	p.ctime_ns = change_time(&st);
	p.copy = UM_OFF_PREPARED + (uint64_t)(place - w->head->prepared) * UM_PREPARED_SPAN;
	p.ready = UM_PREPARED_NOT;
	j->file = head;
	if (strlen(path) < sizeof(p.path) && pread(fd, head, HEAD, 0) == (ssize_t)(j->size < HEAD ? j->size : HEAD) &&
	    find_entries(w, j) && find_text(j)) {
		strcpy(p.path, path);
		if (prepare_file(w, &p, j, fd))
			p.ready = UM_PREPARED_YES;
	}
	uint32_t ready = p.ready;
	p.ready = 0;
	*place = p;
	__atomic_store_n(&place->ready, ready, __ATOMIC_RELEASE);
out:
	free(head);
	free(j);
}

/* A file that may not be executed, or lies where nothing may, may not be mapped as text either. */
static void prepare_path(struct world *w, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0 && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0)
		prepare_open(w, fd, path);
	if (fd >= 0)
		close(fd);
}

struct wanted { const char *name; char path[PATH_MAX]; };

static int by_name(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct wanted *want = arg;
	const char *base = strrchr(info->dlpi_name, '/');

	(void)size;
	if (!base || strncmp(base + 1, want->name, strlen(want->name)))
		return 0;
	return realpath(info->dlpi_name, want->path) ? 1 : 0;
}

void prepare_text(struct world *w)
{
	/* a guest that does not find the linker asks, and so waits for both (agent/prepared.c) */
	static const char *const names[] = { "libc.so.", "ld-linux-x86-64.so." };

	for (int i = 0; i < 2 && world_is_executable(w); i++) {
		struct wanted want = { names[i], "" };

		if (dl_iterate_phdr(by_name, &want) && want.path[0])
			prepare_path(w, want.path);
	}
}

/* The GNU C library lies beside its linker; others are their own linker. */
void prepare_linker(struct world *w, const char *path)
{
	const char *base = strrchr(path, '/');
	char beside[PATH_MAX + 16], real[PATH_MAX];

	if (!base || strlen(path) >= PATH_MAX || !world_is_executable(w))
		return;
	prepare_path(w, path);
	snprintf(beside, sizeof(beside), "%.*s/libc.so.6", (int)(base - path), path);
	if (!strncmp(base, "/ld-linux", 9) && realpath(beside, real))
		prepare_path(w, real);
}
