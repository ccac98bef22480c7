#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# FUSE programs in a view, each beside a model in memory, as tools/check.sh calls it: a shorter run of the matrix, as an
# ordinary user.  Programs that are not installed are skipped.
#
# usage: tests/fuse.sh [BUILD]
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath "${1:-build}")
export BUILD
export UMVIEW="${UMVIEW:-$BUILD/umview}"
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin

"$here/lib/as-user.sh" python3 -B "$here/fuse/matrix.py" --check
