/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The launcher: the process that was started as `umview`.
 *
 * It prepares the view, forks the monitor, and then only waits: it passes signals that were sent to it on
 * to COMMAND, stops when COMMAND is stopped, and returns COMMAND's status.  It stays in its process group,
 * and COMMAND joins it there, so a shell's job control sees both as one job.  Signals of the terminal reach
 * COMMAND without us.
 */
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "identity.h"
#include "log.h"
#include "monitor.h"
#include "procs.h"

/* ---- descriptors ---------------------------------------------------------------------------------- */

/* What has no close-on-exec flag was not opened by us: it is meant for COMMAND. */
static void close_inherited(void)
{
	DIR *d = opendir("/proc/self/fd");

	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));) {
		int fd = atoi(e->d_name);
		if (fd <= 2 || fd == dirfd(d))
			continue;
		int flags = fcntl(fd, F_GETFD);
		if (flags >= 0 && !(flags & FD_CLOEXEC))
			close(fd);
	}
	closedir(d);
}

void drop_inherited(bool keep_stderr)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd <= (keep_stderr ? 1 : 2) && null >= 0; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	close_inherited();
}

/* Descriptors 0, 1, 2 are open, so that none of ours gets such a number.  What the caller had closed is
 * closed again for COMMAND: close-on-exec. */
static void fill_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= 2);
	if (fd >= 0)
		close(fd);
}

static int open_output(const char *file, const char *option)
{
	int fd = file ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)
		      : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		say("%s: %s: %s", option, file ? file : "stderr", strerror(errno));
	return fd;
}

/* ---- signals -------------------------------------------------------------------------------------- */

/* Everything is blocked and read from a descriptor; nothing is ignored, for COMMAND would inherit that. */
static int take_signals(struct life *l)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL }, old;
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &l->mask);
	sigaction(SIGCHLD, &dfl, &old);
	l->chld_ignored = old.sa_handler == SIG_IGN;
	/* The C library catches this one when the first thread starts, and lets nobody ask for it. */
	struct raw_action setxid = { 0 };
	syscall(SYS_rt_sigaction, SIGSETXID, NULL, &setxid, 8);
	l->setxid_ignored = setxid.handler == (void *)SIG_IGN;
	return signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool comes_from_terminal(int sig)
{
	switch (sig) {
	case SIGINT: case SIGQUIT: case SIGTSTP: case SIGTTIN: case SIGTTOU:
	case SIGHUP: case SIGCONT: case SIGWINCH:
		return true;
	}
	return false;
}

/*
 * Is it for COMMAND?  Not what the terminal sends to the whole group, nor what came from inside the view
 * (a guest that signals its group reaches us too).
 */
static bool is_to_be_forwarded(const struct signalfd_siginfo *si, pid_t monitor)
{
	int sig = (int)si->ssi_signo;

	if (sig == SIGCHLD || sig == SIGPIPE)
		return false;
	if (si->ssi_code > 0)
		return !comes_from_terminal(sig);
	return si->ssi_pid == 0 || !proc_descends((pid_t)si->ssi_pid, monitor);
}

static void forward_signals(struct life *l, int fd, pid_t monitor)
{
	struct signalfd_siginfo si;

	while (read(fd, &si, sizeof(si)) == sizeof(si))
		if (is_to_be_forwarded(&si, monitor))
			message_send(l->socket, MSG_SIGNAL, (int)si.ssi_signo, NULL);
}

/* COMMAND was stopped: so are we, until somebody continues us.  Unless that is old news. */
static void stop_too(int sig, pid_t command)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL }, old;
	sigset_t set, before;
	pid_t ppid;
	char state;

	if (proc_stat(command, &ppid, &state) < 0 || state != 'T')
		return;
	sigaction(sig, &dfl, &old);
	sigemptyset(&set);
	sigaddset(&set, sig);
	kill(getpid(), sig);
	sigprocmask(SIG_UNBLOCK, &set, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	sigaction(sig, &old, NULL);
}

/* ---- waiting -------------------------------------------------------------------------------------- */

struct outcome {
	bool known, over, background;
	int status;			/* exit status of ours */
};

