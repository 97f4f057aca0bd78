# shmd. `make help` lists the targets; CONTRIBUTING.md says when to use which.
#
# Go keeps its own build cache, so Go targets simply ask it every time; only the
# C side is tracked by timestamps here.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:

# --- What a user may set -------------------------------------------------

GO      ?= go
CXX     ?= g++
PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
LIBDIR  ?= $(PREFIX)/lib
INCDIR  ?= $(PREFIX)/include
MANDIR  ?= $(PREFIX)/share/man
# Where systemd looks for system/ and user/ units, for users and for directories to make.
UNITDIR     ?= $(PREFIX)/lib/systemd
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
DESTDIR ?=
# Seconds for each fuzz target, and for the long random runs.
SECONDS ?= 30
# The seed of `make linear` and `make soak`, which print the one they take.
SEED    ?=
# Arguments for `make demo` and `make bench`.
ARGS    ?=
# Only a watchdog for a test that hangs in spite of its own; never tuned.
TEST_TIMEOUT ?= 20m
# A packager with a newer compiler than ours may set WERROR= (empty).
WERROR  ?= -Werror
CFLAGS  ?= -O2 -g

# --- Names ---------------------------------------------------------------

# Version of the package; SOVERSION changes when the C API breaks.
VERSION   := 0.1.0
SOVERSION := 0

# What has no second process in it: built without cgo, raced, tested twice.
CORE := ./ctypes/... ./status/... ./shm/... ./wire/... ./daemon/... ./clients/go/...

# Go modules of their own, for dependencies that users of ours shall not get.
MODULES := tests/rivals/adapters/nats

# Code behind these tags must build and pass the linters too.
TAGS := shmd_replay,models
# Builds of their own, for tests: stores that a test can stop after, a recovery that
# leaves its duties out, and one that says that it has another layout.
TEST_TAGS := shmd_crash,shmd_sabotage,shmd_next_abi

# The tests and the demo find what was built here. SHMD_CC is for tests that
# compile a probe: CC itself, exported, would rebuild half of Go's cache.
export SHMD_BIN    := $(CURDIR)/bin/shmd
export SHMD_BUILD  := $(CURDIR)/build
export SHMD_PYTHON := $(CURDIR)/build/venv/bin/python
export SHMD_PYTHON_PACKAGE := $(CURDIR)/build/python/bin/python
export SHMD_CC      = $(CC)
export SHMD_CXX     = $(CXX)

VENV_READY := build/venv/.ready
# An environment with the Python package in it, as its wheel installs it.
PYTHON_READY := build/python/.ready

