#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# S-02 An ext image, mounted in a view, invisible outside; read-only and read-write.
load common

setup_file() {
	command -v fuse2fs >/dev/null || skip "no fuse2fs here"
}

@test "S-02 mount by option: contents as the tree they were made from" {
	ext4 img
	umview --mount img mnt -- diff -r --no-dereference "$T" mnt --exclude lost+found
	umview --mount img mnt -- sh -c 'cat mnt/hello; cat mnt/link | md5sum; cat mnt/docs/up' >got
	{ cat "$T/hello"; md5sum <"$T/docs/numbers"; cat "$T/hello"; } | diff - got
}

@test "S-02 mount inside a running view, use, unmount" {
	ext4 img
	in_view -- <<-'SH'
		test -z "$(ls mnt)"
		umview mount img mnt
		cat mnt/hello
		test "$(wc -l <mnt/docs/numbers)" = 20000
		grep " $PWD/mnt fuse" /proc/self/mounts >/dev/null
		grep " $PWD/mnt " /proc/self/mountinfo >/dev/null
		umview ls | grep -q "$PWD/mnt"
		umview umount mnt
		test -z "$(ls mnt)"
		fails grep -q " $PWD/mnt " /proc/self/mounts
	SH
	clean img
}

@test "S-02 nothing of it is visible outside, while it is mounted" {
	ext4 img
	background_view 'cat mnt/hello; hold' --mount img mnt
	[ -z "$(ls -A mnt)" ]
	run grep "$W" /proc/self/mounts
	[ "$status" -eq 1 ]
	release
	grep 'hello from the image' bg.log
}

@test "S-02 two views, two images, the same mount point, at once" {
	tree
	cp -r "$T" other
	echo 'the other image' >other/hello
	ext4 one
	ext4 two 32M other
	background_view 'cat mnt/hello; hold; cat mnt/hello' --mount one mnt
	[ "$(umview --mount two mnt -- cat mnt/hello)" = 'the other image' ]
	release
	[ "$(cat bg.log)" = "$(printf 'hello from the image\nhello from the image')" ]
}

@test "S-02 read-write: written, unmounted, mounted again, read; e2fsck is content" {
	ext4 img
	umview --mount img mnt -- sh -ec '
		echo ciao >mnt/greetings; mkdir mnt/new; seq 100000 >mnt/new/many
		rm mnt/docs/numbers; mv mnt/hello mnt/new/moved; ln mnt/greetings mnt/hard; chmod 600 mnt/greetings
		for i in $(seq 200); do echo $i >mnt/new/f$i; done; rm mnt/new/f1*'
	clean img
	umview --mount img mnt -- sh -ec '
		test "$(cat mnt/greetings)" = ciao; test "$(stat -c "%a %h" mnt/hard)" = "600 2"
		test "$(md5sum <mnt/new/many)" = "$(seq 100000 | md5sum)"; test ! -e mnt/docs/numbers; cat mnt/new/moved
		test "$(ls mnt/new | wc -l)" = 91'
	clean img
	[ "$(debugfs -R 'cat /greetings' img 2>/dev/null)" = ciao ]
}

@test "S-02 remount in the same view, five times, one line added each time" {
	ext4 img
	in_view -- <<-'SH'
		for i in 1 2 3 4 5; do
			umview mount img mnt
			echo $i >>mnt/log
			test "$(wc -l <mnt/log)" = $i
			umview umount mnt
		done
	SH
	clean img
}

