#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Copy-on-write: what is below stays as it is, to the byte and the second; what is seen is as if it had been changed.
load common

# A tree with something of everything, and what there is to see of it.
below() {
	mkdir -p low/a/b low/c low/gone/deep
	echo first >low/f
	echo deep >low/a/b/file
	ln -s a/b low/link
	ln low/f low/hard
	mkfifo low/fifo
	echo x >low/gone/deep/er
	truncate -s 3M low/sparse
	printf end >>low/sparse
	chmod 640 low/a/b/file
	touch -d '2001-02-03 04:05:06.789' low/a low/a/b low/a/b/file
	state >before
}

state() {
	(cd low && find . -printf '%P %y %m %U %G %n %s %T@ %i %l\n' | LC_ALL=C sort &&
		find . -type f -exec cksum {} + | LC_ALL=C sort)
}

unchanged() {
	state >after
	diff before after
}

cow() {
	umview --cow low --upper upper -- "$@"
}

@test "CW-01 files are made, changed, removed and moved; below nothing happens" {
	below
	run -0 cow sh -ec '
		cd low
		echo second >>f
		cat f
		echo new >a/b/new
		rm a/b/file
		ls a/b
		mv f renamed
		test ! -e f
		cat renamed
		rm -r gone
		test ! -e gone
		mkdir gone
		ls -A gone
		ln -s renamed to
		cat to
		mv a moved
		cat moved/b/new
		test ! -e a
		ls'
	[ "$output" = "$(printf '%s\n' first second new first second first second new \
		c fifo gone hard link moved renamed sparse to)" ]
	unchanged
}

@test "CW-02 a second view goes on from there; without --upper the first is another session" {
	below
	cow sh -c 'echo kept >low/kept; rm low/f; rmdir low/c; mkdir low/c; echo in >low/c/in'
	run -0 cow sh -c 'cat low/kept; ls low/c; ls low; test ! -e low/f'
	[[ $output = kept* ]]
	[[ $output = *in* ]]
	run -0 umview --cow low -- sh -c 'ls low; echo other >low/other'
	[[ $output != *kept* ]]
	run -0 ls "$HOME/.local/state/umview"
	[ "${#lines[@]}" = 1 ]
	unchanged
}

@test "CW-03 --cow /: the whole machine, as an ordinary user; what is changed is seen with its owner" {
	id=$(stat -c %u:%g /etc/passwd)
	sum=$(cksum </etc/passwd)
	run -0 umview --cow / --upper upper -- sh -ec '
		echo "nobody-else:x:1234:1234::/:/bin/sh" >>/etc/passwd
		tail -n 1 /etc/passwd
		stat -c %u:%g /etc/passwd
		mkdir -p /usr/local/new/dir
		echo hi >/usr/local/new/dir/file
		cd /usr/local/new/dir
		pwd
		cat file
		ls /usr/local/new
		rm /etc/hostname
		test ! -e /etc/hostname
		test -r /proc/self/status
		readlink /proc/self/cwd'
	[ "${lines[0]}" = "nobody-else:x:1234:1234::/:/bin/sh" ]
	[ "${lines[1]}" = "$id" ]
	[ "${lines[2]}" = /usr/local/new/dir ]
	[ "${lines[5]}" = /usr/local/new/dir ]
	[ "$(cksum </etc/passwd)" = "$sum" ]
	[ -e /etc/hostname ]
	[ ! -e /usr/local/new ]
}

@test "CW-04 a package with scripts is installed and removed by an ordinary user, and nothing has happened" {
	package umview-test
	run -0 umview --fakeroot --cow / --upper upper -- sh -ec '
		dpkg -i t.deb >/dev/null
		dpkg -s umview-test | grep Status
		cat /usr/share/umview-test/data /var/lib/umview-test/who
		stat -c %U /usr/share/umview-test/data
		dpkg -P umview-test >/dev/null
		test ! -e /usr/share/umview-test'
	[[ $output = *"Status: install ok installed"*data*0*root* ]]
	run ! dpkg -s umview-test
	[ ! -e /usr/share/umview-test ]
}

@test "CW-05 killed at any moment: below nothing has changed, and the session goes on" {
	below
	local i pid
	for i in $(seq 12); do
		setsid umview --kill-on-exit --cow low --upper upper -- sh -c '
			cd low
			while :; do
				echo x >>f; cp f g; mv g h; rm h; mkdir -p n/m; echo 1 >n/m/o; mv n/m n/p; rm -r n
				mv a/b/file a/b/else; mv a/b/else a/b/file; chmod 600 c; rmdir c; mkdir c
			done' "cw05.$$" 2>/dev/null &
		pid=$!
		sleep "0.$((RANDOM % 40 + 10))"
		kill -KILL -- "-$pid"
		wait "$pid" 2>/dev/null || :
	done
	until_true sh -c "! pgrep -f '[c]w05.$$'"	# ours: other tests run beside this one
	unchanged
	run -0 cow sh -ec 'cd low; ls -lR >/dev/null; cat a/b/*; echo works >w; cat w; rm -r a; ls'
	[[ $output = deep*works* ]]
	unchanged
}

