# ./dev ui, ./dev ui-test, ./dev grafana-test: the page that the monitor serves, and what reads its metrics. Sourced by ./dev.
# shellcheck shell=bash
#
# dashboard/ holds its sources; dashboard/dist, what is made of them, compressed and committed: a build of adit embeds that and needs no
# node. Node 20 or newer is what these two commands need; the packages' versions stand in dashboard/package-lock.json.

# The oldest major version of node that builds the page.
UI_NODE_MINIMUM=20

UI_DEFERRED=75 # As EX_DEFERRED of try.sh.

needs_node() {
  local version
  version=$(node --version 2>/dev/null) || { say "ui: there is no node here (Debian: apt install nodejs npm, or NodeSource's for a newer one)"; return 1; }
  version=${version#v}
  [ "${version%%.*}" -ge "$UI_NODE_MINIMUM" ] || { say "ui: node $version is older than $UI_NODE_MINIMUM"; return 1; }
  command -v npm >/dev/null || { say "ui: there is no npm here"; return 1; }
}

# Installs the packages, unless they are those of the lock file already.
ui_packages() {
  local dir=$ROOT/dashboard stamp=$ROOT/dashboard/node_modules/.adit-lock
  cmp -s "$dir/package-lock.json" "$stamp" && return 0
  (cd "$dir" && npm ci --no-audit --no-fund --loglevel=error >&2) || die "ui: npm ci failed"
  cp "$dir/package-lock.json" "$stamp"
}

# ui: tests the page's logic, builds the page and renews dashboard/dist; --check: says whether dist is what the sources make.
ui() {
  needs_node || exit "$UI_DEFERRED"
  ui_packages
  (cd "$ROOT/dashboard" && npm run --silent check && npm test --silent && npm run --silent build && node scripts/pack.mjs "$@")
}

# The browser that the tests drive.
ui_browser() {
  local name
  for name in "${ADIT_CHROMIUM:-}" chromium-headless-shell chromium; do
    [ -n "$name" ] && command -v "$name" && return 0
  done
  (apt_install chromium-headless-shell) && command -v chromium-headless-shell
}

# ui-test: holds the page against a live demo in Chromium; --pictures renews docs/pictures.
ui_test() {
  local browser pictures=()
  needs_node || exit "$UI_DEFERRED"
  [ "${1:-}" != --pictures ] || pictures=(--pictures "$ROOT/docs/pictures")
  browser=$(ui_browser) || { say 'ui-test: there is no chromium to be had here'; exit "$UI_DEFERRED"; }
  ui_packages
  build release adit
  (cd "$ROOT/dashboard" && node browser/run.mjs "$(binary release adit)" "$browser" "${pictures[@]}") || return 1
  [ "${#pictures[@]}" -eq 0 ] || { apt_install pngquant && pngquant --force --ext .png --speed 1 "$ROOT"/docs/pictures/*.png; }
}

# Debian's Prometheus and promtool, unpacked in the cache: they need nothing installed.
prometheus_dir() {
  local dir=$CACHE/prometheus-$(dpkg --print-architecture)
  if [ ! -x "$dir/usr/bin/promtool" ]; then
    say 'grafana-test: fetching prometheus (apt-get download)'
    rm -rf "$dir.part"
    mkdir -p "$dir.part"
    (cd "$dir.part" && { apt-get download -qq prometheus >&2 || { as_root apt-get update -qq >&2 && apt-get download -qq prometheus >&2; }; } &&
      dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb) || return 1
    rm -rf "$dir"
    mv "$dir.part" "$dir"
  fi
  printf '%s\n' "$dir"
}

# grafana-test: holds packaging/grafana and packaging/prometheus against Debian's Prometheus and a live demo.
grafana_test() {
  local dir
  dir=$(prometheus_dir) || { say 'grafana-test: there is no prometheus to be had here'; exit "$UI_DEFERRED"; }
  build release adit
  ADIT=$(binary release adit) PROMETHEUS=$dir/usr/bin/prometheus PROMTOOL=$dir/usr/bin/promtool python3 "$ROOT/tests/monitoring/test_prometheus.py"
}
