#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# S-01 First contact: a program in an empty view behaves as outside.
load common

@test "S-01 the command's status is umview's" {
	run umview -- sh -c 'exit 7'
	[ "$status" -eq 7 ]
	run umview true
	[ "$status" -eq 0 ]
	run umview false
	[ "$status" -eq 1 ]
}

@test "S-01 the tree looks the same inside as outside" {
	outside=$(cd /etc && find . -printf '%p %y %s %m %u %g %n %l\n' 2>/dev/null | sort | md5sum)
	inside=$(cd /etc && umview -- find . -printf '%p %y %s %m %u %g %n %l\n' 2>/dev/null | sort | md5sum)
	[ "$outside" = "$inside" ]
	[ "$(ls -lR /usr/share/doc | md5sum)" = "$(umview -- ls -lR /usr/share/doc | md5sum)" ]
}

@test "S-01 arguments, environment, directory, umask, ids and input come through" {
	run umview -- printf '[%s]' one '' 'two words' '--mount' "$(printf 'a\nb')"
	[ "$output" = "$(printf '[%s]' one '' 'two words' '--mount' "$(printf 'a\nb')")" ]
	diff <(env -i A=1 B='x y' PATH="$PATH" "$UMVIEW" -- env | sort) <(env -i A=1 B='x y' PATH="$PATH" env | sort)
	[ "$(umview pwd)" = "$PWD" ]
	[ "$(umask 027; umview -- sh -c umask)" = 0027 ]
	[ "$(umview id)" = "$(id)" ]
	[ "$(echo input | umview cat)" = input ]
	[ "$(umview -- sh -c 'echo $SHLVL')" = "$(sh -c 'echo $SHLVL')" ]
}

@test "S-01 nothing is mounted in a new view" {
	run umview -- umview ls
	[ "$status" -eq 0 ]
	run umview -- umview ls --json
	[ "$(python3 -c 'import json, sys; print(json.load(sys.stdin))' <<<"$output")" = '[]' ]
	diff <(umview -- cat /proc/self/mounts) /proc/self/mounts
}

@test "S-01 without a command: \$SHELL" {
	run env SHELL=/bin/sh umview <<<'echo from the shell; exit 3'
	[ "$status" -eq 3 ]
	[ "$output" = 'from the shell' ]
}

@test "S-01 no file is left in /tmp, no process, no shared memory" {
	before=$(leak_files)
	umview -- sh -c 'sleep 0.1; ls / >/dev/null'
	[ -z "$(leak_files | grep -vxF "$before")" ]
}

@test "S-01 a thousand programs in a row" {
	run umview -- sh -c 'i=0; while [ $i -lt 1000 ]; do /bin/true || exit 1; i=$((i + 1)); done; echo $i'
	[ "$output" = 1000 ]
}

@test "S-01 help, version, probe" {
	run umview --help
	[ "$status" -eq 0 ]
	[[ $output = *--mount* ]]
	run umview --version
	[ "$status" -eq 0 ]
	[[ $output = 'umview '[0-9]* ]]
	run umview --probe
	[ "$status" -eq 0 ]
	[ -n "$output" ]
}
