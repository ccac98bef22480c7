#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Views in views, what lives longer than the command, output, signals, terminals.
load common

@test "VW-01 umview in umview: sees the outer mounts, its own are not seen outside it and end with it" {
	need squashfuse mksquashfs
	squash sq
	mkdir a b
	in_view --mount sq a -- <<-'SH'
		cat >inner.sh <<-'IN'
			set -e
			cat a/hello
			umview mount sq b
			cat b/hello
			test "$(umview ls --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" = 2
		IN
		umview -- sh inner.sh
		test -z "$(ls b)"
		test "$(umview ls --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" = 1
		umview --mount sq b -- cat b/hello
		test -z "$(ls b)"
		s=0; umview -- sh -c 'exit 9' || s=$?
		test $s = 9
	SH
}

@test "VW-02 a mount made outside after the branch is not seen in the branch" {
	need squashfuse mksquashfs
	squash sq
	mkdir a b
	in_view -- <<-'SH'
		umview -- sh -ec ': >ready; until [ -e go ]; do sleep 0.05; done; test -z "$(ls a)"; : >good' & p=$!
		until [ -e ready ]; do sleep 0.05; done
		umview mount sq a
		cat a/hello
		: >go
		wait $p
		test -e good
	SH
}

@test "VW-03 ten views in each other" {
	need squashfuse mksquashfs
	squash sq
	cat >down.sh <<-'SH'
		[ "$1" -gt 0 ] || { cat mnt/hello; exit 11; }
		umview -- sh down.sh $(($1 - 1))
	SH
	run umview --mount sq mnt -- sh down.sh 10
	[ "$status" -eq 11 ]
	[ "$output" = 'hello from the image' ]
}

@test "VW-04 a guest in the background: umview returns at once, the view lives on, then cleans up" {
	need fuse2fs
	ext4 img
	# The guest waits for a file that is made after umview has returned: were it waited for, this would never end.
	umview --mount img mnt -- sh -c '(until [ -e go ]; do sleep 0.1; done
		cp mnt/hello copy; echo done >mnt/late) >/dev/null 2>&1 & exit 4' || [ $? -eq 4 ]
	: >go
	until_true test -e copy
	[ "$(cat copy)" = 'hello from the image' ]
	leak_settle
	clean img
	[ "$(debugfs -R 'cat /late' img 2>/dev/null)" = 'done' ]
}

@test "VW-05 --kill-on-exit ends what is left" {
	start=$(date +%s)
	umview --kill-on-exit -- sh -c 'sleep 1000 & sleep 1000 & (setsid sleep 1000 &) ; exit 0'
	until_true sh -c '! pgrep -u "$(id -u)" -x -f "sleep 1000" >/dev/null'
	[ $(($(date +%s) - start)) -lt 10 ]
}

@test "VW-06 x=\$(umview ...) does not hang, with and without mounts and background guests" {
	need fuse2fs
	ext4 img
	x=$(timeout 10 umview -- echo text)
	[ "$x" = text ]
	x=$(timeout 10 umview --mount img mnt -- cat mnt/hello)
	[ "$x" = 'hello from the image' ]
	x=$(timeout 10 umview -- sh -c 'sleep 3 >/dev/null 2>&1 & echo early')
	[ "$x" = early ]
	x=$(timeout 10 umview -- sh -c 'umview mount img mnt; cat mnt/hello')
	[ "$x" = 'hello from the image' ]
	timeout 10 umview -- echo piped | cat | grep piped
}

@test "VW-07 standard output and error stay apart, and nothing is added to either" {
	need fuse2fs
	ext4 img
	umview --mount img mnt -- sh -c 'echo out; echo err >&2; cat mnt/hello' >o 2>e
	[ "$(cat o)" = "$(printf 'out\nhello from the image')" ]
	[ "$(cat e)" = err ]
	umview -- sh -c 'seq 20000' >o 2>e
	seq 20000 | cmp - o
	[ ! -s e ]
	umview -- head -c 3000000 /dev/zero | wc -c | grep -x 3000000
}

@test "VW-08 a signal for umview reaches the command" {
	for sig in TERM HUP USR1; do	# (a shell's background jobs ignore INT)
		rm -f ready
		umview -- sh -c "trap 'exit 33' $sig; : >ready; while :; do sleep 0.05; done" 3>&- &
		v=$!
		until_true test -e ready
		kill -$sig $v
		s=0; wait $v || s=$?
		[ "$s" -eq 33 ]
	done
}

@test "VW-09 umview killed: no guest hangs, nothing stays" {
	umview -- sh -c 'echo $$ >pid; : >ready; sleep 2' 3>&- &
	v=$!
	until_true test -e ready
	kill -9 $v
	wait $v || true
	until_true test ! -d "/proc/$(cat pid)"
}

