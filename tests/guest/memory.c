/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Anonymous memory: brk, stack growth, MAP_FIXED, munmap, mremap, mprotect, memfd.
 * GUEST_WORLDS: view cow bindcow cowmount cowbind cowcow
 */
#include "guest.h"
#include <dlfcn.h>
#include <setjmp.h>
#include <sys/resource.h>

static sigjmp_buf out;

static void jump(int sig)
{
	siglongjmp(out, sig);
}

static char *anon(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

/* Does reading this byte fault? */
static bool faults(volatile char *p)
{
	signal(SIGSEGV, jump);
	if (sigsetjmp(out, 1) == 0) {
		(void)*p;
		return false;
	}
	return true;
}

TEST(brk_grows, "brk: grows, is zero, shrinks, grows again as zero")
{
	char *start = (char *)syscall(SYS_brk, 0), *end;

	TRUE(start == sbrk(0));
	end = (char *)syscall(SYS_brk, start + 100000);
	TRUE(end == start + 100000);
	for (int i = 0; i < 100000; i += 1000)
		EQ(start[i], 0);
	memset(start, 'b', 100000);
	TRUE((char *)syscall(SYS_brk, start) == start);
	TRUE((char *)syscall(SYS_brk, start + 100000) == start + 100000);
	EQ(start[8192], 0);
	TRUE((char *)syscall(SYS_brk, 0) == start + 100000);
}

TEST(brk_large, "brk: 300 MiB in steps, and a refusal that changes nothing")
{
	char *start = sbrk(0), *now;

	for (int i = 0; i < 300; i++) {
		char *p = sbrk(1 << 20);

		if (p == (char *)-1) {
			FAIL("sbrk step %d: errno %d", i, errno);
			return;
		}
		p[0] = 1;
		p[(1 << 20) - 1] = 1;
	}
	now = (char *)syscall(SYS_brk, 0);
	TRUE(now == start + (300 << 20));
	TRUE((char *)syscall(SYS_brk, 1UL << 62) == now);
	TRUE((char *)syscall(SYS_brk, 4096) == now);
}

TEST(brk_place, "the heap lies behind the program, not elsewhere")
{
	extern char end[];
	char *p = sbrk(0);

	TRUE(p >= end);
	TRUE(p - end < 1L << 35);
}

TEST(brk_child, "a child has the heap of its parent")
{
	char *p = sbrk(8192);
	int status;

	strcpy(p, "heap");
	if (fork() == 0) {
		guest_bad = 0;
		STR(p, "heap");
		strcpy(p, "mine");
		TRUE(sbrk(0) == p + 8192);
		TRUE(sbrk(4096) == p + 8192);
		_exit(guest_bad ? 1 : 0);
	}
	OK(wait(&status));
	EXITED(status, 0);
	STR(p, "heap");
	TRUE(sbrk(0) == p + 8192);
}

static int deep(int n)
{
	volatile char room[4000];

	room[0] = (char)n;
	room[3999] = (char)n;
	return n == 0 ? room[0] : deep(n - 1) + (room[3999] == (char)n);
}

TEST(stack_grows, "the stack grows to 6 MiB")
{
	EQ(deep(1500), 1500);
}

static int endless(int n)
{
	volatile char room[4000];

	room[n & 1023] = 1;
	return n < 0 ? 0 : endless(n + 1) + room[5];
}

static void overflow(void *unused MAYBE)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	_exit(endless(0));
}

TEST(stack_overflow, "endless recursion ends with SIGSEGV")
{
	SIGNALED(in_child(overflow, NULL), SIGSEGV);
}

TEST(unmap, "munmap makes holes; reading them faults")
{
	char *p = anon(5 * 4096);

	memset(p, 1, 5 * 4096);
	OK(munmap(p + 4096, 4096));
	TRUE(faults(p + 4096));
	TRUE(!faults(p + 4095));
	TRUE(!faults(p + 8192));
	OK(munmap(p, 5 * 4096));
	TRUE(faults(p));
	FAILS(munmap(p + 1, 4096), EINVAL);
	FAILS(munmap(p, 0), EINVAL);
}

