# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: busybox
# A static program that is many: its shell and its tools call each other.
cat >script <<'SCRIPT'
seq 500 | busybox awk '{ s += $1 } END { print s }'; busybox find /usr/include/linux -name '*.h' | busybox sort | busybox md5sum
busybox mkdir -p d/e; echo text | busybox tee d/f >/dev/null; busybox cp -a d c; busybox ls -R c; busybox tar cf t.tar d; busybox tar tf t.tar
i=0; while [ $i -lt 200 ]; do busybox true; i=$((i + 1)); done; echo $i; busybox sh -c 'exit 9'; echo $?
(busybox sleep 5 & sleep 0.3; kill $!; wait $!; echo $?) 2>/dev/null	# ash says Terminated, or not, as it likes
busybox sha1sum /etc/passwd | busybox cut -c41-; busybox vi --help 2>&1 | busybox head -1 | busybox cut -c1-7
busybox grep -c . d/f; busybox sed s/text/changed/ d/f; busybox readlink /proc/self/exe; (busybox timeout 1 busybox sleep 5; echo $?) 2>/dev/null; busybox ash -c 'echo $0 $1' x y
SCRIPT
busybox sh script
