#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Secure mode: who is not root in the view is kept from what is not his.  (Call by call: tests/guest/secure.c.)
load common

# A script in a view, which has `as COMMAND...`: by a user.
secured() {	# secured OPTION... <SCRIPT
	{ echo "as() { umview sudo -u '#1000' -g '#1000' \"\$@\"; }"; cat; } | in_view "$@"
}

@test "secure: rules begin when root becomes a user, and are none for root" {
	chmod 777 .
	secured -s -- <<-'SH'
		umask 022
		mkdir private public
		chmod 700 private; chmod 1777 public
		echo secret >private/f
		echo root >public/f
		test "$(id -u)" = 0
		cat private/f
		as sh -c '
			test $(id -u):$(id -g) = 1000:1000 || exit 20
			cat private/f 2>err.1000 && exit 21
			grep -q denied err.1000 || exit 22
			echo x >>public/f && exit 23
			rm -f public/f && exit 24
			mv public/f public/g && exit 25
			echo mine >public/mine && chmod 600 public/mine || exit 26
			chown 0 public/mine && exit 27
			test -w public/f && exit 28
			test -r public/f || exit 29
			true
		' 2>err
		test "$(stat -c %u:%g:%a public/mine)" = 1000:1000:600
		umview sudo -u '#1001' -g '#1001' cat public/mine && exit 30
		cat public/mine
	SH
}

@test "secure: without it a user may what you may" {
	secured --fakeroot -- <<-'SH'
		mkdir private
		chmod 700 private
		echo secret >private/f
		as cat private/f
	SH
}

@test "secure: nobody becomes root by asking, only by a program with the bit" {
	chmod 777 .
	cp "$(command -v id)" root-id
	secured -s -- <<-'SH'
		chmod 4755 root-id
		as umview su -c id && exit 1
		as umview --fakeroot -- id && exit 2
		as umview sudo id && exit 3
		as umview --bind /usr /mnt -- true && exit 4
		test "$(as ./root-id -u)" = 0
		test "$(as setpriv --no-new-privs ./root-id -u)" = 1000
		test "$(as umview -- id -u)" = 1000
	SH
	[ "$(umview -s --user 5:6 -- id -u)" = 5 ]
	run ! umview --secure --user 5:6 -- umview su -c id
	[ "$(umview --secure -- id -u)" = 0 ]
	run -125 umview --secure=1 -- true
}

@test "secure: a file of the view's user is his, of whoever runs umview" {
	echo x >f
	chmod 600 f
	umview -s --user 1234:1234 -- cat f
	run ! umview -s -- umview sudo -u '#1234' -g '#1234' cat f
}

@test "secure: signals" {
	secured -s -- <<-'SH'
		sleep 50 &
		as kill -9 $! && exit 1
		as sh -c 'sleep 50 & kill $!; wait; true'
		kill $!
	SH
}

@test "secure: a mounted image is served for all, by their own rights" {
	need fuse2fs
	ext4 img
	chmod 777 .
	secured -s --mount-opts rw+ --mount img mnt -- <<-'SH'
		mkdir mnt/private mnt/public
		chmod 700 mnt/private; chmod 777 mnt/public
		echo secret >mnt/private/f
		chmod 644 mnt/private/f
		as cat mnt/private/f && exit 1
		as sh -c 'echo x >mnt/hello' && exit 2
		as sh -c 'echo x >mnt/public/f'
		test "$(stat -c %u mnt/public/f)" = 1000
		as umview umount mnt 2>err && exit 3
		grep -q 'not permitted' err
		umview umount mnt
	SH
}

@test "secure: with copy-on-write" {
	chmod 777 .
	mkdir low
	echo x >low/f
	chmod 644 low/f
	secured -s --cow low --upper up -- <<-'SH'
		as sh -c 'echo y >low/f' && exit 1
		as sh -c 'rm -f low/f' && exit 2
		echo y >low/f
		chmod 600 low/f
		as cat low/f && exit 3
		chown 1000 low/f
		test "$(as cat low/f)" = y
	SH
	[ "$(cat low/f)" = x ]
	run ! grep -rq x up/tree/f
}

@test "secure: a merged directory: A's names by A's owners and modes, B's by B's" {
	chmod 777 .
	mkdir a b
	secured -s --merge a b -- <<-'SH'
		umask 022
		mkdir b/d b/private; chmod 777 b/d; chmod 700 b/private; echo secret >b/private/f; echo B >b/d/b
		as cat b/d/b
		as sh -c 'echo n >b/d/new; test "$(stat -c %u b/d/new)" = 1000; chmod 600 b/d/new; rm b/d/new'
		as sh -c 'echo n >b/n' && exit 1
		as cat b/private/f && exit 2
		as chmod 777 b/d && exit 3
		true
	SH
	mkdir -p a/d a/private
	echo A >a/d/g; echo A >a/d/f; echo secret >a/private/f
	chmod 755 a a/d; chmod 700 a/private; chmod 600 a/d/f; chmod 644 a/d/g a/private/f
	secured -s --merge a b -- <<-'SH'
		test "$(as cat b/d/g b/d/b)" = "$(printf 'A\nB')"
		as cat b/d/f && exit 1
		as cat b/private/f && exit 2
		as ls b/private && exit 3
		as test -r b/d/f && exit 4
		as test -r b/d/g
		as sh -c 'cd b/private' && exit 5
		as sh -c 'echo x >b/d/g' && exit 6
		as rm -f b/d/g && exit 7
		test "$(echo $(as ls b/d))" = 'b f g'
		chown 1000 b/d/b
		as sh -c 'chmod 600 b/d/b && cat b/d/b'
		as chown 1000 b/d/g && exit 8
		chmod 700 b
		as cat b/d/g && exit 9
		true
	SH
	[ "$(cat a/d/g)" = A ]
}

@test "secure: chown that changes nobody takes no set-id bits from what is another's" {
	chmod 777 .
	touch bit plain
	secured -s -- <<-'SH'
		chmod 4755 bit; chmod 644 plain
		as python3 -c '
		import errno, os
		os.chown("plain", -1, -1)
		try: os.chown("bit", -1, -1)
		except OSError as e: assert e.errno == errno.EPERM
		else: raise AssertionError
		'
		test "$(stat -c %a bit)" = 4755
		chown -h 0 bit; test "$(stat -c %a bit)" = 755
	SH
}
