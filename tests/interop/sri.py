"""SRI's programs, with configurations that differ from their examples as little as each test needs."""
import os
import pathlib

from adit import PAYOUT, metric
from processes import free_port


def peer(name, program):
    """A program that ./dev built: peers' folders come in the environment."""
    return pathlib.Path(os.environ[f"ADIT_PEER_{name}"]) / program


def sri_ipc_source(node):
    return f'''
[template_provider_type.BitcoinCoreIpc]
version = 31
network = "regtest"
data_dir = "{node.folder}"
fee_threshold = 100
min_interval = 5
'''


def sri_provider_source(provider):
    return f'''
[template_provider_type.Sv2Tp]
address = "127.0.0.1:{provider.port}"
public_key = "{provider.authority}"
'''


class SriPool:
    """SRI's pool_sv2 on a Bitcoin Core node of the same test, over IPC, or on another source."""

    def __init__(self, test, node, authority_key, *, source=None, shares_per_minute=60.0, share_batch_size=1, log="info", prefix=(), env=None, jds=False,
                 address="127.0.0.1"):
        self.test, self.host, self.prefix = test, address, prefix
        self.jds_port = free_port() if jds else None
        jds_table = f'[jds]\nlisten_address = "{address}:{self.jds_port}"' if jds else ""
        self.authority = test.run_to_end(os.environ.get("ADIT", "adit"), "keys", "authority", "--out", authority_key).strip()
        self.port, self.monitoring = free_port(), free_port()
        config = test.folder / "sri-pool.toml"
        config.write_text(f'''
authority_public_key = "{self.authority}"
authority_secret_key = "{authority_key.read_text().strip()}"
cert_validity_sec = 3600
listen_address = "{address}:{self.port}"
coinbase_reward_script = "addr({PAYOUT})"
server_id = 1
pool_signature = "SRI interop"
shares_per_minute = {shares_per_minute}
share_batch_size = {share_batch_size}
supported_extensions = [0x0002]
required_extensions = []
monitoring_address = "127.0.0.1:{self.monitoring}"
monitoring_cache_refresh_secs = 1
{source or sri_ipc_source(node)}
{jds_table}
''')
        self.process = test.run_process("sri-pool", *prefix, peer("POOL", "pool_sv2"), "-c", config, env={"RUST_LOG": log, **(env or {})})
        self.wait()

    def wait(self):
        if not self.prefix:  # What listens in another namespace is not to be seen from here.
            self.test.wait_until("SRI's pool listens", lambda: self.test.listens(self.port), 60)

    @property
    def url(self):
        return f"stratum2+tcp://{self.host}:{self.port}/{self.authority}"

    @property
    def jds_url(self):
        return f"stratum2+tcp://{self.host}:{self.jds_port}/{self.authority}"

    def metric(self, name):
        return metric(self.monitoring, name)


class SriTranslator:
    """SRI's translator_sv2 with one upstream. Of extensions it asks for those alone that it requires."""

    def __init__(self, test, url, *, aggregate_channels, hash_rate=1_000_000.0, identity="sri", verify_payout=False, vardiff=True,
                 log="info", prefix=(), env=None):
        host, port, authority = test.parts(url)
        self.port = free_port()
        config = test.folder / "sri-translator.toml"
        config.write_text(f'''
downstream_address = "127.0.0.1"
downstream_port = {self.port}
max_supported_version = 2
min_supported_version = 2
downstream_extranonce2_size = 4
verify_payout = {str(verify_payout).lower()}
aggregate_channels = {str(aggregate_channels).lower()}
supported_extensions = [0x0002]
required_extensions = [0x0002]
[downstream_difficulty_config]
min_individual_miner_hashrate = {float(hash_rate)}
shares_per_minute = 60.0
enable_vardiff = {str(vardiff).lower()}
job_keepalive_interval_secs = 60
[[upstreams]]
address = "{host}"
port = {port}
authority_pubkey = "{authority}"
user_identity = "{identity}"
''')
        self.process = test.run_process("sri-translator", *prefix, peer("TRANSLATOR", "translator_sv2"), "-c", config,
                                        env={"RUST_LOG": log, **(env or {})})
        test.wait_until("SRI's translator listens", lambda: test.listens(self.port), 60)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"


