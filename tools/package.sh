# ./dev package: a Debian package of the release build, and whether it holds what it promises. Sourced by ./dev.
# shellcheck shell=bash

# What the deb is for: Debian 12, whose glibc that is, and whatever is newer.
GLIBC_MOST=2.36
CYCLONEDX_VERSION=11.12.0

# The version of what is built: of the tag, else the one to come, with the commit's time and name, which sorts before it.
package_version() {
  local version
  version=$(sed -n 's/^project(adit VERSION \([0-9.]*\).*/\1/p' "$ROOT/CMakeLists.txt")
  [ -z "$(git -C "$ROOT" tag --points-at HEAD "v$version")" ] || { printf '%s\n' "$version"; return; }
  printf '%s~git%s\n' "$version" "$(git -C "$ROOT" log -1 --format=%cd.%h --date=format:%Y%m%d%H%M%S)"
}

# package [test [SUITE...] | container]: makes build/package/adit_VERSION_ARCHITECTURE.deb and checks it. As root it is installed as well: in
# roots of its own that systemd boots (tests/package), or in a container.
package() {
  local out=$ROOT/build/package version deb
  deps package
  build release adit
  version=$(package_version)
  rm -rf "$out"
  mkdir -p "$out"
  # The times in the package are the commit's.
  SOURCE_DATE_EPOCH=$(git -C "$ROOT" log -1 --format=%ct)
  export SOURCE_DATE_EPOCH ADIT_PACKAGE_VERSION=$version
  export ADIT_SBOM=$out/adit_$version.cdx.json
  say "package: $(python3 "$ROOT/tools/sbom.py" --root "$ROOT" --prefix "$ADIT_PREFIX" --version "$version" --out "$ADIT_SBOM") in $ADIT_SBOM"
  check_sbom "$ADIT_SBOM"
  (cd "$ROOT/build/release" && quietly 'package: cpack' "$out/cpack.log" cpack -G DEB -B "$out/making" -D CPACK_PACKAGE_VERSION="$version")
  mv "$out"/making/*.deb "$out"/making/*.ddeb "$out"
  rm -rf "$out/making"
  deb=$(echo "$out"/adit_*.deb)
  check_install
  package_check "$deb"
  say "package: $(du -h "$deb" | cut -f 1) in $deb"
  case ${1:-} in
    '') ;;
    test) shift; package_test "$deb" "$@" ;;
    container) package_container "$deb" ;;
    *) die "package takes nothing, test or container, not $1" ;;
  esac
}

# check_sbom FILE: by CycloneDX's own schema, which a package of theirs brings.
check_sbom() {
  local dir=$CACHE/tools/cyclonedx-$CYCLONEDX_VERSION
  if [ ! -x "$dir/bin/python" ]; then
    apt_install python3-venv
    rm -rf "$dir.making"
    python3 -m venv "$dir.making" || die 'package: python3 could not make a virtual environment'
    quietly 'package: the schema of CycloneDX' "$ROOT/build/package/pip.log" "$dir.making/bin/python" -m pip install -q --disable-pip-version-check \
      "cyclonedx-python-lib[json-validation]==$CYCLONEDX_VERSION"
    mv -T "$dir.making" "$dir"
  fi
  "$dir/bin/python" - "$1" <<'END' || die "package: $1 is no CycloneDX"
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
fault = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())
sys.exit(str(fault) if fault else 0)
END
}

# check_install: whoever installs without a package keeps what others have in the same folders.
check_install() {
  local work
  work=$(mktemp -d)
  mkdir -p "$work/usr/share/man/man1"
  touch "$work/usr/share/man/man1/other.1"
  DESTDIR=$work quietly 'package: cmake --install' "$ROOT/build/package/install.log" cmake --install "$ROOT/build/release" --component runtime --prefix /usr
  [ -e "$work/usr/share/man/man1/other.1" ] || die "package: the installation takes away others' manual pages"
  [ -e "$work/usr/share/man/man1/adit.1.gz" ] || die 'package: the installation brings no manual page'
  rm -rf "$work"
}

# package_check DEB: what it needs of a system, what lintian says, how far its units are shut off.
package_check() {
  local deb=$1 work newest depends unit
  work=$(mktemp -d)
  dpkg-deb -x "$deb" "$work"
  newest=$(llvm-nm-19 -D --undefined-only "$work/usr/bin/adit" | grep -oE '@GLIBC_[0-9.]+' | sed 's/@GLIBC_//' | sort -V | tail -n 1)
  [ "$(printf '%s\n' "$newest" "$GLIBC_MOST" | sort -V | tail -n 1)" = "$GLIBC_MOST" ] || die "package: it needs glibc $newest, and Debian 12 has $GLIBC_MOST"
  ! llvm-nm-19 -D --undefined-only "$work/usr/bin/adit" | grep -q 'GLIBCXX\|CXXABI' || die 'package: it needs a libstdc++'
  depends=$(dpkg-deb -f "$deb" Depends)
  [ "$(sed -E 's/ \([^)]*\)//g; s/, /\n/g' <<<"$depends" | sort | tr '\n' ' ')" = 'libc6 libgcc-s1 ' ] || die "package: it depends on $depends"
  say "package: needs $depends; its newest symbol is of glibc $newest, none of libstdc++"
  lintian --fail-on error,warning --tag-display-limit 0 "$deb" >&2 || die 'package: lintian finds what is above'
  for unit in "$work"/usr/lib/systemd/system/*.service; do
    # 15 is 1.5 there.
    systemd-analyze security --offline=true --threshold=15 --no-pager "$unit" >"$work/exposure" ||
      { cat "$work/exposure" >&2; die "package: $(basename "$unit") is open further than 1.5"; }
    say "package: $(basename "$unit"): $(tail -n 1 "$work/exposure" | sed 's/^[^a-zA-Z]*//')"
  done
  rm -rf "$work"
}

