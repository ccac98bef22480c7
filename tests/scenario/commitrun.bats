#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# umview commit and umview discard of a session that a view is working on.
BATS_TEST_TIMEOUT=480
load common
KILLAT=${BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/lib/killat

STATE='cd low; find . -printf "%P %y %m %U %G %n %s %T@ %l\n" | grep -v " d " | sort; find . -type d -printf "%P %m\n" | sort
	find . -type f -exec cksum {} + | sort'

@test "CR-01 commit while a view works: below is what the session showed, the view sees the same as before, and goes on" {
	mkdir -p low/a/b low/gone/x low/keep
	echo one >low/f
	echo two >low/a/b/g
	echo z >low/gone/x/z
	echo m >low/m
	echo k >low/keep/k
	SHOW='cd low; find . -printf "%P %y %m %n %s %i %l\n" | sort; find . -type f -exec cksum {} + | sort'
	background_view 'cd low; exec 5<f; echo more >>f; rm -r gone; mkdir gone; echo n >gone/n; chmod 600 m; mkdir -p new/er
		echo x >new/er/x; rm a/b/g; ln -s f l; cd ..; ('"$SHOW"') >before; hold; ('"$SHOW"') >after; cat low/f >f.seen
		cat low/f - <&5 >five.seen; rm low/new/er/x; echo last >>low/f; rm -r low/gone; mv low/new low/old; echo g >low/a/b/g' \
		--cow low --upper upper
	run -0 umview commit --upper upper
	[ -z "$output" ]
	[ "$(cat low/f)" = "$(printf 'one\nmore')" ]
	[ "$(cat low/new/er/x)" = x ]
	[ ! -e low/a/b/g ]
	[ ! -e low/gone/x ]
	[ "$(cat low/gone/n)" = n ]
	[ "$(stat -c %a low/m)" = 600 ]
	[ "$(readlink low/l)" = f ]
	[ -z "$(umview diff --upper upper)" ]
	run -0 umview commit --upper upper
	release
	diff before after
	run -0 umview diff --upper upper
	[ "$output" = "A  $W/low/a/b/g
M  $W/low/f
D  $W/low/gone/
D  $W/low/new/
A  $W/low/old/
A  $W/low/old/er/" ]
	run -0 umview commit --upper upper
	[ "$(tail -n 1 low/f)" = last ]
	[ ! -e low/new ]
	[ ! -e low/gone ]
	[ -z "$(ls low/old/er)" ]
	[ "$(cat low/a/b/g)" = g ]
	[ -z "$(ls upper/tree)" ]
}

@test "CR-02 what is open for writing is named and left; --force, or a commit later, takes it; nothing that is written is lost" {
	mkdir low
	echo one >low/log
	echo one >low/other
	background_view 'exec 5>>low/log; echo two >&5; echo two >>low/other; hold; echo three >&5' --cow low --upper upper
	run -1 umview commit --upper upper
	[[ $output = *"low/log: is open for writing, or changes, in the view: left in the session; "* ]]
	[ "$(cat low/log)" = one ]
	[ "$(cat low/other)" = "$(printf 'one\ntwo')" ]
	run -0 umview diff --upper upper
	[ "$output" = "M  $W/low/log" ]
	run -0 umview commit --force --upper upper low/log
	[ "$(cat low/log)" = "$(printf 'one\ntwo')" ]
	release
	run -0 umview diff --upper upper
	[ "$output" = "M  $W/low/log" ]
	run -0 umview commit --upper upper
	[ "$(cat low/log)" = "$(printf 'one\ntwo\nthree')" ]
}

@test "CR-03 moved directories, and files with several names below, are left while a view works; the rest is done" {
	mkdir -p low/d/s low/e
	echo s >low/d/s/s
	echo one >low/a
	ln low/a low/b
	background_view 'mv low/d low/moved; echo two >>low/a; echo x >low/moved/new; echo x >low/x; ln low/x low/y; hold' --cow low --upper upper
	run -1 umview commit --upper upper
	[[ $output = *"low/moved: left alone: a moved directory is not committed while a view works on the session"* ]]
	[[ $output = *"low/d: left alone: a moved directory is not "* ]]
	[[ $output = *"low/a: left alone: it has several names below, and is not "* ]]
	[ "$(cat low/b low/d/s/s)" = "$(printf 'one\ns')" ]
	[ low/x -ef low/y ]
	release
	run -0 umview commit --upper upper
	[ "$(cat low/b low/moved/s/s low/moved/new)" = "$(printf 'one\ntwo\ns\nx')" ]
	[ low/a -ef low/b ]
	[ low/x -ef low/y ]
	[ ! -e low/d ]
	[ -z "$(umview diff --upper upper)" ]
}

@test "CR-04 a conflict is one while a view works, too; a second command is refused; who ends meanwhile does no harm" {
	mkdir low
	echo one >low/f
	echo one >low/g
	background_view 'echo two >low/f; echo two >low/g; hold' --cow low
	sleep 0.02
	echo other >low/f
	run -1 umview commit
	[[ $output = *"low/f: conflict, left alone: it has been changed below since"* ]]
	[ "$(cat low/f low/g)" = "$(printf 'other\ntwo')" ]
	exec 7>"$(echo "$HOME"/.local/state/umview/*)/reviewing"
	flock 7
	run -2 umview commit
	[[ $output = *"is in use by "* ]]
	exec 7>&-
	run -0 umview commit -f
	[ "$(cat low/f)" = two ]
	release
	[ -z "$(ls "$HOME/.local/state/umview")" ]
}

@test "CR-05 commit killed at 100 points while a view works, and begun again: nothing is lost, nothing half, the view sees nothing of it" {
	[ -x "$KILLAT" ]
	mkdir low
	for i in $(seq 0 100); do
		mkdir -p low/$i/a/b low/$i/gone/x low/$i/tofile
		for f in f a/b/g gone/x/z m rep todir tofile/q; do echo "$f" >low/$i/$f; done
		ln -s f low/$i/l
		truncate -s 300K low/$i/sparse
	done
	cp -a low old
	PATIENCE=2000 background_view 'for i in $(seq 0 100); do cd low/$i
		echo more >>f; rm -r gone; mkdir gone; echo n >gone/n; chmod 600 m; ln -sfn a l; echo r >rep.t; mv rep.t rep
		rm a/b/g; mkdir -p new/er; echo x >new/er/x; rm -r tofile; echo f >tofile; rm todir; mkdir todir; mkfifo fifo
		printf end >>sparse; echo L >one; ln one two; ln one a/three; touch -d 2001-02-03 new/er/x; cd ../..; done
		'"($STATE) >want; hold; ($STATE) >seen" --cow low --upper upper
	umview diff --upper upper low/0 >log	# the first review makes whiteouts that were put off
	calls=$("$KILLAT" 0 umview commit --upper upper low/0) || true
	[ "$calls" -gt 300 ]
	killed=0
	for i in $(seq 100); do
		if "$KILLAT" $((i * calls / 100)) umview commit --upper upper low/$i >log 2>&1; then
			killed=$((killed + 1))
			for f in f m rep sparse; do
				cmp -s low/$i/$f old/$i/$f || cmp -s low/$i/$f upper/tree/$i/$f || { echo "half: $f at $i"; false; }
			done
		fi
		umview commit --upper upper low/$i >log 2>&1 || { cat log; echo "at $i of $calls"; false; }
		[ -z "$(umview diff --upper upper low/$i)" ]
	done
	release
	diff want seen
	(eval "$STATE") >got
	diff want got
	umview commit --upper upper
	[ -z "$(find upper/tree ! -type d)" ]
	(eval "$STATE") >got
	diff want got
	echo "killed $killed of 100, $calls calls"
	[ "$killed" -gt 80 ]
}

@test "CR-06 a view that makes, moves and removes names, commits all the while: what it saw last is what comes to be below" {
	need python3
	cat >busy.py <<-'END'
		import os, random, sys
		random.seed(int(sys.argv[1])); os.chdir("low")
		files, dirs, n = {"old/%d" % i: "%d\n" % i for i in range(1, 41)}, ["", "old"], 0
		def check(p, want):
		    try:
		        got = open(p).read()
		    except FileNotFoundError:
		        got = None
		    if got != want:
		        print("%s is %r, not %r" % (p, got, want)); sys.exit(1)
		for step in range(1000000):
		    if step % 40 == 20 and os.path.exists("../stop"):
		        break
		    what, n = random.randrange(8), n + 1
		    some = random.choice(sorted(files)) if files else None
		    new = os.path.join(random.choice(dirs), "n%d" % random.randrange(30))
		    if what <= 1:
		        if new in dirs: continue
		        open(new, "w").write("%d\n" % n); files[new] = "%d\n" % n
		    elif what <= 3 and some:
		        check(some, files[some]); os.unlink(some); check(some, None); del files[some]
		    elif what == 4 and some and new not in dirs and new != some:
		        os.rename(some, new); files[new] = files.pop(some); check(some, None); check(new, files[new])
		    elif what == 5 and some:
		        open(some, "a").write("more\n"); files[some] += "more\n"
		    elif what == 6 and len(dirs) < 6 and new not in files and new not in dirs:
		        os.mkdir(new); dirs.append(new)
		    elif what == 7 and len(dirs) > 3:
		        d = dirs[-1]
		        if not [f for f in files if f.startswith(d + "/")] and not [e for e in dirs if e.startswith(d + "/")]:
		            if os.listdir(d): print("not empty:", d, os.listdir(d)); sys.exit(1)
		            os.rmdir(d); dirs.remove(d)
		for f in files: check(f, files[f])
		there = sorted(os.path.join(p, f)[2:] for p, _, fs in os.walk(".") for f in fs)
		if there != sorted(files): print("names:", set(there) ^ set(files)); sys.exit(1)
		print("steps", step)
	END
	for seed in 1 2; do
		rm -rf stop low upper
		mkdir -p low/old
		for i in $(seq 40); do echo "$i" >"low/old/$i"; done
		umview --cow low --upper upper -- sh -c "python3 busy.py $seed; s=\$?; (cd low; find . -type f -exec cksum {} + | sort) >seen; exit \$s" \
			</dev/null >bg.log 2>&1 3>&- &
		V=$!
		until_true test -e upper/tree/n1 -o -e upper/tree/old
		commits=0
		while kill -0 "$V" 2>/dev/null && [ "$commits" -lt 20 ]; do
			umview commit --upper upper >log 2>&1 || [ $? = 1 ]
			fails grep -v -e 'is open for writing' -e 'done, ' log
			commits=$((commits + 1))
		done
		: >stop
		wait "$V" || { cat bg.log; false; }
		cat bg.log
		umview commit --upper upper || { umview diff --upper upper; false; }
		(cd low; find . -type f -exec cksum {} + | sort) >got
		diff seen got
		[ -z "$(find upper/tree ! -type d)" ]
		echo "seed $seed: $commits commits"
		[ "$commits" -gt 10 ]
	done
}

@test "CR-07 discard while a view works: below shows again there, at once; what is written, moved or of another type is left, and named" {
	mkdir -p low/d/s low/keep low/tofile low/gone low/mv low/inbox
	for f in f g h log d/s/s keep/k todir two.a mv/m; do echo below >low/$f; done
	ln low/two.a low/two.b
	chmod 640 low/h
	ln -s f low/l
	ino=$(stat -c %i low/f)
	background_view 'cd low; echo up >>f; rm g; chmod 600 h; chmod 700 d; echo up >d/s/s; mkdir -p new/er; echo x >new/er/x; ln -sfn g l
		exec 5>>log; echo up >&5; exec 6<f; rm todir; mkdir todir; rm -r gone; mkdir gone; mv mv moved; echo up >>two.a; echo a >added
		mkdir box; mv inbox box
		hold; exec 5>&-; cat f g h d/s/s two.b; readlink l; ls; stat -c "%a %i" f h d; cat <&6; echo again >>f; echo again >g' \
		--cow low --upper upper
	run -1 umview discard --upper upper
	echo "$output"
	[ "$(sort <<<"$output" | sed "s,umview: discard: $W/low/,,")" = "box: left alone: a moved directory is not discarded while a view works on the session
gone: left alone: what replaces another directory is not discarded while a view works on the session
inbox: is shown by the session at another place, where it was moved; discard that
log: left alone: it is open for writing in the view; discard it later
moved: left alone: a moved directory is not discarded while a view works on the session
mv: is shown by the session at another place, where it was moved; discard that
todir: left alone: what replaces something of another type is not discarded while a view works on the session
two.a: left alone: it has several names below, and is not discarded while a view works on the session" ]
	run -0 umview diff --upper upper
	[ "$(cut -c 1-3 <<<"$output" | sort | tr -d '\n')" = 'A  M  M  R  R  T  ' ] || { echo "$output"; false; }
	release
	cat bg.log
	[ "$(cat bg.log)" = "below
below
below
below
below
up
f
box
d
f
g
gone
h
keep
l
log
moved
todir
tofile
two.a
two.b
644 $ino
640 $(stat -c %i low/h)
755 $(stat -c %i low/d)
below
up" ]
	run -0 umview diff --upper upper low/f low/g
	[ "$output" = "M  $W/low/f
M  $W/low/g" ]
	run -0 umview discard --upper upper
}

@test "CR-08 names that are read all the while are never missing while their changes are discarded" {
	need python3
	mkdir low
	for i in $(seq 50); do echo "below $i" >low/$i; done
	cat >read.py <<-'END'
		import os, sys
		for i in range(1, 51): open("low/%d" % i, "w").write("up %d\n" % i)
		open("held", "w").close()
		n, seen = 0, set()
		while not os.path.exists("stop"):
		    for i in range(1, 51):
		        got = open("low/%d" % i).read()
		        if got not in ("below %d\n" % i, "up %d\n" % i): print("half:", got); sys.exit(1)
		        seen.add(got[0])
		        n += 1
		    if len(os.listdir("low")) != 50: print(os.listdir("low")); sys.exit(1)
		print(n, seen)
	END
	umview --cow low --upper upper -- python3 read.py </dev/null >bg.log 2>&1 3>&- &
	V=$!
	until_true test -e held
	run -0 umview discard --upper upper
	: >stop
	wait "$V" || { cat bg.log; false; }
	[ -z "$(umview diff --upper upper)" ]
	[ -z "$(ls upper/work)" ]
}

@test "CR-09 diff, commit and discard inside of the view that works on the session" {
	mkdir low
	for f in f g h; do echo below >low/$f; done
	in_view --cow low --upper upper >log 2>&1 <<-'END'
		for f in f g h; do echo up >>low/$f; done
		umview diff >seen
		cut -c 1-3 seen | tr -d '\n'
		cd low
		umview commit f
		umview discard g
		umview diff --upper ../upper
		cat f g h
		cd ..
		umview commit low/none && exit 1
		umview commit --nonsense && exit 1
		umview diff --stat low | tail -n 1
	END
	cat log
	[ "$(cat low/f low/g low/h)" = "$(printf 'below\nup\nbelow\nbelow')" ]
	[ "$(sed "s,$W/,,g" log)" = "M  M  M  M  low/h
below
up
below
below
up
umview: commit: low/none: is neither in the session nor below
umview: commit: unknown option --nonsense, or it lacks its value; try umview commit --help
all of these: 1 changed; 9 bytes in files" ]
	run umview -s --cow low --upper upper -- umview commit low/h
	[ "$status" = 2 ]
	[[ $output = *"not in secure mode"* ]]
	[ "$(cat low/h)" = below ]
	run -0 umview --cow low --upper upper -- umview commit
	[ "$(cat low/h)" = "$(printf 'below\nup')" ]
}