@test "CW-06 errors: what is no session, a session of another directory, a copy of one, a place that is taken" {
	mkdir low other full
	echo mine >full/file
	run -125 umview --cow low --upper full -- true
	[[ $output = *"full"*"neither empty nor a session"* ]]
	umview --cow low --upper s -- true
	run -125 umview --cow other --upper s -- true
	[[ $output = *"holds changes of"* ]]
	cp -a s copied
	run -125 umview --cow low --upper copied -- true
	[[ $output = *"has been copied"* ]]
	run -125 umview --cow missing -- true
	[[ $output = *"missing"* ]]
	run -125 umview --upper s -- true
	[[ $output = *"--upper comes right after --cow"* ]]
	run -125 umview --cow low --upper s --mincow low --upper s2 -- true
	[[ $output = *"only \`cow\` goes over those, not \`mincow\`"* ]]
}

@test "CW-07 descriptors, mappings and listings of before stay what they were; the copy keeps holes, times, attributes" {
	below
	run -0 cow python3 -c '
import mmap, os
os.chdir("low")
old = os.open("f", os.O_RDONLY)
d = os.open("a/b", os.O_RDONLY)
m = mmap.mmap(old, 6, prot=mmap.PROT_READ)
ino = os.stat("f").st_ino
with open("f", "r+") as f:
    f.write("FIRST")
print(os.pread(old, 5, 0), m[:5], open("f").read(5), os.stat("f").st_ino == ino)
open("a/b/new", "w").close()
print(sorted(os.listdir(d)), sorted(os.listdir("a/b")))
s = os.stat("a/b/file")
os.chmod("a/b/file", 0o600)
n = os.stat("a/b/file")
print(n.st_mtime_ns == s.st_mtime_ns, oct(n.st_mode), n.st_ino == s.st_ino)
with open("sparse", "r+b") as f:
    f.write(b"x")
print(os.stat("sparse").st_blocks < 1000)
os.fchmod(old, 0o600)
print(oct(os.stat("f").st_mode))
'
	[ "${lines[0]}" = "b'first' b'first' FIRST True" ]
	[ "${lines[1]}" = "['file', 'new'] ['file', 'new']" ]
	[ "${lines[2]}" = "True 0o100600 True" ]
	[ "${lines[3]}" = True ]
	[ "${lines[4]}" = 0o100600 ]
	unchanged
}

@test "CW-08 a directory of 20,000 names, some removed, some changed, some new" {
	mkdir low
	(cd low && seq -f 'name%g' 20000 | xargs touch)
	run -0 cow sh -ec '
		cd low
		rm name1 name500 name19999
		echo c >name7
		touch new1 new2
		ls | wc -l
		ls | grep -c "^name"
		ls | LC_ALL=C sort | uniq -d | wc -l'
	[ "${lines[*]}" = "19999 19997 0" ]
	run -0 sh -c 'ls low | wc -l'
	[ "$output" = 20000 ]
}

@test "CW-09 a file below with several names stays one: contents, inode, link count, whatever goes and comes" {
	mkdir -p low/d low/e
	echo one >low/a
	ln low/a low/d/b
	ln low/a low/e/c
	ln -s nowhere low/link
	ln low/link low/link2
	mkfifo low/p
	ln low/p low/p2
	state >before
	cat >script <<-'END'
		cd "$1"
		names() { stat -c '%n %h' "$@"; [ $(stat -c %i "$@" | sort -u | wc -l) = 1 ] && cat "$1"; }
		names a d/b e/c
		echo two >>d/b
		names e/c a d/b
		rm a
		names d/b e/c
		ln e/c new
		mv d/b d/x
		names new d/x e/c
		chmod 600 new
		stat -c '%a %h' d/x
		echo other >other
		mv other e/c
		names new d/x
		rm new
		names d/x
		chmod 640 p2
		stat -c '%a %h' p p2
		rm link
		stat -c '%h %N' link2
	END
	cp -a low plain
	(sh script plain) >natively
	run -0 cow sh script low
	printf '%s\n' "$output" >in-view
	diff natively in-view
	run -0 cow sh -c 'cd low; stat -c "%n %h" d/x p p2 link2; rm d/x'
	[ "${lines[*]}" = "d/x 1 p 2 p2 2 link2 1" ]
	[ "$(find upper/index -type f)" = "" ]
	unchanged
}

@test "CW-10 a name of a changed file that was never looked at: every way to it leads to the copy" {
	mkdir -p low/d
	printf '#!/bin/sh\necho old\n' >low/tool
	chmod 755 low/tool
	for n in 1 2 3 4 5 6 7; do ln low/tool low/d/n$n; done
	ln -s d/n7 low/via
	state >before
	run -0 cow sh -ec '
		cd low
		printf "#!/bin/sh\necho new\n" >tool
		chmod 711 tool
		d/n1
		. ./d/n2
		cat <d/n3 | tail -n 1
		stat -c "%a %h" d/n4
		cd d
		cp n5 /dev/stdout | tail -n 1
		test -w n6 && sh n6
		cd ..
		sh via'
	[ "${lines[*]}" = "new new echo new 711 8 echo new new new" ]
	unchanged
}

# A tree with directories to move, and the same as a plain copy beside it.
movable() {
	mkdir -p low/a/x low/a/y/z
	echo f >low/a/x/f
	echo h >low/a/y/h
	echo k >low/a/y/k
	echo deep >low/a/y/z/deep
	ln low/a/y/k low/a/x/k
	state >before
	cp -a low plain
}

