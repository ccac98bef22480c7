# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: perl
cat >p.pl <<'PL'
use strict; use warnings; use POSIX ':sys_wait_h'; use File::Find; use IPC::Open3; use Socket; use Time::HiRes qw(ualarm usleep);
my @out = map { my $n = $_; my $p = open(my $f, '-|') // die; if (!$p) { print $n * $n; exit 0 } <$f> } 1 .. 20; print "@out\n";
my $pid = fork // die; if (!$pid) { exec 'sh', '-c', 'exit 7' } waitpid $pid, 0; print $? >> 8, "\n";
local $SIG{ALRM} = sub { our $n++ }; ualarm(2000, 2000); my $x = 0; $x += -s '/etc/passwd' ? 1 : 0 for 1 .. 20000; ualarm 0; print "$x\n";
eval { local $SIG{ALRM} = sub { die "alarm\n" }; alarm 1; sleep 5; }; print $@;
my $count = 0; find(sub { $count++ }, '/usr/share/perl'); print $count > 10 ? "found\n" : "none\n";
open my $f, '>', 'f' or die; print $f "line $_\n" for 1 .. 1000; close $f; open $f, '+<', 'f'; seek $f, 100, 0; my $l = <$f>; $l = <$f>; print $l, tell($f), "\n";
rename 'f', 'g'; print -e 'g' ? 1 : 0, -e 'f' ? 1 : 0, -s 'g', "\n"; opendir my $d, '.'; print join(' ', sort grep !/^\./, readdir $d), "\n";
socketpair my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC; syswrite $a, 'pair'; sysread $b, my $got, 10; print "$got\n";
print `echo backticks`, $? , "\n"; system 'kill -15 $$'; print $? & 127, "\n"; pipe my $r, my $w; print $w 'x' x 10; close $w; print length <$r>, "\n";
my $e = open(my $n, '<', '/none'); print $! + 0, "\n"; print "$0 $^X\n"; printf "%s\n", readlink('/proc/self/exe') =~ /perl/ ? 'perl' : 'not perl'; kill 0, $$ and print "alive\n";
PL
perl p.pl; echo $?
perl -e 'kill 9, $$'; echo $?
