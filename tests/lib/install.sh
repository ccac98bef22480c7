#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Installs packages of /repo in a tree of tools/fixtures.sh, in whichever way.
#
# usage: tests/lib/install.sh PACKAGES COMMAND...		COMMAND runs what follows it in the tree: chroot DIR, say
set -eu
packages=$1
shift
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive ${UMVIEW_TIER:+UMVIEW_TIER=$UMVIEW_TIER} "$@" \
	/bin/sh -ec "apt-get -q update && exec apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends install $packages" </dev/null
