/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Birth and end of threads and processes.
 *
 * Every clone happens here, with all signals blocked.  A child that shares our memory gets its task and
 * its agent stack before it exists and starts on that stack (life_child, from entry.S); a child by fork is
 * a copy and comes out of life_clone like its parent.  Lock order around fork: as registered (life.h).
 */
#include "life.h"
#include "catch.h"
#include "channel.h"
#include "debug.h"
#include "exec.h"
#include "heap.h"
#include "patch_text.h"
#include "signal.h"
#include "../arch/x86_64/offsets.h"
#include "../kernel/cred.h"
#include "../kernel/fd.h"
#include "../kernel/guard.h"
#include "../kernel/path.h"
#include "../kernel/ready.h"
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <asm/prctl.h>

long life_clone_vm(long nr, long a, long b, long c, long d, long e, struct task *child);
_Noreturn void life_exit(struct task *t, int code);
void life_child(struct task *t);

#define LOCKS	16
static struct lock *locks[LOCKS] = { &heap_lock, &tasks_lock, &patch_lock };
static int nlocks = 3;
static int threads = 1;

int life_threads(void)
{
	return __atomic_load_n(&threads, __ATOMIC_RELAXED);
}

void life_register_lock(struct lock *l)
{
	int i = __atomic_fetch_add(&nlocks, 1, __ATOMIC_RELAXED);
	if (i >= LOCKS)
		agent_panic("too many locks registered");
	locks[i] = l;
}

static void lock_all(struct task *t)
{
	lock_acquire(&t->files->lock);
	lock_acquire(&t->fs->lock);
	lock_acquire(&t->sighand->lock);
	for (int i = nlocks - 1; i >= 0; i--)
		lock_acquire(locks[i]);
}

static void unlock_all(struct task *t)
{
	for (int i = 0; i < nlocks; i++)
		lock_release(locks[i]);
	lock_release(&t->sighand->lock);
	lock_release(&t->fs->lock);
	lock_release(&t->files->lock);
}

/* ---- what parent and child share ------------------------------------------------------------------------ */

static bool share(struct task *t, struct task *nt, uint64_t flags)
{
	if (flags & CLONE_FILES) {
		files_get(t->files);
		nt->files = t->files;
	} else {
		nt->files = files_copy(t->files);
	}
	if (flags & CLONE_FS) {
		__atomic_add_fetch(&t->fs->refs, 1, __ATOMIC_RELAXED);
		nt->fs = t->fs;
	} else {
		nt->fs = fsinfo_copy(t->fs, flags & CLONE_FILES);
	}
	if (flags & CLONE_SIGHAND) {
		__atomic_add_fetch(&t->sighand->refs, 1, __ATOMIC_RELAXED);
		nt->sighand = t->sighand;
	} else {
		nt->sighand = sighand_copy(t->sighand);
	}
	return nt->files && nt->fs && nt->sighand;
}

static void release(struct task *t)
{
	if (t->life->released)
		return;
	if (t->files)
		files_put(t->files);
	if (t->fs)
		fsinfo_put(t->fs);
	sighand_put(t->sighand);
	t->life->released = true;
	guard_release(t);
	heap_free(t->cred);
	t->cred = NULL;
}

static void discard(struct task *nt)
{
	release(nt);
	exec_buf_free(nt);
	__atomic_store_n(&nt->busy, 0, __ATOMIC_RELEASE);
}

/* ---- children that share our memory ---------------------------------------------------------------------- */

/* A child of this kind that was killed, or NULL.  It is found once. */
static struct task *find_killed(const struct task *t)
{
	struct task *o = NULL;

	lock_acquire(&tasks_lock);
	while ((o = task_next(o)))
		if (o->pid != t->pid && o->pid && o->life->own_process && !o->life->vfork &&
		    raw_syscall(__NR_kill, o->pid, 0) == -ESRCH)
			break;
	if (o)
		o->pid = 0;
	lock_release(&tasks_lock);
	return o;
}

