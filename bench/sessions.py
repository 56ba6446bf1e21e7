"""What a connection costs, and a further session with a peer that there is one with already: over lanes that is two streams of the
same connection, otherwise another connection."""
import json

from lab import DELAY_MS, Ends

ROWS = {
    "open_ms": (f"a connection, from dialling to the first job, {DELAY_MS} ms each way", "ms", 0),
    "open_bytes": ("bytes of that on the wire, channel and first job included", "B", 0),
    "more_ms": ("a further session with the same peer, likewise", "ms", 0),
    "more_bytes": ("bytes of that on the wire", "B", 0),
    "memory_kib": ("the pool's memory of an idle connection with a channel and a job", "KiB", 1),
    "more_memory_kib": ("the pool's memory of a further session, likewise", "KiB", 1),
}
MORE = 7  # With the one before, as many as we put on one connection.


def opened(carrier, link, shared, warm, connections):
    """Seconds, bytes on the wire and the pool's memory of each of `connections`, after `warm` that are there already, of one endpoint or of one each."""
    ends = Ends(carrier, link, "--tip-ms", 0)
    try:
        process = ends.start(ends.far, "open", "--url", ends.url, "--one-endpoint", int(shared), "--warm", warm, "--connections", connections,
                             "--pid", ends.pool.pid)
        ends.say(process)
        before = ends.wire_bytes()
        report = json.loads(ends.say(process, "\n"))
        passed = ends.wire_bytes() - before
    finally:
        ends.end()
    return report["seconds"] / connections, passed / connections, report["memory_bytes"] / connections


def measure(carrier, options):
    far = {"delay_ms": DELAY_MS}
    one_s, _, _ = opened(carrier, far, False, 1, 1)
    more_s, _, _ = opened(carrier, far, True, 1, 1)
    _, one_bytes, _ = opened(carrier, far, False, 1, MORE)
    _, more_bytes, _ = opened(carrier, far, True, 1, MORE)
    # Of many, since the allocator takes memory by the piece; after others, since the first of a kind brings what all share.
    _, _, memory = opened(carrier, {}, False, options.connections, options.connections)
    _, _, more_memory = opened(carrier, {}, True, options.connections, options.connections)
    return {"open_ms": one_s * 1e3, "open_bytes": one_bytes, "more_ms": more_s * 1e3, "more_bytes": more_bytes,
            "memory_kib": memory / 1024, "more_memory_kib": more_memory / 1024}
