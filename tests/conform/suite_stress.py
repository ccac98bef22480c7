# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's stress-ng: one stressor after the other, one instance of each for two seconds at most, verifying what it does.
A stressor is one test, and its outcome is stress-ng's exit status."""
import re
import shutil
import subprocess

from conform import Item

CLASSES = ("filesystem", "os", "scheduler", "interrupt")
SHORT = "dup futex getdent rename pthread sigsuspend".split()

# What does not belong on a machine that others use too, and why.
LEFT_OUT = {
    "fills memory until something is killed": "bigheap brk oom-pipe resources stack malloc memhotplug mmapfork vm-segv",
    "starts as many processes as it can": "forkheavy zombie vforkmany daemon session netlink-proc",
    "sends packets at full speed": "icmp-flood udp-flood sockmany rawsock rawudp rawpkt dccp",
    "changes clocks, timers or processors of the whole machine": "clock rtc cpu-online watchdog hrtimers softlockup "
        "cyclic tlb-shootdown",
    "touches devices, or the kernel's own tables, of the whole machine": "dev bad-ioctl klog efivar pci loop swap "
        "quota kvm tun reboot idle-page revio apparmor key binderfs",
    "mounts file systems": "bind-mount ramfs tmpfs umount",
    "moves processes between processors, or gives them real-time priority": "schedpolicy resched race-sched",
}


def missing():
    return None if shutil.which("stress-ng") else "no stress-ng here"


def parse(text, status, top):
    what = {0: "pass", 3: "not implemented here", 4: "not implemented here"}.get(status, f"status {status}")
    if status == 0 and re.search(r"skipp(ed|ing) stressor|stressor will be skipped", text):
        what = "skip"
    return {"(outcome)": what}


def stressors():
    out = set(" ".join(LEFT_OUT.values()).split())
    names = set()
    for c in CLASSES:
        done = subprocess.run(["stress-ng", "--class", c + "?"], capture_output=True, text=True)
        names.update(done.stdout.split(":", 1)[1].split())
    return sorted(names - out)


def items():
    if missing():
        return
    for name in stressors():
        argv = ["stress-ng", "--" + name, "1", "--timeout", "2", "--verify", "--no-rand-seed", "--temp-path", "@SCRATCH@"]
        yield Item(name, argv, parse, limit=30, short=name in SHORT)