static int exit_status(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

static void act_on(const struct message *msg, struct outcome *o)
{
	switch (msg->kind) {
	case MSG_SAY:
		say("%s", msg->text);
		break;
	case MSG_STATUS:
		o->known = true;
		o->status = exit_status(msg->value);
		break;
	case MSG_STOPPED:
		stop_too(msg->value, atoi(msg->text));
		break;
	case MSG_FAILED:
		o->known = o->over = true;
		o->status = 125;
		break;
	case MSG_BACKGROUND:
		o->background = true;
		o->over = true;
		break;
	case MSG_ENDED:
		o->over = true;
		break;
	}
}

static void hear_monitor(struct life *l, struct outcome *o)
{
	struct message msg;
	int r = 0;

	while (!o->over && (r = message_receive(l->socket, &msg)) == 1)
		act_on(&msg, o);
	if (!o->over && r == 0) {
		say("the monitor of the view died");
		o->over = true;
	}
}

static int launcher_wait(struct life *l, int signal_fd, pid_t monitor)
{
	struct outcome o = { .status = 125 };

	while (!o.over) {
		struct pollfd fds[2] = {
			{ .fd = l->socket, .events = POLLIN },
			{ .fd = signal_fd, .events = POLLIN },
		};
		poll(fds, 2, -1);
		forward_signals(l, signal_fd, monitor);
		hear_monitor(l, &o);
	}
	if (!o.background)
		waitpid(monitor, NULL, 0);
	return o.status;
}

/* ---- preparation ---------------------------------------------------------------------------------- */

char *command_text(const struct options *o)
{
	char text[200] = "";
	size_t at = 0;

	for (int i = 0; i < o->argc && at < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i ? " " : "", o->argv[i]);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	return strdup(o->argc ? text : "a shell");
}

static int prepare_world(struct life *l)
{
	l->m = calloc(1, sizeof(*l->m));
	if (l->m)
		l->m->command = command_text(l->o);
	int r = l->m ? world_create(&l->m->w) : -ENOMEM;

	if (r == -EFBIG)
		say("cannot create the view: the limit on file sizes (ulimit -f) forbids its %llu GiB sparse "
		    "memory file; start with `ulimit -f unlimited`", UM_WORLD_SIZE >> 30);
	else if (r < 0)
		say("cannot create the view: %s", strerror(-r));
	if (r < 0)
		return r;
	l->image_fd = image_open();
	if (l->image_fd < 0)
		say("cannot create the agent's memory file: %s; if vm.memfd_noexec is 2 here, ask the "
		    "administrator to lower it", strerror(-l->image_fd));
	return l->image_fd;
}

/* Who COMMAND will be, and what is known of files. */
static int prepare_identity(struct life *l, bool inside)
{
	const struct options *o = l->o;
	const char *save = o->table_save;

	if (!o->user)
		return 0;
	if (inside && (o->table_load || save)) {
		say("--fakeroot-load and --fakeroot-save belong to the outermost umview: this one is inside a view");
		return -1;
	}
	l->identity = identity_parse(o->user);
	if (!l->identity)
		return -1;
	if (o->secure) {
		char *strict;

		if (asprintf(&strict, "s%s", l->identity) < 0)
			return -1;
		free(l->identity);
		l->identity = strict;
	}
	if (save) {
		char *dir = *save == '/' ? strdup("") : get_current_dir_name();

		if (!dir || asprintf(&l->table_save, "%s%s%s", dir, *save == '/' ? "" : "/", save) < 0)
			return -1;
		free(dir);
	}
	return o->table_load ? statefile_load(&l->m->w, o->table_load) : 0;
}

static int prepare(struct life *l, bool inside)
{
	const struct options *o = l->o;
	ssize_t n = readlink("/proc/self/exe", l->self, sizeof(l->self) - 1);

	if (n < 0) {
		say("cannot read /proc/self/exe: %s; umview needs /proc", strerror(errno));
		return -1;
	}
	if (inside && (o->trace || o->log || o->tier)) {
		say("--trace, --log and --tier belong to the outermost umview: this one is inside a view");
		return -1;
	}
	if (o->trace && (l->trace_fd = open_output(o->trace_file, "--trace")) < 0)
		return -1;
	if (o->log && (l->log_fd = open_output(o->log_file, "--log")) < 0)
		return -1;
	int r = inside ? 0 : prepare_world(l);
	if (r >= 0)
		r = prepare_identity(l, inside);
	return r < 0 || inside ? r : tier_choose(l);
}

int launch(const struct options *o, bool inside)
{
	struct life l = {
		.o = o, .ops = inside ? &branch_view : &own_view, .launcher = getpid(), .pgid = getpgrp(),
		.image_fd = -1, .trace_fd = -1, .log_fd = -1, .socket = -1,
	};
	int pair[2];

	fill_standard();
	int signal_fd = take_signals(&l);
	if (prepare(&l, inside) < 0)
		return 125;
	if (signal_fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		say("cannot start: %s", strerror(errno));
		return 125;
	}
	pid_t monitor = fork();
	if (monitor < 0) {
		say("cannot start a process: %s", strerror(errno));
		return 125;
	}
	if (monitor == 0) {
		close(signal_fd);
		close(pair[0]);
		l.socket = pair[1];
		life_main(&l);
	}
	close(pair[1]);
	l.socket = pair[0];
	drop_inherited(true);
	return launcher_wait(&l, signal_fd, monitor);
}
