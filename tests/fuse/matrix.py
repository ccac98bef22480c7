#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unmodified FUSE programs in a view, each beside a model in memory: which work, and what they can do.

usage: matrix.py [--rows A,B] [--steps N] [--files N] [--seed S] [--how own,umview] [--jobs N] [--keep]	some rows, or all
       matrix.py --oracle ...	the same programs with the kernel's FUSE: needs root and /dev/fuse
       matrix.py --check	a shorter run, as TAP: what is not installed is skipped, with that reason
       matrix.py --plant byte|name|size ...	the model is made wrong: every row must fail
       matrix.py --table	all as ordinary user, as root, and with the kernel's FUSE, as far as that can be had here; writes docs/fuse.md

A row (rows.py) is mounted by its own command line (`own`) or by `umview mount` (`umview`).  worker.py does the rest inside of the
view: what the file system can do (probe.py) must be what the row says, then come a tree of files, random steps, each compared with the
model at once (model.py), unmounting, mounting again, and the comparison of everything.  What a program leaves behind (processes, mounts,
temporary files) is a failure, too.  Environment: UMVIEW, TMPDIR.
"""
import argparse
import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import rows
import table

HERE = os.path.dirname(os.path.realpath(__file__))
UMVIEW = os.path.abspath(os.environ.get("UMVIEW", os.path.join(HERE, "../../build/umview")))
FULL = {"files": 1000, "steps": 10000, "limit": 600}
CHECK = {"files": 300, "steps": 1500, "limit": 60}
PLANTED = {"files": 60, "steps": 200, "limit": 60}


class Run:
    """One row, mounted in one way."""

    def __init__(self, row, how, size, options):
        self.row, self.how, self.size, self.options = row, how, size, options
        self.result = {"row": row.name, "how": how, "lacks": {}, "phase": "make", "seconds": {}}

    def name(self):
        return self.row.name + (", umview mount" if self.how == "umview" else "")

    def processes(self):
        """The ids of what was started for this row and still lives."""
        found, mark = [], ("MATRIX_ROW=%s" % self.mark).encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/environ" % pid, "rb") as f:
                    if mark in f.read().split(b"\0"):
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def kill_all(self):
        """What there was, in words."""
        said = []
        for _ in range(20):
            left = self.processes()
            if not left:
                break
            for pid in left:
                try:
                    with open("/proc/%d/cmdline" % pid) as f:
                        said.append(f.read().replace("\0", " ").strip()[:80])
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            time.sleep(0.1)
        return said

    def command(self, spec):
        worker = [sys.executable, "-B", os.path.join(HERE, "worker.py"), spec]
        if self.options.oracle:
            return ["unshare", "-m", "--propagation", "private"] + worker
        return [UMVIEW, "--"] + worker

    def spec(self, place):
        w, row = place.w, self.row
        mount, unmount = row.mount, ["fusermount", "-u", "{mnt}"]
        if self.how == "umview":
            mount, unmount = [UMVIEW, "mount"] + row.umview, [UMVIEW, "umount", "{mnt}"]
        elif self.options.oracle:
            unmount = ["umount", "{mnt}"]
        words = {k: [word.format(**place.words) for word in v] for k, v in (("mount", mount), ("unmount", unmount))}
        return dict(words, mnt=place.words["mnt"], below=row.below, log=w + "/log", result=w + "/result", cwd=w,
                    environment=row.environment, lacks=sorted(row.lacks), never=row.never, writable=row.writable, strict=self.options.oracle, files=self.size["files"],
                    steps=self.size["steps"], keep=bool(row.keep), seed=self.options.seed, plant=self.options.plant)

    def wait(self, process):
        """Until it is over, or its time is."""
        try:
            process.wait(self.size["limit"])
        except subprocess.TimeoutExpired:
            self.kill_all()
            process.kill()
            process.wait()
            return "no end in %d seconds" % self.size["limit"]
        return None if not process.returncode else "the view ended with status %d" % process.returncode

    def once(self, place):
        with open(place.w + "/spec", "w") as f:
            json.dump(self.spec(place), f)
        environment = dict(os.environ, MATRIX_ROW=self.mark, LC_ALL="C.UTF-8", TMPDIR=place.w + "/tmp", HOME=place.w + "/home")
        environment.pop("XDG_RUNTIME_DIR", None)
        with open(place.w + "/said", "wb") as said:
            process = subprocess.Popen(self.command(place.w + "/spec"), stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment,
                                       cwd=place.w, start_new_session=True)
            wrong = self.wait(process)
        end = time.monotonic() + 5
        while self.processes() and time.monotonic() < end:
            time.sleep(0.05)
        left = ["process %s" % p for p in self.kill_all()]
        left += ["temporary file %s" % n for n in os.listdir(place.w + "/tmp")]
        with open("/proc/self/mounts") as f:
            left += ["mount " + line.split()[1] for line in f if " " + place.w in line]
        try:
            with open(place.w + "/result") as f:
                self.result.update(json.load(f))
        except OSError:
            wrong = wrong or "no result"
        if wrong and "wrong" not in self.result:
            with open(place.w + "/said", errors="replace") as f:
                self.result["wrong"] = (wrong + " " + f.read()[-500:]).strip()
        if left and "wrong" not in self.result:
            self.result["wrong"] = "left behind: " + "; ".join(left)

    def run(self):
        missing = self.row.missing()
        if missing:
            self.result["skip"] = "%s is not installed" % missing
            return self
        if self.row.slow and self.options.check:
            self.result["skip"] = "not in the check: " + self.row.slow
            return self
        w = tempfile.mkdtemp(prefix="fuse-matrix.")
        self.mark = os.path.basename(w)
        began = time.monotonic()
        place = None
        try:
            place = rows.Place(w, self.row, self.options.seed, self.size["files"], self.options.oracle)
            self.row.make(place)
            self.once(place)
        except (OSError, subprocess.TimeoutExpired) as e:
            self.result["wrong"] = str(e)
        finally:
            if place:
                place.close()
            self.result["time"] = round(time.monotonic() - began, 1)
            if self.options.keep:
                self.result["kept"] = w
            else:
                shutil.rmtree(w, ignore_errors=True)
        return self


def chosen_rows(options):
    names = options.rows.split(",") if options.rows else [r.name for r in rows.ROWS]
    for name in names:
        if name not in {r.name for r in rows.ROWS}:
            sys.exit("matrix.py: no row %r; there are: %s" % (name, ", ".join(r.name for r in rows.ROWS)))
    return [r for r in rows.ROWS if r.name in names]


def chosen_runs(options, size):
    hows = ["own"] if options.oracle else options.how.split(",")
    return [Run(row, how, size, options) for row in chosen_rows(options) for how in hows if how == "own" or row.umview]


def all_results(runs, options):
    """Each as soon as it and those before it are there."""
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for future in [pool.submit(r.run) for r in runs]:
            yield future.result()


def tell(run, number, passed, text):
    """One line of TAP, and what there is to say about it."""
    r = run.result
    if "skip" in r:
        print("ok %d - %s # SKIP %s" % (number, text, r["skip"]), flush=True)
        return True
    if run.row.fault and not run.options.oracle and not run.options.plant:
        if not passed:
            print("ok %d - %s # SKIP it does not work: %s" % (number, text, run.row.fault), flush=True)
            return True
        passed, r["wrong"] = False, "it works, although rows.py says: " + run.row.fault
    print("%s %d - %s (%.1f s)" % ("ok" if passed else "not ok", number, text, r["time"]))
    if not passed:
        print("# %s: %s" % (r["phase"], r.get("wrong", "nothing wrong was found").replace("\n", "\n# ")))
        print("# again: tests/fuse/matrix.py --rows '%s' --how %s --files %d --steps %d --seed %d" %
              (run.row.name, run.how, run.size["files"], run.size["steps"], run.options.seed))
    elif r["lacks"]:
        print("# lacks: " + ", ".join("%s (%s)" % pair for pair in sorted(r["lacks"].items())))
    if "kept" in r:
        print("# kept: " + r["kept"])
    sys.stdout.flush()
    return passed


def found_in_model(run):
    """Whether a planted error was found where it was planted, not something else before."""
    return "wrong" in run.result and run.result["phase"] in ("steps", "compare")


def run_rows(options, size):
    runs, good = chosen_runs(options, size), True
    results = []
    for n, run in enumerate(all_results(runs, options), 1):
        passed = found_in_model(run) if options.plant else "wrong" not in run.result
        good &= tell(run, n, passed, run.name() + (": a planted %s is found" % options.plant if options.plant else ""))
        results.append(run.result)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(results, f)
    if not options.check:
        print("1..%d" % len(runs))
    return good, len(runs)


def check(options):
    """A shorter run; and what is planted must be found."""
    good, n = run_rows(options, CHECK)
    for kind in "byte", "name", "size":
        planted = argparse.Namespace(**vars(options))
        planted.plant, planted.rows, planted.how = kind, options.rows or "fuse2fs,squashfuse", "own"
        for run in all_results(chosen_runs(planted, PLANTED), planted):
            n += 1
            good &= tell(run, n, found_in_model(run), "%s: a planted %s is found" % (run.name(), kind))
    print("1..%d" % n)
    return good


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    for name in "rows", "json":
        parser.add_argument("--" + name)
    for name in "steps", "files", "limit":
        parser.add_argument("--" + name, type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--how", default="own,umview")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--plant", choices=("byte", "name", "size"))
    for name in "keep", "check", "table", "oracle":
        parser.add_argument("--" + name, action="store_true")
    options = parser.parse_args()
    size = {k: getattr(options, k) or v for k, v in (CHECK if options.check else FULL).items()}
    if options.oracle and (os.geteuid() or not os.access("/dev/fuse", os.R_OK | os.W_OK)):
        sys.exit("matrix.py: the oracle needs root and /dev/fuse")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if options.table:
        return table.write(options, size)
    return not (check(options) if options.check else run_rows(options, size)[0])


if __name__ == "__main__":
    sys.exit(main())
