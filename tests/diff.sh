#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The differential fuzzer for some 20 seconds, as tools/check.sh calls it: kept sequences and fixed seeds.
# As an ordinary user, but for the world whose oracle needs root.
#
# usage: tests/diff.sh [BUILD]
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath "${1:-build}")
export BUILD
export UMVIEW="${UMVIEW:-$BUILD/umview}"
export PATH=/usr/local/bin:/usr/bin:/bin
if ! make -s -C "$here/diff" O="$BUILD/tests/diff" >&2; then
	echo "Bail out! the differential fuzzer does not build"
	exit 1
fi

{
	"$here/lib/as-user.sh" python3 "$here/diff/run.py" --check --worlds view,mount1,mount5,bind,cow,merge ||
		[ $? = 1 ] || echo "not ok - the fuzzer itself"
	python3 "$here/diff/run.py" --check --worlds ext4 || [ $? = 1 ] || echo "not ok - the fuzzer itself"
} | awk '
	/^not ok/ { bad = 1 }
	/^(not )?ok/ { n++; sub(/ok -/, "ok " n " -") }
	{ print }
	END { print "1.." n; exit bad }'
