/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keeper of a FUSE program.
 *
 * `umview mount` has to return while the program goes on, in the foreground or as a daemon.  The keeper
 * stays between: session leader and subreaper of everything the program starts, so that none of it counts
 * as a guest, holds the terminal, or outlives a mount that failed.  It takes what the program prints, for
 * the log, and passes it to `umview mount` as long as that waits.  It ends with its last child.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "keeper.h"
#include "log.h"
#include "procs.h"

#define KILL_AFTER	2000	/* ms from TERM to KILL */

enum { SAID_OUTPUT = 'o', SAID_EXIT = 'x', SAID_ACCEPT = 'a' };

/* ---- the side of umview mount --------------------------------------------------------------------- */

static void keep_output(struct keeper_link *k, const char *text, size_t len)
{
	size_t room = sizeof(k->output) - 1;

	if (len > room) {
		text += len - room;
		len = room;
	}
	if (k->output_len + len > room) {
		size_t drop = k->output_len + len - room;
		memmove(k->output, k->output + drop, k->output_len - drop);
		k->output_len -= drop;
	}
	memcpy(k->output + k->output_len, text, len);
	k->output_len += len;
	k->output[k->output_len] = 0;
}

void keeper_listen(struct keeper_link *k, int timeout_ms)
{
	struct pollfd p = { .fd = k->socket, .events = POLLIN };
	char buf[4096];

	if (poll(&p, 1, timeout_ms) <= 0)
		return;
	for (;;) {
		ssize_t n = recv(k->socket, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			k->closed = true;
			return;
		}
		if (buf[0] == SAID_OUTPUT) {
			keep_output(k, buf + 1, (size_t)n - 1);
		} else if (buf[0] == SAID_EXIT && n == 1 + sizeof(int)) {
			k->exited = true;
			memcpy(&k->status, buf + 1, sizeof(int));
		}
	}
}

/* Waits until the keeper has heard it: a socket closed with something unread in it loses what was sent. */
void keeper_accept(struct keeper_link *k)
{
	char c = SAID_ACCEPT;

	send(k->socket, &c, 1, MSG_NOSIGNAL);
	for (int i = 0; i < 50 && !k->closed; i++)
		keeper_listen(k, 100);
	close(k->socket);
}

/* Waits until everything is gone, so that nothing of a failed mount is left when we return. */
void keeper_reject(struct keeper_link *k)
{
	shutdown(k->socket, SHUT_WR);
	for (int i = 0; i < 60 && !k->closed; i++)
		keeper_listen(k, 100);
	close(k->socket);
	waitpid(k->pid, NULL, k->closed ? 0 : WNOHANG);
}

/* ---- the keeper itself ---------------------------------------------------------------------------- */

struct keeper_self {
	int socket;			/* to umview mount; -1 when it is gone or content */
	int output;			/* read end of the program's stdout and stderr; -1 at its end */
	int signals;
	pid_t program;
	bool accepted, failed;		/* what umview mount says; failed: end everything */
	int waited;			/* ms since that */
	sigset_t mask;
};

static void say_to_mount(struct keeper_self *k, char what, const void *data, size_t len)
{
	char buf[4096];

	if (k->socket < 0 || len > sizeof(buf) - 1)
		return;
	buf[0] = what;
	memcpy(buf + 1, data, len);
	send(k->socket, buf, len + 1, MSG_NOSIGNAL);
}

static void log_lines(char *text)
{
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		client_log(line);
}

static void take_output(struct keeper_self *k)
{
	char buf[2048];
	ssize_t n = read(k->output, buf, sizeof(buf) - 1);

	if (n > 0) {
		say_to_mount(k, SAID_OUTPUT, buf, (size_t)n);
		buf[n] = 0;
		log_lines(buf);
	} else if (n == 0 || errno != EINTR) {
		close(k->output);
		k->output = -1;
	}
}

static void signal_all(int sig)
{
	struct procs ps;

	if (procs_read(&ps) < 0)
		return;
	procs_mark_below(&ps, getpid(), 'k');
	for (size_t i = 0; i < ps.n; i++)
		if (ps.tab[i].mark && ps.tab[i].pid != getpid())
			kill(ps.tab[i].pid, sig);
	procs_free(&ps);
}

