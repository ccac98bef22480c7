#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Copy-on-write when many work on the same names at once (cowstorm.c): what they see could be so natively, too, and what is left is
# one tree for everybody.
BATS_TEST_TIMEOUT=120
load common

setup_file() {
	gcc -O2 -o "$BATS_FILE_TMPDIR/cowstorm" "$BATS_TEST_DIRNAME/cowstorm.c"
}

STATE='find . -printf "%P %y %m %U %G %n %s %T@ %i %l\n" | sort; find . -type f -exec cksum {} + | sort'
SEEN='find . -type d -printf "%P %y %m\n" -o -printf "%P %y %m %n %s %l\n" | sort; find . -type f -exec cksum {} + | sort'

in_low() {	# in_low SCRIPT
	(cd low && eval "$1")
}

storm() {	# storm SECONDS PROCESSES SEED [WHAT]: `seen` is what the storm's own view shows at the end, `calls` how many there were
	mkdir low
	"$BATS_FILE_TMPDIR/cowstorm" make low ${4-}
	in_low "$STATE" >before
	umview --cow low --upper upper -- sh -ec "$BATS_FILE_TMPDIR/cowstorm run low $* >calls; cd low; { $SEEN; } >../seen" 2>&1
	cat calls
	in_low "$STATE" >after
	diff before after
	umview --cow low --upper upper -- sh -ec "cd low; $SEEN" >next
	diff seen next
}

@test "CX-01 natively the same storm sees nothing that could not be" {
	mkdir low
	"$BATS_FILE_TMPDIR/cowstorm" make low
	"$BATS_FILE_TMPDIR/cowstorm" run low 2 8 "$RANDOM"
}

@test "CX-02 a storm of names, links, directories that are moved and removed: below nothing changes, the next view sees the same" {
	storm 6 6 "$RANDOM"
}

@test "CX-03 the same without links and moved directories, then committed: below is what was seen" {
	storm 4 6 "$RANDOM" files
	umview commit --upper upper
	in_low "$SEEN" >committed
	diff seen committed
}
