# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes by descriptors and by what /proc leads to, in the directory that is the argument; each result is a line, the same wherever the
directory is.  cowover.bats runs it in a plain directory and over what must stay as it is."""
import ctypes
import errno
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
top = os.path.abspath(sys.argv[1])
os.chdir(top)


def said(name, work, *args):
    try:
        r = work(*args)
    except OSError as e:
        r = errno.errorcode[e.errno]
    print(name, "->", r, flush=True)


def of(fd):
    return "/proc/self/fd/%d" % fd


def text(path):
    with open(path) as f:
        return f.read()


def append(path, data, flags=os.O_WRONLY | os.O_APPEND):
    fd = os.open(path, flags)
    os.write(fd, data)
    os.close(fd)
    return "ok"


def mode(path):
    return oct(os.stat(path).st_mode)


def make(name, **where):
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644, **where))
    return sorted(os.listdir("docs"))


def link(fd, name):
    """os.link() does not follow."""
    if libc.linkat(-100, of(fd).encode(), -100, name.encode(), 0x400):
        raise OSError(ctypes.get_errno(), name)


def nameless(directory):
    fd = os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(fd, b"nameless")
    link(fd, "docs/named")
    os.close(fd)
    return text("docs/named")


def linked(fd, name):
    link(fd, name)
    return os.stat(name).st_nlink, text(name)


hello, numbers = os.open("hello", os.O_RDONLY), os.open("docs/numbers", os.O_PATH)
docs, docs_path = os.open("docs", os.O_RDONLY), os.open("docs", os.O_PATH)
said("fchmod", os.fchmod, hello, 0o640)
said("its mode", mode, "hello")
said("chmod of what /proc leads to", os.chmod, of(numbers), 0o604)
said("its mode", mode, "docs/numbers")
said("futimens", os.utime, hello, (5, 5))
said("fsetxattr", os.setxattr, hello, "user.a", b"b")
said("setxattr by /proc", os.setxattr, of(numbers), "user.a", b"b")
said("its value", os.getxattr, "docs/numbers", "user.a")
said("truncate by /proc", os.truncate, of(numbers), 4)
said("what is left", text, "docs/numbers")
said("opened again", append, of(os.open("docs/deep/er/file", os.O_RDONLY)), b"again\n")
said("by /dev/fd", append, "/dev/fd/%d" % os.open("docs/deep/er/file", os.O_PATH), b"and again\n")
said("what is there", text, "docs/deep/er/file")
said("made by a directory", lambda: make("one", dir_fd=docs))
said("by one opened with O_PATH", lambda: make("two", dir_fd=docs_path))
said("by /proc", make, of(docs) + "/three")
said("by the cwd of /proc", make, "/proc/self/cwd/docs/four")
said("without a name", nameless, "docs")
os.unlink("docs/named")
said("by /proc", nameless, of(docs))
said("a name by /proc", linked, os.open("hello", os.O_RDONLY), "docs/linked")
said("the other name", append, "twin", b"by its twin\n")
said("what both are", lambda: (text("hello"), os.stat("hello").st_nlink, os.path.samefile("hello", "twin")))
said("a dangling link", lambda: append("dangling", b"via", os.O_WRONLY | os.O_CREAT))
said("what it leads to", text, "docs/new")
said("by a link to a directory", lambda: append("to/five", b"5", os.O_WRONLY | os.O_CREAT))
said("fchmod of a directory", os.fchmod, docs, 0o711)
os.chdir("docs")
said("chmod of the cwd", os.chmod, ".", 0o751)
said("by /proc", os.chmod, "/proc/self/cwd", 0o755)
said("its mode", mode, top + "/docs")
said("its names", lambda: sorted(os.listdir(docs)))
kept = os.open("numbers", os.O_RDONLY)
os.unlink("numbers")
append("numbers", b"new", os.O_WRONLY | os.O_CREAT)
os.chmod("numbers", 0o600)
try:
    os.fchmod(kept, 0o444)          # what is removed stays below as it is: docs/limits.md
except OSError as e:
    assert e.errno == errno.EROFS, e
said("what has its name now", mode, "numbers")
os.chdir("deep/er")
os.unlink("file")
os.rmdir("../er")
said("made in what has gone", lambda: append("gone", b"", os.O_WRONLY | os.O_CREAT))
os.mkdir("../er")
os.chdir(top)
said("one device with its root", lambda: os.stat(".").st_dev == os.stat("hello").st_dev == os.stat("bin/script").st_dev)
