# SPDX-License-Identifier: GPL-2.0-or-later
# TAP of several programs, one behind the other, as that of one: numbered, with one plan at the end.  Status 1: something is not ok.
/^1\.\./ { next }
/^not ok/ { bad = 1 }
/^(not )?ok/ { n++; sub(/ok [0-9]* ?-/, "ok " n " -") }
{ print }
END { print "1.." n; exit bad }
