#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The guest programs, real programs and scenarios again and again, to find what goes wrong once in a hundred runs, and
# the differential fuzzer: its planted bugs first, and at the end ten minutes of seeds nobody has tried (a third of the
# time, if that is less).  Ends at the first failure, with its output in $BUILD/check/.
#
# usage: tools/soak.sh MINUTES [PART...]	(parts of tools/check.sh; without: guest programs scenario, and the fuzzer)
#        tools/soak.sh MINUTES fuzz	the differential fuzzer alone, all the time
#        tools/soak.sh MINUTES cow	copy-on-write alone: random sequences, and killed at random moments
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
minutes=$1
shift
fuzz=0			# seconds
planted=
if [ $# = 0 ]; then
	set -- guest programs scenario
	fuzz=$((minutes * 20 < 600 ? minutes * 20 : 600))
	planted=1
elif [ "$*" = fuzz ]; then
	fuzz=$((minutes * 60))
fi
if [ "$*" = cow ]; then
	cow="nice python3 -B tests/cow/run.py --over any"
	user="tests/lib/as-user.sh"
	share=$((minutes * 20))		# seconds
	export UMVIEW="${UMVIEW:-$PWD/$build/umview}" PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
	# shellcheck disable=SC2086 # some words each
	$user $cow --random $share && $user $cow --killed 1000000 --seconds $share && $cow --random $((share / 2)) &&
		$cow --killed 1000000 --seconds $((share / 2)) && echo "soak: copy-on-write: as a plain copy"
	exit
fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT
end=$(($(date +%s) + minutes * 60 - fuzz))

give_up() {	# give_up WHAT
	cat "$output"
	echo "soak: FAILED: $1"
	exit 1
}

fuzz_world() {	# fuzz_world WORLD USER TIER SECONDS
	set -- "$2" "$3" python3 tests/diff/run.py --worlds "$1" --seconds "$4" --shrink
	local who=$1 tier=$2
	shift 2
	[ "$who" = root ] || set -- tests/lib/as-user.sh "$@"
	echo "as $who, tier $tier:"
	UMVIEW_TIER=$tier BUILD=$(realpath "$build") PATH=/usr/local/bin:/usr/bin:/bin nice "$@"
}

# Every world gets its share, as root (if that is who we are) and as an ordinary user; of each a third without patched
# sites.  What the kernel's FUSE must tell natively only root can have.
differences() {
	local pairs=() pair share
	make -s -C tests/diff O="$(realpath "$build")/tests/diff" || return
	mkdir -p "$build/diff" && chmod 1777 "$build/diff" || return	# what differs is kept there, whoever finds it
	for pair in view mount1 mount5 bind; do
		pairs+=("$pair user")
		[ "$(id -u)" != 0 ] || pairs+=("$pair root")
	done
	[ "$(id -u)" != 0 ] || pairs+=("ext4 root")
	share=$((fuzz / (3 * ${#pairs[@]})))
	for pair in "${pairs[@]}"; do
		# shellcheck disable=SC2086 # two words
		fuzz_world $pair patch $((2 * share)) && fuzz_world $pair trap $share || return
	done
}

if [ "$planted" ]; then
	tests/diff/planted.sh >"$output" 2>&1 || give_up "a planted bug"
	echo "soak: planted bugs found: $(grep -c '^ok .*found:' "$output")"
fi
rounds=0
while [ "$(date +%s)" -lt "$end" ]; do
	tools/check.sh "$@" >"$output" 2>&1 || give_up "round $((rounds + 1))"
	rounds=$((rounds + 1))
	echo "soak: round $rounds: $(tail -n 1 "$output")"
done
if [ $fuzz -gt 0 ]; then
	differences >"$output" 2>&1 || give_up "a difference"
	sed 's/^/soak: /' "$output"
	echo "soak: differential fuzzer: no difference in $fuzz seconds," \
		"$(awk '/ seeds differ/ { n += $4 } END { print n }' "$output") seeds of 600 steps"
fi
[ "$*" = fuzz ] || echo "soak: $rounds rounds without a failure"
