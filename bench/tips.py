"""How long a new tip takes to the miners over a link of 50 ms each way that loses packets, while shares and their answers, or a
neighbour's bulk, want the same way: the reason for lanes.

A tip counts from the moment at which the chain hands it to the pool to the moment at which the miners' end has SetNewPrevHash in
its hands, both by the machine's monotonic clock. The chain finds one every TIP_MS by itself, which is its development setting
`interval`: longer than a lost packet takes to be sent again, so that a tip meets what other traffic does to it and not its own
predecessor. What was not heard at all counts as later than anything.
"""
import json
import math
import os
import statistics
import sys
import tempfile

import tip_trace
from intervals import Sample, above, quantile
from lab import CARRIERS, DELAY_MS, Ends

LATE_MS = 60
TIP_MS = 250
# No tip of the first second counts, and none of the last two, so that a late one is still heard.
LEAD_S, TAIL_S = 1.0, 2.0
# A share and its answer are 62 and 58 bytes with Noise: so many of one connection without an answer fill 256 KiB, whatever
# buffers carriers and kernels have.
IN_FLIGHT = 256 * 1024 // 62
PACE = 0.6  # Of sv2-m's goodput.

TITLES = {"paced": f"under shares paced at {PACE:.0%} of what sv2-m gets through", "saturated": "under as many shares as get through",
          "bulk": "beside a neighbour's bulk"}
ROWS = {"p50_ms": ("p50", 1, " ms", 1), "p90_ms": ("p90", 1, " ms", 1), "p99_ms": ("p99", 1, " ms", 1),
        "late": (f"later than {LATE_MS} ms", 100, " %", 2)}
# (load, percent lost, row): the most that lanes may have of sv2-m's.
BARS = {("paced", 1, "late"): 0.3, ("saturated", 1, "p50_ms"): 0.7, ("bulk", 1, "p99_ms"): 0.5}

STATISTICS = {"p50_ms": quantile(0.5), "p90_ms": quantile(0.9), "p99_ms": quantile(0.99), "late": above(LATE_MS)}


def latencies(load, pool, connections):
    """(milliseconds, tip, connection, microsecond of its decision) of every tip that counts and every connection."""
    begun, ended = load["begun_us"], load["begun_us"] + load["seconds"] * 1e6
    heard = {prev_hash: {connection: at for connection, at in hearings} for prev_hash, hearings in load["tips"]}
    rows = []
    for tip, (prev_hash, decided) in enumerate(pool["decided"]):
        if begun + LEAD_S * 1e6 <= decided <= ended - TAIL_S * 1e6:
            known = heard.get(prev_hash, {})
            rows += [((known[c] - decided) / 1e3 if c in known else math.inf, tip, c, decided) for c in range(connections)]
    return rows


def measure(carrier, loss, options, trace_folder, *, rate=0, bulk=False, mbit=0, queue_ms=0):
    link = {"delay_ms": DELAY_MS, "loss": loss / 100, "seed": options.seed}
    if options.tip_trace and carrier == "lanes":
        link["trace"] = os.path.join(trace_folder, f"{loss}-{rate:.0f}-{bulk}")
    if mbit:
        link.update(mbit=mbit, queue_ms=queue_ms)
    ends = Ends(carrier, link, "--tip-ms", TIP_MS, "--batch", options.batch, *(["--bulk", 1] if bulk else []))
    try:
        process = ends.start(ends.far, "load", "--url", ends.url, "--bulk-port", ends.bulk_port, "--connections",
                             options.tip_connections, "--in-flight", IN_FLIGHT, "--rate", rate, "--seconds", options.tip_seconds,
                             *(["--bulk", 1] if bulk else []))
        load, pool = json.loads(ends.say(process)), json.loads(ends.say(ends.pool, "\n"))
    finally:
        counted = ends.end()
    if load["lost"]:
        print(f"{carrier}: {load['lost']} connections were lost: {load['last_loss']}", file=sys.stderr)
    rows = latencies(load, pool, options.tip_connections)
    return {"rows": rows, "trace": link.get("trace"), "load": {key: value for key, value in load.items() if key != "tips"},
            "pool": pool["connections"], "link": counted}


def add_options(parser):
    # 2,000 tips need 63 moments. More connections would find this machine's limits before the link's.
    parser.add_argument("--tip-connections", type=int, default=32, help="that hear of tips")
    parser.add_argument("--tip-seconds", type=float, default=19.2, help="of each cell of tips")
    parser.add_argument("--tip-losses", default="0,1,3", help="percent")
    parser.add_argument("--tip-loads", default="saturated,paced,bulk")
    parser.add_argument("--tip-trace", action="store_true", help="tell what the link did to late tips over lanes")
    parser.add_argument("--batch", type=int, default=1, help="shares that one answer of the pool of those cells answers")
    parser.add_argument("--mbit", type=float, default=24, help="the rate of the link with bulk on it, each way")
    parser.add_argument("--queue-ms", type=float, default=50, help="how long a packet waits there for its turn at most")
    parser.add_argument("--bulk-rate", type=float, default=640, help="shares a second beside bulk, over all connections")


