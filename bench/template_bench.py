#!/usr/bin/env python3
"""How long a new tip takes from Bitcoin Core to a miner, by each way that work comes: our pool by IPC, by JSON-RPC's long poll, and
through `adit template` on IPC, over TCP and over iroh; and SRI's pool by IPC; by turns, each on a node of its own with more in its
mempool than a block holds. What moments are told by whom: tests/interop/tips.py.

Then nobody does anything, and what the node's process computes is what waiting for fees costs it. Then tips come one after another,
and the memory of our programs is not to grow with them. Then a miner finds blocks: the node's log has the moment at which a
solution was there, the pool's that at which it was found. At last the same tips on a node whose blocks have 3.7 MB.
"""
import argparse
import bisect
import os
import pathlib
import re
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "interop"))
from adit import Miner, Pool, TemplateProvider, ipc_source, rpc_source, sv2_source  # noqa: E402
from bitcoin_core import SOMEBODY_ELSE, BitcoinCore  # noqa: E402
from figures import memory_kib, quantile, table, write_json  # noqa: E402
from pool_bench import load  # noqa: E402
from processes import Programs  # noqa: E402
from sri import SriPool  # noqa: E402
from tips import NODE_OPTIONS, measure_tips, milliseconds  # noqa: E402
from transactions import Coins  # noqa: E402

WAYS = {"ipc": "ours by IPC", "rpc": "ours by JSON-RPC", "tcp": "ours by IPC and TDP over TCP", "iroh": "ours by IPC and TDP over iroh",
        "sri": "SRI's by IPC"}
# A job for fees may come that late after a template; whoever waits then has the node look at fees every second.
MIN_INTERVAL = 5
# A script that is nearly all of a transaction's bytes, so that few of them fill a block of as many bytes as there can be.
LARGE_SCRIPT = (b"\x4d\x08\x02" + bytes(520) + b"\x75") * 6 + b"\x51"
KEPT = 17  # Seconds for which a template is kept beyond its tip, at most, and a little longer.
BLOCKS = 40  # Found for the time from a share to the node.

# key: (what, unit, decimals)
ROWS = {
    "added_p25_ms": ("template ready at the node to SetNewPrevHash at a miner, p25", "ms", 2),
    "added_p50_ms": ("the same, p50", "ms", 2),
    "added_p90_ms": ("the same, p90", "ms", 2),
    "tip_p50_ms": ("tip at the node to SetNewPrevHash at a miner, p50", "ms", 2),
    "tip_p90_ms": ("the same, p90", "ms", 2),
    "made_p50_ms": ("of that, until the node has made the template", "ms", 2),
    "found_p50_ms": ("share found to the solution at the node, p50", "ms", 1),
    "large_p50_ms": ("template of 3.7 MB ready at the node to SetNewPrevHash at a miner, p50", "ms", 2),
    "waiting_cpu_s": ("CPU of the node in a minute of waiting", "s", 2),
    "memory_kib": ("memory of our programs, or SRI's, after many tips one after another", "KiB", 0),
    "growth_kib": ("more of it after as many again", "KiB", 0),
}
# (key, way, of, at most)
BARS = [("added_p50_ms", "ipc", "sri", 0.5), ("added_p50_ms", "tcp", "ipc", 1.3)]

# What the node's log says when a solution or a block is there.
SOLUTION = re.compile(r"^(\S+Z) .*(?:recv request.*submitSolution|method=submitblock)", re.M)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(way, programs, node, prefix=""):
    """The pool, the URL for its miners, and the processes that are measured."""
    if way == "sri":
        pool = SriPool(programs, node, programs.folder / f"{prefix}sri.key", log="warn")
        return pool, pool.url, [pool.process]
    ipc = ipc_source(node, fee_threshold=100, min_interval=MIN_INTERVAL)
    if way in ("tcp", "iroh"):
        provider = TemplateProvider(programs, ipc, iroh=way == "iroh", name=f"{prefix}template")
        pool = Pool(programs, sv2_source(provider.url(way)), iroh=way == "iroh", name=f"{prefix}pool")
        return pool, pool.url("tcp"), [pool.process, provider.process]
    pool = Pool(programs, rpc_source(node) if way == "rpc" else ipc, name=f"{prefix}pool")
    return pool, pool.url("tcp"), [pool.process]


