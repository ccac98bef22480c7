# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the C files and the documentation page from a checked table (see gen_syscalls.py)."""
import errno
import os
import re

import syscall_filter

GENERATED = "/* Generated from src/syscalls.tbl by src/tools/gen_syscalls.py: do not edit. */\n"

# How the tracer prints each type; the same names in src/agent/trace.c.
TRACE_TYPES = {
    "fd": "INT", "dfd": "DFD", "int": "INT", "sig": "INT", "pid": "INT", "flags": "HEX32",
    "uint": "UINT", "uflags": "HEX32", "mode": "OCTAL", "dev": "HEX32", "uid": "INT", "gid": "INT",
    "long": "LONG", "ulong": "HEX", "size": "ULONG", "off": "LONG",
    "path": "STRING", "str": "STRING", "in": "HEX", "out": "HEX", "inout": "HEX", "addr": "HEX",
}

HANDLERS_HEAD = """\
/*
 * The system call handlers, one per row of class `handler`.  Each returns a value >= 0 or -errno; the
 * arguments are the guest's, as the kernel would take them.
 */
#ifndef UM_GEN_HANDLERS_H
#define UM_GEN_HANDLERS_H

#include "agent/agent.h"

"""

DISPATCH_HEAD = """\
/*
 * From a number to a handler.  A wrapper gives each argument its type; adapters turn a call into the
 * one it is a case of; what is refused, or only for real descriptors, needs no handler at all.
 */
#include <asm/signal.h>
#include <linux/bpf.h>
#include <linux/fadvise.h>
#include <linux/sched.h>
#include "arch/x86_64/offsets.h"
#include "kernel/fd.h"
#include "handlers.h"
#include "sysnr.h"

_Static_assert(UM_NR_um_call == UM_NR_CALL, "the private number is that of wire/channel.h");
_Static_assert(UM_AGENT_BASE >> 32 == {low:#x} + 1 && (UM_OWN_END - 1) >> 32 == {high:#x},
	       "what the filter takes for the agent's part of the address space");

static long pass(struct task *t, const unsigned long *a)
{
	(void)a;
	return pass_through(t);
}

"""

TRACE_HEAD = """\
/* What the tracer knows of each call.  Included by src/agent/trace.c only. */
#ifndef UM_GEN_TRACE_TABLE_H
#define UM_GEN_TRACE_TABLE_H

#include <stdint.h>
#include "sysnr.h"

enum um_trace_type {
	UM_TRACE_INT, UM_TRACE_UINT, UM_TRACE_LONG, UM_TRACE_ULONG, UM_TRACE_HEX32, UM_TRACE_HEX,
	UM_TRACE_OCTAL, UM_TRACE_DFD, UM_TRACE_STRING,
	UM_TRACE_IN,	/* bytes; `length` is the index of the argument that says how many */
	UM_TRACE_OUT,	/* likewise, valid after the call: as many as it returned */
};

struct um_trace_call {
	const char *name;
	uint8_t nargs;
	uint8_t type[6];
	uint8_t length[6];
};

"""

CLASSES_HEAD = """\
/* The table's classes in another form than the filter: what the tests compare it with. */
#ifndef UM_GEN_CLASSES_H
#define UM_GEN_CLASSES_H

#include <stdint.h>
#include <linux/bpf.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <asm/prctl.h>
#include "sysnr.h"

enum um_class {
	UM_CLASS_NONE,	/* no such call: ENOSYS */
	UM_CLASS_FREE,	/* allowed by number */
	UM_CLASS_TEST,	/* allowed if um_test_holds() */
	UM_CLASS_SEEN,	/* comes to the agent */
};

"""


def write_file(path, text):
    """Writes only what changed, so that nothing is built again for nothing."""
    try:
        with open(path, encoding="utf-8") as f:
            if f.read() == text:
                return
    except FileNotFoundError:
        pass
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def write_sources(table, outdir):
    os.makedirs(outdir, exist_ok=True)
    for name, emit in (("sysnr.h", sysnr), ("handlers.h", handlers), ("dispatch_table.c", dispatch),
                       ("filter.h", syscall_filter.header), ("trace_table.h", trace),
                       ("classes.h", classes)):
        write_file(os.path.join(outdir, name), GENERATED + emit(table))


def sysnr(table):
    out = ["#ifndef UM_GEN_SYSNR_H", "#define UM_GEN_SYSNR_H", "",
           "/* The kernel's headers may be older than the kernel: numbers of our own. */"]
    out += [f"#define UM_NR_{r.name}\t{r.nr if r in table.dense else hex(r.nr)}" for r in table.calls]
    out += ["", f"#define UM_NR_MAX\t{table.nr_max}", "", "#endif", ""]
    return "\n".join(out)


