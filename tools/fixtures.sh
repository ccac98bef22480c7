#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Fetches what the tests of package installations need, once: Debian packages from the archive that the machine's own
# come from.  Everything after that is made of them, and works without network.
#
# usage: tools/fixtures.sh [DIR]		(build/fixtures)
#
# DIR/repo		an archive for apt and debootstrap, by file: (dists/SUITE, pool): a minimal Debian and a few packages
# DIR/debian.tar	a minimal tree, as debootstrap makes it (--variant=minbase), with repo in its /repo and sources.list
# DIR/base.tsv		what is in that tree (tests/lib/tree.sh), and
# DIR/installed.tsv	what is in it after apt-get install PACKAGES below a real root's chroot(8): both made as root only
# DIR/busybox.tar	a tree of busybox alone
# DIR/about		suite=SUITE packages='PACKAGES': written last
#
# Made as root, debian.tar is what real root makes; anybody else makes it in a view with --fakeroot ($UMVIEW), or has none.
# What is complete already is left alone.
set -eu
here=$(realpath "$0")
top=$(dirname "$(dirname "$here")")
dir=$(realpath -m "${1:-${BUILD:-$top/build}/fixtures}")
UMVIEW=${UMVIEW:-${BUILD:-$top/build}/umview}
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

# What is installed on top of the minimal tree: maintainer scripts, a group and a set-group-id program (cron), alternatives
# (netcat-openbsd, vim-tiny), libraries whose trigger runs ldconfig, dependencies.
packages='cron less netcat-openbsd vim-tiny'

die() {
	echo "fixtures: $*" >&2
	exit 1
}

say_log() {
	tail -n 20 "$@" 2>/dev/null | sed 's/^/fixtures: /' >&2
}

. /etc/os-release
suite=${VERSION_CODENAME-}
arch=$(dpkg --print-architecture 2>/dev/null) || die "this is no Debian: there is no dpkg"
[ -n "$suite" ] || die "/etc/os-release does not say which Debian this is"

about="suite=$suite packages='$packages' version=2"
if [ -e "$dir/about" ] && [ "$(cat "$dir/about")" = "$about" ]; then
	exit 0
fi

# ---- packages --------------------------------------------------------------------------------------------

# apt without rights, and without what is installed on this machine, so that all dependencies are fetched.
lists=/var/lib/apt/lists
apt() {		# apt get|cache ARGUMENTS...
	local tool=apt-$1
	shift
	timeout 300 "$tool" -qq -o Dir::State::status="$dir/apt/status" -o Dir::State::lists="$lists" -o Debug::NoLocking=1 \
		-o Dir::Cache="$dir/apt/cache" -o APT::Sandbox::User= -o APT::Install-Recommends=false \
		-o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Use-Pty=0 "$@"
}

fetch() {
	local required
	required=$(apt cache dumpavail | awk '/^Package:/ { p = $2 } /^Priority: required/ { print p }' | sort -u)
	[ -n "$required" ] || return 1
	# shellcheck disable=SC2086 # lists of words
	apt get -y --download-only install $required apt usr-is-merged $packages >"$dir/apt/log" 2>&1 </dev/null
}

# The machine's package lists may be absent or old: then new ones, in a place of ours.
fetch_all() {
	mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
	: >"$dir/apt/status"
	fetch && return
	lists=$dir/apt/lists
	apt get update >"$dir/apt/log" 2>&1 </dev/null || true
	if ! fetch; then
		say_log "$dir/apt/log"
		die "packages cannot be fetched: is there a network?"
	fi
}

