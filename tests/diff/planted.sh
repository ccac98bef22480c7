#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Does the differential fuzzer find bugs?  Plants those of tests/diff/planted/ one by one in a copy of the tree, builds
# it, and expects a difference within $SEEDS seeds.  A patch's first line names the world, the second the bug.  The
# same seeds show no difference without it: that is looked at first.  Prints TAP.
#
# usage: tests/diff/planted.sh [NAME...]
#
# SEEDS=40	at most so many seeds for each
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
seeds=${SEEDS:-40}
JOBS=${JOBS:-2}
export JOBS

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
(cd "$top" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy") || exit 1
cd "$copy" || exit 1
touch "$copy/missing"
git init -q		# so that patches are applied to this tree

n=0
failed=0
say() {	# say STATUS TEXT
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; failed=1; fi
}

fuzz() {	# fuzz WORLD: the status of run.py
	BUILD=$copy/build UMVIEW=$copy/build/umview nice tests/diff/run.py --worlds "$1" --seeds "1-$seeds" >"$copy/out" 2>&1
}

build() {
	nice tools/build.sh build >"$copy/log" 2>&1 && make -s -C tests/diff O="$copy/build/tests/diff" >>"$copy/log" 2>&1
}

# Finds the bug of this patch.
plant() {
	local patch=$1 world
	world=$(sed -n '1s/^# world: //p' "$patch")
	if grep -qx "$world" "$copy/missing"; then
		why="SKIP no such world here"
		return
	fi
	git apply "$patch" && build || return
	fuzz "$world"
	[ $? = 1 ] && sed 's/^/# /' "$copy/out" | cut -c1-200
	git apply -R "$patch"
	! grep -q ' 0 of ' "$copy/out" && grep -q '^difference in world' "$copy/out"
}

if ! build; then
	tail -n 20 "$copy/log" | sed 's/^/# /'
	echo "Bail out! the copy does not build"
	exit 1
fi
for world in $(sed -sn '1s/^# world: //p' tests/diff/planted/*.patch | sort -u); do
	fuzz "$world"
	status=$?
	! grep -q '^[a-z0-9]*: skipped' "$copy/out" || echo "$world" >>"$copy/missing"
	say $status "nothing is found in world $world where nothing is planted"
	[ $status = 0 ] || sed 's/^/# /' "$copy/out" | cut -c1-200
done
for patch in tests/diff/planted/*.patch; do
	name=$(basename "$patch" .patch)
	[ $# = 0 ] || [[ " $* " = *" $name "* ]] || continue
	why=
	plant "$patch"
	say $? "found: $name: $(sed -n '2s/^# //p' "$patch")${why:+ # $why}"
done
echo "1..$n"
exit $failed
