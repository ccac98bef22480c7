# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: chromium
# A browser with its many processes renders local pages: as a picture, as the document after its scripts ran, as PDF.
mkdir -p site
cat >site/other.js <<'JS'
onmessage = e => postMessage(e.data.reduce((a, b) => a + b));
JS
cat >site/page.html <<'HTML'
<html><body style="background:#fff"><h1 style="color:#c00">A page</h1><canvas id=c width=200 height=100></canvas>
<p id=math></p><p id=store></p><p id=wasm></p><p id=idle></p><img src="picture.svg">
<script>
const x = document.getElementById('c').getContext('2d');
x.fillStyle = '#08f'; x.fillRect(10, 10, 100, 50);
const say = (id, what) => document.getElementById(id).textContent = what;
say('math', [1, 2, 3].map(a => a * a).join());
localStorage.setItem('k', 'v'); say('store', localStorage.getItem('k'));
const bytes = new Uint8Array([0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11]);
say('wasm', new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.add(40, 2));
let n = 0; for (let i = 0; i < 3e6; i++) n = (n * 31 + i) | 0;
say('idle', n);
</script></body></html>
HTML
cat >site/picture.svg <<'SVG'
<svg xmlns="http://www.w3.org/2000/svg" width="60" height="60"><circle cx="30" cy="30" r="25" fill="#2a2"/></svg>
SVG
browser() {
	timeout 50 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
		--disable-component-update --disable-sync --window-size=400,300 --user-data-dir="$PWD/profile" "$@" \
		"file://$PWD/site/page.html" 2>err
}
browser --screenshot="$PWD/shot.png" >out
echo "picture status: $?"
echo "picture: $(md5sum <shot.png)"
browser --dump-dom >dom
echo "document status: $?"
for id in math store wasm idle; do
	echo "document $id: $(sed -n "s/.*id=\"$id\">\([^<]*\)<.*/\1/p" dom)"
done
browser --print-to-pdf="$PWD/page.pdf" --no-pdf-header-footer >out
echo "paper status: $?"
echo "paper begins: $(head -c 5 page.pdf)"
echo "profile: $(test -f profile/Default/Preferences && echo written)"
