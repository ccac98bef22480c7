# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: gcc make
# Our own test programs, by our own makefile.
cp -r "$UMT_SOURCES/tests/guest" "$UMT_SOURCES/tests/lib" .; cd guest; chmod -R u+w .
make -s -j4 O="$PWD/../out" STATIC= >/dev/null && ls ../out/guest | sort && "$PWD/../out/guest/nostdlib"
