"""A pool that takes its work from a template provider, as processes that meet over TCP and over iroh on this machine. Real nodes
and SRI's programs are in tests/interop."""
from adit import ADIT, Miner, Pool, TemplateProvider, sv2_source
from processes import InteropTest

DEADLINE = 120
# Each share is a block.
EASY_CHAIN = "[template_provider_type.Embedded]\n"


class Templates(InteropTest):
    def wait_for_blocks(self, provider, more_than):
        return self.wait_until(f"more than {more_than} blocks of the pool's are the chain's",
                               lambda: provider.metric("adit_template_height") > more_than + 1 and provider.metric("adit_template_height"),
                               DEADLINE)

    def mine_over(self, transport, alpn=None):
        provider = TemplateProvider(self, EASY_CHAIN, iroh=transport == "iroh")
        url = provider.url(transport)
        pool = Pool(self, sv2_source(url + (f"&alpn={alpn}" if alpn else "")))
        Miner(self, pool.url("tcp"))
        self.wait_for_blocks(provider, 2)
        ready = pool.events("template.upstream_ready")
        self.assertEqual([e["transport"] for e in ready], [transport])
        self.assertEqual(ready[0]["authority"], provider.authority)
        self.assertEqual({e["verdict"] for e in pool.events("pool.block_answered")}, {"accepted"})
        self.assertEqual(provider.events("provider.solution_refused"), [])
        return provider, pool, ready[0]

    def test_work_and_blocks_go_over_tcp(self):
        self.mine_over("tcp")

    def test_work_and_blocks_go_over_lanes(self):
        _, _, ready = self.mine_over("iroh")
        self.assertEqual((ready["alpn"], ready["lanes"]), ("adit/sv2/1", 2))

    def test_a_client_without_lanes_gets_one_stream(self):
        _, _, ready = self.mine_over("iroh", alpn="sv2-tp")
        self.assertEqual((ready["alpn"], ready["lanes"]), ("sv2-tp", 1))

    def test_a_provider_that_is_killed_is_waited_for_and_found_again(self):
        provider, pool, _ = self.mine_over("iroh")
        provider.process.kill()
        self.wait_until("the pool says so", lambda: pool.events("pool.templates")[-1]["state"] == "waiting", DEADLINE)
        provider.process.start()
        self.wait_until("it has work again", lambda: pool.events("pool.templates")[-1]["state"] == "ready", DEADLINE)
        self.wait_for_blocks(provider, 1)  # The embedded chain began anew.

    def test_another_provider_at_the_address_is_not_believed(self):
        provider = TemplateProvider(self, EASY_CHAIN)
        other = self.run_to_end(ADIT, "keys", "authority", "--out", self.folder / "other.key").strip()
        pool = Pool(self, sv2_source(f"127.0.0.1:{provider.port}", public_key=other))
        failed = self.wait_until("the pool says why", lambda: pool.events("template.upstream_failed"), DEADLINE)
        self.assertEqual(failed[0]["error"], "handshake")
        self.assertEqual(pool.events("pool.templates")[-1]["state"], "waiting")
        self.assertEqual(pool.events("template.upstream_ready"), [])

    def test_a_provider_may_let_in_the_pools_it_knows_alone(self):
        known = self.run_to_end(ADIT, "keys", "node", "--out", self.folder / "known.key").strip()
        provider = TemplateProvider(self, EASY_CHAIN, iroh=f'allowed_endpoint_ids = ["{known}"]')
        source = sv2_source(provider.url("iroh"))
        stranger = Pool(self, source)
        self.wait_until("a stranger is refused", lambda: stranger.events("template.upstream_failed"), DEADLINE)
        self.assertEqual(stranger.events("template.upstream_ready"), [])
        stranger.process.stop()
        (self.folder / "pool-authority.key").unlink()
        pool = Pool(self, source, iroh=f'secret_key_file = "{self.folder / "known.key"}"\nbind_addresses = ["127.0.0.1:0"]')
        self.wait_until("the pool that it knows is let in", lambda: pool.events("template.upstream_ready"), DEADLINE)

    def test_a_provider_of_a_provider_hands_blocks_through(self):
        first = TemplateProvider(self, EASY_CHAIN)
        second = TemplateProvider(self, sv2_source(first.url("tcp")), name="second")
        pool = Pool(self, sv2_source(second.url("tcp")))
        Miner(self, pool.url("tcp"))
        self.wait_for_blocks(first, 2)
        self.assertEqual({e["verdict"] for e in second.events("provider.block_answered")}, {"accepted"})

    def test_a_pool_that_asks_for_mining_there_is_told_what_it_reached(self):
        provider = TemplateProvider(self, EASY_CHAIN)
        told = self.run_to_end(ADIT, "ping", "--protocol", "templates", provider.url("tcp"))
        self.assertIn("  template      for block 1, 5000000000 sat", told)
        miner = Miner(self, provider.url("tcp"))
        failed = self.wait_until("the miner says why", lambda: miner.events("miner.upstream_failed"), DEADLINE)
        self.assertIn("unsupported-protocol", failed[0]["reason"])
