# ./dev build, test, bench, fuzz. Sourced by ./dev.
# shellcheck shell=bash

# Objects of one clone are found again from another: what ccache hashes holds no absolute path of the clone.
export CCACHE_BASEDIR=$ROOT CCACHE_NOHASHDIR=1

configure() {
  local log=$ROOT/build/$1/configure.log
  say "configure: $1"
  mkdir -p "$ROOT/build/$1"
  cmake --preset "$1" >"$log" 2>&1 || { cat "$log" >&2; die "cmake could not configure $1"; }
}

# build PRESET [TARGET...]: dependencies, configuration, build. Output goes to stderr.
build() {
  local preset=$1
  shift
  case $preset in
    no-iroh | no-ipc | fuzz) deps no-iroh ;;
    release | debug | asan | tsan) deps ;;
    *) die "no such preset: $preset (release, debug, asan, tsan, no-iroh, no-ipc, fuzz)" ;;
  esac
  configure "$preset"
  say "build: $preset ${*:-}"
  ninja -C "$ROOT/build/$preset" "${@:-all}" >&2
}

# The path of a built program.
binary() {
  local found
  found=$(find "$ROOT/build/$1" -type f -name "$2" -perm -u+x -print -quit)
  [ -n "$found" ] || die "build/$1 holds no program $2"
  printf '%s\n' "$found"
}

# run_tests [PRESET] [-- CTEST ARGUMENTS]: ctest's own closing lines come last.
run_tests() {
  local preset=release
  if [ $# -gt 0 ] && [ "$1" != -- ]; then preset=$1; shift; fi
  [ "${1:-}" != -- ] || shift
  build "$preset"
  export UBSAN_OPTIONS=print_stacktrace=1
  # The bridge is a shared library there, and rustc's code is not instrumented: what happens inside it is not ours to report.
  export TSAN_OPTIONS="ignore_noninstrumented_modules=1 second_deadlock_stack=1"
  say "test: $preset"
  ctest --test-dir "$ROOT/build/$preset" --output-on-failure --no-tests=error -j "$(jobs)" "$@"
}

# run_one SUITE[.TEST]: nothing is built but the program that has it.
run_one() {
  [ $# -gt 0 ] || die 'one takes a suite or a test: ./dev one Tlv.FieldsOfOtherExtensionsAreSkipped'
  local suite=${1%%.*} file folder lists target filter=$1
  case $1 in
    WholeSystem.*)
      build release adit
      ctest --test-dir "$ROOT/build/release" --output-on-failure --no-tests=error -R "^${1//./\\.}"
      return
      ;;
    # TEST, and what TEST_P makes of each of its parameters.
    *.*) filter="$1:*/$1/*:${suite}/*.${1#*.}" ;;
    *) filter="$1.*:*/$1.*:$1/*" ;;
  esac
  file=$(git -C "$ROOT" grep -lE --untracked "^(TYPED_)?TEST(_F|_P)?\( *$suite *," -- '*_test.cpp' | head -n 1)
  [ -n "$file" ] || die "no test suite $suite"
  folder=$(dirname "$file")
  while [ ! -f "$ROOT/$folder/CMakeLists.txt" ]; do folder=$(dirname "$folder"); done
  lists=$ROOT/$folder/CMakeLists.txt
  target=$(tr '\n' ' ' <"$lists" | grep -oE '(adit_layer_test\(|add_executable\()[a-z0-9_]+ [^)]*' | grep -F " ${file#"$folder"/}" | head -n 1 |
    sed -E 's/^adit_layer_test\(([a-z0-9_]+) .*/adit_\1_test/; s/^add_executable\(([a-z0-9_]+) .*/\1/')
  [ -n "$target" ] || die "$folder/CMakeLists.txt builds no test of $file"
  build release "$target"
  [ -n "$("$(binary release "$target")" --gtest_list_tests --gtest_filter="$filter" 2>/dev/null | grep '^  ')" ] ||
    die "$file has no test $1"
  "$(binary release "$target")" --gtest_filter="$filter"
}

