"""Mining between two hosts behind routers of every kind, a relay of ours between them: each pair mines, and whether directly or
through the relay is as the routers allow."""
import itertools
import time

import report
from mining import LabMiner, LabPool, LabRelay, LabTranslator, moment
from processes import InteropTest
from topology import Internet

DEADLINE = 90  # For whatever a test waits for: this machine may be busy.
STAYS = 12  # Seconds in which iroh tries again, twice, to find a direct path.

OPEN = ("none", "home", "full cone", "symmetric")
# Neither side can tell the other where it will be seen: one's port is another for each destination, and the other lets in only
# whom it has sent to.
RELAYED = {("home", "symmetric"), ("symmetric", "home"), ("symmetric", "symmetric")}


def tearDownModule():
    report.write()


class Pairs(InteropTest):
    def mine(self, pool_kind, miner_kind, expected):
        internet = Internet()
        self.addCleanup(internet.remove)
        relay = LabRelay(self, internet.public)
        pool_host, miner_host = internet.host("pool", 1, pool_kind), internet.host("miner", 2, miner_kind)
        pool = LabPool(self, pool_host, relay.settings)
        url = pool.url("iroh")
        self.assertIn("relay=", url)
        translator = LabTranslator(self, miner_host, [url], relay.settings)
        begun = moment(translator.listening())
        miner = LabMiner(self, miner_host)
        first_share = moment(self.wait_until("a share is accepted", miner.first_share, DEADLINE))
        if expected == "direct":
            self.wait_until("the path is direct", lambda: translator.path() == "direct", DEADLINE)
        else:
            time.sleep(STAYS)
        accepted = pool.shares_accepted()
        self.wait_until("shares go on", lambda: pool.shares_accepted() > accepted, DEADLINE)
        self.assertEqual(translator.path(), expected)
        ready = translator.events("translator.upstream_ready")
        self.assertEqual([(event["transport"], event["alpn"], event["lanes"]) for event in ready], [("iroh", "adit/sv2/1", 2)],
                         "one connection all the time, over lanes")
        changes = translator.path_changes()
        if expected == "direct" and ready[0]["path"] == "relayed":
            self.assertIn(("relayed", "direct"), changes, "it is told that the way has changed")
        if expected == "relayed":
            self.assertNotIn("direct", [to for _, to in changes])
        self.assertEqual(translator.events("translator.upstream_lost") + miner.events("miner.disconnected"), [])
        direct = next((e for e in translator.events("translator.path") if e["path"] == "direct"), None)
        report.tell(case=f"{pool_kind} x {miner_kind}", path=translator.path(), first_share_s=first_share - begun,
                    direct_s=moment(direct) - begun if direct else None)


def add(pool_kind, miner_kind, expected):
    name = f"test_pool_{pool_kind}_miner_{miner_kind}_is_{expected}".replace(" ", "_")
    setattr(Pairs, name, lambda self: self.mine(pool_kind, miner_kind, expected))


for pair in itertools.product(OPEN, OPEN):
    add(*pair, "relayed" if pair in RELAYED else "direct")
add("none", "udp blocked", "relayed")
add("udp blocked", "home", "relayed")
