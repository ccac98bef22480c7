# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: perl
# Perl: processes, pipes, signals, sockets, System V IPC, locks, DBM files, -X, in-place editing, taint.
cat >p.pl <<'PL'
use strict; use warnings; use POSIX ':sys_wait_h'; use Fcntl ':flock'; use IPC::Open3; use IO::Socket; use Socket;
use File::Temp 'tempdir'; use File::Find; use Time::HiRes qw(sleep alarm time); use IO::Select; use Cwd; use File::Copy;
$| = 1;
sub say_ { print "$_[0]: $_[1]\n" }
my @kids = map { my $n = $_; my $p = fork; exit $n unless $p; $p } 1 .. 9;
say_('children', join ',', map { waitpid $_, 0; $? >> 8 } @kids);
my ($in, $out); my $pid = open3($in, $out, undef, 'sh', '-c', 'cat; echo err >&2; exit 3'); print $in "text\n"; close $in;
my @lines = sort <$out>; chomp @lines; waitpid $pid, 0; say_('open3', "@lines " . ($? >> 8));
my $alarms = 0; { local $SIG{ALRM} = sub { $alarms++ }; alarm 0.01, 0.01; my $e = time + 0.3; while (time < $e) { -e '/' } alarm 0 }
say_('alarms', $alarms > 5 ? 'many' : $alarms);
eval { local $SIG{ALRM} = sub { die "late\n" }; alarm 0.05; my $x = <STDIN> if 0; select undef, undef, undef, 5; };
say_('die in handler', $@ =~ s/\n//r);
open my $f, '+>', 'lock' or die; say_('flock', flock($f, LOCK_EX | LOCK_NB) ? 'held' : "$!");
if (!(my $k = fork)) { open my $g, '<', 'lock'; exit(flock($g, LOCK_EX | LOCK_NB) ? 1 : 2) } else { waitpid $k, 0; say_('flock other', $? >> 8) }
socketpair my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC; syswrite $a, 'abc'; sysread $b, my $buf, 10; say_('socketpair', $buf);
my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1'); if (!(my $k = fork)) { my $c = $s->accept; print $c "hello\n"; exit }
my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->sockport); say_('inet', <$c> =~ s/\n//r); wait;
my $u = IO::Socket::UNIX->new(Listen => 1, Local => 'sock'); say_('unix', $u ? (-S 'sock' ? 'socket' : 'no') : "$!");
my $q = msgget(0, 0600 | 01000); msgsnd $q, pack('l! a*', 1, 'mail'), 0; msgrcv $q, my $m, 100, 0, 0; say_('msg', (unpack 'l! a*', $m)[1]); msgctl $q, 0, 0;
my $id = shmget(0, 4096, 0600 | 01000); shmwrite $id, 'shared', 0, 6; shmread $id, my $v, 0, 6; say_('shm', $v); shmctl $id, 0, 0;
POSIX::mkfifo('fifo', 0600); if (!(my $k = fork)) { open my $w, '>', 'fifo' or exit 1; print $w "fifo\n"; exit } else { open my $r, '<', 'fifo'; say_('fifo', <$r> =~ s/\n//r); waitpid $k, 0 }
my $n = 0; find(sub { $n++ }, '/usr/share/perl'); say_('find', $n > 10);
mkdir 'dir'; chdir 'dir'; say_('cwd', getcwd =~ s,.*/,,r); chdir '..';
say_('glob', join ',', sort { $a cmp $b } glob '*');
say_('backticks', `sh -c 'kill -9 \$\$'; echo x` =~ s/\n//r); system 'kill -9 $$'; say_('killed', $? & 127);
my $old = umask 027; open my $h, '>', 'mode'; say_('umask', sprintf '%o', (stat 'mode')[2] & 0777); umask $old;
copy('p.pl', 'copy'); say_('copy', -s 'copy' == -s 'p.pl'); unlink 'copy'; say_('times', (utime 1000, 2000, 'mode') . ' ' . (stat 'mode')[9]);
say_('exec fails', (exec { '/no/such' } 'x') ? 1 : $!{ENOENT} ? 'ENOENT' : "$!") if 1; no warnings;
say_('syscall', syscall(39) == $$); say_('procfs', readlink('/proc/self/exe') eq '/usr/bin/perl' || readlink '/proc/self/exe');
exec 'sh', '-c', 'echo "exec: $0 $1"', 'zero', 'one';
PL
perl -w p.pl 2>err
echo "main status: $?"
echo "errors: $(grep -v 'not reached\|exec.* failed' err | head -c 200 | tr '\n' ' ')"
printf 'one\ntwo\n' >edit; perl -pi.bak -e 's/o/0/g' edit
echo "in place: $(tr '\n' ' ' <edit) $(tr '\n' ' ' <edit.bak)"
echo "taint: $(perl -T -e 'system("echo x")' 2>&1 | head -c 40)"
perl -e '$0 = "renamed"; print "name: ", `ps -o comm= -p $$`'
perl -MIO::Pty -e 1 2>/dev/null; echo "script: $(script -qec 'tty >/dev/null && echo a terminal' /dev/null </dev/null | tr -d '\r')"
