#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# strace and gdb inside a view show of a program (debug.c) what they show outside: each session is had natively and in a
# view, and both must say the same but for addresses and numbers.  gdb outside finds a guest's frames.
load common

export DEBUGINFOD_URLS=
export BATS_TEST_TIMEOUT=110

setup_file() {
	command -v gcc >/dev/null || skip "no gcc here"
	cd "$BATS_FILE_TMPDIR" || return 1
	gcc -g -O0 -o sample "$BATS_TEST_DIRNAME/debug.c" -pthread
	gcc -g -O0 -static -o sample-static "$BATS_TEST_DIRNAME/debug.c" -pthread
}

samples() { cp "$BATS_FILE_TMPDIR"/sample* .; }

# Out of a file: addresses, numbers of processes, random bytes, what the machine has to spare, columns.
plain() {
	sed -E 's/0x[0-9a-f]+/ADDR/g; s/\b[0-9]{3,}\b/N/g; s/"(\\x[0-9a-f]{2})+"/RANDOM/g; s/ += / = /
		s/uptime=.*totalhigh/SYSINFO/; s/si_[us]time=[^,}]*/TIME/g; s/ +/ /g' "$@"
}

# The same of what gdb says; of threads that come and go it tells when it comes to hear of them.
plain_gdb() {
	plain "$@" | sed -E '/^\[New Thread/d; /^\[Thread .* exited\]$/d; /^\[New LWP/d'
}

# Who waits for a child may do so already when its SIGCHLD comes, which stops him for strace; or not yet.
plain_wait() { plain "$@" | awk '/^wait4\(.* = \? ERESTARTSYS/ { next } /^--- SIGCHLD/ { said[++n] = $0; next } { print } END { for (i = 1; i <= n; i++) print said[i] }'; }

same() {	# same FILTER: nat.out and view.out say the same, and the latter nothing of the agent
	"$1" nat.out >nat.txt
	"$1" view.out >view.txt
	diff nat.txt view.txt
	if grep 0x7e91 view.out; then return 1; fi
}

both() {	# both FILTER COMMAND...: the command says the same natively and in a view, and has the same status
	local filter=$1 nat=0 view=0
	shift
	rm -f ready
	"$@" >nat.out 2>&1 </dev/null || nat=$?
	rm -f ready
	umview -- "$@" >view.out 2>&1 </dev/null || view=$?
	[ "$nat" = "$view" ]
	same "$filter"
}

# A sum, by a call of the sample's function; where gdb cannot make calls at all (gdb 13 and processors with AMX), without one.
sum_of() {	# sum_of A B
	if timeout -k 5 50 gdb -nx -batch -ex 'break after' -ex 'run reads' -ex 'print add(20, 3)' -ex kill ./sample 2>&1 </dev/null | grep -q '= 23$'; then
		echo "(int)getpid() > 1 ? add($1, $2) : 0"
	else
		echo "$1 + $2"
	fi
}

# A parent that gdb lets go ends at any time.
plain_child() { plain_gdb "$@" | grep -v '^sum 3'; }

session() {	# session GDB-ARGUMENTS...: gdb in batch mode says the same
	need gdb
	both "${FILTER:-plain_gdb}" timeout -k 5 50 gdb -nx -batch "$@"
}

# The trace of each process, one behind the other, in the order of their numbers.
traces() {	# traces DIRECTORY
	local f
	for f in $(printf '%s\n' "$1"/t.* | sort -t. -k2n); do
		echo "== a process"
		cat "$f"
	done
}

same_trace() {	# same_trace FILTER STRACE-ARGUMENTS...: strace -ff writes the same, and the command says the same
	local filter=$1 nat=0 view=0
	shift
	need strace
	rm -rf nat view
	mkdir nat view
	strace -ff -o nat/t "$@" >nat.said 2>&1 </dev/null || nat=$?
	umview -- strace -ff -o view/t "$@" >view.said 2>&1 </dev/null || view=$?
	[ "$nat" = "$view" ]
	diff nat.said view.said
	traces nat >nat.out
	traces view >view.out
	[ "$(wc -l <nat.out)" -gt 2 ]
	same "$filter"
}

# Where processes run at the same time, who waits for whom and when a SIGCHLD comes is chance.
unordered() { plain "$@" | grep -vE '^(wait4|--- SIGCHLD|rt_sigreturn)'; }

counts() { awk '$NF ~ /^[a-z_0-9]+$/ { print $NF, $4, (NF > 5 ? $5 : 0) }' "$@" | sort; }

