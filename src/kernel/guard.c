/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's own seccomp filters: how they are added, and what becomes of a call.
 *
 * dispatch.c comes here for every call of a process in which some thread has something of the kind, and never
 * otherwise.  As in the kernel, the newest filter runs first, all of them run, and the most restrictive
 * answer counts; Syscall User Dispatch comes before.
 *
 * Lock: tasks_lock, for every change of a thread's filters, so that all threads of a process can be given
 * new ones (TSYNC) while they run and are born.  A thread reads its own without: those it may be looking at
 * are ancestors of what it was given, which keeps them.
 */
#include "guard.h"
#include "cbpf.h"
#include "fd.h"
#include "../agent/catch.h"
#include "../agent/debug.h"
#include "../agent/life.h"
#include "../agent/patch.h"
#include "../agent/signal.h"
#include "../arch/x86_64/offsets.h"
#include <linux/audit.h>
#include <linux/prctl.h>

#define FILTERS_MAX	32768u		/* instructions of all filters of a thread, as the kernel counts them */
#define FILTER_PENALTY	4u
#define ERRNO_MAX	4095u
#define X32_BIT		0x40000000u
#define LOG_LINES	50
#define SYS_SECCOMP_CODE	1
#define SYS_DISPATCH_CODE	2

/* ---- adding ------------------------------------------------------------------------------------------- */

static struct guest_filter *newest(const struct task *t)
{
	return __atomic_load_n(&t->guard->filter, __ATOMIC_ACQUIRE);
}

struct guest_filter *guard_new(unsigned len)
{
	struct guest_filter *f = heap_alloc(sizeof *f + len * sizeof f->code[0]);

	if (f) {
		f->refs = 1;
		f->len = len;
	}
	return f;
}

void guard_ready(struct guest_filter *f)
{
	for (uint32_t nr = 0; nr < GUARD_NUMBERS; nr++)
		if (cbpf_always_allows(f->code, nr))
			f->allows[nr / 64] |= 1ull << nr % 64;
}

static bool always_allowed(const struct guest_filter *f, uint32_t nr)
{
	return f && nr < GUARD_NUMBERS && f->allows[nr / 64] >> nr % 64 & 1;
}

static bool has_listener(const struct guest_filter *f)
{
	while (f && !f->listener)
		f = f->prev;
	return f;
}

static bool too_long(const struct guest_filter *f, const struct guest_filter *before)
{
	unsigned n = cbpf_translated(f->code, f->len);

	for (; before; before = before->prev)
		n += cbpf_translated(before->code, before->len) + FILTER_PENALTY;
	return n > FILTERS_MAX;
}

/* A thread of t's process.  (One that begins a process is still without its number when it is new.) */
static bool same_process(const struct task *t, const struct task *other)
{
	return other->pid == t->pid && !other->life->released && !(other->life->own_process && !other->tid);
}

static bool has_same(const struct task *t, const struct task *other)
{
	const struct guest_filter *theirs = newest(other), *f = newest(t);

	while (theirs && f && f != theirs)
		f = f->prev;
	return other->guard->mode != SECCOMP_MODE_STRICT && (!theirs || f);
}

/* A thread whose filters are not among t's: its id, or 0. */
static long who_differs(struct task *t)
{
	for (struct task *o = task_next(NULL); o; o = task_next(o))
		if (o != t && same_process(t, o) && !has_same(t, o))
			return o->tid;
	return 0;
}

static void watch(struct guard *g)
{
	g->caught = true;
	__atomic_or_fetch(&process.watch, WATCH_GUARD, __ATOMIC_RELEASE);
}

static void filter_put(struct guest_filter *f)
{
	while (f && __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) == 0) {
		struct guest_filter *prev = f->prev;

		heap_free(f);
		f = prev;
	}
}

static struct guest_filter *filter_get(struct guest_filter *f)
{
	if (f)
		__atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
	return f;
}

/* Takes a reference over. */
static void give(struct guard *g, struct guest_filter *f)
{
	struct guest_filter *had = g->filter;

	__atomic_store_n(&g->filter, f, __ATOMIC_RELEASE);
	g->mode = SECCOMP_MODE_FILTER;
	watch(g);
	filter_put(had);
}

static void synchronise(struct task *t)
{
	for (struct task *o = task_next(NULL); o; o = task_next(o)) {
		if (o == t || !same_process(t, o))
			continue;
		o->guard->no_new_privs |= t->guard->no_new_privs;
		give(o->guard, filter_get(t->guard->filter));
	}
}

