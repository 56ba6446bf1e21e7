"""The example files that need a relay, as they stand: a relay, a pool behind a router, a farm behind another. Addresses and the
relay's certificate alone are laid over them."""
import pathlib

from mining import LabMiner, LabRelay, LabRole
from adit import ADIT
from processes import InteropTest
from topology import PUBLIC, Internet

CONFIG = pathlib.Path(__file__).parents[2] / "config"
DEADLINE = 120


class Examples(InteropTest):
    def test_a_farm_mines_on_a_pool_at_home_through_a_relay_of_our_own(self):
        internet = Internet()
        self.addCleanup(internet.remove)
        relay = LabRelay(self, internet.public, options=("-c", CONFIG / "relay.toml"))
        pool_host, farm = internet.host("pool", 1, "home"), internet.host("farm", 2, "symmetric")
        self.run_to_end(ADIT, "keys", "authority", "--out", self.folder / "authority.key")
        here = {"IROH__RELAY": f"https://{PUBLIC}", "IROH__RELAY_CA_FILE": str(relay.certificate)}
        pool = LabRole(self, pool_host, "pool", "-c", CONFIG / "pool-behind-nat.toml",
                       env={f"POOL__{key}": value for key, value in here.items()})
        listening = self.wait_until("the pool listens", lambda: pool.events("pool.listening"), DEADLINE)
        self.assertEqual([event["transport"] for event in listening], ["iroh"])
        easy = {"DOWNSTREAM_DIFFICULTY_CONFIG__MIN_INDIVIDUAL_MINER_HASHRATE": "100000.0",
                "DOWNSTREAM_DIFFICULTY_CONFIG__SHARES_PER_MINUTE": "60.0",
                "UPSTREAM_1__URL": listening[0]["url"], "UPSTREAM_1__USER_IDENTITY": "example"}
        translator = LabRole(self, farm, "translator", "-c", CONFIG / "translator-farm.toml",
                             env={f"TPROXY__{key}": value for key, value in {**here, **easy}.items()})
        self.wait_until("the translator listens", lambda: translator.events("translator.listening"), DEADLINE)
        miner = LabMiner(self, farm)
        self.wait_until("a share is accepted", miner.first_share, DEADLINE)
