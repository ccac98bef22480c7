#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The house rules that a program can look after, as TAP.  HACKING.md tells why.
#
# usage: tools/check-style.sh
set -u
cd "$(dirname "$0")/.." || exit 1

# All files of the project, and those that people write programs in.
if files=$(git ls-files --cached --others --exclude-standard 2>/dev/null) && [ -n "$files" ]; then
	:
else
	files=$(find . -type f ! -path './.git/*' ! -path './build*/*' | sed 's,^\./,,')
fi
files=$(for f in $files; do [ -f "$f" ] && echo "$f"; done)
sources=$(echo "$files" | grep -E '\.(c|h|S|py|sh|bats|ld)$|(^|/)(Makefile|meson\.build|meson_options\.txt)$')
c_files=$(echo "$files" | grep -E '\.[ch]$')

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
n=0
failed=0
verdict() {	# verdict RULE FINDINGS: one result, with what was found as comments
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
		return
	fi
	failed=1
	echo "not ok $n - $1"
	echo "$2" | head -40 | sed 's/^/# /'
}

found() {	# found GREP-ARGUMENT...: in all files but this one and texts that we did not write
	echo "$files" | grep -vE '^(LICENSE|tools/check-style\.sh)$|\.(png|svg)$' |
		tr '\n' '\0' | xargs -0 grep -nIE "$@" /dev/null
}

verdict 'every source file opens with its SPDX line' "$(
	for f in $sources; do
		case $f in
		*.ld | tests/golden/*) continue ;;
		esac
		head -n 2 "$f" | grep -q 'SPDX-License-Identifier: GPL-2.0-or-later' || echo "$f"
	done)"

verdict 'no file of more than 900 lines' "$(
	for f in $sources; do
		lines=$(wc -l <"$f")
		[ "$lines" -le 900 ] || echo "$f: $lines lines"
	done)"

verdict 'no function of more than 80 lines' "$(
	for f in $c_files; do
		awk -v file="$f" '
			/^[A-Za-z_]/ { name = $0 }
			/^\{/ || (/^[A-Za-z_].*\)[ \t]*\{$/) { start = FNR; body = 1 }
			/^\}/ {
				if (body && FNR - start > 80)
					printf "%s:%d: %d lines: %s\n", file, start, FNR - start, name
				body = 0
			}' "$f"
	done)"

verdict 'no note of work left undone' "$(found '\b(TODO|FIXME|XXX|HACK)\b' | grep -v 'XXXXX')"

verdict 'no commented-out code' "$(
	for f in $c_files; do
		grep -nE '^[[:space:]]*//.*[;{}][[:space:]]*$' "$f" | sed "s,^,$f:,"
		grep -nE '^#[[:space:]]*if[[:space:]]+0\b' "$f" | sed "s,^,$f:,"
	done)"

verdict 'no blank at the end of a line' "$(
	for f in $sources; do
		grep -nE '[[:blank:]]+$' "$f" /dev/null
	done)"

# Hosts of package registries: the ones this machine uses, and the well-known ones.
hosts=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
	sed -nE 's#.*https?://([A-Za-z0-9.-]+).*#\1#p' | sort -u | sed 's/\./\\./g' | paste -sd'|')
verdict 'no path of a developer'\''s machine, no host of a package registry' "$(
	found "(^|[^A-Za-z0-9_.])/(work|home/[a-z]+|root)/|(deb|ftp)[.]debian[.]org|registry[.]npmjs|pypi[.]org|proxy[.]golang${hosts:+|$hosts}")"

verdict 'every script can be executed' "$(
	for f in $(echo "$files" | grep -E '^(tools|tests|bench)/.*\.sh$'); do
		[ -x "$f" ] || ! head -n 1 "$f" | grep -q "^#!" || echo "$f"
	done)"

verdict 'docs/syscalls.md is what src/syscalls.tbl says (else: make docs)' "$(
	python3 src/tools/gen_syscalls.py src/syscalls.tbl --docs "$scratch/syscalls.md" 2>&1 &&
		diff -q "$scratch/syscalls.md" docs/syscalls.md 2>&1)"

verdict 'the tests that docs/hazards.md names exist' "$(
	grep -oE '`(guest|scenario|unit|programs|diff|fuzz|conform|lib)/[^`]+`' docs/hazards.md | tr -d '`' | sort -u |
	while IFS=: read -r name test; do
		file=$(ls "tests/$name" "tests/$name.c" "tests/$name.bats" "tests/$name.py" 2>/dev/null)
		[ -n "$file" ] && { [ -z "$test" ] || grep -q "^TEST($test," "$file"; } || echo "$name${test:+:$test}"
	done)"

verdict 'the bugs that tests/diff/planted.sh plants can be planted (else: make their patches anew)' "$(
	for patch in tests/diff/planted/*.patch; do
		git apply --check "$patch" 2>&1
	done)"

echo "1..$n"
exit "$failed"
