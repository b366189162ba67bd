"""When a mean falls, watched all the time: an alarm soon after it, and few before.

A test that gathers all values since the beginning is slow to notice that they have become worse: a
good month speaks for a bad day. An e-detector (Shin, Ramdas & Rinaldo, "E-detectors: a
nonparametric framework for sequential change detection", New England Journal of Statistics in Data
Science 2(2), 2024, arXiv 2203.03532) bets anew from every moment on: of Shiryaev-Roberts' kind, the
sum over all beginnings of what a bet has become that began there, M_n = (M_(n-1) + 1) * factor_n.

While the mean of the next value, given all before, is at least `limit`, the expectation of M is at
most the number of values that were seen. At an alarm M is `run_length` or more: without a change
there are at least so many values between two alarms, on average and whatever the distribution. The
bets are those of `wager.py`: one for each share, and their mean.
"""

from __future__ import annotations

from msgspec import Struct, field

from reshore.stats.wager import SHARES, factors

# A sum must not overflow; nobody needs more to be sure.
_MOST = 1e250


class Detector(Struct, kw_only=True):
    """Watches for the mean of values in [low, high] to fall below `limit`.

    Changes with every value and is written and read as it is (msgspec).

    Attributes:
        run_length: values between two false alarms, on average at least.
        sums: what the bets of each share have become, of all beginnings together.
        values: how many there were.
    """

    limit: float
    low: float
    high: float
    run_length: float
    sums: list[float] = field(default_factory=lambda: [0.0] * len(SHARES))
    values: int = 0

    def __post_init__(self) -> None:
        if not self.low < self.limit < self.high:
            raise ValueError(f"the limit {self.limit} is not between {self.low} and {self.high}")
        if len(self.sums) != len(SHARES):
            raise ValueError(f"{len(self.sums)} sums are not one for each of {len(SHARES)} shares")

    @property
    def evidence(self) -> float:
        """That the mean has fallen; an alarm from `run_length` on."""
        return sum(self.sums) / len(SHARES)

    @property
    def alarmed(self) -> bool:
        """Whether the mean has fallen, as far as can be told."""
        return self.evidence >= self.run_length

    def update(self, value: float) -> None:
        """Take the next value: a microsecond, whatever came before."""
        won = factors((self.limit - value) / (self.high - self.limit))
        self.sums = [
            min(_MOST, (sum_ + 1) * factor) for sum_, factor in zip(self.sums, won, strict=True)
        ]
        self.values += 1
