/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System call sites of every shape: hot, jumped into, generated at run time, shared by threads.
 * GUEST_WORLDS: view
 *
 * A site that is called often may be rewritten; the program must never notice.  The calls are ones that a view
 * intercepts: umask(022), which every test starts with, and close of a descriptor that is not open.
 */
#include "guest.h"
#include "int80.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/time.h>

#define OFTEN 5000
#define MASK 022	/* umask(MASK) gives MASK; close(MASK) gives EBADF */
#define UMASK 95

static long hot_mov(void)
{
	long r;

	__asm__ volatile("mov $95,%%eax\n\tsyscall" : "=a"(r) : "D"((long)MASK) : "rcx", "r11", "memory");
	return r;
}

TEST(hot, "`mov $nr,%eax; syscall` 5000 times")
{
	for (int i = 0; i < OFTEN; i++)
		REQUIRE(hot_mov() == MASK);
}

/* For tests/scenario/tier.bats: has a hot site got a jump? */
HELPER(hot_site)
{
	const unsigned char *code = (const unsigned char *)hot_mov;

	(void)argc;
	(void)argv;
	umask(MASK);
	for (int i = 0; i < OFTEN; i++)
		hot_mov();
	while (*code != 0xb8 && *code != 0xe9)
		code++;
	puts(*code == 0xe9 ? "patched" : "as compiled");
	return 0;
}

static long xor_cmp(int fd, void *buf, size_t n)
{
	long r;

	__asm__ volatile("xor %%eax,%%eax\n\tsyscall\n\tcmp $-4096,%%rax\n\tja 1f\n\tjmp 2f\n1:\tneg %%rax\n\tneg %%rax\n2:"
		: "=a"(r) : "D"(fd), "S"(buf), "d"(n) : "rcx", "r11", "memory", "cc");
	return r;
}

TEST(xor_shape, "`xor %eax,%eax; syscall; cmp $-4096,%rax` 5000 times, good and failing")
{
	int fd = MUST(open("/dev/zero", O_RDONLY));
	char buf[8];

	for (int i = 0; i < OFTEN; i++) {
		buf[3] = 1;
		REQUIRE(xor_cmp(fd, buf, 8) == 8 && buf[3] == 0);
		REQUIRE(xor_cmp(-1, buf, 8) == -EBADF);
		REQUIRE(xor_cmp(fd, (void *)16, 8) == -EFAULT);
	}
}

/* The same site entered at its mov and at its syscall. */
long both_ways(long jump_in, long nr);
__asm__(".text\nboth_ways:\n"
	"	mov %rsi,%rax\n"
	"	test %rdi,%rdi\n"
	"	mov $18,%edi\n"
	"	jnz 1f\n"
	"	mov $95,%eax\n"
	"1:	syscall\n"
	"	ret\n");

TEST(jumped_into, "a jump straight to the syscall of a hot site")
{
	long me = getpid();

	for (int i = 0; i < OFTEN; i++) {
		REQUIRE(both_ways(0, 0) == MASK);
		REQUIRE(both_ways(1, SYS_close) == -EBADF);
		REQUIRE(both_ways(1, SYS_getpid) == me);
		REQUIRE(both_ways(1, 5000) == -ENOSYS);
	}
}

/* A loop whose backward jump leads to the mov; flags matter behind the syscall. */
static long loop_count(long n)
{
	long left = n, done = 0, sum = 0;

	__asm__ volatile("1:\tmov $95,%%eax\n\tsyscall\n\tadd %%rax,%2\n\tinc %1\n\tdec %0\n\tjnz 1b"
		: "+r"(left), "+r"(done), "+r"(sum) : "D"((long)MASK) : "rax", "rcx", "r11", "memory", "cc");
	return done == n && sum == n * MASK ? n : -1;
}

TEST(tight_loop, "a loop of a mov, a syscall and a jump back")
{
	EQ(loop_count(OFTEN), OFTEN);
}

