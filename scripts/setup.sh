#!/usr/bin/env bash
# Installs what building and testing shmd needs and this machine lacks, and says
# what and why. Running it again does nothing. make calls it; by hand:
#
#   scripts/setup.sh [build] [check] [test] [python] [model] [arm64] [fuzz] [boost] [zeromq] [redis]
#     [iceoryx2] [iceoryx2-python] [aeron] [plot]
#   (default: build)
#
#   build   a C compiler, pkg-config, msgpack for C
#   check   a C++ compiler: the headers must compile as C++ too; and the tools of
#           systemd, of which nothing runs
#   test    build, and Python with msgpack in build/venv
#   python  build, and what the Python package is built and tested with: the headers of
#           Python, and pytest, numpy and the like in build/python
#   model   spin, the model checker, and a C compiler for what it generates; Relacy,
#           which checks orders of memory accesses, and a C++ compiler for it
#   arm64   a C compiler for arm64 and an emulator, qemu; and msgpack for C for arm64,
#           which is not installed but unpacked into build/arm64/sysroot
#   fuzz    clang, whose libFuzzer makes inputs for the C library
#   boost, zeromq, redis
#           what make bench-rivals compares with, each by itself: it goes on without those
#           that cannot be had. Of Redis the program, without its system service.
#   iceoryx2, iceoryx2-python, aeron
#           what make bench-rivals compares with besides: a Rust; a package for Python in
#           build/iceoryx2; a JDK, and Maven, which fetches Aeron. The crates that Cargo.lock
#           names and the jar that pom.xml names are fetched when they are built.
#   plot    matplotlib in build/plot, for the pictures of docs/performance.md
#
# Needs Debian or Ubuntu and root (or sudo) only when something is missing;
# elsewhere it names what to install and fails. Go itself is not installed: the
# version that go.mod asks for is rarely the distribution's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

groups='build, check, test, python, model, arm64, fuzz, boost, zeromq, redis, iceoryx2, iceoryx2-python,
  aeron, plot'
cc=${CC:-cc}
cxx=${CXX:-g++}
venv=build/venv
requirements=tests/requirements.txt
package_venv=build/python
package_requirements=clients/python/tests/requirements.txt
plot_venv=build/plot
plot_requirements=tests/rivals/requirements.txt
iceoryx2_venv=build/iceoryx2
iceoryx2_requirements=tests/rivals/adapters/requirements.txt
sysroot=build/arm64/sysroot

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# --- What is there? Each probe tries the thing itself, not a package name, so
# --- that a compiler or a Python from elsewhere counts.

links() { # language, libraries, compiler words...: does it compile and link its input?
  local language=$1 libraries=$2 program result=0
  shift 2
  program=$(mktemp)
  # shellcheck disable=SC2086 # splitting is meant
  "$@" -x "$language" -o "$program" - $libraries >/dev/null 2>&1 || result=1
  rm -f "$program"
  return "$result"
}
compiles() { # language, compiler words...: does it compile and link a program?
  local language=$1
  shift
  printf '#include <stdint.h>\nint main(void) { return 0; }\n' | links "$language" '' "$@"
}
# CC and CXX may hold options ("ccache gcc"), hence the splitting.
# shellcheck disable=SC2086
have_cc() { compiles c $cc; }
# shellcheck disable=SC2086
have_cxx() { compiles c++ $cxx; }

have() { command -v "$1" >/dev/null 2>&1; }
have_pkg_config() { have pkg-config; }
have_systemd() { have systemd-analyze && have systemd-socket-activate; }
have_spin() { have spin; }
# shellcheck disable=SC2086
have_relacy() { printf '#include <relacy/relacy.hpp>\n' | $cxx -std=c++11 -w -x c++ -fsyntax-only - >/dev/null 2>&1; }

# msgpack-c has had three names for pkg-config; the Makefile tries the same.
have_msgpack_c() {
  local name
  for name in msgpack msgpack-c msgpackc; do
    if pkg-config --exists "$name" >/dev/null 2>&1; then return 0; fi
  done
  return 1
}