static void hear_mount(struct keeper_self *k)
{
	char c;
	ssize_t n = recv(k->socket, &c, 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 1 && c == SAID_ACCEPT) {
		close(k->socket);
		k->socket = -1;
		k->accepted = true;
	} else if (!k->failed) {
		k->failed = true;
		signal_all(SIGTERM);
	}
}

/* Returns whether there are children left. */
static bool reap_all(struct keeper_self *k)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == k->program) {
			/* What it printed last comes before the news of its end. */
			while (k->output >= 0 && poll(&(struct pollfd) { k->output, POLLIN, 0 }, 1, 0) > 0)
				take_output(k);
			say_to_mount(k, SAID_EXIT, &status, sizeof(status));
		}
	return pid == 0;
}

static void keep(struct keeper_self *k)
{
	struct signalfd_siginfo si;

	while (reap_all(k)) {
		struct pollfd p[3] = {
			{ .fd = k->signals, .events = POLLIN },
			{ .fd = k->output, .events = POLLIN },
			{ .fd = k->failed ? -1 : k->socket, .events = POLLIN },
		};
		if (poll(p, 3, k->failed ? 100 : -1) == 0) {
			k->waited += 100;
			if (k->waited >= KILL_AFTER)
				signal_all(SIGKILL);
		}
		if (p[0].revents && read(k->signals, &si, sizeof(si)) < 0 && errno != EAGAIN)
			return;
		if (p[1].revents)
			take_output(k);
		if (p[2].revents)
			hear_mount(k);
	}
}

/* The program's own process. */
_Noreturn static void run_program(struct keeper_self *k, const struct service *s, int out, int cwd)
{
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	if (s->keep_cwd && fchdir(cwd) < 0)
		say("mount: cannot change to the current directory: %s", strerror(errno));
	sigprocmask(SIG_SETMASK, &k->mask, NULL);
	execv(s->program, s->argv);
	say("mount: %s: %s", s->program, strerror(errno));
	_exit(127);
}

/* Moves what the keeper needs to 3, 4, 5, ... and closes everything else of the caller's. */
static void drop_descriptors(int *fds, int n)
{
	int null = open("/dev/null", O_RDWR);

	for (int i = 0; i < n; i++)
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 64);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	for (int i = 0; i < n; i++)
		if (fds[i] >= 0)
			dup3(fds[i], 3 + i, O_CLOEXEC);
	for (int i = 0; i < n; i++)
		fds[i] = 3 + i;
	close_range(3 + (unsigned)n, ~0u, 0);
}

/*
 * Makes the mount point exist: a bind, which the monitor takes away as soon as the server is mounted there.
 */
static bool make_place(struct keeper_self *k, const struct service *s)
{
	char text[200];

	if (!s->new_place || mount("/", s->new_place, "none", MS_BIND, NULL) == 0)
		return true;
	int n = snprintf(text, sizeof(text), "%s: %s\n", s->new_place, strerror(errno));
	say_to_mount(k, SAID_OUTPUT, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
	return false;
}

_Noreturn static void keeper_main(const struct service *s, int socket)
{
	struct keeper_self k = { .socket = socket };
	sigset_t set;
	int out[2];

	setsid();
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	client_servant(s->flags, s->uid, s->gid);
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, &k.mask);
	if (pipe2(out, O_CLOEXEC) < 0)
		_exit(125);
	int fds[] = { socket, out[0], out[1], s->keep_cwd ? open(".", O_PATH | O_CLOEXEC) : -1 };
	drop_descriptors(fds, 4);
	k.socket = fds[0];
	k.output = fds[1];
	if (chdir("/") < 0 || !make_place(&k, s))
		_exit(125);
	k.program = fork();
	if (k.program == 0)
		run_program(&k, s, fds[2], fds[3]);
	close(fds[2]);
	close(fds[3]);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	k.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (k.program > 0 && k.signals >= 0)
		keep(&k);
	if (s->new_place && !k.accepted)
		umount2(s->new_place, 0);
	_exit(0);
}

int keeper_start(struct keeper_link *k, const struct service *s)
{
	int pair[2];

	memset(k, 0, sizeof(*k));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	signal(SIGCHLD, SIG_DFL);
	k->pid = fork();
	if (k->pid < 0) {
		int r = -errno;
		close(pair[0]);
		close(pair[1]);
		return r;
	}
	if (k->pid == 0) {
		close(pair[0]);
		keeper_main(s, pair[1]);
	}
	close(pair[1]);
	k->socket = pair[0];
	return 0;
}
