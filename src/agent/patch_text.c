/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changing the guest's code.  The mapping is looked up in /proc/self/maps: only private read-execute
 * text is changed (a just-in-time compiler's pages are its own business).  The page is made
 * writable for the moment of one store and never loses its execute permission.
 */
#include "patch_text.h"
#include "life.h"
#include <linux/mman.h>

#define PAGE	4096ul

long guest_copy(void *dst, const void *src, size_t n);

static bool possible;

bool text_patching_possible(void) { return possible; }
void text_set_patching(bool yes) { possible = yes; }

long text_asked(long r)
{
	if (r == -EACCES || r == -EPERM)
		possible = false;
	return r;
}

int guest_code(uint64_t from, uint8_t *buf, size_t n)
{
	return guest_copy(buf, (const void *)from, n);
}

static uint64_t hex(const char **s)
{
	uint64_t v = 0;
	for (;; (*s)++) {
		char c = **s;
		if (c >= '0' && c <= '9')
			v = v * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v * 16 + (c - 'a' + 10);
		else
			return v;
	}
}

struct mapping { uint64_t start, end; char perm[5]; };

/* One line of maps: "start-end perm ..." */
static bool line_covers(const char *line, uint64_t at, struct mapping *m)
{
	const char *s = line;
	m->start = hex(&s);
	if (*s++ != '-')
		return false;
	m->end = hex(&s);
	if (*s++ != ' ' || at < m->start || at >= m->end)
		return false;
	memcpy(m->perm, s, 4);
	m->perm[4] = 0;
	return true;
}

/* The mapping at `at`.  Reads our maps in pieces; only whole lines are looked at. */
static bool find_mapping(uint64_t at, struct mapping *m)
{
	char buf[4096];
	size_t have = 0;
	bool found = false;
	long fd = raw_syscall(__NR_openat, -100, "/proc/thread-self/maps", 02000000 /* O_CLOEXEC */, 0);

	if (fd < 0)
		return false;
	while (!found) {
		long n = raw_syscall(__NR_read, fd, buf + have, sizeof buf - 1 - have);
		if (n <= 0)
			break;
		have += n;
		buf[have] = 0;
		char *line = buf, *end;
		while (!found && (end = strchr(line, '\n'))) {
			found = line_covers(line, at, m);
			line = end + 1;
		}
		have -= line - buf;
		memmove(buf, line, have);
	}
	raw_syscall(__NR_close, fd);
	return found;
}

static bool in_one_block(uint64_t at, size_t n)
{
	return (at & ~15ull) == ((at + n - 1) & ~15ull);
}

bool text_may_store(uint64_t at, size_t n)
{
	struct mapping m;

	if (life_threads() > 1 && !in_one_block(at, n))
		return false;
	return find_mapping(at, &m) && at + n <= m.end && !strcmp(m.perm, "r-xp");
}

/* An aligned block of 16 bytes, replaced at once. */
static void store_block(uint64_t at, const uint8_t *bytes, size_t n)
{
	uint64_t *block = (uint64_t *)(at & ~15ull), old[2], new[2];
	bool done;

	do {
		memcpy(old, block, 16);
		memcpy(new, old, 16);
		memcpy((uint8_t *)new + (at & 15), bytes, n);
		__asm__ volatile("lock cmpxchg16b %0\n\tsete %1"
				 : "+m"(*(__int128 *)block), "=q"(done), "+a"(old[0]), "+d"(old[1])
				 : "b"(new[0]), "c"(new[1]) : "cc", "memory");
	} while (!done);
}

void text_store(uint64_t at, const uint8_t *bytes, size_t n)
{
	uint64_t page = at & ~(PAGE - 1);
	uint64_t size = ((at + n - 1) & ~(PAGE - 1)) + PAGE - page;

	if (text_asked(raw_syscall(__NR_mprotect, page, size, PROT_READ | PROT_WRITE | PROT_EXEC)) < 0)
		return;
	if (in_one_block(at, n))
		store_block(at, bytes, n);
	else
		memcpy((void *)at, bytes, n);
	raw_syscall(__NR_mprotect, page, size, PROT_READ | PROT_EXEC);
}
