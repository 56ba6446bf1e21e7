# ./dev interop: adit against programs that others wrote. Sourced by ./dev.
# shellcheck shell=bash

# interop [--build-only [all]] [NAME...]: NAME picks tests, as python's unittest -k does.
interop() {
  deps peers
  if [ "${1:-}" = --build-only ]; then
    if [ "${2:-}" = all ]; then peers "${PEERS_ALL[@]}"; else peers "${PEERS_NEEDED[@]}"; fi
    return
  fi
  local name selected=()
  for name in "$@"; do selected+=(-k "$name"); done
  build release adit
  peers "${PEERS_NEEDED[@]}"
  say 'interop: Bitcoin Core and SRI against build/release'
  ADIT=$(binary release adit) ADIT_PEER_BITCOIN=$(peer_dir bitcoin) ADIT_PEER_TRANSLATOR=$(peer_dir translator) PYTHONDONTWRITEBYTECODE=1 \
    python3 -u -m unittest discover -v -s "$ROOT/tests/interop" -p 'test_*.py' "${selected[@]}"
}
