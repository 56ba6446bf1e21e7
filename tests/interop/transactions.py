"""Transactions for a node without a wallet: coins that anybody may spend, so that nothing has to be signed."""
import hashlib
import struct

# P2WSH of the script OP_TRUE on regtest.
ANYBODY = "bcrt1qft5p2uhsdcdc3l2ua4ap5qqfg4pjaqlp250x7us7a8qqhrxrxfsqseac85"


def compact(number):
    if number < 0xfd:
        return bytes([number])
    return b"\xfd" + struct.pack("<H", number)


def pay_to(script):
    """The output script that this witness script may spend."""
    return bytes([0, 32]) + hashlib.sha256(script).digest()


def spend(txid, index, outputs, script=b"\x51"):
    """A transaction of one input, in hexadecimal, with its id; outputs are pairs of value and script. `script` is what is spent."""
    spent = bytes([1]) + bytes.fromhex(txid)[::-1] + struct.pack("<I", index) + b"\0" + b"\xfd\xff\xff\xff"
    paid = compact(len(outputs)) + b"".join(struct.pack("<q", value) + compact(len(script)) + script for value, script in outputs)
    version, locktime = struct.pack("<i", 2), struct.pack("<I", 0)
    identity = hashlib.sha256(hashlib.sha256(version + spent + paid + locktime).digest()).digest()[::-1].hex()
    return (version + b"\0\1" + spent + paid + bytes([1]) + compact(len(script)) + script + locktime).hex(), identity


class Coins:
    """Confirmed coins of that kind on a node, each to be spent once; or of another script that anybody may spend."""

    def __init__(self, node, count, *, fan_out=600, script=b"\x51"):
        self.node, self.script = node, script
        coinbases = -(-count // fan_out)
        first = node.height() + 1
        node.call("generatetoaddress", coinbases + 100, ANYBODY)
        self.coins = []
        for height in range(first, first + coinbases):
            coinbase = node.coinbase(height)
            value = round(coinbase["vout"][0]["value"] * 100_000_000)
            share = (value - 1_000_000) // fan_out
            raw, txid = spend(coinbase["txid"], 0, [(share, pay_to(script))] * fan_out)
            node.call("sendrawtransaction", raw)
            self.coins += [(txid, index, share) for index in range(fan_out)]
        node.call("generatetoaddress", 1, ANYBODY)

    def send(self, count, fee, size=0):
        """Transactions into the node's mempool, each with a fee and an output of `size` bytes of data. Returns the sum of the fees."""
        raws = []
        for _ in range(count):
            txid, index, value = self.coins.pop()
            data = [(0, b"\x6a\x4d" + struct.pack("<H", size) + bytes(size))] if size else []
            raws.append(spend(txid, index, [(value - fee, pay_to(self.script)), *data], self.script)[0])
        self.node.call_each("sendrawtransaction", raws)
        return count * fee
