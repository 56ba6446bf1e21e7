"""A link with delay and loss between two hosts: tunlink.cpp and their addresses."""
import json
import os
import signal
import subprocess

TUNLINK = os.environ.get("ADIT_TUNLINK", "adit_tunlink")


class Link:
    """Joins two namespaces: 10.9.0.1 is the first, 10.9.0.2 the second. Keywords are tunlink's options (delay_ms=50)."""

    def __init__(self, first, second, **options):
        arguments = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        self.process = subprocess.Popen([TUNLINK, *arguments, first.name, second.name], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("tunlink did not start")
        self.addresses = ("10.9.0.1", "10.9.0.2")
        for namespace, address in zip((first, second), self.addresses):
            namespace.set_kernel("ipv6/conf/tunlink/disable_ipv6", 1)  # Its own chatter would be counted, and lost, among the rest.
            namespace.address("tunlink", f"{address}/24")

    def cut(self):
        self.process.send_signal(signal.SIGUSR1)

    def mend(self):
        self.process.send_signal(signal.SIGUSR2)

    def end(self):
        """Takes the link away. What it counted: {"there": {...}, "back": {...}}."""
        self.process.terminate()
        text, _ = self.process.communicate(timeout=10)
        return json.loads(text)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
