"""Pool, translator and miner as processes that meet over iroh on this machine: they mine, come back after a kill, and say
what is wrong in words that name what to change."""
import glob
import re

from adit import ADIT, EMBEDDED_SOURCE, Miner, Pool, Translator
from processes import InteropTest, free_port, http_get

DEADLINE = 120
FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")  # Package libfaketime.


class OverIroh(InteropTest):
    def pool(self):
        """On a port that it finds again after a restart."""
        return Pool(self, EMBEDDED_SOURCE, iroh=f'bind_addresses = ["127.0.0.1:{free_port()}"]')

    def shares(self, pool):
        return pool.metric("sv2_client_shares_accepted_total")

    def wait_for_shares(self, pool, more_than=0):
        self.wait_until(f"more than {more_than} shares are accepted", lambda: self.shares(pool) > more_than, DEADLINE)

    def complaint(self, translator):
        event = self.wait_until("the translator says what is wrong",
                                lambda: translator.events("translator.upstream_failed") +
                                        translator.events("translator.upstream_unusable"), DEADLINE)[0]
        return event["message"]

    def test_shares_go_directly(self):
        pool = self.pool()
        translator = Translator(self, pool.url("iroh"))
        Miner(self, translator.address())
        self.wait_for_shares(pool)
        ready = translator.events("translator.upstream_ready")
        self.assertEqual([(e["transport"], e["path"], e["alpn"], e["lanes"]) for e in ready], [("iroh", "direct", "adit/sv2/1", 2)])
        translator.process.stop()
        for role, event in ((pool, "pool.connection_closed"), (translator, "translator.upstream_closed")):
            closed = self.wait_until(event, lambda: role.events(event), DEADLINE)[0]
            self.assertEqual(closed["transport"], "iroh")
            for figure in ("seconds", "bytes_sent", "bytes_received", "packets_sent", "congestion_window", "mtu"):
                self.assertGreater(closed[figure], 0, f"{event}: {figure}")
        self.wait_until("counted by transport, its bytes too", lambda: re.search(
            r'^adit_connection_bytes_total\{(?=[^}]*transport="iroh")(?=[^}]*direction="sent")[^}]*\} [1-9]',
            http_get(f"http://127.0.0.1:{pool.monitoring}/metrics"), re.M), DEADLINE)

    def test_the_miner_falls_back_from_iroh_to_tcp_and_takes_its_leave(self):
        pool = self.pool()
        nobody = pool.url("iroh").replace(re.search("[0-9a-f]{64}", pool.url("iroh"))[0], "a" * 62 + "01")
        miner = Miner(self, nobody, pool.url("tcp"), "--goodbye")
        self.wait_for_shares(pool)
        self.assertEqual(miner.events("miner.connected")[0]["transport"], "tcp")
        miner.process.stop()
        direct = Miner(self, pool.url("iroh"))
        self.wait_until("it mines over iroh", lambda: [e for e in direct.events("miner.connected") if e["transport"] == "iroh"], DEADLINE)
        self.wait_for_shares(pool, self.shares(pool))
        direct.process.stop()
        closed = [e for e in direct.events("miner.upstream_closed") if e["transport"] == "iroh"]
        self.assertEqual([(e["goodbye"], e["shares_unanswered"]) for e in closed], [(True, 0)])
        self.wait_until("the pool heard it", lambda: len(pool.events("pool.goodbye")) == 2, DEADLINE)

    def test_who_asks_for_one_stream_gets_one(self):
        pool = self.pool()
        url = pool.url("iroh")
        translator = Translator(self, url + ("&" if "?" in url else "?") + "alpn=sv2-m")
        Miner(self, translator.address())
        self.wait_for_shares(pool)
        ready = translator.events("translator.upstream_ready")
        self.assertEqual([(e["alpn"], e["lanes"]) for e in ready], [("sv2-m", 1)])

    def test_a_killed_pool_is_found_again(self):
        pool = self.pool()
        translator = Translator(self, pool.url("iroh"))
        Miner(self, translator.address())
        self.wait_for_shares(pool)
        pool.process.kill()
        self.wait_until("the translator notices", lambda: translator.events("translator.upstream_lost"), DEADLINE)
        pool.process.start()
        self.wait_for_shares(pool)
        self.assertGreaterEqual(len(translator.events("translator.upstream_ready")), 2)

    def test_a_killed_translator_starts_where_it_was(self):
        pool = self.pool()
        translator = Translator(self, pool.url("iroh"))
        miner = Miner(self, translator.address())
        self.wait_for_shares(pool)
        translator.process.kill()
        translator.process.start()
        before = self.shares(pool)
        # The miner is given the translator's new address, as one behind a fixed port would find the old.
        miner.process.stop()
        Miner(self, self.wait_until("it listens again", lambda: translator.events("translator.listening")[1:], DEADLINE)[0]["address"])
        self.wait_for_shares(pool, before)

    def test_a_wrong_endpoint_id_reaches_nobody(self):
        url = self.pool().url("iroh")
        endpoint_id = re.search("[0-9a-f]{64}", url)[0]
        stranger = self.run_to_end(ADIT, "keys", "node", "--out", self.folder / "stranger.key")
        wrong = url.replace(endpoint_id, re.search("[0-9a-f]{64}", stranger)[0])
        self.assertRegex(self.complaint(Translator(self, wrong)), "endpoint id")

    def test_the_right_id_with_another_authority_is_not_trusted(self):
        pool = self.pool()
        url = pool.url("iroh")
        other = self.run_to_end(ADIT, "keys", "authority", "--out", self.folder / "other.key").split()[-1]
        wrong = url.replace(url.rsplit("/", 1)[1].split("?")[0], other)
        self.assertRegex(self.complaint(Translator(self, wrong)), "authority")

    def test_a_clock_that_is_wrong_is_said_to_be_wrong(self):
        if not FAKETIME:
            self.skipTest("no libfaketime here")
        pool = self.pool()
        url = pool.url("iroh")
        translator = Translator(self, url, env={"LD_PRELOAD": FAKETIME[0], "FAKETIME": "+2d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        self.assertRegex(self.complaint(translator), "clock")