@test "CW-11 directories are moved, again, into moved ones, changed and removed: as in a plain copy; no file is copied for it" {
	movable
	cat >script <<-'END'
		cd "$1"
		mv a b
		ls -R b
		cat b/x/f
		test ! -e a
		ls -A
		echo new >b/x/new
		mv b/x/f b/x/g
		cat b/x/new b/x/g
		mv b c
		ls -R c
		cat c/x/g c/y/h
		rm c/y/h
		ls -a c/y
		mkdir own
		mv c own/d
		ls -R own
		cat own/d/x/g own/d/y/k
		mkdir a
		ls -A a
		echo 1 >a/1
		ls a
		mv own/d/y own/d/x/y2
		ls -R own
		mv own own2
		cd own2/d/x/y2
		pwd | sed 's,.*/own,own,'
		ls ..
		cat k ../g
		echo z >z/z
		mv z ..
		cat ../z/z ../z/deep
		stat -c %h k ../k
		echo more >>../k
		cat k
		cd ../../../..
		rmdir own2/d/x 2>/dev/null || echo "not empty"
		rm -r own2/d/x
		ls -R own2
		mv own2/d a/back
		ls -R a
	END
	(sh script plain) >natively
	run -0 cow sh script low
	printf '%s\n' "$output" >in-view
	diff natively in-view
	run -0 cow sh -c 'cd low; mkdir -p e/m; mv --exchange a e/m 2>/dev/null || { mv a t; mv e/m a; mv t e/m; }; find . | LC_ALL=C sort'
	(cd plain && mkdir e && mv a e/m && mkdir a && find . | LC_ALL=C sort) >natively
	printf '%s\n' "$output" >in-view
	diff natively in-view
	unchanged
	rm -r upper
	run -0 cow mv low/a low/b
	[ -z "$(find upper/tree -type f)" ]
}

@test "CW-12 descriptors, the cwd and links of /proc in directories that are moved under them" {
	movable
	cat >script <<-'END'
		import os,sys
		os.chdir(sys.argv[1])
		def p(*a): print(*[str(x).replace(TOP,'') for x in a])
		TOP=os.getcwd()
		ino=os.stat("a").st_ino; inox=os.stat("a/y").st_ino
		dfd=os.open("a/y",os.O_RDONLY); f=os.open("a/x/f",os.O_RDONLY)
		pid=os.fork()
		if pid==0:
		    os.chdir("a/y");
		    os.rename("../../a","../../b")
		    p("cwd",os.getcwd(), os.readlink("/proc/self/cwd"))
		    p(sorted(os.listdir(".")), sorted(os.listdir("..")), open("h").read(), open("z/deep").read())
		    open("made","w").write("m"); p(sorted(os.listdir(".")))
		    p(sorted(os.listdir("../y")))
		    os.rename("h","h2"); p(sorted(os.listdir(".")))
		    os.chdir("z"); p(os.getcwd()); os.chdir(".."); p(os.getcwd())
		    os._exit(0)
		os.waitpid(pid,0)
		p(os.stat("b").st_ino==ino, os.stat("b/y").st_ino==inox)
		p(os.readlink("/proc/self/fd/%d"%dfd), os.readlink("/proc/self/fd/%d"%f))
		p(sorted(os.listdir(dfd)))
		p(open("z/deep",opener=lambda n,fl:os.open(n,fl,dir_fd=dfd)).read())
		os.fchdir(dfd); p(os.getcwd(), sorted(os.listdir(".")));
		p(os.path.exists("h2"), os.path.exists("h"))
		os.chdir(TOP)
		os.mkdir("own"); os.rename("b","own/c")
		p(os.readlink("/proc/self/fd/%d"%dfd), os.readlink("/proc/self/fd/%d"%f))
		os.mkdir("n",dir_fd=dfd); p(sorted(os.listdir(dfd)), sorted(os.listdir("own/c/y")))
		os.fchmod(f,0o600); p(oct(os.stat("own/c/x/f").st_mode))
		g=os.open("own/c/y/z/deep",os.O_RDONLY); p(os.readlink("/proc/self/fd/%d"%g))
		h=os.open("own/c/y/z",os.O_RDONLY); p(os.readlink("/proc/self/fd/%d"%h), os.listdir(h))
		os.rename("own","own3"); p(os.readlink("/proc/self/fd/%d"%h), os.readlink("/proc/self/fd/%d"%g))
		os.chdir("own3/c/y/z")
		os.execv("/bin/sh", ["sh", "-c", "ls ..; ls -d ../../x/*; cat deep; cd ..; ls"])
	END
	python3 script plain >natively
	run -0 cow python3 script low
	printf '%s\n' "$output" >in-view
	diff natively in-view
	unchanged
}

@test "CW-13 a directory that is copied while it is being read: each name once" {
	mkdir -p low/d
	(cd low/d && seq -f 'name%g' 3000 | xargs touch)
	run -0 cow python3 -c '
import os
names = []
with os.scandir("low/d") as listing:
    for e in listing:
        names.append(e.name)
        os.chmod("low/d/" + e.name, 0o600)
print(len(names), len(set(names)))
for e in os.scandir("low/d"):
    os.unlink("low/d/" + e.name)
print(os.listdir("low/d"))'
	[ "${lines[*]}" = "3000 3000 []" ]
}

