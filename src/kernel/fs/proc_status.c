/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc/PID/status, stat, syscall: signals and system calls as the guest knows them.
 *
 * Our handlers of SIGSYS, SIGSEGV and SIGBUS are not the guest's, nor is one that is going to be reset (agent/signal_action.c): what it
 * does with signals, the agent knows (without asking, it handles none of the three).  Masks are the kernel's already.  So it
 * is with seccomp and no_new_privs (kernel/guard.h), and with users, groups and capabilities (kernel/cred.h).
 */
#include "proc.h"
#include "../cred.h"
#include "../guard.h"
#include "../../agent/signal.h"
#include "../../arch/x86_64/offsets.h"

/* What the guest blocks, ignores, handles, of the signals in `acts`; SIGSYS that its agent holds for the thread, for the process. */
struct masks {
	uint64_t acts, blocked, ignored, caught, pending, shared;
};

/* A copy of the task that the path means, if its agent lets us. */
static bool find_task(const struct made *m, struct task *t)
{
	const struct proc_hit *h = &m->hit;
	int tid = h->tid ? h->tid : h->pid ? h->pid : m->t->pid;

	if (!h->pid && tid == m->t->tid) {
		*t = *m->t;
		return true;
	}
	return peer_task(h->pid, tid, t);
}

/* One that the guest blocks waits at its agent, not in the kernel. */
static void held_sigsys(int pid, const struct task *t, struct masks *r)
{
	uint32_t shared;
	bool pending;

	if (peer_read(pid, &t->sig->sys_pending, &pending, sizeof(pending)) && pending)
		r->pending = SIGBIT(31);
	if (peer_read(pid, sigsys_shared_state(), &shared, sizeof(shared)) && shared)
		r->shared = SIGBIT(31);
}

static struct masks guest_masks(const struct made *m)
{
	struct masks r = { .acts = ~0ull };
	struct sighand hand;
	struct task t;

	if (!find_task(m, &t) || !peer_read(m->hit.pid, &t.sig->mask, &r.blocked, sizeof(r.blocked)) ||
	    !peer_read(m->hit.pid, t.sighand, &hand, sizeof(hand)))
		return (struct masks) { .acts = UM_OURS };
	held_sigsys(m->hit.pid, &t, &r);
	for (int sig = 1; sig <= UM_NSIG; sig++) {
		if (hand.act[sig].handler == 1 /* SIG_IGN */)
			r.ignored |= SIGBIT(sig);
		else if (hand.act[sig].handler)
			r.caught |= SIGBIT(sig);
	}
	return r;
}

static uint64_t corrected(uint64_t kernel, uint64_t guest, uint64_t which)
{
	return (kernel & ~which) | (guest & which);
}

/* ---- status ----------------------------------------------------------------------------------------------- */

/* "Key:\t": what comes behind it, or NULL if the line has another. */
static const char *value_of(const char *line, const char *key)
{
	size_t n = strlen(key);

	return !strncmp(line, key, n) && line[n] == ':' && line[n + 1] == '\t' ? line + n + 2 : NULL;
}

static bool mask_line(struct made *m, const char *line, const char *key, uint64_t guest, uint64_t which)
{
	const char *value = value_of(line, key);

	if (!value)
		return false;
	made_format(m, "%s:\t%016lx\n", key, corrected(proc_hex(&value), guest, which));
	return true;
}

static bool signal_line(struct made *m, const char *line, const struct masks *g)
{
	return mask_line(m, line, "SigPnd", g->pending, g->pending) || mask_line(m, line, "ShdPnd", g->shared, g->shared) ||
	       mask_line(m, line, "SigBlk", g->blocked, SIGBIT(31)) || mask_line(m, line, "SigIgn", g->ignored, g->acts) ||
	       mask_line(m, line, "SigCgt", g->caught, g->acts);
}

/* What that thread knows of its own filters; false if it may not be asked. */
struct seccomp {
	unsigned mode, filters;
	bool no_new_privs, caught;
};

#define FILTERS_MAX	4096u

static bool guest_seccomp(const struct made *m, struct seccomp *s)
{
	struct guest_filter f;
	struct guard g;
	struct task t;

	if (!find_task(m, &t) || !peer_read(m->hit.pid, t.guard, &g, sizeof(g)))
		return false;
	*s = (struct seccomp) { .mode = g.mode, .no_new_privs = g.no_new_privs, .caught = g.caught };
	for (f.prev = g.filter; f.prev && s->filters < FILTERS_MAX; s->filters++)
		if (!peer_read(m->hit.pid, f.prev, &f, sizeof(f)))
			break;
	if (!s->filters && s->mode == SECCOMP_MODE_FILTER)
		s->filters = 1;		/* of those that the view was started under, at least */
	return true;
}

/*
 * Seccomp, and Seccomp_filters since Linux 5.9.  One filter in the kernel is ours, with an identity two, more as soon as the guest has some
 * of its own, which are not there: then it knows better.
 */
static void seccomp_lines(struct made *m, const char *mode, const struct seccomp *guest, long ours)
{
	long was = text_number(&mode), filters = 1;
	const char *value = NULL, *line = made_line(m);

	if (line && (value = value_of(line, "Seccomp_filters")))
		filters = text_number(&value);
	filters = guest && guest->caught ? (long)guest->filters : filters > ours ? filters - ours : 0;
	if (guest)
		was = (long)guest->mode;
	else if (!filters)
		was = 0;
	made_format(m, "Seccomp:\t%ld\n", was);
	if (value)
		made_format(m, "Seccomp_filters:\t%ld\n", filters);
	else if (line)
		made_copy(m, line);
}

