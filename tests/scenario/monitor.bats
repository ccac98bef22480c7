#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The monitor takes part in no ordinary call: it does not even wake up while guests work.
load common

# The parent of COMMAND is the monitor; its threads' context switches, all together.
SWITCHES='switches() { cat /proc/$PPID/task/*/status | awk "/ctxt_switches/ { n += \$2 } END { print n }"; }
	# the same, when it has done what it had to do at the start
	settled() { until n=$(switches) && sleep 0.3 && [ "$(switches)" = "$n" ]; do :; done; echo "$n"; }'

quiet() {	# quiet OPTIONS... -- PATH: a find over PATH, with contents, wakes the monitor not once
	printf '%s\n' "$SWITCHES" >switches.sh
	cat >quiet.sh <<-'SH'
		. ./switches.sh
		look() { find "$1" -xdev -printf '%p %s %m\n' | wc -l; find "$1" -xdev -type f | head -300 | xargs cat | md5sum; ls -lR "$1" | wc -l; }
		look "$1" >warm
		before=$(settled)
		look "$1" >again
		after=$(switches)
		cmp warm again
		test "$(cat /proc/$PPID/comm)" = umview
		echo "$((after - before)) switches of the monitor, $(head -1 warm) names"
		test $((after - before)) -le 2
	SH
	local path=${*: -1}
	umview "${@:1:$#-1}" sh -e quiet.sh "$path"
}

@test "MON-01 a find over real files does not wake the monitor" {
	quiet -- /usr/share/doc
	quiet -- /usr/include
}

@test "MON-02 real files while something is mounted elsewhere" {
	need fuse2fs
	ext4 img
	quiet --mount img mnt -- /usr/include
}

@test "MON-03 a find over a warm mount does not wake the monitor" {
	need fuse2fs
	cp -r /usr/include/linux t
	ext4 img 64M t
	quiet --mount img mnt -- "$W/mnt"
}

@test "MON-04 forks and execs do not wake the monitor" {
	printf '%s\n' "$SWITCHES" >switches.sh
	umview -- sh -ec '. ./switches.sh; for i in $(seq 20); do /bin/true; done
		before=$(settled); for i in $(seq 300); do /bin/true; done; after=$(switches)
		echo "$((after - before)) switches"; test $((after - before)) -le 2'
}

@test "MON-05 a guest has at most 256 KiB of private memory more than natively" {
	private() { awk '/^Private_Dirty/ { n += $2 } END { print n }' /proc/self/smaps_rollup; }
	native=$(sh -c "$(declare -f private | tail -n +1); private")
	inside=$(umview -- sh -c "$(declare -f private | tail -n +1); private")
	echo "native $native KiB, in a view $inside KiB"
	[ $((inside - native)) -le 256 ]
}
