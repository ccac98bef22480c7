# SPDX-License-Identifier: GPL-2.0-or-later
"""What changes nothing behind a read-only bind mount, and how it says so.

usage: readonly.py PLACE OUT: PLACE shows a tree with f, sub/g, lnk -> f, dang -> none, fifo, out -> OUT/o read-only.
Every expectation is what Linux 6.18 answers on a read-only bind mount (mount --bind; mount -o remount,bind,ro).
"""
import errno
import os
import resource
import socket
import sys

PROGRAM = os.path.abspath(sys.argv[0])
bad = 0


def says(want, what, f, *a, **k):
    global bad
    try:
        f(*a, **k)
        got = "ok"
    except OSError as e:
        got = errno.errorcode.get(e.errno, str(e.errno))
    if got != want:
        bad += 1
        print(f"{what}: {got}, not {want}")


def op(path, flags, dfd=None):
    os.close(os.open(path, flags, 0o666, dir_fd=dfd))


def by_path(base, out):
    def p(name):
        return base + name

    r, w, rw, creat, excl, trunc = os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_EXCL, os.O_TRUNC
    for want, name, flags in (
            ("EROFS", "f", w), ("EROFS", "f", rw), ("EROFS", "f", trunc), ("ok", "f", r), ("ok", "f", creat),
            ("EROFS", "n", creat), ("EEXIST", "f", creat | excl | w), ("EROFS", "n", creat | excl | w),
            ("ENOENT", "nodir/n", creat | w), ("ENOENT", "n", w), ("EISDIR", "sub", w), ("EISDIR", "sub", creat),
            ("EROFS", "sub", os.O_TMPFILE | rw), ("EINVAL", "f", creat | os.O_DIRECTORY), ("EINVAL", "n", creat | os.O_DIRECTORY),
            ("EROFS", "lnk", w), ("EROFS", "dang", creat | w),
            ("ELOOP", "lnk", w | os.O_NOFOLLOW), ("ok", "fifo", rw | os.O_NONBLOCK), ("ok", "f", os.O_PATH)):
        says(want, f"open {name} {flags:o}", op, p(name), flags)
    for want, f, name in (
            ("EROFS", os.mkdir, "n"), ("EEXIST", os.mkdir, "sub"), ("ENOENT", os.mkdir, "nodir/x"),
            ("EEXIST", os.mkdir, "dang"), ("EEXIST", os.mkdir, "lnk/"), ("EEXIST", os.mkdir, "sub/."),
            ("EROFS", os.rmdir, "sub"), ("EROFS", os.rmdir, "n"), ("EINVAL", os.rmdir, "sub/."),
            ("EROFS", os.unlink, "f"), ("EROFS", os.unlink, "n"), ("EROFS", os.unlink, "lnk"),
            ("EROFS", os.unlink, "sub"), ("EROFS", os.mkfifo, "n"), ("EEXIST", os.mkfifo, "f"),
            ("EROFS", os.utime, "f"), ("ENOENT", os.utime, "n"), ("ok", os.stat, "f"), ("ok", os.listdir, "sub")):
        says(want, f"{f.__name__} {name}", f, p(name))
    for want, f, *a in (
            ("EROFS", os.symlink, "x", p("n")), ("EEXIST", os.symlink, "x", p("f")),
            ("EROFS", os.link, p("f"), p("n")), ("EEXIST", os.link, p("f"), p("sub")),
            ("EXDEV", os.link, p("f"), out + "/l"), ("EROFS", os.link, out + "/o", p("n")),
            ("EEXIST", os.link, out + "/o", p("f")), ("EROFS", os.rename, p("f"), p("n")),
            ("EXDEV", os.rename, p("f"), out + "/l"), ("EXDEV", os.rename, out + "/o", p("n")),
            ("EROFS", os.rename, p("n"), p("m")), ("EROFS", os.chmod, p("f"), 0o600),
            ("ENOENT", os.chmod, p("n"), 0o600), ("EROFS", os.chmod, p("lnk"), 0o600),
            ("EROFS", os.chown, p("f"), -1, -1), ("EROFS", os.lchown, p("lnk"), os.getuid(), -1),
            ("EROFS", os.truncate, p("f"), 1), ("EISDIR", os.truncate, p("sub"), 1),
            ("ENOENT", os.truncate, p("n"), 1), ("EROFS", os.setxattr, p("f"), "user.x", b"1"),
            ("EROFS", os.removexattr, p("f"), "user.x"), ("ENODATA", os.getxattr, p("f"), "user.y")):
        says(want, f"{f.__name__} {a}", f, *a)
    access = [os.access(p("f"), os.R_OK), os.access(p("f"), os.W_OK), os.access(p("sub"), os.W_OK),
              os.access(p("fifo"), os.W_OK)]
    flags = [os.statvfs(p(n)).f_flag & os.ST_RDONLY for n in ("f", "sub")]
    says("ok", "access, statvfs", check, access == [True, False, False, True] and flags == [1, 1])
    if len(p("sock")) < 100:
        says("EROFS", "bind", socket.socket(socket.AF_UNIX).bind, p("sock"))
        says("EADDRINUSE", "bind", socket.socket(socket.AF_UNIX).bind, p("f"))


