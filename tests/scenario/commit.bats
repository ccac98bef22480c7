#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# umview commit and umview discard: what copy-on-write has kept aside is done below, or dropped.
BATS_TEST_TIMEOUT=480
load common
KILLAT=${BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/lib/killat

below() {
	chmod -R u+rwx low upper 2>/dev/null || true
	rm -rf low upper
	mkdir -p low/a/b low/gone/x low/tofile low/keep/sub low/again/sub/sub
	echo a >low/again/sub/z
	echo a >low/again/sub/sub/z
	echo one >low/f
	echo two >low/a/b/g
	ln -s f low/l
	echo z >low/gone/x/z
	echo m >low/m
	echo s >low/rep
	echo t >low/todir
	echo q >low/tofile/q
	echo k >low/keep/sub/k
	truncate -s 3M low/sparse
}

CHANGE='cd low
	echo more >>f; rm -r gone; mkdir gone; echo n >gone/n; rm -r again; mkdir -p again/sub/sub; echo n >again/sub/sub/n; chmod 600 m; ln -sfn a l; echo r >rep.t; mv rep.t rep
	rm a/b/g; mkdir -p new/er; echo x >new/er/x; rm -r tofile; echo f >tofile; rm todir; mkdir todir; mkfifo fifo
	printf end >>sparse; echo L >one; ln one two; ln one a/three; mv keep kept; mv kept/sub moved; echo in >moved/in
	touch -d 2001-02-03 new/er/x moved/in; chmod 700 a; chmod 555 new/er; touch -d 2002-02-02 new/er gone a; cd ..'
STATE='cd low; find . -printf "%P %y %m %U %G %n %s %T@ %l\n" | grep -v " d " | sort; find . -type d -printf "%P %m %U %T@\n" | sort
	find . -type f -exec cksum {} + | sort'

state() {
	(eval "$STATE")
}

@test "CM-01 commit: below becomes what the session showed, with times, modes, links and holes; nothing is left in the session" {
	below
	blocks=$(stat -c %b low/sparse)
	umview --cow low --upper upper -- sh -ec "$CHANGE; $STATE" >want
	run -0 umview commit --upper upper
	[ -z "$output" ]
	state >got
	diff want got
	[ "$(umview diff --upper upper)" = "" ]
	[ "$(stat -c %b low/sparse)" -lt $((blocks + 64)) ]
	[ low/one -ef low/a/three ]
	run -0 umview --cow low --upper upper -- sh -ec "$STATE"
	diff want - <<<"$output"
}

@test "CM-02 commit killed at 100 points and begun again: nothing is lost, nothing half" {
	[ -x "$KILLAT" ]
	below
	umview --cow low --upper upper -- sh -ec "$CHANGE"
	calls=$("$KILLAT" 0 umview commit --upper upper) || true
	[ "$calls" -gt 300 ]
	killed=0
	mkdir old new
	for i in $(seq 100); do
		below
		cp low/f low/m low/rep low/sparse old
		umview --cow low --upper upper -- sh -ec "$CHANGE; $STATE" >want
		cp upper/tree/f upper/tree/m upper/tree/rep upper/tree/sparse new
		if "$KILLAT" $((i * calls / 100)) umview commit --upper upper >log 2>&1; then
			killed=$((killed + 1))
			for f in f m rep sparse; do
				cmp -s low/$f old/$f || cmp -s low/$f new/$f || { echo "half: $f at $i"; false; }
			done
		fi
		umview commit --upper upper >log 2>&1 || { cat log; echo "at $i of $calls"; false; }
		state >got
		diff want got || { echo "at $i of $calls"; false; }
		[ -z "$(umview diff --upper upper)" ]
	done
	echo "killed $killed of 100, $calls calls"
	[ "$killed" -gt 80 ]
}

@test "CM-03 what was changed below, too, is left alone and named; --force does it; the rest is committed" {
	below
	umview --cow low --upper upper -- sh -ec "$CHANGE"
	sleep 0.02
	echo other >low/f
	echo other >low/a/b/g
	chmod 640 low/m
	echo other >low/tofile/more
	echo other >low/fifo
	echo other >low/gone/x/z
	cp -a low before
	run -1 umview commit --upper upper
	for p in f a/b/g m tofile gone/x fifo; do
		[[ $output = *"low/$p: conflict, left alone: "* ]]
	done
	[[ $output = *"6 in conflict"* ]]
	for p in f a/b/g tofile/more gone/x/z fifo; do
		diff before/$p low/$p
	done
	[ "$(stat -c %a low/m)" = 640 ]
	[ "$(cat low/rep)" = r ]
	run -0 umview diff --upper upper
	[[ $output = *"M! $W/low/f"* ]]
	[[ $output != */rep* ]]
	run -0 umview commit --force --upper upper low/f low/m
	[ "$(tail -n 1 low/f)" = more ]
	[ "$(stat -c %a low/m)" = 600 ]
	[ "$(cat low/a/b/g)" = other ]
	run -0 umview commit -f --upper upper
	[ ! -e low/a/b/g ]
	[ -p low/fifo ]
	[ -f low/tofile ]
	[ "$(ls low/gone)" = n ]
	[ -z "$(umview diff --upper upper)" ]
}

@test "CM-04 commit of some paths; directories they lie in are made; outside the session is an error" {
	below
	umview --cow low --upper upper -- sh -ec "$CHANGE"
	run -0 umview commit --upper upper low/new/er/x low/m
	[ "$(cat low/new/er/x)" = x ]
	[ "$(stat -c %a low/m)" = 600 ]
	[ "$(cat low/f)" = one ]
	run -2 umview commit --upper upper /etc/passwd
	[[ $output = *"/etc/passwd: does not lie in $W/low"* ]]
	run -2 umview commit --upper upper low/../elsewhere
	run -1 umview discard --upper upper low/nothing
	[[ $output = *"the session holds no change of it"* ]]
	for what in commit diff; do
		run -1 umview $what --upper upper low/nothing
		[[ $output = *"$what: $W/low/nothing: is neither in the session nor below"* ]]
	done
	run -0 umview commit --upper upper low/m low/todir
	[ "$output" = "umview: commit: $W/low/m: the session holds no change of it" ]
	run -0 --separate-stderr umview diff --upper upper low/m
	[ -z "$output$stderr" ]
}

@test "CM-05 discard: paths, and all; what is below shows again" {
	below
	state >before
	umview --cow low --upper upper -- sh -ec "$CHANGE"
	run -0 umview discard --upper upper low/f low/gone low/a low/moved
	run -0 umview --cow low --upper upper -- sh -c 'cat low/f low/gone/x/z low/a/b/g low/m low/kept/sub/k; stat -c %a low/a; ls low'
	[[ $output = "$(printf '%s\n' one z two m k)"* ]]
	[[ $output != *moved* ]]
	run -0 umview discard --upper upper
	[ ! -e upper ]
	state >after
	diff before after
	run -2 umview discard --upper upper
	mkdir other
	echo mine >other/info
	run -2 umview discard --upper other
	[ -e other/info ]
}

@test "CM-06 a session in use by another command: refused, and who has it is said; sessions by name" {
	below
	background_view 'echo more >>low/f; hold; echo last >>low/f' --cow low
	run -0 umview diff
	exec 7>"$(echo "$HOME"/.local/state/umview/*)/reviewing"
	flock 7
	run -2 umview discard
	[[ $output = *"is in use by "* ]]
	exec 7>&-
	release
	run -0 umview commit
	[ "$(tail -n 1 low/f)" = last ]
	[ -z "$(ls "$HOME/.local/state/umview")" ]
}

@test "CM-07 discard is killed at any point: what is left of the session is no session, and goes the next time" {
	[ -x "$KILLAT" ]
	for i in 60 80 100 120 150 200 250; do
		below
		umview --cow low --upper upper -- sh -ec "$CHANGE"
		"$KILLAT" "$i" umview discard --upper upper >log 2>&1 || true
		[ -d upper ] || continue
		[ -e upper/info ] || run -2 umview diff --upper upper
		[ -e upper/info ] || [[ $output = *"was being discarded"* ]]
		run -0 umview discard --upper upper
		[ ! -e upper ]
	done
}

@test "CM-08 links planted below lead nowhere: nothing outside the directory is written" {
	below
	mkdir -p outside
	echo mine >outside/g
	umview --cow low --upper upper -- sh -ec 'cd low; echo new >a/b/g; echo new >a/b/new; mkdir n; echo x >n/x'
	rm -r low/a/b
	ln -s "$W/outside" low/a/b
	ln -s "$W/outside" low/n
	run -1 umview commit --upper upper
	[ "$(ls outside)" = g ]
	[ "$(cat outside/g)" = mine ]
	run umview commit --force --upper upper
	[ "$(ls outside)" = g ]
	[ "$(cat outside/g)" = mine ]
}

@test "CM-09 an ordinary user commits what belongs to others, as far as he may, and is told what was not kept" {
	[ "$(id -u)" != 0 ] || skip "root may everything"
	need dpkg dpkg-deb
	umview --cow / --upper upper -- sh -ec 'echo x >>/etc/passwd; mkdir /opt/umview-test; cp /etc/hostname "$W/copy"; chmod 755 "$W/copy"'
	run -1 umview commit --upper upper
	[[ $output = *"/etc/passwd: Permission denied"* ]]
	[[ $output = *"/opt/umview-test: Permission denied"* ]]
	[ -x copy ]
	[ ! -e /opt/umview-test ]
	run -0 umview diff --upper upper
	[[ $output = *"M  /etc/passwd"* ]]
}

@test "CM-10 moved directories: renamed below, in whatever order they have to be" {
	mkdir -p low/d/sub low/d2/x low/d4/y low/d6
	for f in d/f d/g d/sub/s d2/x/x d4/y/y; do echo "$f" >low/$f; done
	ino=$(stat -c %i low/d/sub/s)
	umview --cow low --upper upper -- sh -ec 'cd low; mv d e; mv e/sub s2; echo new >e/new; echo ch >>e/f; rm e/g; mkdir -p n/m
		mv d2 n/m/d3; echo in >n/m/d3/in; mv d4 d5; rmdir d6; mv d5 d6; cd ..; '"$STATE" >want
	run -0 umview diff --upper upper
	[[ $output = *"R  $W/low/d6/ (was $W/low/d4/)"* ]]
	[[ $output = *"R  $W/low/s2/ (was $W/low/d/sub/)"* ]]
	[[ $output != *D\ \ $W/low/d/* ]]
	run -0 umview commit --upper upper
	state >got
	diff want got
	[ "$(stat -c %i low/s2/s)" = "$ino" ]
	[ -z "$(umview diff --upper upper)" ]
}

@test "CM-11 a file below with several names stays one file when it is committed, and what goes is counted" {
	mkdir -p low/d low/e
	echo one >low/a
	ln low/a low/b
	ln low/a low/d/c
	ln low/a low/e/gone
	umview --cow low --upper upper -- sh -ec 'cd low; echo two >>b; rm e/gone; ln b new; stat -c %h a; cat d/c'
	run -0 umview commit --upper upper
	[ "$(cat low/a)" = "$(printf 'one\ntwo')" ]
	[ low/a -ef low/b ]
	[ low/a -ef low/d/c ]
	[ low/a -ef low/new ]
	[ "$(stat -c %h low/a)" = 4 ]
	[ ! -e low/e/gone ]
	[ -z "$(ls upper/index)" ]
	[ -z "$(umview diff --upper upper)" ]
	run -0 umview --cow low --upper upper -- sh -c 'stat -c %h low/a; rm low/new; stat -c %h low/a'
	[ "$output" = "$(printf '4\n3')" ]
	run -0 umview commit --upper upper
	run -0 umview --cow low --upper upper -- stat -c %h low/a
	[ "$output" = 3 ]
	umview --cow low --upper upper -- sh -c 'echo three >>low/b; cat low/a >/dev/null; rm low/d/c'
	run -0 umview discard --upper upper low/b low/a low/d/c
	run -0 umview --cow low --upper upper -- sh -c 'cat low/a low/d/c; stat -c %h low/b'
	[ "$output" = "$(printf 'one\ntwo\none\ntwo\n3')" ]
	run -0 umview discard --upper upper
}

@test "CM-12 a removed directory that another one was moved into, or put in the place of, is left alone" {
	mkdir -p low/d/s low/e other/old new
	echo x >low/d/s/x
	echo p >other/old/p
	echo n >new/n
	sleep 0.05
	umview --cow low --upper upper -- rm -r low/d low/e
	sleep 0.05
	mv other/old low/d/old
	mv low/e gone
	mv new low/e
	run -1 umview commit --upper upper
	[[ $output = *"low/d: conflict, left alone: something in it"* ]]
	[[ $output = *"low/e: conflict, left alone: something in it"* ]]
	[ "$(cat low/d/old/p)" = p ]
	[ "$(cat low/e/n)" = n ]
	run -0 umview commit --force --upper upper
	[ -z "$(ls low)" ]
	# What was committed is forgotten: the next one of these names is another.
	mkdir -p low/d/s
	echo y >low/d/s/x
	sleep 0.05
	umview --cow low --upper upper -- rm -r low/d
	run -0 umview commit --upper upper
	[ -z "$(ls low)" ]
}

@test "CM-13 what may not be seen below is not taken for something that is not there; trouble everywhere is told, not a crash" {
	[ "$(id -u)" != 0 ] || skip "root sees everything"
	mkdir -p low/d low/n
	echo f >low/d/f
	umview --cow low --upper upper -- sh -c 'rm low/d/f; mkdir low/hidden; echo x >low/hidden/x; chmod 0 low/hidden'
	chmod 0 low/d
	run -1 umview commit --upper upper
	[[ $output = *"low/d/f: Permission denied"* ]]
	[[ $output = *"low/hidden: Permission denied"* ]]
	chmod 755 low/d low/hidden upper/tree/hidden
	[ -e low/d/f ]
	run -0 umview commit --upper upper
	[ ! -e low/d/f ]
	[ "$(cat low/hidden/x)" = x ]
}

@test "CM-14 what cannot be written out does not leave the session" {
	need strace
	mkdir low
	umview --cow low --upper upper -- sh -c 'mkdir low/d; echo x >low/d/f; echo s >low/d/s; ln low/d/s low/d/t'
	strace -f -o /dev/null -e inject=syncfs:error=EIO true || skip "strace cannot do that here"
	run -1 strace -f -o /dev/null -e inject=syncfs,fsync:error=EIO umview commit --upper upper
	[[ $output = *"low/d: cannot be written out: Input/output error"* ]]
	[ "$(cat upper/tree/d/f)" = x ]
	[ upper/tree/d/s -ef upper/tree/d/t ]
	strace -f -o trace -e trace=syncfs,unlinkat umview commit --upper upper
	grep -B 99 'unlinkat(.*"f"' trace | grep -q syncfs
	[ ! -e upper/tree/d/f ]
	[ ! -e upper/tree/d/t ]
	[ "$(cat low/d/f)" = x ]
}

@test "CM-15 files that their owner may not read are committed, killed at any moment or not" {
	[ -x "$KILLAT" ]
	new() {
		rm -rf low upper
		mkdir low
		echo old >low/b
		umview --cow low --upper upper -- sh -ec 'cd low; echo new >a; echo new >b; touch -d 2001-02-03 a; chmod 0 a; chmod 200 b'
	}
	new
	calls=$("$KILLAT" 0 umview commit --upper upper) || true
	for i in $(seq 20); do
		new
		"$KILLAT" $((calls / 3 + i * calls / 40)) umview commit --upper upper >log 2>&1 || true
		umview commit --upper upper
		[ "$(stat -c '%a %s %Y' low/a)" = "0 4 $(date -d 2001-02-03 +%s)" ]
		[ "$(stat -c '%a %s' low/b)" = '200 4' ]
		chmod 600 low/a low/b
		[ "$(cat low/a low/b)" = "$(printf 'new\nnew')" ]
		[ -z "$(ls upper/tree)" ]
	done
}

@test "CM-16 no room for an extended attribute: a commit leaves the file, and nothing is lost" {
	need strace python3
	mkdir low
	echo low >low/f
	xattr() { python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.k", b"v")' "$1"; }
	xattr low/f || skip "no extended attributes here"
	strace -f -o /dev/null -e inject=lsetxattr:error=ENOSPC true || skip "strace cannot do that here"
	umview --cow low --upper upper -- sh -c 'echo up >>low/f'
	run -1 strace -f -o /dev/null -e inject=lsetxattr:error=ENOSPC umview commit --upper upper
	[[ $output = *"low/f: No space left on device"* ]]
	[ "$(cat low/f)" = low ]
	run -0 umview commit --upper upper
	[ "$(cat low/f)" = "$(printf 'low\nup')" ]
	python3 -c 'import os; assert os.getxattr("low/f", "user.k") == b"v"'
}

@test "CM-17 no room for an extended attribute: a change of the file fails" {
	need python3
	shm=$(mktemp -d /dev/shm/um-test.XXXXXX) || skip "no /dev/shm here"
	echo low >"$shm/f"
	python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.k", b"v" * 30000)' "$shm/f" || { rm -r "$shm"; skip "no such attributes in /dev/shm"; }
	: >probe
	room=$(python3 -c 'import os
try: os.setxattr("probe", "user.k", b"v" * 30000)
except OSError as e: print(os.strerror(e.errno))')
	run umview --cow "$shm" --upper upper -- sh -c "echo up >>$shm/f"
	rm -r "$shm"
	[ "$room" = "No space left on device" ] || skip "such attributes, or none at all, here"
	[ "$status" = 2 ]
	[[ $output = *"No space left on device"* ]]
	[ -z "$(ls upper/tree upper/work | grep -v :)" ]
}

# Which names of this tree are one file, and what is in it.
names() {
	(cd "$1"; find . -type f -printf '%i %n %m %P\n' | sort -k4 | awk '{ if (!($1 in m)) m[$1] = ++k; print m[$1], $2, $3, $4 }'
		find . -type f | sort | xargs cat)
}

@test "CM-18 names of one file that are moved, replaced, linked or never looked at: after a commit they are one file where they would be natively" {
	local script
	for script in 'mv a z' 'mv a z; echo k >a' 'mv a z; echo two >>z' 'ln a z; rm a' 'mv a z; rm b; mv c b' 'cp -p a z; ln -f z b' 'cp -p a z; mv z b' \
		'echo two >>a; mv a d/z; rm -r d; ln b a' 'mv d D; echo q >>D/e' 'mv d D; echo q >>b' 'mv a q; mv b a; mv q b' \
		'echo 2 >>a; mv a q; echo n >a; ln a b2; mv b2 b' 'rm a; echo x >a; ln a f' 'chmod 600 a; rm c; ln d/e c; echo q >d/q; mv d/q b' \
		'echo two >>a; echo new >n; mv n b' 'mv a z; rm -r d; mkdir d; echo n >d/e'; do
		rm -rf low native upper
		mkdir -p low/d
		echo one >low/a
		for name in b c d/e; do ln low/a low/$name; done
		cp -a low native
		(cd native && sh -ec "$script")
		umview --cow low --upper upper -- sh -ec "cd low; $script"
		umview commit --upper upper
		echo "$script"
		diff <(names native) <(names low)
	done
}

@test "CM-19 names of one file, and a commit that is killed at any moment, also when it is repeated: in the end they are one file" {
	local script calls i
	[ -x "$KILLAT" ]
	for script in 'mv a z; echo two >>z' 'echo two >>a' 'rm b; echo two >>d/e' 'mv d D; echo q >>D/e'; do
		for ((i = 0, calls = 200; i < calls; i += 7)); do
			rm -rf low native upper
			mkdir -p low/d
			echo one >low/a
			for name in b c d/e d/f; do ln low/a low/$name; done
			cp -a low native
			(cd native && sh -ec "$script")
			umview --cow low --upper upper -- sh -ec "cd low; $script"
			if [ "$i" = 0 ]; then
				calls=$("$KILLAT" 0 umview commit --upper upper) || true
			else
				"$KILLAT" "$i" umview commit --upper upper >log 2>&1 || true
				[ ! -d upper ] || "$KILLAT" "$((i * 7 % calls))" umview commit --upper upper >log 2>&1 || true
				[ ! -d upper ] || umview commit --upper upper
			fi
			echo "$script, killed at $i of $calls"
			[ "$(names native)" = "$(names low)" ]
		done
	done
}

@test "CM-20 two directories that have changed places: not committed, and said; nothing below is lost" {
	mkdir -p low/c/b low/c/c
	echo B >low/c/b/f
	echo C >low/c/c/f
	umview --cow "$PWD/low" --upper "$PWD/up" -- python3 -B -c '
import ctypes
assert ctypes.CDLL(None).renameat2(-100, b"low/c/c", -100, b"low/c/b", 2) == 0'
	run -1 umview commit --upper up
	[[ $output = *"c/b: left alone: the directory cannot be moved there below"* ]]
	[ "$(cat low/c/b/f low/c/c/f)" = "$(printf 'B\nC')" ]
	[ "$(umview --cow "$PWD/low" --upper "$PWD/up" -- cat low/c/b/f low/c/c/f)" = "$(printf 'C\nB')" ]
}