static long attach(struct task *t, unsigned flags, struct guest_filter *f)
{
	struct guard *g = t->guard;
	bool sync = flags & SECCOMP_FILTER_FLAG_TSYNC;
	long r = 0;

	if (f->listener && has_listener(g->filter))
		return -EBUSY;
	if (too_long(f, g->filter))
		return -ENOMEM;
	if (sync)
		r = who_differs(t);
	if (r)
		return flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH ? -ESRCH : r;
	/* With TSYNC always: what is below the agent in each thread must follow the guest's filters. */
	if (f->listener || sync || !g->caught)
		r = catch_calls(flags & ~(unsigned)(SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW));
	if (r < 0 || (r > 0 && !f->listener))
		return r;
	f->prev = filter_get(g->filter);
	for (int i = 0; f->prev && i < GUARD_NUMBERS / 64; i++)
		f->allows[i] &= f->prev->allows[i];
	give(g, f);
	if (sync)
		synchronise(t);
	return r;
}

long guard_add(struct task *t, unsigned flags, struct guest_filter *f)
{
	lock_acquire(&tasks_lock);
	long r = attach(t, flags, f);
	lock_release(&tasks_lock);
	return r;
}

/* Something other than a filter wants to see all calls of this thread. */
static long catch_mine(struct task *t)
{
	long r = t->guard->caught ? 0 : catch_calls(0);

	if (r == 0)
		watch(t->guard);
	return r;
}

long guard_set_strict(struct task *t)
{
	if (t->guard->mode == SECCOMP_MODE_FILTER)
		return -EINVAL;
	long r = catch_mine(t);
	if (r == 0) {
		raw_syscall(__NR_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
		t->guard->mode = SECCOMP_MODE_STRICT;
	}
	return r;
}

long guard_set_dispatch(struct task *t, bool on, uint64_t offset, uint64_t len, uint64_t selector)
{
	struct guard *g = t->guard;
	long r = on ? catch_mine(t) : 0;

	if (r)
		return r;
	g->dispatch.on = on;
	g->dispatch.offset = offset;
	g->dispatch.len = len;
	g->dispatch.selector = selector;
	return 0;
}

/* ---- a call ------------------------------------------------------------------------------------------- */

/* Of a call by int $0x80 the arguments are where the kernel would look for them. */
static struct seccomp_data describe(struct task *t, const unsigned long *args)
{
	const struct regs *r = &t->regs;
	struct seccomp_data d = {
		.nr = (int)t->nr, .arch = AUDIT_ARCH_X86_64, .instruction_pointer = patch_normalise(r->rip),
		.args = { args[0], args[1], args[2], args[3], args[4], args[5] },
	};

	if (t->guard->foreign) {
		const uint64_t other[6] = { r->rbx, t->guard->foreign_cx, r->rdx, r->rsi, r->rdi, r->rbp };

		d.arch = t->guard->foreign;
		for (int i = 0; i < 6; i++)
			d.args[i] = (uint32_t)other[i];
	}
	return d;
}

/* The call is answered by a SIGSYS. */
static long send_sigsys(struct task *t, const struct seccomp_data *d, int code, unsigned reason)
{
	struct kernel_siginfo info = {
		.signo = 31 /* SIGSYS */, .error = (int)reason, .code = code,
		.sys = { .addr = d->instruction_pointer, .nr = d->nr, .arch = d->arch },
	};

	return signal_force_sigsys(t, &info);
}

/* Syscall User Dispatch: is the call not to be made? */
static bool dispatched(struct task *t, const struct seccomp_data *d, long *result)
{
	const struct guard *g = t->guard;
	char state;

	if (d->instruction_pointer - g->dispatch.offset < g->dispatch.len)
		return false;
	if (g->dispatch.selector) {
		if (copy_from_guest(t, &state, g->dispatch.selector, 1))
			life_die(t, 11 /* SIGSEGV */);
		if (state == SYSCALL_DISPATCH_FILTER_ALLOW)
			return false;
		if (state != SYSCALL_DISPATCH_FILTER_BLOCK)
			life_kill(t, SECCOMP_RET_KILL_PROCESS);
	}
	*result = send_sigsys(t, d, SYS_DISPATCH_CODE, 0);
	return true;
}

/* Strict mode: all but four calls end the thread. */
static bool strict_passes(struct task *t, const struct seccomp_data *d)
{
	if (d->arch == AUDIT_ARCH_X86_64 && (d->nr == __NR_read || d->nr == __NR_write || d->nr == __NR_exit ||
					     d->nr == __NR_rt_sigreturn))
		return true;
	if (life_threads() == 1 || t->life->own_process)
		life_die(t, 9 /* SIGKILL */);
	life_end(t, 9, false);
}

static uint32_t verdict(const struct guest_filter *f, const struct seccomp_data *d,
			const struct guest_filter **match)
{
	uint32_t worst = SECCOMP_RET_ALLOW;

	for (*match = f; f; f = f->prev) {
		uint32_t r = cbpf_run(f->code, d);

		if ((int32_t)(r & SECCOMP_RET_ACTION_FULL) < (int32_t)(worst & SECCOMP_RET_ACTION_FULL)) {
			worst = r;
			*match = f;
		}
	}
	return worst;
}

static void report(const struct seccomp_data *d, uint32_t answer)
{
	static uint32_t lines;
	uint32_t n = __atomic_fetch_add(&lines, 1, __ATOMIC_RELAXED);

	if (n < LOG_LINES)
		agent_log("seccomp: call %d, arch %x, at %lx: action %x%s", d->nr, d->arch,
			  (unsigned long)d->instruction_pointer, answer,
			  n == LOG_LINES - 1 ? " (the last one told of this process)" : "");
}

/*
 * The listener decides.  One in a view tells "go on" by a value of ours (sys_ioctl), for the call must not be
 * the kernel's to make.  A descriptor that it has put into this process may be a carrier.
 */
static bool notify(struct task *t, const struct guest_filter *f, long *result)
{
	*result = -ENOSYS;
	if (!f->listener || t->nr & X32_BIT || t->guard->foreign)
		return false;
	long r = notify_call(t);
	if (r == UM_NOTIF_CONTINUE)
		return true;
	if (r >= 0 && r < 1 << 20) {
		fd_forget_hint(t, (int)r);
		fd_adopt(t, (int)r);
	}
	*result = r;
	return false;
}

static bool act(struct task *t, const struct seccomp_data *d, unsigned long *args, bool again, long *result);

/* Whoever traces it may change the call; the filters then look at what has become of it. */
static bool asks_tracer(struct task *t, unsigned long *args, unsigned data, long *result)
{
	const struct regs *r = &t->regs;
	const bool told = debug_filtered(t, data);

	*result = told ? t->skipped : -ENOSYS;
	if (!told || (int)r->rax < 0) {
		t->nr = (uint32_t)r->rax;
		return false;
	}
	args[0] = r->rdi, args[1] = r->rsi, args[2] = r->rdx, args[3] = r->r10, args[4] = r->r8, args[5] = r->r9;
	t->nr = (uint32_t)r->rax;
	const struct seccomp_data d = describe(t, args);
	return act(t, &d, args, true, result);
}

static bool act(struct task *t, const struct seccomp_data *d, unsigned long *args, bool again, long *result)
{
	const struct guest_filter *match;
	uint32_t answer = verdict(newest(t), d, &match), action = answer & SECCOMP_RET_ACTION_FULL;
	unsigned data = answer & SECCOMP_RET_DATA;

	if (action == SECCOMP_RET_LOG || (action != SECCOMP_RET_ALLOW && match->log))
		report(d, answer);
	switch (action) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
		return true;
	case SECCOMP_RET_ERRNO:
		*result = -(long)(data > ERRNO_MAX ? ERRNO_MAX : data);
		return false;
	case SECCOMP_RET_TRAP:
		*result = send_sigsys(t, d, SYS_SECCOMP_CODE, data);
		return false;
	case SECCOMP_RET_TRACE:
		return again || asks_tracer(t, args, data, result);
	case SECCOMP_RET_USER_NOTIF:
		return notify(t, match, result);
	case SECCOMP_RET_KILL_THREAD:
		life_kill(t, SECCOMP_RET_KILL_THREAD);
	default:
		life_kill(t, SECCOMP_RET_KILL_PROCESS);
	}
}

