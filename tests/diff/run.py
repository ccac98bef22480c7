#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The differential fuzzer: the same random system calls in two worlds, compared line by line.

usage: tests/diff/run.py [--worlds W,...] [--seeds A-B | --seconds N] [--steps N] [--keep-going] [--shrink]
       tests/diff/run.py --replay FILE [--worlds W,...] [--shrink]
       tests/diff/run.py --check [--worlds W,...]
       ... --context N: how many lines before the one that differs are shown (8)

tests/diff/difftest makes a small tree and N random steps on it; every step prints a line.  It runs once in the world's
oracle and once in the world itself, from the same seed, at the same path.  The first line that differs is shown with
what came before it, the seed, and how to repeat it.  --shrink takes steps away as long as the difference
stays, and writes the sequence that is left to $BUILD/diff/WORLD-SEED.seq, which --replay runs; tests/diff/seeds/
keeps those that once differed.

Worlds, each with its oracle:

  view      a view without mounts; natively
  mount1    a view with a disk image mounted beside the tree; natively
  mount5    a view with five mounts beside the tree (an image, four binds); natively
  bind      a view in which the tree lies behind `--bind`, so far below it that no path crosses its edge; natively
  secure    a view in secure mode, in which the caller is who he is, so that what is checked must be what the kernel does;
            natively, by an ordinary user
  cow       a view in which the tree is copied on write, and has to be there unchanged afterwards; natively
  merge     a view in which the tree, and what is above it, is merged with empty directories of the same names; natively
  ext4      a view in which the tree lies on a mounted ext4 image; the same server (fuse2fs) under the kernel's
            FUSE, so this world needs root and /dev/fuse

What is left out of a world, because the product says that it differs (docs/limits.md) or because the oracle is at
fault, stands in LEFT_OUT with its reason.

Runs as whoever calls it: root or an ordinary user.  Environment: BUILD, UMVIEW, TMPDIR.
"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(HERE, "../../build")))
UMVIEW = os.path.abspath(os.environ.get("UMVIEW", os.path.join(BUILD, "umview")))
PROGRAMS = os.path.join(BUILD, "tests/diff")
ROOT = os.geteuid() == 0
PADDING = "/".join("123456789abcde")        # more directories above the tree than any path can climb
TIMEOUT = 60
NO_END = "does not end"                     # a step may wait for ever natively, too: a write into a full pipe

APART = "a cwd is not shared without memory, nor are descriptors of virtual files: docs/limits.md"
FEWFDS = "what is wrong with the path comes before that there is no descriptor left: docs/limits.md"
ANYBODY = {} if ROOT else {"root": "chroot needs no privilege in a view: docs/limits.md"}
LEFT_OUT = {
    "view": ANYBODY,
    "secure": {"resolve": "the order of errors with openat2's rules: docs/limits.md",
               "fewfds": FEWFDS},
    "mount1": {"apart": APART, **ANYBODY},
    "mount5": {"apart": APART, **ANYBODY},
    "bind": {
        **ANYBODY,
        "apart": APART,
        "fewfds": FEWFDS,
        "resolve": "the order of errors with openat2's rules behind a mount: docs/limits.md",
        "longname": "which of two errors is told: docs/limits.md",
        "order": "with magic links of /proc: docs/limits.md",
        "environ": "/proc/PID/fd shows where files behind a bind mount really are: docs/limits.md",
    },
    "cow": {
        **ANYBODY,
        "apart": APART,
        "dirsize": "nobody counts the links of directories that are in both: docs/limits.md",
        "resolve": "the order of errors with openat2's rules behind a mount: docs/limits.md",
        "user": "the session is its owner's: docs/limits.md",
        "longname": "which of two errors is told: docs/limits.md",
        "atime": "listing a directory that is in both reads the copy: docs/limits.md",
        "lock": "the position of a directory that is in both is not the kernel's",
        "fewfds": "a change takes descriptors for a moment: docs/limits.md",
        "map": "a mapping is of what was opened, copied since or not: docs/limits.md",
        "watch": "what is watched is below, or the copy: docs/limits.md",
        "dino": "in a directory that was moved: docs/limits.md",
        "order": "a copy is another file than what is copied: docs/limits.md",
    },
    "merge": {
        **ANYBODY,
        "apart": APART,
        "fewfds": "a listing takes a descriptor for a moment: docs/limits.md",
        "user": "who may not search the directories above cannot be told what is merged: docs/limits.md",
    },
    "ext4": {
        "resolve": "the order of errors with openat2's rules behind a mount: docs/limits.md",
        "longname": "the kernel's FUSE passes names of more than 255 bytes on, and fuse2fs says ENOENT",
        "noappend": "RWF_NOAPPEND is not there: EOPNOTSUPP",
        "shared": "no shared writable mappings: docs/limits.md",
        "map": "a mapping is a copy of the file as it was then",
        "special": "what is behind a FIFO or socket of a mount shows: docs/limits.md",
        "rename": "as the server says, and the kernel asks it only after its own look",
        "direct": "O_DIRECT is the server's affair, and nobody needs access mode 3; O_NOATIME by F_SETFL: docs/limits.md",
        "hardlink": "fuse2fs says that two names are two files, whose pages the kernel keeps apart for a second",
        "ready": "to the kernel an O_PATH descriptor of a mount is an ordinary file's",
        "perm": "the kernel's FUSE drops sticky bits, and who mounts an image may do everything in it",
        "hole": "which errors come first is the server's affair",
        "order": "between a mount and what is none: docs/limits.md",
        "dirsize": "the kernel's FUSE remembers link counts of directories",
        "atime": "the kernel's FUSE does not ask for it again",
        "apart": APART,
        "user": "who mounts an image may do everything in it, and its files have no limit",
        "fewfds": FEWFDS,
        "unlinked": "the name that a removed file had is not kept, and fuse2fs counts it as one or none: docs/limits.md",
        "watch": "no inotify on what is mounted: docs/limits.md",
        "aio": "EINVAL on what is mounted: docs/syscalls.md",
        "hint": "what the kernel's FUSE knows of them: docs/syscalls.md",
        "dino": "fuse2fs lists names without kinds, by other inode numbers than it stats; a view fills in the kinds that it knows",
    },
}
LEFT_OUT["bindcow"] = {**LEFT_OUT["bind"], **LEFT_OUT["cow"]}


