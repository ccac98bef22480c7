#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs that brought seccomp filters of their own.
load common

guest=$(dirname "$UMVIEW")/tests/guest

@test "SC-01 under a filter every call comes to the agent, and guests do not notice" {
	for program in attrs execstate files life map memory paths rw sigwait sites sockets threads; do
		[ -x "$guest/$program" ] || skip "no guest programs here"
		mkdir "$program"
		umview -- "$guest/seccomplife" --helper filtered "$guest/$program" "$W/$program" >out 2>err || {
			grep -v '^ok' out
			cat err
			return 1
		}
	done
}

@test "SC-02 a mount made, used and ended from under a filter" {
	need fuse2fs
	ext4 image
	umview -- "$guest/seccomplife" --helper filtered sh -c '
		umview mount image mnt && cat mnt/hello && mnt/bin/seq 3 && umview umount mnt' >out
	[ "$(cat out)" = "$(printf 'hello from the image\n1\n2\n3')" ]
}

@test "SC-03 a view and a branch under a filter from outside: the program sees that there is one" {
	run "$guest/seccomplife" --helper filtered umview -- umview -- "$guest/seccomplife" --helper state
	[ "$output" = 'mode 2, no_new_privs 1' ]
	run umview -- "$guest/seccomplife" --helper filtered "$guest/seccomplife" --helper state
	[ "$output" = 'mode 2, no_new_privs 1' ]
}

@test "SC-04 what a filter logs goes to the view's log" {
	umview --log=log -- "$guest/seccomplife" --helper logged
	grep 'seccomp: call 110, arch c000003e' log
}

@test "SC-05 a trace into a file does not end a guest that may not write files" {
	umview --trace=trace -- sh -c 'ulimit -f 0; cd /; exit 7' || s=$?
	[ "$s" = 7 ]
}