static bool decide(struct task *t, unsigned long *args, long *result)
{
	struct guard *g = t->guard;
	struct seccomp_data d = describe(t, args);

	if (g->dispatch.on && dispatched(t, &d, result))
		return false;
	if (g->mode == SECCOMP_MODE_STRICT)
		return strict_passes(t, &d);
	return !newest(t) || act(t, &d, args, false, result);
}

bool guard_passes(struct task *t, unsigned long *args, long *result)
{
	struct guard *g = t->guard;
	bool passes;

	if (g->mode == SECCOMP_MODE_FILTER && !g->dispatch.on && !g->foreign && always_allowed(newest(t), t->nr))
		return true;
	passes = decide(t, args, result);
	if (g->foreign && passes) {	/* no such call in a view */
		passes = false;
		*result = -ENOSYS;
	}
	g->foreign = 0;
	return passes;
}

/* ---- birth and end -------------------------------------------------------------------------------------- */

void guard_inherit(struct task *t, struct task *child)
{
	struct guard *g = t->guard, *c = child->guard;

	lock_acquire(&tasks_lock);
	c->mode = g->mode;
	c->no_new_privs = g->no_new_privs;
	c->caught = g->caught;
	filter_put(c->filter);
	c->filter = filter_get(g->filter);
	lock_release(&tasks_lock);
}

void guard_forked(struct task *t)
{
	t->guard->dispatch.on = false;
}

void guard_release(struct task *t)
{
	struct guest_filter *f;

	if (!(process.watch & WATCH_GUARD))
		return;
	lock_acquire(&tasks_lock);
	f = t->guard->filter;
	t->guard->filter = NULL;
	filter_put(f);
	lock_release(&tasks_lock);
}

unsigned guard_filters(const struct task *t)
{
	unsigned n = 0;

	for (const struct guest_filter *f = newest(t); f; f = f->prev)
		n++;
	return n;
}
