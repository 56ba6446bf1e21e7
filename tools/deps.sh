# ./dev deps: installs what is missing and says so; quick when nothing is. Sourced by ./dev.
# shellcheck shell=bash

BUILD_PACKAGES=(ca-certificates git python3 pkg-config cmake ninja-build ccache g++
  clang-19 lld-19 llvm-19 libclang-rt-19-dev clang-format-19 clang-tidy-19
  libsodium-dev libqrcodegencpp-dev libsqlite3-dev libssl-dev zlib1g-dev libzstd-dev libspdlog-dev libcli11-dev libtomlplusplus-dev
  capnproto libcapnp-dev libgtest-dev libgmock-dev libfaketime valgrind groff-base)

# Of ./dev package: what reads the libraries that a program needs, and the checks of what comes out.
PACKAGE_PACKAGES=(dpkg-dev lintian systemd)

# Only to build the peers of ./dev interop. libboost-dev is whatever the system calls Boost: ours is in the prefix.
PEER_PACKAGES=(libboost-dev libevent-dev)

# Of ./dev netlab and ./dev bench-net: networks of their own, and a certificate for the relay in them.
NETLAB_PACKAGES=(iproute2 nftables openssl)

# Newer than Debian 12 has, and in Debian 13 at odds with the default Boost: unpacked under a prefix, never installed.
PREFIX_SUITE=trixie
PREFIX_PACKAGES=(libboost1.88-dev libsecp256k1-2 libsecp256k1-dev)

# The oldest cargo that builds the iroh crates.
CARGO_MINIMUM=1.91

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "needs root for: $* (no sudo here; run it as root and come back)"
  fi
}

# The names among the arguments that dpkg does not have installed.
missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
  done
}

apt_install() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0
  say "apt: installing ${missing[*]}"
  # Lists may be absent (container images) or old: fetch them once per run, and only when something is missing.
  if [ -z "${APT_UPDATED:-}" ]; then
    as_root apt-get update -qq || die "apt-get update failed"
    APT_UPDATED=1
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q -o DPkg::Lock::Timeout=600 --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >&2 ||
    die "apt could not install: ${missing[*]}"
}

prefix_dir() {
  printf '%s/prefix-%s\n' "$CACHE" "$(printf '%s\n' "$PREFIX_SUITE" "$(dpkg --print-architecture)" "${PREFIX_PACKAGES[@]}" | key_of)"
}

DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# debian_mirror [-security]: where this machine's apt has Debian 12 or 13 from, or nothing.
debian_mirror() {
  apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
    awk -v wanted="^(bookworm|trixie)${1:-}\$" '$2 ~ wanted && !found++ { print $1 }'
}

# Downloads PREFIX_PACKAGES from the mirror this machine already uses and unpacks them. apt reads lists, sources and
# state from a private folder, and checks signatures with the keyring that is installed.
make_prefix() {
  local dir=$1 work uri keyring=$DEBIAN_KEYRING
  uri=$(debian_mirror)
  [ -n "$uri" ] || die "no Debian 12 or 13 mirror among apt's sources: install Boost >= 1.88 headers and libsecp256k1 >= 0.4 yourself and set ADIT_PREFIX to their prefix"
  [ -r "$keyring" ] || die "no Debian keyring at $keyring (package debian-archive-keyring)"

  say "unpacking ${PREFIX_PACKAGES[*]} ($PREFIX_SUITE) into $dir; nothing of it is installed system-wide"
  mkdir -p "$CACHE"
  work=$(mktemp -d "$CACHE/prefix-making.XXXXXX")
  mkdir -p "$work"/{state/lists/partial,cache/archives/partial,deb,root,empty}
  : >"$work/state/status"
  printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$PREFIX_SUITE" >"$work/sources.list"
  local apt=(apt-get -qq -o "Dir::State=$work/state" -o "Dir::State::status=$work/state/status" -o "Dir::Cache=$work/cache"
    -o "Dir::Etc::sourcelist=$work/sources.list" -o "Dir::Etc::sourceparts=$work/empty" -o "Dir::Etc::preferencesparts=$work/empty"
    -o APT::Sandbox::User= -o Acquire::Languages=none)
  "${apt[@]}" update || die "could not read $PREFIX_SUITE's package list from $uri"
  (cd "$work/deb" && "${apt[@]}" download "${PREFIX_PACKAGES[@]}") || die "could not download ${PREFIX_PACKAGES[*]} from $uri"
  local deb
  for deb in "$work"/deb/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
  [ -e "$work/root/usr/include/boost/asio.hpp" ] && [ -e "$work/root/usr/include/secp256k1.h" ] ||
    die "the unpacked packages hold no Boost.Asio or no secp256k1 headers"
  # Documentation and licences apart, /usr of the packages becomes the prefix itself.
  mv "$work/root/usr" "$work/prefix"
  mv -T "$work/prefix" "$dir" 2>/dev/null || [ -d "$dir" ] || die "could not put the prefix in place at $dir"
  rm -rf "$work"
}

ensure_prefix() {
  local dir
  [ -z "${ADIT_PREFIX:-}" ] || return 0 # the user's own
  dir=$(prefix_dir)
  [ -d "$dir" ] || make_prefix "$dir"
  # CMake's default for whoever configures by hand; ./dev itself always passes the keyed folder.
  [ "$(readlink "$CACHE/prefix")" = "$dir" ] || ln -sfnT "$dir" "$CACHE/prefix"
  export ADIT_PREFIX=$dir
}

cargo_is_new_enough() {
  local version
  version=$(cargo --version 2>/dev/null | awk '{ print $2 }') && [ -n "$version" ] &&
    [ "$(printf '%s\n' "$CARGO_MINIMUM" "$version" | sort -V | head -n 1)" = "$CARGO_MINIMUM" ]
}

ensure_cargo() {
  cargo_is_new_enough && return 0
  local old
  for old in cargo rustc; do
    [ -z "$(missing_packages "$old")" ] &&
      die "Debian's $old is installed and older than $CARGO_MINIMUM; cargo-web would replace it. Put a newer cargo first on PATH, or remove the package"
  done
  apt_install cargo-web
  hash -r
  cargo_is_new_enough ||
    die "cargo >= $CARGO_MINIMUM is needed, found $(cargo --version 2>/dev/null || echo none) at $(command -v cargo || echo nowhere); Debian 12 has it in bookworm-security (package cargo-web)"
}

# deps [build|peers|netlab|package|no-iroh]...
deps() {
  if ! command -v apt-get >/dev/null; then
    say "deps: no apt-get here, so nothing is installed; what is needed: ${BUILD_PACKAGES[*]}, Boost >= 1.88, libsecp256k1 >= 0.4, cargo >= $CARGO_MINIMUM"
    return 0
  fi
  apt_install "${BUILD_PACKAGES[@]}"
  ensure_prefix
  case " $* " in *' no-iroh '*) ;; *) ensure_cargo ;; esac
  case " $* " in *' peers '*) apt_install "${PEER_PACKAGES[@]}" ;; esac
  case " $* " in *' package '*) apt_install "${PACKAGE_PACKAGES[@]}" ;; esac
  case " $* " in *' netlab '*) apt_install "${NETLAB_PACKAGES[@]}" ;; esac
}