# A guest that waits for a byte, and COMMAND with $p, its number; then it gets the byte, and goes on.
attached() {	# attached WHAT COMMAND: natively and in a view, what the command and then the guest says; its status
	[ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)" = 0 ] || skip "Yama forbids to attach"
	cat >attached.sh <<-SH
		rm -f ready fifo trace
		mkfifo fifo
		./sample $1 <fifo >said & p=\$!
		exec 9>fifo
		n=0
		until [ -e ready ] && grep -q '^State:.S' /proc/\$p/status || [ \$n = 200 ]; do n=\$((n + 1)); sleep 0.05; done
		$2
		n=0
		wait \$p || n=\$?
		cat said
		echo "status \$n"
	SH
	both plain_gdb sh -e attached.sh
	grep -q '^got$' view.out
	grep -q '^status 3$' view.out
}

@test "strace -f prints the same lines as outside" {
	samples
	same_trace plain ./sample
	same_trace plain ./sample-static
	same_trace plain_wait ./sample child
	same_trace plain ./sample signal
	same_trace plain ./sample reads
	same_trace plain -e trace=openat,lseek ./sample reads
	same_trace plain -e trace=none ./sample signal
	same_trace plain -f --seccomp-bpf -e trace=execve,lseek,getpid ./sample reads
	same_trace plain /bin/cat /etc/passwd
}

@test "strace -f of a shell and its children" {
	same_trace unordered sh -c 'echo a; /bin/true; (exit 3); exit 4'
	same_trace unordered sh -c 'ls /etc/passwd | cat; exit 5'
	same_trace unordered sh -c 'sleep 0.1 & wait; kill -TERM $$'
}

@test "strace counts the same calls, and makes them fail" {
	need strace
	samples
	both counts strace -c ./sample-static reads
	grep -q '^read 6[0-9] ' view.txt
	both counts strace -f -c sh -c '/bin/true; ./sample-static child'
	same_trace plain -e inject=read:error=EIO:when=30+ ./sample reads
	grep -q 'EIO.*INJECTED' view.txt
}

@test "strace -p: a call that waits, and all that follow" {
	need strace
	samples
	attached wait 'strace -o trace -p $p 2>attaching & s=$!
		until [ -s trace ]; do sleep 0.05; done		# "read(0, ": it waits, traced
		echo x >&9
		wait $s || true
		cat trace'
	grep -q '^read(0, "x", 1) = 1$' view.txt
	grep -q '^exit_group(3)' view.txt
}

@test "gdb: breakpoints, steps, finish, backtraces, watchpoints, calls, the end" {
	samples
	session -ex 'break add' -ex run -ex bt -ex 'info proc exe' -ex step -ex next -ex 'print sum' -ex finish -ex next -ex next \
		-ex c -ex 'print $_exitcode' ./sample
	grep -q 'Breakpoint 1, add (a=1, b=2)' view.txt
	grep -q "^exe = '$PWD/sample'" view.txt
	grep -q '= 3$' view.txt
	session -ex 'break add' -ex run -ex bt -ex finish -ex c ./sample-static
	session -ex 'break after' -ex 'run reads' -ex finish -ex next -ex next -ex next -ex 'print value' -ex c ./sample
	# by debug registers, which some virtual machines let be set and then ignore, and by steps
	session -ex 'break after' -ex 'run reads' -ex 'watch value' -ex c -ex c -ex c ./sample
	session -ex 'set can-use-hw-watchpoints 0' -ex 'break after' -ex 'run reads' -ex 'watch value' -ex c -ex c ./sample
	grep -q 'New value = 7' view.txt
	session -ex 'break after' -ex 'run reads' -ex "print $(sum_of 20 3)" -ex c ./sample
	grep -q '= 23$' view.txt
}

@test "gdb: system calls and signals" {
	samples
	session -ex 'break after' -ex 'run reads' -ex 'catch syscall read' -ex c -ex bt -ex c -ex 'print (long)$rax' -ex c ./sample
	grep -q 'returned from syscall read' view.txt
	session -ex 'run signal' -ex bt -ex 'break handler' -ex c -ex bt -ex finish -ex stepi -ex stepi -ex c ./sample
	grep -q 'received signal SIGUSR1' view.txt
	session -ex 'set print frame-arguments none' -ex 'run signal' -ex stepi -ex 'print $rdi' -ex bt -ex stepi -ex c ./sample
	grep -q '^#0 .*handler (sig=' view.txt
	grep -q '= 10$' view.txt
	session -ex 'handle SIGUSR1 nopass' -ex 'run signal' -ex 'break add' -ex c -ex 'print handled' -ex c ./sample
	grep -q '= 0$' view.txt
}

@test "gdb: forks and programs that start" {
	samples
	FILTER=plain_child session -ex 'catch exec' -ex 'set follow-fork-mode child' -ex 'run child' -ex 'info proc exe' -ex c ./sample
	grep -q "exe = '.*true'" view.txt
	session -ex 'catch fork' -ex 'run child' -ex bt -ex c ./sample
	grep -q 'Catchpoint 1 (forked' view.txt
	FILTER=plain_child session -ex 'set detach-on-fork off' -ex 'catch exec' -ex 'set follow-fork-mode child' -ex 'run child' -ex 'info inferiors' \
		-ex 'inferior 1' -ex bt ./sample
	session -ex 'break add' -ex run -ex 'call (int)fork()' -ex 'call (int)puts("hello")' -ex c ./sample
}

