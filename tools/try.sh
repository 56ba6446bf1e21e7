# ./dev try, ./dev gcc: the tree in a Debian that has nothing of it. Sourced by ./dev.
# shellcheck shell=bash
#
# $CACHE/roots/SUITE-ARCHITECTURE holds
#   base      what debootstrap made, never changed afterwards
#   root      the copy of it in which the last try ran, with all that ./dev installed there; `./dev gcc` uses it
#   cache     /root/.cache in there: ccache, cargo's target folder, our prefix. It outlives a try, so that the next is quick.
#   cargo     /root/.cargo, archives  apt's packages: likewise
# Mounts are made in a namespace of their own and are gone with the last process in it.

# The exit code of a command that would need what is not in the cache, as sysexits.h has it for "try again later".
EX_DEFERRED=75

root_dir() { printf '%s/roots/%s-%s\n' "$CACHE" "$1" "$(dpkg --print-architecture)"; }

# What this machine's apt, cargo and TLS need to reach their servers holds in there too.
carry_settings() {
  local dir=$1 root=$1/root suite=$2 mirror security
  mirror=$(debian_mirror)
  security=$(debian_mirror -security)
  {
    printf 'deb %s %s main\n' "$mirror" "$suite" "$mirror" "$suite-updates"
    [ -z "$security" ] || printf 'deb %s %s main\n' "$security" "$suite-security"
  } >"$root/etc/apt/sources.list"
  [ -n "$security" ] || say "try: apt here knows no Debian security mirror; $suite is tried without its security updates"
  apt-config dump --format '%F "%v";%n' |
    grep -E '^Acquire::(Check-Valid-Until|Check-Date|Retries|https?::(Proxy|Timeout|CaInfo|Verify-Peer|Verify-Host)) ' >"$root/etc/apt/apt.conf.d/99host" || true
  # Packages are kept for the next try.
  printf 'Binary::apt-get::APT::Keep-Downloaded-Packages "true";\n' >"$root/etc/apt/apt.conf.d/99keep"
  cp /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
  if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
    in_root "$dir" update-ca-certificates >/dev/null
  fi
  local config=${CARGO_HOME:-$HOME/.cargo}/config.toml
  [ ! -f "$config" ] || cp "$config" "$dir/cargo/config.toml"
}

# in_root DIR COMMAND...: runs it in DIR/root, with the caches mounted. $IN_ROOT_SOURCE, if set, is mounted read-only at /mnt.
in_root() {
  local dir=$1 environment=() line
  shift
  while IFS= read -r line; do environment+=("$line"); done < <(
    env | grep -E '^(TERM|CARGO_(HTTP|NET|REGISTR|SOURCE)[A-Z_]*|PIP_[A-Z_]*|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY|SSL_CERT_(FILE|DIR)|[A-Z_]*CA_BUNDLE|ADIT_CI_[A-Z_]*|CI)=' || true)
  unshare --mount --propagation private --pid --fork --kill-child -- bash -c '
    set -e
    dir=$1 source=$2
    shift 2
    mount -t proc proc "$dir/root/proc"
    mount --rbind /dev "$dir/root/dev"
    mkdir -p "$dir/root/root/.cache" "$dir/root/root/.cargo"
    mount --bind "$dir/cache" "$dir/root/root/.cache"
    mount --bind "$dir/cargo" "$dir/root/root/.cargo"
    mount --bind "$dir/archives" "$dir/root/var/cache/apt/archives"
    if [ -n "$source" ]; then
      mount --bind "$source" "$dir/root/mnt"
      mount -o remount,bind,ro "$dir/root/mnt"
    fi
    exec chroot "$dir/root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
  ' in_root "$dir" "${IN_ROOT_SOURCE:-}" "${environment[@]}" "$@"
}

# Only one at a time uses a root.
lock_root() {
  exec 8>"$1/lock"
  flock -n 8 || { say "another ./dev uses $1; waiting for it"; flock 8; }
}

needs_root() {
  [ "$(id -u)" -eq 0 ] || die "$1 makes a root of its own and mounts in it: run it as root"
  unshare --mount --pid --fork true 2>/dev/null || die "$1 needs mount namespaces, which are not permitted here"
}

# tried DIR LABEL SECONDS COMMAND: runs it in the clone in there and adds a line to $TRIED; false if it failed.
tried() {
  local dir=$1 suite=$2 name=$3 command=$4 log begun=$SECONDS verdict=passed
  log=$ROOT/build/try/$suite-$name.log
  (quietly "try $suite: $command" "$log" in_root "$dir" bash -c "cd /root/adit && exec $command") || verdict=FAILED
  TRIED+=("$(printf '%-28s %s after %d s   %s' "$command" "$verdict" $((SECONDS - begun)) \
    "$(grep -E '^[0-9]+% tests passed' "$log" | tail -n 1)")")
  [ "$verdict" = passed ]
}

