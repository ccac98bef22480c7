/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A seccomp program tried out on the kernel, to compare src/kernel/cbpf.c with it: a child by vfork installs
 * it and makes one call.  So that nothing but that call meets the program, it is set between a head that allows
 * all numbers but NOWHERE, and a tail that makes twelve bits of the accumulator an errno; argument 5 of the
 * call says which.
 */
#ifndef UM_TESTS_CBPF_RIG_H
#define UM_TESTS_CBPF_RIG_H

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/audit.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "shim.h"
#include "kernel/cbpf.h"

#define NOWHERE		1000u
#define HEAD		3u
#define TAIL		6u
#define RIG_MAX		300u		/* instructions of a program, with head and tail */
#define REFUSED		0x20000		/* what became of a program: this, or errno of the call, or */
#define DEATH		0x10000		/* this and the signal it died of, or */
#define UNTRIED		0x40000		/* this: its answer would be told to the kernel's log */

static struct sock_filter rig[RIG_MAX];
static unsigned rig_len;
static unsigned long rig_args[6];
static volatile long rig_result;
extern char rig_behind[];

/* code[0 .. n), n <= RIG_MAX - HEAD - TAIL: becomes the program. */
static void rig_set(const struct sock_filter *code, unsigned n)
{
	const struct sock_filter head[HEAD] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NOWHERE, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_filter tail[TAIL] = {
		BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, (uint32_t)rig_args[5] & 31),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff),
		BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};

	memcpy(rig, head, sizeof(head));
	if (n)
		memcpy(rig + HEAD, code, n * sizeof(*code));
	memcpy(rig + HEAD + n, tail, sizeof(tail));
	rig_len = HEAD + n + TAIL;
}

static long outcome_of(uint32_t answer)
{
	switch (answer & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_LOG:
		return UNTRIED;
	case SECCOMP_RET_ERRNO:
		return (answer & SECCOMP_RET_DATA) > 4095 ? 4095 : answer & SECCOMP_RET_DATA;
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_TRACE:
	case SECCOMP_RET_USER_NOTIF:
		return ENOSYS;
	default:
		return DEATH | SIGSYS;
	}
}

static long rig_ours(void)
{
	struct seccomp_data d = { .nr = NOWHERE, .arch = AUDIT_ARCH_X86_64,
				  .instruction_pointer = (uint64_t)rig_behind };

	for (int i = 0; i < 6; i++)
		d.args[i] = rig_args[i];
	return cbpf_check(rig, rig_len) ? REFUSED : outcome_of(cbpf_run(rig, &d));
}

__attribute__((noinline, no_sanitize("address"))) static long rig_call(void)
{
	register long r10 asm("r10") = (long)rig_args[3], r8 asm("r8") = (long)rig_args[4];
	register long r9 asm("r9") = (long)rig_args[5];
	long r;

	asm volatile("syscall\n.globl rig_behind\nrig_behind:" : "=a"(r) :
		     "a"(NOWHERE), "D"(rig_args[0]), "S"(rig_args[1]), "d"(rig_args[2]), "r"(r10), "r"(r8), "r"(r9) :
		     "rcx", "r11", "memory");
	return r;
}

/* The kernel's verdict; untried as ours says. */
__attribute__((noinline, no_sanitize("address"))) static long rig_kernels(bool call)
{
	struct sock_fprog prog = { .len = (unsigned short)rig_len, .filter = rig };
	int status;
	pid_t pid;

	rig_result = -1;
	pid = vfork();
	if (pid == 0) {
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
			rig_result = errno == EINVAL ? REFUSED : -errno;
		else
			rig_result = call ? -rig_call() : UNTRIED;
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	return WIFSIGNALED(status) ? DEATH | WTERMSIG(status) : rig_result;
}

/* Sets no_new_privs.  false: no filters here. */
static bool rig_start(void)
{
	rig_set(NULL, 0);
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && rig_kernels(true) >= 0;
}

#endif
