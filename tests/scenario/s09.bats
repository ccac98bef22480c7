#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# S-09: a view of the file tree twice (viewfs wiki), as `mount -t viewfs` and as `--bind`.
load common

@test "S-09 / at a directory: once, the second time the first is seen in it, not the second" {
	in_view -- <<-'SH'
		ls / >root
		umview mount -t viewfs / "$W/mnt"
		ls mnt >once; cmp root once
		test -z "$(ls "mnt$W/mnt")"
		umview mount -t viewfs / "$W/mnt"
		ls mnt >twice; cmp root twice
		ls "mnt$W/mnt" >first; cmp root first
		test -z "$(ls "mnt$W/mnt$W/mnt")"
		umview umount mnt; umview umount mnt
		test -z "$(ls mnt)"
	SH
}

@test "S-09 / at /unreal, which does not exist" {
	in_view --bind / /unreal -- <<-'SH'
		test -d /unreal
		test "$(ls -d /unreal)" = /unreal
		test "$(cd /; ls -d unreal)" = unreal
		fails sh -c 'ls / | grep -q unreal'
		cmp /etc/passwd /unreal/etc/passwd
		test "$(cd /unreal/etc && pwd -P)" = /unreal/etc
		test "$(cd /unreal && cd .. && pwd -P)" = /
		fails ls /unreal/unreal 2>/dev/null
		umview mount -t viewfs / /unreal
		test -d /unreal/unreal
		cmp /etc/passwd /unreal/unreal/etc/passwd
	SH
	[ ! -e /unreal ]
}
