# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: /usr/sbin/sshd ssh ssh-keygen
# The server's child that talks with the unknown client runs under a seccomp filter, in a process of its own.  One
# connection over a pipe; the account may have no shell, that is the same on both sides.
umask 077
ssh-keygen -q -t ed25519 -N '' -f host
ssh-keygen -q -t ed25519 -N '' -f user
cp user.pub authorized
cat >conf <<CONF
HostKey $PWD/host
AuthorizedKeysFile $PWD/authorized
UsePAM no
StrictModes no
PermitRootLogin yes
LogLevel QUIET
CONF
ssh -F none -i user -l "$(id -un)" -o BatchMode=yes -o UserKnownHostsFile="$PWD/known" -o StrictHostKeyChecking=no \
	-o LogLevel=ERROR -o ProxyCommand="/usr/sbin/sshd -i -f $PWD/conf" host 'echo in; id -u' </dev/null
echo status $?
