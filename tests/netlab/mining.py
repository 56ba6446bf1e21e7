"""Pool, translator and miner as processes inside namespaces, and what their logs tell."""
import datetime

from adit import ADIT, EMBEDDED_SOURCE, PAYOUT, Role
from topology import PUBLIC


def moment(event):
    return datetime.datetime.fromisoformat(event["ts"].replace("Z", "+00:00")).timestamp()


class LabRole(Role):
    """A role inside a namespace, with the paths and counts of each second in its log."""

    def __init__(self, test, namespace, name, *arguments, env=None):
        super().__init__(test, name, *arguments, prefix=namespace.prefix, options=("--log-level", "debug"), env=env)

    def last(self, name):
        return next(reversed(self.events(name)), None)


class LabPool(LabRole):
    def __init__(self, test, namespace, iroh, tcp="127.0.0.1:3333", shares_per_minute=60.0):
        authority = test.folder / "authority.key"
        self.authority = test.run_to_end(ADIT, "keys", "authority", "--out", authority)
        config = test.folder / "pool.toml"
        config.write_text(f'''
listen_address = "{tcp}"
authority_secret_key_file = "{authority}"
coinbase_reward_script = "addr({PAYOUT})"
server_id = 1
shares_per_minute = {shares_per_minute}
share_batch_size = 1
threads = 1
data_dir = "{test.folder / 'pool'}"
{EMBEDDED_SOURCE}
[iroh]
{iroh}
''')
        super().__init__(test, namespace, "pool", "-c", config)

    def url(self, transport):
        return self.test.wait_until(
            f"the pool says where it listens over {transport}",
            lambda: next((e["url"] for e in self.events("pool.listening") if e["transport"] == transport), None), 60)

    def shares_accepted(self):
        return (self.last("pool.stats") or {"shares_accepted": 0})["shares_accepted"]


class LabTranslator(LabRole):
    def __init__(self, test, namespace, upstreams, iroh, transport=""):
        config = test.folder / "translator.toml"
        urls = "".join(f'[[upstreams]]\nurl = "{url}"\nuser_identity = "lab"\n' for url in upstreams)
        config.write_text(f'''
downstream_address = "127.0.0.1"
downstream_port = 34255
downstream_extranonce2_size = 4
[downstream_difficulty_config]
min_individual_miner_hashrate = 1_000_000.0
shares_per_minute = 60.0
enable_vardiff = true
{urls}
{"[transport]" if transport else ""}
{transport}
[iroh]
{iroh}
''')
        super().__init__(test, namespace, "translator", "-c", config)

    def listening(self):
        return self.test.wait_until("the translator listens", lambda: self.events("translator.listening"), 60)[0]

    def path_changes(self):
        """(from, to) of each that it told of."""
        told = self.events("translator.path_changed")
        assert all(event["from_address"] != event["to_address"] for event in told), told
        return [(event["from"], event["to"]) for event in told]

    def path(self):
        """Where the connection to the pool lies now: "direct" or "relayed"; None as long as there is none."""
        return (self.last("translator.path") or {}).get("path")

    def shares_accepted(self):
        return (self.last("translator.stats") or {"shares_accepted": 0})["shares_accepted"]


class LabMiner(LabRole):
    """Beside the translator, over Stratum V1."""

    def __init__(self, test, namespace):
        super().__init__(test, namespace, "miner", "stratum+tcp://127.0.0.1:34255", "--user", "lab.worker", "--threads", "1")

    def first_share(self):
        return next(iter(self.events("miner.share_accepted")), None)


class LabRelay(LabRole):
    """`adit relay` on the public segment: HTTPS by a certificate made for it, and QUIC address discovery."""

    def __init__(self, test, namespace, address=PUBLIC, options=()):
        self.certificate, self.key = test.folder / "relay.pem", test.folder / "relay.key"
        test.run_to_end("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=relay", "-addext", f"subjectAltName=IP:{address}",
                        "-addext", "basicConstraints=critical,CA:FALSE", "-out", self.certificate, "-keyout", self.key)
        super().__init__(test, namespace, "relay", *options, "--http", f"{address}:80", "--https", f"{address}:443", "--quic",
                         f"{address}:7842", "--cert-file", self.certificate, "--key-file", self.key)
        # What goes into the table [iroh] of whoever uses it.
        self.settings = f'relay = [{{ url = "https://{address}", quic_port = 7842 }}]\nrelay_ca_file = "{self.certificate}"'
        test.wait_until("the relay listens", lambda: self.events("relay.listening"), 60)
