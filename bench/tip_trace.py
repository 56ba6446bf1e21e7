"""What the link did to late tips over lanes: the packet to a miner that entered the link first after a tip was decided carries it, for
SetNewPrevHash goes before all else that waits."""
import bisect
import collections
import statistics

DELIVERED = "delivered"
NAMES = {DELIVERED: "arrived", "lost": "lost by chance", "overflowed": "dropped, for the line's queue was full"}
HEARD_WITHIN_US = 1000  # Of the packet's being handed over, on a machine that is not busy.

Packet = collections.namedtuple("Packet", "at_us size fate due_us")


def flows(path):
    """{port: packets to it, in their order}."""
    found = collections.defaultdict(list)
    with open(path, encoding="ascii") as lines:
        for line in lines:
            at, size, port, fate = line.split()
            due = int(fate) if fate.isdigit() else None
            found[int(port)].append(Packet(int(at), int(size), DELIVERED if due else fate, due))
    return found


class Traced:
    """A tip on its way to one miner."""

    def __init__(self, ms, decided_us, packets):
        self.ms, self.decided_us, self.heard_us = ms, decided_us, decided_us + ms * 1000
        first = bisect.bisect_left(packets, decided_us, key=lambda p: p.at_us)
        self.sent = packets[first:bisect.bisect_right(packets, self.heard_us, key=lambda p: p.at_us)]

    def since(self, us):
        return f"{(us - self.decided_us) / 1000:.1f} ms"

    def story(self):
        """The first packet, and the one that the miner had just been handed when it heard of the tip."""
        brought = [at for at, packet in enumerate(self.sent) if packet.due_us and packet.due_us <= self.heard_us]
        yield "0.0 ms: the chain has a new tip"
        for at in sorted({0, max(brought, key=lambda at: self.sent[at].due_us, default=0)}):
            if at > 1:
                yield f"    ({at - 1} other packets to this miner)"
            packet = self.sent[at]
            what = f"handed over at {self.since(packet.due_us)}" if packet.fate == DELIVERED else NAMES[packet.fate]
            yield f"{self.since(packet.at_us)}: a packet of {packet.size} bytes to this miner enters the link: {what}"
        yield f"{self.ms:.1f} ms: the miner has SetNewPrevHash"


def ports_of(rows, by_port):
    """{connection: the port whose packets were handed over just before it heard of its tips}."""
    due = {port: sorted(p.due_us for p in packets if p.due_us) for port, packets in by_port.items()}

    def matches(port, heard):
        before = bisect.bisect_right(due[port], heard) - 1
        return before >= 0 and heard - due[port][before] < HEARD_WITHIN_US

    heard = collections.defaultdict(list)
    for ms, _, connection, decided in rows:
        heard[connection].append(decided + ms * 1000)
    return {connection: max(due, key=lambda port: sum(matches(port, at) for at in moments)) for connection, moments in heard.items()}


def traced(rows, path):
    """None if this machine was too busy to tell which packets brought the tips."""
    by_port = flows(path)
    rows = [row for row in rows if row[0] != float("inf")]
    ports = ports_of(rows, by_port)
    if len(set(ports.values())) != len(ports):
        return None
    tips = [Traced(ms, decided, by_port[ports[connection]]) for ms, _, connection, decided in rows]
    return [tip for tip in tips if tip.sent]


def report(rows, path, limit_ms):
    """Prints what the link did to the tips that took longer than `limit_ms` and to those that did not."""
    tips = traced(rows, path)
    if not tips:
        print("This machine was too busy to trace tips: which packets brought them cannot be told.\n")
        return
    print(f"What became of a tip's first packet over lanes; late: after {limit_ms:.0f} ms\n")
    print("| | tips | " + " | ".join(NAMES.values()) + " | until it entered the link, p50 | between two that did, p50 |")
    print("|---|---|---|---|---|---|---|")
    for what, chosen in (("late", [t for t in tips if t.ms > limit_ms]), ("in time", [t for t in tips if t.ms <= limit_ms])):
        if chosen:
            fates = collections.Counter(tip.sent[0].fate for tip in chosen)
            entered = statistics.median((tip.sent[0].at_us - tip.decided_us) / 1000 for tip in chosen)
            apart = [(b.at_us - a.at_us) / 1000 for tip in chosen for a, b in zip(tip.sent, tip.sent[1:])]
            print(f"| {what} | {len(chosen)} | {' | '.join(str(fates[fate]) for fate in NAMES)} | {entered:.1f} ms "
                  f"| {statistics.median(apart or [0]):.1f} ms |")
    tips.sort(key=lambda tip: tip.ms)
    print("\nThe tip at the 99th percentile:\n")
    for line in tips[int(0.99 * len(tips))].story():
        print(f"    {line}")
    print()
