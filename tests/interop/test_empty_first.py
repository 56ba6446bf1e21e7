"""`empty_template_first`: at a new tip work without transactions, and then the full one. What holds is asked of the node."""
import statistics

from adit import Miner, Pool, TemplateProvider, ipc_source, rpc_source, sv2_source
from bitcoin_core import BitcoinCore
from processes import InteropTest, whole_matrix
from tips import NODE_OPTIONS, measure_tips
from transactions import Coins


class EmptyFirst(InteropTest):
    def full_node(self, transactions=3000):
        """More in its mempool than a block holds."""
        node = BitcoinCore(self, *NODE_OPTIONS)
        node.mine_elsewhere(17)
        coins = Coins(node, transactions)
        for fee in (3_000, 5_000, 9_000):
            coins.send(transactions // 3, fee, size=300)
        return node

    def compare_first_jobs(self, node, start):
        """`start(empty_first, name)` gives a pool. Prints how much sooner its first job on a tip is there, and returns the ratio."""
        median = {}
        for empty_first in (False, True):
            pool = start(empty_first, f"pool-{'empty' if empty_first else 'full'}")
            rows = measure_tips(node, pool.url("tcp"), pool.process.child.pid, 8)
            median[empty_first] = statistics.median(row[1] for row in rows)
            for process in reversed(self.processes[1:]):
                process.stop()
        ratio = median[True] / median[False]
        print(f"\n{self.id().rsplit('.', 1)[-1]}: first job on a tip after {median[False]:.1f} ms, the empty one first after "
              f"{median[True]:.1f} ms: {ratio:.2f} x", flush=True)
        return ratio

    def test_the_first_job_is_there_sooner_by_rpc(self):
        node = self.full_node()
        self.assertLess(self.compare_first_jobs(
            node, lambda empty_first, name: Pool(self, rpc_source(node, empty_first=empty_first), name=name)), 0.8)

    def test_the_first_job_is_there_sooner_by_ipc(self):
        node = self.full_node()
        self.assertLess(self.compare_first_jobs(
            node, lambda empty_first, name: Pool(self, ipc_source(node, empty_first=empty_first), name=name)), 1)

    @whole_matrix
    def test_the_first_job_is_there_sooner_through_a_provider(self):
        node = self.full_node()

        def start(empty_first, name):
            provider = TemplateProvider(self, rpc_source(node, empty_first=empty_first), name=f"{name}-provider")
            return Pool(self, sv2_source(provider.url("tcp")), name=name)
        self.assertLess(self.compare_first_jobs(node, start), 0.8)

    def mine_on_empty_templates(self, source_of):
        """Every hash is a block here, so the first job on a tip finds the next one."""
        node = self.full_node()
        height = node.height()
        pool = Pool(self, source_of(node))
        miner = Miner(self, pool.url("tcp"))
        self.wait_until("ten blocks were found", lambda: node.height() >= height + 10, 120)
        miner.process.stop()
        blocks = [node.call("getblock", node.call("getblockhash", at)) for at in range(height + 1, node.height() + 1)]
        paid = {block["height"]: round(sum(output["value"] for output in node.coinbase(block["height"])["vout"]) * 100_000_000)
                for block in blocks}
        empty = [block for block in blocks if block["nTx"] == 1]
        self.assertTrue(empty, f"of {len(blocks)} blocks none was found on an empty template")
        for block in empty:
            self.assertEqual(paid[block["height"]], 5_000_000_000 >> (block["height"] // 150))
        for block in blocks:
            self.assertGreaterEqual(paid[block["height"]], 5_000_000_000 >> (block["height"] // 150))
        self.assertEqual([e for e in pool.events("pool.block_answered") if e["verdict"] == "rejected"], [])
        full = [block for block in blocks if block["nTx"] > 1]
        print(f"\n{len(blocks)} blocks, {len(empty)} of them on empty templates, {len(full)} on full ones", flush=True)

    def test_blocks_on_empty_templates_are_valid_by_ipc(self):
        self.mine_on_empty_templates(lambda node: ipc_source(node, empty_first=True))

    def test_blocks_on_empty_templates_are_valid_by_rpc(self):
        self.mine_on_empty_templates(lambda node: rpc_source(node, empty_first=True))

    @whole_matrix
    def test_blocks_on_empty_templates_are_valid_through_a_provider(self):
        def source_of(node):
            return sv2_source(TemplateProvider(self, ipc_source(node, empty_first=True)).url("tcp"))
        self.mine_on_empty_templates(source_of)
