# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: node
# Node.js: worker threads, cluster, child processes, HTTP, file watching, streams, WebAssembly.
cat >w.js <<'JS'
const { workerData, parentPort } = require('worker_threads');
let n = 0; for (let i = 0; i < 1e6; i++) n = (n + i * workerData) % 1000003;
parentPort.postMessage(n);
JS
cat >cluster.js <<'JS'
const cluster = require('cluster'), http = require('http');
if (cluster.isPrimary) {
  let up = 0, down = 0;
  for (let i = 0; i < 3; i++) cluster.fork();
  cluster.on('listening', (w, a) => {
    if (++up < 3) return;
    http.get({ host: '127.0.0.1', port: a.port }, r => {
      r.on('data', d => console.log('cluster: ' + d)); r.on('end', () => { for (const w of Object.values(cluster.workers)) w.kill(); });
    });
  });
  cluster.on('exit', (w, code, signal) => { if (++down === 3) console.log('cluster end: ' + signal); });
} else http.createServer((q, r) => r.end('served')).listen(0, '127.0.0.1');
JS
cat >main.js <<'JS'
const fs = require('fs'), cp = require('child_process'), zlib = require('zlib'), crypto = require('crypto');
const { Worker } = require('worker_threads'), os = require('os'), path = require('path'), http = require('http');
const say = (n, v) => console.log(n + ': ' + v);
(async () => {
  const sums = await Promise.all([1, 2, 3, 4].map(i => new Promise((ok, bad) =>
    new Worker('./w.js', { workerData: i }).on('message', ok).on('error', bad))));
  say('workers', sums);
  const p = cp.spawn('sh', ['-c', 'read x; echo got $x; exit 7']);
  p.stdin.end('line\n');
  let out = ''; p.stdout.on('data', d => out += d);
  say('child', await new Promise(ok => p.on('close', c => ok(out.trim() + ' ' + c))));
  say('execSync', cp.execSync('echo $((6 * 7))').toString().trim());
  say('kill', await new Promise(ok => { const k = cp.spawn('sleep', ['50']); k.on('exit', (c, s) => ok(s)); k.kill('SIGTERM'); }));
  const data = crypto.createHash('sha512').update('seed').digest();
  const big = Buffer.alloc(1 << 20, data);
  say('zlib', zlib.gunzipSync(zlib.gzipSync(big)).equals(big));
  say('scrypt', crypto.scryptSync('p', 's', 16).toString('hex'));
  await fs.promises.mkdir('d/e/f', { recursive: true });
  await Promise.all([...Array(100).keys()].map(i => fs.promises.writeFile('d/e/' + i, 'x'.repeat(i))));
  const sizes = await Promise.all([...Array(100).keys()].map(i => fs.promises.stat('d/e/' + i).then(s => s.size)));
  say('files', sizes.reduce((a, b) => a + b));
  say('readdir', fs.readdirSync('d/e').length);
  fs.cpSync('d', 'copy', { recursive: true }); fs.rmSync('d', { recursive: true });
  say('copied', fs.readdirSync('copy/e').length + ' ' + fs.existsSync('d'));
  say('watch', await new Promise(ok => {
    const w = fs.watch('copy', (e, n) => { w.close(); ok(n); });
    w.on('error', e => ok(e.code));
    setTimeout(() => fs.writeFileSync('copy/new', ''), 50);
  }));
  const server = http.createServer((q, r) => { let n = 0; q.on('data', d => n += d.length); q.on('end', () => r.end(String(n))); });
  await new Promise(ok => server.listen(path.resolve('sock'), ok));
  say('http', await new Promise(ok => {
    const q = http.request({ socketPath: path.resolve('sock'), method: 'POST', agent: false }, r => { let s = ''; r.on('data', d => s += d); r.on('close', () => ok(s)); });
    q.on('error', () => {}); q.end(big);
  }));
  server.close();
  say('signal', await new Promise(ok => { const t = setTimeout(ok, 5000, 'none'); process.once('SIGUSR2', s => { clearTimeout(t); ok(s); }); process.kill(process.pid, 'SIGUSR2'); }));
  say('stream', await new Promise(ok => fs.createReadStream(process.execPath, { end: 999999 }).pipe(crypto.createHash('md5').setEncoding('hex')).on('finish', function () { ok(this.read()); })));
  say('cwd', path.basename(process.cwd()) + ' ' + (os.cpus().length > 0) + ' ' + process.argv0);
})();
JS
timeout 60 node main.js
echo "main status: $?"
timeout 60 node cluster.js
echo "cluster status: $?"
node -e 'process.abort()' 2>/dev/null
echo "abort status: $?"
node --max-old-space-size=20 -e 'const a = []; for (;;) a.push(new Array(1e5).fill(1))' >/dev/null 2>&1
echo "out of memory status: $?"
node -e 'function f() { f() } try { f() } catch (e) { console.log("stack: " + e.constructor.name) }'
