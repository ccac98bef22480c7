/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Traced threads (tracee.h): the records of them, their memory, their registers.
 *
 * Only the thread that traces another may ask the kernel about it, so a record is used by one thread at a time;
 * the lock is for the list alone.  After a fork the child has a list of threads that it does not trace: the
 * kernel says ESRCH to whatever it tries.
 */
#include "tracee.h"
#include "fs/proc.h"
#include "../agent/life.h"
#include "../arch/x86_64/offsets.h"

#define ERESTARTSYS	512

extern char call_returned[], last_returned[], leaving_returned[];

static struct tracee *tracees;
static struct lock tracees_lock;
static uint32_t registered;

/* ---- records ------------------------------------------------------------------------------------------ */

static void register_once(void)
{
	if (!__atomic_exchange_n(&registered, 1, __ATOMIC_ACQ_REL))
		life_register_lock(&tracees_lock);
}

struct tracee *tracee_find(int tid)
{
	struct tracee *c;

	lock_acquire(&tracees_lock);
	for (c = tracees; c && c->tid != tid; c = c->next)
		;
	lock_release(&tracees_lock);
	return c;
}

struct tracee *tracee_next_queued(int pid)
{
	struct tracee *c;

	if (!__atomic_load_n(&tracees, __ATOMIC_RELAXED))
		return NULL;
	lock_acquire(&tracees_lock);
	for (c = tracees; c && (!c->queued || (pid > 0 && c->tid != pid)); c = c->next)
		;
	lock_release(&tracees_lock);
	return c;
}

void tracee_gone(int tid)
{
	struct tracee *c, **at;

	if (!__atomic_load_n(&tracees, __ATOMIC_RELAXED))
		return;
	lock_acquire(&tracees_lock);
	for (at = &tracees; (c = *at) && c->tid != tid;)
		at = &c->next;
	if (c)
		*at = c->next;
	lock_release(&tracees_lock);
	heap_free(c);
}

struct tracee *tracee_new(int tid, uint32_t options)
{
	struct tracee *c = heap_alloc(sizeof(*c));

	register_once();
	tracee_gone(tid);
	if (!c)
		return NULL;
	c->tid = tid;
	c->options = options;
	lock_acquire(&tracees_lock);
	c->next = tracees;
	tracees = c;
	lock_release(&tracees_lock);
	return c;
}

/* ---- memory ------------------------------------------------------------------------------------------- */

long tracee_ptrace(long request, int tid, unsigned long addr, unsigned long data)
{
	return raw_syscall(__NR_ptrace, request, tid, addr, data);
}

bool tracee_read(struct tracee *c, uint64_t at, void *buf, size_t n)
{
	return peer_read(c->tid, (const void *)at, buf, n);
}

bool tracee_write(struct tracee *c, uint64_t at, const void *buf, size_t n)
{
	struct iovec local = { (void *)(uintptr_t)buf, n }, remote = { (void *)at, n };

	return raw_syscall(__NR_process_vm_writev, c->tid, &local, 1, &remote, 1, 0) == (long)n;
}

void tracee_tell(struct tracee *c, uint32_t debug, uint32_t traced)
{
	const uint8_t watch = WATCH_DEBUG >> 24;
	uint32_t words[2] = { debug, traced };

	_Static_assert(offsetof(struct task, traced) == offsetof(struct task, debug) + 4, "written together");
	if (!c->task)
		return;
	c->debug = debug;
	tracee_write(c, c->task + offsetof(struct task, debug), words, sizeof(words));
	if (debug)
		tracee_write(c, (uint64_t)&process.watch + 3, &watch, 1);
}

/* ---- registers ---------------------------------------------------------------------------------------- */

long tracee_load(struct tracee *c)
{
	return tracee_ptrace(PTRACE_GETREGS, c->tid, 0, (unsigned long)&c->regs);
}

/* Where the guest's registers are: in the task, or where the event says. */
static uint64_t saved_at(struct tracee *c)
{
	return c->event ? c->regs.rsi : c->task + TASK_REGS;
}

static void from_saved(struct user_regs *u, const struct regs *r)
{
	u->r15 = r->r15; u->r14 = r->r14; u->r13 = r->r13; u->r12 = r->r12;
	u->rbp = r->rbp; u->rbx = r->rbx; u->r10 = r->r10; u->r9 = r->r9;
	u->r8 = r->r8; u->rdx = r->rdx; u->rsi = r->rsi; u->rdi = r->rdi;
	u->rax = r->rax; u->rip = r->rip; u->rsp = r->rsp; u->eflags = r->rflags;
	u->rcx = r->rip; u->r11 = r->rflags;
}