# try SUITE: what the README promises of a bare Debian, from a clone of what is committed.
try() {
  local suite=${1:-} dir changed failed=0
  case $suite in bookworm | trixie) ;; *) die 'try takes a suite of Debian: ./dev try bookworm, ./dev try trixie' ;; esac
  needs_root try
  dir=$(root_dir "$suite")
  mkdir -p "$dir"/{cache,cargo,archives/partial}
  lock_root "$dir"

  if [ ! -d "$dir/base" ]; then
    apt_install debootstrap
    rm -rf --one-file-system "$dir/base.making"
    quietly "try $suite: debootstrap" "$ROOT/build/try/$suite-debootstrap.log" \
      debootstrap --variant=minbase --include=ca-certificates --keyring="$DEBIAN_KEYRING" "$suite" "$dir/base.making" "$(debian_mirror)"
    rm -f "$dir/base.making"/var/cache/apt/archives/*.deb
    mv -T "$dir/base.making" "$dir/base"
  fi
  rm -rf --one-file-system "$dir/root"
  cp -a --reflink=auto "$dir/base" "$dir/root"
  carry_settings "$dir" "$suite"

  changed=$(git -C "$ROOT" status --porcelain | wc -l)
  [ "$changed" -eq 0 ] || say "try: $changed files are not committed, so they are not in what is tried"
  git init -q "$dir/root/root/adit"
  git -C "$dir/root/root/adit" fetch -q --no-tags "$ROOT" HEAD
  git -C "$dir/root/root/adit" -c advice.detachedHead=false checkout -q FETCH_HEAD
  say "try: $(git -C "$ROOT" log -1 --format='%h %s' | cut -c1-100), on a bare $suite in $dir/root"

  TRIED=()
  tried "$dir" "$suite" demo './dev demo --for 20s' || failed=1
  tried "$dir" "$suite" test './dev test' || failed=1
  printf '%s\n' "${TRIED[@]}"
  [ "$failed" -eq 0 ] || die "try: the README's promise does not hold on $suite (logs: build/try)"
}

# cached NAME...: whether the cache has what is slow to make, before somebody waits for it.
cached() {
  local name
  for name in "$@"; do
    case $name in
      root:bookworm | root:trixie) has_root "${name#root:}" ;;
      tool:cargo-deny) [ -x "$CACHE/tools/cargo-deny-$CARGO_DENY_VERSION/bin/cargo-deny" ] ;;
      sri-suite) [ -e "$(suite_folder)/built" ] ;;
      oracle) [ -x "$(oracle_dir)/oracle" ] ;;
      *) [ -d "$(peer_dir "$name" 2>/dev/null)" ] ;;
    esac || { say "the cache has no $name"; return 1; }
  done
}

# Whether a try of the suite got as far as a build, so that everything is installed in its root.
has_root() {
  local dir
  command -v dpkg >/dev/null || return 1
  dir=$(root_dir "$1")
  [ -x "$dir/root/usr/bin/g++" ] && [ -d "$dir/root/root/adit/build/release" ]
}

# gcc: compiles the tree as it lies here, without iroh and tests, by the g++ and libstdc++ of Debian 13, in the root that
# `./dev try trixie` left. Exits with $EX_DEFERRED where that is not in the cache.
gcc_build() {
  local dir missing
  has_root trixie || { say 'gcc: ./dev try trixie has left no root in the cache'; exit "$EX_DEFERRED"; }
  dir=$(root_dir trixie)
  needs_root gcc
  lock_root "$dir"
  # That try may have been of a tree that needed less.
  mapfile -t missing < <(DPKG_ADMINDIR=$dir/root/var/lib/dpkg missing_packages "${BUILD_PACKAGES[@]}")
  [ "${#missing[@]}" -eq 0 ] || quietly "gcc: apt: installing ${missing[*]} in there" "$ROOT/build/gcc-apt.log" in_root "$dir" bash -c '
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"' - "${missing[@]}"
  # Always anew, so that no object is taken for another clone's; ccache has what is unchanged.
  IN_ROOT_SOURCE=$ROOT quietly 'gcc: no-iroh, without tests, by g++ of Debian 13' "$ROOT/build/gcc.log" in_root "$dir" bash -c '
    set -e
    rm -rf /root/gcc
    export CCACHE_BASEDIR=/mnt CCACHE_NOHASHDIR=1
    g++ --version | head -n 1
    cmake -S /mnt -B /root/gcc -G Ninja -DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++ -DCMAKE_BUILD_TYPE=RelWithDebInfo \
      -DADIT_IROH=OFF -DADIT_TESTS=OFF -DADIT_BENCH=OFF
    nice -n 5 ninja -C /root/gcc'
  grep -E '^g\+\+ ' "$ROOT/build/gcc.log"
}
