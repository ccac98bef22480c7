/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mapping files: private, shared, the tail of the last page, executable.
 * GUEST_WORLDS: view mount cow bindcow cowmount cowbind cowcow merge
 */
#include "guest.h"
#include <setjmp.h>

static sigjmp_buf out;

static void jump(int sig)
{
	siglongjmp(out, sig);
}

static void *map(int fd, size_t size, int prot, int flags, off_t off)
{
	void *p = mmap(NULL, size, prot, flags, fd, off);

	if (p == MAP_FAILED) {
		FAIL("mmap: errno %d", errno);
		_exit(1);
	}
	return p;
}

TEST(private_read, "a private read-only mapping shows the file")
{
	const char *p;
	int fd;

	put("f", "mapped text");
	fd = MUST(open("f", O_RDONLY));
	p = map(fd, 4096, PROT_READ, MAP_PRIVATE, 0);
	OK(close(fd));
	EQ(memcmp(p, "mapped text", 11), 0);
	OK(unlink("f"));
	EQ(memcmp(p, "mapped text", 11), 0);
	OK(munmap((void *)p, 4096));
}

TEST(private_write, "writing to a private mapping stays private")
{
	char *p;
	int fd;

	put("f", "original");
	fd = MUST(open("f", O_RDONLY));
	p = map(fd, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	memcpy(p, "CHANGED!", 8);
	EQ(memcmp(p, "CHANGED!", 8), 0);
	STR(get("f"), "original");
}

TEST(tail, "the last page is zero behind the end of the file")
{
	static char data[5000];
	char *p;
	int fd, bad = 0;

	memset(data, 'd', sizeof(data));
	put_file("f", data, sizeof(data));
	fd = MUST(open("f", O_RDONLY));
	p = map(fd, 8192, PROT_READ, MAP_PRIVATE, 0);
	for (int i = 0; i < 5000; i++)
		bad += p[i] != 'd';
	for (int i = 5000; i < 8192; i++)
		bad += p[i] != 0;
	EQ(bad, 0);
}

TEST(beyond_end, "touching a page behind the end: SIGBUS")
{
	volatile char *p;
	int fd;

	put("f", "short");
	fd = MUST(open("f", O_RDONLY));
	p = map(fd, 3 * 4096, PROT_READ, MAP_PRIVATE, 0);
	EQ(p[0], 's');
	signal(SIGBUS, jump);
	if (sigsetjmp(out, 1) == 0) {
		(void)p[8192];
		FAIL("no SIGBUS");
	}
	EQ(p[1], 'h');
}

TEST(offset, "an offset into the file; bad offsets")
{
	static char data[3 * 4096];
	char *p;
	int fd;

	for (int i = 0; i < 3 * 4096; i++)
		data[i] = (char)('a' + i / 4096);
	put_file("f", data, sizeof(data));
	fd = MUST(open("f", O_RDONLY));
	p = map(fd, 4096, PROT_READ, MAP_PRIVATE, 4096);
	EQ(p[0], 'b');
	p = map(fd, 8192, PROT_READ, MAP_SHARED, 4096);
	EQ(p[4096], 'c');
	EQ(p[8191], 'c');
	TRUE(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 100) == MAP_FAILED && errno == EINVAL);
	TRUE(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EINVAL);
	TRUE(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 700, 0) == MAP_FAILED && errno == EBADF);
	TRUE(mmap(NULL, 4096, PROT_READ, 0, fd, 0) == MAP_FAILED && errno == EINVAL);
}

TEST(rights, "the access mode of the descriptor bounds the mapping")
{
	int r, w;

	put("f", "x");
	r = MUST(open("f", O_RDONLY));
	w = MUST(open("f", O_WRONLY));
	TRUE(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0) == MAP_FAILED && errno == EACCES);
	TRUE(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, w, 0) == MAP_FAILED && errno == EACCES);
	TRUE(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, open(".", O_RDONLY), 0) == MAP_FAILED && errno == ENODEV);
}

TEST(shared_read, "a shared read-only mapping; fork keeps it")
{
	char *p;
	int fd, status;

	put("f", "shared data");
	fd = MUST(open("f", O_RDONLY));
	p = map(fd, 4096, PROT_READ, MAP_SHARED, 0);
	EQ(memcmp(p, "shared data", 11), 0);
	if (fork() == 0)
		_exit(memcmp(p, "shared data", 11) ? 1 : 0);
	OK(wait(&status));
	EXITED(status, 0);
}

TEST(shared_write, "a shared mapping writes to the file, or says honestly that it cannot")
{
	char *p;
	int fd;

	put("f", "before");
	fd = MUST(open("f", O_RDWR));
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED && on_fuse())
		SKIP("no shared writable mapping here");
	REQUIRE(p != MAP_FAILED);
	memcpy(p, "after!", 6);
	OK(msync(p, 4096, MS_SYNC));
	STR(get("f"), "after!");
	OK(munmap(p, 4096));
	STR(get("f"), "after!");
}

TEST(execute, "code in a file runs from a mapping")
{
	static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };	/* mov $42,%eax; ret */
	int (*f)(void);
	int fd;

	put_file("f", code, sizeof(code));
	fd = MUST(open("f", O_RDONLY));
	f = (int (*)(void))map(fd, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0);
	EQ(f(), 42);
}

TEST(fixed, "MAP_FIXED and MAP_FIXED_NOREPLACE of a file")
{
	char *area = map(-1, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0), *p;
	int fd;

	put("f", "fixed");
	fd = MUST(open("f", O_RDONLY));
	memset(area, 'a', 3 * 4096);
	p = mmap(area + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
	TRUE(p == area + 4096);
	EQ(memcmp(p, "fixed", 5), 0);
	EQ(area[4095], 'a');
	EQ(area[8192], 'a');
	TRUE(mmap(area, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, 0) == MAP_FAILED);
	EQ(errno, EEXIST);
}

TEST(large, "2 MiB mapped and read in any order")
{
	static char data[2 << 20];
	unsigned seed = 1;
	char *p;
	int fd, bad = 0;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 31 + i / 4096);
	put_file("f", data, sizeof(data));
	fd = MUST(open("f", O_RDONLY));
	p = map(fd, sizeof(data), PROT_READ, MAP_PRIVATE, 0);
	for (int i = 0; i < 20000; i++) {
		size_t at = (seed = seed * 1103515245u + 12345u) % sizeof(data);

		bad += p[at] != data[at];
	}
	EQ(bad, 0);
	EQ(memcmp(p, data, sizeof(data)), 0);
	OK(madvise(p, sizeof(data), MADV_WILLNEED));
	OK(mprotect(p, sizeof(data), PROT_READ | PROT_WRITE));
	p[5] = 'x';
	EQ(p[5], 'x');
}

TEST(maps_name, "/proc/self/maps names the mapped file")
{
	char cwd[PATH_MAX], line[PATH_MAX + 200];
	bool seen = false;
	FILE *maps;
	int fd;

	put("the-mapped-file", "x");
	fd = MUST(open("the-mapped-file", O_RDONLY));
	map(fd, 4096, PROT_READ, MAP_PRIVATE, 0);
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	strcat(cwd, "/the-mapped-file\n");
	maps = fopen("/proc/self/maps", "re");
	REQUIRE(maps);
	while (fgets(line, sizeof(line), maps))
		seen |= strstr(line, cwd) != NULL;
	TRUE(seen);
}