C_HEADERS := $(wildcard include/*.h clients/c/*.h)
C_SOURCES := $(wildcard clients/c/*.c)
# One file is one program, linked with libshmd.a; its path is kept:
# tests/crash/c/holder.c becomes build/tests/crash/c/holder.
C_PROGRAM_SOURCES := $(wildcard demo/c/*.c examples/c/*.c tests/*/c/*.c)

# The adapters of shmd-rivals. Ours need nothing that the build does not; of the others
# `make bench-rivals` builds what can be had.
OUR_ADAPTERS := $(addprefix build/tests/rivals/adapters/,floors_linux posix shmd shmdgo)
ADAPTERS     := $(addprefix build/tests/rivals/adapters/,boost zeromq redis nats iceoryx2 aeron)

# Go programs that only tests use.
TEST_PROGRAMS := build/shmd-sabotage build/shmd-crash build/tests/step/player build/tests/step/player-crash \
  build/shmd-next build/tests/version/opener build/tests/version/opener-next
NEXT_PROGRAM  := build/tests/version/c/opener-next

C_OBJECTS  := $(C_SOURCES:%.c=build/obj/%.o)
C_PROGRAMS := $(C_PROGRAM_SOURCES:%.c=build/%)
SONAME     := libshmd.so.$(SOVERSION)
C_LIBRARY  := build/libshmd.a build/libshmd.so build/shmd.pc build/shmd-uninstalled.pc

# The same for arm64, in a directory of its own. The programs need no loader there.
ARM64          := build/arm64
ARM64_OBJECTS  := $(C_OBJECTS:build/%=$(ARM64)/%)
ARM64_PROGRAMS := $(C_PROGRAMS:build/%=$(ARM64)/%)
ARM64_BUILT    := $(ARM64)/libshmd.a $(ARM64)/libshmd.so $(ARM64_PROGRAMS)
ARM64_EMULATOR  = $(or $(firstword $(foreach p,qemu-aarch64 qemu-aarch64-static,$(shell command -v $(p)))), \
                    $(error no emulator for arm64 is installed: run scripts/setup.sh arm64))
# scripts/setup.sh unpacks msgpack there, whose .pc need not know that directory.
ARM64_SYSROOT  := $(CURDIR)/$(ARM64)/sysroot
ARM64_LIBDIR   := $(ARM64_SYSROOT)/usr/lib/aarch64-linux-gnu
ARM64_CC       := aarch64-linux-gnu-gcc -L$(ARM64_LIBDIR)
ARM64_MSGPACK  := PKG_CONFIG_SYSROOT_DIR=$(ARM64_SYSROOT) PKG_CONFIG_LIBDIR=$(ARM64_LIBDIR)/pkgconfig

PYTHON_FILES     := $(filter-out %.so,$(wildcard clients/python/*.* clients/python/src/*/*.* clients/python/src/shmd/*/*.*))
PYTHON_SOURCES   := $(wildcard clients/python/src/ext/*.c)
PYTHON_OBJECTS   := $(PYTHON_SOURCES:clients/python/src/ext/%.c=build/obj/python/%.o)
PYTHON_EXTENSION := clients/python/src/shmd/_shmd.abi3.so
PYTHON_FLAGS      = -DPy_LIMITED_API=0x030b0000 -isystem $(shell $(SHMD_PYTHON) -c \
                      'import sysconfig; print(sysconfig.get_paths()["include"])')

WARNINGS := -Wall -Wextra $(WERROR) -Wshadow -Wpointer-arith -Wwrite-strings -Wstrict-prototypes \
            -Wmissing-prototypes -Wold-style-definition -Wundef -Wvla -Wformat=2
# -fPIC for both libraries: libshmd.a may end up in someone's plug-in, and the
# linker relaxes the access to thread-locals when it ends up in a program.
C_FLAGS = -std=gnu11 $(CFLAGS) -fvisibility=hidden -fPIC -pthread $(WARNINGS) -Iinclude

# Only for a rival of the bench. Designated initialisers of C leave fields out.
CXX_FLAGS = -std=gnu++20 $(CFLAGS) -pthread -Wall -Wextra $(WERROR) -Wno-missing-field-initializers -Iinclude

# msgpack-c has had three names. Looked up when a recipe runs, not when make
# starts: by then scripts/setup.sh may just have installed it.
PKG_CONFIG     = pkg-config
MSGPACK_PKG    = $(or $(shell for p in msgpack msgpack-c msgpackc; do \
                   if $(PKG_CONFIG) --exists $$p 2>/dev/null; then echo $$p; break; fi; done), \
                   $(error msgpack for C is not installed: run scripts/setup.sh build))
MSGPACK_CFLAGS = $(shell $(PKG_CONFIG) --cflags $(MSGPACK_PKG))
MSGPACK_LIBS   = $(shell $(PKG_CONFIG) --libs $(MSGPACK_PKG))

say = @printf '\n== %s\n' '$(1)'

# --- Targets -------------------------------------------------------------

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nFor build and install: CC, CFLAGS, WERROR, PREFIX, BINDIR, LIBDIR, INCDIR, MANDIR, UNITDIR,\n  SYSUSERSDIR, TMPFILESDIR, DESTDIR.\n'
	@printf 'What a target needs and the machine lacks is installed by scripts/setup.sh, which says what and why.\n'

.PHONY: build
build: bin/shmd c programs ## Build bin/shmd, and the C library into build/

# Without cgo, so that one binary runs on every distribution.
.PHONY: bin/shmd
bin/shmd:
	CGO_ENABLED=0 $(GO) build -o $@ ./cmd/shmd

.PHONY: c
c: $(C_LIBRARY)

.PHONY: python-ext
python-ext: bin/shmd $(PYTHON_EXTENSION) ## The Python package in place: PYTHONPATH=clients/python/src

.PHONY: programs
programs: $(C_PROGRAMS) $(TEST_PROGRAMS) $(NEXT_PROGRAM)

.PHONY: $(TEST_PROGRAMS)
build/shmd-crash:
	CGO_ENABLED=0 $(GO) build -tags shmd_crash -o $@ ./cmd/shmd
build/shmd-sabotage:
	CGO_ENABLED=0 $(GO) build -tags shmd_sabotage -o $@ ./cmd/shmd

build/tests/step/player:
	CGO_ENABLED=0 $(GO) build -o $@ ./tests/step/player

build/tests/step/player-crash:
	CGO_ENABLED=0 $(GO) build -tags shmd_crash -o $@ ./tests/step/player

build/shmd-next:
	CGO_ENABLED=0 $(GO) build -tags shmd_next_abi -o $@ ./cmd/shmd

build/tests/version/opener:
	CGO_ENABLED=0 $(GO) build -o $@ ./tests/version/opener

build/tests/version/opener-next:
	CGO_ENABLED=0 $(GO) build -tags shmd_next_abi -o $@ ./tests/version/opener

# A library of its own, all at once.
$(NEXT_PROGRAM): tests/version/c/opener.c tests/version/next_abi.h $(C_SOURCES) $(C_HEADERS) build/flags
	$(CC) $(C_FLAGS) $(MSGPACK_CFLAGS) -include tests/version/next_abi.h $(LDFLAGS) -o $@ $< $(C_SOURCES) \
	  $(MSGPACK_LIBS) $(LDLIBS)

.PHONY: demo
demo: build $(VENV_READY) ## Go, C and Python share memory, one is killed, nothing is lost
	CGO_ENABLED=0 $(GO) build -o bin/shmd-demo ./demo
	bin/shmd-demo $(ARGS)

# From the cheapest to the dearest, so that a mistake shows early.
.PHONY: test
test: build $(VENV_READY) $(PYTHON_READY) build/setup/model build/setup/check ## Run every test (does its own set-up)
	$(call say,units and everything with a second process)
	$(GO) test -count=1 -timeout $(TEST_TIMEOUT) ./...
	$(call say,store-prefix replay: every prefix of the stores of every operation)
	$(GO) test -count=1 -timeout $(TEST_TIMEOUT) -tags shmd_replay $(CORE)
	$(call say,without cgo)
	CGO_ENABLED=0 $(GO) build ./...
	CGO_ENABLED=0 $(GO) test -count=1 -short -timeout $(TEST_TIMEOUT) $(CORE)
	$(call say,race detector (short; all of it: make race))
	$(GO) test -race -count=1 -short -timeout $(TEST_TIMEOUT) $(CORE)
	$(call say,models (short; all of them: make model) and memory orders)
	$(GO) test -tags models -count=1 -short -timeout $(TEST_TIMEOUT) ./tests/models ./tests/litmus
	$(call say,make test: passed)

.PHONY: python
python: bin/shmd $(PYTHON_READY) ## The Python package: sdist and wheel into build/python-dist, installed and tested
	$(GO) test -count=1 -timeout $(TEST_TIMEOUT) ./tests/python

.PHONY: test-cpython
test-cpython: bin/shmd $(PYTHON_READY) ## CPython's own tests over shmd.multiprocessing; the table in docs/python.md
	$(SHMD_PYTHON_PACKAGE) clients/python/tests/cpython/run.py --jobs 2 --write docs/python.md

.PHONY: check
check: fmt-check tidy lint headers ## What CI runs first: format, tidy, linters, headers
	$(call say,make check: passed)

.PHONY: race
race: build/setup/build ## The race detector over the Go packages, in full
	$(GO) test -race -count=1 -timeout $(TEST_TIMEOUT) $(CORE)

# What the emulator cannot do: it keeps descriptors that did not fit, and runs no program
# that replaces itself by another of its machine. docs/arm64.md says what this shows.
ARM64_SKIP := ^TestConnRefusesTooManyDescriptors$$|^TestExec$$/^c$$|^TestSocketClosed$$/^c$$/^exec$$
ARM64_GO    = GOARCH=arm64 CGO_ENABLED=0 $(GO)
ARM64_FLAGS = -count=1 -short -timeout $(TEST_TIMEOUT) -skip '$(ARM64_SKIP)'

.PHONY: arm64
arm64: build $(VENV_READY) $(PYTHON_READY) build/setup/arm64 $(ARM64_BUILT) ## Build for arm64, and test what runs under qemu
	$(call say,all Go code and tests for arm64)
	$(ARM64_GO) build ./...
	$(ARM64_GO) vet ./...
	$(ARM64_GO) vet -tags $(TAGS) ./...
	@for tag in $(TEST_TAGS); do echo $(ARM64_GO) vet -tags $$tag ./...; $(ARM64_GO) vet -tags $$tag ./...; done
	$(ARM64_GO) test -c -o $(ARM64)/interop.test ./tests/interop
	$(call say,Go for arm64 under $(ARM64_EMULATOR))
	$(ARM64_GO) test -exec '$(ARM64_EMULATOR)' $(ARM64_FLAGS) $(CORE)
	$(call say,C for arm64 beside the daemon and clients of this machine)
	$(call beside_go,$(ARM64))
	SHMD_EMULATOR='$(ARM64_EMULATOR)' SHMD_BUILD='$(CURDIR)/$(ARM64)' SHMD_CC='$(ARM64_CC) -static' $(ARM64_MSGPACK) \
	  $(GO) test $(ARM64_FLAGS) ./tests/abi ./tests/clib ./tests/interop ./tests/linear ./tests/crash
	$(call say,make arm64: passed)

# Tests look for programs in one directory. Those in Go are the same in each.
beside_go = @for program in $(TEST_PROGRAMS:build/%=%); do \
	  mkdir -p "$(1)/$$(dirname $$program)"; ln -sfn "$(CURDIR)/build/$$program" "$(1)/$$program"; done

# The probes of tests/clib, and the C programs that other tests drive, with each
# sanitizer. `make test` has the first for addresses, and one probe with the second.
SANITIZE_address := -fsanitize=address,undefined -fno-sanitize-recover=all
# A fence, which it does not know, stands in snapshots alone, and there the data is atomic.
SANITIZE_thread  := -fsanitize=thread -Wno-tsan

SANITIZERS := address thread

.PHONY: sanitize $(SANITIZERS:%=sanitize-%)
sanitize: $(SANITIZERS:%=sanitize-%) ## The C library under address, undefined and thread sanitizers
	$(call say,make sanitize: passed)

$(SANITIZERS:%=sanitize-%): sanitize-%: build build/sanitize/%/built $(VENV_READY) $(PYTHON_READY)
	$(call say,C tests with sanitizers: $*)
	$(call beside_go,build/sanitize/$*)
	SHMD_SANITIZE=$* $(GO) test -count=1 -timeout $(TEST_TIMEOUT) ./tests/clib
	SHMD_BUILD='$(CURDIR)/build/sanitize/$*' TSAN_OPTIONS=die_after_fork=0 \
	  $(GO) test -count=1 -short -timeout $(TEST_TIMEOUT) ./tests/interop ./tests/crash

.PHONY: bench
bench: build ## Measure speed and memory (ARGS="..." is passed on)
	CGO_ENABLED=0 $(GO) build -o build/shmd-bench ./tests/bench
	build/shmd-bench $(ARGS)

.PHONY: bench-rivals
bench-rivals: build adapters ## Measure shmd beside what else there is: docs/performance.md (QUICK=1, ARGS="...": build/performance)
	CGO_ENABLED=0 $(GO) build -o build/shmd-rivals ./tests/rivals
	build/shmd-rivals --out $(RESULTS) $(ARGS)
	$(if $(filter --list,$(ARGS)),,$(MAKE) performance)

# A run of all rows is kept, and documented; any other is looked at and forgotten.
KEPT        := $(if $(QUICK)$(ARGS),,yes)
RESULTS     ?= $(if $(KEPT),tests/rivals/results,build)/rivals.json
PERFORMANCE ?= $(if $(KEPT),docs,build/performance)

.PHONY: performance
performance: ## Make docs/performance.md and its pictures of the results that are kept
	CGO_ENABLED=0 $(GO) build -o build/shmd-rivals ./tests/rivals
	@{ $(MAKE) -s build/setup/plot && build/plot/bin/python tests/rivals/plot.py $(RESULTS) $(PERFORMANCE)/images; } || \
	  echo "make performance: goes on without new pictures" >&2
	build/shmd-rivals report $(RESULTS) $(PERFORMANCE)

# The other tree has its own library, daemon and Go client, and the adapters of this one.
BEFORE := build/before

.PHONY: bench-compare
bench-compare: build $(OUR_ADAPTERS) ## Measure this tree and REF=COMMIT in turn, and compare by benchstat (ARGS="...")
	$(if $(REF),,$(error say which: make bench-compare REF=COMMIT))
	rm -rf $(BEFORE)
	mkdir -p $(BEFORE)
	git archive $(REF) | tar -x -C $(BEFORE)
	rm -rf $(BEFORE)/tests/rivals $(BEFORE)/tests/measure
	cp Makefile go.mod go.sum $(BEFORE)
	cp -r tests/rivals tests/measure $(BEFORE)/tests
	$(MAKE) -C $(BEFORE) bin/shmd $(filter %/shmd %/shmdgo,$(OUR_ADAPTERS))
	CGO_ENABLED=0 $(GO) build -o build/shmd-rivals ./tests/rivals
	build/shmd-rivals --before $(BEFORE) --out build/compare.json $(ARGS)
	build/shmd-rivals benchstat build/compare.json build
	$(GO) tool benchstat build/before.txt build/after.txt

.PHONY: adapters
adapters: $(OUR_ADAPTERS)
	@for target in $(ADAPTERS) $(PYTHON_READY) build/setup/iceoryx2-python; do \
	  $(MAKE) -s $$target || echo "make bench-rivals: goes on without $$target" >&2; \
	done

.PHONY: model
model: build/setup/model ## Check the protocol models, and that their broken variants fail
	$(GO) test -v -tags models -count=1 -timeout 3h ./tests/models ./tests/litmus

.PHONY: litmus
litmus: build/setup/model ## Check the orders of memory accesses that the C library relies on
	$(GO) test -v -tags models -count=1 -timeout $(TEST_TIMEOUT) ./tests/litmus

.PHONY: crash
crash: build $(VENV_READY) ## Kill clients at every instruction, and at random for SECONDS=N
	SHMD_CRASH_STRIDE=1 $(GO) test -v -count=1 -timeout 0 ./tests/step
	SHMD_CRASH_SECONDS=$(SECONDS) $(GO) test -v -count=1 -timeout 0 ./tests/crash

.PHONY: chaos
chaos: build $(VENV_READY) ## Kill daemons, keepers and clients beside hostile clients, for SECONDS=N (SEED=S)
	SHMD_CRASH_SECONDS=$(SECONDS) SHMD_CRASH_SEED=$(SEED) $(GO) test -v -count=1 -timeout 0 -run TestChaos ./tests/crash

.PHONY: linear
linear: build ## Check recorded histories of killed clients for SECONDS=N (SEED=S repeats a run)
	SHMD_LINEAR_SECONDS=$(SECONDS) SHMD_LINEAR_SEED=$(SEED) $(GO) test -v -count=1 -timeout 0 -run Linearizable ./tests/linear

.PHONY: soak
soak: build ## Everything at random, with kills and stops, for SECONDS=N, and account for it (SEED=S)
	SHMD_SOAK_SECONDS=$(SECONDS) SHMD_SOAK_SEED=$(SEED) $(GO) test -v -count=1 -timeout 0 -run Soak ./tests/soak

# Fuzz targets are found by name, so that a new one needs no entry here.
.PHONY: fuzz
fuzz: fuzz-c ## Fuzz whatever takes foreign bytes, in Go and in C, for SECONDS=N each
	@targets=$$(grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' .) \
	  || { echo 'no fuzz target found' >&2; exit 1; }; \
	while IFS=: read -r file func; do \
	  name=$${func#func }; \
	  printf '\n== %s: %s for %s s\n' "$$(dirname "$$file")" "$$name" '$(SECONDS)'; \
	  $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime '$(SECONDS)s' -fuzzminimizetime 10x "./$$(dirname "$$file")" \
	    </dev/null; \
	done <<<"$$targets"

# With libFuzzer, which is clang's. What it finds goes into build/fuzz, and what crashes there
# to the corpus by hand: tests/fuzz runs that with every compiler.
.PHONY: fuzz-c
fuzz-c: build/fuzz/answers
	$(call say,tests/fuzz: answers for $(SECONDS) s)
	@mkdir -p build/fuzz/corpus
	build/fuzz/answers -max_total_time='$(SECONDS)' -timeout=60 -max_len=8192 -print_final_stats=1 \
	  -artifact_prefix=build/fuzz/ build/fuzz/corpus tests/fuzz/testdata/answers

build/fuzz/answers: tests/fuzz/target/answers.c $(C_SOURCES) $(C_HEADERS) build/flags | build/setup/build build/setup/fuzz
	@mkdir -p $(@D)
	clang $(C_FLAGS) -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $(MSGPACK_CFLAGS) -o $@ $< \
	  $(C_SOURCES) $(MSGPACK_LIBS)

.PHONY: fmt
fmt: ## Format the Go code
	$(GO_FILES) | xargs -0r $(GOFMT) -w

.PHONY: lint
lint: ## go vet, staticcheck, errcheck, go mod tidy
	$(call say,linters)
	$(GO) vet ./...
	$(GO) vet -tags $(TAGS) ./...
	$(GO) vet -tags $(TEST_TAGS) ./...
	$(GO) tool staticcheck ./...
	$(GO) tool staticcheck -tags $(TAGS) ./...
	$(GO) tool staticcheck -tags $(TEST_TAGS) ./...
	$(GO) tool errcheck -exclude .errcheck ./...
	$(GO) tool errcheck -exclude .errcheck -tags $(TAGS) ./...
	$(GO) tool errcheck -exclude .errcheck -tags $(TEST_TAGS) ./...
	$(GO) mod tidy -diff
	@for module in $(MODULES); do \
	  echo "module $$module"; cd "$(CURDIR)/$$module"; \
	  $(GO) vet ./...; \
	  $(GO) tool -modfile='$(CURDIR)/go.mod' staticcheck ./...; \
	  $(GO) tool -modfile='$(CURDIR)/go.mod' errcheck -exclude '$(CURDIR)/.errcheck' ./...; \
	  $(GO) mod tidy -diff; \
	done

# Builds only when nothing is built, so that `sudo make install` after `make
# build` needs neither Go nor a compiler on root's PATH.
BUILT := $(and $(wildcard bin/shmd),$(wildcard build/libshmd.so))
MAN   := $(wildcard docs/man/*.[1-8])
UNITS := $(patsubst packaging/systemd/%,%,$(wildcard packaging/systemd/*/*))

