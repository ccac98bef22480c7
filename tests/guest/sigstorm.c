/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signals at 3 kHz while everything else goes on: nothing may fail, get lost or be done twice.
 * GUEST_WORLDS: view mount
 */
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/time.h>

static volatile sig_atomic_t rings;

static void ring(int sig MAYBE)
{
	rings++;
}

static void storm(int flags)
{
	struct sigaction sa = { .sa_handler = ring, .sa_flags = flags };
	struct itimerval it = { { 0, 333 }, { 0, 333 } };

	OK(sigaction(SIGALRM, &sa, NULL));
	OK(setitimer(ITIMER_REAL, &it, NULL));
}

static void calm(void)
{
	struct itimerval it = { { 0, 0 }, { 0, 0 } };

	OK(setitimer(ITIMER_REAL, &it, NULL));
	TRUE(rings > 20);
}

static bool going(long start)
{
	long gone = now_ms() - start;

	return gone < 600 || (rings <= 20 && gone < 20000);	/* a busy machine is slow to ring */
}

TEST(files, "open, read, write, stat, close under a storm")
{
	struct stat st;
	char buf[16];

	put("f", "0123456789");
	storm(SA_RESTART);
	for (long start = now_ms(); going(start); ) {
		int fd = open("f", O_RDWR);

		REQUIRE(fd >= 0);
		REQUIRE(read(fd, buf, 16) == 10);
		REQUIRE(write(fd, "x", 1) == 1);
		REQUIRE(fstat(fd, &st) == 0 && st.st_size == 11);
		REQUIRE(ftruncate(fd, 10) == 0);
		REQUIRE(lseek(fd, 0, SEEK_CUR) == 11);
		REQUIRE(stat("f", &st) == 0 && st.st_size == 10);
		REQUIRE(stat("none", &st) == -1 && errno == ENOENT);
		REQUIRE(close(fd) == 0);
	}
	calm();
}

TEST(pipes, "bytes through a pipe under a storm: none lost, none doubled")
{
	unsigned char next = 0;
	int p[2], status;
	pid_t pid;

	OK(pipe(p));
	pid = MUST(fork());
	if (pid == 0) {
		storm(SA_RESTART);
		for (long i = 0; i < 60000; i++) {
			unsigned char c = (unsigned char)i;

			if (write(p[1], &c, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	OK(close(p[1]));
	storm(SA_RESTART);
	for (long i = 0; i < 60000; i++) {
		unsigned char c;

		REQUIRE(read(p[0], &c, 1) == 1);
		REQUIRE(c == next++);
	}
	calm();
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}

TEST(eintr_counts, "without SA_RESTART: a read gives EINTR or its byte, never both")
{
	unsigned char next = 0;
	long got = 0, interrupted = 0;
	int p[2], status;
	pid_t pid;

	OK(pipe(p));
	pid = MUST(fork());
	if (pid == 0) {
		for (long i = 0; i < 2000; i++) {
			unsigned char c = (unsigned char)i;

			if (write(p[1], &c, 1) != 1)
				_exit(1);
			if (i % 10 == 0)
				usleep(1000);
		}
		_exit(0);
	}
	OK(close(p[1]));
	storm(0);
	while (got < 2000) {
		unsigned char c;
		ssize_t n = read(p[0], &c, 1);

		if (n == 1) {
			REQUIRE(c == next++);
			got++;
		} else {
			REQUIRE(n == -1 && errno == EINTR);
			interrupted++;
		}
	}
	calm();
	TRUE(interrupted > 0);
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}

TEST(forks, "fork, vfork, clone, wait under a storm")
{
	storm(SA_RESTART);
	for (long start = now_ms(), i = 0; going(start); i++) {
		int status;
		pid_t pid = i & 1 ? vfork() : fork();

		if (pid == 0)
			_exit((int)(i & 63));
		REQUIRE(pid > 0);
		REQUIRE(waitpid(pid, &status, 0) == pid);
		REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == (int)(i & 63));
	}
	calm();
}

TEST(execs, "fork and exec under a storm that the child has too")
{
	storm(SA_RESTART);
	for (long start = now_ms(); going(start); ) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			storm(SA_RESTART);
			execl(guest_self, "x", "--helper", "quiet", NULL);
			_exit(90);
		}
		REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
		REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == 3) ||
			(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM));
	}
	calm();
}

