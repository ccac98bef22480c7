/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls on files whose arguments lie in memory of special kinds: secret, filled by another thread when it is touched
 * (userfaultfd), growing, mapped from a file, with keys; also while all signals are blocked.
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/uio.h>

#define PAGE 4096
#define TEXT "what is in the file"

static void block_all(bool on)
{
	sigset_t all;

	sigfillset(&all);
	OK(sigprocmask(on ? SIG_SETMASK : SIG_UNBLOCK, &all, NULL));
}

/* Names, contents, vectors and results, all in `m`, four pages that can be read and written. */
static void use_memory(char *m)
{
	int fd;
	char *name = m + 100, *buf = m + PAGE - 5;	/* across pages */
	struct stat *st = (struct stat *)(m + 2 * PAGE - 16);
	struct iovec *iov = (struct iovec *)(m + 3 * PAGE - 16);

	strcpy(name, "file");
	fd = MUST(open(name, O_RDWR | O_CREAT | O_TRUNC, 0600));
	strcpy(buf, TEXT);
	EQ(write(fd, buf, sizeof(TEXT)), sizeof(TEXT));
	memset(buf, 0, sizeof(TEXT));
	EQ(pread(fd, buf, sizeof(TEXT), 0), sizeof(TEXT));
	STR(buf, TEXT);
	OK(stat(name, st));
	EQ(st->st_size, sizeof(TEXT));
	OK(fstat(fd, st));
	iov[0] = (struct iovec){ buf, 4 };
	iov[1] = (struct iovec){ buf + 4, sizeof(TEXT) - 4 };
	memset(buf, 0, sizeof(TEXT));
	EQ(preadv(fd, iov, 2, 0), sizeof(TEXT));
	STR(buf, TEXT);
	strcpy(buf, "other");
	OK(rename(name, buf));
	OK(access(buf, R_OK));
	FAILS(access(name, R_OK), ENOENT);
	OK(symlink(buf, name));
	memset(buf, 0, 8);
	EQ(readlink(name, buf, 8), 5);
	STR(buf, "other");
	OK(unlink(name));
	OK(unlink(buf));
	TRUE(getcwd(m + PAGE - 2, PAGE) && m[PAGE - 2] == '/');
	close(fd);
}

static void use_both_ways(char *m)
{
	use_memory(m);
	block_all(true);
	use_memory(m);
	block_all(false);
}

TEST(plain, "ordinary memory")
{
	char *m = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(m != MAP_FAILED);
	use_both_ways(m);
}

TEST(shared, "a shared mapping of a memory file")
{
	int fd = MUST(memfd_create("m", 0));

	OK(ftruncate(fd, 4 * PAGE));
	char *m = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(m != MAP_FAILED);
	use_both_ways(m);
}

TEST(of_file, "a private mapping of a file in the same directory, never touched before")
{
	int fd;

	put("f", "");
	fd = MUST(open("f", O_RDWR));
	OK(ftruncate(fd, 4 * PAGE));
	for (int i = 0; i < 2; i++) {
		char *m = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

		REQUIRE(m != MAP_FAILED);
		block_all(i);
		use_memory(m);
	}
	block_all(false);
}

TEST(growing, "stack that has not grown yet")
{
	struct rlimit r;
	volatile char here = 0;
	char *below = (char *)&here - (1 << 20);

	OK(getrlimit(RLIMIT_STACK, &r));
	if (r.rlim_cur < 4 << 20)
		SKIP("too small a stack");
	use_memory((char *)((uintptr_t)below & ~(PAGE - 1ul)));
	block_all(true);
	use_memory((char *)((uintptr_t)(below - (1 << 20)) & ~(PAGE - 1ul)));
	block_all(false);
}

TEST(secret, "memory of memfd_secret, which the kernel cannot see")
{
	long fd = syscall(SYS_memfd_secret, 0);

	if (fd < 0)
		SKIP("no memfd_secret here");
	OK(ftruncate((int)fd, 4 * PAGE));
	char *m = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
	if (m == MAP_FAILED)
		SKIP("no secret memory to be had");
	use_both_ways(m);
}

TEST(keys, "memory with a protection key")
{
	int key = pkey_alloc(0, 0);
	char *m = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (key < 0)
		SKIP("no protection keys here");
	REQUIRE(m != MAP_FAILED);
	OK(pkey_mprotect(m, 4 * PAGE, PROT_READ | PROT_WRITE, key));
	use_both_ways(m);
	put("f", TEXT);
	int fd = MUST(open("f", O_RDONLY));
	OK(pkey_set(key, PKEY_DISABLE_ACCESS));
	FAILS(read(fd, m, 4), EFAULT);
	FAILS(open(m, O_RDONLY), EFAULT);
	OK(pkey_set(key, 0));
	EQ(read(fd, m, 4), 4);
}

/* ---- filled by a thread ------------------------------------------------------------------------------- */

static int uffd;
static volatile int fills;

/* Fills each page when it is touched; first it makes calls on files itself. */
static void *filler(void *arg)
{
	static char zeros[PAGE] __attribute__((aligned(PAGE)));
	struct uffd_msg msg;

	(void)arg;
	while (read(uffd, &msg, sizeof(msg)) == sizeof(msg)) {
		struct uffdio_copy copy = { .src = (uint64_t)(uintptr_t)zeros, .len = PAGE,
			.dst = msg.arg.pagefault.address & ~(PAGE - 1ull) };
		int fd = open("helper", O_RDWR | O_CREAT, 0600);

		close(dup(fd));
		close(fd);
		fills++;
		if (ioctl(uffd, UFFDIO_COPY, &copy) < 0 && errno != EEXIST)
			break;
	}
	return NULL;
}

TEST(filled, "memory that another thread fills when it is touched (userfaultfd)")
{
	struct uffdio_api api = { .api = UFFD_API };
	char *m = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register reg = { .range = { (uint64_t)(uintptr_t)m, 4 * PAGE },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };
	pthread_t t;

	REQUIRE(m != MAP_FAILED);
	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);	/* faults of the kernel, too */
	if (uffd < 0)
		SKIP("no userfaultfd for us");
	OK(ioctl(uffd, UFFDIO_API, &api));
	OK(ioctl(uffd, UFFDIO_REGISTER, &reg));
	REQUIRE(pthread_create(&t, NULL, filler, NULL) == 0);
	for (int i = 0; i < 2; i++) {
		OK(madvise(m, 4 * PAGE, MADV_DONTNEED));
		put("f", TEXT);
		int fd = MUST(open("f", O_RDONLY));
		EQ(read(fd, m + PAGE - 5, sizeof(TEXT)), sizeof(TEXT) - 1);
		STR(m + PAGE - 5, TEXT);
		OK(fstat(fd, (struct stat *)(m + 3 * PAGE - 16)));
		close(fd);
		OK(madvise(m, 4 * PAGE, MADV_DONTNEED));
		FAILS(open(m + 7, O_RDONLY), ENOENT);		/* an empty name, that has to be read first */
		OK(madvise(m, 4 * PAGE, MADV_DONTNEED));
		use_memory(m);
	}
	TRUE(fills >= 8);
}
