/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel tells of a thread in /proc/TID/stat, by raw calls only: for locks and signal handlers.
 */
#ifndef UM_AGENT_THREAD_STAT_H
#define UM_AGENT_THREAD_STAT_H

#include "agent.h"
#include <linux/fcntl.h>

/* The file into text, with a NUL behind it (512 bytes hold all of it).  Its length, or -errno: -ENOENT or -ESRCH, the thread is not there.
 * *opened: has it been there to be opened? */
static inline long thread_stat(uint32_t tid, char *text, size_t size, bool *opened)
{
	long fd, n;

	text_format(text, size, "/proc/%u/stat", tid);
	fd = raw_syscall(__NR_openat, AT_FDCWD, text, O_RDONLY | O_CLOEXEC, 0);
	*opened = fd >= 0;
	n = fd < 0 ? fd : raw_syscall(__NR_read, fd, text, size - 1);
	if (fd >= 0)
		raw_syscall(__NR_close, fd);
	text[n > 0 ? n : 0] = 0;
	return n;
}

/* Where field number `field` of it begins, from 3 on (proc_pid_stat(5)), or NULL.  The second's text is the program's. */
static inline const char *thread_stat_field(const char *text, int field)
{
	const char *s = strrchr(text, ')');

	for (int at = 2; s && at < field; at++)
		s = strchr(s + 1, ' ');
	return s ? s + 1 : NULL;
}

#endif
