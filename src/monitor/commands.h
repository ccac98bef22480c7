/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands.  Each gets its own command line and returns the exit status.
 */
#ifndef UM_MONITOR_COMMANDS_H
#define UM_MONITOR_COMMANDS_H

#include <stdbool.h>

struct step;

int cmd_mount(int argc, char **argv);
int cmd_umount(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int ls_sessions(bool json);
int cmd_diff(int argc, char **argv);
int cmd_commit(int argc, char **argv);
int cmd_discard(int argc, char **argv);
int cmd_reviewer(int argc, char **argv);	/* review_inside.c */
int cmd_try(int argc, char **argv);
int cmd_su(int argc, char **argv);
int cmd_sudo(int argc, char **argv);
int cmd_module(int argc, char **argv);		/* as umview-module */
int cmd_fusermount(int argc, char **argv);
int probe(bool json);
struct mount_options;
bool mount_is_cow(const struct mount_options *o);	/* as a type, or as a word of viewfs: mountcow.c */
int mount_cow(const struct mount_options *o);		/* the exit status */
int make_binds(const struct step *steps, int n);	/* several at the start of a view: one process for all */

#endif
