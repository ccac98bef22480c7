#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds the fuzzers with clang and runs each for a while, starting from what tests/fuzz/NAME.corpus/ holds.
# What is found is written to $BUILD-fuzz/found/ and is a failure.
#
# usage: tools/fuzz.sh SECONDS [NAME...]
set -u
cd "$(dirname "$0")/.." || exit 1
seconds=$1
shift
build=${BUILD:-build}-fuzz

CC=clang tools/build.sh "$build" -Dunit_tests=true -Dfuzz=true fuzzers >/dev/null || {
	echo "fuzz: the fuzzers could not be built; ninja -C $build fuzzers tells why" >&2
	exit 1
}
mkdir -p "$build/found"

names=$*
if [ -z "$names" ]; then
	names=$(tools/sources.sh fuzz | sed 's,.*/,,; s,\.c$,,')
fi
bad=0
export ASAN_OPTIONS=detect_leaks=0	# a parser of command lines runs once and ends
for name in $names; do
	corpus=$build/corpus/$name
	mkdir -p "$corpus"
	seeds=tests/fuzz/$name.corpus
	[ -d "$seeds" ] || seeds=
	echo "fuzz: $name for $seconds seconds"
	# shellcheck disable=SC2086 # $seeds may be nothing
	if ! "$build/tests/fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
		-artifact_prefix="$build/found/$name-" -detect_leaks=0 "$corpus" $seeds \
		>"$build/$name.log" 2>&1; then
		bad=1
		echo "fuzz: $name FAILED:"
		tail -n 40 "$build/$name.log"
	else
		tail -n 1 "$build/$name.log"
	fi
done
exit "$bad"
