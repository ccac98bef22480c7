#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# FUSE programs in a view, as tools/check.sh calls it, as an ordinary user: each beside a model in memory (a shorter run of the matrix), and some
# killed at random moments.  Programs that are not installed are skipped.
#
# usage: tests/fuse.sh [BUILD]
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath "${1:-build}")
export BUILD
export UMVIEW="${UMVIEW:-$BUILD/umview}"
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin

{
	"$here/lib/as-user.sh" python3 -B "$here/fuse/matrix.py" --check || [ $? = 1 ] || echo "not ok - the test itself"
	"$here/lib/as-user.sh" python3 -B "$here/fuse/killed.py" || [ $? = 1 ] || echo "not ok - the test itself"
} | awk -f "$here/lib/number.awk"
