# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: node
# A JIT, its threads, its loop, its children.
cat >n.js <<'JS'
const fs = require('fs'), cp = require('child_process'), { Worker, isMainThread, parentPort, workerData } = require('worker_threads'), net = require('net'), crypto = require('crypto'), os = require('os'), zlib = require('zlib');
if (!isMainThread) { let s = 0; for (let i = 0; i < 3e6; i++) s = (s + i * workerData) % 1000003; parentPort.postMessage(s); } else (async () => {
  console.log(process.argv.length, process.exitCode, typeof process.pid);
  fs.writeFileSync('f', 'x'.repeat(100000)); console.log(fs.statSync('f').size, fs.readFileSync('f', 'utf8').length, fs.readdirSync('.').sort().join());
  const h = await fs.promises.open('f', 'r+'); await h.write('hello', 10); const { buffer } = await h.read(Buffer.alloc(7), 0, 7, 9); console.log(buffer.toString()); await h.close();
  console.log((await Promise.all([...Array(40)].map((_, i) => fs.promises.stat('f').then(s => s.size + i)))).reduce((a, b) => a + b));
  console.log(await Promise.all([1, 2, 3].map(n => new Promise((ok, no) => new Worker(__filename, { workerData: n }).on('message', ok).on('error', no)))));
  console.log(cp.execSync('echo child; exit 0').toString(), cp.spawnSync('sh', ['-c', 'exit 4']).status, cp.spawnSync('sh', ['-c', 'kill -9 $$']).signal, cp.spawnSync('/none').error.code);
  console.log(await new Promise(ok => { const c = cp.fork(__filename.replace('n.js', 'c.js')); c.on('message', ok); c.send('ping'); }));
  await new Promise(ok => { const s = net.createServer(c => c.pipe(c)).listen(0, '127.0.0.1', () => { const c = net.connect(s.address().port); c.end('echo'); c.on('data', d => console.log(d.toString())); c.on('close', () => s.close(ok)); }); });
  console.log(crypto.createHash('sha256').update('x').digest('hex').slice(0, 8), zlib.gunzipSync(zlib.gzipSync('zip')).toString(), await new Promise(ok => crypto.pbkdf2('a', 'b', 1000, 8, 'sha1', (e, k) => ok(k.toString('hex')))));
  process.on('SIGUSR2', () => { console.log('signal'); process.exit(6); }); setTimeout(() => process.kill(process.pid, 'SIGUSR2'), 20); setTimeout(() => {}, 5000);
})();
JS
echo 'process.on("message", m => { process.send(m + " pong"); process.disconnect(); });' >c.js
node n.js; echo "status $?"; node -e 'process.exit(3)'; echo "status $?"; node -e 'throw 1' 2>/dev/null; echo "status $?"; node -p '[1,2].map(x => x * 2)' | head -1
