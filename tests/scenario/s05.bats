#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# S-05 Programs that live in a mounted image.
load common

image() {
	need fuse2fs gcc
	if [ ! -e "$BATS_FILE_TMPDIR/image" ]; then
		tree
		cp -a "$T" "$BATS_FILE_TMPDIR/t"
		(
			cd "$BATS_FILE_TMPDIR/t/bin" || exit 1
			printf '#include <stdio.h>\n#include <math.h>\nint helper(int);\nint main(int c, char **v) { printf("%%s %%d %%d\\n", v[0], c, helper(c)); return 9; }\n' >m.c
			printf 'int helper(int n) { return n * 6; }\n' >h.c
			gcc -shared -fPIC -o libhelper.so h.c
			# shellcheck disable=SC2016
			gcc -o dynamic m.c -L. -lhelper -Wl,-rpath,'$ORIGIN'
			gcc -static -o static m.c h.c
			gcc -static-pie -o static-pie m.c h.c
			gcc -no-pie -o nopie m.c h.c
			printf '#!./static an-argument\n' >relative
			chmod 755 relative
			[ ! -x /bin/busybox ] || cp /bin/busybox busybox
		)
		ext4 "$BATS_FILE_TMPDIR/image" 64M "$BATS_FILE_TMPDIR/t"
	fi
	cp --sparse=always "$BATS_FILE_TMPDIR/image" img
}

@test "S-05 static, static-PIE, dynamic and non-PIE programs, by absolute and relative path" {
	image
	in_view --mount img mnt -- <<-'SH'
		for p in static static-pie dynamic nopie; do
			s=0; mnt/bin/$p x >out || s=$?
			test $s = 9
			test "$(cat out)" = "mnt/bin/$p 2 12"
			s=0; "$W/mnt/bin/$p" >out || s=$?
			test "$(cat out)" = "$W/mnt/bin/$p 1 6"
			s=0; (cd mnt/bin && ./$p 1 2) >out || s=$?
			test "$(cat out)" = "./$p 3 18"
		done
		PATH="$W/mnt/bin:$PATH"
		s=0; dynamic >out || s=$?
		test $s = 9
	SH
}

@test "S-05 a script, and a script with an interpreter in the image" {
	image
	in_view --mount img mnt -- <<-'SH'
		s=0; mnt/bin/script a b >out || s=$?
		test $s = 5
		test "$(cat out)" = 'script in the image: mnt/bin/script a b'
		cd mnt/bin
		s=0; ./relative z >"$W/out" || s=$?
		test $s = 9
		test "$(cat "$W/out")" = './static 4 24'
	SH
}

@test "S-05 the program's /proc/self: exe, comm, maps, cmdline; its cwd" {
	image
	[ -x /bin/busybox ] || skip "no busybox here"
	in_view --mount img mnt -- <<-'SH'
		test "$(mnt/bin/busybox readlink /proc/self/exe)" = "$W/mnt/bin/busybox"
		test "$(mnt/bin/busybox cat /proc/self/comm)" = busybox
		cd mnt/docs/deep
		test "$(pwd -P)" = "$W/mnt/docs/deep"
		test "$(../../bin/busybox pwd)" = "$W/mnt/docs/deep"
		test "$(../../bin/busybox cat ../../hello)" = 'hello from the image'
		cd ../..; cd ..; test "$(pwd -P)" = "$W"
		test "$(mnt/bin/busybox sh -c 'busybox echo $0; echo *' | tail -1 | wc -w)" -gt 1
	SH
}

@test "S-05 a C library and a loader of its own, all in the image" {
	image
	mkdir -p own/lib
	cp /lib64/ld-linux-x86-64.so.2 /lib/x86_64-linux-gnu/libc.so.6 own/lib/
	printf '#include <stdio.h>\nint main(void) { puts("own loader"); return 4; }\n' >p.c
	gcc -o own/prog p.c -Wl,--dynamic-linker="$W/mnt/lib/ld-linux-x86-64.so.2" -Wl,-rpath,"$W/mnt/lib"
	ext4 own.img 32M own
	run umview --mount own.img mnt -- "$W/mnt/prog"
	[ "$status" -eq 4 ]
	[ "$output" = 'own loader' ]
	run umview --mount own.img mnt -- mnt/lib/ld-linux-x86-64.so.2 --library-path mnt/lib /bin/true
	[ "$status" -eq 0 ]
	run -127 "$W/mnt/prog"
}

@test "S-05 compile in the image, run what came out" {
	image
	in_view --mount img mnt -- <<-'SH'
		cd mnt/bin
		gcc -O1 -o fresh m.c h.c
		s=0; ./fresh 1 2 3 >"$W/out" || s=$?
		test $s = 9
		test "$(cat "$W/out")" = './fresh 4 24'
		cp /bin/true mine; ./mine
		for i in $(seq 50); do ./mine; done
	SH
	clean img
}

@test "S-05 --chdir into the image, and a command found there" {
	image
	run umview --mount img mnt --chdir mnt/bin -- ./script here
	[ "$status" -eq 5 ]
	[ "$output" = 'script in the image: ./script here' ]
	run umview --mount img mnt --chdir mnt/docs -- pwd
	[ "$output" = "$W/mnt/docs" ]
}

@test "S-05 a file without execute permission: EACCES, 126" {
	image
	run umview --mount img mnt -- mnt/hello
	[ "$status" -eq 126 ]
	run -127 umview --mount img mnt -- mnt/none
	run umview --mount img mnt -- mnt/docs
	[ "$status" -eq 126 ]
}

@test "S-05 a running program keeps its mount busy" {
	image
	in_view --mount img mnt -- <<-'SH'
		mnt/bin/seq 1 1
		cp /bin/sleep mnt/bin/sleep
		mnt/bin/sleep 30 &
		until [ "$(cat /proc/$!/comm)" = sleep ]; do sleep 0.05; done
		if umview umount mnt 2>err; then echo "unmounted under a running program"; exit 1; fi
		grep -qi busy err
		kill $!; wait $! || true
		umview umount mnt
	SH
	clean img
}