@test "gdb: four threads" {
	samples
	session -ex 'break together' -ex 'run threads' -ex 'info threads' -ex 'thread apply all bt' -ex finish -ex next -ex 'thread 2' \
		-ex 'frame function reader' -ex 'print p' -ex 'break add' -ex c -ex 'info threads' -ex c ./sample
	[ "$(grep -c '^#0 ' view.txt)" -ge 4 ]
	grep -q 'hit Breakpoint 2, add' view.txt
	# while they run, made, and step over each other's breakpoints
	for f in reader locker poller; do
		umview -- timeout -k 5 50 gdb -nx -batch -ex "break $f" -ex 'run threads' -ex bt -ex next -ex next -ex 'info threads' \
			-ex delete -ex 'break add' -ex c -ex c ./sample >out 2>&1 </dev/null
		grep -q "hit Breakpoint 1, $f" out
		grep -q 'hit Breakpoint 2, add' out
		grep -q 'exited with code 03' out
	done
}

@test "gdb attaches to a guest, in the view; detaches, and it goes on" {
	need gdb
	samples
	sum=$(sum_of 2 3)
	attached wait 'gdb -nx -batch -p $p -ex bt -ex "print '"$sum"'" -ex "info registers rip orig_rax" -ex "info proc exe" \
		-ex detach 2>&1 </dev/null; echo x >&9'
	grep -q 'wait_deep (n=0)' view.txt
	grep -q '= 5$' view.txt
	attached many 'gdb -nx -batch -p $p -ex "info threads" -ex "thread apply all bt" -ex detach 2>&1 </dev/null; echo x >&9'
	[ "$(grep -c '^#0 ' view.txt)" = 4 ]
	attached wait 'gdb -nx -batch -p $p -ex "break add" -ex "shell echo x >&9" -ex c -ex bt -ex detach 2>&1 </dev/null'
	grep -q 'Breakpoint 1, add (a=1, b=2)' view.txt
}

@test "what is no guest of the view is debugged as everywhere; what is one of a branch, as a guest" {
	need strace
	[ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)" = 0 ] || skip "Yama forbids to attach"
	samples
	mkfifo fifo
	./sample wait <fifo >out 2>&1 &
	p=$!
	exec 8>fifo
	until_true test -e ready
	umview -- strace -o trace -p "$p" 2>attaching &
	s=$!
	until_true test -s trace		# "read(0, ": it waits, traced
	echo x >&8
	wait "$p" || true
	wait "$s"
	grep -q '^read(0, "x", 1) *= 1$' trace
	grep -q '^exit_group(3)' trace
	umview -- strace -f -e trace=execve,exit_group -o trace umview -- ./sample child >out || [ $? = 3 ]
	[ "$(grep -c '^[0-9]* *execve(.*= 0$' trace)" = 3 ]
	grep -q '^[0-9]* *execve("/bin/true", .*= 0$' trace
}

@test "gdb outside, with the agent's symbols, finds a guest's frames" {
	need gdb
	agent=$(dirname "$UMVIEW")/um-agent
	[ -e "$agent" ] || skip "no um-agent beside umview"
	[ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)" = 0 ] || skip "Yama forbids to attach"
	samples
	mkfifo fifo
	umview -- sh -c 'echo $$ >pid; exec ./sample wait' <fifo >out 2>&1 &
	u=$!
	exec 8>fifo
	until_true test -e ready
	p=$(cat pid)
	until_true grep -q '^State:.S' "/proc/$p/status"
	timeout -k 5 50 gdb -nx -batch ./sample -p "$p" -ex "add-symbol-file $agent" -ex bt -ex detach >gdb.out 2>&1 </dev/null
	cat gdb.out
	grep -q 'wait_deep (n=1)' gdb.out
	grep -q 'wait_deep (n=3)' gdb.out
	grep -q ' main (' gdb.out
	echo x >&8
	wait "$u" || s=$?
	[ "$s" = 3 ]
	grep -q got out
}

@test "a process whose parent is not in the view cannot ask to be traced" {
	need gcc
	printf '#include <errno.h>\n#include <sys/ptrace.h>\nint main(void) { return ptrace(PTRACE_TRACEME, 0, 0, 0) == -1 ? errno : 0; }\n' >me.c
	gcc -o me me.c
	s=0
	umview -- ./me || s=$?
	[ $s = 1 ]
	in_view <<-'SH'
		./me
		exit 0
	SH
}
