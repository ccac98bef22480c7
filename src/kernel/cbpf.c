/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Classic BPF as seccomp has it.
 *
 * A program is checked once: instructions from a list, jumps forward and within it, a return at its end,
 * memory cells read only after every way there has written them.  So it always ends, and the interpreter
 * needs no checks but for division.  Pure functions: the tests compare them with the kernel's own
 * (tests/unit/cbpf_test.c, tests/fuzz/cbpf_fuzz.c).
 */
#include "cbpf.h"
#include <linux/audit.h>

#define OP(op)		case BPF_ALU | BPF_##op | BPF_K: case BPF_ALU | BPF_##op | BPF_X
#define JUMP(op)	case BPF_JMP | BPF_##op | BPF_K: case BPF_JMP | BPF_##op | BPF_X

static bool is_branch(const struct sock_filter *f)
{
	return BPF_CLASS(f->code) == BPF_JMP && BPF_OP(f->code) != BPF_JA;
}

static bool good_instruction(const struct sock_filter *f, unsigned left)
{
	switch (f->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		return f->k < sizeof(struct seccomp_data) && !(f->k & 3);
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
		return f->k < BPF_MEMWORDS;
	case BPF_ALU | BPF_DIV | BPF_K:
		return f->k != 0;
	case BPF_ALU | BPF_LSH | BPF_K:
	case BPF_ALU | BPF_RSH | BPF_K:
		return f->k < 32;
	case BPF_JMP | BPF_JA:
		return f->k < left;
	JUMP(JEQ): JUMP(JGE): JUMP(JGT): JUMP(JSET):
		return f->jt < left && f->jf < left;
	OP(ADD): OP(SUB): OP(MUL): OP(AND): OP(OR): OP(XOR):
	case BPF_ALU | BPF_DIV | BPF_X:
	case BPF_ALU | BPF_LSH | BPF_X:
	case BPF_ALU | BPF_RSH | BPF_X:
	case BPF_ALU | BPF_NEG:
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_IMM:
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_MISC | BPF_TAX:
	case BPF_MISC | BPF_TXA:
	case BPF_RET | BPF_K:
	case BPF_RET | BPF_A:
		return true;
	default:
		return false;
	}
}

/* Is every cell written before it is read, whichever way the program takes?  A bit for each cell that is. */
static bool good_memory(const struct sock_filter *prog, unsigned len)
{
	uint16_t written[BPF_MAXINSNS], now = 0;
	bool good = true;

	memset(written, 0xff, len * sizeof *written);
	for (unsigned i = 0; good && i < len; i++) {
		const struct sock_filter *f = &prog[i];
		unsigned cell = f->k % BPF_MEMWORDS;

		now &= written[i];
		if (f->code == BPF_ST || f->code == BPF_STX)
			now |= 1u << cell;
		else if (f->code == (BPF_LD | BPF_MEM) || f->code == (BPF_LDX | BPF_MEM))
			good = now >> cell & 1;
		if (BPF_CLASS(f->code) != BPF_JMP)
			continue;
		if (is_branch(f)) {
			written[i + 1 + f->jt] &= now;
			written[i + 1 + f->jf] &= now;
		} else {
			written[i + 1 + f->k] &= now;
		}
		now = 0xffff;
	}
	return good;
}

int cbpf_check(const struct sock_filter *prog, unsigned len)
{
	if (!len || len > BPF_MAXINSNS)
		return -EINVAL;
	for (unsigned i = 0; i < len; i++)
		if (!good_instruction(&prog[i], len - i - 1))
			return -EINVAL;
	if (BPF_CLASS(prog[len - 1].code) != BPF_RET)
		return -EINVAL;
	return good_memory(prog, len) ? 0 : -EINVAL;
}

/* ---- execution ----------------------------------------------------------------------------------------- */

