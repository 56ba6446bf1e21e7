"""The files of config/ as they stand: the roles that they are for start with them and mine. Addresses alone are laid over them,
by environment, so that this machine's ports are no matter. The one on a Bitcoin node is tested by ./dev interop, those that
need a relay by ./dev netlab."""
import pathlib
import re

from adit import ADIT, Miner, Role, metric
from processes import InteropTest, free_port

CONFIG = pathlib.Path(__file__).parents[2] / "config"
DEADLINE = 120
HERE = {"POOL__LISTEN_ADDRESS": "127.0.0.1:0", "POOL__IROH__BIND_ADDRESSES": "127.0.0.1:0", "POOL__DATA_DIR": "pool-data"}
# What one CPU finds often enough.
EASY = {"TPROXY__DOWNSTREAM_DIFFICULTY_CONFIG__MIN_INDIVIDUAL_MINER_HASHRATE": "100000.0",
        "TPROXY__DOWNSTREAM_DIFFICULTY_CONFIG__SHARES_PER_MINUTE": "60.0"}
TESTED_ELSEWHERE = {"pool-bitcoin-rpc.toml": "interop", "pool-bitcoin-ipc.toml": "interop", "pool-solo.toml": "interop", "pool-with-jds.toml": "interop", "pool-behind-nat.toml": "netlab", "relay.toml": "netlab", "jd-client.toml": "interop", "jd-client-solo.toml": "interop"}


class Examples(InteropTest):
    def pool(self, config):
        self.run_to_end(ADIT, "keys", "authority", "--out", self.folder / "authority.key")
        self.monitoring = free_port()
        pool = Role(self, "pool", "-c", config, env={**HERE, "POOL__MONITORING_ADDRESS": f"127.0.0.1:{self.monitoring}"})
        self.wait_until("the pool listens both ways", lambda: len(pool.events("pool.listening")) >= 2, DEADLINE)
        return {e["transport"]: e["url"] for e in pool.events("pool.listening")}

    def mine_through(self, config, upstreams):
        env = {**EASY, "TPROXY__DOWNSTREAM_ADDRESS": "127.0.0.1", "TPROXY__DOWNSTREAM_PORT": "0",
               "TPROXY__MONITORING_ADDRESS": "127.0.0.1:0", "TPROXY__IROH__BIND_ADDRESSES": "127.0.0.1:0", **upstreams}
        translator = Role(self, "translator", "-c", config, env=env)
        listening = self.wait_until("the translator listens", lambda: translator.events("translator.listening"), DEADLINE)
        Miner(self, listening[0]["address"])
        self.wait_until("shares are accepted",
                        lambda: metric(self.monitoring, "sv2_client_shares_accepted_total") > 0, DEADLINE)
        return translator

    def test_translator_on_a_pool_with_its_own_chain(self):
        urls = self.pool(CONFIG / "pool-embedded.toml")
        translator = self.mine_through(CONFIG / "translator.toml", {"TPROXY__UPSTREAM_MAIN__URL": urls["iroh"],
                                                                    "TPROXY__UPSTREAM_MAIN__USER_IDENTITY": "example"})
        self.assertEqual(translator.events("translator.upstream_ready")[0]["transport"], "iroh")

    def test_farm_that_prefers_iroh(self):
        urls = self.pool(CONFIG / "pool-embedded.toml")
        translator = self.mine_through(CONFIG / "translator-farm.toml", {
            "TPROXY__UPSTREAM_1__URL": urls["tcp"], "TPROXY__UPSTREAM_1__USER_IDENTITY": "example",
            "TPROXY__UPSTREAM_2__URL": urls["iroh"], "TPROXY__UPSTREAM_2__USER_IDENTITY": "example",
            "TPROXY__IROH__RELAY": "none"})
        self.assertEqual(translator.events("translator.upstream_ready")[0]["transport"], "iroh")

    def test_a_pool_on_a_template_provider(self):
        """The provider's example with a chain of its own in place of the node; the pool's over TCP as it stands, and over iroh."""
        self.run_to_end(ADIT, "keys", "authority", "--out", self.folder / "provider.key")
        text = (CONFIG / "template-provider.toml").read_text()
        for key in ("network", "fee_threshold", "min_interval"):
            text = re.sub(rf"^{key} = .*\n", "", text, flags=re.M)
        example = self.folder / "provider.toml"
        example.write_text(text.replace("[template_provider_type.BitcoinCoreIpc]", '[template_provider_type.Embedded]\nnbits = "1d00ffff"'))
        provider = Role(self, "template", "-c", example, env={
            "TEMPLATE__LISTEN_ADDRESS": "127.0.0.1:0", "TEMPLATE__IROH__BIND_ADDRESSES": "127.0.0.1:0",
            "TEMPLATE__MONITORING_ADDRESS": "127.0.0.1:0"})
        self.wait_until("the provider listens both ways", lambda: len(provider.events("provider.listening")) >= 2, DEADLINE)
        source = "POOL__TEMPLATE_PROVIDER_TYPE__SV2TP__"
        for way in provider.events("provider.listening"):
            pool = Role(self, "pool", "-c", CONFIG / "pool-sv2-provider.toml", env={
                **HERE, "POOL__MONITORING_ADDRESS": "127.0.0.1:0", "POOL__DATA_DIR": f"pool-{way['transport']}",
                "POOL__AUTHORITY_SECRET_KEY_FILE": str(self.folder / "provider.key"), f"{source}ADDRESS": way["url"]})
            # One log for both: the second pool's lines stand behind the first one's.
            self.wait_until("the pool has a session that way", lambda: way["transport"] in [
                e["transport"] for e in pool.events("template.upstream_ready")], DEADLINE)
            self.wait_until("it has work", lambda: pool.events("pool.templates")[-1]["state"] == "ready", DEADLINE)
            url = self.wait_until("the pool listens", lambda: [e for e in pool.events("pool.listening") if e["transport"] == "tcp"],
                                  DEADLINE)[-1]["url"]
            miner = Miner(self, url)
            self.wait_until("a miner mines on it", lambda: miner.events("miner.connected"), DEADLINE)
            miner.process.stop()
            pool.process.stop()

    def test_every_file_is_tested(self):
        for file in CONFIG.iterdir():
            with self.subTest(file.name):
                test = CONFIG.parent / "tests" / TESTED_ELSEWHERE.get(file.name, "system") / "test_examples.py"
                self.assertIn(f'CONFIG / "{file.name}"', test.read_text(), "no test runs this example")
