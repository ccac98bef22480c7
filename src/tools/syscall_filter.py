# SPDX-License-Identifier: GPL-2.0-or-later
"""The seccomp filter: turns the table's classes into BPF instructions, as a C array.

The program, in this order (see docs/design.md, section 8): architecture; what is called most; x32; a balanced tree over the
ranges of numbers, whose leaves for `free` allow at once (the kernel remembers such numbers and does not
run the filter for them again, but only if nothing else than architecture and number was looked at); the
tests on arguments; last the instruction pointer, whose bounds are patched in at run time.

A process with an identity of its own (kernel/cred.h) has one more on top of it, um_identity[], that lets
through by number all but the calls about users and groups; one that has open what is not always ready (sys/poll.c) likewise
um_polls[], for poll and select.
"""
AGENT_HIGH = (0x7E8F, 0x7E9F)    # high halves of the agent's addresses, and 4 GiB below them
DEBUG_NR = 0x756E               # UM_NR_DEBUG: stops for who traces the process, ENOSYS if nobody does
X32_BIT = 0x40000000

HEAD = """\
/* The seccomp program.  um_filter_build() copies it and puts the agent's bounds in. */
#ifndef UM_GEN_FILTER_H
#define UM_GEN_FILTER_H

#include <stdint.h>
#include <stddef.h>
#include <asm/errno.h>
#include <asm/prctl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#define UM_BPF_LOAD(off)	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (off))
#define UM_BPF_NR		offsetof(struct seccomp_data, nr)
#define UM_BPF_ARCH		offsetof(struct seccomp_data, arch)
#define UM_BPF_IP_LOW		offsetof(struct seccomp_data, instruction_pointer)
#define UM_BPF_IP_HIGH		(UM_BPF_IP_LOW + 4)
#define UM_BPF_LOW(n)		(offsetof(struct seccomp_data, args) + 8 * (n))
#define UM_BPF_HIGH(n)		(UM_BPF_LOW(n) + 4)
"""

BUILD = """\
/*
 * Fills prog with the {what} of an agent whose text is [text_start, text_end), within one block of 4 GiB.
 * Returns its length, -ENOSPC if max is too small, or -EINVAL.
 */
static inline int {name}_build(struct sock_filter *prog, int max, uint64_t text_start, uint64_t text_end)
{
	if (max < {NAME}_LEN)
		return -ENOSPC;
	if (text_start >= text_end || text_start >> 32 != text_end >> 32)
		return -EINVAL;
	for (int i = 0; i < {NAME}_LEN; i++)
		prog[i] = {name}[i];
	prog[{NAME}_HIGH].k = (uint32_t)(text_start >> 32);
	prog[{NAME}_START].k = (uint32_t)text_start;
	prog[{NAME}_END].k = (uint32_t)text_end;
	return {NAME}_LEN;
}
"""


class Program:
    """Instructions with labels.  A jump names two labels; None is the next instruction."""

    def __init__(self):
        self.code, self.labels, self.fresh = [], {}, 0

    def label(self, name):
        self.labels[name] = len(self.code)

    def new_label(self):
        self.fresh += 1
        return f"L{self.fresh}"

    def load(self, offset, comment=""):
        self.code.append(("load", offset, None, None, comment))

    def alu_and(self, mask):
        self.code.append(("and", mask, None, None, ""))

    def jump(self, op, k, true, false, comment=""):
        self.code.append((op, k, true, false, comment))

    def goto(self, label):
        self.code.append(("goto", None, label, None, label))

    def ret(self, action):
        self.code.append(("ret", action, None, None, ""))

    def distance(self, at, label):
        d = 0 if label is None else self.labels[label] - at - 1
        if d < 0:
            raise ValueError(f"jump backwards to {label}")
        return d

    def text(self, at):
        op, k, true, false, comment = self.code[at]
        if op == "load":
            c = f"UM_BPF_LOAD({k})"
        elif op == "and":
            c = f"BPF_STMT(BPF_ALU | BPF_AND | BPF_K, {k})"
        elif op == "ret":
            c = f"BPF_STMT(BPF_RET | BPF_K, {k})"
        elif op == "goto":
            c = f"BPF_STMT(BPF_JMP | BPF_JA, {self.distance(at, true)})"
        else:
            jt, jf = self.distance(at, true), self.distance(at, false)
            if max(jt, jf) > 255:
                raise ValueError("the filter's tree has grown too large for a jump")
            c = f"BPF_JUMP(BPF_JMP | BPF_{op} | BPF_K, {k}, {jt}, {jf})"
        return f"\t/* {at:3} */ {c}," + (f"\t/* {comment} */" if comment else "")

    def lines(self):
        return [self.text(i) for i in range(len(self.code))]


def action_of(row):
    if row.tests:
        return f"test_{row.name}"
    return "allow" if row.free else "ip"


