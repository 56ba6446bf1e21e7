"""Quantiles and fractions of what many connections heard of many tips, with bootstrap intervals over both."""
import random

RESAMPLES = 400


def quantile(fraction):
    """Of weighted values, ascending."""
    def of(weighted, total):
        wanted, seen = fraction * total, 0
        for value, weight in weighted:
            seen += weight
            if seen >= wanted and weight:
                return value
        return float("nan")
    return of


def above(limit):
    return lambda weighted, total: sum(weight for value, weight in weighted if value > limit) / total


def counts(random_source, size):
    """How often each of `size` is drawn when `size` are drawn."""
    drawn = [0] * size
    for _ in range(size):
        drawn[random_source.randrange(size)] += 1
    return drawn


class Sample:
    """`rows`: (value, tip, connection). A tip reaches all connections at one moment and a connection's backlog is all its tips', so
    neither are the values of one tip independent nor those of one connection: a resample draws tips, and connections."""

    def __init__(self, rows, seed=1):
        self.rows = sorted(rows)
        self.tips = {key: at for at, key in enumerate(sorted({tip for _, tip, _ in rows}))}
        self.connections = {key: at for at, key in enumerate(sorted({connection for _, _, connection in rows}))}
        self.seed = seed
        self.values = [value for value, _, _ in self.rows]

    def of(self, statistics):
        """For each name its value and those of the resamples."""
        plain = [(value, 1) for value in self.values]
        result = {name: [function(plain, len(plain))] for name, function in statistics.items()}
        source = random.Random(self.seed)
        places = [(value, self.tips[tip], self.connections[connection]) for value, tip, connection in self.rows]
        for _ in range(RESAMPLES):
            tips, connections = counts(source, len(self.tips)), counts(source, len(self.connections))
            weighted = [(value, tips[tip] * connections[connection]) for value, tip, connection in places]
            total = sum(weight for _, weight in weighted)
            for name, function in statistics.items():
                result[name].append(function(weighted, total))
        return {name: Estimate(values[0], values[1:]) for name, values in result.items()}


class Estimate:
    def __init__(self, value, resampled):
        self.value = value
        self.resampled = resampled
        ordered = sorted(resampled)
        self.low, self.high = (ordered[min(len(ordered) - 1, int(part * len(ordered)))] for part in (0.025, 0.975))

    def over(self, other):
        """The ratio to an estimate of another sample."""
        ratio = lambda a, b: a / b if b else float("nan") if not a else float("inf")
        return Estimate(ratio(self.value, other.value), [ratio(a, b) for a, b in zip(self.resampled, other.resampled)])
