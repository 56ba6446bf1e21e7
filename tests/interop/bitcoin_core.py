"""Bitcoin Core on regtest, asked over its own RPC without any code of adit's. Its IPC socket is where SRI's pool looks for it."""
import base64
import itertools
import json
import os
import pathlib
import urllib.error
import urllib.request

from processes import free_port

# Whoever mines beside the pool; its key is nobody's.
SOMEBODY_ELSE = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"


class BitcoinCore:
    def __init__(self, test, *options, chain="regtest", ipc=True, name="bitcoin"):
        self.test = test
        self.folder = test.folder / name
        self.folder.mkdir()
        self.port = free_port()
        self.cookie = self.folder / chain / ".cookie"
        self.socket = self.folder / chain / "node.sock"
        self.ids = itertools.count()
        self.process = test.run_process(
            f"{name}-node", pathlib.Path(os.environ["ADIT_PEER_BITCOIN"]) / "bitcoin-node", f"-chain={chain}", f"-datadir={self.folder}",
            "-server", f"-rpcport={self.port}", "-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1", "-listen=0", "-dnsseed=0", "-fixedseeds=0",
            "-printtoconsole=1",
            # On regtest it looks at its whole mempool and its whole chain at each transaction and block, unless told not to.
            "-checkmempool=0", "-checkblockindex=0",
            *(["-ipcbind=unix"] if ipc else []), *options)
        self.wait()

    def wait(self):
        self.test.wait_until("the node answers", lambda: self.call("getblockchaininfo"), 60)

    def call(self, method, *parameters):
        return self.answer_to(self.request(method, parameters))["result"]

    def call_each(self, method, each, batch=500):
        """One call with each of these as its only parameter, many to a request."""
        results = []
        for first in range(0, len(each), batch):
            answers = self.answer_to([self.request(method, [one]) for one in each[first:first + batch]])
            failed = [answer["error"] for answer in answers if answer["error"]]
            if failed:
                raise AssertionError(f"{method}: {failed[0]}")
            results += [answer["result"] for answer in answers]
        return results

    def request(self, method, parameters):
        return {"jsonrpc": "1.0", "id": next(self.ids), "method": method, "params": parameters}

    def answer_to(self, requests):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", json.dumps(requests).encode(), {"Content-Type": "application/json"})
        request.add_header("Authorization", "Basic " + base64.b64encode(self.cookie.read_bytes()).decode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def height(self):
        return self.call("getblockcount")

    def coinbase(self, height):
        """The coinbase transaction of the block at `height`, as the node decodes it."""
        return self.call("getblock", self.call("getblockhash", height), 2)["tx"][0]

    def mine_elsewhere(self, count, address=SOMEBODY_ELSE):
        """Blocks that are not the pool's: a tip of today, without which a node is in its initial download. Kept on disk."""
        self.call("generatetoaddress", count, address)
        self.call("gettxoutsetinfo")  # flushes the chain state as a side effect, so that a kill does not undo these blocks

    def kill_and_restart(self):
        self.process.kill()
        self.process.start()
        self.wait()

    def stop_and_restart(self, deadline=30):
        """As its operator would. Returns with what it ended: -9 if it was not over within the deadline."""
        self.process.stop(deadline)
        ended = self.process.child.returncode
        self.process.start()
        self.wait()
        return ended