TEST(fixed, "MAP_FIXED over one's own mapping; NOREPLACE refuses it")
{
	char *p = anon(3 * 4096), *q;

	memset(p, 7, 3 * 4096);
	q = mmap(p + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	TRUE(q == p + 4096);
	EQ(p[4096], 0);
	EQ(p[0], 7);
	EQ(p[8192], 7);
	q = mmap(p, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	TRUE(q == MAP_FAILED && errno == EEXIST);
	q = mmap(p, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TRUE(q != MAP_FAILED && q != p);
	OK(munmap(p, 3 * 4096));
	q = mmap(p, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	TRUE(q == p);
}

TEST(low_and_high, "fixed mappings at low and at usual addresses")
{
	static const unsigned long places[] = { 0x10000, 0x70000000, 0x10000000000, 0x100000000000, 0x600000000000 };

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char *p = mmap((void *)places[i], 1 << 20, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (p != (char *)places[i]) {
			FAIL("0x%lx: errno %d", places[i], errno);
			continue;
		}
		p[(1 << 20) - 1] = 1;
		OK(munmap(p, 1 << 20));
	}
}

TEST(remap, "mremap: shrink, grow, move, and its errors")
{
	char *p = anon(4 * 4096), *q;

	strcpy(p, "moves");
	TRUE(mremap(p, 4 * 4096, 2 * 4096, 0) == p);
	TRUE(faults(p + 2 * 4096));
	q = mremap(p, 2 * 4096, 64 * 4096, MREMAP_MAYMOVE);
	REQUIRE(q != MAP_FAILED);
	STR(q, "moves");
	q[63 * 4096] = 1;
	p = anon(64 * 4096);
	TRUE(mremap(q, 64 * 4096, 64 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p);
	STR(p, "moves");
	TRUE(faults(q));
	TRUE(mremap(p + 1, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED && errno == EINVAL);
	TRUE(mremap(q, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
}

TEST(protect, "mprotect: read-only, none, executable, and errors")
{
	static const unsigned char code[] = { 0xb8, 7, 0, 0, 0, 0xc3 };
	char *p = anon(2 * 4096);

	memcpy(p, code, sizeof(code));
	OK(mprotect(p, 4096, PROT_READ | PROT_EXEC));
	EQ(((int (*)(void))p)(), 7);
	OK(mprotect(p, 4096, PROT_NONE));
	TRUE(faults(p));
	OK(mprotect(p, 4096, PROT_READ));
	EQ(p[1], 7);
	signal(SIGSEGV, jump);
	if (sigsetjmp(out, 1) == 0) {
		*(volatile char *)p = 1;
		FAIL("wrote to read-only memory");
	}
	FAILS(mprotect(p + 1, 4096, PROT_READ), EINVAL);
	OK(munmap(p + 4096, 4096));
	FAILS(mprotect(p, 2 * 4096, PROT_READ), ENOMEM);
}

TEST(foreign, "the agent's place, if there is one, cannot be taken by accident")
{
	/* Asking without MAP_FIXED never gives memory that is in use, whatever the hint. */
	char *p = mmap((void *)0x7e9000000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;

	REQUIRE(p != MAP_FAILED);
	memset(p, 0xff, 4096);
	OK(munmap(p, 4096));
	if (fork() == 0)
		_exit(3);
	OK(wait(&status));
	EXITED(status, 3);
}

TEST(shared_fork, "anonymous shared memory is shared with children")
{
	volatile int *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	REQUIRE(p != MAP_FAILED);
	if (fork() == 0) {
		*p = 77;
		_exit(0);
	}
	OK(wait(&status));
	EQ(*p, 77);
}

TEST(memfd, "memfd_create: written, mapped, sealed, inherited")
{
	int fd = MUST(memfd_create("test", MFD_ALLOW_SEALING)), status;
	char *p;

	OK(ftruncate(fd, 8192));
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(p != MAP_FAILED);
	strcpy(p, "memory");
	if (fork() == 0) {
		char buf[8];

		_exit(pread(fd, buf, 7, 0) == 7 && strcmp(buf, "memory") == 0 ? 0 : 1);
	}
	OK(wait(&status));
	EXITED(status, 0);
	OK(munmap(p, 8192));
	OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE));
	FAILS(pwrite(fd, "x", 1, 0), EPERM);
	FAILS(ftruncate(fd, 0), EPERM);
}

TEST(advice, "madvise, mincore, mlock")
{
	unsigned char vec[2];
	char *p = anon(2 * 4096);

	memset(p, 1, 2 * 4096);
	OK(mincore(p, 2 * 4096, vec));
	EQ(vec[0] & 1, 1);
	OK(madvise(p, 4096, MADV_DONTNEED));
	EQ(p[0], 0);
	EQ(p[4096], 1);
	FAILS(madvise(p, 4096, 9999), EINVAL);
	OK(mlock(p, 4096));
	OK(munlock(p, 4096));
}

TEST(many, "2000 mappings of changing size, none of them overlapping")
{
	char *where[200] = { NULL };
	size_t size[200];
	unsigned seed = 5;

	for (int i = 0; i < 2000; i++) {
		int k = i % 200;

		if (where[k]) {
			EQ((unsigned char)where[k][size[k] - 1], k);
			EQ((unsigned char)where[k][0], k);
			OK(munmap(where[k], size[k]));
		}
		seed = seed * 1103515245u + 12345u;
		size[k] = 4096 * (1 + seed / 65536 % 50);
		where[k] = anon(size[k]);
		memset(where[k], k, size[k]);
	}
}

/* ---- a second C library ---------------------------------------------------------------------------- */

static unsigned long mapped(void)	/* bytes */
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long from, to, n = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &from, &to) == 2)
			n += to - from;
	if (f)
		fclose(f);
	return n;
}

TEST(second_libc, "the C library loaded once more, a hundred times, makes calls and leaves nothing mapped")
{
	unsigned long before = 0;

	for (int i = 0; i < 100; i++) {
		void *lib = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
		ssize_t (*its_write)(int, const void *, size_t) = lib ? dlsym(lib, "write") : NULL;
		if (!its_write)
			SKIP("no second C library here");
		REQUIRE(its_write(-1, "", 1) == -1);
		REQUIRE(dlclose(lib) == 0);
		if (i == 1)
			before = mapped();
	}
	TRUE(mapped() < before + (256 << 10));
}
