#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# /proc in a view, through the eyes of the programs that read it: ps, pmap, lsof, debuggers' and sanitizers' starts.
load common

# What /proc tells of a process that does nothing, without what changes by itself.
describe='for f in maps numa_maps limits cmdline environ auxv mounts mountinfo; do echo "== $f"; cat "/proc/$P/$f" 2>&1; done
	grep -E "^(Name|FDSize|Sig(Pnd|Blk|Ign|Cgt)|NoNewPrivs|Seccomp|Groups|Vm(Size|Exe|Lib))" "/proc/$P/status"
	cut -d" " -f1,2,26-28,31-34 "/proc/$P/stat"
	cat "/proc/$P/syscall"; ls "/proc/$P/fd" "/proc/$P/fdinfo" "/proc/$P/map_files"; cat "/proc/$P/fdinfo/0"
	readlink "/proc/$P/exe" "/proc/$P/cwd" "/proc/$P/fd/0" "/proc/$P/fd/1"; stat -c %s "/proc/$P/fd"'

@test "PROC-01 a process outside the view looks the same from inside" {
	sleep 50 3>&- &
	export P=$!
	until_true grep -q sleep "/proc/$P/cmdline"
	sh -c "$describe" 2>&1 | sed 's/\(mapmax\|active\)=[0-9]* //g' >native || true
	umview -- sh -c "$describe" 2>&1 | sed 's/\(mapmax\|active\)=[0-9]* //g' >inside || true
	kill "$P"
	grep -q '/sleep$' native
	diff native inside
}

@test "PROC-02 seccomp, signals, limits of a program, as natively" {
	# shellcheck disable=SC2016
	for p in 'grep -E "^(Seccomp|NoNewPrivs|Sig(Blk|Ign|Cgt)|TracerPid|Threads|Uid|Groups)" /proc/self/status' \
		'cat /proc/self/limits /proc/self/comm' 'tr "\\0" " " </proc/self/cmdline' 'tr "\\0" "\\n" </proc/$$/environ | grep -v ^_=' \
		'cut -d" " -f31-34 /proc/self/stat' 'ls /proc/self/ /proc/thread-self/' \
		'stat -c %a:%F:%u /proc/self/maps /proc/self/fd /proc/$$/status' 'ls /proc/self/fd | wc -l'; do
		sh -c "$p" >native 2>&1 || true
		umview -- sh -c "$p" >inside 2>&1 || true
		diff native inside
	done
}

@test "PROC-03 ps, pgrep, pmap, lsof about each other" {
	need ps pgrep pmap
	in_view -- <<-'SH'
		sleep 47.11 & s=$!
		test "$(pgrep -f '^sleep 47.11$')" = $s
		test "$(ps -o args= -p $s)" = 'sleep 47.11'
		test "$(ps -o comm= -p $s)" = sleep
		test "$(ps -o caught= -p $s)" = 0000000000000000
		pmap $s >map
		grep -q 'sleep$' map
		fails grep -q memfd map
		test "$(grep -c rwx map)" = 0
		pmap -x $s | tail -1 | grep -q '^total kB'
		if command -v lsof >/dev/null; then
			lsof -p $s >files
			grep -q "txt .*/sleep$" files
			fails grep -q memfd files
		fi
		kill $s
	SH
}

