#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes everything that depends on the list of system calls from src/syscalls.tbl.

    gen_syscalls.py TABLE OUTDIR              sysnr.h handlers.h dispatch_table.c filter.h
                                              trace_table.h classes.h
    gen_syscalls.py TABLE --docs FILE         the page docs/syscalls.md
    gen_syscalls.py TABLE --check FILE.c...   every handler the table names is defined in these files,
                                              and every sys_*() defined there is named in the table

The three may be combined.  The table's head explains its format.  This file reads and checks the table
and is the command; syscall_emit.py writes the C files and the page, syscall_filter.py the seccomp filter.
Nothing but Python's own library is needed.
"""
import argparse
import errno
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

PRIVATE = 0x756D
UNISTD = ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"]
SUPPORT = ("full", "partial", "kernel", "refused")

# type of the table -> C type of the handler's parameter
C_TYPES = {
    "fd": "int", "dfd": "int", "int": "int", "sig": "int", "pid": "int", "flags": "int",
    "uint": "unsigned", "uflags": "unsigned", "mode": "unsigned", "dev": "unsigned",
    "uid": "unsigned", "gid": "unsigned",
    "long": "long", "ulong": "unsigned long", "size": "size_t", "off": "int64_t",
    "path": "gaddr", "str": "gaddr", "in": "gaddr", "out": "gaddr", "inout": "gaddr", "addr": "gaddr",
}
NARROW = {"int", "unsigned"}                # C types of which the kernel sees the low 32 bits only


class TableError(Exception):
    pass


class Arg:
    """One argument: type, name, and for memory what lies there (`what`) or its length (`length`)."""

    def __init__(self, text):
        m = re.fullmatch(r"(\w+) (\w+)(?::(\w+)(?:\[\d+\])?|\[(\w+)\])?", text)
        if not m:
            raise TableError(f"argument `{text}` is not `TYPE name`, `TYPE name:WHAT` or `TYPE name[LEN]`")
        self.type, self.name, self.what, self.length = m.groups()
        if self.type not in C_TYPES:
            raise TableError(f"unknown type `{self.type}` of argument `{self.name}`")
        if (self.what or self.length) and self.type not in ("in", "out", "inout"):
            raise TableError(f"`{text}`: only in, out and inout have a size")
        self.ctype = C_TYPES[self.type]
        self.narrow = self.ctype in NARROW


class Test:
    """One condition of `free if`: the argument's index, an operator, its operands (C constants)."""

    FORMS = [
        (r"(\w+) not agent", "not agent"),
        (r"(\w+) below 4G", "below"),
        (r"(\w+) not in \((.+)\)", "not in"),
        (r"(\w+) in \((.+)\)", "in"),
        (r"(\w+) & (\S+) == (\S+)", "mask"),
        (r"(\w+) == (\S+)", "=="),
        (r"(\w+) != (\S+)", "!="),
    ]
    WIDE = ("not agent", "below", "==")     # operators that can look at 64 bits

    def __init__(self, text, row):
        for pattern, op in self.FORMS:
            m = re.fullmatch(pattern, text)
            if m:
                break
        else:
            raise TableError(f"`{text}` is no test the filter can make")
        self.op, self.text = op, text
        self.index = row.index_of(m.group(1))
        self.narrow = row.args[self.index].narrow
        self.operands = [v.strip() for group in m.groups()[1:] for v in group.split(",")]
        if not self.narrow and op not in self.WIDE:
            raise TableError(f"`{text}`: this test needs an argument of 32 bits")
        if self.narrow and op in ("not agent", "below"):
            raise TableError(f"`{text}`: this test needs an argument of 64 bits")


class Call:
    """`call(A, B...)` of an adapter."""

    def __init__(self, text):
        m = re.fullmatch(r"(\w+)\((.*)\)", text)
        if not m:
            raise TableError(f"`{text}` is not `call(ARGUMENTS)`")
        self.name = m.group(1)
        self.args = [a.strip() for a in m.group(2).split(",")] if m.group(2) else []


