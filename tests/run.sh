#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs guest programs, real programs and scenarios; prints TAP.
#
# usage: tests/run.sh [guest|programs|scenario|all] [NAME...]
#
# NAME		only these: a guest program (exec, exec-static), a program's test (git), a scenario (s01)
# UMVIEW=...	the umview to test (build/umview)
# WORLDS=...	for guest programs: native view mount bind kfuse (those that the program's source names)
# PATTERN=...	for guest programs: only tests whose name contains it
# JOBS=N	so many guest programs, and files of scenarios, at a time (as there are processors)
# REPEAT=N	for programs: N runs in a row of each
# TIER=...	the interception tier, patch or trap (umview's choice)
# AS=root	stay root; otherwise root becomes an ordinary user (tests/lib/as-user.sh)
#
# With prove: prove tests/run.sh :: guest
set -u
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$here/../build}
case $BUILD in /*) ;; *) BUILD=$(cd "$here/.." && mkdir -p "$BUILD" && realpath "$BUILD") ;; esac
export UMVIEW=${UMVIEW:-$BUILD/umview}
case $UMVIEW in /*) ;; *) UMVIEW=$(realpath "$UMVIEW") ;; esac
[ -z "${TIER-}" ] || export UMVIEW_TIER=$TIER
part=${1:-all}
[ $# = 0 ] || shift

if [ -z "${UMT_READY-}" ]; then
	# What is built is built by who owns the tree; what is run is run by an ordinary user.
	if ! make -s -C "$here/guest" O="$(realpath "$BUILD")/tests" >&2; then
		echo "Bail out! the guest programs do not build"
		exit 1
	fi
	export UMT_READY=1
	if [ "$(id -u)" = 0 ] && [ "${AS-}" != root ]; then
		PATH=/usr/local/bin:/usr/bin:/bin exec "$here/lib/as-user.sh" "$here/run.sh" "$part" "$@"
	fi
fi

n=0
failed=0
# Numbers the results of a part, whose lines are `ok - ...`.
number() {
	local line
	while IFS= read -r line; do
		case $line in
		'ok '*) n=$((n + 1)); echo "ok $n ${line#ok }" ;;
		'not ok '*) n=$((n + 1)); failed=$((failed + 1)); echo "not ok $n ${line#not ok }" ;;
		*) echo "$line" ;;
		esac
	done
}

wanted() {	# wanted NAME NAMES...: is it among them, or are there none?
	local name=$1 w
	shift
	[ $# = 0 ] && return 0
	for w; do [ "$w" = "$name" ] && return 0; done
	return 1
}

# Each program in each of its worlds: "WORLD PROGRAM" for each.
guest_runs() {
	local program source worlds world
	for program in "$BUILD"/tests/guest/*; do
		wanted "$(basename "$program")" "$@" || continue
		source=$here/guest/$(basename "$program" | sed 's/-static.*//').c
		[ -x "$program" ] && [ -f "$source" ] || continue
		worlds=$(sed -n 's/^ \* GUEST_WORLDS: //p' "$source")
		for world in ${WORLDS:-$worlds}; do
			case $world in
			kfuse) [[ $worlds = *mount* ]] || continue ;;
			native) ;;
			*) [[ " $worlds " = *" $world "* ]] || continue ;;
			esac
			echo "$world $program"
		done
	done
}

# Runs COMMAND with the words of each line of standard input, as many at a time as there are processors; what they print is numbered in
# their order.  (In the background a shell has SIGINT ignored, nohup SIGHUP.)
side_by_side() {	# side_by_side COMMAND
	local out runner result line
	out=$(mktemp -d)
	awk '{ print NR, $0 }' >"$out/lines"
	UMT_NATIVE=${UMT_NATIVE:-$out} xargs -a "$out/lines" -L 1 -P "${JOBS:-$(nproc)}" sh -c '
		result=$1/$3.out command=$2
		shift 3
		env --default-signal=HUP,INT,QUIT "$command" "$@" >"$result" </dev/null
		: >"$result.done"' sh "$out" "$1" &
	runner=$!
	while read -r result line; do
		result=$out/$result.out
		while [ ! -e "$result.done" ] && kill -0 $runner 2>/dev/null; do sleep 0.1; done
		[ -e "$result.done" ] || echo "not ok - $line has come to no end" >>"$result"
		number <"$result"
	done <"$out/lines"
	wait $runner
	rm -rf "$out"
}

programs() {
	number < <("$here/programs/run.sh" "$@")
}

scenario() {
	local file files=()
	if ! command -v bats >/dev/null; then
		number <<<"not ok - scenarios need bats (Debian package bats)"
		return
	fi
	for file in "$here"/scenario/*.bats; do
		! wanted "$(basename "$file" .bats)" "$@" || files+=("$file")
	done
	[ ${#files[@]} = 0 ] || side_by_side "$here/lib/bats-file.sh" < <(printf '%s\n' "${files[@]}")
}

case $part in
guest)		side_by_side "$here/lib/world.sh" < <(guest_runs "$@") ;;
programs)	programs "$@" ;;
scenario)	scenario "$@" ;;
all)		side_by_side "$here/lib/world.sh" < <(guest_runs); programs; scenario ;;
*)		echo "run.sh: no part '$part' (there are: guest programs scenario all)" >&2; exit 2 ;;
esac
echo "1..$n"
[ $failed = 0 ]
