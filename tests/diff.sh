#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The differential fuzzer for some 20 seconds, as tools/check.sh calls it: kept sequences, fixed seeds, one by chance.
#
# usage: tests/diff.sh [BUILD]
#
# AS=root		stay root; otherwise root becomes an ordinary user
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath "${1:-build}")
export BUILD
export UMVIEW="${UMVIEW:-$BUILD/umview}"
if ! make -s -C "$here/diff" O="$BUILD/tests/diff" >&2; then
	echo "Bail out! the differential fuzzer does not build"
	exit 1
fi
if [ "$(id -u)" = 0 ] && [ "${AS-}" != root ]; then
	PATH=/usr/local/bin:/usr/bin:/bin exec "$here/lib/as-user.sh" python3 "$here/diff/run.py" --check
fi
exec python3 "$here/diff/run.py" --check
