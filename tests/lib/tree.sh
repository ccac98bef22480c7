#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Prints what is in a tree that packages are installed in: names, types, modes, owners, sizes, sums, links; without what no
# two installations have in common.  Run it in the view whose owners and modes are meant.
#
# usage: tests/lib/tree.sh TREE
set -eu
export LC_ALL=C
cd "${1:?}"

# Times, caches, logs, and what is not of the tree.
without='( -path ./proc -o -path ./sys -o -path ./dev -o -path ./run -o -path ./tmp -o -path ./repo -o -path ./var/log
	-o -path ./var/cache -o -path ./var/lib/apt -o -path ./etc/shadow -o -path ./etc/shadow- -o -path ./etc/resolv.conf
	-o -path ./etc/hostname -o -name *-old -o -path ./var/lib/dpkg/lock* -o -path ./var/lib/dpkg/triggers/Lock ) -prune'

# The size of a directory is the file system's business.
# shellcheck disable=SC2086 # a list of words
set -f
find . $without -o -type d -printf '%P\t%y\t%m\t%U:%G\n' -o -printf '%P\t%y\t%m\t%U:%G\t%s\t%l\n' | sort
find . $without -o -type f -exec cksum {} + | sort -k 3