def cells(options, say, trace_folder):
    """Every cell measured: {load: {loss: {carrier: cell}}}. Saturated comes first: sv2-m's goodput there is what pacing goes by."""
    measured = {"saturated": {}, "paced": {}, "bulk": {}}
    for loss in map(int, options.tip_losses.split(",")):
        settings = {"saturated": {}, "bulk": {"bulk": True, "mbit": options.mbit, "queue_ms": options.queue_ms, "rate": options.bulk_rate}}
        for load in options.tip_loads.split(","):
            if load == "paced":
                settings["paced"] = {"rate": PACE * measured["saturated"][loss]["sv2-m"]["load"]["goodput"]}
            measured[load][loss] = {}
            for carrier in CARRIERS:
                say(f"tips, {load}, {loss} % lost, {carrier}")
                measured[load][loss][carrier] = measure(carrier, loss, options, trace_folder, **settings[load])
    return measured


def shown(estimate, scale=1, unit="", decimals=1):
    low, value, high = (format(each * scale, f".{decimals}f") for each in (estimate.low, estimate.value, estimate.high))
    return f"{value}{unit} [{low}, {high}]"


def run(options, say):
    """Measures, prints the tables and the bars; returns the figures."""
    with tempfile.TemporaryDirectory() as trace_folder:
        return report(cells(options, say, trace_folder))


def report(measured):
    figures = {}
    for load, title in TITLES.items():
        for loss, by_carrier in measured[load].items():
            if not by_carrier:
                continue
            estimates = {carrier: Sample([row[:3] for row in cell["rows"]]).of(STATISTICS) for carrier, cell in by_carrier.items()}
            print(f"Tips {title}, {DELAY_MS} ms each way, {loss} % lost\n")
            print("| | " + " | ".join(by_carrier) + " | lanes / sv2-m |")
            print("|---|" + "---|" * (len(by_carrier) + 1))
            figures.setdefault(load, {})[loss] = {}
            for name, (what, scale, unit, decimals) in ROWS.items():
                ratio = estimates["lanes"][name].over(estimates["sv2-m"][name])
                cells_shown = [shown(estimates[carrier][name], scale, unit, decimals) for carrier in by_carrier]
                print(f"| {what} | {' | '.join(cells_shown)} | {shown(ratio, decimals=2)}{verdict(load, loss, name, ratio)} |")
            print_context(by_carrier, estimates)
            for carrier, cell in by_carrier.items():
                figures[load][loss][carrier] = {
                    **{name: [e.low, e.value, e.high] for name, e in estimates[carrier].items()},
                    "tips": len(cell["rows"]), "load": cell["load"], "link": cell["link"], "pool": cell["pool"]}
            print()
            lanes = by_carrier["lanes"]
            if lanes["trace"]:
                tip_trace.report(lanes["rows"], lanes["trace"], late_limit_ms(lanes, estimates["lanes"]["p50_ms"].value))
    return figures


def verdict(load, loss, name, ratio):
    bar = BARS.get((load, loss, name))
    return "" if bar is None else f" bar {bar}: {'met' if ratio.value <= bar else 'MISSED'}"


def round_trip_ms(cell):
    return statistics.median(connection["rtt_us"] for connection in cell["pool"]) / 1e3 if cell["pool"] else 0


def late_limit_ms(cell, p50_ms):
    """What took longer took a round trip more than half of them do, as a tip takes whose packet was lost."""
    return p50_ms + 0.9 * round_trip_ms(cell)


def a_round_trip_late(cell, p50_ms):
    """Percent of the tips."""
    limit = late_limit_ms(cell, p50_ms)
    return 100 * sum(value > limit for value, *_ in cell["rows"]) / max(1, len(cell["rows"]))


def print_context(by_carrier, estimates):
    """What there was to wait behind."""
    def row(what, of):
        print(f"| {what} | {' | '.join(of(cell) for cell in by_carrier.values())} | |")

    row("tips heard or waited for", lambda cell: str(len(cell["rows"])))
    row("shares answered a second", lambda cell: f"{cell['load']['goodput']:.0f}")
    row("of them stale", lambda cell: f"{100 * cell['load']['rejected'] / max(1, cell['load']['rejected'] + cell['load']['accepted']):.0f} %")
    row("answer to a share that was not, p50", lambda cell: f"{cell['load']['ack_p50_us'] / 1e3:.0f} ms")
    print("| a round trip, as the pool's carriers saw it last | "
          + " | ".join(f"{round_trip_ms(cell):.0f} ms" for cell in by_carrier.values()) + " | |")
    print("| tips later than p50 by that | "
          + " | ".join(f"{a_round_trip_late(cell, estimates[carrier]['p50_ms'].value):.1f} %" for carrier, cell in by_carrier.items())
          + " | |")
    row("packets down the link, lost of them", lambda cell: f"{cell['link']['there']['arrived']}, "
        f"{100 * (cell['link']['there']['lost'] + cell['link']['there']['overflowed']) / max(1, cell['link']['there']['arrived']):.1f} %")
    row("pool's packets thought lost", lambda cell: f"{100 * sum(c['packets_lost'] for c in cell['pool']) / max(1, sum(c['packets_sent'] for c in cell['pool'])):.1f} %")
    if any(cell["load"]["bulk_mbit"] for cell in by_carrier.values()):
        row("bulk", lambda cell: f"{cell['load']['bulk_mbit']:.1f} Mbit/s")
