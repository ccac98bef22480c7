/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copy-on-write sessions on disk (wire/cow.h): made, checked, found.
 */
#ifndef UM_MONITOR_SESSION_H
#define UM_MONITOR_SESSION_H

#include <stdbool.h>
#include <stddef.h>

/* Makes the session `dir` for changes of the directory `lower`, or takes the one that is there.  0, or -1 with the
 * reason in error. */
int session_prepare(const char *dir, const char *lower, char *error, size_t size);

/* A new name for a session: $XDG_STATE_HOME/umview/TIME-PID, its directory made.  0, or -1 with the reason in error. */
int session_name(char *dir, size_t size, char *error, size_t error_size);

#endif
