#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# S-19 A virtual root and other virtual users; what they make of files, in archives and packages.
load common

# A tree that only root can make.
root_tree() {
	cat <<-'SH'
		mkdir -p dir/sub
		echo ciao >dir/rootfile
		echo 20004000 >dir/file2000
		chown 2000:4000 dir/file2000
		mknod dir/device c 42 44
		mknod dir/disk b 8 1
		mkfifo dir/fifo
		ln -s rootfile dir/link
		chown -h 7:8 dir/link
		chown 33:60 dir/sub
		chmod 2775 dir/sub
		echo prog >dir/prog
		chmod 4755 dir/prog
		ln dir/prog dir/prog2
		chmod 0 dir/rootfile
	SH
}

LISTED='crw-r--r-- 0/0 42,44 dir/device
brw-r--r-- 0/0 8,1 dir/disk
prw-r--r-- 0/0 0 dir/fifo
-rw-r--r-- 2000/4000 9 dir/file2000
lrwxrwxrwx 7/8 0 dir/link
-rwsr-xr-x 0/0 5 dir/prog
hrwsr-xr-x 0/0 0 dir/prog2
---------- 0/0 5 dir/rootfile
drwxrwsr-x 33/60 0 dir/sub/'

listed() {	# listed TAR: type, owner, size or device, name, by name
	tar tvf "$1" --numeric-owner | awk '{ print $1, $2, $3, $6 }' | grep -v ' dir/$' | LC_ALL=C sort -k4
}

@test "S-19 owners and devices in an archive" {
	{ echo 'umask 022'; root_tree; echo 'ls -l dir >ls; whoami >who; tar cf dir.tar dir'; } | in_view --fakeroot --
	[ "$(cat who)" = root ]
	grep -q '^crw-r--r--.* 42, *44 .* device$' ls
	[ "$(listed dir.tar)" = "$LISTED" ]
}

@test "S-19 outside nothing of it is to be seen" {
	{ echo 'umask 022'; root_tree; } | in_view --fakeroot --
	[ "$(stat -c %F dir/device)" = 'regular empty file' ]
	[ "$(find dir ! -user "$(id -u)" | wc -l)" = 0 ]
	umview -- sh -c 'test "$(stat -c %u dir/file2000)" = "$(id -u)"'
}

@test "S-19 unpacked and packed again" {
	{ echo 'umask 022'; root_tree; echo 'tar cf dir.tar dir'; } | in_view --fakeroot --
	in_view --fakeroot -- <<-'SH'
		mkdir again
		tar xf dir.tar -C again --numeric-owner
		tar cf again.tar -C again dir
		rm -r again dir
	SH
	[ "$(listed again.tar)" = "$LISTED" ]
	[ ! -e dir ]
}

@test "S-19 a package as with fakeroot(1), byte for byte" {
	need dpkg-deb fakeroot
	{
		root_tree
		cat <<-'SH'
			mkdir dir/DEBIAN
			printf 'Package: t\nVersion: 1\nArchitecture: all\nMaintainer: x <x@y.z>\nDescription: t\n' >dir/DEBIAN/control
			find dir -print0 | xargs -0 touch -h -d @1000000000
			SOURCE_DATE_EPOCH=1000000000 dpkg-deb -Zgzip --build dir "$1"
			rm -r dir
		SH
	} >make.sh
	umask 022
	fakeroot sh -e make.sh a.deb
	umview --fakeroot -- sh -e make.sh b.deb
	cmp a.deb b.deb
}

@test "S-19 dpkg-buildpackage" {
	need dpkg-buildpackage make
	mkdir -p src/debian/source
	cd src
	echo '3.0 (native)' >debian/source/format
	printf 'Source: t\nMaintainer: x <x@y.z>\nRules-Requires-Root: binary-targets\n\nPackage: t\nArchitecture: all\nDescription: t\n' >debian/control
	printf 't (1) unstable; urgency=low\n\n  * x\n\n -- x <x@y.z>  Sun, 09 Sep 2001 01:46:40 +0000\n' >debian/changelog
	cat >debian/rules <<-'MK'
		#!/usr/bin/make -f
		.RECIPEPREFIX = >
		clean build build-arch build-indep binary-arch:
		binary: binary-indep
		binary-indep:
		> test "$$(id -u)" = 0
		> install -d -o 5 -g 60 debian/t/var/games debian/t/DEBIAN
		> install -o root -g root -m 4755 debian/rules debian/t/var/games/x
		> dpkg-gencontrol -Pdebian/t
		> dpkg-deb --build debian/t ..
	MK
	chmod +x debian/rules
	dpkg-buildpackage -b -d -us -uc "-rumview --fakeroot --" >log 2>&1 || { cat log; return 1; }
	dpkg-deb -c ../t_1_all.deb >list
	grep -q '^drwxr-xr-x games/games .*\./var/games/$' list
	grep -q '^-rwsr-xr-x root/root .*\./var/games/x$' list
}