def prototype(row):
    return ", ".join(["struct task *t"] + [f"{a.ctype} {a.name}" for a in row.args])


def handlers(table):
    rows = [r for r in table.rows if r.kind == "handler"]
    return HANDLERS_HEAD + "".join(f"long sys_{r.name}({prototype(r)});\n" for r in rows) + "\n#endif\n"


# ---- dispatch --------------------------------------------------------------------------------------

def typed(row, text):
    """Replaces the row's argument names in a C expression by the typed words of the array."""
    places = {a.name: f"({a.ctype})a[{i}]" for i, a in enumerate(row.args)}
    return re.sub(r"[A-Za-z_]\w*", lambda m: places.get(m.group(0), m.group(0)), text)


def call(row, target):
    return f"sys_{target.name}({', '.join(['t'] + [typed(row, a) for a in target.args])})"


def any_fd(row, test):
    return " || ".join(test.format(f"(int)a[{i}]") for i in row.fds())


def passed(row, indent="\t"):
    out = []
    if row.fds():
        out = [f"{indent}if ({any_fd(row, 'fd_is_ours({})')})", f"{indent}\treturn -EBADF;"]
    return out + [f"{indent}return pass_through(t);"]


def body(row):
    if row.kind == "handler":
        args = ", ".join(["t"] + [f"({a.ctype})a[{i}]" for i, a in enumerate(row.args)])
        plain = ["\tif (!t->cred)", "\t\treturn pass_through(t);"] if row.free and row.exception == "identity" else []
        return plain + [f"\treturn sys_{row.name}({args});"]
    if row.kind == "refuse":
        free = [f"\tif ({' && '.join(condition(test) for test in row.tests)})", "\t\treturn pass_through(t);"]
        return (free if row.tests else []) + [f"\treturn -{row.errno};"]
    if row.kind == "pass":
        return passed(row)
    if row.kind == "realfd":
        value = call(row, row.target) if row.target else f"-{row.errno}"
        return [f"\tif ({any_fd(row, 'fd_peek(t, {})')})", f"\t\treturn {value};"] + passed(row)
    out = []
    if row.unless:
        out = [f"\tif ({typed(row, row.unless)}) {{"] + passed(row, "\t\t") + ["\t}"]
    return out + [f"\treturn {call(row, row.target)};"]


def wrapper(row):
    lines = body(row)
    unused = [f"\t(void){v};" for v, use in (("t", r"\bt\b"), ("a", r"\ba\["))
              if not re.search(use, "\n".join(lines))]
    return "\n".join([f"static long do_{row.name}(struct task *t, const unsigned long *a)", "{"] + unused +
                     lines + ["}", ""])


def dispatch(table):
    seen = [r for r in table.calls if r.kind != "free"]
    entries = [f"\t[UM_NR_{r.name}] = {'pass' if r.kind == 'free' else 'do_' + r.name}," for r in table.dense]
    private = next((r for r in table.calls if r not in table.dense), None)
    head = DISPATCH_HEAD
    for name, value in zip(("low", "high"), syscall_filter.AGENT_HIGH):
        head = head.replace(f"{{{name}:#x}}", hex(value))
    return (head + "\n".join(wrapper(r) for r in seen) +
            "\n/* NULL: no such call. */\nextern const syscall_fn um_dispatch[UM_NR_MAX + 1];\n"
            "const syscall_fn um_dispatch[UM_NR_MAX + 1] = {\n" + "\n".join(entries) + "\n};\n"
            "\nextern const syscall_fn um_dispatch_private;\n"
            f"const syscall_fn um_dispatch_private = do_{private.name};\n")


# ---- tracer ----------------------------------------------------------------------------------------

def trace_entry(row):
    types, lengths = [], []
    for a in row.args:
        kind, length = TRACE_TYPES[a.type], 0
        if a.length and not a.length.isdigit() and a.type in ("in", "out") and a.name in ("buf", "value", "list"):
            kind, length = a.type.upper(), row.index_of(a.length)
        types.append(f"UM_TRACE_{kind}")
        lengths.append(str(length))
    return f'\t{{ "{row.name}", {len(types)}, {{ {", ".join(types) or 0} }}, {{ {", ".join(lengths) or 0} }} }},'


