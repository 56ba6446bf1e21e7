"""The first run, without a file: `adit solo` on its own chain, and `adit translator` with the URL that a pool prints."""
import json
import os
import pty
import subprocess

from adit import ADIT, Miner, Pool, Role, EMBEDDED_SOURCE, metric
from processes import InteropTest, free_port, http_get

# Whom the pool pays, and a miner whose user name is its own address. The keys are nobody's.
OWNER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
OTHER = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
DEADLINE = 180


class FirstRun(InteropTest):
    def solo(self, *options):
        self.port, self.monitoring = free_port(), free_port()
        solo = Role(self, "solo", "--demo", OWNER, "--port", self.port, "--monitoring", f"127.0.0.1:{self.monitoring}",
                    "--data-dir", self.folder / "solo", *options)
        self.wait_until("it takes connections", lambda: self.listens(self.port), DEADLINE)
        return solo

    def mine(self, scheme, user):
        return self.run_process(f"miner-{scheme}", ADIT, "miner", f"{scheme}://127.0.0.1:{self.port}" + self.key(scheme), "--user", user, "--threads", "1")

    def key(self, scheme):
        return "" if scheme == "stratum+tcp" else "/" + self.run_to_end(ADIT, "keys", "show", self.folder / "solo" / "authority.key").strip()

    def wait_for_blocks(self, count=3):
        self.wait_until("blocks are found", lambda: metric(self.monitoring, "sv2_client_blocks_found_total") >= count, DEADLINE)

    def test_miners_of_both_protocols_come_to_one_port_and_blocks_pay_the_owner(self):
        """Their user names are addresses of their own, which would be refused or paid by any other pool."""
        solo = self.solo()
        self.mine("stratum+tcp", f"{OTHER}.bitaxe")
        self.mine("stratum2+tcp", OTHER)
        self.wait_for_blocks()
        self.wait_until("both are there", lambda: json.loads(
            http_get(f"http://127.0.0.1:{self.monitoring}/api/v1/status"))["clients"]["channels"] >= 2, DEADLINE)
        self.assertEqual(solo.events("pool.channel_refused"), [])

    def test_it_goes_on_with_its_key_when_it_is_started_again(self):
        solo = self.solo()
        before = (self.folder / "solo" / "authority.key").read_text()
        self.mine("stratum2+tcp", "me")
        self.wait_for_blocks()
        solo.process.stop()
        solo.process.start()
        self.wait_for_blocks()
        self.assertEqual((self.folder / "solo" / "authority.key").read_text(), before)

    def test_url_shows_again_what_solo_and_a_pool_have_printed(self):
        self.solo()
        shown = self.run_to_end(ADIT, "url", "-c", self.folder / "solo" / "pool-config.toml")
        self.assertIn(f":{self.port}{self.key('stratum2+tcp')}\n", shown)
        self.assertIn("Stratum V1 miners connect to stratum+tcp://", shown)
        pool = Pool(self, EMBEDDED_SOURCE, iroh=f'bind_addresses = ["127.0.0.1:{free_port()}"]')
        for transport in ("tcp", "iroh"):
            url = pool.url(transport)
            self.assertIn(f"  {url}\n", self.run_to_end(ADIT, "url", "-c", self.folder / "pool.toml"), "and it runs meanwhile")

    def test_init_asks_a_person_five_questions(self):
        ours, terminal = pty.openpty()
        self.addCleanup(os.close, ours)
        with subprocess.Popen([ADIT, "init", "pool"], stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder,
                              env={"HOME": str(self.folder)}) as asking:
            os.write(ours, f"{OWNER}\n\n127.0.0.1:4711\noff\n\n".encode())
            _out, asked = asking.communicate(timeout=DEADLINE)
        os.close(terminal)
        self.assertEqual(asking.returncode, 0, asked)
        self.assertTrue(asked.startswith("A Bitcoin address of yours, which blocks pay: "), asked)
        self.assertEqual(asked.count("]: "), 4, "each of the others shows its default: " + asked)
        self.assertIn("Where work comes from", asked)
        made = (self.folder / "pool-config.toml").read_text()
        self.assertIn('listen_address = "127.0.0.1:4711"', made)
        self.assertIn("[template_provider_type.Embedded]", made)
        self.assertIn('monitoring_address = "127.0.0.1:9090"', made)
        self.assertNotIn("[iroh]", made)

    def test_init_asks_again_for_a_hash_rate_that_is_no_number(self):
        ours, terminal = pty.openpty()
        self.addCleanup(os.close, ours)
        with subprocess.Popen([ADIT, "init", "translator", "--url", "stratum2+tcp://pool.example:3333", "--user", "farm", "--listen", "127.0.0.1:4711"],
                              stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder, env={"HOME": str(self.folder)}) as asking:
            os.write(ours, b"fast\n2e12\n\n")
            _out, asked = asking.communicate(timeout=DEADLINE)
        os.close(terminal)
        self.assertEqual(asking.returncode, 0, asked)
        self.assertIn('not "fast"', asked)
        self.assertIn("min_individual_miner_hashrate = 2e12", (self.folder / "tproxy-config.toml").read_text())

    def test_a_translator_with_the_url_of_a_pool(self):
        for transport in ("tcp", "iroh"):
            with self.subTest(transport):
                pool = Pool(self, EMBEDDED_SOURCE, iroh=True, name=f"pool-{transport}")
                port, monitoring = free_port(), free_port()
                translator = self.run_process(f"translator-{transport}", ADIT, "translator", pool.url(transport), "--user", "farm", "--port", port,
                                              "--monitoring", f"127.0.0.1:{monitoring}")
                self.wait_until("it takes connections", lambda: self.listens(port), DEADLINE)
                Miner(self, f"127.0.0.1:{port}")
                self.wait_until("shares are accepted", lambda: pool.metric("sv2_client_shares_accepted_total") >= 3, DEADLINE)
                translator.stop()


if __name__ == "__main__":
    import unittest
    unittest.main()
