/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Children that share memory, descriptors or both with their parent, many threads that do everything at
 * once, and what the kernel writes into threads' memory: CLONE_CHILD_CLEARTID, robust lists, rseq.
 *
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include <linux/futex.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/rseq.h>

#define STACK	(1 << 16)

static char *stack_top(void)
{
	char *p = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p + STACK;
}

/* Bare calls only: errno is the parent's. */
static long bare_open(const char *name)
{
	return syscall(SYS_openat, AT_FDCWD, name, O_RDONLY);
}

/* ---- children that share memory -------------------------------------------------------------------- */

static int fd_f, fd_g, fd_new;

/* Closes f, replaces g by f's copy, opens one, changes directory. */
static int change_table(void *arg)
{
	(void)arg;
	fd_new = (int)bare_open("h");
	syscall(SYS_dup2, fd_f, fd_g);
	syscall(SYS_close, fd_f);
	syscall(SYS_chdir, "sub");
	return 0;
}

static void make_files(void)
{
	put("f", "is f");
	put("g", "is g");
	put("h", "is h");
	OK(mkdir("sub", 0755));
	fd_f = MUST(open("f", O_RDONLY));
	fd_g = MUST(open("g", O_RDONLY));
	fd_new = -1;
}

static const char *content(int fd)
{
	static char buf[4][16];
	static int turn;
	char *b = buf[turn++ & 3];
	ssize_t n = pread(fd, b, 15, 0);

	if (n < 0)
		return strerrorname_np(errno);
	b[n] = 0;
	return b;
}

static void run_clone(int flags)
{
	int status;
	pid_t pid = MUST(clone(change_table, stack_top(), flags | SIGCHLD, NULL));

	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}

static void unchanged(void)
{
	STR(content(fd_f), "is f");
	STR(content(fd_g), "is g");
	TRUE(exists("f"));
}

TEST(table_copied, "CLONE_VM without CLONE_FILES: the child's descriptors are its own")
{
	make_files();
	run_clone(CLONE_VM);
	unchanged();
	TRUE(fd_new >= 0);
	FAILS(fcntl(fd_new, F_GETFD), EBADF);
}

TEST(table_shared, "CLONE_VM with CLONE_FILES: what the child does to descriptors is done here")
{
	make_files();
	run_clone(CLONE_VM | CLONE_FILES);
	STR(content(fd_f), "EBADF");
	STR(content(fd_g), "is f");
	STR(content(fd_new), "is h");
	TRUE(exists("f"));
}

TEST(all_shared, "CLONE_VM, CLONE_FILES, CLONE_FS: the working directory, too")
{
	make_files();
	run_clone(CLONE_VM | CLONE_FILES | CLONE_FS);
	STR(content(fd_g), "is f");
	TRUE(!exists("f"));
	TRUE(exists("../f"));
}

TEST(vfork_table, "vfork, 200 times: the child's descriptors and directory are its own")
{
	make_files();
	for (int i = 0; i < 200; i++) {
		int status;
		pid_t pid = vfork();
		if (pid == 0) {
			change_table(NULL);
			_exit(fd_new < 0);
		}
		OK(waitpid(pid, &status, 0));
		EXITED(status, 0);
		unchanged();
		EQ(fd_new, fd_g + 1);
		if (guest_bad)
			return;
	}
}

HELPER(inherits)
{
	STR(content(atoi(argv[0])), "is f");
	STR(content(atoi(argv[1])), argc > 2 ? argv[2] : "EBADF");
	return guest_bad;
}

TEST(vfork_exec, "vfork, dup2, exec: the program finds the child's descriptors, we keep ours")
{
	char f[8], g[8];
	char *args[] = { guest_self, (char *)"--helper", (char *)"inherits", f, g, (char *)"is f", NULL };

	make_files();
	snprintf(f, sizeof(f), "%d", fd_f);
	snprintf(g, sizeof(g), "%d", fd_g);
	for (int i = 0; i < 20; i++) {
		int status;
		pid_t pid = vfork();
		if (pid == 0) {
			syscall(SYS_dup2, fd_f, fd_g);
			execv(guest_self, args);
			_exit(90);
		}
		OK(waitpid(pid, &status, 0));
		EXITED(status, 0);
		unchanged();
	}
}

