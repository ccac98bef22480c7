#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Measures native, view, PRoot and kernel FUSE, interleaved in one run, and prints a table of medians, which is also
# written to $BUILD/bench.md.  The raw figures are in $BUILD/bench.raw.
#
# usage: bench/run.sh [ROW...]		(without: all; see the rows below)
#
# UMVIEW=...	the umview to measure (build/umview)
# ROUNDS=5	rounds; in each, every world does every row once
# PROOT=0	leave PRoot out (it is slow); KFUSE=0: leave kernel FUSE out (it needs root and /dev/fuse)
#
# Run it on a quiet machine; it takes some minutes.  It tests nothing: the figures depend on the machine.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath "${BUILD:-$here/../build}")
UMVIEW=$(realpath "${UMVIEW:-$BUILD/umview}")
rounds=${ROUNDS:-5}
raw=$BUILD/bench.raw
wanted=" $* "
PATH=$PATH:/usr/sbin:/sbin

dir=$(mktemp -d "${TMPDIR:-/tmp}/umbench.XXXXXX")
trap 'fusermount -uq "$dir/kfuse" 2>/dev/null; umount -q "$dir/debian/proc" 2>/dev/null; rm -rf --one-file-system "$dir"' EXIT
chmod 755 "$dir"
mkdir -p "$BUILD/bench" "$dir/mnt" "$dir/kfuse" "$dir/host"
gcc -std=gnu11 -O2 -Wall -Wextra -Werror -o "$BUILD/bench/calls" "$here/calls.c" || exit 1
calls=$BUILD/bench/calls
gcc -std=gnu11 -O2 -static -o "$dir/host/calls" "$here/calls.c" || exit 1
: >"$raw"

worlds='native view filter'
[ "${PROOT-1}" = 0 ] || ! command -v proot >/dev/null || worlds="$worlds proot"
kfuse=
if [ "${KFUSE-1}" != 0 ] && [ "$(id -u)" = 0 ] && [ -w /dev/fuse ]; then
	kfuse=kfuse
fi

copies=0
overlays=
if unshare -m true 2>/dev/null; then overlays=overlay; fi
if [ -w /dev/fuse ] && command -v fuse-overlayfs >/dev/null; then overlays="$overlays fuseover"; fi

# Options of a view with N mounts that have nothing to do with what is measured.
binds() {
	local i
	for i in $(seq "$1"); do printf -- '--bind\n%s\n%s\n' "$dir/tree" "$dir/binds/of/$((i % 10))/$i"; done
}

hides() {
	local i
	for i in $(seq "$1"); do printf -- '--hide\n%s\n' "$dir/binds/of/$((i % 10))/$i"; done
}

# in_world WORLD COMMAND...: `filter`, natively, with a seccomp filter that does nothing but look where a call comes from, as
# every view has to; `view` and `native` and so on, without any mount; `view-N` with N of them, `hides-N` with N
# hidden names; `bound` with what is measured behind a bind, `chroot` with it below a root of its own
in_world() {
	local world=$1 options
	shift
	case $world in
	view-*)	mapfile -t options < <(binds "${world#view-}")
		"$UMVIEW" "${options[@]}" -- "$@" ;;
	hides-*) mapfile -t options < <(hides "${world#hides-}")
		"$UMVIEW" "${options[@]}" -- "$@" ;;
	bound)	"$UMVIEW" --bind "$dir/host" "$dir/bound" -- "${@//"$dir/host"/"$dir/bound"}" ;;
	chroot)	shift
		"$UMVIEW" --chroot "$dir/host" -- /calls "$@" ;;
	native)	"$@" ;;
	filter)	"$calls" filtered "${@:2}" ;;
	view)	"$UMVIEW" -- "$@" ;;
	proot)	proot "$@" ;;
	esac
}

