"""adit and SRI's programs, each as the other's upstream. Whether a share counts is asked of the pool that took it: what a
translator calls accepted may never have left it. Worker identities (extension 0x0002) are offered by every side.

ADIT_INTEROP=all adds what takes longer than a minute or two, or needs a peer that takes long to build.
"""
import re
import unittest

from adit import EMBEDDED_SOURCE, Miner, Pool, Translator, assert_pays_us, rpc_source
from bitcoin_core import BitcoinCore
from processes import InteropTest, whole_matrix
from sri import SriClient, SriMiner, SriPool, SriTranslator

# What channels are opened with towards SRI's pool: a part of what our miner has, so that blocks come every second or so, and a
# new target after a minute.
HASH_RATE = 500_000

ACCEPTED = "sv2_client_shares_accepted_total"
REJECTED = "sv2_client_shares_rejected_total"


class Sv1MinerBehind:
    """An SV1 miner of ours behind SRI's translator, on a channel that is opened far too easy: the pool must raise its target."""

    def __init__(self, test, pool, *, aggregate_channels):
        self.translator = SriTranslator(test, pool.url("tcp"), aggregate_channels=aggregate_channels, hash_rate=20_000.0)
        self.process = self.translator.process
        self.miner = Miner(test, self.translator.address)

    def targets(self):
        return len(re.findall(r"Received: SetTarget", self.process.text()))


