#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# S-20: a distribution in a directory, entered without privilege (VUOS Alpine, PRoot -r): by --chroot and by chroot(8), a
# tree of Debian's packages (the files of this machine's, by dpkg -L) and one of busybox.
load common

debian() {	# debian DIR
	need dpkg tar
	local d p
	for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done
	for p in base-files bash dash coreutils libc6 libc-bin libtinfo6 libselinux1 libpcre2-8-0 libacl1 libattr1 \
		libgmp10 sed grep findutils perl-base libcrypt1; do
		dpkg -L "$p" 2>/dev/null
	done | grep -v '^/usr/share/\(doc\|man\|locale\|info\)\|^/\(bin\|sbin\|lib\|lib64\|\.\)$' | sort -u >list
	tar -C / --no-recursion -cf - -T list 2>/dev/null | tar -C "$1" --keep-directory-symlink -xf - 2>/dev/null
	[ -e "$1/bin/sh" ] || ln -s dash "$1/bin/sh"
	mkdir -p "$1/proc" "$1/sys" "$1/dev" "$1/tmp" "$1/etc" "$1/srv"
	echo inside >"$1/etc/where"
	ln -sf /etc/where "$1/absolute"
	ln -sf ../../../../../../../../etc/where "$1/tmp/up"
	ln -sf /usr/bin "$1/srv/bin"
}

alpine() {	# alpine DIR
	[ -x /bin/busybox ] || skip "no busybox here"
	mkdir -p "$1/bin" "$1/etc" "$1/proc"
	cp /bin/busybox "$1/bin"
	local a
	for a in sh ls cat ps pwd echo readlink; do ln -s /bin/busybox "$1/bin/$a"; done
	echo 3.19.0 >"$1/etc/alpine-release"
}

inside() {	# inside OPTIONS -- then a script on standard input, run in the tree
	{ echo "$FAILS"; cat; } >root/tmp/script.sh
	umview "$@" bash -e /tmp/script.sh </dev/null
}

@test "S-20 Debian: programs, libraries, absolute links, .., getcwd, /proc" {
	debian root
	inside --chroot root -- <<-'SH'
		test "$(pwd)" = /; test "$(cat /etc/where /absolute /tmp/up)" = "$(printf 'inside\ninside\ninside')"
		cd ..; test "$(pwd -P)" = /; cd /tmp; test "$(pwd -P)" = /tmp; test "$(/bin/pwd)" = /tmp
		test "$(ls /../.. | head -2 | tr '\n' ' ')" = 'absolute bin '
		test "$(readlink /proc/self/cwd /proc/self/exe /proc/self/root | tr '\n' ' ')" = '/tmp /usr/bin/readlink / '
		exec 5</etc/where; test "$(readlink /proc/self/fd/5)" = /etc/where; test "$(cat /proc/self/fd/5)" = inside
		test "$(cat /proc/self/root/etc/where)" = inside; test "$(cat /proc/self/cwd/../etc/where)" = inside
		grep -q ' /usr/bin/grep$' /proc/self/maps; fails grep -q ' /.*root.*/usr/' /proc/self/maps
		grep -q '^/proc /proc ' /proc/mounts
		echo x >/dev/null; test -c /dev/null
		perl -e 'use Cwd; print getcwd, "\n"; open F, "</absolute"; print <F>; exec "/srv/bin/cat", "/etc/where"' >/tmp/o
		test "$(tr '\n' ' ' </tmp/o)" = '/tmp inside inside '
		printf '#!/srv/bin/env bash\necho script $0\n' >/tmp/s; chmod 755 /tmp/s; test "$(/tmp/s)" = 'script /tmp/s'
		mkdir -p /a/b; mv /a /c; test -d /c/b; rm -r /c
		fails rmdir / 2>/dev/null; fails mkdir / 2>/dev/null
		echo made >/tmp/made; ln -s /tmp/made /tmp/l; test "$(cat /tmp/l)" = made
		find / -xdev -name where | grep -qx /etc/where
		(cd /; tar cf /dev/null . 2>/dev/null || true)
		for i in 1 2 3 4 5 6 7 8; do (cat /etc/where | cat | cat >/dev/null) & done; wait
	SH
	[ "$(cat root/tmp/made)" = made ]
	[ "$(umview --chroot root --chdir /usr/bin -- pwd)" = /usr/bin ]
}