@test "CW-14 whiteouts are names of one inode; what the tree has is found though it is not looked for first" {
	mkdir low
	touch low/a low/b low/c low/both
	mkdir low/dir low/full
	touch low/dir/x low/full/x
	run -0 cow sh -c '
		cd low
		rm a b c
		rm a 2>/dev/null && echo twice
		rmdir a 2>/dev/null && echo no directory
		echo changed >both
		rm both && test ! -e both
		mkdir a && touch a/in && ls a
		set -C && echo new >b && cat b
		ln -s nowhere c && readlink c
		mkdir c 2>/dev/null && echo over a link
		rm dir/x && rmdir dir && test ! -e dir
		rmdir full 2>/dev/null && echo full
		mkdir dir && ls -A dir && rmdir dir
		ls'
	[ "${lines[*]}" = "in new nowhere a b c full" ]
	[ "$(ls low)" = "$(printf '%s\n' a b both c dir full)" ]
	[ "$(stat -c %h upper/white)" = 3 ]	# itself, both, dir
	[ "$(find upper/work upper/tree -samefile upper/white | wc -l)" = 2 ]
}

@test "CW-15 bind mounts of what is copied on write: both ends see the same, at once; what was bound before is not copied" {
	mkdir -p low/sub/deep low/sub/gone low/m elsewhere other chain
	echo below >low/sub/f; echo deep >low/sub/deep/f; echo g >low/sub/g; ln low/sub/g low/sub/g2
	ln -s ../out low/sub/up; echo low >low/out; echo top >out; echo m >low/m/m
	python_says >p.py
	cat >>p.py <<-'PY'
		import errno, os
		def same(a, b):
		    x, y = os.lstat(a), os.lstat(b)
		    assert (x.st_dev, x.st_ino, x.st_nlink, x.st_size) == (y.st_dev, y.st_ino, y.st_nlink, y.st_size), (a, x, y)
		def put(path, text, how="w"):
		    with open(path, how) as f: f.write(text)
		def get(path):
		    with open(path) as f: return f.read()
		for n in "f", "g", "g2", "deep", "deep/f", "up": same("low/sub/" + n, "elsewhere/" + n)
		put("elsewhere/f", "one"); assert get("low/sub/f") == "one"
		put("low/sub/f", "two"); assert get("elsewhere/f") == "two"; same("low/sub/f", "elsewhere/f")
		put("elsewhere/g", "more", "a"); assert get("low/sub/g2") == get("elsewhere/g2") == "g\nmore"
		for n in "g", "g2": same("low/sub/g", "elsewhere/" + n)
		assert get("elsewhere/up") == "top\n" and get("low/sub/up") == "low\n"	# "..", seen from there
		os.rmdir("elsewhere/gone"); says(errno.ENOENT, os.stat, "low/sub/gone")
		os.mkdir("low/sub/gone"); os.stat("elsewhere/gone"); assert os.listdir("elsewhere/gone") == []
		put("elsewhere/deep/new", "n")
		assert sorted(os.listdir("elsewhere/deep")) == sorted(os.listdir("low/sub/deep")) == ["f", "new"]
		os.rename("elsewhere/deep", "elsewhere/moved"); assert get("low/sub/moved/f") == "deep\n"
		here = os.getcwd()
		os.chdir("elsewhere/moved"); assert os.getcwd() == here + "/elsewhere/moved"
		assert os.readlink("/proc/self/cwd") == here + "/elsewhere/moved"
		put("there", "t"); assert get("../../low/sub/moved/there") == "t"; assert get("../f") == "two"
		os.chdir("../.."); assert os.getcwd() == here
		fd = os.open("elsewhere/f", os.O_RDWR); assert os.readlink(f"/proc/self/fd/{fd}") == here + "/elsewhere/f"
		os.fchmod(fd, 0o600); assert os.stat("low/sub/f").st_mode & 0o777 == 0o600
		d = os.open("elsewhere/moved", os.O_RDONLY); os.rename("there", "here", src_dir_fd=d, dst_dir_fd=d)
		assert get("low/sub/moved/here") == "t"
	PY
	in_view --cow low --upper up -- <<-'SH'
		set -e
		umview mount -t bind low/sub elsewhere
		python3 p.py
		umview mount -t bind elsewhere/moved chain; echo c >chain/c; grep -qx c low/sub/moved/c
		test "$(cd chain && /bin/pwd)" = "$PWD/chain"
		fails umview umount low 2>/dev/null
		umview umount chain
		umview mount -t bind other low/m; echo new >low/m/n
		umview mount -t bind low chain; test "$(ls chain/m)" = n; echo x >chain/m/x; test "$(cat chain/sub/f)" = two
		umview umount chain; umview umount low/m; test "$(ls low/m)" = m
		umview mount -t bind -o except=/moved other low/sub; test "$(ls low/sub)" = "$(printf 'n\nx')"
		echo e >low/sub/moved/e; umview umount low/sub; cat low/sub/moved/e
		umview mount -t bind low/sub/g chain 2>/dev/null && exit 1
		touch file; umview mount -t bind low/sub/g file; echo by >file; grep -qx by low/sub/g2
		rm low/sub/g; fails cat file 2>/dev/null; echo again >low/sub/g; test "$(cat file)" = again; umview umount file
	SH
	[ "$(cat low/sub/f low/sub/deep/f low/sub/g)" = "$(printf 'below\ndeep\ng')" ]
	[ "$(ls other)" = "$(printf 'n\nx')" ]
	[ -z "$(find elsewhere chain -mindepth 1)" ]
	in_view --bind low/sub elsewhere --cow low --upper up2 -- <<-'SH'
		test "$(cat elsewhere/f)" = below; echo changed >low/sub/f; test "$(cat elsewhere/f)" = below
	SH
}

