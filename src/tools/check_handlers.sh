#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Fails if the table of system calls names a handler that no source defines, or the other way round; else
# leaves a file that says when it looked.
#
# usage: check_handlers.sh GEN_SYSCALLS_PY STAMP TABLE SOURCE...
set -eu
gen=$1
stamp=$2
table=$3
shift 3
python3 "$gen" "$table" --check "$@"
: >"$stamp"
