/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel is told to do on each signal, instead of what the guest has asked for: our handler, where the guest has one, and always
 * for those that we need ourselves.  The guest's own actions are in task.sighand.
 */
#include "signal.h"
#include "life.h"
#include "thread_stat.h"
#include "trap.h"
#include "../kernel/task.h"
#include <asm/signal.h>

void signal_restorer(void);

/* What the kernel shall have for the guest's action on sig. */
static struct kernel_sigaction kernel_action(int sig, const struct kernel_sigaction *guest)
{
	struct kernel_sigaction k = *guest;
	bool plain = guest->handler == (uint64_t)SIG_DFL || guest->handler == (uint64_t)SIG_IGN;

	if (plain && !signal_always_ours(sig))
		return k;
	k.handler = (uint64_t)signal_entry;
	k.restorer = (uint64_t)signal_restorer;
	k.mask = ~0ull;
	k.flags = (guest->flags & (SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT)) |
		  SA_SIGINFO | SA_ONSTACK | SA_RESTORER;
	if (plain)			/* what is ignored interrupts nothing */
		k.flags |= SA_RESTART;
	return k;
}

int signal_install(int sig, const struct kernel_sigaction *guest)
{
	struct kernel_sigaction k = kernel_action(sig, guest);
	return raw_syscall(__NR_rt_sigaction, sig, &k, NULL, 8);
}

void signal_default(int sig)
{
	struct kernel_sigaction k = { .handler = (uint64_t)SIG_DFL, .flags = SA_RESTORER,
				      .restorer = (uint64_t)signal_restorer };
	raw_syscall(__NR_rt_sigaction, sig, &k, NULL, 8);
}

bool signal_ignored_by_default(int sig)
{
	return SIGBIT(sig) & (SIGBIT(SIGCHLD) | SIGBIT(SIGCONT) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH));
}

#define STAT_SIGNAL	31	/* proc_pid_stat(5): the field with the signals below 32 that were sent to the thread alone */

/* What is pending for another thread of ours and was sent to it alone; nobody else can be asked. */
static uint64_t pending_for(int tid)
{
	char text[512];
	const char *s;
	bool opened;
	long mask;

	thread_stat((uint32_t)tid, text, sizeof(text), &opened);
	s = opened ? thread_stat_field(text, STAT_SIGNAL) : NULL;
	mask = s ? text_number(&s) : 0;
	return mask > 0 ? (uint64_t)mask : 0;
}

static bool is_pending(int sig)
{
	uint64_t pending = 0;
	const int own = task_of_stack()->tid;

	raw_syscall(__NR_rt_sigpending, &pending, 8);
	for (struct task *t = life_threads() > 1 ? task_next(NULL) : NULL; t && !(pending & SIGBIT(sig)); t = task_next(t))
		if (t->tid != own && t->pid == process.pid)
			pending |= pending_for(t->tid);
	return pending & SIGBIT(sig);
}

/* The default action from now on.  Told to ignore a signal the kernel would drop what else is pending of it, for any thread, which when
 * it resets a handler itself it does not: ours stays until that has come. */
void signal_install_default(int sig, const struct kernel_sigaction *act)
{
	if (!signal_ignored_by_default(sig) || !is_pending(sig))
		signal_install(sig, act);
}

/* ---- exec ------------------------------------------------------------------------------------------------ */

uint64_t signal_ignored(struct task *t)
{
	uint64_t mask = 0;
	for (int sig = 1; sig <= UM_NSIG; sig++)
		if (t->sighand->act[sig].handler == (uint64_t)SIG_IGN)
			mask |= SIGBIT(sig);
	return mask;
}

static const int ours[] = { SIGSEGV, SIGBUS, SIGSYS };

/* exec resets what is caught: make sure that what the guest ignores stays so in the kernel's eyes. */
void signal_before_exec(struct task *t)
{
	struct kernel_sigaction ign = { .handler = (uint64_t)SIG_IGN, .flags = SA_RESTORER,
					.restorer = (uint64_t)signal_restorer };
	if (sigsys_held(t))
		sigsys_lend(t);
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (ours[i] != SIGSYS && t->sighand->act[ours[i]].handler == (uint64_t)SIG_IGN)
			raw_syscall(__NR_rt_sigaction, ours[i], &ign, NULL, 8);
}

void signal_after_failed_exec(struct task *t)
{
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		signal_install(ours[i], &t->sighand->act[ours[i]]);
	sigsys_take_back(t);
}

void signal_clear_handlers(struct task *t)
{
	for (int sig = 1; sig <= UM_NSIG; sig++) {
		struct kernel_sigaction *a = &t->sighand->act[sig];
		if (a->handler <= (uint64_t)SIG_IGN)
			continue;
		memset(a, 0, sizeof *a);
		signal_install(sig, a);
	}
}

/* ---- shared actions --------------------------------------------------------------------------------------- */

struct sighand *sighand_copy(struct sighand *old)
{
	struct sighand *s = heap_alloc(sizeof *s);
	if (!s)
		return NULL;
	if (old)
		memcpy(s->act, old->act, sizeof s->act);
	s->refs = 1;
	return s;
}

void sighand_put(struct sighand *s)
{
	if (s && __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0)
		heap_free(s);
}
