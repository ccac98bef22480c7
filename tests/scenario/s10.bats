#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# S-10: one file is replaced (VUOS basics).
load common

@test "S-10 a file over /etc/resolv.conf, or over one that is not there" {
	echo 'nameserver 80.80.80.80' >mine
	conf=/etc/resolv.conf
	[ -e $conf ] || conf=/etc/hosts
	before=$(cat $conf)
	export conf
	in_view -- <<-'SH'
		umview mount -t viewfs "$W/mine" $conf
		test "$(cat $conf)" = 'nameserver 80.80.80.80'
		test "$(stat -c %i $conf)" = "$(stat -c %i mine)"
		echo more >>$conf
		fails rm -f $conf 2>/dev/null
		umview umount $conf
		fails grep -q 80.80 $conf
	SH
	[ "$(cat mine)" = "$(printf 'nameserver 80.80.80.80\nmore')" ]
	[ "$(cat $conf)" = "$before" ]
	[ "$(umview --ro-bind mine $conf -- sh -c "cat $conf; echo x 2>/dev/null >>$conf || echo refused")" = \
		"$(printf 'nameserver 80.80.80.80\nmore\nrefused')" ]
}
