/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prepared text: a program's start makes some thirty system calls in the dynamic linker and the C library, and each of
 * them would trap in each new process, since what is patched in one is not in the next.  So the monitor keeps
 * copies of these two files' text with all sites patched (monitor/prepare.c), and here they are mapped in place of
 * the original: no trap, no page copied, and as many system calls as before.
 *
 * The interpreter is mapped by our own loader (load.c).  The C library is mapped by the interpreter, which first
 * maps the whole file and then its segments over that: the first mapping is made longer by the pages of stubs, the
 * one of the text gets the copy.  Nothing here is necessary: what is not as expected is mapped as asked.
 */
#include "prepared.h"
#include "patch.h"
#include "patch_text.h"
#include <linux/mman.h>

#define PAGE	4096ul

static uint64_t page_up(uint64_t n)
{
	return (n + PAGE - 1) & ~(PAGE - 1);
}

static bool is_file(const struct um_prepared *p, const struct stat *st)
{
	return st->st_ino == p->ino && st->st_dev == p->dev && (uint64_t)st->st_size == p->size &&
	       (uint64_t)st->st_ctime * 1000000000u + st->st_ctime_nsec == p->ctime_ns;
}

const struct um_prepared *prepared_find(int fd, uint64_t length)
{
	const struct um_world *w = process.world;
	struct stat st = { 0 };

	if (!w->patch_after || !text_patching_possible())
		return NULL;
	for (uint32_t i = 0; i < UM_PREPARED; i++) {
		const struct um_prepared *p = &w->prepared[i];
		if (!__atomic_load_n(&p->ready, __ATOMIC_ACQUIRE) || (length && length != p->map_length))
			continue;
		if (!st.st_ino && raw_syscall(__NR_fstat, fd, &st) < 0)
			return NULL;
		if (is_file(p, &st))
			return p;
	}
	return NULL;
}

bool prepared_stubs(const struct um_prepared *p, uint64_t bias)
{
	uint64_t at = bias + p->stubs_vaddr;

	if (p->stub_pages &&
	    raw_syscall(__NR_mmap, at, p->stub_pages * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED,
			process.world_fd, p->copy + p->text_size) < 0)
		return false;
	return patch_adopt(at, p->stubs_size);
}

bool prepared_text(const struct um_prepared *p, uint64_t bias)
{
	return raw_syscall(__NR_mmap, bias + p->text_vaddr, p->text_size, PROT_READ | PROT_EXEC,
			   MAP_PRIVATE | MAP_FIXED, process.world_fd, p->copy) >= 0;
}

/* The whole file: [addr, addr + len), and the stubs behind it. */
static bool map_whole(gaddr addr, size_t len, int flags, int fd, long *result)
{
	const struct um_prepared *p = prepared_find(fd, len);

	if (!p || !p->stub_pages)
		return false;
	uint64_t room = page_up(len) + p->stub_pages * PAGE;
	*result = raw_syscall(__NR_mmap, addr, room, PROT_READ, flags, fd, 0);
	if (*result < 0)
		return true;
	/* The first byte of the file lies at the address of its first segment, which is 0 in a library. */
	if (!prepared_stubs(p, *result))
		raw_syscall(__NR_munmap, *result + page_up(len), p->stub_pages * PAGE);
	return true;
}

static const struct um_prepared *text_at(uint64_t addr, size_t len, int64_t off)
{
	for (uint32_t i = 0; i < UM_PREPARED; i++) {
		const struct um_prepared *p = &process.world->prepared[i];
		if (__atomic_load_n(&p->ready, __ATOMIC_ACQUIRE) && (uint64_t)off == p->text_offset &&
		    page_up(len) == p->text_size && patch_is_adopted(addr - p->text_vaddr + p->stubs_vaddr))
			return p;
	}
	return NULL;
}

static bool map_text(gaddr addr, size_t len, int flags, int fd, int64_t off, long *result)
{
	const struct um_prepared *p = text_at(addr, len, off);

	if (!p || prepared_find(fd, 0) != p)
		return false;
	*result = raw_syscall(__NR_mmap, addr, len, PROT_READ | PROT_EXEC, flags, process.world_fd, p->copy);
	return *result >= 0;
}

bool prepared_mmap(gaddr addr, size_t len, int prot, int flags, int fd, int64_t off, long *result)
{
	if ((flags & ~MAP_DENYWRITE) == MAP_PRIVATE && prot == PROT_READ && off == 0)
		return map_whole(addr, len, flags, fd, result);
	if ((flags & ~MAP_DENYWRITE) == (MAP_PRIVATE | MAP_FIXED) && prot == (PROT_READ | PROT_EXEC))
		return map_text(addr, len, flags, fd, off, result);
	return false;
}

void prepared_munmap(gaddr addr, size_t len)
{
	for (uint32_t i = 0; i < UM_PREPARED; i++) {
		const struct um_prepared *p = &process.world->prepared[i];
		uint64_t stubs = addr + p->stubs_vaddr;

		if (len != p->map_length || !p->stub_pages || !patch_is_adopted(stubs))
			continue;
		patch_forget(stubs);
		raw_syscall(__NR_munmap, stubs, p->stub_pages * PAGE);
	}
}
