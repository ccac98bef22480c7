#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Copy-on-write over what is virtual itself: a mounted image, a bind mount, another copy-on-write mount.
load common

contents() {	# contents IMAGE: all there is in it
	umview --mount-opts ro --mount "$1" mnt -- sh -c 'cd mnt; find . -type f -exec cksum {} + | sort; find . -printf "%P %y %m %U %G %n %i %l\n" | sort'
}

sessions() {
	ls -A "$HOME/.local/state/umview" 2>/dev/null || true
}

# Changes of every kind at DIR.
cat_change() {
	cat >change.sh <<-'END'
		set -e
		cd "$1"
		echo more >>hello
		rm -r docs/deep
		mkdir -p new/er
		echo n >new/er/file
		mv docs/numbers new/
		chmod 750 bin
		echo through >>docs/up
		ln -sfn nowhere link
	END
}

changed="a  %s/bin/ (mode 0755 -> 0750)
D  %s/docs/deep/
D  %s/docs/numbers
M  %s/hello
M  %s/link
A  %s/new/
A  %s/new/er/
A  %s/new/er/file
A  %s/new/numbers"

changes_of() {	# changes_of DIR: what diff says of them
	# shellcheck disable=SC2059,SC2086
	printf "$changed" "$1" "$1" "$1" "$1" "$1" "$1" "$1" "$1" "$1"
}