class SriJdClient:
    """SRI's jd_client_sv2 on a source of templates. Each upstream: our pool's or SRI's, as {"pool": (host, port), "jds": (host, port),
    "authority": key, "identity": text}; without one it mines for itself."""

    def __init__(self, test, source, *upstreams, mode="FULLTEMPLATE", shares_per_minute=60.0, log="info", prefix=()):
        key = test.folder / "sri-jd-client.key"
        self.test = test
        self.authority = test.run_to_end(os.environ.get("ADIT", "adit"), "keys", "authority", "--out", key).strip()
        self.port, self.monitoring = free_port(), free_port()
        config = test.folder / "sri-jd-client.toml"
        config.write_text(f'''
listening_address = "127.0.0.1:{self.port}"
max_supported_version = 2
min_supported_version = 2
authority_public_key = "{self.authority}"
authority_secret_key = "{key.read_text().strip()}"
cert_validity_sec = 3600
shares_per_minute = {shares_per_minute}
share_batch_size = 1
mode = "{mode if upstreams else "SOLOMINING"}"
jdc_signature = "SRI interop"
coinbase_reward_script = "addr({PAYOUT})"
supported_extensions = [0x0002]
required_extensions = []
monitoring_address = "127.0.0.1:{self.monitoring}"
monitoring_cache_refresh_secs = 1
{"" if upstreams else "upstreams = []"}
{source}
''' + "".join(f'''
[[upstreams]]
authority_pubkey = "{one["authority"]}"
pool_address = "{one["pool"][0]}"
pool_port = {one["pool"][1]}
jds_address = "{one["jds"][0]}"
jds_port = {one["jds"][1]}
user_identity = "{one.get("identity", "sri-jdc")}"
''' for one in upstreams))
        self.process = test.run_process("sri-jd-client", *prefix, peer("JDCLIENT", "jd_client_sv2"), "-c", config, env={"RUST_LOG": log})

    def wait(self):
        """It listens for miners once it has a template, and its upstream's answer."""
        self.test.wait_until("SRI's jd-client listens", lambda: self.test.listens(self.port), 120)

    @property
    def url(self):
        return f"stratum2+tcp://127.0.0.1:{self.port}/{self.authority}"

    def metric(self, name):
        return metric(self.monitoring, name)


class SriMiner:
    """SRI's mining_device: a CPU miner on a standard channel."""

    def __init__(self, test, url, hash_rate_multiplier=0.05):
        host, port, authority = test.parts(url)
        self.process = test.run_process(
            "sri-miner", peer("MINER", "mining_device"), "-a", f"{host}:{port}", "-p", authority, "--id-user", "sri", "--id-device", "device",
            "--nominal-hashrate-multiplier", hash_rate_multiplier, "--cores", "1", env={"RUST_LOG": "info"})

    def targets(self):
        return self.process.text().count("Received SetTarget")


class SriClient:
    """An extended channel on SRI's crates (sri-client/): says line by line what happens."""

    def __init__(self, test, url, worker="worker-1", hash_rate=20_000):
        host, port, authority = test.parts(url)
        self.process = test.run_process("sri-client", peer("CLIENT", "sri-client"), f"{host}:{port}", authority, "sri", worker, hash_rate)

    def events(self, name):
        """The values of each line that starts with this name, oldest first."""
        lines = [line.split(" ") for line in self.process.text().splitlines() if line.startswith(name + " ")]
        return [dict(pair.split("=", 1) for pair in pairs if "=" in pair) for _, *pairs in lines]

    def targets(self):
        return len(self.events("target"))
