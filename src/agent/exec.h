/* SPDX-License-Identifier: GPL-2.0-or-later */
/* execve: exec.c, exec_args.c; and the text that carries a process's state over it: boot.c. */
#ifndef UM_AGENT_EXEC_H
#define UM_AGENT_EXEC_H

#include "../kernel/task.h"

#define UM_BOOT_MAX	16384
#define UM_CWD_MAX	(2 * UM_PATH_MAX)

/* What the agent of the next image must know. */
struct boot {
	bool first;			/* started by the monitor: install the filter, find the program in PATH */
	int image_fd, world_fd;
	uint32_t view, epoch, server;
	uint32_t umask;			/* (the first image asks the kernel) */
	uint64_t ignored;		/* signals ignored, bit by number */
	bool sigsys_blocked;
	int prog_fd, interp_fd;		/* -1 none */
	int hold_fd;			/* carrier of the program's file: its mount is busy while it is open; -1 none */
	unsigned guard;			/* kernel/guard.h: guard_word() */
	int guard_fd;			/* the guest's own filters; -1 none */
	char *ident;			/* the first image: who it is (cred_login()), or NULL: who the kernel says */
	char *cred;			/* the others: text of cred_write(), or NULL */
	bool own_pids, polls;		/* as in struct process */
	int fds_fd;			/* what is too long for `fds`, instead of it; -1 none */
	char *fds, *cwd, *exe;		/* texts of files_describe, fsinfo_describe; path of the program if it is virtual */
};

/* Text "um1 key=value ..." with blanks and % in values as %XX.  Length or -E2BIG. */
long boot_write(const struct boot *b, char *buf, size_t size);

/* The reverse; texts point into `text`, which is changed.  false if it is none. */
bool boot_read(struct boot *b, char *text);

/*
 * Executes a program in this process: what execveat(2) does.  argv and envp are vectors in the guest's or
 * our memory.  Returns only on failure: -errno.
 */
long exec_program(struct task *t, int dfd, gaddr path, gaddr argv, gaddr envp, int flags);

/* exec_args.c: the entries of a vector before its NULL, or -EFAULT; what is wrong with both vectors and their strings,
 * 0 if nothing is. */
long exec_count(struct task *t, gaddr v);
long exec_check_args(struct task *t, gaddr argv, gaddr envp);

/* What an exec of t's left allocated: a vfork child's parent calls this when the child is gone. */
void exec_buf_free(struct task *t);
void exec_after_fork(void);	/* in the child: whoever had the common buffer is gone */

/* The first program of a view: argv[0] is looked up in PATH; failure is reported and ends the process. */
_Noreturn void exec_first(struct task *t, char **argv, char **envp);

#endif
