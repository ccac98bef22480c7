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

static void say_pages(char *map)
{
	for (int i = 0; i < MAP_PAGES; i++) {
		int sig = touch(look, map + i * 4096);

		if (sig)
			say(" %s", sigabbrev_np(sig));
	}
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
	{ 0 }
};
