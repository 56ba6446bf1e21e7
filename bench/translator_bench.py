#!/usr/bin/env python3
"""Miners of Stratum V1 (`adit load`) at our translator and at SRI's, one after the other, each before a pool of ours on the embedded
chain; prints a table, writes JSON.

Both translators have vardiff off, so that each miner's difficulty is its channel's, which every hash meets. The translator has one
core; pool and load have another. A round starts each translator and its pool twice: once while new tips come, once for the shares.
What is told is the median of the rounds, and the ratio of two medians. Everything is measured from outside: the process's CPU clock,
its resident set, the load's own clock; when a tip was at the pool, a miner tells that is connected to the pool directly.
"""
import argparse
import contextlib
import json
import os
import pathlib
import resource
import signal
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "interop"))
from adit import ADIT, ADMIT_LOAD, EMBEDDED_SOURCE, Pool, Translator  # noqa: E402
from figures import table, write_json  # noqa: E402
from pool_bench import LOAD_CORE, load, pinned, whole  # noqa: E402
from processes import Programs  # noqa: E402
from sri import SriTranslator  # noqa: E402

TRANSLATOR_CORE = 0
BATCH = 10  # Shares to an answer of the pool.
# Of one session at our pool, and a translator has one: so many miners can have a channel each.
MOST_CHANNELS = 4000
SECONDS_BETWEEN_TIPS = 2.5
TIPS = 5
# A channel remembers 65,536 shares of a tip, and aggregated all miners have one: in a start without tips that is what may be sent.
FLOOD_SHARES = 40_000
FLOOD_SECONDS = 60  # At most; it ends once all are answered.
IN_FLIGHT = 10  # Of one miner, in the flood.
# What one miner floods with beside the others.
ONE_IN_FLIGHT = 1000

WAYS = {"aggregated": "all miners on one channel", "channels": "a channel each"}

# key: (what, unit, decimals, at most so many times SRI's, by way)
ROWS = {
    "share_cpu_us": ("CPU of one share, flood", "us", 2, {"aggregated": 1 / 5, "channels": 1 / 3.5}),
    "flood_p50_ms": ("answer in the flood, p50", "ms", 1, {}),
    "flood_p99_ms": ("the same, p99", "ms", 1, {}),
    "paced_cpu_us": ("CPU of one share, paced", "us", 2, {}),
    "ack_p50_us": ("answer to a paced share, p50", "us", 0, {}),
    "ack_p99_us": ("the same, p99", "us", 0, {}),
    "beside_p50_us": ("the same while one miner floods, p50", "us", 0, {}),
    "beside_p99_us": ("the same, p99", "us", 0, {}),
    "open_cpu_us": ("CPU of a connection: up to the answer to its first share", "us", 0, {}),
    "job_cpu_us": ("CPU of a miner at a new job", "us", 2, {}),
    "tip_half_ms": ("new tip at the pool to half of the miners", "ms", 1, {}),
    "tip_last_ms": ("new tip at the pool to the last miner", "ms", 1, {"aggregated": 0.25, "channels": 0.25}),
    "memory_kib": ("memory of a miner", "KiB", 1, {"aggregated": 0.17, "channels": 0.17}),
}


def ours(programs, pool, way):
    translator = Translator(programs, pool.url("tcp"), aggregate_channels=way == "aggregated", hash_rate=1, vardiff=False,
                            prefix=pinned(TRANSLATOR_CORE), keys=ADMIT_LOAD)
    return translator, translator.address()


def sri(programs, pool, way):
    translator = SriTranslator(programs, pool.url("tcp"), aggregate_channels=way == "aggregated", hash_rate=1, vardiff=False, log="warn",
                               prefix=pinned(TRANSLATOR_CORE), env={"TOKIO_WORKER_THREADS": "1"})
    return translator, translator.address


@contextlib.contextmanager
def running(start, way, seconds_between_tips):
    """A pool and one translator, from nothing to nothing: the pool, the miners' URL and the translator's process."""
    with Programs() as programs:
        source = f"[template_provider_type.Embedded]\ninterval = {seconds_between_tips}" if seconds_between_tips else EMBEDDED_SOURCE
        pool = Pool(programs, source, shares_per_minute=6000, share_batch_size=BATCH, threads=1, prefix=pinned(LOAD_CORE))
        translator, address = start(programs, pool, way)
        yield pool, f"stratum+tcp://{address}", translator.process.child.pid


@contextlib.contextmanager
def beside(url, *arguments):
    """`adit load` that runs meanwhile; gives a function that ends it and returns its report."""
    command = [*pinned(LOAD_CORE), ADIT, "--log-level", "warn", "load", url, "--for", "3600s", "--json", *arguments]
    child = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def report():
        child.send_signal(signal.SIGINT)
        out, errors = child.communicate(timeout=60)
        if not out.strip():
            raise AssertionError(f"adit load: {errors.strip()}")
        return json.loads(out)

    try:
        yield report
    finally:
        child.kill()
        child.wait()


