# SPDX-License-Identifier: GPL-2.0-or-later
# The tree of the machine, as a program that does nothing else sees it.
find /usr/share/doc -xdev -printf '%P %y %s %m %U %n\n' | sort | md5sum
find /usr/include -type f -name '*.h' | sort | xargs cat | md5sum
find /etc -maxdepth 2 -type l -printf '%P %l\n' 2>/dev/null | sort | md5sum
find /usr/bin -newer /bin/true | wc -l; find /usr/lib -samefile /usr/lib/os-release
mkdir -p d/e; for i in 1 2 3; do echo $i >d/e/$i; done; find d -type f -exec cat {} + | sort; find d -delete; ls
ls -lR /usr/share/doc | md5sum
