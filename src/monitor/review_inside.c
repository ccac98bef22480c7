/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * diff, commit and discard inside of the view that works on the session.
 *
 * What is below cannot be seen there: it is what the session makes of it.  So the monitor starts the command once more, outside.  It gets
 * our arguments through one pipe, and writes what it says and its exit status to others, all of which it opens by way of our descriptors
 * in /proc.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "commands.h"
#include "log.h"
#include "review.h"

/* ---- inside ------------------------------------------------------------------------------------------------- */

static bool is_meant(const struct review_options *o, const char *dir)
{
	char named[PATH_MAX], error[SESSION_ERROR];

	if (!o->session && !o->upper)
		return true;
	if (session_find(named, sizeof(named), o->session, o->upper, error, sizeof(error)) < 0)
		return false;
	char *real = realpath(named, NULL);
	bool is = real && !strcmp(real, dir);
	free(real);
	return is;
}

/* A session that is mounted: its directory, as the view has it and as the kernel has it. */
struct mounted {
	char *dir, *kernels;
	unsigned id;
	bool over, own;		/* what is below is virtual; it was mounted in this view, and in none that it has come from */
};

static void mounted_free(struct mounted *m)
{
	free(m->dir);
	free(m->kernels);
	*m = (struct mounted) { .dir = NULL };
}

/* PATH without "/tree": allocated, or NULL. */
static char *without_tree(const char *path)
{
	size_t len = strlen(path), tail = strlen("/" UM_COW_TREE);

	return len > tail ? strndup(path, len - tail) : NULL;
}

static bool take_mounted(struct mounted *to, const struct client_mount *m, unsigned view)
{
	char *dir = without_tree(m->source), *real = dir ? realpath(dir, NULL) : NULL;

	if (real)
		free(dir);
	*to = (struct mounted) {
		.dir = real ? real : dir, .kernels = without_tree(m->target), .id = m->info.id,
		.over = m->info.flags & UM_MNT_OVER, .own = m->info.view == view,
	};
	return to->dir && to->kernels;
}

/* The session of this view that is meant: of several the only one that was mounted in it.  dir NULL: there is none. */
static struct mounted session_here(const struct review_options *o)
{
	struct client_mount *list;
	struct mounted found = { .dir = NULL }, one;
	struct um_info info = { .view = 0 };
	int n = client_mounts(&list), equal = 0;

	client_info(&info);
	for (int i = 0; i < n; i++) {
		if (list[i].info.kind != UM_MOUNT_COW)
			continue;
		bool taken = take_mounted(&one, &list[i], info.view) && is_meant(o, one.dir);
		if (!taken || (found.dir && found.own && !one.own)) {
			mounted_free(&one);
			continue;
		}
		equal = found.dir && found.own == one.own ? equal + 1 : 0;
		mounted_free(&found);
		found = one;
	}
	if (n >= 0)
		free(list);
	if (equal && !o->session && !o->upper)
		mounted_free(&found);
	return found;
}

static bool put(FILE *f, const char *dir, const char *text)
{
	return fprintf(f, "%s%s%s", dir, *dir ? "/" : "", text) >= 0 && putc(0, f) != EOF;
}

/* With the paths as they are everywhere. */
static bool send_arguments(int fd, const struct review_options *o, const char *command, const char *dir)
{
	const struct { bool is; const char *text; } flags[] = {
		{ o->json, "--json" }, { o->stat, "--stat" }, { o->text, "--text" }, { o->force, "--force" },
	};
	char *cwd = getcwd(NULL, 0);
	FILE *f = fdopen(fd, "w");
	bool ok = f && cwd && put(f, "", command) && put(f, "", "--upper") && put(f, "", dir);

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && ok; i++)
		ok = !flags[i].is || put(f, "", flags[i].text);
	ok = ok && put(f, "", "--");
	for (int i = 0; i < o->npaths && ok; i++)
		ok = put(f, *o->paths[i] == '/' || !*o->paths[i] ? "" : cwd, o->paths[i]);
	free(cwd);
	return f ? !fclose(f) && ok : false;
}

/* Until it says that it has opened our ends of the pipes. */
static int wait_for(pid_t pid, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	unsigned char ready;

	while (poll(&p, 1, 200) <= 0)
		if (kill(pid, 0) < 0 && errno == ESRCH)
			return -EIO;
	return read(fd, &ready, 1) == 1 ? 0 : -EIO;
}

