"""Programs under test as child processes: started, watched, ended; their logs shown when a test fails."""
import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request


RESERVED = []  # What keeps the ports of this process from other tests that run beside it.

# What takes longer than a minute or two in all, or needs a peer that takes long to build.
whole_matrix = unittest.skipUnless(os.environ.get("ADIT_INTEROP") == "all", "./dev interop all")


def free_port():
    """A port, of TCP and UDP, that no other test has until this process ends: for programs that do not say which port the system
    gave them, or that must find theirs again after a restart. It lies below the ports that the system gives by itself."""
    above = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(10_000, above), 1000):
        held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            held.bind(f"\0adit-test-port-{port}")  # The name goes with this process, however it ends.
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            held.close()
            continue
        RESERVED.append(held)
        return port
    raise AssertionError("no free port")


def http_get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def end_with_parent():
    """Runs in the child: when the tests are killed, nothing of theirs goes on mining."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    def __init__(self, name, arguments, folder, env=None):
        self.name = name
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.arguments = [str(a) for a in arguments]
        self.env = {**os.environ, **(env or {})}
        self.start()

    def start(self):
        self.is_to_run = True
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, cwd=self.folder,
                                          preexec_fn=end_with_parent)

    def kill(self):
        """As a crash would end it; start() may follow."""
        self.is_to_run = False
        self.child.kill()
        self.child.wait()

    def stop(self, deadline=60):
        self.is_to_run = False
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(deadline)
            except subprocess.TimeoutExpired:
                self.kill()

    def text(self):
        return self.log.read_text(errors="replace")


class Programs:
    """A folder, and the programs that run in it. In a `with` they are ended and the folder is removed however it is left; where that
    is by an exception, the end of each log is shown before."""

    folder = None
    processes = ()

    def __enter__(self):
        self.begin()
        return self

    def __exit__(self, failed, *_):
        try:
            if failed:
                self.show_logs()
        finally:
            self.end()
            self.remove()

    def begin(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="adit-interop-"))
        self.processes = []

    def end(self):
        for process in reversed(self.processes):
            process.stop()

    def remove(self):
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def show_logs(self):
        for process in self.processes:
            lines = process.text().splitlines()
            print(f"--- {process.name}: last of {len(lines)} lines, exit {process.child.returncode}")
            print("\n".join(line[:300] for line in lines[-40:]), flush=True)

    def run_process(self, name, *arguments, env=None):
        process = Process(name, arguments, self.folder, env)
        self.processes.append(process)
        return process

    def run_to_end(self, *arguments):
        """What a program that ends by itself prints."""
        return subprocess.run([str(a) for a in arguments], check=True, capture_output=True, text=True, timeout=120).stdout

    @staticmethod
    def parts(url):
        """Host, port and authority key of stratum2+tcp://HOST:PORT/KEY."""
        split = urllib.parse.urlsplit(url)
        return split.hostname, split.port, split.path.strip("/")

    @staticmethod
    def listens(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def wait_until(self, what, predicate, deadline):
        """The predicate's first true value. Fails when the deadline passes or a program under test has ended by itself."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            try:
                value = predicate()
            except (OSError, urllib.error.URLError, json.JSONDecodeError):
                value = None
            if value:
                return value
            for process in self.processes:
                if process.is_to_run and process.child.poll() is not None:
                    raise AssertionError(f"{process.name} ended with {process.child.returncode} while waiting until {what}")
            time.sleep(0.2)
        raise AssertionError(f"{deadline} s passed waiting until {what}")


class InteropTest(Programs, unittest.TestCase):
    """Gives each test a folder and ends what it started; a failed test shows the end of each log."""

    def setUp(self):
        self.begin()
        self.addCleanup(self.end)

    def run(self, result=None):
        result = result or self.defaultTestResult()
        bad = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > bad:
            self.show_logs()
        self.remove()
        return result
