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
given=$dir/options.list

# Is each option set already as it is wanted now?
as_configured() {
	for o in $options; do
		grep -qxF -e "$o" "$given" || return 1
	done
	tools/sources.sh all | cmp -s - "$list"
}

note_configured() {
	tools/sources.sh all >"$list"
	touch "$given"
	for o in $options; do
		grep -vF -e "${o%%=*}=" "$given" >"$given.new" || true
		echo "$o" >>"$given.new"
		mv "$given.new" "$given"
	done
}

# shellcheck disable=SC2086 # lists of words
if [ ! -f "$dir/build.ninja" ]; then
	meson setup "$dir" $options
	note_configured
elif ! as_configured; then
	meson setup --reconfigure "$dir" $options
	note_configured
fi
# shellcheck disable=SC2086
exec ninja -C "$dir" ${JOBS:+-j "$JOBS"} $targets