@test "CW-20 of what is copied on write: a read-only bind, names hidden at either end, a merge; below --cow /; --mincow" {
	mkdir -p low/sub/deep low/sub/secret elsewhere B other
	echo below >low/sub/f; echo x >low/sub/gone; echo deep >low/sub/deep/f; echo s >low/sub/secret/s
	python_says >p.py
	cat >>p.py <<-'PY'
		import errno, os
		ro, none = errno.EROFS, errno.ENOENT
		os.unlink("low/sub/gone"); open("low/sub/f", "w").write("copied")
		assert sorted(os.listdir("elsewhere")) == ["deep", "f", "secret"]
		assert open("elsewhere/f").read() == "copied"
		new = os.O_CREAT | os.O_WRONLY
		for n in "f", "new", "gone": says(ro, os.open, "elsewhere/" + n, new)
		says(none, os.open, "elsewhere/gone", os.O_WRONLY); says(none, os.stat, "elsewhere/gone")
		for n in "new", "gone": says(ro, os.mkdir, "elsewhere/" + n); says(ro, os.symlink, "t", "elsewhere/" + n)
		says(errno.EEXIST, os.mkdir, "elsewhere/deep"); says(errno.EEXIST, os.symlink, "t", "elsewhere/f")
		for n in "f", "gone": says(ro, os.unlink, "elsewhere/" + n); says(ro, os.rename, "elsewhere/" + n, "elsewhere/y")
		for n in "f", "deep", "deep/f":
		    says(ro, os.chmod, "elsewhere/" + n, 0o700); says(ro, os.utime, "elsewhere/" + n)
		    fd = os.open("elsewhere/" + n, os.O_RDONLY); says(ro, os.fchmod, fd, 0o700); os.close(fd)
		says(ro, os.truncate, "elsewhere/f", 0); assert not os.access("elsewhere/f", os.W_OK)
		assert os.access("low/sub/f", os.W_OK)
	PY
	in_view --cow low --upper up -- <<-'SH'
		set -e
		umview mount -t bind -o ro low/sub elsewhere
		python3 p.py
		umview umount elsewhere
		umview mount -t hide low/sub/secret
		umview mount -t bind low/sub elsewhere
		test "$(echo $(ls elsewhere))" = 'deep f'; fails cat elsewhere/secret/s 2>/dev/null; fails mkdir elsewhere/secret 2>/dev/null
		umview umount elsewhere; umview umount low/sub/secret
		umview mount -t bind low/sub elsewhere
		umview mount -t hide elsewhere/secret; test "$(echo $(ls elsewhere))" = 'deep f'; test -e low/sub/secret/s; umview umount elsewhere/secret
		umview umount elsewhere
		mkdir -p B/deep; echo own >B/deep/own
		umview mount -t merge low/sub B
		test "$(echo $(ls B B/deep))" = 'B: deep f secret B/deep: f own'
		test "$(cat B/f B/deep/f B/deep/own)" = "$(printf 'copieddeep\nown')"
		fails sh -c 'echo x >B/f' 2>/dev/null; fails touch B/secret/n 2>/dev/null; echo new >B/deep/new
		echo later >low/sub/later; grep -qx later B/later; rm low/sub/later; fails cat B/later 2>/dev/null
		mkdir low/sub/dir; test "$(echo $(ls B))" = 'deep dir f secret'
		umview mount -t bind B other; test "$(echo $(ls other other/deep))" = 'other: deep dir f secret other/deep: f new own'
		cat other/deep/f other/f >/dev/null
	SH
	[ "$(echo $(ls B/deep low/sub))" = 'B/deep: new own low/sub: deep f gone secret' ]
	rm -r B; mkdir B
	in_view --cow / --upper "$W.up" -- <<-'SH'
		set -e
		umview mount -t bind / elsewhere
		echo changed >"elsewhere$W/low/sub/f"; test "$(cat low/sub/f)" = changed
		cat elsewhere/proc/self/stat | grep -q '(cat)'
		umview mount -t tmpfs none other; echo t >other/t; umview umount other
		umview mount -t bind /usr/bin B; cp /bin/echo B/umt-echo; test "$(/usr/bin/umt-echo hello)" = hello
		test "$(B/readlink /proc/self/exe)" = "$W/B/readlink"
	SH
	[ ! -e /usr/bin/umt-echo ]
	chmod -R u+rwX "$W.up"; rm -r "$W.up"
	[ "$(cat low/sub/f)" = below ]
	in_view --mincow low --upper up3 -- <<-'SH'
		umview mount -t bind low/sub elsewhere; echo mine >elsewhere/f; mv elsewhere/deep elsewhere/bottom
	SH
	[ "$(cat low/sub/f low/sub/bottom/f)" = "$(printf 'mine\ndeep')" ]
}

