/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arguments that `umview mount` calls a FUSE program with.
 */
#ifndef UM_MONITOR_MOUNTARGV_H
#define UM_MONITOR_MOUNTARGV_H

#include <stdbool.h>

/* What the user's options say of that; strings are allocated, or NULL. */
struct mount_call_form {
	bool no_source;		/* nosource: there is no argument for it */
	bool show;		/* showcall: tell the user */
	char *pre, *post;	/* words in front of all others, behind all others */
	char *uid, *gid;	/* fuseuid, fusegid: who the program is told that all requests come from */
	char *format;		/* all words: %O the options, %S the source, %M the mount point, %% a percent sign */
};

struct mount_call_what {
	const char *program;		/* its argument 0 */
	const char *module;		/* an argument in front of all others, or NULL */
	const char *arg;		/* one in front of the source, or NULL */
	const char *source, *place, *options;
};

/* Takes these options out of the list *options (allocated, replaced).  0, or -1: no memory. */
int mount_call_take(struct mount_call_form *f, char **options);
void mount_call_free(struct mount_call_form *f);

/* NULL-terminated, for mount_call_argv_free().  NULL: no memory, or more than 64 words. */
char **mount_call_argv(const struct mount_call_form *f, const struct mount_call_what *w);
void mount_call_argv_free(char **argv);

#endif
