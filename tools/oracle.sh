# The oracle: SRI's crates behind a pipe (tests/oracle), for the differential tests and the benchmarks. Sourced by ./dev.
# shellcheck shell=bash

# Its program, built or not: keyed by its sources and lock file, as peers are.
oracle_dir() {
  printf '%s/oracle-%s\n' "$PEERS" "$(cd "$ROOT/tests/oracle" && cat Cargo.toml Cargo.lock src/*.rs | key_of)"
}

# oracle: builds the program if it is missing and prints its path.
oracle() {
  local dir target=$CACHE/oracle-target
  dir=$(oracle_dir)
  if [ ! -d "$dir" ]; then
    mkdir -p "$PEERS"
    (
      flock -n 9 || { say "oracle: another ./dev is building peers; waiting for it"; flock 9; }
      [ ! -d "$dir" ] || exit 0
      quietly "oracle: SRI's crates (about 2 minutes on 2 cores)" "$PEERS/logs/oracle.log" \
        env CARGO_TARGET_DIR="$target" RUSTFLAGS= nice -n 15 \
        cargo build --release --locked --manifest-path "$ROOT/tests/oracle/Cargo.toml"
      rm -rf "$dir.making"
      mkdir -p "$dir.making"
      cp "$target/release/oracle" "$dir.making/oracle"
      mv -T "$dir.making" "$dir"
    ) 9>"$PEERS/lock" || exit 1
  fi
  printf '%s/oracle\n' "$dir"
}

# The differential tests, on a release build.
oracle_tests() {
  local program
  program=$(oracle)
  build release adit_oracle_test
  say "interop: messages, handshakes and records against SRI's crates"
  ADIT_ORACLE=$program ctest --test-dir "$ROOT/build/release" -C oracle -L oracle --output-on-failure --no-tests=error
}
