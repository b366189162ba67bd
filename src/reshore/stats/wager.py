"""Tests of a bounded mean by betting, valid however often one looks, and stops when one likes.

Somebody who holds that the mean is at most `limit` must take bets on the next value being above
it, at fair odds. Whoever bets against that starts with 1 and can lose no more; if the claim is
true, the probability that the capital ever reaches 1/alpha is at most alpha (Ville 1939). So a
capital of 1/alpha refutes the claim at level alpha, whenever it is looked at.

How much to bet depends on an effect that nobody knows. The capital is spread over a fixed grid of
bets and left there, which is within a factor of the number of bets of the best one (the diversified
Kelly bet: Waudby-Smith & Ramdas, arXiv 2010.09686, section B.6).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from operator import mul
from typing import Literal

from msgspec import Struct, field

from reshore.stats.interval import Interval

# What is to be shown: that the mean is above the limit, or below it.
Claim = Literal["above", "below"]

# Shares of the capital that a bet may lose. The best share grows with effect / variance: 0.01
# finds a difference of 0.002 at a variance of 0.2, the last one a rate that has doubled.
SHARES = tuple(0.01 * 1.5**power for power in range(12))
# Nobody needs more to be sure, and a product of factors must not overflow.
_MOST = 1e250


class Wager(Struct, kw_only=True):
    """Bets that the mean of values in [low, high] is above (or below) `limit`.

    Changes with every value and is written and read as it is (msgspec). Values may depend on
    earlier ones, as long as the mean of the next one, given all before, is what is tested.

    Attributes:
        capitals: what each bet has become, its part of the grid being 1 at the start.
        capital: what 1 has become: their mean.
        values: how many there were.
    """

    limit: float
    low: float
    high: float
    claim: Claim = "above"
    capitals: list[float] = field(default_factory=lambda: [1.0] * len(SHARES))
    capital: float = 1.0
    values: int = 0

    def __post_init__(self) -> None:
        if not self.low < self.limit < self.high:
            raise ValueError(f"the limit {self.limit} is not between {self.low} and {self.high}")

    def update(self, value: float) -> None:
        """Take the next value: a microsecond, whatever came before."""
        self.capitals = list(map(mul, self.capitals, factors(self.gain(value))))
        self.capital = sum(self.capitals) / len(SHARES)
        self.values += 1
        if self.capital > _MOST:
            self.capitals = [min(capital, _MOST) for capital in self.capitals]

    def certain(self, alpha: float) -> bool:
        """Whether the claim holds at level alpha; may be asked after every value."""
        return self.capital * alpha >= 1

    def gain(self, value: float) -> float:
        """What a bet of 1 gains by this value, -1 or more."""
        if self.claim == "above":
            return (value - self.limit) / (self.limit - self.low)
        return (self.limit - value) / (self.high - self.limit)

    def to_go(self, alpha: float, shares: Iterable[tuple[float, float]]) -> float:
        """Values until the claim will hold, if they go on like this; infinite if it will not.

        The smallest over the grid of (log(bets / alpha) - log capital) / growth: one bet alone is
        then worth what all must be.

        Args:
            shares: values, and how large a part of all is each.
        """
        gains = [(self.gain(value), part) for value, part in shares]
        goal = math.log(len(SHARES) / alpha)
        least = math.inf
        for capital, share in zip(self.capitals, SHARES, strict=True):
            growth = math.fsum(part * math.log1p(share * gain) for gain, part in gains)
            if growth > 0 and capital > 0:
                least = min(least, max(0.0, goal - math.log(capital)) / growth)
        return least


# Scores take few values, and each has the same factors every time.
@lru_cache(maxsize=1024)
def factors(gain: float) -> tuple[float, ...]:
    """What the bet of each share is multiplied by, where a bet of all would gain so much."""
    return tuple(1 + share * gain for share in SHARES)


def bounds(
    counts: Iterable[tuple[float, int]], low: float, high: float, *, alpha: float
) -> Interval:
    """Where the mean of values in [low, high] lies, from how often each value was there.

    The limits that a `Wager` of each claim has not refuted at level alpha: each bound holds at all
    times with probability 1 - alpha, both together with 1 - 2 alpha. Agrees with the wagers, whose
    capital at one limit this is for all limits.
    """
    seen = [(value, count) for value, count in counts if count]

    def above(limit: float) -> float:
        return _log_capital(((v - limit) / (limit - low), n) for v, n in seen)

    def below(limit: float) -> float:
        return _log_capital(((limit - v) / (high - limit), n) for v, n in seen)

    goal, total = -math.log(alpha), sum(count for _, count in seen)
    if not total:
        return Interval(low, high)
    mean = sum(value * count for value, count in seen) / total
    return Interval(_refuted(above, low, mean, goal), _refuted(below, high, mean, goal))


def _log_capital(gains: Iterable[tuple[float, int]]) -> float:
    """Logarithm of what a wager has become after so many of each gain."""
    held = list(gains)
    logs = [sum(count * math.log1p(share * gain) for gain, count in held) for share in SHARES]
    most = max(logs)
    return most + math.log(sum(math.exp(one - most) for one in logs) / len(SHARES))


def _refuted(
    log_capital: Callable[[float], float], outer: float, mean: float, goal: float
) -> float:
    """The limit nearest to the mean that is refuted, by bisection; `outer` if none is.

    Capital falls from the outer end to the mean, as every gain does.
    """
    refuted, standing = outer, mean
    for _ in range(50):
        middle = (refuted + standing) / 2
        if middle in (refuted, standing):
            break
        if log_capital(middle) >= goal:
            refuted = middle
        else:
            standing = middle
    return refuted
