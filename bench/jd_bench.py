#!/usr/bin/env python3
"""Job declaration beside SRI's, on a Bitcoin Core of its own, by turns.

`declare`: one client declares blocks of many transactions, all of which the declarator knows, or all but one in a hundred: what that
takes until Success, and what it costs the declarator's process in CPU beyond what it does when nobody declares. `crowd`: many clients
declare at one tip; the last Success, beside the CPU of the node's process for it, which checks one block after the other; and the
declarator's memory for each. Clients of both are bench/declaring.cpp.

`tips`: whole programs: a jd-client on its node with a pool and declarator on the same node, over a link of the kernel's own TCP in
network namespaces (as root): from the node's tip, by its log, to SetCustomMiningJob.Success at the client, by the client's log.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "interop"), str(ROOT / "tests" / "netlab")]
from adit import ADIT, JdClient, Pool, ipc_source  # noqa: E402
from bitcoin_core import SOMEBODY_ELSE, BitcoinCore  # noqa: E402
from figures import memory_kib, quantile, table, write_json  # noqa: E402
from link import Link  # noqa: E402
from processes import Programs, free_port  # noqa: E402
from sri import SriJdClient, SriPool, sri_ipc_source  # noqa: E402
from tips import logged, milliseconds  # noqa: E402
from topology import Internet  # noqa: E402
from transactions import Coins, pay_to, spend  # noqa: E402

DECLARING = os.environ.get("ADIT_DECLARING", "declaring")
WHOSE = {"adit": "ours", "sri": "SRI's"}
PARTS = ("declare", "crowd", "tips")
ROUND_TRIPS_MS = (0, 150)
FEE = 2_000
SETTLE = 3  # Seconds in which a declarator hears of the node's newest template, before it is declared to.
ANSI = re.compile(r"\x1b\[[0-9;]*m")

# key: (what, unit, decimals)
ROWS = {
    "known_ms": ("declaration of {transactions} transactions, all known, to Success, p50", "ms", 1),
    "known_p90_ms": ("the same, p90", "ms", 1),
    "known_cpu_ms": ("CPU at the declarator for one", "ms", 1),
    "known_node_ms": ("CPU at the node for one", "ms", 1),
    "idle_cpu_ms": ("its CPU in a second in which nobody declares, which is not counted above", "ms", 1),
    "missing_ms": ("declaration with 1 % missing to Success, p50", "ms", 1),
    "missing_cpu_ms": ("CPU at the declarator for one", "ms", 1),
    "crowd_last_ms": ("{clients} clients at one tip: the last Success, p50 of the tips", "ms", 0),
    "crowd_node_ms": ("CPU of the node for these checks", "ms", 0),
    "crowd_refused": ("of these declarations refused", "%", 1),
    "connected_kib": ("memory of the declarator for each client that is connected", "KiB", 0),
    "declared_kib": ("the same once each has declared a block at {tips} tips", "KiB", 0),
    "tip_0_ms": ("tip at the node to SetCustomMiningJob.Success at the client, no delay, p50", "ms", 0),
    "tip_150_ms": ("the same at a round trip of 150 ms, p50", "ms", 0),
}
# (key, most, of what): ours may be so many times what SRI's is, or the other key of ours; None: that many of the unit.
BARS = [("known_cpu_ms", 0.25, "sri"), ("missing_cpu_ms", 0.25, "sri"), ("crowd_last_ms", 1.3, "crowd_node_ms"), ("tip_150_ms", 300, None)]


def cpu_ms(process):
    """What the threads of a process have computed."""
    total = 0
    for thread in pathlib.Path(f"/proc/{process.child.pid}/task").iterdir():
        try:
            total += int((thread / "schedstat").read_text().split()[0])
        except OSError:
            pass  # It has just ended.
    return total / 1e6


class Declarator:
    """A node with many transactions in its mempool, and a pool with a declarator on it."""

    def __init__(self, programs, whose, transactions, spare):
        self.programs = programs
        self.node = BitcoinCore(programs, "-logtimemicros")
        self.coins = Coins(self.node, transactions + spare)
        self.coins.send(transactions, FEE)
        if whose == "adit":
            port = free_port()
            pool = Pool(programs, f'{ipc_source(self.node, min_interval=5)}\n[jds]\nlisten_address = "127.0.0.1:{port}"\n')
            pool.url("tcp")
            self.url = f"stratum2+tcp://127.0.0.1:{port}/{pool.authority.strip()}"
        else:
            pool = SriPool(programs, self.node, programs.folder / "sri.key", jds=True, log="warn")
            port = pool.jds_port
            self.url = pool.jds_url
        programs.wait_until("the declarator listens", lambda: programs.listens(port), 120)
        self.process = pool.process
        time.sleep(SETTLE)

    def clients(self, count):
        return Clients(self.url, count)

    def block(self, fresh=0):
        """A file with the node's template as it is to be declared, its last transactions replaced by as many that nobody has seen."""
        template = self.node.call("getblocktemplate", {"rules": ["segwit"]})
        kept = template["transactions"][:len(template["transactions"]) - fresh]
        fees = sum(one["fee"] for one in template["transactions"])
        raws = [one["data"] for one in kept]
        for _ in range(fresh):
            txid, index, value = self.coins.coins.pop()
            raws.append(spend(txid, index, [(value - FEE, pay_to(self.coins.script))], self.coins.script)[0])
        value = template["coinbasevalue"] - fees + sum(one["fee"] for one in kept)
        path = self.programs.folder / "block.txt"
        path.write_text("\n".join([f"{template['height']} {value}", *raws]) + "\n")
        return path, len(raws)

    def new_tip(self):
        self.node.call("generateblock", SOMEBODY_ELSE, [])
        time.sleep(SETTLE)


