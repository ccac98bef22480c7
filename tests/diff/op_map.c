/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps with mapped files: mmap, reading and writing there (a fault is a result like any other), mprotect, msync,
 * mremap, munmap.  Up to four mappings are kept; each is MAP_BYTES long, whatever the file's size.
 */
#include "diff.h"
#include <setjmp.h>

#define MAPS		4
#define MAP_PAGES	4
#define MAP_BYTES	(MAP_PAGES * 4096)

static char *maps[MAPS];
static sigjmp_buf fault;

static void faulted(int sig)
{
	siglongjmp(fault, sig);
}

/* Does what `access` does there; the signal it raised, or 0. */
static int touch(void (*access)(char *), char *at)
{
	struct sigaction now = { .sa_handler = faulted }, bus, segv;
	int sig;

	sigaction(SIGBUS, &now, &bus);
	sigaction(SIGSEGV, &now, &segv);
	sig = sigsetjmp(fault, 1);
	if (!sig)
		access(at);
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return sig;
}

static void look(char *at)
{
	static char copy[4096];

	memcpy(copy, at, sizeof copy);
	say(" #%08x", hash(copy, sizeof copy));
}

static void change(char *at)
{
	for (int i = 0; i < 20; i++)
		((volatile char *)at)[i * 7] = (char)('A' + (step_number() + (unsigned)i) % 26);
}

static void say_some(char *map, size_t pages)
{
	for (size_t i = 0; i < pages; i++) {
		int sig = touch(look, map + i * 4096);

		if (sig)
			say(" %s", sigabbrev_np(sig));
	}
}

static void say_pages(char *map)
{
	say_some(map, MAP_PAGES);
}

static void op_mmap(void)
{
	static const int prots[] = { PROT_READ, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_NONE,
		PROT_READ | PROT_EXEC };
	int fd = pick_fd(), prot = PICK_OF(prots), flags = pick(2) ? MAP_SHARED : MAP_PRIVATE;
	unsigned slot = pick(MAPS);
	off_t at = 4096 * (off_t)pick(4);
	char *map;

	if (chance(20))
		at += 100;
	if (chance(20))
		flags = MAP_SHARED_VALIDATE;
	if (chance(30))
		flags = 0;
	say(", %d, %d, %ld", prot, flags, (long)at);
	if (flags != MAP_PRIVATE && prot & PROT_WRITE && !(features & FEAT_SHARED)) {
		say(" left out");
		return;
	}
	map = (char *)syscall(SYS_mmap, NULL, MAP_BYTES, prot, flags, fd, at);
	if (map == MAP_FAILED) {
		result(-1);
		return;
	}
	if (prot != PROT_NONE)
		say_pages(map);
	if (maps[slot] || !(features & FEAT_MAP)) {
		munmap(map, MAP_BYTES);
		say(" unmapped");
	} else {
		maps[slot] = map;
	}
}

static void op_mapped(void)
{
	unsigned slot = pick(MAPS), what = pick(7), page = pick(MAP_PAGES);
	char *map = maps[slot], *moved;
	int sig;

	say("%u", slot);
	if (!map)
		return;
	switch (what) {
	case 0:
	case 1:
		say_pages(map);
		break;
	case 2:
	case 3:
		sig = touch(change, map + page * 4096);
		say(" write %u %s", page, sig ? sigabbrev_np(sig) : "");
		break;
	case 4:
		say(" msync");
		result(syscall(SYS_msync, map, MAP_BYTES, MS_SYNC));
		break;
	case 5:
		say(" mprotect %u", page % 4);
		result(syscall(SYS_mprotect, map, MAP_BYTES, page % 4));
		break;
	case 6:
		moved = (char *)syscall(SYS_mremap, map, MAP_BYTES, MAP_BYTES, MREMAP_MAYMOVE);
		say(moved == map ? " stays" : " moved");
		break;
	}
}

