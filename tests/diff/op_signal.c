/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps with signals, each sent by the process to itself, so that it is known where it arrives: behind the call
 * that sent it, or behind the one that unblocked it.
 */
#include "diff.h"
#include <poll.h>
#include <sys/signalfd.h>
#include <ucontext.h>

static const int signals[] = { SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, 37, SIGSYS };

static char alt_stack[65536] __attribute__((aligned(16)));

static bool on_alt_stack(void)
{
	char here;

	return &here > alt_stack && &here < alt_stack + sizeof alt_stack;
}

/* A handler that makes calls itself. */
static void handler(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *c = context;
	struct stat st;
	int saved = errno;

	say(" [%s code %d%s%s", sigabbrev_np(sig) ? sigabbrev_np(sig) : "RT", info->si_code,
	    info->si_code == SI_QUEUE && info->si_value.sival_int == 77 ? " value" : "", on_alt_stack() ? " alt" : "");
	say(" mask %lx", *(const unsigned long *)&c->uc_sigmask & ~3ul);
	say(" %d]", syscall(SYS_newfstatat, AT_FDCWD, "f0", &st, 0) ? errno : 0);
	errno = saved;
}

/* A broken pipe kills nobody, either. */
void signals_start(void)
{
	struct sigaction a = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	sigaction(SIGPIPE, &a, NULL);
}

static void op_sigaction(void)
{
	static const int flags[] = { 0, SA_RESTART, SA_NODEFER, SA_RESETHAND, SA_ONSTACK, SA_ONSTACK | SA_NODEFER };
	int sig = PICK_OF(signals), flag = PICK_OF(flags);
	struct sigaction a = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flag }, old;
	unsigned how = pick(8);

	if (how == 0)
		a = (struct sigaction){ .sa_handler = SIG_IGN };
	if (how > 5)
		sigaddset(&a.sa_mask, SIGUSR2);
	say("%d, %#x, %u", sig, (unsigned)flag, how);
	result(sigaction(sig, &a, &old));
	say(" old %s %#x", old.sa_handler == SIG_DFL ? "default" : old.sa_handler == SIG_IGN ? "ignore" : "handler",
	    (unsigned)old.sa_flags & ~0x04000000u);
}

/* Nobody dies of a signal here: what has no handler and would kill is not sent. */
static bool deadly(int sig)
{
	struct sigaction now;

	sigaction(sig, NULL, &now);
	return now.sa_handler == SIG_DFL && sig != SIGWINCH && sig != SIGCONT;
}

static void op_raise(void)
{
	int sig = PICK_OF(signals);
	unsigned how = pick(4);

	say("%d, %u", sig, how);
	if (in_thread())
		how |= 1;		/* which of several threads gets it is up to the kernel */
	if (deadly(sig)) {
		say(" not sent");
		return;
	}
	if (how == 0)
		result(syscall(SYS_kill, getpid(), sig));
	else if (how == 1)
		result(syscall(SYS_tgkill, getpid(), (long)syscall(SYS_gettid), sig));
	else if (how == 2)
		result(sigqueue(getpid(), sig, (union sigval){ .sival_int = 77 }));
	else
		result(raise(sig));
}

static void say_set(const sigset_t *set)
{
	say(" {");
	for (int sig = 1; sig < 65; sig++)
		if (sigismember(set, sig) == 1)
			say(" %d", sig);
	say(" }");
}

static void op_sigmask(void)
{
	static const int hows[] = { SIG_BLOCK, SIG_BLOCK, SIG_UNBLOCK, SIG_UNBLOCK, SIG_SETMASK };
	int how = PICK_OF(hows), sig = PICK_OF(signals), other = PICK_OF(signals);
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, sig);
	sigaddset(&set, other);
	for (unsigned i = 0; how != SIG_BLOCK && i < sizeof signals / sizeof *signals; i++)
		if (deadly(signals[i])) {
			say(" deadly");
			return;
		}
	say("%d, %d %d", how, sig, other);
	result(sigprocmask(how, &set, &old));
	say_set(&old);
}

static void op_sigpending(void)
{
	sigset_t set;

	result(sigpending(&set));
	say_set(&set);
}

static void op_sigtake(void)
{
	struct timespec none = { 0, 0 };
	struct signalfd_siginfo info;
	sigset_t set, pending;
	long r;
	int fd;

	sigemptyset(&set);
	for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
		sigaddset(&set, signals[i]);
	sigpending(&pending);
	if (pick(2)) {
		sigdelset(&pending, SIGSYS);
		if (!sigisemptyset(&pending))		/* of several the agent's comes first: docs/limits.md */
			sigdelset(&set, SIGSYS);
		r = sigtimedwait(&set, NULL, &none);
		result(r);
		return;
	}
	sigdelset(&set, SIGSYS);	/* signalfd never tells of it: docs/limits.md */
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	say("fd");
	r = read(fd, &info, sizeof info);
	result(r);
	if (r > 0)
		say(" %u %d", info.ssi_signo, info.ssi_code);
	close(fd);
}

/*
 * Blocked, sent, and let in for the time of one call.  Not a SIGSYS and another one, which the kernel delivers both,
 * and a view the SIGSYS when it is unblocked (docs/limits.md).
 */
static void op_sigsuspend(void)
{
	int sig = PICK_OF(signals);
	unsigned how = pick(3);
	struct timespec none = { 0, 0 };
	sigset_t set, old, open;

	say("%d, %u", sig, how);
	sigpending(&set);
	if (deadly(sig) || sigismember(&set, SIGSYS) || (sig == SIGSYS && !sigisemptyset(&set)))
		return;
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_BLOCK, &set, &old);
	raise(sig);
	open = old;
	sigdelset(&open, sig);
	if (how == 0)
		result(ppoll(NULL, 0, &none, &open));
	else if (how == 1)
		result(pselect(0, NULL, NULL, NULL, &none, &open));
	else {
		struct sigaction now;

		sigaction(sig, NULL, &now);
		if (now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN)
			result(sigsuspend(&open));
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void op_sigaltstack(void)
{
	stack_t s = { .ss_sp = alt_stack, .ss_size = sizeof alt_stack, .ss_flags = pick(3) ? 0 : SS_DISABLE }, old;

	if (chance(8))
		s.ss_size = 100;
	say("%d, %zu", s.ss_flags, s.ss_size);
	if (!result(sigaltstack(&s, &old)))
		say(" old %d %zu", old.ss_flags, old.ss_flags & SS_DISABLE ? 0 : old.ss_size);
}

const struct op ops_signal[] = {
	{ "sigaction", op_sigaction, 10, 0 },
	{ "raise", op_raise, 14, 0 },
	{ "sigmask", op_sigmask, 8, 0 },
	{ "sigpending", op_sigpending, 3, 0 },
	{ "sigtake", op_sigtake, 3, 0 },
	{ "sigsuspend", op_sigsuspend, 4, 0 },
	{ "sigaltstack", op_sigaltstack, 4, 0 },
	{ 0 }
};
