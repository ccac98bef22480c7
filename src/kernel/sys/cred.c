/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Users, groups and capabilities of a thread with an identity of its own (kernel/cred.h).  Of the others the filter
 * lets these calls through, and where they come here all the same (a patched site), the dispatch table passes them on.
 */
#include <linux/capability.h>
#include "handlers.h"
#include "../cred.h"
#include "../perm.h"
#include "../fs/proc.h"

/* ---- ids ------------------------------------------------------------------------------------------------ */

long sys_getuid(struct task *t) { return t->cred->uid.real; }
long sys_geteuid(struct task *t) { return t->cred->uid.effective; }
long sys_getgid(struct task *t) { return t->cred->gid.real; }
long sys_getegid(struct task *t) { return t->cred->gid.effective; }

long sys_setuid(struct task *t, unsigned uid) { return cred_setuid(t->cred, uid); }
long sys_setgid(struct task *t, unsigned gid) { return cred_setgid(t->cred, gid); }
long sys_setfsuid(struct task *t, unsigned uid) { return cred_setfsuid(t->cred, uid); }
long sys_setfsgid(struct task *t, unsigned gid) { return cred_setfsgid(t->cred, gid); }

long sys_setreuid(struct task *t, unsigned ruid, unsigned euid)
{
	return cred_setreuid(t->cred, ruid, euid);
}

long sys_setregid(struct task *t, unsigned rgid, unsigned egid)
{
	return cred_setregid(t->cred, rgid, egid);
}

long sys_setresuid(struct task *t, unsigned ruid, unsigned euid, unsigned suid)
{
	return cred_setresuid(t->cred, ruid, euid, suid);
}

long sys_setresgid(struct task *t, unsigned rgid, unsigned egid, unsigned sgid)
{
	return cred_setresgid(t->cred, rgid, egid, sgid);
}

static long put_three(struct task *t, const struct cred_ids *ids, gaddr real, gaddr effective, gaddr saved)
{
	if (copy_to_guest(t, real, &ids->real, 4) || copy_to_guest(t, effective, &ids->effective, 4) ||
	    copy_to_guest(t, saved, &ids->saved, 4))
		return -EFAULT;
	return 0;
}

long sys_getresuid(struct task *t, gaddr ruid, gaddr euid, gaddr suid)
{
	return put_three(t, &t->cred->uid, ruid, euid, suid);
}

long sys_getresgid(struct task *t, gaddr rgid, gaddr egid, gaddr sgid)
{
	return put_three(t, &t->cred->gid, rgid, egid, sgid);
}

/* ---- groups --------------------------------------------------------------------------------------------- */

long sys_getgroups(struct task *t, int count, gaddr list)
{
	const struct cred *c = t->cred;

	if (count < 0 || (count && (uint32_t)count < c->ngroups))
		return -EINVAL;
	if (count && copy_to_guest(t, list, c->groups, c->ngroups * sizeof *c->groups))
		return -EFAULT;
	return c->ngroups;
}

/* The kernel shows them sorted. */
static void sort(uint32_t *list, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) {
		uint32_t v = list[i], at = i;

		for (; at && list[at - 1] > v; at--)
			list[at] = list[at - 1];
		list[at] = v;
	}
}

long sys_setgroups(struct task *t, int count, gaddr list)
{
	uint32_t groups[UM_NGROUPS];
	struct cred *c, *old;

	if (!cred_can(t->cred, CRED_SETGID))
		return -EPERM;
	if ((unsigned)count > UM_NGROUPS)
		return -EINVAL;
	if (copy_from_guest(t, groups, list, (unsigned)count * sizeof *groups))
		return -EFAULT;
	sort(groups, (uint32_t)count);
	c = cred_with_groups(t->cred, groups, (uint32_t)count);
	if (!c)
		return -ENOMEM;
	old = t->cred;
	t->cred = c;			/* first this: we may be killed, and our parent frees what t has */
	heap_free(old);
	return 0;
}

/* ---- capabilities --------------------------------------------------------------------------------------- */

