#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds into one directory: configures it the first time and whenever the list of source files has changed,
# then runs ninja.
#
# usage: tools/build.sh BUILDDIR [-DOPTION=VALUE...] [TARGET...]	(the compiler comes from CC)
set -eu
cd "$(dirname "$0")/.."
dir=$1
shift

for tool in "${CC:-gcc}" meson ninja pkg-config python3; do
	if ! command -v "$tool" >/dev/null 2>&1; then
		echo "umview: to build, $tool is needed and not here; run: tools/install-deps.sh build" >&2
		exit 1
	fi
done

options=
targets=
for word; do
	case $word in
	-D*)	options="$options $word" ;;
	*)	targets="$targets $word" ;;
	esac
done

list=$dir/sources.list
# shellcheck disable=SC2086 # lists of words
if [ ! -f "$dir/build.ninja" ]; then
	meson setup "$dir" $options
	tools/sources.sh all >"$list"
elif [ -n "$options" ] || ! tools/sources.sh all | cmp -s - "$list"; then
	meson setup --reconfigure "$dir" $options
	tools/sources.sh all >"$list"
fi
# shellcheck disable=SC2086
exec ninja -C "$dir" ${JOBS:+-j "$JOBS"} $targets
