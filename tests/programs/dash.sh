# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: dash
# Another shell: loops of small programs, pipelines, signals.
cat >script <<'SCRIPT'
i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i + 1)); done; echo $i
seq 1000 | while read n; do [ $((n % 250)) = 0 ] && echo $n; done
(trap 'echo term; exit 4' TERM; kill -TERM $(exec sh -c 'echo $PPID'); sleep 1); echo $?
echo a b c | { read x y z; echo $z $y $x; }
sh -c 'kill -9 $$'; echo $?
f() { return 7; }; f; echo $?
echo text >f; while read l; do echo $l; done <f; cat <f >g; cmp f g && echo same
mkfifo p; echo through >p & cat p; wait
command -v true; umask; ls -l f | cut -c1-10
set -- *; echo $#
SCRIPT
dash script
