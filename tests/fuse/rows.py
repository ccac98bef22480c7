# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of the matrix: one for each FUSE program, and how to make what it mounts.

`make` is given a Place and makes the image, or the source, with the tools of the system, outside of the view.  In command lines
{img} {src} {mnt} {w} {here} {python} and what `make` has put into Place.words stand for the row's own things.  `lacks` are words
of probe.FEATURES: what this program does not do with the kernel's FUSE either (matrix.py --oracle); `never`: what it must not
even be asked for.
"""
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from dataclasses import dataclass, field
from typing import Callable, Optional

import model

HERE = os.path.dirname(os.path.realpath(__file__))


class Place:
    """A row's own directory, and what has to be ended when it is over."""

    def __init__(self, w, row, seed, files, oracle):
        self.w, self.row, self.seed, self.files, self.oracle = w, row, seed, files, oracle
        self.words = {"w": w, "img": w + "/image", "src": w + "/source", "mnt": w + "/mnt", "here": HERE, "python": "/usr/bin/python3"}
        self.after = []
        for name in "mnt", "source", "tmp", "home":
            os.mkdir(os.path.join(w, name))

    def call(self, *command, data=None, **options):
        done = subprocess.run([c.format(**self.words) for c in command], input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=60, **options)
        if done.returncode:
            raise OSError("%s: status %d: %s" % (command[0], done.returncode, done.stdout.decode(errors="replace")[-300:]))

    def tree(self):
        """The tree of a read-only row."""
        tree = model.Tree(self.seed, self.row.lacks, self.words["src"] + "/tree")
        tree.populate(self.files)
        tree.give_times()

    def close(self):
        for action in reversed(self.after):
            action()


def nothing(_):
    pass


def sparse(place, size):
    with open(place.words["img"], "wb") as f:
        f.truncate(size << 20)


def ext4(place, *options, kind="ext4"):
    sparse(place, 128)
    place.call("mke2fs", "-q", "-F", "-t", kind, "-N", "20000", "-E", "root_owner=%d:%d" % (os.geteuid(), os.getegid()), *options, "{img}")


def ext2(place):
    ext4(place, kind="ext2")


def ext4_filled(place):
    place.tree()
    ext4(place, "-d", "{src}")


def vfat(place):
    sparse(place, 64)
    place.call("mkfs.vfat", "-F", "32", "{img}")


def ntfs(place):
    sparse(place, 64)
    place.call("mkntfs", "-q", "-F", "-f", "{img}")


def exfat(place):
    sparse(place, 64)
    place.call("mkfs.exfat", "{img}")
    if place.oracle:		# the kernel mounts fuseblk on block devices only
        done = subprocess.run(["losetup", "-f", "--show", place.words["img"]], stdout=subprocess.PIPE, check=True)
        place.words["img"] = device = done.stdout.decode().strip()
        place.after.append(lambda: subprocess.run(["losetup", "-d", device], check=True))


def squashfs(place):
    place.tree()
    place.call("mksquashfs", "{src}", "{img}", "-quiet", "-no-progress", "-processors", "1")


def iso(place):
    place.tree()
    place.call("genisoimage", "-quiet", "-input-charset", "utf-8", "-R", "-D", "-o", "{img}", "{src}")


def archive(place):
    place.words["img"] += ".tar"
    os.mkdir(place.words["src"] + "/dir")
    with tarfile.open(place.words["img"], "w") as tar:
        tar.add(place.words["src"] + "/dir", "dir")


def archive_filled(place):
    place.tree()
    place.words["img"] += ".tar.gz"
    with tarfile.open(place.words["img"], "w:gz", compresslevel=1) as tar:
        tar.add(place.words["src"] + "/tree", "tree")


def zipped(place):
    place.words["img"] += ".zip"
    with zipfile.ZipFile(place.words["img"], "w") as z:
        z.writestr("first", "data")


def branches(place):
    for name in "one", "two":
        os.mkdir(os.path.join(place.w, name))


def overlay(place):
    for name in "lower", "upper", "work":
        os.mkdir(os.path.join(place.w, name))


def password(place):
    with open(place.w + "/password", "w") as f:
        f.write("secret\n")


def gocryptfs(place):
    password(place)
    place.call("gocryptfs", "-q", "-init", "-scryptn", "10", "-passfile", "{w}/password", "{src}")


