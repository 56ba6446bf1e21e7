"""What happens to a session when the network changes under it: shares go on."""
from mining import LabMiner, LabPool, LabTranslator
from processes import InteropTest
from topology import Internet, cut_udp, mend

DEADLINE = 120  # For whatever a test waits for: this machine may be busy.


class Changes(InteropTest):
    def setUp(self):
        super().setUp()
        self.internet = Internet()
        self.addCleanup(self.internet.remove)

    def wait_for_more_shares(self):
        before = self.pool.shares_accepted()
        self.wait_until("more shares are accepted", lambda: self.pool.shares_accepted() >= before + 3, DEADLINE)

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