static unsigned char *pages(size_t n)
{
	unsigned char *p = mmap(NULL, n * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

static const unsigned char umask_code[] = { 0xb8, UMASK, 0, 0, 0, 0x0f, 0x05, 0xc3 };

static long call_at(const unsigned char *code)
{
	return ((long (*)(long))code)(MASK);
}

TEST(jit, "code made at run time, in write-xor-execute pages and in rwx ones")
{
	unsigned char *p = pages(1), *q = pages(1);

	memcpy(p, umask_code, sizeof(umask_code));
	OK(mprotect(p, 4096, PROT_READ | PROT_EXEC));
	for (int i = 0; i < OFTEN; i++)
		REQUIRE(call_at(p) == MASK);
	/* the same page gets other code: nothing of the old site may be left */
	OK(mprotect(p, 4096, PROT_READ | PROT_WRITE));
	memcpy(p, umask_code, sizeof(umask_code));
	p[1] = SYS_close;
	OK(mprotect(p, 4096, PROT_READ | PROT_EXEC));
	for (int i = 0; i < OFTEN; i++)
		REQUIRE(call_at(p) == -EBADF);
	if (mprotect(q, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
		SKIP("no pages that are writable and executable");
	for (int round = 0; round < 20; round++) {
		memcpy(q, umask_code, sizeof(umask_code));
		q[1] = round & 1 ? SYS_close : UMASK;
		for (int i = 0; i < 200; i++)
			REQUIRE(call_at(q) == (round & 1 ? -EBADF : MASK));
	}
}

TEST(moved_code, "code unmapped and mapped anew at the same place")
{
	unsigned char *p = pages(1);

	for (int round = 0; round < 10; round++) {
		memcpy(p, umask_code, sizeof(umask_code));
		p[1] = round & 1 ? SYS_close : UMASK;
		OK(mprotect(p, 4096, PROT_READ | PROT_EXEC));
		for (int i = 0; i < 500; i++)
			REQUIRE(call_at(p) == (round & 1 ? -EBADF : MASK));
		OK(munmap(p, 4096));
		REQUIRE(mmap(p, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
	}
}

TEST(page_edges, "sites at the very end of a page and across two")
{
	unsigned char *p = pages(3);

	for (int off = 4096 - 8; off <= 4096; off++) {
		OK(mprotect(p, 3 * 4096, PROT_READ | PROT_WRITE));
		memset(p, 0xcc, 3 * 4096);
		memcpy(p + off, umask_code, sizeof(umask_code));
		OK(mprotect(p, 3 * 4096, PROT_READ | PROT_EXEC));
		for (int i = 0; i < 200; i++)
			REQUIRE(call_at(p + off) == MASK);
	}
	/* the last byte of the mapping is the last of the syscall: what follows is not mapped */
	OK(mprotect(p, 3 * 4096, PROT_READ | PROT_WRITE));
	memcpy(p + 3 * 4096 - 8, umask_code, 8);
	OK(mprotect(p, 3 * 4096, PROT_READ | PROT_EXEC));
	for (int i = 0; i < 200; i++)
		REQUIRE(call_at(p + 3 * 4096 - 8) == MASK);
}

TEST(many_sites, "2000 sites, each called 60 times")
{
	unsigned char *p = pages(16);

	for (int i = 0; i < 2000; i++)
		memcpy(p + i * 32 + i % 16, umask_code, sizeof(umask_code));
	OK(mprotect(p, 16 * 4096, PROT_READ | PROT_EXEC));
	for (int round = 0; round < 60; round++)
		for (int i = 0; i < 2000; i++)
			REQUIRE(call_at(p + i * 32 + i % 16) == MASK);
	OK(munmap(p, 16 * 4096));
}

TEST(readable_code, "a program may read its own code")
{
	const unsigned char *code = (const unsigned char *)hot_mov;
	unsigned sum = 0;

	for (int i = 0; i < OFTEN; i++)
		hot_mov();
	for (int i = 0; i < 7; i++)
		sum += code[i];
	TRUE(sum != 0);
}

static atomic_int go;
static unsigned char *shared_site;

/* For half a second at most: where every call traps, the end would be long in coming. */
static void *hammer(void *arg)
{
	long want = (long)arg, bad = 0;

	while (!atomic_load(&go))
		;
	long end = now_ms() + 500;
	for (int i = 0; i < 20000 && (i % 100 || now_ms() < end); i++)
		bad += call_at(shared_site) != want;
	return (void *)bad;
}

TEST(hammered, "eight threads hammer one fresh site while it gets hot, at every alignment")
{
	unsigned char *p = pages(4);
	pthread_t t[8];
	void *bad;

	for (int i = 0; i < 16; i++)
		memcpy(p + i * 512 + i, umask_code, sizeof(umask_code));
	OK(mprotect(p, 4 * 4096, PROT_READ | PROT_EXEC));
	for (int i = 0; i < 16; i++) {
		go = 0;
		shared_site = p + i * 512 + i;
		for (int k = 0; k < 8; k++)
			pthread_create(&t[k], NULL, hammer, (void *)(long)MASK);
		go = 1;
		for (int k = 0; k < 8; k++) {
			pthread_join(t[k], &bad);
			EQ((long)bad, 0);
		}
	}
}

static volatile int rings;

static void ring(int sig MAYBE)
{
	rings++;
}

TEST(hammered_signals, "the same with a storm of signals")
{
	struct sigaction sa = { .sa_handler = ring, .sa_flags = SA_RESTART };
	struct itimerval it = { { 0, 300 }, { 0, 300 } };
	unsigned char *p = pages(4);
	pthread_t t[4];
	void *bad;

	OK(sigaction(SIGALRM, &sa, NULL));
	for (int i = 0; i < 16; i++)
		memcpy(p + i * 512 + i, umask_code, sizeof(umask_code));
	OK(mprotect(p, 4 * 4096, PROT_READ | PROT_EXEC));
	OK(setitimer(ITIMER_REAL, &it, NULL));
	for (int i = 0; i < 8; i++) {
		go = 0;
		shared_site = p + i * 512 + i;
		for (int k = 0; k < 4; k++)
			REQUIRE(pthread_create(&t[k], NULL, hammer, (void *)(long)MASK) == 0);
		go = 1;
		for (int k = 0; k < 4; k++) {
			pthread_join(t[k], &bad);
			EQ((long)bad, 0);
		}
	}
	it = (struct itimerval){ 0 };
	OK(setitimer(ITIMER_REAL, &it, NULL));
	TRUE(rings > 0);
}

TEST(forked_site, "a site that got hot in the parent works in children, and the other way round")
{
	int status;

	for (int i = 0; i < OFTEN; i++)
		hot_mov();
	for (int k = 0; k < 5; k++) {
		if (fork() == 0) {
			for (int i = 0; i < OFTEN; i++)
				if (hot_mov() != MASK)
					_exit(1);
			_exit(0);
		}
		OK(wait(&status));
		EXITED(status, 0);
	}
}

TEST(foreign_abi, "int $0x80 and x32 numbers do not slip through as something else")
{
	long r;

	/* 20 is getpid for int $0x80, writev for syscall; a view may say ENOSYS, never anything else */
	if (has_int80()) {
		r = getpid_by_int80();
		TRUE(r == getpid() || r == -ENOSYS);
	}
	r = syscall(0x40000000 | SYS_getpid);
	TRUE(r == -1 && errno == ENOSYS);
	r = syscall(100000);
	TRUE(r == -1 && errno == ENOSYS);
	r = syscall(-1);
	TRUE(r == -1 && errno == ENOSYS);
}

TEST(vsyscall, "the old vsyscall page, where the kernel has one")
{
	time_t (*vtime)(time_t *) = (time_t (*)(time_t *))0xffffffffff600400;
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	bool there = false;

	while (maps && fgets(line, sizeof(line), maps))
		there |= strstr(line, "[vsyscall]") != NULL;
	if (!there)
		SKIP("no vsyscall page");
	TRUE(labs(vtime(NULL) - time(NULL)) <= 2);
}
