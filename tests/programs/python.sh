# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: python3
# Python: threads, processes, asyncio, signals, mmap, sockets; with Debian's and with the first one on PATH.
cat >p.py <<'PY'
import asyncio, concurrent.futures, ctypes, hashlib, json, mmap, multiprocessing, os, queue, random, select
import signal, socket, subprocess, sys, tempfile, threading, time, pathlib, shutil, sqlite3, zlib

def section(name): print('==', name, flush=True)

section('threads')
total, lock = 0, threading.Lock()
def add(n):
    global total
    for i in range(n):
        with lock: total += 1
ts = [threading.Thread(target=add, args=(500,)) for _ in range(30)]
[t.start() for t in ts]; [t.join() for t in ts]
print(total)
q = queue.Queue()
threading.Thread(target=lambda: [q.put(i) for i in range(1000)], daemon=True).start()
print(sum(q.get() for _ in range(1000)))
with concurrent.futures.ThreadPoolExecutor(16) as ex:
    print(sum(ex.map(lambda p: len(os.listdir(p)) > 0, ['/usr', '/etc', '/usr/bin'] * 50)))

section('subprocess')
print(subprocess.run(['sh', '-c', 'cat; exit 3'], input=b'in', capture_output=True))
print(subprocess.check_output('echo $0 $#', shell=True))
p = subprocess.Popen(['sleep', '50']); p.kill(); print(p.wait())
print([subprocess.call(['/bin/true']) for _ in range(50)] == [0] * 50)
try: subprocess.run(['/no/such'])
except FileNotFoundError as e: print(e.errno)
try: subprocess.run(['sleep', '5'], timeout=0.1)
except subprocess.TimeoutExpired: print('timeout')
print(subprocess.run([sys.executable, '-c', 'import sys; print(sys.argv)', 'a b'], capture_output=True).stdout)

section('asyncio')
async def tick(n):
    await asyncio.sleep(0.001 * n); return n
async def main():
    print(sum(await asyncio.gather(*[tick(i) for i in range(50)])))
    p = await asyncio.create_subprocess_exec('echo', 'async', stdout=asyncio.subprocess.PIPE)
    print(await p.communicate(), p.returncode)
    async def echo(r, w):
        w.write(await r.read(100)); await w.drain(); w.close()
    s = await asyncio.start_server(echo, '127.0.0.1', 0)
    r, w = await asyncio.open_connection(*s.sockets[0].getsockname())
    w.write(b'over tcp'); w.write_eof(); print(await r.read(100)); s.close()
    u = await asyncio.start_unix_server(echo, 'sock')
    r, w = await asyncio.open_unix_connection('sock')
    w.write(b'over unix'); w.write_eof(); print(await r.read(100)); u.close()
    loop = asyncio.get_running_loop(); f = loop.create_future()
    loop.add_signal_handler(signal.SIGUSR1, f.set_result, 'signalled')
    os.kill(os.getpid(), signal.SIGUSR1); print(await f)
asyncio.run(main())

section('signals')
hits = []
signal.signal(signal.SIGALRM, lambda s, f: hits.append(s))
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
end = time.time() + 0.3
while time.time() < end: os.stat('/'), hashlib.md5(b'x' * 1000).digest()
signal.setitimer(signal.ITIMER_REAL, 0); print(len(hits) > 10)
time.sleep(0.01)
print(signal.sigtimedwait([signal.SIGHUP], 0.01), signal.pthread_sigmask(signal.SIG_BLOCK, []))

section('files')
d = pathlib.Path(tempfile.mkdtemp(dir='.'))
(d / 'a').write_text('hello\n' * 1000)
with open(d / 'a', 'r+b') as f:
    m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY); m[0:1] = b'J'; print(m[:5], len(m), f.read(5)); m.close()
    print(os.pread(f.fileno(), 5, 6), os.fstat(f.fileno()).st_size)
os.rename(d / 'a', d / 'b'); os.link(d / 'b', d / 'c'); os.symlink('c', d / 's')
print(sorted(os.listdir(d)), os.readlink(d / 's'), os.stat(d / 'b').st_nlink)
print(sorted(e.name for e in os.scandir(d) if e.is_symlink()))
shutil.copytree(d, 'copy'); shutil.rmtree(d); print(sorted(os.listdir('copy')))
print(len(list(os.walk('/usr/include'))) > 5, zlib.crc32(open('/usr/bin/env', 'rb').read()) != 0)
os.chdir('copy'); print(os.path.basename(os.getcwd())); os.chdir('..')

section('others')
db = sqlite3.connect('x.db'); db.execute('create table t(a)'); db.executemany('insert into t values(?)', [(i,) for i in range(100)]); db.commit()
print(db.execute('select sum(a) from t').fetchone())
print(ctypes.CDLL(None).getpid() == os.getpid(), os.readlink('/proc/self/exe') == os.path.realpath(sys.executable))
r, w = os.pipe(); pid = os.fork()
if pid == 0: os.write(w, b'child'); os._exit(5)
print(os.read(r, 10), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(select.select([r], [w], [], 0)[1] == [w], random.Random(1).random(), json.dumps({'a': [1, None]}))
print(hashlib.sha256(open(sys.executable, 'rb').read()).hexdigest() != '', sys.flags.optimize)
os.execv(sys.executable, ['py', '-c', 'print("exec"); import sys; sys.exit(9)'])
PY
cat >m.py <<'PY'
import multiprocessing, os
def work(n): return n * n + (os.getpid() == 0)
if __name__ == '__main__':
    for method in ('fork', 'spawn', 'forkserver'):
        with multiprocessing.get_context(method).Pool(3) as pool:
            print(method, sum(pool.map(work, range(200))), flush=True)
    q = multiprocessing.Queue(); p = multiprocessing.Process(target=q.put, args=('queued',)); p.start(); print(q.get()); p.join(); print(p.exitcode)
PY
/usr/bin/python3 m.py; echo "status $?"
/usr/bin/python3 p.py; echo "status $?"
rm -rf copy sock x.db
first=$(command -v python3)
if [ "$(realpath "$first")" != "$(realpath /usr/bin/python3)" ]; then python3 p.py; echo "status $?"; fi
/usr/bin/python3 -m compileall -q p.py && /usr/bin/python3 -c 'import os; os.abort()' 2>/dev/null; echo "status $?"
