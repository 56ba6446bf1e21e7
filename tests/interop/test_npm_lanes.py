"""The npm package's endpoint against the lanes of a running pool: whatever it does there is answered as docs/lanes.md says, and a
miner beside it loses nothing."""
import json
import re
import subprocess

from adit import EMBEDDED_SOURCE, Miner, Pool
from processes import InteropTest
from test_npm_iroh import NPM, THEIRS

DEADLINE = 60

BROKEN = "closed by peer: {} (code 3)"
CONNECTIONS = {
    "garbage": BROKEN.format("a stream begins with version 255 of lanes; only 1 is known here"),
    "another version": BROKEN.format("a stream begins with version 2 of lanes; only 1 is known here"),
    "no such lane": BROKEN.format("lane 9 does not exist in a session of protocol 0"),
    "bulk in a mining session": BROKEN.format("lane 3 does not exist in a session of protocol 0"),
    "no such protocol": BROKEN.format("a stream is for protocol 7, which is none"),
    "a fourth byte": BROKEN.format("the preface's fourth byte must be 0"),
    "a lane twice": BROKEN.format("session 1: its control lane came twice"),
    "two protocols in one session": BROKEN.format("session 1: its lanes are of two protocols"),
    "a number used before": BROKEN.format("session 1: its control lane came twice"),
    "the last of all numbers": BROKEN.format("session 18446744073709551615: its number is over 64 beyond 0"),
    "sessions without end": "closed by peer: more than 16 sessions on one connection (code 4)",
}
ORDER = "the peer broke the order of lanes on {}: {}"
TOO_LARGE = "a frame of message type 255 declares 16777215 bytes; this connection allows 131072"
SESSIONS = {
    "garbage on control": TOO_LARGE,
    "garbage on data": TOO_LARGE,
    "a share on control": ORDER.format("control", "SubmitSharesStandard is not for this lane"),
    "control on data": ORDER.format("data", "SetupConnection is not for this lane"),
    "a mark of the other lane": ORDER.format("control", "a ControlMark, which is for the other lane"),
    "a share behind a ControlMark of 2^64-1": ORDER.format("data", f"its mark asks for control frame {2**64 - 1}"),
    "a CloseChannel behind a DataMark of 2^64-1": ORDER.format("control", f"CloseChannel waits for frame {2**64 - 1} of the other lane"),
    "a ControlMark that is not above the last": ORDER.format("data", ""),
    "more control than may wait": ORDER.format("control", "more than 64 frames or 65536 bytes wait for the other lane"),
    "one lane finished, the other not": "the peer ended one lane of two",
    "one lane reset": "reset",
}


class NpmLanes(InteropTest):
    def setUp(self):
        super().setUp()
        self.pool = Pool(self, EMBEDDED_SOURCE, iroh=True, options=("--log-level", "debug"))
        self.url = self.pool.url("iroh")
        self.miner = Miner(self, self.url)
        self.wait_for_more_shares()

    def wait_for_more_shares(self):
        shares = lambda: self.pool.metric("sv2_client_shares_accepted_total")
        before = shares()
        self.wait_until("the miner's shares are accepted", lambda: shares() > before, DEADLINE)

    def abuse(self, what):
        endpoint_id, address = re.search("[0-9a-f]{64}", self.url)[0], re.search(r"addr=([0-9.:]+)", self.url)[1]
        said = subprocess.run([THEIRS[0], NPM / "abuse.mjs", what, endpoint_id, address], capture_output=True, text=True, timeout=2 * DEADLINE)
        self.assertEqual(said.returncode, 0, said.stderr)
        return json.loads(said.stdout)

    def expect_the_miner_unharmed(self):
        self.wait_for_more_shares()
        self.assertEqual([event["transport"] for event in self.miner.events("miner.connected")], ["iroh"])
        self.assertEqual(self.miner.events("miner.disconnected"), [])
        self.assertEqual(self.pool.metric("sv2_client_shares_rejected_total"), 0)

    def test_what_breaks_the_rules_of_connections_is_told_and_ends_that_connection(self):
        ends = self.abuse("connections")
        self.assertEqual(ends, CONNECTIONS)
        expected = {re.sub(r"^closed by peer: | \(code \d\)$", "", end) for end in CONNECTIONS.values()}
        told = lambda: {event["message"] for event in self.pool.events("iroh.lanes_refused")}
        self.wait_until("the last is told", lambda: len(told()) >= len(expected), DEADLINE)
        self.assertEqual(told(), expected)
        self.expect_the_miner_unharmed()

    def test_what_breaks_the_rules_of_sessions_is_told_and_ends_that_session(self):
        saw = self.abuse("sessions")
        ends = {**{what: [3, 3] for what in SESSIONS}, "a session of one lane": [3], "one lane reset": [None, None]}
        self.assertEqual(saw["ends"], ends)
        self.assertIsNone(saw["closed"], "the connection goes on")
        self.assertGreater(saw["asked"], 40)
        self.assertEqual(saw["answered"], saw["asked"], "of the healthy session beside them")
        last = "a stream begins with version 9 of lanes; only 1 is known here"
        self.assertEqual(saw["broken"], BROKEN.format(last))
        lost = lambda: [event["message"] for event in self.pool.events("pool.connection_lost")]
        self.wait_until("the session that was well is told to have ended by the same", lambda: last in lost(), DEADLINE)
        told = lost()
        for what, message in SESSIONS.items():
            with self.subTest(what):
                self.assertTrue(any(message in each for each in told), told)
        self.expect_the_miner_unharmed()