.PHONY: install
install: $(if $(BUILT),,build) ## Install into PREFIX (DESTDIR is honoured)
	install -D -m 755 bin/shmd '$(DESTDIR)$(BINDIR)/shmd'
	install -D -m 644 -t '$(DESTDIR)$(INCDIR)' include/shmd.h include/shmd_abi.h
	install -D -m 644 build/libshmd.a '$(DESTDIR)$(LIBDIR)/libshmd.a'
	install -D -m 755 build/libshmd.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/libshmd.so.$(VERSION)'
	ln -sf libshmd.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/$(SONAME)'
	ln -sf $(SONAME) '$(DESTDIR)$(LIBDIR)/libshmd.so'
	install -d '$(DESTDIR)$(LIBDIR)/pkgconfig'
	$(call pkg_config,$(PREFIX),$(LIBDIR),$(INCDIR),) >'$(DESTDIR)$(LIBDIR)/pkgconfig/shmd.pc'
	@for page in $(MAN); do \
	  install -D -m 644 "$$page" "$(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}"; done
	@for unit in $(UNITS); do \
	  sed 's|@BINDIR@|$(BINDIR)|' "packaging/systemd/$$unit" | install -D -m 644 /dev/stdin '$(DESTDIR)$(UNITDIR)'"/$$unit"; done
	install -D -m 644 packaging/sysusers.d/shmd.conf '$(DESTDIR)$(SYSUSERSDIR)/shmd.conf'
	install -D -m 644 packaging/tmpfiles.d/shmd.conf '$(DESTDIR)$(TMPFILESDIR)/shmd.conf'
	@if [ -z '$(DESTDIR)' ]; then echo 'If the loader does not find $(SONAME): ldconfig, as root.'; fi

