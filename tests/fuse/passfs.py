#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A small FUSE program on python3-fuse (libfuse 2, high level): a directory, shown at another place.

usage: passfs.py SOURCE MOUNTPOINT [FUSE-OPTION...]
"""
import errno
import os
import sys

import fuse

fuse.fuse_python_api = (0, 2)


class Opened:
    """What open returns must not be a number: that would be an error."""

    def __init__(self, fd):
        self.fd = fd


class Passfs(fuse.Fuse):
    root = None

    def at(self, path):
        return self.root + path

    def getattr(self, path):
        return os.lstat(self.at(path))

    def readlink(self, path):
        return os.readlink(self.at(path))

    def readdir(self, path, _):
        for name in [".", ".."] + os.listdir(self.at(path)):
            yield fuse.Direntry(name)

    def unlink(self, path):
        os.unlink(self.at(path))

    def rmdir(self, path):
        os.rmdir(self.at(path))

    def symlink(self, target, path):
        os.symlink(target, self.at(path))

    def rename(self, old, new):
        os.rename(self.at(old), self.at(new))

    def link(self, old, new):
        os.link(self.at(old), self.at(new))

    def chmod(self, path, mode):
        os.chmod(self.at(path), mode)

    def chown(self, path, user, group):
        os.lchown(self.at(path), user, group)

    def truncate(self, path, size):
        os.truncate(self.at(path), size)

    def mknod(self, path, mode, dev):
        os.mknod(self.at(path), mode, dev)

    def mkdir(self, path, mode):
        os.mkdir(self.at(path), mode)

    def utimens(self, path, atime, mtime):
        ns = [int(t.tv_sec) * 1000000000 + int(t.tv_nsec) for t in (atime, mtime)]
        os.utime(self.at(path), ns=tuple(ns), follow_symlinks=False)

    def access(self, path, mode):
        if not os.access(self.at(path), mode):
            return -errno.EACCES
        return 0

    def statfs(self):
        return os.statvfs(self.root)

    def setxattr(self, path, name, value, flags):
        os.setxattr(self.at(path), name, value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape"), flags)

    def getxattr(self, path, name, size):
        value = os.getxattr(self.at(path), name)
        return value.decode("utf-8", "surrogateescape") if size else len(value)

    def listxattr(self, path, size):
        names = os.listxattr(self.at(path))
        return names if size else len("".join(names)) + len(names)

    def removexattr(self, path, name):
        os.removexattr(self.at(path), name)

    def open(self, path, flags):
        return Opened(os.open(self.at(path), flags & ~os.O_APPEND))

    def create(self, path, flags, mode):
        return Opened(os.open(self.at(path), flags & ~os.O_APPEND | os.O_CREAT, mode))

    def read(self, path, size, offset, f):
        return os.pread(f.fd, size, offset)

    def write(self, path, data, offset, f):
        return os.pwrite(f.fd, data, offset)

    def ftruncate(self, path, size, f):
        os.ftruncate(f.fd, size)

    def fgetattr(self, path, f=None):
        return os.fstat(f.fd) if f else self.getattr(path)

    def fsync(self, path, only_data, f):
        (os.fdatasync if only_data else os.fsync)(f.fd)

    def release(self, path, flags, f):
        os.close(f.fd)


def main():
    Passfs.root = os.path.realpath(sys.argv.pop(1))
    server = Passfs(version="%prog", usage=__doc__)
    server.parse(errex=1)
    server.main()


if __name__ == "__main__":
    main()
