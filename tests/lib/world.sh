#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One guest program in one world, compared with its native run.  Prints one line of TAP (without numbers) for
# each of its tests, one for its exit status, and one for what it left behind.
#
# usage: tests/lib/world.sh WORLD PROGRAM [PATTERN]
#
# WORLD	native	as any program; what it says there is the truth
#	view	in an empty view
#	mount	in a view, its scratch directory in an ext4 image mounted there
#	cow	in a view, its scratch directory in a tree that is copied on write: which must stay as it was
#	bindcow	the same, its scratch directory behind a bind mount of the directory that is copied on write
#	cowmount	the same, over an ext4 image mounted there
#	cowbind	the same, over a bind mount; beneath that are other things of the same names
#	cowcow	the same, over another tree that is copied on write
#	merge	in a view, its scratch directory merged with an empty one
#	fakeroot	in a view in which it is root: natively root it would be, or skip its tests
#	secure	in a view in which it is who it is, and every path is checked
#	bind	in a view, its scratch directory behind a bind mount; beneath that are other things of the same names
#	kfuse	the same image under the kernel's FUSE (root only): what `mount` is to be compared with
#
# UMVIEW=build/umview   the umview to test
# TMPDIR                where scratch directories are made
# UMT_NATIVE            a directory where what the program says natively is kept
set -u
here=$(cd "$(dirname "$0")" && pwd)
UMVIEW=${UMVIEW:-$here/../../build/umview}
BUILD=${BUILD:-$here/../../build}
supervise=$BUILD/tests/lib/supervise
world=$1
program=$(realpath "$2")
pattern=${3-${PATTERN-}}
name=$(basename "$program")
read -ra options < <(sed -n 's/^ \* GUEST_OPTIONS: //p' "$here/../guest/${name%%-static*}.c")
PATH=$PATH:/usr/sbin:/sbin
. "$here/leak.sh"

dir=$(mktemp -d "${TMPDIR:-/tmp}/umt.XXXXXX")
LEAK_DIR=$dir
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/native" "$dir/view" "$dir/mnt" "$dir/tree/s"
chmod 777 "$dir/tree/s"

say() {	# say STATUS TEXT
	if [ "$1" = 0 ]; then echo "ok - $name [$world] $2"; else echo "not ok - $name [$world] $2"; fi
}

make_image() {	# make_image FILE: 64 MiB of ext4 with an empty directory s
	truncate -s 64M "$1"
	mke2fs -q -t ext4 -d "$dir/tree" "$1"
}

unpack_image() {	# unpack_image DIR: what is in that image now
	mkdir "$1"
	debugfs -R "rdump s $1" "$dir/image" >/dev/null 2>&1
	touch -d @0 "$1"
}

run() {		# run OUTPUT COMMAND...: the program's TAP; its status
	local out=$1
	shift
	"$supervise" -l -t 90 -- "$@" ${pattern:+"$pattern"} >"$out" 2>"$out.err" </dev/null
}

in_world() {
	case $world in
	view)
		run "$dir/out" "$UMVIEW" "${options[@]}" -- "$program" "$dir/view" ;;
	bind)
		mkdir -p "$dir/other/place/s" "$dir/mnt/s"
		for below in f d out g h s; do	# what a way around the mount would find
			echo beneath >"$dir/mnt/s/$below"
		done
		GUEST_FS=bind run "$dir/out" "$UMVIEW" "${options[@]}" --bind "$dir/other/place" "$dir/mnt" -- "$program" "$dir/mnt/s" ;;
	mount)
		make_image "$dir/image"
		GUEST_FS=fuse run "$dir/out" "$UMVIEW" "${options[@]}" --mount "$dir/image" "$dir/mnt" -- "$program" "$dir/mnt/s" ;;
	fakeroot)
		run "$dir/out" "$UMVIEW" "${options[@]}" --fakeroot -- "$program" "$dir/view" ;;
	secure)
		run "$dir/out" "$UMVIEW" "${options[@]}" --secure --user "$(id -u):$(id -g):$(id -G | tr ' ' ,)" -- "$program" "$dir/view" ;;
	cow)
		cp -a "$dir/tree" "$dir/low"
		GUEST_FS=cow run "$dir/out" "$UMVIEW" "${options[@]}" --cow "$dir/low" --upper "$dir/upper" -- "$program" "$dir/low/s" ;;
	bindcow)
		cp -a "$dir/tree" "$dir/low"
		mkdir -p "$dir/mnt/s"
		for below in f d out g h s; do
			echo beneath >"$dir/mnt/s/$below"
		done
		GUEST_FS=bindcow run "$dir/out" "$UMVIEW" "${options[@]}" --cow "$dir/low" --upper "$dir/upper" --bind "$dir/low" "$dir/mnt" -- "$program" "$dir/mnt/s" ;;
	cowmount)
		make_image "$dir/image"
		rm -rf "$dir/tree"
		unpack_image "$dir/tree"
		GUEST_FS=cow run "$dir/out" "$UMVIEW" "${options[@]}" --mount "$dir/image" "$dir/mnt" --cow "$dir/mnt" --upper "$dir/upper" -- "$program" "$dir/mnt/s"
		over_status=$?
		unpack_image "$dir/low"
		return $over_status ;;
	cowbind)
		cp -a "$dir/tree" "$dir/low"
		mkdir -p "$dir/mnt/s"
		for below in f d out g h s; do
			echo beneath >"$dir/mnt/s/$below"
		done
		GUEST_FS=cow run "$dir/out" "$UMVIEW" "${options[@]}" --bind "$dir/low" "$dir/mnt" --cow "$dir/mnt" --upper "$dir/upper" -- "$program" "$dir/mnt/s" ;;
	cowcow)
		cp -a "$dir/tree" "$dir/low"
		GUEST_FS=cow run "$dir/out" "$UMVIEW" --cow "$dir/low" --upper "$dir/lower" -- "$UMVIEW" "${options[@]}" --cow "$dir/low" --upper "$dir/upper" -- "$program" "$dir/low/s"
		over_status=$?
		[ -z "$(find "$dir/lower/tree" -mindepth 1)" ] || echo "not ok - $name [$world] the tree below is empty"
		return $over_status ;;
	merge)
		mkdir -p "$dir/names/s" "$dir/mnt/s"
		chmod 777 "$dir/mnt/s"
		GUEST_FS=merge run "$dir/out" "$UMVIEW" "${options[@]}" --merge "$dir/names" "$dir/mnt" -- "$program" "$dir/mnt/s" ;;
	kfuse)
		make_image "$dir/image"
		fuse2fs -o fakeroot "$dir/image" "$dir/mnt" || return
		GUEST_FS=fuse run "$dir/out" "$program" "$dir/mnt/s"
		kfuse_status=$?
		fusermount -u "$dir/mnt"
		sleep 0.5
		return $kfuse_status ;;
	*)
		echo "world.sh: no world '$world'" >&2
		exit 125 ;;
	esac
}