def background(place, command, **options):
    """A program of the row's that lives until the row is over; ended by its own id."""
    process = subprocess.Popen([c.format(**place.words) for c in command], stdin=subprocess.DEVNULL, **options)

    def end():
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    place.after.append(end)
    return process


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(process, port):
    end = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise OSError("what was to listen at 127.0.0.1:%d does not" % port)


SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {w}/host_key
AuthorizedKeysFile {w}/key.pub
PidFile {w}/sshd.pid
StrictModes no
UsePAM {pam}
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
ForceCommand internal-sftp
"""


SEPARATION = "/run/sshd"	# where root's sshd separates its privileges
USERS, USERS_LOCK = [], threading.Lock()


def separation(place):
    """Is made where it is missing, and removed by the last row that has needed it."""
    with USERS_LOCK:
        if not USERS and os.path.isdir(SEPARATION):
            return
        os.makedirs(SEPARATION, 0o755, exist_ok=True)
        USERS.append(place)

    def end():
        with USERS_LOCK:
            USERS.remove(place)
            if not USERS:
                os.rmdir(SEPARATION)
    place.after.append(end)


def sshd(place):
    """An sshd of its own, on loopback, with keys of its own, natively."""
    for name in "host_key", "key":
        place.call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "{w}/" + name)
    place.words.update(port=str(free_port()), user=pwd.getpwuid(os.geteuid()).pw_name,
                       pam="yes" if os.geteuid() else "no")	# without it an account that has no password, such as nobody's, is locked
    with open(place.w + "/sshd_config", "w") as f:
        f.write(SSHD.format(**place.words))
    if not os.geteuid():
        separation(place)
    with open(place.w + "/sshd.log", "wb") as log:
        process = background(place, ["/usr/sbin/sshd", "-D", "-e", "-f", "{w}/sshd_config"], stdout=log, stderr=log)
    wait_for_port(process, int(place.words["port"]))


SSH_OPTIONS = ("port={port},IdentityFile={w}/key,UserKnownHostsFile={w}/known_hosts,StrictHostKeyChecking=no,IdentitiesOnly=yes,"
               "ssh_command=ssh -F none")


@dataclass
class Row:
    name: str
    package: str
    library: str
    make: Callable
    mount: list
    lacks: tuple = ()
    writable: bool = True
    umview: Optional[list] = None		# what follows `umview mount`
    below: str = ""
    environment: dict = field(default_factory=dict)
    needs: tuple = ()				# programs of other packages that make the image
    never: dict = field(default_factory=dict)	# what is not even tried with it, and why
    fault: str = ""					# why it does not work in a view, if it does not: then it must not
    note: str = ""
    slow: str = ""					# why it is left out of the check
    keep: str = ""					# why files that are removed stay open, if they do: their inodes' numbers do not come again

    def program(self):
        return self.mount[1] if self.mount[0] == "{python}" else self.mount[0]

    def missing(self):
        """What is not installed here, or None."""
        path = os.environ["PATH"]
        if self.mount[0] == "{python}":
            module = self.package.split("-")[1].replace("python3-", "")
            done = subprocess.run(["/usr/bin/python3", "-c", "import " + module], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if done.returncode:
                return self.package
        elif not shutil.which(self.mount[0], path=path):
            return self.package
        return next((n for n in self.needs if not shutil.which(n, path=path)), None)


LINKS = "link", "link count", "links seen", "size after link"
SYMLINKS = "symlink", "long symlinks", "symlinks that lead out", "rename of symlinks"
XATTRS, UNLINKED = ("xattr", "binary xattr", "removing attributes"), ("unlinked", "fsync of unlinked")
HIGH2, HIGH3, LOW3 = "libfuse 2, high level", "libfuse 3, high level", "libfuse 3, low level"

ROWS = [
    Row("fuse2fs", "fuse2fs", "C, " + HIGH2, ext4, ["fuse2fs", "{img}", "{mnt}", "-o", "fakeroot"],
        umview=["-t", "ext4", "{img}", "{mnt}"], needs=("mke2fs",),
        lacks=("links seen",)),
    Row("fuse2fs -o ro", "fuse2fs", "C, " + HIGH2, ext4_filled, ["fuse2fs", "{img}", "{mnt}", "-o", "ro"], writable=False,
        umview=["-t", "ext4", "-r", "{img}", "{mnt}"], needs=("mke2fs",)),
    Row("fuseext2", "fuseext2", "C, " + HIGH2, ext2, ["fuseext2", "-o", "rw+", "{img}", "{mnt}"],
        never=dict(dict.fromkeys(LINKS, "not tried: its process does not come back from link"),
                   **dict.fromkeys(UNLINKED + ("open replaced",), "not tried: its process ends by a signal")),
        umview=["-t", "fuse.fuseext2", "-o", "rw+", "{img}", "{mnt}"], needs=("mke2fs",),
        lacks=XATTRS + ("times", "large directories")),
    Row("squashfuse", "squashfuse", "C, " + HIGH3, squashfs, ["squashfuse", "{img}", "{mnt}"], writable=False,
        umview=["-t", "squashfs", "{img}", "{mnt}"], needs=("mksquashfs",)),
    Row("squashfuse_ll", "squashfuse", "C, " + LOW3, squashfs, ["squashfuse_ll", "{img}", "{mnt}"], writable=False,
        umview=["-t", "fuse.squashfuse_ll", "{img}", "{mnt}"], needs=("mksquashfs",)),
    Row("fuseiso", "fuseiso", "C, " + HIGH2, iso, ["fuseiso", "-n", "{img}", "{mnt}"], writable=False,
        umview=["-t", "iso9660", "{img}", "{mnt}"], needs=("genisoimage",),
        lacks=("long symlinks", "link count")),
    Row("ntfs-3g", "ntfs-3g", "C, its own copy of libfuse 2", ntfs, ["ntfs-3g", "{img}", "{mnt}"],
        umview=["-t", "ntfs", "{img}", "{mnt}"],
        lacks=("chmod", "links seen")),
    Row("exfat-fuse", "exfat-fuse", "C, " + HIGH2, exfat, ["mount.exfat-fuse", "{img}", "{mnt}"],
        umview=["-t", "fuse.mount.exfat-fuse", "{img}", "{mnt}"], needs=("mkfs.exfat",),
        lacks=LINKS + SYMLINKS + XATTRS + ("chmod", "fifo")),
    Row("fusefat", "fusefat", "C, " + HIGH2, vfat, ["fusefat", "-o", "rw+", "{img}", "{mnt}"],
        umview=["-t", "vfat", "{img}", "{mnt}"], needs=("mkfs.vfat",),
        lacks=LINKS + SYMLINKS + XATTRS + ("unlinked", "chmod", "fifo", "holes", "open renamed", "rename of directories", "utf8", "appending",
                                           "truncating", "writing into files", "ENOTEMPTY", "times", "open replaced", "reading again")),
    Row("archivemount", "archivemount", "C, " + HIGH2, archive, ["archivemount", "{img}", "{mnt}"],
        never={"fifo": "not tried: its process does not end"},
        umview=["-t", "tar", "{img}", "{mnt}"],
        lacks=LINKS + SYMLINKS + XATTRS + ("chmod", "rename (lost)", "move to another directory (lost)", "open renamed (lost)", "open replaced (lost)",
                                    "rename of directories", "replace", "times (lost)")),
    Row("archivemount -o readonly", "archivemount", "C, " + HIGH2, archive_filled, ["archivemount", "-o", "readonly", "{img}", "{mnt}"],
        writable=False, umview=["-t", "tar", "-r", "{img}", "{mnt}"],
        lacks=("utf8", "chmod", "link count")),
    Row("fuse-zip", "fuse-zip", "C++, " + HIGH2, zipped, ["fuse-zip", "{img}", "{mnt}"],
        never={"holes": "not tried: what was never written is what happened to be in its memory"},
        umview=["-t", "fuse.fuse-zip", "{img}", "{mnt}"],
        lacks=LINKS + XATTRS + ("fifo",)),
    Row("sshfs", "sshfs", "C, " + HIGH3, sshd, ["sshfs", "{user}@127.0.0.1:{src}", "{mnt}", "-o", SSH_OPTIONS],
        needs=("ssh", "/usr/sbin/sshd", "ssh-keygen"), umview=["-t", "fuse.sshfs", "-o", SSH_OPTIONS, "{user}@127.0.0.1:{src}", "{mnt}"],
        lacks=XATTRS + ("fifo", "link count", "links seen", "symlinks that lead out")),
    Row("bindfs", "bindfs", "C, " + HIGH2, nothing, ["bindfs", "--no-allow-other", "{src}", "{mnt}"],
        umview=["-t", "fuse.bindfs", "-o", "no-allow-other", "{src}", "{mnt}"],
        lacks=("links seen",)),
    Row("unionfs-fuse", "unionfs-fuse", "C, " + HIGH2, branches, ["unionfs", "-o", "cow", "{w}/one=RW:{w}/two=RO", "{mnt}"],
        umview=["-t", "fuse.unionfs", "-o", "cow", "{w}/one=RW:{w}/two=RO", "{mnt}"],
        lacks=XATTRS + ("links seen",)),
    Row("mergerfs", "mergerfs", "C++, its own copy of libfuse", branches, ["mergerfs", "{w}/one:{w}/two", "{mnt}"],
        umview=["-t", "fuse.mergerfs", "{w}/one:{w}/two", "{mnt}"],
        lacks=("links seen",)),
    Row("mhddfs", "mhddfs", "C, " + HIGH2, branches, ["mhddfs", "-s", "{w}/one,{w}/two", "{mnt}"],
        note="-s, since with threads a listing of a directory ends it by SIGSEGV now and then, with the kernel's FUSE, too",
        lacks=("links seen", "rename of symlinks")),
    Row("fuse-overlayfs", "fuse-overlayfs", "C, " + LOW3, overlay,
        ["fuse-overlayfs", "-o", "lowerdir={w}/lower,upperdir={w}/upper,workdir={w}/work", "{mnt}"],
        lacks=("link count (lost)",)),
    Row("disorderfs", "disorderfs", "C++, " + HIGH2, nothing, ["disorderfs", "-q", "{src}", "{mnt}"],
        umview=["-t", "fuse.disorderfs", "{src}", "{mnt}"],
        lacks=("links seen",)),
    Row("posixovl", "fuse-posixovl", "C, " + HIGH2, nothing, ["mount.posixovl", "-S", "{src}", "{mnt}"],
        lacks=("chmod", "links seen", "removing attributes")),
    Row("encfs", "encfs", "C++, " + HIGH2, password, ["encfs", "--standard", "--extpass=cat {w}/password", "{src}", "{mnt}"],
        lacks=("links seen",)),
    Row("gocryptfs", "gocryptfs", "Go, go-fuse", gocryptfs, ["gocryptfs", "-q", "-passfile", "{w}/password", "{src}", "{mnt}"],
        umview=["-t", "fuse.gocryptfs", "-o", "passfile={w}/password", "{src}", "{mnt}"],
        lacks=("size after link", "fsync of unlinked"),
        keep="go-fuse 2.1 forgets by inode number: when the number of a file that was removed comes again, it may have two nodes for the new one, "
             "with the kernel's FUSE, too"),
    Row("cryfs", "cryfs", "C++, " + HIGH2, nothing,
        ["sh", "-c", "echo secret | cryfs {src} {mnt}"], environment={"CRYFS_FRONTEND": "noninteractive", "CRYFS_NO_UPDATE_CHECK": "true"},
        lacks=LINKS + XATTRS + ("fifo", "open renamed"), slow="it derives its key for 8 seconds each time it is mounted"),
    Row("rclone --read-only", "rclone", "Go, bazil/fuse", Place.tree, ["rclone", "mount", "--config", "", "--read-only", "{src}", "{mnt}"],
        writable=False, lacks=LINKS + SYMLINKS + XATTRS + ("chmod", "fifo"),
        note="writing is not tried: it writes behind, and fails with EIO meanwhile, with the kernel's FUSE, too"),
    Row("python3-fuse", "python3-fuse", "Python, " + HIGH2, nothing, ["{python}", "-B", "{here}/passfs.py", "{src}", "{mnt}"],
        lacks=("links seen", "binary xattr")),
    Row("python3-pyfuse3", "python3-pyfuse3", "Python, " + LOW3, nothing, ["{python}", "-B", "{here}/treefs.py", "{img}", "{mnt}"]),
    Row("python3-pyfuse3 (asyncio)", "python3-pyfuse3", "Python, " + LOW3, nothing,
        ["{python}", "-B", "{here}/treefs.py", "--asyncio", "{img}", "{mnt}"]),
]
