#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Mount points of all kinds, stacks of mounts, when a mount is busy, servers that die, servers started by hand.
load common

@test "MNT-01 several mounts at once, listed in order, unmounted in any order" {
	need fuse2fs squashfuse mksquashfs
	squash sq
	ext4 img
	mkdir a b c
	in_view -- <<-'SH'
		umview mount sq a; umview mount img b; umview mount sq c
		cat a/hello b/hello c/hello >/dev/null
		umview ls --json | python3 -c 'import json, sys, os
		l = json.load(sys.stdin); assert [os.path.basename(m["target"]) for m in l] == ["a", "b", "c"], l'
		umview umount b; cat a/hello c/hello >/dev/null; test -z "$(ls b)"
		umview umount a; umview umount c
		test "$(umview ls --json)" = '[]'
	SH
}

@test "MNT-02 mounts on top of each other at one place" {
	need squashfuse mksquashfs
	mkdir one two
	echo one >one/name; echo two >two/name
	squash sq1 one
	squash sq2 two
	in_view -- <<-'SH'
		umview mount sq1 mnt; test "$(cat mnt/name)" = one
		umview mount sq2 mnt; test "$(cat mnt/name)" = two
		umview umount mnt; test "$(cat mnt/name)" = one
		umview umount mnt; test ! -e mnt/name
		fails umview umount mnt 2>/dev/null
	SH
}

@test "MNT-03 a mount point by a symbolic link, with .., with a trailing slash, relative, absolute" {
	need squashfuse mksquashfs
	squash sq
	ln -s mnt link
	mkdir sub
	in_view -- <<-'SH'
		for p in mnt/ ./mnt link link/ sub/../mnt "$W/mnt" "$W//mnt/"; do
			umview mount sq "$p"
			cat mnt/hello link/hello sub/../link/docs/up >/dev/null
			test "$(umview ls --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["target"])')" = "$W/mnt"
			umview umount "$p"
			test -z "$(ls mnt)"
		done
		cd mnt; umview mount ../sq .; test -z "$(ls)"; test "$(cat "$W/mnt/hello")" = 'hello from the image'; cd ..; umview umount mnt
	SH
}

@test "MNT-04 bind: a directory, a file over a file, a name that does not exist" {
	mkdir src dst
	echo in src >src/f
	echo replaced >hosts
	umview --bind src dst -- sh -ec 'cat dst/f; echo more >dst/g; test "$(cd dst && pwd)" = "$PWD/dst"'
	[ "$(cat src/g)" = more ]
	[ -z "$(ls dst)" ]
	[ "$(umview --bind hosts /etc/hosts -- cat /etc/hosts)" = replaced ]
	fails grep -q replaced /etc/hosts
	[ "$(umview --bind src "$W/nowhere" -- cat nowhere/f)" = 'in src' ]
	[ ! -e nowhere ]
	[ "$(umview --bind hosts "$W/nofile" -- cat nofile)" = replaced ]
	in_view -- <<-'SH'
		umview mount -t bind src dst
		test "$(cat dst/f)" = 'in src'
		umview umount dst
		test -z "$(ls dst)"
	SH
}

@test "MNT-05 EBUSY: an open file, a working directory; -l takes it away all the same" {
	need fuse2fs
	ext4 img
	in_view -- <<-'SH'
		busy() { if umview umount mnt 2>err; then echo "not busy: $1"; exit 1; fi; grep -qi busy err; }
		umview mount img mnt
		exec 5<mnt/hello
		busy 'an open file'
		grep -q "used by .*($$)" err
		exec 5<&-
		cd mnt/docs
		(cd "$W"; busy 'a working directory')
		grep -q "used by .*($$)" "$W/err"
		cd "$W"
		sleep 30 <mnt/hello & p=$!
		until [ "$(cat /proc/$p/comm)" = sleep ]; do sleep 0.05; done
		busy "another process's file"
		grep -q "used by sleep ($p)$" err
		kill $p; wait $p || true
		umview umount mnt
		umview mount img mnt
		exec 5<mnt/hello
		umview umount -l mnt
		test ! -e mnt/hello
		read -r line <&5; test "$line" = 'hello from the image'
		exec 5<&-
	SH
	clean img
}