# on_mount WORLD COMMAND...: with @ in an argument for the directory; image=many: the one with 20000 files
on_mount() {
	local world=$1 name=${image:-image}
	shift
	case $world in
	native)	"${@//@/$dir/host${image:+-$image}}" ;;
	view)	"$UMVIEW" --mount "$dir/$name" "$dir/mnt" -- "${@//@/$dir/mnt}" ;;
	kfuse)	fuse2fs -o fakeroot "$dir/$name.k" "$dir/kfuse" || return
		"${@//@/$dir/kfuse}"
		fusermount -u "$dir/kfuse"
		while pgrep -f "fuse2fs -o fakeroot $dir/$name.k" >/dev/null; do sleep 0.05; done ;;
	esac
}

record() {	# record ROW WORLD COMMAND...
	local row=$1 world=$2 value
	shift 2
	value=$("$@" 2>"$dir/err") || value=
	if [[ ${value##*$'\n'} =~ ^[0-9.]+$ ]]; then
		printf '%s\t%s\t%s\n' "$row" "$world" "${value##*$'\n'}" >>"$raw"
	else
		printf 'bench: %s [%s] failed: %s\n' "$row" "$world" "$(head -c 300 "$dir/err")" >&2
	fi
}

is_wanted() {
	[ "$wanted" = '  ' ] || [[ $wanted = *" $1 "* ]]
}

# plain ROW PROOT-ROUNDS COMMAND...: PRoot does slow rows in the first rounds only
plain() {
	local row=$1 slow=$2 world
	shift 2
	is_wanted "$row" || return 0
	for world in $worlds; do
		[ "$world" != proot ] || [ "$round" -le "$slow" ] || continue
		record "$row" "$world" in_world "$world" "$@"
	done
}

mounted() {	# mounted ROW COMMAND...
	local row=$1 world
	shift
	is_wanted "$row" || return 0
	for world in native view $kfuse; do
		record "$row" "$world" on_mount "$world" "$@"
	done
}

# Runs with the directory LOW covered by an overlay file system (of the kernel, in a mount namespace of its own, or fuse-overlayfs):
# overlaid KIND LOW UPPER COMMAND...
overlaid() {
	local kind=$1 options="lowerdir=$2,upperdir=$3/u,workdir=$3/w"
	mkdir -p "$3/u" "$3/w" "$dir/over"
	shift 3
	case $kind in
	overlay) unshare -m sh -c 'mount -t overlay -o "$0" overlay "$1" && shift && exec "$@"' "$options" "$dir/over" "$@" ;;
	fuseover) fuse-overlayfs -o "$options" "$dir/over" || return
		"$@"
		fusermount -u "$dir/over" ;;
	esac
}

# copied ROW COMMAND...: what @ stands for is written to; natively, with all copied on write, within another such view (nested), over the
# same in a mounted ext4 image (image), and in overlay file systems.  Each
# time in a new copy; none is removed before all is over, since ext4 is slow for seconds where much has been removed.
copied() {
	local row=$1 world low upper
	shift
	is_wanted "$row" || return 0
	for world in native view nested image $overlays; do
		copies=$((copies + 1))
		low=$dir/copies/$copies/low
		upper=$dir/copies/$copies/upper
		mkdir -p "$upper"
		cp -a "$dir/repo" "$low"
		case $world in
		native)	record "$row" native "${@//@/$low}" ;;
		view)	record "$row" view "$UMVIEW" --cow / --upper "$upper" -- "${@//@/$low}" ;;
		nested)	record "$row" nested "$UMVIEW" --cow / --upper "$upper/outer" -- \
				"$UMVIEW" --cow / --upper "$upper/inner" -- "${@//@/$low}" ;;
		image)	record "$row" image "$UMVIEW" --mount "$dir/image.repo" "$dir/mnt" --cow "$dir/mnt" --upper "$upper" -- "${@//@/$dir/mnt}" ;;
		*)	record "$row" "$world" overlaid "$world" "$low" "$upper" "${@//@/$dir/over}" ;;
		esac
	done
}