MODES = {}


class Failure(Exception):
    """The fuzzer itself could not work."""


def sh(*command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode:
        raise Failure("%s: %s" % (" ".join(command), done.stdout.strip()))


def remove(path):
    """Also what a step has made unreadable."""
    if os.path.lexists(path):
        if not ROOT:
            subprocess.run(["chmod", "-R", "u+rwX", path], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(path, ignore_errors=True)


def run(command, cwd):
    """Its status; output of a step goes to a file of its own.  Nothing that it started outlives a time-out."""
    command = [PROGRAMS + "/supervise", "-t", str(TIMEOUT), "--"] + command
    try:
        done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=TIMEOUT + 30, check=False)
        if done.returncode == 124:
            return NO_END
        said = done.stdout.decode(errors="replace")
        said = re.sub(r"^umview: agent in process .*\n", "", said, flags=re.M).strip()  # of a damaged program
        return "status %d%s" % (done.returncode, ": " + said if said else "")
    except subprocess.TimeoutExpired:
        return NO_END


class World:
    """A view without mounts, and natively.  `place` is where a world may mount; the tree lies below it."""

    def __init__(self, name, base):
        self.name = name
        self.base = base
        self.real_mount = False             # does the oracle mount, too?

    def place(self):
        return os.path.join(self.base, PADDING, "w") if self.real_mount else os.path.join(self.base, "w")

    def tree(self):
        return os.path.join(self.place(), "t") if self.real_mount else os.path.join(self.place(), PADDING, "t")

    def prepare(self):
        """Before each of the two runs: an empty place."""
        remove(self.base)
        os.makedirs(self.base)
        os.makedirs(os.path.dirname(self.tree()))

    def oracle(self, command):
        return run(command, self.base)

    def options(self):
        return []

    def more(self):
        """Options of difftest."""
        return []

    def missing(self):
        """Why this world cannot be had here, or None."""
        return None

    def view(self, command):
        return run([UMVIEW] + self.options() + ["--"] + command, self.base)


def image_made(path):
    """An empty ext4 image with the directories above the tree."""
    if not os.path.exists(path):
        with tempfile.TemporaryDirectory() as tree:
            os.makedirs(os.path.join(tree, PADDING))
            os.chmod(tree, 0o777)
            sh("truncate", "-s", "16M", path)
            sh("mke2fs", "-q", "-t", "ext4", "-d", tree, path)


class Beside(World):
    """Mounts that have nothing to do with the tree."""

    def __init__(self, name, base, binds):
        super().__init__(name, base)
        self.binds = binds

    def options(self):
        other = os.path.join(self.base, "other")
        image = os.path.join(other, "image")
        os.makedirs(os.path.join(other, "m"))
        shutil.copyfile(PRISTINE, image)
        options = ["--mount", image, os.path.join(other, "m")]
        for i in range(self.binds):
            for name in ("from%d" % i, "to%d" % i):
                os.makedirs(os.path.join(other, name))
            options += ["--bind", os.path.join(other, "from%d" % i), os.path.join(other, "to%d" % i)]
        return options


class Secure(World):
    """All paths checked, by rules that are the kernel's."""

    def missing(self):
        return "root may everything" if ROOT else None

    def options(self):
        groups = ",".join(str(g) for g in os.getgroups())
        return ["--secure", "--user", "%d:%d:%s" % (os.getuid(), os.getgid(), groups)]


class Bind(World):
    """The tree behind a bind mount."""

    def prepare(self):
        super().prepare()
        below = os.path.relpath(os.path.dirname(self.tree()), self.place())
        os.makedirs(os.path.join(self.base, "real", below))

    def more(self):
        return ["--other-root", os.path.join(self.base, "real", os.path.relpath(self.tree(), self.place()))]

    def options(self):
        return ["--bind", os.path.join(self.base, "real"), self.place()]


class There(World):
    """The tree is there before the view is."""

    def prepare(self):
        super().prepare()
        said = run([PROGRAMS + "/difftest", self.tree(), "--program", PROGRAMS + "/prog", "--tree", "make", "--seed", "0"],
                   self.base)
        if said != "status 0":
            raise Failure("the tree cannot be made: " + said)

    def more(self):
        return ["--tree", "there"]


class Cow(There):
    """The tree copied on write."""

    def below(self):
        return self.place()

    def state(self):
        """All there is to see of the tree below."""
        return subprocess.run(["find", self.below(), "-printf", "%P %y %m %U %G %n %s %T@ %l\n", "-type", "f", "-exec", "cksum", "{}", ";"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout

    def view(self, command):
        before = self.state()
        status = super().view(command)
        after = self.state()
        changed = [line for line in after.split(b"\n") if line not in before.split(b"\n")]
        return status if after == before else status + ", and below has changed: " + b"; ".join(changed[:3]).decode()

    def options(self):
        return ["--cow", self.place(), "--upper", os.path.join(self.base, "upper")]


class BindCow(Cow):
    """What is copied on write, behind a bind mount."""

    def __init__(self, name, base):
        super().__init__(name, base)
        self.low = os.path.join(base, "low")

    def below(self):
        return self.low

    def view(self, command):
        os.rename(self.place(), self.low)
        os.makedirs(self.place())
        return super().view(command)

    def options(self):
        return ["--cow", self.low, "--upper", os.path.join(self.base, "upper"), "--bind", self.low, self.place()]


class Merge(There):
    """The directory at the top of the tree, and those above it, merged with empty ones."""

    def prepare(self):
        super().prepare()
        os.makedirs(os.path.join(self.base, "names", os.path.relpath(self.tree(), self.place())), exist_ok=True)

    def options(self):
        return ["--merge", os.path.join(self.base, "names"), self.place()]


class Ext4(World):
    """The tree on an image that fuse2fs serves."""

    def __init__(self, name, base):
        super().__init__(name, base)
        self.real_mount = True
        self.image = os.path.join(base, "image")

    def prepare(self):
        super().prepare()
        shutil.copyfile(PRISTINE, self.image)

    def oracle(self, command):
        sh("fuse2fs", "-o", "fakeroot", self.image, self.place())
        try:
            os.stat(self.place())       # until somebody asks, the kernel shows mode 0 to who does not ask for the mode
            return run(command, self.base)
        finally:
            sh("fusermount", "-u", self.place())

    def missing(self):
        return None if ROOT and os.path.exists("/dev/fuse") else "its oracle needs root and /dev/fuse"

    def options(self):
        return ["--mount", self.image, self.place()]


def world_named(name, base):
    if name == "view":
        return World(name, base)
    if name in ("mount1", "mount5"):
        return Beside(name, base, 0 if name == "mount1" else 4)
    if name == "secure":
        return Secure(name, base)
    if name == "bind":
        return Bind(name, base)
    if name == "cow":
        return Cow(name, base)
    if name == "bindcow":
        return BindCow(name, base)
    if name == "merge":
        return Merge(name, base)
    if name == "ext4":
        return Ext4(name, base)
    raise Failure("no world '%s'" % name)


CONTEXT = 8                             # lines shown before the one that differs


def compare(world, what):
    """The difference, or None.  What does not show again in two more runs is said and does not count."""
    difference = compare_once(world, what)
    if difference and not compare_once(world, what) and not compare_once(world, what):
        print("# did not show again (world %s, %s):" % (world.name, " ".join(what)))
        print("\n".join("# " + line for line in difference.split("\n")), flush=True)
        return None
    return difference


def modes():
    """Those of what is everybody's, and which steps of root's reach by standard input, or would by a way to the machine's root that gen.c forgot."""
    return {path: os.stat(path).st_mode & 0o7777 for path in ("/", os.devnull)}


# Names that difftest gives to what it makes (gen.c), should root's steps reach "/" after all.
NAMES = set("a b c d e f0 f1 f2 f3 n0 n1 n2 n3 n4 ld labs lf dang loop1 loop2 up lroot lout lself ln x s0 s1 s2 s3 s4 sx many big ro "
            "out fifo lproc lfd nowhere".split())
OTHERS = set(os.listdir("/"))           # not ours to remove


def restore_machine():
    for path, mode in MODES.items() if ROOT else ():
        if modes()[path] != mode:
            os.chmod(path, mode)
    for name in set(os.listdir("/")) - OTHERS if ROOT else ():
        path = "/" + name
        if name not in NAMES and not name.startswith("l1234567890"):
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)


def compare_once(world, what):
    """Runs difftest with the options `what` on both sides: None, or the difference as text."""
    lines = []
    for side in (world.oracle, world.view):
        restore_machine()
        world.prepare()
        out = os.path.join(world.base, "out")
        command = [PROGRAMS + "/difftest", world.tree(), "--program", PROGRAMS + "/prog", "--out", out] + what
        command += world.more()
        if LEFT_OUT[world.name]:
            command += ["--without", ",".join(LEFT_OUT[world.name])]
        status = side(command)
        with open(out, errors="replace") as file:
            lines.append(file.read().split("\n")[:-1] + [status])
    restore_machine()
    if lines[0][-1] == lines[1][-1] == NO_END:
        print("# waits for ever on both sides (world %s, %s)" % (world.name, " ".join(what)), flush=True)
        return None
    if lines[0] == lines[1]:
        status = lines[0][-1].split(":")[0]
        if re.fullmatch("status 1(2[89]|[3-9][0-9])", status) and len(lines[0]) > 20:
            print("# ends by a signal on both sides (world %s, %s)" % (world.name, " ".join(what)), flush=True)
        elif status != "status 0":      # a damaged program may say what it likes
            raise Failure("%s, on both sides: %s" % (" ".join(what), "\n".join(lines[0][-8:])))
        return None
    at = next(i for i, (a, b) in enumerate(zip(*lines)) if a != b)
    context = ["    " + line[:300] for line in lines[0][max(0, at - CONTEXT):at]]
    return "\n".join(context + ["  - " + lines[0][at][:1500], "  + " + lines[1][at][:1500]])


def operation(difference):
    """The operation whose line differs: a shrunk sequence shall show the same one."""
    found = re.search(r"^  - [0-9]+'* ([a-z0-9_]+)", difference or "", re.M)
    return found.group(1) if found else difference and "other"


def shrunk(world, steps, wanted, seconds=300):
    """The steps that are needed for a difference: ever smaller pieces are taken away while it stays."""
    path = os.path.join(os.path.dirname(world.base), "shrink")
    end = time.time() + seconds

    def differs(some):
        with open(path, "w") as file:
            file.write("\n".join(some) + "\n")
        return operation(compare_once(world, ["--replay", path])) == wanted

    size = len(steps) // 2
    while size and time.time() < end:
        at = 0
        while at < len(steps) and time.time() < end:
            fewer = steps[:at] + steps[at + size:]
            if fewer and differs(fewer):
                steps = fewer
            else:
                at += size
        size //= 2
    return steps


def recorded(world, what):
    """The steps of a run, as --replay takes them."""
    path = os.path.join(os.path.dirname(world.base), "record")
    world.prepare()
    run([PROGRAMS + "/difftest", world.tree(), "--program", PROGRAMS + "/prog", "--out", "/dev/null",
         "--record", path] + what + world.more(), world.base)
    with open(path) as file:
        return file.read().split("\n")[:-1]


def report(world, difference, what, args):
    """Says what differs and how to see it again."""
    print("difference in world %s (%s):" % (world.name, " ".join(what)))
    print(difference)
    print("  - oracle, + view; again: tests/diff/run.py --worlds %s %s" % (world.name, args.again))
    if not args.shrink:
        return
    steps = shrunk(world, recorded(world, what), operation(difference))
    os.makedirs(os.path.join(BUILD, "diff"), exist_ok=True)
    name = os.path.join(BUILD, "diff", "%s-%s.seq" % (world.name, args.label))
    with open(name, "w") as file:
        file.write("# worlds: %s\n" % world.name + "\n".join(steps) + "\n")
    print("shrunk to %d steps: tests/diff/run.py --worlds %s --replay %s" % (len(steps), world.name, name))
    print(compare_once(world, ["--replay", name]))


def seeds_of(args):
    if args.seeds:
        first, _, last = args.seeds.partition("-")
        yield from range(int(first), int(last or first) + 1)
        return
    start = random.SystemRandom().randrange(1 << 40)
    end = time.time() + args.seconds
    while time.time() < end:
        yield start
        start += 1


def arguments():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("--worlds", default="view")
    p.add_argument("--seeds")
    p.add_argument("--seconds", type=float, default=10)
    p.add_argument("--steps", type=int, default=600)
    p.add_argument("--replay")
    p.add_argument("--keep-going", action="store_true")
    p.add_argument("--shrink", action="store_true")
    p.add_argument("--check", action="store_true")
    p.add_argument("--context", type=int, default=CONTEXT)
    return p.parse_args()


def fuzz(args, base):
    """The number of seeds with a difference."""
    bad = 0
    for name in args.worlds.split(","):
        world = world_named(name, os.path.join(base, "d"))
        runs = differing = 0
        if world.missing():
            print("%s: skipped: %s" % (name, world.missing()))
            continue
        for seed in [None] if args.replay else seeds_of(args):
            what = ["--replay", os.path.abspath(args.replay)] if args.replay else [
                "--seed", str(seed), "--steps", str(args.steps)]
            args.label = str(seed) if seed is not None else os.path.basename(args.replay)
            args.again = "--replay " + args.replay if args.replay else "--steps %d --seeds %d" % (args.steps, seed)
            difference = compare(world, what)
            runs += 1
            if difference:
                differing += 1
                report(world, difference, what, args)
                if not args.keep_going:
                    break
        bad += differing
        print("%s: %d of %d %s differ%s" % (name, differing, runs, "replays" if args.replay else "seeds",
                                           "" if args.replay else ", %d steps each" % args.steps), flush=True)
    return bad


FIXED_SEEDS = range(1, 4)


def worlds_of(path):
    """The worlds in which a kept sequence once differed: its first line names them."""
    with open(path) as file:
        return file.readline().replace("# worlds:", "").split()


def check(args, base):
    """What `make check` runs, as TAP without numbers: every kept sequence, and each world with some seeds.

    Always the same ones: what a seed by chance finds (make soak) must not turn somebody else's change red."""
    tests, chosen = [], args.worlds.split(",")
    seeds = os.path.join(HERE, "seeds")
    for name in sorted(os.listdir(seeds)):
        path = os.path.join(seeds, name)
        tests += [(world, "kept sequence " + name, [["--replay", path]]) for world in worlds_of(path)
                  if world in chosen]
    for world in chosen:
        tests.append((world, "random steps", [["--seed", str(seed), "--steps", "600"]
                                              for seed in FIXED_SEEDS]))
    bad = 0
    for name, title, runs in tests:
        world = world_named(name, os.path.join(base, "d"))
        if world.missing():
            print("ok - %s [%s] # SKIP %s" % (title, name, world.missing()))
            continue
        differences = []
        for what in runs:
            difference = compare(world, what)
            if difference:
                differences.append("tests/diff/run.py --worlds %s %s\n%s" % (
                    name, " ".join(what).replace("--seed ", "--seeds "), difference))
        bad += bool(differences)
        print("%sok - %s [%s]" % ("not " if differences else "", title, name), flush=True)
        for line in "\n".join(differences).split("\n") if differences else []:
            print("# " + line)
    return bad


def main():
    global PRISTINE, CONTEXT
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    args = arguments()
    CONTEXT = args.context
    base = tempfile.mkdtemp(prefix="umdiff.")
    MODES.update(modes())
    PRISTINE = os.path.join(base, "pristine")
    try:
        image_made(PRISTINE)
        return 1 if (check(args, base) if args.check else fuzz(args, base)) else 0
    except Failure as failure:
        print("run.py:", failure, file=sys.stderr)
        return 2
    finally:
        restore_machine()
        remove(base)


if __name__ == "__main__":
    sys.exit(main())