# The process that serves mount number $1 of this view.
SERVER='server() { umview ls --json | python3 -c "import json, sys; print(json.load(sys.stdin)[$1][\"server\"])"; }'

@test "MNT-06 server killed: ENOTCONN at once for everybody, umount works, so does a new mount" {
	need fuse2fs
	ext4 img
	echo "$SERVER" >server.sh
	in_view -- <<-'SH'
		. ./server.sh
		umview mount img mnt
		exec 5<mnt/docs/numbers
		read -r line <&5
		s=$(server 0); kill -9 "$s"
		i=0; until ! cat mnt/hello >/dev/null 2>err || [ $i -gt 40 ]; do i=$((i + 1)); sleep 0.05; done
		grep -q 'not connected' err
		for c in 'ls mnt' 'cat mnt/hello' 'echo x >mnt/new' 'cat <&5' 'stat mnt/docs' 'ls mnt/docs/..' 'mkdir mnt/x'; do
			if timeout 5 sh -c "$c" >/dev/null 2>err; then echo "worked: $c"; exit 1; fi
			grep -q 'not connected' err || { echo "$c: $(cat err)"; exit 1; }
		done
		exec 5<&-
		umview umount mnt
		test -z "$(ls mnt)"
		e2fsck -fy img >/dev/null 2>&1 || test $? -lt 4
		umview mount img mnt
		cat mnt/hello
		umview umount mnt
	SH
}

@test "MNT-07 a server killed while a reader waits hangs nobody" {
	need fuse2fs
	ext4 img
	echo "$SERVER" >server.sh
	in_view -- <<-'SH'
		. ./server.sh
		umview mount img mnt
		s=$(server 0)
		kill -STOP "$s"
		for i in 1 2 3 4; do (s=0; cat mnt/docs/deep/er/file >/dev/null 2>"err$i" || s=$?; echo $s >"st$i") & done
		sleep 0.5
		kill -9 "$s"
		wait
		for i in 1 2 3 4; do test "$(cat "st$i")" -ne 0; grep -q 'not connected' "err$i"; done
		umview umount mnt
	SH
}

@test "MNT-08 a FUSE program started by hand: in the background, and in the foreground" {
	need fuse2fs squashfuse mksquashfs
	ext4 img
	squash sq
	mkdir a b
	in_view -- <<-'SH'
		fuse2fs -o fakeroot img a
		test "$(cat a/hello)" = 'hello from the image'
		echo by hand >a/note
		squashfuse -f sq b & p=$!
		i=0; until [ -e b/hello ] || [ $i -gt 100 ]; do i=$((i + 1)); sleep 0.05; done
		cat b/hello
		fusermount -u a
		fusermount3 -u b
		wait $p
		test -z "$(ls a b | grep -v :)"
	SH
	clean img
	[ "$(debugfs -R 'cat /note' img 2>/dev/null)" = 'by hand' ]
}

@test "MNT-09 umount(8) takes a FUSE mount away" {
	need squashfuse mksquashfs
	squash sq
	in_view -- <<-'SH'
		squashfuse sq mnt
		cat mnt/hello
		umount mnt
		test -z "$(ls mnt)"
	SH
}

@test "MNT-10 a foreground server ended by a signal: its mount is gone" {
	need squashfuse mksquashfs
	squash sq
	in_view -- <<-'SH'
		squashfuse -f sq mnt & p=$!
		i=0; until [ -e mnt/hello ] || [ $i -gt 100 ]; do i=$((i + 1)); sleep 0.05; done
		kill -TERM $p
		wait $p || true
		i=0; until [ -z "$(ls mnt)" ] || [ $i -gt 100 ]; do i=$((i + 1)); sleep 0.05; done
		test -z "$(ls mnt)"
	SH
}

