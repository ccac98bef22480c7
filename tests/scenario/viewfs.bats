#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# hide, read-only binds, tmpfs: what goes beyond the classic demonstrations (s09, s10, s11, s24).
load common

@test "VFS-01 hide: every call says that nothing is there, and nothing can be made" {
	mkdir -p d/secret/deep d/open
	echo s >d/secret/f; ln -s secret d/link; ln -s secret/f d/flink; echo s >d/file
	python_says >p.py
	cat >>p.py <<-'PY'
		import ctypes, errno, os, socket, sys
		none, no = errno.ENOENT, errno.EACCES
		for p in "d/secret", "d/secret/f", "d/secret/deep/x", "d/open/../secret", "d/file", "d/flink":
		    for f in os.stat, os.listdir, os.unlink, os.rmdir, os.statvfs, os.readlink, os.utime, os.chdir:
		        if p != "d/flink" or f in (os.stat, os.listdir, os.statvfs, os.utime, os.chdir):
		            says(none, f, p)
		    says(none, os.open, p, os.O_RDONLY); says(none, os.open, p, os.O_RDWR); says(none, os.open, p, os.O_PATH)
		    says(none, os.chmod, p, 0o700); says(none, os.truncate, p, 0); says(none, os.execv, p, ["x"])
		    assert not os.access(p, os.F_OK)
		for p in "d/secret", "d/file":
		    says(none, os.lstat, p); says(none, os.rename, p, "d/y"); says(none, os.link, p, "d/y")
		    says(no, os.open, p, os.O_CREAT | os.O_WRONLY); says(no, os.open, p, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
		    says(no, os.mkdir, p); says(no, os.mkfifo, p); says(no, os.symlink, "x", p)
		    says(no, os.rename, "d/open", p); says(no, os.link, "d/link", p)
		    says(no, socket.socket(socket.AF_UNIX).bind, p)
		says(none, os.mkdir, "d/secret/new"); says(none, os.open, "d/secret/new", os.O_CREAT | os.O_WRONLY)
		says(errno.ENOTEMPTY, os.rmdir, "d"); says(errno.EBUSY, os.rename, "d", "e")
		os.lstat("d/link"); os.lstat("d/flink")
		d = os.open("d", os.O_RDONLY)
		says(none, os.stat, "secret", dir_fd=d); says(none, os.stat, f"/proc/self/fd/{d}/secret/f")
		os.chdir("d/open"); says(none, os.stat, "../secret/f"); says(none, os.chdir, "../secret")
	PY
	umview --hide d/secret --hide d/file -- python3 p.py
	[ "$(cat d/secret/f d/file)" = "$(printf 's\ns')" ]
}

@test "VFS-02 hide: lists leave it out, and telldir, seekdir and rewinddir stay true" {
	mkdir d; (cd d && seq 500 | xargs touch)
	cp "$BATS_TEST_DIRNAME/../lib/dirstream.py" .
	cat >l.py <<-'PY'
		import os
		from dirstream import Dir
		d = Dir("d")
		seen, at = [], {}
		while True:
		    here, n = d.tell(), d.name()
		    if not n: break
		    seen.append(n); at[n] = here
		hidden = {str(i) for i in range(1, 501) if i % 3}
		assert set(seen) == {str(i) for i in range(1, 501)} - hidden | {".", ".."}, sorted(seen)
		assert len(seen) == len(set(seen))
		for n in seen[::7]:
		    d.seek(at[n]); assert d.name() == n
		d.rewind(); assert d.name() == seen[0]
		assert sorted(os.listdir("d")) == sorted(set(seen) - {".", ".."})
	PY
	hides=$(for i in $(seq 500); do [ $((i % 3)) = 0 ] || echo "mount -t hide d/$i"; done)
	printf '%s\n' "$hides" >hides
	in_view -- <<-'SH'
		while read -r command; do umview $command; done <hides
		python3 l.py
		ls d >during
		umview umount d/1; ls d | grep -qx 1
	SH
	[ "$(ls d | wc -l)" = 500 ]
	[ "$(wc -l <during)" = 166 ]
}

@test "VFS-03 hide: in a mounted image, behind a bind, under a newer mount; an open directory stays open" {
	need squashfuse mksquashfs
	squash sq
	mkdir -p d/secret b; echo s >d/secret/f
	in_view -- <<-'SH'
		umview mount sq mnt; umview mount -t hide mnt/docs
		fails test -e mnt/docs; test "$(ls mnt | grep -c docs)" = 0; fails cat mnt/docs/numbers 2>/dev/null; fails cat mnt/link 2>/dev/null
		cat mnt/hello >/dev/null
		fails umview umount mnt 2>err; grep -q 'unmount that first' err
		umview umount mnt/docs; head -1 mnt/link >/dev/null
		cd d/secret; exec 5<.; umview mount -t hide "$W/d/secret"
		test "$(cat f)" = s; test "$(ls)" = f; test "$(ls /proc/self/fd/5/)" = f
		cd "$W"
		umview mount -t bind d b
		test -z "$(ls b)"; fails cat b/secret/f 2>/dev/null
		umview mount -t tmpfs d/secret; echo new >d/secret/g; test "$(ls d/secret)" = g; test "$(ls d)" = secret
		umview umount d/secret; test -z "$(ls d)"
		fails grep -q hide /proc/mounts; umview ls | grep -q hide
	SH
}

@test "VFS-04 read-only bind: EROFS, in the kernel's order of errors, by path and by descriptor" {
	mkdir -p rw/sub ro out
	echo x >rw/f; echo g >rw/sub/g; ln -s f rw/lnk; ln -s none rw/dang; mkfifo rw/fifo; echo o >out/o
	ln -s "$W/out/o" rw/out
	umview --ro-bind rw ro -- python3 "$BATS_TEST_DIRNAME/../lib/readonly.py" ro out
	mkdir nest
	umview --bind / "$W/nest" --ro-bind "nest$W" ro -- python3 "$BATS_TEST_DIRNAME/../lib/readonly.py" ro/rw out
	umview --ro-bind rw rw -- python3 "$BATS_TEST_DIRNAME/../lib/readonly.py" rw out
}

@test "VFS-05 read-only bind: remounted both ways, shown in /proc/mounts, of an image, of /" {
	need fuse2fs
	ext4 img
	mkdir ro a
	in_view -- <<-'SH'
		umview mount img mnt
		umview mount -t bind -o ro mnt ro
		cat ro/hello >/dev/null
		for c in 'echo >>ro/hello' 'rm ro/hello' 'mkdir ro/new' 'chmod 600 ro/hello' 'cd ro/docs && echo >numbers'; do
			fails sh -c "$c" 2>err; grep -q 'Read-only' err
		done
		grep -q "$W/ro .* ro," /proc/mounts
		echo more >>mnt/hello; tail -1 ro/hello | grep -q more
		umview mount -t bind a a
		python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).mount(b"none", b"a", None, 32 | 4096 | 1, None))'
		fails touch a/f 2>/dev/null
		grep -q "$W/a .* ro," /proc/mounts
		python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).mount(b"none", b"a", None, 32 | 4096, None))'
		touch a/f
	SH
	umview --ro-bind / / -- sh -c 'cat /etc/passwd >/dev/null; touch f 2>err || touch /tmp/f 2>/dev/null || exit 3' || [ $? = 3 ]
	[ ! -e f ]
}

