/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What debug.bats debugs: its first argument says what it does before it prints a sum and exits with 3. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int value;
static volatile sig_atomic_t handled;
static pthread_barrier_t barrier;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int gate[2];
static _Atomic pid_t waiting[3];

static void handler(int sig)
{
	handled = sig;
}

int add(int a, int b)
{
	int sum = a + b;
	return sum;
}

void after(void)
{
	value = 1;
}

/* Calls that are made often enough to be patched. */
static void reads(void)
{
	char b[8];
	int fd = open("/dev/zero", O_RDONLY);

	for (int i = 0; i < 60; i++)
		if (read(fd, b, 4) != 4)
			abort();
	after();
	if (read(fd, b, 4) != 4 || lseek(fd, 0, SEEK_SET))
		abort();
	value = 7;
	close(fd);
}

static void child(void)
{
	int status;
	pid_t p = fork();

	if (!p) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	waitpid(p, &status, 0);
}

static void ready(void)
{
	close(creat("ready", 0666));
}

/* Waits for a byte on standard input. */
static void wait_deep(int n)
{
	char c;

	if (n) {
		wait_deep(n - 1);
		return;
	}
	ready();
	if (read(0, &c, 1) == 1)
		puts("got");
}

/* Each of the three threads says who it is before it waits. */
static void begin(void *p)
{
	pthread_barrier_wait(&barrier);
	*(_Atomic pid_t *)p = gettid();
}

/* Until the thread sleeps, in the call that it has announced. */
static void until_asleep(_Atomic pid_t *thread)
{
	char name[64], line[256] = "";
	const char *state = NULL;
	FILE *f;

	while (!state || state[2] != 'S') {
		usleep(10000);
		snprintf(name, sizeof(name), "/proc/self/task/%d/stat", *thread);
		f = *thread ? fopen(name, "r") : NULL;
		state = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
		if (f)
			fclose(f);
	}
}

static void *reader(void *p)
{
	char c;

	begin(p);
	return read(gate[0], &c, 1) == 1 ? p : NULL;
}

static void *locker(void *p)
{
	begin(p);
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	return p;
}

static void *poller(void *p)
{
	struct pollfd f = { .fd = gate[0], .events = POLLIN };

	begin(p);
	poll(&f, 1, -1);
	return p;
}

void together(void)
{
	value = 4;
}

/* Three threads wait, each in another call; this one calls together(), and waits too if it shall. */
static void threads(int wait)
{
	void *(*const work[])(void *) = { reader, locker, poller };
	pthread_t t[3];

	if (pipe(gate) || pthread_barrier_init(&barrier, NULL, 4))
		abort();
	pthread_mutex_lock(&mutex);
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, work[i], &waiting[i]);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < 3; i++)
		until_asleep(&waiting[i]);
	together();
	if (wait)
		wait_deep(0);
	pthread_mutex_unlock(&mutex);
	if (write(gate[1], "xx", 2) != 2)
		abort();
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	signal(SIGUSR1, handler);
	if (*what == 'c')
		child();
	if (*what == 'r')
		reads();
	if (*what == 's')
		kill(getpid(), SIGUSR1);
	if (*what == 't')
		threads(0);
	if (*what == 'm')
		threads(1);
	if (*what == 'w')
		wait_deep(3);
	printf("sum %d\n", add(1, 2));
	return 3;
}
