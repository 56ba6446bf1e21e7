"""What happens to a session when the network changes under it: shares go on."""
import re
import time

from mining import LabMiner, LabPool, LabRelay, LabTranslator, moment
from processes import InteropTest
from topology import Internet, cut_off, cut_udp, mend

DEADLINE = 120  # For whatever a test waits for: this machine may be busy.


class Changes(InteropTest):
    def setUp(self):
        super().setUp()
        self.internet = Internet()
        self.addCleanup(self.internet.remove)

    def mine(self, pool_kind, miner_kind):
        """Two hosts, our relay between them, and a share accepted."""
        self.relay = LabRelay(self, self.internet.public)
        self.pool_host, self.miner_host = self.internet.host("pool", 1, pool_kind), self.internet.host("miner", 2, miner_kind)
        self.pool = LabPool(self, self.pool_host, self.relay.settings)
        self.translator = LabTranslator(self, self.miner_host, [self.pool.url("iroh")], self.relay.settings)
        self.translator.listening()
        self.miner = LabMiner(self, self.miner_host)
        self.wait_until("a share is accepted", self.miner.first_share, DEADLINE)

    def wait_for_path(self, path):
        self.wait_until(f"the path is {path}", lambda: self.translator.path() == path, DEADLINE)

    def wait_for_more_shares(self):
        before = self.pool.shares_accepted()
        self.wait_until("more shares are accepted", lambda: self.pool.shares_accepted() >= before + 3, DEADLINE)

    def assert_same_connection(self):
        self.assertEqual(len(self.translator.events("translator.upstream_ready")), 1, "the pool was dialled once")
        self.assertEqual(self.translator.events("translator.upstream_lost"), [])

    def test_the_direct_path_is_cut_and_comes_back(self):
        self.mine("home", "home")
        self.wait_for_path("direct")
        cut_udp(self.miner_host.router, self.pool_host.public_address)
        self.wait_for_path("relayed")
        self.wait_for_more_shares()
        mend(self.miner_host.router)
        self.wait_for_path("direct")
        self.wait_for_more_shares()
        self.assert_same_connection()
        self.assertEqual(self.miner.events("miner.disconnected"), [])
        changes = self.translator.path_changes()
        for change in (("direct", "relayed"), ("relayed", "direct")):
            self.assertIn(change, changes)
        # Whatever was under way at a change was answered.
        self.translator.process.stop()
        closed = self.translator.events("translator.upstream_closed")
        self.assertEqual([(event["shares_rejected"], event["shares_unanswered"], event["goodbye"]) for event in closed], [(0, 0, True)])
        self.wait_until("every acknowledged share was counted",
                        lambda: self.pool.shares_accepted() == closed[0]["shares_accepted"], DEADLINE)

    def test_the_relay_is_killed_and_comes_back_while_it_is_the_only_way(self):
        self.mine("symmetric", "symmetric")
        self.wait_for_path("relayed")
        self.relay.process.kill()
        self.relay.process.start()
        self.wait_until("the relay listens again", lambda: len(self.relay.events("relay.listening")) == 2, DEADLINE)
        self.wait_for_more_shares()
        self.assertEqual(self.miner.events("miner.disconnected"), [])

    def test_iroh_gives_way_to_tcp_and_comes_back(self):
        pool_host, miner_host = self.internet.host("pool", 1, "none"), self.internet.host("miner", 2, "home")
        self.pool = LabPool(self, pool_host, 'bind_addresses = ["203.0.113.10:4433"]', tcp="203.0.113.10:3333")
        self.translator = LabTranslator(self, miner_host, [self.pool.url("iroh"), self.pool.url("tcp")], "", 'prefer = "iroh"')
        self.translator.listening()
        self.miner = LabMiner(self, miner_host)
        ways = lambda: [event["transport"] for event in self.translator.events("translator.upstream_ready")]
        self.wait_for_more_shares()
        self.assertEqual(ways(), ["iroh"])
        cut_udp(miner_host.router, pool_host.public_address)
        self.wait_until("TCP takes over", lambda: ways() == ["iroh", "tcp"], DEADLINE)
        self.wait_for_more_shares()
        mend(miner_host.router)
        self.wait_until("iroh is back", lambda: ways() == ["iroh", "tcp", "iroh"], 2 * DEADLINE)
        self.wait_for_more_shares()
        self.assertEqual(self.miner.events("miner.disconnected"), [])

    def dead_host_is_noticed(self, transport):
        pool_host, miner_host = self.internet.host("pool", 1, "none"), self.internet.host("miner", 2, "home")
        self.pool = LabPool(self, pool_host, 'bind_addresses = ["203.0.113.10:4433"]', tcp="203.0.113.10:3333")
        self.translator = LabTranslator(self, miner_host, [self.pool.url(transport)], "")
        self.translator.listening()
        self.miner = LabMiner(self, miner_host)
        self.wait_for_more_shares()
        cut_off(miner_host.router, pool_host.public_address)
        cut_at = time.time()
        lost = self.wait_until("it is noticed", lambda: self.translator.events("translator.upstream_lost"), DEADLINE)[0]
        released = self.wait_until("the pool notices too", lambda: self.pool.events("pool.connection_closed"), DEADLINE)[0]
        for who, event in (("the translator", lost), ("the pool", released)):
            took = moment(event) - cut_at
            print(f"\n{who} noticed over {transport} after {took:.1f} s")
            # The configured time is 10 s; the rest is for a busy machine. Without health it would be half a minute.
            self.assertLess(took, 20)
        mend(miner_host.router)
        self.wait_until("the pool is used again", lambda: len(self.translator.events("translator.upstream_ready")) == 2, DEADLINE)
        self.wait_for_more_shares()
        self.assertEqual(self.miner.events("miner.disconnected"), [])

    def test_a_dead_host_is_noticed_over_tcp(self):
        self.dead_host_is_noticed("tcp")

    def test_a_dead_host_is_noticed_over_iroh(self):
        self.dead_host_is_noticed("iroh")

    def test_without_a_relay_the_error_names_the_setting(self):
        pool_host, miner_host = self.internet.host("pool", 1, "home"), self.internet.host("miner", 2, "home")
        pool = LabPool(self, pool_host, 'relay = "none"')
        translator = LabTranslator(self, miner_host, [pool.url("iroh")], 'relay = "none"')
        failed = self.wait_until("the dial fails", lambda: translator.events("translator.upstream_failed"), DEADLINE)[0]
        self.assertTrue(re.search(r"no relay here.*`relay` in \[iroh\]", failed["message"]), failed["message"])
