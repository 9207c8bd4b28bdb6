# SPDX-License-Identifier: MIT
# A thin front to meson. `make build` puts the program at build/wslx.
.PHONY: build demo check check-long lint sanitize fuzz bench clean

build: build/build.ninja
	@ninja -C build

build/build.ninja:
	@tools/install-packages build man test
	@meson setup build --werror >/dev/null

# The main job on real programs, shown as it happens.
demo: build
	@tools/install-packages real
	@tools/demo

# All quick tests. SUITES names some of them: unit zoo real cli registry.
check: build
	@tools/install-packages test registry real
	@tests/run $(SUITES)

check-long: build
	@tools/install-packages test registry real
	@tests/run --long $(SUITES)

lint: build
	@tools/install-packages lint
	@tools/lint

# Everything once more under AddressSanitizer and UndefinedBehaviorSanitizer.
sanitize:
	@tools/install-packages build test lint
	@test -d build-asan || meson setup build-asan --werror -Db_sanitize=address,undefined \
		-Db_lundef=false >/dev/null
	@ninja -C build-asan
	@BUILD=build-asan tests/run unit
	@# A restored tree begins as a child of wslx: it must not inherit ASan's signal stack.
	@ASAN_OPTIONS=use_sigaltstack=0 WSLX=build-asan/wslx ZOO_BIN=build-asan/tests/zoo \
		tests/zoo/run 'mem_*' 'pipe*' 'task_*' 'sock_p*' 'sig_*'

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
	rm -rf build build-asan build-fuzz