/* The header: how many words each set has, or -EINVAL (and the version that we would like is told), -EFAULT. */
static long words_of(struct task *t, gaddr header, struct __user_cap_header_struct *h)
{
	const uint32_t version = _LINUX_CAPABILITY_VERSION_3;

	if (copy_from_guest(t, h, header, sizeof *h))
		return -EFAULT;
	switch (h->version) {
	case _LINUX_CAPABILITY_VERSION_1:
		return _LINUX_CAPABILITY_U32S_1;
	case _LINUX_CAPABILITY_VERSION_2:
	case _LINUX_CAPABILITY_VERSION_3:
		return _LINUX_CAPABILITY_U32S_3;
	default:
		return copy_to_guest(t, header, &version, sizeof version) ? -EFAULT : -EINVAL;
	}
}

/* The identity of thread `tid`, if it has one; else the kernel knows. */
static bool cred_of(struct task *t, int tid, struct cred *c)
{
	struct task other;

	if (!tid || tid == t->tid) {
		*c = *t->cred;
		return true;
	}
	return peer_task(tid, tid, &other) && other.cred && peer_read(tid, other.cred, c, sizeof *c);
}

long sys_capget(struct task *t, gaddr header, gaddr data)
{
	struct __user_cap_header_struct h;
	struct __user_cap_data_struct d[2];
	struct cred c;
	long n = words_of(t, header, &h);

	if (n < 0)
		return n == -EINVAL && !data ? 0 : n;
	if (!data)
		return 0;
	if (h.pid < 0)
		return -EINVAL;
	if (!cred_of(t, h.pid, &c))
		return pass_through(t);
	for (long i = 0; i < n; i++)
		d[i] = (struct __user_cap_data_struct) {
			.effective = (uint32_t)(c.effective >> 32 * i), .permitted = (uint32_t)(c.permitted >> 32 * i),
			.inheritable = (uint32_t)(c.inheritable >> 32 * i),
		};
	return copy_to_guest(t, data, d, (size_t)n * sizeof *d) ? -EFAULT : 0;
}

long sys_capset(struct task *t, gaddr header, gaddr data)
{
	struct __user_cap_header_struct h;
	struct __user_cap_data_struct d[2] = { 0 };
	long n = words_of(t, header, &h);

	if (n < 0)
		return n;
	if (h.pid && h.pid != t->tid)
		return -EPERM;
	if (copy_from_guest(t, d, data, (size_t)n * sizeof *d))
		return -EFAULT;
	return cred_capset(t->cred, d[0].effective | (uint64_t)d[1].effective << 32,
			   d[0].permitted | (uint64_t)d[1].permitted << 32,
			   d[0].inheritable | (uint64_t)d[1].inheritable << 32);
}

/* ---- what takes a capability, and the kernel may allow all the same (the user is really root) ---------------- */

static long with(struct task *t, int capability)
{
	long r = perm_capable(t, capability);

	return r ? r : pass_through(t);
}

long sys_sethostname(struct task *t, gaddr name, int length)
{
	(void)name, (void)length;
	return with(t, CRED_SYS_ADMIN);
}

long sys_setdomainname(struct task *t, gaddr name, int length)
{
	(void)name, (void)length;
	return with(t, CRED_SYS_ADMIN);
}

long sys_settimeofday(struct task *t, gaddr tv, gaddr tz)
{
	(void)tv, (void)tz;
	return with(t, CRED_SYS_TIME);
}

long sys_clock_settime(struct task *t, int clock, gaddr time)
{
	(void)time;
	return clock ? pass_through(t) : with(t, CRED_SYS_TIME);
}

long sys_reboot(struct task *t, int magic1, int magic2, unsigned cmd, gaddr arg)
{
	(void)magic1, (void)magic2, (void)cmd, (void)arg;
	return with(t, CRED_SYS_BOOT);
}

long sys_iopl(struct task *t, unsigned level)
{
	(void)level;
	return with(t, CRED_SYS_RAWIO);
}

long sys_ioperm(struct task *t, unsigned long from, unsigned long count, int on)
{
	(void)from, (void)count;
	return on ? with(t, CRED_SYS_RAWIO) : pass_through(t);
}

long sys_init_module(struct task *t, gaddr image, unsigned long length, gaddr params)
{
	(void)image, (void)length, (void)params;
	return with(t, CRED_SYS_MODULE);
}

long sys_delete_module(struct task *t, gaddr name, unsigned flags)
{
	(void)name, (void)flags;
	return with(t, CRED_SYS_MODULE);
}

long sys_vhangup(struct task *t)
{
	return with(t, CRED_SYS_TTY_CONFIG);
}
