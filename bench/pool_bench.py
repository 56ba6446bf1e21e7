#!/usr/bin/env python3
"""`adit load` on our pool and on SRI's, one after the other on the same Bitcoin Core node; prints a table, writes JSON.

Each pool has one core and the load another. A round starts each pool anew; what is told is the median of the rounds, and the
ratio of the two medians. Everything is measured from outside: the process's CPU clock, its resident set, the load's own clock.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "interop"))
from adit import ADIT, Pool, rpc_source  # noqa: E402
from bitcoin_core import BitcoinCore  # noqa: E402
from figures import table, write_json  # noqa: E402
from processes import Programs  # noqa: E402
from sri import SriPool  # noqa: E402

SOMEBODY_ELSE = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
POOL_CORE, LOAD_CORE = 0, 1
# So many that a channel with next to no hash rate gets the target that every hash meets, from either pool.
SHARES_PER_MINUTE = 120.0
BATCH = 10  # Shares to an answer, in the flood.
TIPS = 8
# What a pool remembers of the shares of one address at one tip is bounded (docs/protocol.md), and all of the load has one.
FLOOD_SECONDS = 4

# key: (what, unit, decimals, bar on ours over SRI's as (">=" or "<=", limit))
ROWS = {
    "shares_per_core": ("shares a second on one core, flood", "/s", 0, (">=", 5)),
    "share_cpu_us": ("CPU of one share, flood", "us", 2, None),
    "shares_per_second": ("shares a second, flood", "/s", 0, None),
    "paced_cpu_us": ("CPU of one share, paced", "us", 2, None),
    "ack_p50_us": ("answer to a paced share, p50", "us", 0, None),
    "ack_p99_us": ("answer to a paced share, p99", "us", 0, None),
    "tip_half_ms": ("new tip: first connection to half of them", "ms", 1, None),
    "tip_last_ms": ("new tip: first connection to the last", "ms", 1, ("<=", 0.2)),
    "block_last_ms": ("block asked of the node, to the last connection", "ms", 1, None),
    "open_cpu_us": ("CPU of a connection: Noise, channel, first job", "us", 0, ("<=", 0.3)),
    "tip_cpu_us": ("CPU of a connection at a new tip", "us", 1, ("<=", 0.3)),
    "memory_kib": ("memory of a connection with a channel and a job", "KiB", 1, None),
}


def pinned(core):
    """On one core, and before whatever else this machine does where this user may ask for that."""
    first = ("nice", "-n", "-10") if os.geteuid() == 0 else ()
    return (*first, "taskset", "-c", str(core))


def load(url, pid, connections, seconds, *arguments):
    command = [*pinned(LOAD_CORE), ADIT, "--log-level", "warn", "load", url, "--pid", pid, "--connections", connections,
               "--for", f"{seconds}s", "--json", *arguments]
    ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=seconds + 300)
    if ran.returncode != 0:
        raise AssertionError(f"adit load: {ran.stderr.strip() or ran.stdout.strip()}")
    return json.loads(ran.stdout)


def tips(node, url, pid, connections):
    """A load that only listens, while the node is given blocks. What it reported, and when each block was asked for."""
    asked = []

    def mine():
        # The opening takes as long as it takes: a block that comes before the load measures is none that it reports.
        for _ in range(TIPS + 60):
            if stop.wait(1.2):
                return
            asked.append(time.time() * 1e3)
            node.mine_elsewhere(1, SOMEBODY_ELSE)

    stop = threading.Event()
    miner = threading.Thread(target=mine)
    miner.start()
    try:
        report = load(url, pid, connections, 1.2 * TIPS)
    finally:
        stop.set()
        miner.join()
    return report, asked


def measure_tips_and_flood(node, pool, url, options):
    pid = pool.process.child.pid
    report, asked = tips(node, url, pid, options.connections)
    heard = [tip for tip in report["tips"] if tip["connections"] == options.connections]
    if not heard:
        raise AssertionError(f"no new tip reached all connections: {report['tips']}")
    row = {
        "open_cpu_us": report["open"]["pool_cpu_us_per_connection"],
        "memory_kib": report["open"]["pool_memory_kib_per_connection"],
        "tip_half_ms": statistics.median(tip["half_ms"] for tip in heard),
        "tip_last_ms": statistics.median(tip["last_ms"] for tip in heard),
        "tip_cpu_us": report["pool_cpu_seconds"] * 1e6 / options.connections / len(report["tips"]),
        "block_last_ms": statistics.median(
            tip["first_unix_ms"] - max(at for at in asked if at <= tip["first_unix_ms"]) + tip["last_ms"] for tip in heard),
    }
    flood = whole(load(url, pid, options.connections, min(options.seconds, FLOOD_SECONDS), "--flood"))
    return row | {
        "shares_per_core": flood["per_second_and_core"],
        "share_cpu_us": flood["pool_cpu_us"],
        "shares_per_second": flood["per_second"],
    }


def measure_paced(_, pool, url, options):
    """With each share answered by itself: what a miner waits for."""
    paced = whole(load(url, pool.process.child.pid, options.connections, options.seconds, "--rate", options.rate))
    return {"paced_cpu_us": paced["pool_cpu_us"], "ack_p50_us": paced["ack_p50_us"], "ack_p99_us": paced["ack_p99_us"]}


def whole(report):
    if report["shares"]["rejected"]:
        raise AssertionError(f"shares were refused: {report['shares']['rejected']}")
    if report["shares"]["not_found"]:
        raise AssertionError("the pool's target is too hard for a load: the figures would be those of an idle pool")
    return report["shares"]


def ours(programs, node, batch):
    pool = Pool(programs, rpc_source(node), shares_per_minute=SHARES_PER_MINUTE, share_batch_size=batch, threads=1,
                prefix=pinned(POOL_CORE))
    return pool, pool.url("tcp")


def sri(programs, node, batch):
    key = programs.folder / "sri.key"
    pool = SriPool(programs, node, key, shares_per_minute=SHARES_PER_MINUTE, share_batch_size=batch, log="warn",
                   prefix=pinned(POOL_CORE), env={"TOKIO_WORKER_THREADS": "1"})
    return pool, pool.url


def fresh(start, batch, measure, options):
    """A node and one pool, from nothing to nothing."""
    with Programs() as programs:
        node = BitcoinCore(programs)
        node.mine_elsewhere(1, SOMEBODY_ELSE)
        pool, url = start(programs, node, batch)
        return measure(node, pool, url, options)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=pathlib.Path, required=True, help="where to write the figures")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8, help="of each measurement of shares")
    parser.add_argument("--rate", type=int, default=5000, help="paced shares a second over all connections")
    options = parser.parse_args()
    if os.cpu_count() < 2:
        sys.exit("bench-pool needs two cores: one for the pool, one for the load")

    rounds = {"ours": [], "sri": []}
    for turn in range(options.rounds):
        for name, start in (("ours", ours), ("sri", sri)):
            print(f"round {turn + 1} of {options.rounds}: {name} ...", file=sys.stderr, flush=True)
            rounds[name].append(fresh(start, BATCH, measure_tips_and_flood, options) | fresh(start, 1, measure_paced, options))

    print(f"{options.connections} connections, median of {options.rounds} rounds, "
          f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    figures, shown = {}, []
    for key, (what, unit, decimals, bar) in ROWS.items():
        mine, theirs = (statistics.median(row[key] for row in rounds[name]) for name in ("ours", "sri"))
        ratio = mine / theirs if theirs else float("nan")
        verdict = ""
        if bar:
            met = ratio >= bar[1] if bar[0] == ">=" else ratio <= bar[1]
            verdict = f"{bar[0]} {bar[1]} x: {'met' if met else 'MISSED'}"
        shown.append((what, f"{mine:.{decimals}f} {unit}", f"{theirs:.{decimals}f} {unit}", f"{ratio:.2f}", verdict))
        figures[key] = {"ours": mine, "sri": theirs, "ratio": ratio, "unit": unit}
    table(("what", "ours", "SRI's pool_sv2", "ratio", "bar"), shown)
    write_json(options.json, {"connections": options.connections, "figures": figures, "rounds": rounds})


if __name__ == "__main__":
    main()