class SriProgramOnOurPool:
    """What every SRI program must be able to do with our pool; a subclass says which program."""

    dials_again = False  # Whether it outlives its connection; else it is started again.

    def connect(self, pool):
        raise NotImplementedError

    def wait_for_shares(self, pool, count):
        self.wait_until(f"the pool has accepted {count} shares", lambda: pool.metric(ACCEPTED) >= count, 120)

    def assert_refusals(self, pool, peer):
        self.assertEqual(pool.metric(REJECTED), 0)

    def test_its_shares_are_accepted_before_and_after_a_new_target_and_a_restart_of_the_pool(self):
        pool = Pool(self, EMBEDDED_SOURCE)
        peer = self.connect(pool)
        self.wait_for_shares(pool, 5)
        self.wait_until("the program hears of another target", lambda: peer.targets() >= 1, 120)
        self.wait_for_shares(pool, pool.metric(ACCEPTED) + 3)
        self.assert_refusals(pool, peer)
        # Nothing is left of its channels then, and its first share on a new one is counted from 0.
        if not self.dials_again:
            peer.process.kill()
        pool.process.kill()
        pool.process.start()
        self.wait_until("the pool listens again", lambda: self.listens(self.parts(pool.url("tcp"))[1]), 30)
        if not self.dials_again:
            peer.process.start()
        self.wait_for_shares(pool, 3)

    def test_its_blocks_are_the_nodes_before_and_after_one_of_somebody_else(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(1)
        pool = Pool(self, rpc_source(node))
        self.connect(pool)
        self.wait_until("the node has two blocks of ours", lambda: node.height() >= 3, 120)
        assert_pays_us(self, node, range(2, 4))
        node.mine_elsewhere(1)
        height = node.height()
        self.wait_until("the node has two more", lambda: node.height() >= height + 2, 120)
        self.wait_until("the pool's metrics show them", lambda: pool.metric("sv2_client_blocks_found_total") >= 4, 60)


class AggregatingSriTranslator(SriProgramOnOurPool, InteropTest):
    """It ends when its last upstream is lost: three retries at once, no backoff."""

    def connect(self, pool):
        return Sv1MinerBehind(self, pool, aggregate_channels=True)

    def test_the_miner_behind_it_is_shown_by_the_name_that_it_authorized_with(self):
        # "interop.worker", of which SRI hands on what stands behind the first dot.
        pool = Pool(self, EMBEDDED_SOURCE)
        self.connect(pool)
        self.wait_for_shares(pool, 20)
        self.wait_until("the pool shows a worker", lambda: pool.metric("adit_worker_shares_accepted_total") >= 5, 60)
        self.assertEqual(set(pool.workers()), {"worker"})


@whole_matrix
class SriTranslator1To1(SriProgramOnOurPool, InteropTest):
    """A channel for each miner."""

    def connect(self, pool):
        return Sv1MinerBehind(self, pool, aggregate_channels=False)


@whole_matrix
class SriMiningDevice(SriProgramOnOurPool, InteropTest):
    """A standard channel. It ends with its connection, and searches a job from its first nonce again at each new target."""

    def connect(self, pool):
        return SriMiner(self, pool.url("tcp"), hash_rate_multiplier=0.01)

    def assert_refusals(self, pool, peer):
        self.assertLessEqual(set(re.findall(r"error code ([a-z-]+)", peer.process.text())), {"duplicate-share"})


class SriCratesClient(SriProgramOnOurPool, InteropTest):
    """An extended channel, worker identities and UpdateChannel by SRI's crates."""

    dials_again = True

    def connect(self, pool):
        return SriClient(self, pool.url("tcp"))

    def test_worker_identities_are_granted_and_named_shares_count(self):
        pool = Pool(self, EMBEDDED_SOURCE)
        client = self.connect(pool)
        self.wait_for_shares(pool, 5)
        self.assertEqual(client.events("extensions")[0]["supported"], "[2]")
        self.assertEqual(client.events("rejected"), [])
        self.wait_until("the pool shows them under the worker's name",
                        lambda: pool.workers().get("worker-1", {}).get("shares_accepted", 0) >= 5, 60)
        self.assertEqual(set(pool.workers()), {"worker-1"})
        self.assertGreater(pool.workers()["worker-1"]["hashrate_hps"], 0)
        self.wait_until("the pool shows its workers' shares", lambda: pool.metric("adit_worker_shares_accepted_total") >= 5, 60)


class OurProgramOnSriPool:
    """What each of our programs must be able to do with SRI's pool on a node; a subclass says which program."""

    def connect(self, pool):
        raise NotImplementedError

    def setUp(self):
        super().setUp()
        self.node = BitcoinCore(self)
        self.node.mine_elsewhere(1)
        # Each share is a block here, and a busy machine does not get through more than one a second: well above what the pool asks
        # for even then, so that it must correct the target.
        self.pool = SriPool(self, self.node, self.folder / "sri.key", shares_per_minute=20.0, log="debug")

    def wait_for_shares(self, count):
        self.wait_until(f"SRI's pool has accepted {count} shares", lambda: self.pool.metric(ACCEPTED) >= count, 120)

    def test_its_shares_are_blocks_before_and_after_one_of_somebody_else_and_a_restart_of_the_pool(self):
        self.connect(self.pool)
        self.wait_for_shares(3)
        self.wait_until("the node has two blocks of ours", lambda: self.node.height() >= 3, 120)
        assert_pays_us(self, self.node, range(2, 4))
        self.node.mine_elsewhere(1)
        height = self.node.height()
        self.wait_until("the node has two more", lambda: self.node.height() >= height + 2, 120)
        self.pool.process.kill()
        self.pool.process.start()
        self.pool.wait()
        height = self.node.height()
        self.wait_for_shares(1)
        self.wait_until("the node has one more", lambda: self.node.height() > height, 120)

    @whole_matrix
    def test_it_follows_a_new_target(self):
        # SRI's pool looks once a minute at what a channel brings (this one brings far more than it was opened for), and answers
        # each UpdateChannel of a translator with SetTarget; it logs no SetTarget as such, but why it sends one.
        ours = self.connect(self.pool)
        self.wait_until("SRI's pool sends another target",
                        lambda: re.search("Updated target for|Received: UpdateChannel", self.pool.process.text()), 200)
        accepted = self.pool.metric(ACCEPTED)
        self.wait_for_shares(accepted + 3)
        self.assertIsNone(ours.process.child.poll())


class OurTranslatorOnSriPool(OurProgramOnSriPool, InteropTest):
    def connect(self, pool):
        translator = Translator(self, pool.url, aggregate_channels=True, hash_rate=HASH_RATE)
        Miner(self, translator.address())
        return translator


@whole_matrix
class OurTranslator1To1OnSriPool(OurProgramOnSriPool, InteropTest):
    def connect(self, pool):
        translator = Translator(self, pool.url, aggregate_channels=False, hash_rate=HASH_RATE)
        Miner(self, translator.address())
        return translator


class OurTranslatorVerifiesItsPayout(InteropTest):
    """SRI's pool pays what a user_identity asks for, and is held to it job by job."""

    def test_it_mines_for_its_own_address(self):
        node = BitcoinCore(self)
        node.mine_elsewhere(1)
        pool = SriPool(self, node, self.folder / "sri.key")
        own = "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8"
        translator = Translator(self, pool.url, identity=f"sri/solo/{own}/rig", verify_payout=True, hash_rate=HASH_RATE)
        Miner(self, translator.address())
        self.wait_until("the node has two blocks of ours", lambda: node.height() >= 3, 120)
        assert_pays_us(self, node, range(2, 4), own)


class OurMinerOnSriPool(OurProgramOnSriPool, InteropTest):
    def connect(self, pool):
        return Miner(self, pool.url, "--nominal-hash-rate", HASH_RATE)


if __name__ == "__main__":
    unittest.main()
