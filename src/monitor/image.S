/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent's ELF file as data of the umview binary.  The build gives the path of the finished agent as
 * -DUM_AGENT_IMAGE="\"/path/of/um-agent\"" (or without the inner quotes) and assembles this file again
 * whenever that file changes.
 */
#define TEXT_(x)	#x
#define TEXT(x)		TEXT_(x)

	.section .rodata, "a"
	.balign 64
	.globl	um_agent_image
	.hidden	um_agent_image
um_agent_image:
	.incbin	UM_AGENT_IMAGE

	.section .note.GNU-stack, "", @progbits