HELPER(quiet)
{
	return 3;
}

static void *thread_body(void *arg)
{
	struct stat st;

	for (int i = 0; i < 20; i++)
		if (stat("f", &st) != 0)
			return NULL;
	return arg;
}

TEST(threads, "threads come and go under a storm")
{
	put("f", "");
	storm(SA_RESTART);
	for (long start = now_ms(); going(start); ) {
		pthread_t t[8];
		void *r;

		for (long i = 0; i < 8; i++)
			REQUIRE(pthread_create(&t[i], NULL, thread_body, (void *)(i + 1)) == 0);
		for (long i = 0; i < 8; i++) {
			REQUIRE(pthread_join(t[i], &r) == 0);
			REQUIRE((long)r == i + 1);
		}
	}
	calm();
}

static int clone_body(void *arg)
{
	return *(int *)arg;
}

TEST(clones, "clone with CLONE_VM under a storm")
{
	static char stack[65536] __attribute__((aligned(16)));

	storm(SA_RESTART);
	for (long start = now_ms(); going(start); ) {
		int value = 7, status;
		pid_t pid = clone(clone_body, stack + sizeof(stack), CLONE_VM | SIGCHLD, &value);

		REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
		REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	}
	calm();
}

static atomic_int hits[8];
static __thread int my_number;

static void hit(int sig MAYBE)
{
	atomic_fetch_add(&hits[my_number], 1);
}

static atomic_int stop, ready;

static void *target(void *arg)
{
	struct stat st;
	long calls = 0;

	my_number = (int)(long)arg;
	atomic_fetch_add(&ready, 1);
	while (!stop) {
		if (stat("f", &st) != 0 || getppid() < 0)
			return (void *)-1L;
		calls++;
	}
	return (void *)calls;
}

TEST(directed, "signals shot at four working threads all arrive")
{
	struct sigaction sa = { .sa_handler = hit, .sa_flags = SA_RESTART };
	pthread_t t[4];
	void *calls;

	put("f", "");
	OK(sigaction(SIGRTMIN, &sa, NULL));
	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, target, (void *)i);
	while (ready < 4)
		sleep_ms(1);
	for (int i = 0; i < 2000; i++)
		REQUIRE(pthread_sigqueue(t[i % 4], SIGRTMIN, (union sigval){ 0 }) == 0);
	for (int i = 0; i < 2000 && hits[0] + hits[1] + hits[2] + hits[3] < 2000; i++)
		sleep_ms(5);
	stop = 1;
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &calls);
		TRUE((long)calls > 0);
		EQ(hits[i], 500);
	}
}

TEST(masks, "sigprocmask and sigaction under a storm")
{
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	storm(SA_RESTART);
	for (long start = now_ms(); going(start); ) {
		struct sigaction sa;
		int before;

		REQUIRE(sigprocmask(SIG_BLOCK, &set, &old) == 0);
		REQUIRE(sigismember(&old, SIGALRM) == 0);
		before = rings;
		for (int i = 0; i < 50; i++)
			getppid();
		REQUIRE(rings == before);
		REQUIRE(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
		REQUIRE(sigaction(SIGALRM, NULL, &sa) == 0 && sa.sa_handler == ring);
	}
	calm();
}

TEST(compute, "a storm does not disturb a computation with calls in it")
{
	double x = 1.0;
	uint64_t h = 1469598103934665603u;

	storm(SA_RESTART);
	for (int i = 0; i < 300000; i++) {
		h = (h ^ (uint64_t)i) * 1099511628211u;
		x = x * 1.0000001 + 1e-9;
		if ((i & 15) == 0)
			getppid();
	}
	EQ(h >> 32, ({ uint64_t g = 1469598103934665603u; for (int i = 0; i < 300000; i++) g = (g ^ (uint64_t)i) * 1099511628211u; g >> 32; }));
	EQ((long)(x * 1e12), ({ volatile double y = 1.0; for (int i = 0; i < 300000; i++) y = y * 1.0000001 + 1e-9; (long)(y * 1e12); }));
	OK(setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 0 }, { 0, 0 } }, NULL));
}
