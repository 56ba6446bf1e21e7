"""`adit doctor` on a real machine: each fault that a test can make is made, and its sentence demanded. The sentences of all others are
demanded of the checks themselves, beside them (src/cli/doctor/checks_test.cpp)."""
import http.server
import json
import os
import pathlib
import socket
import subprocess
import threading

from adit import ADIT, EMBEDDED_SOURCE, PAYOUT, JdClient, Pool, Translator
from processes import InteropTest, free_port

DEADLINE = 180
SECRET = "correct-horse-battery-staple"
MAINNET_ADDRESS = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"


class FakeNode:
    """A Bitcoin node's JSON-RPC as far as the doctor asks. Its facts are there to be changed."""

    def __init__(self, test):
        self.chain = {"chain": "main", "blocks": 921_334, "headers": 921_334, "initialblockdownload": False, "pruned": False}
        self.network = {"connections": 8, "localrelay": True}
        self.template = {"height": 921_335, "coinbasevalue": 312_500_000, "weightlimit": 4_000_000, "transactions": [{"weight": 3_992_000}]}
        self.status = 200
        self.asked = []  # Path and token of each GET.
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                result = {"getblockchaininfo": node.chain, "getnetworkinfo": node.network, "getblocktemplate": node.template}[request["method"]]
                body = json.dumps({"result": result, "error": None, "id": request["id"]}).encode() if node.status == 200 else b""
                self.send_response(node.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                node.asked.append((self.path, self.headers["Authorization"]))
                self.send_response(405)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        test.addCleanup(server.shutdown)


class Doctor(InteropTest):
    def doctor(self, *arguments, env=None):
        """Exit code, and by name of each check its sentences with their cures."""
        done = subprocess.run([str(a) for a in (ADIT, "doctor", "--json", "--deadline", "5", *arguments)], capture_output=True, text=True, timeout=170,
                              env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin", **(env or {})}, cwd=self.folder, check=False)
        self.assertNotIn(SECRET, done.stdout + done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual([check["number"] for check in report["checks"]], list(range(1, 16)))
        self.assertEqual(done.returncode, 1 if report["status"] == "failure" else 0, done.stdout)
        return done.returncode, {check["name"]: "\n".join(f"{f['status']}: {f['message']} -> {f['cure']}" for f in check["findings"])
                                 for check in report["checks"]}

    def pool_file(self, source, **keys):
        key = self.folder / "authority.key"
        if not key.exists():
            self.run_to_end(ADIT, "keys", "authority", "--out", key)
        keys = {"listen_address": f"127.0.0.1:{free_port()}", "authority_secret_key_file": str(key),
                "coinbase_reward_script": f"addr({PAYOUT})", "data_dir": str(self.folder / "data"), **keys}
        file = self.folder / "pool.toml"
        file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in keys.items()) + source)
        return file

    def on_node(self, node):
        return self.pool_file(f'[template_provider_type.BitcoinRpc]\nnetwork = "mainnet"\nurl = "http://127.0.0.1:{node.port}"\n'
                              f'user = "adit"\npassword = "{SECRET}"\n', coinbase_reward_script=f"addr({MAINNET_ADDRESS})")

    def test_without_a_configuration_the_machine_is_looked_at(self):
        _code, said = self.doctor()
        self.assertIn("no configuration was named", said["configuration"])
        self.assertIn("files may be open", said["limits"])

    def test_a_pool_and_its_translator_that_run_have_nothing_wrong(self):
        pool = Pool(self, EMBEDDED_SOURCE, iroh=True)
        for transport in ("tcp", "iroh"):
            with self.subTest(transport):
                url = pool.url(transport)
                translator = Translator(self, url)
                translator.address()
                code, said = self.doctor("-c", self.folder / "translator.toml")
                self.assertEqual(code, 0, said)
                self.assertIn(f"is reached by {transport}", said["upstreams"])
                self.assertIn('proved its authority and takes "interop"', said["upstreams"])
                self.assertNotIn("failure", said["clock"])
                translator.process.stop()
        code, said = self.doctor("-c", self.folder / "pool.toml")
        self.assertEqual(code, 0, said)
        self.assertIn("which is a running adit", said["ports"])
        self.assertIn("the adit that runs is the same", said["version"])

    def test_the_token_is_shown_to_the_roles_own_monitor_alone(self):
        token = self.folder / "monitoring.token"
        self.run_to_end(ADIT, "keys", "token", "--out", token)
        pool = Pool(self, EMBEDDED_SOURCE, keys=f'monitoring_token_file = "{token}"')
        pool.url("tcp")
        file = self.folder / "pool.toml"
        _code, said = self.doctor("-c", file)
        self.assertIn("the adit that runs is the same", said["version"])
        other = FakeNode(self)
        file.write_text(file.read_text().replace(f'monitoring_address = "127.0.0.1:{pool.monitoring}"', f'monitoring_address = "127.0.0.1:{other.port}"'))
        _code, said = self.doctor("-c", file)
        self.assertIn("which is a running adit", said["ports"])
        self.assertIn(f"127.0.0.1:{other.port} is taken by pid ", said["ports"])
        self.assertEqual(other.asked, [], "the token is nobody else's")

    def test_health_is_the_running_roles_own_word(self):
        token = self.folder / "monitoring.token"
        self.run_to_end(ADIT, "keys", "token", "--out", token)
        url = f"http://127.0.0.1:{free_port()}"

        def health(*arguments):
            done = subprocess.run([ADIT, "health", *map(str, arguments)], capture_output=True, text=True, timeout=30)
            return done.returncode, done.stdout + done.stderr

        self.assertEqual(health(url), (1, f"adit health: {url}: nothing listens there\n"))
        # Its node is not there: it answers, and cannot do its work.
        pool = Pool(self, f'[template_provider_type.BitcoinRpc]\nurl = "http://127.0.0.1:{free_port()}"\nuser = "u"\npassword = "p"\nnetwork = "regtest"',
                    keys=f'monitoring_token_file = "{token}"')
        pool.url("tcp")
        url = f"http://127.0.0.1:{pool.monitoring}"
        code, said = health(url)
        self.assertEqual(code, 1)
        self.assertIn("it asks for a token: --token-file", said)
        self.assertEqual(health(url, "--token-file", token)[0], 0)
        code, said = health(url, "--token-file", token, "--ready")
        self.assertEqual(code, 1)
        self.assertIn('"ready":false', said)

    def test_each_relay_is_tried_by_itself(self):
        free, guarded, page = free_port(), free_port(), FakeNode(self)
        relays = ", ".join(f'{{ url = "http://127.0.0.1:{port}" }}' for port in (free, guarded, page.port))
        file = self.pool_file(f'[template_provider_type.Embedded]\n[iroh]\nrelay = [{relays}]\n')
        self.run_process("relay-free", ADIT, "relay", "--http", f"127.0.0.1:{free}")
        self.run_process("relay-guarded", ADIT, "relay", "--http", f"127.0.0.1:{guarded}", "--token", SECRET)
        self.wait_until("the relays listen", lambda: self.listens(free) and self.listens(guarded), DEADLINE)
        code, said = self.doctor("-c", file)
        self.assertEqual(code, 1)
        free_said, guarded_said, page_said = said["relay"].splitlines()
        self.assertRegex(free_said, f"^ok: http://127.0.0.1:{free} answered in")
        self.assertRegex(guarded_said, f"^failure: http://127.0.0.1:{guarded} answered in .* takes no connection of this endpoint -> does it ask for an `auth_token`")
        self.assertRegex(page_said, f"^failure: http://127.0.0.1:{page.port} does not answer: what answers there is no relay .HTTP 405")

    def test_a_jd_clients_pool_and_its_declarator(self):
        pool = Pool(self, EMBEDDED_SOURCE)  # Without a declarator.
        url = pool.url("tcp")
        jds = f"stratum2+tcp://127.0.0.1:{free_port()}/{pool.authority.strip()}"
        client = JdClient(self, EMBEDDED_SOURCE, [(url, jds, "farm"), (url, url, "farm")])
        client.process.stop()
        code, said = self.doctor("-c", self.folder / "jd-client.toml")
        self.assertEqual(code, 1)
        first, first_jds, second, second_jds = said["upstreams"].splitlines()
        for pool_said in (first, second):
            self.assertRegex(pool_said, '^ok: .* proved its authority and takes "farm"')
        self.assertIn(f"failure: {jds} is not reached: ", first_jds)
        self.assertIn(f"failure: {url} refused the session: ", second_jds)

    def test_a_udp_port_that_is_taken(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
            holder.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{holder.getsockname()[1]}"
            _code, said = self.doctor("-c", self.pool_file(f'[template_provider_type.Embedded]\n[iroh]\nbind_addresses = ["{address}"]\n'))
        self.assertIn(f"failure: `bind_addresses`: {address} is taken by pid {os.getpid()} (python3", said["ports"])

    def test_a_pool_that_does_not_take_the_user_and_one_that_is_away(self):
        pool = Pool(self, EMBEDDED_SOURCE)
        url = pool.url("tcp")
        Translator(self, url, identity=MAINNET_ADDRESS).process.stop()
        code, said = self.doctor("-c", self.folder / "translator.toml")
        self.assertEqual(code, 1)
        self.assertIn(f'does not take the user "{MAINNET_ADDRESS}"', said["upstreams"])
        pool.process.stop()
        _code, said = self.doctor("-c", self.folder / "translator.toml")
        self.assertIn("is not reached: ", said["upstreams"])

    def test_a_relay_that_the_url_names_and_iroh_has_none(self):
        Translator(self, f"stratum2+iroh://{'d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'}?relay=https://relay.example").process.stop()
        _code, said = self.doctor("-c", self.folder / "translator.toml")
        self.assertIn("names a relay, and [iroh] has none", said["upstreams"])
        self.assertIn("no relay is configured", said["NAT"])

    def test_a_relay_by_http_udp_and_name(self):
        port = free_port()
        file = self.pool_file(f'[template_provider_type.Embedded]\n[iroh]\nrelay = [{{ url = "http://127.0.0.1:{port}", quic_port = {free_port()} }}]\n')
        _code, said = self.doctor("-c", file)
        self.assertIn("does not answer: nothing listens there", said["relay"])
        self.run_process("relay", ADIT, "relay", "--http", f"127.0.0.1:{port}")
        self.wait_until("the relay listens", lambda: self.listens(port), DEADLINE)
        _code, said = self.doctor("-c", file)
        self.assertIn(f"http://127.0.0.1:{port} answered in", said["relay"])
        self.assertIn("is closed there: hardly any pair goes direct", said["relay"])

    def test_a_key_that_others_may_read_and_a_port_that_is_taken(self):
        node = FakeNode(self)  # Something that listens.
        file = self.pool_file("[template_provider_type.Embedded]\n", listen_address=f"127.0.0.1:{node.port}")
        (self.folder / "authority.key").chmod(0o644)
        code, said = self.doctor("-c", file)
        self.assertEqual(code, 1)
        self.assertIn("authority.key is readable by others (0644)", said["files"])
        self.assertNotIn("authority.key", said["configuration"], "once is enough")
        self.assertIn(f"127.0.0.1:{node.port} is taken by pid {os.getpid()} (python3", said["ports"])
        self.assertIn("is the example's address: nobody owns it", said["network"])
        self.assertIn("is reached from this machine alone", said["ports"])

    def test_a_configuration_that_is_wrong_and_one_from_the_environment(self):
        file = self.pool_file("[template_provider_type.Embedded]\n")
        _code, said = self.doctor("-c", file, env={"POOL__SERVER_ID": "3", "POOL__SHARES_PER_MINUTE": "4"})
        self.assertIn("2 keys come from the environment: POOL__SERVER_ID, POOL__SHARES_PER_MINUTE", said["configuration"])
        file.write_text(file.read_text().replace("listen_address", "listen_adress"))
        code, said = self.doctor("-c", file)
        self.assertEqual(code, 1)
        self.assertIn("pool.toml:1", said["configuration"])

    def test_a_folder_in_memory_and_one_that_cannot_be_made(self):
        _code, said = self.doctor("-c", self.pool_file("[template_provider_type.Embedded]\n", data_dir="/dev/shm"))
        self.assertIn("`data_dir` is on tmpfs", said["files"])
        (self.folder / "plain").write_text("")
        _code, said = self.doctor("-c", self.pool_file("[template_provider_type.Embedded]\n", data_dir=str(self.folder / "plain")))
        self.assertIn("found blocks could not be saved", said["files"])
        self.assertEqual([], list(pathlib.Path("/dev/shm").glob(".doctor-*")))

    def test_each_state_of_a_node(self):
        node = FakeNode(self)
        file = self.on_node(node)
        code, said = self.doctor("-c", file)
        self.assertIn("made a template for block 921,335", said["template"])
        self.assertIn("pays 312,500,000 sat to the script 0014751e", said["template"])
        self.assertIn("8000 weight units are left for it", said["template"])
        self.assertIn("the example's address", said["network"])
        self.assertEqual(code, 1)
        node.chain.update(blocks=812_000, initialblockdownload=True)
        self.assertIn("is at block 812,000 of 921,334 (88 %): no work until then", self.doctor("-c", file)[1]["node state"])
        node.chain.update(blocks=921_334, initialblockdownload=False, pruned=True)
        self.assertIn("is pruned, which is fine", self.doctor("-c", file)[1]["node state"])
        node.network.update(connections=0, localrelay=False)
        said = self.doctor("-c", file)[1]["node state"]
        self.assertIn("has no peers", said)
        self.assertIn("blocksonly=1", said)
        node.chain.update(chain="testnet4")
        self.assertIn("the node is on testnet4, but the configuration is for mainnet", self.doctor("-c", file)[1]["network"])
        node.status = 401
        self.assertIn("refuses the RPC user or password", self.doctor("-c", file)[1]["node access"])
        node.status = 200
        node.port = free_port()
        self.assertIn(f"nothing listens at 127.0.0.1:{node.port}: is bitcoind running with server=1?", self.doctor("-c", self.on_node(node))[1]["node"])

    def test_a_cookie_that_is_missing(self):
        node = FakeNode(self)
        file = self.pool_file(f'[template_provider_type.BitcoinRpc]\nnetwork = "mainnet"\nurl = "http://127.0.0.1:{node.port}"\ncookie_file = "{self.folder}/no"\n',
                              coinbase_reward_script=f"addr({MAINNET_ADDRESS})")
        said = self.doctor("-c", file)[1]
        self.assertIn("rpccookieperms=group", said["node access"])

    def test_a_clock_that_differs_from_the_nodes(self):
        node = FakeNode(self)
        node.template["curtime"] = 4_000_000_000
        said = self.doctor("-c", self.on_node(node))[1]["clock"]
        self.assertIn("s behind that of the node at 127.0.0.1", said)
        self.assertIn("timedatectl set-ntp true", said)


if __name__ == "__main__":
    import unittest
    unittest.main()
