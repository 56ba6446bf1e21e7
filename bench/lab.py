"""A pool and a load on it as processes in two network namespaces."""
import json
import os
import subprocess

from adit import ADIT
from link import Link
from mining import LabPool
from processes import Programs
from topology import Internet

CARRIERS = ("tcp", "sv2-m", "lanes")
DELAY_MS = 50  # Each way, of a long link.
NET_ENDS = os.environ.get("ADIT_NET_ENDS", "net_ends")
TCP_PORT, UDP_PORT = 3333, 4433
# So many that a channel with next to no hash rate gets the target that every hash meets.
SHARES_PER_MINUTE = 120.0


class Lab(Programs):
    """Two hosts, on a plain network or, given `link`, on nothing but that (iroh would find the plain one). `adit pool` is to run on the
    first."""

    def __init__(self, link=None):
        self.link_options = link
        self.link = None

    def __enter__(self):
        self.internet = Internet()
        try:
            self.lay()
        except BaseException:
            self.lift()
            raise
        return super().__enter__()

    def __exit__(self, *failure):
        try:
            super().__exit__(*failure)
        finally:
            self.lift()

    def lay(self):
        if self.link_options is None:
            self.near, self.far = self.internet.host("pool", 1, "none"), self.internet.host("load", 2, "none")
            self.address = self.near.own_address
        else:
            self.near, self.far = self.internet.alone("pool"), self.internet.alone("load")
            self.link = Link(self.near, self.far, **self.link_options)
            self.address = self.link.addresses[0]

    def lift(self):
        if self.link:
            self.link.kill()
        self.internet.remove()

    def start_pool(self, carrier):
        """Its URL over that carrier."""
        self.pool = LabPool(self, self.near, f'bind_addresses = ["{self.address}:{UDP_PORT}"]', tcp=f"{self.address}:{TCP_PORT}",
                            shares_per_minute=SHARES_PER_MINUTE)
        if carrier == "tcp":
            return self.pool.url("tcp")
        url = self.pool.url("iroh")
        return url if carrier == "lanes" else f"{url}&alpn=sv2-m"

    def load(self, url, connections, seconds, *arguments):
        command = [*self.far.prefix, ADIT, "--log-level", "warn", "load", url, "--pid", self.pool.process.child.pid,
                   "--connections", connections, "--for", f"{seconds}s", "--json", *arguments]
        ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=seconds + 300)
        if ran.returncode != 0:
            raise AssertionError(f"adit load: {ran.stderr.strip() or ran.stdout.strip()}")
        report = json.loads(ran.stdout)
        if report["shares"]["rejected"]:
            raise AssertionError(f"shares were refused: {report['shares']['rejected']}")
        return report

    def wire_bytes(self):
        """What has passed the load's interface, with Ethernet's headers, both ways."""
        return sum(int(self.far.run("cat", f"/sys/class/net/wan/statistics/{way}_bytes")) for way in ("rx", "tx"))


class Ends:
    """The pool of net_ends.cpp, and what is started beside it, at the two ends of a link."""

    def __init__(self, carrier, link, *pool_options):
        self.internet = Internet()
        self.processes = []
        self.link = None
        try:
            self.near, self.far = self.internet.alone("pool"), self.internet.alone("load")
            self.link = Link(self.near, self.far, **link)
            self.pool = self.start(self.near, "pool", "--address", self.link.addresses[0], "--carrier",
                                   "tcp" if carrier == "tcp" else "iroh", *pool_options)
            where = json.loads(self.say(self.pool))
            self.url, self.bulk_port = where["url"], where["bulk_port"]
            if carrier == "sv2-m":
                self.url += "&alpn=sv2-m"
        except BaseException:
            self.end()
            raise

    def start(self, namespace, *arguments):
        process = subprocess.Popen([str(part) for part in (*namespace.prefix, NET_ENDS, *arguments)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    @staticmethod
    def say(process, line=None):
        """What the process says next, given `line`."""
        if line is not None:
            process.stdin.write(line)
            process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{process.args} ended without a word")
        return answer

    def wire_bytes(self):
        """What has passed the link's near end, both ways."""
        return sum(int(self.near.run("cat", f"/sys/class/net/tunlink/statistics/{way}_bytes")) for way in ("rx", "tx"))

    def end(self):
        """What the link counted."""
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()
            process.communicate()
        counted = self.link.end() if self.link and self.link.process.poll() is None else None
        self.internet.remove()
        return counted
