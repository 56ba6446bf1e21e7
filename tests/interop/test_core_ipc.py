"""adit on Bitcoin Core's IPC socket. What holds is asked of the node, by its own RPC."""
import os
import signal
import subprocess
import unittest

from adit import ADIT, Miner, Pool, TemplateProvider, assert_pays_us, ipc_source, rpc_source
from bitcoin_core import SOMEBODY_ELSE, BitcoinCore
from processes import InteropTest, whole_matrix
from transactions import Coins

# An address of every test network but regtest.
TESTNET_PAYOUT = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"


class CoreIpc(InteropTest):
    def pool_and_miner(self, node, **options):
        pool = Pool(self, ipc_source(node, **options))
        Miner(self, pool.url("tcp"))
        return pool

    def wait_for_height(self, node, height, deadline=90):
        self.wait_until(f"the node is at height {height}", lambda: node.height() >= height, deadline)

    def source_message(self, pool, words, deadline=60):
        """Waits until the pool says of its source what `words` are part of; returns that event."""
        return self.wait_until(f"the pool says '{words}'", lambda: next(
            (e for e in reversed(pool.events("pool.templates")) if words in e["message"]), None), deadline)

    def test_the_node_accepts_blocks(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(1)
        pool = self.pool_and_miner(node)
        self.wait_for_height(node, 5)
        assert_pays_us(self, node, range(2, node.height() + 1))
        self.assertEqual([e for e in pool.events("pool.block_answered") if e["verdict"] not in ("accepted", "stale")], [])
        self.assertGreaterEqual(len(pool.events("pool.block_answered")), 3)
        self.assertEqual(pool.events("pool.templates")[-1]["state"], "ready")

    @whole_matrix
    def test_the_first_blocks_of_a_chain_are_accepted(self):
        """Their height is one opcode."""
        node = BitcoinCore(self)
        self.pool_and_miner(node)
        self.wait_for_height(node, 18)
        assert_pays_us(self, node, range(1, 19))

    def test_mining_goes_on_after_the_node_was_killed_or_stopped_under_load(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(1)
        pool = self.pool_and_miner(node)
        self.wait_for_height(node, 3)
        for restart in (node.kill_and_restart, node.stop_and_restart, node.kill_and_restart):
            # Bitcoin Core 31.99 may abort while it ends, if a block comes in then (CanFlushToDisk): for us that is a kill.
            self.assertIn(restart(), (None, 0, -signal.SIGABRT))
            self.wait_for_height(node, node.height() + 3)
        self.assertIn("waiting", [e["state"] for e in pool.events("pool.templates")])
        assert_pays_us(self, node, range(node.height() - 2, node.height() + 1))
        # Nothing that was found is left without an answer.
        self.wait_until("every block is answered", lambda: len(pool.events("pool.block_answered")) >= len(
            pool.events("pool.block_found")) - 5, 60)
        self.assertEqual([e for e in pool.events("pool.block_answered") if e["verdict"] == "rejected"], [])

    def test_an_end_of_the_node_is_not_held_up_by_our_wait(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(1)
        pool = Pool(self, ipc_source(node))
        self.wait_until("the pool has work", lambda: pool.events("pool.templates"), 30)
        self.assertEqual(node.stop_and_restart(deadline=10), 0)
        self.wait_until("the pool has work again", lambda: pool.events("pool.templates")[-1]["state"] == "ready", 30)
        Miner(self, pool.url("tcp"))
        self.wait_for_height(node, 3)

    def test_a_node_in_its_initial_download_is_waited_for(self):
        node = BitcoinCore(self, "-connect=0", chain="testnet4")
        pool = Pool(self, ipc_source(node, network="testnet4"), payout=TESTNET_PAYOUT)
        event = self.source_message(pool, "downloading the chain")
        self.assertEqual(event["state"], "waiting")
        node.process.stop()
        self.assertEqual(self.source_message(pool, "no node listens at")["state"], "waiting")

    @whole_matrix
    def test_a_node_on_another_network_is_refused_and_both_are_named(self):
        node = BitcoinCore(self)
        pool = Pool(self, ipc_source(node, network="signet"), payout=TESTNET_PAYOUT)
        event = self.source_message(pool, "the node is on regtest, but the configuration is for signet")
        self.assertEqual(event["state"], "misconfigured")

    @whole_matrix
    def test_a_node_without_ipc_is_told_how_to_be_started(self):
        node = BitcoinCore(self, ipc=False)
        pool = Pool(self, ipc_source(node))
        self.source_message(pool, "-ipcbind=unix")

    def test_a_deep_reorganisation_is_followed_there_and_back(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(40)
        old_tip = node.call("getblockhash", 40)
        fork = node.call("getblockhash", 5)
        pool = Pool(self, ipc_source(node))
        self.wait_until("the pool has work", lambda: pool.events("pool.templates"), 30)
        node.call("invalidateblock", fork)
        self.assertEqual(node.height(), 4)
        Miner(self, pool.url("tcp"))
        self.wait_for_height(node, 8)
        assert_pays_us(self, node, range(5, 9))
        self.processes[-1].kill()  # So that the old chain keeps more work than ours.
        self.wait_until("nothing is found any more", lambda: node.height() < 40, 10)
        node.call("reconsiderblock", fork)
        self.wait_until("the old chain is the best again", lambda: node.call("getblockhash", 40) == old_tip, 30)
        Miner(self, pool.url("tcp"))
        self.wait_for_height(node, 42)
        assert_pays_us(self, node, range(41, 43))

    def full_mempool(self, node, transactions=3000):
        """More than a block holds. Returns what is in it, fees by id."""
        coins = Coins(node, transactions)
        for fee in (3_000, 5_000, 9_000):
            coins.send(transactions // 3, fee, size=300)
        pool = node.call("getrawmempool", True)
        self.assertEqual(len(pool), transactions)
        self.assertGreater(sum(entry["weight"] for entry in pool.values()), 4_000_000)
        return pool

    def test_a_full_block_of_a_mempool_of_thousands_is_valid_and_pays_its_fees(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(1)
        self.full_mempool(node)
        height = node.height()
        self.pool_and_miner(node)
        self.wait_for_height(node, height + 1)
        block = node.call("getblock", node.call("getblockhash", height + 1), 2)
        self.assertGreater(block["weight"], 3_980_000)
        self.assertGreater(len(block["tx"]), 2000)
        fees = sum(round(tx["fee"] * 100_000_000) for tx in block["tx"][1:])
        paid = sum(round(output["value"] * 100_000_000) for output in block["tx"][0]["vout"])
        subsidy = 5_000_000_000 >> ((height + 1) // 150)
        self.assertEqual(paid, subsidy + fees)

    @whole_matrix
    def test_fees_that_come_later_are_in_the_next_block(self):
        node = BitcoinCore(self)
        coins = Coins(node, 600)
        pool = Pool(self, ipc_source(node, fee_threshold=100_000, min_interval=0))
        self.wait_until("the pool has work", lambda: pool.events("pool.templates"), 30)
        fees = coins.send(500, 1_000)
        height = node.height()
        self.wait_until("the node has made a template of them", lambda: "txs: 500 fees: 500000" in node.process.text(), 30)
        Miner(self, pool.url("tcp"))
        self.wait_for_height(node, height + 1)
        block = node.call("getblock", node.call("getblockhash", height + 1), 2)
        self.assertEqual(sum(round(tx["fee"] * 100_000_000) for tx in block["tx"][1:]), fees)

    def test_the_same_node_gives_the_same_work_by_rpc_by_ipc_and_through_a_provider(self):
        # getblocktemplate reserves 8000 weight units unless the node is told what we ask for by IPC.
        node = BitcoinCore(self, "-blockreservedweight=2000")
        node.mine_elsewhere(17)
        self.providers = [TemplateProvider(self, ipc_source(node, min_interval=0, empty_first=True), name="ipc-provider"),
                          TemplateProvider(self, rpc_source(node), name="rpc-provider")]
        for provider in self.providers:
            self.wait_until("the provider has work", lambda: provider.events("provider.source"), 60)
        self.compare_sources(node)
        coins = Coins(node, 600)
        coins.send(100, 2_000)
        self.compare_sources(node)
        self.full_mempool(node)
        self.compare_sources(node)

    def compare_sources(self, node):
        """Templates of each, and a block found on each: adit_node_sources says what differs."""
        env = {**os.environ, "ADIT_NODE_SOCKET": str(node.socket), "ADIT_NODE_PORT": str(node.port), "ADIT_NODE_COOKIE": str(node.cookie),
               "ADIT_IPC_PROVIDER_PORT": str(self.providers[0].port), "ADIT_RPC_PROVIDER_PORT": str(self.providers[1].port)}
        # What getblocktemplate knows of the mempool may be five seconds old: a tip brings it up to date.
        height = node.height()
        node.call("generateblock", SOMEBODY_ELSE, [])
        self.wait_until("the providers know the tip", lambda: all(
            provider.metric("adit_template_height") == height + 2 for provider in self.providers), 60)
        ran = subprocess.run([os.environ["ADIT_NODE_SOURCES"], "--gtest_color=no"], env=env, capture_output=True, text=True, timeout=300)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertIn("[  PASSED  ] 4 tests", ran.stdout)
        self.assertEqual(node.height(), height + 6)

    @whole_matrix
    def test_ping_tells_what_the_node_is(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(3)
        told = self.run_to_end(ADIT, "ping", f"unix:{node.socket}")
        self.assertIn("regtest, block 3 of 3", told)
        self.assertIn("for block 4, 5000000000 sat", told)

    @whole_matrix
    def test_blocks_reach_one_node_by_ipc_and_by_rpc(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(1)
        pool = Pool(self, ipc_source(node) + f'''
[[nodes]]
url = "http://127.0.0.1:{node.port}"
cookie_file = "{node.cookie}"
templates = false
''')
        Miner(self, pool.url("tcp"))
        self.wait_for_height(node, 4)
        answers = self.wait_until("both ways were answered", lambda: {e["node"] for e in pool.events("ledger.node_answered")} if len(
            {e["node"] for e in pool.events("ledger.node_answered")}) == 2 else None, 30)
        self.assertEqual(answers, {str(node.socket), f"127.0.0.1:{node.port}"})

    @whole_matrix
    def test_work_comes_by_rpc_while_the_socket_is_away(self):
        """Two nodes, one by IPC and preferred, one by RPC."""
        first = BitcoinCore(self)
        first.mine_elsewhere(1)
        second = BitcoinCore(self, name="second")
        second.mine_elsewhere(1)
        pool = Pool(self, ipc_source(first) + f'''
[[nodes]]
url = "http://127.0.0.1:{second.port}"
cookie_file = "{second.cookie}"
''')
        Miner(self, pool.url("tcp"))
        self.wait_for_height(first, 3)
        first.process.kill()
        height = second.height()
        self.wait_for_height(second, height + 2)
        switched = pool.events("template.source_switched")
        self.assertEqual(switched[-1]["to"], f"127.0.0.1:{second.port}")
        assert_pays_us(self, second, range(height + 1, height + 3))


if __name__ == "__main__":
    unittest.main()
