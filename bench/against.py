#!/usr/bin/env python3
"""Puts the benchmarks of another revision and of this one beside each other; prints two tables, writes JSON.

Times: each program runs in the order old, new, new, old (ABBA), again and again. One such block gives one ratio a row, the new
runs' sum over the old ones', from which a machine that slows down steadily falls out. Printed are the median of the ratios and
how far they spread; a row is called slower or faster only where nine blocks of ten agree and the median is off by over 1 %.
Where a row has a floor or a peer in its own program, the ratio to that is compared too: it is steadier than the time.

Instructions: where one thread does the work the program runs once under valgrind's callgrind, which counts instructions and is
not disturbed by what else the machine does. Counted are each piece of work that the program times (bench/timing.h), the whole
program, and the functions whose count changed. Valgrind's processor may lack the SHA instructions, so hashing then counts by
another path than the one that the times are of. Handshakes draw random keys: their counts differ by some percent from run to
run, all others by nothing.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

from figures import quantile, table, write_json
from report import PROGRAMS, ROWS, number

ONE_THREAD = ["share_bench", "noise_bench", "sri_bench"]
CALLGRIND_ROUNDS = "11"  # Of programs that read $ADIT_BENCH_ROUNDS.
FEW_BLOCKS = 5  # With fewer nothing is called slower or faster.
SAME_TIME = 0.01  # Where the code lies in memory changes as much.
SAME_INSTRUCTIONS = 0.002  # A smaller share of change is not shown.
SHOWN_OF_PROGRAM = 0.002  # A function that makes up less of the program's instructions is not shown.


def cpu_ticks():
    """(all, stolen) since boot: stolen is what a hypervisor gave to others."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return sum(fields[:8]), fields[7]


def machine():
    model = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return {"cpu": model[1] if model else platform.processor(), "cores": os.cpu_count(), "kernel": platform.release()}


def run(program, env=None):
    done = subprocess.run([program, "--json"], stdout=subprocess.PIPE, text=True, timeout=1800, env=env)
    if done.returncode != 0:
        sys.exit(f"{program} failed ({done.returncode})")
    return {row["key"]: row for row in map(json.loads, (line for line in done.stdout.splitlines() if line.startswith("{")))}


def spread(ratios):
    return {"median": statistics.median(ratios), "p10": quantile(ratios, 0.1), "p90": quantile(ratios, 0.9),
            "min": min(ratios), "max": max(ratios), "each": ratios}


def compare_times(old, new, programs, times):
    """{key: {"unit", "old": [...], "new": [...], "ratio": spread, "beside": spread of the ratios to the floor}}"""
    rows = {}
    for name in programs:
        runs = {old: [], new: []}
        for block in range(times):
            print(f"\r{name}: block {block + 1} of {times} ", end="", file=sys.stderr, flush=True)
            for folder in (old, new, new, old):
                runs[folder].append(run(folder / name))
        print(file=sys.stderr)
        for key, first in runs[new][0].items():
            if any(key not in made for made in runs[old] + runs[new]):
                continue
            row = {"program": name, "unit": first["unit"]}
            for field, result in (("value", "ratio"), ("ratio", "beside")):
                was, now = ([made[key][field] for made in runs[folder]] for folder in (old, new))
                if field == "value":
                    row |= {"old": was, "new": now}
                if None in was + now:
                    continue
                pairs = [(was[i] + was[i + 1], now[i] + now[i + 1]) for i in range(0, len(was), 2)]
                if all(before > 0 for before, _ in pairs):
                    row[result] = spread([after / before for before, after in pairs])
            rows[key] = row
    return rows


def verdict(key, compared):
    if len(compared["each"]) < FEW_BLOCKS:
        return ""
    more_is_better = len((ROWS.get(key, (None, None, None))[2] or ())) == 3
    if compared["p10"] > 1 and compared["median"] > 1 + SAME_TIME:
        return "faster" if more_is_better else "slower"
    if compared["p90"] < 1 and compared["median"] < 1 - SAME_TIME:
        return "slower" if more_is_better else "faster"
    return "same"


