/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Users and groups (identity.c), and what files are remembered to be over several views (statefile.c). */
#ifndef UM_MONITOR_IDENTITY_H
#define UM_MONITOR_IDENTITY_H

#include <stdbool.h>

#include "world.h"

struct identity {
	unsigned uid, gid;
	bool has_group;			/* gid is the one that belongs to the user */
	char name[256], home[1024], shell[1024];	/* "" if nobody knows */
};

/* By name, number, or "#number".  false: there is none.  A number need not be known. */
bool identity_user(const char *name, struct identity *i);
bool identity_group(const char *name, unsigned *gid);

/* The text for an agent, to be freed; NULL after having said why not.  The first: with all groups that the user is a
 * member of; the second: of "USER[:GROUP[:GROUP,GROUP...]]". */
char *identity_with_groups(const struct identity *i);
char *identity_parse(const char *spec);

/*
 * --fakeroot-load, --fakeroot-save: the table of the world, as fakeroot(1) writes it: a line for each inode,
 * dev=HEX,ino=N,mode=OCTAL,uid=N,gid=N,nlink=N,rdev=N.  0, or -1 after having said why not.
 */
int statefile_load(struct world *w, const char *path);
int statefile_save(struct world *w, const char *path);

#endif
