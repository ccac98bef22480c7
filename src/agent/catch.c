/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's own filters are interpreted (kernel/guard.c), never given to the kernel; but the kernel helps in
 * three things, each by a small filter of ours on top of the view's, inherited over fork and exec as that
 * is:
 *
 *  - the view's filter lets many calls through by number, past the agent and so past the guest's filter.
 *    The filter here allows by the agent's bounds and nothing else, so that all calls come to us.  One is
 *    enough for a thread and its descendants; only they pay for it (some 20 ns a call, and the way here);
 *  - a listener (SECCOMP_FILTER_FLAG_NEW_LISTENER) is the kernel's own, for the calls made at one place,
 *    notify_call() in entry.S: its descriptor can be passed on, waited for, asked as everywhere;
 *  - a thread that a filter kills is killed by the kernel, with the status that belongs to it.
 */
#include "catch.h"
#include "filter.h"
#include <linux/filter.h>
#include <linux/seccomp.h>

#define IP_LOW	offsetof(struct seccomp_data, instruction_pointer)
#define IP_HIGH	(IP_LOW + 4)

extern char agent_text_start[], agent_text_end[], notify_behind[];

static uint32_t low(const char *address)
{
	return (uint32_t)(uint64_t)address;
}

static long install(unsigned flags, struct sock_filter *code, unsigned n)
{
	struct sock_fprog prog = { .len = n, .filter = code };

	return raw_syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

long catch_calls(unsigned flags)
{
	uint32_t told = flags & SECCOMP_FILTER_FLAG_NEW_LISTENER ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, IP_HIGH),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint64_t)agent_text_start >> 32, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, IP_LOW),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, low(notify_behind), 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, low(agent_text_end), 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, low(agent_text_start), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, told),
	};

	return install(flags, code, sizeof code / sizeof *code);
}

long catch_identity(void)
{
	struct sock_filter code[UM_IDENTITY_LEN];
	int n = um_identity_build(code, UM_IDENTITY_LEN, (uint64_t)agent_text_start, (uint64_t)agent_text_end);

	return n < 0 ? n : install(0, code, (unsigned)n);
}

long catch_polls(void)
{
	struct sock_filter code[UM_POLLS_LEN];
	int n = um_polls_build(code, UM_POLLS_LEN, (uint64_t)agent_text_start, (uint64_t)agent_text_end);
	long r = n < 0 ? n : install(SECCOMP_FILTER_FLAG_TSYNC, code, (unsigned)n);

	if (r <= 0)
		return r;
	r = install(0, code, (unsigned)n);	/* there is a thread that has another filter, of its own */
	return r ? r : 1;
}

void catch_death(uint32_t action)
{
	struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, action);

	install(0, &code, 1);
}
