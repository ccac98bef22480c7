#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Merged directories: what goes beyond the demonstration (s13.bats).
load common

table() {	# table OPERATION...
	python3 "$BATS_TEST_DIRNAME/../lib/mergetable.py" "$UMVIEW" "$W" "$@" >table.log || { grep -v ^ok table.log; return 1; }
}

@test "MG-01 every state in A and in B, and every way to look" {
	table lstat stat stat-slash read readlink access-r access-x open-r open-dir open-nofollow open-path listxattr exec chdir child-read list child
}

@test "MG-02 every state, and every way to change what is there" {
	table open-w open-rw open-trunc open-rtrunc truncate chmod chown lchown utime lutime setxattr child-write
}

@test "MG-03 every state, and every way to make, remove and move names" {
	table open-creat open-excl mkdir mkdir-slash mkfifo symlink socket unlink rmdir rename-away rename-over rename-dir-over link-from link-to \
	      child-make child-remove child-deep tmpfile
}

@test "MG-04 a listing of 100,000 names: once each, as stat says, positions stay true, names come and go meanwhile" {
	mkdir a b
	(cd a && seq 1 50000 | xargs touch && mkdir both onlya)
	(cd b && seq 40001 100000 | xargs touch && mkdir both onlyb)
	cp "$BATS_TEST_DIRNAME/../lib/dirstream.py" .
	cat >l.py <<-'PY'
		import os, time
		from dirstream import Dir
		d = Dir("b")
		seen, at = [], {}
		while True:
		    here, n = d.tell(), d.name()
		    if not n: break
		    if not seen: os.unlink("b/99999"); open("b/later", "w").close()
		    seen.append(n); at[n] = here
		assert len(seen) == len(set(seen)) == 100005, len(seen)
		assert set(seen) == {str(i) for i in range(1, 100001)} | {".", "..", "both", "onlya", "onlyb"}
		for n in seen[::9973]:
		    d.seek(at[n]); assert d.name() == n
		d.rewind()
		again = set()
		while (n := d.name()): again.add(n)
		assert again == set(seen) - {"99999"} | {"later"}
		for i, e in enumerate(os.scandir("b")):
		    if i % 97 == 0 or e.is_dir(follow_symlinks=False):
		        st = os.lstat("b/" + e.name)
		        assert e.inode() == st.st_ino and e.is_dir(follow_symlinks=False) == (st.st_mode & 0o170000 == 0o40000), e.name
		assert os.lstat("b/45000").st_ino == os.lstat("a/45000").st_ino
		fd = os.open("b", os.O_RDONLY); other = os.dup(fd)
		assert len(os.listdir(fd)) == 100003
		if os.fork() == 0:
		    os._exit(0 if len(os.listdir(other)) == 100003 else 1)
		assert os.wait()[1] == 0
	PY
	umview --merge a b -- python3 l.py
}

