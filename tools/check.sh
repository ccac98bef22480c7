#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs all tests.  Each part prints TAP, which is kept as $BUILD/check/PART.tap; tests/lib/total sums up.
#
# usage: tools/check.sh [PART...]	(see parts, below; without: all)
#
# BUILD=build       where to build
# WITH_CLANG=1      also build with clang (in $BUILD-clang; its warnings are errors as well), run the threaded
#                   servers under ThreadSanitizer, guest programs and programs in the tier `trap`, and every
#                   fuzzer for some seconds: what CI does
# TIER=trap         everything in that interception tier (umview --tier); the total says so
# V=1               show every result, not only what failed
#
# The guest programs, programs, scenarios, FUSE programs and the short run of foreign test suites run as an ordinary user: root
# drops its rights for them.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
parts=${*:-style unit guest programs scenario fuse diff cow conform demo}
results=$build/check
export PATH=$PATH:/usr/sbin:/sbin
[ -z "${TIER-}" ] || export UMVIEW_TIER=$TIER

give_up() {
	echo "check: $*" >&2
	mkdir -p "$results"
	echo "0 passed, 1 failed, 0 skipped" | tee "$results/total"
	exit 1
}

case ${TIER-} in
'' | patch | trap) ;;
*) give_up "no tier '$TIER': there are patch and trap" ;;
esac