# package_root SUITE DIR: a bare Debian that boots, in DIR, made once and copied for each test.
package_root() {
  local suite=$1 dir=$2
  [ ! -d "$dir/bootable" ] || return 0
  rm -rf --one-file-system "$dir/bootable.making"
  mkdir -p "$dir"
  apt_install debootstrap
  quietly "package: debootstrap $suite" "$ROOT/build/package/$suite-debootstrap.log" \
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus --keyring="$DEBIAN_KEYRING" "$suite" "$dir/bootable.making" "$(debian_mirror)"
  rm -f "$dir/bootable.making"/var/cache/apt/archives/*.deb
  mv -T "$dir/bootable.making" "$dir/bootable"
}

# package_test DEB [SUITE]...: installs it in a Debian that systemd boots, in a network of its own, and runs tests/package/inside.sh
# there. By default in Debian 12.
package_test() {
  local deb=$1 suite dir work
  shift
  needs_root 'package test'
  apt_install systemd-container iproute2
  [ $# -gt 0 ] || set -- bookworm
  for suite in "$@"; do
    dir=$(root_dir "$suite")
    mkdir -p "$dir"
    lock_root "$dir"
    package_root "$suite" "$dir"
    work=$dir/package
    rm -rf --one-file-system "$work"
    cp -a --reflink=auto "$dir/bootable" "$work"
    cp "$deb" "$work/root/new.deb"
    package_before "$deb" "$work/root/old.deb"
    cp "$ROOT/tests/package/inside.sh" "$work/root/inside.sh"
    package_node "$work/opt/bitcoin"
    # Started by the booted system itself, which ends with it.
    printf '%s\n' '[Unit]' 'After=multi-user.target' 'SuccessAction=poweroff' 'FailureAction=poweroff' '[Service]' 'Type=oneshot' \
      'ExecStart=/bin/bash /root/inside.sh' 'StandardOutput=file:/root/result' >"$work/etc/systemd/system/inside.service"
    mkdir -p "$work/etc/systemd/system/default.target.wants"
    ln -sf /etc/systemd/system/inside.service "$work/etc/systemd/system/default.target.wants/inside.service"
    (
      network=adit-package-$$
      ip netns add "$network"
      trap 'ip netns delete "$network"' EXIT
      ip -n "$network" link set lo up
      # An address that is no loopback's, as iroh looks for; its other end is in there too.
      ip -n "$network" link add adit0 type veth peer name adit1
      ip -n "$network" addr add 192.0.2.1/24 dev adit0
      ip -n "$network" link set adit0 up
      ip -n "$network" link set adit1 up
      quietly "package: $suite boots, with it" "$ROOT/build/package/$suite-boot.log" timeout 900 \
        systemd-nspawn -q -D "$work" --register=no --keep-unit -b "--network-namespace-path=/run/netns/$network"
    ) || true
    [ -e "$work/root/result" ] || { say "package: systemd-nspawn boots nothing here: $(tail -n 1 "$ROOT/build/package/$suite-boot.log")"; exit "$EX_DEFERRED"; }
    cat "$work/root/result"
    tail -n 1 "$work/root/result" | grep -qx 'all of it holds' || die "package: it does not hold on $suite"
  done
}

# package_node DIR: Bitcoin Core with its libraries, if ./dev interop has built it.
package_node() {
  local node
  node=$(peer_dir bitcoin)/bitcoin-node
  [ -x "$node" ] || return 0
  mkdir -p "$1"
  ldd "$node" | awk '$3 ~ /libcapnp|libkj|libstdc/ { print $3 }' | xargs cp -t "$1" "$node"
}

# package_before DEB OUT: the same package with a lower version, to be upgraded from.
package_before() {
  local work
  work=$(mktemp -d)
  dpkg-deb -R "$1" "$work/root"
  sed -i 's/^Version: .*/Version: 0.0.1/' "$work/root/DEBIAN/control"
  dpkg-deb --root-owner-group -b "$work/root" "$2" >/dev/null
  rm -rf "$work"
}

