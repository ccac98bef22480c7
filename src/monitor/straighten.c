/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compilers may load the number of a system call before its other arguments:
 *
 *	mov $257,%eax; mov %rdi,%rsi; mov $-100,%edi; syscall
 *
 * In prepared text (prepare.c), which nobody has executed yet, the first instruction can be moved behind the others,
 * and then the site has the shape that the patcher knows.  Pure functions.
 */
#include <string.h>
#include "straighten.h"

#define MOV	5		/* bytes of mov $imm32,%eax */
#define BETWEEN	24		/* bytes of instructions between it and the syscall, at most */
#define NEAR	2048		/* bytes around in which jumps are looked for: within one function */

/* A ModR/M byte of two registers, neither of them eax, with this REX prefix. */
static bool two_registers(uint8_t rex, uint8_t modrm)
{
	return modrm >> 6 == 3 && ((modrm >> 3 & 7) || (rex & 4)) && ((modrm & 7) || (rex & 1));
}

/* Bytes of an instruction that only sets registers other than eax from registers and constants; 0: it is none. */
static size_t harmless(const uint8_t *p, size_t n)
{
	uint8_t rex = 0;
	size_t at = 0;

	if (n && (p[0] & 0xf0) == 0x40)
		rex = p[at++];
	if (n < at + 2)
		return 0;
	if (p[at] == 0x89 || p[at] == 0x8b || p[at] == 0x31)	/* mov, mov, xor */
		return two_registers(rex, p[at + 1]) ? at + 2 : 0;
	if (p[at] >= 0xb8 && p[at] <= 0xbf && (p[at] != 0xb8 || rex & 1) && !(rex & 8))	/* mov $imm32 */
		return at + 5 <= n ? at + 5 : 0;
	return 0;
}

/* Does the code from `at` on, of `len` bytes, consist of harmless instructions? */
static bool all_harmless(const uint8_t *code, size_t at, size_t len)
{
	while (len) {
		size_t one = harmless(code + at, len);
		if (!one)
			return false;
		at += one;
		len -= one;
	}
	return true;
}

static bool leads_among(size_t from, int32_t distance, size_t lo, size_t hi)
{
	int64_t target = (int64_t)from + distance;
	return target > (int64_t)lo && target <= (int64_t)hi;
}

/* May any jump or call nearby lead behind `lo`, up to `hi`?  Whatever could be one counts, at any byte. */
static bool jumped_into(const uint8_t *code, size_t n, size_t lo, size_t hi)
{
	size_t from = lo > NEAR ? lo - NEAR : 0, to = hi + NEAR < n ? hi + NEAR : n;

	for (size_t i = from; i + 5 < to; i++) {
		int32_t far;
		memcpy(&far, code + i + 1, 4);
		if ((code[i] == 0xeb || (code[i] & 0xf0) == 0x70 || (code[i] & 0xfc) == 0xe0) &&
		    leads_among(i + 2, (int8_t)code[i + 1], lo, hi))
			return true;
		if ((code[i] == 0xe9 || code[i] == 0xe8 || (i && code[i - 1] == 0x0f && (code[i] & 0xf0) == 0x80)) &&
		    leads_among(i + 5, far, lo, hi))
			return true;
	}
	return false;
}

bool straighten(uint8_t *code, size_t n, size_t at)
{
	for (size_t len = 2; len <= BETWEEN && len + MOV < at; len++) {
		size_t mov = at - len - MOV;
		uint8_t number[MOV];

		if (code[mov] != 0xb8 || (code[mov - 1] & 0xf0) == 0x40 || code[mov + 3] || code[mov + 4] ||
		    !all_harmless(code, mov + MOV, len) || jumped_into(code, n, mov, at - 1))
			continue;
		memcpy(number, code + mov, MOV);
		memmove(code + mov, code + mov + MOV, len);
		memcpy(code + at - MOV, number, MOV);
		return true;
	}
	return false;
}
