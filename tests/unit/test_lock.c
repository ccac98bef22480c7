/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/agent/lock.c: threads that count together lose no step, a lock that is free costs no system call, and one whose
 * holder was killed is taken over. */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tap.h"
#include "shim.h"

#define THREADS	4
#define ROUNDS	50000

static struct lock lock;
static long counter, inside, collisions;

static void *work(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		lock_acquire(&lock);
		collisions += __atomic_exchange_n(&inside, 1, __ATOMIC_RELAXED);
		counter++;
		__atomic_store_n(&inside, 0, __ATOMIC_RELAXED);
		lock_release(&lock);
	}
	return arg;
}

/* Somebody who shares our memory takes the lock and is killed; zombie: and not yet waited for. */
static void test_killed(struct lock *shared, int zombie)
{
	siginfo_t si;
	pid_t pid = fork();

	if (pid == 0) {
		lock_acquire(shared);
		kill(getpid(), SIGKILL);
	}
	waitid(P_PID, (id_t)pid, &si, WEXITED | (zombie ? WNOWAIT : 0));
	is_int(shared->word, pid, "the killed child holds the lock");
	alarm(20);
	lock_acquire(shared);
	alarm(0);
	is_int(shared->word & 0x3fffffff, gettid(), "it is ours now%s", zombie ? ", of a zombie" : "");
	lock_release(shared);
	is_int(shared->word, 0, "and free again");
	if (zombie)
		waitpid(pid, NULL, 0);
}

static void *hold_long(void *arg)
{
	lock_acquire(arg);
	usleep(700000);
	counter = -1;
	lock_release(arg);
	return NULL;
}

/* A holder that is only slow is waited for. */
static void test_slow(void)
{
	pthread_t thread;

	counter = 0;
	pthread_create(&thread, NULL, hold_long, &lock);
	while (!__atomic_load_n(&lock.word, __ATOMIC_ACQUIRE))
		usleep(1000);
	lock_acquire(&lock);
	is_int(counter, -1, "a slow holder is waited for");
	lock_release(&lock);
	pthread_join(thread, NULL);
}

int main(void)
{
	struct lock *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_t thread[THREADS];

	plan(0);
	lock_acquire(&lock);
	is_int(lock.word, gettid(), "held, nobody sleeps");
	lock_release(&lock);
	is_int(lock.word, 0, "free");
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, work, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	is_int(counter, (long)THREADS * ROUNDS, "no step is lost");
	is_int(collisions, 0, "never two inside");
	is_int(lock.word, 0, "free at the end");
	test_killed(shared, 0);
	test_killed(shared, 1);
	test_slow();
	return done();
}
