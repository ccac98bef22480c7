/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ways into and out of the agent.
 *
 * Ten stretches of this file are windows that the signal handler (agent/signal.c) knows by their
 * labels: when it interrupts one of them it moves the instruction pointer:
 *	call_window .. call_syscall	a guest's call is about to enter the kernel -> call_interrupted
 *	last_window .. last_syscall	likewise -> last_interrupted
 *	notify_window .. notify_syscall	likewise -> call_interrupted
 *	leaving_window .. leaving_syscall	likewise -> call_interrupted
 *	fd_window .. fd_syscall		likewise, on the short way -> fd_slow
 *	fd_done .. fd_done_end		back from there: as good as in the guest, at its stub's tail
 *	edge_window .. edge_window_end	the guest's registers are being restored -> edge_window, again
 *	copy_window .. copy_window_end	guest memory is being touched: a fault there -> copy_fault
 *	string_window .. string_window_end	likewise -> copy_fault
 *	leaving_mode .. leaving_mode_end	likewise -> copy_fault
 * So are the first instructions of fd_entry_plain and stub_entry_plain, which fault where gs is the guest's own: -> the stub's trap.
 * Anywhere else in the agent it queues the signal and lets us go on to the edge.
 */
#include "offsets.h"

/* Flags that are more than the result of arithmetic: trap, direction, nested task, alignment check, id */
#define EFLAGS_UNUSUAL	0x244500

	.text

/* The kernel starts us here: argc, argv, envp, auxv on the stack.  The words before it tell the monitor where
 * the stubs of prepared text lead (monitor/prepare.c), without fsgsbase and with it. */
	.quad	fd_entry_plain
	.quad	stub_entry_plain
	.quad	fd_entry
	.quad	stub_entry
	.globl	_start
	.type	_start, @function
_start:
	.cfi_startproc
	.cfi_undefined rip
	xorl	%ebp, %ebp
	movq	%rsp, %rdi
	andq	$-16, %rsp
	call	agent_start
	ud2
	.cfi_endproc

/*
 * From a stub: rcx = the stub's tail, rax and r11 are free, the flags and all else are the guest's.  Nothing is assumed
 * of the guest's stack.  gs is believed only if it points into the window of tasks at a task that points back, else
 * the stub's own `syscall`, which traps, does it.  Behind this, rax = tail, r11 = task, the flags are unchanged.
 */
	.macro	check_window
	movabsq	$-UM_TASKS_BASE, %rax
	leaq	(%rax,%r11), %rax
	xchgq	%rax, %rcx		/* rax = tail, rcx = offset in the window */
	bswapq	%rcx
	movl	%ecx, %ecx		/* the high half of the offset */
	jrcxz	1f
	leaq	STUB_TRAP(%rax), %rcx	/* not our gs */
	jmp	*%rcx
1:
	.endm
	.macro	find_task
	rdgsbase %r11
	check_window
	movq	TASK_SELF(%r11), %rcx
	notq	%rcx
	leaq	1(%rcx,%r11), %rcx	/* r11 - self */
	jrcxz	2f
	leaq	STUB_TRAP(%rax), %rcx
	jmp	*%rcx
2:
	.endm

/*
 * The same where the kernel does not offer rdgsbase (before Linux 5.9): gs:TASK_SELF holds the task's address if gs is
 * ours.  If it cannot be read the handler (agent/signal.c) sends us to the stub's trap.
 */
	.macro	find_task_plain
	movq	%gs:TASK_SELF, %r11
	check_window
	.endm

/* The arithmetic flags into task->flags and back; eax is lost. */
	.macro	save_flags
	lahf
	seto	%al
	movw	%ax, TASK_FLAGS(%r11)
	.endm
	.macro	restore_flags
	movzwl	TASK_FLAGS(%r11), %eax
	addb	$0x7f, %al		/* overflows if al is 1 */
	sahf
	.endm

/*
 * A patched site whose call is about one descriptor comes here.  If no descriptor of this process can be virtual
 * and this one is not ours, the call is made at once, with the guest's registers as they are.
 */
	.globl	fd_entry, fd_entry_plain, fd_window, fd_syscall, fd_slow, fd_done, fd_done_end
	.type	fd_entry, @function
fd_entry:
	.cfi_startproc
	.cfi_undefined rip
	find_task
	jmp	fd_found
	.cfi_endproc
	.type	fd_entry_plain, @function
fd_entry_plain:
	.cfi_startproc
	.cfi_undefined rip
	find_task_plain