/* ---- users and groups: of a thread with an identity -------------------------------------------------------- */

/* What that thread believes to be, or NULL; to be freed. */
static struct cred *guest_cred(const struct made *m)
{
	struct cred head, *c;
	struct task t;

	if (!find_task(m, &t) || !t.cred || !peer_read(m->hit.pid, t.cred, &head, sizeof head) || head.ngroups > UM_NGROUPS)
		return NULL;
	c = heap_alloc(sizeof head + head.ngroups * sizeof *head.groups);
	if (!c || peer_read(m->hit.pid, t.cred, c, sizeof head + head.ngroups * sizeof *head.groups))
		return c;
	heap_free(c);
	return NULL;
}

static void ids_line(struct made *m, const char *key, const struct cred_ids *i)
{
	made_format(m, "%s:\t%u\t%u\t%u\t%u\n", key, i->real, i->effective, i->saved, i->fs);
}

static void groups_line(struct made *m, const struct cred *c)
{
	made_format(m, "Groups:\t");
	for (uint32_t i = 0; i < c->ngroups; i++)
		made_format(m, "%u ", c->groups[i]);
	made_put(m, c->ngroups ? "\n" : " \n", c->ngroups ? 1 : 2);
}

static bool cred_line(struct made *m, const char *line, const struct cred *c)
{
	const struct { const char *key; uint64_t set; } caps[] = {
		{ "CapInh", c->inheritable }, { "CapPrm", c->permitted }, { "CapEff", c->effective },
		{ "CapBnd", c->bounding }, { "CapAmb", c->ambient },
	};

	for (size_t i = 0; i < sizeof caps / sizeof *caps; i++)
		if (value_of(line, caps[i].key)) {
			made_format(m, "%s:\t%016lx\n", caps[i].key, caps[i].set);
			return true;
		}
	if (value_of(line, "Uid"))
		ids_line(m, "Uid", &c->uid);
	else if (value_of(line, "Gid"))
		ids_line(m, "Gid", &c->gid);
	else if (value_of(line, "Groups"))
		groups_line(m, c);
	else
		return false;
	return true;
}

void made_status(struct made *m)
{
	struct masks g = guest_masks(m);
	struct cred *c = guest_cred(m);
	struct seccomp s;
	bool known = guest_seccomp(m, &s);

	for (char *line = made_line(m); line; line = made_line(m)) {
		const char *mode = m->begins ? value_of(line, "Seccomp") : NULL;

		if (mode)
			seccomp_lines(m, mode, known ? &s : NULL, c ? 2 : 1);
		else if (known && m->begins && value_of(line, "NoNewPrivs"))
			made_format(m, "NoNewPrivs:\t%d\n", s.no_new_privs);
		else if (!m->begins || !(signal_line(m, line, &g) || (c && cred_line(m, line, c))))
			made_copy(m, line);
	}
	heap_free(c);
}

/* ---- stat ------------------------------------------------------------------------------------------------- */

#define FIELD_PENDING	31
#define FIELD_IGNORED	33
#define FIELD_CAUGHT	34
#define OLD_SIGNALS	0x7fffffffu	/* these fields know 31 signals */

/* One line; the name of the program in it may contain anything, newlines too. */
void made_stat(struct made *m)
{
	struct masks g = guest_masks(m);
	const uint64_t guest[] = { g.pending, g.blocked, g.ignored, g.caught };
	const uint64_t which[] = { g.pending, SIGBIT(31), g.acts, g.acts };
	int field = 2;

	for (char *line = made_line(m); line; line = made_line(m)) {
		const char *at = strrchr(line, ')'), *end;

		if (!at) {
			made_copy(m, line);
			continue;
		}
		for (made_put(m, line, (size_t)(at - line)); *at; at = end, field++) {
			end = strchr(at + 1, ' ');
			if (!end)
				end = strchr(at, 0);
			if (field >= FIELD_PENDING && field <= FIELD_CAUGHT) {
				const char *number = at + 1;
				int i = field - FIELD_PENDING;

				made_format(m, " %lu", corrected((uint64_t)text_number(&number), guest[i],
								 which[i] & OLD_SIGNALS));
			} else {
				made_put(m, at, (size_t)(end - at));
			}
		}
		made_put(m, "\n", 1);
	}
}

/* ---- syscall ---------------------------------------------------------------------------------------------- */

extern char fd_done[];

static bool in_agent(uint64_t pc)
{
	return pc >= UM_AGENT_BASE && pc < UM_OWN_END;
}

/*
 * "NR 0xARG... 0xSP 0xPC", "running" or "-1 0xSP 0xPC".  Where the thread is in its agent, the call is the guest's.  On
 * the short way of descriptor calls (entry.S) all but the last is the guest's as it is.
 */
void made_syscall(struct made *m)
{
	char *line = made_line(m);
	const char *pc = line ? strrchr(line, 'x') : NULL, *digits = pc ? pc + 1 : NULL;
	uint64_t at = pc ? proc_hex(&digits) : 0;
	struct task t;

	if (!line)
		return;
	if (!in_agent(at) || !find_task(m, &t)) {
		made_copy(m, line);
		return;
	}
	if (at == (uint64_t)fd_done) {
		made_put(m, line, (size_t)(pc + 1 - line));
		made_format(m, "%lx\n", proc_not_in_stub(m->hit.pid, t.tail));
		return;
	}
	made_format(m, "%u 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx\n", t.nr, t.regs.rdi, t.regs.rsi, t.regs.rdx,
		    t.regs.r10, t.regs.r8, t.regs.r9, t.regs.rsp, proc_not_in_stub(m->hit.pid, t.regs.rip));
}