# shellcheck disable=SC2086
have_boost() {
  printf '#include <boost/interprocess/ipc/message_queue.hpp>\n' |
    $cxx -std=c++20 -w -x c++ -fsyntax-only - >/dev/null 2>&1
}
# shellcheck disable=SC2086
have_zeromq() { printf '#include <zmq.h>\nint main(void) { return zmq_errno(); }\n' | links c -lzmq $cc; }
# Debian has the program in redis-tools; tests/rivals/adapters/redis/server.go says why under that name.
have_redis() { have redis-server || have redis-check-rdb; }

# What Cargo.toml of the adapter asks for as rust-version.
have_rust() {
  local version
  have cargo || return 1
  version=$(rustc --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
  [ "${version:-0}" -ge 89 ]
}
# Aeron is compiled for Java 17.
have_jdk() { javac --release 17 -version >/dev/null 2>&1 && have java; }
have_maven() { have mvn; }

# Whether clang has its libFuzzer and sanitizers.
have_libfuzzer() {
  printf 'int LLVMFuzzerTestOneInput(const char *b, unsigned long n) { return n > 0 && b[0] == 1; }\n' |
    links c '' clang -fsanitize=fuzzer,address,undefined
}

have_arm64_cc() { compiles c aarch64-linux-gnu-gcc -static; }

# Whether a program for arm64 runs here.
have_arm64_emulator() {
  local name program result=1
  program=$(mktemp)
  printf 'int main(void) { return 42; }\n' |
    aarch64-linux-gnu-gcc -static -x c -o "$program" - >/dev/null 2>&1 || true
  for name in qemu-aarch64 qemu-aarch64-static; do
    have "$name" || continue
    "$name" "$program" >/dev/null 2>&1 || if [ $? -eq 42 ]; then result=0; fi
  done
  rm -f "$program"
  return "$result"
}

# pkg-config for the arm64 sysroot; the Makefile asks the same.
arm64_pkg_config() {
  PKG_CONFIG_SYSROOT_DIR=$PWD/$sysroot PKG_CONFIG_LIBDIR=$PWD/$sysroot/usr/lib/aarch64-linux-gnu/pkgconfig \
    pkg-config "$@"
}

have_arm64_msgpack_c() {
  local name
  for name in msgpack msgpack-c msgpackc; do
    if arm64_pkg_config --exists "$name" >/dev/null 2>&1; then
      printf '#include <msgpack.h>\nint main(void) { msgpack_zone zone; return !msgpack_zone_init(&zone, 64); }\n' |
        links c "$(arm64_pkg_config --cflags --libs "$name")" \
          aarch64-linux-gnu-gcc -static "-L$sysroot/usr/lib/aarch64-linux-gnu"
      return
    fi
  done
  return 1
}

# A Python that can make a virtual environment. Debian ships venv without
# ensurepip until python3-venv is installed, and a python3 first on PATH may be
# a version manager's shim that lacks it or runs nothing: so ask each.
find_python() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
      printf '%s\n' "$python"
      return 0
    fi
  done
  return 1
}
have_python() { find_python >/dev/null; }
# shellcheck disable=SC2086
have_python_headers() {
  local python include
  python=$(find_python) || return 1
  include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])') || return 1
  printf '#include <Python.h>\n' | $cc "-I$include" -x c -fsyntax-only - >/dev/null 2>&1
}
# Debian ships CPython's own tests apart, by its version.
have_cpython_tests() { "$(find_python)" -c 'import test._test_multiprocessing' >/dev/null 2>&1; }
cpython_tests_package() {
  local version
  version=$("$(find_python)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    version=$(apt-cache policy python3 2>/dev/null | sed -n 's/^ *Candidate: \(3\.[0-9]*\).*/\1/p')
  printf 'libpython%s-testsuite\n' "$version"
}

# --- What is missing? packages and reasons are filled side by side.

packages=()
reasons=()

need() { # reason, probe, packages...
  local reason=$1 probe=$2
  shift 2
  if "$probe"; then return 0; fi
  if [[ " ${packages[*]-} " == *" $1 "* ]]; then return 0; fi # another group asked already
  packages+=("$@")
  reasons+=("$reason: $*")
}

want_venv=false
want_package_venv=false
want_plot_venv=false
want_iceoryx2_venv=false
want_sysroot=false
plan() {
  case $1 in
    build)
      need 'to compile the C library' have_cc gcc libc6-dev
      need 'to find the C libraries' have_pkg_config pkg-config
      need 'MessagePack for the C client (libmsgpack-c-dev in newer releases)' have_msgpack_c libmsgpack-dev
      ;;
    check)
      need 'the headers are checked as C++ too' have_cxx g++
      need 'systemd checks our units, and starts our daemon' have_systemd systemd
      ;;
    test)
      plan build
      need 'the socket-only client of tests and demo' have_python python3 python3-venv
      want_venv=true
      ;;
    python)
      plan build
      need 'the Python package and its tests' have_python python3 python3-venv
      need 'to compile the Python package' have_python_headers python3-dev
      need "CPython's own tests of multiprocessing, over ours" have_cpython_tests "$(cpython_tests_package)"
      want_package_venv=true
      ;;
    model)
      need 'to check the protocol models' have_spin spin
      need 'to compile the verifiers that spin generates' have_cc gcc libc6-dev
      need 'the memory orders are checked by C++ programs' have_cxx g++
      need 'to check the memory orders' have_relacy relacy-dev
      ;;
    arm64)
      need 'to find the C libraries' have_pkg_config pkg-config
      need 'to compile C for arm64' have_arm64_cc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
      need 'to run programs for arm64' have_arm64_emulator qemu-user
      want_sysroot=true
      ;;
    fuzz)
      need 'to fuzz the C library' have_libfuzzer clang libclang-rt-dev
      ;;
    boost)
      need 'to compile the rival of the benchmarks' have_cxx g++
      need 'a rival of the benchmarks, Boost.Interprocess' have_boost libboost-dev
      ;;
    zeromq)
      need 'to compile the rival of the benchmarks' have_cc gcc libc6-dev
      need 'a rival of the benchmarks, ZeroMQ' have_zeromq libzmq3-dev
      ;;
    redis)
      need 'a rival of the benchmarks, Redis; no service is started' have_redis redis-tools
      ;;
    iceoryx2)
      need 'a rival of the benchmarks, iceoryx2, needs Rust 1.89, which many distributions have not yet' have_rust cargo
      ;;
    iceoryx2-python)
      need 'a rival of the benchmarks, iceoryx2 for Python' have_python python3 python3-venv
      want_iceoryx2_venv=true
      ;;
    aeron)
      need 'a rival of the benchmarks, Aeron, needs Java 17' have_jdk default-jdk-headless
      need 'to fetch Aeron' have_maven maven
      ;;
    plot)
      need 'to draw the pictures of the benchmarks' have_python python3 python3-venv
      want_plot_venv=true
      ;;
    *) fail "unknown group \"$1\"; the groups are $groups" ;;
  esac
}

