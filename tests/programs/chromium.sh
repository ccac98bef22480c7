# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: chromium
# A browser, with its many processes and their shared memory, renders a local page; the picture must be the same, bit by bit.
cat >page.html <<'HTML'
<html><body style="background:#fff"><h1 style="color:#c00">A page</h1><canvas id=c width=200 height=100></canvas>
<p id=sum></p><img src="picture.svg">
<script>
const x = document.getElementById('c').getContext('2d');
x.fillStyle = '#08f'; x.fillRect(10, 10, 100, 50);
document.getElementById('sum').textContent = [1, 2, 3].map(a => a * a).join();
</script></body></html>
HTML
cat >picture.svg <<'SVG'
<svg xmlns="http://www.w3.org/2000/svg" width="60" height="60"><circle cx="30" cy="30" r="25" fill="#2a2"/></svg>
SVG
timeout 50 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
	--disable-component-update --disable-sync --window-size=400,300 --user-data-dir="$PWD/profile" \
	--screenshot="$PWD/shot.png" "file://$PWD/page.html" >out 2>err
status=$?
echo "status $status"
[ $status = 0 ] || { tail -5 err >&2; exit 1; }
# A PNG's head, its size, and enough of it that it shows more than white.
head -c 24 shot.png | od -An -tx1
[ "$(wc -c <shot.png)" -gt 2000 ] && md5sum <shot.png
