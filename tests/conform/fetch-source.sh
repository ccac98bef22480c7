#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Fetches the source of a Debian package as its authors released it, and unpacks it.  Needs no rights and changes nothing
# of the machine's: it asks, with a private configuration, the archive that the machine's own packages come from.
#
# usage: tests/conform/fetch-source.sh PACKAGE DIR	the source's files will lie in DIR, which is made
set -eu
package=$1
dir=$2

mkdir -p "$dir.apt/parts" "$dir.apt/state/lists/partial" "$dir.apt/cache/archives/partial"
dir=$(realpath -m "$dir")
apt=$dir.apt
trap 'rm -rf "$apt"' EXIT

# The machine's own lines, asked for sources instead of programs; other people's archives are left out.
. /etc/os-release
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
	[ ! -f "$file" ] || grep -E "^deb (.* )?$VERSION_CODENAME(-updates|-security)? " "$file" |
		sed 's/^deb /deb-src /' >"$apt/parts/$(basename "$file" .list).list" || true
done
for file in /etc/apt/sources.list.d/*.sources; do
	grep -qE "^Suites:(.* )?$VERSION_CODENAME" "$file" || continue
	sed '/^#/d; s/^Types:.*/Types: deb-src/' "$file" >"$apt/parts/$(basename "$file")"
done

get() {
	apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/parts" -o Dir::State="$apt/state" \
		-o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$apt/cache" -o APT::Sandbox::User= "$@"
}
get update
cd "$apt"
get source --download-only "$package"
mkdir -p "$dir"
tar -xf "$apt/${package}"_*.orig.tar.?z --strip-components=1 -C "$dir"
