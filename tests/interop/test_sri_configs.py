"""SRI's own example configurations, as its crates carry them, are valid for adit's roles."""
import os
import pathlib
import subprocess
import unittest

ADIT = os.environ.get("ADIT", "adit")
# ./dev interop puts them beside the peers that it builds.
EXAMPLES = pathlib.Path(os.environ["ADIT_PEER_TRANSLATOR"]).parent / "sri-config-examples"


class SriConfigs(unittest.TestCase):
    def check_all(self, role, least):
        files = sorted((EXAMPLES / role).rglob("*.toml"))
        self.assertGreaterEqual(len(files), least)
        for file in files:
            with self.subTest(file=str(file.relative_to(EXAMPLES))):
                ran = subprocess.run([ADIT, "check", "-c", file], capture_output=True, text=True, timeout=30)
                self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
                self.assertIn(f"valid for `adit {role}`", ran.stdout)

    def test_the_pools_are_valid(self):
        self.check_all("pool", 11)

    def test_the_translators_are_valid(self):
        self.check_all("translator", 8)

    def test_each_key_without_effect_is_listed(self):
        file = EXAMPLES / "pool" / "mainnet" / "pool-jds-config-bitcoin-core-ipc-example.toml"
        ran = subprocess.run([ADIT, "check", "-c", file], capture_output=True, text=True, timeout=30)
        self.assertNotIn("`jds`", ran.stdout)
        self.assertNotIn("BitcoinCoreIpc is not here", ran.stdout)


if __name__ == "__main__":
    unittest.main()
