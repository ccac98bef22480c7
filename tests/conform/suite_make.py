# SPDX-License-Identifier: GPL-2.0-or-later
"""`make check` of GNU packages, whose sources come from Debian.  They are configured and built natively, once; what is run on
both sides is `make check` in the same directory.  On an image everything from ./configure on happens there."""
import re
import shutil
import subprocess

from conform import HERE, Item

PACKAGES = {"hello": 120, "sed": 300, "grep": 900, "findutils": 900, "tar": 900}


def tests(function, *directories):
    """Those tests of coreutils that $(filter) or $(filter-out) leaves, by directory."""
    return ["SUBDIRS=.", f"TESTS=$({function} {' '.join(f'tests/{d}/%' for d in directories)},$(all_tests) $(factor_tests))"]


# coreutils has a thousand tests; in pieces a run that is stopped goes on where it was.
FILES = "cp mv rm ln install mkdir rmdir touch chmod chown chgrp readlink".split()
COREUTILS = {"misc": tests("filter", "misc"), "files": tests("filter", *FILES), "rest": tests("filter-out", "misc", *FILES),
             "gnulib": ["-C", "gnulib-tests"]}


BUILDING = 1200         # seconds for ./configure and make on an image, where others work, too


def missing():
    for program in ("apt-get", "gcc", "make", "xz"):
        if not shutil.which(program):
            return f"no {program} here"
    return None


def parse(text, status, top):
    """automake's lines (PASS: NAME), and autotest's (NUMBER: NAME ok)."""
    results = {"(status)": "pass" if status == 0 else f"status {status}"}
    for m in re.finditer(r"^(PASS|FAIL|SKIP|XFAIL|XPASS|ERROR): (\S+)", text, re.M):
        results[m.group(2)] = m.group(1).lower()
    for m in re.finditer(r"^ *(\d+): (.*?) +(ok|skipped|FAILED|expected failure)\b", text, re.M):
        results[f"{m.group(1)} {m.group(2)}"] = {"ok": "pass", "skipped": "skip"}.get(m.group(3), m.group(3))
    return results


def prepare(package):
    def setup(scratch, state):
        source, tree = state / "make" / (package + ".src"), state / "make" / package
        if not source.exists():
            subprocess.run([HERE / "fetch-source.sh", package, source], check=True)
        if not (tree / "built").exists():
            shutil.rmtree(tree, ignore_errors=True)
            subprocess.run(["cp", "-a", source, tree], check=True)
            with open(state / "make" / (package + ".log"), "wb") as log:
                subprocess.run("./configure --quiet && make -s -j2 && make -s -j2 check TESTS= TESTSUITEFLAGS=--version"
                               " && touch built", shell=True, cwd=tree, check=True, stdin=subprocess.DEVNULL,
                               stdout=log, stderr=log)
    return setup


def item(name, package, limit, arguments):
    inside = f"cp -a @STATE@/make/{package}.src t && cd t && ./configure --quiet && make -s -j2 && exec make -k -j2 check"
    return Item(name, ["make", "-C", f"@STATE@/make/{package}", "-k", "-j2", "check"] + arguments, parse, limit=limit,
                setup=prepare(package), image_argv=["sh", "-c", inside + ' "$@"', "sh"] + arguments,
                image_limit=limit + BUILDING)


def items():
    for package, limit in PACKAGES.items():
        yield item(package, package, limit, [])
    for piece, arguments in COREUTILS.items():
        yield item("coreutils-" + piece, "coreutils", 900, arguments)
