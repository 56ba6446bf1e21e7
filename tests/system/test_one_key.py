"""Two pools under one iroh key: with one key file the second is refused; with copies, as two machines would have them, both run,
and who dials the id reaches one of them."""
import shutil
import subprocess

from adit import ADIT, EMBEDDED_SOURCE, PAYOUT, Miner, Role, Translator, metric
from processes import InteropTest, free_port

DEADLINE = 120


class OneKey(InteropTest):
    def setUp(self):
        super().setUp()
        self.run_to_end(ADIT, "keys", "authority", "--out", self.folder / "authority.key")

    def config(self, name, iroh, data_dir=None):
        """A pool without TCP, so that whoever mines there came by the id."""
        path = self.folder / f"{name}.toml"
        monitoring = free_port()
        path.write_text(f'''
monitoring_address = "127.0.0.1:{monitoring}"
monitoring_cache_refresh_secs = 1
authority_secret_key_file = "{self.folder / 'authority.key'}"
coinbase_reward_script = "addr({PAYOUT})"
shares_per_minute = 60.0
share_batch_size = 1
data_dir = "{self.folder / (data_dir or name)}"
{EMBEDDED_SOURCE}
[iroh]
{iroh}
''')
        return path, monitoring

    def pool(self, path):
        pool = Role(self, "pool", "-c", path)
        event = self.wait_until("the pool listens over iroh",
                                lambda: [e for e in pool.events("pool.listening") if e["transport"] == "iroh"], DEADLINE)[0]
        return pool, event["url"]

    def test_one_file_is_one_process(self):
        first, _ = self.config("first", 'bind_addresses = ["127.0.0.1:0"]', "shared")
        second, _ = self.config("second", 'bind_addresses = ["127.0.0.1:0"]', "shared")
        pool, url = self.pool(first)
        refused = subprocess.run([ADIT, "pool", "-c", second], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn(f"another process runs with the key in {self.folder / 'shared' / 'node.key'}", refused.stderr)
        # The lock goes with its process, however that ends.
        pool.process.kill()
        _, again = self.pool(second)
        self.assertEqual(again.split("/")[2], url.split("/")[2], "the same endpoint id")

    def test_copies_of_a_key_are_one_name_for_two(self):
        relay = Role(self, "relay", "--http", "127.0.0.1:0")
        at = self.wait_until("the relay listens", lambda: relay.events("relay.listening"), DEADLINE)[0]["http"]
        iroh = f'bind_addresses = ["127.0.0.1:0"]\nrelay = [{{ url = "http://{at}" }}]'
        first, first_port = self.config("first", iroh)
        second, second_port = self.config("second", iroh)
        pools = {first_port: self.pool(first)}
        (self.folder / "second").mkdir()
        shutil.copy(self.folder / "first" / "node.key", self.folder / "second" / "node.key")
        pools[second_port] = self.pool(second)
        ids = {url.split("/")[2] for _, url in pools.values()}
        self.assertEqual(len(ids), 1, "one id")
        # By the id and the relay alone, one of them is reached: whose connection to the relay is the newer, as observed.
        url = pools[first_port][1].split("?")[0] + f"?relay=http%3A%2F%2F{at.replace(':', '%3A')}"
        translator = Translator(self, url, iroh=f'relay = [{{ url = "http://{at}" }}]')
        Miner(self, translator.address())
        shares = lambda port: metric(port, "sv2_client_shares_accepted_total")
        total = lambda: sum(shares(port) for port in pools)
        self.wait_until("shares are accepted", lambda: total() > 0, DEADLINE)
        reached = next(port for port in pools if shares(port) > 0)
        print("reached: the", "first" if reached == first_port else "second", flush=True)
        # When it dies, the other is found under the same name.
        pools[reached][0].process.kill()
        other = next(port for port in pools if port != reached)
        self.wait_until("the other one mines", lambda: shares(other) > 0, DEADLINE)
