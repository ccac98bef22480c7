# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: gcc make
# Our own test programs, by our own makefile: some of them, for all of them take a busy machine longer than a test may.
cp -r "$UMT_SOURCES/tests/guest" "$UMT_SOURCES/tests/lib" .; cd guest; chmod -R u+w .
rm -f [g-mo-z]*.c
make -s -j4 O="$PWD/../out" STATIC= >/dev/null && ls ../out/guest | sort && "$PWD/../out/guest/nostdlib"
