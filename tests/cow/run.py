#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy-on-write against its model, a plain copy; and, as root where that can be mounted, the kernel's overlayfs against the same.

usage: run.py --check		the table, some random sequences, some kills: prints TAP
       run.py --check-overlay	what needs root of that
       run.py --random SECONDS [--seed N] [--overlay] [--over WHAT]	random sequences
       run.py --killed RUNS [--seconds N] [--seed N] [--over WHAT]	killed at random moments

--over image, bind, cow (any: in turn, and nothing): what is below is not the kernel's, but in a mounted ext4 image, behind a bind mount, or another copy-on-write
mount's.  There directories that show what is below are not moved (EXDEV), so none is (ops.py).

The table (table.py): every operation on every state.  Random sequences (steps.py): one half in a view, the other in a second view that
goes on with the session.  Killed: after each kill there is what was there before or after the call that was
being made, the session goes on, and below nothing has changed.  Environment: UMVIEW, TMPDIR.
"""
import argparse
import difflib
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
UMVIEW = os.path.abspath(os.environ.get("UMVIEW", os.path.join(HERE, "../../build/umview")))
TABLE, STEPS = os.path.join(HERE, "table.py"), os.path.join(HERE, "steps.py")
STEP_COUNT = 120
OVERLAY = "index=on,redirect_dir=on,metacopy=off"


class Failure(Exception):
    pass


def call(*command, ok=(0,)):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    if done.returncode not in ok:
        raise Failure("%s: status %d: %s" % (" ".join(command), done.returncode, done.stdout.decode(errors="replace")[-2000:]))
    return done.stdout.decode(errors="replace")


def python(*words):
    return call(sys.executable, "-B", *words)


OVERS = None, "image", "bind", "cow"
OVER = None		# what is below: None (nothing but the kernel's), "image", "bind", "cow"


def low(base):
    return base + ("/low/in" if OVER == "image" else "/low")


def lower_view(base):
    """The command that has what is below at low, and nothing of the session."""
    if OVER == "image":
        return [UMVIEW, "--mount", base + "/image", base + "/low", "--"]
    if OVER == "bind":
        return [UMVIEW, "--bind", base + "/real", base + "/low", "--"]
    return [UMVIEW, "--cow", base + "/low", "--upper", base + "/lower", "--"] if OVER else []


def view(base):
    return lower_view(base) + [UMVIEW, "--cow", low(base), "--upper", base + "/upper", "--"]


def in_view(base, *words):
    return call(*view(base), sys.executable, "-B", *words)


def make_low(base, *words):
    """What is below, made by this, and a plain copy of it."""
    if OVER == "image":
        os.mkdir(base + "/low")
    python(*words[:2], low(base), *words[2:])
    call("cp", "-a", low(base), base + "/plain")
    if OVER == "image":
        call("mke2fs", "-q", "-t", "ext4", "-N", "65536", "-d", base + "/low", base + "/image", "512M")
        shutil.rmtree(base + "/low")
    elif OVER == "bind":
        os.rename(base + "/low", base + "/real")
    if not os.path.isdir(base + "/low"):
        os.mkdir(base + "/low")


def below(base):
    """All there is to see of what must not change; but what goes through a FIFO shows in its times: docs/limits.md."""
    out = call(*lower_view(base), "find", low(base), "(", "-type", "p", "-printf", "%P %m %n %i\n", ")", "-o", "-printf", "%P %y %m %U %G %n %s %T@ %i %l\n")
    sums = call(*lower_view(base), "sh", "-c", 'find "$1" -type f -exec cksum {} +', "sh", low(base))
    return sorted(out.split("\n") + sums.split("\n"))


def begin_session(base, links):
    """links: as where no device can be made, so that whiteouts are links and renames take two steps.  (wire/cow.h: state.links)"""
    call(*view(base), "true")
    if links:
        with open(base + "/upper/state", "r+b") as f:
            f.seek(12)
            f.write(struct.pack("=I", 1))


def compare(what, expected, got):
    if expected == got:
        return
    lines = list(difflib.unified_diff(expected.split("\n"), got.split("\n"), "plain copy", what, lineterm="", n=12))
    raise Failure("\n".join(lines[:60]))


def same_below(base, before):
    if below(base) != before:
        raise Failure("what is below has changed: %s" % (set(below(base)) ^ set(before)))


def no_overlay():
    """Why the kernel's overlayfs cannot be compared, or None."""
    if os.geteuid():
        return "not root"
    done = subprocess.run(["unshare", "-m", "sh", "-ec", 'd=$(mktemp -d); mkdir $d/l $d/u $d/w $d/m; trap "rm -rf $d" EXIT; '
                           "mount -t overlay -o lowerdir=$d/l,upperdir=$d/u,workdir=$d/w,%s none $d/m; umount $d/m" % OVERLAY],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return "no overlayfs can be mounted here" if done.returncode else None


def in_overlay(base, *commands):
    """Commands ("sh" text, DIR is where it is mounted) in an overlayfs of low."""
    text = ("mkdir over upper work\nmount -t overlay -o lowerdir=low,upperdir=upper,workdir=work,%s none over\n"
            "for c; do sh -ec \"$c\"; done\numount over\n" % OVERLAY)
    os.chmod(base, 0o755)
    return call("unshare", "-m", "sh", "-ec", "cd %s\n%s" % (base, text), "sh",
                *[c.replace("PYTHON", "%s -B" % sys.executable).replace("DIR", "over") for c in commands])


# ---- the table ----------------------------------------------------------------------------------------------------


def table(base, overlay):
    plain = base + "/plain"
    make_low(base, TABLE, "make")
    changed = OVER == "changed"
    if changed:		# what has been done was done in the session below, where directories can be moved
        over(None)
        python(TABLE, "prepare", plain)
        call(UMVIEW, "--cow", base + "/low", "--upper", base + "/lower", "--", sys.executable, "-B", TABLE, "prepare", base + "/low")
        over("cow")
    before = below(base)
    if not changed:
        python(TABLE, "prepare", plain)
    expected = python(TABLE, "run", plain)
    left = python(TABLE, "dump", plain)
    if overlay:
        got = in_overlay(base, "PYTHON %s prepare DIR" % TABLE, "PYTHON %s run DIR" % TABLE)
        compare("overlayfs", expected, got)
        return expected.count("\n-> ")
    if not changed:
        in_view(base, TABLE, "prepare", low(base))
    compare("view", expected, in_view(base, TABLE, "run", low(base)))
    compare("the next view", left, in_view(base, TABLE, "dump", low(base)))
    same_below(base, before)
    return expected.count("\n-> ")


# ---- random sequences ----------------------------------------------------------------------------------------------


def sequence(base, seed, overlay):
    plain, half = base + "/plain", STEP_COUNT // 2
    make_low(base, STEPS, "make", str(seed))
    before = below(base)
    parts = [(str(seed), "0", str(half)), (str(seed), str(half), str(STEP_COUNT))]
    expected = "".join(python(STEPS, "run", plain, *p) for p in parts)
    if overlay:
        got = in_overlay(base, *["PYTHON %s run DIR %s" % (STEPS, " ".join(p)) for p in parts])
    else:
        begin_session(base, seed % 2)
        got = "".join(in_view(base, STEPS, "run", low(base), *p) for p in parts)
    compare("overlayfs" if overlay else "view", expected, got)
    same_below(base, before)


# ---- killed --------------------------------------------------------------------------------------------------------


def last_step(log):
    """The pid and the number of the last step that was begun (None: none), as far as the log has them."""
    with open(log, "rb") as f:
        words = f.read().split(b"\n")[:-1]
    return (int(words[0]) if words else None), (int(words[-1]) if len(words) > 1 else None)


def run_and_kill(base, seed, first, delay):
    """Steps from `first` on in a view, which is killed.  The step that it was killed in, or None."""
    log = "%s/log%d" % (base, first)
    with open(log, "wb"):
        pass
    run = subprocess.Popen(view(base) + [sys.executable, "-B", STEPS, "single", low(base), str(seed), str(first), str(first + 500), log],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.time() + 60
    while last_step(log)[0] is None and run.poll() is None and time.time() < end:
        time.sleep(0.005)
    time.sleep(delay)
    pid = last_step(log)[0]
    if pid and run.poll() is None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    run.wait(60)
    return last_step(log)[1]


def kill_session(base, seed, kills):
    """One session, killed so often; what is there is compared each time."""
    plain = base + "/plain"
    draw = random.Random("kills %s" % seed)
    make_low(base, STEPS, "make", str(seed))
    before = below(base)
    begin_session(base, seed % 2)
    first = 0
    for n in range(kills):
        at = run_and_kill(base, seed, first, draw.random() * 0.06)
        got = in_view(base, STEPS, "dump", low(base))
        if at is None:
            compare("killed early", python(STEPS, "dump", plain), got)
            continue
        python(STEPS, "single", plain, str(seed), str(first), str(at), "/dev/null")
        undone = python(STEPS, "dump", plain)
        first = at
        if got != undone:
            python(STEPS, "single", plain, str(seed), str(at), str(at + 1), "/dev/null")
            compare("killed in step %d (kill %d)" % (at, n), python(STEPS, "dump", plain), got)
            first = at + 1
    same_below(base, before)


# ---- the whole -----------------------------------------------------------------------------------------------------


class Place:
    """A new directory, removed unless something was found in it."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="umview-cow-")
        return self.path

    def __exit__(self, kind, *rest):
        if kind is None or "KEEP" not in os.environ:
            shutil.rmtree(self.path, ignore_errors=True)


def result(name, work, *args):
    """One line of TAP; true if it is good."""
    try:
        with Place() as base:
            said = work(base, *args)
    except (Failure, subprocess.TimeoutExpired) as e:
        print("not ok - %s" % name)
        print("\n".join("# " + line for line in str(e).split("\n")), flush=True)
        return False
    print("ok - %s%s" % (name, ": %d cases" % said if said else ""), flush=True)
    return True


def some(work, *args_of):
    """The same work with several arguments, in a place of its own each."""
    def all_of_them(_):
        for args in args_of:
            try:
                with Place() as base:
                    work(base, *args)
            except Failure as e:
                raise Failure("%s\n%s" % (args, e))
        return len(args_of)
    return all_of_them


def over(what):
    global OVER
    OVER = what
    os.environ["COW_OVER"] = what or ""


def check():
    good = result("table: a view is as a plain copy", table, False)
    good &= result("random: a view is as a plain copy", some(sequence, *[(seed, False) for seed in (0, 1, 2, 3, 88, 181683120, 392312652)]))
    good &= result("killed: before or after the call", some(kill_session, (1, 6), (2, 6)))
    for what in ("image", "bind", "cow"):
        over(what)
        good &= result("table, over %s: a view is as a plain copy" % what, table, False)
        good &= result("random, over %s: a view is as a plain copy" % what, some(sequence, *[(seed, False) for seed in (0, 1, 2)]))
        good &= result("killed, over %s: before or after the call" % what, some(kill_session, (1, 3)))
    over("changed")
    good &= result("table, over a session that holds the changes: a view is as a plain copy", table, False)
    return good


def check_overlay():
    why = no_overlay()
    if why:
        for name in ("table", "random"):
            print("ok - %s: overlayfs is as a plain copy # SKIP %s" % (name, why))
        return True
    good = result("table: overlayfs is as a plain copy", table, True)
    return good & result("random: overlayfs is as a plain copy", some(sequence, *[(seed, True) for seed in range(4)]))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--check", action="store_true")
    p.add_argument("--check-overlay", action="store_true")
    p.add_argument("--random", type=int, metavar="SECONDS")
    p.add_argument("--killed", type=int, metavar="RUNS")
    p.add_argument("--seconds", type=int, default=1 << 30)
    p.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    p.add_argument("--overlay", action="store_true")
    p.add_argument("--over", choices=["image", "bind", "cow", "any"])
    o = p.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    any_of = OVERS if o.over == "any" else (o.over,)
    over(any_of[0])
    good = True
    if o.check:
        good = check()
    if o.check_overlay:
        good = check_overlay()
    seed, n, end = o.seed, 0, time.time() + (o.random or 0)
    while o.random and good and (time.time() < end or not n):
        over(any_of[seed % len(any_of)])
        good = result("random %d over %s" % (seed, OVER), sequence, seed, o.overlay)
        seed, n = seed + 1, n + 1
    n, end = 0, time.time() + o.seconds
    while o.killed and good and n < o.killed and time.time() < end:
        over(any_of[seed // 20 % len(any_of)])
        good = result("killed %d over %s" % (seed, OVER), kill_session, seed, min(20, o.killed - n))
        seed, n = seed + 1, n + 20
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
