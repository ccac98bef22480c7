/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads: creation, thread-local storage, locks and conditions, cancellation, exit and exit_group.
 * GUEST_WORLDS: view mount
 */
#include "guest.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <linux/futex.h>

#define MANY 64

static __thread int local = 5;
static __thread char local_bytes[1000];
static atomic_int counter;

static void *count(void *arg)
{
	for (int i = 0; i < 100; i++)
		atomic_fetch_add(&counter, 1);
	return arg;
}

TEST(create_join, "64 threads, joined, with their results")
{
	pthread_t t[MANY];
	void *result;

	for (long i = 0; i < MANY; i++)
		EQ(pthread_create(&t[i], NULL, count, (void *)i), 0);
	for (long i = 0; i < MANY; i++) {
		EQ(pthread_join(t[i], &result), 0);
		EQ((long)result, i);
	}
	EQ(counter, MANY * 100);
}

TEST(storm, "2000 threads, 64 at a time")
{
	pthread_t t[MANY];

	for (int round = 0; round < 2000 / MANY; round++) {
		for (int i = 0; i < MANY; i++)
			if (pthread_create(&t[i], NULL, count, NULL) != 0)
				FAIL("round %d: no thread", round);
		for (int i = 0; i < MANY; i++)
			pthread_join(t[i], NULL);
	}
	EQ(counter, 2000 / MANY * MANY * 100);
}

static void *own_storage(void *arg)
{
	int me = (int)(long)arg, bad = local != 5;

	local = me;
	memset(local_bytes, me, sizeof(local_bytes));
	for (int i = 0; i < 200; i++) {
		getppid();
		sched_yield();
		bad += local != me || local_bytes[999] != (char)me;
		errno = me;
		bad += close(-1) != -1 || errno != EBADF;
	}
	return (void *)(long)bad;
}

TEST(storage, "thread-local storage and errno stay each thread's own")
{
	pthread_t t[MANY];
	void *bad;

	local = 99;
	for (long i = 0; i < MANY; i++)
		EQ(pthread_create(&t[i], NULL, own_storage, (void *)i), 0);
	for (int i = 0; i < MANY; i++) {
		pthread_join(t[i], &bad);
		EQ((long)bad, 0);
	}
	EQ(local, 99);
}

static void *ids(void *arg)
{
	long tid = syscall(SYS_gettid);

	return (void *)(long)(getpid() == (pid_t)(long)arg && tid != (long)arg && tid == gettid());
}

