# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's test suite of Python (package libpython3.11-testsuite), run by Debian's python3."""
import os
import re
import xml.etree.ElementTree

from conform import Item

TESTS = ("os posix subprocess signal threading socket select mmap fcntl shutil pathlib tempfile asyncio "
         "multiprocessing_fork multiprocessing_spawn").split()
SHORT = "os posix select mmap fcntl tempfile".split()


# Talks to the virtual machine's host, where there is one, and waits for it for ever.
LEFT_OUT = "test.test_socket.ThreadedVSOCKSocketStreamTest.*"

# test_shutil asks, while it is loaded, whether there are extended attributes, by a file that is open while its directory is
# removed: with libfuse 2 there is still one in it then, and no test is run at all.  On an image it is told "no".
ON_IMAGE = {"shutil": "import runpy, test.support.os_helper as helper; helper._can_xattr = False;"
                      "runpy.run_module('test', run_name='__main__', alter_sys=True)"}


def missing():
    if not os.path.exists("/usr/lib/python3.11/test/test_os.py"):
        return "no libpython3.11-testsuite here"
    return None


def parse(text, status, top):
    """From the XML file: what ran.  From the text: what failed, for the file knows nothing of subtests."""
    results = {"(status)": str(status)}
    if (top / "junit.xml").exists():
        for case in xml.etree.ElementTree.parse(top / "junit.xml").iter("testcase"):
            skipped = case.find("skipped") is not None or case.get("status") == "skipped"
            results[case.get("name")] = "skip" if skipped else "pass"
    if len(results) == 1:
        for m in re.finditer(r"^test\w* \(([\w.]+)\).*? \.\.\. (?:.*?)(ok|skipped|ERROR|FAIL)\b", text, re.M):
            results[m.group(1)] = {"ok": "pass", "skipped": "skip"}.get(m.group(2), "fail")
    for m in re.finditer(r"^(ERROR|FAIL): \S+ \(([\w.]+)\)", text, re.M):
        results[m.group(2)] = "fail"
    return results


def items():
    for name in TESTS:
        argv = ["-v", "--timeout", "280", "--junit-xml", "@TOP@/junit.xml", "--ignore", LEFT_OUT, "test_" + name]
        start = ["/usr/bin/python3", "-m", "test"]
        image = ["/usr/bin/python3", "-c", ON_IMAGE[name]] if name in ON_IMAGE else start
        yield Item("test_" + name, start + argv, parse, limit=300, short=name in SHORT, image_argv=image + argv)
