"""adit on Bitcoin Core, over iroh. What holds is asked of the node."""
import unittest

from adit import Miner, Pool, Translator, assert_pays_us, rpc_source
from bitcoin_core import SOMEBODY_ELSE, BitcoinCore
from processes import InteropTest


class BitcoinCoreOverIroh(InteropTest):
    """A node, a pool on its JSON-RPC, a translator that reaches the pool over iroh, an SV1 miner: four programs."""

    def setUp(self):
        super().setUp()
        self.node = BitcoinCore(self)
        self.node.mine_elsewhere(1, SOMEBODY_ELSE)
        self.pool = Pool(self, rpc_source(self.node), iroh=True)
        self.translator = Translator(self, self.pool.url("iroh"))
        self.miner = Miner(self, self.translator.address())

    def wait_for_height(self, height, deadline):
        self.wait_until(f"the node is at height {height}", lambda: self.node.height() >= height, deadline)

    def test_the_node_accepts_blocks_that_pay_the_configured_script(self):
        self.wait_for_height(5, 90)
        assert_pays_us(self, self.node, range(2, self.node.height() + 1))
        self.wait_until("the pool's metrics show them", lambda: self.pool.metric("sv2_client_blocks_found_total") >= 4, 60)

    def test_mining_goes_on_after_the_node_was_killed_and_started_again(self):
        self.wait_for_height(3, 90)
        self.node.kill_and_restart()
        height = self.node.height()
        self.wait_for_height(height + 3, 120)
        assert_pays_us(self, self.node, range(height + 1, height + 4))


if __name__ == "__main__":
    unittest.main()
