#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs other people's test suites natively and in a view, and compares them test by test.

usage: tests/conform/conform.py [OPTION...] [SUITE[/ITEM]...]

--world W    view (the default), mount: a view with an image mounted somewhere else, image: the tests' scratch
             directory lies on a mounted ext4 image
--tier T     the interception tier, patch or trap ($UMVIEW_TIER, or umview's choice)
--short      only what ends within a minute, and only one run of each: a part of `make check`
--tap        print TAP instead of a table
--fresh      forget the results of earlier runs; without it a run that was stopped goes on where it was
--list       print the names of the items
--state DIR  where results and outputs are kept

A suite is a file suite_NAME.py beside this one (see Item below).  An item is one command that runs many tests.  A test whose
outcome differs is run twice more on both sides, for many tests depend on the clock: it differs only if no
outcome is seen on both sides.  Differences that are explained in known.txt are counted apart and are no failure.
Every command is run by tests/lib/supervise: bounded in time, and everything it leaves behind is ended and
reported.  BUILD names the directory of the build (build).
"""
import argparse
import fnmatch
import hashlib
import importlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("BUILD", HERE.parent.parent / "build")).resolve()
UMVIEW = os.environ.get("UMVIEW", str(BUILD / "umview"))
PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
RUNS = 3


class Item:
    """One command of a suite.  parse(output, status, top) gives {test: outcome}.  In argv, @SCRATCH@ is the empty directory that
    the command starts in, @TOP@ another one, on no image, that only outlives the command, @STATE@ the directory of --state."""

    def __init__(self, name, argv, parse, limit=120, short=False, setup=None, image_argv=None, image_limit=None, lacks=None):
        self.name, self.argv, self.parse, self.limit, self.short = name, argv, parse, limit, short
        self.setup = setup              # setup(scratch, state): prepares both directories, on the host
        self.image_argv = image_argv    # what to run instead in the world "image"
        self.image_limit = image_limit or limit
        self.lacks = lacks              # what must be installed first

    def stamp(self, world):
        """Changes when the item does: earlier results are then no longer of interest."""
        argv = self.image_argv if world == "image" and self.image_argv else self.argv
        files = [pathlib.Path(a) for a in argv if a.startswith(str(HERE))]
        return hashlib.sha256(repr([argv, [f.read_text() for f in files]]).encode()).hexdigest()


class Suite:
    """A module suite_NAME.py: items() gives its items, missing() says why it cannot run here, or nothing."""

    def __init__(self, name):
        self.name = name
        self.module = importlib.import_module("suite_" + name)

    def items(self, options):
        for item in self.module.items():
            if options.short and not item.short:
                continue
            names = options.names or [self.name]
            if self.name in names or f"{self.name}/{item.name}" in names:
                yield item


def suites():
    return [Suite(p.stem[len("suite_"):]) for p in sorted(HERE.glob("suite_*.py"))]


# ---- one run ---------------------------------------------------------------------------------------

def make_image(path, tree):
    """512 MiB of ext4 that holds a directory s, in which everybody may write."""
    (tree / "s").mkdir(parents=True)
    (tree / "s").chmod(0o1777)
    with open(path, "wb") as f:
        f.truncate(512 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, path], check=True, stdin=subprocess.DEVNULL)


def command(item, world, tier, top, state):
    """The command line and the scratch directory of a run; always at the same place, so that outputs are the same."""
    scratch = top / "w"
    scratch.mkdir()

    def fill(argv, directory):
        places = {"@SCRATCH@": directory, "@TOP@": top, "@STATE@": state}
        return [re.sub("@[A-Z]+@", lambda m: str(places[m.group()]), a) for a in argv]

    argv = fill(item.argv, scratch)
    if world == "native":
        return argv, scratch
    umview = [UMVIEW] + (["--tier", tier] if tier else [])
    if world == "view":
        return umview + ["--"] + argv, scratch
    make_image(top / "image", top / "tree")
    if world == "mount":
        (top / "elsewhere").mkdir()
        return umview + ["--mount", str(top / "image"), str(top / "elsewhere"), "--"] + argv, scratch
    inside = ["sh", "-c", f'cd {scratch}/s && exec "$@"', "sh"]
    argv = fill(item.image_argv or item.argv, scratch / "s")
    return umview + ["--mount", str(top / "image"), str(scratch), "--"] + inside + argv, scratch


def run_once(item, world, tier, log, state):
    """Runs an item in a world: {test: outcome}.  What it printed is kept in the file log."""
    top = pathlib.Path(tempfile.gettempdir()) / "conform"
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir()
    argv, scratch = command(item, world, tier, top, state)
    if item.setup:
        item.setup(scratch, state)
    where = str(scratch / "s" if world == "image" else scratch)
    environment = dict(PATH=PATH, HOME=where, TMPDIR=where, LC_ALL="C.UTF-8", TZ="UTC",
                       PYTHONDONTWRITEBYTECODE="1", UMT_SOURCES=str(HERE.parent.parent))
    limit = item.image_limit if world == "image" else item.limit
    supervise = [str(BUILD / "tests/lib/supervise"), "-l", "-t", str(limit), "--"]
    with open(log, "wb") as out:
        status = subprocess.run(supervise + argv, cwd=scratch, env=environment, stdin=subprocess.DEVNULL,
                                stdout=out, stderr=subprocess.STDOUT).returncode
    text = pathlib.Path(log).read_text(errors="replace")
    results = item.parse(text, status, top)
    if status == 124:
        results["(end)"] = "none in time"
    if "# left behind: process" in text:
        results["(processes)"] = "left behind"
    subprocess.run(["chmod", "-R", "u+rwX", top], stderr=subprocess.DEVNULL)
    shutil.rmtree(top, ignore_errors=True)
    return results


# ---- state and comparison -----------------------------------------------------------------------------

class State:
    """Results of earlier runs: they hold for the build that they were made with."""

    def __init__(self, directory, tier, fresh):
        self.directory = pathlib.Path(directory).resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.tier = tier
        for world in ("native", "view", "mount", "image") if fresh else ():
            shutil.rmtree(self.place(world), ignore_errors=True)
        self.build = str([(BUILD / f).stat().st_mtime_ns for f in ("umview", "um-agent")])

    def place(self, world):
        return self.directory / (world if world == "native" or not self.tier else f"{world}-{self.tier}")

    def runs(self, suite, item, world, wanted):
        """At least `wanted` runs of an item in a world."""
        base = self.place(world) / f"{suite.name}-{item.name}"
        kept_in = base.with_name(base.name + ".json")
        base.parent.mkdir(exist_ok=True)
        key = item.stamp(world) + ("" if world == "native" else self.build)
        try:
            kept = json.loads(kept_in.read_text())
        except (OSError, ValueError):
            kept = {}
        runs = kept["runs"] if kept.get("key") == key else []
        while len(runs) < wanted:
            runs.append(run_once(item, world, self.tier, f"{base}.{len(runs) + 1}.log", self.directory))
            kept_in.write_text(json.dumps({"key": key, "runs": runs}))
        return runs


def outcomes(runs, test):
    return {r.get(test, "absent") for r in runs}


def differing(native, other):
    """Tests of which no outcome was seen on both sides."""
    tests = sorted({t for r in native + other for t in r})
    return [t for t in tests if not outcomes(native, t) & outcomes(other, t)]


def compare(state, suite, item, options):
    native = state.runs(suite, item, "native", 1)
    other = state.runs(suite, item, options.world, 1)
    for wanted in range(2, (1 if options.short else RUNS) + 1):
        if not differing(native, other):
            break
        native = state.runs(suite, item, "native", wanted)
        other = state.runs(suite, item, options.world, wanted)
    return native, other


def known_differences():
    """[(world, item, test, reason)]: patterns; see known.txt."""
    rows = []
    for line in (HERE / "known.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern, reason = line.split(": ", 1)
            rows.append((*pattern.split(), reason.strip()))
    return rows


class Comparison:
    """What came of one item."""

    def __init__(self, where, native, other, world, known):
        tests = {t for r in native + other for t in r}
        self.where, self.known, self.differ = where, [], []
        for test in differing(native, other):
            line = f"{test}: natively {self.words(native, test)}, {world}: {self.words(other, test)}"
            reasons = [r for w, i, t, r in known if fnmatch.fnmatchcase(world, w)
                       and fnmatch.fnmatchcase(where, i) and fnmatch.fnmatchcase(test, t)]
            if reasons:
                self.known.append(f"{line}: {reasons[0]}")
            else:
                self.differ.append(line)
        self.same = len(tests) - len(self.known) - len(self.differ)
        passed = [t for t in tests if "pass" in outcomes(native, t)]
        self.passed = len(passed)

    @staticmethod
    def words(runs, test):
        return "/".join(sorted(outcomes(runs, test)))


class Report:
    """A table, or TAP."""

    def __init__(self, tap):
        self.tap, self.number, self.bad, self.rows = tap, 0, 0, []
        if not tap:
            print(f"{'item':34} {'passed':>7} {'same':>7} {'known':>6} {'differ':>6}")

    def result(self, c, seconds):
        self.rows.append(c)
        self.bad += bool(c.differ)
        self.number += 1
        if self.tap:
            print(f"{'not ok' if c.differ else 'ok'} {self.number} - {c.where}: {c.same} same, {len(c.known)} known")
        else:
            print(f"{c.where:34} {c.passed:7} {c.same:7} {len(c.known):6} {len(c.differ):6}  {seconds:.0f} s")
        for kind, lines in (("differs", c.differ), ("known", [] if self.tap else c.known)):
            for line in lines:
                print(f"#   {kind}: {line}" if self.tap else f"    {kind}: {line}")
        sys.stdout.flush()

    def skip(self, what, reason):
        self.number += 1
        print(f"ok {self.number} - {what} # SKIP {reason}" if self.tap else f"{what:34} skipped: {reason}", flush=True)

    def end(self):
        if self.tap:
            print(f"1..{self.number}")
        else:
            same, known, differ = (sum(f(r) for r in self.rows) for f in (
                lambda r: r.same, lambda r: len(r.known), lambda r: len(r.differ)))
            print(f"{same} same, {known} differ as known.txt says, {differ} differ")
        return 1 if self.bad else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--world", default="view", choices=["view", "mount", "image"])
    parser.add_argument("--tier", default=os.environ.get("UMVIEW_TIER", ""), choices=["", "patch", "trap"])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--tap", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--state", default=str(BUILD / "conform"))
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    if options.list:
        for suite in suites():
            print("\n".join(f"{suite.name}/{item.name}" for item in suite.items(options)))
        return 0
    os.environ["PATH"] = PATH
    state = State(options.state, options.tier, options.fresh)
    report = Report(options.tap)
    known = known_differences()
    for suite in suites():
        items = list(suite.items(options))
        reason = suite.module.missing() if items else None
        if reason:
            report.skip(suite.name, reason)
            continue
        for item in items:
            if item.lacks:
                report.skip(f"{suite.name}/{item.name}", f"no {item.lacks} here")
                continue
            start = time.monotonic()
            native, other = compare(state, suite, item, options)
            report.result(Comparison(f"{suite.name}/{item.name}", native, other, options.world, known),
                          time.monotonic() - start)
    return report.end()


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.dont_write_bytecode = True
    sys.modules["conform"] = sys.modules["__main__"]
    sys.exit(main())
