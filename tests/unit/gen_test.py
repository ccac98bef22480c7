#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""src/tools/gen_syscalls.py: the real table is accepted, and each kind of mistake in it is refused with the
line it is in.  Prints TAP.

usage: gen_test.py [SOURCE_DIRECTORY]
"""
import os
import subprocess
import sys
import tempfile

ROOT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
GEN = os.path.join(ROOT, "src/tools/gen_syscalls.py")
with open(os.path.join(ROOT, "src/syscalls.tbl"), encoding="utf-8") as f:
    GOOD = f.read()

count = failed = 0


def ok(good, what, output=""):
    global count, failed
    count += 1
    failed += not good
    print(("" if good else "not ") + f"ok {count} - {what}")
    if not good:
        for line in output.splitlines():
            print("# " + line)


def run(directory, table, *options):
    path = os.path.join(directory, "syscalls.tbl")
    with open(path, "w", encoding="utf-8") as f:
        f.write(table)
    p = subprocess.run([sys.executable, GEN, path, *options], capture_output=True, text=True, check=False)
    return p.returncode, p.stderr


def change(old, new):
    """The table with one row changed."""
    if GOOD.count(old) != 1:
        raise SystemExit(f"Bail out! `{old}` is not once in the table")
    return GOOD.replace(old, new)


GETPID = "39   getpid()  free  kernel\n"
READ = "0    read(fd fd, out buf[count], size count)  handler  full\n"
QUOTA = "443  quotactl_fd(fd fd, uint cmd, uint id, addr data)  realfd ENOSYS  partial  no quotas on virtual file systems\n"
MUNMAP = "munmap(addr addr, size length)  free if addr not agent and length below 4G, else handler  full\n"

# what is wrong, the row, what it becomes, part of the message
MISTAKES = [
    ("an unknown class", GETPID, GETPID.replace("free", "fre"), "unknown class `fre`"),
    ("an unknown type", READ, READ.replace("fd fd", "fdd fd"), "unknown type `fdd`"),
    ("an unknown support level", GETPID, GETPID.replace("kernel", "perfect"), "unknown support level"),
    ("an unknown errno", QUOTA, QUOTA.replace("ENOSYS", "ENOSUS"), "unknown errno `ENOSUS`"),
    ("a row without columns", GETPID, "39   getpid()\n", "a row needs number"),
    ("a number that is none", GETPID, GETPID.replace("39", "3x"), "`3x` is no number"),
    ("a missing number", GETPID, "", "number 39 is missing"),
    ("a number twice", GETPID, GETPID + "39   getpid2()  free  kernel\n", "number 39 is already getpid"),
    ("a name twice", GETPID, GETPID + "400  getpid()  free  kernel\n", "getpid is already in line"),
    ("a number no kernel has", GETPID, GETPID + "400  other()  free  kernel\n", "number 400 is not in"),
    ("a wrong number", GETPID, GETPID.replace("39 ", "110"), "getpid is number 39"),
    ("a misspelt name", GETPID, GETPID.replace("getpid", "getpit"), "number 39 is getpid"),
    ("partial without a reason", QUOTA, QUOTA.replace("  no quotas on virtual file systems", ""), "needs a note"),
    ("refuse that claims support", QUOTA, QUOTA.replace("realfd", "refuse"), "do not fit"),
    ("free that claims full support", GETPID, GETPID.replace("kernel", "full"), "never reaches us"),
    ("realfd without a descriptor", QUOTA, QUOTA.replace("fd fd", "int fd"), "no argument is a descriptor"),
    ("a size nobody names", READ, READ.replace("[count]", "[length]"), "`length` is no argument of read"),
    ("an alias of what is no call", "= faccessat2(AT_FDCWD, name, mode, 0)", "= faccessat3(AT_FDCWD, name, mode, 0)",
     "access = faccessat3(), which has no handler"),
    ("an alias of a call without handler", "= faccessat2(AT_FDCWD, name, mode, 0)", "= getpid()",
     "which has no handler"),
    ("an alias with too few arguments", "= faccessat2(AT_FDCWD, name, mode, 0)", "= faccessat2(AT_FDCWD, name, mode)",
     "faccessat2() has 4 arguments, not 3"),
    ("an alias with an unknown argument", "= faccessat2(AT_FDCWD, name, mode, 0)",
     "= faccessat2(AT_FDCWD, path, mode, 0)", "`path` is no argument of access"),
    ("a test of what is no argument", MUNMAP, MUNMAP.replace("if addr", "if where"), "`where` is no argument"),
    ("a test the filter cannot make", MUNMAP, MUNMAP.replace("not agent", "looks odd"), "is no test"),
    ("a test of the wrong width", MUNMAP, MUNMAP.replace("size length", "int length"), "needs an argument of 64 bits"),
    ("else without a test", GETPID, GETPID.replace("free", "free, else handler"), "needs a test"),
    ("an identity without a handler", GETPID, GETPID.replace("free", "free unless identity, else pass"), "needs a test"),
    ("an exception nobody knows", GETPID, GETPID.replace("free", "free unless asleep, else handler"), "unknown class"),
    ("two arguments of one name", READ, READ.replace("size count)", "size buf)"), "two arguments of one name"),
]


def test_mistakes(directory):
    for what, old, new, message in MISTAKES:
        status, output = run(directory, change(old, new), os.path.join(directory, "out"))
        ok(status == 1 and message in output and "syscalls.tbl:" in output, what, f"{status} {output}")
    ok(not os.path.exists(os.path.join(directory, "out")), "nothing is written then")


def test_handlers(directory):
    """The check of sources against the table, with one made from its own header."""
    out, source = os.path.join(directory, "gen"), os.path.join(directory, "all.c")
    status, output = run(directory, GOOD, out, "--docs", os.path.join(directory, "page.md"))
    ok(status == 0 and not output, "the table is accepted", output)
    with open(os.path.join(out, "handlers.h"), encoding="utf-8") as f:
        bodies = [line.rstrip(";\n") + "\n{\n\treturn 0;\n}\n" for line in f if line.startswith("long sys_")]

    def check(text):
        with open(source, "w", encoding="utf-8") as f:
            f.write(text)
        return run(directory, GOOD, "--check", source)

    status, output = check("".join(bodies))
    ok(status == 0, "all handlers are there", output)
    status, output = check("".join(b for b in bodies if "sys_read(" not in b))
    ok(status == 1 and "sys_read() is defined nowhere" in output, "a missing handler", output)
    status, output = check("".join(bodies) + "long sys_strange(struct task *t)\n{\n}\n")
    ok(status == 1 and "all.c:" in output and "sys_strange() is no handler" in output, "one nobody names", output)
    status, output = check("".join(bodies) + bodies[0])
    ok(status == 1 and "is defined twice" in output, "one twice", output)
    status, output = check("".join(bodies) + "static long sys_helper(int x)\n{\n}\nlong sys_declared(int x);\n")
    ok(status == 0, "static functions and declarations are none", output)

    with open(os.path.join(directory, "page.md"), encoding="utf-8") as f:
        page = f.read()
    with open(os.path.join(ROOT, "docs/syscalls.md"), encoding="utf-8") as f:
        ok(page == f.read(), "docs/syscalls.md is what the table says")


def test_unchanged(directory):
    path = os.path.join(directory, "gen", "sysnr.h")
    before = os.stat(path).st_mtime_ns
    run(directory, GOOD, os.path.join(directory, "gen"))
    ok(os.stat(path).st_mtime_ns == before, "what has not changed is not written again")


def main():
    with tempfile.TemporaryDirectory() as directory:
        test_mistakes(directory)
        test_handlers(directory)
        test_unchanged(directory)
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
