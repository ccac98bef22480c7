#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Exit statuses, and one clear line for everything that is wrong on the command line or in the world.
load common

# One line on standard error that holds every word given; a status; nothing on standard output.
one_line() {	# one_line STATUS WORD... -- COMMAND...
	local want=$1 words=() w
	shift
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	shift
	s=0
	"$@" >out 2>err </dev/null || s=$?
	echo "status $s; said: $(cat err)"
	[ "$s" -eq "$want" ]
	[ "$(wc -l <err)" -eq 1 ]
	[ ! -s out ]
	for w in "${words[@]}"; do grep -qF -- "$w" err; done
}

@test "ST-01 the command's status: 0, 1, 7, 255" {
	for c in 0 1 7 126 255; do
		run umview -- sh -c "exit $c"
		[ "$status" -eq "$c" ]
	done
}

@test "ST-02 128+N for a command that a signal ended" {
	for sig in HUP INT TERM KILL USR1 SEGV ABRT PIPE; do
		run umview -- sh -c "ulimit -c 0; kill -$sig \$\$"
		[ "$status" -eq $((128 + $(kill -l $sig))) ]
	done
}

@test "ST-03 127: not found; 126: found, but cannot be executed" {
	run -127 umview -- no-such-command-anywhere
	[[ $output = *no-such-command-anywhere* ]]
	run -127 umview -- /none/such
	echo text >file
	run umview -- ./file
	[ "$status" -eq 126 ]
	run umview -- "$W"
	[ "$status" -eq 126 ]
	printf 'no program' >garbage; chmod 755 garbage
	run umview -- ./garbage
	[ "$status" -eq 126 ] || [ "$status" -eq 127 ] || [ "$status" -eq 0 ]
}

@test "ST-04 125: an unknown option, an option without its words" {
	one_line 125 --nonsense -- umview --nonsense -- true
	one_line 125 --mount -- umview --mount
	one_line 125 --mount -- umview --mount x
	one_line 125 --bind -- umview --bind x
	one_line 125 -z -- umview -z true
}

@test "ST-05 an image that is none" {
	echo 'this is no image' >text
	: >empty
	head -c 100000 /dev/urandom >noise
	one_line 125 text -- umview --mount text mnt -- true
	one_line 125 empty -- umview --mount empty mnt -- true
	one_line 125 noise -- umview --mount noise mnt -- true
	one_line 125 none.img -- umview --mount none.img mnt -- true
	run umview -- umview mount text mnt
	[ "$status" -ne 0 ]
	[ "${#lines[@]}" -eq 1 ]
}

@test "ST-06 a FUSE program that is not installed: named, with its Debian package" {
	need fusefat mkfs.vfat
	# A program found on PATH or in the system's directories is used; so hide one, in an outer view.
	: >nothing
	truncate -s 4M fat
	mkfs.vfat fat >/dev/null
	one_line 125 fusefat 'Debian package' -- umview --bind nothing "$(command -v fusefat)" -- umview --mount fat mnt -- true
	one_line 125 no-such-fs -- umview --mount-type fuse.no-such-fs x mnt -- true
}

@test "ST-07 a mount on itself, on a file, on nothing" {
	need fuse2fs
	ext4 img
	: >file
	one_line 125 img -- umview --mount img img -- true
	one_line 125 file -- umview --mount img file -- true
	one_line 125 nowhere -- umview --mount img nowhere/deep -- true
}

@test "ST-08 a damaged image: the FUSE program's own words, and no mount" {
	need fuse2fs
	ext4 img
	printf '\377\377' | dd of=img bs=1 seek=$((1024 + 98)) conv=notrunc 2>/dev/null	# features nobody knows
	run umview --mount img mnt -- echo ran
	[ "$status" -eq 125 ]
	[[ $output != *ran* ]]
	[[ $output = *fuse2fs* ]]
}

@test "ST-09 umount of what is no mount; mount and umount outside a view" {
	run umview -- umview umount mnt
	[ "$status" -ne 0 ]
	[ "${#lines[@]}" -eq 1 ]
	run umview mount x y
	[ "$status" -ne 0 ]
	[[ $output = *'view'* ]]
	run umview umount x
	[ "$status" -ne 0 ]
	run umview ls
	[ "$status" -ne 0 ]
}

@test "ST-10 a 32-bit executable: ENOEXEC, and the reason in the log" {
	# the smallest ELF for i386: a header and a program header, exit(0)
	python3 - <<-'PY'
		import struct
		code = bytes([0x31, 0xdb, 0x8d, 0x43, 0x01, 0xcd, 0x80])
		eh = b'\x7fELF\x01\x01\x01' + bytes(9) + struct.pack('<HHIIIIIHHHHHH', 2, 3, 1, 0x08048054, 52, 0, 0, 52, 32, 1, 0, 0, 0)
		ph = struct.pack('<IIIIIIII', 1, 0, 0x08048000, 0x08048000, 84 + len(code), 84 + len(code), 5, 4096)
		open('elf32', 'wb').write(eh + ph + code)
	PY
	chmod 755 elf32
	run umview --log=log -- ./elf32
	[ "$status" -eq 126 ]
	grep -q '32' log
	umview -- python3 -c 'import os, errno
try: os.execv("./elf32", ["elf32"])
except OSError as e: assert e.errno == errno.ENOEXEC, e'
}

@test "ST-11 other formats: an empty file, a cut ELF, an ELF of another machine" {
	python3 - <<-'PY'
		import shutil
		head = open('/bin/true', 'rb').read(64)
		open('cut', 'wb').write(head)
		open('arm', 'wb').write(head[:18] + b'\xb7\x00' + head[20:])
		b = bytearray(open('/bin/true', 'rb').read()); b[0x20:0x28] = b'\xff' * 8; open('wild', 'wb').write(b)
	PY
	: >empty
	chmod 755 cut arm wild empty
	for f in cut arm wild empty; do
		umview -- python3 -c 'import os, errno, sys
try: os.execv(sys.argv[1], [sys.argv[1]])
except OSError as e: assert e.errno in (errno.ENOEXEC, errno.EIO), e
else: assert False' ./$f
	done
}

@test "ST-12 a wrong --chdir, an unreadable image" {
	one_line 125 nowhere -- umview --chdir nowhere -- true
	if [ "$(id -u)" != 0 ]; then
		ext4 img
		chmod 000 img
		one_line 125 img -- umview --mount img mnt -- true
	fi
}

@test "ST-13 umview runs from anywhere, under another name of its directory, with few descriptors" {
	cd /
	[ "$("$UMVIEW" -- echo fine)" = fine ]
	ln -s "$UMVIEW" "$W/other"
	[ "$("$W/other" -- echo fine)" = fine ]
	[ "$(ulimit -n 64; "$UMVIEW" -- echo fine)" = fine ]
	[ "$(ulimit -n 32; "$UMVIEW" -- sh -c 'ls /proc/self/fd >/dev/null; echo fine')" = fine ]
	[ "$("$UMVIEW" -- echo fine <&- 2>&-)" = fine ]
}
