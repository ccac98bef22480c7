#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Golden tests of the patcher: each NAME.in.S is assembled, the shape program says what would be done with
# its system calls, and NAME.out holds what it must say.  `run.sh --accept` rewrites the expectations.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
${CC:-gcc} -std=gnu11 -O1 -Wall -Wextra -Werror -DUM_HOSTED -I"$top/src" -o "$tmp/shape" "$here/shape.c" \
	"$top/src/agent/patch_shape.c"
n=0
failed=0
for in in "$here"/*.in.S; do
	name=$(basename "$in" .in.S)
	n=$((n + 1))
	as -o "$tmp/$name.o" "$in"
	objcopy -O binary -j .text "$tmp/$name.o" "$tmp/$name.bin"
	"$tmp/shape" <"$tmp/$name.bin" >"$tmp/$name.out"
	if [ "${1:-}" = --accept ]; then
		cp "$tmp/$name.out" "$here/$name.out"
	fi
	if diff -u "$here/$name.out" "$tmp/$name.out" >"$tmp/diff" 2>&1; then
		echo "ok $n - patch shape: $name"
	else
		echo "not ok $n - patch shape: $name"
		sed 's/^/# /' "$tmp/diff"
		failed=1
	fi
done
echo "1..$n"
exit $failed