def fill(node, options, *, large=False):
    """More in the mempool than a block holds."""
    if large:
        coins = Coins(node, 1_200, script=LARGE_SCRIPT)
        return coins.send(1_200, 20_000)
    coins = Coins(node, options.transactions)
    for fee in (3_000, 5_000, 9_000):
        coins.send(options.transactions // 3, fee, size=options.data)


def tips_of(node, pool, url, count):
    return measure_tips(node, url, pool.process.child.pid, count, listen_by=lambda *to: load(to[0], to[1], 1, to[2]))


def measure_growth(node, processes, options):
    """Memory after many tips one after another, and how much more after as many again. Templates of earlier tips are kept for a while."""
    memory = []
    for _ in range(2):
        for _ in range(options.quick):
            node.call("generateblock", SOMEBODY_ELSE, [])
            time.sleep(0.05)
        time.sleep(KEPT)
        memory.append(memory_kib(*processes))
    return memory[0], memory[1] - memory[0]


def measure_found(programs, way):
    """Milliseconds from a block that the pool has found to its solution at a node that logs what it is asked. SRI's pool does not say
    when it found one."""
    if way == "sri":
        return []
    node = BitcoinCore(programs, "-logtimemicros", "-debug=ipc", "-loglevel=ipc:trace", "-debug=rpc", name="asked")
    node.mine_elsewhere(17)
    pool, url, _ = start(way, programs, node, "asked-")
    height = node.height()
    Miner(programs, url)
    programs.wait_until("blocks were found", lambda: node.height() >= height + BLOCKS, 180)
    for process in reversed(programs.processes):
        process.stop()
    arrived = [milliseconds(stamp) for stamp in SOLUTION.findall(node.process.text())]
    took = []
    for event in pool.events("pool.block_found"):
        at = milliseconds(event["ts"])
        after = bisect.bisect(arrived, at)  # The pool's moment is cut to the millisecond, so it is the earlier one.
        if after < len(arrived):
            took.append(arrived[after] - at)
    if not took:
        raise AssertionError(f"of {BLOCKS} blocks the node's log shows no solution")
    return took


def measure(way, options):
    with Programs() as programs:
        node = BitcoinCore(programs, *NODE_OPTIONS)
        node.mine_elsewhere(17)
        fill(node, options)
        pool, url, processes = start(way, programs, node)
        rows = tips_of(node, pool, url, options.tips)
        before = cpu_seconds(node.process.child.pid)
        time.sleep(options.waiting)
        waited = cpu_seconds(node.process.child.pid) - before
        memory, growth = measure_growth(node, processes, options)
        for process in reversed(programs.processes):
            process.stop()
        found = measure_found(programs, way)
        large = BitcoinCore(programs, *NODE_OPTIONS, name="large")
        large.mine_elsewhere(17)
        fill(large, options, large=True)
        pool, url, _ = start(way, programs, large, "large-")
        return {"rows": rows, "waiting_cpu_s": waited * 60 / options.waiting, "memory_kib": memory, "growth_kib": growth, "found": found,
                "large": tips_of(large, pool, url, options.large_tips)}


def figures_of(rounds):
    rows = [row for one in rounds for row in one["rows"]]
    whole, made = [row[1] for row in rows], [row[0] for row in rows]
    added = [row[1] - row[0] for row in rows]
    return {
        "added_p25_ms": quantile(added, 0.25), "added_p50_ms": quantile(added, 0.5), "added_p90_ms": quantile(added, 0.9),
        "tip_p50_ms": quantile(whole, 0.5), "tip_p90_ms": quantile(whole, 0.9), "made_p50_ms": quantile(made, 0.5),
        "waiting_cpu_s": statistics.median(one["waiting_cpu_s"] for one in rounds),
        "found_p50_ms": quantile([took for one in rounds for took in one["found"]], 0.5),
        "large_p50_ms": quantile([row[1] - row[0] for one in rounds for row in one["large"]], 0.5),
        "growth_kib": statistics.median(one["growth_kib"] for one in rounds),
        "memory_kib": statistics.median(one["memory_kib"] for one in rounds),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=pathlib.Path, required=True, help="where to write the figures")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tips", type=int, default=16, help="in each round")
    parser.add_argument("--waiting", type=int, default=20, help="seconds of it in each round")
    parser.add_argument("--transactions", type=int, default=3000, help="in the mempool")
    parser.add_argument("--data", type=int, default=300, help="bytes of data in each of them")
    parser.add_argument("--quick", type=int, default=200, help="tips one after another, for the memory")
    parser.add_argument("--large-tips", type=int, default=8, help="on the node with blocks of 3.7 MB")
    parser.add_argument("--only", default=",".join(WAYS), help=f"of {','.join(WAYS)}")
    options = parser.parse_args()
    if os.geteuid() == 0:
        os.nice(-10)  # All that is measured comes before whatever else this machine does.
    ways = options.only.split(",")

    rounds = {way: [] for way in ways}
    for turn in range(options.rounds):
        for way in ways:
            print(f"round {turn + 1} of {options.rounds}: {WAYS[way]} ...", file=sys.stderr, flush=True)
            rounds[way].append(measure(way, options))

    figures = {way: figures_of(rounds[way]) for way in ways}
    print(f"{options.transactions} transactions in the mempool, {options.rounds} x {options.tips} tips, "
          f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    shown = []
    for key, (what, unit, decimals) in ROWS.items():
        bars = []
        for row, way, other, most in BARS:
            if key == row and way in ways and other in ways:
                ratio = figures[way][key] / figures[other][key]
                bars.append(f"{WAYS[way]} / {WAYS[other]} {ratio:.2f}, <= {most}: {'met' if ratio <= most else 'MISSED'}")
        bar = "; ".join(bars)
        cells = [f"{figures[way][key]:.{decimals}f} {unit}" if figures[way][key] == figures[way][key] else "" for way in ways]
        shown.append((what, *cells, bar))
    table(("what", *(WAYS[way] for way in ways), "bar"), shown)
    write_json(options.json, {"figures": figures, "rounds": rounds})


if __name__ == "__main__":
    main()