@test "MNT-11 rename and link between mounts: EXDEV; mv copies" {
	need fuse2fs
	ext4 img
	in_view --mount img mnt -- <<-'SH'
		echo text >f
		fails ln f mnt/f 2>err
		grep -q 'Invalid cross-device link' err
		mv f mnt/f; test "$(cat mnt/f)" = text; test ! -e f
		mv mnt/hello .; cat hello; test ! -e mnt/hello
		python3 -c 'import os, errno
		try: os.rename("hello", "mnt/h")
		except OSError as e: assert e.errno == errno.EXDEV, e
		else: assert False'
	SH
	clean img
}

@test "MNT-11b rename and link over the edge of a bind mount: EXDEV; within one, by whatever path, they work" {
	mkdir -p a/sub b low/sub c
	echo 1 >a/f; echo 2 >low/sub/f
	python_says >p.py
	cat >>p.py <<-'PY'
		import errno, os, sys
		src, dst = sys.argv[1:]
		for x, y in (src, dst), (dst, src):
		    says(errno.EXDEV, os.rename, x + "/f", y + "/g"); says(errno.EXDEV, os.link, x + "/f", y + "/g")
		    says(errno.EXDEV, os.rename, x + "/f", y + "/f")		# one file, by two mounts
		    says(errno.EEXIST, os.link, x + "/f", y + "/f")
		    says(errno.EXDEV, os.rename, x + "/none", y + "/g"); says(errno.ENOENT, os.link, x + "/none", y + "/g"); says(errno.ENOENT, os.rename, x + "/f", y + "/none/g")
		here = os.getcwd()
		for x in src, dst:
		    os.rename(x + "/f", x + "/g"); os.link(x + "/g", x + "/h"); os.unlink(x + "/h")
		    d = os.open(x, os.O_RDONLY); os.rename("g", here + "/" + x + "/h", src_dir_fd=d); os.chdir(x); os.rename("h", here + "/" + x + "/f"); os.chdir(here)
		    fd = os.open(x, os.O_TMPFILE | os.O_WRONLY)
		    os.link(f"/proc/self/fd/{fd}", x + "/named", src_dir_fd=os.open(".", os.O_RDONLY), follow_symlinks=True); os.unlink(x + "/named"); os.close(fd); os.close(d)
	PY
	in_view --bind a b --cow low --bind low/sub c -- <<-'SH'
		set -e
		python3 p.py a b
		python3 p.py low/sub c
		fails python3 -c 'import os; os.rename("b/f", "f")' 2>/dev/null
		mv b/f c/moved; test "$(cat low/sub/moved)" = 1; test ! -e a/f
	SH
}

@test "MNT-12 the mount point itself cannot be removed or renamed" {
	need fuse2fs
	ext4 img
	in_view --mount img mnt -- <<-'SH'
		fails rmdir mnt 2>err
		grep -qi 'busy' err
		fails mv mnt other 2>err
		grep -qi 'busy' err
		cat mnt/hello
	SH
	clean img
}

@test "MNT-13 .. out of a mount, links in and out of it" {
	need fuse2fs
	ext4 img
	echo outside >out
	in_view --mount img mnt -- <<-'SH'
		test "$(cat mnt/docs/../../out)" = outside
		ln -s ../out mnt/leave; test "$(cat mnt/leave)" = outside
		ln -s "$W/out" mnt/leave-abs; test "$(cat mnt/leave-abs)" = outside
		ln -s mnt/docs enter; test "$(wc -l <enter/numbers)" = 20000
		cd enter; test "$(pwd -P)" = "$W/mnt/docs"; cd -P ..; cat hello; cd -P ..; test "$(cat out)" = outside
		cd mnt/docs/deep/er; test "$(cat ../../../../out)" = outside
		find "$W/mnt" -name numbers | grep -q "^$W/mnt/docs/numbers$"
		test "$(realpath "$W/enter/deep/../up")" = "$W/mnt/hello"
	SH
}

@test "MNT-14 ten readers and five writers at once" {
	need fuse2fs
	ext4 img 64M
	in_view --mount img mnt -- <<-'SH'
		want=$(md5sum <mnt/docs/numbers)
		for i in $(seq 10); do (for k in 1 2 3 4 5; do test "$(md5sum <mnt/docs/numbers)" = "$want" || echo bad; done >>bad) & done
		for i in $(seq 5); do (for k in $(seq 20); do echo "$i $k" >>mnt/w$i; done) & done
		wait
		test ! -s bad
		for i in $(seq 5); do test "$(wc -l <mnt/w$i)" = 20; done
	SH
	clean img
}