@test "CO-01 a mounted image: nothing of it changes; the session goes on over it, and is reviewed where it is mounted" {
	need fuse2fs
	ext4 img
	cat_change
	contents img >before
	umview --mount img mnt --cow mnt --upper upper -- sh change.sh mnt
	contents img >after
	diff before after
	grep -qx "over fuse.ext4 $W/img" upper/info

	run -2 umview diff --upper upper
	[[ $output == *"upper: holds changes of what fuse.ext4 $W/img has at $W/mnt; give the command in a view in which that is mounted there" ]]
	run ! umview --cow mnt --upper upper -- true
	[[ $output == *"which is not mounted there now"* ]]

	run -0 umview --mount img mnt -- umview diff --upper upper
	[ "$output" = "$(changes_of "$W/mnt")" ]
	run -0 umview --mount img mnt --cow mnt --upper upper -- sh -c 'cat mnt/hello; tail -1 mnt/new/numbers; ls mnt/docs; readlink mnt/link'
	[ "$output" = "hello from the image
more
through
20000
up
nowhere" ]

	umview --mount img mnt -- umview commit --upper upper mnt/new
	run -0 umview --mount img mnt -- sh -c 'cat mnt/new/er/file; umview diff --upper upper --stat | tail -1; ls mnt/docs'
	[ "${lines[0]}" = n ]
	[ "${lines[1]}" = "$W/mnt: 2 changed, 2 deleted, 1 with other attributes; 34 bytes in files" ]
	umview --mount img mnt -- umview commit --upper upper
	run -0 umview --mount img mnt -- sh -c 'cat mnt/hello; ls mnt/docs mnt/new; stat -c %a mnt/bin; umview diff --upper upper'
	[ "$output" = "hello from the image
more
through
mnt/docs:
up

mnt/new:
er
numbers
750" ]
	clean img
}

@test "CO-02 the same from within the view: diff, commit and discard see what is below, and guests go on" {
	need fuse2fs
	ext4 img
	cat_change
	cat >within.sh <<-'END'
		set -e
		exec 5<mnt/hello 6>>mnt/new.log
		sh change.sh mnt
		umview diff --stat | tail -1
		umview commit mnt/new mnt/bin
		umview diff --stat | tail -1
		umview discard mnt/docs/deep
		cat mnt/docs/deep/er/file
		cat <&5
		echo goes on >&6
		cat mnt/new.log mnt/new/er/file
		umview diff
	END
	run -0 umview --mount img mnt --cow mnt --upper upper -- sh within.sh
	[ "$output" = "$W/mnt: 5 added, 2 changed, 2 deleted, 1 with other attributes; 108930 bytes in files
$W/mnt: 1 added, 2 changed, 2 deleted; 34 bytes in files
deep
hello from the image
goes on
n
D  $W/mnt/docs/numbers
M  $W/mnt/hello
M  $W/mnt/link
A  $W/mnt/new.log" ] || {
		echo "$output"
		false
	}
	run -0 umview --mount-opts ro --mount img mnt -- sh -c 'cat mnt/hello mnt/new/er/file; stat -c %a mnt/bin; ls mnt'
	[ "$output" = "hello from the image
n
750
bin
docs
hello
link
lost+found
new" ]
	clean img
}

@test "CO-03 views in views, each with --cow /: a commit of the inner one is a change of the outer one" {
	mkdir -p low/sub
	echo one >low/f
	echo two >low/sub/g
	cat >inner.sh <<-'END'
		set -e
		echo inner >>low/f
		rm -r low/sub
		echo kept >low/kept
		umview diff
		umview commit low/kept
	END
	cat >outer.sh <<-'END'
		set -e
		echo outer >>low/f
		umview --cow / -- sh inner.sh
		echo "-- outer"
		cat low/f low/kept low/sub/g
		umview diff --session "$(ls "$HOME/.local/state/umview" | tail -1)"
		umview commit --session "$(ls "$HOME/.local/state/umview" | tail -1)"
		cat low/f
		ls low
	END
	run -0 umview --cow / --upper "$W/upper" -- sh outer.sh
	said=$output
	[ "$(sed '/changes of it are in session/d' <<<"$said")" = "M  $W/low/f
A  $W/low/kept
D  $W/low/sub/
-- outer
one
outer
kept
two
M  $W/low/f
D  $W/low/sub/
one
outer
inner
f
kept" ] || {
		echo "$said"
		false
	}
	[ "$(cat low/f low/sub/g)" = "one
two" ]
	[ -z "$(sessions)" ]
	run -0 umview diff --upper upper low
	[ "$output" = "M  $W/low/f
A  $W/low/kept
D  $W/low/sub/" ]
}

@test "CO-04 umview try within --cow /, as an ordinary user with --fakeroot: what is kept is kept in the outer session" {
	need make
	mkdir -p src dst
	echo 'a program' >src/prog
	printf 'install:\n\tmkdir -p %s/dst/bin\n\tcp src/prog %s/dst/bin\n\tchown 7:7 %s/dst/bin/prog\n' "$W" "$W" "$W" >Makefile
	run -0 umview --cow / --fakeroot --upper "$W/upper" -- sh -c 'umview try make -s install </dev/null; test ! -e dst/bin
		umview commit --session "$(ls "$HOME/.local/state/umview")" "$PWD/dst"; stat -c "%u %g" dst/bin/prog; cat dst/bin/prog'
	[ "${lines[-2]}" = "7 7" ]
	[ "${lines[-1]}" = "a program" ]
	[ ! -e dst/bin ]
}

@test "CO-05 programs over a read-only image: git, tar, rm -r, sed -i, a build, and what they make" {
	need mksquashfs squashfuse git tar gcc make
	mkdir src
	for i in $(seq 40); do
		mkdir -p "src/d$i"
		echo "int f$i(void) { return $i; }" >"src/d$i/f.c"
	done
	printf 'int main(void) { return 0; }\n' >src/main.c
	printf 'all: $(patsubst %%.c,%%.o,$(wildcard *.c */*.c))\n' >src/Makefile
	git -C src init -q
	git -C src add .
	git -C src -c user.name=t -c user.email=t@example.org commit -qm first
	squash img src
	cat >work.sh <<-'END'
		set -e
		git config --global --add safe.directory '*'
		cd "$1"
		git status --porcelain
		sed -i 's/return/return 1 +/' d1/f.c
		git mv d2/f.c d2/g.c
		git -c user.name=t -c user.email=t@example.org commit -qam second
		git log --format=%s
		make -s -j2 all
		ls d2 d3
		tar cf - --exclude=.git . | tar tf - | sort
		rm -r d4 .git
		test ! -e d4
		git init -q
		git add .
		git status --porcelain | wc -l
		rm -rf ./* .git
		ls -A
	END
	cp -a src plain
	sh work.sh plain >expected
	run -0 umview --mount img mnt --cow mnt --upper upper -- sh work.sh mnt
	diff expected - <<<"$output"
	run -0 umview --mount img mnt -- sh -c 'ls mnt | wc -l; umview diff --upper upper | grep -c ^D'
	[ "${lines[0]}" = 42 ]
	run -0 umview --mount img mnt --cow mnt --cow mnt -- sh work.sh mnt
	diff expected - <<<"$(sed '/changes of it are in session/d' <<<"$output")"
}

@test "CO-06 an image, a copy-on-write mount over it, another over that, and over a bind mount; each has its own" {
	need fuse2fs
	ext4 img
	mkdir low
	echo bound >low/hello
	echo there >low/in-low
	cat >each.sh <<-'END'
		set -e
		cat "$1/hello" "$1/$2" 2>&1
		echo "$3" >>"$1/hello"
		echo "$3" >"$1/$3"
		ls "$1"
	END
	run -0 umview --mount img mnt --cow mnt --upper first -- sh -c '
		echo first >mnt/first; rm mnt/link
		umview --cow mnt --upper second -- sh -ec "
			sh each.sh mnt first second
			ls mnt; cat mnt/hello"
		cat mnt/hello; ls mnt
		umview --bind low mnt --cow mnt --upper third -- sh each.sh mnt in-low third'
	[ "$output" = "hello from the image
first
bin
docs
first
hello
lost+found
second
bin
docs
first
hello
lost+found
second
hello from the image
second
hello from the image
bin
docs
first
hello
lost+found
bound
there
hello
in-low
third" ] || {
		echo "$output"
		false
	}
	[ "$(cat low/hello; ls low)" = "bound
hello
in-low" ]
}

@test "CO-07 the server of what is below dies: what was copied is there, the rest is an error, nobody waits" {
	need fuse2fs
	ext4 img
	cat >dies.sh <<-'END'
		echo copied >>mnt/hello
		echo new >mnt/new
		kill -9 $(umview ls --json | sed -n 's/.*"server": \([0-9]*\),/\1/p')
		sleep 0.2
		cat mnt/hello mnt/new
		cat mnt/docs/numbers 2>&1 || echo failed
		echo x >>mnt/docs/numbers || echo failed
		rm mnt/new && echo removed
		ls mnt >list 2>&1; echo $?
	END
	run umview --mount img mnt --cow mnt --upper upper -- sh dies.sh
	[ "${lines[0]}" = "hello from the image" ]
	[ "${lines[1]}" = copied ]
	[ "${lines[2]}" = new ]
	[[ $output == *"not connected"*failed*failed*removed* ]]
}

@test "CO-08 what cannot be says so: mincow, merges, a session that is itself in an image; directories are moved by copying" {
	need fuse2fs
	ext4 img
	mkdir names
	run ! umview --mount img mnt -- umview mount -t mincow mnt
	[[ $output == *"is of a mount (fuse.ext4 $W/img) already, and only \`cow\` goes over those, not \`mincow\`" ]]
	run ! umview --mount img mnt --merge names mnt --cow mnt -- true
	[[ $output == *"cannot be copied on write: the view has merge mounts"* ]]
	run ! umview --mount img mnt --cow mnt --upper mnt/session -- true
	[[ $output == *"a session cannot be kept in a mounted image; give another place with --upper DIR"* ]]
	mkdir other
	run ! umview --mount img mnt --cow mnt --bind mnt/docs other -- true
	[[ $output == *"mnt/docs: is in a copy-on-write mount over a mount of the view; a bind mount cannot show it"* ]]
	run -0 umview --mount img mnt --cow mnt -- sh -c 'python3 -c "import os; os.rename(\"mnt/docs\", \"mnt/d\")" 2>&1 | tail -1; mv mnt/docs mnt/d; ls mnt mnt/d; mkdir mnt/x; mv mnt/x mnt/y; ls -d mnt/y'
	[ "$(sed '/changes of it are in session/d' <<<"$output")" = "OSError: [Errno 18] Invalid cross-device link: 'mnt/docs' -> 'mnt/d'
mnt:
bin
d
hello
link
lost+found

mnt/d:
deep
numbers
up
mnt/y" ] || {
		echo "$output"
		false
	}
}

# What is below, in $1, and a twin and links in it.
given() {
	tree
	cp -a "$T" "$1"
	ln "$1/hello" "$1/twin"
	ln -s docs/new "$1/dangling"
	ln -s docs "$1/to"
}

@test "CO-09 descriptors, and what /proc leads to: what is below stays as it is, whoever's it is" {
	need fuse2fs
	given plain
	given low
	ext4 img 32M low
	find low -printf '%P %y %m %s %T@ %n %l\n' | sort >before
	contents img >image
	python3 "$BATS_TEST_DIRNAME/cowover.py" plain >expected
	for over in "--mount img mnt" "--bind low mnt" "--bind low mnt --cow mnt --upper first" "--mount img mnt --cow mnt --upper second"; do
		read -ra words <<<"$over"
		umview "${words[@]}" -- sh -ec '
			case $2 in *first*|*second*) touch mnt/hello mnt/docs/numbers mnt/docs/deep/er/file mnt/bin/script ;; esac
			umview --cow mnt --upper own -- python3 "$1" mnt' sh "$BATS_TEST_DIRNAME/cowover.py" "$over" >got
		diff expected got || {
			echo "over $over"
			false
		}
		find low -printf '%P %y %m %s %T@ %n %l\n' | sort | diff before -
		rm -rf own
	done
	contents img | diff image -
}

@test "CO-10 what is mounted inside of a bind mount's other end is not copied, by name or by descriptor" {
	mkdir -p X P/b mnt
	echo x >X/f
	umview --bind X P/b --bind P mnt --cow mnt --upper upper -- sh -ec 'echo 1 >>mnt/b/f; cd mnt/b; echo 2 >>f; rm f; echo 3 >g; cd "$W"; mkdir mnt/own'
	[ "$(cat X/g)" = 3 ]
	[ ! -e X/f ]
	[ ! -e P/own ]
	(cd upper/tree; find . | sort) | diff <(printf '.\n./own\n') -
}

@test "CO-11 a name hidden below is not in listings, copied or not; chattr of what has no copy is refused" {
	need chattr lsattr
	mkdir -p low/docs mnt
	echo g >low/docs/g
	echo h >low/docs/h
	run -0 umview --hide low/docs/g --bind low mnt --cow mnt --upper upper -- sh -c 'ls mnt/docs; touch mnt/docs/x; ls mnt/docs; cat mnt/docs/g || :'
	[ "$output" = "h
h
x
cat: mnt/docs/g: No such file or directory" ]
	run ! umview --cow low --upper own -- chattr +d low/docs/h
	[[ $output == *"not supported"* ]]
	[[ $(lsattr low/docs/h) != *d*low* ]]
}

@test "CO-12 two sessions over one another: each name of a file leads to the newest copy; link counts of other images are their own" {
	need fuse2fs
	given low
	ext4 img 32M low
	ext4 other 32M low
	mkdir mnt2
	run -0 umview --bind low mnt --cow mnt --upper first -- sh -c '
		echo A >>mnt/hello; umview --cow mnt --upper second -- sh -c "cat mnt/twin; echo B >>mnt/twin; cat mnt/hello"; cat mnt/twin'
	[ "$output" = "hello from the image
A
hello from the image
A
B
hello from the image
A" ]
	run -0 umview --mount img mnt --cow mnt --upper third --mount other mnt2 -- sh -c 'rm mnt/hello mnt/twin; stat -c %h mnt2/hello'
	[ "$output" = 2 ]
}

@test "CO-13 secure mode over a bind mount and an image: permissions are those that the view shows" {
	need fuse2fs
	given low
	echo secret >low/secret
	chmod 600 low/secret
	echo own >low/own
	mkdir -m 1777 low/sticky
	touch low/sticky/f
	ext4 img 32M low
	cat >secure.py <<-'END'
		import os
		os.chdir("mnt")
		os.chown("own", 1234, 1234)
		os.chown("secret", 0, 0)
		os.chown("docs", 0, 0)
		os.setgroups([])
		os.setgid(1234)
		os.setuid(1234)
		def said(name, work, *args):
		    try:
		        r = work(*args)
		    except OSError as e:
		        r = e.strerror
		    print(name, r)
		said("unlink", os.unlink, "docs/numbers")
		said("secret", lambda: open("secret", "r+").read())
		said("read", lambda: open("secret").read())
		said("truncate", os.truncate, "hello", 0)
		said("sticky", os.unlink, "sticky/f")
		said("new", lambda: open("docs/n", "w"))
		said("own", lambda: open("own", "a").write("x"))
		said("chmod", os.chmod, "hello", 0o777)
	END
	for over in "--mount img mnt" "--bind low mnt"; do
		read -ra words <<<"$over"
		run -0 umview --fakeroot --secure "${words[@]}" --cow mnt --upper upper -- python3 secure.py
		[ "$output" = "unlink Permission denied
secret Permission denied
read Permission denied
truncate Permission denied
sticky Operation not permitted
new Permission denied
own 1
chmod Operation not permitted" ] || {
			echo "$over: $output"
			false
		}
		rm -rf upper
	done
}
