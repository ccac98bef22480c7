#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# S-13 Merge: A adds names to B, listings are joined, what is A's is read-only, new files appear in B.
load common

@test "S-13 A adds names to B; A's are read-only; new files appear in B" {
	mkdir -p a/both a/only b/both b/own
	echo A >a/f; echo A >a/both/x; echo A >a/only/z
	echo B >b/f; echo B >b/g; echo B >b/both/y
	find a -printf '%p %y %m %i %T@ %C@ %s\n' | sort >before
	in_view --merge a b -- <<-'SH'
		test "$(echo $(ls b))" = 'both f g only own'
		test "$(echo $(ls b/both))" = 'x y'
		test "$(cat b/f b/g b/both/x b/both/y b/only/z)" = "$(printf 'A\nB\nA\nB\nA')"
		for c in 'echo >b/f' 'echo >>b/both/x' 'rm b/f' 'rmdir b/both' 'rmdir b/only' 'mv b/f b/h' 'mv b/g b/f' 'ln b/f b/h' \
			 'chmod 600 b/f' 'touch b/f' 'touch b/only/new' 'truncate -s 0 b/both/x' 'mv b/both b/h' 'setfattr -n user.a -v b b/f'; do
			[ "${c%% *}" != setfattr ] || command -v setfattr >/dev/null || continue
			fails sh -c "$c" 2>err
			grep -qi 'read-only' err || { echo "$c:"; cat err; exit 1; }
		done
		echo new >b/new; mkdir b/dir; echo n >b/dir/n; echo more >>b/g; ln -s f b/link; mv b/own b/moved
		echo in >b/both/in; rm b/both/y
		test "$(cat b/link b/both/in)" = "$(printf 'A\nin')"
		grep -q "^a $W/b merge rw" /proc/mounts
	SH
	find a -printf '%p %y %m %i %T@ %C@ %s\n' | sort | diff before -
	[ "$(cat b/f b/g b/new b/dir/n b/both/in)" = "$(printf 'B\nB\nmore\nnew\nn\nin')" ]
	[ "$(echo $(ls b b/both))" = 'b: both dir f g link moved new b/both: in' ]
}

@test "S-13 the same as the first UMview spells it, with an exception, on a system directory" {
	mkdir -p a/etc/skel; echo mine >a/etc/hostname; echo n >a/etc/new; echo s >a/etc/skel/s
	in_view -- <<-'SH'
		umview mount -t viewfs -o merge,except=/skel a/etc /etc
		test "$(cat /etc/hostname /etc/new)" = "$(printf 'mine\nn')"
		fails test -e /etc/skel/s
		cat /etc/passwd >/dev/null
		fails sh -c 'echo >/etc/hostname' 2>/dev/null
		(cd /etc && cat new ../etc/hostname && test "$(pwd -P)" = /etc) >/dev/null
		umview umount /etc
		fails test -e /etc/new
	SH
	[ "$(cat a/etc/hostname)" = mine ]
}
