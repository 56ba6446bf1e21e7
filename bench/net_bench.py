#!/usr/bin/env python3
"""The same pool under the same load over TCP with Noise, over iroh by one stream (`sv2-m`, Noise inside) and over iroh by lanes,
whose sessions share one connection, by turns, between network namespaces: over a plain link, then over one of 50 ms each way with
loss, then through an outage. And the bridge beside pure Rust.

Everything is measured from outside: the pool's CPU clock and resident set, the interfaces' counters, the load's own clock. What is
told is the median of the rounds, and the ratios. As root: it makes the namespaces, and removes them.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "interop"), str(ROOT / "tests" / "netlab")]
import sessions  # noqa: E402
import tips  # noqa: E402
from figures import table, write_json  # noqa: E402
from lab import CARRIERS, DELAY_MS, Lab  # noqa: E402
from mining import LabRole, moment  # noqa: E402

PARTS = ("bridge", "plain", "sessions", "loss", "outage", "tips")
OUTAGE_S = 5
IN_FLIGHT = 1024  # Of each connection of the flood on a long link: 32 would be all that a round trip of 100 ms lets through.

# key: (what, unit, decimals)
ROWS = {
    "ack_p50_us": ("answer to a paced share, p50", "us", 0),
    "ack_p99_us": ("answer to a paced share, p99", "us", 0),
    "paced_cpu_us": ("the pool's CPU of a paced share", "us", 1),
    "wire_bytes": ("bytes of a paced share and its answer on the wire, both ways", "B", 0),
    "shares_per_second": ("shares a second, flood", "/s", 0),
    "flood_cpu_us": ("the pool's CPU of a share, flood", "us", 2),
    "opened_per_second": ("connections a second, opened at once", "/s", 0),
    "open_cpu_us": ("the pool's CPU of a connection: handshakes, channel, first job", "us", 0),
}
LINK_ROWS = {
    "ack_p50_us": ("answer to a paced share, p50", "us", 0),
    "ack_p99_us": ("answer to a paced share, p99", "us", 0),
    "shares_per_second": ("shares a second, flood", "/s", 0),
}


def on_a_plain_link(carrier, options):
    with Lab() as lab:
        url = lab.start_pool(carrier)
        opened = lab.load(url, options.connections, 1)["open"]
        idle_before = lab.wire_bytes()
        lab.load(url, options.flows, options.seconds)
        idle = lab.wire_bytes() - idle_before  # Opening, keep-alives and jobs, without a share.
        before = lab.wire_bytes()
        paced = lab.load(url, options.flows, options.seconds, "--rate", options.rate)["shares"]
        bytes_of_shares = lab.wire_bytes() - before - idle
        flood = lab.load(url, options.flows, options.seconds, "--flood")["shares"]
    return {
        "ack_p50_us": paced["ack_p50_us"], "ack_p99_us": paced["ack_p99_us"], "paced_cpu_us": paced["pool_cpu_us"],
        "wire_bytes": bytes_of_shares / paced["accepted"],
        "shares_per_second": flood["per_second"], "flood_cpu_us": flood["pool_cpu_us"],
        "opened_per_second": options.connections / opened["seconds"],
        "open_cpu_us": opened["pool_cpu_us_per_connection"],
    }


def on_a_long_link(carrier, loss, options):
    with Lab({"delay_ms": DELAY_MS, "loss": loss, "seed": options.seed}) as lab:
        url = lab.start_pool(carrier)
        paced = lab.load(url, options.flows, options.seconds, "--rate", options.rate)["shares"]
        flood = lab.load(url, options.flows, options.seconds, "--flood", "--in-flight", IN_FLIGHT)["shares"]
    return {"ack_p50_us": paced["ack_p50_us"], "ack_p99_us": paced["ack_p99_us"], "shares_per_second": flood["per_second"]}


def through_an_outage(carrier, options):
    """Seconds from the link's return to the first share that is accepted again; a miner with some ten shares a second."""
    with Lab({"delay_ms": DELAY_MS, "seed": options.seed}) as lab:
        miner = LabRole(lab, lab.far, "miner", lab.start_pool(carrier), "--nominal-hash-rate", "100000")
        lab.wait_until("shares are accepted", lambda: len(miner.events("miner.share_accepted")) > 10, 120)
        lab.link.cut()
        time.sleep(OUTAGE_S)
        mended = time.time()
        lab.link.mend()
        after = lambda: next((moment(e) for e in miner.events("miner.share_accepted") if moment(e) > mended), None)
        return lab.wait_until("shares are accepted again", after, 180) - mended