# package_container DEB: the image of packaging/container on Debian 12, by buildah, which needs no daemon; a pool in it, whose keys all come
# from the environment, answers and has a share accepted.
package_container() {
  local deb=$1 dir
  needs_root 'package container'
  apt_install buildah iproute2
  dir=$(root_dir bookworm)
  mkdir -p "$dir"
  lock_root "$dir"
  package_root bookworm "$dir"
  # Images in plain folders, thrown away at the end.
  STORE=$(mktemp -d "$CACHE/container.XXXXXX")
  NETWORK=adit-container-$$
  # Whatever runs in that network ends with it.
  trap 'ip netns pids "$NETWORK" | xargs -r kill; ip netns delete "$NETWORK"; rm -rf --one-file-system "$STORE"' EXIT
  ip netns add "$NETWORK"
  ip -n "$NETWORK" link set lo up
  in_buildah() { ip netns exec "$NETWORK" buildah --storage-driver vfs --root "$STORE/images" --runroot "$STORE/run" "$@"; }
  local base mounted container address=bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk
  base=$(in_buildah from scratch)
  mounted=$(in_buildah mount "$base")
  cp -a "$dir/bootable/." "$mounted"
  in_buildah commit -q --rm "$base" adit-base >/dev/null
  quietly 'package: the image' "$ROOT/build/package/container.log" in_buildah build --isolation chroot --format docker --pull-never \
    -f "$ROOT/packaging/container/Containerfile" --build-arg BASE=localhost/adit-base --build-arg "DEB=$(basename "$deb")" -t adit "$(dirname "$deb")"
  container=$(in_buildah from --pull-never localhost/adit)
  in_container() {
    in_buildah run --isolation chroot --env POOL__LISTEN_ADDRESS=127.0.0.1:3333 --env POOL__MONITORING_ADDRESS=127.0.0.1:9090 \
      --env POOL__AUTHORITY_SECRET_KEY_FILE=/var/lib/adit/authority.key --env POOL__COINBASE_REWARD_SCRIPT="addr($address)" \
      --env POOL__TEMPLATE_PROVIDER_TYPE__EMBEDDED__INTERVAL=0 "$container" -- "$@"
  }
  in_container adit keys authority --out /var/lib/adit/authority.key >/dev/null
  [ "$(in_container id -u)" = 10001 ] || die 'package: the container runs as another user than its own'
  ! in_container adit health >/dev/null 2>&1 || die 'package: health says well of a pool that does not run'
  in_container adit pool >"$ROOT/build/package/container-pool.log" 2>&1 8>&- &
  local pool=$! end=$((SECONDS + 30)) url
  until in_container adit health --ready >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || { tail "$ROOT/build/package/container-pool.log" >&2; die 'package: the pool in the container is not ready'; }
    sleep 0.5
  done
  url=$(grep -o 'stratum2+tcp://[^ ]*' "$ROOT/build/package/container-pool.log" | head -n 1)
  in_container sh -c "adit miner '$url' --user lab --nominal-hash-rate 1000 --for 10s 2>&1" | grep 'shares_accepted=[1-9]' >/dev/null ||
    die 'package: no share was accepted by the pool in the container'
  in_container sh -c 'kill -TERM $(pidof adit)' || true
  wait "$pool" || die 'package: the pool in the container did not end by itself'
  say 'package: the container runs as its own user, says its health, accepts a share, and ends when it is told'
}
