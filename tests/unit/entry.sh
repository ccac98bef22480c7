#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Writes stand-ins for what src/arch/x86_64 and the linker script define, for programs that are linked without
# them: a unit test may need a function whose file also holds the ways into and out of the guest.  They are weak, so
# that a test or the shim may define its own; whoever really arrives there dies.
#
# usage: entry.sh OUTPUT AGENT.LD FILE.S...
set -eu
out=$1
script=$2
shift 2
{
	printf '\t.text\nnowhere:\n\tud2\n'
	{
		sed -nE 's/^[ \t]*\.globl[ \t]+//p' "$@" | tr -d ' \t' | tr ',' '\n'
		sed -nE 's/^[ \t]*([A-Za-z_]\w*) = .*/\1/p' "$script"
	} | sort -u | while read -r name; do
		printf '\t.weak\t%s\n\t.set\t%s, nowhere\n' "$name" "$name"
	done
	printf '\t.section .note.GNU-stack, "", @progbits\n'
} >"$out"
