/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The monitor process: the life of a view from its first mount to its last unmount.
 *
 * It has a process group of its own, so that the terminal's signals pass it by, and is the subreaper of
 * the view: whoever loses his parent becomes its child.  Steps (--mount, --bind) and then COMMAND are
 * started as guests in the launcher's process group.  When COMMAND has ended and no other guest is left,
 * everything is unmounted; if others are left, the launcher returns and we go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "identity.h"
#include "log.h"
#include "monitor.h"
#include "prepare.h"
#include "procs.h"

#define GRACE		200	/* ms other guests may take to end after COMMAND, when something is mounted */
#define GRACE_PERIOD	10
#define SLOW_PERIOD	1000	/* a guest may become a server: look again */
#define KILL_AFTER	2000	/* from TERM to KILL */
#define RECHECK		100	/* ms after COMMAND was continued */
#define MAX_GUESTS	4096

/* ---- messages ------------------------------------------------------------------------------------- */

void message_send(int socket, enum message_kind kind, int value, const char *text)
{
	struct message msg = { .kind = kind, .value = value };
	size_t len = text ? strnlen(text, sizeof(msg.text) - 1) : 0;

	if (socket < 0)
		return;
	if (len)
		memcpy(msg.text, text, len);
	send(socket, &msg, offsetof(struct message, text) + len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int message_receive(int socket, struct message *msg)
{
	memset(msg, 0, sizeof(*msg));
	ssize_t n = recv(socket, msg, sizeof(*msg) - 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	return n >= (ssize_t)offsetof(struct message, text);
}

static void send_line(void *arg, const char *line)
{
	struct life *l = arg;

	message_send(l->socket, MSG_SAY, 0, line);
}

/* ---- phases --------------------------------------------------------------------------------------- */

static void enter(struct life *l, enum phase phase)
{
	l->phase = phase;
	l->since = now_ms();
	l->pressed = 0;
}

static void fail_start(struct life *l, const char *what, int error)
{
	if (error)
		say("%s: %s", what, strerror(-error));
	l->failed = true;
	enter(l, PHASE_CLOSING);
}

/* From now on nothing of the caller's is ours: he may wait for the end of his pipes. */
static void let_go(struct life *l)
{
	struct rlimit lim;

	log_say_to(send_line, l);
	drop_inherited(false);
	if (chdir("/") < 0)
		log_line("umview: cannot change to /: %s", strerror(errno));
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

/* Goes by way of ourselves, for what can only be done in the view.  Allocated. */
static char **inside_command(const struct life *l, char **argv)
{
	const struct options *o = l->o;
	const char *front[7] = { l->self };
	size_t n = 0, at = 1;

	while (argv[n])
		n++;
	if (o->chroot) {
		front[at++] = "--chroot";
		front[at++] = o->chroot;
	}
	if (o->chdir) {
		front[at++] = "--chdir";
		front[at++] = o->chdir;
	}
	char **args = calloc(at + n + 3, sizeof(*args));
	if (!args)
		return NULL;
	memcpy(args, front, at * sizeof(*args));
	args[at++] = (char *)"--inside-exec";
	args[at++] = (char *)"--";
	memcpy(args + at, argv, n * sizeof(*args));
	return args;
}

static void start_command(struct life *l)
{
	const struct options *o = l->o;
	char *shell[] = { getenv("SHELL") ? getenv("SHELL") : (char *)"/bin/sh", NULL };
	char **argv = o->argc ? o->argv : shell;
	char **args = NULL;
	pid_t pid;

	if (o->chdir || o->chroot) {
		args = inside_command(l, argv);
		if (!args)
			return fail_start(l, argv[0], -ENOMEM);
		argv = args;
	}
	enter(l, PHASE_COMMAND);
	pid = guest_spawn(l, argv[0], argv);
	free(args);
	if (pid < 0)
		return fail_start(l, "cannot start a process", pid);
	l->child = pid;
	let_go(l);
}

static void start_guest(struct life *l, const char **argv)
{
	pid_t pid = guest_spawn(l, l->self, (char **)argv);

	if (pid < 0)
		fail_start(l, "cannot start a process", pid);
	else
		l->child = pid;
}

/* A step is `umview mount ...`, run as a guest. */
static void start_step(struct life *l, const struct step *s)
{
	const char *argv[14] = { l->self, "mount" };
	char *command = NULL;
	int n = 2;

	static const char *const types[] = { [STEP_BIND] = "bind", [STEP_HIDE] = "hide", [STEP_TMPFS] = "tmpfs",
						[STEP_COW] = "cow", [STEP_MINCOW] = "mincow", [STEP_MERGE] = "merge" };
	const char *type = s->kind == STEP_MOUNT ? s->type : types[s->kind];
	if (type) {
		argv[n++] = "-t";
		argv[n++] = type;
	}
	if (s->opts) {
		argv[n++] = "-o";
		argv[n++] = s->opts;
	}
	if ((s->kind == STEP_COW || s->kind == STEP_MINCOW) && (command = command_text(l->o))) {
		argv[n++] = "-c";
		argv[n++] = command;
	}
	argv[n++] = "--";
	if (s->src)
		argv[n++] = s->src;
	argv[n++] = s->dst;
	start_guest(l, argv);
	free(command);
}

/* All binds that follow each other are made by one guest: there may be a thousand of them. */
static void start_binds(struct life *l, const struct step *s, int count)
{
	const char **argv = calloc((size_t)count * 3 + 3, sizeof(*argv));
	int n = 0;

	if (!argv)
		return fail_start(l, "--bind", -ENOMEM);
	argv[n++] = l->self;
	argv[n++] = "--inside-binds";
	for (int i = 0; i < count; i++) {
		argv[n++] = "--bind";
		argv[n++] = s[i].src;
		argv[n++] = s[i].dst;
	}
	start_guest(l, argv);
	free(argv);
}

static void next_step(struct life *l)
{
	const struct step *s = l->o->steps + l->step;
	int left = l->o->nsteps - l->step, binds = 0;

	if (!left)
		return start_command(l);
	while (binds < left && s[binds].kind == STEP_BIND && !s[binds].opts)
		binds++;
	l->step += binds ? binds : 1;
	if (binds)
		start_binds(l, s, binds);
	else
		start_step(l, s);
}

static void child_ended(struct life *l, int status)
{
	l->child = 0;
	if (l->phase == PHASE_COMMAND) {
		message_send(l->socket, MSG_STATUS, status, NULL);
		enter(l, PHASE_AFTER);
	} else if (l->phase == PHASE_STEPS) {
		if (status)
			fail_start(l, NULL, 0);
		else
			next_step(l);
	}
}

static void command_stopped(struct life *l, int sig)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", l->child);
	message_send(l->socket, MSG_STOPPED, sig, pid);
	l->recheck = 0;
}

/* The launcher may be about to stop, on the news of a stop that is over: look again a little later. */
static void command_continued(struct life *l)
{
	if (l->socket >= 0)
		kill(l->launcher, SIGCONT);
	l->recheck = now_ms() + RECHECK;
}

static void recheck(struct life *l)
{
	pid_t ppid;
	char state;

	if (!l->recheck || now_ms() < l->recheck)
		return;
	l->recheck = 0;
	if (l->socket >= 0 && proc_stat(l->launcher, &ppid, &state) == 0 && state == 'T')
		kill(l->launcher, SIGCONT);
}

/* Collects the children that ended.  Returns whether there are any left. */
static bool reap(struct life *l)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		bool ours = pid == l->child && l->child;
		if (WIFSTOPPED(status)) {
			if (ours)
				command_stopped(l, WSTOPSIG(status));
		} else if (WIFCONTINUED(status)) {
			if (ours)
				command_continued(l);
		} else if (ours) {
			child_ended(l, status);
		}
	}
	return pid == 0 || errno != ECHILD;
}

/* ---- after COMMAND -------------------------------------------------------------------------------- */

static void to_background(struct life *l)
{
	message_send(l->socket, MSG_BACKGROUND, 0, NULL);
	close(l->socket);
	l->socket = -1;
}

static void signal_guests(struct life *l, int sig, bool servants_too)
{
	static pid_t pids[MAX_GUESTS];
	int n = life_guests(l, pids, MAX_GUESTS, servants_too);

	for (int i = 0; i < n; i++)
		kill(pids[i], sig);
}

static void work_after(struct life *l, bool children)
{
	static pid_t pids[1];
	int64_t passed = now_ms() - l->since;

	if (!children || life_guests(l, pids, 1, false) == 0)
		return enter(l, PHASE_CLOSING);
	if (l->o->kill_on_exit) {
		if (l->pressed == 0 || (l->pressed == 1 && passed >= KILL_AFTER))
			signal_guests(l, l->pressed++ ? SIGKILL : SIGTERM, false);
	} else if (l->socket >= 0 && (passed >= GRACE || !l->ops->has_mounts(l))) {
		to_background(l);
	}
}

/* Servers have ended; what they left running (helpers, keepers) is given some time. */
static void work_drain(struct life *l, bool children)
{
	static const struct { int after, sig; } press[] = { { 2000, SIGTERM }, { 3000, SIGKILL }, { 4000, 0 } };
	int64_t passed = now_ms() - l->since;

	if (!children)
		return enter(l, PHASE_OVER);
	if (passed < press[l->pressed].after)
		return;
	if (!press[l->pressed].sig)
		return enter(l, PHASE_OVER);
	signal_guests(l, press[l->pressed++].sig, true);
}

static void work(struct life *l)
{
	bool children = reap(l);

	recheck(l);
	if (l->phase == PHASE_AFTER)
		work_after(l, children);
	if (l->phase == PHASE_CLOSING && l->ops->close(l))
		enter(l, PHASE_DRAIN);
	if (l->phase == PHASE_DRAIN)
		work_drain(l, reap(l));
}

static int phase_timeout(const struct life *l)
{
	int64_t passed = now_ms() - l->since;

	switch (l->phase) {
	case PHASE_AFTER:
		if (l->o->kill_on_exit)
			return 100;
		return passed < GRACE ? GRACE_PERIOD : SLOW_PERIOD;
	case PHASE_CLOSING:
		return l->m ? -1 : 0;
	case PHASE_DRAIN:
		return 50;
	default:
		return l->recheck ? RECHECK : -1;
	}
}

/* ---- the loop ------------------------------------------------------------------------------------- */

/* The launcher was killed, so COMMAND is, as if it had been started directly. */
static void launcher_died(struct life *l)
{
	close(l->socket);
	l->socket = -1;
	if (l->child)
		kill(l->child, SIGKILL);
}

static void from_launcher(struct life *l)
{
	struct message msg;
	int r;

	while (l->socket >= 0 && (r = message_receive(l->socket, &msg)) != -EAGAIN) {
		if (r == 0)
			launcher_died(l);
		else if (msg.kind == MSG_SIGNAL && l->child)
			kill(l->child, msg.value);
	}
}

static void drain_signals(int fd)
{
	struct signalfd_siginfo si;

	while (read(fd, &si, sizeof(si)) == sizeof(si))
		;
}

static void wait_for_something(struct life *l, int signal_fd)
{
	static struct pollfd fds[2 + MONITOR_POLLS];
	int timeout = phase_timeout(l), n = 2;

	fds[0] = (struct pollfd) { .fd = signal_fd, .events = POLLIN };
	fds[1] = (struct pollfd) { .fd = l->socket, .events = POLLIN };
	if (l->m)
		n += monitor_poll(l->m, fds + 2, &timeout);
	poll(fds, (nfds_t)n, timeout);
}

static int begin(struct life *l)
{
	sigset_t all;

	setpgid(0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	sigfillset(&all);
	int fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	int r = l->ops->begin(l);
	return r < 0 ? r : fd;
}

_Noreturn void life_main(struct life *l)
{
	int signal_fd = begin(l);

	if (signal_fd < 0) {
		say("cannot begin the view: %s", strerror(-signal_fd));
		message_send(l->socket, MSG_FAILED, 0, NULL);
		_exit(125);
	}
	if (l->log_fd >= 0)
		log_to_file(l->log_fd);
	next_step(l);
	if (l->m && l->m->w.head->patch_after)		/* the first guest starts meanwhile, and then waits for it */
		prepare_text(&l->m->w);
	while (l->phase != PHASE_OVER) {
		wait_for_something(l, signal_fd);
		drain_signals(signal_fd);
		from_launcher(l);
		if (l->m)
			monitor_work(l->m);
		work(l);
	}
	if (l->m)
		sessions_finish(l->m);
	if (l->table_save)
		statefile_save(&l->m->w, l->table_save);
	message_send(l->socket, l->failed ? MSG_FAILED : MSG_ENDED, 0, NULL);
	_exit(0);
}