@test "MG-05 on a file, on a name that is not there, on /, merges over merges, and what is mounted on top" {
	mkdir -p a/both/sub b/both c/deep d root/etc root/opt/new
	echo A >a/f; echo A >a/both/x; echo C >c/g; echo C >c/f; echo B >b/f; echo B >b/g; echo B >b/both/y; echo R >root/etc/mine
	in_view -- <<-'SH'
		umview mount -t merge a/f b/g; test "$(cat b/g)" = A; fails sh -c 'echo >b/g' 2>/dev/null; umview umount b/g
		umview mount -t merge a unreal; test "$(echo $(ls unreal))" = 'both f'; fails touch unreal/n 2>/dev/null; umview umount unreal
		fails umview mount -t merge a/f b 2>/dev/null; fails umview mount -t merge a a 2>/dev/null
		fails umview mount -t merge nothing b 2>err; grep -q 'No such file' err
		umview mount -t merge a b; umview mount -t merge c b
		test "$(cat b/f b/g b/both/x b/both/y)" = "$(printf 'C\nC\nA\nB')"; test "$(echo $(ls b))" = 'both deep f g'
		umview mount -t tmpfs b/both; echo t >b/both/t; test "$(ls b/both)" = t
		fails umview umount b 2>/dev/null
		umview umount b/both; test "$(echo $(ls b/both))" = 'sub x y'
		umview mount -t hide b/f; fails test -e b/f; test "$(echo $(ls b))" = 'both deep g'; umview umount b/f
		umview mount -t bind b d; test "$(cat d/f d/both/x d/both/y)" = "$(printf 'C\nA\nB')"; test "$(echo $(ls d))" = 'both deep f g'
		fails sh -c 'echo >d/f' 2>/dev/null; echo n >d/n; test "$(cat b/n)" = n; umview umount d
		umview mount -t bind b/both/sub d; fails touch d/x 2>/dev/null; umview umount d
		umview mount -t merge b d; test "$(cat d/f d/both/x)" = "$(printf 'C\nA')"; touch d/own; umview umount d
		umview mount -t bind / d; test "$(cat "d$W/b/f" "d$W/b/both/x")" = "$(printf 'C\nA')"
		test "$(echo $(ls "d$W/b"))" = 'both deep f g n'; umview umount d
		umview umount b; test "$(cat b/f b/g)" = "$(printf 'A\nB')"; umview umount b; test "$(cat b/f)" = B
		umview mount -t merge root /
		test "$(cat /etc/mine)" = R; test -d /opt/new; ls /etc | grep -qx mine; cat /etc/passwd >/dev/null
		echo w >"$W/w"; (cd /etc; cat mine ../etc/mine; ls -d passwd) >/dev/null; /bin/sh -c 'exit 0'
		fails sh -c 'echo >/etc/mine' 2>/dev/null
		umview umount /
		umview mount -t merge -o perm a b; fails umview umount b 2>/dev/null
	SH
	[ "$(cat w b/f b/n)" = "$(printf 'w\nB\nn')" ]
	[ -e d/own ] && [ ! -e c/own ]
}

@test "MG-06 cwd and descriptors in merged directories; exec, mmap and inotify of A's names; a chroot" {
	mkdir -p a/both/deep a/bin b/both
	printf '#!/bin/sh\necho script $0\n' >a/bin/s; chmod 755 a/bin/s; cp "$(command -v seq)" a/bin/seq; echo A >a/both/x; echo B >b/both/y
	cat >p.py <<-'PY'
		import ctypes, errno, mmap, os, select, struct, subprocess
		top = os.getcwd() + "/b"
		def says(want, f, *a, **k):
		    try: f(*a, **k)
		    except OSError as e: assert e.errno == want, (a, e)
		    else: raise AssertionError((a, "succeeded"))
		d = os.open("b/both", os.O_RDONLY); deep = os.open("b/both/deep", os.O_RDONLY); x = os.open("b/both/x", os.O_RDONLY)
		assert os.path.samestat(os.fstat(d), os.stat("b/both")) and os.read(x, 9) == b"A\n"
		assert os.stat("x", dir_fd=d).st_size == 2 and os.stat("../both/y", dir_fd=d).st_size == 2
		assert os.path.samestat(os.stat("..", dir_fd=deep), os.fstat(d))
		os.close(os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=d)); says(errno.EROFS, os.open, "x", os.O_WRONLY, dir_fd=d)
		says(errno.EROFS, os.open, "n", os.O_CREAT | os.O_WRONLY, dir_fd=deep); says(errno.EROFS, os.fchmod, x, 0o600)
		says(errno.EROFS, os.unlink, "x", dir_fd=d); os.fchmod(d, 0o700); says(errno.EROFS, os.open, f"/proc/self/fd/{x}", os.O_WRONLY)
		assert sorted(os.listdir(d)) == ["deep", "new", "x", "y"]
		assert open(f"/proc/self/fd/{d}/x").read() == "A\n"
		os.fchdir(d); assert os.getcwd() == top + "/both" and open("x").read() == "A\n" and open("../both/y").read() == "B\n"
		os.chdir("deep"); assert os.getcwd() == top + "/both/deep"; os.chdir(".."); assert os.getcwd() == top + "/both"
		assert sorted(os.listdir(".")) == ["deep", "new", "x", "y"]; os.unlink("new"); says(errno.EROFS, os.rmdir, "deep")
		os.rename("y", "z"); os.chdir(".."); assert sorted(os.listdir("both")) == ["deep", "x", "z"]
		assert subprocess.run(["bin/s"], stdout=subprocess.PIPE).stdout == b"script bin/s\n"
		assert subprocess.run([top + "/bin/seq", "3"], stdout=subprocess.PIPE).stdout == b"1\n2\n3\n"
		with open("both/x") as f: assert mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[:] == b"A\n"
		c = ctypes.CDLL(None); i = c.inotify_init()
		assert c.inotify_add_watch(i, b"both", 0x100) >= 0 and c.inotify_add_watch(i, b"both/x", 0x20) >= 0
		open("both/made", "w").close(); open("both/x").close()
		got = b""
		while select.select([i], [], [], 2)[0] and len(got) < 48: got += os.read(i, 4096)
		assert b"made" in got and struct.unpack("iI", got[-16:-8])[1] == 0x20, got
		r = subprocess.run(["sh", "-c", "cat both/x; cd both; pwd; ls"], stdout=subprocess.PIPE).stdout.split()
		assert r == [b"A", (top + "/both").encode(), b"deep", b"made", b"x", b"z"], r
	PY
	umview --merge a b -- python3 p.py
	[ "$(cat a/both/x b/both/z)" = "$(printf 'A\nB')" ]
}