def check(yes):
    if not yes:
        raise OSError(errno.EINVAL, "wrong")


def by_descriptor():
    fd, d = os.open("f", os.O_RDONLY), os.open("sub", os.O_RDONLY)
    for x in fd, d, os.dup(fd):
        for f, *a in ((os.fchmod, 0o644), (os.fchown, -1, -1), (os.utime,), (os.setxattr, "user.x", b"1"),
                      (os.removexattr, "user.x")):
            says("EROFS", f"{f.__name__} of {x}", f, x, *a)
        says("EROFS", "chmod by /proc", os.chmod, f"/proc/self/fd/{x}", 0o644)
        says("ok", "fstatvfs", check, os.fstatvfs(x).f_flag & os.ST_RDONLY)
    says("EINVAL", "ftruncate", os.ftruncate, fd, 1)
    says("EROFS", "opened anew", op, f"/proc/self/fd/{fd}", os.O_RDWR)
    says("ok", "opened anew to read", op, f"/proc/self/fd/{fd}", os.O_RDONLY)
    for want, name, flags in (("EROFS", "g", os.O_WRONLY), ("EROFS", "n", os.O_WRONLY | os.O_CREAT),
                              ("EROFS", "../f", os.O_WRONLY), ("ok", "g", os.O_RDONLY)):
        says(want, f"openat {name}", op, name, flags, d)
    says("EROFS", "mkdirat", os.mkdir, "n", dir_fd=d)
    says("EROFS", "unlinkat", os.unlink, "g", dir_fd=d)
    says("EROFS", "by the cwd in /proc", op, "/proc/self/cwd/f", os.O_WRONLY)
    says("EROFS", "by a descriptor in /proc", op, f"/proc/self/fd/{d}/g", os.O_WRONLY)
    inherited(fd, d)


def inherited(fd, d):
    """By a child, and after exec."""
    says("ok", "an ordinary descriptor", check, os.fstat(fd).st_nlink)
    for x in fd, d:
        os.set_inheritable(x, True)
    pid = os.fork()
    if not pid:
        says("EROFS", "fchmod in a child", os.fchmod, fd, 0o644)
        says("EROFS", "openat in a child", op, "g", os.O_WRONLY, d)
        if bad:
            sys.stdout.flush()
            os._exit(1)
        os.execv(sys.executable, [sys.executable, PROGRAM, "--after-exec", str(fd), str(d)])
    says("ok", "a child's", check, os.waitpid(pid, 0)[1] == 0)


def after_exec(fd, d):
    says("EROFS", "fchmod after exec", os.fchmod, fd, 0o644)
    says("EROFS", "openat after exec", op, "g", os.O_WRONLY, d)
    says("EROFS", "the cwd after exec", op, "f", os.O_WRONLY)


def without_room():
    """No number is left for a descriptor: that comes before what the path's walk says."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    w, creat = os.O_WRONLY, os.O_CREAT
    for want, name, flags in (
            ("EMFILE", "f", w), ("EMFILE", "f", os.O_RDONLY), ("EMFILE", "n", w), ("EMFILE", "n", creat | w),
            ("EMFILE", "sub", w), ("EMFILE", "sub", os.O_TMPFILE | w), ("EINVAL", "n", creat | os.O_DIRECTORY)):
        says(want, f"open {name} {flags:o} without a number", op, name, flags)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main():
    if sys.argv[1] == "--after-exec":
        after_exec(int(sys.argv[2]), int(sys.argv[3]))
        return
    out = os.path.abspath(sys.argv[2])
    os.chdir(sys.argv[1])
    by_path("", out)
    by_path(os.getcwd() + "/", out)
    by_descriptor()
    without_room()
    os.chdir("sub")
    for want, f, *a in (("EROFS", op, "g", os.O_WRONLY), ("EROFS", op, "../f", os.O_WRONLY), ("EROFS", os.mkdir, "x")):
        says(want, f"{f.__name__} {a} from sub", f, *a)


main()
sys.exit(bad != 0)