@test "MNT-15 a descriptor in a mount survives exec, goes through pipes and sockets' ends" {
	need fuse2fs
	ext4 img
	in_view --mount img mnt -- <<-'SH'
		exec 6<mnt/docs/numbers
		head -c 4 <&6 >/dev/null
		test "$(sh -c 'read -r x <&6; echo $x')" = 3
		seq 5 >mnt/new; cat <mnt/new | sort -r >mnt/sorted; test "$(head -1 mnt/sorted)" = 5
		test "$(readlink /proc/self/fd/6)" = "$W/mnt/docs/numbers"
		python3 -c 'import os
		fd = os.open("mnt/hello", os.O_RDONLY); p = os.fork()
		if p == 0: os.read(fd, 6); os._exit(0)
		os.waitpid(p, 0); assert os.read(fd, 4) == b"from"; os.lseek(fd, 0, 0); assert os.read(os.dup(fd), 5) == b"hello"; assert os.read(fd, 1) == b" "'
	SH
}

@test "MNT-16 500 binds at the start: one process makes them; an image between them, a bad one is named" {
	need fuse2fs
	ext4 img
	mkdir src
	echo here >src/f
	many=()
	for i in $(seq 500); do
		mkdir "p$i"
		many+=(--bind src "p$i")
	done
	umview --log=log "${many[@]}" --mount img mnt --bind mnt/docs p500 --bind mnt p1 -- sh -ec '
		for i in $(seq 2 499); do read -r word <p$i/f; [ "$word" = here ]; done
		cat p1/hello; tail -1 p500/numbers; umview ls | wc -l' >out
	[ "$(cat out)" = "$(printf 'hello from the image\n20000\n504')" ]
	[ "$(sed -n 's/.*: bind on view 0, by process //p' log | sort | uniq -c | awk '{ print $1 }' | sort -n | xargs)" = '2 500' ]
	run umview --bind src p1 --bind none p2 --bind src p3 -- echo started
	[ "$status" = 125 ]
	[ "$output" = 'umview: mount: none: No such file or directory' ]
}

@test "MNT-17 an image over the root: its programs run, nothing beneath is seen, and it ends" {
	need fuse2fs busybox
	file -bL "$(command -v busybox)" | grep -q 'statically linked' || skip "no static busybox"
	mkdir -p root/bin root/proc root/etc
	cp -L "$(command -v busybox)" root/bin/busybox
	for name in sh ls cat; do ln -s busybox "root/bin/$name"; done
	echo inside >root/etc/hello
	ext4 img 32M root
	umview --mount img / -- /bin/sh -c 'ls /; ls /..; cat /etc/hello; test ! -e /etc/passwd; echo $?' >out
	[ "$(cat out)" = "$(printf 'bin\netc\nlost+found\nproc\n%.0s' 1 2; printf 'inside\n0')" ]
	umview --bind "$W/root" / -- /bin/sh -c 'cat /etc/hello; ls /' >out
	[ "$(cat out)" = "$(printf 'inside\nbin\netc\nproc')" ]
	clean img
}

