/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loader: does for the guest's program what the kernel's ELF loader would have done, so that nothing
 * in the process but the agent's mappings tells that it was not the kernel.
 *
 * Position-independent programs with an interpreter lie at 0x555555554000 plus 28 random page bits, those
 * without (static-pie, ld.so itself) and the interpreter where the kernel maps; others where they say.
 * PR_SET_MM_MAP gives the kernel the places of code, data, heap, arguments, environment and auxv.
 */
#include "load.h"
#include "agent.h"
#include "debug.h"
#include "prepared.h"
#include "../arch/x86_64/offsets.h"
#include <linux/auxvec.h>
#include <linux/mman.h>
#include <linux/personality.h>
#include <linux/prctl.h>
#include <asm/signal.h>

#define PAGE		4096ul
#define PIE_BASE	0x555555554000ul
#define PIE_RANDOM	28		/* bits, in pages */
#define HEAP_RANDOM	0x02000000ul
#define PHNUM_MAX	(65536 / sizeof(Elf64_Phdr))

_Noreturn void load_jump(uint64_t entry, uint64_t sp);

/* ---- headers --------------------------------------------------------------------------------------- */

static int read_at(int fd, void *buf, size_t n, uint64_t at)
{
	long r = raw_syscall(__NR_pread64, fd, buf, n, at);
	if (r == (long)n)
		return 0;
	return r < 0 && r != -EINVAL ? (int)r : -ENOEXEC;	/* EINVAL: an offset beyond all files */
}

static const char *check_header(const Elf64_Ehdr *eh)
{
	if (memcmp(eh->e_ident, ELFMAG, SELFMAG))
		return "not an ELF file";
	if (eh->e_ident[EI_CLASS] != ELFCLASS64)
		return "a 32-bit program; umview runs 64-bit x86 programs only";
	if (eh->e_machine != EM_X86_64)
		return "a program for another processor";
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return "an ELF file, but neither executable nor shared object";
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || !eh->e_phnum || eh->e_phnum > PHNUM_MAX)
		return "an ELF file with a broken program header table";
	return NULL;
}

void elf_read_head(struct elf_head *h, int fd)
{
	h->size = raw_syscall(__NR_pread64, fd, h->data, sizeof h->data, 0);
}

static int part(const struct elf_head *h, int fd, void *buf, size_t n, uint64_t at)
{
	uint64_t size = h->size;

	if (at > size || n > size - at)
		return read_at(fd, buf, n, at);
	memcpy(buf, h->data + at, n);
	return 0;
}

static int read_interp(struct elf_file *e, const struct elf_head *h, const Elf64_Phdr *ph)
{
	if (ph->p_filesz < 2 || ph->p_filesz > 4096)
		return -ENOEXEC;
	e->interp = heap_alloc(ph->p_filesz + 1);
	if (!e->interp)
		return -ENOMEM;
	int r = part(h, e->fd, e->interp, ph->p_filesz, ph->p_offset);
	return r ? r : e->interp[ph->p_filesz - 1] ? -ENOEXEC : 0;
}

int elf_open(struct elf_file *e, int fd, const struct elf_head *h, const char **why)
{
	int r;

	memset(e, 0, sizeof *e);
	e->fd = fd;
	*why = "too short for an ELF file";
	if (h->size < (long)sizeof e->eh)
		return h->size < 0 ? h->size : -ENOEXEC;
	memcpy(&e->eh, h->data, sizeof e->eh);
	*why = check_header(&e->eh);
	if (*why)
		return -ENOEXEC;
	*why = "an ELF file with a broken program header table";
	size_t size = e->eh.e_phnum * sizeof(Elf64_Phdr);
	e->ph = heap_alloc(size);
	if (!e->ph)
		return -ENOMEM;
	r = part(h, fd, e->ph, size, e->eh.e_phoff);
	for (int i = 0; r == 0 && i < e->eh.e_phnum; i++) {
		if (e->ph[i].p_type == PT_INTERP && !e->interp)
			r = read_interp(e, h, &e->ph[i]);
		else if (e->ph[i].p_type == PT_GNU_STACK)
			e->exec_stack = e->ph[i].p_flags & PF_X;
	}
	if (r)
		elf_close(e);
	return r;
}

void elf_close(struct elf_file *e)
{
	heap_free(e->ph);
	heap_free(e->interp);
	e->ph = NULL;
	e->interp = NULL;
}

/* ---- mapping ----------------------------------------------------------------------------------------- */

/* Where one file came to lie. */
struct placed {
	const struct um_prepared *prepared;	/* text to take in place of the file's own, or NULL */
	uint64_t bias;			/* address minus p_vaddr */
	uint64_t entry, phdr;
	uint64_t start_code, end_code, start_data, end_data, brk;
};