TEST(identity, "getpid is the process's, gettid the thread's; /proc/self/task")
{
	pthread_t t;
	void *good;

	pthread_create(&t, NULL, ids, (void *)(long)getpid());
	pthread_join(t, &good);
	EQ((long)good, 1);
	EQ(gettid(), getpid());
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn, plain_count;

static void *take_turns(void *arg)
{
	int me = (int)(long)arg;

	for (int i = 0; i < 300; i++) {
		pthread_mutex_lock(&mutex);
		while (turn != me)
			pthread_cond_wait(&cond, &mutex);
		turn = (turn + 1) % 4;
		plain_count++;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

TEST(conditions, "four threads in turn by mutex and condition")
{
	pthread_t t[4];

	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, take_turns, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EQ(plain_count, 1200);
}

TEST(timed, "pthread_cond_timedwait and sem_timedwait time out")
{
	struct timespec until;
	sem_t sem;
	long start = now_ms();

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 50000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&mutex);
	EQ(pthread_cond_timedwait(&cond, &mutex, &until), ETIMEDOUT);
	pthread_mutex_unlock(&mutex);
	sem_init(&sem, 0, 0);
	FAILS(sem_timedwait(&sem, &until), ETIMEDOUT);
	TRUE(now_ms() - start >= 45);
}

static void cleaned(void *arg)
{
	*(int *)arg = 1;
}

static void *cancel_me(void *arg)
{
	pthread_cleanup_push(cleaned, arg);
	if (((int *)arg)[1] == 0)
		sleep(100);
	else if (((int *)arg)[1] == 1)
		for (char c; read(((int *)arg)[2], &c, 1) == 1; )
			;
	else
		for (;;)
			pthread_testcancel();
	pthread_cleanup_pop(0);
	return NULL;
}

TEST(cancel, "pthread_cancel: in sleep, in a blocking read, at a test point")
{
	int p[2];

	OK(pipe(p));
	for (int way = 0; way < 3; way++) {
		int arg[3] = { 0, way, p[0] };
		pthread_t t;
		void *result;

		pthread_create(&t, NULL, cancel_me, arg);
		sleep_ms(20);
		EQ(pthread_cancel(t), 0);
		EQ(pthread_join(t, &result), 0);
		TRUE(result == PTHREAD_CANCELED);
		EQ(arg[0], 1);
	}
}

static void *asynchronous(void *unused MAYBE)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (;;)
		atomic_fetch_add(&counter, 1);
	return NULL;
}

TEST(cancel_asynchronous, "asynchronous cancellation of a thread that computes")
{
	pthread_t t;
	void *result;

	pthread_create(&t, NULL, asynchronous, NULL);
	sleep_ms(20);
	EQ(pthread_cancel(t), 0);
	pthread_join(t, &result);
	TRUE(result == PTHREAD_CANCELED);
}

static void *call_busily(void *unused MAYBE)
{
	struct stat st;

	for (;;) {
		stat("/", &st);
		getppid();
	}
	return NULL;
}

static void exit_group_busy(void *arg)
{
	pthread_t t;

	for (int i = 0; i < 8; i++)
		pthread_create(&t, NULL, call_busily, NULL);
	sleep_ms(5);
	if (arg)
		kill(getpid(), SIGKILL);
	exit(17);
}

TEST(exit_group, "exit ends all threads, whatever they do; so does SIGKILL")
{
	for (int i = 0; i < 5; i++) {
		EXITED(in_child(exit_group_busy, NULL), 17);
		SIGNALED(in_child(exit_group_busy, (void *)1), SIGKILL);
	}
}

static void *last_word(void *unused MAYBE)
{
	sleep_ms(30);
	_exit(23);
}

static void first_leaves(void *unused MAYBE)
{
	pthread_t t;

	pthread_create(&t, NULL, last_word, NULL);
	pthread_exit(NULL);
}

TEST(first_exits, "the first thread may end before the others")
{
	EXITED(in_child(first_leaves, NULL), 23);
}

static void *brief(void *unused MAYBE)
{
	return NULL;
}

static void only_thread_ends(void *unused MAYBE)
{
	pthread_t t;

	pthread_create(&t, NULL, brief, NULL);
	pthread_join(t, NULL);
	syscall(SYS_exit, 5);
}

TEST(raw_exit, "exit(2) of the only thread ends the process")
{
	EXITED(in_child(only_thread_ends, NULL), 5);
}

static void *fork_in_thread(void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(gettid() == getpid() ? (int)(long)arg : 99);
	waitpid(pid, &status, 0);
	return (void *)(long)(WIFEXITED(status) && WEXITSTATUS(status) == (int)(long)arg);
}

TEST(fork_from_threads, "fork from many threads at once; the child has one thread")
{
	pthread_t t[16];
	void *good;

	for (int round = 0; round < 10; round++) {
		for (long i = 0; i < 16; i++)
			pthread_create(&t[i], NULL, fork_in_thread, (void *)i);
		for (int i = 0; i < 16; i++) {
			pthread_join(t[i], &good);
			EQ((long)good, 1);
		}
	}
}

static void *small_stack(void *unused MAYBE)
{
	volatile char room[4096];

	room[0] = room[4095] = 1;
	for (int i = 0; i < 100; i++) {
		getppid();
		access("/", F_OK);
	}
	return (void *)(long)room[0];
}

TEST(small_stacks, "threads with the smallest stack there is make system calls")
{
	pthread_attr_t attr;
	pthread_t t;
	void *r;

	pthread_attr_init(&attr);
	EQ(pthread_attr_setstacksize(&attr, (size_t)PTHREAD_STACK_MIN), 0);
	for (int i = 0; i < 50; i++) {
		EQ(pthread_create(&t, &attr, small_stack, NULL), 0);
		pthread_join(t, &r);
		EQ((long)r, 1);
	}
}

static void *open_close(void *arg)
{
	long bad = 0;

	for (int i = 0; i < 300; i++) {
		int fd = open((const char *)arg, O_RDONLY);
		char c;

		bad += fd < 0 || read(fd, &c, 1) != 1 || c != 'x' || close(fd) < 0;
	}
	return (void *)bad;
}

TEST(files_in_threads, "16 threads open, read and close")
{
	pthread_t t[16];
	void *bad;

	put("f", "x");
	for (int i = 0; i < 16; i++)
		pthread_create(&t[i], NULL, open_close, "f");
	for (int i = 0; i < 16; i++) {
		pthread_join(t[i], &bad);
		EQ((long)bad, 0);
	}
}

static uint32_t robust_word;

TEST(robust, "a robust mutex whose owner died says so")
{
	pthread_mutexattr_t attr;
	pthread_mutex_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	REQUIRE(m != MAP_FAILED);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(m, &attr);
	if (fork() == 0) {
		pthread_mutex_lock(m);
		_exit(robust_word != 0);
	}
	OK(wait(&status));
	EQ(pthread_mutex_lock(m), EOWNERDEAD);
	EQ(pthread_mutex_consistent(m), 0);
	EQ(pthread_mutex_unlock(m), 0);
}

static void *waker(void *word)
{
	sleep_ms(30);
	atomic_store((atomic_int *)word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
	return NULL;
}

TEST(futexes, "futex: wait and wake, EAGAIN, time-out, EFAULT")
{
	struct timespec ts = { 0, 20000000 };
	atomic_int word = 0;
	pthread_t t;

	FAILS(syscall(SYS_futex, &word, FUTEX_WAIT, 1, NULL, NULL, 0), EAGAIN);
	FAILS(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &ts, NULL, 0), ETIMEDOUT);
	FAILS(syscall(SYS_futex, (void *)16, FUTEX_WAIT, 0, &ts, NULL, 0), EFAULT);
	FAILS(syscall(SYS_futex, (char *)&word + 1, FUTEX_WAIT, 0, &ts, NULL, 0), EINVAL);
	pthread_create(&t, NULL, waker, &word);
	while (atomic_load(&word) == 0)
		syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
	pthread_join(t, NULL);
	EQ(atomic_load(&word), 1);
	EQ(syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
}

static atomic_int detached_ends;

static void *detached(void *unused MAYBE)
{
	atomic_fetch_add(&detached_ends, 1);
	return NULL;
}

TEST(detach, "detached threads end by themselves")
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < 200; i++)
		EQ(pthread_create(&t, &attr, detached, NULL), 0);
	for (int i = 0; i < 1000 && detached_ends < 200; i++)
		sleep_ms(5);
	EQ(detached_ends, 200);
}
