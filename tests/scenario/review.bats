#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Reviewing what copy-on-write has kept aside: umview diff, umview ls --sessions, the life of a session.
load common

below() {
	mkdir -p low/a/b low/gone/x low/todir low/tofile
	echo one >low/f
	echo two >low/a/b/g
	ln -s f low/l
	echo z >low/gone/x/z
	echo m >low/m
	echo s >low/rep
	echo t >low/todir.file
	echo q >low/tofile/q
	printf 'a\0b' >low/binary
	rmdir low/todir
	mv low/todir.file low/todir
}

change() {
	umview --cow low --upper upper -- sh -ec 'cd low
		echo more >>f; rm -r gone; mkdir gone; echo n >gone/n; chmod 600 m; ln -sfn a l; echo r >rep.t; mv rep.t rep
		rm a/b/g; mkdir -p new/er; echo x >new/er/x; rm -r tofile; echo f >tofile; rm todir; mkdir todir; mkfifo fifo
		printf "a\0c" >binary; : >>a/b/touched; rm a/b/touched; touch -c a'
}

sessions() {
	ls -A "$HOME/.local/state/umview" 2>/dev/null || true
}

@test "RV-01 diff: what was added, deleted, changed, replaced, and of what only attributes changed" {
	below
	change
	cp -a low before
	run -0 umview diff --upper upper
	[ "$output" = "D  $W/low/a/b/g
M  $W/low/binary
M  $W/low/f
A  $W/low/fifo
D  $W/low/gone/x/
A  $W/low/gone/n
M  $W/low/l
a  $W/low/m (mode 0644 -> 0600)
A  $W/low/new/
A  $W/low/new/er/
A  $W/low/new/er/x
M  $W/low/rep
T  $W/low/todir/ (directory, was a file)
T  $W/low/tofile (file, was a directory)" ]
	run -0 umview diff --upper upper --stat
	[ "${lines[-1]}" = "$W/low: 5 added, 4 changed, 2 deleted, 2 of another type, 1 with other attributes; 20 bytes in files" ]
	run -0 umview diff --upper upper low/new/er "$W/low/a/../f"
	[ "$output" = "M  $W/low/f
A  $W/low/new/er/
A  $W/low/new/er/x" ]
	cd low/a
	run -0 umview diff --upper ../../upper b
	[ "$output" = "D  $W/low/a/b/g" ]
	cd "$W"
	diff -r --no-dereference before low
}

@test "RV-02 diff --text is a unified difference; binary files and links are named as such" {
	need diff
	below
	change
	run -0 umview diff --upper upper -u low/f low/binary low/l low/a
	[ "$output" = "D  $W/low/a/b/g
--- a$W/low/a/b/g
+++ /dev/null
@@ -1 +0,0 @@
-two
M  $W/low/binary
Binary files a$W/low/binary and b$W/low/binary differ
M  $W/low/f
--- a$W/low/f
+++ b$W/low/f
@@ -1 +1,2 @@
 one
+more
M  $W/low/l
--> f
+-> a" ]
}

@test "RV-03 diff --json: a list of objects; names that are no UTF-8 and names with line breaks" {
	need python3
	below
	umview --cow low --upper upper -- sh -ec 'cd low; echo 1 >"$(printf "bad\377")"; echo 2 >"$(printf "line\nbreak")"; rm f'
	run -0 umview diff --upper upper
	[ "${lines[2]}" = "D  $W/low/f" ] || [ "${lines[1]}" = "D  $W/low/f" ]
	[[ $output = *'line\012break'* ]]
	umview diff --upper upper --json >list
	python3 - "$W" <<-'END'
		import json, sys
		l = json.load(open("list"))
		w = sys.argv[1]
		by = {o["path"]: o for o in l}
		assert by[w + "/low/f"]["change"] == "deleted" and by[w + "/low/f"]["after"] is None
		assert by[w + "/low/f"]["before"]["size"] == 4
		assert by[w + "/low/line\nbreak"]["change"] == "added"
		bad = [o for o in l if "path_hex" in o]
		assert len(bad) == 1 and bytes.fromhex(bad[0]["path_hex"]).endswith(b"/low/bad\xff"), bad
	END
}

@test "RV-04 what is changed below, too, is marked" {
	below
	change
	sleep 0.05
	run -0 umview diff --upper upper
	[[ $output != *!* ]]
	echo other >low/f
	echo other >low/a/b/g
	chmod 640 low/m
	echo other >low/tofile/q
	mkdir low/new
	run -0 umview diff --upper upper
	[[ $output = *"D! $W/low/a/b/g"* ]]
	[[ $output = *"M! $W/low/f"* ]]
	[[ $output = *"a! $W/low/m"* ]]
	[[ $output = *"T! $W/low/tofile"* ]]
	[[ $output = *"M  $W/low/rep"* ]]
	[[ $output != *"! $W/low/gone"* ]]
}

@test "RV-05 a session without changes is gone when the command ends; one with changes is named" {
	below
	run -0 umview --cow low -- sh -c 'cat low/f; : >>low/f; touch low/t; rm low/t'
	[ "$output" = one ]
	[ -z "$(sessions)" ]
	run -0 --separate-stderr umview --cow low -- sh -c 'echo x >low/new'
	[ -z "$output" ]
	id=$(sessions)
	[ "$stderr" = "umview: $W/low: changes of it are in session $id: umview diff, commit or discard --session $id" ]
	run -0 umview diff
	[ "$output" = "A  $W/low/new" ]
	run -0 umview diff --session "$id"
	[ "$output" = "A  $W/low/new" ]
	run -0 umview ls --sessions
	[[ $output = "$id  $W/low  since "*"(sh -c echo x >low/new): 1 added" ]]
	run -2 umview diff --session nothing
	[[ $output = *"nothing: there is no such session"* ]]
	run -2 umview diff --session ../x
	run -0 umview --cow low --upper upper -- true
	[ -d upper/tree ]
}

@test "RV-06 a session in use is locked: a second view is refused and told who has it" {
	below
	background_view 'echo more >>low/f; hold; echo last >>low/f' --cow low --upper upper
	run -125 umview --cow low --upper upper -- true
	[[ $output = *"upper: the session is in use by process $(pgrep -P "$V" | head -n 1) (a view: sh -e "*")"* ]]
	run -0 umview diff --upper upper
	[ "$output" = "M  $W/low/f" ]
	release
	run -0 umview --cow low --upper upper -- cat low/f
	[ "$output" = "one
more
last" ]
}

@test "RV-07 ls --sessions tells which is in use; two sessions have to be told apart" {
	need python3
	below
	umview --cow low -- touch low/one
	background_view 'echo more >low/two; hold' --cow low
	run -2 umview diff
	[[ $output = *"there are 2 sessions; give --session ID"* ]]
	umview ls --sessions --json >list
	python3 - <<-'END'
		import json
		l = json.load(open("list"))
		assert [o["added"] for o in l] == [1, 1]
		by = {o["command"]: o["in_use"] for o in l}
		assert by.pop("touch low/one") is None
		assert "a view: sh -e" in list(by.values())[0]
	END
	release
}

@test "RV-08 sessions that are damaged, copied, of another version, or none: an error, never a crash" {
	below
	change
	mkdir none
	run -2 umview diff --upper none
	[[ $output = *"is no copy-on-write session of umview"* ]]
	cp -a upper copied
	run -2 umview diff --upper copied
	[[ $output = *"has been copied or restored from elsewhere"* ]]
	sed 's/version 2/version 7/' upper/info >copied/info
	run -2 umview diff --upper copied
	[[ $output = *"is a session of another version of umview"* ]]
	printf 'umview copy-on-write session, version 2\n' >copied/info
	run -2 umview diff --upper copied
	[[ $output = *"the session is damaged"* ]]
	mv upper/state state
	truncate -s 100 upper/state
	run -2 umview diff --upper upper
	[[ $output = *"the session is damaged: state is too short"* ]]
	mv state upper/state
	cp --sparse=always upper/inodes inodes
	dd if=/dev/urandom of=upper/inodes bs=4096 count=64 conv=notrunc status=none
	run -2 umview diff --upper upper
	[[ $output = *"the session is damaged: inodes is no table"* ]]
	cp --sparse=always inodes upper/inodes
	dd if=/dev/urandom of=upper/inodes bs=4096 count=2048 seek=1 conv=notrunc status=none
	run umview diff --upper upper
	[ "$status" -le 2 ]
	cp --sparse=always inodes upper/inodes
	dd if=/dev/urandom of=upper/state bs=4096 count=512 seek=3 conv=notrunc status=none
	run umview diff --upper upper
	[ "$status" -le 2 ]
	mv low elsewhere
	ln -s elsewhere low
	run -2 umview diff --upper upper
	[[ $output = *"lies behind a symbolic link now"* ]]
	run -2 umview diff --upper upper --nonsense
}

@test "RV-09 whiteouts that are links, whiteouts that are devices" {
	below
	umview --cow low --upper upper -- rm low/f
	[ "$(umview diff --upper upper)" = "D  $W/low/f" ]
	rm upper/tree/f
	ln -s '/(umview: removed)' upper/tree/f
	[ "$(umview diff --upper upper)" = "D  $W/low/f" ]
	ln -s '/(umview: other)' upper/tree/other
	[ "$(umview diff --upper upper)" = "D  $W/low/f
A  $W/low/other" ]
}

@test "RV-10 --cow / by an ordinary user: owners of copies are the originals', and no change" {
	[ "$(id -u)" != 0 ] || skip "root owns what it copies"
	umview --cow / --upper upper -- sh -ec 'chmod 600 /etc/passwd; echo x:x:99999: >>/etc/group; touch -c /etc/hostname'
	run -0 umview diff --upper upper
	[[ $output = *"M  /etc/group"* ]]
	[[ $output = *"a  /etc/passwd (mode 0644 -> 0600)"* ]]
	[[ $output != *owner* ]]
}

@test "RV-11 control characters, of whatever kind, reach no terminal; a line break below is refused" {
	mkdir low $'low/a\nb' low/a
	umview --cow low --upper upper -- sh -ec 'echo 1 >"$(printf "low/c\302\233m")"; echo 2 >"$(printf "low/\303\251\033[m")"; echo 3 >"$(printf "low/\233m")"'
	umview diff --upper upper >list
	cat list
	grep -qF 'low/c\302\233m' list
	grep -qF "low/$(printf '\303\251')"'\033[m' list
	grep -qF 'low/\233m' list
	umview --cow low -- touch low/one
	sed -i "3s/.*/touch $(printf '\033')[m/" "$HOME"/.local/state/umview/*/info
	run -0 umview ls --sessions
	[[ $output = *'(touch \033[m)'* ]]
	umview discard
	run -125 umview --cow $'low/a\nb' --upper up2 -- touch $'low/a\nb/new'
	[[ $output = *"line break"* ]]
	[ ! -e up2/info ]
}

@test "RV-12 a home directory behind a link: its sessions are ours all the same" {
	mkdir low realhome
	ln -s realhome home
	export HOME=$W/home
	run -0 umview --cow low -- touch low/new
	[[ $output = *"changes of it are in session"* ]]
	run -0 umview commit
	[ -z "$(sessions)" ]
	umview --cow low -- true
	[ -z "$(sessions)" ]
}

@test "RV-13 what killed guests left goes when the session is used again, unless somebody works on it" {
	below
	umview --cow low --upper upper -- sh -c 'echo more >>low/f'
	mkdir -p upper/work/1.2/x
	echo rubbish >upper/work/3.4
	background_view 'cat low/f; hold' --cow low --upper upper
	[ -z "$(ls upper/work)" ]
	echo made >upper/work/5.6
	run -125 umview --cow low --upper upper -- true
	umview commit --upper upper
	[ "$(cat upper/work/5.6)" = made ]
	release
	umview --cow low --upper upper -- true
	[ -z "$(ls upper/work)" ]
	[ "$(tail -n 1 low/f)" = more ]
}

@test "RV-14 a session on a disk that is full: calls and commands get ENOSPC, and nobody dies" {
	need python3 unshare
	unshare -Urm mount -t tmpfs none mnt || skip "no file system of a few megabytes to be had here"
	mkdir -p low/d
	(cd low/d && seq 6000 | xargs touch)
	cat >fill.py <<-'END'
		import errno, os
		full = 0
		try:
		    with open("low/fill", "wb", buffering=0) as f:
		        while True: f.write(bytes(4096))
		except OSError as e:
		    assert e.errno == errno.ENOSPC, e
		for i in range(1, 6001):
		    try:
		        os.unlink("low/d/%d" % i)
		    except OSError as e:
		        assert e.errno == errno.ENOSPC, e
		        full += 1
		        if full == 1:
		            print("full after", i); assert os.path.exists("low/d/%d" % i)
		for i in range(2000):
		    try:
		        os.mkdir("low/new%d" % i)
		    except OSError as e:
		        assert e.errno == errno.ENOSPC, e
		assert full, "it was never full"
		os.unlink("low/fill")
		os.unlink("low/d/6000")
	END
	unshare -Urm sh -ec 'mount -t tmpfs -o size=6m none mnt; umview --cow low --upper mnt/s -- python3 fill.py
		umview diff --stat --upper mnt/s | tail -n 1; umview commit --upper mnt/s
		umview --cow low --upper mnt/s -- sh -c "dd if=/dev/zero of=low/fill bs=4k 2>/dev/null || ls low >/dev/null"
		umview diff --upper mnt/s >/dev/null; umview discard --upper mnt/s low/fill'
	[ ! -e low/d/1 ]
	[ ! -e low/d/6000 ]
	[ -e low/d/5999 ]
	run unshare -Urm sh -ec 'mount -t tmpfs -o size=3m none mnt; exec umview --cow low --upper mnt/s -- true'
	[ "$status" = 125 ]
	[[ $output = *"No space left on device"* ]]
}