_Noreturn static void die(const char *what, long error)
{
	agent_log("exec: %s: error %ld", what, -error);
	long pid = raw_syscall(__NR_getpid);
	for (;;)
		raw_syscall(__NR_kill, pid, SIGKILL);
}

static uint64_t page_down(uint64_t a) { return a & ~(PAGE - 1); }
static uint64_t page_up(uint64_t a) { return (a + PAGE - 1) & ~(PAGE - 1); }

static int prot_of(const Elf64_Phdr *p)
{
	return (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
	       (p->p_flags & PF_X ? PROT_EXEC : 0);
}

/* Lowest and highest address of the PT_LOADs, page-rounded, and the largest alignment. */
static void extent(const struct elf_file *e, uint64_t *low, uint64_t *high, uint64_t *align)
{
	*low = ~0ul;
	*high = 0;
	*align = PAGE;
	for (int i = 0; i < e->eh.e_phnum; i++) {
		const Elf64_Phdr *p = &e->ph[i];
		if (p->p_type != PT_LOAD || !p->p_memsz)
			continue;
		if (page_down(p->p_vaddr) < *low)
			*low = page_down(p->p_vaddr);
		if (page_up(p->p_vaddr + p->p_memsz) > *high)
			*high = page_up(p->p_vaddr + p->p_memsz);
		if (p->p_align > *align && !(p->p_align & (p->p_align - 1)))
			*align = p->p_align;
	}
	if (*low >= *high)
		die("no loadable segment", -ENOEXEC);
}

/* Two random numbers, or zeros where the user wants none: one of a program's place, one of its heap's. */
static struct { uint64_t place, heap; } randomness;

static void randomise(void)
{
	if (!(raw_syscall(__NR_personality, 0xffffffff) & ADDR_NO_RANDOMIZE))
		raw_syscall(__NR_getrandom, &randomness, sizeof randomness, 0);
}

static uint64_t pie_place(void)
{
	return PIE_BASE + (randomness.place & ((1ul << PIE_RANDOM) - 1)) * PAGE;
}

/*
 * Maps a range of `size` bytes for a shared object with one call: the first segment where it is to be, and the same
 * file on to the end of the last, over which the others are mapped then, as the kernel does it.  At PIE_BASE +
 * random, or where the kernel likes; aligned.
 */
static uint64_t map_range(const Elf64_Phdr *first, uint64_t size, uint64_t align, bool pie, int fd)
{
	uint64_t offset = page_down(first->p_offset);
	int prot = prot_of(first);
	long at;

	for (int i = 0; pie && i < 64; i++) {
		at = raw_syscall(__NR_mmap, pie_place() & ~(align - 1), size, prot,
				 MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, offset);
		if (at >= 0)
			return at;
		raw_syscall(__NR_getrandom, &randomness.place, sizeof randomness.place, 0);
	}
	at = raw_syscall(__NR_mmap, 0, size + align - PAGE, prot, MAP_PRIVATE, fd, offset);
	if (at < 0)
		die("no room for the program", at);
	uint64_t base = (at + align - 1) & ~(align - 1);
	if (align > PAGE) {
		raw_syscall(__NR_munmap, at, size + align - PAGE);
		at = raw_syscall(__NR_mmap, base, size, prot, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, offset);
		if (at < 0)
			die("no room for the program", at);
	}
	return base;
}

static void map_fixed(uint64_t at, uint64_t size, int prot, int flags, int fd, uint64_t offset)
{
	long r = raw_syscall(__NR_mmap, at, size, prot, MAP_PRIVATE | flags, fd, offset);
	if (r < 0)
		die("mapping a segment", r);
}

/* One PT_LOAD: the file's part, zeros behind it to the end of its last page, anonymous pages. */
static void map_segment(const Elf64_Phdr *p, uint64_t bias, int fd, int fixed)
{
	uint64_t from = page_down(bias + p->p_vaddr);
	uint64_t file_end = bias + p->p_vaddr + p->p_filesz;
	uint64_t mem_end = page_up(bias + p->p_vaddr + p->p_memsz);
	int prot = prot_of(p);

	if (p->p_filesz)
		map_fixed(from, page_up(file_end) - from, prot, fixed, fd, page_down(p->p_offset));
	else
		file_end = from;
	if (p->p_memsz > p->p_filesz) {
		if (p->p_filesz && (prot & PROT_WRITE) && (file_end & (PAGE - 1)))
			memset((void *)file_end, 0, page_up(file_end) - file_end);
		if (mem_end > page_up(file_end))
			map_fixed(page_up(file_end), mem_end - page_up(file_end), prot,
				  MAP_ANONYMOUS | fixed, -1, 0);
	}
}

static void note_segment(struct placed *l, const Elf64_Phdr *p)
{
	uint64_t start = l->bias + p->p_vaddr, end = start + p->p_filesz, mem = start + p->p_memsz;

	if ((p->p_flags & PF_X) && start < l->start_code)
		l->start_code = start;
	if (l->start_data < start)
		l->start_data = start;
	if ((p->p_flags & PF_X) && l->end_code < end)
		l->end_code = end;
	if (l->end_data < end)
		l->end_data = end;
	if (l->brk < mem)
		l->brk = mem;
}

/* The first PT_LOAD that takes memory: extent() has seen that there is one. */
static const Elf64_Phdr *first_segment(const struct elf_file *e)
{
	const Elf64_Phdr *p = e->ph;

	while (p->p_type != PT_LOAD || !p->p_memsz)
		p++;
	return p;
}

/* A segment, its text from where it is prepared, if it is. */
static void map_or_take(const struct placed *l, const Elf64_Phdr *p, int fd, int fixed)
{
	if (!l->prepared || !(p->p_flags & PF_X) || !prepared_text(l->prepared, l->bias))
		map_segment(p, l->bias, fd, fixed);
}

/* The range of a shared object.  true: its first segment is mapped with that. */
static bool place(struct placed *l, const struct elf_file *e, bool pie)
{
	const Elf64_Phdr *first = first_segment(e);
	uint64_t low, high, align;

	extent(e, &low, &high, &align);
	if (l->prepared)
		high += l->prepared->stub_pages * PAGE;
	l->bias = map_range(first, high - low, align, pie, e->fd) - low;
	if (l->prepared && !prepared_stubs(l->prepared, l->bias))
		l->prepared = NULL;
	return page_down(first->p_vaddr) == low && first->p_memsz == first->p_filesz;
}

/* Does what the range was mapped with show this segment as it is to be? */
static bool is_shown(const struct elf_file *e, const Elf64_Phdr *p)
{
	const Elf64_Phdr *first = first_segment(e);

	return p->p_flags == first->p_flags && !(p->p_flags & PF_W) && p->p_memsz == p->p_filesz &&
	       p->p_offset - p->p_vaddr == first->p_offset - first->p_vaddr;
}

static void map_file(struct placed *l, const struct elf_file *e, bool pie)
{
	int fixed = e->eh.e_type == ET_DYN ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	uint64_t low, high, align;
	bool ranged = false;

	extent(e, &low, &high, &align);
	l->start_code = ~0ul;
	if (e->eh.e_type == ET_DYN)
		ranged = place(l, e, pie);
	else if (low < UM_OWN_END && high > UM_AGENT_BASE)
		die("a program that wants to lie where the agent does", -ENOMEM);
	uint64_t end = l->bias + low;
	for (int i = 0; i < e->eh.e_phnum; i++) {
		const Elf64_Phdr *p = &e->ph[i];
		if (p->p_type != PT_LOAD || !p->p_memsz)
			continue;
		uint64_t from = page_down(l->bias + p->p_vaddr);
		if (fixed == MAP_FIXED && from > end)
			raw_syscall(__NR_munmap, end, from - end);
		if (!ranged || from < end || !is_shown(e, p))	/* two segments may share a page: the latter has it */
			map_or_take(l, p, e->fd, from < end ? MAP_FIXED : fixed);
		if (page_up(l->bias + p->p_vaddr + p->p_memsz) > end)	/* they may come in any order */
			end = page_up(l->bias + p->p_vaddr + p->p_memsz);
		note_segment(l, p);
		if (p->p_offset <= e->eh.e_phoff && e->eh.e_phoff < p->p_offset + p->p_filesz)
			l->phdr = l->bias + p->p_vaddr + e->eh.e_phoff - p->p_offset;
	}
	l->entry = l->bias + e->eh.e_entry;
}

/* ---- the stack ---------------------------------------------------------------------------------------- */

void stack_parse(struct start_stack *s, uint64_t *sp)
{
	uint64_t *p;

	s->sp = sp;
	s->argv = (char **)(sp + 1);
	s->envp = s->argv + *sp + 1;
	for (p = (uint64_t *)s->envp; *p; p++)
		;
	s->auxv = (struct auxv *)(p + 1);
	for (s->nauxv = 1; s->auxv[s->nauxv - 1].type != AT_NULL; s->nauxv++)
		;
}

struct auxv *stack_auxv(struct start_stack *s, uint64_t type)
{
	for (size_t i = 0; i < s->nauxv; i++)
		if (s->auxv[i].type == type)
			return &s->auxv[i];
	return NULL;
}

void stack_drop_two(struct start_stack *s)
{
	uint64_t argc = *s->sp;
	s->sp += 2;
	*s->sp = argc - 2;
	s->argv = (char **)(s->sp + 1);
}

static void set_auxv(struct start_stack *s, uint64_t type, uint64_t value)
{
	struct auxv *a = stack_auxv(s, type);
	if (a)
		a->value = value;
}

/*
 * The kernel takes the agent's data for the program's and would put the heap behind it, among our tasks: a page
 * in front of it stops it, so that brk(2) fails, and C libraries use mmap(2) instead.
 */
static void forgo_heap(long error)
{
	uint64_t at = page_up(raw_syscall(__NR_brk, 0));

	agent_log("PR_SET_MM_MAP failed (%ld): brk fails in this process, and ps shows the agent's arguments", error);
	raw_syscall(__NR_mmap, at, PAGE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	task_keep_off(at);
}

/* struct prctl_mm_map, whole, as PR_SET_MM_MAP wants it */
static void tell_kernel(struct start_stack *s, const struct placed *l, uint64_t brk)
{
	struct prctl_mm_map m = {
		.start_code = l->start_code, .end_code = l->end_code,
		.start_data = l->start_data, .end_data = l->end_data,
		.start_brk = brk, .brk = brk, .start_stack = (uint64_t)s->sp,
		.auxv = (void *)s->auxv, .auxv_size = s->nauxv * sizeof *s->auxv, .exe_fd = -1,
	};
	char **last = s->envp;

	m.arg_start = *s->argv ? (uint64_t)s->argv[0] : (uint64_t)s->envp[0];
	m.arg_end = s->envp[0] ? (uint64_t)s->envp[0] : m.arg_start;
	for (char **a = s->argv; !s->envp[0] && *a; a++)
		m.arg_end = (uint64_t)*a + strlen(*a) + 1;
	m.env_start = m.env_end = m.arg_end;
	while (*last)
		last++;
	if (last > s->envp)
		m.env_end = (uint64_t)last[-1] + strlen(last[-1]) + 1;
	long r = raw_syscall(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, &m, sizeof m, 0);
	if (r < 0)
		forgo_heap(-r);
}

static uint64_t heap_start(const struct elf_file *e, const struct placed *l)
{
	uint64_t end = page_up(l->brk);

	if (e->eh.e_type == ET_DYN && !e->interp)
		end = pie_place();
	return end + page_down(randomness.heap % HEAP_RANDOM);
}

static void set_name(const char *execfn)
{
	const char *base = strrchr(execfn, '/');
	raw_syscall(__NR_prctl, PR_SET_NAME, base ? base + 1 : execfn);
}

_Noreturn void load_run(struct task *t, struct start_stack *s, int prog_fd, int interp_fd, const char *execfn)
{
	struct elf_file prog, interp;
	struct placed pl = { 0 }, il = { 0 };
	struct elf_head h;
	const char *why;
	long r;

	randomise();
	elf_read_head(&h, prog_fd);
	r = elf_open(&prog, prog_fd, &h, &why);
	if (r)
		die(why, r);
	map_file(&pl, &prog, prog.interp != NULL);
	if (interp_fd >= 0) {
		elf_read_head(&h, interp_fd);
		r = elf_open(&interp, interp_fd, &h, &why);
		if (r)
			die(why, r);
		il.prepared = prepared_linker(t, interp_fd);
		map_file(&il, &interp, false);
		elf_close(&interp);
		raw_syscall(__NR_close, interp_fd);
	}
	raw_syscall(__NR_close, prog_fd);
	set_auxv(s, AT_PHDR, pl.phdr);
	set_auxv(s, AT_PHENT, sizeof(Elf64_Phdr));
	set_auxv(s, AT_PHNUM, prog.eh.e_phnum);
	set_auxv(s, AT_BASE, il.bias);
	set_auxv(s, AT_ENTRY, pl.entry);
	set_auxv(s, AT_EXECFN, (uint64_t)execfn);
	tell_kernel(s, &pl, heap_start(&prog, &pl));
	set_name(execfn);
	if (prog.exec_stack)
		raw_syscall(__NR_mprotect, page_down((uint64_t)s->sp), PAGE,
			    PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN);
	elf_close(&prog);
	debug_loaded(interp_fd >= 0 ? il.entry : pl.entry, (uint64_t)s->sp);
	load_jump(interp_fd >= 0 ? il.entry : pl.entry, (uint64_t)s->sp);
}
