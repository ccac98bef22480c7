#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A small FUSE program on python3-pyfuse3 (libfuse 3, low level): a tree in memory, kept in a file while it is not mounted.

usage: treefs.py [--asyncio] FILE MOUNTPOINT		by trio, or by asyncio
"""
import asyncio
import errno
import os
import pickle
import stat
import sys
import time

import pyfuse3
import pyfuse3_asyncio
import trio


class Node:
    def __init__(self, mode, uid, gid):
        self.mode, self.uid, self.gid, self.nlink = mode, uid, gid, 1
        self.atime = self.mtime = self.ctime = time.time_ns()
        self.data, self.entries, self.target, self.xattrs, self.rdev, self.parent = bytearray(), {}, b"", {}, 0, None


class Treefs(pyfuse3.Operations):
    enable_writeback_cache = False

    def __init__(self, file):
        super().__init__()
        self.file, self.looked, self.opened = file, {}, {}
        if os.path.exists(file):
            with open(file, "rb") as f:
                self.nodes, self.last = pickle.load(f)
            return
        root = Node(stat.S_IFDIR | 0o755, os.getuid(), os.getgid())
        root.parent = pyfuse3.ROOT_INODE
        self.nodes, self.last = {pyfuse3.ROOT_INODE: root}, pyfuse3.ROOT_INODE

    def save(self):
        with open(self.file + ".new", "wb") as f:
            pickle.dump(({i: n for i, n in self.nodes.items() if n.nlink}, self.last), f)
        os.rename(self.file + ".new", self.file)

    def attributes(self, inode):
        n, a = self.nodes[inode], pyfuse3.EntryAttributes()
        a.st_ino, a.st_mode, a.st_uid, a.st_gid, a.st_rdev, a.st_nlink = inode, n.mode, n.uid, n.gid, n.rdev, n.nlink
        a.st_size = len(n.target) if stat.S_ISLNK(n.mode) else len(n.data)
        a.st_blocks, a.st_blksize = (a.st_size + 511) // 512, 4096
        a.st_atime_ns, a.st_mtime_ns, a.st_ctime_ns = n.atime, n.mtime, n.ctime
        a.entry_timeout = a.attr_timeout = 10
        return a

    def directory(self, inode):
        n = self.nodes[inode]
        if not stat.S_ISDIR(n.mode):
            raise pyfuse3.FUSEError(errno.ENOTDIR)
        return n

    def entry(self, parent, name):
        n = self.directory(parent)
        if name == b".":
            return parent
        if name == b"..":
            return n.parent
        if name not in n.entries:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return n.entries[name]

    def give(self, inode):
        self.looked[inode] = self.looked.get(inode, 0) + 1
        return self.attributes(inode)

    def drop(self, inode):
        if not self.nodes[inode].nlink and not self.looked.get(inode) and not self.opened.get(inode):
            del self.nodes[inode]

    def touch(self, *inodes):
        for i in inodes:
            self.nodes[i].mtime = self.nodes[i].ctime = time.time_ns()

    def add(self, parent, name, inode):
        d = self.directory(parent)
        if name in d.entries:
            raise pyfuse3.FUSEError(errno.EEXIST)
        d.entries[name] = inode
        self.touch(parent)

    def make(self, parent, name, mode, ctx):
        node = Node(mode, ctx.uid, ctx.gid)
        if stat.S_ISDIR(mode):
            node.parent = parent
        self.last += 1
        self.nodes[self.last] = node
        try:
            self.add(parent, name, self.last)
        except pyfuse3.FUSEError:
            del self.nodes[self.last]
            raise
        return self.last

    def remove(self, parent, name):
        inode = self.directory(parent).entries.pop(name)
        self.nodes[inode].nlink -= 1
        self.nodes[inode].ctime = time.time_ns()
        self.touch(parent)
        self.drop(inode)

    async def lookup(self, parent, name, ctx=None):
        return self.give(self.entry(parent, name))

    async def forget(self, inodes):
        for inode, count in inodes:
            self.looked[inode] -= count
            if not self.looked[inode]:
                del self.looked[inode]
                self.drop(inode)

    async def getattr(self, inode, ctx=None):
        return self.attributes(inode)

    async def setattr(self, inode, attr, fields, fh, ctx):
        n = self.nodes[inode]
        if fields.update_size:
            del n.data[attr.st_size:]
            n.data.extend(bytes(attr.st_size - len(n.data)))
            self.touch(inode)
        if fields.update_mode:
            n.mode = stat.S_IFMT(n.mode) | stat.S_IMODE(attr.st_mode)
        if fields.update_uid:
            n.uid = attr.st_uid
        if fields.update_gid:
            n.gid = attr.st_gid
        if fields.update_atime:
            n.atime = attr.st_atime_ns
        if fields.update_mtime:
            n.mtime = attr.st_mtime_ns
        n.ctime = time.time_ns()
        return self.attributes(inode)

    async def readlink(self, inode, ctx):
        return self.nodes[inode].target

    async def mknod(self, parent, name, mode, rdev, ctx):
        inode = self.make(parent, name, mode & ~ctx.umask, ctx)
        self.nodes[inode].rdev = rdev
        return self.give(inode)

    async def mkdir(self, parent, name, mode, ctx):
        return self.give(self.make(parent, name, stat.S_IFDIR | mode & ~ctx.umask, ctx))

    async def symlink(self, parent, name, target, ctx):
        inode = self.make(parent, name, stat.S_IFLNK | 0o777, ctx)
        self.nodes[inode].target = target
        return self.give(inode)

    async def link(self, inode, parent, name, ctx):
        self.add(parent, name, inode)
        self.nodes[inode].nlink += 1
        return self.give(inode)

    async def unlink(self, parent, name, ctx):
        self.entry(parent, name)
        self.remove(parent, name)

    async def rmdir(self, parent, name, ctx):
        if self.directory(self.entry(parent, name)).entries:
            raise pyfuse3.FUSEError(errno.ENOTEMPTY)
        self.remove(parent, name)

    async def rename(self, old_parent, old, new_parent, new, flags, ctx):
        if flags:
            raise pyfuse3.FUSEError(errno.EINVAL)
        inode = self.entry(old_parent, old)
        there = self.directory(new_parent).entries.get(new)
        if there == inode:
            return
        if there is not None:
            if self.nodes[there].entries:
                raise pyfuse3.FUSEError(errno.ENOTEMPTY)
            self.remove(new_parent, new)
        del self.nodes[old_parent].entries[old]
        self.nodes[new_parent].entries[new] = inode
        if stat.S_ISDIR(self.nodes[inode].mode):
            self.nodes[inode].parent = new_parent
        self.touch(old_parent, new_parent)

    async def opendir(self, inode, ctx):
        return inode

    async def readdir(self, inode, start, token):
        for place, (name, child) in enumerate(list(self.directory(inode).entries.items())):
            if place >= start:
                if not pyfuse3.readdir_reply(token, name, self.attributes(child), place + 1):
                    return
                self.give(child)

    async def open(self, inode, flags, ctx):
        self.opened[inode] = self.opened.get(inode, 0) + 1
        if flags & os.O_TRUNC:
            del self.nodes[inode].data[:]
        return pyfuse3.FileInfo(fh=inode)

    async def create(self, parent, name, mode, flags, ctx):
        inode = self.make(parent, name, stat.S_IFREG | mode & ~ctx.umask, ctx)
        return await self.open(inode, flags, ctx), self.give(inode)

    async def read(self, inode, offset, length):
        return bytes(self.nodes[inode].data[offset:offset + length])

    async def write(self, inode, offset, data):
        content = self.nodes[inode].data
        content.extend(bytes(max(0, offset - len(content))))
        content[offset:offset + len(data)] = data
        self.touch(inode)
        return len(data)

    async def fsync(self, inode, only_data):
        pass

    async def flush(self, inode):
        pass

    async def release(self, inode):
        self.opened[inode] -= 1
        self.drop(inode)

    async def setxattr(self, inode, name, value, ctx):
        self.nodes[inode].xattrs[name] = value

    async def getxattr(self, inode, name, ctx):
        if name not in self.nodes[inode].xattrs:
            raise pyfuse3.FUSEError(pyfuse3.ENOATTR)
        return self.nodes[inode].xattrs[name]

    async def listxattr(self, inode, ctx):
        return list(self.nodes[inode].xattrs)

    async def removexattr(self, inode, name, ctx):
        if self.nodes[inode].xattrs.pop(name, None) is None:
            raise pyfuse3.FUSEError(pyfuse3.ENOATTR)


def main():
    by_asyncio = sys.argv[1] == "--asyncio"
    if by_asyncio:
        pyfuse3_asyncio.enable()
    tree = Treefs(os.path.abspath(sys.argv[-2]))
    pyfuse3.init(tree, sys.argv[-1], set(pyfuse3.default_options) | {"fsname=treefs"})
    try:
        if by_asyncio:
            asyncio.run(pyfuse3.main())
        else:
            trio.run(pyfuse3.main)
    finally:
        pyfuse3.close()
        tree.save()


if __name__ == "__main__":
    main()
