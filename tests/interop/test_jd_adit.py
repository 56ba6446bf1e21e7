"""adit's job declarator client with adit's pool and declarator, on Bitcoin Core: over TCP and over iroh, and while each process in
turn is killed or stands still, under a Stratum V2 and a Stratum V1 miner."""
import signal
import time
import unittest

from adit import ADIT, PAYOUT, JdClient, JdServer, Miner, Pool, ipc_source, metric, rpc_source
from bitcoin_core import BitcoinCore
from declaring import DEADLINE, SOLO, DeclaringTest
from processes import free_port, whole_matrix
from transactions import Coins


class JdClientWithAdit(DeclaringTest):
    def begin_mining(self, source_of, transport="tcp", coins=0):
        """A node, a pool with a declarator, a client with a miner of each kind; returns when blocks of declared jobs are there."""
        self.node = BitcoinCore(self)
        if coins:
            Coins(self.node, coins).send(coins, 2_000)
        else:
            self.node.mine_elsewhere(17)
        jds_port = free_port()
        self.pool = Pool(self, f'{source_of(self.node)}\n[jds]\nlisten_address = "127.0.0.1:{jds_port}"\n', iroh=f'bind_addresses = ["127.0.0.1:{free_port()}"]' if transport == "iroh" else False)
        url = self.pool.url(transport)
        jds = url if transport == "iroh" else f"stratum2+tcp://127.0.0.1:{jds_port}/{self.pool.authority.strip()}"
        self.client = JdClient(self, source_of(self.node), [(url, jds, "farm")], payout=SOLO, sv1=True,
                               iroh=transport == "iroh")
        self.wait_for_pool_work(self.client)
        start = self.node.height()
        self.miners = [Miner(self, self.client.url()), Miner(self, f"127.0.0.1:{self.client.sv1_port}")]
        self.wait_for_blocks_that_pay(PAYOUT, self.node)
        if coins:
            self.assertGreaterEqual(len(self.node.call("getblock", self.node.call("getblockhash", start + 1))["tx"]), 1 + coins)
        self.wait_until("the pool accepts shares", lambda: self.pool.metric("sv2_client_shares_accepted_total") >= 3, DEADLINE)

    def assert_it_holds(self, connections=1):
        opened = lambda: self.client.metric("adit_connections_opened_total")
        self.wait_until("the monitor has looked", lambda: opened() >= connections, DEADLINE)
        self.assertEqual(opened(), connections, "no miner was sent away")
        self.assert_no_block_is_lost(self.client)
        # A pool that stood still may be told of a block that the chain has left far behind.
        self.assertEqual([e for e in self.pool.events("pool.block_answered")
                          if e["verdict"] == "rejected" and not e["reason"].startswith("given up")], [])

    def declares_and_mines(self, source_of, transport):
        self.begin_mining(source_of, transport, coins=300)
        self.wait_until("its jobs are counted", lambda: self.pool.metric("adit_jds_custom_jobs_total") >= 1, DEADLINE)
        self.assertEqual(self.pool.events("jds.job_refused"), [])
        self.assert_it_holds()

    def test_over_iroh_by_ipc(self):
        self.declares_and_mines(ipc_source, "iroh")

    @whole_matrix
    def test_over_iroh_by_json_rpc(self):
        self.declares_and_mines(rpc_source, "iroh")

    @whole_matrix
    def test_over_tcp_by_ipc(self):
        self.declares_and_mines(ipc_source, "tcp")

    @whole_matrix
    def test_over_tcp_by_json_rpc(self):
        self.declares_and_mines(rpc_source, "tcp")

    def declares_beside_the_pool(self, transport):
        """The declarator is a process of its own, that is killed and comes back."""
        self.node = BitcoinCore(self)
        Coins(self.node, 300).send(300, 2_000)
        jds_port, monitoring = free_port(), free_port()
        token = self.folder / "jds.key"
        self.run_to_end(ADIT, "keys", "token", "--out", token)
        self.pool = Pool(self, f'''{ipc_source(self.node)}
[jds]
listen_address = "127.0.0.1:{jds_port}"
token_key_file = "{token}"
monitoring_address = "127.0.0.1:{monitoring}"
monitoring_cache_refresh_secs = 1
''', iroh=f'bind_addresses = ["127.0.0.1:{free_port()}"]' if transport == "iroh" else False)
        url = self.pool.url(transport)
        declarator = JdServer(self, self.pool)
        self.client = JdClient(self, ipc_source(self.node), [(url, declarator.url(transport), "farm")], payout=SOLO,
                               iroh=transport == "iroh")
        self.wait_for_pool_work(self.client)
        start = self.node.height()
        Miner(self, self.client.url())
        self.wait_for_blocks_that_pay(PAYOUT, self.node)
        self.assertGreaterEqual(len(self.node.call("getblock", self.node.call("getblockhash", start + 1))["tx"]), 301)
        self.wait_until("the pool takes its jobs", lambda: self.pool.metric("adit_jds_custom_jobs_total") >= 1, DEADLINE)
        self.wait_until("it shows what was declared", lambda: metric(monitoring, "adit_jds_jobs_declared_total") >= 1, DEADLINE)
        self.assertEqual(self.pool.events("jds.listening"), [])
        declarator.process.kill()
        self.wait_for_solo_work(self.client)
        declarator.process.start()
        self.wait_for_pool_work(self.client, times=2)
        self.wait_for_blocks_that_pay(PAYOUT, self.node)
        self.assert_no_block_is_lost(self.client)

    def test_a_declarator_beside_the_pool_over_tcp(self):
        self.declares_beside_the_pool("tcp")

    @whole_matrix
    def test_a_declarator_beside_the_pool_over_iroh(self):
        self.declares_beside_the_pool("iroh")

    def follows_the_pools_tip(self, transport):
        """The client's node hears of a block after the pool's."""
        pools, own = BitcoinCore(self, name="pools"), BitcoinCore(self, name="own")
        pools.mine_elsewhere(17)
        tell = lambda height: own.call("submitblock", pools.call("getblock", pools.call("getblockhash", height), 0))
        for height in range(1, 18):
            tell(height)
        jds_port = free_port()
        pool = Pool(self, f'{ipc_source(pools)}\n[jds]\nlisten_address = "127.0.0.1:{jds_port}"\n',
                    iroh=f'bind_addresses = ["127.0.0.1:{free_port()}"]' if transport == "iroh" else False)
        url = pool.url(transport)
        jds = url if transport == "iroh" else f"stratum2+tcp://127.0.0.1:{jds_port}/{pool.authority.strip()}"
        client = JdClient(self, ipc_source(own), [(url, jds, "farm")], payout=SOLO, iroh=transport == "iroh", keys="follow_pool_tip = true")
        self.wait_for_pool_work(client)
        for height, late in ((18, 0), (19, 15)):
            pools.mine_elsewhere(1)
            times = height - 17
            self.wait_until("the pool's tip is followed", lambda: len(client.events("jd_client.pool_tip_followed")) == times, DEADLINE)
            self.assertEqual(client.events("jd_client.pool_tip_followed")[-1]["height"], height + 1)
            time.sleep(late)
            tell(height)
            self.wait_until("our own work is mined again", lambda: len(client.events("jd_client.pool_tip_left")) == times, DEADLINE)
        self.assertEqual([event["reason"] for event in client.events("jd_client.pool_tip_left")],
                         ["our node has caught up", "our node has not caught up"])
        self.assertEqual(client.events("jd_client.solo_work"), [])

    def test_the_pools_newer_tip_is_followed_over_tcp(self):
        self.follows_the_pools_tip("tcp")

    @whole_matrix
    def test_the_pools_newer_tip_is_followed_over_iroh(self):
        self.follows_the_pools_tip("iroh")

    def pool_fails(self, transport, end, begin):
        self.begin_mining(ipc_source, transport)
        end(self.pool.process)
        self.wait_for_solo_work(self.client)
        self.wait_for_blocks_that_pay(SOLO, self.node)
        begin(self.pool.process)
        self.wait_for_pool_work(self.client, times=2)
        self.wait_for_blocks_that_pay(PAYOUT, self.node)
        self.assert_it_holds()

    def test_miners_stay_while_the_pool_is_killed(self):
        self.pool_fails("tcp", lambda pool: pool.kill(), lambda pool: pool.start())

    @whole_matrix
    def test_miners_stay_while_the_pool_is_killed_over_iroh(self):
        self.pool_fails("iroh", lambda pool: pool.kill(), lambda pool: pool.start())

    @whole_matrix
    def test_miners_stay_while_the_pool_stands_still(self):
        self.pool_fails("tcp", lambda pool: pool.child.send_signal(signal.SIGSTOP), lambda pool: pool.child.send_signal(signal.SIGCONT))

    @whole_matrix
    def test_miners_stay_while_the_pool_stands_still_over_iroh(self):
        self.pool_fails("iroh", lambda pool: pool.child.send_signal(signal.SIGSTOP), lambda pool: pool.child.send_signal(signal.SIGCONT))

    @whole_matrix
    def test_miners_stay_while_the_node_is_killed_or_stands_still(self):
        self.begin_mining(ipc_source)
        self.node.kill_and_restart()
        self.wait_for_blocks_that_pay(PAYOUT, self.node)
        self.node.process.child.send_signal(signal.SIGSTOP)
        try:
            self.wait_until("the client says that its node is away",
                            lambda: any(e["state"] != "ready" for e in self.client.events("jd_client.templates")), DEADLINE)
        finally:
            self.node.process.child.send_signal(signal.SIGCONT)
        self.wait_for_blocks_that_pay(PAYOUT, self.node)
        self.assert_it_holds()

    @whole_matrix
    def test_miners_come_back_to_a_client_that_was_killed_or_stood_still(self):
        self.begin_mining(ipc_source)
        self.client.process.kill()
        self.client.process.start()
        self.wait_for_pool_work(self.client, times=2)
        self.wait_for_blocks_that_pay(PAYOUT, self.node)
        self.client.process.child.send_signal(signal.SIGSTOP)
        time.sleep(15)
        self.client.process.child.send_signal(signal.SIGCONT)
        self.wait_for_blocks_that_pay(PAYOUT, self.node)
        self.assert_it_holds()


if __name__ == "__main__":
    unittest.main()