# soak [ENDINGS], soak blocks [ENDINGS]: what CI runs shortened, at length: each of the endings test's cases ends so many sessions at
# random moments; of blocks, so many processes of a pool around a found block.
soak() {
  local target=adit_endings_test
  if [ "${1:-}" = blocks ]; then target=adit_soak_blocks_test; shift; fi
  build release "$target"
  say "soak: $target, ${1:-200} endings a case"
  ADIT_ENDINGS=${1:-200} ADIT_SOAK_BLOCKS=${1:-200} "$(binary release "$target")" --gtest_color=no
}

# bench [--against REV] [ARGUMENTS]
bench() {
  local program
  if [ "${1:-}" = --against ]; then
    shift
    bench_against "$@"
    return
  fi
  build release adit_bench
  program=$(oracle)
  ADIT_ORACLE=$program python3 "$ROOT/bench/report.py" "$ROOT/build/release/bench" --json "$ROOT/build/bench.json" "$@"
}

# other_revision REV: the folder with that revision's files, a build of it beside them.
other_revision() {
  local revision dir
  revision=$(git -C "$ROOT" rev-parse --verify --quiet "$1^{commit}") || die "no such revision: $1"
  dir=$ROOT/build/against/$(git -C "$ROOT" rev-parse --short=12 "$revision")
  if [ ! -d "$dir" ]; then
    rm -rf "$dir.making"
    mkdir -p "$dir.making"
    git -C "$ROOT" archive "$revision" | tar -x -C "$dir.making"
    mv -T "$dir.making" "$dir"
  fi
  printf '%s\n' "$dir"
}

