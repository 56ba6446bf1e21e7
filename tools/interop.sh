# ./dev interop: adit against programs that others wrote. Sourced by ./dev.
# shellcheck shell=bash

# with_peers COMMAND...: runs it with our program and the peers in its environment.
with_peers() {
  local name
  for name in "${PEERS_ALL[@]}"; do export "ADIT_PEER_${name^^}=$(peer_dir "$name")"; done
  ADIT=$(binary release adit) ADIT_IROH_PEER=$(find "$ROOT/build/release/tests" -name adit_iroh_peer) \
    ADIT_NODE_SOURCES=$(find "$ROOT/build/release/tests" -name adit_node_sources) PYTHONDONTWRITEBYTECODE=1 "$@"
}

# bench-pool [ARGUMENTS]: our pool and SRI's under the same load, on the same node.
bench_pool() {
  deps peers
  build release adit
  peers bitcoin pool
  with_peers python3 -u "$ROOT/bench/pool_bench.py" --json "$ROOT/build/bench-pool.json" "$@"
}

# bench-templates [ARGUMENTS]: how long a tip takes from the node to a miner, by each way that work comes.
bench_templates() {
  deps peers
  build release adit
  peers bitcoin pool
  with_peers python3 -u "$ROOT/bench/template_bench.py" --json "$ROOT/build/bench-templates.json" "$@"
}

# bench-jd [ARGUMENTS]: job declaration, ours and SRI's.
bench_jd() {
  deps peers
  build release adit declaring adit_tunlink
  peers bitcoin pool jdclient
  ADIT_DECLARING=$(binary release declaring) ADIT_TUNLINK=$(binary release adit_tunlink) \
    with_peers python3 -u "$ROOT/bench/jd_bench.py" --json "$ROOT/build/bench-jd.json" "$@"
}

# bench-translator [ARGUMENTS]: our translator and SRI's before the same pool, under the same miners of Stratum V1.
bench_translator() {
  deps peers
  build release adit
  peers translator
  with_peers python3 -u "$ROOT/bench/translator_bench.py" --json "$ROOT/build/bench-translator.json" "$@"
}

# interop [--build-only [all] | [all] [NAME...]]: about two minutes' worth, or the whole matrix; NAME picks tests, as python's
# unittest -k does; `oracle` is those of tests/oracle.
interop() {
  deps peers
  local needed=("${PEERS_NEEDED[@]}") build_only=0 name selected=()
  if [ "${1:-}" = --build-only ]; then build_only=1; shift; fi
  if [ "${1:-}" = all ]; then needed=("${PEERS_ALL[@]}"); export ADIT_INTEROP=all; shift; fi
  if [ "$build_only" = 1 ]; then
    peers "${needed[@]}"
    oracle >&2
    return
  fi
  if [ $# -eq 0 ] || [ "$*" = oracle ]; then oracle_tests; fi
  [ "$*" != oracle ] || return 0
  for name in "$@"; do selected+=(-k "$name"); done
  build release adit adit_iroh_peer adit_node_sources
  peers "${needed[@]}"
  say 'interop: Bitcoin Core, SRI and the npm package of iroh against build/release'
  with_peers python3 -u -m unittest discover -v -s "$ROOT/tests/interop" -p 'test_*.py' "${selected[@]}"
}

SUITE_VERSION=$(sed -n 's/^VERSION = "\(.*\)".*/\1/p' "$ROOT/tests/sri_suite/run.py") # of integration_tests_sv2

# The suite of SRI's, with our crates in the place of SRI's, and what was built of it.
suite_folder() {
  printf '%s/sri-suite-%s-%s\n' "$PEERS" "$SUITE_VERSION" "$(find "$ROOT/tests/sri_suite" -name '*.rs' -o -name Cargo.toml | sort | xargs cat | key_of)"
}

# sri-suite [--replace pool|translator] [NAME...]: SRI's own integration tests on our programs (tests/sri_suite/run.py has the arguments).
sri_suite() {
  deps peers
  build release adit
  peers bitcoin
  # CI has the node of real difficulty where the cache has it, and builds none.
  [ -n "${CI:-}" ] || peers hardnode
  ADIT_PEER_HARDNODE=$(peer_dir hardnode) ADIT_SUITE_FOLDER=$(suite_folder) ADIT_SUITE_SOURCE=$(crate_source integration_tests_sv2 "$SUITE_VERSION") \
    with_peers python3 -u "$ROOT/tests/sri_suite/run.py" --json "$ROOT/build/sri-suite.json" "$@"
}
