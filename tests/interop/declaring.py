"""What tests of a job declarator client on a Bitcoin Core node share. What holds is asked of the node, by its own RPC."""
from processes import InteropTest

# Whom blocks pay that are no pool's; its key is nobody's.
SOLO = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
DEADLINE = 120


class DeclaringTest(InteropTest):
    def payees(self, node, first):
        return [{output["scriptPubKey"].get("address") for output in node.coinbase(height)["vout"]}
                for height in range(first, node.height() + 1)]

    def wait_for_blocks_that_pay(self, whom, node, count=3):
        first = node.height() + 1
        self.wait_until(f"{count} blocks pay {whom}", lambda: sum(whom in payees for payees in self.payees(node, first)) >= count, DEADLINE)

    def wait_for_pool_work(self, client, times=1):
        self.wait_until("a job is acknowledged", lambda: len(client.events("jd_client.pool_work")) >= times, DEADLINE)

    def wait_for_solo_work(self, client, times=1):
        self.wait_until("the work is solo", lambda: len(client.events("jd_client.solo_work")) >= times, DEADLINE)

    def assert_no_block_is_lost(self, client):
        self.assertEqual([e for e in client.events("jd_client.block_answered") if e["verdict"] == "rejected"], [])
        self.assertEqual(client.events("jd_client.block_lost"), [])