.PHONY: uninstall
uninstall: ## Remove what install put there
	rm -f '$(DESTDIR)$(BINDIR)/shmd' \
	  '$(DESTDIR)$(INCDIR)/shmd.h' '$(DESTDIR)$(INCDIR)/shmd_abi.h' \
	  '$(DESTDIR)$(LIBDIR)/libshmd.a' '$(DESTDIR)$(LIBDIR)/libshmd.so' \
	  '$(DESTDIR)$(LIBDIR)/$(SONAME)' '$(DESTDIR)$(LIBDIR)/libshmd.so.$(VERSION)' \
	  '$(DESTDIR)$(LIBDIR)/pkgconfig/shmd.pc' \
	  '$(DESTDIR)$(SYSUSERSDIR)/shmd.conf' '$(DESTDIR)$(TMPFILESDIR)/shmd.conf' \
	  $(UNITS:%='$(DESTDIR)$(UNITDIR)/%')
	@for page in $(MAN); do rm -f "$(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}"; done

.PHONY: clean
clean: ## Remove everything that was built
	rm -rf bin build

# --- Parts of check ------------------------------------------------------

GOFMT    = $(firstword $(wildcard $(shell $(GO) env GOROOT)/bin/gofmt) gofmt)
GO_FILES = find . \( -path ./build -o -path ./bin -o -path ./.git \) -prune -o -name '*.go' -print0

