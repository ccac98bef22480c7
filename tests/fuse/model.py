# SPDX-License-Identifier: GPL-2.0-or-later
"""A tree of files in memory, the same tree in a mounted file system, and random steps that compare the two.

Tree is the model and makes each change in both: in itself, and below `top` if there is one.  What a step sees must be what the
model says, else it raises Wrong.  The file system's own limits are words in `lacks` (probe.py): what is in it is not done, or not
compared.  Everything follows from one seed, so a tree that is prepared in an image can be had again without the files.
"""
import errno
import hashlib
import mmap
import os
import random
import stat

MODES = 0o644, 0o600, 0o755, 0o700, 0o640
LONGEST = 96 << 10	# no file grows beyond
EVEN = 1000000000	# a time that every file system can keep: even seconds


class Wrong(Exception):
    pass


def differ(got, want):
    """Where two strings of bytes differ, in words."""
    if len(got) != len(want):
        return "%d bytes, not %d" % (len(got), len(want))
    at = next(i for i in range(len(got)) if got[i] != want[i])
    return "byte %d is %#x, not %#x" % (at, got[at], want[at])


class File:
    def __init__(self, data, mode):
        self.data, self.mode = bytearray(data), mode
        self.names, self.mtime, self.xattrs = 1, None, {}


class Symlink:
    def __init__(self, target):
        self.target = target


class Fifo:
    pass


class Dir:
    def __init__(self, parent, name):
        self.parent, self.name, self.entries = parent, name, {}

    def path(self, name=None):
        words = [] if name is None else [name]
        while self.parent:
            words.append(self.name)
            self = self.parent
        return "/".join(reversed(words))

    def within(self, other):
        while self and self is not other:
            self = self.parent
        return self is other


