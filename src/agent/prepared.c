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
 *
 * The files of the machine itself are prepared when a view begins.  Whoever starts a program with another dynamic linker
 * (in a tree that it has for its root, or one that an upgrade has brought) asks the monitor to prepare that one, once.
 */
#include "prepared.h"
#include "channel.h"
#include "patch.h"
#include "patch_text.h"
#include <linux/fcntl.h>
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

/* What is known of the file, NULL: nothing.  *room: there is a place for more. */
static const struct um_prepared *known(int fd, uint64_t length, bool *room)
{
	const struct um_world *w = process.world;
	struct stat st = { 0 };

	*room = false;
	for (uint32_t i = 0; i < UM_PREPARED; i++) {
		const struct um_prepared *p = &w->prepared[i];

		if (!__atomic_load_n(&p->ready, __ATOMIC_ACQUIRE)) {
			*room = true;
			return NULL;
		}
		if (length && length != p->map_length)
			continue;
		if (!st.st_ino && raw_syscall(__NR_fstat, fd, &st) < 0)
			return NULL;
		if (is_file(p, &st))
			return p;
	}
	return NULL;
}

static bool possible(void)
{
	return process.world->patch_after && text_patching_possible();
}

/* What the monitor has prepared of the file, or NULL.  `length`, unless 0: only if it takes that many bytes of memory
 * (which is cheap to compare). */
static const struct um_prepared *find(int fd, uint64_t length)
{
	bool room;
	const struct um_prepared *p = possible() ? known(fd, length, &room) : NULL;

	return p && p->ready == UM_PREPARED_YES ? p : NULL;
}

/* Has the file a name, so that the monitor can open it, and others will?  Copies of what lies in images have none. */
static long real_path(int fd, char *buf, size_t size)
{
	char link[32];
	struct stat st;
	long n;

	if (raw_syscall(__NR_fstat, fd, &st) < 0 || !st.st_nlink)
		return -ENOENT;
	text_format(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = raw_syscall(__NR_readlinkat, AT_FDCWD, link, buf, size - 1);
	return n > 0 && (size_t)n < size - 1 && buf[0] == '/' ? n : -ENOENT;
}

__attribute__((noinline)) static void ask(struct task *t, int fd)
{
	char path[sizeof(process.world->prepared->path)];	/* what is longer would not be prepared */
	long n = real_path(fd, path, sizeof(path));
	struct um_slot *s;
	int error;

	if (n < 0)
		return;
	s = channel_begin(t, 0, UM_CTL_PREPARE, &error);
	if (s && !channel_path(s, path, (size_t)n))
		channel_call(t, 0, s);
}

const struct um_prepared *prepared_linker(struct task *t, int fd)
{
	bool room = false;
	const struct um_prepared *p = possible() ? known(fd, 0, &room) : NULL;

	if (!p && room) {
		ask(t, fd);
		p = known(fd, 0, &room);
	}
	return p && p->ready == UM_PREPARED_YES ? p : NULL;
}

bool prepared_stubs(const struct um_prepared *p, uint64_t bias)
{
	uint64_t at = bias + p->stubs_vaddr;

	if (p->stub_pages &&
	    raw_syscall(__NR_mmap, at, p->stub_pages * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED,
			process.world_fd, p->copy + p->text_size) < 0)
		return false;
	return patch_adopt(at, p->stubs_size, (uint32_t)(p - process.world->prepared));
}

static int populate(void)
{
	return process.world->populate ? MAP_POPULATE : 0;
}

bool prepared_text(const struct um_prepared *p, uint64_t bias)
{
	return raw_syscall(__NR_mmap, bias + p->text_vaddr, p->text_size, PROT_READ | PROT_EXEC,
			   MAP_PRIVATE | MAP_FIXED | populate(), process.world_fd, p->copy) >= 0;
}

/* The whole file: [addr, addr + len), and the stubs behind it. */
static bool map_whole(gaddr addr, size_t len, int flags, int fd, long *result)
{
	const struct um_prepared *p = find(fd, len);

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

static bool is_text(const struct um_prepared *p, uint64_t addr, size_t len, int64_t off)
{
	return (uint64_t)off == p->text_offset && page_up(len) == p->text_size &&
	       patch_is_adopted(addr - p->text_vaddr + p->stubs_vaddr);
}

/* Several may look the same: copies of one file in several roots. */
static const struct um_prepared *text_at(uint64_t addr, size_t len, int fd, int64_t off)
{
	const struct um_prepared *p = process.world->prepared;
	uint32_t i = 0;

	while (i < UM_PREPARED && (__atomic_load_n(&p[i].ready, __ATOMIC_ACQUIRE) != UM_PREPARED_YES ||
				   !is_text(&p[i], addr, len, off)))
		i++;
	p = i < UM_PREPARED ? find(fd, 0) : NULL;
	return p && is_text(p, addr, len, off) ? p : NULL;
}

static bool map_text(gaddr addr, size_t len, int flags, int fd, int64_t off, long *result)
{
	const struct um_prepared *p = text_at(addr, len, fd, off);

	if (!p)
		return false;
	*result = raw_syscall(__NR_mmap, addr, len, PROT_READ | PROT_EXEC, flags | populate(), process.world_fd, p->copy);
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