@test "CW-16 openat2 with rules for the path: what is below, what is copied, and links; RESOLVE_NO_SYMLINKS" {
	mkdir -p low/both/sub low/own
	echo f >low/f
	echo g >low/both/g
	cat >p.py <<-'PY'
		import ctypes, errno, os, struct
		c = ctypes.CDLL(None, use_errno=True)
		XDEV, MAGIC, LINKS, BENEATH, ROOT = 1, 2, 4, 8, 16
		def opened(path, resolve, flags=os.O_RDONLY, dir=-100):
		    fd = c.syscall(437, dir, path.encode(), struct.pack("QQQ", flags, 0o644 if flags & os.O_CREAT else 0, resolve), 24)
		    if fd < 0: return errno.errorcode[ctypes.get_errno()]
		    path = os.readlink(f"/proc/self/fd/{fd}"); os.close(fd)
		    return path.replace(top, "")
		os.chdir("low"); top = os.getcwd()
		def check():
		    for rule in 0, XDEV, MAGIC, LINKS, BENEATH, ROOT:
		        for name in "f", "both", "both/g", "both/sub", "own":
		            assert opened(name, rule) == "/" + name, (name, rule, opened(name, rule))
		        assert opened("both/none", rule) == "ENOENT"
		    d = os.open("both", os.O_RDONLY)
		    for rule in BENEATH, ROOT:
		        assert opened("g", rule, dir=d) == "/both/g" and opened("sub/..", rule, dir=d) == "/both"
		        assert opened("g", rule, os.O_RDONLY | os.O_DIRECTORY, d) == "ENOTDIR"
		    assert opened("/g", ROOT, dir=d) == "/both/g" and opened("../f", BENEATH, dir=d) == "EXDEV" and opened("/g", BENEATH, dir=d) == "EXDEV"
		    os.close(d)
		check()
		open("both/new", "w").close(); open("own/new", "w").close(); os.symlink("f", "link"); os.symlink("/etc", "abs")
		check()
		for rule in XDEV, MAGIC, BENEATH, ROOT: assert opened("link", rule) == "/f", (rule, opened("link", rule))
		for flags in os.O_RDONLY, os.O_WRONLY, os.O_PATH, os.O_WRONLY | os.O_CREAT: assert opened("link", LINKS, flags) == "ELOOP", flags
		assert opened("abs", LINKS) == opened("abs/passwd", LINKS) == "ELOOP" and opened("link", LINKS, os.O_PATH | os.O_NOFOLLOW) == "/link"
		assert opened("abs", BENEATH) == opened("..", BENEATH) == opened("both/../..", BENEATH) == opened("abs", XDEV) == "EXDEV"
		assert opened("both/made", BENEATH, os.O_WRONLY | os.O_CREAT) == "/both/made" and os.path.exists("both/made")
	PY
	umview --cow low --upper up -- python3 p.py
	[ "$(cd low && find . | LC_ALL=C sort | xargs)" = ". ./both ./both/g ./both/sub ./f ./own" ]
}

@test "CW-17 a listing is read from any position, also from where no entry begins" {
	mkdir low
	(cd low && touch a bb ccc dddd eeeee)
	cat >p.py <<-'PY'
		import ctypes, os
		libc = ctypes.CDLL(None, use_errno=True)
		open("low/new", "w").close()
		fd, buf = os.open("low", os.O_RDONLY | os.O_DIRECTORY), ctypes.create_string_buffer(4096)
		whole = libc.syscall(217, fd, buf, 4096)
		for at in range(whole + 100):
		    assert os.lseek(fd, at, os.SEEK_SET) == at
		    n = libc.syscall(217, fd, buf, 4096)
		    assert 0 <= n <= whole - at if at < whole else n == 0, (at, n)
		    raw, i = buf.raw, 0
		    while i < n:
		        size = int.from_bytes(raw[i + 16:i + 18], "little")
		        assert raw[i + 19:i + size].split(b"\0")[0] in (b".", b"..", b"a", b"bb", b"ccc", b"dddd", b"eeeee", b"new"), (at, i)
		        i += size
		    assert i == n
		print("fine")
	PY
	[ "$(umview --cow low --upper up -- python3 p.py)" = fine ]
}

@test "CW-18 many processes change the same names: nothing that has been made is lost in work/" {
	cat >p.py <<-'PY'
		import os, random, sys
		random.seed(int(sys.argv[1]))
		names = ["a", "b", "c", "d", "d/a", "d/b", "e", "e/a"]
		os.chdir("low")
		for i in range(400):
		    x, y = random.choice(names), random.choice(names)
		    try:
		        random.choice([lambda: os.unlink(x), lambda: os.rename(x, y), lambda: os.link(x, y), lambda: os.mkdir(x),
		                       lambda: os.rmdir(x), lambda: open(x, "a").write("z"), lambda: os.chmod(x, 0o755)])()
		    except OSError:
		        pass
	PY
	for round in 1 2 3 4 5 6; do
		rm -rf low upper
		mkdir -p low/d low/e
		touch low/a low/b low/c low/d/a low/d/b low/e/a
		umview --cow low --upper upper -- sh -c 'for i in 1 2 3 4 5 6; do python3 p.py $1$i & done; wait' sh $round
		[ -z "$(find upper/work -mindepth 1 ! -type c)" ]	# a spare whiteout does no harm
	done
}

