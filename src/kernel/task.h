/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * struct task: everything the agent knows about one guest thread, and the pieces that threads share as
 * they do in the kernel (CLONE_FILES, CLONE_FS, CLONE_SIGHAND).
 *
 * A task lives in its own UM_TASK_SPAN-aligned region (arch/x86_64/offsets.h), between the agent's stack for
 * the thread and its alternate signal stack.  Only the thread itself touches its task, except where a
 * field says otherwise.
 */
#ifndef UM_KERNEL_TASK_H
#define UM_KERNEL_TASK_H

#include "../agent/agent.h"
#include "../arch/x86_64/offsets.h"
#include "../arch/x86_64/regs.h"
#include "../wire/world.h"
#include "../wire/channel.h"

struct files;		/* kernel/fd.h: which descriptors are virtual */
struct fsinfo;		/* kernel/path.h: cwd, root, umask */
struct sighand;		/* agent/signal.h: dispositions */
struct cred;		/* kernel/cred.h: an identity */

/* What is the same for all threads (one address space).  Immutable after start unless noted. */
struct process {
	int pid;			/* changes at fork, by the only thread of the child */
	int world_fd, image_fd;		/* the two descriptors we own, guarded */
	const struct um_world *world;	/* mapped read-only: header, then the first view */
	const struct um_view_slot *views;	/* mapped read-only: our view's span, from its slot on */
	uint32_t watch;			/* WATCH_*; only ever set */
	char *exe;			/* path of the running program if the kernel has another, else NULL: fs/proc_exe.c */
	bool polls;			/* poll and select come to us: kernel/ready.h.  Only ever set */
	bool own_pids;			/* our process ids may not be the world's: a name space of the guest's own.  Only ever set */
};
extern struct process process;

enum {
	WATCH_TRACE = 1, WATCH_GUARD = 2,	/* why calls go the long way in dispatch.c */
	WATCH_DEBUG = 1 << 24,		/* ... and tell a debugger, whose agent writes this byte (agent/debug.h) */
	WATCH_CALLS = WATCH_DEBUG | 0xff,
	WATCH_VIRTUAL = 0x100,		/* some descriptor may be virtual */
	WATCH_IDENTITY = 0x200,		/* some thread has an identity: what fstat() shows may be virtual */
	WATCH_HINTS = 0x10000,		/* some have hints (path_base.c) */
};

struct task {
	/* the offsets of the first six fields are known to entry.S (arch/x86_64/offsets.h) */
	struct task *self;		/* points back: how entry.S believes gs */
	uint32_t pending;		/* signals queued in `queue`, or other work to do at the edge */
	uint32_t busy;			/* 1 while a thread uses the region; cleared by its last instruction */
	struct regs regs;		/* the guest's registers while it is in the agent */
	uint64_t tail;			/* fd_entry: where the guest goes on, and its flags */
	uint32_t flags;

	int tid;
	int pid;			/* thread group: differs from process.pid in a vfork child only */
	uint32_t view;			/* number of our view */
	uint32_t epoch;			/* mounts with id < epoch are visible; UINT32_MAX normally */
	bool polls;			/* as in struct process, of this thread alone */
	uint32_t is_server;		/* this process serves a mount: not a guest whose end is awaited */
	struct files *files;		/* shared with CLONE_FILES */
	struct fsinfo *fs;		/* shared with CLONE_FS */
	struct sighand *sighand;	/* shared with CLONE_SIGHAND */
	struct sigstate *sig;		/* agent/signal.h: queue, masks, guest's altstack */
	struct lifestate *life;		/* agent/life.h */
	struct guard *guard;		/* kernel/guard.h: the guest's own filters */
	struct cred *cred;		/* NULL: it is who the kernel says; own thread only */

	struct slot_ref *slots;		/* agent/channel.h: our slot at each server used so far */
	uint32_t nr;			/* system call being served, for restart and trace */

	/* for a debugger in the view (agent/debug.h), whose agent writes the first two and `skipped` */
	uint32_t debug;			/* DEBUG_CALLS, DEBUG_STEP: what it is told */
	uint32_t traced;		/* DEBUG_TRACED, ..., and the options it wants; 0: nobody traces us */
	long skipped;			/* the result of a call that it has made number -1 of */
	uint64_t behind;		/* where the guest goes on if the call is not made again */
	uint32_t trapped;		/* the kernel has told of the begin of this call */

	uint64_t vstat_self;		/* what names us in a lock that processes share (vstat.c) */
};

#define UM_TASK_SPAN	(128u << 10)

/* The task on one of whose stacks (the agent's, the one for signals) we are. */
static inline struct task *task_of_stack(void)
{
	uint64_t sp = (uint64_t)__builtin_frame_address(0);

	return (struct task *)((sp & ~(uint64_t)(UM_TASK_SPAN - 1)) + TASK_OFFSET);
}

/* A fresh task in a free region, busy = 1; or NULL. */
struct task *task_new(void);
struct task *task_first(void);	/* of a new image: the region that is part of it, still zero */
extern struct lock tasks_lock;

/* Tasks in use, one after the other; NULL: the first, or no more.  The caller holds tasks_lock, or only looks. */
struct task *task_next(const struct task *t);

/* Something else lies at this address: it never becomes part of a task's region. */
void task_keep_off(uint64_t address);

/* In the child of a fork: all other threads are gone, their regions are free. */
void task_only(struct task *t);

/* The dispatcher: called by entry.S on the task's agent stack with the registers saved. */
void agent_syscall(struct task *t);

/* The address of every system call handler's table, generated from syscalls.tbl. */
typedef long (*syscall_fn)(struct task *t, const unsigned long *args);

/* Executes the guest's call unchanged (number and registers as they came).  The shortest way there is. */
long pass_through(struct task *t);

/* The same as a handler's last act: leaves the agent with the result, returns only -UM_ERESTART.  Not while
 * tracing, and with nothing held. */
long pass_last(struct task *t);

/*
 * The same of another call than the guest's own, which is the shortest way back: leaves with success and ENOENT.  Other results it
 * returns, and -UM_EAGAIN, if the st_mode or stx_mode that has been filled in at `mode` (0: none) is a link's.
 */
long leave_call(struct task *t, long nr, long a, long b, long c, long d, long e, gaddr mode);

#endif