/* Who was killed could not give back what it had.  (Not under tasks_lock, which giving back may take.) */
static void release_killed(struct task *t)
{
	struct task *o;

	while ((o = find_killed(t))) {
		if (o->files == t->files && o->fs && !o->life->released) {
			fsinfo_leave(o->fs, t->fs);
			o->fs = NULL;
		}
		discard(o);
	}
}

static struct task *prepare_child(struct task *t, const struct um_clone_args *a, uint64_t mask)
{
	struct task *nt = task_new();

	if (!nt)
		return NULL;
	nt->view = t->view;
	nt->epoch = t->epoch;
	nt->is_server = t->is_server;
	nt->regs = t->regs;
	nt->regs.rax = 0;
	if (a->stack)
		nt->regs.rsp = a->stack + a->stack_size;
	nt->sig->mask = t->sig->mask;
	if (a->flags & CLONE_VFORK)
		nt->sig->alt = t->sig->alt;
	nt->life->birth_mask = mask;
	nt->life->clear_handlers = a->flags & CLONE_CLEAR_SIGHAND;
	nt->life->own_process = !(a->flags & CLONE_THREAD);
	nt->life->vfork = a->flags & CLONE_VFORK;
	nt->pid = t->pid;
	nt->debug = t->debug;
	nt->traced = t->traced;
	nt->cred = cred_copy(t->cred);
	guard_inherit(t, nt);
	if ((t->cred && !nt->cred) || !share(t, nt, a->flags)) {
		discard(nt);
		return NULL;
	}
	return nt;
}

/* entry.S: the child's first steps, on its agent stack, all signals blocked. */
void life_child(struct task *t)
{
	raw_syscall(__NR_arch_prctl, ARCH_SET_GS, t);
	signal_thread(t);
	t->tid = raw_syscall(__NR_gettid);
	if (t->life->own_process)
		t->pid = t->tid;
	if (t->tid == 1)
		process.own_pids = true;
	if (t->life->clear_handlers)
		signal_clear_handlers(t);
	signal_set_mask(t->life->birth_mask);
	if (t->debug & DEBUG_STEP)
		debug_exit(t, t->tid, t->nr, 0);
}

/* What the kernel gets: it must not take our own handlers away. */
static struct um_clone_args for_kernel(const struct um_clone_args *a)
{
	struct um_clone_args k = *a;
	k.flags &= ~CLONE_CLEAR_SIGHAND;
	return k;
}

static long clone_sharing(struct task *t, struct um_clone_args *a, size_t size, uint64_t mask)
{
	if (!(a->flags & (CLONE_THREAD | CLONE_VFORK)))
		release_killed(t);
	struct task *nt = prepare_child(t, a, mask);
	struct um_clone_args k = for_kernel(a);
	uint64_t top;
	long r;

	if (!nt)
		return -ENOMEM;
	top = (uint64_t)nt + TASK_STACK_TOP;
	__atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED);
	if (size) {
		k.stack = (uint64_t)nt + TASK_FPSAVE + TASK_FPSAVE_SIZE;
		k.stack_size = top - k.stack;
		r = life_clone_vm(__NR_clone3, (long)&k, size < sizeof k ? size : sizeof k, 0, 0, 0, nt);
	} else {
		r = life_clone_vm(__NR_clone, a->flags | a->exit_signal, top, a->parent_tid,
				  a->child_tid, a->tls, nt);
	}
	if (!(a->flags & CLONE_FILES))		/* what another thread has opened since we made our copy is in the kernel's */
		__atomic_add_fetch(&t->files->copies, 1, __ATOMIC_RELAXED);
	if (r < 0 || (a->flags & CLONE_VFORK)) {
		__atomic_sub_fetch(&threads, r < 0 || !nt->life->released, __ATOMIC_RELAXED);
		discard(nt);
	}
	return r;
}

/* ---- children that are copies --------------------------------------------------------------------------- */

