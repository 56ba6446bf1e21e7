"""adit's roles as processes, with the least configuration each test needs."""
import json
import os
import re

from processes import free_port, http_get

ADIT = os.environ.get("ADIT", "adit")
PAYOUT = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def metric(monitoring_port, name):
    """The sum of a metric over its labels, as /metrics tells it; SRI's names are ours."""
    text = http_get(f"http://127.0.0.1:{monitoring_port}/metrics")
    values = re.findall(rf"^{name}(?:\{{[^}}]*\}})? ([0-9.e+]+)$", text, re.M)
    return sum(float(value) for value in values)


def assert_pays_us(test, node, heights, address=PAYOUT):
    for height in heights:
        coinbase = node.coinbase(height)
        paid = {output["scriptPubKey"].get("address"): output["value"] for output in coinbase["vout"]}
        test.assertEqual(paid.get(address), 50, f"the coinbase of block {height} pays {paid}")


class Role:
    def __init__(self, test, name, *arguments, prefix=(), options=(), env=None, log=None):
        self.test = test
        self.process = test.run_process(log or name, *prefix, ADIT, "--log-format", "json", *options, name, *arguments, env=env)

    def events(self, name):
        """What the role has logged under this event name, oldest first."""
        found = []
        for line in self.process.text().splitlines():
            if line.startswith("{"):
                try:
                    event = json.loads(line)
                except json.JSONDecodeError:
                    continue  # the line that is being written
                if event.get("event") == name:
                    found.append(event)
        return found


# Many connections of `adit load` are of one address.
ADMIT_LOAD = """
[admission]
max_unproven_per_source = 20_000
max_handshakes_per_source = 8_000
max_connects_per_source = 1_000_000
"""


class Pool(Role):
    def __init__(self, test, source, *, iroh=False, shares_per_minute=60.0, share_batch_size=1, threads=0, payout=PAYOUT, prefix=(),
                 options=(), keys="", name="pool", address="127.0.0.1"):
        authority = test.folder / f"{name}-authority.key"
        self.authority = test.run_to_end(ADIT, "keys", "authority", "--out", authority)
        self.monitoring = free_port()
        config = test.folder / f"{name}.toml"
        config.write_text(f'''
listen_address = "{address}:{free_port()}"
monitoring_address = "127.0.0.1:{self.monitoring}"
monitoring_cache_refresh_secs = 1
authority_secret_key_file = "{authority}"
coinbase_reward_script = "addr({payout})"
pool_signature = "adit interop"
server_id = 1
supported_extensions = [0x0002]
shares_per_minute = {shares_per_minute}
share_batch_size = {share_batch_size}
min_difficulty = 1e-12  # every hash is a share: `adit load` finds thousands of them a second
threads = {threads}
data_dir = "{test.folder / name}"
{keys}
{source}
{ADMIT_LOAD}
{'[iroh]' if iroh else ''}
{iroh if isinstance(iroh, str) else 'bind_addresses = ["127.0.0.1:0"]' if iroh else ''}
''')
        self.config = config
        super().__init__(test, "pool", "-c", config, prefix=prefix, options=options, log=name)

    def url(self, transport):
        return self.test.wait_until(
            f"the pool says where it listens over {transport}",
            lambda: next((e["url"] for e in self.events("pool.listening") if e["transport"] == transport), None), 120)

    def metric(self, name):
        return metric(self.monitoring, name)

    def workers(self):
        """What the pool shows of the workers that its clients name, by name."""
        shown = json.loads(http_get(f"http://127.0.0.1:{self.monitoring}/api/v1/workers"))
        return {worker["worker"]: worker for worker in shown["workers"]}


class JdServer(Role):
    """`adit jd-server`: the declarator of a pool's file that names it."""

    def __init__(self, test, pool):
        super().__init__(test, "jd-server", "-c", pool.config)

    def url(self, transport="tcp"):
        return self.test.wait_until(
            f"the declarator says where it listens over {transport}",
            lambda: next((e["url"] for e in self.events("jds.listening") if e["transport"] == transport), None), 120)


