/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patching hot sites.
 *
 * A system call site that has trapped world->patch_after times, and whose code has a shape that
 * patch_shape.c knows, gets a jump to a stub near it, which goes to stub_entry (arch/x86_64/entry.S)
 * without the kernel's help.  The `syscall` instruction itself and all behind it stay: code that jumps
 * straight to it, or a context that was saved there, goes on as before.
 *
 * A site is patched only if the number in the code is the number that trapped.  In a process with several
 * threads the new bytes must lie in one aligned block of 16 bytes, so that one atomic store changes them
 * (docs/design.md 9 says why not by breakpoint); the mprotect() that follows interrupts every processor the
 * threads run on.  That a site cannot be patched is never an error: it goes on trapping.
 */
#include "patch.h"
#include "patch_text.h"
#include "../arch/x86_64/offsets.h"
#include <linux/mman.h>

#define COUNTERS	128u
#define PAGE		4096ul
#define STUBS_PER_PAGE	((PAGE - 16) / STUB_SIZE)
#define NEAR		0x7f000000l
#define AROUND		128ul		/* bytes looked at before and behind a site */

void stub_entry(void);
void fd_entry(void);
void stub_entry_plain(void);
void fd_entry_plain(void);

static struct { uint32_t site, count; } counters[COUNTERS] UM_LARGE;	/* low half of the address */
static struct stub_area areas[STUB_AREAS];
static int nareas;
struct lock patch_lock;

/* ---- stub pages -------------------------------------------------------------------------------------- */

static bool is_near(uint64_t a, uint64_t b)
{
	long d = (long)(a - b);
	return d > -NEAR && d < NEAR;
}

