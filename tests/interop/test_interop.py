"""adit against programs that others wrote. What holds is asked of them, or of our side where theirs only believes."""
import os
import pathlib
import unittest

from adit import EMBEDDED_SOURCE, PAYOUT, Miner, Pool, Translator, rpc_source
from bitcoin_core import BitcoinCore
from processes import InteropTest, free_port

# Whoever mined before the pool came; its key is nobody's.
SOMEBODY_ELSE = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"


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

    def assert_pays_us(self, heights):
        for height in heights:
            coinbase = self.node.coinbase(height)
            paid = {output["scriptPubKey"].get("address"): output["value"] for output in coinbase["vout"]}
            self.assertEqual(paid.get(PAYOUT), 50, f"the coinbase of block {height} pays {paid}")

    def test_the_node_accepts_blocks_that_pay_the_configured_script(self):
        self.wait_for_height(5, 90)
        self.assert_pays_us(range(2, self.node.height() + 1))
        self.assertGreaterEqual(self.pool.metric("sv2_client_blocks_found_total"), 4)

    def test_mining_goes_on_after_the_node_was_killed_and_started_again(self):
        self.wait_for_height(3, 90)
        self.node.kill_and_restart()
        height = self.node.height()
        self.wait_for_height(height + 3, 120)
        self.assert_pays_us(range(height + 1, height + 4))


class SriTranslator(InteropTest):
    """SRI's translator_sv2 dials our pool over TCP with Noise, trusting our authority's key."""

    def mine_through_it(self, aggregate_channels):
        pool = Pool(self, EMBEDDED_SOURCE)
        host, port, authority = self.parts(pool.url("tcp"))
        downstream = free_port()
        config = self.folder / "sri-translator.toml"
        config.write_text(f'''
downstream_address = "127.0.0.1"
downstream_port = {downstream}
max_supported_version = 2
min_supported_version = 2
downstream_extranonce2_size = 4
verify_payout = false
aggregate_channels = {str(aggregate_channels).lower()}
supported_extensions = [0x0002]
required_extensions = []
[downstream_difficulty_config]
min_individual_miner_hashrate = 1_000_000.0
shares_per_minute = 60.0
enable_vardiff = true
job_keepalive_interval_secs = 60
[[upstreams]]
address = "{host}"
port = {port}
authority_pubkey = "{authority}"
user_identity = "sri"
''')
        translator = self.run_process("sri-translator", pathlib.Path(os.environ["ADIT_PEER_TRANSLATOR"]) / "translator_sv2",
                                      "-c", config, env={"RUST_LOG": "info"})
        self.wait_until("SRI's translator listens", lambda: self.listens(downstream), 60)
        Miner(self, f"127.0.0.1:{downstream}")
        # What that translator counts as accepted may never have left it: the pool's own count is what matters.
        self.wait_until("the pool has accepted 5 shares", lambda: pool.metric("sv2_client_shares_accepted_total") >= 5, 120)
        self.assertEqual(pool.metric("sv2_client_shares_rejected_total"), 0)
        self.assertIsNone(translator.child.poll())

    def test_shares_of_an_aggregated_channel_are_accepted(self):
        self.mine_through_it(aggregate_channels=True)

    def test_shares_of_a_channel_of_each_miner_are_accepted(self):
        self.mine_through_it(aggregate_channels=False)


if __name__ == "__main__":
    unittest.main()