class Tree:
    def __init__(self, seed, lacks, top=None, keep=False):
        self.random, self.lacks, self.top = random.Random(seed), lacks, top
        self.root, self.dirs = Dir(None, None), []
        self.dirs.append(self.root)
        self.held = []		# (file, descriptor): open while other steps are made
        self.kept = [] if keep else None	# descriptors of files that have been removed
        self.number = 0
        self.now = EVEN

    def has(self, feature):
        return feature not in self.lacks

    def real(self, d, name=None):
        path = d.path(name)
        return os.path.join(self.top, path) if path else self.top

    def new_name(self):
        self.number += 1
        r = self.random.random()
        if r < 0.04 and self.has("utf8"):
            return "n%05d-\u00fc\u4e2d" % self.number
        return "n%05d%s" % (self.number, "-long" * 9 if r > 0.97 else "")

    def some_data(self, longest):
        n = int(longest * self.random.random() ** 2)
        return self.random.randbytes(n)

    # ---- choices ---------------------------------------------------------------------------------------------------

    def some_dir(self):
        return self.random.choice(self.dirs)

    def some(self, kind):
        """(directory, name) of something of this kind, or None."""
        for _ in range(12):
            d = self.some_dir()
            if d.entries:
                name = self.random.choice(list(d.entries))
                if isinstance(d.entries[name], kind):
                    return d, name
        return None

    def some_file(self):
        """(directory, name, file) of which the contents may be changed."""
        for _ in range(6):
            found = self.some(File)
            if found:
                f = found[0].entries[found[1]]
                if f.names == 1 or self.has("links seen"):
                    return found + (f,)
        return None

    # ---- the first tree --------------------------------------------------------------------------------------------

    def populate(self, files):
        """The same calls in the same order with and without files."""
        if self.top:
            os.makedirs(self.top, exist_ok=True)
        for i in range(files):
            if i % 25 == 0:
                d = self.some_dir()
                while len(d.path().split("/")) > 4:
                    d = d.parent
                self.make_dir(d)
            self.make_file(self.some_dir(), self.some_data(16 << 10))
        for i in range(files // 20):
            self.step_symlink()
            self.step_link()
            if i % 8 == 0:
                self.step_fifo()

    def give_times(self):
        """In the end, since whatever is made in a directory comes before it: files only."""
        for d in self.dirs:
            for name, f in d.entries.items():
                if isinstance(f, File):
                    self.now += 2
                    f.mtime = self.now
                    if self.top:
                        os.utime(self.real(d, name), (f.mtime, f.mtime))

    def make_dir(self, d):
        name = self.new_name()
        if self.top:
            os.mkdir(self.real(d, name), 0o755)
        new = d.entries[name] = Dir(d, name)
        self.dirs.append(new)

    def make_file(self, d, data):
        name = self.new_name()
        mode = self.random.choice(MODES) if self.has("chmod") else 0o644
        if self.top:
            fd = os.open(self.real(d, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                self.write_all(fd, data)
                if mode != 0o644:
                    os.fchmod(fd, mode)
            finally:
                os.close(fd)
        d.entries[name] = File(data, mode)

    @staticmethod
    def write_all(fd, data):
        done = os.write(fd, data) if data else 0
        if done != len(data):
            raise Wrong("write wrote %d of %d bytes" % (done, len(data)))

    # ---- comparing -------------------------------------------------------------------------------------------------

    def check_stat(self, st, node, what):
        want = {File: stat.S_IFREG, Dir: stat.S_IFDIR, Symlink: stat.S_IFLNK, Fifo: stat.S_IFIFO}[type(node)]
        if stat.S_IFMT(st.st_mode) != want:
            raise Wrong("%s: is of type %#o, not %#o" % (what, stat.S_IFMT(st.st_mode), want))
        if not isinstance(node, File):
            return
        if st.st_size != len(node.data):
            raise Wrong("%s: has %d bytes, not %d" % (what, st.st_size, len(node.data)))
        if self.has("chmod") and stat.S_IMODE(st.st_mode) != node.mode:
            raise Wrong("%s: has mode %#o, not %#o" % (what, stat.S_IMODE(st.st_mode), node.mode))
        if self.has("link count") and self.has("links seen") and st.st_nlink != node.names:
            raise Wrong("%s: has %d names, not %d" % (what, st.st_nlink, node.names))
        if node.mtime and self.has("times") and st.st_mtime != node.mtime:
            raise Wrong("%s: was changed at %s, not %d" % (what, st.st_mtime, node.mtime))

    def check_bytes(self, got, want, what):
        if got != want:
            raise Wrong("%s: %s" % (what, differ(got, want)))

    def check_names(self, d):
        got = sorted(n for n in os.listdir(self.real(d)) if not n.startswith(".fuse_hidden"))
        if got != sorted(d.entries):
            raise Wrong("readdir /%s: has %s, lacks %s" % (d.path(), sorted(set(got) - set(d.entries))[:5],
                                                         sorted(set(d.entries) - set(got))[:5]))

    def check_all(self):
        """The whole tree: names, attributes, and all contents by their hash."""
        for d in self.dirs:
            self.check_names(d)
            for name, node in d.entries.items():
                path, what = self.real(d, name), "in the end /" + d.path(name)
                self.check_stat(os.lstat(path), node, what)
                if isinstance(node, Symlink) and os.readlink(path) != node.target:
                    raise Wrong("%s: points to %r, not %r" % (what, os.readlink(path), node.target))
                if isinstance(node, File):
                    with open(path, "rb") as f:
                        got = f.read()
                    if hashlib.sha256(got).digest() != hashlib.sha256(node.data).digest():
                        raise Wrong("%s: %s" % (what, differ(got, node.data)))
                    self.check_xattrs(path, node, what)

    @staticmethod
    def list_xattrs(path):
        try:
            return os.listxattr(path)
        except OSError as e:
            if e.errno == errno.ENOTSUP:
                return []
            raise

    def check_xattrs(self, path, f, what):
        if not self.has("xattr") or not (f.names == 1 or self.has("links seen")):
            return
        names = {n for n in self.list_xattrs(path) if n.startswith("user.m")}
        if names != set(f.xattrs):
            raise Wrong("%s: has attributes %s, not %s" % (what, sorted(names), sorted(f.xattrs)))
        for n, value in f.xattrs.items():
            self.check_bytes(os.getxattr(path, n), value, "%s: %s" % (what, n))

    # ---- steps: contents -------------------------------------------------------------------------------------------

    def opened(self, flags):
        """(file, descriptor, close it?, what) of some file: one that is open already, or a new descriptor."""
        r = self.random.random()
        if self.held and r < 0.25:
            f, fd = self.random.choice(self.held)
            if f.names <= 1 or self.has("links seen"):
                return f, fd, False, "an open file"
        found = self.some_file()
        if not found:
            return None
        d, name, f = found
        fd = os.open(self.real(d, name), flags)
        if flags & os.O_ACCMODE == os.O_RDWR and r > 0.9 and self.has("reading again"):
            self.held.append((f, fd))
            while len(self.held) > 6:
                os.close(self.held.pop(0)[1])
            return f, fd, False, "/" + d.path(name)
        return f, fd, True, "/" + d.path(name)

    def with_file(self, flags, action):
        found = self.opened(flags)
        if not found:
            return
        f, fd, close, what = found
        try:
            action(f, fd, what)
        finally:
            if close:
                os.close(fd)

    def step_read(self, flags=os.O_RDONLY):
        def action(f, fd, what):
            at = self.random.randrange(len(f.data) + 200)
            n = self.random.choice((1, 100, 4096, 20000, 200000))
            self.check_bytes(os.pread(fd, n, at), f.data[at:at + n], "read of %s at %d" % (what, at))
        self.with_file(flags, action)

    def step_write(self):
        if not self.has("writing into files"):
            return

        def action(f, fd, what):
            data = self.some_data(12 << 10)
            at = self.random.randrange(len(f.data) + (9000 if self.has("holes") and self.random.random() < 0.2 else 1))
            if at + len(data) > LONGEST or not data:
                return
            done = os.pwrite(fd, data, at)
            if done != len(data):
                raise Wrong("write to %s wrote %d of %d bytes" % (what, done, len(data)))
            if at > len(f.data):
                f.data.extend(bytes(at - len(f.data)))
            f.data[at:at + len(data)] = data
            f.mtime = None
            if self.random.random() < 0.5:
                self.check_bytes(os.pread(fd, len(data) + 10, at), f.data[at:at + len(data) + 10], "read after write of " + what)
        self.with_file(os.O_RDWR, action)

    def step_append(self):
        found = self.has("appending") and self.some_file()
        if not found or len(found[2].data) > LONGEST - 4096:
            return
        d, name, f = found
        data = self.some_data(4096)
        fd = os.open(self.real(d, name), os.O_WRONLY | os.O_APPEND)
        try:
            self.write_all(fd, data)
        finally:
            os.close(fd)
        f.data.extend(data)
        if data:
            f.mtime = None
        self.check_stat(os.stat(self.real(d, name)), f, "after append /" + d.path(name))

    def step_truncate(self):
        if not self.has("truncating"):
            return
        r = self.random.random()
        if r < 0.15:
            found = self.some_file()
            if found:
                os.close(os.open(self.real(*found[:2]), os.O_WRONLY | os.O_TRUNC))
                del found[2].data[:]
                found[2].mtime = None
            return

        def new_size(f):
            n = int(len(f.data) * self.random.random())
            return n + 5000 if self.has("holes") and self.random.random() < 0.3 and len(f.data) < LONGEST - 5000 else n

        def change(f, n):
            if n > len(f.data):
                f.data.extend(bytes(n - len(f.data)))
            del f.data[n:]
            f.mtime = None

        if r < 0.5:
            found = self.some_file()
            if found:
                d, name, f = found
                n = new_size(f)
                os.truncate(self.real(d, name), n)
                change(f, n)
                self.check_stat(os.stat(self.real(d, name)), f, "after truncate /" + d.path(name))
            return

        def action(f, fd, what):
            n = new_size(f)
            os.ftruncate(fd, n)
            change(f, n)
            self.check_stat(os.fstat(fd), f, "after ftruncate " + what)
        self.with_file(os.O_RDWR, action)

    def step_mmap(self, flags=os.O_RDONLY):
        def action(f, fd, what):
            if not f.data:
                return
            private = self.random.random() < 0.7
            prot = mmap.PROT_READ | (mmap.PROT_WRITE if private else 0)
            with mmap.mmap(fd, len(f.data), mmap.MAP_PRIVATE if private else mmap.MAP_SHARED, prot) as m:
                self.check_bytes(m[:], bytes(f.data), "mmap of " + what)
                if private and self.has("reading again"):
                    at = self.random.randrange(len(f.data))
                    m[at] ^= 0xff
                    self.check_bytes(os.pread(fd, 1, at), f.data[at:at + 1], "read behind a private mapping of " + what)
        self.with_file(flags, action)

    def step_fsync(self):
        def action(f, fd, what):
            if f.names or self.has("fsync of unlinked"):
                (os.fsync if self.random.random() < 0.5 else os.fdatasync)(fd)
        self.with_file(os.O_RDWR, action)

    # ---- steps: attributes -----------------------------------------------------------------------------------------

    def step_stat(self):
        found = self.some((File, Dir, Symlink, Fifo))
        if found:
            d, name = found
            self.check_stat(os.lstat(self.real(d, name)), d.entries[name], "stat of /" + d.path(name))
        if self.held and self.random.random() < 0.3:
            f, fd = self.random.choice(self.held)
            if f.names == 1 or f.names and self.has("links seen"):
                self.check_stat(os.fstat(fd), f, "fstat of an open file")

    def step_missing(self):
        d = self.some_dir()
        try:
            os.lstat(self.real(d, "missing-%d" % self.random.randrange(100)))
        except FileNotFoundError:
            return
        raise Wrong("/%s has a name that nobody made" % d.path())

    def step_chmod(self):
        found = self.has("chmod") and self.some_file()
        if found:
            d, name, f = found
            f.mode = self.random.choice(MODES)
            os.chmod(self.real(d, name), f.mode)
            self.check_stat(os.stat(self.real(d, name)), f, "after chmod /" + d.path(name))

    def step_utime(self):
        found = self.has("times") and self.some_file()
        if found:
            d, name, f = found
            if any(f is g for g, _ in self.held):	# what was written may come later
                return
            self.now += 2
            f.mtime = self.now
            os.utime(self.real(d, name), (f.mtime, f.mtime))
            self.check_stat(os.stat(self.real(d, name)), f, "after utimens /" + d.path(name))

    def step_xattr(self):
        found = self.has("xattr") and self.some_file()
        if not found:
            return
        d, name, f = found
        path, key = self.real(d, name), "user.m%d" % self.random.randrange(3)
        if key in f.xattrs and self.random.random() < 0.3 and self.has("removing attributes"):
            os.removexattr(path, key)
            del f.xattrs[key]
        else:
            value = self.random.randbytes(self.random.randrange(1, 60))
            f.xattrs[key] = value if self.has("binary xattr") else value.hex().encode()
            os.setxattr(path, key, f.xattrs[key])
        self.check_xattrs(path, f, "/" + d.path(name))

    # ---- steps: names ----------------------------------------------------------------------------------------------

    def step_readdir(self):
        self.check_names(self.some_dir())

    def step_readlink(self):
        found = self.some(Symlink)
        if found:
            d, name = found
            got = os.readlink(self.real(d, name))
            if got != d.entries[name].target:
                raise Wrong("readlink /%s: %r, not %r" % (d.path(name), got, d.entries[name].target))

    def step_create(self):
        self.make_file(self.some_dir(), self.some_data(8 << 10))

    def step_mkdir(self):
        d = self.some_dir()
        if len(d.path().split("/")) < 6:
            self.make_dir(d)

    def step_exists(self):
        found = self.some((File, Dir, Symlink))
        if found:
            try:
                os.mkdir(self.real(*found))
            except FileExistsError:
                return
            raise Wrong("mkdir made /%s again" % found[0].path(found[1]))

    def step_symlink(self):
        if not self.has("symlink"):
            return
        d, name = self.some_dir(), self.new_name()
        targets = ["n00001", "x/y", "long/" * 30 if self.has("long symlinks") else "short"]
        target = self.random.choice(targets + ["../x/y", "/usr/share"] if self.has("symlinks that lead out") else targets)
        if self.top:
            os.symlink(target, self.real(d, name))
        d.entries[name] = Symlink(target)

    def step_fifo(self):
        if not self.has("fifo"):
            return
        d, name = self.some_dir(), self.new_name()
        if self.top:
            os.mkfifo(self.real(d, name))
        d.entries[name] = Fifo()

    def step_link(self):
        found = self.has("link") and self.some(File)
        if not found:
            return
        d, name = found
        other, new = self.some_dir(), self.new_name()
        f = d.entries[name]
        if not self.has("links seen") and (f.names > 1 or any(f is g for g, _ in self.held)):
            return
        if f.data and not self.has("size after link"):
            return
        if self.top:
            os.link(self.real(d, name), self.real(other, new))
        other.entries[new] = f
        f.names += 1
        if self.top:
            self.check_stat(os.stat(self.real(other, new)), f, "after link /" + other.path(new))

    def forget(self, f):
        """One name less of what was there."""
        if isinstance(f, File):
            f.names -= 1
            self.close_held(lambda g: g is f and not (self.has("unlinked") and self.has("links seen")))

    def close_held(self, which):
        for pair in [p for p in self.held if which(p[0])]:
            self.held.remove(pair)
            os.close(pair[1])

    def before_loss(self, d, name):
        """Before a name goes: where a file that is open does not survive that, it is closed."""
        f = d.entries[name]
        if not self.has("unlinked"):
            self.close_held(lambda g: g is f)
        if self.kept is not None and isinstance(f, File) and f.names == 1:
            self.kept.append(os.open(self.real(d, name), os.O_RDONLY))

    def step_unlink(self):
        found = self.has("large directories") and self.some((File, Symlink, Fifo))
        if found:
            d, name = found
            f = d.entries[name]
            if isinstance(f, File) and f.names > 1 and not self.has("links seen"):
                return
            self.before_loss(d, name)
            os.unlink(self.real(d, name))
            self.forget(d.entries.pop(name))

    def step_rmdir(self):
        d = self.some_dir()
        if d is self.root or not self.has("large directories"):
            return
        if not d.entries:
            self.close_held(lambda f: not f.names)	# libfuse 2 keeps it as .fuse_hidden
        try:
            os.rmdir(self.real(d))
        except OSError as e:
            if e.errno not in (errno.ENOTEMPTY, errno.EEXIST) and self.has("ENOTEMPTY") or not d.entries:
                raise
            return
        if d.entries:
            raise Wrong("rmdir removed /%s with %d names in it" % (d.path(), len(d.entries)))
        del d.parent.entries[d.name]
        self.dirs.remove(d)

    def step_rename(self):
        found = self.has("rename") and self.has("large directories") and self.some((File, Symlink, Fifo) if self.has("rename of symlinks") else (File, Fifo))
        if not found:
            return
        d, name = found
        other, new = self.some_dir() if self.has("move to another directory") else d, None
        node = d.entries[name]
        if self.random.random() < 0.3 and self.has("replace") and self.has("move to another directory"):
            second = self.some(File)
            if second and isinstance(node, File):
                other, new = second
                old = other.entries[new]
                if old is node or not self.has("links seen") and max(old.names, node.names) > 1:
                    return
                if not self.has("open replaced"):
                    self.close_held(lambda f: f is old or f is node)
                self.before_loss(other, new)
        if not new:
            new = self.new_name()
        if not self.has("open renamed"):
            self.close_held(lambda g: g is node)
        os.rename(self.real(d, name), self.real(other, new))
        if new in other.entries:
            self.forget(other.entries[new])
        del d.entries[name]
        other.entries[new] = node
        self.check_stat(os.lstat(self.real(other, new)), node, "after rename /" + other.path(new))

    def step_rename_dir(self):
        d, other = self.some_dir(), self.some_dir()
        if d is self.root or not self.has("rename of directories") or not self.has("large directories") or other.within(d) or len(other.path().split("/")) > 4:
            return
        if not self.has("open renamed"):
            self.close_held(lambda g: True)
        name = self.new_name()
        os.rename(self.real(d), self.real(other, name))
        del d.parent.entries[d.name]
        d.parent, d.name = other, name
        other.entries[name] = d
        self.check_names(d)

    def step_refused(self):
        """Read-only: a file is not opened for writing, or not written to (fuseiso); a name is not made."""
        found = self.some(File)

        def write():
            fd = os.open(self.real(*found), os.O_WRONLY)
            try:
                os.pwrite(fd, b"x", 0)
            finally:
                os.close(fd)

        for call in write, lambda: os.mkdir(self.real(self.some_dir(), "made")):
            try:
                call()
            except OSError as e:
                if e.errno not in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSYS, errno.EBADF):
                    raise
                continue
            raise Wrong("what is read-only was changed")

    # ---- the sequence ----------------------------------------------------------------------------------------------

    WRITABLE = ((step_read, 20), (step_write, 20), (step_truncate, 8), (step_append, 8), (step_mmap, 10), (step_stat, 12),
                (step_readdir, 6), (step_missing, 3), (step_readlink, 2), (step_create, 5), (step_unlink, 5), (step_rename, 5),
                (step_rename_dir, 1), (step_mkdir, 1), (step_rmdir, 1), (step_exists, 1), (step_symlink, 1), (step_link, 2),
                (step_fifo, 1), (step_chmod, 2), (step_utime, 2), (step_xattr, 2), (step_fsync, 1))
    READ_ONLY = ((step_read, 40), (step_mmap, 15), (step_stat, 20), (step_readdir, 10), (step_missing, 5), (step_readlink, 5),
                 (step_refused, 1))

    def run(self, steps, writable, plant=None):
        table = self.WRITABLE if writable else self.READ_ONLY
        chosen = self.random.choices([s for s, _ in table], [w for _, w in table], k=steps)
        for i, step in enumerate(chosen):
            if plant and i == steps // 2:
                self.plant(plant)
            try:
                step(self)
            except (Wrong, OSError) as e:
                raise Wrong("step %d (%s): %s" % (i, step.__name__[5:], e)) from e

    def close(self):
        self.close_held(lambda f: True)
        for fd in self.kept or ():
            os.close(fd)

    def plant(self, kind):
        """Makes the model wrong, to see that this is noticed: a byte, a name, or a size."""
        files = [(d, n) for d in self.dirs for n, f in d.entries.items() if isinstance(f, File) and len(f.data) > 1 and f.names == 1]
        for d, name in self.random.sample(files, min(5, len(files))):
            f = d.entries[name]
            if kind == "byte":
                f.data[len(f.data) // 2] ^= 1
            elif kind == "size":
                f.data.append(0)
            else:
                d.entries["planted"] = File(b"", 0o644)
