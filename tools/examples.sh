# ./dev examples: the library as others use it. Sourced by ./dev.
# shellcheck shell=bash

# Installs the library of the release build beside nothing else, builds examples/ on it, and runs them.
examples() {
  local work=$ROOT/build/examples
  build release adit
  rm -rf "$work"
  mkdir -p "$work"
  cmake --install "$ROOT/build/release" --component development --prefix "$work/prefix" >"$work/log" 2>&1 ||
    { tail -n 30 "$work/log" >&2; die 'examples: the library cannot be installed'; }
  # Out of this clone, so that nothing is found but what is installed.
  (cd "$work" && env -u ADIT_PREFIX cmake -S "$ROOT/examples" -B "$work/programs" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_CXX_FLAGS=-Werror -DCMAKE_PREFIX_PATH="$work/prefix") >>"$work/log" 2>&1 ||
    { tail -n 30 "$work/log" >&2; die 'examples: find_package(adit) does not work'; }
  quietly 'examples: compiling' "$work/build.log" ninja -C "$work/programs"
  (cd "$ROOT/tests/examples" && ADIT="$(binary release adit)" ADIT_EXAMPLES="$work/programs" ADIT_INSTALLED="$work/prefix" PYTHONPATH="$ROOT/tests/interop" \
    PYTHONDONTWRITEBYTECODE=1 timeout --kill-after=20 600 python3 -m unittest -v test_library) || die 'examples: what is above fails'
  say 'examples: the library installs; miner, share_validator and chat build on it and do what they say'
}
