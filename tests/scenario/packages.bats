#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Packages are really installed, by an ordinary user: in trees of their own, and on the machine, which stays as it is.  What
# they are made of comes from tools/fixtures.sh; without that the tests are skipped.
BATS_TEST_TIMEOUT=240
load common

FIXTURES=$(dirname "$UMVIEW")/fixtures
LIB=$BATS_TEST_DIRNAME/../lib

fixture() {	# fixture FILE...: or the test is skipped; sets suite, packages
	local f
	for f in about "$@"; do
		[ -e "$FIXTURES/$f" ] || skip "no $f here: make fixtures"
	done
	eval "$(cat "$FIXTURES/about")"
}

# What debootstrap, apt and the like say, if they fail.
quietly() {	# quietly COMMAND...
	"$@" >"$BATS_TEST_TMPDIR/said" 2>&1 </dev/null || { tail -n 40 "$BATS_TEST_TMPDIR/said"; return 1; }
}

# apt-get on this machine, with the archive of the fixtures and no other; $APT is the start of a command.
our_archive() {
	mkdir -p apt
	echo "deb [trusted=yes] file:$FIXTURES/repo $suite main" >apt/list
	APT="env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin apt-get -qq -y --no-install-recommends"
	APT="$APT -o Dir::Etc::sourcelist=$W/apt/list -o Dir::Etc::sourceparts=- -o Dpkg::Use-Pty=0"
	# groupadd and useradd want to change these, which only root may read: without them they do without.
	HIDE='--hide /etc/shadow --hide /etc/gshadow'
	PACKAGE=
	local p
	for p in $packages; do
		dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -q '^installed' || PACKAGE=${PACKAGE:-$p}
	done
	[ -n "$PACKAGE" ] || skip "all of $packages are installed here"
}

# What of the machine might be changed; its database of packages, and when files were.
machine() {
	dpkg-query -W | cksum
	find /etc /usr/bin /usr/sbin /usr/lib/systemd /usr/share/doc /var/lib/dpkg /var/lib/apt /var/cache/apt /var/spool \
		-xdev -printf '%p %y %m %U %G %s %C@ %l\n' 2>/dev/null | LC_ALL=C sort
}

@test "PK-01 a tree made by debootstrap: by --chroot, by chroot(8) and chroot(2) of a virtual root" {
	fixture debian.tar
	mkdir tree
	tar -xpf "$FIXTURES/debian.tar" -C tree
	run -0 umview --chroot tree -- /bin/sh -ec '
		. /etc/os-release; echo "$VERSION_CODENAME"
		dpkg-query -W -f "\${db:Status-Status}\n" bash
		perl -e "print 6 * 7, qq(\n)"
		awk "BEGIN { print 43 }"
		readlink /proc/self/exe
		bash -c "ls -d /proc/self/cwd/../../usr/bin/env"
		ldd /bin/ls | grep -c "=> /lib/x86_64-linux-gnu/"
		test ! -e /work'
	[ "${lines[*]}" = "$suite installed 42 43 /usr/bin/readlink /proc/self/cwd/../../usr/bin/env 3" ]
	run -0 umview --fakeroot -- sh -ec 'PATH=$PATH:/usr/sbin
		chroot tree /usr/bin/env pwd
		chroot tree id -un
		chroot --userspec=nobody tree id -un
		chroot tree su -s /bin/sh -c id\ -un daemon
		perl -e "chroot q(tree) or die; chdir q(/); exec q(/bin/cat), q(/etc/debian_version)"'
	[ "${lines[*]}" = "/ root nobody daemon $(cat tree/etc/debian_version)" ]
}

@test "PK-02 a tree of busybox with absolute links: by --chroot, by chroot(8) of a virtual root" {
	fixture busybox.tar
	mkdir tree
	tar -xpf "$FIXTURES/busybox.tar" -C tree
	[ "$(umview --chroot tree -- sh -c 'cat /etc/hostname; ls /etc; readlink /bin/sh' | tr '\n' ' ')" = \
		'small group hostname passwd /bin/busybox ' ]
	run -0 umview --fakeroot -- sh -ec 'PATH=$PATH:/usr/sbin
		chroot tree /bin/sh -ec "id -un; mknod /dev/x c 1 3; ls -l /dev/x | cut -c 1; chown 7:8 /etc/group; stat -c %u:%g /etc/group"'
	[ "${lines[*]}" = "root c 7:8" ]
}

