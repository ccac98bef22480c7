/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signals to other processes, and what else is done to them, by who is kept from what is not his (kernel/perm.h): to the kernel
 * all of the view's processes are the same user's.  Others' ids are read from their agents; where that may not be done (Yama) it is the kernel's answer that counts.
 * Who has no identity does not come here, and who is not strict is passed on.
 */
#include "calls.h"
#include "../fs/proc.h"

#define NOBODY	UINT32_MAX	/* not known, or gone */

static bool is_bound(const struct task *t)
{
	return t->cred->strict && !cred_can(t->cred, CRED_KILL);
}

/* To the kernel all that is the caller's is the view's first user's. */
static struct cred_ids shown_ids(const struct cred *c, uint32_t uid)
{
	uint32_t id = uid == c->kernel_uid ? c->own_uid : uid;

	return (struct cred_ids){ .real = id, .effective = id, .saved = id };
}

/* Who a thread of another process is: real and saved. */
static struct cred_ids ids_of(const struct task *t, int tid)
{
	struct cred_ids unknown = { .real = NOBODY, .saved = NOBODY };
	struct task other;
	struct stat st;
	struct cred c;
	char path[40];

	text_format(path, sizeof path, "/proc/%d/exe", tid);
	if (raw_syscall(__NR_readlinkat, AT_FDCWD, path, &c, 1) == -ENOENT)
		return unknown;		/* a zombie */
	if (proc_in_view(tid)) {
		if (!peer_task(tid, 0, &other))
			return unknown;
		if (other.cred)
			return peer_read(tid, other.cred, &c, sizeof c) ? c.uid : unknown;
	}
	text_format(path, sizeof path, "/proc/%d", tid);
	return raw_syscall(__NR_newfstatat, AT_FDCWD, path, &st, 0) ? unknown : shown_ids(t->cred, st.st_uid);
}

static bool same_session(int pid)
{
	return raw_syscall(__NR_getsid, pid) == raw_syscall(__NR_getsid, 0);
}

/* 0, or -EPERM; whether there is such a thread the kernel says. */
static long may_signal(const struct task *t, int tid, int sig)
{
	const struct cred *c = t->cred;
	struct cred_ids to;

	if (tid == process.pid || tid == t->tid || (sig == 18 /* SIGCONT */ && same_session(tid)))
		return 0;
	to = ids_of(t, tid);
	return to.real == NOBODY || c->uid.effective == to.saved || c->uid.effective == to.real || c->uid.real == to.saved ||
	       c->uid.real == to.real ? 0 : -EPERM;
}

long perm_process(const struct task *t, int tid, int capability, bool all)
{
	const struct cred *c = t->cred;
	struct cred_ids to;

	if (!c || !c->strict || cred_can(c, capability) || tid <= 0 || tid == process.pid || tid == t->tid)
		return 0;
	to = ids_of(t, tid);
	if (to.real == NOBODY)
		return 0;
	if (all)
		return c->uid.real == to.real && c->uid.real == to.effective && c->uid.real == to.saved ? 0 : -EPERM;
	return c->uid.effective == to.real || c->uid.effective == to.effective ? 0 : -EPERM;
}

/* ---- to many -------------------------------------------------------------------------------------------- */

struct crowd {
	struct task *t;
	int group, sig;			/* group 0: all that there are */
	bool self, any, done;		/* we belong to it; somebody does; somebody was sent it */
	long error;
};

static void signal_one(struct crowd *k, int pid)
{
	long r;

	if (k->group && raw_syscall(__NR_getpgid, pid) != k->group)
		return;
	if (pid == process.pid) {
		k->self = k->group != 0;	/* at last, for it may be the end of us */
		return;
	}
	if (!k->group && pid == 1)
		return;
	k->any = true;
	r = may_signal(k->t, pid, k->sig);
	if (!r)
		r = raw_syscall(__NR_kill, pid, k->sig);
	if (r)
		k->error = k->group || r != -EPERM ? r : k->error;
	else
		k->done = true;
}

static int number(const char *s)
{
	int n = 0;

	for (; *s >= '0' && *s <= '9' && n < 100000000; s++)
		n = 10 * n + *s - '0';
	return *s ? 0 : n;
}

