"""Job declaration: SRI's jd-client with our pool and declarator, on a Bitcoin Core node. What holds is asked of the node."""
import unittest

from adit import PAYOUT, Miner, Pool, ipc_source, rpc_source
from bitcoin_core import BitcoinCore
from processes import InteropTest, free_port, whole_matrix
from sri import SriJdClient, sri_ipc_source
from transactions import Coins


class JobDeclaration(InteropTest):
    def pool_with_declarator(self, source, keys="", **options):
        self.jds_port = free_port()
        pool = Pool(self, f'{source}\n[jds]\nlisten_address = "127.0.0.1:{self.jds_port}"\n{keys}', options=("--log-level", "debug"), **options)
        self.upstream = {"pool": ("127.0.0.1", self.pool_port(pool)), "jds": ("127.0.0.1", self.jds_port),
                         "authority": pool.authority.strip(), "identity": "sri-jdc"}
        return pool

    def another_client(self, node):
        """Beside those that there are, with a key of its own."""
        (self.folder / "sri-jd-client.key").unlink(missing_ok=True)
        client = SriJdClient(self, sri_ipc_source(node), self.upstream)
        client.wait()
        return client

    def pool_port(self, pool):
        return int(self.parts(pool.url("tcp"))[1])

    def wait_for_height(self, node, height, deadline=120):
        self.wait_until(f"the node is at height {height}", lambda: node.height() >= height, deadline)

    def declared_and_mined(self, source_of):
        node = BitcoinCore(self)
        coins = Coins(node, 300)
        coins.send(300, 2_000)
        pool = self.pool_with_declarator(source_of(node))
        client = SriJdClient(self, sri_ipc_source(node), self.upstream, log="debug")
        client.wait()
        Miner(self, client.url)
        start = node.height()
        self.wait_until("a declared job was taken by the pool", lambda: pool.metric("adit_jds_custom_jobs_total") >= 1, 60)
        self.wait_until("shares of declared jobs were accepted", lambda: pool.metric("sv2_client_shares_accepted_total") >= 3, 120)
        self.wait_for_height(node, start + 3)
        self.assertGreaterEqual(len(node.call("getblock", node.call("getblockhash", start + 1))["tx"]), 301)
        self.wait_until("the pool had its blocks answered", lambda: len(pool.events("pool.block_answered")) >= 3, 60)
        for event in pool.events("pool.block_answered"):
            self.assertIn(event["verdict"], ("accepted", "duplicate", "stale"))
        found = [event["hash"] for event in pool.events("pool.block_answered")]
        self.assertEqual(len(found), len(set(found)), "each block is counted once")
        self.assertEqual(pool.events("jds.job_refused"), [])
        for height in range(start + 1, start + 4):
            paid = {output["scriptPubKey"].get("address"): output["value"] for output in node.coinbase(height)["vout"]}
            self.assertIn(PAYOUT, paid)
        return node, pool

    @whole_matrix
    def test_sris_client_declares_to_a_pool_on_json_rpc(self):
        self.declared_and_mined(rpc_source)

    @whole_matrix
    def test_sris_client_declares_to_a_pool_on_ipc(self):
        self.declared_and_mined(ipc_source)

    @whole_matrix
    def test_jds_ask_for_missing_transactions(self):
        """The miner's mempool is its own; and a block of it reaches the pool's node though the two nodes have lost each other."""
        peer_port = free_port()
        pools = BitcoinCore(self, "-blocksonly=1", "-listen=1", f"-bind=127.0.0.1:{peer_port}", name="pools")
        miners = BitcoinCore(self, f"-connect=127.0.0.1:{peer_port}", name="miners")
        self.wait_until("the nodes know each other", lambda: miners.call("getconnectioncount") > 0, 60)
        coins = Coins(miners, 300)
        self.wait_until("the pool's node has the chain", lambda: pools.height() == miners.height(), 60)
        coins.send(300, 2_000)
        self.assertEqual(pools.call("getmempoolinfo")["size"], 0)
        pool = self.pool_with_declarator(ipc_source(pools))
        client = SriJdClient(self, sri_ipc_source(miners), self.upstream)
        client.wait()
        start = pools.height()
        Miner(self, client.url)
        self.wait_for_height(pools, start + 1)
        self.wait_until("the client was asked for them", lambda: pool.metric("adit_jds_transactions_missing_total") >= 300, 30)
        self.assertGreaterEqual(len(pools.call("getblock", pools.call("getblockhash", start + 1))["tx"]), 301)
        self.wait_until("a block comes to the pool's node by the pool alone", lambda: self.comes_alone(pools, miners), 180)
        self.assertEqual(pool.metric("adit_jds_custom_jobs_refused_total"), 0)

    def comes_alone(self, pools, miners):
        """A block that is found before its job was declared comes by the network alone: then the nodes have to find each other again."""
        miners.call("setnetworkactive", False)
        before = max(pools.height(), miners.height())
        try:
            self.wait_until("", lambda: pools.height() > before, 10)
            return True
        except AssertionError:
            return False
        finally:
            miners.call("setnetworkactive", True)
            self.wait_until("the nodes agree", lambda: abs(pools.height() - miners.height()) < 2, 60)

    @whole_matrix
    def test_multiple_jdc_sessions(self):
        """Two farms and a third that comes when the first has gone (jds_should_not_panic_if_jdc_shutsdown)."""
        node = BitcoinCore(self)
        node.mine_elsewhere(17)
        pool = self.pool_with_declarator(rpc_source(node))
        first = self.another_client(node)
        second = self.another_client(node)
        self.wait_until("both have come", lambda: pool.metric("adit_jds_clients") == 2, 60)
        Miner(self, second.url)
        self.wait_for_height(node, 19)
        first.process.kill()
        self.wait_until("one has gone", lambda: pool.metric("adit_jds_clients") == 1, 60)
        self.another_client(node)
        height = node.height()
        self.wait_for_height(node, height + 2)
        self.wait_until("the third's jobs are taken", lambda: pool.metric("adit_jds_clients") == 2, 60)

    @whole_matrix
    def test_jdc_coinbase_only_mode_rejected_by_jds(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(17)
        pool = self.pool_with_declarator(rpc_source(node))
        client = SriJdClient(self, sri_ipc_source(node), self.upstream, mode="COINBASEONLY")
        self.wait_until("it is refused", lambda: "missing-declare-tx-data-flag" in client.process.text(), 60)
        self.wait_until("the pool says so", lambda: pool.events("jds.session_ended"), 60)


if __name__ == "__main__":
    unittest.main()
