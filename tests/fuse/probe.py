# SPDX-License-Identifier: GPL-2.0-or-later
"""What a file system can do, found out by doing it.

FEATURES maps a name to two functions: the first does it in an empty directory and looks at once, the second looks after the file
system was unmounted and mounted again.  A feature is lacking where one fails, by an error or an assertion.  "NAME (lost)": it is
there, but not after a remount.
"""
import errno
import os
import stat
import time


def put(path, data=b"data"):
    with open(path, "wb") as f:
        f.write(data)


def get(path):
    with open(path, "rb") as f:
        return f.read()


def append(path, data):
    """As >> does, without asking for the size before."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def link(d):
    put(d + "/a")
    os.link(d + "/a", d + "/b")
    link_kept(d)


def link_kept(d):
    assert get(d + "/b") == b"data"


def link_count(d):
    put(d + "/a")
    os.mkdir(d + "/x")
    os.link(d + "/a", d + "/x/b")
    assert os.stat(d + "/x/b").st_nlink == 2
    link_count_kept(d)


def link_count_kept(d):
    assert os.stat(d + "/a").st_nlink == 2


def links_seen(d):
    """A change by one name is seen by the other at once: not where each name is an inode of its own with attributes that are cached."""
    put(d + "/a")
    os.link(d + "/a", d + "/b")
    for i in range(3):
        os.stat(d + "/b")
        put(d + "/a", b"x" * (100 + i))
        assert os.stat(d + "/b").st_size == 100 + i
        assert get(d + "/b") == b"x" * (100 + i)
        os.chmod(d + "/a", 0o600 + i * 0o40)
        assert stat.S_IMODE(os.stat(d + "/b").st_mode) == 0o600 + i * 0o40
        append(d + "/a", b"y")
        append(d + "/b", b"z")
        assert get(d + "/a") == b"x" * (100 + i) + b"yz"
        before = os.stat(d + "/b").st_nlink
        os.link(d + "/a", d + "/c%d" % i)
        assert before == 1 or os.stat(d + "/b").st_nlink == before + 1	# 1: not counted at all
    os.unlink(d + "/a")
    assert before == 1 or os.stat(d + "/b").st_nlink == before


def size_after_link(d):
    put(d + "/a")
    os.link(d + "/a", d + "/b")
    assert os.stat(d + "/b").st_size == os.stat(d + "/a").st_size == 4


def symlink(d):
    os.symlink("to/nowhere", d + "/s")
    symlink_kept(d)


def symlink_kept(d):
    assert os.readlink(d + "/s") == "to/nowhere"
    assert stat.S_ISLNK(os.lstat(d + "/s").st_mode)


def long_symlinks(d):
    os.symlink("long/" * 30, d + "/s")
    long_symlinks_kept(d)


def long_symlinks_kept(d):
    assert os.readlink(d + "/s") == "long/" * 30


def symlinks_out(d):
    os.symlink("/usr/share", d + "/s")
    os.symlink("../../../x", d + "/t")
    symlinks_out_kept(d)


def symlinks_out_kept(d):
    assert os.readlink(d + "/s") == "/usr/share"
    assert os.readlink(d + "/t") == "../../../x"


def fifo(d):
    os.mkfifo(d + "/p")
    fifo_kept(d)


def fifo_kept(d):
    assert stat.S_ISFIFO(os.lstat(d + "/p").st_mode)


def chmod(d):
    put(d + "/f")
    for mode in (0o640, 0o755, 0o600):
        os.chmod(d + "/f", mode)
        assert stat.S_IMODE(os.stat(d + "/f").st_mode) == mode
        append(d + "/f", b"more")
        assert stat.S_IMODE(os.stat(d + "/f").st_mode) == mode


def chmod_kept(d):
    assert stat.S_IMODE(os.stat(d + "/f").st_mode) == 0o600


def xattr(d):
    put(d + "/f")
    os.setxattr(d + "/f", "user.m0", b"value")
    xattr_kept(d)


def xattr_kept(d):
    assert os.getxattr(d + "/f", "user.m0") == b"value"
    assert "user.m0" in os.listxattr(d + "/f")


def binary_xattr(d):
    put(d + "/f")
    os.setxattr(d + "/f", "user.m0", b"a\0\xffb")
    binary_xattr_kept(d)


def binary_xattr_kept(d):
    assert os.getxattr(d + "/f", "user.m0") == b"a\0\xffb"


def remove_xattr(d):
    put(d + "/f")
    os.setxattr(d + "/f", "user.m0", b"value")
    os.removexattr(d + "/f", "user.m0")
    remove_xattr_kept(d)


def remove_xattr_kept(d):
    assert "user.m0" not in os.listxattr(d + "/f")


def read_again(d):
    """By one descriptor, asked of the program each time."""
    for name, size in (("/f", 192), ("/g", 5000)):
        put(d + name, b"x" * size)
        fd = os.open(d + name, os.O_RDONLY)
        try:
            for _ in range(3):
                assert os.pread(fd, size, 0) == b"x" * size
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def large_directory(d):
    names = {"name-%03d-%s" % (i, "x" * 40) for i in range(200)}
    for name in names:
        put(d + "/" + name)
    for name in sorted(names)[::2]:
        os.unlink(d + "/" + name)
        names.remove(name)
        assert set(os.listdir(d)) == names


def large_directory_kept(d):
    assert len(os.listdir(d)) == 100


def times(d):
    put(d + "/f")
    os.utime(d + "/f", (1000000000, 1000000002))
    times_kept(d)
    os.rename(d + "/f", d + "/g")
    assert os.stat(d + "/g").st_mtime == 1000000002
    os.rename(d + "/g", d + "/f")


def times_kept(d):
    assert os.stat(d + "/f").st_mtime == 1000000002


def unlinked(d):
    put(d + "/f")
    fd = os.open(d + "/f", os.O_RDWR)
    try:
        os.unlink(d + "/f")
        os.pwrite(fd, b"more", 4)
        assert os.pread(fd, 100, 0) == b"datamore"
        assert os.fstat(fd).st_size == 8
        os.ftruncate(fd, 2)
        assert os.fstat(fd).st_size == 2
    finally:
        os.close(fd)


def fsync_unlinked(d):
    put(d + "/f")
    fd = os.open(d + "/f", os.O_RDWR)
    try:
        os.unlink(d + "/f")
        os.fsync(fd)
        os.fdatasync(fd)
    finally:
        os.close(fd)


def open_renamed(d):
    put(d + "/f")
    fd = os.open(d + "/f", os.O_RDWR)
    try:
        os.rename(d + "/f", d + "/g")
        os.pwrite(fd, b"more", 4)
        assert os.pread(fd, 100, 0) == b"datamore"
        os.mkdir(d + "/a")
        os.rename(d + "/g", d + "/a/h")
        assert os.pread(fd, 100, 0) == b"datamore"
        os.ftruncate(fd, 5)
        assert os.fstat(fd).st_size == 5
    finally:
        os.close(fd)
    open_renamed_kept(d)


def open_renamed_kept(d):
    assert get(d + "/a/h") == b"datam"


def appended(d):
    put(d + "/f")
    append(d + "/f", b"more")
    append(d + "/f", b"x" * 9000)
    appended_kept(d)


def appended_kept(d):
    assert get(d + "/f") == b"datamore" + b"x" * 9000


def truncated(d):
    put(d + "/f", b"x" * 9000)
    os.truncate(d + "/f", 5000)
    fd = os.open(d + "/f", os.O_RDWR)
    try:
        os.ftruncate(fd, 100)
        assert os.pread(fd, 1000, 90) == b"x" * 10
        os.pwrite(fd, b"end", 100)
    finally:
        os.close(fd)
    truncated_kept(d)
    put(d + "/g", b"x" * 9000)
    os.close(os.open(d + "/g", os.O_WRONLY | os.O_TRUNC))
    assert get(d + "/g") == b""


def truncated_kept(d):
    assert get(d + "/f") == b"x" * 100 + b"end"


def written(d):
    """Into what is there already, and over its end, by descriptors that stay open."""
    put(d + "/f", b"x" * 5000)
    put(d + "/g", b"x" * 5000)
    fds = [os.open(d + name, os.O_RDWR) for name in ("/f", "/g")]
    try:
        for data, at in WRITES:
            for fd in fds:
                os.pwrite(fd, data, at)
                assert os.pread(fd, len(data), at) == data
    finally:
        for fd in fds:
            os.close(fd)
    written_kept(d)


WRITES = (b"a" * 3000, 1000), (b"b" * 4000, 4990), (b"c" * 10, 0), (b"d" * 12000, 3000), (b"e" * 9000, 15000), (b"f", 23999)


def written_kept(d):
    want = bytearray(b"x" * 5000)
    for data, at in WRITES:
        want[at:at + len(data)] = data
    assert get(d + "/f") == get(d + "/g") == want


def rename(d):
    put(d + "/f")
    os.rename(d + "/f", d + "/g")
    rename_kept(d)


def rename_kept(d):
    assert os.listdir(d) == ["g"]
    assert get(d + "/g") == b"data"


def rename_symlink(d):
    os.symlink("nowhere", d + "/s")
    os.rename(d + "/s", d + "/t")
    rename_symlink_kept(d)


def rename_symlink_kept(d):
    assert os.readlink(d + "/t") == "nowhere"


def open_replaced(d):
    put(d + "/f", b"new")
    put(d + "/g", b"old")
    fds = [os.open(d + name, os.O_RDWR) for name in ("/f", "/g")]
    try:
        os.rename(d + "/f", d + "/g")
        for fd, data in zip(fds, (b"new", b"old")):
            assert os.pread(fd, 100, 0) == data
            os.pwrite(fd, b"more", 3)
            assert os.pread(fd, 100, 0) == data + b"more"
    finally:
        for fd in fds:
            os.close(fd)
    open_replaced_kept(d)


def open_replaced_kept(d):
    assert get(d + "/g") == b"newmore"


def not_empty(d):
    os.mkdir(d + "/a")
    put(d + "/a/f")
    try:
        os.rmdir(d + "/a")
    except OSError as e:
        assert e.errno in (errno.ENOTEMPTY, errno.EEXIST)
        return
    raise AssertionError


def replace(d):
    put(d + "/f", b"new")
    put(d + "/g", b"old")
    os.rename(d + "/f", d + "/g")
    assert get(d + "/g") == b"new"
    assert os.listdir(d) == ["g"]


def replace_kept(d):
    assert get(d + "/g") == b"new"


def move(d):
    os.mkdir(d + "/a")
    put(d + "/f")
    os.rename(d + "/f", d + "/a/g")
    move_kept(d)


def move_kept(d):
    assert get(d + "/a/g") == b"data"
    assert os.listdir(d) == ["a"]


def rename_dir(d):
    os.makedirs(d + "/a/b")
    put(d + "/a/b/f")
    os.mkdir(d + "/c")
    os.rename(d + "/a", d + "/c/e")
    rename_dir_kept(d)


def rename_dir_kept(d):
    assert get(d + "/c/e/b/f") == b"data"
    assert os.listdir(d) == ["c"]


def holes(d):
    put(d + "/f")
    with open(d + "/f", "r+b") as f:
        f.seek(9000)
        f.write(b"end")
    os.truncate(d + "/f", 20000)
    holes_kept(d)


    put(d + "/g", b"x" * 9000)
    os.truncate(d + "/g", 100)
    with open(d + "/g", "r+b") as f:
        f.seek(5000)
        f.write(b"end")
    assert get(d + "/g") == b"x" * 100 + bytes(4900) + b"end"
    put(d + "/h", b"x" * 30000)
    fd = os.open(d + "/h", os.O_RDWR)
    try:
        os.ftruncate(fd, 15000)
        os.ftruncate(fd, 20000)
        os.ftruncate(fd, 15500)
        os.pwrite(fd, b"end", 25000)
    finally:
        os.close(fd)
    assert get(d + "/h") == b"x" * 15000 + bytes(10000) + b"end"


def holes_kept(d):
    assert get(d + "/f") == b"data" + bytes(8996) + b"end" + bytes(20000 - 9003)


def utf8(d):
    put(d + "/\u00fc\u4e2d")
    utf8_kept(d)


def utf8_kept(d):
    assert os.listdir(d) == ["\u00fc\u4e2d"]
    assert get(d + "/\u00fc\u4e2d") == b"data"


def nothing(_):
    pass


FEATURES = {
    "writing into files": (written, written_kept), "appending": (appended, appended_kept), "truncating": (truncated, truncated_kept),
    "link": (link, link_kept), "link count": (link_count, link_count_kept), "links seen": (links_seen, nothing),
    "size after link": (size_after_link, nothing), "symlink": (symlink, symlink_kept), "long symlinks": (long_symlinks, long_symlinks_kept),
    "symlinks that lead out": (symlinks_out, symlinks_out_kept), "fifo": (fifo, fifo_kept), "chmod": (chmod, chmod_kept),
    "xattr": (xattr, xattr_kept), "binary xattr": (binary_xattr, binary_xattr_kept), "removing attributes": (remove_xattr, remove_xattr_kept), "times": (times, times_kept),
    "reading again": (read_again, nothing), "large directories": (large_directory, large_directory_kept),
    "unlinked": (unlinked, nothing), "fsync of unlinked": (fsync_unlinked, nothing), "open renamed": (open_renamed, open_renamed_kept),
    "rename": (rename, rename_kept), "rename of symlinks": (rename_symlink, rename_symlink_kept), "replace": (replace, replace_kept), "open replaced": (open_replaced, open_replaced_kept), "move to another directory": (move, move_kept),
    "rename of directories": (rename_dir, rename_dir_kept), "holes": (holes, holes_kept), "utf8": (utf8, utf8_kept), "ENOTEMPTY": (not_empty, nothing),
}
LOST = " (lost)"
ATTRIBUTES = {"link count", "chmod", "xattr", "times"}	# which are of use even if they are lost


def probe(top, look_again, before, never):
    """What lacks, each with its reason: {name: text}.  look_again: the second half, for what `before` did not find lacking.
    never: what is not even tried, with the reason why."""
    lacking = {}
    for name, functions in FEATURES.items():
        d = os.path.join(top, name.replace(" ", "-"))
        if name in never:
            lacking[name] = never[name]
            continue
        if not look_again:
            os.makedirs(d)
        elif name in before:
            continue
        try:
            functions[look_again](d)
        except (OSError, AssertionError) as e:
            lacking[name + (LOST if look_again else "")] = os.strerror(e.errno) if isinstance(e, OSError) else "not so"
    if not look_again:
        time.sleep(0.01)
    return lacking