# In a tree made by debootstrap (make fixtures), new each time: apt-get update and install.  Natively that is real root with
# chroot(8), /dev and /proc in the tree, so the row needs root; the others are an ordinary user's.
installed() {
	local fixtures=$BUILD/fixtures world packages=
	is_wanted install || return 0
	if [ "$(id -u)" != 0 ] || [ ! -e "$fixtures/debian.tar" ]; then
		[ "$round" != 1 ] || echo "bench: install: needs root and make fixtures" >&2
		return 0
	fi
	eval "$(cat "$fixtures/about")"
	for world in ${worlds/ filter}; do
		rm -rf --one-file-system "$dir/debian"
		mkdir "$dir/debian"
		tar -xpf "$fixtures/debian.tar" -C "$dir/debian"
		local inside=("$here/../tests/lib/install.sh" "$packages")
		local user=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$calls" "time" 1)
		[ "$world" = native ] || chown -hR 65534:65534 "$dir/debian"
		case $world in
		native)	mknod -m 666 "$dir/debian/dev/null" c 1 3
			mknod -m 666 "$dir/debian/dev/urandom" c 1 9
			mount -t proc proc "$dir/debian/proc" 2>/dev/null
			record install native "$calls" "time" 1 "${inside[@]}" chroot "$dir/debian"
			umount -q "$dir/debian/proc" ;;
		view)	record install view "${user[@]}" "${inside[@]}" "$UMVIEW" --chroot "$dir/debian" --fakeroot -- ;;
		proot)	record install proot "${user[@]}" "${inside[@]}" proot -0 -r "$dir/debian" -b /dev -b /proc ;;
		esac
		grep -q 'ok installed' <(grep -A 3 "^Package: ${packages%% *}\$" "$dir/debian/var/lib/dpkg/status") ||
			echo "bench: install [$world]: ${packages%% *} is not installed" >&2
	done
}

# The private memory of a process that sleeps, in bytes, as seen from outside.
private_memory() {
	local pid
	in_world "$1" sh -c "echo \$\$ >$dir/pid; exec sleep 2" &
	sleep 1
	pid=$(cat "$dir/pid")
	awk '/^Anonymous/ { print $2 * 1024 }' "/proc/$pid/smaps_rollup"
	wait
}

fixtures() {
	local i
	mkdir -p "$dir/tree/small" "$dir/src" "$dir/repo"
	for i in $(seq 300); do head -c 3000 /dev/urandom >"$dir/tree/small/f$i"; done
	head -c 67108864 /dev/zero >"$dir/tree/64m"
	head -c 4096 /dev/urandom >"$dir/tree/4k"
	head -c 1048576 /dev/zero >"$dir/tree/w4k"
	cp -r "$dir/tree/." "$dir/host"
	tar cf "$dir/untar.tar" -C /usr/include linux asm-generic
	for i in $(seq 200); do
		mkdir -p "$dir/many/m$i"
		seq 100 | split -l 1 -a 2 - "$dir/many/m$i/f"
	done
	tar cf "$dir/many.tar" -C "$dir" many
	mv "$dir/many" "$dir/host-many"
	for i in many many.k; do
		truncate -s 256M "$dir/$i"
		mke2fs -q -t ext4 -N 40000 -d "$dir/host-many" "$dir/$i"
	done
	for i in image image.k; do
		truncate -s 1G "$dir/$i"
		mke2fs -q -t ext4 -d "$dir/tree" "$dir/$i"
	done
	for i in $(seq 30); do
		printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint f%d(int x) { return printf("%%d", x) + (int)strlen("x"); }\n' "$i" >"$dir/src/f$i.c"
	done
	printf 'O := $(patsubst %%.c,%%.o,$(wildcard *.c))\nall: $(O)\n%%.o: %%.c\n\t@gcc -O1 -c -o $@ $<\n' >"$dir/src/Makefile"
	(cd "$dir/repo" && git init -q && for i in $(seq 2000); do mkdir -p d$((i % 50)); echo "$i" >"d$((i % 50))/f$i"; done &&
		git add . && git -c user.name=b -c user.email=b@example.invalid commit -qm b && git status >/dev/null)
	truncate -s 256M "$dir/image.repo"
	mke2fs -q -t ext4 -d "$dir/repo" "$dir/image.repo"
}

