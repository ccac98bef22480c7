#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs that lock files of a mounted image.
load common

@test "two sqlite3 processes write one data base on an image" {
	need fuse2fs sqlite3
	ext4 img 64M
	in_view --mount img mnt -- <<-'SH'
		cd mnt
		sqlite3 t.db 'create table t(who text, n int)'
		for who in a b; do
			for n in $(seq 20); do
				echo "insert into t values('$who', $n);"
			done | sqlite3 -cmd '.timeout 30000' t.db &
		done
		wait
		test "$(sqlite3 t.db 'select who, count(*), sum(n) from t group by who order by who; pragma integrity_check')" = 'a|20|210
		b|20|210
		ok'
		# one that writes keeps others from it, and who waits no longer says so
		{ echo 'begin exclusive;'; echo 'insert into t values("c", 1);'; echo .shell touch "$W/ready"; sleep 3; echo 'commit;'; } |
			sqlite3 t.db &
		for i in $(seq 100); do test -e "$W/ready" && break; sleep 0.1; done
		s=0; sqlite3 -cmd '.timeout 10' t.db 'insert into t values("d", 1)' >"$W/out" 2>&1 || s=$?
		grep 'locked' "$W/out"
		wait
		test "$(sqlite3 t.db 'select count(*) from t')" = 41
	SH
	clean img
}

@test "flock(1) on an image: who waits goes on when the holder is done, or killed" {
	need fuse2fs flock
	ext4 img
	in_view --mount img mnt -- <<-'SH'
		cd mnt
		flock lock sh -c 'touch "$W/one"; sleep 1; echo first >>log' &
		for i in $(seq 100); do test -e "$W/one" && break; sleep 0.1; done
		s=0; flock -n lock true || s=$?
		test $s = 1
		flock lock sh -c 'echo second >>log'
		test "$(cat log)" = 'first
		second'
		wait
		flock -o lock sh -c 'touch "$W/two"; while kill -0 $PPID; do sleep 0.1; done' 2>/dev/null &
		holder=$!
		for i in $(seq 100); do test -e "$W/two" && break; sleep 0.1; done
		kill -9 $holder
		flock -w 20 lock true
		wait $holder || true
	SH
}

@test "a mount whose files are locked is busy, and is not when the locks' owners are gone" {
	need fuse2fs flock
	ext4 img
	in_view --mount img mnt -- <<-'SH'
		exec 9>mnt/lock
		flock 9
		s=0; umview umount "$W/mnt" 2>/dev/null || s=$?
		test $s != 0
		exec 9>&-
		umview umount "$W/mnt"
	SH
	clean img
}