@test "MG-07 an image over a directory with -o merge; a directory of an image merged, and merged with" {
	need fuse2fs
	mkdir -p t/docs d/docs e; echo img >t/hello; echo num >t/docs/n; ln -s docs/n t/lnk; ln -s below t/tobelow
	ext4 img 8M t
	echo dir >d/hello; echo below >d/below; echo own >d/docs/own; ln -s hello d/toimg; echo E >e/e
	in_view -- <<-'SH'
		umview mount -t ext4 -o merge img d
		test "$(cat d/hello d/below d/docs/n d/docs/own d/lnk d/tobelow d/toimg)" = "$(printf 'img\nbelow\nnum\nown\nnum\nbelow\nimg')"
		ls d | grep -v lost+found >l; test "$(echo $(cat l))" = 'below docs hello lnk tobelow toimg'
		test "$(echo $(ls d/docs))" = 'n own'
		for n in d/* d/docs/*; do test "$(ls -di "$n" | sed 's/^ *//; s/ .*//')" = "$(stat -c %i "$n")"; done
		echo more >>d/hello; test "$(tail -1 d/hello)" = more; echo new >d/new; echo n >d/docs/new
		(cd d/docs; cat ../hello ../below n own new; pwd) >/dev/null
		umview umount d
		test "$(cat d/hello d/new d/docs/new)" = "$(printf 'dir\nnew\nn')"
		umview mount img mnt
		umview mount -t merge mnt/docs e; test "$(cat e/n e/e)" = "$(printf 'num\nE')"; test "$(echo $(ls e))" = 'e n'
		fails sh -c 'echo >e/n' 2>/dev/null; echo f >e/f; umview umount e
		umview mount -t merge e mnt/docs; test "$(cat mnt/docs/n mnt/docs/e mnt/docs/f)" = "$(printf 'num\nE\nf')"
		test "$(echo $(ls mnt/docs))" = 'e f n'; fails rm mnt/docs/e 2>/dev/null; echo g >mnt/docs/g; mv mnt/docs/g mnt/docs/h
		(cd mnt/docs; cat e h ../hello; test "$(pwd -P)" = "$W/mnt/docs") >/dev/null
		umview umount mnt/docs; test "$(echo $(ls mnt/docs))" = 'h n'; test "$(tail -1 mnt/hello)" = more
	SH
	[ "$(echo $(ls e))" = 'e f' ]
	clean img
}

@test "MG-08 with --cow above: B's changes are kept aside, A stays read-only" {
	mkdir -p low/b/both a/both; echo B >low/b/f; echo B >low/b/both/y; echo A >a/g; echo A >a/both/x
	in_view --cow "$W/low" --upper "$W/up" --merge a low/b -- <<-'SH'
		echo more >>low/b/f; rm low/b/both/y; echo n >low/b/both/n; fails sh -c 'echo >>low/b/g' 2>/dev/null; fails rmdir low/b/both 2>/dev/null
		test "$(echo $(ls low/b low/b/both))" = 'low/b: both f g low/b/both: n x'
		test "$(cat low/b/f low/b/g low/b/both/x low/b/both/n)" = "$(printf 'B\nmore\nA\nA\nn')"
	SH
	[ "$(cat low/b/f low/b/both/y)" = "$(printf 'B\nB')" ] && [ ! -e low/b/both/n ]
	[ "$(cat a/g)" = A ]
}
