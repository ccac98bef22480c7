#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Random changes from a seed (ops.py), each of which depends on nothing but the seed, its number and what is there.

usage: steps.py make DIR SEED		a tree to change
       steps.py run DIR SEED FROM TO	steps FROM to TO - 1, and what there is every ten steps; a line says what each call said
       steps.py single DIR SEED FROM TO LOG	the same with calls that change one thing each, without looking; LOG has our pid, then
					the number of each step before it is made
       steps.py dump DIR		what there is
"""
import os
import random
import sys

import ops

NAMES = ["a", "b", "c", "d", "e", "m", "n", "away", "other"]
KEPT = 4                # descriptors of directories

SINGLE = ["create-only", "truncate-open", "append", "write", "truncate", "unlink", "unlink", "rmdir", "mkdir", "mkfifo", "symlink",
          "chmod", "rename-away", "link-away"]
CALLS = dict(ops.ONE, **{"create-only": lambda t: ops.opened(t, os.O_WRONLY | os.O_CREAT | os.O_EXCL),
                         "truncate-open": lambda t: ops.opened(t, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK)})


def make(top, seed):
    draw = random.Random(seed)
    directories = [top]
    os.mkdir(top)
    for n in range(30):
        path = "%s/%s" % (draw.choice(directories), draw.choice(NAMES))
        kind = draw.choice(["directory", "directory", "file", "file", "twins", "link", "fifo"])
        if os.path.lexists(path):
            continue
        if kind == "directory":
            os.mkdir(path)
            directories.append(path)
        elif kind == "link":
            os.symlink(draw.choice(NAMES), path)
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            ops.file(path, "file %d" % n)
            twin = "%s/%s" % (draw.choice(directories), draw.choice(NAMES))
            if kind == "twins" and not os.path.lexists(twin):
                os.link(path, twin)


def there(top="."):
    found = []
    for where, directories, files in os.walk(top):
        directories.sort()
        found += [os.path.relpath(os.path.join(where, n)) for n in directories + files]
    return sorted(found)


def path(draw, found):
    """Mostly of something that is there, or a new name in a directory that is."""
    if found and draw.random() < 0.65:
        return draw.choice(found)
    return os.path.join(draw.choice([""] + [p for p in found if os.path.isdir(p) and not os.path.islink(p)]), draw.choice(NAMES))


class Descriptors:
    """Directories that stay open while they are moved."""

    def __init__(self, top):
        self.top = top
        self.open = {}

    def step(self, draw, found):
        slot = draw.randrange(KEPT)
        fd = self.open.get(slot)
        if fd is None or draw.random() < 0.3:
            if fd is not None:
                os.close(self.open.pop(slot))
            name = path(draw, found)
            if os.path.isdir(name):
                self.open[slot] = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
            return "keeps " + name
        name = os.readlink("/proc/self/fd/%d" % fd)
        try:
            st = os.stat(name)
        except OSError:
            st = None
        if not st or not os.path.samestat(st, os.fstat(fd)):
            os.close(self.open.pop(slot))
            return "gone"
        new = draw.choice(NAMES)
        return "%s: %s, %s %s" % (os.path.relpath(name, self.top), sorted(os.listdir(fd)), new,
                                  ops.said(lambda: os.mkdir(new, dir_fd=fd)))


def step(seed, number, single):
    draw = random.Random("%s:%d" % (seed, number))
    found = there()
    if draw.random() < 0.4:
        name = draw.choice(sorted(ops.TWO))
        words = [path(draw, found), path(draw, found)]
        return name, words, ops.said(ops.TWO[name], *words)
    name = draw.choice(SINGLE if single else sorted(ops.ONE))
    words = [path(draw, found)]
    return name, words, ops.said(CALLS[name] if single else ops.ONE[name], *words)


def clear(draw, found):
    """The names of a directory go, as `rm -r` does it, and what there is of them is looked at on the way."""
    directories = [p for p in found if os.path.isdir(p) and not os.path.islink(p)]
    top, told = draw.choice(directories or ["."]), []
    for name in sorted(os.listdir(top)):
        gone = os.path.join(top, name)
        told.append("%s %s" % (name, ops.said(os.unlink, gone)))
        look = draw.randrange(6)
        if look == 0:
            told.append(str(sorted(os.listdir(top))))
        elif look == 1:
            told.append("%s %s" % (os.path.lexists(gone), ops.said(lambda: os.close(os.open(gone, os.O_RDONLY | os.O_NONBLOCK)))))
        elif look == 2:
            told.append(ops.said(os.unlink, gone))
        elif look == 3 and draw.random() < 0.3:
            told.append(ops.said(lambda: ops.file(gone, "again")))
    if draw.random() < 0.7:
        told.append(ops.said(os.rmdir, top))
    return "%s goes: %s" % (top, ", ".join(told))


def run(top, seed, first, last):
    os.chdir(top)
    kept = Descriptors(os.getcwd())
    seen = ops.Seen(hold=True)
    for number in range(first, last):
        if number % 7 == 3:
            print("%d %s" % (number, kept.step(random.Random("%s-%d" % (seed, number)), there())))
        if number % 9 == 5:
            print("%d %s" % (number, clear(random.Random("%s/%d" % (seed, number)), there())))
        name, words, said = step(seed, number, False)
        print("%d %s %s -> %s" % (number, name, " ".join(words), said))
        if number % 10 == 9 or number == last - 1:
            print("\n".join(seen.dump(".")))


def run_single(top, seed, first, last, log):
    os.chdir(top)
    log.write(b"%d\n" % os.getpid())
    for number in range(first, last):
        log.write(b"%d\n" % number)
        step(seed, number, True)


if __name__ == "__main__":
    what, place = sys.argv[1:3]
    os.umask(0o22)
    if what == "make":
        make(place, sys.argv[3])
    elif what == "dump":
        print("\n".join(ops.Seen().dump(place)))
    elif what == "run":
        run(place, sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        with open(sys.argv[6], "ab", buffering=0) as told:
            run_single(place, sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), told)
