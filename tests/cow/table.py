#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every operation on every state (ops.py), in one directory that stands for all of it.

usage: table.py make DIR	what is below, once
       table.py prepare DIR	what has been done to it, in the session
       table.py run DIR [WORD]	the operations; prints a block for each case (whose name contains WORD)
       table.py dump DIR	what there is then

Cases are directories of DIR by number: the same for all.
"""
import os
import sys

import ops

TWO_TARGETS = ["absent", "file", "file changed", "file removed", "twin", "twin changed elsewhere", "link", "fifo", "empty directory",
               "directory", "directory emptied", "directory removed", "directory opaque", "directory moved",
               "directory moved and emptied"]


def cases():
    for state in ops.STATES:
        for name in ops.ONE:
            yield name, state, None
    for state in ops.STATES:
        for other in TWO_TARGETS:
            for name in ops.TWO:
                yield name, state, other


def each(top):
    for n, case in enumerate(cases()):
        yield "%s/%d" % (top, n), case


def setup(top, which):
    for path, (_, state, other) in each(top):
        if not which:
            os.makedirs(path)
            ops.file(path + "/other", "other")
        for one, name in ((state, "/t"), (other, "/s")):
            try:
                if one:
                    ops.STATES[one][which](path + name)
            except OSError as e:        # a directory that cannot be moved: it is what it was
                if not ops.OVER:
                    raise e


def run(top, word):
    for path, (name, state, other) in each(os.path.abspath(top)):
        title = "%s: %s%s" % (name, state, ", onto " + other if other else "")
        if word not in title:
            continue
        os.chdir(path)
        seen = ops.Seen()
        before = seen.dump(".")
        said = ops.said(ops.TWO[name], "t", "s") if other else ops.said(ops.ONE[name], "t")
        print("== %s\n%s\n-> %s\n%s" % (title, "\n".join(before), said, "\n".join(seen.dump("."))))


def dump(top):
    for path, (name, state, other) in each(top):
        print("== %s: %s, %s" % (name, state, other))
        print("\n".join(ops.Seen().dump(path)))


if __name__ == "__main__":
    what, place = sys.argv[1:3]
    os.umask(0o22)
    if what == "run":
        run(place, sys.argv[3] if len(sys.argv) > 3 else "")
    elif what == "dump":
        dump(place)
    else:
        setup(place, what == "prepare")