/* b is not 0 when op is a division. */
static uint32_t alu(unsigned op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_ADD:	return a + b;
	case BPF_SUB:	return a - b;
	case BPF_MUL:	return a * b;
	case BPF_DIV:	return a / b;
	case BPF_AND:	return a & b;
	case BPF_OR:	return a | b;
	case BPF_XOR:	return a ^ b;
	case BPF_LSH:	return a << (b & 31);
	case BPF_RSH:	return a >> (b & 31);
	default:	return -a;		/* BPF_NEG */
	}
}

static bool holds(unsigned op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_JEQ:	return a == b;
	case BPF_JGT:	return a > b;
	case BPF_JGE:	return a >= b;
	default:	return a & b;		/* BPF_JSET */
	}
}

static uint32_t loaded(const struct sock_filter *f, const struct seccomp_data *data, const uint32_t *mem)
{
	uint32_t v;

	switch (BPF_MODE(f->code)) {
	case BPF_IMM:	return f->k;
	case BPF_MEM:	return mem[f->k];
	case BPF_LEN:	return sizeof *data;
	default:	break;
	}
	memcpy(&v, (const char *)data + f->k, sizeof v);
	return v;
}

uint32_t cbpf_run(const struct sock_filter *f, const struct seccomp_data *data)
{
	uint32_t a = 0, x = 0, mem[BPF_MEMWORDS], b;

	for (;; f++) {
		b = BPF_SRC(f->code) == BPF_X ? x : f->k;
		switch (BPF_CLASS(f->code)) {
		case BPF_LD:
			a = loaded(f, data, mem);
			break;
		case BPF_LDX:
			x = loaded(f, data, mem);
			break;
		case BPF_ST:
			mem[f->k] = a;
			break;
		case BPF_STX:
			mem[f->k] = x;
			break;
		case BPF_ALU:
			if (BPF_OP(f->code) == BPF_DIV && !b)
				return 0;
			a = alu(BPF_OP(f->code), a, b);
			break;
		case BPF_JMP:
			if (BPF_OP(f->code) == BPF_JA)
				f += f->k;
			else
				f += holds(BPF_OP(f->code), a, b) ? f->jt : f->jf;
			break;
		case BPF_RET:
			return BPF_RVAL(f->code) == BPF_A ? a : f->k;
		default:		/* BPF_MISC */
			if (BPF_MISCOP(f->code) == BPF_TAX)
				x = a;
			else
				a = x;
		}
	}
}

bool cbpf_always_allows(const struct sock_filter *f, uint32_t nr)
{
	uint32_t a = 0;

	for (;; f++) {
		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (f->k == offsetof(struct seccomp_data, nr))
				a = nr;
			else if (f->k == offsetof(struct seccomp_data, arch))
				a = AUDIT_ARCH_X86_64;
			else
				return false;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			break;
		case BPF_JMP | BPF_JA:
			f += f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_K:
			f += holds(BPF_OP(f->code), a, f->k) ? f->jt : f->jf;
			break;
		case BPF_RET | BPF_K:
			return (f->k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ALLOW;
		default:
			return false;
		}
	}
}

/* ---- the kernel's limit -------------------------------------------------------------------------------- */

static unsigned translated(const struct sock_filter *f)
{
	unsigned n;

	if (f->code == (BPF_RET | BPF_K))
		return 2;
	if (f->code == (BPF_ALU | BPF_DIV | BPF_X))
		return 5;
	if (!is_branch(f))
		return 1;
	n = BPF_SRC(f->code) == BPF_K && (int32_t)f->k < 0 ? 2 : 1;
	return f->jf && (f->jt || BPF_OP(f->code) == BPF_JSET) ? n + 1 : n;
}

unsigned cbpf_translated(const struct sock_filter *prog, unsigned len)
{
	unsigned n = 3;		/* it begins by clearing two registers and keeping a third */

	for (unsigned i = 0; i < len; i++)
		n += translated(&prog[i]);
	return n;
}
