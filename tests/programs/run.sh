#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Real programs: each script here is run natively and then in an empty view, in the same fresh directory, with the
# same environment; standard output, standard error and status must be the same.  TAP without numbers, for tests/run.sh.
#
# usage: tests/programs/run.sh [NAME...]
#
# A script says in a line "# NEEDS: PROGRAM..." what must be installed; without it the test is skipped.
# REPEAT=N	runs in the view, one after the other; all must agree with the native one
set -u
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$here/../../build}
UMVIEW=${UMVIEW:-$BUILD/umview}
supervise=$BUILD/tests/lib/supervise
. "$here/../lib/leak.sh"

dir=$(mktemp -d "${TMPDIR:-/tmp}/umt.XXXXXX")
LEAK_DIR=$dir
trap 'chmod -R u+rwX "$dir"; rm -rf "$dir"' EXIT

run() {		# run OUTPUT [UMVIEW...] SCRIPT: in a fresh directory; its status
	local out=$1 status
	shift
	chmod -R u+rwX "$dir/w" 2>/dev/null
	rm -rf "$dir/w"
	mkdir -p "$dir/w/home" "$dir/w/tmp"
	(cd "$dir/w" && env -i PATH="$PATH" HOME="$dir/w/home" TMPDIR="$dir/w/tmp" LC_ALL=C TZ=UTC UMT_RUN="${UMT_RUN-}" \
		${UMVIEW_TIER:+UMVIEW_TIER="$UMVIEW_TIER"} \
		UMT_SOURCES="$here/../.." "$supervise" -l -t "${LIMIT:-180}" -- "$@") >"$out" 2>"$out.err" </dev/null
	status=$?
	# libfaketime and its like aside, nothing else may differ
	return $status
}

missing() {	# missing SCRIPT: the first program it needs that is not here
	local p
	for p in $(sed -n 's/^# NEEDS: //p' "$1"); do
		command -v "$p" >/dev/null || { echo "$p"; return; }
	done
}

differences() {
	diff "$dir/native" "$dir/view" | head -15 | cut -c1-300
	diff "$dir/native.err" "$dir/view.err" | head -15 | cut -c1-300
}

one() {		# one SCRIPT
	local script=$1 name=$2 lacks native status i left
	lacks=$(missing "$script")
	if [ -n "$lacks" ]; then
		echo "ok - $name # SKIP no $lacks here"
		return
	fi
	run "$dir/native" sh "$script"
	native=$?
	if [ $native != 0 ]; then
		echo "not ok - $name: the native run has status $native"
		tail -5 "$dir/native.err" | sed 's/^/# /'
		return
	fi
	for ((i = 1; i <= ${REPEAT:-1}; i++)); do
		leak_before
		run "$dir/view" "$UMVIEW" -- sh "$script"
		status=$?
		left=$(leak_after)
		if [ $status != $native ] || ! cmp -s "$dir/native" "$dir/view" || ! cmp -s "$dir/native.err" "$dir/view.err"; then
			echo "not ok - $name behaves in a view as natively (run $i: status $status, natively $native)"
			differences | sed 's/^/# /'
			return
		fi
		if [ -n "$left" ]; then
			echo "not ok - $name leaves nothing behind (run $i)"
			sed 's/^/# /' <<<"$left"
			return
		fi
	done
	echo "ok - $name behaves in a view as natively${REPEAT:+, $REPEAT times}"
}

for script in "$here"/*.sh; do
	name=$(basename "$script" .sh)
	[ "$name" != run ] || continue
	[ $# = 0 ] || [[ " $* " = *" $name "* ]] || continue
	one "$script" "$name"
done
