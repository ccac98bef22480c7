#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One row of the matrix, from within: mounts, looks what the file system can do, makes a tree and changes it by random steps beside
a model, unmounts, mounts again and compares everything.

usage: worker.py SPEC	matrix.py runs it, in a view or (the oracle) with the kernel's FUSE; SPEC is its JSON file

What comes of it is written to `result`, as JSON: the features that lack, the phase, and what was wrong in it.
"""
import json
import os
import signal
import subprocess
import sys
import time

import model
import probe

PATIENCE = 40		# seconds for a program to mount, or to end


class Mounted:
    """The program, mounted by its own command line; its processes are known by the mark in their environment."""

    def __init__(self, spec):
        self.spec, self.process = spec, None
        self.log = open(spec["log"], "ab")
        self.mark = "MATRIX_SERVER=%d" % os.getpid()
        self.environment = dict(os.environ, **spec["environment"], MATRIX_SERVER=str(os.getpid()))

    def servers(self):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/environ" % pid, "rb") as f:
                    if self.mark.encode() in f.read().split(b"\0"):
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def wait(self, ready, what):
        end = time.monotonic() + PATIENCE
        while not ready():
            if time.monotonic() > end:
                raise model.Wrong("%s in %d seconds" % (what, PATIENCE))
            time.sleep(0.01)

    def __enter__(self):
        before = os.stat(self.spec["mnt"]).st_dev
        self.process = subprocess.Popen(self.spec["mount"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=self.spec["cwd"],
                                        env=self.environment)

        def mounted():
            if self.process.poll():
                raise model.Wrong("ended with status %d: %s" % (self.process.returncode, self.said()))
            try:
                return os.stat(self.spec["mnt"]).st_dev != before
            except OSError:
                return False
        self.wait(mounted, "not mounted")
        return self

    def said(self):
        self.log.flush()
        with open(self.spec["log"], "rb") as f:
            return f.read().decode(errors="replace").strip()[-300:].replace("\n", "; ")

    def __exit__(self, kind, *_):
        done = subprocess.run(self.spec["unmount"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        try:
            if done.returncode:
                raise model.Wrong("unmounting ended with status %d: %s" % (done.returncode, done.stdout.decode(errors="replace").strip()))

            def ended():
                self.process.poll()
                return not self.servers()
            self.wait(ended, "the program did not end after it was unmounted")
            if self.process.wait():
                raise model.Wrong("ended with status %d: %s" % (self.process.returncode, self.said()))
        except model.Wrong:
            for pid in self.servers():
                os.kill(pid, signal.SIGKILL)
            if not kind:
                raise
        finally:
            self.log.close()


class Row:
    def __init__(self, spec):
        self.spec, self.result = spec, {"phase": "mount", "lacks": {}, "seconds": {}}
        self.since = time.monotonic()

    def phase(self, name):
        now = time.monotonic()
        self.result["seconds"][self.result["phase"]] = round(now - self.since, 2)
        self.since = now
        self.result["phase"] = name
        self.save()

    def save(self):
        with open(self.spec["result"] + ".new", "w") as f:
            json.dump(self.result, f)
        os.rename(self.spec["result"] + ".new", self.spec["result"])

    def top(self, name):
        return os.path.join(self.spec["mnt"], self.spec["below"], name)

    def lacks(self, in_the_end):
        """What the model has to leave out: attributes that are lost by unmounting are left out only after that."""
        lost = {n[:-len(probe.LOST)] for n in self.spec["lacks"] if n.endswith(probe.LOST)}
        return set(self.spec["lacks"]) | set(self.spec["never"]) | (lost if in_the_end else lost - probe.ATTRIBUTES)

    def probe(self):
        spec = self.spec
        with Mounted(self.spec):
            self.phase("probe")
            top = self.top("probe")
            os.mkdir(top)
            self.result["lacks"] = probe.probe(top, False, {}, spec["never"])
        with Mounted(self.spec):
            self.phase("probe again")
            self.result["lacks"].update(probe.probe(top, True, dict(self.result["lacks"]), spec["never"]))
        found, said = set(self.result["lacks"]), set(spec["lacks"]) | set(spec["never"])
        if found - said:
            raise model.Wrong("lacks what others have: " + ", ".join("%s (%s)" % (n, self.result["lacks"][n]) for n in sorted(found - said)))
        if said - found and spec["strict"]:
            raise model.Wrong("has what the table says it lacks: " + ", ".join(sorted(said - found)))

    def writable(self):
        spec = self.spec
        self.probe()
        tree = model.Tree(spec["seed"], self.lacks(False), self.top("tree"), spec["keep"])
        with Mounted(spec):
            self.phase("first tree")
            tree.populate(spec["files"])
            self.phase("steps")
            try:
                tree.run(spec["steps"], True, spec["plant"])
            finally:
                tree.close()
            self.phase("unmount")
        tree.lacks = self.lacks(True)
        with Mounted(spec):
            self.phase("compare")
            tree.check_all()
            self.phase("unmount again")
        self.phase("done")

    def read_only(self):
        spec = self.spec
        tree = model.Tree(spec["seed"], self.lacks(True))
        tree.populate(spec["files"])
        tree.give_times()
        tree.top = self.top("tree")
        with Mounted(spec):
            self.phase("steps")
            tree.run(spec["steps"], False, spec["plant"])
            self.phase("unmount")
        with Mounted(spec):
            self.phase("compare")
            tree.check_all()
            self.phase("unmount again")
        self.phase("done")

    def run(self):
        try:
            self.writable() if self.spec["writable"] else self.read_only()
        except (model.Wrong, OSError, subprocess.TimeoutExpired) as e:
            self.result["wrong"] = str(e)
        except Exception as e:
            self.result["wrong"] = "the test itself: %r" % e
            raise
        finally:
            self.save()


def main():
    with open(sys.argv[1]) as f:
        spec = json.load(f)
    Row(spec).run()


if __name__ == "__main__":
    main()
