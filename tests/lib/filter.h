/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the guest programs about seccomp share: making and installing filters. */
#ifndef UM_TESTS_FILTER_H
#define UM_TESTS_FILTER_H

#include "guest.h"
#include <stddef.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define NR		offsetof(struct seccomp_data, nr)
#define ARCH		offsetof(struct seccomp_data, arch)
#define IP		offsetof(struct seccomp_data, instruction_pointer)
#define ARG(n)		(offsetof(struct seccomp_data, args) + 8 * (n))

#define LOAD(off)	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (off))
#define RET(what)	BPF_STMT(BPF_RET | BPF_K, (what))
#define IF(v, t, f)	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (v), (t), (f))
#define LENGTH(a)	(sizeof(a) / sizeof((a)[0]))
#define ERRNO(e)	(SECCOMP_RET_ERRNO | (e))

static MAYBE long seccomp(unsigned op, unsigned flags, void *args)
{
	return syscall(SYS_seccomp, op, flags, args);
}

static MAYBE long add_filter(unsigned flags, struct sock_filter *code, size_t len)
{
	struct sock_fprog prog = { .len = (unsigned short)len, .filter = code };

	return seccomp(SECCOMP_SET_MODE_FILTER, flags, &prog);
}

/* One call gets an answer, all others are allowed. */
static MAYBE long answer(unsigned flags, long nr, uint32_t what)
{
	struct sock_filter code[] = { LOAD(NR), IF(nr, 0, 1), RET(what), RET(SECCOMP_RET_ALLOW) };

	return add_filter(flags, code, LENGTH(code));
}

static MAYBE void no_new_privs(void)
{
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* no_new_privs, and answer() without flags */
static MAYBE void forbid(long nr, uint32_t what)
{
	no_new_privs();
	MUST(answer(0, nr, what));
}

/* getppid(2): a call that never concerns anything virtual */
static MAYBE long getppid_raw(void)
{
	return syscall(SYS_getppid);
}

#endif
