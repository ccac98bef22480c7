#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Installs the Debian packages that a phase of the work needs and that are not here yet.
#
# usage: tools/install-deps.sh [--print] PHASE...	PHASE: build demo check conform bench
#
# As root, or where sudo asks no password, it runs apt-get; anywhere else it prints the one line to run
# and fails.  When nothing is missing it does nothing, and needs no network.
set -eu

build='gcc libc6-dev linux-libc-dev make meson ninja-build pkg-config python3 libblkid-dev libjansson-dev
scdoc'
demo='e2fsprogs fuse2fs util-linux'
check='bats perl git tar clang libclang-rt-14-dev
e2fsprogs fuse2fs squashfuse squashfs-tools fuseiso genisoimage fusefat dosfstools ntfs-3g fdisk
libfuse-dev libfuse3-dev
sshfs archivemount zip inotify-tools entr debootstrap
fuseext2 exfat-fuse exfatprogs fuse-zip openssh-server bindfs unionfs-fuse mergerfs mhddfs fuse-overlayfs disorderfs fuse-posixovl
encfs gocryptfs python3-fuse python3-pyfuse3
man-db procps busybox-static dash sqlite3 strace gdb file golang-go default-jre-headless nodejs
libpython3.11-testsuite stress-ng'
# cryfs and rclone (60 MB each) are in the matrix of FUSE programs where they are installed.
# chromium is large: `make check` uses it where it is, only `make conform` installs it.
conform='e2fsprogs fuse2fs libpython3.11-testsuite stress-ng chromium nodejs golang-go default-jdk-headless perl git
xz-utils bzip2 gettext libpcre2-dev dejagnu'
bench='fuse-overlayfs debootstrap busybox-static procps proot strace hyperfine git perl e2fsprogs fuse2fs'

print=no
wanted=
for phase; do
	case $phase in
	--print) print=yes ;;
	build)	wanted="$wanted $build" ;;
	demo)	wanted="$wanted $build $demo" ;;
	check)	wanted="$wanted $build $check" ;;
	conform) wanted="$wanted $build $conform" ;;
	bench)	wanted="$wanted $build $bench" ;;
	*)	echo "install-deps: no phase '$phase' (there are: build demo check conform bench)" >&2
		exit 2 ;;
	esac
done

# A package counts as here when dpkg says so, or when the program we want of it is on PATH anyway
# (node and go often come from elsewhere).
have() {
	case $1 in
	nodejs)	command -v node >/dev/null && return ;;
	golang-go) command -v go >/dev/null && return ;;
	default-jre-headless) command -v java >/dev/null && return ;;
	default-jdk-headless) command -v javac >/dev/null && return ;;
	esac
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for package in $wanted; do
	case " $missing " in
	*" $package "*) continue ;;
	esac
	have "$package" || missing="$missing${missing:+ }$package"
done
[ -n "$missing" ] || exit 0
if [ "$print" = yes ]; then
	echo "$missing"
	exit 0
fi

if ! command -v apt-get >/dev/null; then
	echo "install-deps: missing, and there is no apt-get here to install them: $missing" >&2
	exit 1
fi
if [ "$(id -u)" = 0 ]; then
	as_root=
elif sudo -n true 2>/dev/null; then
	as_root='sudo -n'
else
	echo "install-deps: packages are missing. Run this line, then try again:" >&2
	echo "    sudo apt-get install --no-install-recommends -y $missing" >&2
	exit 1
fi

apt_install() {
	# shellcheck disable=SC2086 # lists of words
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 \
		install --no-install-recommends $missing </dev/null >&2
}

echo "install-deps: installing $missing" >&2
# Java's package wants the directory of manual pages, which minimal images leave out.
$as_root mkdir -p /usr/share/man/man1
apt_install 2>/dev/null && exit 0
$as_root apt-get -qq update </dev/null >&2 || true	# the package lists may be absent or old
apt_install
