# SPDX-License-Identifier: GPL-2.0-or-later
# The front door.  meson and ninja do the work; everything made lies below $(BUILD).
#
#   make            build; $(BUILD)/umview runs from there without installation
#   make demo       one minute: a disk image mounted and used by an ordinary user
#   make check      all tests; the last line says how many passed, failed and were skipped
#   make fixtures   once: packages and trees of Debian's for tests of package installations (make check does it, too)
#   make conform    other people's test suites, natively and in a view (CONFORM=... names some; about an hour)
#   make bench      UMview against native, PRoot and kernel FUSE
#   make soak       the tests again and again for $(SOAK_MINUTES) minutes
#   make fuzz       the parsers under libFuzzer for $(FUZZ_SECONDS) seconds each (needs clang)
#   make install    to $(PREFIX), below DESTDIR
#   make docs       after a change of src/syscalls.tbl: makes docs/syscalls.md anew
#   make clean
#
# Variables: CC (gcc or clang), BUILD, JOBS, PREFIX, DESTDIR, SANITIZE=1; for check and conform: TIER=trap
# (umview --tier); for conform: CONFORM, WORLD (view, mount or image).

BUILD ?= build
PREFIX ?= /usr/local
SOAK_MINUTES ?= 30
FUZZ_SECONDS ?= 60
WORLD ?= view
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
export CC BUILD JOBS

OPTIONS = $(if $(SANITIZE),-Dsanitize=true)

.PHONY: all build demo check fixtures conform bench soak fuzz install clean docs
all: build

build:
	@tools/build.sh $(BUILD) $(OPTIONS)

demo:
	@tools/install-deps.sh demo
	@tools/build.sh $(BUILD) $(OPTIONS) >$(if $(V),/dev/stdout,/dev/null)
	@tools/demo.sh $(BUILD)/umview

check:
	@tools/install-deps.sh check
	@tools/build.sh $(BUILD)
	@tools/fixtures.sh $(BUILD)/fixtures || echo "check: no fixtures: tests of package installations are skipped" >&2
	@tools/check.sh

fixtures:
	@tools/install-deps.sh check
	@tools/build.sh $(BUILD) $(OPTIONS)
	@tools/fixtures.sh $(BUILD)/fixtures

conform:
	@tools/install-deps.sh conform
	@tools/build.sh $(BUILD) $(OPTIONS)
	@tests/conform.sh $(BUILD) --world $(WORLD) $(if $(TIER),--tier $(TIER)) $(CONFORM)

bench:
	@tools/install-deps.sh bench
	@tools/build.sh $(BUILD) $(OPTIONS)
	@tools/fixtures.sh $(BUILD)/fixtures || true
	@bench/run.sh

soak:
	@tools/install-deps.sh check
	@tools/build.sh $(BUILD) $(OPTIONS)
	@tools/soak.sh $(SOAK_MINUTES)

fuzz:
	@tools/install-deps.sh check
	@tools/fuzz.sh $(FUZZ_SECONDS)

install: build
	meson configure $(BUILD) -Dprefix=$(PREFIX)
	meson install -C $(BUILD)

clean:
	rm -rf $(BUILD)

# docs/syscalls.md from the table.
docs:
	python3 src/tools/gen_syscalls.py src/syscalls.tbl --docs docs/syscalls.md