def trace(table):
    out = ["static const struct um_trace_call um_trace_calls[UM_NR_MAX + 1] = {"]
    out += [f"\t[UM_NR_{r.name}] =" + trace_entry(r).replace("\t", " ", 1) for r in table.dense]
    private = [r for r in table.calls if r not in table.dense]
    out += ["};", "", "static const struct um_trace_call um_trace_private ="]
    out += [trace_entry(r).rstrip(",") + ";" for r in private]
    out += ["", "static const char *const um_errno_names[] = {"]
    out += [f'\t[{nr}] = "{name}",' for nr, name in sorted(errno.errorcode.items())]
    return TRACE_HEAD + "\n".join(out + ["};", "", "#endif", ""])


# ---- classes, for tests ----------------------------------------------------------------------------

def condition(test):
    word = f"(uint32_t)a[{test.index}]" if test.narrow else f"a[{test.index}]"
    wide = "uint32_t" if test.narrow else "uint64_t"
    values = [f"({wide})({v})" for v in test.operands]
    if test.op == "not agent":
        low, high = syscall_filter.AGENT_HIGH
        return f"!({word} >= 0x{low:x}ull << 32 && {word} < 0x{high + 1:x}ull << 32)"
    if test.op == "below":
        return f"{word} < 1ull << 32"
    if test.op == "mask":
        return f"({word} & {values[0]}) == {values[1]}"
    joined = " || ".join(f"{word} == {v}" for v in values)
    return f"!({joined})" if test.op in ("!=", "not in") else f"({joined})"


def classes(table):
    out = ["static const unsigned char um_classes[UM_NR_MAX + 1] = {"]
    for r in table.dense:
        kind = "TEST" if r.tests else "FREE" if r.free else "SEEN"
        out.append(f"\t[UM_NR_{r.name}] = UM_CLASS_{kind},")
    out += ["};", "", "static inline int um_test_holds(unsigned nr, const uint64_t *a)", "{", "\tswitch (nr) {"]
    for r in table.dense:
        if r.tests:
            out += [f"\tcase UM_NR_{r.name}:", f"\t\treturn {' && '.join(condition(t) for t in r.tests)};"]
    out += ["\t}", "\treturn 0;", "}", "", "#endif", ""]
    return CLASSES_HEAD + "\n".join(out)


# ---- the page --------------------------------------------------------------------------------------

DOCS_HEAD = """\
# System calls

Every system call of Linux 6.12 on x86-64, and what becomes of it in a view. This page is generated from
[`src/syscalls.tbl`](../src/syscalls.tbl), the only list of system calls there is; its head explains how to
add or change one, and `make` checks it.

**Support** says what a program can count on:

| level | meaning | calls |
|---|---|---|
| full | works on virtual files and on real ones | {full} |
| partial | works, but for what the reason names | {partial} |
| kernel | never concerns anything virtual: the kernel's own work, unchanged | {kernel} |
| refused | fails in a view, with an errno that makes programs fall back; the reason says why | {refused} |

**Way** says how it gets there:

* *free*: the filter lets it through; the agent never sees it, it costs what it costs natively plus
  about 40 ns. *free if ...*: the same, when the filter finds these arguments. *unless identity*: not in a view
  with an identity (`--fakeroot`, `--user`). *unless polls*: not of a process that has opened files of which a
  FUSE program says when they are ready, or `/dev/fuse`.
* *handler*: the agent decides whether it touches something virtual, and hands it to the kernel if not.
* *= call(...)*: the same as that call.
* *realfd*: handed to the kernel if the descriptor is real; a virtual one gives the errno, or goes to the
  call named.
* *refuse*: always fails with the errno.

Calls with other numbers, newer than Linux 6.12, fail with ENOSYS, as on an older kernel; so do the calls
of 32-bit code (`int $0x80`) and of x32. A guest's own seccomp filters are not installed, and
`PR_SET_NO_NEW_PRIVS` is always in force.
"""


def docs_cell(text):
    return text.replace("|", "\\|")


def docs_way(row):
    return docs_cell(row.class_text)


def docs(table):
    counts = {s: sum(r.support == s for r in table.calls) for s in ("full", "partial", "kernel", "refused")}
    out = [DOCS_HEAD.format(**counts)]
    for family in dict.fromkeys(r.family for r in table.rows):
        rows = [r for r in table.calls if r.family == family]
        if not rows:
            continue
        out += [f"## {family}", "", "| nr | call | support | way | reason, remark |", "|---|---|---|---|---|"]
        for r in rows:
            nr = hex(r.nr) if r not in table.dense else r.nr
            args = ", ".join(a.name for a in r.args)
            out.append(f"| {nr} | `{r.name}({args})` | {r.support} | {docs_way(r)} | {docs_cell(r.note)} |")
        out.append("")
    return "\n".join(out)