@test "VFS-06 tmpfs: memory of the view's own; modes; gone when unmounted and when the view ends" {
	in_view --tmpfs "$W/mnt" -- <<-'SH'
		test "$(stat -c %a mnt)" = 1777
		mkdir -p mnt/a/b; echo x >mnt/a/b/f; chmod 0 mnt/a/b; ln mnt/a mnt/h 2>/dev/null || true
		grep -q "$W/mnt tmpfs rw" /proc/mounts
		umview ls | grep -q tmpfs
		umview mount -t tmpfs -o mode=700 "$W/new"; test "$(stat -c %a new)" = 700
		umview umount new; fails ls new 2>/dev/null
		fails umview mount -t tmpfs -o size=1m mnt 2>err; grep -q 'could not be kept' err
		dd if=/dev/zero of=mnt/big bs=1M count=4 2>/dev/null; test "$(stat -c %s mnt/big)" = 4194304
		python3 -c 'import mmap; f = open("mnt/m", "w+b"); f.truncate(4096); m = mmap.mmap(f.fileno(), 4096); m[0:2] = b"hi"'
		test "$(head -c 2 mnt/m)" = hi
		umview ls --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["options"])' >options
		test "$(cat options)" = mode=1777
		umview ls --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["source"])' >place
		test -d "$(cat place)"
	SH
	[ -z "$(ls mnt)" ]
	[ ! -e "$(cat place)" ]
}

