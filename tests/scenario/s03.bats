#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# S-03 Images in images.
load common

# outer: an ext4 image that holds the tree, and inner.sqfs, inner.iso, inner.ext4 of it
outer() {
	need fuse2fs squashfuse mksquashfs fuseiso genisoimage
	tree
	if [ ! -e "$BATS_FILE_TMPDIR/outer" ]; then
		mkdir "$BATS_FILE_TMPDIR/o"
		cp -a "$T/." "$BATS_FILE_TMPDIR/o"
		squash "$BATS_FILE_TMPDIR/o/inner.sqfs"
		iso "$BATS_FILE_TMPDIR/o/inner.iso"
		ext4 "$BATS_FILE_TMPDIR/o/inner.ext4" 8M
		mkdir "$BATS_FILE_TMPDIR/o/point"
		ext4 "$BATS_FILE_TMPDIR/outer" 64M "$BATS_FILE_TMPDIR/o"
	fi
	cp --sparse=always "$BATS_FILE_TMPDIR/outer" outer.img
	mkdir -p a b c d
}

@test "S-03 squashfs and iso inside ext4: read, compared, unmounted inside out" {
	outer
	in_view -- <<-SH
		umview mount outer.img a
		umview mount a/inner.sqfs b
		umview mount a/inner.iso c
		diff -r --no-dereference $T b
		diff -r $T/docs c/docs
		test "\$(md5sum <b/docs/numbers)" = "\$(md5sum <$T/docs/numbers)"
		umview umount c
		umview umount b
		umview umount a
	SH
	clean outer.img
}

@test "S-03 umount of the outer while an inner is mounted: EBUSY; afterwards it works" {
	outer
	in_view -- <<-'SH'
		umview mount outer.img a
		umview mount a/inner.sqfs b
		if umview umount a 2>err; then echo "it was unmounted"; exit 1; fi
		grep -qi busy err
		cat a/hello b/hello
		umview umount b
		umview umount a
	SH
	clean outer.img
}

@test "S-03 a mount point inside an image" {
	outer
	in_view -- <<-'SH'
		umview mount outer.img a
		umview mount a/inner.sqfs a/point
		cat a/point/hello
		test "$(cd a/point/docs && pwd)" = "$PWD/a/point/docs"
		test -e a/point/../hello
		if umview umount a 2>err; then exit 1; fi
		grep -qi busy err
		umview umount a/point
		test -z "$(ls a/point)"
		umview umount a
	SH
	clean outer.img
}

@test "S-03 three levels, the innermost one writable" {
	outer
	in_view -- <<-'SH'
		umview mount outer.img a
		umview mount a/inner.ext4 b
		echo written in the inner image >b/note
		truncate -s 4M b/third
		mke2fs -q -t ext4 b/third
		umview mount b/third c
		echo third level >c/note
		cat c/note
		umview umount c
		umview umount b
		umview mount a/inner.ext4 b
		cat b/note
		umview mount b/third c
		test "$(cat c/note)" = 'third level'
	SH
	clean outer.img
	debugfs -R "dump /inner.ext4 inner" outer.img 2>/dev/null
	clean inner
	[ "$(debugfs -R 'cat /note' inner 2>/dev/null)" = 'written in the inner image' ]
}

@test "S-03 five levels: made from the inside out, changed in the innermost, found there again" {
	need fuse2fs
	local n size=4
	mkdir tree 1 2 3 4 5
	echo innermost >tree/note
	for n in 5 4 3 2 1; do		# 4, 8, 16, 32, 64 MiB
		ext4 "$n.img" "${size}M" tree
		rm -rf tree/*
		mv "$n.img" tree/image
		size=$((size * 2))
	done
	mv tree/image outer.img
	in_view -- <<-'SH'
		umview mount outer.img 1
		for n in 1 2 3 4; do umview mount $n/image $((n + 1)); done
		test "$(cat 5/note)" = innermost
		seq 50000 >5/numbers; sha256sum <5/numbers >sum
		mkdir 5/d; mv 5/note 5/d/note; echo changed >>5/d/note
		fails umview umount 4 2>err; grep -qi busy err
		for n in 5 4 3 2 1; do umview umount $n; done
		umview mount outer.img 1
		for n in 1 2 3 4; do umview mount $n/image $((n + 1)); done
		test "$(sha256sum <5/numbers)" = "$(cat sum)"
		test "$(cat 5/d/note)" = "innermost
		changed"
		for n in 5 4 3 2 1; do umview umount $n; done
	SH
	for n in 1 2 3 4; do
		clean outer.img
		debugfs -R "dump /image inner.img" outer.img 2>/dev/null
		mv inner.img outer.img
	done
	clean outer.img
	[ "$(debugfs -R 'cat /d/note' outer.img 2>/dev/null | tail -1)" = changed ]
}

@test "S-03 an image mounted over the directory that holds it keeps working" {
	outer
	mkdir holds
	mv outer.img holds/
	in_view -- <<-'SH'
		umview mount holds/outer.img holds
		cat holds/hello
		test ! -e holds/outer.img
		seq 30000 >holds/written
		umview umount holds
		test -e holds/outer.img
		umview mount holds/outer.img holds
		test "$(md5sum <holds/written)" = "$(seq 30000 | md5sum)"
	SH
	clean holds/outer.img
	[ -z "$(ls holds | grep -v outer.img)" ]
}