static void *opens_all_the_time(void *arg)
{
	for (int i = 0; !*(volatile int *)arg; i++) {
		int fd = open(i & 1 ? "h" : "/etc/passwd", O_RDONLY);
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

TEST(vfork_threads, "vfork and exec from one thread while others open files")
{
	pthread_t thread[3];
	int stop = 0, status;

	make_files();
	for (int i = 0; i < 3; i++)
		REQUIRE(pthread_create(&thread[i], NULL, opens_all_the_time, &stop) == 0);
	for (int i = 0; i < 100; i++) {
		pid_t pid = vfork();
		if (pid == 0) {
			execl("/bin/true", "true", NULL);
			_exit(90);
		}
		OK(waitpid(pid, &status, 0));
		EXITED(status, 0);
	}
	*(volatile int *)&stop = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	unchanged();
}

static void *unshares(void *arg)
{
	int flags = *(int *)arg;

	OK(unshare(flags));
	OK(chdir("sub"));
	TRUE(exists("../f"));
	OK(close(fd_f));
	STR(content(fd_g), "is g");
	OK(chdir(".."));
	OK(chdir("sub"));
	return NULL;
}

static void unshare_in_thread(int flags)
{
	pthread_t thread;

	make_files();
	REQUIRE(pthread_create(&thread, NULL, unshares, &flags) == 0);
	pthread_join(thread, NULL);
	STR(content(fd_f), flags & CLONE_FILES ? "is f" : "EBADF");
	STR(content(fd_g), "is g");
	EQ(exists("f"), (flags & CLONE_FS) != 0);
	OK(chdir(flags & CLONE_FS ? "." : ".."));
	TRUE(exists("f"));
	OK(rename("f", "f2"));
	OK(rmdir("sub"));
}

TEST(unshare_fs, "unshare(CLONE_FS) in a thread: its working directory is its own")
{
	unshare_in_thread(CLONE_FS);
}

TEST(unshare_files, "unshare(CLONE_FILES) in a thread: its descriptors are its own")
{
	unshare_in_thread(CLONE_FILES);
}

TEST(unshare_both, "unshare of both, after a directory was entered")
{
	OK(mkdir("deeper", 0755));
	OK(chdir("deeper"));
	unshare_in_thread(CLONE_FILES | CLONE_FS);
}

/* ---- everything at once ----------------------------------------------------------------------------- */

static void open_some(void)
{
	for (int i = 0; i < 10; i++) {
		int fd = open("f", O_RDONLY);
		if (fd < 0)
			_exit(80);
		if (strcmp(content(fd), "is f") != 0)
			_exit(81);
		close(fd);
	}
}

static void *do_everything(void *arg)
{
	long bad = 0;
	int status;

	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			open_some();
			if (i & 1)
				execl("/bin/true", "true", NULL);
			_exit(0);
		}
		bad += pid < 0;
		open_some();
		if (waitpid(pid, &status, 0) != pid || status != 0)
			bad++;
	}
	*(long *)arg = bad;
	return NULL;
}

TEST(crowd, "64 threads open, fork and exec at once")
{
	pthread_t thread[64];
	long bad[64];

	make_files();
	for (int i = 0; i < 64; i++)
		REQUIRE(pthread_create(&thread[i], NULL, do_everything, &bad[i]) == 0);
	for (int i = 0; i < 64; i++) {
		pthread_join(thread[i], NULL);
		EQ(bad[i], 0);
	}
	unchanged();
}

static void nothing(int sig)
{
	(void)sig;
}

/* Everything that has a lock, all the time. */
static void *hold_locks(void *arg)
{
	static const int sigs[] = { SIGUSR1, SIGUSR2, SIGHUP };
	char buf[PATH_MAX];

	for (int i = 0; !*(volatile int *)arg; i++) {
		signal(sigs[i % 3], i & 1 ? nothing : SIG_IGN);
		if (!getcwd(buf, sizeof(buf)) || chdir(".") < 0)
			break;
		close(open("f", O_RDONLY));
	}
	return NULL;
}