@test "CW-19 a file is no directory, also in a directory that is copied, and whatever was looked for in it before" {
	mkdir -p low/sub
	cat >p.py <<-'PY'
		import errno, os
		os.chdir("low")
		for f in "f", "sub/f":
		    open(f, "w").write(f)
		    for end in ["/x", "/", "/.", "//", "/./."] * 3:
		        for call in os.stat, os.lstat, os.readlink, os.listdir, lambda p: os.open(p, os.O_RDONLY), lambda p: os.open(p, os.O_PATH):
		            try:
		                call(f + end)
		            except NotADirectoryError:
		                continue
		            raise SystemExit(f"{f}{end}: it is one")
		        assert not os.access(f + end, os.F_OK), f + end
		for d in ["sub/", "sub/.", "./", "sub/.."] * 3:
		    assert os.path.isdir(d) and os.path.samefile(d, d.split("/")[0] if not d.endswith("..") else "."), d
	PY
	umview --cow low --upper up -- python3 p.py
}

# whiteouts DIRECTORY: how many whiteouts there are in that of the tree.
whiteouts() {
	find "up/tree/$1" \( -type c -o -type l -lname '/(umview: removed)' \) 2>/dev/null | wc -l
}

@test "CW-33 names that go: everybody sees it at once, a whiteout comes with the first other change, or review; the directory's time is that of the removal" {
	mkdir -p low/d
	for i in $(seq 50); do echo "$i" >"low/d/f$i"; done
	touch -d '2001-01-01' low/d
	cat >in.sh <<-'S'
		cd low
		(cd d; exec sh ../../other.sh) &	# another process, whose cwd that is
		rm d/f1 d/f2 d/f3
		stat -c %Y d >../time1
		touch ../removed
		until [ -e ../looked ]; do sleep 0.02; done
		touch ../review
		until [ -e ../reviewed ]; do sleep 0.02; done
		stat -c %Y d >../time2
		rm d/f4
		mkdir d/f4 && ls d/f4
		rm d/f5; ln d/f6 d/f5; cat d/f5
		rm d/f7; mv d/f8 d/f7; cat d/f7
		rm d/f9; echo new >d/f9; cat d/f9
		rm d/f10 && ! rm d/f10 2>/dev/null && ! cat d/f10 2>/dev/null && ! [ -e d/f10 ]
		rm d/f11; mv d e; ls e | wc -l; ! [ -e e/f11 ]; ! [ -e d ]
		rm e/f12; mv e d; ls d | wc -l; ! [ -e d/f12 ]
		wait
	S
	cat >other.sh <<-'S'
		until [ -e ../../removed ]; do sleep 0.02; done
		for f in f1 f2 f3; do
			[ ! -e $f ] && ! cat $f 2>/dev/null && ! cat "../d/$f" 2>/dev/null && ! ls | grep -x $f && ! rm $f 2>/dev/null || touch ../../wrong
		done
		ls | wc -l >../../count
		touch ../../looked
	S
	umview --cow "$PWD/low" --upper "$PWD/up" sh in.sh >out &
	until [ -e review ]; do sleep 0.05; done
	[ ! -e wrong ]
	[ "$(cat count)" = 47 ]
	[ "$(whiteouts d)" = 0 ]
	[ "$(cat time1)" -gt 1000000000 ]
	sleep 1.1
	umview diff --upper "$PWD/up" >diff
	cat diff
	grep -c '^D.*d/f[123]$' diff | grep -x 3
	[ "$(whiteouts d)" = 3 ]
	touch reviewed
	wait $!
	cat out
	cmp time1 time2
	printf '6\n8\nnew\n44\n43\n' | cmp - out
	ls low/d | wc -l | grep -x 50
	umview --cow "$PWD/low" --upper "$PWD/up" -- ls low/d | wc -l | grep -x 43
}

@test "CW-36 where directories are watched, whiteouts are made at once: who watches hears of it" {
	mkdir -p low/d
	touch low/d/a low/d/b
	cat >watch.py <<-'P'
		import ctypes, os, select, struct, sys
		libc = ctypes.CDLL(None)
		open("d/new", "w").close()
		fd = libc.inotify_init1(os.O_NONBLOCK)
		libc.inotify_add_watch(fd, b"d", 0x100 | 0x200)
		os.unlink("d/a")
		print(bool(select.select([fd], [], [], 2)[0]))
	P
	(cd low && umview --cow "$PWD" --upper "$W/up" -- python3 -B ../watch.py) >out
	[ "$(cat out)" = True ]
}

