# SPDX-License-Identifier: MIT
# A thin front to meson. `make build` puts the program at build/wslx.
.PHONY: build demo check check-long kernels lint sanitize fuzz bench clean

build: build/build.ninja
	@ninja -C build

build/build.ninja:
	@tools/install-packages build man test
	@meson setup build --werror >/dev/null

# The main job on real programs, shown as it happens; in the end on a whole Debian, from packages to
# a registry and back.
demo: build
	@tools/install-packages real demo
	@tools/demo
	@tools/demo-machine

# All quick tests. SUITES names some of them: unit zoo real cli registry vm...
check: build kernels
	@tools/install-packages test registry real vm
	@tests/run $(SUITES)

check-long: build kernels
	@tools/install-packages test registry real languages vm
	@tests/run --long $(SUITES)

# What the tests' machines boot, once; who has no package archive at hand has those tests skipped.
kernels:
	@test -n "$$WSLX_KERNELS" || tests/vm/fetch-kernels build/kernels || \
		echo "no kernels from apt: tests of machines are skipped"

lint: build
	@tools/install-packages lint
	@tools/lint

# Everything once more under AddressSanitizer, with its look for leaks, and
# UndefinedBehaviorSanitizer. The zoo's programs are those of the plain build: what is under test is
# wslx, and shadow memory of terabytes is no part of a program that locks all it has. A restored tree
# begins as a child of wslx: it must not inherit ASan's signal stack. A machine's filter of system calls
# lets nobody look for leaks.
sanitize: export UBSAN_OPTIONS = halt_on_error=1:print_stacktrace=1
sanitize: export ASAN_OPTIONS = use_sigaltstack=0
sanitize: build kernels
	@tools/install-packages build test lint registry vm
	@test -d build-asan || meson setup build-asan --werror -Db_sanitize=address,undefined \
		-Db_lundef=false >/dev/null
	@ninja -C build-asan
	@BUILD=build-asan tests/run unit isa cli registry
	@WSLX=build-asan/wslx ZOO_BIN=build/tests/zoo tests/zoo/run
	@WSLX=$(CURDIR)/build-asan/wslx WSLX_SLOWER=10 ASAN_OPTIONS=$$ASAN_OPTIONS:detect_leaks=0 \
		tests/vm/boot.py

# Coverage-guided, for a minute each; needs clang.
fuzz:
	@tools/install-packages build lint
	@test -d build-fuzz || CC=clang meson setup build-fuzz -Dfuzz=true \
		-Db_sanitize=address,undefined -Db_lundef=false >/dev/null
	@ninja -C build-fuzz
	@tests/fuzz/run build-fuzz

bench: build
	@bench/proc

clean:
	rm -rf build build-asan build-clang build-fuzz
