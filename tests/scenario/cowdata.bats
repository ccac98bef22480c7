#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Copy-on-write: what a copy keeps (access lists, attributes, holes), what is open or mapped while it is made, large things, and what is refused.
load common

cow() {
	umview --cow low --upper "${UPPER:-upper}" -- "$@"
}

# natively_and_copied SCRIPT: run by python3 on a plain copy of low and in the view; both say the same.
natively_and_copied() {
	cp -a low plain
	python3 -B "$1" plain >natively
	cow python3 -B "$1" low >in-view
	diff natively in-view
}

lists() {	# what access lists look like, for python
	cat <<-'END'
		import os, socket, struct, sys
		ALL = 0xffffffff
		X, D = "system.posix_acl_access", "system.posix_acl_default"
		def acl(*entries):
		    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)
		FILE = acl((1, 6, ALL), (2, 5, 12345), (4, 4, ALL), (16, 5, ALL), (32, 0, ALL))
		DIR = acl((1, 7, ALL), (2, 7, 12345), (4, 5, ALL), (16, 7, ALL), (32, 1, ALL))
		os.umask(0o027)
		os.chdir(sys.argv[1])
	END
}

@test "CW-21 access lists: kept by copies, given on by directories, also to names that were there before" {
	mkdir low special
	{ lists; cat <<-'END'; } >make
		for n in "f", "g", "h", "w", "x", "hard":
		    open(n, "w").write(n)
		    os.setxattr(n, X, FILE)
		os.link("hard", "hard2")
		for n in "d", "d/sub", "e", "s":
		    os.mkdir(n)
		for n in ".", "d", "e":
		    os.setxattr(n, D, DIR)
		os.setxattr("e", X, DIR)
		for n in "d/a", "d/b", "d/c", "d/e", "d/so", "s/a", "top":
		    open(n, "w").close()
		os.mkdir("d/dir")
		os.mkdir("s/dir")
		os.symlink("x", "d/link")
		os.chmod("s", 0o2775)
		os.setxattr("../special", D, DIR)
	END
	python3 make low 2>err || skip "no access lists in this file system"
	{ lists; cat <<-'END'; } >script
		def show(*names):
		    for n in names:
		        lists = []
		        for kind in X, D:
		            try:
		                lists.append(os.getxattr(n, kind, follow_symlinks=False).hex())
		            except OSError as e:
		                lists.append(os.strerror(e.errno))
		        print(n, oct(os.lstat(n).st_mode), *lists)
		def new(n):
		    os.close(os.open(n, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
		show(".", "f", "d", "e")
		open("f", "a").write("more")
		os.chmod("g", 0o640)
		os.setxattr("h", X, DIR)
		os.rename("w", "w2")
		os.removexattr("x", X)
		os.chmod("hard2", 0o660)
		show("f", "g", "h", "w2", "x", "hard", "hard2")
		os.unlink("top")
		new("top")
		new("new")
		new("d/new")
		os.mkdir("d/newdir")
		show("top", "new", "d", "d/new", "d/newdir")
		for n in "a", "b", "c", "e", "so", "link":
		    os.unlink("d/" + n)
		os.rmdir("d/dir")
		new("d/a")
		os.mkdir("d/b")
		os.mkdir("d/b/in")
		os.mkfifo("d/c")
		new("d/link")
		os.mkdir("d/dir", 0o555)
		os.link("d/new", "d/e")
		os.chdir("d")
		socket.socket(socket.AF_UNIX).bind("so")
		os.chdir("..")
		show("d/a", "d/b", "d/b/in", "d/c", "d/e", "d/so", "d/link", "d/dir")
		os.rename("d", "e2")
		new("e2/sub/f")
		new("e2/f")
		new("e/f")
		show("e2", "e2/sub", "e2/sub/f", "e2/f", "e", "e/f")
		os.unlink("s/a")
		new("s/a")
		os.rmdir("s/dir")
		os.mkdir("s/dir")
		show("s", "s/a", "s/dir")
		print(os.stat("s/a").st_gid == os.stat("s/dir").st_gid == os.stat("s").st_gid)
	END
	UPPER=special/upper natively_and_copied script
	[ -z "$(ls -A special/upper/work)" ]
}

@test "CW-22 a directory with the set-group-ID bit gives its group to what is made there in place of another" {
	mkdir -p low/g/dir low/g/keep
	touch low/g/file low/g/link
	cat >script <<-'END'
		cd "$1"
		chgrp 12 g
		chmod 2775 g
		rm g/file g/link
		rmdir g/dir
		echo >g/file
		ln -s nowhere g/link
		mkdir g/dir
		mkdir g/dir/in
		mkfifo g/new
		stat -c '%n %A %u:%g' g g/* g/dir/in
	END
	cp -a low plain
	umview --fakeroot -- sh -e script plain >natively
	umview --fakeroot --cow low --upper upper -- sh -e script low >in-view
	diff natively in-view
	grep -q '^g/dir drwxr-sr-x 0:12$' in-view
}

@test "CW-23 attributes: kept, changed and removed; where the copy's file system has none, they are left out" {
	mkdir low
	echo f >low/f
	echo g >low/g
	mkdir low/d
	python3 -c '
import os
for n in "low/f", "low/g", "low/d", "low":
    os.setxattr(n, "user.kept", n.encode())
    os.setxattr(n, "user.gone", b"x" * 300)
    os.setxattr(n, "user.empty", b"")' 2>err || skip "no attributes in this file system"
	cat >script <<-'END'
		import os, sys
		os.chdir(sys.argv[1])
		def show(*names):
		    for n in names:
		        print(n, [(a, os.getxattr(n, a)) for a in sorted(os.listxattr(n)) if a.startswith("user.")])
		show("f", "g", "d", ".")
		for n in "f", "d", ".":
		    os.setxattr(n, "user.new", b"new")
		    os.setxattr(n, "user.kept", b"changed")
		    os.removexattr(n, "user.gone")
		fd = os.open("g", os.O_RDONLY)
		os.setxattr(fd, "user.new", b"by descriptor")
		show("f", "g", "d", ".")
		try:
		    os.setxattr("f", "user.new", b"", os.XATTR_CREATE)
		except OSError as e:
		    print(e.strerror)
	END
	natively_and_copied script
	python3 -c 'import os; print(os.getxattr("low/f", "user.kept"), len(os.listxattr("low/g")))' >after
	grep -q "^b'low/f' 3$" after
	run -0 "$(dirname "$UMVIEW")/tests/lib/deny" xattr -- umview --cow low --upper bare -- python3 -c '
import os
open("low/f", "a").write("more")
print(open("low/f").read().split(), os.listxattr("low/f"), len(os.listxattr("low/g")))
try:
    os.setxattr("low/f", "user.a", b"")
except OSError as e:
    print(e.strerror)'
	[ "${lines[0]}" = "['f', 'more'] [] 3" ]
	[ "${lines[1]}" = "Operation not supported" ]
}

@test "CW-24 a directory of 100,000 names: listed, changed here and there, removed" {
	mkdir -p low/d
	python3 -c '
import os
os.chdir("low/d")
for n in range(100000):
    os.close(os.open(str(n), os.O_CREAT | os.O_WRONLY))'
	cat >script <<-'END'
		import os, subprocess
		os.chdir("low")
		print(len(os.listdir("d")))
		for n in range(500):
		    os.unlink("d/%d" % n)
		    os.chmod("d/%d" % (1000 + n), 0o600)
		    open("d/new%d" % n, "w").close()
		names = os.listdir("d")
		print(len(names), len(set(names)), "0" in names, "500" in names, "new7" in names)
		subprocess.check_call(["rm", "-rf", "d"])
		print(os.listdir("."))
		os.mkdir("d")
		print(os.listdir("d"))
	END
	run -0 cow python3 script
	[ "${lines[0]}" = 100000 ]
	[ "${lines[1]}" = "100000 100000 False True True" ]
	[ "${lines[2]}" = "[]" ]
	[ "${lines[3]}" = "[]" ]
	[ "$(find low/d | wc -l)" = 100001 ]
}

@test "CW-25 refused, and said why: what is no directory; no session is left; two of them in views within views" {
	mkdir -p low/sub other
	echo a >file
	run -125 umview --cow file --upper upper -- true
	[[ $output = *"/file: is no directory; only directories are copied on write" ]]
	[ ! -e upper ]
	run -125 umview --mincow file -- true
	[[ $output = *"/file: is no directory; only directories are copied on write" ]]
	[ -z "$(ls -A "$HOME/.local/state/umview")" ]
	run -0 umview --cow low --upper upper -- umview --cow other --upper upper2 -- sh -c 'echo 1 >low/n; echo 2 >other/n; cat low/n other/n'
	[ "${lines[*]}" = "1 2" ]
	[ -z "$(ls -A other)" ]
	[ ! -e low/n ]
}

@test "CW-26 what is open, or mapped, when the copy is made: one file by its numbers; contents as they were" {
	mkdir low
	echo first >low/f
	ln low/f low/hard
	run -0 cow python3 -c '
import mmap, os, subprocess
os.chdir("low")
old = os.open("f", os.O_RDONLY)
private = mmap.mmap(old, 6, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
shared = mmap.mmap(old, 6, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
new = os.open("f", os.O_RDWR)
written = mmap.mmap(new, 6, flags=mmap.MAP_SHARED)
written[0:5] = b"FIRST"
print(private[:5], shared[:5], os.pread(old, 5, 0), os.pread(new, 5, 0), open("hard").read(5))
for fd in old, new:
    print(os.path.samestat(os.fstat(fd), os.stat("f")), os.path.samefile("f", "/proc/self/fd/%d" % fd))
print(subprocess.call(["test", "f", "-ef", "hard"]))
private[0:5] = b"mine!"
after = mmap.mmap(os.open("hard", os.O_RDONLY), 6, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
written[0:5] = b"again"
print(private[:5], after[:5], open("f").read(5))'
	[ "${lines[0]}" = "b'first' b'first' b'first' b'FIRST' FIRST" ]
	[ "${lines[1]}" = "True True" ]
	[ "${lines[2]}" = "True True" ]
	[ "${lines[3]}" = 0 ]
	[ "${lines[4]}" = "b'mine!' b'again' again" ]
	[ "$(cat low/hard)" = first ]
}

@test "CW-27 what is opened to be truncated is not copied; of a sparse file of 100 GiB the data are" {
	mkdir low
	for n in a b c; do head -c 4M /dev/urandom >low/$n; done
	truncate -s 1G low/a
	truncate -s 100G low/sparse || skip "no such files here"
	printf data | dd of=low/sparse bs=1M seek=51200 conv=notrunc status=none
	# Who may not write more than 64 KiB into a file cannot copy it.
	run -0 cow python3 -c '
import os, resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
os.close(os.open("low/a", os.O_WRONLY | os.O_TRUNC))
os.truncate("low/b", 0)
print(os.path.getsize("low/a"), os.path.getsize("low/b"))
try:
    os.close(os.open("low/c", os.O_WRONLY))
except OSError as e:
    print(e.strerror)'
	[ "${lines[0]}" = "0 0" ]
	[ "${lines[1]}" = "File too large" ]
	run -0 cow sh -ec '
		cd low
		printf end >>sparse
		stat -c %s sparse
		dd if=sparse bs=1M skip=51200 count=1 status=none | head -c 4
		tail -c 4 sparse | tr "\0" .'
	[ "${lines[0]}" = $((100 * 1024 * 1024 * 1024 + 3)) ]
	[ "${lines[1]}" = data.end ]
	[ "$(du -k upper/tree/sparse | cut -f 1)" -lt 4096 ]
}

@test "CW-28 a file that somebody outside goes on writing is copied, as far as it had come" {
	mkdir low
	: >low/log
	python3 -c '
import os, time
block = bytes(range(256)) * 256
end = time.time() + 50
with open("low/log", "ab", buffering=0) as f:
    while time.time() < end and not os.path.exists("stop"):
        f.write(block)
        if os.path.getsize("low/log") > 1 << 28:
            f.truncate(len(block))' 3>&- &
	writer=$!
	until_true test -s low/log
	for n in 1 2 3 4; do
		UPPER=upper$n run -0 timeout 20 umview --cow low --upper upper$n -- python3 -c '
import os
with open("low/log", "r+b") as f:
    size = os.path.getsize("low/log")
    seen = f.read()
want = bytes(range(256)) * (len(seen) // 256 + 1)
print(len(seen) == size, seen.rstrip(b"\0") == want[:len(seen.rstrip(b"\0"))])'
		[ "$output" = "True True" ]
	done
	: >stop
	wait "$writer"
}

@test "CW-29 a tree is removed while others of the view list it" {
	mkdir -p low/t
	(cd low/t && for d in $(seq 40); do mkdir -p "$d/in" && touch "$d"/f{1..20} "$d"/in/g{1..5}; done)
	cat >script <<-'END'
		cd low
		for n in 1 2 3; do
			while [ -e t ]; do find t -printf '%p %s\n' 2>/dev/null >>"../listed$n"; done &
		done
		until [ -s ../listed1 ] && [ -s ../listed2 ] && [ -s ../listed3 ]; do sleep 0.02; done
		rm -rf t
		wait
		test ! -e t
		mkdir t
		ls -A t
	END
	run -0 cow timeout 40 sh -e script
	[ "$output" = "" ]
	[ "$(find low/t | wc -l)" = $((1 + 40 * 27)) ]
}

@test "CW-30 directories that may not be written are copied, made, moved and removed like others" {
	mkdir -p low/ro low/ro2/sub low/ro3 low/gone
	echo f >low/ro/f
	chmod 555 low/ro low/ro2 low/ro2/sub low/ro3
	cat >script <<-'END'
		cd "$1"
		echo more >>ro/f
		cat ro/f
		rmdir gone
		mkdir -m 555 gone
		mv ro ro4
		chmod u+w ro2 ro2/sub
		touch ro2/new ro2/sub/new
		chmod u-w ro2
		chmod 711 ro3
		chmod 511 ro3
		rmdir ro3
		find . -printf '%p %m\n' | LC_ALL=C sort
	END
	cp -a low plain
	sh -e script plain >natively
	cow sh -e script low >in-view
	diff natively in-view
	[ -z "$(ls -A upper/work)" ]
	chmod -R u+w low plain upper
}
