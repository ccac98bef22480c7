/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of threads and processes: birth (clone, fork, vfork), end (exit), and the locks that a fork
 * must find free.
 */
#ifndef UM_AGENT_LIFE_H
#define UM_AGENT_LIFE_H

#include "../kernel/task.h"

struct lifestate {
	bool own_process;	/* shares memory with another process: a child by vfork or bare CLONE_VM */
	bool vfork;		/* its parent is suspended, and frees the region afterwards */
	bool traceme;		/* such a child wants to be traced (PTRACE_TRACEME): from its exec on */
	bool released;		/* gave its files, fs, sighand back in good order */
	bool clear_handlers;	/* CLONE_CLEAR_SIGHAND: the child starts with default dispositions */
	uint64_t birth_mask;	/* the kernel mask to start with */
	void *exec_buf;		/* what exec allocated: a vfork child cannot free it, its parent does */
	size_t exec_size;
};

/* struct clone_args of clone3(2), version 2 */
struct um_clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	uint64_t set_tid, set_tid_size, cgroup;
};
#define UM_CLONE_ARGS_MIN	64

/*
 * clone in all its forms.  a->stack + a->stack_size is the child's stack pointer (0: the caller's).
 * size == 0: the caller used clone, fork or vfork; otherwise clone3 with a structure of that size.
 * Returns the child's id in the parent; the child comes up at the edge with rax = 0.
 */
long life_clone(struct task *t, struct um_clone_args *a, size_t size);

/* Ends this thread (group == false) or process. */
_Noreturn void life_end(struct task *t, int code, bool group);

/*
 * The same by force, when a guest's own filter says so: by the kernel's seccomp, with `action`
 * SECCOMP_RET_KILL_THREAD or _KILL_PROCESS; by signal sig (SIGKILL, or one whose action becomes the default),
 * the whole process.
 */
_Noreturn void life_kill(struct task *t, uint32_t action);
_Noreturn void life_die(struct task *t, int sig);

/* Threads that share this memory, as far as known (never too few). */
int life_threads(void);

/* Locks are taken in the order of registration around every fork, so that the child finds them free.
 * At most 16. */
void life_register_lock(struct lock *l);

#endif
