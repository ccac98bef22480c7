#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What clients of a mount find without asking its server is what the server would say.
load common

# Reads and writes without a copy by other calls in between, as cat and cp may make it.
script() {
	cat >"$W/names.py" <<-'PY'
		import os, sys
		os.chdir(sys.argv[1])
		def get(name):
		    fd = os.open(name, os.O_RDONLY)
		    data = os.pread(fd, 100, 0)
		    os.close(fd)
		    return data
		def put(name, data):
		    fd = os.open(name, os.O_WRONLY)
		    os.pwrite(fd, data, 0)
		    os.close(fd)
	PY
	cat >>"$W/names.py"
}

@test "a file with two names: what is written by one is read by the other" {
	need fuse2fs
	ext4 img
	script <<-'PY'
		for gone in 'second', 'file':
		    open('file', 'w').write('first')
		    assert get('file') == get('file') == b'first'
		    os.link('file', 'second')
		    put('second', b'other')
		    assert get('file') == b'other'
		    put('file', b'third')
		    assert get('second') == b'third'
		    put('second' if gone == 'second' else 'file', b'FINAL')
		    os.unlink(gone)
		    left = 'file' if gone == 'second' else 'second'
		    assert os.stat(left).st_nlink == 1
		    assert get(left) == b'FINAL', get(left)
		    os.unlink(left)
	PY
	in_view --mount img mnt -- <<<'python3 names.py mnt'
	clean img
}

@test "an archive whose st_nlink does not tell that a file has two names" {
	need archivemount
	mkdir in
	echo first >in/one; ln in/one in/two
	tar -C in -cf t.tar one two
	script <<-'PY'
		assert get('one') == get('two') == get('two') == b'first\n'
		put('one', b'third\n')
		assert get('two') == b'third\n', get('two')
	PY
	in_view --mount t.tar mnt -- <<<'python3 names.py mnt'
}

@test "what libfuse keeps of a removed file that is open goes when that is closed" {
	need fuse2fs
	ext4 img
	script <<-'PY'
		import time
		os.mkdir('d')
		open('d/file', 'w').close()
		fd = os.open('d/file', os.O_RDONLY)
		os.unlink('d/file')
		names = os.listdir('d')
		for n in names:
		    os.stat('d/' + n)
		before = os.stat('d').st_mtime_ns
		time.sleep(1.1)
		os.close(fd)
		for i in range(50):
		    if not os.listdir('d'):
		        break
		    time.sleep(0.1)
		assert not [n for n in names if os.path.exists('d/' + n)]
		assert not names or os.stat('d').st_mtime_ns != before
		os.rmdir('d')
	PY
	in_view --mount img mnt -- <<<'python3 names.py mnt'
	clean img
}

@test "reading a link, or following it, shows in its access time" {
	need fuse2fs
	ext4 img
	script <<-'PY'
		def changes(what):
		    os.utime('way', (1000, 2000), follow_symlinks=False)
		    before = os.lstat('way').st_atime_ns
		    assert os.lstat('way').st_atime_ns == before
		    what()
		    assert os.lstat('way').st_atime_ns != before
		os.symlink('hello', 'way')
		changes(lambda: os.readlink('way'))
		changes(lambda: os.stat('way'))
	PY
	in_view --mount img mnt -- <<<'python3 names.py mnt'
	clean img
}

@test "what is open when its server dies can be closed, where there is nothing to flush" {
	need fuse2fs
	ext4 img
	script <<-'PY'
		import signal, time
		os.close(os.open('hello', os.O_RDONLY))
		open_ones = [os.open('hello', os.O_RDONLY), os.open('docs', os.O_RDONLY)]
		for p in [p for p in os.listdir('/proc') if p.isdigit()]:
		    try:
		        words = open('/proc/%s/cmdline' % p).read().split('\0')
		    except OSError:
		        continue
		    if words[0].endswith('fuse2fs') and os.environ['W'] + '/img' in words:
		        os.kill(int(p), signal.SIGKILL)
		for i in range(200):
		    try:
		        os.stat('hello')
		    except OSError:
		        break
		    time.sleep(0.05)
		else:
		    sys.exit('it is there still')
		for fd in open_ones:
		    os.close(fd)
	PY
	in_view --mount img mnt -- <<<'python3 names.py mnt'
}