def measure_tips(start, way, miners, _):
    with running(start, way, SECONDS_BETWEEN_TIPS) as (pool, url, pid), beside(pool.url("tcp"), "--connections", 1) as listened:
        report = load(url, pid, miners, round(SECONDS_BETWEEN_TIPS * TIPS))
        at_pool = [tip["first_unix_ms"] for tip in listened()["tips"]]
    heard = [tip for tip in report["tips"] if tip["connections"] == miners]
    if not heard:
        raise AssertionError(f"no new tip reached all miners: {report['tips']}")
    after = [tip["first_unix_ms"] - min(at_pool, key=lambda at: abs(at - tip["first_unix_ms"])) for tip in heard]
    return {
        "job_cpu_us": report["pool_cpu_seconds"] * 1e6 / miners / len(report["tips"]),
        "tip_half_ms": statistics.median(first + tip["half_ms"] for first, tip in zip(after, heard)),
        "tip_last_ms": statistics.median(first + tip["last_ms"] for first, tip in zip(after, heard)),
    }


def measure_flood(start, way, miners, _):
    with running(start, way, None) as (_, url, pid):
        report = load(url, pid, miners, FLOOD_SECONDS, "--flood", "--shares", FLOOD_SHARES, "--in-flight", IN_FLIGHT)
    shares = whole(report)
    if shares["accepted"] < FLOOD_SHARES:
        raise AssertionError(f"{shares['accepted']} of {FLOOD_SHARES} shares were answered in {FLOOD_SECONDS} s")
    return {
        "open_cpu_us": report["open"]["pool_cpu_us_per_connection"],
        "memory_kib": report["open"]["pool_memory_kib_per_connection"],
        "share_cpu_us": shares["pool_cpu_us"],
        "flood_p50_ms": shares["ack_p50_us"] / 1e3,
        "flood_p99_ms": shares["ack_p99_us"] / 1e3,
    }


def measure_paced(start, way, miners, options):
    paced = ("--rate", options.rate)
    with running(start, way, None) as (_, url, pid):
        alone = whole(load(url, pid, miners, options.seconds, *paced))
        row = {"paced_cpu_us": alone["pool_cpu_us"], "ack_p50_us": alone["ack_p50_us"], "ack_p99_us": alone["ack_p99_us"]}
    # Aggregated the flood would fill the one channel's memory of shares, and the others' shares be refused for that.
    if way == "aggregated":
        return row
    with running(start, way, None) as (_, url, pid), beside(url, "--connections", 1, "--flood", "--in-flight", ONE_IN_FLIGHT):
        besides = whole(load(url, pid, miners - 1, options.seconds, *paced))
    return row | {"beside_p50_us": besides["ack_p50_us"], "beside_p99_us": besides["ack_p99_us"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=pathlib.Path, required=True, help="where to write the figures")
    parser.add_argument("--miners", type=int, default=10_000, help=f"with a channel each at most {MOST_CHANNELS}, as the pool gives a session no more")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8, help="of each measurement of paced shares")
    parser.add_argument("--rate", type=int, default=4000, help="paced shares a second over all miners")
    parser.add_argument("--only", default=",".join(WAYS), help=f"of {','.join(WAYS)}")
    options = parser.parse_args()
    if os.cpu_count() < 2:
        sys.exit("bench-translator needs two cores: one for the translator, one for pool and load")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # SRI's translator does not lift its own.
    ways = options.only.split(",")
    miners = {way: options.miners if way == "aggregated" else min(options.miners, MOST_CHANNELS) for way in ways}

    rounds = {way: {"ours": [], "sri": []} for way in ways}
    for turn in range(options.rounds):
        for way in ways:
            for name, start in (("ours", ours), ("sri", sri)):
                print(f"round {turn + 1} of {options.rounds}: {WAYS[way]}, {name} ...", file=sys.stderr, flush=True)
                rounds[way][name].append({key: value for measure in (measure_tips, measure_flood, measure_paced)
                                          for key, value in measure(start, way, miners[way], options).items()})

    print(f"{', '.join(f'{miners[way]} miners with {WAYS[way]}' for way in ways)}; median of {options.rounds} rounds, "
          f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    figures, shown = {way: {} for way in ways}, []
    for way in ways:
        for key, (what, unit, decimals, bars) in ROWS.items():
            if key not in rounds[way]["ours"][0]:
                continue
            mine, theirs = (statistics.median(row[key] for row in rounds[way][name]) for name in ("ours", "sri"))
            ratio = mine / theirs if theirs else float("nan")
            bar = bars.get(way)
            verdict = f"<= {bar:.2f} x: {'met' if ratio <= bar else 'MISSED'}" if bar else ""
            shown.append((WAYS[way], what, f"{mine:.{decimals}f} {unit}", f"{theirs:.{decimals}f} {unit}", f"{ratio:.2f}", verdict))
            figures[way][key] = {"ours": mine, "sri": theirs, "ratio": ratio, "unit": unit}
    table(("miners", "what", "ours", "SRI's translator_sv2", "ratio", "bar"), shown)
    write_json(options.json, {"miners": miners, "figures": figures, "rounds": rounds})


if __name__ == "__main__":
    main()