static void to_saved(struct regs *r, const struct user_regs *u)
{
	r->r15 = u->r15; r->r14 = u->r14; r->r13 = u->r13; r->r12 = u->r12;
	r->rbp = u->rbp; r->rbx = u->rbx; r->r10 = u->r10; r->r9 = u->r9;
	r->r8 = u->r8; r->rdx = u->rdx; r->rsi = u->rsi; r->rdi = u->rdi;
	r->rip = u->rip; r->rsp = u->rsp; r->rflags = u->eflags;
}

/* In the middle of a call: the number and what the kernel says of it, as far as it has said anything. */
static void call_state(struct tracee *c, struct user_regs *u)
{
	uint32_t nr = UINT32_MAX;

	tracee_read(c, c->task + offsetof(struct task, nr), &nr, sizeof(nr));
	if ((long)c->regs.orig_rax < 0 || nr == UINT32_MAX) {
		u->orig_rax = (uint64_t)-1;
		return;
	}
	u->orig_rax = nr;
	if (c->fresh)
		u->rax = 0;
	else if (c->regs.rip == (uint64_t)call_returned || c->regs.rip == (uint64_t)last_returned ||
		 c->regs.rip == (uint64_t)leaving_returned)
		u->rax = c->regs.rax;
	else
		u->rax = (uint64_t)-ENOSYS;
}

static bool gs_is_ours(const struct tracee *c)
{
	return c->task && c->regs.gs_base == c->task;
}

void tracee_get(struct tracee *c, struct user_regs *u)
{
	enum tracee_place place = c->guest && !c->event ? tracee_place(c) : IN_AGENT;
	struct regs r;

	*u = c->regs;
	if (!c->guest)
		return;
	if (gs_is_ours(c))
		u->gs_base = 0;
	if (place == IN_GUEST || place == IN_ENTRY)
		return;
	if (place != IN_AGENT) {
		u->rip = tracee_normal_rip(c, u->rip);
		return;
	}
	if (!tracee_read(c, saved_at(c), &r, sizeof(r)))
		return;
	from_saved(u, &r);
	u->rip = u->rcx = tracee_normal_rip(c, r.rip);
	if (!c->event) {
		call_state(c, u);
		return;
	}
	u->orig_rax = c->regs.rdx;
	u->rax = c->event == DEBUG_EXIT ? c->regs.r10 : (uint64_t)-ENOSYS;
	if (c->step)
		u->orig_rax = (uint64_t)-1;
}

static long set_kernel(struct tracee *c, const struct user_regs *u)
{
	struct user_regs k = *u;

	if (c->guest && gs_is_ours(c) && !k.gs_base)
		k.gs_base = c->regs.gs_base;
	return tracee_ptrace(PTRACE_SETREGS, c->tid, 0, (unsigned long)&k);
}

/* The agent of the thread has the guest's registers, and goes on with what it finds there. */
static long set_saved(struct tracee *c, const struct user_regs *before, const struct user_regs *u)
{
	const uint32_t pending = 1;
	const long skipped = (long)u->rax;
	struct regs r;
	uint64_t rip;

	if (!tracee_read(c, saved_at(c), &r, sizeof(r)))
		return -EIO;
	rip = u->rip == before->rip ? r.rip : u->rip;
	to_saved(&r, u);
	r.rip = rip;
	if (c->event == DEBUG_ENTRY || c->event == DEBUG_FILTER) {
		r.rax = u->orig_rax;
		tracee_write(c, c->task + offsetof(struct task, skipped), &skipped, sizeof(skipped));
	} else if (u->rax != before->rax) {
		r.rax = u->rax;
	}
	if (!c->event && u->rip != before->rip) {	/* it shall not go on with the call */
		r.site = u->rip;
		tracee_write(c, c->task + TASK_PENDING, &pending, sizeof(pending));
		tracee_leave_call(c);
	}
	return tracee_write(c, saved_at(c), &r, sizeof(r)) ? 0 : -EIO;
}

long tracee_set(struct tracee *c, const struct user_regs *u)
{
	enum tracee_place place = c->guest && !c->event ? tracee_place(c) : IN_AGENT;
	struct user_regs before, k = *u;

	if (!c->guest || place == IN_GUEST || place == IN_ENTRY)
		return set_kernel(c, u);
	tracee_get(c, &before);
	if (place == IN_AGENT)
		return set_saved(c, &before, u);
	if (k.rip == before.rip)
		k.rip = c->regs.rip;
	return set_kernel(c, &k);
}
