/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * supervise [-t SECONDS] [-g GRACE] [-l] -- COMMAND [ARG...]
 *
 * Runs one test: as its subreaper, so that whatever it starts stays below us; for at most SECONDS (60), after
 * which everything below us is killed (status 124); and with -l looks what is still there GRACE
 * seconds (3) after COMMAND ended: that is a leak, named on standard error, killed, and the status is
 * 123 if COMMAND's was 0.  It ends only processes that descend from itself.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void name_process(pid_t pid)
{
	char path[64], text[300];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	for (ssize_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = ' ';
	text[n > 0 ? n : 0] = 0;
	fprintf(stderr, "# left behind: process %d: %s\n", pid, n > 0 ? text : "(no command line)");
}

/*
 * Everything below us comes to us when its parent dies, so it is enough to look at our own children,
 * again and again.  Calls fn for each that lives; returns how many there were.
 */
static int each_child(void (*fn)(pid_t))
{
	char path[64], text[8192], *p = text;
	int count = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	for (;;) {
		char *end;
		long pid = strtol(p, &end, 10);

		if (end == p)
			return count;
		p = end;
		count++;
		if (fn)
			fn((pid_t)pid);
	}
}

static void kill_child(pid_t pid)
{
	kill(pid, SIGKILL);
}

static void kill_all(void)
{
	for (int i = 0; i < 500 && each_child(kill_child) > 0; i++) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		poll(NULL, 0, 5);
	}
}

/* Reaps until `pid` (or, with 0, everybody) has ended; false when the time is over. */
static bool reap_until(pid_t pid, int *status, long end)
{
	for (;;) {
		int s;
		pid_t p = waitpid(-1, &s, WNOHANG);

		if (p > 0 && p == pid) {
			*status = s;
			return true;
		}
		if (p > 0)
			continue;
		if (p < 0 && errno == ECHILD)
			return true;
		if (now_ms() > end)
			return false;
		poll(NULL, 0, 4);
	}
}

int main(int argc, char **argv)
{
	long seconds = 60, grace = 3;
	bool look = false;
	int opt, status = 0, code;
	pid_t pid;

	while ((opt = getopt(argc, argv, "+t:g:l")) != -1) {
		if (opt == 't')
			seconds = atol(optarg);
		else if (opt == 'g')
			grace = atol(optarg);
		else if (opt == 'l')
			look = true;
		else
			return 125;
	}
	if (optind >= argc || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return 125;
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		execvp(argv[optind], argv + optind);
		fprintf(stderr, "%s: %s\n", argv[optind], strerror(errno));
		_exit(127);
	}
	if (!reap_until(pid, &status, now_ms() + seconds * 1000)) {
		fprintf(stderr, "# no end after %ld seconds: %s\n", seconds, argv[optind]);
		each_child(name_process);
		kill_all();
		return 124;
	}
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (!reap_until(0, &status, now_ms() + (look ? grace * 1000 : 0))) {
		if (look)
			each_child(name_process);
		kill_all();
		if (look && code == 0)
			code = 123;
	}
	return code;
}
