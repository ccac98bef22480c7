#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The part "scenario" of tests/run.sh, as tools/check.sh calls it.
#
# usage: tests/scenario.sh [BUILD]
export BUILD="${1:-build}"
exec "$(dirname "$0")/run.sh" scenario
