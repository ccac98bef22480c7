/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest has put between its own calls and the kernel: seccomp filters, seccomp's strict mode,
 * Syscall User Dispatch.  Interpreted in the agent; the kernel never sees them (agent/catch.c says how the
 * calls come here).
 */
#ifndef UM_KERNEL_GUARD_H
#define UM_KERNEL_GUARD_H

#include "task.h"
#include <linux/filter.h>
#include <linux/seccomp.h>

#define GUARD_NUMBERS	512	/* call numbers for which the answer of the filters can be remembered */

/* One filter.  Immutable but for refs; those before it are shared by all that have been added to them. */
struct guest_filter {
	uint32_t refs;			/* atomic: guards and filters that point here */
	uint32_t len;
	bool log;			/* SECCOMP_FILTER_FLAG_LOG */
	bool listener;			/* has one in the kernel */
	uint64_t allows[GUARD_NUMBERS / 64];	/* a bit for each call that this and those before it always allow */
	struct guest_filter *prev;
	struct sock_filter code[];
};

/* One thread's.  Written by the thread itself, or under tasks_lock by another that synchronises its filters. */
struct guard {
	uint32_t mode;			/* SECCOMP_MODE_*; _FILTER without one of ours: the view was started under one */
	bool no_new_privs;		/* as the guest sees it: to the kernel it is always set */
	bool caught;			/* the kernel sends all calls of this thread here */
	uint32_t foreign;		/* architecture of the call being served, if it is not ours; else 0 */
	uint32_t foreign_cx;		/* its second argument */
	struct guest_filter *filter;	/* the newest, holds a reference */
	struct { bool on; uint64_t offset, len, selector; } dispatch;	/* Syscall User Dispatch */
};

/* The call t->nr in t->regs, its arguments in args: true when it is to go on, else *result is its result.  May not return.
 * A debugger may make another call of it.  Only of use while process.watch has WATCH_GUARD. */
bool guard_passes(struct task *t, unsigned long *args, long *result);

/* A filter of len instructions, to be filled; and what is to be done when it is and has been checked. */
struct guest_filter *guard_new(unsigned len);
void guard_ready(struct guest_filter *f);

/* seccomp(2), SECCOMP_SET_MODE_FILTER: adds a filter that is ready.  Takes f over if it succeeds. */
long guard_add(struct task *t, unsigned flags, struct guest_filter *f);
/* SECCOMP_SET_MODE_STRICT; and Syscall User Dispatch.  0 or -errno. */
long guard_set_strict(struct task *t);
long guard_set_dispatch(struct task *t, bool on, uint64_t offset, uint64_t len, uint64_t selector);

/* ---- birth, exec, end ------------------------------------------------------------------------------- */

void guard_inherit(struct task *t, struct task *child);	/* a thread, or a process that shares our memory */
void guard_forked(struct task *t);			/* in the child of a fork */
void guard_release(struct task *t);

/* Over exec travel a word, in the boot text, and, if there are filters, a descriptor to read them
 * from (-1: none; or -ENOMEM).  The next image gives both to guard_start(), which closes the descriptor. */
unsigned guard_word(const struct task *t);
int guard_file(const struct task *t);
int guard_start(struct task *t, unsigned word, int fd);
void guard_first(struct task *t);			/* in the view's first image: as it is outside */

/* ---- what /proc/PID/status tells of the process itself -------------------------------------------------- */

static inline unsigned guard_mode(const struct task *t) { return t->guard->mode; }
static inline bool guard_no_new_privs(const struct task *t) { return t->guard->no_new_privs; }
unsigned guard_filters(const struct task *t);

#endif
