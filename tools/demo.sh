#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The demonstration of `make demo`: an ordinary user mounts a real disk image, just for one shell.
#
# usage: tools/demo.sh UMVIEW	(as root it becomes an ordinary user first)
set -eu

umview=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin

if [ "$(id -u)" = 0 ]; then
	stage=$(mktemp -d)	# the checkout may be out of an ordinary user's reach
	trap 'rm -rf "$stage"' EXIT
	chmod 755 "$stage"
	cp "$umview" "$here/demo.sh" "$here/../tests/lib/as-user.sh" "$stage"
	echo "You are root; the demonstration does not want that: it goes on as uid 65534, without capabilities."
	"$stage/as-user.sh" "$stage/demo.sh" "$stage/umview"
	exit
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/umview-demo.XXXXXX")
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir mnt

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
if [ ! -t 1 ]; then
	step() { printf '\n== %s\n' "$*"; }
fi
say() { printf '   %s\n' "$*"; }
run() { printf '   $ %s\n' "$*"; "$@" 2>&1 | sed 's/^/     /'; }
broken() {
	echo
	echo "The demonstration FAILED: $*" >&2
	exit 1
}

step "1. A disk image of 1 GiB, as any tool makes it"
mkdir -p tree/bin tree/docs
cp "$(command -v seq)" tree/bin/count
cat >tree/bin/greet <<'EOF'
#!/bin/sh
echo "greetings from a script inside the image; my directory is $(dirname "$0")"
EOF
chmod 755 tree/bin/greet
echo 'This file lives in disk.ext4 and nowhere else.' >tree/docs/note.txt
run mke2fs -q -t ext4 -d tree disk.ext4 1G
run ls -sh disk.ext4
rm -r tree

step "2. Who we are, and what we do not use"
run id
if [ -r /dev/fuse ] && [ -w /dev/fuse ]; then
	say "(/dev/fuse could be opened by this user, but it is not.)"
else
	say "/dev/fuse: not to be had for this user. Not needed."
fi

step "3. One shell with the image mounted: umview --mount disk.ext4 mnt -- sh"
cat >inside.sh <<'EOF'
set -e
echo '$ ls -l mnt'; ls -l mnt
echo '$ cat mnt/docs/note.txt'; cat mnt/docs/note.txt
echo '$ mnt/bin/greet'; mnt/bin/greet
echo '$ mnt/bin/count -s " " 10	# an ELF program, run from the image'; mnt/bin/count -s " " 10
echo '$ df -h --output=size,avail,fstype mnt'; df -h --output=size,avail,fstype mnt
echo '$ echo "written in the view" > mnt/docs/new.txt'; echo "written in the view" > mnt/docs/new.txt
mkdir mnt/work && (cd mnt/work && seq 1 20000 > numbers && sort -rn numbers > sorted && pwd)
test "$(mnt/bin/count 20000 | sort -rn | cksum)" = "$(cksum < mnt/work/sorted)"
: > ready
i=0
until [ -e go ]; do i=$((i + 1)); [ $i -lt 600 ]; sleep 0.05; done
echo '$ umview umount mnt; ls -A mnt | wc -l'
"$UMVIEW" umount mnt
test "$(ls -A mnt | wc -l)" -eq 0 && echo 0
EOF
status=0
UMVIEW=$umview "$umview" --mount disk.ext4 mnt -- sh inside.sh >inside.log 2>&1 &
view=$!
tries=0
until [ -e ready ] || ! kill -0 "$view" 2>/dev/null || [ "$tries" -ge 600 ]; do
	tries=$((tries + 1))
	sleep 0.05
done
outside=$(ls -A mnt | wc -l)
mounts=$(grep -c "$dir" /proc/self/mounts || true)
: >go
wait "$view" || status=$?
sed 's/^/     /' inside.log
[ "$status" = 0 ] || broken "the shell in the view ended with status $status"
[ -e ready ] || broken "the shell in the view never came to its end"

step "4. Meanwhile, outside"
say "entries that this shell saw in mnt while it was mounted: $outside"
say "lines about it in this shell's /proc/self/mounts:        $mounts"
[ "$outside$mounts" = 00 ] || broken "something of the view was visible outside"

step "5. Afterwards"
run e2fsck -fn disk.ext4
e2fsck -fn disk.ext4 >fsck.log 2>&1 || broken "e2fsck is not content with the image"
run debugfs -R 'cat /docs/new.txt' disk.ext4
debugfs -R 'cat /docs/new.txt' disk.ext4 2>/dev/null | grep -q '^written in the view$' ||
	broken "what was written is not in the image"

echo
echo "Demo passed: mounted, read, run from, written to and unmounted, by an ordinary user; the image is clean."
