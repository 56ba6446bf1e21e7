"""An internet in network namespaces: a public segment, and hosts behind routers that translate addresses in the ways that
routers do. Nothing of it has a way out of this machine, and all of it is removed with the test, whatever becomes of that.

    host pool 192.168.1.2 -- router -- 203.0.113.10 --+
                                                      +-- the public segment: 203.0.113.1 and .2, where a relay may run
    host miner 192.168.2.2 - router -- 203.0.113.20 --+
"""
import atexit
import itertools
import os
import secrets
import subprocess

# What a router does to the packets of the host behind it.
#   none          no router: the host has a public address
#   home          one public port per port of the host whatever the destination; lets in only answers (Linux, most homes)
#   full cone     the same mapping, and lets in whoever sends to it
#   symmetric     another public port for each destination (mobile carriers, firms)
#   udp blocked   as home, without UDP
KINDS = ("none", "home", "full cone", "symmetric", "udp blocked")

PUBLIC = "203.0.113.1"
PUBLIC_TOO = "203.0.113.2"  # A second address of the same machine: where a mapping depends on the destination, it shows.


def run(*arguments, stdin=None):
    done = subprocess.run([str(a) for a in arguments], input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.stdout


class Namespace:
    """A network namespace with loopback up. `prefix` before a command runs it inside."""

    def __init__(self, name):
        self.name = name
        self.prefix = ("ip", "netns", "exec", name)
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments):
        return run("ip", "-n", self.name, *arguments)

    def run(self, *arguments, stdin=None):
        return run(*self.prefix, *arguments, stdin=stdin)

    def nft(self, rules):
        return self.run("nft", "-f", "-", stdin=rules)

    def address(self, link, address):
        self.ip("address", "add", address, "dev", link)
        self.ip("link", "set", "dev", link, "up")

    def set_kernel(self, key, value):
        """A value under /proc/sys/net."""
        self.run("sh", "-c", f"echo {value} >/proc/sys/net/{key}")

    def remove(self):
        # Whoever still runs in there (a test that was cut off) would keep it alive without a name.
        pids = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True).stdout.split()
        for pid in pids:
            subprocess.run(["kill", "-9", pid], capture_output=True)
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)


def cut_udp(router, address):
    """The router drops all UDP to and from that address, until mend."""
    router.nft(f"add rule ip filter cut ip daddr {address} meta l4proto udp drop\n"
               f"add rule ip filter cut ip saddr {address} meta l4proto udp drop\n")


def cut_off(router, address):
    """The router drops everything to and from that address, until mend: the host there is dead to whoever is behind it."""
    router.nft(f"add rule ip filter cut ip daddr {address} drop\nadd rule ip filter cut ip saddr {address} drop\n")


def mend(router):
    router.nft("flush chain ip filter cut")


def translation(kind):
    """The router's rules: from `lan` to `wan`. Nothing that nobody asked for comes in, unless the kind says so."""
    masquerade = {"symmetric": "masquerade random"}.get(kind, "masquerade")
    # The port that Linux gives away is the host's own, as long as nobody else has it: the map need hold no more than that.
    learn = "oifname wan udp sport 1-65535 update @mappings { udp sport : ip saddr . udp sport }" if kind == "full cone" else ""
    use = "iifname wan dnat ip to udp dport map @mappings" if kind == "full cone" else ""
    admit = "iifname wan ct status dnat accept" if kind == "full cone" else ""
    block = "meta l4proto udp drop" if kind == "udp blocked" else ""
    return f"""
table ip nat {{
  map mappings {{ type inet_service : ipv4_addr . inet_service; flags dynamic; size 4096; }}
  chain prerouting {{ type nat hook prerouting priority dstnat; {use}
  }}
  chain learn {{ type filter hook postrouting priority 90; {learn}
  }}
  chain postrouting {{ type nat hook postrouting priority srcnat; oifname wan {masquerade}
  }}
}}
table ip filter {{
  chain input {{ type filter hook input priority 0; policy accept; iifname wan ct state new drop
  }}
  chain forward {{ type filter hook forward priority 0; policy drop;
    {block}
    ct state established,related accept
    {admit}
    iifname lan accept
  }}
  # Rules that a test puts in front of all that, and takes away again.
  chain cut {{ type filter hook forward priority -10; policy accept; }}
}}
"""


class Internet:
    """The public segment. `host` adds a machine to it, behind a router of the kind asked for."""

    def __init__(self):
        remove_leftovers()
        self.run_id = f"adit-{os.getpid()}-{secrets.token_hex(2)}"
        self.namespaces = []
        self.links = itertools.count()
        # An interrupt, too, ends with this; what a killed test left is removed by the next.
        atexit.register(self.remove)
        self.public = self._namespace("public")
        self.public.ip("link", "add", "segment", "type", "bridge")
        self.public.address("segment", f"{PUBLIC}/24")
        self.public.ip("address", "add", f"{PUBLIC_TOO}/24", "dev", "segment")

    def _namespace(self, name):
        namespace = Namespace(f"{self.run_id}-{name}")
        self.namespaces.append(namespace)
        return namespace

    def _join(self, a, a_link, b, b_link):
        a.ip("link", "add", a_link, "type", "veth", "peer", "name", b_link, "netns", b.name)
        a.ip("link", "set", a_link, "up")
        b.ip("link", "set", b_link, "up")

    def _plug_in(self, namespace, link, address):
        socket = f"port{next(self.links)}"
        self._join(namespace, link, self.public, socket)
        self.public.ip("link", "set", socket, "master", "segment")
        namespace.address(link, f"{address}/24")

    def alone(self, name):
        """A machine that is joined to nothing: for a Link."""
        return self._namespace(name)

    def host(self, name, number, kind):
        """The namespace of host `number` (1, 2, ...); its router, where it has one, is `host.router`."""
        host = self._namespace(name)
        host.public_address = f"203.0.113.{10 * number}"
        host.router = None
        if kind == "none":
            self._plug_in(host, "wan", host.public_address)
            host.own_address = host.public_address
            host.ip("route", "add", "default", "via", PUBLIC)
            return host
        router = self._namespace(f"{name}-router")
        self._plug_in(router, "wan", host.public_address)
        self._join(router, "lan", host, "eth0")
        router.address("lan", f"192.168.{number}.1/24")
        host.own_address = f"192.168.{number}.2"
        host.address("eth0", f"{host.own_address}/24")
        host.ip("route", "add", "default", "via", f"192.168.{number}.1")
        router.set_kernel("ipv4/ip_forward", 1)
        router.nft(translation(kind))
        host.router = router
        return host

    def remove(self):
        for namespace in reversed(self.namespaces):
            namespace.remove()
        self.namespaces = []


def remove_leftovers():
    """Namespaces whose test is no more: it was killed."""
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0]
        parts = name.split("-")
        if len(parts) >= 4 and parts[0] == "adit" and parts[1].isdigit() and not os.path.exists(f"/proc/{parts[1]}"):
            leftover = Namespace.__new__(Namespace)
            leftover.name = name
            leftover.remove()
