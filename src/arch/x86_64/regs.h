/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's registers as entry.S saves and restores them.  The order is that of entry.S;
 * offsets.h holds the same numbers for the assembler and is checked against this at compile time.
 */
#ifndef UM_ARCH_REGS_H
#define UM_ARCH_REGS_H

#include <stdint.h>

struct regs {
	uint64_t r15, r14, r13, r12, rbp, rbx;
	uint64_t r10, r9, r8, rdx, rsi, rdi;
	uint64_t rax;		/* system call number on the way in, result on the way out */
	uint64_t rip;		/* where the guest goes on: behind the system call instruction */
	uint64_t rflags, rsp;
	uint64_t site;		/* address to go to so that the call is executed again */
};

#endif
