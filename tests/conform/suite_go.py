# SPDX-License-Identifier: GPL-2.0-or-later
"""Go's tests of its own standard library (package golang-go): a static program with many threads that makes its own system calls.
The test programs are compiled natively, once; they run, short, in the directory of their source, as `go test` does."""
import os
import re
import shutil
import subprocess

from conform import Item

PACKAGES = "os os/exec os/signal os/user io/ioutil path/filepath syscall time net net/http/httptest sync runtime".split()

# It compiles with cgo and starts gdb: minutes, where others compile, too.
LIMITS = {"runtime": 800}


def root():
    return subprocess.run(["go", "env", "GOROOT"], capture_output=True, text=True).stdout.strip()


def missing():
    if not shutil.which("go"):
        return "no go here"
    return None if os.path.exists(root() + "/src/os/os_test.go") else "no tests among go's sources"


def parse(text, status, top):
    results = {"(status)": "pass" if status == 0 else f"status {status}"}
    for m in re.finditer(r"^ *--- (PASS|FAIL|SKIP): (\S+)", text, re.M):
        results[m.group(2)] = m.group(1).lower()
    return results


def prepare(package, program):
    def setup(scratch, state):
        if (state / "go" / program).exists():
            return
        environment = dict(os.environ, GOCACHE=str(state / "go/cache"), GOPATH=str(state / "go/path"), GOFLAGS="-p=2")
        subprocess.run(["go", "test", "-c", "-o", state / "go" / program, package], check=True, env=environment,
                       cwd=root() + "/src")
    return setup


def items():
    if missing():
        return
    for package in PACKAGES:
        program = package.replace("/", "_") + ".test"
        limit = LIMITS.get(package, 200)
        inside = f"cd {root()}/src/{package} && exec @STATE@/go/{program} -test.v -test.short -test.timeout={limit}s"
        yield Item(package.replace("/", "_"), ["sh", "-c", inside], parse, limit=limit + 40, setup=prepare(package, program))