class Clients:
    """Those of declaring.cpp, until the `with` is left."""

    def __init__(self, url, count):
        self.process = subprocess.Popen([DECLARING, "--url", url, "--clients", str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        try:
            self.read()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the declaring clients ended without a word")
        return json.loads(line)

    def declare(self, path):
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        return self.read()


def idle_rate(processes, seconds=5):
    """CPU milliseconds a second while nobody declares."""
    before = [cpu_ms(process) for process in processes]
    time.sleep(seconds)
    return [(cpu_ms(process) - was) / seconds for process, was in zip(processes, before)]


def measure_declare(programs, whose, options):
    rounds = options.rounds
    fresh = max(1, options.transactions // 100)
    at = Declarator(programs, whose, options.transactions, (rounds + 2) * fresh)
    watched = [at.process, at.node.process]
    figures = {}
    with at.clients(1) as clients:
        for name, missing in (("known", 0), ("missing", fresh)):
            def declare():
                path, count = at.block(missing)
                before, begun = [cpu_ms(process) for process in watched], time.monotonic()
                came = clients.declare(path)
                # What is left of it to do when the answer is out is part of its cost.
                time.sleep(0.3)
                took = time.monotonic() - begun
                if came["refused"] or count != options.transactions:
                    raise AssertionError(f"a block of {count} transactions was refused: {came}")
                if came["sent"] != missing:
                    raise AssertionError(f"{missing} transactions were new to the declarator, and it asked for {came['sent']}")
                spent = [cpu_ms(process) - was - idle * took for process, was, idle in zip(watched, before, rates)]
                return came["ms"][0], *spent
            rates = idle_rate(watched)
            figures["idle_cpu_ms"] = rates[0]
            for _ in range(2):
                path, _ = at.block(missing)
                clients.declare(path)
            each = [declare() for _ in range(rounds)]
            figures[f"{name}_ms"] = quantile([one[0] for one in each], 0.5)
            figures[f"{name}_p90_ms"] = quantile([one[0] for one in each], 0.9)
            figures[f"{name}_cpu_ms"] = statistics.mean(one[1] for one in each)
            figures[f"{name}_node_ms"] = statistics.mean(one[2] for one in each)
    return figures


def measure_crowd(programs, whose, options):
    at = Declarator(programs, whose, options.transactions, 1)
    before = memory_kib(at.process)
    last, node, refused = [], [], 0
    with at.clients(options.clients) as clients:
        time.sleep(1)
        connected = memory_kib(at.process)
        for _ in range(options.tips):
            at.new_tip()
            path, _ = at.block()
            (rate,) = idle_rate([at.node.process], 2)
            spent, begun = cpu_ms(at.node.process), time.monotonic()
            came = clients.declare(path)
            last.append(max(came["ms"], default=float("nan")))
            node.append(cpu_ms(at.node.process) - spent - rate * (time.monotonic() - begun))
            refused += len(came["refused"])
        declared = memory_kib(at.process)
    return {"crowd_last_ms": quantile(last, 0.5), "crowd_node_ms": quantile(node, 0.5), "crowd_refused": 100 * refused / (options.tips * options.clients),
            "connected_kib": (connected - before) / options.clients, "declared_kib": (declared - before) / options.clients}


def ours_acknowledged(client):
    """Moments at which a job was acknowledged, by the client's log."""
    return [milliseconds(event["ts"]) for event in client.events("jd_client.job_acknowledged")]


def sris_acknowledged(client):
    """The same."""
    return [milliseconds(stamp) for stamp in re.findall(r"^(\S+Z) .*SetCustomMiningJobSuccess", ANSI.sub("", client.process.text()), re.M)]


def measure_tip(programs, whose, options, round_trip_ms):
    internet = Internet()
    link = None
    try:
        near, far = internet.alone("pool"), internet.alone("client")
        link = Link(near, far, delay_ms=round_trip_ms / 2)
        address = link.addresses[0]
        node = BitcoinCore(programs, "-logtimemicros")
        coins = Coins(node, options.transactions)
        coins.send(options.transactions, FEE)
        if whose == "adit":
            port = free_port()
            pool = Pool(programs, f'{ipc_source(node, min_interval=5)}\n[jds]\nlisten_address = "{address}:{port}"\n', address=address, prefix=near.prefix)
            url = pool.url("tcp")
            jds = f"stratum2+tcp://{address}:{port}/{pool.authority.strip()}"
            client = JdClient(programs, ipc_source(node, min_interval=5), [(url, jds, "farm")], prefix=far.prefix, options=("--log-level", "debug"))
            read = ours_acknowledged
        else:
            pool = SriPool(programs, node, programs.folder / "sri.key", jds=True, address=address, prefix=near.prefix)
            upstream = {"pool": (address, pool.port), "jds": (address, pool.jds_port), "authority": pool.authority}
            client = SriJdClient(programs, sri_ipc_source(node), upstream, prefix=far.prefix, log="debug")
            read = sris_acknowledged
            # It opens its channel with the pool when its first miner does.
            programs.wait_until("SRI's jd-client has a template", lambda: "ready to accept connections" in client.process.text(), 120)
        url = client.url() if whose == "adit" else client.url
        programs.run_process("miner", *far.prefix, ADIT, "--log-level", "warn", "load", url, "--pid", client.process.child.pid, "--connections", "1",
                             "--for", "600s")  # It only listens.
        programs.wait_until("a job is acknowledged", lambda: read(client), 120)
        time.sleep(SETTLE)
        asked = []
        for _ in range(options.tips):
            asked.append(node.call("generateblock", SOMEBODY_ELSE, [])["hash"])
            time.sleep(SETTLE)
        tips, _ = logged(node)
        heard = sorted(read(client))
        took = []
        for tip in sorted(tips[block] for block in asked):
            after = [moment - tip for moment in heard if 0 <= moment - tip < SETTLE * 1e3]
            if after:
                took.append(after[0])
        if len(took) < len(asked) - 2:
            raise AssertionError(f"of {len(asked)} tips {len(took)} led to a job that was acknowledged")
        return {f"tip_{round_trip_ms}_ms": quantile(took, 0.5)}
    finally:
        programs.end()
        if link:
            link.kill()
        internet.remove()


def run_alone(what, *arguments):
    with Programs() as programs:
        return what(programs, *arguments)


def bar_of(key, figures):
    for row, most, of in BARS:
        if row != key or key not in figures.get("adit", {}):
            continue
        ours = figures["adit"][key]
        if of is None:
            return f"<= {most}: {'met' if ours <= most else 'MISSED'}"
        other = figures.get("sri", {}).get(key) if of == "sri" else figures["adit"].get(of)
        if other:
            name = "SRI's" if of == "sri" else "the node's"
            return f"ours / {name} {ours / other:.2f}, <= {most}: {'met' if ours <= most * other else 'MISSED'}"
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=pathlib.Path, required=True, help="where to write the figures")
    parser.add_argument("--transactions", type=int, default=5_000, help="of a declared block")
    parser.add_argument("--rounds", type=int, default=20, help="declarations of each kind")
    parser.add_argument("--clients", type=int, default=100, help="that declare at one tip")
    parser.add_argument("--tips", type=int, default=8)
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {','.join(PARTS)}; tips needs root")
    parser.add_argument("--whose", default=",".join(WHOSE), help=f"of {','.join(WHOSE)}")
    options = parser.parse_args()
    if os.geteuid() == 0:
        os.nice(-10)  # All that is measured comes before whatever else this machine does.
    figures = {whose: {} for whose in options.whose.split(",")}
    for part in options.only.split(","):
        for whose, found in figures.items():
            print(f"{part}: {WHOSE[whose]} ...", file=sys.stderr, flush=True)
            if part == "declare":
                found.update(run_alone(measure_declare, whose, options))
            elif part == "crowd":
                found.update(run_alone(measure_crowd, whose, options))
            else:
                for round_trip in ROUND_TRIPS_MS:
                    found.update(run_alone(measure_tip, whose, options, round_trip))
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    shown = []
    for key, (what, unit, decimals) in ROWS.items():
        if not any(key in found for found in figures.values()):
            continue
        cells = [f"{found[key]:.{decimals}f} {unit}" if key in found else "" for found in figures.values()]
        shown.append((what.format(**vars(options)), *cells, bar_of(key, figures)))
    table(("what", *(WHOSE[whose] for whose in figures), "bar"), shown)
    write_json(options.json, {"figures": figures, "options": {k: str(v) for k, v in vars(options).items()}})


if __name__ == "__main__":
    main()