static long map_at(uint64_t at)
{
	return text_asked(raw_syscall(__NR_mmap, at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
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
		if (at > 0 || !text_patching_possible())
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

/* Into a place that patch_forget() has left, or a new one.  Readers take no lock: an area has a size when all else
 * of it is there. */
static bool area_add(uint64_t base, uint32_t size, uint32_t used)
{
	int i = 0;

	while (i < nareas && areas[i].size)
		i++;
	if (i == STUB_AREAS)
		return false;
	areas[i].base = base;
	areas[i].used = used;
	__atomic_store_n(&areas[i].size, size, __ATOMIC_RELEASE);
	if (i == nareas)
		__atomic_store_n(&nareas, nareas + 1, __ATOMIC_RELEASE);
	return true;
}

static bool has_room(void)
{
	for (int i = 0; i < nareas; i++)
		if (!areas[i].size)
			return true;
	return nareas < STUB_AREAS;
}

/* Room for one stub near the site, or 0. */
static uint64_t stub_place(uint64_t site)
{
	static void (*const entries[2][2])(void) = { { fd_entry_plain, stub_entry_plain }, { fd_entry, stub_entry } };

	for (int i = 0; i < nareas; i++)
		if (is_near(areas[i].base, site) && areas[i].used < areas[i].size) {
			areas[i].used += STUB_SIZE;
			return areas[i].base + areas[i].used - STUB_SIZE;
		}
	if (!has_room())
		return 0;
	long at = map_near(site);
	if (at < 0)
		return 0;
	memcpy((void *)(at + PAGE - 16), entries[process.world->fsgsbase], 16);
	area_add(at, STUBS_PER_PAGE * STUB_SIZE, STUB_SIZE);
	return at;
}

const struct stub_area *patch_areas(const int **count)
{
	*count = &nareas;
	return areas;
}

/* The stub that rip lies in, or 0.  In an area of several pages, each page starts anew (its last bytes are not
 * a stub's). */
static uint64_t stub_of(uint64_t rip)
{
	int n = __atomic_load_n(&nareas, __ATOMIC_ACQUIRE);
	for (int i = 0; i < n; i++) {
		uint64_t in = rip - areas[i].base;
		if (in < areas[i].size)
			return rip - in % PAGE % STUB_SIZE;
	}
	return 0;
}

static uint64_t stub_word(uint64_t stub, int offset)
{
	uint64_t v;
	memcpy(&v, (void *)(stub + STUB_TAIL + offset), 8);
	return stub + STUB_TAIL + v;
}

bool patch_adopt(uint64_t base, uint64_t size, uint32_t which)
{
	lock_acquire(&patch_lock);
	bool added = area_add(base, size, size + 1 + which);
	lock_release(&patch_lock);
	return added;
}

bool patch_is_adopted(uint64_t base)
{
	int n = __atomic_load_n(&nareas, __ATOMIC_ACQUIRE);
	for (int i = 0; i < n; i++)
		if (areas[i].base == base && areas[i].size)
			return true;
	return false;
}

void patch_forget(uint64_t base)
{
	lock_acquire(&patch_lock);
	for (int i = 0; i < nareas; i++)
		if (areas[i].base == base)
			__atomic_store_n(&areas[i].size, 0, __ATOMIC_RELEASE);
	lock_release(&patch_lock);
}

uint64_t patch_site_of_trap(uint64_t rip)
{
	uint64_t stub = stub_of(rip);
	return stub ? stub_word(stub, STUB_SITE) : rip - 2;
}

uint64_t patch_normalise(uint64_t rip)
{
	uint64_t stub = stub_of(rip);

	if (!stub)
		return rip;
	return stub_word(stub, rip - stub < STUB_TAIL ? STUB_SITE : STUB_RESUME);
}

bool patch_stub_begins(uint64_t rip, uint32_t *nr)
{
	if (!rip || stub_of(rip) != rip)
		return false;
	memcpy(nr, (void *)(rip + STUB_TAIL + STUB_NR), sizeof *nr);
	return true;
}

uint64_t patch_resume(uint64_t stub)
{
	return stub_word(stub, STUB_RESUME);
}

/* ---- patching one site ------------------------------------------------------------------------------ */

/* The code around a site, as far as it can be read: *from is its address.  Bytes, 0 if none. */
static int read_around(uint64_t site, uint8_t *code, uint64_t *from)
{
	uint64_t page = site & ~(PAGE - 1), to = site + AROUND;

	*from = site - AROUND;
	if (guest_code(*from, code, 2 * AROUND) == 0)
		return 2 * AROUND;
	if (*from < page)
		*from = page;
	if (to > page + PAGE)
		to = page + PAGE;
	return guest_code(*from, code, to - *from) ? 0 : (int)(to - *from);
}

static void patch_site(struct task *t, uint64_t site)
{
	uint8_t code[2 * AROUND], stub_code[STUB_SIZE], jump[5] = { 0xe9 }, hop[2] = { 0xeb };
	struct patch_shape s;
	uint64_t from;
	int n = read_around(site, code, &from);

	if (!n || !patch_recognise(code, n, site - from, &s) || (uint32_t)s.nr != (uint32_t)t->regs.rax)
		return;
	uint64_t start = from + s.start, place = from + s.jump;
	bool hops = start != place;
	if (!text_may_store(place, sizeof jump) || (hops && !text_may_store(start, sizeof hop)))
		return;
	uint64_t stub = stub_place(site);
	if (!stub)
		return;
	patch_write_stub(stub_code, stub, start, &s);
	memcpy((void *)stub, stub_code, sizeof stub_code);
	uint32_t rel = (uint32_t)(stub - (place + 5));
	memcpy(jump + 1, &rel, 4);
	text_store(place, jump, sizeof jump);
	hop[1] = place - (start + 2);
	if (hops)
		text_store(start, hop, sizeof hop);
}

void patch_count(struct task *t, uint64_t site)
{
	uint32_t threshold = process.world ? process.world->patch_after : 0;
	uint32_t i = (uint32_t)(site >> 1) * 2654435761u >> 25;

	if (!threshold || !text_patching_possible())
		return;
	if (counters[i].site != (uint32_t)site) {
		counters[i].site = (uint32_t)site;
		counters[i].count = 0;
	}
	if (++counters[i].count != threshold)
		return;
	lock_acquire(&patch_lock);
	patch_site(t, site);
	lock_release(&patch_lock);
}