class Row:
    def __init__(self, columns, line, family):
        self.line, self.family = line, family
        if len(columns) < 4:
            raise TableError("a row needs number, name(arguments), class and support")
        number, call, self.class_text, self.support = columns[:4]
        self.note = " ".join(columns[4:])
        self.nr = None if number == "-" else self.parse_number(number)
        m = re.fullmatch(r"(\w+)\((.*)\)", call)
        if not m:
            raise TableError(f"`{call}` is not `name(ARGUMENTS)`")
        self.name, self.call_text = m.group(1), call
        self.args = [Arg(a) for a in m.group(2).split(", ")] if m.group(2) else []
        self.check_args()
        self.tests, self.target, self.unless, self.errno = [], None, None, None
        self.exception = None       # "identity", "polls": comes to us from who has that, whatever the tests say
        self.kind = self.parse_class(self.class_text)
        self.check_support()

    @staticmethod
    def parse_number(text):
        try:
            return int(text, 0)
        except ValueError:
            raise TableError(f"`{text}` is no number") from None

    def index_of(self, name):
        for i, arg in enumerate(self.args):
            if arg.name == name:
                return i
        raise TableError(f"`{name}` is no argument of {self.name}")

    def check_args(self):
        names = [a.name for a in self.args]
        if len(names) > 6:
            raise TableError("more than six arguments")
        if len(set(names)) != len(names):
            raise TableError("two arguments of one name")
        for arg in self.args:
            if arg.length and not arg.length.isdigit():
                self.index_of(arg.length)

    def parse_class(self, text):
        """Returns handler, alias, realfd, refuse, pass or free; fills the fields that go with it."""
        m = re.fullmatch(r"free(?: if (.+?))?(?: unless (identity|polls))?, else (.+)", text)
        if m:
            self.tests = [Test(t, self) for t in m.group(1).split(" and ")] if m.group(1) else []
            self.exception = m.group(2)
            kind = self.parse_class(m.group(3))
            if kind == "free" or m.group(3).startswith("free"):
                raise TableError("`else free` makes no sense")
            if not self.tests and not (self.exception and kind == "handler"):
                raise TableError("`free, else` needs a test, or `unless ...` and a handler")
            return kind
        if text in ("free", "handler", "pass"):
            return text
        m = re.fullmatch(r"= (\w+\(.*?\))(?: unless (.+))?", text)
        if m:
            self.target, self.unless = Call(m.group(1)), m.group(2)
            return "alias"
        m = re.fullmatch(r"realfd = (\w+\(.*\))", text)
        if m:
            self.target = Call(m.group(1))
            return self.realfd()
        m = re.fullmatch(r"(realfd|refuse) (E[A-Z0-9]+)", text)
        if not m:
            raise TableError(f"unknown class `{text}`")
        self.errno = m.group(2)
        if not hasattr(errno, self.errno):
            raise TableError(f"unknown errno `{self.errno}`")
        return self.realfd() if m.group(1) == "realfd" else "refuse"

    @property
    def free(self):
        """Let through by its number alone, but for who has what it must not be let through for."""
        return self.kind == "free" or (self.exception and not self.tests)

    def realfd(self):
        if not self.fds():
            raise TableError("realfd, but no argument is a descriptor")
        return "realfd"

    def fds(self):
        return [i for i, a in enumerate(self.args) if a.type in ("fd", "dfd")]

    def check_support(self):
        if self.support not in SUPPORT:
            raise TableError(f"unknown support level `{self.support}`")
        if self.support in ("partial", "refused") and not self.note:
            raise TableError(f"`{self.support}` needs a note that says why")
        if (self.support == "refused") != (self.kind == "refuse" and not self.tests):
            raise TableError(f"class `{self.class_text}` and support `{self.support}` do not fit")
        if self.kind == "free" and self.support == "full":
            raise TableError("what is free never reaches us: `kernel` or `partial`, not `full`")
        if self.nr is None and self.kind != "handler":
            raise TableError("a common handler (number `-`) must be of class handler")


