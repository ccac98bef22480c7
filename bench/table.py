#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of `make bench`, from the raw figures.

usage: bench/table.py RAW

RAW has lines of row, world and nanoseconds, with tabs between.  For each row: the medians, the ratio to
the native median, and in brackets the spread of the ratios (view or peer against the native figure of the same
round).  The last column says what DESIGN.md section 8 and the issue ask for.
"""
import collections
import statistics
import sys

ROWS = {
    'getppid': ('getppid', 1.35), 'read1': ('read 1 byte of /dev/zero', 1.4), 'write1': ('write 1 byte to /dev/null', 1.5),
    'pread4k': ('pread 4 KiB', 1.25), 'write4k': ('write 4 KiB', 1.1), 'stat': ('stat', 1.2), 'openclose': ('open + close', 1.2),
    'stat-1': ('stat, 1 mount elsewhere', 1.2), 'openclose-1': ('open + close, 1 mount', 1.2),
    'stat-1000': ('stat, 1000 mounts elsewhere', 1.2), 'openclose-1000': ('open + close, 1000 mounts', 1.2),
    'stat-h1': ('stat, 1 name hidden elsewhere', 1.2), 'openclose-h1': ('open + close, 1 hidden', 1.2),
    'stat-h1000': ('stat, 1000 names hidden elsewhere', 1.2), 'openclose-h1000': ('open + close, 1000 hidden', 1.2),
    'stat-bound': ('stat behind a bind', None), 'openclose-bound': ('open + close behind a bind', None),
    'stat-chroot': ('stat in a chroot', 1.3), 'openclose-chroot': ('open + close in a chroot', 1.3),
    'forkexec': ('fork + exec + wait of /bin/true', 1.25), 'find': ('find /usr -xdev', 1.1), 'git': ('git status', 1.1),
    'tar': ('tar c /usr/include', 1.1), 'build': ('a C build (30 files)', 1.1), 'python': ('python3 -c pass', 1.1),
    'install': ('apt-get install in a debootstrap tree', 1.3), 'start': ('umview true, against true', None),
}
COPIED = {
    'c-stat': ('stat', 1.25), 'c-openclose': ('open + close', 1.25), 'c-create': ('create a file of 100 bytes', None),
    'c-find': ('find, 2000 files', 1.25), 'c-git': ('git status', 1.25), 'c-untar': ('tar x of the kernel headers', 1.25),
    'c-many': ('tar x of 20000 files', 1.25), 'c-build': ('a C build (30 files)', 1.25), 'c-rm': ('rm -r of 320 files', 1.25),
}
MOUNTED = {
    'm-stat': 'stat', 'm-openreadclose': 'open + read + close', 'm-pread4k': 'pread 4 KiB', 'm-readdir': 'ls -l of 300 files',
    'm-read64': 'read 64 MiB', 'm-write64': 'write 64 MiB', 'm-create': 'create a file of 100 bytes', 'm-find': 'find over 20000 files, warm', 'm-tar': 'tar c of 20000 files, warm', 'm-untar': 'tar x of the kernel headers',
}


def duration(ns):
    for unit, size in (('s', 1e9), ('ms', 1e6), ('us', 1e3)):
        if ns >= size:
            return f'{ns / size:.3g} {unit}'
    return f'{ns:.3g} ns'


def compared(figures, world, base):
    if not figures.get(world):
        return '-', '-'
    median = statistics.median(figures[world])
    if not figures.get(base):
        return duration(median), '-'
    ratios = [a / b for a, b in zip(figures[world], figures[base])]
    ratio = median / statistics.median(figures[base])
    return duration(median), f'{ratio:.2f}x ({min(ratios):.2f}-{max(ratios):.2f})'


def table(head, rows):
    print('| ' + ' | '.join(head) + ' |')
    print('|' + '---|' * len(head))
    for row in rows:
        print('| ' + ' | '.join(row) + ' |')
    print()


def main():
    all_figures = collections.defaultdict(lambda: collections.defaultdict(list))
    with open(sys.argv[1], encoding='utf-8') as raw:
        for line in raw:
            row, world, value = line.rstrip('\n').split('\t')
            all_figures[row][world].append(float(value))
    rows = []
    for row, (text, goal) in ROWS.items():
        if (f := all_figures.get(row)):
            view, ratio = compared(f, 'view', 'native')
            rows.append([text, compared(f, 'native', None)[0], view, ratio, f'{goal}x' if goal else 'native + 5 ms' if row == 'start' else '-',
                         compared(f, 'filter', 'native')[1], *compared(f, 'proot', 'native')])
    if rows:
        table(['real files and processes', 'native', 'view', 'ratio', 'asked', 'a filter alone', 'PRoot', 'ratio'], rows)
    rows = []
    for row, (text, goal) in COPIED.items():
        if (f := all_figures.get(row)):
            rows.append([text, compared(f, 'native', None)[0], *compared(f, 'view', 'native'), f'{goal}x' if goal else '-',
                         *compared(f, 'overlay', 'native'), *compared(f, 'fuseover', 'native'),
                         compared(f, 'nested', 'native')[1], compared(f, 'image', 'native')[1]])
    if rows:
        table(['written to', 'native', '--cow /', 'ratio', 'asked', 'kernel overlayfs', 'ratio', 'fuse-overlayfs', 'ratio',
               '--cow / within --cow /', '--cow over an ext4 image'], rows)
    rows = []
    for row, text in MOUNTED.items():
        if (f := all_figures.get(row)):
            rows.append([text, compared(f, 'native', None)[0], *compared(f, 'view', 'native'), *compared(f, 'kfuse', 'native')])
    if rows:
        table(['ext4 image, fuse2fs', 'native ext4', 'view', 'ratio to native', 'kernel FUSE', 'ratio to native'], rows)
    if (f := all_figures.get('memory')):
        native, view = (statistics.median(f[world]) / 1024 for world in ('native', 'view'))
        print(f'Private memory of a sleeping process: {native:.0f} KiB natively, {view:.0f} KiB in a view: '
              f'{view - native:.0f} KiB more (asked: at most 256).\n')
    print('Medians; in brackets the least and greatest ratio of one round.')


if __name__ == '__main__':
    main()
