/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `umview mount -t cow`, and `umview --cow`: a session is made or taken up again (session.c), and its tree mounted.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "commands.h"
#include "log.h"
#include "options.h"
#include "session.h"

/* One error line; the value is the exit status. */
#define fail(...)	(say("mount: " __VA_ARGS__), 1)

/* What mount_cow() finds in its options. */
struct cow_options {
	const char *type;		/* cow, mincow */
	const char *upper;		/* NULL: a new session */
	char words[4096];		/* the rest, for the agent */
};

/* `list` is taken apart; what is known of it goes into c.  The first word that is not, or NULL. */
static const char *cow_words(struct cow_options *c, char *list)
{
	char *save;

	for (char *w = strtok_r(list, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		size_t n = strlen(c->words);

		if (!strcmp(w, "cow") || !strcmp(w, "mincow"))
			c->type = w;
		else if (!strncmp(w, "upper=", 6) && w[6])
			c->upper = w + 6;
		else if (!strncmp(w, "except=/", 8) || !strcmp(w, "perm") || !strcmp(w, "permanent"))
			snprintf(c->words + n, sizeof(c->words) - n, "%s%s", n ? "," : "", w);
		else
			return w;
	}
	return NULL;
}

bool mount_is_cow(const struct mount_options *o)
{
	if (!o->type)
		return false;
	return !strcmp(o->type, "cow") || !strcmp(o->type, "mincow") ||
	       (!strcmp(o->type, "viewfs") && (opts_have(o->opts, "cow") || opts_have(o->opts, "mincow")));
}

/* The session's directory: -o upper=DIR, or SRC, or a new one. */
static int choose_session(const char *given, char *dir, size_t size, char *error, size_t error_size)
{
	if (!given)
		return session_name(dir, size, error, error_size);
	if (mkdir(given, 0700) < 0 && errno != EEXIST)
		return snprintf(error, error_size, "%s: %s", given, strerror(errno)), -1;
	char *real = realpath(given, NULL);
	int n = real ? snprintf(dir, size, "%s", real) : -1;
	free(real);
	return n < 0 || (size_t)n >= size ? snprintf(error, error_size, "%s: %s", given, strerror(errno)), -1 : 0;
}

static int why_not_copied(const struct mount_options *o, const char *lower, const char *session)
{
	char *over = session_over(lower);
	int r = over && o->type && !strcmp(o->type, "mincow")
			? fail("%s: is of a mount (%s) already, and only `cow` goes over those, not `mincow`", lower, over)
			: fail("%s: cannot be copied on write: the view has merge mounts, or the session %s is itself in a mounted image "
			       "or among what another one copies; give one elsewhere with --upper DIR", lower, session);

	free(over);
	return r;
}

static int mount_session(const struct mount_options *o, const struct cow_options *c)
{
	char session[PATH_MAX], tree[PATH_MAX + 8], error[SESSION_ERROR], holder[320];
	char *lower = realpath(o->dst, NULL);
	struct stat st;
	int r = 0;

	if (!lower || stat(lower, &st) < 0)
		r = fail("%s: %s", o->dst, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		r = fail("%s: is no directory; only directories are copied on write", lower);
	if (r) {
		free(lower);
		return r;
	}
	if (choose_session(o->src ? o->src : c->upper, session, sizeof(session), error, sizeof(error)) < 0 ||
	    session_prepare(session, lower, o->command, error, sizeof(error)) < 0)
		r = fail("%s", error);
	else
		session_tidy(session);
	snprintf(tree, sizeof(tree), "%s/tree", session);
	if (!r && mount(tree, lower, c->type, 0, c->words) < 0)
		r = errno == EALREADY ? fail("%s: the session is in use by %s", session,
					     session_is_used(session, holder, sizeof(holder)) ? holder : "another view") :
		    errno == EBUSY ? why_not_copied(o, lower, session)
				   : fail("%s: %s", lower, strerror(errno));
	if (r && !o->src && !c->upper)
		session_remove(session, error, sizeof(error));
	free(lower);
	return r;
}

int mount_cow(const struct mount_options *o)
{
	struct cow_options c = { .type = o->type };
	char *list = strdup(o->opts ? o->opts : "");
	const char *unknown = list ? cow_words(&c, list) : "";
	int r = unknown ? fail("-o %s: not known; there are upper=DIR, except=/REL, perm", unknown) : mount_session(o, &c);

	free(list);
	return r;
}