@test "PK-03 debootstrap, whole, by an ordinary user: what real root gets" {
	fixture repo
	need debootstrap
	cat >do.sh <<-SH
		debootstrap --no-check-gpg --variant=minbase $suite tree file:$FIXTURES/repo
		$LIB/tree.sh tree >got.tsv
		chroot tree dpkg --audit
	SH
	quietly umview --fakeroot -- sh -e do.sh
	grep -q 'Base system installed successfully' "$BATS_TEST_TMPDIR/said"
	fails grep '^W:' "$BATS_TEST_TMPDIR/said"
	[ ! -e "$FIXTURES/base.tsv" ] || diff "$FIXTURES/base.tsv" got.tsv
	grep -q "^usr/bin/passwd	f	4755	0:0" got.tsv
	[ "$(stat -c %u tree/usr/bin/passwd)" = "$(id -u)" ]
}

@test "PK-04 apt-get update and install in a tree, --chroot --fakeroot: what real root gets; then remove and purge" {
	fixture debian.tar
	cat >do.sh <<-SH
		mkdir tree
		tar -xpf $FIXTURES/debian.tar --numeric-owner -C tree
		$LIB/install.sh '$packages' $UMVIEW --chroot tree --
		$LIB/tree.sh tree >got.tsv
		at() { umview --chroot tree -- env DEBIAN_FRONTEND=noninteractive "\$@"; }
		at crontab -l 2>&1 | grep 'no crontab'
		at apt-get -qq -y remove cron vim-tiny
		at dpkg-query -W -f '\${db:Status-Status}\n' cron
		at test ! -e /usr/sbin/cron -a -e /etc/default/cron
		at apt-get -qq -y purge cron
		at test ! -e /etc/default/cron
		at apt-get -qq -y install cron
		at dpkg --configure -a
		at dpkg --audit
	SH
	quietly umview --fakeroot -- sh -e do.sh
	grep -q '^config-files$' "$BATS_TEST_TMPDIR/said"
	[ ! -e "$FIXTURES/installed.tsv" ] || diff "$FIXTURES/installed.tsv" got.tsv
	grep -q "^usr/bin/crontab	f	2755	0:[1-9]" got.tsv
}

@test "PK-05 apt-get install, remove, purge on this machine, --fakeroot --cow /: nothing has happened here" {
	fixture repo
	our_archive
	machine >before
	cat >do.sh <<-SH
		$APT update
		$APT install $PACKAGE
		dpkg-query -W -f '\${db:Status-Status}\n' $PACKAGE
		dpkg --verify $PACKAGE
		dpkg --audit
	SH
	# shellcheck disable=SC2086 # a list of words
	quietly umview --fakeroot --cow / --upper upper $HIDE -- sh -e do.sh
	grep -q '^installed$' "$BATS_TEST_TMPDIR/said"
	machine >after
	diff before after
	fails sh -c "dpkg-query -W -f '\${db:Status-Status}' $PACKAGE 2>&- | grep '^installed'"
	[ -n "$(find upper/tree/usr -type f)" ]
	# The session goes on.
	cat >do.sh <<-SH
		dpkg -L $PACKAGE | while read -r f; do test -e "\$f" || echo "missing: \$f"; done
		$APT remove $PACKAGE
		dpkg --configure -a
		$APT install $PACKAGE
		$APT purge $PACKAGE
		dpkg --audit
		dpkg-query -W -f '\${db:Status-Status}\n' $PACKAGE 2>/dev/null | grep '^installed' || echo gone
	SH
	# shellcheck disable=SC2086 # a list of words
	quietly umview --fakeroot --cow / --upper upper $HIDE -- sh -e do.sh
	fails grep missing: "$BATS_TEST_TMPDIR/said"
	grep -q '^gone$' "$BATS_TEST_TMPDIR/said"
	machine >after
	diff before after
}

@test "PK-06 make install, --fakeroot --cow /" {
	need make gcc
	mkdir hello
	printf '#include <stdio.h>\nint main(void) { puts("hello"); }\n' >hello/hello.c
	printf 'hello: hello.c\n\tgcc -o $@ $<\ninstall: hello\n\tinstall -o root -g staff -m 4755 -D hello /usr/local/bin/umview-hello\n\tmkdir -p /usr/local/share/umview-hello\n\tcp hello.c /usr/local/share/umview-hello\n' >hello/Makefile
	run -0 umview --fakeroot --cow / --upper upper -- sh -ec '
		make -s -C hello install
		umview-hello
		stat -c "%U %G %a" /usr/local/bin/umview-hello
		ls /usr/local/share/umview-hello'
	[ "${lines[*]}" = "hello root staff 4755 hello.c" ]
	[ ! -e /usr/local/bin/umview-hello ]
	[ ! -e hello/hello ]
	[ "$(umview --fakeroot --cow / --upper upper -- /usr/local/bin/umview-hello)" = hello ]
}