fd_found:
	movq	%rax, TASK_TAIL(%r11)
	save_flags
	/* on the guest's stack; where the guest is only gs knows: most sites lie in functions that have pushed nothing */
	.cfi_def_cfa rsp, 8
	.cfi_offset rip, -8
fd_window:
	cmpl	$0, TASK_PENDING(%r11)
	jne	fd_slow
	movq	TASK_TAIL(%r11), %rcx
	movl	STUB_MASK(%rcx), %eax
	testl	%eax, process+PROCESS_WATCH(%rip)
	jne	fd_slow
	cmpl	fd_own_lowest(%rip), %edi
	jae	fd_slow
	restore_flags
	movl	STUB_NR(%rcx), %eax
fd_syscall:
	syscall
fd_done:
	movq	%gs:TASK_TAIL, %rcx
	jmp	*%rcx
fd_done_end:
fd_slow:
	restore_flags
	movq	TASK_TAIL(%r11), %rax
	jmp	stub_found
	.cfi_endproc

/*
 * For debuggers that do not know us: rbx = task, and the caller of this frame is the guest, whose registers are
 * there.  DWARF's numbers of the registers; an address is rbx plus an offset of two bytes.  A patched site's rip is
 * its stub's tail, from where the guest goes on behind the site (STUB_RESUME): rip, if that is site + 2, else
 * rip + *(rip + STUB_RESUME).
 */
#define AT(off)		0x73, ((off) & 0x7f) | 0x80, (off) >> 7
	.macro	guest_register number, offset
	.cfi_escape 0x10, \number, 3, AT(TASK_REGS+\offset)
	.endm
	.macro	guest_frame
	.cfi_escape 0x0f, 4, AT(TASK_REGS+REGS_RSP), 0x06
	.cfi_escape 0x16, 16, 20, AT(TASK_REGS+REGS_RIP), 0x06, 0x12, AT(TASK_REGS+REGS_SITE), 0x06, 0x32, 0x22, \
		0x29, 0x28, 5, 0, 0x12, 0x23, STUB_RESUME, 0x06, 0x22
	guest_register 0, REGS_RAX
	guest_register 1, REGS_RDX
	guest_register 3, REGS_RBX
	guest_register 4, REGS_RSI
	guest_register 5, REGS_RDI
	guest_register 6, REGS_RBP
	guest_register 8, REGS_R8
	guest_register 9, REGS_R9
	guest_register 10, REGS_R10
	guest_register 12, REGS_R12
	guest_register 13, REGS_R13
	guest_register 14, REGS_R14
	guest_register 15, REGS_R15
	.endm

/* A patched site comes here. */
	.globl	stub_entry, stub_entry_plain
	.type	stub_entry_plain, @function
stub_entry_plain:
	.cfi_startproc
	.cfi_undefined rip
	find_task_plain
	jmp	stub_found
	.cfi_endproc
	.type	stub_entry, @function
stub_entry:
	.cfi_startproc
	.cfi_undefined rip
	find_task
stub_found:
	movq	%rsp, TASK_REGS+REGS_RSP(%r11)
	leaq	TASK_STACK_TOP(%r11), %rsp
	pushfq
	popq	TASK_REGS+REGS_RFLAGS(%r11)
	movq	%rax, TASK_REGS+REGS_RIP(%r11)
	movq	STUB_SITE(%rax), %rcx
	addq	%rax, %rcx
	movq	%rcx, TASK_REGS+REGS_SITE(%r11)
	movl	STUB_NR(%rax), %eax
	movq	%rax, TASK_REGS+REGS_RAX(%r11)
	movq	%r15, TASK_REGS+REGS_R15(%r11)
	movq	%r14, TASK_REGS+REGS_R14(%r11)
	movq	%r13, TASK_REGS+REGS_R13(%r11)
	movq	%r12, TASK_REGS+REGS_R12(%r11)
	movq	%rbp, TASK_REGS+REGS_RBP(%r11)
	movq	%rbx, TASK_REGS+REGS_RBX(%r11)
	movq	%r10, TASK_REGS+REGS_R10(%r11)
	movq	%r9, TASK_REGS+REGS_R9(%r11)
	movq	%r8, TASK_REGS+REGS_R8(%r11)
	movq	%rdx, TASK_REGS+REGS_RDX(%r11)
	movq	%rsi, TASK_REGS+REGS_RSI(%r11)
	movq	%rdi, TASK_REGS+REGS_RDI(%r11)
	movq	%r11, %rbx		/* callee-saved: the task, for the edge */
	guest_frame
	movq	%r11, %rdi
	cld
	call	agent_syscall
	movq	%rbx, %rdi
	jmp	edge_window
	.cfi_endproc

