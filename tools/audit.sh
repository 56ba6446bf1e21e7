# ./dev audit: what is said of other people's code without running it. Sourced by ./dev.
# shellcheck shell=bash

CARGO_DENY_VERSION=0.20.2

# cargo_deny: builds the program if it is missing and prints its path.
cargo_deny() {
  local dir=$CACHE/tools/cargo-deny-$CARGO_DENY_VERSION
  if [ ! -x "$dir/bin/cargo-deny" ]; then
    mkdir -p "$CACHE/tools"
    (
      flock -n 9 || { say "audit: another ./dev builds cargo-deny; waiting for it"; flock 9; }
      [ ! -x "$dir/bin/cargo-deny" ] || exit 0
      quietly "audit: cargo install cargo-deny $CARGO_DENY_VERSION (about 4 minutes on 2 cores)" "$CACHE/tools/cargo-deny.log" \
        env CARGO_TARGET_DIR="$CACHE/tools/making-cargo-deny" RUSTFLAGS= nice -n 15 \
        cargo install --locked --no-track --force --root "$dir.making" cargo-deny --version "$CARGO_DENY_VERSION"
      rm -rf "$CACHE/tools/making-cargo-deny"
      mv -T "$dir.making" "$dir"
    ) 9>"$CACHE/tools/lock" || exit 1
  fi
  printf '%s\n' "$dir/bin/cargo-deny"
}

# audit: licences, forbidden and doubled crates, and sources of all that is linked into adit or built for its tests. Advisories
# are not fetched: docs/security.md has them, with a date.
audit() {
  local program manifest failed=()
  deps
  program=$(cargo_deny) || die 'audit: no cargo-deny'
  for manifest in Cargo.toml tests/oracle/Cargo.toml tests/interop/sri-client/Cargo.toml; do
    say "audit: $manifest"
    "$program" --locked --config "$ROOT/deny.toml" --manifest-path "$ROOT/$manifest" check --hide-inclusion-graph licenses bans sources >&2 || failed+=("$manifest")
  done
  [ "${#failed[@]}" -eq 0 ] || die "audit: not clean: ${failed[*]}"
  say "audit: clean; advisories: docs/security.md"
}
