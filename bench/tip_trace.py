"""Where the time of late tips went: what the link did to the packet that left for a miner first after a tip was decided, which is the
one that carries it, for SetNewPrevHash goes before all else that waits (over `sv2-m`: behind what the stream has already queued)."""
import bisect
import collections
import statistics

DELIVERED, FATES = "delivered", ("delivered", "lost", "overflowed")
NAMES = {"delivered": "arrived", "lost": "lost by chance", "overflowed": "dropped, for the line's queue was full"}

Packet = collections.namedtuple("Packet", "at_us size fate due_us")


def flows(path):
    """{port: {connection id: packets in their order}} of QUIC's short headers."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    with open(path, encoding="ascii") as lines:
        for line in lines:
            at, size, port, header, fate = line.split()
            if int(header[:2], 16) & 0x80:  # A long header: of the handshake.
                continue
            due = int(fate) if fate.isdigit() else None
            found[int(port)][header[2:]].append(Packet(int(at), int(size), DELIVERED if due else fate, due))
    return found


def of_miner(by_id):
    """The packets of a miner's connection: the one of fewer bytes where its bulk has another."""
    talkative = [packets for packets in by_id.values() if len(packets) > 20]
    return min(talkative, key=lambda packets: sum(p.size for p in packets), default=[])


class Traced:
    """A tip on its way to one miner."""

    def __init__(self, decided_us, ms, packets):
        self.decided_us, self.ms, self.packets = decided_us, ms, packets
        self.first = bisect.bisect_left(packets, decided_us, key=lambda p: p.at_us)

    @property
    def packet(self):
        return self.packets[self.first]

    def story(self):
        heard = self.decided_us + self.ms * 1000
        yield "0.0 ms: the chain has a new tip"
        for packet in self.packets[self.first:]:
            if packet.at_us > heard:
                break
            since = lambda us: f"{(us - self.decided_us) / 1000:.1f} ms"
            what = f"handed over at {since(packet.due_us)}" if packet.fate == DELIVERED else NAMES[packet.fate]
            yield f"{since(packet.at_us)}: a packet of {packet.size} bytes to this miner enters the link: {what}"
        yield f"{self.ms:.1f} ms: the miner has SetNewPrevHash"


def traced(cell, path):
    by_port = flows(path)
    packets = [of_miner(by_port[port]) for port in cell["load"]["ports"]]
    every = [Traced(decided, ms, packets[connection]) for ms, _, connection, decided in cell["traced_rows"] if ms < 10_000]
    return [tip for tip in every if tip.first < len(tip.packets)]


def report(carrier, cell, limit_ms):
    """Prints what the link did to the tips that took longer than `limit_ms` and to those that did not."""
    tips = traced(cell, cell["trace"])
    print(f"What became of the first packet to a miner after a tip was decided, {carrier}; late: after {limit_ms:.0f} ms\n")
    print("| | tips | " + " | ".join(NAMES[fate] for fate in FATES) + " | until it entered the link, p50 | in the line's queue, p50 |")
    print("|---|---|---|---|---|---|---|")
    for what, chosen in (("late", [t for t in tips if t.ms > limit_ms]), ("in time", [t for t in tips if t.ms <= limit_ms])):
        if not chosen:
            continue
        shares = [f"{100 * sum(t.packet.fate == fate for t in chosen) / len(chosen):.1f} %" for fate in FATES]
        entered = statistics.median((t.packet.at_us - t.decided_us) / 1000 for t in chosen)
        queued = [(t.packet.due_us - t.packet.at_us) / 1000 - cell["delay_ms"] for t in chosen if t.packet.due_us]
        print(f"| {what} | {len(chosen)} | {' | '.join(shares)} | {entered:.1f} ms | {statistics.median(queued) if queued else float('nan'):.1f} ms |")
    by_time = sorted(tips, key=lambda t: t.ms)
    print("\nThe tip at the 99th percentile:\n")
    for line in by_time[int(0.99 * len(by_time))].story():
        print(f"    {line}")
    print()
