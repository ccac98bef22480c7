/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Removing trees by descriptors: remove.c.
 */
#ifndef UM_MONITOR_REMOVE_H
#define UM_MONITOR_REMOVE_H

#include <stdbool.h>

/* Removes `name` in dir and all that is in it, following nothing.  open_up: directories that their owner may not read or
 * write are made so that he may.  0 or -errno (the first error; what could be removed is). */
int remove_tree(int dir, const char *name, bool open_up);

#endif
