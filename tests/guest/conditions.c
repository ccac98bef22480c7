/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs that start under unusual conditions: without randomisation, with odd limits, an executable stack, hardly a
 * descriptor.  Each does a bit of everything, and says what it finds of the condition.
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include <elf.h>
#include <pthread.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void *one_more(void *arg)
{
	put("by_thread", "thread");
	return (char *)arg + 1;
}

/* A bit of everything, that needs few descriptors and little memory. */
static void work(bool may_write)
{
	pthread_attr_t attr;
	pthread_t t;
	void *r = NULL;
	char *p;
	int fd;

	fd = MUST(open("f", O_RDONLY));
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	TRUE(p != MAP_FAILED && memcmp(p, "text", 4) == 0);
	OK(close(fd));
	STR(get("f"), "text");
	TRUE(exists("/etc/passwd"));
	TRUE(strchr(get("/proc/self/maps"), '-') != NULL);
	TRUE(strncmp(get("/proc/self/status"), "Name:", 5) == 0);
	if (may_write) {
		put("g", "written");
		OK(unlink("g"));
		REQUIRE(pthread_attr_init(&attr) == 0);
		REQUIRE(pthread_attr_setstacksize(&attr, 128 << 10) == 0);
		REQUIRE(pthread_create(&t, &attr, one_more, (void *)41) == 0);
		pthread_join(t, &r);
		EQ((long)r, 42);
	}
	p = malloc(300000);
	REQUIRE(p);
	memset(p, 1, 300000);
	free(p);
	if (fork() == 0)
		_exit(strcmp(get("f"), "text") ? 1 : 3);
	EXITED(({ int s; OK(wait(&s)); s; }), 3);
	if (vfork() == 0) {
		execl("/bin/true", "true", NULL);
		_exit(99);
	}
	EXITED(({ int s; OK(wait(&s)); s; }), 0);
}

HELPER(works)
{
	work(argc < 1 || strcmp(argv[0], "no-writing") != 0);
	return guest_bad != 0;
}

static int status_of(const char *program, const char *helper, const char *arg, void (*first)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		first();
		execl(program, "x", "--helper", helper, arg, NULL);
		_exit(errno == E2BIG ? 90 : 91);
	}
	OK(waitpid(pid, &status, 0));
	return status;
}

#define WORKS(first)	EXITED(status_of(guest_self, "works", NULL, first), 0)

/* Our own program, its PT_GNU_STACK with other permissions. */
static void copy_with_stack(const char *to, unsigned flags)
{
	static char buf[4 << 20];
	int in = MUST(open("/proc/self/exe", O_RDONLY)), out = MUST(open(to, O_WRONLY | O_CREAT, 0755));
	ssize_t n = MUST(read(in, buf, sizeof(buf)));
	const Elf64_Ehdr *e = (const void *)buf;
	Elf64_Phdr *p = (void *)(buf + e->e_phoff);

	REQUIRE(n < (ssize_t)sizeof(buf));
	for (int i = 0; i < e->e_phnum; i++)
		if (p[i].p_type == PT_GNU_STACK)
			p[i].p_flags = flags;
	EQ(write(out, buf, (size_t)n), n);
	close(in);
	close(out);
}

static void limit(int what, rlim_t value)
{
	struct rlimit r;

	OK(getrlimit(what, &r));
	r.rlim_cur = value < r.rlim_max ? value : r.rlim_max;
	OK(setrlimit(what, &r));
}

static void large_stack(void) { limit(RLIMIT_STACK, RLIM_INFINITY); }
static void small_stack(void) { limit(RLIMIT_STACK, 256 << 10); }
static void little_space(void) { limit(RLIMIT_AS, 400 << 20); }
static void little_data(void) { limit(RLIMIT_DATA, 64 << 20); }
static void few_descriptors(void) { limit(RLIMIT_NOFILE, 12); }
static void no_files(void) { limit(RLIMIT_FSIZE, 0); }
static void no_lock(void) { limit(RLIMIT_MEMLOCK, 0); }
static void not_dumpable(void) { OK(prctl(PR_SET_DUMPABLE, 0)); }
static void nothing(void) { }

static void copy_self(const char *to)
{
	copy_with_stack(to, PF_R | PF_W);
}

TEST(limits, "limits of the stack, address space, data, descriptors, file sizes, locked memory")
{
	put("f", "text");
	copy_self("prog");
	WORKS(nothing);
	WORKS(large_stack);
	WORKS(small_stack);
	WORKS(little_space);
	WORKS(little_data);
	WORKS(few_descriptors);
	WORKS(no_lock);
	EXITED(status_of(guest_self, "works", "no-writing", no_files), 0);
	EXITED(status_of("./prog", "works", "no-writing", no_files), 0);
	EXITED(status_of("./prog", "works", NULL, small_stack), 0);
}