/* A trapped site comes here: the SIGSYS handler has stored the registers and returned to this address,
 * on the agent's stack, rdi = task. */
	.globl	trap_entry
	.type	trap_entry, @function
trap_entry:
	.cfi_startproc
	.cfi_undefined rip
	movq	%rdi, %rbx
	guest_frame
	cld
	call	agent_trapped
	movq	%rbx, %rdi
	jmp	edge_window
	.cfi_endproc

/*
 * Back to the guest; rdi = task.  Reads only the task, so it can be started again at any point.
 */
	.globl	edge_window, edge_window_end
	.type	edge_window, @function
edge_window:
	.cfi_startproc
	.cfi_undefined rip
	leaq	TASK_STACK_TOP(%rdi), %rsp
	cmpl	$0, TASK_PENDING(%rdi)
	jne	edge_slow
	movq	%rdi, %r11
	testl	$EFLAGS_UNUSUAL, TASK_REGS+REGS_RFLAGS(%rdi)
	jne	edge_unusual_flags
	/* popf takes as long as all the rest together: make the overflow flag by an addition and the
	 * other arithmetic flags by sahf; no instruction behind these touches them */
	movzbl	TASK_REGS+REGS_RFLAGS+1(%rdi), %eax
	andl	$8, %eax
	addb	$0x78, %al
	movb	TASK_REGS+REGS_RFLAGS(%rdi), %ah
	sahf
edge_registers:
	movq	TASK_REGS+REGS_R15(%r11), %r15
	movq	TASK_REGS+REGS_R14(%r11), %r14
	movq	TASK_REGS+REGS_R13(%r11), %r13
	movq	TASK_REGS+REGS_R12(%r11), %r12
	movq	TASK_REGS+REGS_RBP(%r11), %rbp
	movq	TASK_REGS+REGS_RBX(%r11), %rbx
	movq	TASK_REGS+REGS_R10(%r11), %r10
	movq	TASK_REGS+REGS_R9(%r11), %r9
	movq	TASK_REGS+REGS_R8(%r11), %r8
	movq	TASK_REGS+REGS_RDX(%r11), %rdx
	movq	TASK_REGS+REGS_RSI(%r11), %rsi
	movq	TASK_REGS+REGS_RDI(%r11), %rdi
	movq	TASK_REGS+REGS_RAX(%r11), %rax
	movq	TASK_REGS+REGS_RIP(%r11), %rcx
	movq	TASK_REGS+REGS_RSP(%r11), %rsp
	movq	TASK_REGS+REGS_RFLAGS(%r11), %r11
	jmp	*%rcx
edge_unusual_flags:
	pushq	TASK_REGS+REGS_RFLAGS(%r11)
	popfq
	jmp	edge_registers
edge_window_end:
	.cfi_endproc

edge_slow:
	.cfi_startproc
	.cfi_undefined rip
	movq	%rdi, %rbx
	cld				/* the guest's flags may be back already */
	call	agent_edge		/* delivers; returns only if there was nothing left to do */
	movq	%rbx, %rdi
	jmp	edge_window
	.cfi_endproc

/* long raw_syscall6(nr, a, b, c, d, e, f) */
	.globl	raw_syscall6
	.type	raw_syscall6, @function
raw_syscall6:
	.cfi_startproc
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	%rcx, %rdx
	movq	%r8, %r10
	movq	%r9, %r8
	movq	8(%rsp), %r9
	syscall
	ret
	.cfi_endproc

/* long kernel_call6(task, nr, a, b, c, d, e, f) */
	.globl	kernel_call6, call_window, call_syscall, call_returned, call_interrupted
	.type	kernel_call6, @function
kernel_call6:
	.cfi_startproc
	movq	%rdi, %r11
	movq	%rsi, %rax
	movq	%rdx, %rdi
	movq	%rcx, %rsi
	movq	%r8, %rdx
	movq	%r9, %r10
	movq	8(%rsp), %r8
	movq	16(%rsp), %r9
call_window:
	cmpl	$0, TASK_PENDING(%r11)
	jne	call_interrupted
call_syscall:
	syscall
call_returned:
	ret
call_interrupted:
	movq	$-UM_ERESTART_NR, %rax
	ret
	.cfi_endproc

/* The number and the six arguments of the guest's call, from its registers; task is not rdi. */
	.macro	guest_call task
	movq	TASK_REGS+REGS_RAX(\task), %rax
	movq	TASK_REGS+REGS_RSI(\task), %rsi
	movq	TASK_REGS+REGS_RDX(\task), %rdx
	movq	TASK_REGS+REGS_R10(\task), %r10
	movq	TASK_REGS+REGS_R8(\task), %r8
	movq	TASK_REGS+REGS_R9(\task), %r9
	movq	TASK_REGS+REGS_RDI(\task), %rdi
	.endm

