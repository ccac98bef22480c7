/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line as data.  Nothing here acts.
 */
#ifndef UM_MONITOR_OPTIONS_H
#define UM_MONITOR_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "machine.h"

enum action {
	ACT_RUN,		/* a new view, and a command in it */
	ACT_SUBCOMMAND,		/* umview mount, umount, ls: argv is its own command line */
	ACT_INSIDE_EXEC,	/* hidden: change directory, then execute argv (we are in the view already) */
	ACT_INSIDE_BINDS,	/* hidden: the steps, which are all binds, in the view that we are in */
	ACT_PROBE,
	ACT_HELP,
	ACT_VERSION,
};

enum step_kind { STEP_MOUNT, STEP_BIND, STEP_HIDE, STEP_TMPFS, STEP_COW, STEP_MINCOW, STEP_MERGE };

/* What is mounted before COMMAND starts, in the order of the command line. */
struct step {
	enum step_kind kind;
	const char *type, *opts;	/* or NULL */
	const char *src, *dst;		/* HIDE, TMPFS: src is NULL */
};

struct options {
	enum action action;
	struct step *steps;		/* allocated */
	int nsteps;
	const char *chdir, *chroot;
	const char *user;		/* --user, or "0:0:0" for --fakeroot; NULL: who we are */
	bool secure;			/* --secure; then there is a user */
	const char *table_load, *table_save;	/* --fakeroot-load, --fakeroot-save */
	bool trace, log;
	const char *trace_file, *log_file;	/* NULL: stderr */
	bool kill_on_exit;
	unsigned patch_after;
	bool plain_ptrace;
	enum tier tier;			/* TIER_NONE: not named */
	bool json;
	int argc;			/* COMMAND, or the subcommand with its arguments; may be 0 */
	char **argv;
	char error[256];		/* why options_parse() failed */
};

int options_parse(struct options *o, int argc, char **argv);	/* 0 or -1; options_free() after both */
void options_free(struct options *o);

/* Options of `umview mount` and `umview umount`. */
struct mount_options {
	const char *type, *opts;
	char *joined;		/* opts, if they were given in several words: allocated */
	const char *src, *dst;		/* src: NULL where there is none */
	const char *command;		/* -c, our own: what the view is for */
	bool lazy, force, read_only;
	bool move;		/* --move */
	char error[256];
};
int mount_options_parse(struct mount_options *o, int argc, char **argv);
int umount_options_parse(struct mount_options *o, int argc, char **argv);

/* Is `word` in the comma-separated list?  list may be NULL. */
bool opts_have(const char *list, const char *word);
/* A copy of the list without `word`, to be freed; "" if nothing is left. */
char *opts_without(const char *list, const char *word);

extern const char options_help[];

#endif