/* ---- where things lie ---------------------------------------------------------------------------------- */

HELPER(where)
{
	int local;

	dprintf(atoi(argv[0]), "%p %p %p %p", (void *)&local, (void *)helper_where, (void *)printf, sbrk(0));
	work(true);
	return guest_bad != 0;
}

static void fixed(void) { MUST(personality(ADDR_NO_RANDOMIZE)); }
static void compatible(void) { MUST(personality(ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT)); }

static void same_addresses(void (*first)(void), bool same)
{
	char out[2][256] = { "", "" }, fd[12];
	int p[2];

	for (int i = 0; i < 2; i++) {
		MUST(pipe(p));
		snprintf(fd, sizeof(fd), "%d", p[1]);
		EXITED(status_of(guest_self, "where", fd, first), 0);
		close(p[1]);
		TRUE(read(p[0], out[i], 255) > 0);
		close(p[0]);
	}
	EQ(strcmp(out[0], out[1]) == 0, same);
}

TEST(randomisation, "addresses are the same each time with ADDR_NO_RANDOMIZE, and only then")
{
	put("f", "text");
	same_addresses(fixed, true);
	same_addresses(compatible, true);
	same_addresses(nothing, false);
}

/* ---- executable stacks ---------------------------------------------------------------------------------- */

static void *run_on_stack(void *arg)
{
	volatile unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };	/* mov $42,%eax; ret */

	(void)arg;
	return (void *)(long)((int (*)(void))(uintptr_t)code)();
}

HELPER(on_stack)
{
	pthread_t t;
	void *r = NULL;

	EQ((long)run_on_stack(NULL), 42);
	REQUIRE(pthread_create(&t, NULL, run_on_stack, NULL) == 0);
	pthread_join(t, &r);
	EQ((long)r, 42);
	work(true);
	return guest_bad != 0;
}

TEST(executable_stack, "a program that wants an executable stack has one; others die of using theirs so")
{
	put("f", "text");
	copy_with_stack("with", PF_R | PF_W | PF_X);
	copy_with_stack("without", PF_R | PF_W);
	EXITED(status_of("./with", "on_stack", NULL, nothing), 0);
	SIGNALED(status_of("./without", "on_stack", NULL, nothing), SIGSEGV);
}

HELPER(all_executable)
{
	static char data[4096] __attribute__((aligned(4096))) = { (char)0xb8, 42, 0, 0, 0, (char)0xc3 };
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	memcpy(p, data, 6);
	EQ(((int (*)(void))(uintptr_t)p)(), 42);
	work(true);
	return guest_bad != 0;
}

static void read_implies_exec(void) { MUST(personality(READ_IMPLIES_EXEC)); }

TEST(readable_is_executable, "READ_IMPLIES_EXEC, set by the program and meant for itself")
{
	int status;

	put("f", "text");
	if (fork() == 0) {
		read_implies_exec();
		_exit(helper_all_executable(0, NULL));
	}
	OK(wait(&status));
	EXITED(status, 0);
	WORKS(read_implies_exec);
}

/* ---- the process itself ---------------------------------------------------------------------------------- */

static void use_not_dumpable(void *arg MAYBE)
{
	char name[64];

	OK(prctl(PR_SET_DUMPABLE, 0));
	EQ(prctl(PR_GET_DUMPABLE), 0);
	work(true);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", (int)MUST(open("f", O_RDONLY)));
	STR(get(name), "text");
	OK(chdir(".."));
	OK(chdir("/proc/self/cwd"));
}

TEST(dumpable, "a process that must not be dumped, nor looked at, works; exec ends that")
{
	put("f", "text");
	EXITED(in_child(use_not_dumpable, NULL), 0);
	WORKS(not_dumpable);
}

static void closed(void)
{
	close(0);
	close(1);
	close(2);
}

TEST(nothing_open, "standard input, output and error are closed")
{
	put("f", "text");
	WORKS(closed);
}

static void no_environment(void) { clearenv(); }

TEST(nothing_given, "no environment, no arguments")
{
	int status;

	put("f", "text");
	WORKS(no_environment);
	if (fork() == 0) {
		execve("/bin/true", (char *[]){ NULL }, (char *[]){ NULL });
		_exit(91);
	}
	OK(wait(&status));
	TRUE(WIFEXITED(status));
}
