# SPDX-License-Identifier: GPL-2.0-or-later
# Nothing may stay behind after a test.  To be read by sh and bash:
#
#	leak_before		notes what there is, exports UMT_RUN, which marks what is started from now on
#	leak_after		what stayed: one line each on standard output; status 1 if there is any
#
# Looked for: processes with the mark, memory files of ours in them or in the shell itself, entries in /dev/shm and
# /tmp that bear our name, real mounts below $LEAK_DIR.
# shellcheck shell=sh

# Not those of monitors that live: ours would be told as a process, others belong to what runs beside us.
leak_files() {
	find /tmp /dev/shm -maxdepth 1 -name '*umview*' -user "$(id -u)" \
		! -name 'umview-user.*' ! -name 'umview-demo.*' 2>/dev/null | sort | while IFS= read -r leak_file; do
		case ${leak_file##*/} in
		.umview-*-watch-*)	leak_pid=${leak_file##*/.umview-}; leak_pid=${leak_pid%%-*} ;;
		umview-*-*-*.*)		leak_pid=${leak_file#*/umview-*-}; leak_pid=${leak_pid%%-*} ;;
		*)			leak_pid=none ;;
		esac
		[ -d "/proc/$leak_pid" ] || echo "$leak_file"
	done
}

# The processes that have our mark in their environment.
leak_processes() {
	(
		leak_mark=$UMT_RUN
		unset UMT_RUN
		grep -lsF "UMT_RUN=$leak_mark" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3
	)
}

leak_mounts() {
	grep -F " ${LEAK_DIR:?}" /proc/self/mounts
}

leak_before() {
	UMT_RUN=$$-$(date +%s%N)
	export UMT_RUN
	leak_files_then=$(leak_files)
}

# What there was not before.
leak_new_files() {
	leak_files | grep -vxF "$leak_files_then" | sed '/^$/d; s/^/file /'
}

# Servers and the monitor may need a moment after the last guest; and so may a test beside us that kills its monitor.
# Who looks once more afterwards may see what such a test has just left: the files to tell of are $leak_files_left.
leak_settle() {
	leak_tries=0
	while [ -n "$(leak_processes)" ] && [ $leak_tries -lt 40 ]; do
		leak_tries=$((leak_tries + 1))
		env -u UMT_RUN sleep 0.1
	done
	leak_tries=0
	while leak_files_left=$(leak_new_files) && [ -n "$leak_files_left" ] && [ $leak_tries -lt 40 ]; do
		leak_tries=$((leak_tries + 1))
		env -u UMT_RUN sleep 0.1
	done
}

leak_after() {
	leak_settle
	leak_found=$(
		for leak_pid in $(leak_processes); do
			echo "process $leak_pid: $(ps -o args= -p "$leak_pid")"
			find "/proc/$leak_pid/fd" -lname '*memfd:um*' -printf 'memory file %l\n' 2>/dev/null
			kill -KILL "$leak_pid" 2>/dev/null
		done
		[ -z "$leak_files_left" ] || echo "$leak_files_left"
		find "/proc/$$/fd" -lname '*memfd:um*' -printf 'memory file %l in the harness\n' 2>/dev/null
		leak_mounts | sed 's/^/mount outside the view: /'
	)
	unset UMT_RUN
	[ -n "$leak_found" ] || return 0
	echo "$leak_found"
	return 1
}