def shown(compared):
    return f"{compared['median']:.3f} ({compared['p10']:.3f}-{compared['p90']:.3f})" if compared else ""


def print_times(rows, names):
    lines = []
    for key, row in rows.items():
        title = ROWS.get(key, (key,))[0]
        was, now = (f"{number(statistics.median(row[which]))} {row['unit']}".rstrip() for which in ("old", "new"))
        if "ratio" in row:
            said = verdict(key, row["ratio"])
        else:  # The old value is 0: that of allocations.
            said = "same" if statistics.median(row["old"]) == statistics.median(row["new"]) else "CHANGED"
        lines.append((f"{key}: {title}", was, now, shown(row.get("ratio")), shown(row.get("beside")), said))
    table(("what", *names, "new / old, median (10 % - 90 %)", "the same of the ratio to its floor or peer", ""), lines)


def count_instructions(program, log):
    """What callgrind counted: (all, {function: [calls, instructions with those of what it calls]})"""
    # Valgrind of Debian 12 cannot read the debugging information that clang-19 writes; the names of functions are enough.
    bare = log.with_suffix(".program")
    subprocess.run(["strip", "--strip-debug", "-o", bare, program], check=True)
    env = dict(os.environ, ADIT_BENCH_ROUNDS=CALLGRIND_ROUNDS)
    command = ["valgrind", "--tool=callgrind", "--quiet", "--demangle=no", f"--callgrind-out-file={log}", bare, "--json"]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env)
    bare.unlink()
    if done.returncode != 0:
        sys.exit(f"callgrind on {program} failed ({done.returncode}):\n{done.stderr[-2000:]}")
    total, functions = parse_callgrind(log.read_text())
    # Valgrind's own demangler knows no constrained templates.
    plain = subprocess.run(["llvm-cxxfilt-19"], input="\n".join(functions), stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    merged = {}
    for name, (calls, cost) in zip(plain, functions.values()):
        both = merged.setdefault(name, [0, 0])
        both[0] += calls
        both[1] += cost
    return total, merged


def parse_callgrind(text):
    names, functions, total, current, called = {}, {}, 0, None, None

    def named(reference):
        number, _, name = reference.partition(" ")
        if name:
            names[number] = name.split("'")[0]  # 'N marks a level of recursion.
        return names[number]

    for line in text.splitlines():
        if line.startswith("fn="):
            current = functions.setdefault(named(line[3:]), [0, 0])
        elif line.startswith("cfn="):
            called = functions.setdefault(named(line[4:]), [0, 0])
        elif line.startswith("calls="):
            called[0] += int(line[6:].split()[0])
        elif line.startswith(("totals:", "summary:")):
            total = int(line.split()[1])
        elif line and line[0] in "0123456789+-*":
            # The cost of a line of `current`, or, right after calls=, of everything that those calls did.
            current[1] += int(line.split()[1])
    return total, functions


def site(name):
    """The piece of work that is timed under that name, or None: its lambda."""
    found = re.match(r"double adit::bench::timed<(.*)>\(int, ", name)
    return found and found[1].replace("(anonymous namespace)::", "").replace("adit::", "").rstrip("&")


def without_arguments(name):
    return name.replace("(anonymous namespace)::", "").partition("(")[0]


def compare_instructions(old, new, programs, work):
    """{program: {"all": [old, new], "timed": {site: [old, new] a call}, "functions": {name: [old, new] a call}}}"""
    compared = {}
    work.mkdir(parents=True, exist_ok=True)
    for name in programs:
        print(f"callgrind: {name} ...", file=sys.stderr, flush=True)
        (was_all, was), (now_all, now) = (count_instructions(folder / name, work / f"{name}.{which}") for which, folder in (("old", old), ("new", new)))
        a_call = {function: [count[function][1] / count[function][0] for count in (was, now)]
                  for function in was.keys() & now.keys() if was[function][0] and now[function][0]}
        changed = {function: pair for function, pair in a_call.items()
                   if not site(function) and "adit::" in without_arguments(function) and abs(pair[1] / max(pair[0], 1) - 1) > SAME_INSTRUCTIONS
                   and max(was[function][1] / was_all, now[function][1] / now_all) > SHOWN_OF_PROGRAM}
        # Of an older revision a program may not know $ADIT_BENCH_ROUNDS: it did more, and what it did in all says nothing.
        as_often = all(was[function][0] == now[function][0] for function in was.keys() & now.keys() if site(function))
        compared[name] = {"all": [was_all, now_all] if as_often else None, "timed": {site(f): pair for f, pair in a_call.items() if site(f)}, "functions": changed}
    return compared


def print_instructions(compared, names):
    shown = []
    for name, counted in compared.items():
        lines = [(f"{name}: the whole program", counted["all"])] if counted["all"] else []
        lines += [(f"{name}: one run of `{what}`", pair) for what, pair in sorted(counted["timed"].items())]
        lines += [(f"{name}: changed: `{without_arguments(what)}`", pair) for what, pair in sorted(counted["functions"].items(), key=lambda item: -item[1][1])]
        shown += [(what, f"{was:,.0f}", f"{now:,.0f}", f"{now / was:.4f}") for what, (was, now) in lines]
    print()
    table(("instructions, counted by callgrind", *names, "new / old"), shown)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench --against REV", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=pathlib.Path, required=True, help=argparse.SUPPRESS)  # Where the programs were built.
    parser.add_argument("--new", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--names", nargs=2, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--times", type=int, default=10, help="ABBA blocks of each program (10)")
    parser.add_argument("--only", help=f"run just these programs, with commas between: {', '.join(PROGRAMS)}")
    parser.add_argument("--no-callgrind", action="store_true", help="count no instructions")
    parser.add_argument("--no-times", action="store_true", help="count instructions only")
    options = parser.parse_args()

    wanted = options.only.split(",") if options.only else PROGRAMS
    programs = [name for name in wanted if (options.old / name).exists() and (options.new / name).exists()]
    if "sri_bench" in programs and not pathlib.Path(os.environ.get("ADIT_ORACLE", "")).is_file():
        programs.remove("sri_bench")
        print("sri_bench is left out: the oracle is not built (./dev interop --build-only)", file=sys.stderr)
    if not programs:
        sys.exit(f"neither of {', '.join(wanted)} was built in both revisions")

    started, begun, ticks = datetime.datetime.now(datetime.timezone.utc), os.getloadavg(), cpu_ticks()
    rows = {} if options.no_times else compare_times(options.old, options.new, programs, options.times)
    ended, stop = os.getloadavg(), cpu_ticks()
    instructions = {}
    if not options.no_callgrind:
        instructions = compare_instructions(options.old, options.new, [name for name in programs if name in ONE_THREAD], options.json.parent / "callgrind")
    stolen = (stop[1] - ticks[1]) / max(stop[0] - ticks[0], 1)

    result = {"commits": dict(zip(("old", "new"), options.names)), "started": started.isoformat(timespec="seconds"), "machine": machine(),
              "load": {"before": begun, "after": ended}, "steal": stolen, "blocks": options.times, "rows": rows, "instructions": instructions}
    write_json(options.json, result)
    if rows:
        print_times(rows, options.names)
    if instructions:
        print_instructions(instructions, options.names)
    print(f"\n{result['machine']['cpu']}, {os.cpu_count()} cores; load {begun[0]:.1f} before, {ended[0]:.1f} after; {stolen:.1%} stolen; all of it: {options.json}")


if __name__ == "__main__":
    main()