# build_cost [REV]: what compiling all of it costs with nothing cached (but for cargo's folder), and which files cost most.
build_cost() {
  local source=$ROOT build=$ROOT/build/cost
  deps
  if [ $# -gt 0 ]; then
    source=$(other_revision "$1") || exit 1
    build=$source/build/cost
  fi
  rm -rf "$build"
  (cd "$source" && cmake --preset release -B "$build") >"$ROOT/build/cost.log" 2>&1 || { cat "$ROOT/build/cost.log" >&2; die 'build-cost: cmake failed'; }
  # cargo's part is made before, so that only the compiler's is counted.
  ninja -C "$build" bridge/all >>"$ROOT/build/cost.log" 2>&1 || true
  rm -f "$build/.ninja_log"
  (CCACHE_DISABLE=1 quietly 'build-cost: compiling' "$ROOT/build/cost.log" ninja -C "$build"; times) | tail -n 1 |
    awk '{ gsub(/[ms]/, " "); print "CPU of all compilers and linkers:", int($1 * 60 + $2 + $3 * 60 + $4), "s" }'
  awk '!/^#/ { sum += $2 - $1; print ($2 - $1) / 1000, $4 > "/dev/stderr" } END { printf "sum of .ninja_log: %d s\n", sum / 1000 }' "$build/.ninja_log" 2>"$build/edges"
  sort -rn "$build/edges" | head -n 10
}

# bench_against REV [ARGUMENTS]: builds the benchmarks of REV beside ours and runs both by turns (bench/against.py).
bench_against() {
  local short dir only=() targets=(adit_bench) i
  [ $# -gt 0 ] || die 'bench --against takes a revision: ./dev bench --against main'
  dir=$(other_revision "$1") || exit 1
  short=$(basename "$dir")
  shift
  for ((i = 1; i <= $#; i++)); do
    case ${!i} in --only=*) IFS=, read -ra only <<<"${!i#--only=}" ;; --only) i=$((i + 1)); IFS=, read -ra only <<<"${!i:-}" ;; esac
  done
  [ "${#only[@]}" -eq 0 ] || targets=("${only[@]}")
  command -v valgrind strip >/dev/null || deps

  # Both are measured with one ruler.
  cmp -s "$ROOT/bench/timing.h" "$dir/bench/timing.h" || cp "$ROOT/bench/timing.h" "$dir/bench/timing.h"
  say "bench: building $short in $dir"
  env -u CCACHE_BASEDIR ADIT_CACHE="$CACHE" "$dir/dev" build release "${targets[@]}"
  build release "${targets[@]}"
  local oracle_program
  oracle_program=$(oracle_dir)/oracle
  [ -x "$oracle_program" ] || oracle_program=''
  ADIT_ORACLE=$oracle_program PYTHONDONTWRITEBYTECODE=1 python3 "$ROOT/bench/against.py" \
    --old "$dir/build/release/bench" --new "$ROOT/build/release/bench" \
    --names "$short" "$(git -C "$ROOT" describe --always --abbrev=12 --dirty --exclude '*')" --json "$ROOT/build/bench-against-$short.json" "$@"
}

# fuzz [SECONDS] [NAME]: found inputs stay in build/fuzz-corpus/NAME, a crashing one in build/fuzz-crashes. Prints what each
# target executed and reached (edges covered, by libFuzzer's count).
fuzz() {
  local seconds=${1:-20} only=${2:-} target name log ran=0 failed=() report=() seeds
  seconds=${seconds%s}
  build fuzz adit_fuzz
  mkdir -p "$ROOT/build/fuzz-crashes" "$ROOT/build/fuzz-logs"
  for target in "$ROOT"/build/fuzz/fuzz/*; do
    [ -f "$target" ] && [ -x "$target" ] || continue
    name=$(basename "$target")
    [ -z "$only" ] || [ "$name" = "$only" ] || continue
    seeds=()
    [ ! -d "$ROOT/fuzz/corpus/$name" ] || seeds=("$ROOT/fuzz/corpus/$name")
    mkdir -p "$ROOT/build/fuzz-corpus/$name"
    log=$ROOT/build/fuzz-logs/$name.log
    say "fuzz: $name for $seconds s"
    ran=$((ran + 1))
    if ! "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_funcs=0 -print_final_stats=1 \
      -artifact_prefix="$ROOT/build/fuzz-crashes/$name-" "$ROOT/build/fuzz-corpus/$name" "${seeds[@]}" >"$log" 2>&1; then
      failed+=("$name")
      tail -n 40 "$log" >&2
    fi
    report+=("$(awk -v name="$name" '
      /^#[0-9]+.*cov: / { for (i = 1; i < NF; i++) { if ($i == "cov:") edges = $(i + 1); if ($i == "corp:") corpus = $(i + 1) } }
      /number_of_executed_units/ { executions = $2 }
      END { printf "%-22s %12d executions %7d edges   corpus %s", name, executions, edges, corpus }' "$log")")
  done
  [ "$ran" -gt 0 ] || die "no fuzz target ${only:-at all} in build/fuzz/fuzz"
  printf '%s\n' "${report[@]}"
  [ "${#failed[@]}" -eq 0 ] || die "fuzz: inputs that break ${failed[*]} are in build/fuzz-crashes"
  say "fuzz: $ran targets, $seconds s each, nothing found"
}

# fuzz_keep [NAME]: of what fuzzing found, adds to fuzz/corpus the inputs that reach what no other there reaches.
fuzz_keep() {
  local only=${1:-} target name kept=0
  build fuzz adit_fuzz
  for target in "$ROOT"/build/fuzz/fuzz/*; do
    name=$(basename "$target")
    if [ ! -f "$target" ] || [ ! -x "$target" ] || [ ! -d "$ROOT/build/fuzz-corpus/$name" ]; then continue; fi
    [ -z "$only" ] || [ "$name" = "$only" ] || continue
    mkdir -p "$ROOT/fuzz/corpus/$name"
    # By edges alone, not by how often each was passed: a tenth of the files.
    "$target" -merge=1 -use_counters=0 -max_len=2000 "$ROOT/fuzz/corpus/$name" "$ROOT/build/fuzz-corpus/$name" >"$ROOT/build/fuzz-logs/$name.merge.log" 2>&1 ||
      die "fuzz-keep: $name broke (build/fuzz-logs/$name.merge.log)"
    kept=$((kept + 1))
    say "fuzz-keep: $name has $(find "$ROOT/fuzz/corpus/$name" -type f | wc -l) inputs"
  done
  [ "$kept" -gt 0 ] || die "build/fuzz-corpus holds nothing: ./dev fuzz comes first"
}