class Table:
    def __init__(self, path):
        self.path, self.rows, self.errors, self.numbers = path, [], [], set()
        for line, columns, family in self.read(path):
            try:
                self.rows.append(Row(columns, line, family))
            except TableError as e:
                self.error(line, e)
        self.by_name = {r.name: r for r in self.rows}
        self.calls = sorted((r for r in self.rows if r.nr is not None), key=lambda r: r.nr)
        self.dense = [r for r in self.calls if r.nr != PRIVATE]
        self.nr_max = max((r.nr for r in self.dense), default=0)
        self.check_unique()
        self.check_complete()
        self.check_targets()

    def read(self, path):
        """Returns (line number, columns, family) for each row; fills self.numbers."""
        rows, family = [], ""
        with open(path, encoding="utf-8") as f:
            for number, text in enumerate(f, 1):
                text = text.rstrip()
                if not text or text.startswith("#"):
                    continue
                if text.startswith("== "):
                    family = text[3:].strip()
                    continue
                m = re.fullmatch(r"numbers( \d+-\d+)+", text)
                if m:
                    for first, last in re.findall(r"(\d+)-(\d+)", text):
                        self.numbers |= set(range(int(first), int(last) + 1))
                    continue
                columns = [c for c in re.split(r"\t+| {2,}", text) if c]
                if text[0].isspace() and rows:
                    rows[-1][1].extend(columns)
                else:
                    rows.append((number, columns, family))
        return rows

    def error(self, line, message):
        self.errors.append((line, f"{self.path}:{line}: {message}"))

    def check_unique(self):
        names, numbers = {}, {}
        for row in self.rows:
            if names.setdefault(row.name, row) is not row:
                self.error(row.line, f"{row.name} is already in line {names[row.name].line}")
            if row.nr is not None and numbers.setdefault(row.nr, row) is not row:
                self.error(row.line, f"number {row.nr} is already {numbers[row.nr].name} in line "
                                     f"{numbers[row.nr].line}")

    def check_complete(self):
        for n in sorted(self.numbers - {r.nr for r in self.dense}):
            self.error(0, f"number {n} is missing")
        for row in self.dense:
            if row.nr not in self.numbers:
                self.error(row.line, f"number {row.nr} is not in the line `numbers`")

    def check_targets(self):
        for row in self.rows:
            if not row.target:
                continue
            target = self.by_name.get(row.target.name)
            if not target or target.kind != "handler":
                self.error(row.line, f"{row.name} = {row.target.name}(), which has no handler")
            elif len(target.args) != len(row.target.args):
                self.error(row.line, f"{target.name}() has {len(target.args)} arguments, "
                                     f"not {len(row.target.args)}")
            texts = row.target.args + ([row.unless] if row.unless else [])
            for word in re.findall(r"[A-Za-z_]\w*", " ".join(texts)):
                if not word.isupper() and word not in [a.name for a in row.args]:
                    self.error(row.line, f"`{word}` is no argument of {row.name}")

    def check_unistd(self, paths):
        """Compares with the kernel's header, as far as that goes."""
        for path in paths:
            if os.path.exists(path):
                break
        else:
            return
        with open(path, encoding="utf-8") as f:
            known = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", f.read()))
        for row in self.dense:
            if row.name in known and int(known[row.name]) != row.nr:
                self.error(row.line, f"{row.name} is number {known[row.name]} in {path}, not {row.nr}")
        names = {int(nr): name for name, nr in known.items()}
        for row in self.dense:
            if row.name not in known and row.nr in names:
                self.error(row.line, f"number {row.nr} is {names[row.nr]} in {path}, not {row.name}")

    def check_sources(self, files):
        """Handlers that are missing, handlers nobody names."""
        defined = {}
        pattern = re.compile(r"^long\s+sys_(\w+)\s*\([^;{}]*\)\s*\{", re.M)
        for path in files:
            with open(path, encoding="utf-8") as f:
                text = f.read()
            for m in pattern.finditer(text):
                line = text.count("\n", 0, m.start()) + 1
                if m.group(1) in defined:
                    self.errors.append((0, f"{path}:{line}: sys_{m.group(1)}() is defined twice"))
                defined[m.group(1)] = (path, line)
        for row in self.rows:
            if row.kind == "handler" and row.name not in defined:
                self.error(row.line, f"sys_{row.name}() is defined nowhere")
        handlers = {r.name for r in self.rows if r.kind == "handler"}
        for name, (path, line) in sorted(defined.items()):
            if name not in handlers:
                self.errors.append((0, f"{path}:{line}: sys_{name}() is no handler of {self.path}"))


def main():
    parser = argparse.ArgumentParser(description="Generates from the table of system calls.")
    parser.add_argument("table")
    parser.add_argument("outdir", nargs="?", help="where the C files go")
    parser.add_argument("--docs", metavar="FILE", help="write the support page")
    parser.add_argument("--check", metavar="FILE.c", nargs="+", help="sources that define the handlers")
    parser.add_argument("--unistd", metavar="FILE", help="asm/unistd_64.h, if not the system's")
    options = parser.parse_args()

    table = Table(options.table)
    table.check_unistd([options.unistd] if options.unistd else UNISTD)
    if options.check:
        table.check_sources(options.check)
    if table.errors:
        for _, message in sorted(table.errors):
            print(message, file=sys.stderr)
        return 1

    import syscall_emit
    if options.outdir:
        syscall_emit.write_sources(table, options.outdir)
    if options.docs:
        syscall_emit.write_file(options.docs, syscall_emit.docs(table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