def ranges(table, action_of=action_of, beyond="ip"):
    """[(first number, action)], neighbours of one action joined; beyond the table: ip."""
    actions = {r.nr: action_of(r) for r in table.dense}
    result = []
    for nr in range(table.nr_max + 2):
        action = actions.get(nr, beyond)
        if not result or result[-1][1] != action:
            result.append((nr, action))
    return result


def tree(p, leaves):
    if len(leaves) == 1:
        action = leaves[0][1]
        if action == "allow":
            p.ret("SECCOMP_RET_ALLOW")
        elif action == "debug":
            p.ret(f"SECCOMP_RET_TRACE | 0x{DEBUG_NR:x}")
        else:
            p.goto(action)
        return
    half = len(leaves) // 2
    right = p.new_label()
    p.jump("JGE", leaves[half][0], right, None)
    tree(p, leaves[:half])
    p.label(right)
    tree(p, leaves[half:])


def one_of(p, operands, found, otherwise):
    for v in operands:
        p.jump("JEQ", v, found, None)
    if otherwise:
        p.goto(otherwise)


def emit_test(p, test, fail):
    """Goes on behind the test if it holds, else to `fail`."""
    op, i, v = test.op, test.index, test.operands
    good = p.new_label()
    p.load(f"UM_BPF_HIGH({i})" if op in ("not agent", "below") else f"UM_BPF_LOW({i})", test.text)
    if op == "not agent":
        p.jump("JGE", f"0x{AGENT_HIGH[0]:x}", None, good)
        p.jump("JGT", f"0x{AGENT_HIGH[1]:x}", good, fail)
    elif op == "below":
        p.jump("JEQ", 0, None, fail)
    elif op == "mask":
        p.alu_and(v[0])
        p.jump("JEQ", v[1], None, fail)
    elif op == "==":
        p.jump("JEQ", v[0], None, fail)
        if not test.narrow:
            p.load(f"UM_BPF_HIGH({i})")
            p.jump("JEQ", 0, None, fail)
    elif op == "in":
        one_of(p, v, good, fail)
    else:                       # != and `not in`
        one_of(p, v, fail, None)
    p.label(good)


def by_pointer(p):
    p.label("ip")
    p.load("UM_BPF_IP_HIGH", "from the agent?")
    p.label("HIGH")
    p.jump("JEQ", 0, None, "trap")
    p.load("UM_BPF_IP_LOW")
    p.label("START")
    p.jump("JGE", 0, None, "trap")
    p.label("END")
    p.jump("JGE", 0, "trap", None)
    p.ret("SECCOMP_RET_ALLOW")
    p.label("trap")
    p.ret("SECCOMP_RET_TRAP")


def on_top(table, exception):
    p = Program()
    p.load("UM_BPF_NR")
    tree(p, ranges(table, lambda row: "ip" if row.exception == exception else "allow", "allow"))
    by_pointer(p)
    return p


def hot(p, table):
    """What is called most, and by who may be anybody, need not go down the tree: each jump of it costs what can be measured."""
    for row in table.dense:
        if row.name in ("read", "write") and action_of(row) == "ip":
            other = p.new_label()
            p.jump("JEQ", row.nr, None, other, row.name)
            p.goto("ip")
            p.label(other)


def program(table):
    p = Program()
    p.load("UM_BPF_ARCH")
    p.jump("JEQ", "AUDIT_ARCH_X86_64", "native", None)
    p.label("foreign")
    p.ret("SECCOMP_RET_TRAP")
    p.label("native")
    p.load("UM_BPF_NR")
    hot(p, table)
    p.jump("JGE", f"0x{X32_BIT:x}", None, "tree", "x32")
    p.ret("SECCOMP_RET_TRAP")
    p.label("tree")
    tree(p, ranges(table) + [(DEBUG_NR, "debug"), (DEBUG_NR + 1, "ip")])
    for row in table.dense:
        if row.tests:
            p.label(f"test_{row.name}")
            fail = f"fail_{row.name}"
            for test in row.tests:
                emit_test(p, test, fail)
            p.ret("SECCOMP_RET_ALLOW")
            p.label(fail)
            p.goto("ip")
    by_pointer(p)
    return p


def array(p, name, what):
    upper = name.upper()
    build = BUILD
    for key, value in (("what", what), ("name", name), ("NAME", upper)):
        build = build.replace(f"{{{key}}}", value)
    out = [f"static const struct sock_filter {name}[] = {{"] + p.lines()
    out += ["};", "", f"#define {upper}_LEN\t{len(p.code)}"]
    out += [f"#define {upper}_{label}\t{p.labels[label]}" for label in ("HIGH", "START", "END")]
    return "\n".join(out) + "\n\n" + build + "\n"


def header(table):
    return (HEAD + "\n" + array(program(table), "um_filter", "filter") +
            array(on_top(table, "identity"), "um_identity", "filter on top of it for who has an identity,") +
            array(on_top(table, "polls"), "um_polls", "filter on top of it for who has open what is not always ready,") + "#endif\n")
