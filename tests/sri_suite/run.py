#!/usr/bin/env python3
"""SRI's own integration tests (crate integration_tests_sv2) with our programs in the place of SRI's.

The crate comes from the registry into the cache, by version; small crates of ours with the names and the interface of SRI's roles
(pool_sv2, translator_sv2) are patched in, which run `adit`: both, or one alone beside SRI's own of the other. What the suite starts
by name (sv2-tp, minerd, bitcoin-node) are our programs and the cached Bitcoin Core. Prints a line for each test, and writes the table
as JSON, from which docs/sri-suite.md is made. `expected.json` says which tests cannot run here, which need the node of real
difficulty, and which fail, with which roles replaced, and why ours is right.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
VERSION = "0.6.0"  # Of the crate; tools/interop.sh reads it here.
ROLES = ("pool", "translator")  # Of SRI's, which ours replace.
SHIMS = ("role", "corepc-node", *(f"{role}_sv2" for role in ROLES))
PATIENCE = 120  # Seconds of one test, as SRI's own runner gives on four cores.
TRIES = int(os.environ.get("ADIT_SUITE_TRIES", "3"))       # Of a test that fails, as SRI's own runner (some are flaky with SRI's roles, too).
PAGE = HERE.parents[1] / "docs" / "sri-suite.md"
TABLE = HERE / "table.json"  # Of the whole runs that the page is of.
HARD_NODE_COST = "12 MiB, built in 18 s where ccache has the first build, else in about 11 minutes of two cores"


def prepare(folder, replaced, source, node, hard_node):
    """The suite with our crates patched in for the roles that are replaced; made once for each choice of them."""
    suite = folder / "-".join(("suite", *replaced))
    if not suite.exists():
        making = folder / "making"
        shutil.rmtree(making, ignore_errors=True)
        shutil.copytree(source, making)
        for shim in SHIMS:
            shutil.copytree(HERE / shim, folder / shim, dirs_exist_ok=True)
        patches = "".join(f'{shim} = {{ path = "../{shim}" }}\n' for shim in ("corepc-node", *(f"{role}_sv2" for role in replaced)))
        with (making / "Cargo.toml").open("a") as manifest:
            manifest.write(f"\n[workspace]\n\n[patch.crates-io]\n{patches}")
        making.rename(suite)
    for name, target in (("template-provider/bitcoin-31.0/libexec/bitcoin-node", node),
                         ("template-provider/high_diff_chain/bitcoin-node", hard_node),
                         ("template-provider/sv2-tp-1.1.0/bin/sv2-tp", HERE / "sv2-tp"), ("minerd/minerd", HERE / "minerd")):
        place = suite / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(target)
    return suite


def build(suite, folder):
    """The test programs: name -> path."""
    environment = dict(os.environ, CARGO_TARGET_DIR=str(folder / "target"), CARGO_PROFILE_DEV_DEBUG="0")
    print(f"building SRI's tests in {suite} (the first time takes about ten minutes of two cores)", file=sys.stderr, flush=True)
    built = subprocess.run(["cargo", "test", "--no-run", "--tests", "--message-format=json-render-diagnostics"], cwd=suite,
                           env=environment, stdout=subprocess.PIPE)
    if built.returncode != 0:
        sys.exit("sri-suite: the tests do not build: see above")
    programs = {}
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable") and "test" in message["target"]["kind"]:
            programs[message["target"]["name"]] = message["executable"]
    (folder / "built").touch()
    return programs


def tests_of(programs):
    """(target, name) of every test, and of those that SRI ignores."""
    every, ignored = [], set()
    for target, program in sorted(programs.items()):
        for options in ([], ["--ignored"]):
            listed = subprocess.run([program, "--list", *options], check=True, stdout=subprocess.PIPE, text=True).stdout
            for line in listed.splitlines():
                if not line.endswith(": test"):
                    continue
                test = (target, line.removesuffix(": test"))
                if options:
                    ignored.add(test)
                else:
                    every.append(test)
    return every, ignored


def ends_well(process, output):
    """Whether the test passes. One that has said so, or that it failed, and does not end is not waited for: SRI's pool of buffers may
    wait in its destructor for ever."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            return process.wait(timeout=1) == 0
        except subprocess.TimeoutExpired:
            said = re.search(rb"^test result: (\w+)", output.read_bytes(), re.MULTILINE)
            if said:
                return said[1] == b"ok"
    return False


def run_once(program, name, suite, logs, environment):
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / "output").open("w") as output:
        process = subprocess.Popen([program, "--exact", name, "--nocapture"], cwd=suite, stdout=output, stderr=output,
                                   env=dict(environment, ADIT_SUITE_LOGS=str(logs)), start_new_session=True)
        try:
            return ends_well(process, logs / "output")
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


def run(test, program, suite, logs, environment):
    target, name = test
    began = time.monotonic()
    for attempt in range(1, TRIES + 1):
        place = logs / target / name.replace("::", ".") / str(attempt)
        if run_once(program, name, suite, place, environment):
            return {"passed": True, "tries": attempt, "seconds": time.monotonic() - began, "logs": str(place)}
    return {"passed": False, "tries": TRIES, "seconds": time.monotonic() - began, "logs": str(place)}


WAYS = {"both": ROLES, "pool alone": ("pool",), "translator alone": ("translator",)}  # Columns of the page: the roles that are ours.