# --- Installing.

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif ! have sudo; then
    fail "not root and no sudo; as root run: apt-get install ${packages[*]}"
  elif { : >/dev/tty; } 2>/dev/null; then
    sudo "$@"
  else
    sudo -n "$@" # nobody is there to type a password: fail, never hang
  fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# msgpack-c was packaged as libmsgpack-dev until it got a name of its own.
# Known only after apt-get update.
msgpack_package() { # options of apt-cache...
  local name
  for name in libmsgpack-c-dev libmsgpack-dev; do
    # Empty for an unknown name, "Candidate: (none)" for one nobody provides.
    if [[ $(apt-cache "$@" policy "$name" 2>/dev/null) =~ Candidate:\ [^\(] ]]; then
      printf '%s\n' "$name"
      return 0
    fi
  done
  fail 'neither libmsgpack-c-dev nor libmsgpack-dev is available from the configured package sources'
}

install_packages() {
  local i reason
  if [ "${#packages[@]}" -eq 0 ]; then return 0; fi
  for reason in "${reasons[@]}"; do say "missing, $reason"; done
  if ! have apt-get; then
    fail "this is not Debian or Ubuntu: install the above with this system's own package manager, then try again"
  fi
  say 'apt-get update'
  apt update
  for i in "${!packages[@]}"; do
    if [ "${packages[$i]}" = libmsgpack-dev ]; then packages[i]=$(msgpack_package); fi
  done
  say "apt-get install ${packages[*]}"
  apt install -y --no-install-recommends "${packages[@]}"
}

# Unpacks msgpack for arm64, as this system's package sources have it, with lists of its
# own: arm64 does not become an architecture of this system, whose packages would then
# have to be of one version for both.
make_sysroot() {
  local apt=$PWD/build/arm64/apt package
  if have_arm64_msgpack_c; then return 0; fi
  local hint="put msgpack for C for arm64 under $sysroot/usr, as its package has it, and try again"
  if ! have apt-get || ! have dpkg-deb; then fail "this is not Debian or Ubuntu: $hint"; fi
  say "missing, MessagePack for the C client on arm64: unpacked into $sysroot; nothing outside build changes"
  rm -rf "$apt" "$sysroot"
  mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$sysroot"
  local options=(-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::Lists="$apt/lists"
    -o Dir::State::Status=/dev/null -o Dir::Cache="$apt" -o APT::Sandbox::User= -o Acquire::Retries=3)
  apt-get -qq "${options[@]}" update || fail "the package sources of this system have nothing for arm64: $hint"
  package=$(msgpack_package "${options[@]}")
  (cd "$apt" && apt-get -qq "${options[@]}" download "$package")
  dpkg-deb --extract "$apt/$package"_*.deb "$sysroot"
  rm -rf "$apt"
  have_arm64_msgpack_c || fail "a program for arm64 does not link with $package although it is unpacked"
}

# The environment is complete when it runs and holds the pinned versions; one
# whose Python has been removed since is made anew.
venv_complete() { # environment, requirements
  "$1/bin/python" - "$2" >/dev/null 2>&1 <<'PY'
import importlib.metadata, sys
for line in open(sys.argv[1]):
    line = line.split("#")[0].strip()
    if line:
        name, version = line.split("==")
        assert importlib.metadata.version(name) == version
        __import__(name)
PY
}

make_venv() { # environment, requirements
  local venv=$1 requirements=$2 python
  if venv_complete "$venv" "$requirements"; then return 0; fi
  python=$(find_python) || fail 'no python3 here can make virtual environments, even with python3-venv installed'
  say "Python packages of $requirements into $venv (with $python); nothing outside $venv changes"
  rm -rf "$venv"
  mkdir -p "$(dirname "$venv")"
  "$python" -m venv "$venv"
  # PIP_USER: a machine may have "install for the user" as its default, which
  # an environment refuses.
  PIP_USER=0 "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
  venv_complete "$venv" "$requirements" || fail "$venv lacks packages of $requirements although pip reported success"
}

if [ "$#" -eq 0 ]; then set -- build; fi
have go || fail "Go is missing: install the version named in go.mod ($(awk '$1 == "go" { print $2 }' go.mod) or newer)"
# One at a time: make -j may ask for two groups at once.
mkdir -p build
exec 9>build/.setup.lock
if have flock; then flock 9; fi

for group in "$@"; do plan "$group"; done
install_packages
packages=()
reasons=()
for group in "$@"; do plan "$group"; done
if [ "${#packages[@]}" -ne 0 ]; then fail "still missing after installing: ${packages[*]}"; fi
if "$want_venv"; then make_venv "$venv" "$requirements"; fi
if "$want_package_venv"; then make_venv "$package_venv" "$package_requirements"; fi
if "$want_plot_venv"; then make_venv "$plot_venv" "$plot_requirements"; fi
if "$want_iceoryx2_venv"; then make_venv "$iceoryx2_venv" "$iceoryx2_requirements"; fi
if "$want_sysroot"; then make_sysroot; fi