/* long pass_through(task): the guest's call as it came, straight from its registers */
	.globl	pass_through
	.type	pass_through, @function
pass_through:
	.cfi_startproc
	movq	%rdi, %r11
	guest_call %r11
	jmp	call_window
	.cfi_endproc

/*
 * long pass_last(task): pass_through() as a handler's last act: when the kernel has answered, the result
 * goes into the guest's registers and we leave by the edge at once, the stack is forgotten.  Every `ret`
 * after a system call is predicted wrongly (the kernel leaves the return stack buffer useless), and on
 * read and write that is half of our cost.  Returns only -UM_ERESTART.
 */
	.globl	pass_last, last_window, last_syscall, last_returned, last_interrupted
	.type	pass_last, @function
pass_last:
	.cfi_startproc
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	movq	%rdi, %rbx
	guest_call %rbx
last_window:
	cmpl	$0, TASK_PENDING(%rbx)
	jne	last_interrupted
last_syscall:
	syscall
last_returned:
	movq	%rax, TASK_REGS+REGS_RAX(%rbx)
	movq	%rbx, %rdi
	jmp	edge_window
last_interrupted:
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	movq	$-UM_ERESTART_NR, %rax
	ret
	.cfi_endproc

/*
 * long leave_call(task, nr, a, b, c, d, e, mode): a call that is not the guest's own, as a handler's last act, likewise: what the
 * kernel says becomes the guest's result and we leave, if it is success or ENOENT (all others come back to the handler).
 * mode (or 0): the address of the st_mode or stx_mode that the kernel has just filled in; if it is a link's, -UM_EAGAIN comes back.
 */
	.globl	leave_call, leaving_window, leaving_syscall, leaving_returned, leaving_mode, leaving_mode_end
	.type	leave_call, @function
leave_call:
	.cfi_startproc
	movq	%r9, %r10
	movq	%rdi, %r9
	movq	%rsi, %rax
	movq	%rdx, %rdi
	movq	%rcx, %rsi
	movq	%r8, %rdx
	movq	8(%rsp), %r8
leaving_window:
	cmpl	$0, TASK_PENDING(%r9)
	jne	call_interrupted
leaving_syscall:
	syscall
leaving_returned:
	testq	%rax, %rax
	js	2f
	movq	16(%rsp), %rcx
	jrcxz	1f
leaving_mode:
	movl	(%rcx), %ecx
leaving_mode_end:
	andl	$0xf000, %ecx
	cmpl	$0xa000, %ecx
	je	3f
1:	movq	%rax, TASK_REGS+REGS_RAX(%r9)
	movq	%r9, %rdi
	jmp	edge_window
2:	cmpq	$-2, %rax		/* ENOENT */
	je	1b
	ret
3:	movq	$-UM_EAGAIN_NR, %rax
	ret
	.cfi_endproc

/* long notify_call(task): pass_through() at a place of its own, known to the filter of agent/catch.c */
	.globl	notify_call, notify_window, notify_syscall, notify_behind
	.type	notify_call, @function
notify_call:
	.cfi_startproc
	movq	%rdi, %r11
	guest_call %r11
notify_window:
	cmpl	$0, TASK_PENDING(%r11)
	jne	call_interrupted
notify_syscall:
	syscall
notify_behind:
	ret
	.cfi_endproc

/*
 * int guest_copy(dst, src, n): 0, or -EFAULT through copy_fault.  What is short (a mode, a time) by plain moves:
 * `rep` takes longer to start than they take.  Else bytes, but words when dst lies 1..31 bytes further into its
 * page than src: there AMD's Zen 3 moves bytes fifteen times slower.
 */
	.globl	guest_copy, copy_window, copy_window_end, copy_fault
	.type	guest_copy, @function
guest_copy:
	.cfi_startproc
copy_window:
	cmpq	$8, %rdx
	jb	3f
	cmpq	$16, %rdx
	ja	4f
	movq	(%rsi), %rax
	movq	-8(%rsi,%rdx), %rcx
	movq	%rax, (%rdi)
	movq	%rcx, -8(%rdi,%rdx)
	xorl	%eax, %eax
	ret
3:	cmpl	$4, %edx
	jb	5f
	movl	(%rsi), %eax
	movl	-4(%rsi,%rdx), %ecx
	movl	%eax, (%rdi)
	movl	%ecx, -4(%rdi,%rdx)
	xorl	%eax, %eax
	ret
