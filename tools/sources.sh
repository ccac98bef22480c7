#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Which source files there are, one a line, by group.  meson.build asks at configure time; tools/build.sh
# asks at every build and configures anew when the answer has changed.  So a new file in one of these
# places is built without being named anywhere.
set -eu
cd "$(dirname "$0")/.."

list() {	# list PATTERN DIR...: regular files below DIR... that exist
	pattern=$1
	shift
	for dir; do
		if [ -d "$dir" ]; then
			find "$dir" -type f -name "$pattern"
		fi
	done | LC_ALL=C sort
}

case ${1-} in
agent)	list '*.[cS]' src/agent src/kernel src/arch/x86_64 ;;
entry)	list 'entry*.S' src/arch/x86_64 ;;	# what cannot be hosted
hosted)	list '*.c' src/agent src/kernel
	list '*.S' src/arch/x86_64 | grep -v /entry ;;
monitor) list '*.c' src/monitor; echo src/agent/patch_shape.c; echo src/agent/text.c; echo src/kernel/vstat.c
	echo src/kernel/shared_lock.c; echo src/kernel/gone.c ;;
unit)	list '*_test.c' tests/unit; list 'test_*.c' tests/unit; list '*_test.py' tests/unit ;;
fuzz)	list '*_fuzz.c' tests/fuzz ;;
all)	for group in agent monitor unit fuzz; do
		"$0" "$group"
	done ;;
*)	echo "usage: tools/sources.sh agent|entry|hosted|monitor|unit|fuzz|all" >&2
	exit 2 ;;
esac