def median_of(rounds):
    return {key: statistics.median(row[key] for row in rounds if row[key] is not None) for key in rounds[0]}


def carriers_table(rows, measured):
    shown = []
    for key, (what, unit, decimals) in rows.items():
        tcp, iroh, lanes = values = [measured[carrier][key] for carrier in CARRIERS]
        cells = [f"{value:.{decimals}f} {unit}" for value in values]
        cells += [format(value / base if base else float("nan"), ".2f") for value, base in ((iroh, tcp), (lanes, iroh))]
        shown.append((what, *cells))
    table(("what", "TCP", "sv2-m", "lanes", "sv2-m / TCP", "lanes / sv2-m"), shown)
    print()


def by_turns(rounds, what, measure, say):
    taken = {carrier: [] for carrier in CARRIERS}
    for turn in range(rounds):
        for carrier in CARRIERS:
            say(f"{what}, {carrier}, round {turn + 1} of {rounds}")
            taken[carrier].append(measure(carrier))
    return {carrier: median_of(rows) for carrier, rows in taken.items()}


def bridge(options):
    ran = subprocess.run([options.echo, "--json"], stdout=subprocess.PIPE, text=True, timeout=900, check=True)
    figures = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    table(("bridge", "measured", "over pure Rust"),
          [(row["key"], f"{row['value']:.1f} {row['unit']}", "" if row["ratio"] is None else format(row["ratio"], ".2f")) for row in figures])
    print()
    return figures


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=pathlib.Path, required=True, help="where to write the figures")
    parser.add_argument("--echo", type=pathlib.Path, help="the program that measures the bridge beside pure Rust")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, of {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement of shares")
    parser.add_argument("--connections", type=int, default=100, help="that are opened at once (iroh's: from one endpoint)")
    # A channel takes 65,536 shares of one job: 32 channels were full before a flood over lanes was over.
    parser.add_argument("--flows", type=int, default=128, help="connections that submit shares")
    parser.add_argument("--rate", type=int, default=200, help="paced shares a second over all of those")
    parser.add_argument("--seed", type=int, default=1, help="of the link's losses")
    tips.add_options(parser)
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if options.echo is None and "bridge" in options.only:
        options.only.remove("bridge")
    return options


def main():
    options = parse_options()
    os.nice(-20)  # All that is started here goes before whatever else this machine does.
    begun = time.monotonic()

    def say(what):
        print(f"{time.monotonic() - begun:4.0f} s: {what} ...", file=sys.stderr, flush=True)

    print(f"Medians of {options.rounds} rounds; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the start.\n")
    figures = {}
    turns = lambda what, measure: by_turns(options.rounds, what, measure, say)
    if "bridge" in options.only:
        say("the bridge beside pure Rust")
        figures["bridge"] = bridge(options)
    if "plain" in options.only:
        figures["plain"] = turns("plain link", lambda carrier: on_a_plain_link(carrier, options))
        print(f"A plain link: {options.flows} connections with {options.rate} shares/s; {options.connections} opened at once\n")
        carriers_table(ROWS, figures["plain"])
    if "sessions" in options.only:
        figures["sessions"] = turns("sessions", lambda carrier: sessions.measure(carrier, options))
        print("Connections and sessions\n")
        carriers_table(sessions.ROWS, figures["sessions"])
    for percent in (0, 1, 3) if "loss" in options.only else ():
        where = f"{DELAY_MS} ms each way, {percent} % lost"
        figures[f"loss_{percent}"] = turns(where, lambda carrier: on_a_long_link(carrier, percent / 100, options))
        print(f"{where}\n")
        carriers_table(LINK_ROWS, figures[f"loss_{percent}"])
    if "outage" in options.only:
        figures["outage"] = turns("outage", lambda carrier: {"back_s": through_an_outage(carrier, options)})
        print(f"After {OUTAGE_S} s of outage\n")
        carriers_table({"back_s": ("from the link's return to the next accepted share", "s", 2)}, figures["outage"])
    if "tips" in options.only:
        figures["tips"] = tips.run(options, say)
    print(f"{time.monotonic() - begun:.0f} s; load average {os.getloadavg()[0]:.1f} at the end.")
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
