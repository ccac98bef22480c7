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