@test "CW-34 rm -r that is killed at any moment: what is listed is there, what is not is not; it goes on to the end; below nothing has changed" {
	mkdir low
	for d in 1 2 3 4; do
		mkdir -p "low/t/$d/deep"
		for i in $(seq 60); do echo "$d $i" >"low/t/$d/f$i"; echo "$i" >"low/t/$d/deep/g$i"; done
	done
	(cd low && find . | sort >../all && find . -type f -exec cksum {} + | sort >../sums)
	cat >in.sh <<-'S'
		cd low
		until rm -r t 2>/dev/null; do
			find . | sort >../now
			comm -23 ../now ../all | grep . && exit 1
			while read -r f; do [ -e "$f" ] || { echo "listed, not there: $f"; exit 1; }; done <../now
			comm -13 ../now ../all >../gone
			while read -r f; do [ ! -e "$f" ] || { echo "there, not listed: $f"; exit 1; }; done <../gone
			exit 0
		done
		exit 7
	S
	cat >kill.sh <<-'S'
		cd low
		rm -r t 2>/dev/null &
		sleep "0.0$1"
		kill -9 $!
		wait $! 2>/dev/null
		cd .. && mkdir -p state && exec sh look.sh
	S
	sed 's/until rm -r t 2>.dev.null; do/while :; do/' in.sh >look.sh
	for i in $(seq 25); do
		rm -rf up
		umview --cow "$PWD/low" --upper "$PWD/up" sh kill.sh "$(printf '%02d' $((i * 37 % 40)))"
		umview --cow "$PWD/low" --upper "$PWD/up" sh look.sh
		umview --cow "$PWD/low" --upper "$PWD/up" sh -c 'rm -rf low/t && ls -A low' | { ! grep .; }
	done
	(cd low && find . | sort | cmp - ../all && find . -type f -exec cksum {} + | sort | cmp - ../sums)
}

@test "CW-35 20,000 names of one directory go, more than are put off at a time: none shows, each is a change" {
	mkdir -p low/d
	(cd low/d && seq 20000 | xargs touch keep)
	umview --cow "$PWD/low" --upper "$PWD/up" sh -c 'cd low/d && seq 20000 | xargs rm && ls -A' >out
	[ "$(cat out)" = keep ]
	[ "$(whiteouts d)" = 20000 ]
	umview diff --upper "$PWD/up" | grep -c '^D' | grep -x 20000
}

@test "CW-37 names that go: not where one may not write; what is noted goes on where that has changed; a table that is damaged does no harm" {
	[ "$(id -u)" != 0 ] || skip "root may write everywhere"
	mkdir -p low/d low/e low/f
	touch low/d/a low/e/a low/e/b low/f/a low/f/b
	chmod 555 low/d
	cat >in.py <<-'P'
		import errno, os
		def said(f, *a):
		    try:
		        f(*a)
		    except OSError as e:
		        return errno.errorcode[e.errno]
		print(said(os.unlink, "d/a"), os.listdir("d"))
		fd = os.open("e", os.O_RDONLY)
		print(said(os.unlink, "e/a"), said(os.fchmod, fd, 0o555), said(os.mkdir, "new"), said(os.chmod, "f", 0o700), os.listdir("e"))
		print(said(os.unlink, "e/b"), said(os.mkdir, "e/a"))
	P
	(cd low && umview --cow "$PWD" --upper "$W/up" -- python3 -B ../in.py) >out
	cat out
	printf "EACCES ['a']\nNone None None None ['b']\nEACCES EACCES\n" | cmp - out
	umview diff --upper up | tee diff
	grep -q '^D.*e/a$' diff
	! grep 'd/a' diff
	for at in 0:ffffffff 4:ffffffff 8:ffffffff 12:ffffffff 0:01000000; do
		printf "$(echo "${at#*:}" | sed 's/../\\x&/g')" | dd of=up/gone bs=1 seek="${at%:*}" conv=notrunc status=none
		timeout 20 umview --cow "$PWD/low" --upper "$PWD/up" -- sh -c 'cd low && rm -f f/a && [ ! -e f/a ] && touch f/a && [ -e f/a ] && rm f/b && ! ls f/b 2>/dev/null && touch f/b && ls f' | tr '\n' ' ' | grep -x 'a b '
	done
	chmod -R u+w low up
}

@test "CW-38 names go in one directory while others are made elsewhere, and reviewed: nothing comes back, rm -r ends, times are those of the removal" {
	mkdir -p low/o low/t
	for d in $(seq 40); do mkdir "low/t/$d"; (cd "low/t/$d" && seq 40 | xargs touch); done
	cat >in.sh <<-'S'
		cd low
		(i=0; while [ ! -e ../end ]; do : >o/$((i += 1)); mkdir o/d; mv o/d o/e; rmdir o/e; done) &
		rm -r t
		echo $?
		touch ../end
		wait
		ls
	S
	(while [ ! -e end ]; do umview diff --upper "$PWD/up" >/dev/null 2>&1 || :; done) 3>&- &
	umview --cow "$PWD/low" --upper "$PWD/up" sh in.sh >out
	wait $!
	[ "$(tr '\n' ' ' <out)" = "0 o " ]
	[ "$(ls low/t | wc -l)" = 40 ]
}

@test "CW-39 a socket is bound to a name that is gone, here and since then below" {
	mkdir -p low/d
	touch low/d/a
	cat >in.py <<-'P'
		import os, socket, sys, time
		os.unlink("d/a")
		open("../gone", "w").close()
		while not os.path.exists("../below"):
		    time.sleep(0.02)
		s = socket.socket(socket.AF_UNIX)
		s.bind("d/a")
		print(os.listdir("d"))
	P
	(cd low && umview --cow "$PWD" --upper "$W/up" -- python3 -B ../in.py) >out &
	until [ -e gone ]; do sleep 0.05; done
	rm low/d/a
	touch below
	wait $!
	[ "$(cat out)" = "['a']" ]
}
