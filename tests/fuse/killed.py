#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""FUSE programs that are killed at random moments, while guests work in what they have mounted.

usage: killed.py [--kills N] [--seed S] [--servers A,B]	N kills in all (30), as TAP; environment: UMVIEW

Each round mounts, starts four guests, and kills the server after up to 0.15 s.  Every guest must see ENOTCONN, from the call it was in and from each
after that, and go on; no call may hang.  Then it is unmounted, repaired as its own checker does (fuse2fs), and mounted again: the next
round begins with reading all there is.  What a guest had synchronised must be there, whole.
"""
import argparse
import errno
import fcntl
import json
import mmap
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

UMVIEW = os.path.abspath(os.environ.get("UMVIEW", "build/umview"))
GUESTS = 4
HANG = 20		# seconds that no call takes, however busy the machine is
SIZE = 6000
FRESH = 20		# rounds, then what is mounted is made anew


class Wrong(Exception):
    pass


def contents(path):
    return (os.path.basename(path).encode() * SIZE)[:SIZE]


# ---- what is mounted -----------------------------------------------------------------------------------------------


def quietly(*command, accept=(0,)):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    if done.returncode not in accept:
        raise Wrong("%s: status %d: %s" % (" ".join(command), done.returncode, done.stdout.decode(errors="replace")[-300:]))


class Bindfs:
    program, keeps = "bindfs", True		# what was synchronised survives the server

    def make(self, w):
        shutil.rmtree(w + "/source", ignore_errors=True)
        os.mkdir(w + "/source")

    def mount(self, w):
        quietly("bindfs", w + "/source", w + "/mnt")

    def repair(self, w):
        pass


class Fuse2fs:
    program, keeps = "fuse2fs", False

    def make(self, w):
        with open(w + "/image", "wb") as f:
            f.truncate(16 << 20)
        quietly("mke2fs", "-q", "-F", "-t", "ext4", "-E", "root_owner=%d:%d" % (os.geteuid(), os.getegid()), w + "/image")

    def mount(self, w):
        quietly(UMVIEW, "mount", w + "/image", w + "/mnt")

    def repair(self, w):
        quietly("e2fsck", "-fy", w + "/image", accept=(0, 1))


class Gocryptfs:
    program, keeps = "gocryptfs", True

    def make(self, w):
        shutil.rmtree(w + "/cipher", ignore_errors=True)
        os.mkdir(w + "/cipher")
        with open(w + "/password", "w") as f:
            f.write("secret\n")
        quietly("gocryptfs", "-q", "-init", "-scryptn", "10", "-passfile", w + "/password", w + "/cipher")

    def mount(self, w):
        quietly("gocryptfs", "-q", "-passfile", w + "/password", w + "/cipher", w + "/mnt")

    def repair(self, w):
        pass


SERVERS = {s.program: s for s in (Bindfs, Fuse2fs, Gocryptfs)}


# ---- a guest -------------------------------------------------------------------------------------------------------


class Guest:
    """Works in a directory of its own until its mount is lost; forked, so its last word goes through a pipe."""

    def __init__(self, top, number, seed):
        self.top, self.mnt = "%s/guest%d" % (top, number), top
        self.random, self.number = random.Random(seed), 0
        self.files, self.synced, self.longest, self.calls = [], [], 0.0, 0

    def new(self):
        self.number += 1
        return "%s/n%d-%d" % (self.top, os.getpid(), self.number)

    def step_create(self):
        path = self.new()
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        try:
            os.write(fd, contents(path))
            if self.random.random() < 0.3:
                os.fsync(fd)
                self.synced.append(path)
        finally:
            os.close(fd)
        self.files.append(path)

    def some(self):
        if not self.files:
            self.step_create()
        return self.random.choice(self.files)

    def step_read(self):
        path = self.some()
        with open(path, "rb", buffering=0) as f:
            got = f.read(SIZE + 1)
        if got != contents(path):
            raise Wrong("%s: %d bytes, not what was written" % (path, len(got)))

    def step_map(self):
        path = self.some()
        fd = os.open(path, os.O_RDWR)
        try:
            with mmap.mmap(fd, SIZE) as m:
                m[:1] = m[:1]
                m.flush()
        finally:
            os.close(fd)

    def step_lock(self):
        fd = os.open(self.mnt + "/lock", os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX)
            os.pwrite(fd, b"x", 0)
        finally:
            os.close(fd)

    def step_list(self):
        os.listdir(self.top)

    def step_stat(self):
        os.stat(self.some())

    def step_remove(self):
        path = self.some()
        self.files.remove(path)
        if path in self.synced:
            self.synced.remove(path)
        os.unlink(path)

    def step_away(self):
        """There and back, by a name that nobody else has."""
        path = self.some()
        if path in self.synced:
            return
        os.rename(path, path + ".away")
        os.rename(path + ".away", path)

    STEPS = (step_create, step_create, step_create, step_read, step_read, step_map, step_lock, step_list, step_stat, step_stat, step_remove, step_away)

    def lost(self, action):
        """Does it end with the loss of the mount?"""
        since = time.monotonic()
        try:
            action()
        except OSError as e:
            if e.errno not in (errno.ENOTCONN, errno.ECONNABORTED):
                raise
            return True
        finally:
            self.longest = max(self.longest, time.monotonic() - since)
            self.calls += 1
        return False

    def make_top(self):
        try:
            os.mkdir(self.top)
        except FileExistsError:
            pass

    def work(self):
        lost = self.lost(self.make_top)
        while not lost:
            step = self.random.choice(self.STEPS)
            lost = self.lost(lambda: step(self))
        for call in (lambda: os.stat(self.mnt), lambda: os.listdir(self.top), lambda: os.mkdir(self.top + "/x"), lambda: open(self.mnt + "/lock")):
            if not self.lost(call):
                raise Wrong("a call worked after the server was killed")

    def run(self, pipe):
        wrong = None
        try:
            self.work()
        except (Wrong, OSError) as e:
            where = traceback.extract_tb(e.__traceback__)[-1]
            wrong = "%s: %s in line %d, `%s`" % (type(e).__name__, e, where.lineno, where.line)
        said = {"wrong": wrong, "longest": self.longest, "calls": self.calls, "synced": [os.path.relpath(p, self.mnt) for p in self.synced]}
        os.write(pipe, json.dumps(said).encode())


# ---- rounds, inside of the view ------------------------------------------------------------------------------------


class Rounds:
    def __init__(self, w, server, seed):
        self.w, self.server, self.random = w, SERVERS[server](), random.Random(seed)
        self.mnt, self.expected, self.longest, self.calls = w + "/mnt", [], 0.0, 0

    def server_id(self):
        said = subprocess.run([UMVIEW, "ls", "--json"], stdout=subprocess.PIPE, check=True).stdout
        return json.loads(said)[-1]["server"]

    def start(self, number):
        r, w = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(r)
            try:
                Guest(self.mnt, number, self.random.random()).run(w)
            finally:
                os._exit(0)
        os.close(w)
        return pid, r

    def end(self, pid, pipe):
        """What the guest says in the end."""
        end = time.monotonic() + HANG
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > end:
                with open("/proc/%d/syscall" % pid) as f:
                    where = f.read().strip()
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise Wrong("a guest hangs (%s)" % where)
            time.sleep(0.002)
        status = os.waitpid(pid, 0)[1]
        with open(pipe, "rb") as f:
            said = f.read()
        if status or not said:
            raise Wrong("a guest ended with status %#x" % status)
        said = json.loads(said)
        if said["wrong"]:
            raise Wrong("a guest: " + said["wrong"])
        return said

    def look(self):
        """All there is can be read, and what was synchronised is whole."""
        for top, _, names in os.walk(self.mnt):
            for name in names:
                with open(os.path.join(top, name), "rb") as f:
                    f.read()
        for path in self.expected if self.server.keeps else ():
            with open(os.path.join(self.mnt, path), "rb") as f:
                if f.read() != contents(path):
                    raise Wrong("%s was synchronised, and is not what was written" % path)

    def round(self, number):
        if number % FRESH == 0:
            self.server.make(self.w)
            self.expected = []
        self.server.mount(self.w)
        self.look()
        server = self.server_id()
        guests = [self.start(i) for i in range(GUESTS)]
        time.sleep(self.random.random() * 0.15)
        os.kill(server, signal.SIGKILL)
        said = [self.end(*g) for g in guests]
        for s in said:
            self.expected += s["synced"]
            self.longest = max(self.longest, s["longest"])
            self.calls += s["calls"]
        quietly(UMVIEW, "umount", self.mnt)
        self.server.repair(self.w)

    def run(self, kills):
        os.mkdir(self.mnt)
        for i in range(kills):
            try:
                self.round(i)
            except (Wrong, OSError, subprocess.SubprocessError) as e:
                print("# %s: kill %d: %s" % (self.server.program, i + 1, e))
                return 1
        print("# %s: %d kills, %d steps, the longest took %.3f s" % (self.server.program, kills, self.calls, self.longest))
        return 0


# ---- outside -------------------------------------------------------------------------------------------------------


def one(server, kills, seed):
    """0: good, 1: not"""
    w = tempfile.mkdtemp(prefix="fuse-killed.")
    try:
        done = subprocess.run([UMVIEW, "--", sys.executable, "-B", os.path.realpath(__file__), "--inside", w, "--servers", server, "--kills", str(kills),
                               "--seed", str(seed)], stdin=subprocess.DEVNULL, timeout=60 + 10 * kills)
        return done.returncode
    except subprocess.TimeoutExpired:
        print("# no end in %d seconds" % (60 + 10 * kills))
        return 1
    finally:
        shutil.rmtree(w, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--servers", default=",".join(SERVERS))
    parser.add_argument("--inside")
    options = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if options.inside:
        return Rounds(options.inside, options.servers, options.seed).run(options.kills)
    servers, good = options.servers.split(","), True
    print("1..%d" % len(servers))
    sys.stdout.flush()
    for n, server in enumerate(servers, 1):
        what = "%d - %s: killed at random moments" % (n, server)
        if not shutil.which(server):
            print("ok %s # SKIP %s is not installed" % (what, server))
            continue
        bad = one(server, options.kills // len(servers), options.seed)
        print("%s %s" % ("not ok" if bad else "ok", what))
        sys.stdout.flush()
        good &= not bad
    return not good


if __name__ == "__main__":
    sys.exit(main())