@test "VFS-07 tmpfs: nothing is left, whatever ends the view" {
	[ -d /dev/shm ] && [ -w /dev/shm ] || skip "no /dev/shm here"
	background_view 'echo x >"$W/mnt/f"; umview ls --json >"$W/ls.json"; hold' --tmpfs "$W/mnt"
	dir=$(python3 -c 'import json; print(json.load(open("ls.json"))[0]["source"])')
	[ -e "$dir/f" ]
	release
	until_true test ! -e "$dir"
	background_view 'echo x >"$W/mnt/f"; umview ls --json >"$W/ls.json"; hold' --tmpfs "$W/mnt"
	dir=$(python3 -c 'import json; print(json.load(open("ls.json"))[0]["source"])')
	kill -9 "$V"
	wait "$V" || true
	until_true test ! -e "$dir"
	# The monitor itself: its number stands in the directory's name.
	background_view 'echo x >"$W/mnt/f"; umview ls --json >"$W/ls.json"; hold' --tmpfs "$W/mnt"
	dir=$(python3 -c 'import json; print(json.load(open("ls.json"))[0]["source"])')
	monitor=${dir#*/umview-"$(id -u)"-}; monitor=${monitor%%-*}
	kill -9 "$monitor"
	: >go
	wait "$V" || true
	[ -e "$dir/f" ]
	next() { umview --tmpfs "$W/mnt" -- true; [ ! -e "$dir" ]; }	# finds it, when the guests are gone
	until_true next
}

@test "VFS-08 a mount is moved with what is mounted in it: open files, cwds and its server go on; binds of it follow" {
	need fuse2fs mke2fs
	mkdir -p src/d/e mnt new other into; echo f >src/d/f
	truncate -s 8M img; mke2fs -q -t ext4 img
	cat >p.py <<-'PY'
		import os, subprocess
		top = os.getcwd()
		link = lambda fd: os.readlink(f"/proc/self/fd/{fd}")
		fd, d, c = os.open("mnt/dir/f", os.O_RDWR), os.open("mnt/dir", os.O_RDONLY), os.open("mnt/dir/sub/d", os.O_RDONLY)
		os.chdir("mnt/dir")
		subprocess.run(["umview", "mount", "--move", top + "/mnt", top + "/new"], check=True)
		assert os.getcwd() == os.path.realpath("/proc/self/cwd") == top + "/new/dir", os.getcwd()
		assert [link(n) for n in (fd, d, c)] == [top + "/new/dir" + n for n in ("/f", "", "/sub/d")]
		os.write(fd, b"HELLO"); assert open(top + "/new/dir/f").read() == "HELLO\n"
		open("made", "w").close()
		assert sorted(os.listdir(top + "/new/dir")) == sorted(os.listdir(d)) == ["f", "made", "sub"]
		assert os.listdir(top + "/mnt") == [] and os.listdir("sub") == ["d"] and sorted(os.listdir(c)) == ["e", "f"]
		assert os.stat("../../new").st_dev == os.stat(".").st_dev and "dir" in os.listdir("..")
		assert sorted(os.listdir(top + "/other")) == ["f", "made", "sub"] and os.listdir(top + "/other/sub") == ["d"]
		said = subprocess.run(["sh", "-c", "/bin/pwd; cd sub/d; /bin/pwd; cd ../..; /bin/pwd; ls"], capture_output=True, text=True).stdout
		assert said.split("\n")[:3] == [top + "/new/dir", top + "/new/dir/sub/d", top + "/new/dir"], said
		os.chdir("sub"); os.chdir("../../.."); assert os.getcwd() == top
	PY
	cat >e.py <<-'PY'
		import ctypes, errno, os
		libc = ctypes.CDLL(None, use_errno=True)
		MOVE = 8192
		def move(a, b):
		    return 0 if libc.mount(a.encode(), b.encode(), None, MOVE, None) == 0 else ctypes.get_errno()
		def move_mount(fd, a, to, b, flags):
		    return 0 if libc.syscall(429, fd, a.encode(), to, b.encode(), flags) == 0 else ctypes.get_errno()
		here = -100
		assert move("new", "new") == move("new", "new/dir") == errno.ELOOP
		assert move("mnt", "other") == move("new/dir", "mnt") == move("", "mnt") == errno.EINVAL
		assert move("none", "mnt") == move("new", "none") == move("new", "none/x") == errno.ENOENT
		assert move("new", "src/d/f") == errno.EINVAL
		assert move("new/dir/f/x", "mnt") == errno.ENOTDIR
		assert move_mount(here, "new", here, "mnt", 0x1000) == move_mount(here, "new", here, "mnt", 0x100) == errno.EINVAL
		assert move_mount(here, "", here, "mnt", 0) == errno.ENOENT and move_mount(99, "x", here, "mnt", 0) == errno.EBADF
		assert move_mount(here, "new", here, "mnt", 0) == 0 and os.listdir("new") == []
		n, m = os.open("new", os.O_PATH), os.open("mnt", os.O_PATH)
		assert move_mount(m, "", n, "", 0x44) == 0 and os.listdir("mnt") == [] and "dir" in os.listdir("new")
		os.symlink("into", "to-into"); os.symlink("new", "to-new")
		assert move_mount(here, "to-new", here, "to-into", 0) == errno.EINVAL
		assert move_mount(here, "to-new", here, "to-into", 0x11) == 0 and "dir" in os.listdir("into")
		assert move("into", "new") == 0
	PY
	in_view -- <<-'SH'
		set -e
		umview mount img mnt; mkdir mnt/dir mnt/dir/sub; echo hello >mnt/dir/f
		umview mount -t bind src mnt/dir/sub; umview mount -t bind mnt/dir other
		python3 p.py
		python3 e.py
		test "$(umview ls | grep -c "$W/new")" = 3
		grep -q " $W/new/dir/sub none" /proc/mounts
		# what it comes to lie on is covered, and what was newer is not in its way
		mkdir into/below; umview mount -t tmpfs into/below; umview mount --move new into; test "$(ls into/dir/sub)" = d
		umview mount --move into new; umview umount into/below; rmdir into/below
		umview umount new/dir/sub; fails umview umount new 2>err; grep -q 'busy' err
		umview umount other; umview umount new; test -z "$(ls new)"
		# others
		umview mount -t tmpfs mnt; echo t >mnt/t; umview mount --move mnt into; cat into/t; umview umount into
		umview mount -t bind -o ro src mnt; umview mount --move mnt into; fails touch into/x 2>/dev/null; umview umount into
		touch file file2; umview mount -t bind src/d/f file; umview mount --move file file2; test "$(cat file2)" = f; umview umount file2
		umview mount -t merge src mnt
		says() { fails umview mount --move "$1" "$2" 2>err; grep -q "$3" err || { cat err; exit 1; }; }
		says mnt new 'cannot be moved; to have it at new: umview mount -t bind'
		says mnt none 'none: does not exist'; says none mnt 'none: does not exist'; says src new 'src: is not a mount point of this view'
		umview umount mnt
		mkdir src/a; echo a >src/a/x; umview mount -t bind src mnt; umview mount -t merge mnt/a into; cat into/x
		umview mount --move mnt new; test "$(cat into/x)" = a; mkdir into/made; test -z "$(ls mnt)"; test "$(ls into)" = "$(printf 'made\nx')"
		umview umount into; umview umount new
		umview mount -t bind src mnt; says mnt mnt/d 'lies in mnt'; umview umount mnt
		# a server that ends unmounts what it mounted, wherever that is now
		umview mount img mnt; umview mount --move mnt new; kill $(umview ls --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["server"])')
		for i in $(seq 100); do umview ls | grep -q "$W/new" || break; sleep 0.1; done; fails umview umount new 2>/dev/null
		umview mount -t bind -o perm src mnt; says mnt new 'is mounted for good'
		fails umview mount --move mnt 2>err; grep -q 'give OLD and NEW' err
		fails umview mount --move -o ro mnt new 2>err; grep -q 'takes no type and no options' err
	SH
	[ -z "$(find mnt new -mindepth 1)" ]
}

@test "VFS-09 a mount is moved in a view within a view: there alone; by mount(8); what the first UMview had and we have not is named" {
	need fuse2fs mke2fs mount
	mkdir -p src mnt new img.d; echo f >src/f
	truncate -s 8M img; mke2fs -q -t ext4 img
	in_view --bind src mnt --mount img img.d -- <<-'SH'
		set -e
		umview -- sh -ec 'umview mount --move mnt new; cat new/f; test -z "$(ls mnt)"; ! umview mount --move img.d src 2>err; grep -q "the view outside has it" err'
		test "$(cat mnt/f)" = f; test -z "$(ls new)"
		umview mount --move img.d new; umview umount new
		umview su -c 'mount -n --move mnt new' 2>/dev/null || :	# who may not write its utab is told so
		test "$(cat new/f)" = f; test -z "$(ls mnt)"; umview mount --move new mnt
		fails umview mount -t viewfs -o move,vstat src mnt 2>err; grep -q 'vstat: owners, modes and devices .*--fakeroot' err
		fails umview mount -t viewfs -o move,wok src mnt 2>err; grep -q 'wok: access(2) tells what would happen' err
	SH
}

@test "VFS-10 somebody outside replaces a file that has been looked at by a link into a mount: stat and open follow it" {
	mkdir -p src mnt d; echo only >src/only; echo f >d/f
	cat >p.py <<-'PY'
		import os, time
		for i in range(4):
		    assert os.access("d/f", os.R_OK) and os.stat("d/f").st_size == 2
		open("looked", "w").close()
		while not os.path.exists("changed"):
		    time.sleep(0.01)
		for i in range(4):
		    assert os.stat("d/f").st_size == 5 and open("d/f").read() == "only\n"
	PY
	umview --bind src mnt -- python3 p.py &
	until [ -e looked ] || ! kill -0 $!; do sleep 0.01; done
	ln -sfn "$W/mnt/only" d/f
	touch changed
	wait $!
}
