/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/kernel/cbpf.c: thousands of programs made at random, good ones and bad ones, mean the same to it and to
 * the kernel; and what it does with a few that a reader can follow.
 */
#include "tap.h"
#include "cbpf_rig.h"

#define PROGRAMS	10000
#define LONGEST		24u

static uint64_t seed = 0x756d766965770001;

static uint32_t any(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 20) % below);
}

static uint32_t word(void)
{
	static const uint32_t odd[] = { 0, 1, 31, 32, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe };

	return any(3) ? any(0xffffffff) : odd[any(sizeof(odd) / sizeof(odd[0]))];
}

/* One instruction with `left` behind it: mostly a good one. */
static struct sock_filter instruction(unsigned left)
{
	static const uint16_t alu[] = { BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_AND, BPF_OR, BPF_XOR, BPF_LSH, BPF_RSH,
					BPF_NEG };
	static const uint16_t jump[] = { BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET };
	uint16_t from = any(2) ? BPF_X : BPF_K, op;
	uint8_t yes = (uint8_t)any(left + (any(60) == 0)), no = (uint8_t)any(left + (any(60) == 0));

	switch (any(12)) {
	case 0: case 1: case 2:
		return (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, any(16) * 4 + (any(50) == 0));
	case 3:
		return (struct sock_filter)BPF_STMT(any(2) ? BPF_ST : BPF_STX, any(3) + (any(60) == 0) * 14);
	case 4:
		return (struct sock_filter)BPF_STMT((any(2) ? BPF_LD : BPF_LDX) | BPF_MEM, any(3));
	case 5:
		return (struct sock_filter)BPF_STMT((any(2) ? BPF_LD : BPF_LDX) | BPF_IMM, word());
	case 6:
		return (struct sock_filter)BPF_STMT(BPF_MISC | (any(2) ? BPF_TAX : BPF_TXA), 0);
	case 7:
		if (any(4))
			return (struct sock_filter)BPF_STMT((any(2) ? BPF_LD : BPF_LDX) | BPF_W | BPF_LEN, 0);
		return (struct sock_filter)BPF_STMT(any(3) ? BPF_RET | (any(2) ? BPF_A : BPF_K) : any(0x200), word());
	case 8:
		return (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, yes, 0, 0);
	case 9:
		return (struct sock_filter)BPF_JUMP(BPF_JMP | jump[any(4)] | from, word(), yes, no);
	default:
		op = alu[any(10)];
		if (op == BPF_NEG)
			from = BPF_K;
		return (struct sock_filter)BPF_STMT(BPF_ALU | op | from, op == BPF_LSH || op == BPF_RSH ? any(33) : word());
	}
}

static void show(void)
{
	for (unsigned i = 0; i < rig_len; i++)
		diag("{ 0x%02x, %u, %u, 0x%x },", rig[i].code, rig[i].jt, rig[i].jf, rig[i].k);
}

static void at_random(void)
{
	unsigned differ = 0, refused = 0, died = 0, values = 0;

	for (int n = 0; n < PROGRAMS && !differ; n++) {
		struct sock_filter code[LONGEST];
		unsigned len = 1 + any(LONGEST);

		for (unsigned i = 0; i < len; i++)
			code[i] = instruction(len - i - 1 + TAIL);
		for (int i = 0; i < 6; i++)
			rig_args[i] = (uint64_t)word() << 32 | word();
		rig_set(code, len);
		long ours = rig_ours(), theirs = rig_kernels(ours != UNTRIED);
		refused += ours == REFUSED;
		died += ours == (DEATH | SIGSYS);
		values += ours < DEATH && ours != ENOSYS;
		if (ours != theirs) {
			differ++;
			diag("program %d: 0x%lx, the kernel 0x%lx", n, ours, theirs);
			show();
		}
	}
	is_int(differ, 0, "programs made at random mean the same to the kernel");
	ok(refused > PROGRAMS / 20 && died > PROGRAMS / 100 && values > PROGRAMS / 4,
	   "of all kinds: %u refused, %u die, %u give a value", refused, died, values);
}

/* What is remembered of a program holds for all arguments, and is what one would expect of a list of numbers. */
static void remembered(void)
{
	struct seccomp_data d = { .arch = AUDIT_ARCH_X86_64 };
	struct sock_filter numbers[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 100, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 16, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 24), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	unsigned wrong = 0, known = 0;

	is_int(cbpf_check(numbers, sizeof(numbers) / sizeof(numbers[0])), 0, "a list of numbers");
	ok(cbpf_always_allows(numbers, 15) && !cbpf_always_allows(numbers, 16) && !cbpf_always_allows(numbers, 100),
	   "it allows 15, never 100, and 16 sometimes");
	for (int n = 0; n < PROGRAMS; n++) {
		struct sock_filter code[LONGEST];
		unsigned len = 1 + any(LONGEST);

		for (unsigned i = 0; i < len; i++)
			code[i] = any(4) ? instruction(len - i - 1 + TAIL) :
				  (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW | any(2));
		rig_set(code, len);
		if (cbpf_check(rig, rig_len) || !cbpf_always_allows(rig + HEAD, NOWHERE))
			continue;
		known++;
		for (int i = 0; i < 20; i++) {
			d.nr = NOWHERE;
			d.instruction_pointer = word();
			for (int k = 0; k < 6; k++)
				d.args[k] = (uint64_t)word() << 32 | word();
			wrong += (cbpf_run(rig + HEAD, &d) & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ALLOW;
		}
	}
	ok(known > PROGRAMS / 50 && !wrong, "%u programs always allow, %u do not", known, wrong);
}

static void lengths(void)
{
	static struct sock_filter many[BPF_MAXINSNS + 1];
	struct sock_filter some[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),				/* 1 */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 1, 0),			/* 1 */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 1, 1),		/* 3 */
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),			/* 2 */
		BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),				/* 5 */
		BPF_STMT(BPF_RET | BPF_A, 0),					/* 1 */
		BPF_STMT(BPF_RET | BPF_K, 0),					/* 2 */
	};

	for (int i = 0; i <= BPF_MAXINSNS; i++)
		many[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	is_int(cbpf_check(many, 0), -EINVAL, "no instruction");
	is_int(cbpf_check(many, BPF_MAXINSNS), 0, "as many as may be");
	is_int(cbpf_check(many, BPF_MAXINSNS + 1), -EINVAL, "one too many");
	is_int(cbpf_translated(some, sizeof(some) / sizeof(some[0])), 3 + 15, "the length that counts");
}

int main(void)
{
	plan(0);
	lengths();
	remembered();
	if (rig_start())
		at_random();
	else
		skip("no seccomp filters here");
	return done();
}
