#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# umview try: a command runs with --cow /, then its user says what shall be.
load common

# asked ANSWERS COMMAND...: runs it on a terminal, with these lines typed when it asks.
asked() {
	python3 - "$@" <<-'END'
		import os, pty, sys, select
		pid, fd = pty.fork()
		if pid == 0:
		    os.execvp(sys.argv[2], sys.argv[2:])
		answers, seen, told = sys.argv[1], b"", 0
		while True:
		    if not select.select([fd], [], [], 40)[0]:
		        print("silent for 40 s"); os.kill(pid, 9); sys.exit(9)
		    try:
		        got = os.read(fd, 65536)
		    except OSError:
		        break
		    if not got:
		        break
		    seen += got
		    while told < len(answers) and seen.count(b"keep? [y]es") + seen.count(b"decide [l]ater:") > told:
		        os.write(fd, answers[told].encode() + b"\n")
		        told += 1
		sys.stdout.write(seen.decode().replace("\r", ""))
		sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	END
}

installation() {
	mkdir -p src dst
	echo 'a program' >src/prog
	printf 'install:\n\tmkdir -p %s/dst/bin %s/dst/etc\n\tcp src/prog %s/dst/bin\n\techo new >>%s/dst/conf\n' "$W" "$W" "$W" "$W" >Makefile
	echo old >dst/conf
}

sessions() {
	ls -A "$HOME/.local/state/umview" 2>/dev/null || true
}

@test "TR-01 without a terminal: the session stays, and is named with what can be done; the status is the command's" {
	need make
	installation
	run -0 umview try --fakeroot make -s install </dev/null
	id=$(sessions)
	[ "$output" = "umview: /: changes of it are in session $id: umview diff, commit or discard --session $id" ]
	[ ! -e dst/bin ]
	[ "$(cat dst/conf)" = old ]
	run -0 umview diff
	echo "$output"
	[ "$output" = "A  $W/dst/bin/
A  $W/dst/bin/prog
M  $W/dst/conf
A  $W/dst/etc/" ]
	run -0 umview commit
	[ -z "$output" ]
	cmp src/prog dst/bin/prog
	[ -z "$(sessions)" ]
	run -7 umview try sh -c 'exit 7' </dev/null
	[ -z "$(sessions)" ]
	run -127 umview try "$W/nothing" </dev/null
	[ -z "$(sessions)" ]
	run -125 umview try
	run -125 umview try --nonsense true
}

@test "TR-02 on a terminal: all, nothing, later" {
	need make python3
	installation
	run -0 asked n umview try make -s install
	[[ $output = *"$W/dst: 2 added, 1 changed"* ]]
	[ ! -e dst/bin ]
	[ -z "$(sessions)" ]
	run -0 asked dl umview try make -s install
	[[ $output = *"+new"* ]]
	[ ! -e dst/bin ]
	id=$(sessions)
	[[ $output = *"the changes are in session $id"* ]]
	umview discard
	run -0 asked a umview try make -s install
	[ -e dst/bin/prog ]
	[ "$(tail -n 1 dst/conf)" = new ]
	[ -z "$(sessions)" ]
}

@test "TR-03 on a terminal: choose" {
	need make python3
	installation
	run -0 asked cynqn umview try make -s install
	[ -e dst/bin/prog ]
	[ "$(cat dst/conf)" = old ]
	[ ! -e dst/etc ]
	[ -z "$(sessions)" ]
}

@test "TR-04 a package with scripts, by an ordinary user: tried, looked at, dropped" {
	package umview-try
	run -0 umview try --fakeroot dpkg -i t.deb </dev/null
	run -0 umview diff
	echo "$output"
	[[ $output = *"A  /usr/share/umview-try/data"* ]]
	[[ $output = *"A  /var/lib/umview-try/who"* ]]
	[[ $output = *"M  /var/lib/dpkg/status"* ]]
	run -0 umview diff --text /var/lib/umview-try
	[[ $output = *"+0"* ]]
	run -0 umview discard
	run ! dpkg -s umview-try
	[ -z "$(sessions)" ]
}

@test "TR-05 a line that is longer than an answer is one answer; a signal at the question loses nothing" {
	need make python3
	installation
	cat >ask.py <<-'END'
		import os, pty, sys, select, signal
		pid, fd = pty.fork()
		if pid == 0:
		    os.execvp("umview", ["umview", "try", "make", "-s", "install"])
		seen, sent = b"", 0
		while True:
		    if not select.select([fd], [], [], 40)[0]:
		        print("silent for 40 s"); os.kill(pid, 9); sys.exit(9)
		    try:
		        got = os.read(fd, 65536)
		    except OSError:
		        break
		    if not got:
		        break
		    seen += got
		    if seen.count(b"decide [l]ater:") > sent:
		        sent += 1
		        os.write(fd, b"?" * 63 + b"n\n" if sent == 1 else b"\x03")
		print(sent, os.WTERMSIG(os.waitpid(pid, 0)[1]))
	END
	run -0 python3 ask.py
	[ "$output" = "2 2" ]
	[ ! -e dst/bin ]
	run -0 umview diff
	[[ $output = *"A  $W/dst/bin/prog"* ]]
	umview commit
	[ -e dst/bin/prog ]
}
