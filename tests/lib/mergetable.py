#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule of merge mounts as a table: what a name is in A, what it is at B, and every operation.

usage: mergetable.py UMVIEW DIRECTORY            prints one line for each operation; status 1 if one differs
       mergetable.py --inside OPERATION          (in the view)

For each operation the trees are made anew, and three places are looked at in one view:

    m   B, with A merged into it
    r   the same A behind a read-only bind mount
    p   the same B, as it is

What the operation does to a name of m must be what it does to that name of r, where the rule says that A's is there, or of p,
where it says B's is.  Where a name is a directory in both, m has p's with the names of both in it, but the name itself can
neither go, nor move, nor be replaced.  Afterwards A must be as it was, and B must have become what p has.
"""
import errno
import os
import shutil
import socket
import stat
import subprocess
import sys

STATES = ["none", "file", "exec", "dir", "full", "flink", "dlink", "dangling", "fifo"]
NAMES = [(a, b) for a in STATES for b in STATES]


def make(path, state, mark, outside):
    """A name in this state."""
    if state in ("file", "exec"):
        with open(path, "w") as f:
            f.write("#!/bin/sh\nexit %d\n" % (7 if mark == "A" else 8) if state == "exec" else mark * (3 if mark == "A" else 5))
        os.chmod(path, 0o755 if state == "exec" else 0o644)
    elif state in ("dir", "full"):
        os.mkdir(path)
        if state == "full":
            for name in (mark, "common"):
                with open(os.path.join(path, name), "w") as f:
                    f.write(mark)
            os.mkdir(os.path.join(path, "sub"))
            os.mkdir(os.path.join(path, "sub", "of" + mark))
    elif state.endswith("link") or state == "dangling":
        os.symlink({"flink": outside + "/file", "dlink": outside + "/dir"}.get(state, outside + "/nothing"), path)
    elif state == "fifo":
        os.mkfifo(path)


def errno_of(f, *args, **more):
    try:
        return "ok", f(*args, **more)
    except OSError as e:
        return errno.errorcode[e.errno], None


def opened(path, flags, mode=0o666):
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    st = os.fstat(fd)
    os.close(fd)
    return stat.S_IFMT(st.st_mode), st.st_size


def shown(st):
    return oct(st.st_mode), st.st_size if not stat.S_ISDIR(st.st_mode) else 0, st.st_nlink, st.st_uid


def content(path):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def walked(path):
    """Its cwd, entered and left by name."""
    here = os.getcwd()
    os.chdir(path)
    try:
        return os.path.basename(os.getcwd()), os.path.samefile("..", here)
    finally:
        os.chdir(here)


def run_it(path):
    return subprocess.run([path], stdin=subprocess.DEVNULL, check=False).returncode


def bound(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)


W, R, RW, C, X, T = os.O_WRONLY, os.O_RDONLY, os.O_RDWR, os.O_CREAT, os.O_EXCL, os.O_TRUNC

# What looks or changes what is there.
PLAIN = {
    "lstat": lambda p: shown(os.lstat(p)),
    "stat": lambda p: shown(os.stat(p)),
    "stat-slash": lambda p: shown(os.stat(p + "/")),
    "read": content,
    "readlink": os.readlink,
    "access-r": lambda p: os.access(p, os.R_OK),
    "access-x": lambda p: os.access(p, os.X_OK),
    "open-r": lambda p: opened(p, R),
    "open-w": lambda p: opened(p, W),
    "open-rw": lambda p: opened(p, RW),
    "open-trunc": lambda p: opened(p, W | T),
    "open-rtrunc": lambda p: opened(p, R | T),
    "open-dir": lambda p: opened(p, R | os.O_DIRECTORY),
    "open-nofollow": lambda p: opened(p, R | os.O_NOFOLLOW),
    "open-path": lambda p: opened(p, os.O_PATH),
    "truncate": lambda p: os.truncate(p, 1),
    "chmod": lambda p: os.chmod(p, 0o700),
    "chown": lambda p: os.chown(p, os.getuid(), os.getgid()),
    "lchown": lambda p: os.lchown(p, os.getuid(), os.getgid()),
    "utime": lambda p: os.utime(p, (1, 2)),
    "lutime": lambda p: os.utime(p, (1, 2), follow_symlinks=False),
    "setxattr": lambda p: os.setxattr(p, "user.x", b"1"),
    "listxattr": os.listxattr,
    "exec": run_it,
    "chdir": walked,
    "child-read": lambda p: content(p + "/nothing"),
}
# What makes a name.
MAKING = {
    "open-creat": lambda p: opened(p, RW | C),
    "open-excl": lambda p: opened(p, RW | C | X),
    "mkdir": os.mkdir,
    "mkdir-slash": lambda p: os.mkdir(p + "/"),
    "mkfifo": os.mkfifo,
    "symlink": lambda p: os.symlink("x", p),
    "socket": bound,
}
# What takes a name away, or puts another thing in its place; each with what it says of one that A has.
GOING = {
    "unlink": os.unlink,
    "rmdir": os.rmdir,
    "rename-away": lambda p: os.rename(p, os.path.dirname(p) + "/gone"),
    "rename-over": lambda p: os.rename(os.path.dirname(p) + "/other", p),
    "rename-dir-over": lambda p: os.rename(os.path.dirname(p) + "/otherdir", p),
}
LINKS = {
    "link-from": lambda p: os.link(p, os.path.dirname(p) + "/linked", follow_symlinks=False),
    "link-to": lambda p: os.link(os.path.dirname(p) + "/other", p),
}
# What is in a directory.
CHILD_NAMES = ("A", "B", "common", "sub", "sub/ofA", "sub/ofB")
OF_A = ("A", "common", "sub", "sub/ofA")
CHILDREN = {
    "list": lambda p: sorted((e.name, e.is_dir(follow_symlinks=False), e.inode() == e.stat(follow_symlinks=False).st_ino) for e in os.scandir(p)),
    "child": lambda p: [errno_of(content, p + "/" + n) for n in CHILD_NAMES],
    "child-make": lambda p: opened(p + "/new", W | C | X),
    "child-write": lambda p: [errno_of(opened, p + "/" + n, W) for n in CHILD_NAMES],
    "child-remove": lambda p: [errno_of(os.unlink, p + "/" + n) for n in CHILD_NAMES],
    "child-deep": lambda p: opened(p + "/sub/new", W | C | X),
    "tmpfile": lambda p: opened(p, RW | os.O_TMPFILE),
}
OPERATIONS = {**PLAIN, **MAKING, **GOING, **LINKS, **CHILDREN}
IS_DIR = ("dir", "full")


def joined(name, a, b, from_a, from_b):
    """Of two directories: what CHILDREN say, from what they say of each."""
    if name == "list":
        known = {n for n, _, _ in from_a[1]}
        return "ok", sorted(from_a[1] + [e for e in from_b[1] if e[0] not in known])
    if name in ("child", "child-write", "child-remove"):
        values = []
        for of_a, of_b, n in zip(from_a[1], from_b[1], CHILD_NAMES):
            if n == "sub" and a == b == "full":     # a directory in both
                values.append(("EROFS", None) if name == "child-remove" else of_b)
            else:
                values.append(of_a if a == "full" and (n in OF_A or (b != "full" and n == "sub/ofB")) else of_b)
        return "ok", values
    if name == "child-deep":
        return from_a if a == "full" and b != "full" else from_b
    return from_b


def expected(name, a, b, from_a, from_b):
    """The rule."""
    if a == "none":
        return from_b
    if name == "link-to":
        return "EEXIST", None
    if a not in IS_DIR or b not in IS_DIR:
        return ("EROFS", None) if name.startswith("rename-") and "over" in name else from_a
    if name in CHILDREN:
        return joined(name, a, b, from_a, from_b)
    if name in GOING:
        return from_a if name in ("unlink", "rmdir") else ("EROFS", None)
    if name in MAKING:
        return from_b if name.startswith("open-") else from_a
    return from_b


def clear(*paths):
    for path in paths:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)


def inside(name):
    f = OPERATIONS[name]
    bad = 0
    for a, b in NAMES:
        said = {}
        for place in "rpm":
            path = os.path.join(os.getcwd(), place, "%s-%s" % (a, b))
            clear("outside/dir/new")
            if place != "r":
                clear(place + "/gone", place + "/linked", place + "/other", place + "/otherdir")
                make(place + "/other", "file", "B", "")
                os.mkdir(place + "/otherdir")
            said[place] = errno_of(f, path)
        want = expected(name, a, b, said["r"], said["p"])
        if said["m"] != want:
            bad += 1
            print("# %s: in A %s, at B %s: %s, but %s was expected (A alone %s, B alone %s)" %
                  (name, a, b, said["m"], want, said["r"], said["p"]))
    return bad


def tree_of(top, times):
    """All there is to see of a tree."""
    lines = []
    for path, dirs, files in os.walk(top):
        dirs.sort()
        for n in ["."] + sorted(files) + [d for d in dirs if os.path.islink(os.path.join(path, d))]:
            full = os.path.join(path, n)
            st = os.lstat(full)
            text = os.readlink(full) if stat.S_ISLNK(st.st_mode) else ""
            if stat.S_ISREG(st.st_mode):
                with open(full, "rb") as f:
                    text = f.read()
            lines.append((os.path.relpath(full, top), oct(st.st_mode), st.st_uid, st.st_nlink, text) +
                         ((st.st_ino, st.st_mtime_ns, st.st_ctime_ns) if times else ()))
    return [line for line in lines if line[0].split("/")[0] not in ("other", "otherdir", "gone", "linked")]


def difference(was, now):
    return [line for line in now if line not in was][:3] + [line for line in was if line not in now][:3]


def prepare(top):
    for place in ("a", "r", "m", "p", "outside/dir"):
        os.makedirs(os.path.join(top, place))
    make(top + "/outside/file", "file", "O", "")
    for a, b in NAMES:
        make("%s/a/%s-%s" % (top, a, b), a, "A", top + "/outside")
        for place in "mp":
            make("%s/%s/%s-%s" % (top, place, a, b), b, "B", top + "/outside")
    return tree_of(top + "/a", True)


def afterwards(top, name, before):
    """A is as it was; of names that are A's, B's stay; to the others happened what happened to p's."""
    ok = True
    now = tree_of(top + "/a", True)
    if now != before:
        print("# %s: A has changed: %s" % (name, difference(before, now)))
        ok = False
    differs = set(tree_of(top + "/p", False)) ^ set(tree_of(top + "/m", False))
    differs = [line for line in differs if line[0].split("/")[0].split("-")[0] == "none"]
    if differs:
        print("# %s: B has not become what B alone becomes: %s" % (name, sorted(map(str, differs))[:4]))
        ok = False
    return ok


def main():
    if sys.argv[1] == "--inside":
        top = os.getcwd()
        for name in sys.argv[2:]:
            os.chdir(os.path.join(top, name))
            print("# %s: %d" % (name, inside(name)))
        return
    umview, top = os.path.realpath(sys.argv[1]), os.path.join(os.path.realpath(sys.argv[2]), "table")
    names = sys.argv[3:] or list(OPERATIONS)
    shutil.rmtree(top, ignore_errors=True)
    before, options, failed = {}, [], 0
    for name in names:
        before[name] = prepare(os.path.join(top, name))
        options += ["--ro-bind", name + "/a", name + "/r", "--merge", name + "/a", name + "/m"]
    done = subprocess.run([umview] + options + ["--", sys.executable, os.path.abspath(__file__), "--inside"] + names, cwd=top,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout, end="")
    for name in names:
        ok = "# %s: 0\n" % name in done.stdout
        ok = afterwards(os.path.join(top, name), name, before[name]) and ok
        failed += not ok
        print("%s - merge: %s, %d states" % ("ok" if ok else "not ok", name, len(NAMES)), flush=True)
    shutil.rmtree(top, ignore_errors=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
