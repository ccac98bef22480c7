# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: bash
# The shell's own machinery: pipelines, traps, jobs, here documents, process substitution, arrays.
cat >script <<'SCRIPT'
set -u
echo one two three | tr ' ' '\n' | sort -r | paste -sd+
x=$(echo $(echo $(echo deep)))
echo "$x"
cat <<HERE
here $x $((6 * 7))
HERE
diff <(seq 5) <(seq 2 6)
echo "status $?"
trap 'echo trapped USR1' USR1
kill -USR1 $$
trap 'echo leaving' EXIT
(for i in 1 2 3; do (sleep 0.0$i; echo "job $i") & done; wait) | sort
sleep 20 & pid=$!
until [ "$(cat /proc/$pid/comm)" = sleep ]; do :; done
kill $pid; wait $pid; echo "killed: $?"
declare -A map=([a]=1 [b]=2)
echo "${map[a]}${map[b]}"
mapfile -t lines < <(printf '%s\n' x y z)
echo "${#lines[@]} ${lines[2]}"
set -o pipefail
false | true; echo "pipefail $?"
( exit 3 ); echo "sub $?"
exec 5>file; echo to five >&5; exec 5>&-; cat file
exec {fd}<file; read -r line <&$fd; echo "$line"; exec {fd}<&-
coproc cat; echo through >&"${COPROC[1]}"; read -r back <&"${COPROC[0]}"; echo "$back"; exec {COPROC[1]}>&-; wait
printf '%s\n' *; cd /usr/bin && pwd && cd - >/dev/null
type -t cd ls bash
for i in {1..200}; do /bin/true || echo bad; done
for i in {1..200}; do y=$(echo $i); done; echo $y
ulimit -n 64; for i in {1..50}; do cat file; done | wc -l
no-such-command; echo "status $?"
/etc/passwd; echo "status $?"
timeout 0.1 sleep 5; echo "timeout $?"
time -p true 2>/dev/null
wait; echo $(( $(ls /proc/self/fd | wc -l) < 10 ))
exit 0
SCRIPT
bash script
