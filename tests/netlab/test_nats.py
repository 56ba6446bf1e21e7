"""The routers of topology.py are what they say: seen from outside, by datagrams, before anything is concluded from them."""
import json
import sys
import unittest

from topology import KINDS, PUBLIC, PUBLIC_TOO, Internet

# Sends from one port to three destinations on the public side and tells what they saw, and who got an answer through:
# the destinations themselves, the same machine from another port, another machine altogether.
OUTSIDE = """
import json, socket, sys
first, second = sys.argv[1:3]
socks = []
for address, port in ((first, 7001), (first, 7002), (second, 7001)):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((address, port)); s.settimeout(2); socks.append(s)
print("ready", flush=True)
seen = []
for s in socks:
    try: seen.append(s.recvfrom(100)[1])
    except TimeoutError: seen.append(None)
if seen[0]:
    socks[0].sendto(b"answer", seen[0])
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); stranger.bind((first, 7003)); stranger.sendto(b"stranger", seen[0])
print(json.dumps(seen), flush=True)
"""
INSIDE = """
import json, socket, sys
first, second = sys.argv[1:3]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 5000)); s.settimeout(3)
for to in ((first, 7001), (first, 7002), (second, 7001)):
    try: s.sendto(b"hello", to)
    except OSError: pass
got = []
try:
    while True: got.append(s.recv(100).decode())
except TimeoutError: pass
print(json.dumps(sorted(got)))
"""


class Nats(unittest.TestCase):
    def look(self, kind):
        import subprocess
        internet = Internet()
        self.addCleanup(internet.remove)
        host = internet.host("host", 1, kind)
        outside = subprocess.Popen([*internet.public.prefix, sys.executable, "-c", OUTSIDE, PUBLIC, PUBLIC_TOO],
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(outside.stdout.close)
        self.addCleanup(outside.wait)
        outside.stdout.readline()
        got = json.loads(host.run(sys.executable, "-c", INSIDE, PUBLIC, PUBLIC_TOO))
        seen = json.loads(outside.stdout.readline())
        return host, [port for port in seen if port], got

    def test_each_kind_maps_and_filters_as_named(self):
        expected = {  # kind: public ports for three destinations, what comes back in
            "none": (1, ["answer", "stranger"]),
            "home": (1, ["answer"]),
            "full cone": (1, ["answer", "stranger"]),
            "symmetric": (3, ["answer"]),
            "udp blocked": (0, []),
        }
        for kind in KINDS:
            with self.subTest(kind):
                host, seen, got = self.look(kind)
                self.assertTrue(all(address == host.public_address for address, _ in seen), seen)
                self.assertEqual((len({port for _, port in seen}), got), expected[kind])

    def test_nothing_has_a_way_out(self):
        internet = Internet()
        self.addCleanup(internet.remove)
        host = internet.host("host", 1, "home")
        self.assertNotIn("default", internet.public.ip("route"))
        self.assertNotIn("default", host.router.ip("route"))
