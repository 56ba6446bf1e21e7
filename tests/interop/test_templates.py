"""Template distribution with a real node and with SRI's pool: `adit template` on Bitcoin Core. What holds is asked of the node."""
from adit import ADIT, Miner, Pool, TemplateProvider, assert_pays_us, ipc_source, rpc_source, sv2_source
from bitcoin_core import BitcoinCore
from processes import InteropTest, whole_matrix
from sri import SriJdClient, SriPool, sri_provider_source
from transactions import Coins


class Templates(InteropTest):
    def wait_for_height(self, node, height, deadline=90):
        self.wait_until(f"the node is at height {height}", lambda: node.height() >= height, deadline)

    def node(self):
        """Its next block's height is pushed as bytes: SRI's programs need that."""
        node = BitcoinCore(self)
        node.mine_elsewhere(17)
        return node

    def mine_on_sris_pool(self, source_of):
        """SRI's pool, with a miner of ours, on our provider on a real node: the node's blocks are SRI's pool's."""
        node = self.node()
        provider = TemplateProvider(self, source_of(node))
        self.wait_until("the provider has work", lambda: provider.events("provider.source"), 60)
        pool = SriPool(self, None, self.folder / "sri.key", source=sri_provider_source(provider))
        height = node.height()
        Miner(self, pool.url)
        self.wait_for_height(node, height + 3, 120)
        assert_pays_us(self, node, range(height + 1, height + 4))
        self.wait_until("the metrics show it", lambda: provider.metric("adit_template_solutions_total") >= 3, 30)
        self.assertEqual(provider.metric("adit_template_clients"), 1)
        self.assertEqual(provider.events("provider.solution_refused"), [])
        self.assertEqual({e["verdict"] for e in provider.events("provider.block_answered")} - {"accepted", "duplicate", "stale"}, set())
        # Fees that come between two tips, and a tip of somebody else's.
        node.mine_elsewhere(1)
        self.wait_for_height(node, height + 6, 120)
        self.assertEqual(provider.events("provider.session_ended"), [])

    def test_sris_pool_mines_on_our_provider_by_ipc(self):
        self.mine_on_sris_pool(ipc_source)

    @whole_matrix
    def test_sris_pool_mines_on_our_provider_by_rpc(self):
        self.mine_on_sris_pool(rpc_source)

    def mine_through(self, transport, **options):
        """Our pool on our provider, thousands of transactions: whole blocks reach the journal, solutions the node."""
        node = self.node()
        Coins(node, 600).send(500, 2_000)
        provider = TemplateProvider(self, ipc_source(node), iroh=transport == "iroh")
        pool = Pool(self, sv2_source(provider.url(transport), **options))
        self.wait_until("the pool has work", lambda: [e for e in pool.events("pool.templates") if e["state"] == "ready"], 60)
        height = node.height()
        miner = Miner(self, pool.url("tcp"))
        self.wait_for_height(node, height + 3)
        miner.process.stop()
        first = node.call("getblock", node.call("getblockhash", height + 1), 2)
        self.assertGreater(len(first["tx"]), 500)
        self.assertEqual([e for e in pool.events("ledger.block_lost")], [])
        answered = self.wait_until("the pool hears of each", lambda: pool.events("pool.block_answered") if len(
            pool.events("pool.block_answered")) >= 3 else None, 60)
        self.assertEqual({e["verdict"] for e in answered[:1]}, {"accepted"})
        return node, provider, pool

    def test_our_pool_on_our_provider_over_iroh_survives_the_end_of_either(self):
        node, provider, pool = self.mine_through("iroh")
        height = node.height()
        provider.process.kill()
        self.wait_until("the pool notices", lambda: pool.events("template.upstream_lost"), 60)
        provider.process.start()
        Miner(self, pool.url("tcp"))
        self.wait_for_height(node, height + 2)
        self.assertEqual({e["transport"] for e in pool.events("template.upstream_ready")}, {"iroh"})
        node.kill_and_restart()
        self.wait_for_height(node, node.height() + 2)

    @whole_matrix
    def test_our_pool_on_our_provider_over_tcp(self):
        self.mine_through("tcp")

    @whole_matrix
    def test_transactions_are_asked_for_when_a_block_is_found(self):
        _, provider, pool = self.mine_through("tcp", fetch_transactions=False)
        self.assertEqual(pool.events("template.transactions_missing"), [])
        self.wait_until("asked for by blocks alone", lambda: provider.metric("adit_template_transactions_total") <= len(
            pool.events("pool.block_found")), 30)

    def provider_of_transactions(self, source_of):
        """A node with a hundred transactions in its mempool, and our provider on it."""
        node = self.node()
        Coins(node, 600).send(100, 2_000)
        provider = TemplateProvider(self, source_of(node))
        self.wait_until("the provider has work", lambda: provider.events("provider.source"), 60)
        return node, provider

    @whole_matrix
    def test_sris_jd_client_mines_for_itself_on_our_provider(self):
        node, provider = self.provider_of_transactions(ipc_source)
        jd_client = SriJdClient(self, sri_provider_source(provider))
        jd_client.wait()
        height = node.height()
        Miner(self, jd_client.url)
        self.wait_for_height(node, height + 3, 120)
        assert_pays_us(self, node, range(height + 2, height + 4))
        first = node.call("getblock", node.call("getblockhash", height + 1))
        self.assertGreater(first["nTx"], 100)
        self.wait_until("the metrics show it", lambda: provider.metric("adit_template_solutions_total") >= 3, 30)
        self.assertEqual(provider.events("provider.solution_refused"), [])
        self.assertEqual(provider.events("provider.session_ended"), [])

    @whole_matrix
    def test_sris_jd_client_declares_our_providers_templates_to_sris_pool(self):
        """Their pool has its own templates of the node, by IPC, and takes the jd-client's, for which that asks our provider for the
        transactions."""
        node, provider = self.provider_of_transactions(ipc_source)
        pool = SriPool(self, node, self.folder / "sri.key", jds=True)
        jd_client = SriJdClient(self, sri_provider_source(provider), {
            "pool": ("127.0.0.1", pool.port), "jds": ("127.0.0.1", pool.jds_port), "authority": pool.authority})
        jd_client.wait()
        height = node.height()
        Miner(self, jd_client.url)
        self.wait_for_height(node, height + 3, 120)
        self.wait_until("transactions were asked for", lambda: provider.metric("adit_template_transactions_total") >= 1, 60)
        self.wait_until("a solution came to the provider", lambda: provider.metric("adit_template_solutions_total") >= 1, 60)
        self.assertEqual(provider.events("provider.session_ended"), [])
        self.assertIn("SetCustomMiningJobSuccess", jd_client.process.text())

    @whole_matrix
    def test_ping_shows_a_providers_work(self):
        node = self.node()
        provider = TemplateProvider(self, ipc_source(node))
        self.wait_until("the provider has work", lambda: provider.events("provider.source"), 60)
        told = self.run_to_end(ADIT, "ping", "--protocol", "templates", provider.url("tcp"))
        self.assertIn("for block 18, 5000000000 sat", told)
        self.assertIn("  transactions  0, 0 bytes", told)
