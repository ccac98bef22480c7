/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waits for the files of pollfs in every way, and says what it got: the same over the kernel's FUSE and in a view.
 *
 * usage: pollclient DIRECTORY [SERVER]		SERVER: a process that is killed at the end
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static char full[4096];
static const char *program;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void say(const char *what, long r, struct pollfd *p, unsigned n, double began)
{
	double took = now() - began;

	printf("%s: %ld %s", what, r, r < 0 ? strerror(errno) : "");
	for (unsigned i = 0; i < n; i++)
		printf(" %#x", p[i].revents);
	printf(" %s\n", took < 0.04 ? "at once" : took < 2 ? "soon" : "LATE");
	fflush(stdout);
}

/* A child writes there in a moment. */
static pid_t later(int fd, const char *text)
{
	pid_t child = fork();

	if (child)
		return child;
	usleep(100000);
	_exit(write(fd, text, strlen(text)) < 0);
}

static void done(pid_t child)
{
	int status;

	waitpid(child, &status, 0);
	if (status)
		printf("the child failed: %#x\n", status);
}

static void take(int fd)
{
	char buf[8192];
	long n = read(fd, buf, sizeof buf);

	printf("read %ld\n", n);
}

static void simple(int q)
{
	struct pollfd p = { .fd = q, .events = POLLIN | POLLOUT };
	double t = now();

	say("empty", poll(&p, 1, 1000), &p, 1, t);
	p.events = POLLIN;
	t = now();
	say("empty, at once", poll(&p, 1, 0), &p, 1, t);
	t = now();
	say("empty, a moment", poll(&p, 1, 60), &p, 1, t);
	if (write(q, "ab", 2) != 2)
		perror("write");
	t = now();
	p.events = POLLIN | POLLOUT | POLLRDNORM;
	say("something", poll(&p, 1, 1000), &p, 1, t);
	take(q);
	if (write(q, full, sizeof full) != sizeof full)
		perror("write");
	p.events = POLLOUT;
	t = now();
	say("full", poll(&p, 1, 60), &p, 1, t);
	take(q);
	t = now();
	say("emptied", poll(&p, 1, 1000), &p, 1, t);
}

static void woken(int q, int q1)
{
	struct pollfd p[2] = { { .fd = q, .events = POLLIN }, { .fd = q1, .events = POLLIN } };
	pid_t child = later(q, "x");
	double t = now();

	say("woken", poll(p, 2, 5000), p, 2, t);
	done(child);
	take(q);
	child = later(q1, "x");
	t = now();
	say("woken for ever", poll(p, 2, -1), p, 2, t);
	done(child);
	take(q1);
}

static void mixed(int q)
{
	int pipes[2];
	struct pollfd p[4] = { { .fd = q, .events = POLLIN }, { .events = POLLIN }, { .fd = -1 }, { .fd = 777, .events = POLLIN } };
	pid_t child;
	double t;

	if (pipe(pipes))
		perror("pipe");
	p[1].fd = pipes[0];
	child = later(pipes[1], "x");
	t = now();
	say("the pipe", poll(p, 3, 5000), p, 3, t);
	done(child);
	t = now();
	say("one is not open", poll(p, 4, 5000), p, 4, t);
	take(pipes[0]);
	child = later(q, "x");
	t = now();
	say("the queue", poll(p, 3, 5000), p, 3, t);
	done(child);
	take(q);
	close(pipes[0]);
	close(pipes[1]);
}

static void selected(int q, int q1)
{
	fd_set in, out;
	struct timeval tv = { 5, 0 };
	struct timespec ts = { 0, 60000000 };
	int most = (q > q1 ? q : q1) + 1;
	pid_t child = later(q1, "x");
	double t = now();
	long r;

	FD_ZERO(&in);
	FD_SET(q, &in);
	FD_SET(q1, &in);
	r = select(most, &in, NULL, NULL, &tv);
	say("select", r, NULL, 0, t);
	printf("%d %d, time is left: %d\n", !!FD_ISSET(q, &in), !!FD_ISSET(q1, &in), tv.tv_sec == 4);
	done(child);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(q, &in);
	FD_SET(q, &out);
	FD_SET(q1, &in);
	t = now();
	r = select(most, &in, &out, NULL, NULL);
	say("select for both", r, NULL, 0, t);
	printf("%d %d %d\n", !!FD_ISSET(q, &in), !!FD_ISSET(q1, &in), !!FD_ISSET(q, &out));
	take(q1);
	FD_ZERO(&in);
	FD_SET(q, &in);
	t = now();
	r = pselect(most, &in, NULL, NULL, &ts, NULL);
	say("pselect", r, NULL, 0, t);
	printf("%d\n", !!FD_ISSET(q, &in));
	FD_SET(q, &in);
	FD_SET(40, &in);
	t = now();
	r = select(41, &in, NULL, NULL, NULL);
	say("select of what is not open", r, NULL, 0, t);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void interrupted(int q)
{
	struct pollfd p = { .fd = q, .events = POLLIN };
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct timespec ts = { 5, 0 };
	sigset_t blocked, none;
	double t;

	sigaction(SIGALRM, &sa, NULL);
	ualarm(100000, 0);
	t = now();
	say("a signal", poll(&p, 1, 5000), &p, 1, t);
	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGALRM);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	raise(SIGALRM);
	t = now();
	say("blocked", poll(&p, 1, 60), &p, 1, t);
	t = now();
	say("ppoll", ppoll(&p, 1, &ts, &none), &p, 1, t);
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
	if (write(q, "x", 1) != 1)
		perror("write");
	t = now();
	say("ppoll of something", ppoll(&p, 1, NULL, &none), &p, 1, t);
	take(q);
}