TEST(locks_over_fork, "fork while other threads change handlers, files and the directory: the child finds nothing locked")
{
	pthread_t thread[3];
	int stop = 0, status;

	make_files();
	for (int i = 0; i < 3; i++)
		REQUIRE(pthread_create(&thread[i], NULL, hold_locks, &stop) == 0);
	for (int i = 0; i < 300; i++) {
		pid_t pid = MUST(fork());
		if (pid == 0) {
			int again = 0;
			alarm(5);
			for (int k = 0; k < 3; k++) {
				signal(SIGUSR1, nothing);
				again += chdir(".") == 0;
				open_some();
			}
			_exit(again != 3);
		}
		OK(waitpid(pid, &status, 0));
		EXITED(status, 0);
		if (guest_bad)
			break;
	}
	*(volatile int *)&stop = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
}

/* ---- what the kernel writes ------------------------------------------------------------------------- */

static volatile int tid_word;

static int stat_and_end(void *arg)
{
	struct stat st;

	(void)arg;
	return (int)syscall(SYS_newfstatat, AT_FDCWD, "f", &st, 0);
}

/* Until the kernel has cleared the word of a thread that ended. */
static bool cleared(void)
{
	struct timespec ts = { 5, 0 };
	int value;

	while ((value = tid_word) != 0)
		if (syscall(SYS_futex, &tid_word, FUTEX_WAIT, value, &ts, NULL, 0) < 0 && errno == ETIMEDOUT)
			return false;
	return true;
}

TEST(child_cleartid, "CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID of a bare thread; set_tid_address")
{
	char *top = stack_top();

	put("f", "x");
	for (int i = 0; i < 200; i++) {
		pid_t parent_word = 0;
		tid_word = 1;
		/* no TLS of its own: it makes bare calls only */
		pid_t tid = MUST(clone(stat_and_end, top, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
				 CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, NULL, &parent_word, NULL,
				 &tid_word));
		EQ(parent_word, tid);
		TRUE(cleared());
		if (guest_bad)
			return;
	}
	EQ(syscall(SYS_set_tid_address, &tid_word), getpid());
}

/* A robust mutex in shared memory, whose owner is killed. */
TEST(robust_killed, "the owner of a robust mutex in shared memory is killed, 50 times")
{
	pthread_mutex_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attr;
	int status;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	REQUIRE(m != MAP_FAILED && pthread_mutex_init(m, &attr) == 0);
	for (int i = 0; i < 50; i++) {
		pid_t pid = MUST(fork());
		if (pid == 0) {
			if (pthread_mutex_lock(m) == 0)
				kill(getpid(), SIGKILL);
			_exit(1);
		}
		OK(waitpid(pid, &status, 0));
		SIGNALED(status, SIGKILL);
		EQ(pthread_mutex_lock(m), EOWNERDEAD);
		EQ(pthread_mutex_consistent(m), 0);
		EQ(pthread_mutex_unlock(m), 0);
	}
}

static struct rseq *my_rseq(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static void *check_rseq(void *arg)
{
	struct rseq *r = my_rseq();
	unsigned cpu = 0, same = 0;

	(void)arg;
	for (int i = 0; i < 200; i++) {
		struct stat st;
		stat("/etc/passwd", &st);
		syscall(SYS_getcpu, &cpu, NULL, NULL);
		same += *(volatile uint32_t *)&r->cpu_id == cpu;
	}
	TRUE(same > 150);
	return NULL;
}

TEST(rseq_registered, "rseq: the C library's registration works in every thread and child")
{
	pthread_t thread[4];

	if (__rseq_size == 0)
		SKIP("this C library registers no rseq");
	check_rseq(NULL);
	for (int i = 0; i < 4; i++)
		REQUIRE(pthread_create(&thread[i], NULL, check_rseq, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	EXITED(in_child((void (*)(void *))(void *)check_rseq, NULL), 0);
}