@test "S-02 read-only: reads work, writes are EROFS, the image stays as it was" {
	ext4 img
	before=$(md5sum <img)
	in_view --mount-opts ro --mount img mnt -- <<-'SH'
		cat mnt/hello
		for c in 'echo x >mnt/new' 'echo x >>mnt/hello' 'rm mnt/hello' 'mkdir mnt/d' 'mv mnt/hello mnt/h2' 'ln -s x mnt/l' 'chmod 600 mnt/hello' 'touch mnt/hello'; do
			if (eval "$c") 2>err; then echo "worked: $c"; exit 1; fi
			grep -q 'Read-only file system' err || { echo "$c: $(cat err)"; exit 1; }
		done
	SH
	[ "$before" = "$(md5sum <img)" ]
	in_view -- <<-'SH'
		umview mount -o ro img mnt
		fails touch mnt/x 2>/dev/null
		umview umount mnt
		umview mount -r img mnt
		fails touch mnt/x 2>/dev/null
	SH
}

@test "S-02 a GiB of ext4: written in parallel, read back, clean" {
	ext4 img 1G
	umview --mount img mnt -- sh -ec '
		for i in 1 2 3 4; do (seq $((i * 100000)) >mnt/p$i) & done; wait
		for i in 1 2 3 4; do test "$(tail -1 mnt/p$i)" = $((i * 100000)); done
		tar cf mnt/doc.tar -C /usr/include linux; tar xf mnt/doc.tar -C mnt; diff -r /usr/include/linux mnt/linux; df mnt >/dev/null'
	clean img
}

@test "S-02 when the view ends without umount, everything is written and clean" {
	ext4 img
	umview --mount img mnt -- sh -c 'seq 50000 >mnt/last; exit 3' || [ $? -eq 3 ]
	clean img
	[ "$(debugfs -R 'cat /last' img 2>/dev/null | md5sum)" = "$(seq 50000 | md5sum)" ]
}

@test "S-02 squashfs, iso9660 and vfat are recognised" {
	need squashfuse mksquashfs fuseiso genisoimage
	squash sq
	iso cd.iso
	[ "$(umview --mount sq mnt -- cat mnt/hello)" = 'hello from the image' ]
	umview --mount sq mnt -- diff -r --no-dereference "$T" mnt
	[ "$(umview --mount cd.iso mnt -- cat mnt/docs/deep/er/file)" = deep ]
	umview --mount cd.iso mnt -- diff -r "$T/docs" mnt/docs
	if command -v mkfs.vfat >/dev/null && command -v fusefat >/dev/null; then
		truncate -s 8M fat
		mkfs.vfat fat >/dev/null
		umview --mount fat mnt -- sh -ec 'echo on vfat >mnt/note.txt; cat mnt/note.txt'
		[ "$(umview --mount-opts ro --mount fat mnt -- cat mnt/note.txt)" = 'on vfat' ]
	fi
}

@test "S-02 a read begins with a page, also a large one: fuseiso counts on that" {
	need fuseiso genisoimage
	mkdir pages
	seq 10000 | head -c 2704 >pages/file
	genisoimage -quiet -R -o pages.iso pages
	tail -c +733 pages/file >rest
	umview -- sh -ec 'fuseiso -n pages.iso mnt; dd if=mnt/file of=got bs=200000 count=1 iflag=skip_bytes skip=732 status=none; fusermount -u mnt'
	cmp rest got
}

@test "S-02 plain tools in an image: cp, tar, find, git, dd, sort" {
	ext4 img 64M
	umview --mount img mnt -- sh -ec '
		cp -a /usr/include/asm-generic mnt/; diff -r /usr/include/asm-generic mnt/asm-generic
		find mnt -type f | wc -l >count; test "$(cat count)" -gt 30; find mnt/asm-generic -delete
		dd if=/dev/zero of=mnt/z bs=1M count=8 2>/dev/null; test "$(stat -c %s mnt/z)" = 8388608; rm mnt/z
		sort -n -r mnt/docs/numbers >mnt/sorted; test "$(head -1 mnt/sorted)" = 20000
		git config --global safe.directory "*"	# files in the image belong to root
		cd mnt; git init -q r; cd r; echo x >f; git add f; git -c user.name=a -c user.email=a@b commit -qm m; git status --short; git fsck 2>/dev/null'
	clean img
}