# Shows failures and what is said about them, and a line at the end; everything with V=1.
show() {
	if [ -n "${V-}" ]; then
		cat
	else
		awk -v part="$1" '
			/^[ \t]*not ok/ { bad++; print part ": " $0; next }
			/^[ \t]*ok/ { if (tolower($0) ~ /# *skip/) skipped++; else good++; next }
			/^Bail out/ { print part ": " $0; next }
			/^[ \t]*#/ { if (bad) print part ": " $0; next }
			END { printf "%-10s %d passed, %d not, %d skipped, ", part ":", good, bad, skipped }'
	fi
}

part() {	# part NAME COMMAND...: one part whose standard output is TAP
	local name=$1
	shift
	SECONDS=0
	"$@" </dev/null 2>"$results/$name.err" | tee "$results/$name.tap" | show "$name"
	echo "${PIPESTATUS[0]}" >"$results/$name.status"
	[ -n "${V-}" ] || echo "$SECONDS s"
	if [ "$(cat "$results/$name.status")" != 0 ]; then
		tail -n 30 "$results/$name.err" | sed "s/^/$name: /"
	fi
}

unit() {
	if ! tools/build.sh "$build" -Dunit_tests=true meson-test-prereq >"$results/unit.log" 2>&1; then
		grep -E 'error|undefined|FAILED' "$results/unit.log" | head -20 | sed 's/^/unit: /'
		echo "Bail out! the unit tests do not build" >"$results/unit.tap"
		echo 1 >"$results/unit.status"
		return
	fi
	meson test -C "$build" --suite unit --num-processes 2 --print-errorlogs >"$results/unit.log" 2>&1 </dev/null
	echo $? >"$results/unit.status"
	cp "$build/meson-logs/testlog.json" "$results/unit.json" 2>/dev/null || : >"$results/unit.json"
	if [ -n "${V-}" ] || [ "$(cat "$results/unit.status")" != 0 ]; then
		cat "$results/unit.log"
	else
		sed -n 's/^Ok: */unit:      programs passed: /p' "$results/unit.log"
	fi
}

# Whether the other compiler is content is a result too.
clang_build() {
	echo 1..1
	if CC=clang tools/build.sh "$build-clang" -Dunit_tests=true all meson-test-prereq \
		>"$results/clang.log" 2>&1; then
		echo "ok 1 - builds with clang without a warning"
	else
		echo "not ok 1 - builds with clang without a warning"
		grep -E 'error|warning|FAILED' "$results/clang.log" | head -40 | sed 's/^/# /'
		return 1
	fi
}

# The monitor's threads, and what serves guests, under ThreadSanitizer.
threads() {
	local n=0 bad=0 name
	echo 1..2
	if ! tools/build.sh "$build-tsan" -Dunit_tests=true -Dunit_sanitizer=thread tests/unit/unit-control_test \
			tests/unit/unit-test_lock >"$results/threads.log" 2>&1; then
		tail -n 20 "$results/threads.log" | sed 's/^/# /'
	fi
	for name in control_test test_lock; do
		n=$((n + 1))
		if "$build-tsan/tests/unit/unit-$name" >"$results/threads-$name.log" 2>&1; then
			echo "ok $n - $name has no data race"
		else
			echo "not ok $n - $name has no data race"
			tail -n 40 "$results/threads-$name.log" | sed 's/^/# /'
			bad=1
		fi
	done
	return $bad
}

# The tier without patching, in short: each guest program in a view, and programs; TIER=trap has everything in it.
trap_tier() {
	local status=0
	# shellcheck disable=SC2046 # a list of words
	UMVIEW_TIER=trap WORLDS=view tests/run.sh guest $(cd tests/guest && ls ./*.c | sed 's,^\./,,; s,\.c$,,') || status=1
	UMVIEW_TIER=trap tests/run.sh programs || status=1
	# the entries of stubs that other machines need; on those the other parts have tested them
	UMVIEW_FSGSBASE=no WORLDS=view tests/run.sh guest registers sigpoints stormcalls threads || status=1
	# and text mapped as page faults cost, little and much
	UMVIEW_POPULATE=no WORLDS=view tests/run.sh guest exec sites || status=1
	UMVIEW_POPULATE=yes WORLDS=view tests/run.sh guest exec sites || status=1
	return $status
}

# A short run of every fuzzer; `make fuzz` runs them for longer.
fuzz() {
	echo 1..1
	if tools/fuzz.sh 5 >"$results/fuzz.log" 2>&1; then
		echo "ok 1 - the fuzzers find nothing in 5 seconds each"
	else
		echo "not ok 1 - the fuzzers find nothing in 5 seconds each"
		tail -n 60 "$results/fuzz.log" | sed 's/^/# /'
		return 1
	fi
}

demo() {
	echo 1..1
	if tools/demo.sh "$build/umview" >"$results/demo.log" 2>&1; then
		echo "ok 1 - the demonstration"
	else
		echo "not ok 1 - the demonstration"
		sed 's/^/# /' "$results/demo.log"
		return 1
	fi
}

# Root in a directory that an ordinary user cannot enter: go on in a copy that he can.
if [ "$(id -u)" = 0 ] && ! tests/lib/as-user.sh test -r "$PWD/tools/check.sh" 2>/dev/null; then
	copy=$(mktemp -d)
	trap 'rm -rf "$copy"' EXIT
	chmod 755 "$copy"
	git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
	[ ! -d "$build/fixtures" ] || cp -r --parents "$build/fixtures" "$copy"
	chmod -R go+rX "$copy"
	git -C "$copy" init -q
	BUILD=build "$copy/tools/check.sh" "$@"
	status=$?
	mkdir -p "$results"
	cp -r "$copy/build/check/." "$results/"
	exit "$status"
fi

tools/build.sh "$build" || give_up "the build failed"
rm -rf "$results"
mkdir -p "$results/native"
chmod 1777 "$results/native"
UMT_NATIVE=$(realpath "$results/native")	# what guest programs say natively is the same for both tiers
export UMT_NATIVE
for p in $parts; do
	case $p in
	style)	part style tools/check-style.sh ;;
	unit)	unit ;;
	demo)	part demo demo ;;
	*)	[ -x "tests/$p.sh" ] || give_up "no part '$p'"
		part "$p" "tests/$p.sh" "$build" ;;
	esac
done
if [ -n "${WITH_CLANG-}" ]; then
	part clang clang_build
	part threads threads
	[ "${UMVIEW_TIER-}" = trap ] || part trap trap_tier
	part fuzz fuzz
fi

[ -z "${UMVIEW_TIER-}" ] || echo "$UMVIEW_TIER" >"$results/tier"
tests/lib/total "$results" >"$results/report"
status=$?
tail -n 1 "$results/report" >"$results/total"
cat "$results/report"
exit "$status"