@test "S-19 what was remembered is saved and loaded, from and for fakeroot(1) too" {
	{ echo 'umask 022'; root_tree; echo 'ls -lnR dir >ls1'; } | in_view --fakeroot --fakeroot-save state --
	umview --fakeroot --fakeroot-load state --fakeroot-save=state2 -- ls -lnR dir >ls2
	cmp ls1 ls2
	sort state >s1
	sort state2 | cmp s1 -
	need fakeroot
	fakeroot -i state ls -lnR dir >ls3
	cmp ls1 ls3
	root_tree | sed 's/\bdir\b/other/g' >other.sh
	fakeroot -s theirs sh -e other.sh
	fakeroot -i theirs ls -lnR other >ls4
	umview --fakeroot --fakeroot-load theirs -- ls -lnR other | cmp ls4 -
	echo nonsense >broken
	run -125 umview --fakeroot --fakeroot-load broken -- true
	run -125 umview --fakeroot --fakeroot-load none -- true
	run -125 umview --fakeroot-load state -- true
}

@test "S-19 install, cp, mv, tar, cpio and rsync keep owners, modes, devices" {
	{ echo 'umask 022'; root_tree; cat; } <<-'SH' | in_view --fakeroot --
		install -o 55 -g 66 -m 2750 -d dir/inst
		install -D -o 77 -g 88 -m 4711 dir/prog dir/inst/deep/f
		touch dir/sub/new		# in a set-group-id directory
		(cd dir; find . -printf '%p %y %M %U %G %l %n\n' | LC_ALL=C sort) >want
		grep -q '^./inst d drwxr-s--- 55 66' want
		grep -q '^./inst/deep/f f -rws--x--x 77 88' want
		grep -q '^./sub/new f -rw-r--r-- 0 60' want
		look() {
			(cd "$1"; find . -printf '%p %y %M %U %G %l %n\n' | LC_ALL=C sort) >got
			cmp want got || { diff want got; exit 1; }
			test "$(stat -c %t:%T "$1/device")" = 2a:2c
		}
		cp -a dir cp; look cp
		mv cp mv; look mv
		tar --same-owner -cf a.tar dir; mkdir t; tar --same-owner -C t -xpf a.tar; look t/dir
		if command -v cpio; then
			(cd dir; find . | cpio --quiet -o -H newc) >a.cpio
			mkdir c; (cd c; cpio --quiet -idm <../a.cpio); look c
		fi
		if command -v rsync; then
			rsync -aHAX dir/ r/; look r
		fi
		rm -rf dir mv t c r
	SH
}

@test "S-19 --user, by name and number" {
	[ "$(umview --user 1234:2345:3,4 -- sh -c 'echo $(id -u) $(id -g) $(id -G)')" = '1234 2345 2345 3 4' ]
	[ "$(umview --user daemon -- id -un)" = daemon ]
	[ "$(umview --user root:daemon -- id -gn)" = daemon ]
	[ "$(umview --user 1234:2345 -- sh -c 'touch f; stat -c %u:%g f')" = 1234:2345 ]
	run -125 umview --user nosuchuser -- true
	run -125 umview --user 123456 -- true
	run -125 umview --fakeroot --user 1:1 -- true
}

@test "S-19 su and sudo in a view" {
	ln -s "$UMVIEW" viewsu
	ln -s "$UMVIEW" viewsudo
	in_view -- <<-'SH'
		me=$(id -u)
		test "$(./viewsu -c 'id -u; id -un')" = "0
		root"
		test "$(umview sudo -u '#1234' -g '#5' sh -c 'id -u; id -g')" = "1234
		5"
		test "$(./viewsudo -u daemon id -un)" = daemon
		umview sudo sh -c 'exit 7' && exit 1 || test $? = 7
		test "$(./viewsu daemon -s /bin/sh -c 'echo $USER')" = daemon
		test "$(./viewsu -s /bin/sh -c 'echo $0 $1' root x y)" = 'x y'
		test "$(id -u)" = $me
		umview sudo -u nosuchuser true 2>err && exit 1 || test $? = 125
	SH
	in_view --fakeroot -- <<-'SH'
		touch f
		./viewsu daemon -s /bin/sh -c 'touch g; chown 0 g 2>/dev/null && exit 1; ./viewsudo chown 77 g'
		test "$(stat -c %u:%g f g)" = "0:0
		77:1"
	SH
}

@test "S-19 a view in a view has an identity of its own" {
	[ "$(umview -- umview --fakeroot -- id -u)" = 0 ]
	in_view --fakeroot -- <<-'SH'
		test "$(umview -- id -u)" = 0
		test "$(umview --user 5:6 -- id -u)" = 5
		touch f
		umview --user 5:6 -- touch g
		test "$(stat -c %u:%g f g)" = "0:0
		5:6"
	SH
}

@test "S-19 files in a mounted image are the image's" {
	need fuse2fs
	ext4 img
	in_view --fakeroot --mount-opts rw+ --mount img mnt -- <<-'SH'
		touch mnt/f here
		chown 12:13 mnt/f here
		test "$(stat -c %u:%g mnt/f here)" = "12:13
		12:13"
	SH
	umview --mount img mnt -- stat -c %u:%g mnt/f | grep -qx 12:13
}

@test "S-19 through a link that leads nowhere, into a set-gid directory" {
	in_view --fakeroot -- <<-'SH'
		mkdir d; chgrp 77 d; chmod 2775 d; ln -s d/new link; ln -s "$W/d/other" abs
		echo x >link; echo x >abs; echo x >d/direct
		test "$(stat -c %g d/direct d/new d/other | uniq)" = 77
		ln -s plain to; echo x >to; test "$(stat -c %u:%g plain)" = 0:0
	SH
}