@test "S-20 chroot(8), chroot in chroot, what is mounted from outside and from inside" {
	debian root
	need squashfuse mksquashfs python3
	squash root/srv/sq
	mkdir root/srv/m data; echo data >data/f
	[ "$(umview -- chroot root /bin/sh -c 'pwd; cat /absolute')" = "$(printf '/\ninside')" ]
	[ "$(umview --chroot root -- chroot /usr /bin/sh -c 'pwd; cd ..; pwd; ls -d /bin /etc 2>&-' | tr '\n' ' ')" = '/ / /bin ' ]
	[ "$(umview --mount root/srv/sq root/srv/m --chroot root -- cat /srv/m/hello)" = 'hello from the image' ]
	[ "$(umview --mount root/srv/sq root/srv/m --chroot root -- sh -c 'cd /srv/m/docs; pwd; cat ../hello; cat up')" = \
		"$(printf '/srv/m/docs\nhello from the image\nhello from the image')" ]
	[ "$(umview --bind data root/srv/d --hide root/etc/where --chroot root -- sh -c 'cat /srv/d/f /absolute 2>&1; ls /etc | grep -c where')" = \
		"$(printf 'data\ncat: /absolute: No such file or directory\n0')" ]
	umview -- python3 - <<-'PY'
		import ctypes, os, socket
		out = os.open("data", os.O_RDONLY)
		os.chroot("root")
		cwd = ctypes.create_string_buffer(4096)
		ctypes.CDLL(None).syscall(79, cwd, 4096)		# getcwd, as the kernel answers it
		assert cwd.value.startswith(b"(unreachable)/"), cwd.value
		assert os.readlink("/proc/self/root") == "/" if os.path.exists("/proc/self") else True
		os.chdir("/tmp")
		assert os.getcwd() == "/tmp"
		assert open("f", opener=lambda p, f: os.open(p, f, dir_fd=out)).read() == "data\n"
		s = socket.socket(socket.AF_UNIX); s.bind("/tmp/sock"); s.listen()
		c = socket.socket(socket.AF_UNIX); c.connect("/tmp/sock"); c.connect_ex("/tmp/up")
		os.rename("/tmp/sock", "/etc/sock"); os.unlink("/etc/sock")
		if not os.fork():
		    os.chroot("/usr"); os.chdir("/"); os.listdir("/bin"); os._exit(os.getcwd() != "/")
		assert os.wait()[1] == 0
		assert os.path.exists("/etc/where")
		for bad, e in ("/etc/where", NotADirectoryError), ("/none", FileNotFoundError), ("", FileNotFoundError):
		    try: os.chroot(bad)
		    except e: continue
		    raise SystemExit(f"chroot {bad!r}")
	PY
}

@test "S-20 busybox: a static program that is all programs" {
	alpine root
	[ "$(umview --chroot root -- cat /etc/alpine-release)" = 3.19.0 ]
	[ "$(umview --chroot root -- sh -c 'ls /; readlink /proc/self/exe; cd etc; pwd; ps | grep -c busybox >/dev/null; exit 3' | tr '\n' ' ')" = 'bin etc proc /bin/busybox /etc ' ]
	umview --chroot root -- sh -c 'exit 3' || [ $? = 3 ]
	run -127 umview --chroot root -- none
	run -125 umview --chroot none -- sh
}

@test "S-20 the tree's own dynamic linker and C library are prepared as the machine's are; one that replaces them, too" {
	[ "${UMVIEW_TIER-}" != trap ] || skip "nothing is prepared in the tier trap"
	debian root
	local libc linker
	libc=$(umview --chroot root -- readlink -f /lib/x86_64-linux-gnu/libc.so.6)
	linker=$(umview --chroot root -- readlink -f /lib64/ld-linux-x86-64.so.2)
	inside --chroot root -- <<-SH
		cat /proc/self/maps >/tmp/maps
		cp -p $linker /tmp/new; mv /tmp/new $linker
		cat /proc/self/maps >/tmp/maps2
	SH
	grep -q " r-xp .* $(stat -c %i "root$libc") *$libc\$" root/tmp/maps
	grep -q " r-xp .* $(stat -c %i "root$libc") *$libc\$" root/tmp/maps2
	grep -q " r-xp .* $(stat -c %i "root$linker") *$linker\$" root/tmp/maps2
	fails grep "$W\|memfd" root/tmp/maps
	# From outside, one sees where the text comes from.
	background_view 'chroot root sleep 60 & echo $! >pid; until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done; hold; kill $!'
	grep -c ' r-xp .*memfd:umview-world' "/proc/$(cat pid)/maps" >count
	fails grep " r-xp .*$libc\$" "/proc/$(cat pid)/maps"
	release
	[ "$(cat count)" -ge 2 ]
}