.PHONY: fmt-check
fmt-check:
	$(call say,gofmt)
	@unformatted=$$($(GO_FILES) | xargs -0r $(GOFMT) -l); \
	if [ -n "$$unformatted" ]; then \
	  printf 'not formatted (make fmt does it):\n%s\n' "$$unformatted" >&2; exit 1; fi

# The rules of the house over the source, and the import graph.
.PHONY: tidy
tidy:
	$(call say,tidy: house rules and import graph)
	$(GO) test -count=1 ./tests/tidy

# Strict ISO C and C++, all warnings errors: a header is compiled with the flags
# of its users, not with ours. Each is included twice, to prove its guard.
HEADER_FLAGS := -Wall -Wextra -Wpedantic -Werror -Wundef -Wconversion -Iinclude -fsyntax-only
# clang only where it is installed, and as C++ only where it finds a library.
HAVE_CLANG   = $(shell command -v clang)
HASH         := \#
HAVE_CLANGXX = $(shell echo '$(HASH)include <atomic>' | clang++ -x c++ -fsyntax-only - 2>/dev/null && echo yes)
CC_ALL       = '$(CC)' $(if $(HAVE_CLANG),clang)
CXX_ALL      = '$(CXX)' $(if $(HAVE_CLANGXX),clang++)

