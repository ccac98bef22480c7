#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs that wait for changes in a mounted image, and what becomes of their watches.
load common

DENY=${BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/lib/deny

# watcher.py FILE PATH...: says in FILE that it watches, then what it is told: WD MASK NAME, until a watch has ended.
watcher() {
	need python3
	cat >watcher.py <<-'PY'
		import ctypes, os, struct, sys
		c = ctypes.CDLL(None, use_errno=True)
		out = open(sys.argv[1], 'w', buffering=1)
		fd = c.inotify_init1(0)
		for path in sys.argv[2:]:
		    if c.inotify_add_watch(fd, path.encode(), 0xfff & ~0x31) < 0:
		        sys.exit(os.strerror(ctypes.get_errno()))
		print('watching', file=out)
		over = False
		while not over:
		    data, at = os.read(fd, 65536), 0
		    while at < len(data):
		        wd, mask, cookie, size = struct.unpack_from('iIII', data, at)
		        name = data[at + 16:at + 16 + size].rstrip(b'\0').decode()
		        print(wd, '%x' % mask, name, file=out)
		        over |= mask & 0x8000 and wd == 1
		        at += 16 + size
	PY
	WAIT='wait_for() { for i in $(seq 200); do grep -q "$1" "$2" 2>/dev/null && return; sleep 0.05; done; echo "no $1"; cat "$2"; exit 1; }'
}

# ./umview as on a machine where nothing can be mounted: shadows are in a directory with a name.
no_mounts() {
	export DENY REAL=$UMVIEW
	printf '%s\n' '#!/bin/sh' 'exec "$DENY" mount -- "$REAL" "$@"' >umview
	chmod 755 umview
}

@test "inotifywait -m -r on an image tells what other processes do there" {
	need fuse2fs inotifywait
	watcher
	ext4 img
	in_view --mount img mnt -- <<-SH
		$WAIT
		inotifywait -q -m -r -e create,delete,close_write,move,attrib --format '%e %w%f' mnt/docs >told 2>/dev/null &
		p=\$!
		for i in \$(seq 200); do touch mnt/docs/deep/er/first; test -s told && break; sleep 0.05; done
		: >told.before
		echo text >mnt/docs/new
		mv mnt/docs/new mnt/docs/deep/moved
		chmod 600 mnt/docs/deep/moved
		(cd mnt/docs/deep && rm moved)
		mkdir mnt/docs/dir
		rmdir mnt/docs/dir
		wait_for DELETE,ISDIR told
		kill \$p
		sed -n '/docs.new/,\$p' told >events
		cat events
		cat >want <<-'W'
			CREATE mnt/docs/new
			CLOSE_WRITE,CLOSE mnt/docs/new
			MOVED_FROM mnt/docs/new
			MOVED_TO mnt/docs/deep/moved
			ATTRIB mnt/docs/deep/moved
			DELETE mnt/docs/deep/moved
			CREATE,ISDIR mnt/docs/dir
			DELETE,ISDIR mnt/docs/dir
		W
		cmp want events
	SH
	clean img
}

@test "tail -F on an image follows a log that is rotated" {
	need fuse2fs
	watcher
	ext4 img
	in_view --mount img mnt -- <<-SH
		$WAIT
		echo one >mnt/log
		tail -F -s 0.1 --max-unchanged-stats=1 mnt/log >out 2>err &
		p=\$!
		wait_for one out
		echo two >>mnt/log
		wait_for two out
		mv mnt/log mnt/log.1
		echo three >mnt/log
		wait_for three out
		echo four >>mnt/log
		wait_for four out
		kill \$p
	SH
}

@test "entr runs a command when a file of an image is changed" {
	need fuse2fs entr
	watcher
	ext4 img
	in_view --mount img mnt -- <<-SH
		$WAIT
		(echo mnt/hello | timeout 20 entr -n -z sh -c 'echo changed') >out 2>&1 &
		for i in \$(seq 100); do echo more >>mnt/hello; grep -q changed out && break; sleep 0.1; done
		wait_for changed out
		wait
	SH
}

@test "an image that cannot be written can be watched: its files are opened and read" {
	need squashfuse mksquashfs inotifywait
	squash img
	in_view --mount img mnt -- <<-'SH'
		inotifywait -q -t 20 -e close_nowrite --format '%w %f' mnt/docs mnt/hello >told &
		p=$!
		for i in $(seq 100); do cat mnt/docs/numbers >/dev/null; kill -0 $p 2>/dev/null || break; sleep 0.1; done
		wait $p
		cat told
		grep numbers told
	SH
}

@test "who watches hears of the end of what was opened before, though its server did not" {
	need squashfuse mksquashfs
	squash img
	cat >before.py <<-'PY'
		import ctypes, os, select
		libc = ctypes.CDLL(None, use_errno=True)
		for name in "mnt/hello", "mnt/docs":
		    for i in range(3):	# from the second time on the server is not asked
		        os.close(os.open(name, os.O_RDONLY))
		        os.listdir("mnt/docs")
		f, d = os.open("mnt/hello", os.O_RDONLY), os.open("mnt/docs", os.O_RDONLY | os.O_DIRECTORY)
		n = libc.inotify_init1(0)
		assert libc.inotify_add_watch(n, b"mnt/hello", 0x10) == 1	# IN_CLOSE_NOWRITE
		assert libc.inotify_add_watch(n, b"mnt/docs", 0x10) == 2
		for fd, wd in (f, 1), (d, 2):
		    os.close(fd)
		    assert select.select([n], [], [], 10)[0], "no event"
		    event = os.read(n, 4096)
		    assert event[0] == wd and event[4] == 0x10, event
	PY
	in_view --mount img mnt -- <<<'python3 before.py'
}

@test "unmounting ends the watches, whoever has made them" {
	need fuse2fs unshare
	watcher
	unshare -Urm true 2>/dev/null || skip "no user namespaces here, or none that may mount"
	ext4 img
	in_view --mount img mnt -- <<-SH
		$WAIT
		python3 watcher.py told mnt/docs mnt/hello &
		wait_for watching told
		touch mnt/docs/new
		umview umount "\$W/mnt"
		wait
		cat told
		grep -x '1 100 new' told
		grep -x '2 2000 ' told
		grep -x '1 40002000 ' told
		grep -x '1 8000 ' told
		! grep ' 200 ' told
	SH
	clean img
}

@test "where nothing can be mounted all works but IN_UNMOUNT, and nothing is left" {
	need fuse2fs
	watcher
	ext4 img
	no_mounts
	cat >test.sh <<-SH
		$WAIT
		python3 watcher.py told mnt/docs mnt/hello &
		wait_for watching told
		touch mnt/docs/new
		test -d "\$(sed -n 's/.*files are watched in //p' log)/r"
		"\$REAL" umount "\$W/mnt"
		wait
		cat told
		grep -x '1 100 new' told
		grep -x '1 400 ' told
		grep -x '1 8000 ' told
	SH
	./umview --log=log --mount img mnt -- sh -e test.sh
	clean img
}

@test "a server that is killed, and a watcher that is killed, leave nothing behind" {
	need fuse2fs
	watcher
	ext4 img
	in_view --mount img mnt -- <<-SH
		$WAIT
		python3 watcher.py told mnt/docs &
		wait_for watching told
		kill -9 \$!
		python3 watcher.py told2 mnt/docs &
		wait_for watching told2
		touch mnt/docs/new
		wait_for '1 100 new' told2
		kill -9 \$(umview ls --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["server"])')
		for i in \$(seq 100); do ls mnt >/dev/null 2>&1 || break; sleep 0.05; done
		if ls mnt; then exit 1; fi
		umview umount "\$W/mnt"
		wait_for '1 8000' told2
		wait
	SH
}

@test "when the last watcher has gone nothing is kept for it" {
	need fuse2fs
	watcher
	ext4 img
	no_mounts
	cat >test.sh <<-SH
		$WAIT
		shadow() { test -d "\$(sed -n 's/.*files are watched in //p' log)/r"; }
		python3 watcher.py told mnt/docs &
		wait_for watching told
		touch mnt/docs/new
		shadow
		kill \$!
		wait || true
		for i in \$(seq 100); do cat mnt/docs/numbers >/dev/null; shadow || break; sleep 0.1; done
		if shadow; then exit 1; fi
		python3 watcher.py again mnt/docs &
		wait_for watching again
		shadow
		rm mnt/docs/new
		wait_for '1 200 new' again
		kill \$!
	SH
	./umview --log=log --mount img mnt -- sh -e test.sh
	clean img
}
