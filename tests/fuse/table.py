# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes docs/fuse.md from runs of the matrix: as ordinary user, as root, and with the kernel's FUSE, as far as that can be had here."""
import json
import os
import subprocess
import sys
import tempfile

import rows

HERE = os.path.dirname(os.path.realpath(__file__))
DOC = os.path.join(HERE, "../../docs/fuse.md")
AS_USER = os.path.join(HERE, "../lib/as-user.sh")

HEAD = """# FUSE programs in a view

Unmodified programs of Debian 12, mounted inside a view by their own command line (*own*) or by `umview mount` (*umview*), without
`/dev/fuse` and without privilege. Written by `tests/fuse/matrix.py --table`: {files} files, {steps} random steps per run, seed {seed}.

Each run makes a tree in the file system beside a model in memory (read-only ones get it in their image), changes it by random steps (read, write, truncate,
private and shared read-only `mmap`, append, stat, readdir, names, links, attributes), each compared with the model at once, unmounts, mounts again, and compares
all names, attributes and contents. *good*: nothing differed, and nothing was left behind. *kernel* is the same program with the kernel's FUSE, as root.

| program | version | written in, with | mounted by | what | user | root | kernel |
|---|---|---|---|---|---|---|---|
"""

LACKS = """
## What they cannot do

Found out before each run (`tests/fuse/probe.py`), and not what UMview lacks: it is so with the kernel's FUSE, too. What is not in the list of a program it
can do: hard links and their count, symbolic links, FIFOs, modes, times, extended attributes, files without a name, renames of whatever is open or replaced,
holes, names in UTF-8. *links seen*: a change by one name of a file shows at once by its others. *(lost)*: it works, but is not kept when it is unmounted.

| program | lacks | in a view it has |
|---|---|---|
"""


def version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.decode() or "?"


def matrix(before, options, *words):
    """{(row, how): result} of one run of the matrix; what it says goes to standard error."""
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o777)
        command = before + ["python3", "-B", os.path.join(HERE, "matrix.py"), "--json", d + "/json", "--seed", str(options.seed),
                            "--jobs", str(options.jobs)] + list(words)
        for name in "rows", "files", "steps", "limit":
            if getattr(options, name):
                command += ["--" + name, str(getattr(options, name))]
        subprocess.run(command, stdout=sys.stderr, env=dict(os.environ, PATH="/usr/local/bin:/usr/bin:/bin"))	# a python3 for everybody
        with open(d + "/json") as f:
            return {(r["row"], r["how"]): r for r in json.load(f)}


def word(result):
    if not result:
        return "-"
    if "skip" in result:
        return "not installed"
    return "**fails**" if "wrong" in result else "good"


def faults(results):
    said = []
    for who, found in results.items():
        for r in found.values():
            if "wrong" in r:
                last = r["wrong"].split("; ")[-1].replace("\n", " ")[-200:]
                said.append("- %s, %s, %s, in \"%s\": %s" % (r["row"], r["how"], who, r["phase"], last))
    return "\n## What fails\n\n" + "\n".join(said) + "\n" if said else ""


def write(options, size):
    root = not os.geteuid()
    results = {"user": matrix([AS_USER] if root else [], options), "root": matrix([], options) if root else {},
               "kernel": matrix([], options, "--oracle") if root and os.access("/dev/fuse", os.R_OK) else {}}
    text, lacks, notes = HEAD.format(seed=options.seed, **size), LACKS, []
    for row in rows.ROWS:
        for how in "own", "umview":
            got = [results[who].get((row.name, how)) for who in results]
            if any(got):
                text += "| %s | %s | %s | %s | %s | %s |\n" % (row.name, version(row.package), row.library, how,
                                                            "writable" if row.writable else "read-only", " | ".join(map(word, got)))
        known = set(row.lacks) | set(row.never)
        if known:
            mine = results["user"].get((row.name, "own"), {})
            more = known - set(mine["lacks"]) if row.writable and mine.get("phase") == "done" else set()
            said = [n + (" (%s)" % row.never[n] if n in row.never else "") for n in sorted(known)]
            lacks += "| %s | %s | %s |\n" % (row.name, ", ".join(said), ", ".join(sorted(more)))
        notes += ["- %s: %s" % (row.name, n) for n in (row.note, row.keep and "files that are removed stay open until the end: " + row.keep, row.fault and "does not work in a view: " + row.fault) if n]
    with open(DOC, "w") as f:
        f.write(text + lacks + "\n## Notes\n\n" + "\n".join(notes) + "\n" + faults(results))
    return 0
