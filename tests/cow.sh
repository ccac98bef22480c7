#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Copy-on-write against a plain copy, as tools/check.sh calls it: every operation on every state, random
# sequences, and what is left when it is killed.  As an ordinary user; and, as root where that can be mounted, the kernel's
# overlayfs against the same, which shows that the model is right.
#
# usage: tests/cow.sh [BUILD]
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath "${1:-build}")
export BUILD
export UMVIEW="${UMVIEW:-$BUILD/umview}"
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin

{
	"$here/lib/as-user.sh" python3 -B "$here/cow/run.py" --check || [ $? = 1 ] || echo "not ok - the test itself"
	python3 -B "$here/cow/run.py" --check-overlay || [ $? = 1 ] || echo "not ok - the test itself"
} | awk -f "$here/lib/number.awk"
