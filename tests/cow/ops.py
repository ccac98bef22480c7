# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes of a directory tree as single system calls, what there is to see of the tree, and states to start from.

What copy-on-write shows has one right model: a full private copy of the tree below.  So the same changes are made in a plain
copy and where they are copied on write (in a view, or in the kernel's overlayfs), and what each call said and what
can be seen afterwards is compared, line by line.  table.py, random_ops.py and killed.py use this.
"""
import ctypes
import errno
import os
import stat

NOREPLACE, EXCHANGE = 1, 2
libc = ctypes.CDLL(None, use_errno=True)


OVER = os.environ.get("COW_OVER")       # no directory is moved: run.py


def is_directory(path):
    return os.path.isdir(path) and not os.path.islink(path)


def rename(a, b, flags=0):
    if OVER and (is_directory(a) or (flags & EXCHANGE and is_directory(b))):
        raise OSError(errno.EXDEV, "a directory")
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), flags):
        raise OSError(ctypes.get_errno(), "renameat2")


def opened(path, flags, data=b"", mode=0o644):
    fd = os.open(path, flags, mode)
    try:
        if data:
            os.write(fd, data)
        elif flags & os.O_ACCMODE == os.O_RDONLY and not flags & os.O_DIRECTORY:
            return os.read(fd, 200)
    finally:
        os.close(fd)
    return None


def tmpfile(path):
    """A file without a name in the directory, which gets one."""
    fd = os.open(path, os.O_TMPFILE | os.O_RDWR, 0o600)
    try:
        os.write(fd, b"nameless")
        if libc.linkat(-100, b"/proc/self/fd/%d" % fd, -100, os.fsencode(path + "/named"), 0x400):
            raise OSError(ctypes.get_errno(), "linkat")
    finally:
        os.close(fd)


def change_xattr(path):
    os.setxattr(path, "user.seen", b"yes", follow_symlinks=False)
    return os.getxattr(path, "user.seen", follow_symlinks=False)


def from_within(path):
    """Changes by relative names in the directory as cwd, and by a descriptor of it."""
    was = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path)
        opened("within", os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, b"w")
        os.mkdir("dir")
        rename("within", "dir/moved")
        return sorted(os.listdir("."))
    finally:
        os.fchdir(was)
        os.close(was)


def by_descriptor(path):
    """What is open for reading is changed by its descriptor."""
    if OVER == "image" and stat.S_ISFIFO(os.stat(path).st_mode):
        raise OSError(errno.ENXIO, "what is open there is another one: docs/limits.md")
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.fchmod(fd, 0o700)
        os.utime(fd, (1000, 2000))
        return oct(os.stat(path).st_mode)
    finally:
        os.close(fd)


def access(path):
    """May a FIFO be executed?  fuse2fs says yes, to the kernel as to us."""
    how = [os.R_OK, os.W_OK] if OVER == "image" and stat.S_ISFIFO(os.stat(path).st_mode) else [os.R_OK, os.W_OK, os.X_OK]
    return [os.access(path, h) for h in how]


def told(st):
    return stat.S_IFMT(st.st_mode), oct(st.st_mode), 0 if stat.S_ISDIR(st.st_mode) else st.st_nlink


ONE = {
    "stat": lambda t: told(os.stat(t)),
    "lstat": lambda t: told(os.lstat(t)),
    "readdir": lambda t: sorted(os.listdir(t)),
    "read": lambda t: opened(t, os.O_RDONLY | os.O_NONBLOCK),
    "readlink": os.readlink,
    "access": access,
    "create": lambda t: opened(t, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, b"created"),
    "create-only": lambda t: opened(t, os.O_WRONLY | os.O_CREAT | os.O_EXCL, b"exclusive"),
    "truncate-open": lambda t: opened(t, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK, b"short"),
    "create-truncate": lambda t: opened(t, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK, b"cut"),
    "append": lambda t: opened(t, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK, b"appended"),
    "write": lambda t: opened(t, os.O_RDWR | os.O_NONBLOCK, b"written"),
    "open-directory": lambda t: opened(t, os.O_RDONLY | os.O_DIRECTORY),
    "tmpfile": tmpfile,
    "truncate": lambda t: os.truncate(t, 3),
    "unlink": os.unlink,
    "rmdir": os.rmdir,
    "mkdir": lambda t: os.mkdir(t, 0o755),
    "mkfifo": lambda t: os.mkfifo(t, 0o644),
    "symlink": lambda t: os.symlink("to/nowhere", t),
    "chmod": lambda t: os.chmod(t, 0o751),
    "chown": lambda t: os.chown(t, os.getuid(), os.getgid(), follow_symlinks=False),
    "utimens": lambda t: os.utime(t, (1000, 2000), follow_symlinks=False),
    "xattr": change_xattr,
    "within": from_within,
    "descriptor": by_descriptor,
    "make-in": lambda t: opened(t + "/f", os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, b"in"),
    "remove-in": lambda t: os.unlink(t + "/one"),
    "link-away": lambda t: os.link(t, "away", follow_symlinks=False),
    "rename-away": lambda t: rename(t, "away"),
    "rename-here": lambda t: rename(t, t),
    "rename-into-itself": lambda t: rename(t, t + "/deeper"),
}

TWO = {
    "link": lambda a, b: os.link(a, b, follow_symlinks=False),
    "rename": rename,
    "rename-noreplace": lambda a, b: rename(a, b, NOREPLACE),
    "rename-exchange": lambda a, b: rename(a, b, EXCHANGE),
}


def said(call, *args):
    """What a call returned, as one word or a few."""
    try:
        r = call(*args)
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e.errno))
    return "ok" if r is None else "ok %s" % (r,)


# ---- what there is to see --------------------------------------------------------------------------------------


class Seen:
    """Dumps of a tree; inodes are numbered as they are met, so that one that stays keeps its number.  hold: and nothing new gets
    that of one that has gone, since all are held open."""

    def __init__(self, hold=False):
        self.numbers = {}
        self.hold = hold

    def number(self, path, st):
        key = st.st_dev, st.st_ino
        if self.hold and key not in self.numbers:
            os.open(path, os.O_PATH | os.O_NOFOLLOW)
        return self.numbers.setdefault(key, len(self.numbers))

    def line(self, path, name, inodes):
        st = os.lstat(path)
        kind = stat.S_IFMT(st.st_mode)
        words = [name, oct(st.st_mode), "%d:%d" % (st.st_uid, st.st_gid)]
        if inodes:
            words.append("#%d" % self.number(path, st))
        if kind == stat.S_IFDIR:
            return words
        words += ["x%d" % st.st_nlink, str(st.st_size)]
        if kind == stat.S_IFLNK:
            words.append(os.readlink(path))
        elif kind == stat.S_IFREG:
            with open(path, "rb") as f:
                words.append(repr(f.read(100)))
            words += sorted(a for a in os.listxattr(path) if a.startswith("user."))
        return words

    def dump(self, top, name="", inodes=True):
        lines = []
        try:
            for n in sorted(os.listdir(top)):
                path = top + "/" + n
                words = self.line(path, name + n, inodes)
                lines.append(" ".join(words))
                if words[1].startswith("0o4"):
                    lines += self.dump(path, name + n + "/", inodes)
        except OSError as e:
            lines.append("%s: %s" % (name, errno.errorcode[e.errno]))
        return lines


# ---- states: what is below, and what has been done to it in the session ---------------------------------------------


def file(path, text="below"):
    with open(path, "w") as f:
        f.write(text)


def directory(path, full=True):
    os.mkdir(path)
    if full:
        file(path + "/one")
        file(path + "/two")
        os.mkdir(path + "/sub")
        file(path + "/sub/three")


def twins(path):
    file(path, "several names")
    os.link(path, path + ".twin")


def nothing(path):
    pass


def sequence(*calls):
    def made(path):
        for c in calls:
            c(path)
    return made


def remove(path):
    if stat.S_ISDIR(os.lstat(path).st_mode):
        for n in os.listdir(path):
            remove(path + "/" + n)
        os.rmdir(path)
    else:
        os.unlink(path)


def new_file(path):
    opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, b"new")


def touch_in(path):
    opened(path + "/new", os.O_WRONLY | os.O_CREAT, b"new")


def empty(path):
    for n in os.listdir(path):
        remove(path + "/" + n)


def move_here(path):
    rename(path + ".from", path)


def into_new(path):
    """The directory lies, redirected, in one that is new; and that is what path is."""
    os.mkdir(path)
    rename(path + ".from", path + "/inner")


def source(path):
    directory(path + ".from")


STATES = {
    "absent": (nothing, nothing),
    "file": (file, nothing),
    "file changed": (file, lambda p: opened(p, os.O_WRONLY, b"CH")),
    "file new": (nothing, new_file),
    "file removed": (file, os.unlink),
    "file instead of a file": (file, sequence(os.unlink, new_file)),
    "file instead of a directory": (directory, sequence(remove, new_file)),
    "twin": (twins, nothing),
    "twin changed": (twins, lambda p: opened(p, os.O_WRONLY, b"CH")),
    "twin changed elsewhere": (twins, lambda p: opened(p + ".twin", os.O_WRONLY, b"CH")),
    "twin alone": (twins, lambda p: os.unlink(p + ".twin")),
    "twin removed": (twins, os.unlink),
    "twin new": (file, lambda p: os.link(p, p + ".twin")),
    "link": (lambda p: os.symlink("other", p), nothing),
    "link nowhere": (lambda p: os.symlink("nothing/there", p), nothing),
    "link removed": (lambda p: os.symlink("other", p), os.unlink),
    "fifo": (os.mkfifo, nothing),
    "fifo new": (file, sequence(os.unlink, os.mkfifo)),
    "empty directory": (lambda p: directory(p, False), nothing),
    "directory": (directory, nothing),
    "directory merged": (directory, touch_in),
    "directory emptied": (directory, empty),
    "directory new": (nothing, lambda p: directory(p)),
    "directory removed": (directory, remove),
    "directory opaque": (directory, sequence(remove, os.mkdir)),
    "directory instead of a file": (file, sequence(os.unlink, directory)),
    "directory moved": (source, move_here),
    "directory moved and emptied": (source, sequence(move_here, empty)),
    "directory moved over": (lambda p: (file(p), source(p)), sequence(os.unlink, move_here)),
    "directory moved in": (source, into_new),
    "directory moved away": (directory, lambda p: rename(p, p + ".gone")),
}
