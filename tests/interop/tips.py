"""How long a tip takes from Bitcoin Core to a miner: the node's own log has the moment of the tip and that at which its template was
ready, `adit load` has the moment at which SetNewPrevHash was with a miner. All are the clock of one machine."""
import bisect
import datetime
import json
import re
import subprocess
import threading

from adit import ADIT
from bitcoin_core import SOMEBODY_ELSE

# What a node needs so that its log tells.
NODE_OPTIONS = ("-debug=bench", "-logtimemicros")

LINE = re.compile(r"^(\S+Z) (?:\[\S+\] )*(UpdateTip: new best=([0-9a-f]{64})|CreateNewBlock\(\) )", re.M)


def milliseconds(stamp):
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() * 1e3


def logged(node):
    """Milliseconds of each tip by its hash, and of every template that was made, by the node's log."""
    tips, templates = {}, []
    for stamp, _, tip in LINE.findall(node.process.text()):
        if tip:
            tips[tip] = milliseconds(stamp)
        else:
            templates.append(milliseconds(stamp))
    return tips, templates


def listen(url, pid, seconds):
    """One miner that only listens, for so long. What it reported."""
    ran = subprocess.run([ADIT, "--log-level", "warn", "load", url, "--pid", str(pid), "--connections", "1", "--for", f"{seconds}s", "--json"],
                         capture_output=True, text=True, timeout=seconds + 300)
    if ran.returncode != 0:
        raise AssertionError(f"adit load: {ran.stderr.strip() or ran.stdout.strip()}")
    return json.loads(ran.stdout)


def measure_tips(node, url, pid, count, *, seconds_between=1.5, listen_by=listen):
    """For each tip milliseconds from the tip to the node's first template on it, and to the miner. The tips are blocks without
    transactions, so that the mempool stays as it is."""
    asked = []

    def mine():
        for _ in range(count + 20):
            if stop.wait(seconds_between):
                return
            asked.append(node.call("generateblock", SOMEBODY_ELSE, [])["hash"])

    stop = threading.Event()
    miner = threading.Thread(target=mine)
    miner.start()
    try:
        heard = listen_by(url, pid, round(seconds_between * (count + 1)))["tips"]
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
        made = templates[bisect.bisect(templates, at_node[before])]
        rows.append((made - at_node[before], tip["first_unix_ms"] - at_node[before]))
    if len(rows) < count - 2:
        raise AssertionError(f"of {len(asked)} tips {len(rows)} were heard: {heard}")
    return rows
