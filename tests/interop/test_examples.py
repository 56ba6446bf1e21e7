"""The example configuration of a pool on a Bitcoin node, as it stands, with a node: addresses and chain laid over by environment."""
import pathlib

from adit import ADIT, PAYOUT, Role
from bitcoin_core import SOMEBODY_ELSE, BitcoinCore
from processes import InteropTest, free_port, whole_matrix
from sri import SriJdClient, SriPool, sri_ipc_source

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

    @whole_matrix
    def test_pool_with_job_declaration(self):
        """SRI's jd-client declares to it."""
        node = BitcoinCore(self)
        node.mine_elsewhere(17, PAYOUT)
        authority = self.run_to_end(ADIT, "keys", "authority", "--out", self.folder / "authority.key").strip()
        source, port, jds_port = "POOL__TEMPLATE_PROVIDER_TYPE__BITCOINCOREIPC__", free_port(), free_port()
        pool = Role(self, "pool", "-c", CONFIG / "pool-with-jds.toml", env={
            "POOL__LISTEN_ADDRESS": f"127.0.0.1:{port}", "POOL__JDS__LISTEN_ADDRESS": f"127.0.0.1:{jds_port}",
            "POOL__MONITORING_ADDRESS": "127.0.0.1:0", "POOL__IROH__BIND_ADDRESSES": "127.0.0.1:0",
            "POOL__COINBASE_REWARD_SCRIPT": f"addr({PAYOUT})", f"{source}NETWORK": "regtest", f"{source}DATA_DIR": str(node.folder)})
        self.wait_until("the declarator says where it listens", lambda: len(pool.events("jds.listening")) == 2, 60)
        client = SriJdClient(self, sri_ipc_source(node), {"pool": ("127.0.0.1", port), "jds": ("127.0.0.1", jds_port), "authority": authority})
        client.wait()
        Role(self, "miner", client.url, "--user", "example")
        self.wait_until("the node has a block of a declared job", lambda: pool.events("jds.block_found") and node.height() > 17, 120)

    def test_pool_for_solo_mining(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(1, PAYOUT)
        self.run_to_end(ADIT, "keys", "authority", "--out", self.folder / "authority.key")
        source = "POOL__TEMPLATE_PROVIDER_TYPE__BITCOINCOREIPC__"
        pool = Role(self, "pool", "-c", CONFIG / "pool-solo.toml", env={
            "POOL__LISTEN_ADDRESS": "127.0.0.1:0", "POOL__SV1_ADDRESS": "127.0.0.1:0", "POOL__MONITORING_ADDRESS": "127.0.0.1:0",
            "POOL__IROH__BIND_ADDRESSES": "127.0.0.1:0",
            "POOL__COINBASE_REWARD_SCRIPT": f"addr({PAYOUT})", f"{source}NETWORK": "regtest", f"{source}DATA_DIR": str(node.folder)})
        self.wait_until("the pool listens", lambda: pool.events("pool.listening"), 60)
        # As a Bitaxe does: Stratum V1, its owner's address for a name.
        Role(self, "miner", pool.events("pool.sv1.listening")[0]["url"], "--user", f"{SOMEBODY_ELSE}.rig")
        self.wait_until("the node has blocks of the miner", lambda: node.height() > 1, 90)
        paid = {output["scriptPubKey"].get("address"): output["value"] for output in node.coinbase(2)["vout"]}
        self.assertEqual((paid[PAYOUT], paid[SOMEBODY_ELSE]), (0.5, 49.5))

    def test_solo_finds_its_node(self):
        """Without a file: by its IPC socket, and by its cookie where it has none."""
        for ipc in (True, False):
            with self.subTest(ipc=ipc):
                node = BitcoinCore(self, ipc=ipc, name=f"node-{ipc}")
                node.mine_elsewhere(1)
                port = free_port()
                by_rpc = () if ipc else ("--rpc-port", node.port)
                solo = self.run_process(f"solo-{ipc}", ADIT, "solo", PAYOUT, "--node-folder", node.folder, *by_rpc, "--port", port, "--monitoring",
                                        f"127.0.0.1:{free_port()}", "--data-dir", self.folder / f"solo-{ipc}")
                self.wait_until("it takes connections", lambda: self.listens(port), 60)
                miner = self.run_process(f"miner-{ipc}", ADIT, "miner", f"stratum+tcp://127.0.0.1:{port}", "--user", f"{SOMEBODY_ELSE}.rig")
                self.wait_until("the node has blocks of ours", lambda: node.height() > 1, 90)
                self.assertIn(PAYOUT, [output["scriptPubKey"].get("address") for output in node.coinbase(2)["vout"]])
                miner.stop()
                solo.stop()

    def jd_client(self, file, node, env):
        """Its URL for Stratum V2 miners, and the address for V1's."""
        self.run_to_end(ADIT, "keys", "authority", "--out", self.folder / "authority.key")
        source = "JDC__TEMPLATE_PROVIDER_TYPE__BITCOINRPC__"
        client = Role(self, "jd-client", "-c", file, env={
            "JDC__LISTENING_ADDRESS": "127.0.0.1:0", "JDC__SV1_ADDRESS": "127.0.0.1:0", "JDC__MONITORING_ADDRESS": "127.0.0.1:0",
            "JDC__COINBASE_REWARD_SCRIPT": f"addr({SOMEBODY_ELSE})",
            "JDC__SHARES_PER_MINUTE": "60.0", f"{source}URL": f"http://127.0.0.1:{node.port}", f"{source}NETWORK": "regtest",
            f"{source}COOKIE_FILE": str(node.cookie), **env})
        url = self.wait_until("the client listens", lambda: client.events("jd_client.listening"), 60)[0]["url"]
        return client, url, client.events("jd_client.sv1.listening")[0]["url"]

    def test_solo_on_a_bitcoin_node(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(1, PAYOUT)
        _client, url, address = self.jd_client(CONFIG / "jd-client-solo.toml", node, {})
        for upstream, first in ((url, 2), (address, node.height() + 1)):
            miner = Role(self, "miner", upstream, "--user", "example")
            self.wait_until("the node has blocks of ours", lambda: node.height() >= first + 1, 90)
            miner.process.stop()
            self.assertIn(SOMEBODY_ELSE, [output["scriptPubKey"].get("address") for output in node.coinbase(node.height())["vout"]])

    def test_own_transactions_for_a_pool(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(17, PAYOUT)
        pool = SriPool(self, node, self.folder / "pool.key", jds=True)
        self.wait_until("the declarator listens", lambda: self.listens(pool.jds_port), 60)
        upstream = "JDC__UPSTREAM_MAIN__"
        client, _url, address = self.jd_client(CONFIG / "jd-client.toml", node, {
            "JDC__IROH__BIND_ADDRESSES": "127.0.0.1:0", "JDC__EXPECTED_HASH_RATE": "100000.0", f"{upstream}POOL_URL": pool.url,
            f"{upstream}JDS_URL": pool.jds_url, f"{upstream}USER_IDENTITY": "example"})
        self.wait_until("a job is acknowledged", lambda: client.events("jd_client.pool_work"), 60)
        Role(self, "miner", address, "--user", "example")
        self.wait_until("a block pays the pool", lambda: node.height() > 18 and PAYOUT in [
            output["scriptPubKey"].get("address") for output in node.coinbase(node.height())["vout"]], 90)

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
