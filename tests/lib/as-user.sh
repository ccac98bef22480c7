#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs a command as an ordinary user: nobody's ids, no groups, no capabilities, a new home that is removed
# afterwards.  Needs no named account.  Somebody who is an ordinary user already just runs the command, with
# the new home.
#
# usage: tests/lib/as-user.sh COMMAND [ARG...]
set -eu

home=$(mktemp -d "${TMPDIR:-/tmp}/umview-user.XXXXXX")
trap 'chmod -R u+rwX "$home" 2>/dev/null; rm -rf "$home"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 700 "$home"

drop=
if [ "$(id -u)" = 0 ]; then
	chown 65534:65534 "$home"
	drop='setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all'
fi
mkdir_tmp='umask 022; mkdir "$HOME/tmp" && export TMPDIR="$HOME/tmp" && exec "$@"'

status=0
# shellcheck disable=SC2086 # a list of words
env -u XDG_RUNTIME_DIR -u XDG_STATE_HOME -u XDG_CONFIG_HOME -u XDG_CACHE_HOME -u XDG_DATA_HOME \
	HOME="$home" USER=nobody LOGNAME=nobody \
	$drop sh -c "$mkdir_tmp" sh "$@" || status=$?
exit "$status"
