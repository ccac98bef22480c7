#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The guest programs, real programs and scenarios again and again, to find what goes wrong once in a hundred runs.  Ends at
# the first failure, with its output in $BUILD/check/.
#
# usage: tools/soak.sh MINUTES [PART...]	(parts of tools/check.sh; without: guest programs scenario)
set -u
cd "$(dirname "$0")/.." || exit 1
minutes=$1
shift
[ $# -gt 0 ] || set -- guest programs scenario

output=$(mktemp)
trap 'rm -f "$output"' EXIT
end=$(($(date +%s) + minutes * 60))
rounds=0
while [ "$(date +%s)" -lt "$end" ]; do
	if ! tools/check.sh "$@" >"$output" 2>&1; then
		cat "$output"
		echo "soak: FAILED in round $((rounds + 1))"
		exit 1
	fi
	rounds=$((rounds + 1))
	echo "soak: round $rounds: $(tail -n 1 "$output")"
done
echo "soak: $rounds rounds without a failure"
