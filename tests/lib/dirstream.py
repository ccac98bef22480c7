# SPDX-License-Identifier: GPL-2.0-or-later
# A directory as readdir(3), telldir(3) and seekdir(3) show it, for the scripts of scenarios.
import ctypes

c = ctypes.CDLL(None)
c.opendir.restype = ctypes.c_void_p
c.readdir.restype = ctypes.c_void_p
c.telldir.restype = ctypes.c_long
c.opendir.argtypes = [ctypes.c_char_p]
for f in c.readdir, c.telldir, c.rewinddir:
    f.argtypes = [ctypes.c_void_p]
c.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


class Dir:
    def __init__(self, path):
        self.d = c.opendir(path.encode())
        assert self.d, path

    def name(self):
        e = c.readdir(self.d)
        return e and ctypes.string_at(e + 19).decode()

    def tell(self):
        return c.telldir(self.d)

    def seek(self, at):
        c.seekdir(self.d, at)

    def rewind(self):
        c.rewinddir(self.d)
