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
		{ echo 'begin exclusive;'; echo 'insert into t values("c", 1);'; echo .shell touch "$W/ready"
			until test -e "$W/tried"; do sleep 0.1; done; echo 'commit;'; } |
			sqlite3 t.db &
		for i in $(seq 100); do test -e "$W/ready" && break; sleep 0.1; done
		s=0; sqlite3 -cmd '.timeout 10' t.db 'insert into t values("d", 1)' >"$W/out" 2>&1 || s=$?
		touch "$W/tried"
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
		flock lock sh -c 'touch "$W/one"; until test -e "$W/refused"; do sleep 0.1; done; sleep 1; echo first >>log' &
		for i in $(seq 100); do test -e "$W/one" && break; sleep 0.1; done
		s=0; flock -n lock true || s=$?
		touch "$W/refused"
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

# A FUSE program that hands locks on to the files it shows.
lock_server() {
	need gcc pkg-config
	pkg-config --exists fuse3 || skip "no libfuse 3 to build with"
	cat >server.c <<-'C'
		#define FUSE_USE_VERSION 31
		#define _GNU_SOURCE
		#include <fuse.h>
		#include <errno.h>
		#include <fcntl.h>
		#include <string.h>
		#include <unistd.h>
		#include <sys/file.h>
		static int back;
		static void *start(struct fuse_conn_info *ci, struct fuse_config *cf) { (void)ci; (void)cf; return fchdir(back) ? NULL : &back; }
		static int r(long n) { return n < 0 ? -errno : (int)n; }
		static int attr(const char *p, struct stat *st, struct fuse_file_info *fi) { (void)fi; return r(lstat(p[1] ? p + 1 : ".", st)); }
		static int o(const char *p, struct fuse_file_info *fi) { int fd = open(p + 1, fi->flags & O_ACCMODE); fi->fh = fd; return fd < 0 ? -errno : 0; }
		static int rd(const char *p, char *b, size_t n, off_t at, struct fuse_file_info *fi) { (void)p; return r(pread(fi->fh, b, n, at)); }
		static int rel(const char *p, struct fuse_file_info *fi) { (void)p; close(fi->fh); return 0; }
		static int fl(const char *p, struct fuse_file_info *fi, int op) { (void)p; return r(flock(fi->fh, op)); }
		static int lk(const char *p, struct fuse_file_info *fi, int cmd, struct flock *l)
		{
			(void)p;
			l->l_pid = 0;
			return r(fcntl(fi->fh, cmd == F_GETLK ? F_OFD_GETLK : cmd == F_SETLK ? F_OFD_SETLK : F_OFD_SETLKW, l));
		}
		int main(int c, char **v)
		{
			struct fuse_operations ops = { .init = start, .getattr = attr, .open = o, .read = rd, .release = rel, .flock = fl, .lock = lk };
			back = open(v[--c], O_RDONLY);
			return fuse_main(c, v, &ops, NULL);
		}
	C
	# shellcheck disable=SC2046
	gcc -o server server.c $(pkg-config --cflags --libs fuse3)
	mkdir -p back
	echo text >back/file
}

@test "a FUSE program that keeps locks itself is asked, and hears of killed owners" {
	need flock python3
	lock_server
	cat >lockf.py <<-'PY'
		import fcntl, sys, time
		f = open(sys.argv[1], 'r+')
		try:
		    fcntl.lockf(f, fcntl.LOCK_EX | (0 if len(sys.argv) > 3 else fcntl.LOCK_NB), 5)
		except BlockingIOError:
		    sys.exit(1)
		open(sys.argv[2], 'w').close()
		time.sleep(0 if len(sys.argv) > 3 else 30)
	PY
	in_view -- <<-'SH'
		./server "$W/mnt" back
		flock -n mnt/file cat mnt/file | grep text
		flock mnt/file sh -c 's=0; flock -n back/file true || s=$?; exit $s' && exit 1
		flock back/file sh -c 's=0; flock -n mnt/file true || s=$?; exit $s' && exit 1
		flock -n mnt/file true
		python3 lockf.py mnt/file held &
		p=$!
		for i in $(seq 200); do test -e held && break; sleep 0.1; done
		s=0; python3 lockf.py mnt/file other || s=$?
		test $s = 1
		(sleep 1; kill -9 $p) &
		python3 lockf.py mnt/file waited wait
		wait
		umview umount "$W/mnt"
	SH
}
