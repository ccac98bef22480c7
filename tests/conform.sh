#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Other people's test suites, natively and in a view: tests/conform/conform.py as an ordinary user.
#
# usage: tests/conform.sh [BUILD [OPTION...]]	(without an option: --short --tap, the part "conform" of tools/check.sh)
#
# AS=root	stay root; otherwise root becomes an ordinary user (tests/lib/as-user.sh)
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath "${1:-$here/../build}")
export BUILD
[ $# = 0 ] || shift
make -s -C "$here/guest" O="$BUILD/tests" >&2 || exit 1
drop=
state=$BUILD/conform
if [ $# = 0 ]; then
	set -- --short --tap --fresh
	state=$state-short
fi
if [ "$(id -u)" = 0 ] && [ "${AS-}" != root ]; then
	drop=$here/lib/as-user.sh
	mkdir -p "$state"
	chown -R 65534:65534 "$state"
else
	state=$state-$(id -u)
	mkdir -p "$state"
fi
# shellcheck disable=SC2086 # a command or nothing
PATH=/usr/bin:/bin:/usr/sbin:/sbin exec $drop /usr/bin/python3 "$here/conform/conform.py" --state "$state" "$@"