# Each test that the native run had must have the same line here.  In an image, or where nothing is patched, a test may be skipped that is
# not skipped natively: it says why.
compare() {
	local line what
	local -A here=()
	while IFS= read -r line; do
		[ -z "$line" ] || here[$line]=1
	done <"$dir/out"
	while IFS= read -r line; do
		what=${line#*ok }
		what=${what#* - }
		what=${what%% # SKIP*}
		if [ -n "${here[$line]-}" ]; then
			case $line in
			*' # SKIP '*) echo "ok - $name [$world] $what # SKIP ${line##* # SKIP }" ;;
			*) say 0 "$what" ;;
			esac
		elif [[ $world = fakeroot && $line = *' # SKIP needs root' ]] && grep -qE "^ok [0-9]+ - .*$(printf %s "$what" | sed 's/[][\.*^$/]/./g')\$" "$dir/out"; then
			say 0 "$what"
		elif { [ "$world" != view ] || [ "${UMVIEW_TIER-}" = trap ]; } && grep -F -- "$what # SKIP " "$dir/out" | grep -q '^ok '; then
			echo "ok - $name [$world] $what # SKIP $(grep -F -- "$what # SKIP " "$dir/out" | sed 's/.* # SKIP //')"
		else
			say 1 "$what"
		fi
	done < <(grep -E '^(not )?ok ' "$dir/native.out")
}

# Once for all worlds, if whoever starts us for each of them has a place for it.
native() {
	local kept=${UMT_NATIVE:-$dir}/$name.native
	exec 9>"$kept.lock"
	flock 9
	if [ ! -e "$kept.status" ]; then
		run "$kept" "$program" "$dir/native" 9>&-
		echo $? >"$kept.status"
	fi
	exec 9>&-
	cp "$kept" "$dir/native.out"
	cp "$kept.err" "$dir/native.out.err"
	return "$(cat "$kept.status")"
}

native
native_status=$?
if [ "$world" = native ]; then
	sed -nE "s/^((not )?ok) [0-9]+ - /\\1 - $name [native] /p" "$dir/native.out"
	say "$native_status" "status $native_status"
	[ $native_status = 0 ] || sed 's/^#* */# /' "$dir/native.out.err"
	exit $native_status
fi
if [ $native_status != 0 ]; then
	say 1 "the native run failed (status $native_status)"
	sed 's/^#* */# native: /' "$dir/native.out.err"
fi

leak_before
in_world
status=$?
left=$(leak_after)
compare
[ $status = $native_status ]
say $? "exit status $status, natively $native_status"
if [ -s "$dir/image" ] && [ "$world" = mount ]; then
	e2fsck -fn "$dir/image" >"$dir/fsck" 2>&1
	fsck=$?
	say $fsck "e2fsck after it"
	[ $fsck = 0 ] || sed 's/^/# /' "$dir/fsck"
fi
if [[ $world = cow* || $world = bindcow ]]; then
	diff <(cd "$dir/tree"; find . -printf '%P %y %m %u %g %s %T@ %l\n' | sort) \
	     <(cd "$dir/low"; find . -printf '%P %y %m %u %g %s %T@ %l\n' | sort) >"$dir/changes"
	say $? "what is below is as it was"
	sed 's/^/# /' "$dir/changes"
fi
say "$([ -z "$left" ]; echo $?)" "nothing left behind"
[ -z "$left" ] || sed 's/^/# /' <<<"$left"
# What the world's run said about failures, which is nothing when all went well.
cut -c1-300 "$dir/out.err" | grep '^#' | head -60
[ $status = 0 ] || grep -v '^#' "$dir/out.err" | cut -c1-300 | head -20 | sed 's/^/# stderr: /'
exit 0