.PHONY: headers
headers: build/setup/build build/setup/check
	$(call say,headers as C11 and C++17)
	@for header in $(notdir $(wildcard include/*.h)); do \
	  source=$$(printf '#include "%s"\n#include "%s"\n' "$$header" "$$header"); \
	  for cc in $(CC_ALL); do \
	    echo "$$cc -std=c11 $$header"; \
	    $$cc -std=c11 $(HEADER_FLAGS) -Wstrict-prototypes -x c - <<<"$$source"; \
	  done; \
	  for cxx in $(CXX_ALL); do \
	    echo "$$cxx -std=c++17 $$header"; \
	    $$cxx -std=c++17 $(HEADER_FLAGS) -x c++ - <<<"$$source"; \
	  done; \
	done
	$(call say,C sources with every compiler)
	@for source in $(C_SOURCES) $(C_PROGRAM_SOURCES); do \
	  for cc in $(CC_ALL); do \
	    $$cc $(C_FLAGS) $(MSGPACK_CFLAGS) -fsyntax-only "$$source"; \
	  done; \
	done

# --- Set-up --------------------------------------------------------------

# Stamps, so that the probes run once and not at every make.
build/setup/%: scripts/setup.sh
	@CC='$(CC)' CXX='$(CXX)' scripts/setup.sh $*
	@mkdir -p $(@D) && touch $@

# Inside the environment, so that the two go together.
$(VENV_READY): scripts/setup.sh tests/requirements.txt
	@CC='$(CC)' CXX='$(CXX)' scripts/setup.sh test
	@touch $@

# The sdist from the tree, the wheel from the sdist, as a user gets them.
$(PYTHON_READY): scripts/setup.sh clients/python/tests/requirements.txt $(PYTHON_FILES) $(C_SOURCES) $(C_HEADERS)
	@CC='$(CC)' CXX='$(CXX)' scripts/setup.sh python
	rm -rf build/python-dist
	build/python/bin/python -m build --no-isolation --outdir build/python-dist clients/python
	PIP_USER=0 build/python/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index \
	  --force-reinstall build/python-dist/*.whl
	@touch $@

# --- The C library -------------------------------------------------------

# Rewritten only when the compiler or a flag changes, which then rebuilds all.
build/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(CC) $(C_FLAGS)' | cmp -s - $@ || printf '%s\n' '$(CC) $(C_FLAGS)' >$@
FORCE:

define compile
@mkdir -p $(@D)
$(CC) $(C_FLAGS) $(MSGPACK_CFLAGS) -MMD -MP -c -o $@ $<
endef

define archive
rm -f $@
$(AR) rcs $@ $^
endef

# --no-undefined: a symbol that nobody provides is our error, not our user's.
define share
$(CC) $(C_FLAGS) $(LDFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=clients/c/libshmd.map \
  -Wl,--no-undefined -Wl,-z,relro,-z,now -o $@ $(filter %.o,$^) $(MSGPACK_LIBS)
endef

# The links that the loader (soname) and the linker (no version) look for.
define link
ln -sf libshmd.so.$(VERSION) $(@D)/$(SONAME)
ln -sf $(SONAME) $@
endef

define program
@mkdir -p $(@D)
$(CC) $(C_FLAGS) $(MSGPACK_CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(filter %.a,$^) $(MSGPACK_LIBS) $(LDLIBS)
endef

build/obj/%.o: %.c build/flags | build/setup/build
	$(compile)

build/libshmd.a: $(C_OBJECTS)
	$(archive)

build/libshmd.so.$(VERSION): $(C_OBJECTS) clients/c/libshmd.map
	$(share)

build/libshmd.so: build/libshmd.so.$(VERSION)
	$(link)

# Without a loader, whose work would be stepped through too.
build/tests/step/c/player: LDFLAGS += -static

$(C_PROGRAMS): build/%: %.c build/libshmd.a build/flags
	$(program)

# Where mq_open and shm_open are, before glibc 2.34.
build/tests/rivals/adapters/posix: LDLIBS += -lrt

$(filter-out %/shmdgo,$(OUR_ADAPTERS)): build/%: %.c build/libshmd.a build/flags
	$(program)

.PHONY: build/tests/rivals/adapters/shmdgo
build/tests/rivals/adapters/shmdgo:
	CGO_ENABLED=0 $(GO) build -o $@ ./tests/rivals/adapters/shmdgo

# These two have neither msgpack nor our library in them.
build/tests/rivals/adapters/boost: tests/rivals/adapters/boost.cc build/flags | build/setup/boost
	@mkdir -p $(@D)
	$(CXX) $(CXX_FLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< -lrt

build/tests/rivals/adapters/zeromq: tests/rivals/adapters/zeromq.c build/flags | build/setup/zeromq
	@mkdir -p $(@D)
	$(CC) $(C_FLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< -lzmq

.PHONY: build/tests/rivals/adapters/redis
build/tests/rivals/adapters/redis: | build/setup/redis
	CGO_ENABLED=0 $(GO) build -o $@ ./tests/rivals/adapters/redis

.PHONY: build/tests/rivals/adapters/nats
build/tests/rivals/adapters/nats:
	cd tests/rivals/adapters/nats && CGO_ENABLED=0 $(GO) build -o '$(CURDIR)/$@' .

# All that these are built of is fetched and pinned by Cargo and Maven.
ICEORYX2 := tests/rivals/adapters/iceoryx2
build/$(ICEORYX2): $(wildcard $(ICEORYX2)/Cargo.* $(ICEORYX2)/src/*.rs) | build/setup/iceoryx2
	@mkdir -p $(@D)
	cargo build --quiet --release --locked --manifest-path $(ICEORYX2)/Cargo.toml --target-dir build/cargo
	cp build/cargo/release/shmd-rival-iceoryx2 $@

AERON := tests/rivals/adapters/aeron
build/$(AERON): $(wildcard $(AERON)/*) | build/setup/aeron
	rm -rf $@ $@.classes
	mvn --quiet --batch-mode --file $(AERON)/pom.xml dependency:copy-dependencies '-DoutputDirectory=$(CURDIR)/$@.jars'
	javac -Xlint:all -Werror --release 17 -cp '$@.jars/*' -d $@.classes $(AERON)/*.java
	install -m 755 $(AERON)/launch.sh $@

$(ARM64_OBJECTS) $(ARM64)/libshmd.so.$(VERSION) $(ARM64_PROGRAMS): private CC = $(ARM64_CC)
$(ARM64_OBJECTS) $(ARM64)/libshmd.so.$(VERSION) $(ARM64_PROGRAMS): private PKG_CONFIG = $(ARM64_MSGPACK) pkg-config
$(ARM64_PROGRAMS): private LDFLAGS += -static

$(ARM64)/obj/%.o: %.c build/flags | build/setup/arm64
	$(compile)

$(ARM64)/libshmd.a: $(ARM64_OBJECTS)
	$(archive)

$(ARM64)/libshmd.so.$(VERSION): $(ARM64_OBJECTS) clients/c/libshmd.map
	$(share)

$(ARM64)/libshmd.so: $(ARM64)/libshmd.so.$(VERSION)
	$(link)

$(ARM64_PROGRAMS): $(ARM64)/%: %.c $(ARM64)/libshmd.a build/flags
	$(program)

-include $(patsubst %.o,%.d,$(C_OBJECTS) $(ARM64_OBJECTS) $(PYTHON_OBJECTS))
-include $(addsuffix .d,$(C_PROGRAMS) $(OUR_ADAPTERS) $(ADAPTERS) $(ARM64_PROGRAMS))

# The extension of Python in place, for who works on it: only what changed is compiled.
build/obj/python/%.o: clients/python/src/ext/%.c build/flags | $(VENV_READY)
	@mkdir -p $(@D)
	$(CC) $(C_FLAGS) $(PYTHON_FLAGS) -MMD -MP -c -o $@ $<

$(PYTHON_EXTENSION): $(PYTHON_OBJECTS) build/libshmd.a
	$(CC) $(C_FLAGS) $(LDFLAGS) -shared -o $@ $^ $(MSGPACK_LIBS)

# With a sanitizer: each program beside its kin in a tree of its own.
$(SANITIZERS:%=build/sanitize/%/built): build/sanitize/%/built: $(C_SOURCES) $(C_HEADERS) $(C_PROGRAM_SOURCES) build/flags | build/setup/build
	rm -rf $(@D)
	mkdir -p $(@D)/objects
	cd $(@D)/objects && $(CC) $(C_FLAGS) -I'$(CURDIR)/include' -O1 $(SANITIZE_$*) $(MSGPACK_CFLAGS) -c \
	  $(C_SOURCES:%='$(CURDIR)/%')
	@for source in $(C_PROGRAM_SOURCES); do \
	  mkdir -p "$(@D)/$${source%/*}"; echo "$(CC) $(SANITIZE_$*) $$source"; \
	  $(CC) $(C_FLAGS) -O1 $(SANITIZE_$*) $(MSGPACK_CFLAGS) -o "$(@D)/$${source%.c}" "$$source" \
	    $(@D)/objects/*.o $(MSGPACK_LIBS); \
	done
	touch $@

# prefix, libdir, includedir, further linker flags
pkg_config = printf '%s\n' 'prefix=$(1)' 'libdir=$(2)' 'includedir=$(3)' '' 'Name: shmd' \
  'Description: typed shared memory and locks that survive the death of their holder' 'Version: $(VERSION)' \
  'Requires.private: $(MSGPACK_PKG)' 'Libs: -L$${libdir} $(4)-lshmd' 'Libs.private: -pthread' 'Cflags: -I$${includedir}'

build/shmd.pc: Makefile | build/setup/build
	@$(call pkg_config,$(PREFIX),$(LIBDIR),$(INCDIR),) >$@

# pkg-config prefers this one while build/ is on PKG_CONFIG_PATH: a program can
# be built and run against the tree without installing anything.
build/shmd-uninstalled.pc: Makefile | build/setup/build
	@$(call pkg_config,$(CURDIR),$(CURDIR)/build,$(CURDIR)/include,-Wl$(comma)-rpath$(comma)$${libdir} ) >$@

comma := ,
