#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# S-12 Safe system modification: an ordinary user changes the system, and nothing has happened.
load common

# A script run by an ordinary user in a directory of his, whoever runs the tests.
as_user() {
	{ echo "$FAILS"; cat; } >"$BATS_TEST_TMPDIR/user.sh"
	chmod 755 "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR/user.sh"
	if [ "$(id -u)" = 0 ]; then
		command -v setpriv >/dev/null || skip "root, and no setpriv to become somebody else"
	fi
	"$BATS_TEST_DIRNAME/../lib/as-user.sh" sh -c 'cd "$TMPDIR" && exec sh -e /dev/fd/3' 3<"$BATS_TEST_TMPDIR/user.sh"
}

# What there is to see of what is changed below.
state() {
	stat -c '%n %a %u %g %s %Y %Z %i %h' /etc /etc/passwd /etc/group /etc/hostname /usr/share /var/lib
	cksum /etc/passwd /etc/group
	ls /etc /usr/local /var/lib | cksum
}

CHANGES='
	sed /^daemon:/d /etc/passwd >"$TMPDIR/p"; cat "$TMPDIR/p" >/etc/passwd
	fails grep -q ^daemon: /etc/passwd; fails id daemon 2>/dev/null
	rm /etc/hostname; fails cat /etc/hostname 2>/dev/null; fails test -e /etc/hostname
	chmod 600 /etc/group; test "$(stat -c %a /etc/group)" = 600
	chown "$(id -u)" /etc/group; test "$(stat -c %u /etc/group)" = "$(id -u)"
	mkdir -p /usr/local/umview-s12/d; echo x >/usr/local/umview-s12/d/f; mv /usr/local/umview-s12 /usr/local/umview-s12b
	test "$(cat /usr/local/umview-s12b/d/f)" = x; fails test -e /usr/local/umview-s12
	ls /etc | { fails grep -qx hostname; }'

@test "S-12 mincow with exceptions on /: what the user may not change is kept aside, the rest is changed" {
	state >before
	as_user <<-SH
		mkdir own newroot; cd own
		cat >t.sh <<-'T'
			$FAILS
			umview mount -t viewfs -o mincow,except=/proc,except=/dev "\$TMPDIR/newroot" /
			. "\$TMPDIR/changes.sh"
			echo mine >file; mkdir d; mv file d/f; ln d/f d/g; ln -s f d/l; echo more >>d/f; chmod 640 d/f
		T
		printf '%s\n%s\n' '$FAILS' '$CHANGES' >"\$TMPDIR/changes.sh"
		umview -- sh -e t.sh
		# his own he has changed himself
		test "\$(cat d/f)" = "\$(printf 'mine\nmore')"; test "\$(stat -c '%a %h' d/f)" = '640 2'; test "\$(readlink d/l)" = f
		fails test -e "\$TMPDIR/newroot/tree\$TMPDIR/own/d"
		test -e "\$TMPDIR/newroot/tree/etc/passwd"
		# and it goes on from there
		umview --mincow / --upper "\$TMPDIR/newroot" -- sh -ec 'test ! -e /etc/hostname; test "\$(stat -c %a /etc/group)" = 600; cat /usr/local/umview-s12b/d/f'
	SH
	state | diff before -
}

@test "S-12 cow: all changes are kept aside; the same as viewfs spells it" {
	state >before
	as_user <<-SH
		printf '%s\n%s\n' '$FAILS' '$CHANGES' >"\$TMPDIR/changes.sh"
		echo before >file
		umview --cow / --upper "\$TMPDIR/../up" -- sh -ec '. "\$TMPDIR/changes.sh"; echo after >file; cat file'
		test "\$(cat file)" = before
		mkdir d; echo before >d/f
		umview -- sh -ec 'umview mount -t viewfs -o cow,except=/out a d 2>err && exit 1; mkdir d/out
			umview mount -t viewfs -o cow,except=/out a d; echo after >d/f; echo o >d/out/o; cat d/f d/out/o'
		test "\$(cat d/f d/out/o)" = "\$(printf 'before\no')"
	SH
	state | diff before -
}

@test "S-12 mincow: by name, what is in the session stays there; operations on two names" {
	state >before
	as_user <<-SH
		mkdir own; echo w >own/f; echo k >own/keep
		cat >t.sh <<-'T'
			$FAILS
			echo n >own/n; mv own/f /usr/local/umview-s12f; test "\$(cat /usr/local/umview-s12f)" = w; fails test -e own/f
			mkdir /usr/local/umview-s12; ln own/n /usr/local/umview-s12/h; test "\$(cat /usr/local/umview-s12/h)" = n
			cp -p /etc/passwd own/p; mv /etc/group own/g; fails test -e /etc/group; grep -q ^daemon: own/g
			mv own/keep own/kept; mkdir own/d; mv own/kept own/d/; mv own/d own/e; rmdir /usr/local/umview-s12 2>err && exit 1
			rm /usr/local/umview-s12/h; rmdir /usr/local/umview-s12; fails test -e /usr/local/umview-s12
			test "\$(echo \$(ls own own/e))" = 'own: e g n p own/e: kept'
			touch own/e/new; setfacl -m u:0:r own/n 2>/dev/null || true
			python3 -c 'import os; fd = os.open("own/n", os.O_RDONLY); os.fchmod(fd, 0o600); fd = os.open("/etc/hostname", os.O_RDONLY); os.fchmod(fd, 0o640)'
			test "\$(stat -c %a own/n /etc/hostname)" = "\$(printf '600\n640')"
			test -w /etc/passwd; echo line >>/etc/passwd; test "\$(tail -1 /etc/passwd)" = line
		T
		umview --mincow / --upper "\$TMPDIR/../up" -- sh -e t.sh
		# what went into the session is where it was below
		test "\$(echo \$(ls own own/e))" = 'own: e f n p own/e: kept new'; test "\$(cat own/f own/n)" = "\$(printf 'w\nn')"
		umview --mincow / --upper "\$TMPDIR/../up" -- sh -ec 'test "\$(echo \$(ls own))" = "e g n p"; tail -1 /etc/passwd | grep -qx line; test ! -e /etc/group
			test "\$(cat /usr/local/umview-s12f)" = w'
	SH
	state | diff before -
}

@test "S-12 mincow: files without a name get one where one may write; no whiteouts below" {
	mkdir -p low/own low/both
	cat >p.py <<-'PY'
		import ctypes, os
		c = ctypes.CDLL(None, use_errno=True)
		for how in 0x1000, 0x400:
		    for d in ".", "own", "both":
		        fd = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o600); os.write(fd, b"x")
		        name = f"{d}/{how:x}"
		        args = (fd, b"") if how == 0x1000 else (-100, f"/proc/self/fd/{fd}".encode())
		        assert c.syscall(265, *args, -100, name.encode(), how) == 0, (name, ctypes.get_errno())
		        assert open(name).read() == "x" and os.stat(name).st_nlink == 1
		assert c.syscall(316, -100, b"400", -100, b"gone", 4) == -1 and ctypes.get_errno() == 22 and os.path.exists("400")
	PY
	(cd low && umview --mincow . --upper ../up -- python3 ../p.py)
	[ "$(find low -type f -size 1c | wc -l)" = 6 ]
	[ -z "$(find up/tree -type f)" ]
}