static void *wait_in_thread(void *arg)
{
	struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };

	return (void *)(long)poll(&p, 1, 5000);
}

enum { CROWD = 150 };

/* As many threads as said wait for one file; how many of them saw the byte that came. */
static void waiting_threads(const char *what, int n, int q)
{
	pthread_t t[CROWD];
	long ready = 0;
	double began = now();

	for (int i = 0; i < n; i++)
		pthread_create(&t[i], NULL, wait_in_thread, &q);
	usleep(200000);
	if (write(q, "x", 1) != 1)
		perror("write");
	for (int i = 0; i < n; i++) {
		void *r;

		pthread_join(t[i], &r);
		ready += (long)r;
	}
	say(what, ready, NULL, 0, began);
	take(q);
}

/* What has got the descriptor by exec, and by a message. */
static void passed(int q)
{
	char number[16];
	char *args[] = { (char *)program, "-", number, NULL };
	pid_t child, writer = later(q, "x");
	char control[CMSG_SPACE(sizeof q)] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *c;
	int pair[2];

	sprintf(number, "%d", q);
	if (posix_spawn(&child, program, NULL, NULL, args, environ))
		perror("posix_spawn");
	done(child);
	done(writer);
	take(q);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		perror("socketpair");
	child = fork();
	if (!child) {
		struct pollfd p = { .events = POLLIN };
		double t;

		close(q);
		recvmsg(pair[1], &m, 0);
		memcpy(&p.fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof p.fd);
		t = now();
		say("sent", poll(&p, 1, 5000), &p, 1, t);
		_exit(0);
	}
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof q);
	memcpy(CMSG_DATA(c), &q, sizeof q);
	sendmsg(pair[0], &m, 0);
	usleep(100000);
	if (write(q, "x", 1) != 1)
		perror("write");
	done(child);
	take(q);
}

/* Nobody is told: who asks again sees it, who waits does when the time is over. */
static void mute(const char *dir)
{
	int fd = open("mute", O_RDWR);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	pid_t child = later(fd, "x");
	double t = now();

	(void)dir;
	say("nobody is told", poll(&p, 1, 300), &p, 1, t);
	done(child);
	take(fd);
	close(fd);
}

/* A signal while the server is asked; time goes on meanwhile. */
static void slow(void)
{
	int fd = open("slow", O_RDWR);
	struct pollfd p = { .fd = fd, .events = POLLIN, .revents = 0x55 };
	double t = now(), took;

	say("slow", poll(&p, 1, 400), &p, 1, t);
	took = now() - t;
	printf("as long as two answers and what was left: %d\n", took > 0.65 && took < 0.9);
	ualarm(100000, 0);
	p.revents = 0x55;
	t = now();
	say("a signal meanwhile", poll(&p, 1, 5000), &p, 1, t);
	close(fd);
}

/* At its end: of no interest to who wants to write, but that can change. */
static void at_end(void)
{
	int fd = open("end", O_RDWR);
	struct timeval tv = { 0, 1200000 };
	pid_t child = later(fd, "x");
	fd_set out;
	double t = now();

	FD_ZERO(&out);
	FD_SET(fd, &out);
	say("its end is no room", select(fd + 1, NULL, &out, NULL, &tv), NULL, 0, t);
	done(child);
	close(fd);
}

/* What is ready lets no signal in. */
static void still_pending(int q)
{
	struct pollfd p = { .fd = q, .events = POLLOUT };
	sigset_t blocked, none, pending;
	double t = now();

	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGALRM);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	raise(SIGALRM);
	say("ready", ppoll(&p, 1, NULL, &none), &p, 1, t);
	sigpending(&pending);
	printf("the signal waits: %d\n", sigismember(&pending, SIGALRM));
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
}

/* No descriptor is free, and many threads wait. */
static void crowded(int q)
{
	struct pollfd p = { .fd = q, .events = POLLIN };
	int fds[1024], n = 0;
	double began;

	while (n < 1024 && (fds[n] = dup(1)) >= 0)
		n++;
	began = now();
	say("a full table", poll(&p, 1, 60), &p, 1, began);
	while (n)
		close(fds[--n]);
	waiting_threads("a crowd", CROWD, q);
}

static void killed(int q, pid_t server)
{
	struct pollfd p = { .fd = q, .events = POLLIN };
	pid_t child = fork();
	double t = now();

	if (!child) {
		usleep(100000);
		_exit(kill(server, SIGKILL));
	}
	say("the server is killed", poll(&p, 1, 5000), &p, 1, t);
	done(child);
	t = now();
	say("and gone", poll(&p, 1, 5000), &p, 1, t);
}

int main(int argc, char **argv)
{
	int q, q1;

	program = argv[0];
	if (argc > 2 && !strcmp(argv[1], "-")) {		/* passed() */
		struct pollfd p = { .fd = atoi(argv[2]), .events = POLLIN };
		double t = now();

		say("inherited", poll(&p, 1, 5000), &p, 1, t);
		return 0;
	}
	if (argc < 2 || chdir(argv[1]))
		return 2;
	q = open("q0", O_RDWR);
	q1 = open("q1", O_RDWR | O_NONBLOCK);
	if (q < 0 || q1 < 0)
		return 3;
	setvbuf(stdout, NULL, _IOLBF, 0);
	simple(q);
	woken(q, q1);
	mixed(q);
	selected(q, q1);
	interrupted(q);
	waiting_threads("threads", 8, q);
	passed(q);
	mute(argv[1]);
	slow();
	at_end();
	still_pending(q);
	crowded(q);
	if (argc > 2)
		killed(q, atoi(argv[2]));
	return 0;
}
