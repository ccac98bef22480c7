/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/agent/lock.c: threads that count together lose no step, and a lock that is free costs no system call. */
#include <pthread.h>
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

int main(void)
{
	pthread_t thread[THREADS];

	plan(0);
	lock_acquire(&lock);
	is_int(lock.word, 1, "held, nobody sleeps");
	lock_release(&lock);
	is_int(lock.word, 0, "free");
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, work, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	is_int(counter, (long)THREADS * ROUNDS, "no step is lost");
	is_int(collisions, 0, "never two inside");
	is_int(lock.word, 0, "free at the end");
	return done();
}