static void become_copy(struct task *t, const struct um_clone_args *a)
{
	t->tid = raw_syscall(__NR_gettid);
	t->pid = process.pid = raw_syscall(__NR_getpid);
	t->life->own_process = t->life->vfork = false;
	if (t->pid == 1)		/* the first in a name space of its own */
		process.own_pids = true;
	if (process.watch & WATCH_GUARD)
		guard_forked(t);
	t->regs.rax = 0;
	if (a->stack)
		t->regs.rsp = a->stack + a->stack_size;
	threads = 1;
	exec_after_fork();
	ready_after_fork();
	task_only(t);
	unlock_all(t);
	channel_after_fork(t);
	sigsys_after_fork(t);
	if (a->flags & CLONE_CLEAR_SIGHAND)
		signal_clear_handlers(t);
}

static long clone_copying(struct task *t, struct um_clone_args *a, size_t size)
{
	struct um_clone_args k = for_kernel(a);
	long r;

	lock_all(t);
	carrier_drop_spares(t->files);
	if (size) {
		k.stack = k.stack_size = 0;
		r = raw_syscall(__NR_clone3, &k, size < sizeof k ? size : sizeof k);
	} else {
		r = raw_syscall(__NR_clone, a->flags | a->exit_signal, 0, a->parent_tid, a->child_tid, a->tls);
	}
	if (r == 0)
		become_copy(t, a);
	else
		unlock_all(t);
	return r;
}

long life_clone(struct task *t, struct um_clone_args *a, size_t size)
{
	uint64_t mask;
	long r;

	if (a->flags & CLONE_NEWNS)
		return a->flags & CLONE_FS ? -EINVAL : -EPERM;
	if ((a->flags & CLONE_CLEAR_SIGHAND) && (a->flags & CLONE_SIGHAND))
		return -EINVAL;
	/* The table of virtual descriptors is ours, in memory: without shared memory it cannot be shared. */
	if ((a->flags & CLONE_FILES) && !(a->flags & CLONE_VM) && t->files->size)
		return -EINVAL;
	mask = signal_block_all();
	if (t->pending)
		r = -UM_ERESTART;
	else if (a->flags & CLONE_VM)
		r = clone_sharing(t, a, size, mask);
	else
		r = clone_copying(t, a, size);
	signal_set_mask(mask);
	return r;
}

/* ---- the end ------------------------------------------------------------------------------------------- */

/* Does another process share this files or fsinfo of ours? */
static bool used_elsewhere(const struct task *t, const void *shared)
{
	for (const struct task *o = NULL; (o = task_next(o));)
		if (o->pid != t->pid && (o->files == shared || o->fs == shared))
			return true;
	return false;
}

/* The process ends: what it had open is closed, so that servers learn it at once. */
static void leave_files(struct task *t)
{
	if (t->files->size && !used_elsewhere(t, t->files))
		files_exit(t);
	if (t->fs->cwd && !used_elsewhere(t, t->fs))
		fsinfo_set_cwd(t, NULL);
}

static bool is_last(struct task *t)
{
	return life_threads() == 1 || t->life->own_process;
}

/* Tells those who must know that this thread, or process, is no more. */
static void farewell(struct task *t, bool group)
{
	signal_block_all();
	if (group || is_last(t))
		leave_files(t);
	channel_task_exit(t);
}

/* action: what seccomp shall make of the thread's last call. */
_Noreturn static void finish(struct task *t, int code, bool group, uint32_t action)
{
	farewell(t, group);
	if (action != SECCOMP_RET_ALLOW)
		catch_death(action);
	if (group && !t->life->own_process)
		for (;;)
			raw_syscall(__NR_exit_group, code);
	release(t);
	__atomic_sub_fetch(&threads, 1, __ATOMIC_RELAXED);
	if (t->life->vfork)
		for (;;)
			raw_syscall(__NR_exit, code);
	life_exit(t, code);
}

_Noreturn void life_end(struct task *t, int code, bool group)
{
	finish(t, code, group, SECCOMP_RET_ALLOW);
}

_Noreturn void life_kill(struct task *t, uint32_t action)
{
	finish(t, 31 /* SIGSYS */, action == SECCOMP_RET_KILL_PROCESS, action);
}

_Noreturn void life_die(struct task *t, int sig)
{
	farewell(t, true);
	signal_default(sig);
	signal_set_mask(~SIGBIT(sig));
	for (;;)
		raw_syscall(__NR_tgkill, t->pid, t->tid, sig);
}
