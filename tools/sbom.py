#!/usr/bin/env python3
"""The software bill of materials of the release build, as CycloneDX 1.5 in JSON: what is linked into the program or served by it."""
import argparse
import datetime
import json
import os
import pathlib
import re
import subprocess

# Debian packages whose archives or headers are compiled in; libstdc++'s has the compiler's version in its name.
DEBIAN = ("libsodium-dev", "libqrcodegencpp-dev", "libsqlite3-dev", "libssl-dev", "libspdlog-dev", "libfmt-dev", "libtomlplusplus-dev",
          "libcli11-dev", "libcapnp-dev", "libstdc++-*-dev")
# Those that libcrypto needs on Debian 13.
OF_LIBCRYPTO = {"-lz": "zlib1g-dev", "-lzstd": "libzstd-dev"}


def run(*command, cwd=None):
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


def component(kind, name, version, licence=None):
    purl = f"pkg:{kind}/{name.replace('@', '%40')}@{version.replace('+', '%2B')}"
    found = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if licence:
        found["licenses"] = [{"expression": licence}]
    return found


def crates(root):
    """What the bridge needs to run, on this platform."""
    host = re.search(r"host: (\S+)", run("rustc", "-vV")).group(1)
    metadata = json.loads(run("cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", host, cwd=root))
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    left, seen = list(metadata["workspace_members"]), set()
    while left:
        one = left.pop()
        if one not in seen:
            seen.add(one)
            # Without those of tests and build scripts.
            left += [dep["pkg"] for dep in nodes[one]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
    for package in (packages[one] for one in seen if one not in metadata["workspace_members"]):
        # The older way to write that one may choose.
        licence = (package["license"] or "").replace("/", " OR ")
        yield component("cargo", package["name"], package["version"], licence)


def debian():
    needed = run("pkg-config", "--static", "--libs", "libcrypto").split()
    names = (*DEBIAN, *(name for flag, name in OF_LIBCRYPTO.items() if flag in needed))
    listed = run("dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\n", *names)
    for name, version, status in (line.split() for line in listed.splitlines()):
        if status == "installed":
            yield component("deb", f"debian/{name}", version)


def prefix(folder):
    """Newer than the system's, unpacked (tools/deps.sh)."""
    version = re.search(r'BOOST_LIB_VERSION "([0-9_]+)"', (folder / "include/boost/version.hpp").read_text()).group(1)
    yield component("generic", "boost", version.replace("_", "."), "BSL-1.0")
    for found in folder.glob("lib/*/pkgconfig/libsecp256k1.pc"):
        yield component("generic", "libsecp256k1", re.search(r"^Version: (.*)$", found.read_text(), re.M).group(1), "MIT")


def page(root):
    lock = json.loads((root / "dashboard/package-lock.json").read_text())
    for path, package in lock["packages"].items():
        if path and not package.get("dev"):
            yield component("npm", path.rpartition("node_modules/")[2], package["version"], package.get("license"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--prefix", type=pathlib.Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    found = {}
    for one in (*crates(arguments.root), *debian(), *prefix(arguments.prefix), *page(arguments.root)):
        found[one["bom-ref"]] = one
    time = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "application", "bom-ref": "adit", "name": "adit", "version": arguments.version,
                          "licenses": [{"expression": "MIT OR Apache-2.0"}]},
        },
        "components": [found[ref] for ref in sorted(found)],
        "dependencies": [{"ref": "adit", "dependsOn": sorted(found)}],
    }
    arguments.out.write_text(json.dumps(bom, indent=1) + "\n")
    print(f"{len(found)} components")


if __name__ == "__main__":
    main()