one_round() {
	plain getppid 99 "$calls" getppid
	plain read1 99 "$calls" read1 /dev/zero
	plain write1 99 "$calls" write1 /dev/null
	plain pread4k 99 "$calls" pread4k "$dir/host/4k"
	plain write4k 99 "$calls" write4k "$dir/host/w4k"
	plain stat 99 "$calls" stat "$dir/host/4k"
	plain openclose 99 "$calls" openclose "$dir/host/4k"
	if is_wanted mounts; then
		for n in 1 1000; do
			record "stat-$n" native "$calls" stat "$dir/host/4k"
			record "stat-$n" view in_world view-$n "$calls" stat "$dir/host/4k"
			record "openclose-$n" native "$calls" openclose "$dir/host/4k"
			record "openclose-$n" view in_world view-$n "$calls" openclose "$dir/host/4k"
			record "stat-h$n" native "$calls" stat "$dir/host/4k"
			record "stat-h$n" view in_world hides-$n "$calls" stat "$dir/host/4k"
			record "openclose-h$n" native "$calls" openclose "$dir/host/4k"
			record "openclose-h$n" view in_world hides-$n "$calls" openclose "$dir/host/4k"
		done
	fi
	if is_wanted behind; then
		for op in stat openclose; do
			record "$op-bound" native "$calls" $op "$dir/host/4k"
			record "$op-bound" view in_world bound "$calls" $op "$dir/host/4k"
			record "$op-chroot" native "$calls" $op "$dir/host/4k"
			record "$op-chroot" view in_world chroot "$calls" $op /4k
		done
	fi
	if is_wanted memory; then
		record memory native private_memory native
		record memory view private_memory view
	fi
	plain forkexec 99 "$calls" forkexec 300
	plain find 1 "$calls" time 1 find /usr -xdev
	plain git 2 "$calls" time 3 git -C "$dir/repo" status
	plain tar 1 "$calls" time 1 tar c /usr/include
	plain build 2 "$calls" time 1 make -B -s -j2 -C "$dir/src"
	plain python 2 "$calls" time 10 /usr/bin/python3 -c pass
	if is_wanted start; then
		record start native "$calls" time 20 true
		record start view "$calls" time 20 "$UMVIEW" -- true
		[[ $worlds != *proot* ]] || record start proot "$calls" time 20 proot true
	fi
	installed
	copied c-stat "$calls" stat @/d7/f7
	copied c-openclose "$calls" openclose @/d7/f7
	copied c-create "$calls" create @/d7/new
	copied c-find "$calls" time 1 find @
	copied c-git "$calls" time 3 git -C @ status
	copied c-untar "$calls" time 1 tar xf "$dir/untar.tar" -C @
	copied c-many "$calls" time 1 tar xf "$dir/many.tar" -C @
	copied c-build sh -c "cp -r $dir/src @/src && exec $calls time 1 make -B -s -j2 -C @/src"
	copied c-rm "$calls" time 1 rm -r @/d1 @/d2 @/d3 @/d4 @/d5 @/d6 @/d7 @/d8
	mounted m-stat "$calls" stat @/4k
	mounted m-openreadclose "$calls" openreadclose @/4k
	mounted m-pread4k "$calls" pread4k @/4k
	mounted m-readdir "$calls" time 20 ls -l @/small
	mounted m-read64 "$calls" read @/64m
	mounted m-write64 "$calls" write "@/w64"
	mounted m-create "$calls" create "@/new$round"
	image=many mounted m-find sh -c "find @ >/dev/null && exec $calls time 2 find @"
	image=many mounted m-tar sh -c "tar c @ | cat >/dev/null && exec $calls time 2 sh -c 'tar c @ | cat'"
	mounted m-untar sh -c "mkdir @/un$round && exec $calls time 1 tar xf $dir/untar.tar -C @/un$round"
}

fixtures
for round in $(seq "$rounds"); do
	echo "bench: round $round of $rounds" >&2
	one_round
done
python3 "$here/table.py" "$raw" | tee "$BUILD/bench.md"
