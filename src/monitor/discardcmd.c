/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `umview discard`: a session, or what it holds of some paths, is dropped.  What is below shows again.
 *
 * A path leaves the tree by one rename, into work/, where it is taken apart.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "commit.h"
#include "log.h"

static const char usage[] =
"usage: umview discard [--session ID | --upper DIR] [PATH...]\n"
"Drops a copy-on-write session, or what it holds of PATH and in it.\n";

struct discard {
	struct session *s;
	struct strings shown;	/* paths below of what directories show that were moved, and are going to be dropped */
	struct progress progress;
	bool found, failed;
};

static void tell(struct discard *d, const char *path, const char *what)
{
	char *shown = path_shown(d->s->lower, path);

	progress_end(&d->progress);
	say("discard: %s: %s", shown ? shown : path, what);
	free(shown);
	d->failed = true;
}

/* Out of the tree at once, then to pieces. */
static int take_out(struct discard *d, struct change *c)
{
	const char *work = UM_COW_WORK "/review";
	struct stat dir;
	int r = 0;

	session_change_begin(d->s);
	if (c->whiteout && c->has_low && c->low.st_nlink > 1 && !S_ISDIR(c->low.st_mode))
		session_name_gone(d->s, c->low.st_dev, c->low.st_ino);
	if (fstatat(c->up_dir, ".", &dir, 0) < 0)
		r = -errno;
	session_drop(d->s, d->s->dir_fd, work, NULL);
	if (!r && renameat(c->up_dir, c->name, d->s->dir_fd, work) < 0)
		r = -errno;
	session_change_end(d->s);
	if (r == -EACCES || r == -EPERM)		/* a directory that may not be written: name by name */
		return session_drop(d->s, c->up_dir, c->name, c->path);
	if (r)
		return r;
	const struct timespec times[2] = { dir.st_atim, dir.st_mtim };
	utimensat(c->up_dir, ".", times, 0);
	return session_drop(d->s, d->s->dir_fd, work, c->path);
}

/* ---- moved directories ------------------------------------------------------------------------------------ */

static enum visit visit_moved(struct review *r, struct change *c)
{
	struct discard *d = r->arg;

	if (c->from && c->selected && strings_add(&d->shown, c->from))
		tell(d, c->path, strerror(ENOMEM));
	return VISIT_ON;
}

static enum visit visit_old_place(struct review *r, struct change *c)
{
	struct discard *d = r->arg;

	for (size_t i = 0; i < d->shown.n && c->whiteout; i++)
		if (!strcmp(d->shown.at[i], c->low_path)) {
			session_drop(d->s, c->up_dir, c->name, c->path);
			break;
		}
	return VISIT_ON;
}

/* What they show is to be seen in its old place again, first: were it hidden in both, a commit would remove it. */
static void show_old_places(struct discard *d, char **only, int n)
{
	struct review r = { .s = d->s, .visit = visit_moved, .arg = d, .only = only, .nonly = n };

	if (!d->s->state->nredirect)
		return;
	review_walk(&r);
	r.visit = visit_old_place;
	r.nonly = 0;
	if (d->shown.n)
		review_walk(&r);
	strings_free(&d->shown);
}

/* ---- all of it ---------------------------------------------------------------------------------------------- */

static enum visit visit(struct review *r, struct change *c)
{
	struct discard *d = r->arg;

	progress_step(&d->progress);
	if (!c->selected || !*c->path)
		return c->has_up && S_ISDIR(c->up.st_mode) ? VISIT_ON : VISIT_SKIP;
	d->found = true;
	if (c->implied) {
		tell(d, c->path, "is hidden because the directory it is in has been replaced; discard that");
		return VISIT_SKIP;
	}
	if (c->moved_away && c->whiteout && review_moved_below(r, c->low_path, true) > review_moved_below(r, c->low_path, false)) {
		tell(d, c->path, "is shown by the session at another place, where it was moved; discard that");
		return VISIT_SKIP;
	}
	const char *why = d->s->running ? discard_running(d->s, c) : NULL;
	if (why && !*why)
		return VISIT_ON;
	if (why)
		tell(d, c->path, why);
	if (d->s->running)
		return VISIT_SKIP;
	int e = take_out(d, c);
	if (e)
		tell(d, c->path, strerror(-e));
	return VISIT_SKIP;
}

static void trouble(struct review *r, const char *path, int error)
{
	struct discard *d = r->arg;

	if (!d->s->running || error != ENOENT)		/* a guest has taken it away just now */
		tell(r->arg, path, strerror(error));
}

static int discard_paths(struct session *s, const struct review_options *o)
{
	struct discard d = { .s = s };
	struct review r = { .s = s, .visit = visit, .trouble = trouble, .arg = &d, .nonly = 1 };
	char error[SESSION_ERROR];
	char **only = review_paths(s, o->npaths, o->paths, error, sizeof(error));

	if (!only) {
		say("discard: %s", error);
		return 2;
	}
	session_clean(s);
	if (!s->running)
		show_old_places(&d, only, o->npaths);
	progress_start(&d.progress, "discard");
	for (int i = 0; i < o->npaths; i++) {
		r.only = &only[i];
		d.found = false;
		review_walk(&r);
		if (!d.found && *only[i])
			tell(&d, only[i], "the session holds no change of it");
	}
	progress_end(&d.progress);
	review_paths_free(only, o->npaths);
	return d.failed ? 1 : 0;
}

static int discard_session(const struct review_options *o)
{
	char dir[PATH_MAX], error[SESSION_ERROR];

	if (session_find(dir, sizeof(dir), o->session, o->upper, error, sizeof(error)) == 0 &&
	    session_remove(dir, error, sizeof(error)) == 0)
		return 0;
	say("discard: %s", error);
	return 2;
}

/* Without paths: the session; or, if a view works on it, all that it holds. */
static bool is_whole(const struct review_options *o)
{
	char dir[PATH_MAX], error[SESSION_ERROR], holder[320];

	return !o->npaths && (session_find(dir, sizeof(dir), o->session, o->upper, error, sizeof(error)) < 0 ||
			      !session_is_used(dir, holder, sizeof(holder)));
}

int cmd_discard(int argc, char **argv)
{
	struct review_options o;
	struct session s;
	int r = review_options_parse(&o, argc, argv, "", usage);

	if (r)
		return r < 0 ? 0 : r;
	r = review_outside(&o, "discard");
	if (r >= 0)
		return r;
	if (is_whole(&o))
		return discard_session(&o);
	r = session_use(&s, &o, "discard");
	if (r)
		return r;
	if (!o.npaths) {
		o.npaths = 1;
		o.paths = &s.lower;
	}
	r = discard_paths(&s, &o);
	session_end(&s);
	return r;
}
