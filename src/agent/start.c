/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first C code of every image: takes over the state of the process from the boot text, maps the
 * world, and loads the program; or, started by the monitor, installs the seccomp filter and executes the
 * first program of the view.
 */
#include "agent.h"
#include "catch.h"
#include "channel.h"
#include "exec.h"
#include "filter.h"
#include "life.h"
#include "load.h"
#include "patch_text.h"
#include "signal.h"
#include "../kernel/cred.h"
#include "../kernel/fd.h"
#include "../kernel/guard.h"
#include "../kernel/path.h"
#include "../kernel/view.h"
#include <linux/auxvec.h>
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <asm/prctl.h>

#define FILTER_MAX	1024

extern char agent_text_start[], agent_text_end[];
_Noreturn void agent_start(uint64_t *sp);

_Noreturn static void fail(const char *what, long error)
{
	char line[256];
	int n = text_format(line, sizeof line, "umview: %s (error %ld)\n", what, -error);
	raw_syscall(__NR_write, 2, line, n);
	for (;;)
		raw_syscall(__NR_exit_group, 125);
}

static void install_filter(void)
{
	static struct sock_filter code[FILTER_MAX] UM_LARGE;
	struct sock_fprog prog = { .filter = code };
	int n = um_filter_build(code, FILTER_MAX, (uint64_t)agent_text_start, (uint64_t)agent_text_end);

	if (n <= 0)
		fail("the seccomp filter does not fit", n);
	prog.len = n;
	raw_syscall(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	long r = raw_syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
	if (r < 0)
		fail("this kernel lets no seccomp filter be installed; see umview --probe", r);
}

static void map_world(const struct boot *b)
{
	process.image_fd = b->image_fd;
	process.world_fd = b->world_fd;
	fd_own_start();
	long r = view_map_world();
	if (r < 0)
		fail("the world cannot be mapped", r);
	if (process.world->magic != UM_WORLD_MAGIC || process.world->version != UM_WORLD_VERSION)
		fail("the world has another version than this agent", -EINVAL);
	if (process.world->trace) {
		fd_own(process.world->trace);
		process.watch |= WATCH_TRACE;
	}
	if (process.world->log)
		fd_own(process.world->log);
	r = view_map(b->view);
	if (r < 0)
		fail("the view cannot be mapped", r);
}

static uint64_t ignored_now(void)
{
	uint64_t mask = 0;

	for (int sig = 1; sig <= UM_NSIG; sig++) {
		struct kernel_sigaction a;
		if (raw_syscall(__NR_rt_sigaction, sig, NULL, &a, 8) == 0 && a.handler == 1 /* SIG_IGN */)
			mask |= SIGBIT(sig);
	}
	return mask;
}

static uint32_t umask_now(void)
{
	uint32_t mask = raw_syscall(__NR_umask, 077);

	raw_syscall(__NR_umask, mask);
	return mask;
}

static struct task *first_task(const struct boot *b)
{
	struct task *t = task_first();

	t->view = b->view;
	t->epoch = b->epoch;
	t->is_server = b->server;
	t->tid = t->pid = process.pid = raw_syscall(__NR_getpid);
	process.own_pids = b->own_pids;
	process.polls = b->polls;
	t->files = files_new();
	t->fs = fsinfo_new(b->first ? umask_now() : b->umask);
	t->sighand = sighand_copy(NULL);
	if (!t->files || !t->fs || !t->sighand)
		fail("no memory for a task", -ENOMEM);
	return t;
}

static void use_gs(struct task *t)
{
	text_set_patching(raw_syscall(__NR_arch_prctl, ARCH_SET_GS, t) == 0);
}

static void take_identity(struct task *t, const struct boot *b, struct start_stack *s)
{
	t->cred = b->cred ? cred_read(b->cred) : cred_login(b->ident, NULL);
	if (!t->cred)
		fail("no identity can be made of what the boot text says", -EINVAL);
	process.watch |= WATCH_IDENTITY;
	long r = b->first ? catch_identity() : 0;
	if (r < 0)
		fail("this kernel lets no second seccomp filter be installed", r);
	const uint64_t told[][2] = {
		{ AT_UID, t->cred->uid.real }, { AT_EUID, t->cred->uid.effective },
		{ AT_GID, t->cred->gid.real }, { AT_EGID, t->cred->gid.effective }, { AT_SECURE, t->cred->secure },
	};
	for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
		struct auxv *a = stack_auxv(s, told[i][0]);

		if (a)
			a->value = told[i][1];
	}
}

_Noreturn void agent_start(uint64_t *sp)
{
	struct start_stack s;
	struct boot b;

	stack_parse(&s, sp);
	if (*sp < 2 || !boot_read(&b, s.argv[0]))
		fail("this is umview's agent: it is started by umview, not by hand", -EINVAL);
	map_world(&b);
	struct task *t = first_task(&b);
	use_gs(t);
	signal_start(t, b.first ? ignored_now() : b.ignored);
	if (b.sigsys_blocked)
		t->sig->mask |= SIGBIT(31 /* SIGSYS */);
	if (guard_start(t, b.guard, b.guard_fd) < 0)
		fail("the program's own filters got lost", -EINVAL);
	if (b.first) {
		guard_first(t);
		install_filter();
	}
	if (b.ident || b.cred)
		take_identity(t, &b, &s);
	if (view_has(UM_MOUNT_COW))
		process.watch |= WATCH_IDENTITY;
	if (b.fds_fd >= 0 && files_carried(t->files, b.fds_fd) < 0)
		fail("the table of descriptors got lost", -EINVAL);
	if (b.fds)
		files_restore(t->files, b.fds);
	if (b.cwd)
		fsinfo_restore(t, b.cwd);
	files_after_exec(t);
	if (b.hold_fd >= 0) {
		fd_own(b.hold_fd);
		raw_syscall(__NR_fcntl, b.hold_fd, F_SETFD, FD_CLOEXEC);
	}
	const char *execfn = s.argv[1];
	stack_drop_two(&s);
	if (b.first)
		exec_first(t, s.argv, s.envp);
	process.exe = b.exe ? heap_strndup(b.exe, strlen(b.exe)) : NULL;
	load_run(t, &s, b.prog_fd, b.interp_fd, execfn);
}