@test "MNT-18 names that begin like the mount point's, or end like it, are other places" {
	mkdir -p src/sub mnt mntx mn 'mnt x' a/mnt mnt.d "mnt$(printf '\t')"
	echo src >src/f
	for d in mnt mntx mn 'mnt x' a/mnt mnt.d; do echo "$d" >"$d/f"; done
	umview --bind src mnt -- sh -ec '
		for d in mntx mn "mnt x" a/mnt mnt.d; do [ "$(cat "$d/f" "$PWD/$d/f")" = "$d
$d" ]; done
		for d in mnt mnt/ ./mnt/. mnt/sub/.. mntx/../mnt mnt//; do [ "$(cat "$d/f")" = src ]; done
		cd mnt; [ "$(cat ../mntx/f)" = mntx ]; [ "$(cat ../mnt/f)" = src ]
		mv ../mntx ../mnty; [ "$(cat ../mnty/f)" = mntx ]; [ "$(cat f)" = src ]'
	[ "$(cat mnt/f mnty/f)" = "$(printf 'mnt\nmntx')" ]
}

@test "MNT-19 mount -t proc, sysfs, devtmpfs: the machine's own, in a tree, as scripts that enter one do" {
	mkdir -p tree/proc tree/sys tree/dev tree/dev/pts
	: >tree/file
	run -0 umview --fakeroot -- sh -ec '
		mount -t proc proc tree/proc
		mount -t sysfs -o ro,nosuid sys tree/sys
		mount -t devtmpfs udev tree/dev
		mount -t devpts devpts tree/dev/pts
		cat tree/proc/self/comm
		test "$(readlink tree/proc/$$/exe)" = "$(readlink /proc/$$/exe)"
		test -d tree/sys/kernel
		echo x >tree/dev/null
		test ! -e tree/dev/pts/none
		grep tree /proc/mounts
		! mkdir tree/sys/none 2>&-
		! mount -t proc -o hidepid=2 proc tree/proc 2>&-
		! mount -t proc proc tree/file 2>&-
		mount -t proc again /proc
		cat /proc/self/comm
		umount /proc tree/dev/pts tree/dev tree/sys tree/proc
		ls -A tree/proc tree/dev
		cat /proc/self/comm'
	[ "$output" = "$(printf '%s\n' cat "proc $W/tree/proc proc rw 0 0" "sys $W/tree/sys sysfs ro,nosuid 0 0" \
		"udev $W/tree/dev devtmpfs rw 0 0" "devpts $W/tree/dev/pts devpts rw 0 0" cat \
		tree/dev: pts '' tree/proc: cat)" ]
	[ -z "$(ls -A tree/proc)" ]
}

@test "MNT-20 how a FUSE program is called: nosource, pre=, post=, format=, showcall" {
	# 'true' mounts nothing: what it was called with is told before that
	mkdir mnt2
	says() {	# says EXPECTED OPTIONS SOURCE
		run -1 umview -- umview mount -t fuse.true -o "$2" "$3" mnt2
		[[ $output == *"umview: mount: '$(type -P true)' $1"* ]] || { echo "$output"; return 1; }
	}
	says "'here' '$W/mnt2' '-o' 'ro'" showcall,ro here
	says "'$W/mnt2'" showcall,nosource here
	says "'$W/mnt2'" showcall none
	says "'-s' 'a b' 'here' '$W/mnt2' '-o' 'x=1' '-f'" "pre=-s 'a b',showcall,x=1,post=-f" here
	says "'here' '--at=$W/mnt2' '-o' 'x,ro,100%' 'a,b'" 'showcall,format=%S --at=%M -o %O "a\,b",x,ro,100%' here
	run -1 umview -- umview mount -t fuse.true -o "format=$(printf 'w %.0s' {1..65})" here mnt2
	[[ $output == *"more than 64 words"* ]]
}

@test "MNT-25 fuseuid=, fusegid=: who the FUSE program is told that requests come from" {
	need fuse2fs
	ext4 a.img
	in_view -- <<-'SH'
		umview mount -o rw+,fuseuid=1234,fusegid=daemon a.img mnt
		touch mnt/new; mkdir mnt/dir
		test "$(stat -c %u:%G mnt/new mnt/dir | sort -u)" = 1234:daemon
		umview umount mnt
		umview mount -o rw+,fusegid=77 a.img mnt
		touch mnt/other
		test "$(stat -c %u:%g mnt/other)" = 0:77
		umview umount mnt
		umview mount -o rw+ a.img mnt
		touch mnt/third
		test "$(stat -c %u:%g mnt/third)" = 0:0
	SH
	clean a.img
	run -1 umview -- umview mount -o fuseuid=nobody-here a.img mnt
	[[ $output = *"fuseuid=nobody-here: there is no such user"* ]]
	run -1 umview -- umview mount -o fusegid=-1 a.img mnt
	[[ $output = *"fusegid=-1: there is no such group"* ]]
}

@test "MNT-21 a program that wants its options first is mounted by format=" {
	need fuse2fs
	ext4 a.img
	umview -- sh -c "umview mount -t fuse.fuse2fs -o 'format=-o %O %S %M,fakeroot' a.img mnt && ls mnt && umview umount mnt" | grep -q .
}

@test "MNT-22 sqlite in WAL mode: three processes write to one data base in an image" {
	python3 -c 'import sqlite3' || skip "no sqlite3 in this python3"
	ext4 img
	cat >writer.py <<-'PY'
		import sqlite3, sys
		c = sqlite3.connect("mnt/db", timeout=30)
		c.execute("pragma journal_mode=wal")
		c.execute("create table if not exists t(a, b)")
		for i in range(50):
		    c.execute("insert into t values(?, ?)", (int(sys.argv[1]), i))
		    c.commit()
	PY
	umview --mount img mnt -- sh -c 'python3 writer.py 0; for k in 1 2 3; do python3 writer.py $k & p="$p $!"; done; for k in $p; do wait $k || exit 1; done'
	run -0 umview --mount img mnt -- python3 -c '
import sqlite3
c = sqlite3.connect("mnt/db")
print(c.execute("pragma journal_mode").fetchone()[0], c.execute("select count(*) from t").fetchone()[0], c.execute("pragma integrity_check").fetchone()[0])'
	[ "$output" = "wal 200 ok" ]
	clean img
}

@test "MNT-23 what was stored in a shared mapping is in the image, also of who was killed" {
	ext4 img
	cat >store.py <<-'PY'
		import mmap, os, sys
		f = os.open("mnt/map", os.O_RDWR | os.O_CREAT)
		os.ftruncate(f, 100000)
		m = mmap.mmap(f, 100000)
		os.close(f)
		m[50000:50005] = b"first"
		if not os.fork():
		    m[99990:] = b"and last!!"
		    os.kill(os.getpid(), 9)
		os.wait()
		m[:5] = b"third"
		os.kill(os.getpid(), 9)
	PY
	run umview --mount img mnt -- python3 store.py
	[ "$status" -eq 137 ]
	run -0 umview --mount img mnt -- python3 -c '
d = open("mnt/map", "rb").read()
print(len(d), d[:5], d[50000:50005], d[-10:], d.count(0))'
	[ "$output" = "100000 b'third' b'first' b'and last!!' 99980" ]
	clean img
}

@test "MNT-24 a file system that is a shared object, of libfuse 2.9 and 3, with a main of its own: -t umfuseNAME" {
	need pkg-config gcc
	local v n package version
	mkdir modules m2
	for v in 2:fuse:26 3:fuse3:31; do
		IFS=: read -r n package version <<<"$v"
		pkg-config --exists "$package" || skip "no headers of $package here"
		# shellcheck disable=SC2046 # several words
		gcc -Wall -Werror -fPIC -shared -DFUSE_USE_VERSION="$version" $(pkg-config --cflags "$package") \
			-o "modules/umfuse$n.so" "$BATS_TEST_DIRNAME/modfs.c" $(pkg-config --libs "$package")
	done
	echo 'int x;' | gcc -shared -fPIC -x c -o modules/umfusenone.so -
	export UMVIEW_MODULES=$W/nothing:$W/modules
	run -0 umview -- sh -c 'umview mount -t umfuse2 -o nosource none mnt && umview mount -t umfuse3 -o pre=--text=again none m2 &&
		cat mnt/text && echo && cat m2/text && echo && ls mnt && umview umount mnt && umview mount -t umfuse3 none mnt && cat mnt/text m2/text'
	[ "$output" = $'two\nagain\ntext\nthreeagain' ]
	run -1 umview -- umview mount -t umfuseother none mnt
	[[ $output == *"there is no umfuseother.so in $W/nothing:$W/modules:"* ]]
	run -1 umview -- umview mount -t umfusenone none mnt
	[[ $output == *"umfusenone.so: has no main()"* ]]
}
