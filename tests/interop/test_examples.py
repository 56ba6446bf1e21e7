"""The example configuration of a pool on a Bitcoin node, as it stands, with a node: addresses and chain laid over by environment."""
import pathlib

from adit import ADIT, PAYOUT, Role
from bitcoin_core import SOMEBODY_ELSE, BitcoinCore
from processes import InteropTest

CONFIG = pathlib.Path(__file__).parents[2] / "config"


class Examples(InteropTest):
    def test_pool_on_a_bitcoin_node(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(1, PAYOUT)
        self.run_to_end(ADIT, "keys", "authority", "--out", self.folder / "authority.key")
        source = "POOL__TEMPLATE_PROVIDER_TYPE__BITCOINRPC__"
        pool = Role(self, "pool", "-c", CONFIG / "pool-bitcoin-rpc.toml", env={
            "POOL__LISTEN_ADDRESS": "127.0.0.1:0", "POOL__MONITORING_ADDRESS": "127.0.0.1:0", "POOL__IROH__BIND_ADDRESSES": "127.0.0.1:0",
            "POOL__COINBASE_REWARD_SCRIPT": f"addr({PAYOUT})", f"{source}URL": f"http://127.0.0.1:{node.port}",
            f"{source}NETWORK": "regtest", f"{source}COOKIE_FILE": str(node.cookie)})
        url = self.wait_until("the pool listens", lambda: pool.events("pool.listening"), 60)[0]["url"]
        Role(self, "miner", url, "--user", "example")
        self.wait_until("the node has blocks of the pool", lambda: node.height() > 1, 90)

    def test_pool_on_a_bitcoin_node_by_ipc(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(1, PAYOUT)
        self.run_to_end(ADIT, "keys", "authority", "--out", self.folder / "authority.key")
        source = "POOL__TEMPLATE_PROVIDER_TYPE__BITCOINCOREIPC__"
        pool = Role(self, "pool", "-c", CONFIG / "pool-bitcoin-ipc.toml", env={
            "POOL__LISTEN_ADDRESS": "127.0.0.1:0", "POOL__MONITORING_ADDRESS": "127.0.0.1:0", "POOL__IROH__BIND_ADDRESSES": "127.0.0.1:0",
            "POOL__COINBASE_REWARD_SCRIPT": f"addr({PAYOUT})", f"{source}NETWORK": "regtest", f"{source}DATA_DIR": str(node.folder)})
        url = self.wait_until("the pool listens", lambda: pool.events("pool.listening"), 60)[0]["url"]
        Role(self, "miner", url, "--user", "example")
        self.wait_until("the node has blocks of the pool", lambda: node.height() > 1, 90)

    def test_pool_for_solo_mining(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(1, PAYOUT)
        self.run_to_end(ADIT, "keys", "authority", "--out", self.folder / "authority.key")
        source = "POOL__TEMPLATE_PROVIDER_TYPE__BITCOINCOREIPC__"
        pool = Role(self, "pool", "-c", CONFIG / "pool-solo.toml", env={
            "POOL__LISTEN_ADDRESS": "127.0.0.1:0", "POOL__MONITORING_ADDRESS": "127.0.0.1:0", "POOL__IROH__BIND_ADDRESSES": "127.0.0.1:0",
            "POOL__COINBASE_REWARD_SCRIPT": f"addr({PAYOUT})", f"{source}NETWORK": "regtest", f"{source}DATA_DIR": str(node.folder)})
        url = self.wait_until("the pool listens", lambda: pool.events("pool.listening"), 60)[0]["url"]
        Role(self, "miner", url, "--user", f"{SOMEBODY_ELSE}.rig")
        self.wait_until("the node has blocks of the miner", lambda: node.height() > 1, 90)
        paid = {output["scriptPubKey"].get("address"): output["value"] for output in node.coinbase(2)["vout"]}
        self.assertEqual((paid[PAYOUT], paid[SOMEBODY_ELSE]), (0.5, 49.5))

    def test_a_template_provider_on_a_bitcoin_node(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(1, PAYOUT)
        self.run_to_end(ADIT, "keys", "authority", "--out", self.folder / "provider.key")
        self.run_to_end(ADIT, "keys", "authority", "--out", self.folder / "authority.key")
        source = "TEMPLATE__TEMPLATE_PROVIDER_TYPE__BITCOINCOREIPC__"
        provider = Role(self, "template", "-c", CONFIG / "template-provider.toml", env={
            "TEMPLATE__LISTEN_ADDRESS": "127.0.0.1:0", "TEMPLATE__MONITORING_ADDRESS": "127.0.0.1:0",
            "TEMPLATE__IROH__BIND_ADDRESSES": "127.0.0.1:0", f"{source}NETWORK": "regtest", f"{source}DATA_DIR": str(node.folder)})
        address = self.wait_until("the provider listens", lambda: provider.events("provider.listening"), 60)[0]["url"]
        source = "POOL__TEMPLATE_PROVIDER_TYPE__SV2TP__"
        pool = Role(self, "pool", "-c", CONFIG / "pool-sv2-provider.toml", env={
            "POOL__LISTEN_ADDRESS": "127.0.0.1:0", "POOL__MONITORING_ADDRESS": "127.0.0.1:0", "POOL__IROH__BIND_ADDRESSES": "127.0.0.1:0",
            "POOL__COINBASE_REWARD_SCRIPT": f"addr({PAYOUT})", f"{source}NETWORK": "regtest", f"{source}ADDRESS": address})
        url = self.wait_until("the pool listens", lambda: pool.events("pool.listening"), 60)[0]["url"]
        Role(self, "miner", url, "--user", "example")
        self.wait_until("the node has blocks of the pool", lambda: node.height() > 1, 90)
