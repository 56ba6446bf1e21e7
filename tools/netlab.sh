# ./dev netlab, bench-net: adit in network namespaces that the tests make and remove. Sourced by ./dev.
# shellcheck shell=bash

# netlab [NAME...]: NAME picks tests, as python's unittest -k does.
netlab() {
  [ "$(id -u)" -eq 0 ] || die 'netlab makes network namespaces: run it as root'
  deps netlab
  build release adit adit_tunlink
  local name selected=()
  for name in "$@"; do selected+=(-k "$name"); done
  mkdir -p "$ROOT/build"
  say 'netlab: build/release in network namespaces of its own'
  # Its tests of job declaration are skipped where no node was built yet.
  ADIT=$(binary release adit) ADIT_TUNLINK=$(binary release adit_tunlink) ADIT_NETLAB_JSON=$ROOT/build/netlab.json ADIT_PEER_BITCOIN=$(peer_dir bitcoin) \
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$ROOT/tests/interop \
    python3 -u -m unittest discover -v -s "$ROOT/tests/netlab" -p 'test_*.py' "${selected[@]}"
}

# bench-net [ARGUMENTS]: TCP and iroh by turns under the same load; the bridge beside pure Rust. `--only tips` measures that part.
bench_net() {
  [ "$(id -u)" -eq 0 ] || die 'bench-net makes network namespaces: run it as root'
  deps netlab
  build release adit adit_tunlink iroh_echo net_ends
  ADIT=$(binary release adit) ADIT_TUNLINK=$(binary release adit_tunlink) ADIT_NET_ENDS=$(binary release net_ends) \
    PYTHONDONTWRITEBYTECODE=1 \
    python3 -u "$ROOT/bench/net_bench.py" --echo "$(binary release iroh_echo)" --json "$ROOT/build/bench-net.json" "$@"
}
