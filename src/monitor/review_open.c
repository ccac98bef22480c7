/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the commands that review sessions begin and end: their options, which session is meant, who else works on it.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "review.h"

/* ---- options ------------------------------------------------------------------------------------------------- */

static const struct word {
	const char *name, *letter;
	char flag;
	size_t at;
} words[] = {
	{ "--json", "-j", 'j', offsetof(struct review_options, json) },
	{ "--stat", "-s", 's', offsetof(struct review_options, stat) },
	{ "--text", "-u", 'u', offsetof(struct review_options, text) },
	{ "--force", "-f", 'f', offsetof(struct review_options, force) },
	{ "--all", "-a", 'a', offsetof(struct review_options, all) },
};

static bool take_flag(struct review_options *o, const char *arg, const char *flags)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if ((!strcmp(words[i].name, arg) || !strcmp(words[i].letter, arg)) && strchr(flags, words[i].flag)) {
			*(bool *)((char *)o + words[i].at) = true;
			return true;
		}
	return false;
}

/* "--name VALUE", "--name=VALUE". */
static const char *take_value(const char *name, int argc, char **argv, int *i)
{
	size_t n = strlen(name);

	if (strncmp(argv[*i], name, n))
		return NULL;
	if (argv[*i][n] == '=')
		return argv[*i] + n + 1;
	return !argv[*i][n] && *i + 1 < argc ? argv[++*i] : NULL;
}

int review_options_parse(struct review_options *o, int argc, char **argv, const char *flags, const char *usage)
{
	const char *value;
	int i = 1;

	memset(o, 0, sizeof(*o));
	for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			printf("%s", usage);
			return fflush(stdout) ? 1 : -1;
		}
		if (take_flag(o, argv[i], flags))
			continue;
		if ((value = take_value("--session", argc, argv, &i))) {
			o->session = value;
		} else if ((value = take_value("--upper", argc, argv, &i))) {
			o->upper = value;
		} else {
			say("%s: unknown option %s, or it lacks its value; try umview %s --help", argv[0], argv[i], argv[0]);
			return 2;
		}
	}
	o->npaths = argc - i;
	o->paths = argv + i;
	return 0;
}

int review_open(struct session *s, const struct review_options *o, const char *command, bool writable)
{
	char dir[PATH_MAX], error[SESSION_ERROR];

	if (session_find(dir, sizeof(dir), o->session, o->upper, error, sizeof(error)) == 0 &&
	    session_open(s, dir, writable, error, sizeof(error)) == 0)
		return 0;
	say("%s: %s", command, error);
	return 2;
}

static int lock_for(struct session *s, const char *lock, const char *what, char *holder, size_t size)
{
	int fd = session_lock(s->dir, lock, what, holder, size);

	if (fd < 0 && fd != -EAGAIN)
		snprintf(holder, size, "%s", strerror(-fd));
	return fd;
}

int session_use(struct session *s, const struct review_options *o, const char *command)
{
	char what[64], holder[320];
	int r = review_open(s, o, command, true);

	if (r)
		return r;
	snprintf(what, sizeof(what), "umview %s", command);
	s->review_fd = lock_for(s, UM_COW_REVIEWING, what, holder, sizeof(holder));
	r = s->review_fd;
	if (r >= 0) {
		s->lock_fd = r = lock_for(s, UM_COW_LOCK, what, holder, sizeof(holder));
		s->running = r == -EAGAIN;		/* no command has it, so a view does */
	}
	if (r < 0 && !s->running) {
		say("%s: %s: %s%s", command, s->dir, r == -EAGAIN ? "is in use by " : "", holder);
		session_close(s);
		return 2;
	}
	session_change_begin(s);	/* finishes what somebody who was killed had begun */
	r = session_settle(s, false);	/* and what a view had put off that has ended just now */
	session_change_end(s);
	if (!r)
		return 0;
	say("%s: %s: a name that was removed cannot be marked as such: %s", command, s->dir, strerror(-r));
	session_close(s);
	return 2;
}

void session_end(struct session *s)
{
	char *dir = session_is_own(s->dir) ? strdup(s->dir) : NULL, error[SESSION_ERROR];

	session_close(s);
	if (dir && review_any(dir, error, sizeof(error)) == 0)
		session_remove(dir, error, sizeof(error));
	free(dir);
}
