/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a command on a machine that lacks something, played by a seccomp filter.
 *
 * usage: deny WHAT... -- COMMAND [ARG...]
 *
 * WHAT is one of the names below, or `mdwe`, which is no filter but the kernel's own PR_SET_MDWE.  Status 77: this
 * kernel does not know PR_SET_MDWE; 126: the command cannot be executed.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <asm/prctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE			65
#define PR_MDWE_REFUSE_EXEC_GAIN	1
#endif

/* The call nr fails with `error` if argument `arg`, less what is not in mask, is value. */
static const struct rule {
	const char *name;
	unsigned nr, arg, mask, value;
	int error;
} rules[] = {
	{ "wx", SYS_mmap, 2, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC, EACCES },
	{ "wx", SYS_mprotect, 2, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC, EACCES },
	{ "text", SYS_mprotect, 2, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC, EACCES },
	{ "gs", SYS_arch_prctl, 0, ~0u, ARCH_SET_GS, EPERM },
	{ "seccomp", SYS_seccomp, 0, ~0u, SECCOMP_SET_MODE_FILTER, ENOSYS },
	{ "no_new_privs", SYS_prctl, 0, ~0u, PR_SET_NO_NEW_PRIVS, EINVAL },
	{ "mm_map", SYS_prctl, 0, ~0u, PR_SET_MM, EINVAL },
	{ "memfd", SYS_memfd_create, 1, 0, 0, ENOSYS },
	{ "execveat", SYS_execveat, 1, 0, 0, EACCES },
	{ "pidfd", SYS_pidfd_open, 1, 0, 0, ENOSYS },
	{ "process_vm", SYS_process_vm_readv, 2, 0, 0, EPERM },
	{ "mount", SYS_mount, 4, 0, 0, EPERM },
	{ "xattr", SYS_setxattr, 4, 0, 0, EOPNOTSUPP },
	{ "xattr", SYS_lsetxattr, 4, 0, 0, EOPNOTSUPP },
	{ "xattr", SYS_fsetxattr, 4, 0, 0, EOPNOTSUPP },
};
#define NRULES (sizeof(rules) / sizeof(rules[0]))

static int install(const struct rule *r)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->nr, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * r->arg),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, r->mask),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)r->error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}

/* A filter that forbids filters must come last. */
static int deny(const char *what, int last)
{
	int found = 0;

	for (size_t i = 0; i < NRULES; i++) {
		if (strcmp(rules[i].name, what))
			continue;
		found = 1;
		if (last == (rules[i].nr == SYS_seccomp) && install(&rules[i]) < 0) {
			perror(what);
			return -1;
		}
	}
	if (!found)
		fprintf(stderr, "deny: nothing is called %s\n", what);
	return found ? 0 : -1;
}

int main(int argc, char **argv)
{
	int command = 1;

	while (command < argc && strcmp(argv[command], "--"))
		command++;
	if (++command >= argc)
		return fputs("usage: deny WHAT... -- COMMAND [ARG...]\n", stderr), 2;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (int last = 0; last <= 1; last++)
		for (int i = 1; i < command - 1; i++) {
			int mdwe = !strcmp(argv[i], "mdwe");
			if (mdwe && !last && prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) < 0)
				return 77;
			if (!mdwe && deny(argv[i], last) < 0)
				return 2;
		}
	execvp(argv[command], argv + command);
	perror(argv[command]);
	return 126;
}
