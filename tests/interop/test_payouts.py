"""Who is paid for blocks, by the miner's user identity: asked of Bitcoin Core, which validates each block, and of SRI's translator,
which verifies what it is paid. The patterns are SRI's."""
import time
import unittest

from adit import PAYOUT, Miner, Pool, Role, Translator, ipc_source, rpc_source
from bitcoin_core import BitcoinCore
from processes import InteropTest, whole_matrix
from sri import SriTranslator

POOL = PAYOUT
# Scripts of each kind, whose keys nobody has.
ALICE = "bcrt1qqqqsyqcyq5rqwzqfpg9scrgwpugpzysnard0ew"
P2PKH = "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8"
P2SH = "2MsFFCK16VhsCcvPXruztdzzcTZEQCbNKjJ"
P2WSH = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
P2TR = "bcrt1pqqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0sj9hjuh"
# ALICE's, as testnet writes it.
ALICE_TB = "tb1qqqqsyqcyq5rqwzqfpg9scrgwpugpzysnl25zw8"

# identity: what a block of 50 bitcoins pays, in the order of its outputs.
PATTERNS = {
    f"sri/solo/{ALICE}/rig": [(ALICE, 50)],
    f"sri/solo/{P2PKH}": [(P2PKH, 50)],
    f"sri/solo/{P2SH}/rig": [(P2SH, 50)],
    f"sri/solo/{P2TR}/rig": [(P2TR, 50)],
    f"sri/solo/{ALICE_TB}/rig": [(ALICE, 50)],
    P2WSH: [(P2WSH, 50)],
    f"{ALICE}.rig": [(ALICE, 50)],
    "sri/donate": [(POOL, 50)],
    "sri/donate/rig": [(POOL, 50)],
    f"sri/donate/1/{P2TR}": [(POOL, 0.5), (P2TR, 49.5)],
    f"sri/donate/33/{P2WSH}/rig": [(POOL, 16.5), (P2WSH, 33.5)],
    f"sri/donate/99/{P2SH}/rig": [(POOL, 49.5), (P2SH, 0.5)],
    "account.rig": [(POOL, 50)],
}


def paid(coinbase):
    return [(output["scriptPubKey"]["address"], output["value"]) for output in coinbase["vout"]
            if output["scriptPubKey"]["type"] != "nulldata"]


class Payouts(InteropTest):
    def assert_no_block_was_lost(self, pool):
        self.assertEqual([e for e in pool.events("pool.block_answered") if e["verdict"] not in ("accepted", "stale")], [])
        self.assertEqual(pool.events("pool.block_lost"), [])

    def mine(self, node, start, expected, what):
        """Starts a program that mines, lets it find two blocks, ends it, and looks at them."""
        height = node.height()
        program = start()
        self.wait_until(f"two blocks of {what}", lambda: node.height() >= height + 2, 120)
        program.process.kill()
        time.sleep(1)  # What is found already is submitted.
        for found in range(height + 1, node.height() + 1):
            self.assertEqual(paid(node.coinbase(found)), expected, f"{what}, block {found}")

    def mine_each(self, source):
        node = BitcoinCore(self)
        node.mine_elsewhere(1)
        pool = Pool(self, source(node))
        url = pool.url("tcp")
        for identity, expected in PATTERNS.items():
            with self.subTest(identity):
                self.mine(node, lambda: Role(self, "miner", url, "--user", identity, "--threads", "1"), expected, identity)
        self.assert_no_block_was_lost(pool)

    def test_the_node_accepts_blocks_of_each_pattern(self):
        self.mine_each(ipc_source)

    @whole_matrix
    def test_the_node_accepts_blocks_of_each_pattern_by_rpc(self):
        self.mine_each(rpc_source)

    def test_miners_that_are_paid_differently_mine_at_once(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(1)
        pool = Pool(self, ipc_source(node), keys="solo_fee_percent = 2")
        identities = {f"{ALICE}.rig": [(POOL, 1), (ALICE, 49)], f"sri/donate/10/{P2TR}": [(POOL, 5), (P2TR, 45)], "account": [(POOL, 50)]}
        for identity in identities:
            Role(self, "miner", pool.url("tcp"), "--user", identity, "--threads", "1")
        seen = lambda: {tuple(paid(node.coinbase(height))) for height in range(2, node.height() + 1)}
        self.wait_until("each has found a block", lambda: len(seen()) >= 3, 120)
        self.assertEqual(seen(), {tuple(expected) for expected in identities.values()})
        told = {(e["user_identity"], e["pool_percent"]) for e in pool.events("pool.block_found")}
        self.assertEqual(told, {(f"{ALICE}.rig", 2), (f"sri/donate/10/{P2TR}", 10), ("account", 100)})
        self.assert_no_block_was_lost(pool)

    def verified(self, start):
        """Translators that verify what they are paid mine on, and the node has what they verified."""
        node = BitcoinCore(self)
        node.mine_elsewhere(1)
        pool = Pool(self, ipc_source(node), keys="solo_fee_percent = 3")
        for identity, expected in ((f"{ALICE}.rig", [(POOL, 1.5), (ALICE, 48.5)]), (f"sri/donate/3/{P2TR}", [(POOL, 1.5), (P2TR, 48.5)]),
                                   (f"sri/donate/50/{P2WSH}/rig", [(POOL, 25), (P2WSH, 25)])):
            with self.subTest(identity):
                height = node.height()
                translator, address = start(pool.url("tcp"), identity)
                miner = Miner(self, address)
                self.wait_until(f"two blocks for {identity}", lambda: node.height() >= height + 2, 120)
                for program in (miner, translator):
                    program.process.kill()
                    program.process.log.unlink()  # The next one says anew where it listens.
                time.sleep(1)
                for found in range(height + 1, node.height() + 1):
                    self.assertEqual(paid(node.coinbase(found)), expected, f"{identity}, block {found}")
        self.assert_no_block_was_lost(pool)

    def test_our_translator_verifies_what_our_pool_pays(self):
        def start(url, identity):
            translator = Translator(self, url, identity=identity, verify_payout=True, aggregate_channels=False)
            return translator, translator.address()
        self.verified(start)

    def test_sris_translator_verifies_what_our_pool_pays(self):
        def start(url, identity):
            translator = SriTranslator(self, url, aggregate_channels=False, identity=identity, verify_payout=True)
            return translator, translator.address
        self.verified(start)


if __name__ == "__main__":
    unittest.main()