# What apt knows of the packages, once each, and each where that says it is.
make_archive() {
	local index=$dir/repo/dists/$suite/main/binary-$arch deb file
	mkdir -p "$index"
	for deb in "$dir"/apt/cache/archives/*.deb; do
		dpkg-deb --show --showformat '${Package}=${Version}\n' "$deb"
	done >"$dir/apt/names"
	# shellcheck disable=SC2046 # a list of words
	apt cache show $(cat "$dir/apt/names") | awk -v RS= '{
			match($0, /(^|\n)Package: [^\n]*/); p = substr($0, RSTART, RLENGTH)
			if (!seen[p]++) print $0 "\n"
		}' >"$index/Packages"
	for deb in "$dir"/apt/cache/archives/*.deb; do
		file=$(basename "$deb")
		file=$(grep -m 1 "^Filename: .*/${file%%_*}_[^/]*$" "$index/Packages")
		file=${file#Filename: }
		[ -n "$file" ] || die "apt knows no file of $deb"
		mkdir -p "$dir/repo/$(dirname "$file")"
		mv "$deb" "$dir/repo/$file"
	done
	cd "$dir/repo/dists/$suite"
	{
		printf 'Suite: %s\nCodename: %s\nComponents: main\nArchitectures: %s\nDate: %s\nSHA256:\n' \
			"$suite" "$suite" "$arch" "$(date -Ru)"
		file=main/binary-$arch/Packages
		printf ' %s %s %s\n' "$(sha256sum <"$file" | cut -d' ' -f1)" "$(stat -c %s "$file")" "$file"
	} >Release
	cd "$top"
}

# ---- trees -----------------------------------------------------------------------------------------------

# Links are absolute, as in small systems.
make_busybox() {
	local t=$dir/work/busybox name
	mkdir -p "$t"/{bin,sbin,usr/bin,usr/sbin,etc,proc,sys,dev,tmp,root,home}
	cp "$(command -v busybox)" "$t/bin/busybox"
	for name in $(busybox --list-full); do
		mkdir -p "$t/$(dirname "$name")"
		[ -e "$t/$name" ] || ln -s /bin/busybox "$t/$name"
	done
	echo 'root:x:0:0:root:/root:/bin/sh' >"$t/etc/passwd"
	echo 'root:x:0:' >"$t/etc/group"
	echo small >"$t/etc/hostname"
	chmod 1777 "$t/tmp"
	tar -cf "$dir/busybox.tar" --owner=0 --group=0 -C "$t" .
}

# As root, real or not.
make_debian() {
	local tree=$dir/work/debian
	mkdir -p "$dir/work"
	chmod 755 "$dir/work"
	debootstrap --no-check-gpg --variant=minbase "$suite" "$tree" "file:$dir/repo" >"$dir/apt/log" 2>&1 </dev/null || {
		say_log "$dir/apt/log" "$tree/debootstrap/debootstrap.log"
		return 1
	}
	"$top/tests/lib/tree.sh" "$tree" >"$dir/base.tsv"
	rm -rf "$tree"/var/cache/apt/archives/*.deb
	cp -r "$dir/repo" "$tree/repo"
	echo "deb [trusted=yes] file:/repo $suite main" >"$tree/etc/apt/sources.list"
	printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"	# no daemons are started
	chmod 755 "$tree/usr/sbin/policy-rc.d"
	tar -cf "$dir/debian.tar.new" --numeric-owner -C "$tree" --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' .
	mv "$dir/debian.tar.new" "$dir/debian.tar"
}

# What others' installations are compared with.
install_as_root() {
	local tree=$dir/work/debian
	"$top/tests/lib/install.sh" "$packages" chroot "$tree" >"$dir/apt/log" 2>&1 || {
		say_log "$dir/apt/log"
		return 1
	}
	"$top/tests/lib/tree.sh" "$tree" >"$dir/installed.tsv"
}

if [ "${2-}" = --debian ]; then
	make_debian
	exit
fi
for p in apt-get apt-cache debootstrap busybox; do
	command -v $p >/dev/null || die "no $p here: tools/install-deps.sh check"
done
rm -rf "$dir"
trap 'rm -rf "$dir/apt" "$dir/work"' EXIT
trap 'exit 130' HUP INT TERM
echo "fixtures: fetching packages, making trees: some minutes" >&2
fetch_all
make_archive
make_busybox
# A container may forbid real root what debootstrap does.
if [ "$(id -u)" = 0 ] && make_debian && install_as_root; then
	:
elif rm -rf "$dir"/*.tsv "$dir/work" && [ -x "$UMVIEW" ] && "$UMVIEW" --fakeroot -- bash "$here" "$dir" --debian; then
	rm -f "$dir/base.tsv"
else
	echo "fixtures: no tree of Debian could be made: the tests that need one are skipped" >&2
fi
echo "$about" >"$dir/about"
