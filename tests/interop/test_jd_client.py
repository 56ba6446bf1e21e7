"""adit's job declarator client with SRI's pool and its job declaration server, on Bitcoin Core. Tests that SRI has are called as
there. What holds is asked of the node, by its own RPC."""
import signal
import unittest

from adit import PAYOUT, JdClient, Miner, ipc_source, rpc_source
from bitcoin_core import BitcoinCore
from declaring import DEADLINE, SOLO, DeclaringTest
from processes import http_get, whole_matrix
from sri import SriPool, SriTranslator
from transactions import Coins


class JdClientWithSri(DeclaringTest):
    def node_and_pool(self, coins=0):
        node = BitcoinCore(self)
        if coins:
            of_node = Coins(node, coins)
            of_node.send(coins, 2_000)
        else:
            node.mine_elsewhere(17)  # The height's push of the first sixteen blocks is too short for SRI's node.
        return node, self.pool(node)

    def pool(self, node):
        pool = SriPool(self, node, self.folder / "authority.key", jds=True)
        self.wait_until("SRI's declarator listens", lambda: self.listens(pool.jds_port), 60)
        return pool

    def client(self, source, pool, **options):
        return JdClient(self, source, [(pool.url, pool.jds_url, "farm")], payout=SOLO, **options)

    def mines_for_the_pool(self, source_of, coins=0):
        node, pool = self.node_and_pool(coins)
        client = self.client(source_of(node), pool)
        self.wait_for_pool_work(client)
        start = node.height()
        Miner(self, client.url())
        self.wait_for_blocks_that_pay(PAYOUT, node)
        self.wait_until("the pool accepts shares", lambda: client.metric("sv2_server_shares_accepted_total") >= 3, DEADLINE)
        self.wait_until("it says so itself", lambda: pool.metric("sv2_client_shares_accepted_total") >= 3, 60)
        self.assert_no_block_is_lost(client)
        self.assertGreaterEqual(len(node.call("getblock", node.call("getblockhash", start + 1))["tx"]), 1 + coins)
        return node, pool, client

    def test_jdc_propagates_block_with_bitcoin_core_ipc(self):
        self.mines_for_the_pool(ipc_source, coins=300)

    @whole_matrix
    def test_jdc_propagates_block_with_json_rpc(self):
        self.mines_for_the_pool(rpc_source, coins=300)

    def test_jdc_fallback_to_solo_mines_block_with_bitcoin_core_ipc(self):
        """And back, with the same miner on the same connection."""
        node, pool, client = self.mines_for_the_pool(ipc_source)
        pool.process.kill()
        self.wait_for_solo_work(client)
        self.wait_for_blocks_that_pay(SOLO, node)
        pool.process.start()
        pool.wait()
        self.wait_for_pool_work(client, times=2)
        self.wait_for_blocks_that_pay(PAYOUT, node)
        self.assertEqual(client.metric("adit_falls_to_solo_total"), 1)
        self.assertEqual(client.metric("adit_connections_opened_total"), 1)
        self.assert_no_block_is_lost(client)

    @whole_matrix
    def test_a_pool_that_hangs_is_left_and_returned_to(self):
        node, pool, client = self.mines_for_the_pool(ipc_source)
        pool.process.child.send_signal(signal.SIGSTOP)
        self.wait_for_solo_work(client)
        self.wait_for_blocks_that_pay(SOLO, node)
        pool.process.child.send_signal(signal.SIGCONT)
        self.wait_for_pool_work(client, times=2)
        self.wait_for_blocks_that_pay(PAYOUT, node)
        self.assert_no_block_is_lost(client)

    def test_jdc_solo_mining_with_bitcoin_core_ipc(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(17)
        client = JdClient(self, ipc_source(node), [], payout=SOLO, mode="SOLOMINING")
        Miner(self, client.url())
        self.wait_for_blocks_that_pay(SOLO, node)
        self.assert_no_block_is_lost(client)

    def translated(self, aggregate):
        node, pool = self.node_and_pool()
        client = self.client(ipc_source(node), pool)
        self.wait_for_pool_work(client)
        translator = SriTranslator(self, client.url(), aggregate_channels=aggregate)
        miners = [Miner(self, translator.address) for _ in range(2)]
        self.wait_until("the pool accepts shares", lambda: pool.metric("sv2_client_shares_accepted_total") >= 3, DEADLINE)
        self.wait_for_blocks_that_pay(PAYOUT, node, 1)
        self.wait_until("all miners are there", lambda: client.metric("sv2_client_channels") == (1 if aggregate else len(miners)), 60)
        self.assertEqual(pool.metric("sv2_client_channels"), 1)
        self.assert_no_block_is_lost(client)

    @whole_matrix
    def test_jd_non_aggregated_tproxy_integration(self):
        self.translated(False)

    @whole_matrix
    def test_jd_aggregated_tproxy_integration(self):
        self.translated(True)

    @whole_matrix
    def test_jdc_sends_per_upstream_identity(self):
        _node, pool, _client = self.mines_for_the_pool(rpc_source)
        self.assertIn('user_identity="farm"', http_get(f"http://127.0.0.1:{pool.monitoring}/metrics"))


if __name__ == "__main__":
    unittest.main()