@test "PROC-04 a program, a library and an open file in an image have their paths" {
	need fuse2fs gcc
	tree
	cp -a "$T" t
	echo 'int five(void) { return 5; }' | gcc -shared -fPIC -x c -o t/lib.so -
	cp "$(command -v sleep)" t/bin/
	ext4 img 32M t
	in_view --mount img mnt -- <<-'SH'
		cd mnt
		"$W/mnt/bin/sleep" 50 <hello & s=$!
		cd "$W"
		until grep -q mnt/bin/sleep /proc/$s/maps; do sleep 0.05; done
		test "$(readlink /proc/$s/exe)" = "$W/mnt/bin/sleep"
		test "$(readlink /proc/$s/cwd)" = "$W/mnt"
		test "$(readlink /proc/$s/fd/0)" = "$W/mnt/hello"
		cat /proc/$s/fd/0 /proc/$s/cwd/hello /proc/$s/task/$s/fd/0 >out
		test "$(sort -u out)" = 'hello from the image'
		test "$(awk '/bin.sleep/ { print $5; exit }' /proc/$s/maps)" = "$(stat -c %i mnt/bin/sleep)"
		grep -q '^mnt_id:.100000' /proc/$s/fdinfo/0
		kill $s
		python3 - <<-'PY'
			import ctypes, os
			lib = os.environ['W'] + '/mnt/lib.so'
			assert ctypes.CDLL(lib).five() == 5
			mine = [l.split() for l in open('/proc/self/maps') if 'lib.so' in l]
			assert mine and all(f[5] == lib for f in mine), mine
			assert any(f[1] == 'r-xp' for f in mine), mine
		PY
		tail -1 /proc/self/mountstats | grep -q "device .*img mounted on $W/mnt with fstype fuse.ext4"
	SH
}

@test "PROC-05 a program, a library and a cwd behind a bind mount have their paths there" {
	need gcc
	mkdir there here
	echo 'int five(void) { return 5; }' | gcc -shared -fPIC -x c -o there/lib.so -
	cp "$(command -v sleep)" there/
	in_view --bind there here -- <<-'SH'
		cd here
		./sleep 50 & s=$!
		cd "$W"
		until [ "$(cat /proc/$s/comm)" = sleep ]; do sleep 0.05; done
		test "$(readlink /proc/$s/exe)" = "$W/here/sleep"
		test "$(readlink /proc/$s/cwd)" = "$W/here"
		grep -q "$W/here/sleep" /proc/$s/maps
		fails grep -q "$W/there" /proc/$s/maps
		kill $s
		for place in here there; do
			place=$place python3 - <<-'PY'
				import ctypes, os
				lib = os.environ['W'] + '/' + os.environ['place'] + '/lib.so'
				ctypes.CDLL(lib)
				assert all(l.split()[5] == lib for l in open('/proc/self/maps') if 'lib.so' in l)
			PY
		done
	SH
}

@test "PROC-06 a view in a view: each sees the other's processes as programs" {
	in_view -- <<-'SH'
		sleep 50 & export s=$!
		until [ "$(cat /proc/$s/comm)" = sleep ]; do sleep 0.05; done
		umview -- sh -ec 'readlink /proc/$s/exe; cat /proc/$s/maps /proc/self/maps' >out
		kill $s
		head -1 out | grep -q '/sleep$'
		fails grep -q memfd out
	SH
}

@test "PROC-07 sanitizers, valgrind, java, thread stacks: who reads maps at the start starts" {
	need gcc
	printf '#include <stdio.h>\n#include <stdlib.h>\nint main(void) { char *p = malloc(3); p[1] = 1; puts("fine"); free(p); return 0; }\n' >m.c
	for s in address thread leak undefined; do
		gcc -fsanitize=$s -o m m.c 2>/dev/null || continue
		test "$(umview -- ./m)" = "$(./m)"
	done
	printf '#define _GNU_SOURCE\n#include <pthread.h>\nint main(void) { pthread_attr_t a; void *s; size_t n;
		return pthread_getattr_np(pthread_self(), &a) || pthread_attr_getstack(&a, &s, &n) || (char *)&a < (char *)s || (char *)&a >= (char *)s + n; }\n' >m.c
	gcc -o m m.c -pthread
	umview -- ./m
	if command -v valgrind >/dev/null; then umview -- valgrind -q ./m; fi
	if command -v java >/dev/null; then umview -- java -Xshare:auto -version; fi
}

@test "PROC-08 a mount table grows while it is open: the next open shows it" {
	need squashfuse mksquashfs
	squash sq
	in_view -- <<-'SH'
		fails grep -q "$W/mnt" /proc/self/mounts
		umview mount sq mnt
		for f in /proc/self/mounts /proc/mounts /proc/$$/mountinfo /proc/thread-self/mounts /proc/$$/mountstats; do
			grep -q "$W/mnt" $f
		done
		fails grep -q "$W/mnt" /proc/$PPID/mounts
		umview umount mnt
		fails grep -q "$W/mnt" /proc/self/mounts
	SH
}
