/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Switching between stacks for the coroutines of kernel/fs/fuse_co.c.  All code of the agent uses general
 * registers only, so the callee-saved ones are all there is to a context.
 */
	.text

/* void co_switch(void **save, void *load): leaves the stack pointer in *save, goes on at load */
	.globl	co_switch
	.type	co_switch, @function
co_switch:
	.cfi_startproc
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	popq	%r15
	.cfi_adjust_cfa_offset -8
	popq	%r14
	.cfi_adjust_cfa_offset -8
	popq	%r13
	.cfi_adjust_cfa_offset -8
	popq	%r12
	.cfi_adjust_cfa_offset -8
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_endproc
	.size	co_switch, . - co_switch

/*
 * The first "return" of a new coroutine: what co_new() laid on its stack put the struct co into r12 and
 * the function into r13.  It never comes back.
 */
	.globl	co_first
	.type	co_first, @function
co_first:
	.cfi_startproc
	.cfi_undefined rip
	movq	%r12, %rdi
	xorl	%ebp, %ebp
	call	*%r13
	ud2
	.cfi_endproc
	.size	co_first, . - co_first

	.section .note.GNU-stack,"",@progbits
