/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `umview try COMMAND`: COMMAND runs with --cow /, and then its user says what of it shall be.
 *
 * The view is one like any other, started by ourselves under a session that we have named.  Without a terminal nobody is
 * asked: the session stays, and is named with what can be done about it.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "log.h"
#include "options.h"
#include "review.h"

static const char usage[] =
"usage: umview try [OPTION...] [--] COMMAND [ARG...]\n"
"Runs COMMAND with --cow / and the other options of a view, then asks what of its changes is to be kept.\n";

struct trial {
	char dir[PATH_MAX];
	const char *id;
	struct session s;
};

/* ---- running ------------------------------------------------------------------------------------------------ */

/* COMMAND's own signals of the terminal are not ours. */
static int run(char **argv)
{
	struct sigaction ign = { .sa_handler = SIG_IGN }, old_int, old_quit;
	int status = 0;

	sigaction(SIGINT, &ign, &old_int);
	sigaction(SIGQUIT, &ign, &old_quit);
	pid_t pid = fork();
	if (pid == 0) {
		sigaction(SIGINT, &old_int, NULL);
		sigaction(SIGQUIT, &old_quit, NULL);
		execv("/proc/self/exe", argv);
		say("try: cannot start: %s", strerror(errno));
		_exit(125);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGQUIT, &old_quit, NULL);
	return pid < 0 ? 125 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* umview --cow / --upper DIR OPTION... -- COMMAND... */
static char **view_arguments(const struct trial *t, int argc, char **argv, const struct options *o)
{
	char **args = calloc((size_t)argc + 8, sizeof(*args));
	int n = 0;

	if (!args)
		return NULL;
	args[n++] = (char *)"umview";
	args[n++] = (char *)"--cow";
	args[n++] = (char *)"/";
	args[n++] = (char *)"--upper";
	args[n++] = (char *)t->dir;
	for (int i = 1; i < argc - o->argc && strcmp(argv[i], "--"); i++)
		args[n++] = argv[i];
	args[n++] = (char *)"--";
	memcpy(args + n, argv + argc - o->argc, (size_t)o->argc * sizeof(*args));
	return args;
}

/* ---- asking ------------------------------------------------------------------------------------------------- */

static char ask(const char *question, const char *answers)
{
	char line[64];

	for (;;) {
		fprintf(stderr, "%s ", question);
		fflush(stderr);
		if (!fgets(line, sizeof(line), stdin))
			return 0;
		for (int rest = strchr(line, '\n') ? '\n' : 0; rest != '\n' && rest != EOF;)
			rest = getchar();	/* no answer to what is asked next */
		if (line[0] && line[0] != '\n' && strchr(answers, line[0]))
			return line[0];
	}
}

struct choice {
	char **paths;
	int n;
	char rest;		/* 'a': all that follow, 'q': none */
};

static enum visit choose(struct review *r, struct change *c)
{
	struct choice *k = r->arg;
	bool dir = c->has_up && S_ISDIR(c->up.st_mode);
	char *path, question[PATH_MAX + 100], answer = k->rest;

	if (c->kind == CHANGE_NONE || c->moved_away || !*c->path)
		return dir ? VISIT_ON : VISIT_SKIP;
	char *shown = path_shown(r->s->lower, c->path);
	snprintf(question, sizeof(question), "%c%s %s%s: keep? [y]es, [n]o, [a]ll that follow, [q]: none of them",
		 change_letter(c->kind), c->conflict ? "!" : " ", shown ? shown : "?", dir ? "/ and what is in it" : "");
	free(shown);
	if (!answer)
		answer = ask(question, "ynaq");
	if (!answer || answer == 'q')
		return VISIT_STOP;
	if (answer == 'a')
		k->rest = 'a';
	char **more = answer == 'n' ? NULL : realloc(k->paths, (size_t)(k->n + 1) * sizeof(*more));
	if (more && asprintf(&path, "/%s", c->path) >= 0) {
		k->paths = more;
		k->paths[k->n++] = path;
	}
	return dir && c->kind == CHANGE_ATTRIBUTES ? VISIT_ON : VISIT_SKIP;
}

static void commit_chosen(struct trial *t)
{
	struct choice k = { .n = 0 };
	struct review r = { .s = &t->s, .visit = choose, .arg = &k };

	review_walk(&r);
	const struct review_options o = { .npaths = k.n, .paths = k.paths };
	if (k.n)
		commit_session(&t->s, &o);
	for (int i = 0; i < k.n; i++)
		free(k.paths[i]);
	free(k.paths);
}

static void tell_session(const struct trial *t)
{
	say("the changes are in session %s: umview diff, commit or discard --session %s; to go on in it: "
	    "umview --cow / --upper %s", t->id, t->id, t->dir);
}

/* One answer.  Returns whether that was all. */
static bool decide(struct trial *t, char answer, bool *discard)
{
	struct review_options o = { .text = true };

	switch (answer) {
	case 'd':
		diff_show(&t->s, &o);
		return false;
	case 'a':
		return commit_session(&t->s, &(struct review_options){ .npaths = 0 }) == 0;
	case 'c':
		commit_chosen(t);
		return false;
	case 'n':
		*discard = true;
		return true;
	}
	return true;
}

static void decide_all(struct trial *t)
{
	const struct review_options o = { .upper = t->dir }, sums = { .stat = true };
	char error[SESSION_ERROR];
	bool discard = false, over = false;

	if (session_use(&t->s, &o, "try"))
		return tell_session(t);
	while (!over && review_any(t->dir, error, sizeof(error)) > 0) {
		diff_show(&t->s, &sums);
		over = decide(t, ask("Keep what it changed? [a]ll, [n]othing, [c]hoose, look at the [d]ifference, decide [l]ater:", "ancdl"),
			      &discard);
	}
	session_end(&t->s);
	if (discard && session_remove(t->dir, error, sizeof(error)) < 0)
		say("try: %s", error);
	else if (access(t->dir, F_OK) == 0)
		tell_session(t);
}

/* ---- the command ---------------------------------------------------------------------------------------------- */

static void after(struct trial *t)
{
	char error[SESSION_ERROR], holder[320];
	int any;

	/* It did not even begin; or nothing changed, and the view has removed it. */
	if (rmdir(t->dir) == 0 || access(t->dir, F_OK) < 0)
		return;
	any = review_any(t->dir, error, sizeof(error));
	if (any < 0)
		say("try: %s", error);
	else if (any && isatty(STDIN_FILENO) && isatty(STDERR_FILENO) && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
		decide_all(t);
	else if (any && session_is_used(t->dir, holder, sizeof(holder)))
		tell_session(t);	/* else the view has told it when it ended */
}

int cmd_try(int argc, char **argv)
{
	static struct options o;
	static struct trial t;
	char error[SESSION_ERROR];

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return fputs(usage, stdout) < 0 || fflush(stdout) ? 1 : 0;
	if (options_parse(&o, argc, argv) < 0) {
		say("try: %s", o.error);
		return 125;
	}
	if (o.action != ACT_RUN || !o.argc) {
		say("try: give a COMMAND; see umview try --help");
		return 125;
	}
	if (session_name(t.dir, sizeof(t.dir), error, sizeof(error)) < 0) {
		say("try: %s", error);
		return 125;
	}
	t.id = strrchr(t.dir, '/') + 1;
	char **args = view_arguments(&t, argc, argv, &o);
	int status = args ? run(args) : 125;
	free(args);
	after(&t);
	return status;
}