@test "VW-10 a terminal: isatty, size, Ctrl-C" {
	need script
	s=0
	script -qec 'umview -- sh -c "test -t 0 && test -t 1 && tty >/dev/null && echo is a terminal"' log </dev/null >/dev/null || s=$?
	[ "$s" -eq 0 ]
	grep -q 'is a terminal' log
	python3 - <<-'PY'
		import os, pty, time, sys, select
		pid, fd = pty.fork()
		if pid == 0:
		    os.execvp('umview', ['umview', '--', 'sh', '-c', 'echo ready; sleep 30; echo not reached'])
		def until(text, limit=15):
		    seen, end = b'', time.time() + limit
		    while text not in seen and time.time() < end:
		        if select.select([fd], [], [], 0.5)[0]:
		            try: d = os.read(fd, 1000)
		            except OSError: break
		            if not d: break
		            seen += d
		    return seen
		assert b'ready' in until(b'ready')
		time.sleep(0.2)
		os.write(fd, b'\x03')
		start = time.time()
		code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
		assert time.time() - start < 10
		assert code in (130, -2), code
	PY
}

@test "VW-11 job control in an interactive shell: Ctrl-Z, fg, bg, Ctrl-C" {
	need bash
	python3 - <<-'PY'
		import os, pty, time, select
		pid, fd = pty.fork()
		if pid == 0:
		    os.environ['PS1'] = 'PROMPT> '
		    os.execvp('umview', ['umview', '--', 'bash', '--norc', '--noprofile', '-i'])
		seen = b''
		def until(text, limit=15):
		    global seen
		    end = time.time() + limit
		    while text not in seen and time.time() < end:
		        if select.select([fd], [], [], 0.5)[0]:
		            try: d = os.read(fd, 1000)
		            except OSError: break
		            if not d: break
		            seen += d
		    assert text in seen, (text, seen)
		    seen = seen[seen.index(text) + len(text):]
		def send(s): os.write(fd, s)
		def job():
		    end = time.time() + 15
		    while os.tcgetpgrp(fd) == shell and time.time() < end: time.sleep(0.05)
		    time.sleep(0.3)
		until(b'PROMPT> ')
		send(b'stty -echo; echo sta\'\'rted\n'); until(b'started'); until(b'PROMPT> ')
		shell = os.tcgetpgrp(fd)
		send(b'sleep 50\n'); job()
		send(b'\x1a'); until(b'Stopped'); until(b'PROMPT> ')
		send(b'jobs\n'); until(b'sleep 50'); until(b'PROMPT> ')
		send(b'bg\n'); until(b'sleep 50'); until(b'PROMPT> ')
		send(b'fg\n'); job()
		send(b'\x03'); until(b'PROMPT> ')
		send(b'echo status $?\n'); until(b'status 130'); until(b'PROMPT> ')
		send(b'cat\n'); time.sleep(0.3); send(b'typed\n'); until(b'typed'); send(b'\x04'); until(b'PROMPT> ')
		send(b'exit 6\n')
		end = time.time() + 10
		while time.time() < end:
		    p, s = os.waitpid(pid, os.WNOHANG)
		    if p: break
		    if select.select([fd], [], [], 0.1)[0]:
		        try: os.read(fd, 1000)
		        except OSError: pass
		assert p and os.waitstatus_to_exitcode(s) == 6, (p, s)
	PY
}

@test "VW-12 umview ls --json and umview ls say the same" {
	need squashfuse mksquashfs
	squash sq
	in_view --mount sq mnt -- <<-'SH'
		umview ls --json | python3 -m json.tool >json
		umview ls >plain
		grep -q "$W/mnt" json
		grep -q "$W/mnt" plain
		grep -q "$W/sq" json
	SH
}

@test "VW-13 --trace writes calls to a file, and the program is none the wiser" {
	[ "$(umview --trace=calls -- cat /etc/hostname 2>&1)" = "$(cat /etc/hostname)" ]
	grep -q 'open.*hostname' calls
}

@test "VW-14 two views of one user at once, each with mounts and load" {
	need fuse2fs
	ext4 one
	ext4 two
	mkdir m1 m2
	(umview --mount one m1 -- sh -ec 'for i in $(seq 40); do echo $i >m1/f$i; cat m1/f$i >/dev/null; done' 3>&-) &
	umview --mount two m2 -- sh -ec 'for i in $(seq 40); do echo $i >m2/f$i; cat m2/f$i >/dev/null; done'
	wait $!
	clean one
	clean two
}
