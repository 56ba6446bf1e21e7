#!/usr/bin/env python3
"""Runs the benchmarks, prints the table of docs/measured.md, writes bench.json.

Each program in bench/ prints, given --json, one line {"key", "value", "unit", "ratio"} a row on standard output; ratio is
its value over a floor or peer that the same run measured, null where the row is itself a floor. Titles and bars stand here.
"""

import argparse
import json
import pathlib
import subprocess
import sys

from figures import table, write_json

PROGRAMS = ["share_bench", "noise_bench", "sri_bench", "idle_memory", "idle_tip", "payouts", "share_path", "sv1_path", "iroh_echo"]

# key: (what it is, what the ratio is over, bar as (kind, limit) or (kind, limit, "at least")). Rows without an entry are printed as they are.
ROWS = {
    "share.standard": ("one standard share, sealed bytes in to answer queued", "its 2 AEAD opens + its sha256d, one share at a time", ("ratio", 1.4)),
    "share.standard.floor": ("the floor of that, timed alone", None, None),
    "share.standard.allocations": ("allocations of that", None, ("value", 0)),
    "share.extended": ("one extended share, sealed bytes in to answer queued", "its 2 AEAD opens + its hashing, one share at a time", None),
    "share.extended.floor": ("the floor of that, timed alone", None, None),
    "share.extended.allocations": ("allocations of that", None, ("value", 0)),
    "noise.handshake.responder": ("Noise handshake, responder", "2 ECDH + 1 EllSwift key generation", ("ratio", 1.5)),
    "noise.handshake.initiator": ("Noise handshake, initiator", "2 ECDH + 1 EllSwift key generation", None),
    "noise.handshake.floor": ("the floor of both, timed alone", None, None),
    "noise.record.24": ("record of 24 B, seal + open", "raw ChaCha20-Poly1305 of libsodium", None),
    "noise.record.64": ("record of 64 B, seal + open", "raw ChaCha20-Poly1305 of libsodium", None),
    "noise.record.256": ("record of 256 B, seal + open", "raw ChaCha20-Poly1305 of libsodium", None),
    "wire.encode.submit_shares_extended": ("SubmitSharesExtended, encode", "SRI's", ("ratio", 1.0)),
    "wire.decode.submit_shares_extended": ("SubmitSharesExtended, decode", "SRI's", ("ratio", 1.0)),
    "wire.encode.new_extended_mining_job": ("NewExtendedMiningJob with a path of 12, encode", "SRI's", ("ratio", 1.0)),
    "wire.decode.new_extended_mining_job": ("NewExtendedMiningJob with a path of 12, decode", "SRI's", ("ratio", 1.0)),
    "noise.seal.share": ("frame of SubmitSharesExtended, seal", "SRI's", None),
    "noise.open.share": ("frame of SubmitSharesExtended, open", "SRI's", None),
    "noise.seal.job": ("frame of that NewExtendedMiningJob, seal", "SRI's", None),
    "noise.open.job": ("frame of that NewExtendedMiningJob, open", "SRI's", None),
    "noise.handshake.both": ("Noise handshake, both sides", "SRI's", ("ratio", 0.8)),
    "channels.standard": ("share on a standard channel", "SRI's", ("ratio", 0.333)),
    "channels.standard.two": ("the same, of two that arrive together", "SRI's", ("ratio", 0.333)),
    "channels.standard.hashing": ("the same", "its own hashing", None),
    "channels.standard.floor": ("hashing alone of a share on a standard channel", "SRI's whole share", None),
    "channels.standard.not_rolled": ("share on a standard channel, version not rolled", "SRI's", ("ratio", 0.333)),
    "channels.standard.not_rolled.two": ("the same, of two that arrive together", "SRI's", ("ratio", 0.333)),
    "channels.extended.path_0": ("share on an extended channel, empty merkle path", "SRI's", ("ratio", 0.333)),
    "channels.extended.path_0.two": ("the same, of two that arrive together", "SRI's", ("ratio", 0.333)),
    "channels.extended.path_0.hashing": ("the same", "its own hashing", None),
    "channels.extended.path_0.floor": ("hashing alone of a share on an extended channel, empty merkle path", "SRI's whole share", None),
    "channels.extended.path_12": ("share on an extended channel, path of 12", "SRI's", None),
    "channels.extended.path_12.two": ("the same, of two that arrive together", "SRI's", None),
    "channels.extended.path_12.hashing": ("the same", "its own hashing", ("ratio", 1.3)),
    "channels.extended.path_12.floor": ("hashing alone of a share on an extended channel, path of 12", "SRI's whole share", None),
    "memory.idle_connection": ("idle TCP connection with an open channel and a job", None, ("value", 10)),
    "idle_tip.last": ("a new tip to the last of 1,000 miners on TCP, beside 16 idle connections of 4,096 channels each that want a job for every channel", "the same miners without those", ("ratio", 1.3)),
    "idle_tip.last.without": ("the same without those", None, None),
    "payouts.tip": ("a new tip to 10,000 miners on TCP, each paid by its own address, from the first that hears of it to the last", "the same miners on one address", ("ratio", 2.0)),
    "payouts.tip.one": ("the same of one address for all", None, None),
    "payouts.tip_cpu": ("the pool's CPU of that, for each miner", "the same miners on one address", None),
    "payouts.tip_cpu.one": ("the same of one address for all", None, None),
    "payouts.memory": ("the pool's memory of a miner's own address, with its job", None, ("value", 2)),
    "path.flood": ("the pool's CPU of a share from the socket to its answer: 1,000 connections, each share a segment, as many as it takes", "a bare epoll server with the same bytes + the cryptography alone", ("ratio", 1.2)),
    "path.flood.floor": ("the bare epoll server under that", None, None),
    "path.flood.crypto": ("the cryptography of that share alone", None, None),
    "path.paced": ("the same at 10,000 shares a second", "a bare epoll server with the same bytes + the cryptography alone", ("ratio", 1.2)),
    "path.paced.floor": ("the bare epoll server under that", None, None),
    "path.paced.crypto": ("the cryptography of that share alone", None, None),
    "path.paced.each": ("the same, each share answered by itself", "a bare epoll server with the same bytes + the cryptography alone", ("ratio", 1.2)),
    "path.paced.each.floor": ("the bare epoll server under that", None, None),
    "path.paced.each.crypto": ("the cryptography of that share alone", None, None),
    "sv1.share": ("the pool's CPU of a share by Stratum V1 at its own port: 1,000 connections, each share a segment", "a translator's before such a pool", ("ratio", 1.3)),
    "sv1.share.translator": ("the translator's of that", None, None),
    "sv1.share.ten": ("the same, ten shares a segment", "a translator's before such a pool", ("ratio", 1.3)),
    "sv1.share.ten.translator": ("the translator's of that", None, None),
    "sv1.memory": ("the pool's memory of a miner by Stratum V1, with its job", "the translator's", ("value", 10)),
    "sv1.memory.translator": ("the translator's of that", None, None),
    "iroh.echo.p50": ("64 B echo through the bridge, p50", "pure-Rust client of the same crate", None),
    "iroh.echo.p50.rust": ("the same from pure Rust", None, None),
    "iroh.echo.many": ("64 B echoes a second through the bridge, 32 under way", "pure-Rust client", ("ratio", 0.95, "at least")),
    "iroh.echo.many.rust": ("the same from pure Rust", None, None),
    "iroh.echo.cpu": ("the client's CPU of one of those", "pure-Rust client", ("ratio", 1.2)),
    "iroh.echo.cpu.rust": ("the same from pure Rust", None, None),
    "iroh.echo.bulk": ("bulk through the bridge, there and back", "pure-Rust client", ("ratio", 0.95, "at least")),
    "iroh.echo.bulk.rust": ("the same from pure Rust", None, None),
    "iroh.call.p99_9": ("a call into the bridge while its connection is flooded, p99.9", None, None),
}


