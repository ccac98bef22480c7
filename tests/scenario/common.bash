# SPDX-License-Identifier: GPL-2.0-or-later
# What every scenario starts from: an empty directory $W as working directory, umview on PATH, images made from
# one small tree, and after the test the leak check.
# shellcheck shell=bash

export BATS_TEST_TIMEOUT=${BATS_TEST_TIMEOUT:-55}
: "${UMVIEW:=$BATS_TEST_DIRNAME/../../build/umview}"
UMVIEW=$(realpath "$UMVIEW")
export UMVIEW LC_ALL=C
PATH=$(dirname "$UMVIEW"):$PATH:/usr/sbin:/sbin
. "$BATS_TEST_DIRNAME/../lib/leak.sh"
bats_require_minimum_version 1.5.0

setup() {
	W=$BATS_TEST_TMPDIR/w
	LEAK_DIR=$BATS_TEST_TMPDIR
	mkdir -p "$W" "$W/mnt"
	export HOME=$BATS_TEST_TMPDIR W
	cd "$W" || return 1
	leak_before
}

teardown() {
	local left
	cd / || return 1
	if ! left=$(leak_after); then
		echo "left behind: $left"
		return 1
	fi
}

need() {	# need PROGRAM...: or the test is skipped
	local p
	for p; do
		command -v "$p" >/dev/null || skip "no $p here"
	done
}

# The tree that all images hold.  Made once for a file of tests.
tree() {
	T=$BATS_FILE_TMPDIR/tree
	[ ! -d "$T" ] || return 0
	mkdir -p "$T/docs/deep/er" "$T/bin"
	echo 'hello from the image' >"$T/hello"
	seq 1 20000 >"$T/docs/numbers"
	echo deep >"$T/docs/deep/er/file"
	ln -s docs/numbers "$T/link"
	ln -s ../hello "$T/docs/up"
	printf '#!/bin/sh\necho "script in the image: $0 $*"\nexit 5\n' >"$T/bin/script"
	cp "$(command -v seq)" "$T/bin/seq"
	chmod 755 "$T/bin/script" "$T/bin/seq"
}

ext4() {	# ext4 FILE [SIZE [TREE]]
	tree
	truncate -s "${2:-32M}" "$1"
	mke2fs -q -t ext4 -d "${3:-$T}" "$1"
}

squash() {	# squash FILE [TREE]
	tree
	mksquashfs "${2:-$T}" "$1" -quiet -no-progress -all-root >/dev/null
}

iso() {		# iso FILE [TREE]
	tree
	genisoimage -quiet -R -J -o "$1" "${2:-$T}" 2>/dev/null
}

package() {	# package NAME: t.deb, with a file and a script that writes down who it runs as
	need dpkg dpkg-deb
	mkdir -p deb/DEBIAN "deb/usr/share/$1"
	printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: t\n' "$1" >deb/DEBIAN/control
	printf '#!/bin/sh\nset -e\nmkdir -p /var/lib/%s\nid -u >/var/lib/%s/who\n' "$1" "$1" >deb/DEBIAN/postinst
	chmod 755 deb deb/DEBIAN deb/DEBIAN/postinst
	echo data >"deb/usr/share/$1/data"
	dpkg-deb --root-owner-group -b deb t.deb
}

clean() {	# clean IMAGE: e2fsck finds nothing to do
	e2fsck -fn "$1" >fsck.log 2>&1 || { cat fsck.log; return 1; }
}

# Waits until a condition is true, ten seconds at most, or $PATIENCE twentieths of one.
until_true() {
	local i
	for i in $(seq "${PATIENCE:-200}"); do
		"$@" && return 0
		sleep 0.05
	done
	echo "never true: $*"
	return 1
}

# fails COMMAND...: which must not succeed.  (`! COMMAND` does not end a shell with -e.)
FAILS='fails() { if "$@"; then echo "succeeded, but must not: $*"; exit 1; fi; }'
eval "$FAILS"

# in_view OPTIONS... -- then the script on standard input, run by sh -e in the view.
in_view() {
	{ echo "$FAILS"; cat; } >"$BATS_TEST_TMPDIR/script.sh"
	umview "${@:---}" sh -e "$BATS_TEST_TMPDIR/script.sh" </dev/null
}

# How a Python program begins that says what a call answers: says(ERRNO, FUNCTION, ARGUMENT...), 0 where it succeeds.
python_says() {
	cat <<-'PY'
		def says(want, f, *a, **k):
		    try:
		        f(*a, **k)
		    except OSError as e:
		        assert e.errno == want, (f, a, e)
		    else:
		        assert not want, (f, a, "succeeded")
	PY
}

# A view in the background, $V, whose shell has run SCRIPT as far as `hold`; `release` lets it go on.
background_view() {	# background_view SCRIPT [OPTIONS...]
	printf 'hold() { : >"$W/held"; until [ -e "$W/go" ]; do sleep 0.05; done; }\n%s\n' "$1" >"$BATS_TEST_TMPDIR/bg.sh"
	shift
	rm -f "$W/held" "$W/go"
	umview "$@" -- sh -e "$BATS_TEST_TMPDIR/bg.sh" </dev/null >"$W/bg.log" 2>&1 3>&- &
	V=$!
	until_true test -e "$W/held" || { cat "$W/bg.log"; return 1; }
}

release() {
	: >"$W/go"
	wait "$V"
}
