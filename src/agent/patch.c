/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patching hot sites.
 *
 * A system call site that has trapped world->patch_after times gets a jump to a stub near it, which goes
 * to stub_entry (arch/x86_64/entry.S) without the kernel's help.  Only exact shapes are touched:
 *
 *	b8 imm32 0f 05			mov $nr,%eax; syscall	the mov becomes e9 rel32; 0f 05 stays, so
 *	48 c7 c0 imm32 0f 05		mov $nr,%rax; syscall	code that jumps to the syscall still traps
 *	31 c0 0f 05 48 3d imm32		xor %eax,%eax; syscall; cmp $imm,%rax
 *					the jump covers all but the cmp's end, the stub repeats the cmp;
 *					only if nothing near jumps into the middle
 *
 * and only if the number in the code is the number that trapped.  rt_sigreturn is never patched: unwinders
 * know its bytes.  In a process with several threads the new bytes must lie in one aligned block of 16
 * bytes, so that one atomic store changes them (docs/design.md 9 says why not by breakpoint); the
 * mprotect() that follows interrupts every processor the threads run on.
 * That a site cannot be patched is never an error: it goes on trapping.
 */
#include "patch.h"
#include "patch_text.h"
#include "../arch/x86_64/offsets.h"
#include <linux/mman.h>

#define COUNTERS	512u
#define PAGES		64
#define PAGE		4096ul
#define STUBS_PER_PAGE	(PAGE / STUB_SIZE)
#define NEAR		0x7f000000l
#define SCAN		512		/* bytes before and after a site searched for jumps into it */

void stub_entry(void);

static struct { uint64_t site; uint32_t count; } counters[COUNTERS];
static struct { uint64_t base; uint32_t used; } pages[PAGES];
static int npages;
struct lock patch_lock;

/* ---- shapes ----------------------------------------------------------------------------------------- */

static uint32_t read32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}

bool patch_recognise(const uint8_t *p, int n, int at, struct patch_shape *s)
{
	*s = (struct patch_shape){ 0 };
	if (at + 2 > n || p[at] != 0x0f || p[at + 1] != 0x05)
		return false;
	if (at >= 7 && p[at - 7] == 0x48 && p[at - 6] == 0xc7 && p[at - 5] == 0xc0)
		*s = (struct patch_shape){ at - 7, 9, read32(p + at - 4), false };
	else if (at >= 6 && p[at - 5] == 0xb8 && (p[at - 6] & 0xf0) != 0x40)
		*s = (struct patch_shape){ at - 5, 7, read32(p + at - 4), false };
	else if (at >= 2 && at + 8 <= n && p[at - 2] == 0x31 && p[at - 1] == 0xc0 &&
		 p[at + 2] == 0x48 && p[at + 3] == 0x3d)
		*s = (struct patch_shape){ at - 2, 10, 0, true };
	return s->length && s->nr != __NR_rt_sigreturn;
}

/*
 * May a jump in the n bytes at p lead into ]from, to[ ?  Every byte is taken for a possible start of a
 * short or near jump or call: what is wrongly taken for one only costs a patch.
 */
bool patch_jumped_into(const uint8_t *p, int n, int from, int to)
{
	for (int i = 0; i + 1 < n; i++) {
		long target;
		if (p[i] == 0xeb || (p[i] & 0xf0) == 0x70 || (p[i] & 0xfc) == 0xe0)
			target = i + 2 + (int8_t)p[i + 1];
		else if (i + 4 < n && (p[i] == 0xe9 || p[i] == 0xe8))
			target = i + 5 + (long)(int32_t)read32(p + i + 1);
		else if (i + 5 < n && p[i] == 0x0f && (p[i + 1] & 0xf0) == 0x80)
			target = i + 6 + (long)(int32_t)read32(p + i + 2);
		else
			continue;
		if (target > from && target < to)
			return true;
	}
	return false;
}

void patch_write_stub(uint8_t *buf, uint64_t stub, uint64_t site, const struct patch_shape *s,
		      uint64_t entry)
{
	uint64_t resume = site + s->length;
	int tail = STUB_TAIL, back = tail;
	uint32_t rel;

	memset(buf, 0xcc, STUB_SIZE);
	memcpy(buf, "\x48\x8d\x0d", 3);				/* lea tail(%rip),%rcx */
	rel = tail - 7;
	memcpy(buf + 3, &rel, 4);
	memcpy(buf + 7, "\xff\x25", 2);				/* jmp *entry(%rip) */
	rel = PAGE - 8 - ((stub & (PAGE - 1)) + 13);		/* the page's last word holds it */
	memcpy(buf + 9, &rel, 4);
	buf[13] = 0xb8;						/* mov $nr,%eax; syscall */
	memcpy(buf + 14, &s->nr, 4);
	memcpy(buf + 18, "\x0f\x05", 2);
	if (s->compare) {					/* cmp $-4096,%rax */
		memcpy(buf + tail, "\x48\x3d\x00\xf0\xff\xff", 6);
		back = tail + 6;
	}
	buf[back] = 0xe9;					/* jmp resume */
	rel = (uint32_t)(resume - (stub + back + 5));
	memcpy(buf + back + 1, &rel, 4);
	memcpy(buf + tail + STUB_SITE, &site, 8);
	memcpy(buf + tail + STUB_RESUME, &resume, 8);
	(void)entry;
}

/* ---- stub pages -------------------------------------------------------------------------------------- */

static bool is_near(uint64_t a, uint64_t b)
{
	long d = (long)(a - b);
	return d > -NEAR && d < NEAR;
}

