"""The link of ours does what it is told: what arrives, in which order, is counted; how long it took only against its order."""
import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

from link import Link
from topology import Internet

# Sends numbered datagrams and prints those that came back, in their order, with the first one's round trip in ms.
TALK = """
import json, socket, sys, time
to, count, size, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20); s.settimeout(3)
begun = time.monotonic()
for number in range(count):
    s.sendto(number.to_bytes(4, "big").ljust(size, b"x"), (to, 7000))
    time.sleep(pause)
got, first = [], None
try:
    while len(got) < count:
        got.append(int.from_bytes(s.recv(2000)[:4], "big"))
        first = first or time.monotonic() - begun
except TimeoutError: pass
print(json.dumps({"got": got, "first_ms": (first or 0) * 1000}))
"""
ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20); s.bind((sys.argv[1], 7000))
print("ready", flush=True)
while True: s.sendto(*s.recvfrom(2000))
"""


class TunLink(unittest.TestCase):
    def link(self, **options):
        internet = Internet()
        self.addCleanup(internet.remove)
        here, there = internet.alone("here"), internet.alone("there")
        link = Link(here, there, **options)
        self.addCleanup(link.kill)
        echo = subprocess.Popen([*there.prefix, sys.executable, "-c", ECHO, link.addresses[1]], stdout=subprocess.PIPE, text=True)
        self.addCleanup(echo.stdout.close)
        self.addCleanup(echo.wait)
        self.addCleanup(echo.kill)
        echo.stdout.readline()
        talk = lambda count, size=100, pause=0: json.loads(
            here.run(sys.executable, "-c", TALK, link.addresses[1], count, size, pause))
        return link, talk

    def test_all_arrives_in_order_after_the_delay_each_way(self):
        link, talk = self.link(delay_ms=40, jitter_ms=10)
        told = talk(200)
        self.assertEqual(told["got"], list(range(200)))
        self.assertGreaterEqual(told["first_ms"], 80)
        counts = link.end()
        for way in ("there", "back"):
            self.assertGreaterEqual(counts[way]["delivered"], 200)
            self.assertEqual(counts[way]["lost"], 0)

    def test_losses_are_the_share_asked_for_and_the_same_for_the_same_seed(self):
        lost = []
        for _ in range(2):
            link, talk = self.link(loss=0.2, seed=7)
            self.assertEqual(len(talk(1000, pause=0.0002)["got"]), link.end()["back"]["delivered"])
            link, talk = self.link(loss=0.2, seed=7)
            lost.append(talk(1000, pause=0.0002)["got"])
        self.assertEqual(lost[0], lost[1])
        # 0.8 x 0.8 of 1000 come back; five standard deviations are 76.
        self.assertLess(abs(len(lost[0]) - 640), 76)

    def test_a_full_queue_drops_what_comes_last(self):
        # A packet takes 8.2 ms: the 20th waits 156 ms for its turn.
        for options in {"queue": 20}, {"queue_ms": 160}:
            with self.subTest(**options):
                link, talk = self.link(mbit=1, **options)
                told = talk(100, size=1000)
                counts = link.end()
                self.assertGreater(counts["there"]["overflowed"], 0)
                self.assertEqual(counts["there"]["arrived"],
                                 counts["there"]["delivered"] + counts["there"]["overflowed"] + counts["there"]["waiting"])
                self.assertEqual(told["got"][:20], list(range(20)))

    def test_the_trace_tells_what_became_of_every_packet_there(self):
        with tempfile.TemporaryDirectory() as folder:
            trace = pathlib.Path(folder, "trace")
            link, talk = self.link(delay_ms=40, loss=0.2, mbit=10, queue_ms=5, trace=trace)
            talk(200, size=1000)
            counts = link.end()["there"]
            lines = [line.split() for line in trace.read_text().splitlines()]
        self.assertEqual(len(lines), counts["arrived"])
        fates = collections.Counter(fate for *_, fate in lines if not fate.isdigit())
        self.assertEqual(fates, {"lost": counts["lost"], "overflowed": counts["overflowed"]})
        self.assertGreater(min(fates.values()), 0)
        for came, size, port, fate in lines:
            self.assertEqual((int(size), port), (1028, "7000"), "1000 bytes behind the headers of IPv4 and UDP")
            if fate.isdigit():
                self.assertGreaterEqual(int(fate) - int(came), 40_000)

    def test_a_cut_link_carries_nothing_until_it_is_mended(self):
        link, talk = self.link()
        link.cut()
        time.sleep(0.1)
        self.assertEqual(talk(10)["got"], [])
        link.mend()
        time.sleep(0.1)
        self.assertEqual(talk(10)["got"], list(range(10)))
