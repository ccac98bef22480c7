/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers that entry.S and C must agree on.  agent/check_offsets in task.c asserts each of them against
 * the structures.
 */
#ifndef UM_ARCH_OFFSETS_H
#define UM_ARCH_OFFSETS_H

/* The agent's part of the address space: nothing of the guest's is ever mapped here. */
#define UM_AGENT_BASE		0x7e9000000000
#define UM_TASKS_BASE		0x7e9100000000	/* the image, then task regions: one 4 GiB window, so that a */
#define UM_TASKS_HIGH		0x7e91		/* look at the high half of gs tells whether it may be a task */
#define UM_OWN_BASE		0x7e9200000000	/* own_map() */
#define UM_OWN_END		0x7ea000000000

/* struct task */
#define TASK_SELF		0
#define TASK_PENDING		8
#define TASK_BUSY		12
#define TASK_REGS		16
#define TASK_TAIL		152
#define TASK_FLAGS		160

/* struct process */
#define PROCESS_WATCH		32
#define WATCH_FD		0x100fdff	/* any reason at all, and virtual descriptors */
#define WATCH_FD_TABLE		0x101fdff	/* and descriptors with hints */
#define WATCH_FD_OWNER		0x100ffff	/* ... and identities */

/* a task's region: saved vector state, agent's stack, task, alternate signal stack.  The task stands right
 * above the stack's top, so that a short call touches one page.  All but the first two count from the task. */
#define TASK_SPAN		0x20000
#define TASK_OFFSET		0x13800		/* of the task in its region */
#define TASK_SIZE		0x800		/* it and what belongs to it */
#define TASK_FPSAVE		(-TASK_OFFSET)
#define TASK_FPSAVE_SIZE	0x3000
#define TASK_STACK_TOP		0
#define TASK_ALTSTACK		TASK_SIZE
#define TASK_ALTSTACK_SIZE	(TASK_SPAN - TASK_OFFSET - TASK_SIZE)

/* struct regs, from its start */
#define REGS_R15	0
#define REGS_R14	8
#define REGS_R13	16
#define REGS_R12	24
#define REGS_RBP	32
#define REGS_RBX	40
#define REGS_R10	48
#define REGS_R9		56
#define REGS_R8		64
#define REGS_RDX	72
#define REGS_RSI	80
#define REGS_RDI	88
#define REGS_RAX	96
#define REGS_RIP	104
#define REGS_RFLAGS	112
#define REGS_RSP	120
#define REGS_SITE	128

/* a stub (agent/patch.c writes them), from its tail: where the guest goes on */
#define STUB_NR		(-6)	/* the number, in `mov $nr,%eax` of the trapping way */
#define STUB_TRAP	(-7)	/* that mov and a syscall that traps */
#define STUB_MASK	8	/* a call on a descriptor: of process.watch, what keeps it from the short way */
#define STUB_SITE	12	/* the patched site, counted from the tail */
#define STUB_RESUME	20	/* behind it, likewise */
#define STUB_TAIL	20	/* offset of the tail in the stub */
#define STUB_SIZE	48

#define UM_ERESTART_NR	512
#define UM_EAGAIN_NR	513

#endif
