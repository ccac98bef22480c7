# SPDX-License-Identifier: GPL-2.0-or-later
"""Large programs doing a day's work: programs/*.sh, run in an empty directory.  A script prints lines `NAME: VALUE`, which are
its tests and their outcomes, and says in a line `# NEEDS: PROGRAM...` what must be installed."""
import re
import shutil

from conform import HERE, Item


def missing():
    return None


def parse(text, status, top):
    results = {"(status)": "pass" if status == 0 else f"status {status}"}
    results.update(re.findall(r"^(\w[\w -]*): (.*)$", text, re.M))
    return results


def items():
    for script in sorted((HERE / "programs").glob("*.sh")):
        needs = re.findall(r"^# NEEDS: (.*)$", script.read_text(), re.M)
        lacks = [p for p in " ".join(needs).split() if not shutil.which(p)]
        yield Item(script.stem, ["sh", str(script)], parse, limit=120, lacks=" ".join(lacks))