@test "PK-07 npm install of a local package, for all users, --fakeroot --cow /" {
	need node npm
	mkdir -p package/bin
	echo '{ "name": "umview-hello", "version": "1.0.0", "bin": { "umview-hello": "bin/hello.js" }, "scripts": { "install": "node make.js" } }' >package/package.json
	printf '#!/usr/bin/env node\nconsole.log("hello from", process.version)\n' >package/bin/hello.js
	chmod 755 package/bin/hello.js
	echo 'require("fs").writeFileSync("made", "made by " + process.getuid() + require("os").EOL)' >package/make.js
	tar -czf hello.tgz package
	cat >do.sh <<-'SH'
		npm install --offline --no-audit --no-fund --no-update-notifier -g --prefix /usr ./hello.tgz
		umview-hello
		cat /usr/lib/node_modules/umview-hello/made
		npm uninstall --offline --no-update-notifier -g --prefix /usr umview-hello
		test ! -e /usr/bin/umview-hello
	SH
	quietly umview --fakeroot --cow / --upper upper -- sh -e do.sh
	grep -q '^hello from v' "$BATS_TEST_TMPDIR/said"
	grep -q '^made by 0$' "$BATS_TEST_TMPDIR/said"
	[ ! -e /usr/bin/umview-hello ]
	[ ! -e /usr/lib/node_modules/umview-hello ]
}

@test "PK-08 pip install of a local wheel, for all users, --fakeroot --cow /" {
	/usr/bin/python3 -m pip --version >/dev/null 2>&1 || skip "no pip here"
	/usr/bin/python3 - <<-'PY'
		import zipfile
		with zipfile.ZipFile("umview_hello-1.0-py3-none-any.whl", "w") as z:
		    z.writestr("umview_hello.py", "def main():\n    print('hello from', __file__)\n")
		    d = "umview_hello-1.0.dist-info/"
		    z.writestr(d + "METADATA", "Metadata-Version: 2.1\nName: umview-hello\nVersion: 1.0\n")
		    z.writestr(d + "WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
		    z.writestr(d + "entry_points.txt", "[console_scripts]\numview-hello = umview_hello:main\n")
		    z.writestr(d + "RECORD", "")
	PY
	cat >do.sh <<-'SH'
		export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_BREAK_SYSTEM_PACKAGES=1
		/usr/bin/python3 -m pip install --no-index --no-deps ./umview_hello-1.0-py3-none-any.whl
		umview-hello
		/usr/bin/python3 -m pip uninstall -y umview-hello
		test ! -e "$(command -v umview-hello || echo /none)"
	SH
	quietly umview --fakeroot --cow / --upper upper -- sh -e do.sh
	grep -q '^hello from /usr/.*/umview_hello.py$' "$BATS_TEST_TMPDIR/said"
	[ ! -e /usr/local/bin/umview-hello ]
}

@test "PK-09 umview try apt-get install: nothing outside; diff lists it; what its user may, commit does; discard ends it" {
	fixture repo
	our_archive
	machine >before
	cat >do.sh <<-SH
		$APT update
		$APT install $PACKAGE
		echo mine >$W/mine
	SH
	# shellcheck disable=SC2086 # a list of words
	quietly umview try --fakeroot $HIDE -- sh -e do.sh
	session=$(sed -n 's/.*session \([^ :]*\):.*/\1/p' "$BATS_TEST_TMPDIR/said" | tail -n 1)
	[ -n "$session" ] || { cat "$BATS_TEST_TMPDIR/said"; false; }
	machine >after
	diff before after
	[ ! -e mine ]
	umview ls --sessions | grep -q "$session"
	umview diff --session "$session" >listed
	grep -q "^M  /var/lib/dpkg/status" listed
	grep -qx "A  /var/lib/dpkg/info/$PACKAGE.list" listed
	grep -qx "A  $W/mine" listed
	# What is root's cannot be committed by anybody else, and is still there to be.
	if [ "$(id -u)" != 0 ]; then
		fails umview commit --session "$session" /var/lib/dpkg/info >said 2>&1
		grep -q 'Permission denied' said
		umview diff --session "$session" | grep -qx "A  /var/lib/dpkg/info/$PACKAGE.list"
	fi
	umview commit --session "$session" "$W/mine"
	[ "$(cat mine)" = mine ]
	fails sh -c "umview diff --session $session | grep -x 'A  $W/mine'"
	umview discard --session "$session"
	fails sh -c "umview ls --sessions | grep $session"
	machine >after
	diff before after
}
