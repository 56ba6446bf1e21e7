"""Debian's Prometheus against a live `adit demo`: the metrics are what promtool takes, each query of packaging/grafana and
packaging/prometheus parses, those whose series are always there have them, and the alerts pass their own tests.

Run by ./dev grafana-test, which gives ADIT, PROMETHEUS and PROMTOOL."""
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
ADIT, PROMETHEUS, PROMTOOL = (os.environ[name] for name in ("ADIT", "PROMETHEUS", "PROMTOOL"))
PACKAGING = ROOT / "packaging"

# Metrics of which a demo may have no series: nothing is refused, no node has a name, no client names its workers.
AT_TIMES = {
    "adit_upstream_shares_rejected_total",
    "adit_miner_shares_rejected_total",
    "adit_node_height",
    "adit_node_clock_ahead_seconds",
    "adit_worker_hashrate",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(what, condition, patience=90):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.5)
    raise AssertionError(f"time ran out: {what}")


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def dashboard():
    return json.loads((PACKAGING / "grafana" / "adit.json").read_text())


def resolved(expr):
    """What Grafana puts in for its variables."""
    for name, value in (("$__rate_interval", "10s"), ("$__range", "30s"), ("$instance", ".+")):
        expr = expr.replace(name, value)
    return expr


def rules():
    """The rules' expressions: promtool has parsed the file, so its shape is known."""
    text = (PACKAGING / "prometheus" / "adit.rules.yml").read_text()
    found = re.findall(r"- alert: (\w+)\n +expr: (?:>\n((?: {10,}.*\n)+)|(.*)\n)", text)
    return [(name, " ".join((folded or plain).split())) for name, folded, plain in found]


class Demo:
    """A demo, and a Prometheus that scrapes both of its roles."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.folder.name)
        with (folder / "demo.log").open("w") as output:
            self.demo = subprocess.Popen([ADIT, "demo"], stdout=output, stderr=subprocess.STDOUT)
        log = lambda: (folder / "demo.log").read_text()
        pages = eventually("the demo's pages", lambda: len(found := re.findall(r"open in a browser: http://(\S+)/", log())) == 2 and found)
        self.pages = pages
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: ['{PACKAGING}/prometheus/adit.rules.yml']\n"
            f"scrape_configs: [{{job_name: adit, static_configs: [{{targets: {json.dumps(pages)}}}]}}]\n"
        )
        self.url = f"http://127.0.0.1:{free_port()}"
        self.prometheus = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={self.url.removeprefix('http://')}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually("shares", lambda: re.search(r"shares accepted [1-9]", log()))
        eventually("Prometheus has both roles", lambda: self.answers("adit_ready == 1") == 2)
        return self

    def __exit__(self, *_):
        for process in (self.prometheus, self.demo):
            process.terminate()
            process.wait(30)
        self.folder.cleanup()

    def answers(self, expr):
        """How many series the query answers. An error of the query fails the test; a Prometheus that is not up yet answers none."""
        query = urllib.parse.urlencode({"query": expr})
        try:
            answer = json.loads(fetch(f"{self.url}/api/v1/query?{query}"))
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expr}: {error.read().decode()}") from error
        except OSError:
            return 0
        return len(answer["data"]["result"])


class PrometheusTest(unittest.TestCase):
    def test_the_alerts_parse_and_come_when_they_should(self):
        folder = PACKAGING / "prometheus"
        for arguments in (["check", "rules", "adit.rules.yml"], ["test", "rules", "adit.rules.test.yml"]):
            done = subprocess.run([PROMTOOL, *arguments], cwd=folder, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_each_alert_has_a_test_of_its_coming(self):
        names = [name for name, _ in rules()]
        text = (PACKAGING / "prometheus" / "adit.rules.test.yml").read_text()
        self.assertEqual(len(names), (PACKAGING / "prometheus" / "adit.rules.yml").read_text().count("- alert:"))
        for name in names:
            self.assertRegex(text, rf"alertname: {name}\n\s+exp_alerts:\n\s+- exp_labels", name)

    def test_the_dashboard_is_sound(self):
        board = dashboard()
        ids = [panel["id"] for panel in board["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertNotIn("http", json.dumps(board), "no absolute URL")
        for panel in board["panels"]:
            if panel["type"] == "row":
                continue
            self.assertEqual(panel["datasource"]["uid"], "${datasource}", panel["title"])
            self.assertTrue(panel["description"], panel["title"])
            position = panel["gridPos"]
            self.assertLessEqual(position["x"] + position["w"], 24, panel["title"])
        queries = json.dumps(board)
        for name in AT_TIMES:
            self.assertIn(name, queries)

    def test_a_live_demo_fills_the_dashboard_and_raises_no_alert(self):
        with Demo() as demo:
            for page in demo.pages:
                metrics = fetch(f"http://{page}/metrics")
                checked = subprocess.run([PROMTOOL, "check", "metrics"], input=metrics, capture_output=True, text=True)
                complaints = (checked.stdout + checked.stderr).splitlines()
                # SRI's names are gauges, whatever they end in.
                self.assertEqual([line for line in complaints if not re.match(r"sv[12]_", line)], [])
            wanted = {resolved(target["expr"]) for panel in dashboard()["panels"] for target in panel.get("targets", [])}
            for expr in wanted:
                demo.answers(expr)  # It parses.
            empty = {expr for expr in wanted if not any(name in expr for name in AT_TIMES)}
            end = time.monotonic() + 60
            while empty and time.monotonic() < end:
                empty = {expr for expr in empty if not demo.answers(expr)}
                time.sleep(0.5)
            self.assertEqual(empty, set(), "no series")
            for annotation in dashboard()["annotations"]["list"]:
                demo.answers(resolved(annotation["expr"]))
            for name, expr in rules():
                demo.answers(expr)
                # A demo finds blocks, and has but begun.
                if name not in ("AditBlockFound", "AditNoShares"):
                    self.assertEqual(demo.answers(f'ALERTS{{alertname="{name}", alertstate="firing"}}'), 0, name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