def verdict(row):
    bar = ROWS.get(row["key"], (None, None, None))[2]
    if bar is None:
        return ""
    kind, limit, *least = bar
    measured = row[kind]
    met = measured is not None and (measured >= limit if least else measured <= limit)
    sign = ">=" if least else "<="
    shown = f"{sign} {limit} x" if kind == "ratio" else f"{sign} {limit} {row['unit']}".rstrip()
    return f"{shown}: {'met' if met else 'MISSED'}"


def number(value):
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="where the benchmark programs were built")
    parser.add_argument("--json", type=pathlib.Path, required=True, help="where to write the rows")
    parser.add_argument("--only", help="run just this program")
    options = parser.parse_args()

    rows, failed = [], []
    for name in PROGRAMS:
        program = options.folder / name
        if options.only not in (None, name) or not program.exists():
            continue
        print(f"running {name} ...", file=sys.stderr, flush=True)
        run = subprocess.run([program, "--json"], stdout=subprocess.PIPE, text=True, timeout=600)
        if run.returncode != 0:
            failed.append(name)
        rows += [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]

    shown = []
    for row in rows:
        title, beside, _ = ROWS.get(row["key"], (row["key"], None, None))
        ratio = "" if row.get("ratio") is None else f"{row['ratio']:.2f}"
        shown.append((title, f"{number(row['value'])} {row['unit']}", beside or "", ratio, verdict(row)))
    table(("what", "measured", "beside", "ratio", "bar"), shown)
    write_json(options.json, {row["key"]: {k: row.get(k) for k in ("value", "unit", "ratio")} for row in rows})
    if failed or not rows:
        sys.exit(f"failed: {', '.join(failed) or 'no benchmark was built'}")


if __name__ == "__main__":
    main()
