#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# S-11: other people's homes are hidden (viewfs wiki), by moves as in the original, and by hide.
load common

homes() {
	mkdir -p home/v1user home/v2user home/v3user
	for u in v1user v2user v3user; do echo "$u's" >home/$u/file; done
}

@test "S-11 moves: an empty tree with one home in it over all homes" {
	homes
	in_view -- <<-'SH'
		mkdir -p new/v2user
		umview mount -t viewfs -o move "$W/home/v2user" "$W/new/v2user"
		umview mount -t viewfs -o move "$W/new" "$W/home"
		test "$(ls home)" = v2user
		test "$(cat home/v2user/file)" = "v2user's"
		fails cat home/v1user/file 2>/dev/null
		echo new >home/v2user/new
	SH
	[ "$(ls home)" = "$(printf 'v1user\nv2user\nv3user')" ]
	[ "$(cat home/v2user/new)" = new ]
}

@test "S-11 except: all but one directory of a tree disappears" {
	mkdir -p var/spool/cron var/log var/lib var/deep/kept empty/spool
	echo job >var/spool/cron/tab; echo line >var/log/messages; echo kept >var/deep/kept/f
	in_view -- <<-'SH'
		umview mount -t viewfs -o move,except=/spool "$W/empty" "$W/var"
		test "$(ls var)" = spool
		test "$(cat var/spool/cron/tab)" = job
		fails cat var/log/messages 2>/dev/null
		echo more >>var/spool/cron/tab
		test "$(umview ls --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" = 1
		test "$(grep -c "$W/var" /proc/mounts)" = 1
		grep -q except=/spool /proc/mounts
		fails umview umount var/spool 2>/dev/null
		umview umount var
		test "$(cat var/log/messages)" = line
		umview mount -t bind -o except=/spool,except=/deep/kept empty var
		test "$(cat var/deep/kept/f)" = kept
		test "$(cd var/spool/.. && pwd -P)" = "$W/var"
		fails umview mount -t bind -o except=/none empty var 2>err; grep -q 'has to be there' err
	SH
	[ "$(cat var/spool/cron/tab)" = "$(printf 'job\nmore')" ]
}

@test "S-11 hide: the same in one step" {
	homes
	in_view --hide "$W/home/v1user" --hide home/v3user -- <<-'SH'
		test "$(ls -A home)" = v2user
		test "$(find home | sort | tr '\n' ' ')" = 'home home/v2user home/v2user/file '
		test "$(echo home/*)" = home/v2user
		for p in home/v1user home/v1user/file home/v2user/../v1user/file /proc/self/cwd/home/v1user/file; do
			fails cat $p 2>err; grep -q 'No such file' err
		done
	SH
	[ "$(cat home/v1user/file)" = "v1user's" ]
}
