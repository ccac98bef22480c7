# SPDX-License-Identifier: GPL-2.0-or-later
# Some fifty programs of coreutils and their neighbours, on files of our own.
umask 022
mkdir -p a/b/c; seq 1 5000 >numbers; cp numbers a/n; ln a/n a/hard; ln -s n a/soft
wc numbers a/*; sort -rn numbers | head -3; tail -2 numbers; md5sum numbers; sha256sum <numbers; cksum a/n
cp -a a copy; diff -r a copy && echo equal; ls -1 copy; readlink copy/soft; stat -c '%A %h %s %F' a/n a/soft a
mv copy moved; rm -r moved; ls
touch -d '2001-02-03 04:05:06 UTC' stamp; stat -c '%y' stamp; chmod 751 stamp; stat -c %a stamp; date -d @86400 +%F
split -l 1000 numbers part.; ls part.*; cat part.* | cmp - numbers && echo joined
dd if=/dev/zero of=zeros bs=4k count=10 2>/dev/null; od -An -tx1 -N4 zeros; truncate -s 123 zeros; stat -c %s zeros
cut -c1 numbers | sort | uniq -c; comm -12 part.aa part.ab | wc -l; join numbers part.aa | wc -l; paste -sd, part.aa | cut -c1-40
tr 0-9 a-j <numbers | tail -1; rev <part.aa | tail -1; tac part.aa | head -1; nl part.aa | tail -1; fold -w 3 <part.ab | head -2
base64 stamp; expr 6 \* 7; factor 1001; basename /x/y.z .z; dirname /x/y; realpath a/../numbers | sed 's,.*/,,'
mktemp -d tmp.XXXX >/dev/null; ls -d tmp.* | wc -l; install -m 640 numbers installed; stat -c %a installed
env -i A=1 env; nice -n 3 nice; nohup echo through nohup 2>/dev/null; timeout 0.2 sleep 5; echo $?
tee t1 t2 <part.aa >/dev/null; cmp t1 t2 && echo tee; seq 10 | shuf --random-source=numbers | sort -n | paste -sd' '
yes | head -5000 | wc -l; printf '%s %d\n' x 3; test -h a/soft && echo link; du -b numbers; df / >/dev/null && echo df
id -u >/dev/null && tty; [ -t 0 ] || echo no terminal; pwd | sed 's,.*/,,'; xargs -n 100 -P 2 true <numbers && echo xargs
ls -R a; ls nothing; cat nothing; echo $?; mkdir a; rmdir a; sum numbers; uname -s; arch; nproc >/dev/null; sync; hostname >/dev/null
grep -c 7 numbers; sed -n '10,12p' numbers; awk '{s += $1} END {print s}' numbers; gzip -kn numbers; zcat numbers.gz | cmp - numbers && echo gzip
