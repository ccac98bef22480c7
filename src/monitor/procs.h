/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who descends from whom: read from /proc.
 */
#ifndef UM_MONITOR_PROCS_H
#define UM_MONITOR_PROCS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* All processes that can be seen, at one moment. */
struct proc {
	pid_t pid, ppid;
	char state;		/* as in /proc/PID/stat */
	char mark;		/* for procs_mark_below() */
};

struct procs {
	struct proc *tab;
	size_t n;
};

int procs_read(struct procs *ps);		/* 0 or -errno */
void procs_free(struct procs *ps);

/* Marks every unmarked process below `root` (and root itself).  A marked process hides what is below. */
void procs_mark_below(struct procs *ps, pid_t root, char mark);

/* The parent and the state of one process: 0, or -1 if there is no such process. */
int proc_stat(pid_t pid, pid_t *ppid, char *state);
/* The thread group of a thread; -1 if there is no such thread. */
pid_t proc_of_thread(pid_t tid);
/* Is `pid` the same as `ancestor` or below it? */
bool proc_descends(pid_t pid, pid_t ancestor);
/* No longer running (gone, or a zombie without further threads). */
bool proc_is_over(pid_t pid);
/* A short name for messages, "bash"; "?" if it cannot be had. */
void proc_name(pid_t pid, char *buf, size_t size);

#endif