static long map_at(uint64_t at)
{
	return raw_syscall(__NR_mmap, at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

/*
 * A page within reach of the site: below it if possible (what lies above a program is its heap), at
 * distances that double; then the low addresses that even large programs at 0x400000 leave free.
 */
static long map_near(uint64_t site)
{
	static const uint64_t low[] = { 0x3f0000, 0x300000, 0x200000, 0x100000, 0x40000 };
	uint64_t page = site & ~(PAGE - 1);

	for (uint64_t d = 64 << 10; d < NEAR; d += d < (16 << 20) ? d : (16 << 20)) {
		if (page <= d + 0x10000)
			break;
		long at = map_at(page - d);
		if (at > 0)
			return at;
	}
	for (size_t i = 0; i < sizeof low / sizeof *low; i++)
		if (is_near(low[i], site) && map_at(low[i]) > 0)
			return low[i];
	for (uint64_t d = 512 << 20; d < NEAR; d += 16 << 20) {
		long at = map_at(page + d);
		if (at > 0)
			return at;
	}
	return -ENOMEM;
}

/* Room for one stub near the site, or 0. */
static uint64_t stub_place(uint64_t site)
{
	uint64_t entry = (uint64_t)stub_entry;

	for (int i = 0; i < npages; i++)
		if (is_near(pages[i].base, site) && pages[i].used < STUBS_PER_PAGE)
			return pages[i].base + pages[i].used++ * STUB_SIZE;
	if (npages == PAGES)
		return 0;
	long at = map_near(site);
	if (at < 0)
		return 0;
	memcpy((void *)(at + PAGE - 8), &entry, 8);
	pages[npages].base = at;
	pages[npages].used = 1;
	__atomic_store_n(&npages, npages + 1, __ATOMIC_RELEASE);
	return at;
}

/* The stub that rip lies in, or 0. */
static uint64_t stub_of(uint64_t rip)
{
	int n = __atomic_load_n(&npages, __ATOMIC_ACQUIRE);
	for (int i = 0; i < n; i++)
		if (rip - pages[i].base < STUBS_PER_PAGE * STUB_SIZE)
			return rip - (rip - pages[i].base) % STUB_SIZE;
	return 0;
}

static uint64_t stub_word(uint64_t stub, int offset)
{
	uint64_t v;
	memcpy(&v, (void *)(stub + STUB_TAIL + offset), 8);
	return v;
}

uint64_t patch_site_of_trap(uint64_t rip)
{
	uint64_t stub = stub_of(rip);
	return stub ? stub_word(stub, STUB_SITE) : rip - 2;
}

static uint64_t flags_of_compare(uint64_t rax, uint64_t rflags)
{
	uint64_t f;
	__asm__("cmpq $-4096, %1\n\tpushfq\n\tpopq %0" : "=r"(f) : "r"(rax) : "cc", "memory");
	return (rflags & ~0x8d5ull) | (f & 0x8d5ull);
}

void patch_normalise(uint64_t *rip, uint64_t *rflags, uint64_t rax)
{
	uint64_t stub = stub_of(*rip);

	if (!stub)
		return;
	uint64_t offset = *rip - stub;
	if (offset < STUB_TAIL) {
		*rip = stub_word(stub, STUB_SITE);
		return;
	}
	if (offset == STUB_TAIL && *(uint8_t *)(stub + STUB_TAIL) == 0x48)
		*rflags = flags_of_compare(rax, *rflags);
	*rip = stub_word(stub, STUB_RESUME);
}

/* ---- patching one site ------------------------------------------------------------------------------ */

static bool nothing_jumps_into(uint64_t start, int length)
{
	uint8_t code[2 * SCAN];
	uint64_t from = start - SCAN, to = start + SCAN;

	if (guest_code(from, code, to - from)) {	/* at the end of a mapping: its page only */
		if ((start & ~(PAGE - 1)) > from)
			from = start & ~(PAGE - 1);
		to = from + PAGE < to ? from + PAGE : to;
		if (start + length > to || guest_code(from, code, to - from))
			return false;
	}
	return !patch_jumped_into(code, to - from, start - from, start - from + length);
}

static void patch_site(struct task *t, uint64_t site)
{
	uint8_t code[24], stub_code[STUB_SIZE], jump[5] = { 0xe9 };
	struct patch_shape s;
	uint64_t from = site - 8;

	if (guest_code(from, code, sizeof code) || !patch_recognise(code, sizeof code, 8, &s))
		return;
	if ((uint32_t)s.nr != (uint32_t)t->regs.rax)
		return;
	uint64_t start = from + s.start;
	if (!text_may_store(start, sizeof jump) || (s.compare && !nothing_jumps_into(start, s.length)))
		return;
	uint64_t stub = stub_place(site);
	if (!stub)
		return;
	patch_write_stub(stub_code, stub, start, &s, (uint64_t)stub_entry);
	memcpy((void *)stub, stub_code, sizeof stub_code);
	uint32_t rel = (uint32_t)(stub - (start + 5));
	memcpy(jump + 1, &rel, 4);
	text_store(start, jump);
}

void patch_count(struct task *t, uint64_t site)
{
	uint32_t threshold = process.world ? process.world->patch_after : 0;
	uint32_t i = (uint32_t)(site >> 1) * 2654435761u >> 23;

	if (!threshold || !text_patching_possible())
		return;
	if (counters[i].site != site) {
		counters[i].site = site;
		counters[i].count = 0;
	}
	if (++counters[i].count != threshold)
		return;
	lock_acquire(&patch_lock);
	patch_site(t, site);
	lock_release(&patch_lock);
}
