/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a traced thread is, seen from its debugger's agent.  All guests run one image: our own labels are theirs, too.
 */
#include "tracee.h"
#include "../agent/patch.h"
#include "../arch/x86_64/offsets.h"

extern char agent_text_start[], agent_text_end[], first_task_region[];
extern char stub_entry[], trap_entry[], fd_entry[], fd_window[], fd_done[], fd_done_end[], fd_slow[];
extern char call_window[], call_returned[], call_interrupted[];
extern char last_window[], last_returned[], last_interrupted[];
extern char notify_window[], notify_behind[];
extern char leaving_window[], leaving_returned[];

static bool within(uint64_t ip, const char *from, const char *to)
{
	return ip >= (uint64_t)from && ip < (uint64_t)to;
}

/* The stub that ip lies in, or 0. */
static uint64_t stub_of(struct tracee *c, uint64_t ip)
{
	struct stub_area areas[STUB_AREAS];
	const int *count;
	const struct stub_area *theirs = patch_areas(&count);
	int n;

	if (!tracee_read(c, (uint64_t)count, &n, sizeof(n)) || n <= 0 || n > STUB_AREAS ||
	    !tracee_read(c, (uint64_t)theirs, areas, (size_t)n * sizeof(*areas)))
		return 0;
	for (int i = 0; i < n; i++) {
		uint64_t in = ip - areas[i].base;

		if (in < areas[i].size)
			return ip - in % 4096 % STUB_SIZE;
	}
	return 0;
}

bool tracee_in_handler(const struct tracee *c)
{
	const uint64_t sp = c->regs.rsp;

	return sp >= UM_TASKS_BASE && sp < UM_TASKS_BASE + (1ull << 32) &&
	       (sp & (TASK_SPAN - 1)) >= TASK_OFFSET + TASK_ALTSTACK;
}

enum tracee_place tracee_place(struct tracee *c)
{
	const uint64_t ip = c->regs.rip;

	if (!within(ip, agent_text_start, agent_text_end))
		return stub_of(c, ip) ? IN_STUB : IN_GUEST;
	if (within(ip, fd_window, fd_slow))
		return IN_SHORT;
	if (within(ip, fd_entry, trap_entry) || tracee_in_handler(c))
		return IN_ENTRY;
	return IN_AGENT;
}

static uint64_t word(struct tracee *c, uint64_t tail, int offset)
{
	uint64_t v = 0;

	tracee_read(c, tail + (uint64_t)offset, &v, sizeof(v));
	return tail + v;
}

uint64_t tracee_normal_rip(struct tracee *c, uint64_t ip)
{
	uint64_t stub = stub_of(c, ip), tail = 0;

	if (stub)
		return word(c, stub + STUB_TAIL, ip - stub < STUB_TAIL ? STUB_SITE : STUB_RESUME);
	if (!within(ip, fd_window, fd_slow))
		return ip;
	tracee_read(c, tracee_task(c) + TASK_TAIL, &tail, sizeof(tail));
	return word(c, tail, STUB_RESUME);
}

static bool is_task(struct tracee *c, uint64_t at)
{
	uint64_t self;

	return at >> 32 == UM_TASKS_HIGH && tracee_read(c, at, &self, sizeof(self)) && self == at;
}

/* By the stack that it is on, or by gs, or by its number. */
uint64_t tracee_task(struct tracee *c)
{
	uint64_t at = (c->regs.rsp & ~(uint64_t)(TASK_SPAN - 1)) + TASK_OFFSET;
	struct task copy;

	if (c->task && !c->fresh)
		return c->task;
	if (is_task(c, at))
		return at;
	if (!c->fresh && is_task(c, c->regs.gs_base))
		return c->regs.gs_base;
	for (at = (uint64_t)first_task_region + TASK_OFFSET; at >> 32 == UM_TASKS_HIGH; at += TASK_SPAN) {
		if (!tracee_read(c, at, &copy, sizeof(copy)))
			break;
		if (copy.busy && copy.tid == c->tid)
			return at;
	}
	return 0;
}

void tracee_leave_call(struct tracee *c)
{
	struct user_regs *r = &c->regs;
	const bool again = (long)r->rax <= -512 && (long)r->rax >= -516;

	if (within(r->rip, call_window, call_returned) || within(r->rip, notify_window, notify_behind) ||
	    within(r->rip, leaving_window, leaving_returned) ||
	    (again && (r->rip == (uint64_t)call_returned || r->rip == (uint64_t)notify_behind || r->rip == (uint64_t)leaving_returned)))
		r->rip = (uint64_t)call_interrupted;
	else if (within(r->rip, last_window, last_returned) || (again && r->rip == (uint64_t)last_returned))
		r->rip = (uint64_t)last_interrupted;
	else if (within(r->rip, fd_window, fd_done) || (again && r->rip == (uint64_t)fd_done))
		r->rip = (uint64_t)fd_slow;
	else
		return;
	if (r->rip == (uint64_t)fd_slow)
		r->r11 = tracee_task(c);
	r->orig_rax = (uint64_t)-1;
	tracee_ptrace(PTRACE_SETREGS, c->tid, 0, (unsigned long)r);
}
