"""A confidence sequence for a quantile of a stream, as latencies are.

Howard & Ramdas (Bernoulli 28(3), 2022, arXiv 1906.09712), with a boundary for one fixed quantile:
of the values, those that do not exceed the true quantile Q(p) are a coin of probability p. So a
number x is out as soon as the count of values at most x is one that such a coin never shows at
level alpha. The coin's boundary is the beta-binomial mixture (Robbins, Ann. Math. Stat. 41(5),
1970; Howard et al., arXiv 1810.08240, section 3), whose prior is a beta distribution with mean p.

Values are kept in bins 2 % wide, whose edges the bounds are rounded to, outwards: a day of traffic
takes as much memory as a minute of it.
"""

from __future__ import annotations

import math

from msgspec import Struct, field

from reshore.stats.interval import Interval

_BIN = math.log(1.02)
# Of the prior, in values: it is sharpest where some ten times as many have been seen.
_WEIGHT = 40.0


class QuantileSequence(Struct, kw_only=True):
    """Where the quantile `share` of positive values lies, at every moment.

    Changes with every value and is written and read as it is (msgspec).

    Attributes:
        share: which quantile, as 0.95.
        bins: how many values lie in [1.02^k, 1.02^(k+1)), by k. Values below 1e-9 count as that.
    """

    share: float
    values: int = 0
    bins: dict[int, int] = field(default_factory=dict)

    def update(self, value: float) -> None:
        """Take the next value; not finite ones are refused.

        Raises:
            ValueError: it is infinite or no number.
        """
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be measured")
        place = math.floor(math.log(max(value, 1e-9)) / _BIN)
        self.bins[place] = self.bins.get(place, 0) + 1
        self.values += 1

    @property
    def estimate(self) -> float | None:
        """The quantile of the values so far, within 1 %; None without any."""
        if not self.values:
            return None
        place = self._place(max(1, math.ceil(self.share * self.values)))
        return math.exp((place + 0.5) * _BIN)

    def interval(self, alpha: float) -> Interval:
        """The quantile lies in it at all times at once with probability 1 - alpha.

        Without an upper bound (infinite) until there are enough values: some 120 for the 95th
        percentile at level 0.05.
        """
        low, high = 0.0, math.inf
        most = self._edge(alpha, 1)
        if most is not None:
            high = math.exp((self._place(most) + 1) * _BIN)
        least = self._edge(alpha, -1)
        if least is not None:
            low = math.exp(self._place(least + 1) * _BIN)
        return Interval(low, high)

    def _place(self, rank: int) -> int:
        """The bin of the value of that rank, the smallest being 1."""
        below = 0
        for place in sorted(self.bins):
            below += self.bins[place]
            if below >= rank:
                return place
        raise AssertionError("more values were asked for than there are")

    def _edge(self, alpha: float, side: int) -> int | None:
        """The count nearest to share * values, above or below it, that refutes the coin."""
        expected = self.share * self.values
        near = math.ceil(expected) if side > 0 else math.floor(expected)
        far = self.values if side > 0 else 0
        goal = -math.log(alpha)
        if not self.values or coin_evidence(far, self.values, self.share) < goal:
            return None
        while abs(far - near) > 1:
            middle = (near + far) // 2
            if coin_evidence(middle, self.values, self.share) >= goal:
                far = middle
            else:
                near = middle
        return far


def coin_evidence(heads: int, tosses: int, share: float) -> float:
    """Logarithm of the evidence against a coin of probability `share`: of the mixture's likelihood
    over the coin's. It ever reaches log(1/alpha) with probability alpha at most."""
    tails, prior = tosses - heads, (_WEIGHT * share, _WEIGHT * (1 - share))
    mixture = _log_beta(prior[0] + heads, prior[1] + tails) - _log_beta(*prior)
    return mixture - heads * math.log(share) - tails * math.log1p(-share)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
