"""Job declaration between routers, on real nodes: the farm's job declarator client behind one that no direct path goes through, its
node's template provider behind another, the pool with its declarator behind a third."""
import json
import os
import pathlib
import sys
import unittest

from adit import ADIT, PAYOUT, ipc_source
from bitcoin_core import BitcoinCore
from declaring import SOLO
from mining import LabRelay, LabRole
from processes import InteropTest, free_port
from topology import Internet

DEADLINE = 120
PORT = 34254  # Each is alone in its namespace.
MONITORING = "127.0.0.1:9090"


@unittest.skipUnless((pathlib.Path(os.environ.get("ADIT_PEER_BITCOIN", ".")) / "bitcoin-node").exists(),
                     "needs Bitcoin Core, which `./dev interop` builds")
class Declaring(InteropTest):
    def role(self, host, name, keys, iroh):
        folder = self.folder / name
        authority = self.folder / f"{name}.key"
        key = self.run_to_end(ADIT, "keys", "authority", "--out", authority).strip()
        config = self.folder / f"{name}.toml"
        config.write_text(f'''
authority_secret_key_file = "{authority}"
monitoring_address = "{MONITORING}"
monitoring_cache_refresh_secs = 1
data_dir = "{folder}"
{keys}
[iroh]
{iroh}
''')
        role = LabRole(self, host, name, "-c", config)
        role.key = key
        return role

    def connections(self, host):
        """What the role's monitor shows, asked inside its namespace."""
        ask = f"import urllib.request; print(urllib.request.urlopen('http://{MONITORING}/api/v1/connections').read().decode())"
        return json.loads(host.run(sys.executable, "-c", ask))["connections"]

    def iroh_url(self, role, event):
        return self.wait_until(f"{event} over iroh", lambda: next((e["url"] for e in role.events(event) if e["transport"] == "iroh"), None), 60)

    def test_a_farm_behind_a_symmetric_router_declares_by_a_node_behind_another(self):
        internet = Internet()
        self.addCleanup(internet.remove)
        relay = LabRelay(self, internet.public)
        peer_port = free_port()
        pools = BitcoinCore(self, "-listen=1", f"-bind=127.0.0.1:{peer_port}", name="pools")
        own = BitcoinCore(self, f"-connect=127.0.0.1:{peer_port}", name="own")
        self.wait_until("the nodes know each other", lambda: own.call("getconnectioncount") > 0, 60)
        pools.mine_elsewhere(17)
        self.wait_until("both have the chain", lambda: own.height() == 17, 60)

        pool = self.role(internet.host("pool", 1, "home"), "pool", f'''
listen_address = "127.0.0.1:{PORT}"
coinbase_reward_script = "addr({PAYOUT})"
server_id = 1
shares_per_minute = 60.0
share_batch_size = 1
min_difficulty = 1e-12
{ipc_source(pools)}
[jds]
''', relay.settings)
        provider = self.role(internet.host("node", 2, "home"), "template", f'listen_address = "127.0.0.1:{PORT}"\n{ipc_source(own)}', relay.settings)
        url = self.iroh_url(pool, "pool.listening")
        farm = internet.host("farm", 3, "symmetric")
        client = self.role(farm, "jd-client", f'''
listening_address = "127.0.0.1:{PORT}"
coinbase_reward_script = "addr({SOLO})"
jdc_signature = "farm"
mode = "FULLTEMPLATE"
expected_hash_rate = 1_000_000.0
shares_per_minute = 60.0
share_batch_size = 1
min_difficulty = 1e-12
[[upstreams]]
pool_url = "{url}"
jds_url = "{url}"
user_identity = "farm"
[template_provider_type.Sv2Tp]
address = "{self.iroh_url(provider, "provider.listening")}"
network = "regtest"
''', f"listen = false\n{relay.settings}")
        self.wait_until("a job is acknowledged", lambda: client.events("jd_client.pool_work"), DEADLINE)
        start = own.height()
        LabRole(self, farm, "miner", f"stratum2+tcp://127.0.0.1:{PORT}/{client.key}", "--user", "lab", "--threads", "1")
        self.wait_until("three blocks pay the pool", lambda: sum(
            PAYOUT in {output["scriptPubKey"].get("address") for output in pools.coinbase(height)["vout"]}
            for height in range(start + 1, pools.height() + 1)) >= 3, DEADLINE)
        self.wait_until("its shares are accepted", lambda: (pool.last("pool.stats") or {"shares_accepted": 0})["shares_accepted"] >= 3, DEADLINE)
        self.wait_until("it pushed its blocks", lambda: pool.events("jds.block_found"), DEADLINE)
        self.assertEqual(client.events("jd_client.block_lost"), [])
        self.assertEqual(pool.events("jds.job_refused"), [])
        # The monitor's look may be a second old, from before there was a pool.
        above = self.wait_until("its monitor shows the pool", lambda: [
            one["path"] for one in self.connections(farm) if one["transport"] == "iroh"], DEADLINE)
        self.assertEqual(set(above), {"relayed"}, "no direct path goes from a symmetric router to a home's")
