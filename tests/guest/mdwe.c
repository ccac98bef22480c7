/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PR_SET_MDWE: a program that gives up memory which is both writable and executable, for itself and what it
 * starts.  In a view nothing can be patched from then on; what was patched stays, and all calls work.
 *
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include <pthread.h>
#include <sys/prctl.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE			65
#define PR_MDWE_REFUSE_EXEC_GAIN	1
#define PR_GET_MDWE			66
#endif
#define MDWE_NO_INHERIT			2

static void set_mdwe(unsigned long flags)
{
	if (prctl(PR_SET_MDWE, flags, 0, 0, 0) < 0)
		SKIP("this kernel does not know PR_SET_MDWE, or not this flag");
}

/* Twenty sites of the shape that is patched, each for itself: umask(022), which is 022 in every test. */
#define SITE(n) \
	static long site##n(void) \
	{ \
		long r; \
		__asm__ volatile("movl $95, %%eax\n\tsyscall" : "=a"(r) : "D"(022L) : "rcx", "r11", "memory"); \
		return r; \
	}
#define SITES(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) \
	X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19)
SITES(SITE)
#define NAME(n) site##n,
static long (*const sites[])(void) = { SITES(NAME) };
#define NSITES 20

/* Calls at the sites [from, to), often enough to be patched where that can be. */
static void call_often(int from, int to, int times)
{
	for (int k = 0; k < times; k++)
		for (int i = from; i < to; i++)
			if (sites[i]() != 022) {
				FAIL("umask at site %d, call %d", i, k);
				return;
			}
}

static void work(void)
{
	struct stat st;

	put("f", "text");
	for (int i = 0; i < 600; i++) {
		int fd = open("f", O_RDONLY);
		char buf[8];
		if (fd < 0 || read(fd, buf, 8) != 4 || fstat(fd, &st) < 0 || close(fd) < 0 || stat("/etc/passwd", &st) < 0) {
			FAIL("call %d: errno %d", i, errno);
			return;
		}
	}
}

/* Every page of code can still be executed, and none is writable that was not before. */
static void check_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TRUE(p == MAP_FAILED);
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512], perm[8], path[256];
	unsigned long start, end, here = (unsigned long)(void *)call_often;

	REQUIRE(maps != NULL);
	while (fgets(line, sizeof(line), maps)) {
		path[0] = 0;
		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &start, &end, perm, path) < 3)
			continue;
		if (here >= start && here < end)
			STR(perm, "r-xp");
		if (strstr(path, "libc.so") && strchr(perm, 'x'))
			STR(perm, "r-xp");
	}
	fclose(maps);
}

TEST(hot_calls, "calls before and after it, thousands of times")
{
	call_often(0, 7, 100);		/* these are patched in a view */
	call_often(7, 14, 20);		/* these are about to be */
	set_mdwe(PR_MDWE_REFUSE_EXEC_GAIN);
	EQ(prctl(PR_GET_MDWE, 0, 0, 0, 0), PR_MDWE_REFUSE_EXEC_GAIN);
	call_often(0, 20, 3000);
	work();
	check_code();
}

HELPER(hot)
{
	(void)argc;
	umask(022);
	EQ(prctl(PR_GET_MDWE, 0, 0, 0, 0), atoi(argv[0]));
	call_often(0, 20, 500);
	work();
	if (atoi(argv[0]))
		check_code();
	return guest_bad;
}

static void exec_hot(const char *flags)
{
	if (fork() == 0) {
		execl(guest_self, "x", "--helper", "hot", flags, NULL);
		_exit(90);
	}
	EXITED(({ int s; OK(wait(&s)); s; }), 0);
}

static void hot_child(void *arg)
{
	(void)arg;
	call_often(0, 20, 500);
	work();
	exec_hot(arg);
}

TEST(inherited, "it is inherited by fork and exec")
{
	call_often(0, 10, 50);
	set_mdwe(PR_MDWE_REFUSE_EXEC_GAIN);
	EXITED(in_child(hot_child, (void *)"1"), 0);
	exec_hot("1");
}

TEST(not_inherited, "with PR_MDWE_NO_INHERIT it is not")
{
	set_mdwe(PR_MDWE_REFUSE_EXEC_GAIN | MDWE_NO_INHERIT);
	EXITED(in_child(hot_child, (void *)"0"), 0);
	call_often(0, 20, 200);
	exec_hot("0");
}

static volatile int go;

static void *caller(void *arg)
{
	int from = (int)(long)arg;

	while (!go)
		;
	for (int i = 0; i < 10; i++)
		call_often(from, from + 5, 10);
	return NULL;
}

/* Set at some moment while four threads make their sites hot. */
static void set_meanwhile(void *arg)
{
	pthread_t thread[4];

	for (long i = 0; i < 4; i++)
		REQUIRE(pthread_create(&thread[i], NULL, caller, (void *)(i * 5)) == 0);
	go = 1;
	usleep((useconds_t)(long)arg);
	OK(prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0));
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	call_often(0, 20, 100);
	check_code();
}

static void probe_mdwe(void *arg)
{
	(void)arg;
	if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) < 0)
		_exit(1);
}

TEST(meanwhile, "set while four threads make fresh sites hot, at 40 moments")
{
	if (in_child(probe_mdwe, NULL) != 0)
		SKIP("this kernel does not know PR_SET_MDWE");
	for (long us = 0; us < 4000; us += 100) {
		EXITED(in_child(set_meanwhile, (void *)us), 0);
	}
}
