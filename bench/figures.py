"""What the benchmarks share: quantiles, what a process takes, tables and the JSON of a run."""
import json
import pathlib
import re


def quantile(values, fraction):
    """Between two values in proportion, so that the half is the median. Of nothing it is NaN."""
    values = sorted(values)
    if not values:
        return float("nan")
    at = fraction * (len(values) - 1)
    low = int(at)
    return values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * (at - low)


def memory_kib(*processes):
    """The resident memory of these (processes.Process), together."""
    status = (pathlib.Path(f"/proc/{process.child.pid}/status").read_text() for process in processes)
    return sum(int(re.search(r"VmRSS:\s+(\d+)", text)[1]) for text in status)


def table(titles, rows):
    """Prints a table of Markdown; a row has a cell for each title."""
    print(f"| {' | '.join(titles)} |")
    print("|" + "---|" * len(titles))
    for row in rows:
        print(f"| {' | '.join(row)} |")


def write_json(path, figures):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n")