def page_of(table):
    """docs/sri-suite.md."""
    lines = ["# SRI's own tests on Adit", "",
             f"What `./dev sri-suite` printed: the integration tests that SRI wrote for its programs (crate `integration_tests_sv2` {VERSION}), with `adit pool`",
             "and `adit translator` in the place of SRI's pool and translator, `adit template` in that of sv2-tp, `adit miner` in that of minerd,",
             "and a real Bitcoin Core 31.99. `./dev sri-suite NAME...` runs those whose name has one of these words in it. A test that fails is tried up to",
             f"{TRIES} times, as SRI's own runner does.", "",
             "`--replace pool` replaces the pool alone, with SRI's own translator in the tests that have one, and `--replace translator` the translator",
             "alone, before SRI's own pool. The job declaration client is SRI's in all of them.", "",
             "The five tests that want a chain on which no CPU finds a block run on a second build of Bitcoin Core, for which two lines of our own are put into",
             f"its check of work (`HARD_TARGET` in tools/peers.sh): {HARD_NODE_COST}. CI does not build it.", ""]
    for way in WAYS:
        count = collections.Counter(row["results"].get(way, "not run") for row in table)
        lines.append(f"- {way} replaced: " + ", ".join(f"{number} {result}" for result, number in sorted(count.items(), key=lambda c: -c[1])) + ".")
    lines += ["", f"| tests of | test | {' | '.join(WAYS)} | why |", "|---|---|" + "---|" * (len(WAYS) + 1)]
    for row in table:
        results = " | ".join(row["results"].get(way, "not run") for way in WAYS)
        lines.append(f"| {row['target']} | {row['test']} | {results} | {row.get('why', '')} |")
    return "\n".join(lines) + "\n"


def keep(rows, way):
    """Puts the results of a whole run into the table that is kept, and makes the page of it."""
    kept = {(row["target"], row["test"]): row for row in json.loads(TABLE.read_text())}
    table = []
    for row in rows:
        before = kept.get((row["target"], row["test"]), {})
        results = before.get("results", {}) | {way: row["result"]}
        why = row.get("why") or (before.get("why") if set(results.values()) != {"passed"} else None)
        table.append({"target": row["target"], "test": row["test"], "results": results} | ({"why": why} if why else {}))
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    PAGE.write_text(page_of(table))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="only tests with one of these in their name or in that of their file")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=pathlib.Path, default=pathlib.Path("build/sri-suite.json"))
    parser.add_argument("--page", action="store_true", help="keep the results, and write docs/sri-suite.md of them (of a whole run alone)")
    parser.add_argument("--check", action="store_true", help="only see whether docs/sri-suite.md is that of the table that was kept")
    parser.add_argument("--replace", choices=ROLES, help="replace this role alone; the other is SRI's own")
    options = parser.parse_args()
    if options.check:
        same = PAGE.read_text() == page_of(json.loads(TABLE.read_text()))
        sys.exit(None if same else "docs/sri-suite.md is not made of tests/sri_suite/table.json: ./dev sri-suite --page")
    folder = pathlib.Path(os.environ["ADIT_SUITE_FOLDER"])
    environment = dict(os.environ, RUST_LOG=os.environ.get("RUST_LOG", "info"))
    expected = json.loads((HERE / "expected.json").read_text())

    way = f"{options.replace} alone" if options.replace else "both"
    node, hard_node = (pathlib.Path(os.environ[f"ADIT_PEER_{peer}"]) / "bitcoin-node" for peer in ("BITCOIN", "HARDNODE"))
    suite = prepare(folder, WAYS[way], pathlib.Path(os.environ["ADIT_SUITE_SOURCE"]), node, hard_node)
    programs = build(suite, folder)
    every, ignored = tests_of(programs)
    wanted = [t for t in every if not options.names or any(n in f"{t[0]}::{t[1]}" for n in options.names)]
    if not wanted:
        sys.exit("sri-suite: no test has such a name")
    logs = pathlib.Path(tempfile.mkdtemp(prefix="adit-sri-suite-"))
    table, failures = [], 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = {}
        for test in wanted:
            known = expected.get(f"{test[0]}::{test[1]}", {})
            row = {"target": test[0], "test": test[1]}
            table.append(row)
            if test in ignored:
                row |= {"result": "not runnable", "why": "SRI ignores it"}
            elif known.get("result") == "not runnable":
                row |= known
            elif known.get("needs") == "hardnode" and not hard_node.exists():
                row |= {"result": "not runnable", "why": "needs the node of real difficulty, which the cache does not have"}
            else:
                running[pool.submit(run, test, programs[test[0]], suite, logs, environment)] = (row, known)
        for done in concurrent.futures.as_completed(running):
            row, known = running[done]
            outcome = done.result()
            row["result"] = "passed" if outcome["passed"] else "failed"
            if not outcome["passed"]:
                row["why"] = known.get("why", "")
            surprise = row["result"] != ("failed" if way in known.get("fails", ()) else "passed")
            failures += surprise
            print(f"{'ok  ' if outcome['passed'] else 'FAIL'} {row['target']}::{row['test']} ({outcome['seconds']:.0f} s"
                  + (f", try {outcome['tries']}" if outcome["tries"] > 1 else "") + ")"
                  + ("" if outcome["passed"] else f" see {outcome['logs']}")
                  + (f" [{row['result']}, which expected.json does not say]" if surprise else ""), flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(table, indent=1) + "\n")
    for row in table:
        if row["result"] == "not runnable":
            print(f"--   {row['target']}::{row['test']}: {row['why']}")
    counts = {result: sum(row["result"] == result for row in table) for result in ("passed", "failed", "not runnable")}
    print(", ".join(f"{number} {result}" for result, number in counts.items()))
    if options.page and not options.names:
        keep(table, way)
    if failures == 0:
        shutil.rmtree(logs, ignore_errors=True)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
