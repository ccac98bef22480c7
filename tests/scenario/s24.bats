#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# S-24: what covers what, in which order it can go, and `renew`.
load common

@test "S-24 two mounts at one place, open files of both, unmounted in the other order" {
	need squashfuse mksquashfs
	mkdir one two x
	echo one >one/name; echo two >two/name
	squash sq1 one
	squash sq2 two
	in_view -- <<-'SH'
		umview mount sq1 x; exec 5<x/name
		umview mount sq2 x; exec 6<x/name
		test "$(cat x/name)" = two
		fails umview umount x 2>err; grep -qi busy err		# the newer one, which is open
		umview mount -o renew "$W/sq1" x
		test "$(cat x/name)" = one
		test "$(umview ls --json | python3 -c 'import json, sys, os
		print(*[os.path.basename(m["source"]) for m in json.load(sys.stdin)])')" = 'sq2 sq1'
		fails umview umount x 2>err; grep -qi busy err
		test "$(cat <&5)" = one; exec 5<&-
		umview umount x
		test "$(cat x/name)" = two; test "$(cat <&6)" = two; exec 6<&-
		umview umount x
		test -z "$(ls x)"
	SH
}

@test "S-24 renew: a mount comes out from below what was mounted over it" {
	mkdir -p a/b one two/b
	echo one >one/f; echo two >two/b/g
	in_view -- <<-'SH'
		umview mount -t bind one a/b; test "$(cat a/b/f)" = one
		umview mount -t viewfs -o move two a
		test "$(ls a/b)" = g
		umview mount -o renew a/b
		test "$(ls a/b)" = f; test "$(cd a/b; cd ..; ls)" = b
		umview mount -o renew two a; test "$(ls a/b)" = g
		umview umount a/b			# the covered one, by its path
		test "$(ls a/b)" = g
		umview umount a; test -z "$(ls a/b)"
		fails umview mount -o renew a/b 2>err; grep -q 'not a mount point' err
	SH
}

@test "S-24 perm: stays until the view ends" {
	mkdir src dst h
	in_view -- <<-'SH'
		umview mount -t bind -o perm src dst
		umview mount -t hide -o perm h
		for p in dst h; do
			fails umview umount $p 2>/dev/null; fails umview umount -l $p 2>/dev/null
		done
		fails ls h 2>/dev/null
	SH
}

@test "S-24 renew: merge and copy-on-write, from below others and over what was mounted on them" {
	mkdir -p a b c low/sub
	echo A >a/f; echo B >b/f; echo C >c/f; echo L >low/sub/l
	in_view --cow low --upper up -- <<-'SH'
		umview mount -t merge a b; umview mount -t bind c b; test "$(cat b/f)" = C
		umview mount -o renew "$W/a" b; test "$(cat b/f)" = A; fails sh -c 'echo x >b/f' 2>/dev/null
		umview umount b; test "$(cat b/f)" = C; umview umount b; test "$(cat b/f)" = B
		echo n >low/n; umview mount -t bind c low; test "$(ls low)" = f
		umview mount -o renew "$W/up/tree" low; test "$(echo $(ls low))" = 'n sub'
		echo m >low/m; mv low/sub low/moved; rm low/n; test "$(echo $(cat low/m low/moved/l))" = 'm L'
		umview umount low; test "$(ls low)" = f; umview umount low
		test "$(echo $(ls low))" = sub
	SH
	[ "$(ls c)" = f ] && [ "$(ls low)" = sub ] && [ "$(cat b/f)" = B ]
	in_view --mincow low --upper up2 -- <<-'SH'
		umview mount -t merge c low; test "$(cat low/f)" = C; umview mount -t hide low/sub; fails test -e low/sub
		umview mount -o renew "$W/up2/tree" low; fails test -e low/f; fails test -e low/sub
		umview mount -o renew "$W/c" low; test "$(cat low/f)" = C
	SH
}
