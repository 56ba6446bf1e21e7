"""A pool whose process is stopped, its kernel alive: the translator and the miner find out, mine on their second pool (the
translator's miner stays connected), and come back; and what `adit ping` says of such a pool."""
import json
import re
import signal
import subprocess

from adit import ADIT, EMBEDDED_SOURCE, PAYOUT, Miner, Role, metric
from processes import InteropTest, free_port, http_get

DEADLINE = 180  # For whatever a test waits for: this machine may be busy.


class Health(InteropTest):
    def pool(self, name):
        folder = self.folder / name
        folder.mkdir()
        self.run_to_end(ADIT, "keys", "authority", "--out", folder / "authority.key")
        monitoring = free_port()
        (folder / "pool.toml").write_text(f'''
listen_address = "127.0.0.1:{free_port()}"
monitoring_address = "127.0.0.1:{monitoring}"
monitoring_cache_refresh_secs = 1
authority_secret_key_file = "{folder / 'authority.key'}"
coinbase_reward_script = "addr({PAYOUT})"
shares_per_minute = 60.0
share_batch_size = 1
threads = 1
data_dir = "{folder / 'data'}"
{EMBEDDED_SOURCE}
[iroh]
bind_addresses = ["127.0.0.1:0"]
''')
        # Each writes a log of its own.
        pool = Role.__new__(Role)
        pool.test = self
        pool.process = self.run_process(name, ADIT, "--log-format", "json", "pool", "-c", folder / "pool.toml")
        pool.monitoring = monitoring
        pool.url = lambda transport: self.wait_until(
            f"{name} says where it listens",
            lambda: next((e["url"] for e in pool.events("pool.listening") if e["transport"] == transport), None), DEADLINE)
        self.addCleanup(pool.process.child.send_signal, signal.SIGCONT)  # Before it is told to end.
        return pool

    def translator(self, *urls):
        config = self.folder / "translator.toml"
        upstreams = "".join(f'[[upstreams]]\nurl = "{url}"\nuser_identity = "health"\ngoodbye = true\n' for url in urls)
        self.monitoring = free_port()
        config.write_text(f'''
downstream_address = "127.0.0.1"
downstream_port = 0
downstream_extranonce2_size = 4
data_dir = "{self.folder / 'translator'}"
threads = 1
monitoring_address = "127.0.0.1:{self.monitoring}"
monitoring_cache_refresh_secs = 1
[downstream_difficulty_config]
min_individual_miner_hashrate = 1_000_000.0
shares_per_minute = 60.0
enable_vardiff = true
{upstreams}
[health]
dead_after_secs = 10
[iroh]
bind_addresses = ["127.0.0.1:0"]
''')
        translator = Role(self, "translator", "-c", config)
        translator.address = self.wait_until("the translator listens", lambda: translator.events("translator.listening"), DEADLINE)[0][
            "address"]
        return translator

    def wait_for_more_shares(self, pool):
        count = lambda: metric(pool.monitoring, "sv2_client_shares_accepted_total")
        before = count()
        self.wait_until("more shares are accepted", lambda: count() > before, DEADLINE)

    def falls_back_and_returns(self, transport):
        first, second = self.pool("first"), self.pool("second")
        urls = [first.url(transport), second.url(transport)]
        translator = self.translator(*urls)
        miner = Miner(self, translator.address)
        used = lambda: [event["url"] for event in translator.events("translator.upstream_ready")]
        self.wait_until("a pool is used", used, DEADLINE)
        self.wait_until("the better pool is used", lambda: used()[-1] == urls[0], DEADLINE)
        self.wait_for_more_shares(first)
        connection = json.loads(http_get(f"http://127.0.0.1:{first.monitoring}/api/v1/connections"))["connections"][0]
        self.assertEqual((connection["transport"], connection["health"]), (transport, "healthy"))
        before = len(used())

        first.process.child.send_signal(signal.SIGSTOP)
        self.wait_until("the second pool takes over", lambda: used()[before:] and used()[-1] == urls[1], DEADLINE)
        told = next(event for event in translator.events("translator.health") if event["url"] == urls[0])
        # Over TCP its kernel goes on answering; iroh stops with the program that it is in.
        self.assertIn(told["reason"], ("late", "hung") if transport == "tcp" else ("silent", "late", "hung"))
        self.wait_for_more_shares(second)
        ill = metric(self.monitoring, "adit_upstream_degraded_total") + metric(self.monitoring, "adit_upstream_dead_total")
        self.assertGreaterEqual(ill, 1)

        first.process.child.send_signal(signal.SIGCONT)
        self.wait_until("the first pool is back in use", lambda: used()[-1] == urls[0], DEADLINE)
        self.wait_for_more_shares(first)
        self.assertEqual(miner.events("miner.disconnected"), [])
        self.assertEqual(translator.events("translator.miner_left"), [])

    def test_a_hung_pool_over_tcp_is_left_and_come_back_to(self):
        self.falls_back_and_returns("tcp")

    def test_a_hung_pool_over_iroh_is_left_and_come_back_to(self):
        self.falls_back_and_returns("iroh")

    def a_miner_falls_back_and_returns(self, transport):
        first, second = self.pool("first"), self.pool("second")
        urls = [first.url(transport), second.url(transport)]
        miner = Miner(self, urls[0], urls[1], "--goodbye")
        used = lambda: [event["url"] for event in miner.events("miner.connected")]
        self.wait_until("the better pool is mined on", lambda: used() and used()[-1] == urls[0], DEADLINE)
        self.wait_for_more_shares(first)
        before = len(used())

        first.process.child.send_signal(signal.SIGSTOP)
        self.wait_until("the second pool takes over", lambda: used()[before:] and used()[-1] == urls[1], DEADLINE)
        told = next(event for event in miner.events("miner.health") if event["url"] == urls[0])
        self.assertIn(told["reason"], ("late", "hung") if transport == "tcp" else ("silent", "late", "hung"))
        self.wait_for_more_shares(second)

        first.process.child.send_signal(signal.SIGCONT)
        self.wait_until("the first pool is back in use", lambda: used()[-1] == urls[0], DEADLINE)
        self.wait_for_more_shares(first)

    def test_a_miner_leaves_a_hung_pool_over_tcp_and_comes_back_to_it(self):
        self.a_miner_falls_back_and_returns("tcp")

    def test_a_miner_leaves_a_hung_pool_over_iroh_and_comes_back_to_it(self):
        self.a_miner_falls_back_and_returns("iroh")

    def test_the_only_pool_hangs_and_is_dialled_again(self):
        pool = self.pool("only")
        translator = self.translator(pool.url("tcp"))
        miner = Miner(self, translator.address)
        self.wait_for_more_shares(pool)
        pool.process.child.send_signal(signal.SIGSTOP)
        lost = self.wait_until("it is found dead", lambda: translator.events("translator.upstream_lost"), DEADLINE)[0]
        self.assertIn("hangs", lost["message"])
        pool.process.child.send_signal(signal.SIGCONT)
        self.wait_for_more_shares(pool)
        self.assertEqual(miner.events("miner.disconnected"), [])

    def test_a_hung_translator_is_released_and_counted(self):
        pool = self.pool("only")
        translator = self.translator(pool.url("tcp"))
        Miner(self, translator.address)
        self.wait_for_more_shares(pool)
        translator.process.child.send_signal(signal.SIGSTOP)
        self.addCleanup(translator.process.child.send_signal, signal.SIGCONT)
        dead = self.wait_until("it is released", lambda: pool.events("pool.connection_dead"), DEADLINE)[0]
        self.assertIn("hangs", dead["message"])
        # The monitor looks at the pool once a second.
        self.wait_until("it is counted", lambda: re.search(
            r'adit_connections_cut_total\{(?=[^}]*reason="dead")(?=[^}]*transport="tcp")[^}]*\} 1\n',
            http_get(f"http://127.0.0.1:{pool.monitoring}/metrics")), DEADLINE)

    def test_ping_tells_of_health_and_of_a_pool_that_hangs(self):
        pool = self.pool("only")
        for transport in ("tcp", "iroh"):
            self.assertRegex(self.run_to_end(ADIT, "ping", pool.url(transport)), "health +healthy: the peer is well")
        ping = subprocess.Popen([ADIT, "ping", "--count", "1000", pool.url("tcp")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True)
        self.addCleanup(ping.kill)
        # Far more than what comes before the Pings: they are under way.
        connections = lambda: json.loads(http_get(f"http://127.0.0.1:{pool.monitoring}/api/v1/connections"))["connections"]
        self.wait_until("it pings", lambda: any(each["bytes_received"] > 3000 for each in connections()), DEADLINE)
        pool.process.child.send_signal(signal.SIGSTOP)
        text, _ = ping.communicate(timeout=DEADLINE)
        self.assertNotEqual(ping.returncode, 0)
        self.assertRegex(text, "health +dead: the peer does not answer")
