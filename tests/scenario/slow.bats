#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest waits for a server that takes its time: what signals do to it meanwhile.
load common

# A FUSE program whose every read takes 1.5 seconds, or $DELAY microseconds, and a program that reads once and counts its signals.
slow_server() {
	need gcc pkg-config
	pkg-config --exists fuse3 || skip "no libfuse 3 to build with"
	cat >server.c <<-'C'
		#define FUSE_USE_VERSION 31
		#define _GNU_SOURCE
		#include <fuse.h>
		#include <errno.h>
		#include <stdlib.h>
		#include <string.h>
		#include <unistd.h>
		static int attr(const char *p, struct stat *st, struct fuse_file_info *fi)
		{
			(void)fi;
			memset(st, 0, sizeof(*st));
			st->st_mode = p[1] ? S_IFREG | 0666 : S_IFDIR | 0755;
			st->st_nlink = 1;
			st->st_size = p[1] ? 5 : 0;
			return !p[1] || !strcmp(p, "/slow") ? 0 : -ENOENT;
		}
		static int o(const char *p, struct fuse_file_info *fi) { (void)p; fi->direct_io = 1; return 0; }
		static int rd(const char *p, char *b, size_t n, off_t at, struct fuse_file_info *fi)
		{
			(void)p; (void)fi; (void)n;
			usleep(getenv("DELAY") ? atoi(getenv("DELAY")) : 1500000);
			memcpy(b, "text\n", 5);
			return at ? 0 : 5;
		}
		int main(int c, char **v)
		{
			struct fuse_operations ops = { .getattr = attr, .open = o, .read = rd };
			return fuse_main(c, v, &ops, NULL);
		}
	C
	cat >reader.c <<-'C'
		#define _GNU_SOURCE
		#include <errno.h>
		#include <fcntl.h>
		#include <signal.h>
		#include <stdio.h>
		#include <string.h>
		#include <unistd.h>
		static volatile int n;
		static void h(int s) { (void)s; n++; }
		int main(int c, char **v)
		{
			struct sigaction sa = { .sa_handler = h, .sa_flags = c > 2 ? SA_RESTART : 0 };
			char b[16] = "";
			int fd = open(v[1], O_RDONLY), r;
			sigaction(SIGUSR1, &sa, NULL);
			close(open("ready", O_CREAT, 0600));
			r = read(fd, b, 5);
			return printf("%d %s, signals: %s", r, r < 0 ? strerror(errno) : b, n ? "yes" : "no") < 0;
		}
	C
	# shellcheck disable=SC2046
	gcc -o server server.c $(pkg-config --cflags --libs fuse3)
	gcc -o reader reader.c
	# start OPTION...: a reader that has begun to read, $p
	cat >lib.sh <<-'SH'
		start() {
			rm -f ready
			./reader mnt/slow "$@" >out & p=$!
			until [ -e ready ] && grep -q '^State:.S' /proc/$p/status; do sleep 0.02; done
		}
		ms() { echo $(($(date +%s%N) / 1000000)); }
	SH
}

@test "SLOW-01 a handler does not end the wait, with SA_RESTART and without: as with the kernel" {
	slow_server
	in_view -- <<-'SH'
		. ./lib.sh
		./server mnt
		for option in '' restart; do
			start $option
			kill -USR1 $p
			wait $p
			[ "$(cat out)" = "5 text
		, signals: yes" ]
		done
		umview umount mnt
	SH
}

@test "SLOW-02 who waits is killed at once" {
	slow_server
	in_view -- <<-'SH'
		. ./lib.sh
		DELAY=6000000 ./server mnt
		for sig in KILL TERM; do
			start
			a=$(ms)
			kill -$sig $p
			s=0; wait $p || s=$?
			[ $s -gt 128 ]
			[ $(($(ms) - a)) -lt 4000 ]
			[ ! -s out ]
		done
		umview umount mnt
	SH
}

@test "SLOW-03 who waits is stopped and continued, and gets its answer" {
	slow_server
	in_view -- <<-'SH'
		. ./lib.sh
		./server mnt
		start
		kill -STOP $p
		for i in 1 2; do
			sleep 1
			grep -q '^State:.T' /proc/$p/status
			[ ! -s out ]
		done
		kill -CONT $p
		wait $p
		[ "$(cat out)" = "5 text
		, signals: no" ]
		umview umount mnt
	SH
}

@test "SLOW-04 meanwhile others are served: other mounts, and the same one" {
	need fuse2fs
	slow_server
	ext4 img
	mkdir other
	in_view -- <<-'SH'
		. ./lib.sh
		umview mount img other
		DELAY=6000000 ./server mnt
		start
		for i in 1 2 3; do
			[ "$(cat other/hello)" = 'hello from the image' ]
			[ "$(stat -c %s mnt/slow)" = 5 ]
		done
		[ ! -s out ]
		wait $p
		umview umount mnt
		umview umount other
	SH
}