/* What it says is said by us, where we would. */
static int relay(int fds[3])
{
	static char buf[65536];
	const int to[3] = { -1, STDOUT_FILENO, STDERR_FILENO };
	unsigned char status;
	int r = -EIO, left = 3;

	while (left) {
		struct pollfd p[3];
		for (int i = 0; i < 3; i++)
			p[i] = (struct pollfd) { .fd = fds[i], .events = POLLIN };
		if (poll(p, 3, -1) < 0)
			continue;
		for (int i = 0; i < 3; i++) {
			ssize_t n = p[i].revents ? read(fds[i], i ? buf : (char *)&status, i ? sizeof(buf) : 1) : 1;
			if (n > 0 && p[i].revents && !i)
				r = status;
			for (ssize_t at = 0, w; n > 0 && p[i].revents && i && at < n; at += w)
				if ((w = write(to[i], buf + at, (size_t)(n - at))) <= 0)
					break;
			if (n <= 0 && !(n < 0 && errno == EINTR)) {
				close(fds[i]);
				fds[i] = -1;
				left--;
			}
		}
	}
	return r;
}

/* The pipes: its arguments, its exit status, its output, its errors. */
static int ask_for(const struct review_options *o, const char *command, const char *dir)
{
	int in[4], out[4], r = 0;

	for (int i = 0; i < 4; i++) {
		int p[2];
		if (pipe2(p, O_CLOEXEC) < 0) {
			say("%s: %s", command, strerror(errno));
			return 2;
		}
		in[i] = p[0];
		out[i] = p[1];
	}
	fflush(stdout);
	signal(SIGPIPE, SIG_IGN);
	r = client_review(in[0], out[1], out[2], out[3]);
	if (r >= 0)
		r = wait_for(r, in[1]);
	close(in[0]);
	for (int i = 1; i < 4; i++)
		close(out[i]);
	if (r >= 0)
		r = send_arguments(out[0], o, command, dir) ? relay(in + 1) : -EIO;
	if (r >= 0)
		return r;
	say("%s: %s: cannot be reviewed from within its view: %s", command, dir, r == -EPERM ? "not in secure mode" : strerror(-r));
	return 2;
}

/* What is below is there for those of the view alone: it is done here, by a process that sees that. */
static int go_below(struct review_options *o, const char *command, struct mounted *m)
{
	int r = client_below(m->id);

	if (r < 0) {
		say("%s: %s: cannot be reviewed from within its view: %s", command, m->dir,
		    r == -EPERM ? "not in secure mode" : strerror(-r));
		return 2;
	}
	o->session = NULL;
	o->upper = m->dir;
	m->dir = NULL;		/* for good */
	return -1;
}

int review_outside(struct review_options *o, const char *command)
{
	struct mounted m = { .dir = NULL };
	int r = -1;

	if (client_inside())
		m = session_here(o);
	if (m.dir)
		r = m.over ? go_below(o, command, &m) : ask_for(o, command, m.kernels);
	mounted_free(&m);
	return r;
}

/* ---- outside, started by the monitor ------------------------------------------------------------------------- */

static int open_of(const char *pid, const char *fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%.20s/fd/%.20s", pid, fd);
	return open(path, flags | O_NOCTTY | O_CLOEXEC);
}

static void take_output(const char *pid, const char *fd, int to)
{
	int from = open_of(pid, fd, O_WRONLY);

	if (from < 0)
		from = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(from, to);
	close(from);
}

/* All until the other side closes: arguments, each with its NUL.  Their number. */
static int read_arguments(int fd, char ***argv)
{
	char *text = NULL;
	size_t len = 0, room = 0;
	ssize_t n;
	int argc = 0;

	do {
		if (len + 1 >= room) {
			char *more = realloc(text, room = 2 * room + 4096);
			if (!more)
				return 0;
			text = more;
		}
		n = read(fd, text + len, room - len - 1);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	text[len] = 0;
	for (size_t i = 0; i < len; i++)
		argc += !text[i];
	*argv = calloc((size_t)argc + 1, sizeof(**argv));
	for (int i = 0; *argv && i < argc; i++, text += strlen(text) + 1)
		(*argv)[i] = text;
	return *argv ? argc : 0;
}

static int run(int argc, char **argv)
{
	if (argc && !strcmp(argv[0], "diff"))
		return cmd_diff(argc, argv);
	if (argc && !strcmp(argv[0], "commit"))
		return cmd_commit(argc, argv);
	return argc && !strcmp(argv[0], "discard") ? cmd_discard(argc, argv) : 2;
}

int cmd_reviewer(int argc, char **argv)
{
	unsigned char status = 0;
	char **args = NULL;
	int in, out;

	if (argc != 6 || client_inside())
		return 2;
	in = open_of(argv[1], argv[2], O_RDONLY);
	out = open_of(argv[1], argv[3], O_WRONLY);
	take_output(argv[1], argv[4], STDOUT_FILENO);
	take_output(argv[1], argv[5], STDERR_FILENO);
	if (in < 0 || out < 0 || write(out, &status, 1) != 1)
		return 2;
	argc = read_arguments(in, &args);
	status = (unsigned char)run(argc, args);
	fflush(stdout);
	return write(out, &status, 1) == 1 ? 0 : 2;
}