4:	leal	-1(%rdi), %eax
	movq	%rdx, %rcx
	subl	%esi, %eax
	andl	$4095, %eax
	cmpl	$31, %eax
	jae	5f
	shrq	$3, %rcx
	rep movsq
	andl	$7, %edx
5:	movq	%rdx, %rcx
	rep movsb
copy_window_end:
	xorl	%eax, %eax
	ret
copy_fault:
	movq	$-14, %rax
	ret
	.cfi_endproc

/*
 * long guest_string(dst, src, size): length, -EFAULT, or size when there was no NUL.  Eight bytes at a time where
 * they fit and lie in one page of the guest's; what stands behind the NUL in dst is of no meaning.
 */
	.globl	guest_string, string_window, string_window_end
	.type	guest_string, @function
guest_string:
	.cfi_startproc
	xorl	%eax, %eax
	movabsq	$0x0101010101010101, %r9
	movabsq	$0x8080808080808080, %r10
string_window:
1:	leaq	8(%rax), %rcx
	cmpq	%rdx, %rcx
	ja	3f
	leal	(%rsi,%rax), %ecx
	andl	$4095, %ecx
	cmpl	$4088, %ecx
	ja	3f
	movq	(%rsi,%rax), %rcx
	movq	%rcx, (%rdi,%rax)
	movq	%rcx, %r8		/* the lowest bit of (w - 01..) & ~w & 80.. marks the first NUL */
	subq	%r9, %rcx
	notq	%r8
	andq	%r10, %rcx
	andq	%r8, %rcx
	jne	2f
	addq	$8, %rax
	jmp	1b
2:	bsfq	%rcx, %rcx
	shrl	$3, %ecx
	addq	%rcx, %rax
	ret
3:	cmpq	%rdx, %rax
	je	4f
	movzbl	(%rsi,%rax), %ecx
	movb	%cl, (%rdi,%rax)
	testl	%ecx, %ecx
	je	4f
	incq	%rax
	jmp	1b
string_window_end:
4:	ret
	.cfi_endproc

/* What our own kernel signal handlers return to. */
	.globl	signal_restorer
	.type	signal_restorer, @function
	.cfi_startproc
	nop
signal_restorer:
	movq	$15, %rax
	syscall
	ud2
	.cfi_endproc

/* _Noreturn void signal_return(void *ucontext): rt_sigreturn with a frame built by us */
	.globl	signal_return
	.type	signal_return, @function
signal_return:
	.cfi_startproc
	movq	%rdi, %rsp		/* the kernel looks at sp - 8 for the start of the frame */
	movq	$15, %rax
	syscall
	ud2
	.cfi_endproc

/*
 * long life_clone_vm(nr, a, b, c, d, e, child): clone or clone3 whose child shares our memory and starts
 * on the stack that the arguments name, which is child's (a struct task *) agent stack.
 * Callee-saved registers reach the child: it finds itself in rbx.
 */
	.globl	life_clone_vm
	.type	life_clone_vm, @function
life_clone_vm:
	.cfi_startproc
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	movq	16(%rsp), %rbx
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	%rcx, %rdx
	movq	%r8, %r10
	movq	%r9, %r8
	syscall
	testq	%rax, %rax
	je	1f
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	ret
1:	.cfi_undefined rip
	leaq	TASK_STACK_TOP(%rbx), %rsp
	movq	%rbx, %rdi
	call	life_child
	movq	%rbx, %rdi
	jmp	edge_window
	.cfi_endproc

/* _Noreturn void life_exit(task, code): gives the region back and ends the thread, using no stack */
	.globl	life_exit
	.type	life_exit, @function
life_exit:
	.cfi_startproc
	movl	%esi, %edx
	movl	$0, TASK_BUSY(%rdi)
	movl	%edx, %edi
	movl	$60, %eax
	syscall
	ud2
	.cfi_endproc

/* _Noreturn void load_jump(entry, sp): the first instruction of the program, registers as after exec */
	.globl	load_jump
	.type	load_jump, @function
load_jump:
	.cfi_startproc
	movq	%rsi, %rsp
	movq	%rdi, %rcx
	xorl	%eax, %eax
	xorl	%ebx, %ebx
	xorl	%edx, %edx
	xorl	%esi, %esi
	xorl	%edi, %edi
	xorl	%ebp, %ebp
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	xorl	%r10d, %r10d
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d
	movl	$0x202, %r11d
	pushq	%r11
	popfq
	jmp	*%rcx
	.cfi_endproc

	.section .note.GNU-stack,"",@progbits
