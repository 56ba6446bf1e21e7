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
