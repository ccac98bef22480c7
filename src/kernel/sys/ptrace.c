/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ptrace(2), for a debugger that is a guest.
 *
 * What the kernel would say of a thread of the view shows our agent; so requests about its registers, how it runs
 * on, and what its stop means are answered here, from kernel/tracee.h.  All else is the kernel's, and so is everything
 * about threads that are no guests.
 */
#include "handlers.h"
#include "../perm.h"
#include "../tracee.h"
#include "../fs/proc.h"
#include "../../agent/life.h"
#include <linux/audit.h>
#include <linux/elf.h>
#include <asm/ptrace-abi.h>
#include <asm/signal.h>

#define SYSEMU		31	/* PTRACE_SYSEMU, PTRACE_SYSEMU_SINGLESTEP */
#define SYSEMU_STEP	32
#define TRAP_TRACE	2

/* The record of a thread that is ours and has stopped, with c->regs loaded; or NULL and *error. */
static struct tracee *stopped(int tid, long *error)
{
	struct tracee *c = tracee_find(tid);

	*error = c ? tracee_load(c) : 0;
	return *error ? NULL : c;
}

/* ---- becoming a debugger ------------------------------------------------------------------------------ */

/*
 * The parent must know how to hide our stops: it is a guest, too.  As long as it is suspended by vfork it cannot, and the
 * next call that traps would never end: so that begins with the exec, before which nothing natively stops either.
 */
static long traceme(struct task *t)
{
	if (!proc_in_view((int)raw_syscall(__NR_getppid))) {
		agent_log("PTRACE_TRACEME: the parent is no process of the view");
		return -EPERM;
	}
	if (t->life->vfork) {
		t->life->traceme = true;
		return 0;
	}
	return pass_through(t);
}

static long attach(struct task *t, int tid)
{
	long r = pass_through(t);

	if (r == 0 && !tracee_new(tid, 0))
		r = -ENOMEM;
	return r;
}

static long seize(struct task *t, int tid, unsigned long addr, unsigned long options)
{
	const uint32_t ours = proc_in_view(tid) ? TRACEE_OPTIONS : 0;
	long r;

	if (options & PTRACE_O_SUSPEND_SECCOMP)
		return -EPERM;
	r = kernel_call(t, __NR_ptrace, PTRACE_SEIZE, tid, addr, options | ours);
	if (r == 0 && !tracee_new(tid, (uint32_t)options | DEBUG_SEIZED))
		r = -ENOMEM;
	return r;
}

static long set_options(struct task *t, struct tracee *c, unsigned long options)
{
	long r;

	if (!c->guest)
		return pass_through(t);
	if (options & PTRACE_O_SUSPEND_SECCOMP)
		return -EPERM;
	r = tracee_ptrace(PTRACE_SETOPTIONS, c->tid, 0, options | TRACEE_OPTIONS);
	if (r == 0) {
		c->options = (c->options & DEBUG_SEIZED) | (uint32_t)options;
		tracee_tell(c, c->debug, c->options | DEBUG_TRACED);
	}
	return r;
}

static long detach(struct task *t, struct tracee *c)
{
	const int tid = c->tid;
	long r;

	if (c->guest)
		tracee_tell(c, 0, 0);
	tracee_way_end(c);
	r = pass_through(t);
	if (r == 0)
		tracee_gone(tid);
	return r;
}

static long run(struct tracee *c, enum tracee_mode mode, unsigned long sig)
{
	if (sig > UM_NSIG)
		return -EIO;
	c->mode = mode;
	return tracee_run(c, (int)sig);
}

/* ---- registers ---------------------------------------------------------------------------------------- */

static long get_registers(struct task *t, struct tracee *c, gaddr to, size_t n)
{
	struct user_regs u;

	tracee_get(c, &u);
	return copy_to_guest(t, to, &u, n < sizeof(u) ? n : sizeof(u));
}

static long set_registers(struct task *t, struct tracee *c, gaddr from, size_t n)
{
	struct user_regs u;

	tracee_get(c, &u);
	if (copy_from_guest(t, &u, from, n < sizeof(u) ? n : sizeof(u)))
		return -EFAULT;
	return tracee_set(c, &u);
}

