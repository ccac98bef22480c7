#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# hide, read-only binds, tmpfs: what goes beyond the classic demonstrations (s09, s10, s11, s24).
load common

@test "VFS-01 hide: every call says that nothing is there, and nothing can be made" {
	mkdir -p d/secret/deep d/open
	echo s >d/secret/f; ln -s secret d/link; ln -s secret/f d/flink; echo s >d/file
	cat >p.py <<-'PY'
		import ctypes, errno, os, socket, sys
		def says(want, f, *a, **k):
		    try:
		        f(*a, **k)
		    except OSError as e:
		        assert e.errno == want, (f, a, e)
		    else:
		        assert not want, (f, a, "succeeded")
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
