#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The interception tiers: what is chosen, what is asked for, and machines that lack something.
load common

DENY=${BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/lib/deny
GUESTS=$(dirname "$DENY")/../guest
SITE=("$GUESTS/sites" --helper hot_site)	# tells whether its hot site is patched

j() {		# j EXPRESSION: of d, the JSON on standard input
	python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}

without() {	# without WHAT...: sets D to a command that plays such a machine
	D=("$DENY" "$@" --)
	s=0
	"${D[@]}" true || s=$?
	[ "$s" -ne 77 ] || skip "this kernel has no PR_SET_MDWE"
}

# A view on such a machine does its work: programs, threads, a mounted image.
works() {	# works OPTION...
	"${D[@]}" umview "$@" -- sh -c 'set -e
		[ "$(cat /etc/passwd | wc -l)" = "$(wc -l </etc/passwd)" ]
		i=0; while [ $i -lt 50 ]; do /bin/true; i=$((i + 1)); done
		(exit 3) || [ $? = 3 ]
		trap "echo caught" USR1; kill -USR1 $$' >out 2>err
	cat out err
	[ "$(cat out)" = caught ]
}

can_patch() {
	[ "$(env -u UMVIEW_TIER umview --probe --json | j 'd["tier"]')" = patch ] || skip "this machine cannot patch"
}

# site TIER COMMAND...: what the program says when it is run by COMMAND
site() {
	local want=$1
	shift
	run -0 "$@" "${SITE[@]}"
	[ "$output" = "$want" ]
}

@test "TI-01 --tier, UMVIEW_TIER, and what wins" {
	can_patch
	site 'as compiled' env
	site patched umview --tier patch --
	site 'as compiled' umview --tier trap --
	UMVIEW_TIER=trap site 'as compiled' umview --
	UMVIEW_TIER=patch site patched umview --
	UMVIEW_TIER=trap site patched umview --tier patch --
	UMVIEW_TIER= site patched umview --
}

@test "TI-02 a tier that there is not; a tier for a branch" {
	run -125 umview --tier fast -- true
	[[ $output = *fast*patch*trap* ]]
	run -125 umview --tier
	UMVIEW_TIER=fast run -125 umview -- true
	[[ $output = *UMVIEW_TIER*fast* ]]
	run -125 umview -- umview --tier trap -- true
	[[ $output = *outermost* ]]
}

@test "TI-03 a branch, and a branch of it, have the tier of the view" {
	can_patch
	site 'as compiled' umview --tier trap -- umview -- umview --
	site patched umview --tier patch -- umview -- umview --
	UMVIEW_TIER=trap site patched umview --tier patch -- umview --
}

@test "TI-04 --probe and --probe --json say the same" {
	umview --probe >text
	umview --probe --json >json
	tail -n 1 text | grep -x 'umview can run here'
	grep "^tier  *$(j 'd["tier"]' <json)" text
	[ "$(j 'd["usable"]' <json)" = True ]
	[ "$(j 'len(d["checks"])' <json)" -eq "$(sed '/^fuse2fs/,$d' text | wc -l)" ]
	[ "$(j '"\n".join(sorted(c["what"] for c in d["checks"] if not c["ok"]))' <json)" = "$(sed '/^fuse2fs/,$d' text | grep -i missing | sed 's/  .*//' | sort)" ]
	[ "$(j '[p["program"] for p in d["programs"] if p["type"] == "squashfs"]' <json)" = "['squashfuse']" ]
}

@test "TI-05 --probe in a view" {
	run -0 umview -- umview --probe
	[[ $output = *'this is a view'* ]]
	umview -- umview --probe --json >json
	[ "$(j 'd["usable"], d["inside"], d["tier"]' <json)" = "(True, True, 'inherited')" ]
}

# Each machine: what it lacks, the tier that follows.
machine_lacks() {	# machine_lacks WHAT NAME TIER
	without "$1"
	"${D[@]}" umview --probe --json >json
	[ "$(j '[c["ok"] for c in d["checks"] if c["name"] == "'"$2"'"]' <json)" = '[False]' ]
	[ "$(j 'd["tier"]' <json)" = "$3" ]
	works
}

@test "TI-06 SELinux forbids execmem: the view works, by traps" {
	machine_lacks wx execmem trap
	"${D[@]}" umview --log=log -- true
	grep 'tier trap' log || [ -n "${UMVIEW_TIER-}" ]
	run -125 "${D[@]}" umview --tier patch -- true
	[[ $output = *'tier patch'*lacks* ]]
}

@test "TI-07 SELinux forbids execmod" {
	machine_lacks text execmod trap
}

@test "TI-08 PR_SET_MDWE, inherited: the view works, by traps" {
	machine_lacks mdwe execmem trap
}

@test "TI-09 gs cannot be set" {
	machine_lacks gs gs trap
}

# Set when the view runs already: the agent finds out by itself.
@test "TI-10 PR_SET_MDWE in a view that patches" {
	without mdwe
	run -7 umview -- "${D[@]}" sh -c 'i=0; while [ $i -lt 200 ]; do [ -e /etc/passwd ] || exit 1; i=$((i + 1)); done
		/bin/true && (exit 7)'
	site 'as compiled' umview -- "${D[@]}"
}

@test "TI-11 no PR_SET_MM: programs and many threads work" {
	need python3
	tier=$(umview --probe --json | j 'd["tier"]')
	machine_lacks mm_map mm_map "$tier"
	for i in 1 2 3; do
		run -0 "${D[@]}" umview -- python3 -c '
import threading, time
keep = [bytes(100) for i in range(50000)]
threads = [threading.Thread(target=lambda: (time.sleep(0.2), open("/etc/passwd").read())) for i in range(100)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(keep))'
		[ "$output" = 50000 ]
	done
}

@test "TI-12 no process_vm_readv: programs that block every signal work" {
	tier=$(umview --probe --json | j 'd["tier"]')
	machine_lacks process_vm process_vm "$tier"
	machine_lacks process_vm process_vm_others "$tier"
	for t in signals/work_with_all_blocked segv/bad_pointers; do
		"${D[@]}" umview -- "$GUESTS/${t%/*}" "$W" "${t#*/}" >out
		cat out
		fails grep '^not ok' out
		grep '^ok' out
	done
}

@test "TI-13 what umview cannot do without is said in one line" {
	for what in seccomp memfd execveat; do
		without "$what"
		run -125 "${D[@]}" umview --probe
		[[ $output = *MISSING* ]]
		[[ ${lines[-1]} = 'umview cannot run here' ]]
		run -125 "${D[@]}" umview --probe --json
		[ "$(j 'd["usable"], d["tier"]' <<<"$output")" = "(False, 'none')" ]
		run -125 "${D[@]}" umview -- true
		[ "${#lines[@]}" -eq 1 ]
	done
}
