#!/usr/bin/env python3
"""How long a new tip takes from Bitcoin Core to a miner, by each way that work comes: our pool by IPC and by JSON-RPC's long poll, and
SRI's pool by IPC, by turns, each on a node of its own with more in its mempool than a block holds.

The node's own log has the moment of a tip and the moment at which its template was ready; `adit load` has the moment at which
SetNewPrevHash was with a miner. All three are the clock of one machine. The tips are blocks without transactions, so that the
mempool stays as it is. Then nobody does anything, and what the node's process computes is what waiting for fees costs it.
"""
import argparse
import bisect
import datetime
import json
import os
import pathlib
import re
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "interop"))
from adit import Pool, ipc_source, rpc_source  # noqa: E402
from bitcoin_core import SOMEBODY_ELSE, BitcoinCore  # noqa: E402
from pool_bench import load  # noqa: E402
from processes import Programs  # noqa: E402
from sri import SriPool  # noqa: E402
from transactions import Coins  # noqa: E402

WAYS = {"ipc": "ours by IPC", "rpc": "ours by JSON-RPC", "sri": "SRI's by IPC"}
SECONDS_BETWEEN_TIPS = 1.5
# A job for fees may come that late after a template; whoever waits then has the node look at fees every second.
MIN_INTERVAL = 5

# key: (what, unit, decimals)
ROWS = {
    "added_p25_ms": ("template ready at the node to SetNewPrevHash at a miner, p25", "ms", 2),
    "added_p50_ms": ("the same, p50", "ms", 2),
    "added_p90_ms": ("the same, p90", "ms", 2),
    "tip_p50_ms": ("tip at the node to SetNewPrevHash at a miner, p50", "ms", 2),
    "tip_p90_ms": ("the same, p90", "ms", 2),
    "made_p50_ms": ("of that, until the node has made the template", "ms", 2),
    "waiting_cpu_s": ("CPU of the node in a minute of waiting", "s", 2),
    "memory_kib": ("memory of the pool at the end", "KiB", 0),
}
BAR = ("added_p50_ms", "ipc", "sri", 0.5)

LINE = re.compile(r"^(\S+Z) (?:\[\S+\] )*(UpdateTip: new best=([0-9a-f]{64})|CreateNewBlock\(\) )", re.M)


def quantile(values, fraction):
    return sorted(values)[round(fraction * (len(values) - 1))]


def logged(node):
    """Milliseconds of each tip by its hash, and of every template that was made, by the node's log."""
    tips, templates = {}, []
    for stamp, _, tip in LINE.findall(node.process.text()):
        at = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() * 1e3
        if tip:
            tips[tip] = at
        else:
            templates.append(at)
    return tips, templates


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))


def start(way, programs, node):
    if way == "sri":
        pool = SriPool(programs, node, programs.folder / "sri.key", log="warn")
        return pool, pool.url
    source = rpc_source(node) if way == "rpc" else ipc_source(node, fee_threshold=100, min_interval=MIN_INTERVAL)
    pool = Pool(programs, source)
    return pool, pool.url("tcp")


def measure_tips(node, pool, url, options):
    """Milliseconds from a tip to its template, and to the first miner that hears of it."""
    asked = []

    def mine():
        for _ in range(options.tips + 20):
            if stop.wait(SECONDS_BETWEEN_TIPS):
                return
            asked.append(node.call("generateblock", SOMEBODY_ELSE, [])["hash"])

    stop = threading.Event()
    miner = threading.Thread(target=mine)
    miner.start()
    try:
        heard = load(url, pool.process.child.pid, 1, round(SECONDS_BETWEEN_TIPS * (options.tips + 1)))["tips"]
    finally:
        stop.set()
        miner.join()
    tips, templates = logged(node)
    at_node = sorted(tips[block] for block in asked)
    rows = []
    for tip in heard:
        before = bisect.bisect(at_node, tip["first_unix_ms"]) - 1
        if before < 0:
            continue
        # Of the node's templates the first one on the new tip is what all were waiting for.
        made = templates[bisect.bisect(templates, at_node[before])]
        rows.append((made - at_node[before], tip["first_unix_ms"] - at_node[before]))
    if len(rows) < options.tips - 2:
        raise AssertionError(f"of {len(asked)} tips {len(rows)} were heard: {heard}")
    return rows


def measure(way, options):
    programs = Programs()
    programs.begin()
    try:
        node = BitcoinCore(programs, "-debug=bench", "-logtimemicros")
        node.mine_elsewhere(1)
        coins = Coins(node, options.transactions)
        for fee in (3_000, 5_000, 9_000):
            coins.send(options.transactions // 3, fee, size=options.data)
        pool, url = start(way, programs, node)
        rows = measure_tips(node, pool, url, options)
        before = cpu_seconds(node.process.child.pid)
        time.sleep(options.waiting)
        waited = cpu_seconds(node.process.child.pid) - before
        return {"rows": rows, "waiting_cpu_s": waited * 60 / options.waiting, "memory_kib": memory_kib(pool.process.child.pid)}
    except AssertionError:
        programs.show_logs()
        raise
    finally:
        programs.end()
        programs.remove()


def figures_of(rounds):
    rows = [row for one in rounds for row in one["rows"]]
    whole, made = [row[1] for row in rows], [row[0] for row in rows]
    added = [row[1] - row[0] for row in rows]
    return {
        "added_p25_ms": quantile(added, 0.25), "added_p50_ms": quantile(added, 0.5), "added_p90_ms": quantile(added, 0.9),
        "tip_p50_ms": quantile(whole, 0.5), "tip_p90_ms": quantile(whole, 0.9), "made_p50_ms": quantile(made, 0.5),
        "waiting_cpu_s": statistics.median(one["waiting_cpu_s"] for one in rounds),
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
    print("| what | " + " | ".join(WAYS[way] for way in ways) + " | bar |")
    print("|---|" + "---|" * (len(ways) + 1))
    for key, (what, unit, decimals) in ROWS.items():
        bar = ""
        if key == BAR[0] and BAR[1] in ways and BAR[2] in ways:
            ratio = figures[BAR[1]][key] / figures[BAR[2]][key]
            bar = f"ours / SRI's by IPC {ratio:.2f}, <= {BAR[3]}: {'met' if ratio <= BAR[3] else 'MISSED'}"
        print(f"| {what} | " + " | ".join(f"{figures[way][key]:.{decimals}f} {unit}" for way in ways) + f" | {bar} |")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"figures": figures, "rounds": rounds}, indent=2) + "\n")


if __name__ == "__main__":
    main()
