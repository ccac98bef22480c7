/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What src/arch/x86_64/entry.S and the linker script define, for programs that are linked without them: a unit
 * test may need a function whose file also holds the ways into and out of the guest.  Weak, so that a test or
 * the shim may define its own; whoever really arrives here dies.
 */
	.text
nowhere:
	ud2

	.macro	weak names:vararg
	.irp	name, \names
	.weak	\name
	.set	\name, nowhere
	.endr
	.endm

	weak	agent_text_start, agent_text_end
	weak	edge_window, edge_window_end, copy_window, copy_window_end, copy_fault, string_window, string_window_end
	weak	call_window, call_syscall, call_interrupted
	weak	guest_copy, guest_string, life_clone_vm, life_exit, load_jump, signal_restorer, signal_return
	weak	stub_entry, trap_entry

	.section .note.GNU-stack, "", @progbits