/* PTRACE_GETREGSET, _SETREGSET of the general registers. */
static long register_set(struct task *t, struct tracee *c, gaddr vec, bool set)
{
	struct { uint64_t base, len; } iov;
	long r;

	if (copy_from_guest(t, &iov, vec, sizeof(iov)))
		return -EFAULT;
	if (iov.len % 8)
		return -EINVAL;
	if (iov.len > sizeof(struct user_regs))
		iov.len = sizeof(struct user_regs);
	r = set ? set_registers(t, c, iov.base, iov.len) : get_registers(t, c, iov.base, iov.len);
	return r ? r : copy_to_guest(t, vec, &iov, sizeof(iov));
}

static long peek_user(struct task *t, struct tracee *c, unsigned long at, gaddr to)
{
	struct user_regs u;

	if (at >= sizeof(u) || at % 8)
		return pass_through(t);
	tracee_get(c, &u);
	return copy_to_guest(t, to, (char *)&u + at, 8);
}

static long poke_user(struct task *t, struct tracee *c, unsigned long at, uint64_t value)
{
	struct user_regs u;

	if (at >= sizeof(u) || at % 8)
		return pass_through(t);
	tracee_get(c, &u);
	memcpy((char *)&u + at, &value, 8);
	return tracee_set(c, &u);
}

/* ---- what a stop means -------------------------------------------------------------------------------- */

static long syscall_info(struct task *t, struct tracee *c, size_t size, gaddr to)
{
	struct ptrace_syscall_info info = { .arch = AUDIT_ARCH_X86_64 };
	const bool exit = c->early || (c->event == DEBUG_EXIT && !c->step);
	size_t n = offsetof(struct ptrace_syscall_info, entry);
	struct user_regs u;

	if (!c->event && !c->early)
		return pass_through(t);
	tracee_get(c, &u);
	info.instruction_pointer = u.rip;
	info.stack_pointer = u.rsp;
	if (c->event == DEBUG_ENTRY || c->event == DEBUG_FILTER) {
		const uint64_t args[6] = { u.rdi, u.rsi, u.rdx, u.r10, u.r8, u.r9 };

		info.op = PTRACE_SYSCALL_INFO_ENTRY;
		info.entry.nr = u.orig_rax;
		memcpy(info.entry.args, args, sizeof(args));
		n = offsetof(struct ptrace_syscall_info, entry.args) + sizeof(args);
		if (c->event == DEBUG_FILTER) {
			info.op = PTRACE_SYSCALL_INFO_SECCOMP;
			info.seccomp.ret_data = (uint32_t)c->regs.r10;
			n = offsetof(struct ptrace_syscall_info, seccomp.ret_data) + sizeof(uint32_t);
		}
	} else if (exit) {
		info.op = PTRACE_SYSCALL_INFO_EXIT;
		info.exit.rval = (int64_t)u.rax;
		info.exit.is_error = (long)u.rax < 0 && (long)u.rax >= -4095;
		n = offsetof(struct ptrace_syscall_info, exit.is_error) + 1;
	}
	return copy_to_guest(t, to, &info, size < n ? size : n) ? -EFAULT : (long)n;
}

static long event_message(struct task *t, struct tracee *c, gaddr to)
{
	uint64_t message = c->event == DEBUG_LOADED ? c->message :
			   c->event == DEBUG_FILTER ? c->regs.r10 : c->early ? DEBUG_EXIT : (uint64_t)c->event;

	return c->event || c->early ? copy_to_guest(t, to, &message, sizeof(message)) : pass_through(t);
}

static long signal_info(struct task *t, struct tracee *c, gaddr to)
{
	struct kernel_siginfo info = { .signo = SIGTRAP, .code = SIGTRAP };

	if (c->moved)
		return copy_to_guest(t, to, &c->info, sizeof(c->info));
	if (!c->event && !c->early)
		return pass_through(t);
	if (c->event == DEBUG_LOADED)
		info.code |= PTRACE_EVENT_EXEC << 8;
	else if (c->event == DEBUG_FILTER)
		info.code |= PTRACE_EVENT_SECCOMP << 8;
	else if (c->step)
		info.code = TRAP_TRACE;
	else if (c->options & PTRACE_O_TRACESYSGOOD)
		info.code |= 0x80;
	if (!c->step)
		info.kill.pid = c->tid;
	return copy_to_guest(t, to, &info, sizeof(info));
}

