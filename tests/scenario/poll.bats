#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Files that are not always ready: a FUSE program with poll, and /dev/fuse itself, which a program waits for beside other things.
load common

programs() {
	need gcc pkg-config
	pkg-config --exists fuse3 || skip "no libfuse 3 to build with"
	# shellcheck disable=SC2046 # words
	gcc -O1 -o pollfs "$BATS_TEST_DIRNAME/pollfs.c" $(pkg-config --cflags --libs fuse3)
	gcc -O1 -pthread -o pollclient "$BATS_TEST_DIRNAME/pollclient.c"
	mkdir -p mnt
	cat >both.sh <<-'S'
		./pollfs -f mnt 2>/dev/null &
		until [ -e mnt/q0 ]; do sleep 0.05; done
		ulimit -n 1024
		timeout 40 "$PWD/pollclient" "$PWD/mnt" $!
	S
}

@test "POLL-01 poll, ppoll, select, pselect of a FUSE program's files: as with the kernel's FUSE" {
	programs
	umview sh both.sh >got
	cat got
	if [ "$(id -u)" = 0 ] && [ -e /dev/fuse ]; then
		sh both.sh >wanted
		fusermount3 -u mnt
		diff wanted got
	fi
	[ "$(wc -l <got)" = 49 ]
	! grep LATE got
	grep -Fx 'empty: 1  0x4 at once' got
	grep -Fx 'empty, a moment: 0  0 soon' got
	grep -Fx 'woken: 1  0x1 0 soon' got
	grep -Fx 'inherited: 1  0x1 soon' got
	grep -Fx 'sent: 1  0x1 soon' got
	grep -Fx 'nobody is told: 1  0x1 soon' got
	grep -Fx 'a signal: -1 Interrupted system call 0 soon' got
	grep -Fx 'a signal meanwhile: -1 Interrupted system call 0 soon' got
	grep -Fx 'its end is no room: 1  soon' got
	grep -Fx 'the signal waits: 1' got
	grep -Fx 'a full table: 0  0 soon' got
	grep -Fx 'a crowd: 150  soon' got
	grep -Fx 'the server is killed: 1  0x8 soon' got
}

@test "POLL-02 ... without patched sites, and for who has an identity" {
	programs
	UMVIEW_TIER=trap umview sh both.sh >trap
	umview --fakeroot sh both.sh >root
	diff trap root
	grep -Fx 'woken: 1  0x1 0 soon' trap
}

@test "POLL-03 who cannot be ready is never polled: the filter is only for those" {
	programs
	ext4 a.img
	# shellcheck disable=SC2016 # the view's shell expands
	run umview --mount a.img mnt sh -c 'exec 3<mnt/hello; grep -c . <&3; grep Seccomp_filters /proc/self/status; cat mnt/hello >/dev/null; exec 4</dev/null; grep Seccomp_filters /proc/$$/status'
	echo "$output"
	[ "${lines[1]}" = "${lines[2]}" ]
}

@test "POLL-04 a server that waits for /dev/fuse with poll and select" {
	cat >serve.py <<-'P'
		import os, select, struct, sys
		# a FUSE program without a library: an empty directory; it waits for its device and for a pipe, each in turn by poll and by select
		how, point = sys.argv[1:]
		stop, tell = os.pipe()
		mounted, go = os.pipe()
		guest = os.fork()
		if guest == 0:
		    os.close(stop)
		    os.close(go)
		    os.read(mounted, 1)
		    os.stat(point)
		    print("names:", os.listdir(point), flush=True)
		    os.write(tell, b"x")
		    os._exit(0)
		dev = os.open("/dev/fuse", os.O_RDWR)
		def ready(wait):
		    if how == "select":
		        return select.select([dev, stop], [], [], wait)[0]
		    p = select.poll()
		    p.register(dev, select.POLLIN)
		    p.register(stop, select.POLLIN)
		    return [fd for fd, e in p.poll(None if wait is None else wait * 1000) if e & (select.POLLIN | select.POLLERR) or sys.exit("events %#x" % e)]
		import ctypes
		libc = ctypes.CDLL(None, use_errno=True)
		p = select.poll()
		p.register(dev, select.POLLIN | select.POLLOUT)
		print("before the mount:", p.poll(0) == [(dev, select.POLLERR)], flush=True)
		if libc.mount(b"t", point.encode(), b"fuse.t", 6, b"fd=%d,rootmode=40000,user_id=0,group_id=0" % dev):
		    sys.exit("mount: %d" % ctypes.get_errno())
		os.write(go, b"x")
		seen = 0
		while True:
		    got = ready(20)
		    if not got:
		        sys.exit("nothing came")
		    if stop in got:
		        break
		    try:
		        r = os.read(dev, 200000)
		    except InterruptedError:
		        continue
		    except OSError as e:
		        if e.errno != 19:
		            raise
		        break
		    seen += 1
		    n, op, unique, node = struct.unpack("IIQQ", r[:24])
		    attr = struct.pack("QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 512, 0)
		    body = {26: struct.pack("IIIIHHIIHHI7I", 7, 31, 4096, 0, 16, 16, 4096, 1, 1, 0, *[0] * 8), 3: struct.pack("QII", 1, 0, 0) + attr,
		            27: struct.pack("QII", 1, 0, 0), 28: b"", 29: b"", 38: b""}.get(op)
		    if op != 2:
		        os.write(dev, struct.pack("IiQ", 16 + len(body or b""), 0 if body is not None else -38, unique) + (body or b""))
		os.waitpid(guest, 0)
		print("requests:", seen > 3, flush=True)
	P
	for how in poll select; do
		run umview --fakeroot timeout 40 python3 -B serve.py $how "$W/mnt"
		echo "$output"
		[ "$status" = 0 ]
		[ "${lines[0]}" = "before the mount: True" ]
		[ "${lines[1]}" = "names: []" ]
		[ "${lines[2]}" = "requests: True" ]
	done
}
