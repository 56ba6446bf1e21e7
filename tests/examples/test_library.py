"""The programs of examples/, built on the installed library: each does what its page says."""
import os
import pathlib
import re
import subprocess

from adit import EMBEDDED_SOURCE, Pool
from processes import InteropTest

PROGRAMS = pathlib.Path(os.environ.get("ADIT_EXAMPLES", "."))
INSTALLED = pathlib.Path(os.environ.get("ADIT_INSTALLED", "."))
DEADLINE = 120


class Chat:
    """One end, whose input is ours."""

    def __init__(self, test, name, *arguments):
        self.log = test.folder / f"{name}.log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen([PROGRAMS / "chat", *arguments], stdin=subprocess.PIPE, stdout=log, stderr=log, text=True)
        test.addCleanup(self.end)
        self.test = test

    def end(self):
        self.child.stdin.close()
        self.child.kill()
        self.child.wait()

    def say(self, line):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()

    def wait_for(self, pattern):
        """What a line of its output is."""
        def found():
            self.test.assertIsNone(self.child.poll(), self.log.read_text())
            return re.search(pattern, self.log.read_text(), re.M)
        return self.test.wait_until(f"chat prints {pattern}", found, DEADLINE)[0]

    def leave(self):
        self.child.stdin.close()
        return self.child.wait(DEADLINE)


class Installed(InteropTest):
    def test_no_header_includes_one_that_is_not_there_and_none_is_of_a_test(self):
        folder = INSTALLED / "include/adit"
        headers = list(folder.rglob("*.h"))
        self.assertGreater(len(headers), 100)
        for header in headers:
            self.assertNotRegex(header.read_text(), "#include <g(test|mock)/", header)
            for included in re.findall(r'^#include "(.+)"', header.read_text(), re.M):
                self.assertTrue((folder / included).exists(), f"{header} includes {included}")


class Examples(InteropTest):
    def test_the_validator_judges_a_good_share_a_duplicate_and_one_above_the_target(self):
        said = self.run_to_end(PROGRAMS / "share_validator")
        self.assertRegex(said, r"(?m)^a good share: accepted, worth a difficulty of [0-9.e+-]+$")
        self.assertIn("the same again: refused, duplicate-share\n", said)
        self.assertIn("one above the target: refused, difficulty-too-low\n", said)
        self.assertIn("acknowledged: 1 share\n", said)
        self.assertRegex(said, r"(?m)^to the miner: NewExtendedMiningJob\{")
        self.assertRegex(said, r"(?m)^to the miner: SetNewPrevHash\{")

    def test_the_miner_has_shares_accepted_over_tcp_and_over_iroh(self):
        pool = Pool(self, EMBEDDED_SOURCE, iroh=True)
        for transport in ("tcp", "iroh"):
            said = self.run_to_end(PROGRAMS / "miner", pool.url(transport), "2")
            self.assertGreaterEqual(int(re.findall(r", (\d+) shares accepted", said)[-1]), 2)
            self.wait_until("the pool saw it", lambda: [e for e in pool.events("pool.connection_closed") if e["transport"] == transport],
                            DEADLINE)
        pool.process.stop()
        self.assertGreaterEqual(pool.events("pool.stats")[-1]["shares_accepted"], 4)

    def test_the_miner_says_what_is_wrong_with_a_url(self):
        ended = subprocess.run([PROGRAMS / "miner", "stratum2+tcp://127.0.0.1"], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(ended.returncode, 2)
        self.assertRegex(ended.stderr, "^miner: .*port")

    def test_two_chats_say_lines_to_each_other(self):
        first = Chat(self, "first", "listen", "127.0.0.1:0")
        second = Chat(self, "second", first.wait_for(r"^stratum2\+iroh://\S+"))
        for end in (first, second):
            end.wait_for("^\\* connected with [0-9a-f]{64}$")
        first.say("is anybody there?")
        second.wait_for(r'^> "is anybody there\?"$')
        second.say("ünïcode, and \33[31m no colour")
        first.wait_for(r'^> "ünïcode, and \\u001b\[31m no colour"$')
        self.assertEqual(second.leave(), 0)
        first.wait_for(r"^\* the other has left")
        self.assertEqual(first.leave(), 0)