/* The guest's mask is its agent's; the kernel's may be another one for a moment. */
static long signal_mask(struct task *t, struct tracee *c, size_t size, gaddr at, bool set)
{
	uint64_t mask = 0, sig = 0;

	if (!c->guest || !c->task)
		return pass_through(t);
	if (size != 8)
		return -EINVAL;
	if (!tracee_read(c, c->task + offsetof(struct task, sig), &sig, 8))
		return -EIO;
	if (!set)
		return tracee_read(c, sig + offsetof(struct sigstate, mask), &mask, 8) ? copy_to_guest(t, at, &mask, 8) : -EIO;
	if (copy_from_guest(t, &mask, at, 8))
		return -EFAULT;
	mask &= ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
	tracee_write(c, sig + offsetof(struct sigstate, mask), &mask, 8);
	mask = signal_kernel_mask(mask);
	return tracee_ptrace(PTRACE_SETSIGMASK, c->tid, 8, (unsigned long)&mask);
}

/* ---- ptrace ------------------------------------------------------------------------------------------- */

/* Requests about a thread of the view that is ours and has stopped. */
static long about_guest(struct task *t, struct tracee *c, long request, unsigned long addr, unsigned long data)
{
	switch (request) {
	case PTRACE_GETREGS:
		return get_registers(t, c, data, sizeof(struct user_regs));
	case PTRACE_SETREGS:
		return set_registers(t, c, data, sizeof(struct user_regs));
	case PTRACE_GETREGSET:
	case PTRACE_SETREGSET:
		return addr == NT_PRSTATUS ? register_set(t, c, data, request == PTRACE_SETREGSET) : pass_through(t);
	case PTRACE_PEEKUSR:
		return peek_user(t, c, addr, data);
	case PTRACE_POKEUSR:
		return poke_user(t, c, addr, data);
	case PTRACE_GET_SYSCALL_INFO:
		return syscall_info(t, c, addr, data);
	case PTRACE_GETEVENTMSG:
		return event_message(t, c, data);
	case PTRACE_GETSIGINFO:
		return signal_info(t, c, data);
	case PTRACE_GETSIGMASK:
	case PTRACE_SETSIGMASK:
		return signal_mask(t, c, addr, data, request == PTRACE_SETSIGMASK);
	case SYSEMU:
	case SYSEMU_STEP:
		agent_log("PTRACE_SYSEMU: the calls of a guest are its agent's");
		return -EIO;
	default:
		return pass_through(t);
	}
}

/* Requests after which it runs, and those that concern all threads. */
static long about_tracee(struct task *t, struct tracee *c, long request, unsigned long addr, unsigned long data)
{
	switch (request) {
	case PTRACE_SETOPTIONS:
	case PTRACE_OLDSETOPTIONS:
		return set_options(t, c, data);
	case PTRACE_DETACH:
		return detach(t, c);
	case PTRACE_CONT:
		return run(c, RUN_CONT, data);
	case PTRACE_SYSCALL:
		return run(c, RUN_CALLS, data);
	case PTRACE_SINGLESTEP:
		return run(c, RUN_STEP, data);
	default:
		return c->guest ? about_guest(t, c, request, addr, data) : pass_through(t);
	}
}

long sys_ptrace(struct task *t, long request, int tid, unsigned long addr, unsigned long data)
{
	struct tracee *c;
	long r;

	r = request == PTRACE_ATTACH || request == PTRACE_SEIZE ? perm_process(t, tid, CRED_SYS_PTRACE, true) : 0;
	if (r)
		return r;
	if (ptrace_is_plain())
		return pass_through(t);
	switch (request) {
	case PTRACE_TRACEME:
		return traceme(t);
	case PTRACE_ATTACH:
		return attach(t, tid);
	case PTRACE_SEIZE:
		return seize(t, tid, addr, data);
	case PTRACE_INTERRUPT:
	case PTRACE_LISTEN:
	case PTRACE_KILL:
	case PTRACE_PEEKTEXT:
	case PTRACE_PEEKDATA:
	case PTRACE_POKETEXT:
	case PTRACE_POKEDATA:
		return pass_through(t);
	default:
		c = stopped(tid, &r);
		return c ? about_tracee(t, c, request, addr, data) : r ? r : pass_through(t);
	}
}