@test "it takes no address space from who has little, and is in no core file" {
	need fuse2fs
	ext4 img
	script <<-'PY'
		def size():
		    return int([l.split()[1] for l in open('/proc/self/status') if l.startswith('VmSize')][0])
		before = size()
		assert get('docs/numbers') == get('docs/numbers')
		if len(sys.argv) > 2:
		    os.chdir(sys.argv[2])
		    os.abort()
		assert size() - before < 8192, (before, size())
	PY
	in_view --mount img mnt -- <<<'ulimit -v 400000; python3 names.py mnt'
	[ "$(cat /proc/sys/kernel/core_pattern)" = core ] || skip "core files go elsewhere here"
	mkdir cores
	in_view --mount img mnt -- <<-'SH' || true
		ulimit -c unlimited
		python3 names.py mnt "$W/cores"
	SH
	set -- cores/core*
	[ -e "$1" ]
	[ "$(stat -c %s "$1")" -lt 40000000 ]
}

@test "a directory that has been read before, read again while its names are removed" {
	need fuse2fs
	ext4 img
	script <<-'PY'
		def fill():
		    for i in range(2000):
		        open('d/a-name-of-which-few-fit-into-a-piece-%05d' % i, 'w').close()
		os.mkdir('d')
		fill()
		assert len(os.listdir('d')) == len(os.listdir('d')) == 2000
		with os.scandir('d') as it:
		    for e in it:
		        os.unlink(e.path)
		assert os.listdir('d') == []
		fill()
		removed = []
		with os.scandir('d') as it:	# and another reader in between
		    for e in it:
		        if not len(removed) % 500:
		            assert len(os.listdir('d')) == 2000 - len(removed)
		        os.unlink(e.path)
		        removed.append(e.name)
		assert len(removed) == 2000 and os.listdir('d') == []
	PY
	in_view --mount img mnt -- <<<'python3 names.py mnt'
	clean img
}

@test "a file that was mapped to be stored in leaves nothing where it is removed, and keeps the time it was given" {
	need fuse2fs
	ext4 img
	script <<-'PY'
		import mmap
		for i in range(20):
		    os.mkdir('d')
		    with open('d/f', 'w+b') as f:
		        f.truncate(8192)
		        with mmap.mmap(f.fileno(), 8192) as m:
		            m[5] = 7
		    if i % 2:
		        os.unlink('d/f')
		    else:
		        open('new', 'w').close()
		        os.rename('new', 'd/f')
		        os.unlink('d/f')
		    assert os.listdir('d') == [], os.listdir('d')
		    os.rmdir('d')
		with open('f', 'w+b') as f:
		    f.truncate(8192)
		    with mmap.mmap(f.fileno(), 8192) as m:
		        m[5] = 7
		        os.utime(f.fileno(), (1, 1))
		assert os.stat('f').st_mtime == 1
	PY
	in_view --mount img mnt -- <<<'python3 names.py mnt'
	clean img
}

@test "many files mapped by several processes: each maps the file that it means" {
	need fuse2fs
	ext4 img
	script <<-'PY'
		import mmap, random
		for i in range(60):
		    open('f%d' % i, 'wb').write(bytes([i]) * 4096)
		children = []
		for k in range(4):
		    children.append(os.fork())
		    if not children[-1]:
		        random.seed(k)
		        for n in range(800):
		            i = random.randrange(60)
		            with open('f%d' % i, 'r+b') as f, mmap.mmap(f.fileno(), 4096) as m:
		                if m[5] != i:
		                    os._exit(1)
		                m[4000] = i
		        os._exit(0)
		assert [os.waitpid(c, 0)[1] for c in children] == [0] * 4
	PY
	in_view --mount img mnt -- <<<'python3 names.py mnt'
	clean img
}