class JdClient(Role):
    """`adit jd-client` on the source that is given. `upstreams` are (pool's URL, declarator's URL, our identity there)."""

    def __init__(self, test, source, upstreams, *, mode="FULLTEMPLATE", payout=PAYOUT, shares_per_minute=60.0, sv1=False, iroh=False, keys="",
                 options=(), prefix=()):
        authority = test.folder / "jd-client.key"
        self.authority = test.run_to_end(ADIT, "keys", "authority", "--out", authority).strip()
        self.monitoring, self.port, self.sv1_port = free_port(), free_port(), free_port()
        config = test.folder / "jd-client.toml"
        entries = "".join(f'''
[[upstreams]]
pool_url = "{pool}"
jds_url = "{jds}"
user_identity = "{identity}"
''' for pool, jds, identity in upstreams)
        config.write_text(f'''
listening_address = "127.0.0.1:{self.port}"
{f'sv1_address = "127.0.0.1:{self.sv1_port}"' if sv1 else ''}
monitoring_address = "127.0.0.1:{self.monitoring}"
monitoring_cache_refresh_secs = 1
authority_secret_key_file = "{authority}"
coinbase_reward_script = "addr({payout})"
jdc_signature = "adit jdc"
supported_extensions = [0x0002]
mode = "{mode}"
expected_hash_rate = 1_000_000.0
shares_per_minute = {shares_per_minute}
share_batch_size = 1
# A miner over Stratum V1 says nothing of its hash rate: every hash of it would be a share, and on regtest a block.
min_difficulty = {1e-3 if sv1 else 1e-12}
data_dir = "{test.folder / 'jd-client'}"
{keys}
{entries}
{source}
{'[iroh]' if iroh else ''}
{'listen = false' if iroh else ''}
{'bind_addresses = ["127.0.0.1:0"]' if iroh else ''}
''')
        super().__init__(test, "jd-client", "-c", config, options=options, prefix=prefix)

    def url(self, transport="tcp"):
        return self.test.wait_until(
            f"the client says where it listens over {transport}",
            lambda: next((e["url"] for e in self.events("jd_client.listening") if e["transport"] == transport), None), 120)

    def metric(self, name):
        return metric(self.monitoring, name)


class TemplateProvider(Role):
    """`adit template` on the source that is given."""

    def __init__(self, test, source, *, iroh=False, name="template"):
        authority = test.folder / f"{name}.key"
        self.authority = test.run_to_end(ADIT, "keys", "authority", "--out", authority).strip()
        self.monitoring, self.port = free_port(), free_port()
        config = test.folder / f"{name}.toml"
        config.write_text(f'''
listen_address = "127.0.0.1:{self.port}"
monitoring_address = "127.0.0.1:{self.monitoring}"
monitoring_cache_refresh_secs = 1
authority_secret_key_file = "{authority}"
data_dir = "{test.folder / name}"
threads = 2
{source}
{'[iroh]' if iroh else ''}
{f'bind_addresses = ["127.0.0.1:{free_port()}"]' if iroh else ''}
{iroh if isinstance(iroh, str) else ''}
''')
        super().__init__(test, "template", "-c", config, log=name)

    def url(self, transport):
        return self.test.wait_until(
            f"the provider says where it listens over {transport}",
            lambda: next((e["url"] for e in self.events("provider.listening") if e["transport"] == transport), None), 120)

    def metric(self, name):
        return metric(self.monitoring, name)


def sv2_source(address, public_key=None, fetch_transactions=True):
    return f'''
[template_provider_type.Sv2Tp]
address = "{address}"
network = "regtest"
fetch_transactions = {str(fetch_transactions).lower()}
{f'public_key = "{public_key}"' if public_key else ''}
'''


def rpc_source(node, *, empty_first=False):
    return f'''
[template_provider_type.BitcoinRpc]
url = "http://127.0.0.1:{node.port}"
network = "regtest"
{'empty_template_first = true' if empty_first else ''}
cookie_file = "{node.cookie}"
'''


def ipc_source(node, network="regtest", fee_threshold=100, min_interval=1, empty_first=False):
    return f'''
[template_provider_type.BitcoinCoreIpc]
network = "{network}"
socket = "{node.socket}"
fee_threshold = {fee_threshold}
min_interval = {min_interval}
{'empty_template_first = true' if empty_first else ''}
'''


# So hard that no share is a block: the tip stays, and no share can be stale.
EMBEDDED_SOURCE = """
[template_provider_type.Embedded]
nbits = "1d00ffff"
"""


class Translator(Role):
    def __init__(self, test, upstream_url, *, aggregate_channels=True, hash_rate=1_000_000.0, identity="interop",
                 verify_payout=False, vardiff=True, prefix=(), keys="", iroh='bind_addresses = ["127.0.0.1:0"]', env=None):
        config = test.folder / "translator.toml"
        config.write_text(f'''
downstream_address = "127.0.0.1"
downstream_port = 0
downstream_extranonce2_size = 4
aggregate_channels = {str(aggregate_channels).lower()}
verify_payout = {str(verify_payout).lower()}
supported_extensions = [0x0002]
[downstream_difficulty_config]
min_individual_miner_hashrate = {float(hash_rate)}
shares_per_minute = 60.0
enable_vardiff = {str(vardiff).lower()}
{keys}
[[upstreams]]
url = "{upstream_url}"
user_identity = "{identity}"
[iroh]
{iroh}
''')
        super().__init__(test, "translator", "-c", config, prefix=prefix, env=env)

    def address(self):
        return self.test.wait_until("the translator says where it listens",
                                    lambda: next((e["address"] for e in self.events("translator.listening")), None), 120)


class Miner(Role):
    """Over Stratum V1 or V2, as the URL says; an address without one is V1's."""

    def __init__(self, test, upstream, *arguments):
        url = upstream if "://" in upstream else f"stratum+tcp://{upstream}"
        super().__init__(test, "miner", url, "--user", "interop.worker", "--threads", "1", *arguments)
