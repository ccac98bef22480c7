#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# umview as a job of a shell on a terminal: Ctrl-Z, fg, Ctrl-C, the end of input.
load common

JOBS=${BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/guest/jobs

@test "TT-01 cat, natively: what the next ones must be like" {
	"$JOBS" --helper shell_job cat
}

@test "TT-02 umview as a job of a shell" {
	"$JOBS" --helper shell_job umview -- cat
}

@test "TT-03 a branch as a job of a shell that runs in a view" {
	umview -- "$JOBS" --helper shell_job umview -- cat
}

@test "TT-04 a shell in umview, with jobs of its own" {
	umview -- "$JOBS" "$W" shell >out || { cat out; false; }
	grep '^ok' out
}
