#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs one file of scenarios.  Prints a line of TAP (without numbers) for each.
#
# usage: tests/lib/bats-file.sh FILE.bats
set -u
name=$(basename "$1" .bats)
"$BUILD/tests/lib/supervise" -l -t 900 -- bats --tap "$1" 2>&1 </dev/null |
	sed -nE "/^(not )?ok |^#/!d; s/^(not )?ok [0-9]+ /\\1ok - $name: /; s/ # skip/ # SKIP/; p"