/* What was mapped there may be gone though nothing else could be mapped: nothing of ours is to come to lie in the hole. */
static void fill_holes(char *map)
{
	for (unsigned i = 0; i < MAP_PAGES; i++)
		mmap(map + i * 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

/* Over what is mapped there: another mapping, of a file or of nothing. */
static void map_over(char *at, size_t len)
{
	static const int flags[] = { MAP_FIXED | MAP_PRIVATE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, MAP_FIXED_NOREPLACE | MAP_PRIVATE,
		MAP_FIXED | MAP_SHARED, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };
	int flag = PICK_OF(flags), prot = PROT_READ | (flag & MAP_SHARED ? 0 : (int)pick(2) * PROT_WRITE), fd = -1;
	long r;

	say(" over %#x", (unsigned)flag);
	if (!(flag & MAP_ANONYMOUS)) {
		say(" ");
		fd = pick_fd();
	}
	r = syscall(SYS_mmap, at + (chance(10) ? 1 : 0), len, prot, flag, fd, 4096L * (long)pick(2));
	result(r == -1 ? -1 : r != (long)at);
}

/* Moved, grown, shrunk; what is left of it is made whole again at its place, so that nothing else comes to lie there. */
static void remap(char *map)
{
	static const size_t sizes[] = { MAP_BYTES, MAP_BYTES, 4096, 8192, 0, MAP_BYTES + 1 };
	static const int flags[] = { MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED, 0, MREMAP_FIXED, 8, MREMAP_MAYMOVE | 4 /* DONTUNMAP */ };
	size_t from = PICK_OF(sizes) & ~1ul, to = PICK_OF(sizes);	/* nothing behind it is touched */
	int flag = PICK_OF(flags);
	char *place = mmap(NULL, 2 * MAP_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long r = syscall(SYS_mremap, map, from, to, flag, place);

	say(" remap %zu %zu %#x", from, to, (unsigned)flag);
	if (r != -1 && (char *)r != map) {
		say_some((char *)r, (to + 4095) / 4096);	/* behind it is whatever is there */
		if (flag & MREMAP_FIXED)
			say(r == (long)place ? " there" : " elsewhere");
	}
	result(r == -1 ? -1 : (char *)r != map);
	munmap(place, 2 * MAP_BYTES);
	if (r != -1 && (char *)r != map) {
		if ((char *)r != place)
			munmap((char *)r, (to + 4095) & ~4095ul);
		mmap(map, MAP_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	} else if (r != -1 && to > MAP_BYTES) {
		munmap(map + MAP_BYTES, 4096);
	} else if (r != -1 && to < from) {
		mmap(map, MAP_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	}
}

static void op_mapodd(void)
{
	static const int advices[] = { MADV_DONTNEED, MADV_WILLNEED, MADV_FREE, MADV_DONTFORK, MADV_DOFORK, 22 /* POPULATE_READ */, 999, MADV_REMOVE };
	static const int syncs[] = { MS_ASYNC, MS_INVALIDATE, MS_SYNC | MS_ASYNC, 8 };
	unsigned slot = pick(MAPS), page = pick(MAP_PAGES), pages = 1 + pick(3);
	char *map = maps[slot], *at = map + page * 4096;
	size_t len = 4096 * (page + pages > MAP_PAGES ? MAP_PAGES - page : pages);
	unsigned char in[MAP_PAGES] = { 0 };

	say("%u %u %u", slot, page, pages);
	if (!map)
		return;
	switch (pick(8)) {
	case 0:
	case 1:
		map_over(at, len);
		break;
	case 2:
		say(" munmap");
		result(syscall(SYS_munmap, at, len));
		say_pages(map);
		mmap(at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	case 3:
		say(" mprotect");
		result(syscall(SYS_mprotect, at + (chance(8) ? 1 : 0), len, (long)pick(8)));
		break;
	case 4:
		say(" madvise");
		result(syscall(SYS_madvise, at, len, PICK_OF(advices)));
		break;
	case 5:
		say(" msync");
		result(syscall(SYS_msync, at, len, PICK_OF(syncs)));
		break;
	case 6:
		say(" mincore");
		result(syscall(SYS_mincore, at, len, in));
		break;
	case 7:
		remap(map);
		break;
	}
	say_pages(map);
	fill_holes(map);
}

static void wipe(char *at)
{
	for (size_t i = 0; i < sizeof(struct stat); i++)
		((volatile char *)at)[i] = 0;
}

/* Calls with a mapping as their memory: it may be read-only, or end in the middle. */
static void op_mapio(void)
{
	unsigned slot = pick(MAPS), page = pick(MAP_PAGES);
	static const unsigned sizes[] = { 1, 100, 4096, 5000, 16384 };
	unsigned size = PICK_OF(sizes);
	char *at = maps[slot] + page * 4096 + pick(2) * 4000;
	int fd = pick_fd();
	struct stat st;

	if (!maps[slot] || (!fstat(fd, &st) && !S_ISREG(st.st_mode)) || at + size > maps[slot] + MAP_BYTES)
		return;
	say(", slot %u at %u, %u", slot, page, size);
	switch (pick(4)) {
	case 0:
		say(" pread");
		result(syscall(SYS_pread64, fd, at, size, 0L));
		break;
	case 1:
		say(" pwrite");
		result(syscall(SYS_pwrite64, fd, at, size, 0L));
		break;
	case 2:
		say(" fstat");
		if (at + sizeof st > maps[slot] + MAP_BYTES)
			at -= sizeof st;
		result(syscall(SYS_fstat, fd, at));
		touch(wipe, at);		/* inodes and times are never the same */
		break;
	default:
		say(" getcwd");
		result(syscall(SYS_getcwd, at, (long)size) < 0 ? -1 : 0);
	}
}

static void op_munmap(void)
{
	unsigned slot = pick(MAPS);

	say("%u", slot);
	if (maps[slot])
		result(syscall(SYS_munmap, maps[slot], MAP_BYTES));
	maps[slot] = NULL;
}

const struct op ops_map[] = {
	{ "mmap", op_mmap, 12, 0 },
	{ "mapped", op_mapped, 15, FEAT_MAP },
	{ "munmap", op_munmap, 6, FEAT_MAP },
	{ "mapodd", op_mapodd, 10, FEAT_MAP },
	{ "mapio", op_mapio, 5, FEAT_MAP },
	{ 0 }
};
