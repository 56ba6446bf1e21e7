"""The iroh that others ship for JavaScript (npm's @number0/iroh) against our endpoint: over a test protocol, both ways."""
import json
import os
import pathlib
import subprocess

from processes import InteropTest

OURS = os.environ.get("ADIT_IROH_PEER", "adit_iroh_peer")
NPM = pathlib.Path(os.environ.get("ADIT_PEER_NPM", "."))
THEIRS = [NPM / "bin" / "node", NPM / "peer.mjs"]


class NpmIroh(InteropTest):
    def address_of(self, process):
        """The id and the address that a serving peer prints."""
        return self.wait_until(f"{process.name} says where it listens", lambda: process.text().split(), 30)

    def test_it_dials_us_and_reads_back_what_it_wrote(self):
        endpoint_id, address = self.address_of(self.run_process("ours", OURS, "serve"))
        saw = json.loads(self.run_to_end(*THEIRS, "talk", endpoint_id, address, 300_000))
        self.assertEqual(saw, {"same": True, "remote": endpoint_id, "alpn": "adit-test/1", "direct": True})

    def test_we_dial_it_and_hear_what_we_said(self):
        endpoint_id, address = self.address_of(self.run_process("npm", *THEIRS, "serve"))
        said = "hello\n" + "x" * 100_000 + "\n"
        heard = subprocess.run([OURS, "talk", endpoint_id, address], input=said, check=True, capture_output=True, text=True, timeout=30)
        self.assertEqual(heard.stdout, said)