static long signal_crowd(struct crowd *k)
{
	struct { uint64_t ino, off; uint16_t len; uint8_t type; char name[]; } *e;
	long n, dir = raw_syscall(__NR_openat, AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char buf[4096] __attribute__((aligned(8)));

	if (dir < 0)
		return dir;
	while ((n = raw_syscall(__NR_getdents64, dir, buf, sizeof buf)) > 0)
		for (long at = 0; at < n; at += e->len) {
			e = (void *)(buf + at);
			if (number(e->name))
				signal_one(k, number(e->name));
		}
	raw_syscall(__NR_close, dir);
	if (k->self)
		n = raw_syscall(__NR_kill, process.pid, k->sig);
	if (k->done || (k->self && !n))
		return 0;
	return k->any ? k->error : -ESRCH;
}

/* ---- the calls ------------------------------------------------------------------------------------------ */

long sys_kill(struct task *t, int pid, int sig)
{
	struct crowd k = { .t = t, .sig = sig };
	long r;

	if (!is_bound(t) || pid == INT32_MIN || sig < 0 || sig > 64)
		return pass_through(t);
	if (pid <= 0) {
		k.group = pid == -1 ? 0 : pid ? -pid : (int)raw_syscall(__NR_getpgid, 0);
		return signal_crowd(&k);
	}
	r = may_signal(t, pid, sig);
	return r ? r : pass_through(t);
}

/* To one thread or process, whatever else is to be said to it. */
static long to_thread(struct task *t, int tid, int sig)
{
	long r = is_bound(t) && tid > 0 && sig >= 0 && sig <= 64 ? may_signal(t, tid, sig) : 0;

	return r ? r : pass_through(t);
}

long sys_tkill(struct task *t, int tid, int sig)
{
	return to_thread(t, tid, sig);
}

long sys_tgkill(struct task *t, int tgid, int tid, int sig)
{
	return tgid <= 0 ? pass_through(t) : to_thread(t, tgid == process.pid ? tgid : tid, sig);
}

long sys_rt_sigqueueinfo(struct task *t, int pid, int sig, gaddr info)
{
	(void)info;
	return to_thread(t, pid, sig);
}

long sys_rt_tgsigqueueinfo(struct task *t, int tgid, int tid, int sig, gaddr info)
{
	(void)info;
	return tgid <= 0 ? pass_through(t) : to_thread(t, tgid == process.pid ? tgid : tid, sig);
}

long sys_pidfd_send_signal(struct task *t, int pidfd, int sig, gaddr info, unsigned flags)
{
	(void)info, (void)flags;
	if (fd_is_ours(pidfd))
		return -EBADF;
	return is_bound(t) ? to_thread(t, (int)proc_of_pidfd(pidfd), sig) : pass_through(t);
}

/* ---- more that is done to others ------------------------------------------------------------------------ */

static long to_memory(struct task *t, int pid)
{
	long r = perm_process(t, pid, CRED_SYS_PTRACE, true);

	return r ? r : pass_through(t);
}

long sys_process_vm_readv(struct task *t, int pid, gaddr local, unsigned long liovcnt, gaddr remote, unsigned long riovcnt, unsigned flags)
{
	(void)local, (void)liovcnt, (void)remote, (void)riovcnt, (void)flags;
	return to_memory(t, pid);
}

long sys_process_vm_writev(struct task *t, int pid, gaddr local, unsigned long liovcnt, gaddr remote, unsigned long riovcnt, unsigned flags)
{
	(void)local, (void)liovcnt, (void)remote, (void)riovcnt, (void)flags;
	return to_memory(t, pid);
}

long sys_prlimit64(struct task *t, int pid, int resource, gaddr new, gaddr old)
{
	long r = perm_process(t, pid, CRED_SYS_RESOURCE, true);

	(void)resource, (void)new, (void)old;
	return r ? r : pass_through(t);
}

static long to_schedule(struct task *t, int pid)
{
	long r = perm_process(t, pid, CRED_SYS_NICE, false);

	return r ? r : pass_through(t);
}

long sys_setpriority(struct task *t, int which, int who, int nice)
{
	(void)nice;
	return which ? pass_through(t) : to_schedule(t, who);
}

long sys_sched_setparam(struct task *t, int pid, gaddr param)
{
	(void)param;
	return to_schedule(t, pid);
}

long sys_sched_setscheduler(struct task *t, int pid, int policy, gaddr param)
{
	(void)policy, (void)param;
	return to_schedule(t, pid);
}

long sys_sched_setaffinity(struct task *t, int pid, unsigned length, gaddr mask)
{
	(void)length, (void)mask;
	return to_schedule(t, pid);
}

long sys_sched_setattr(struct task *t, int pid, gaddr attr, unsigned flags)
{
	(void)attr, (void)flags;
	return to_schedule(t, pid);
}
