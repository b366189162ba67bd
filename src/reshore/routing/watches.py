"""What is known of a rollout's guards: the two sides compared, a value at a time. Pure.

Each watch is a test that may be looked at after every value (stats/wager.py) and is written and
read as it is. A watch for a step knows nothing of other steps: what 5 % of the traffic did to a
machine does not tell what half of it will do.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from reshore.stats.quantiles import QuantileSequence
from reshore.stats.wager import Wager, bounds

PairVerdict = Literal["win", "tie", "loss", "undecided"]

# What a decided pair is worth; `net_win` is the mean.
SCORES: dict[PairVerdict, float] = {"win": 1.0, "tie": 0.0, "loss": -1.0}
# From the other side's view.
_SWAPPED: dict[PairVerdict, PairVerdict] = {"win": "loss", "loss": "win"}
# The other side's quantile is looked up again when it has so many more values.
_FRESH = 1.05


def swapped(verdict: PairVerdict) -> PairVerdict:
    """What a verdict is from the other side's view."""
    return _SWAPPED.get(verdict, verdict)


class Reading(Struct, frozen=True, kw_only=True):
    """A guard at one moment.

    Attributes:
        guard: as text.
        estimate: the metric as the guard puts it, None while it cannot be known.
        low, high: where it lies, each at the level of its mistake; None where only the test is
            known.
        broken: certainly beyond the limit: this rolls back.
        kept: certainly within the limit.
        evidence: the capital against the guard's being kept; it is broken from `goal` on.
        values: pairs, or requests of the new side, that this is from.
    """

    guard: str
    estimate: float | None
    broken: bool
    kept: bool = False
    low: float | None = None
    high: float | None = None
    evidence: float = 1.0
    goal: float = 0.0
    values: int = 0

    def __str__(self) -> str:
        if self.estimate is None:
            return f"{self.guard}: not known yet"
        within = "" if self.low is None else f" [{self.low:+.3f}, {self.high:+.3f}]"
        end = " broken" if self.broken else " kept" if self.kept else ""
        return f"{self.guard}: {self.estimate:+.3f}{within} of {self.values}{end}"


class PairWatch(Struct, kw_only=True):
    """Wins and losses of the new side against a margin.

    Attributes:
        better: whether the net win is above the margin; `worse`: whether it is below.
        undecided: pairs that no check and no judge could decide; they count for nothing.
    """

    better: Wager
    worse: Wager
    wins: int = 0
    ties: int = 0
    losses: int = 0
    undecided: int = 0

    @classmethod
    def against(cls, margin: float) -> PairWatch:
        """A new watch. `margin` is the least net win, -1..1."""
        return cls(
            better=Wager(limit=margin, low=-1, high=1),
            worse=Wager(limit=margin, low=-1, high=1, claim="below"),
        )

    @property
    def pairs(self) -> int:
        """Those that were decided."""
        return self.wins + self.ties + self.losses

    def pair(self, verdict: PairVerdict) -> None:
        """A pair, from the new side's view."""
        match verdict:
            case "win":
                self.wins += 1
            case "tie":
                self.ties += 1
            case "loss":
                self.losses += 1
            case "undecided":
                self.undecided += 1
                return
        self.better.update(SCORES[verdict])
        self.worse.update(SCORES[verdict])

    def to_go(self, alpha: float) -> float:
        """Pairs until the net win is certainly above the margin, if they go on like this.

        Infinite if they would never; one pair of each kind is added to what was seen, as a few
        pairs that are all alike know nothing of the variance.
        """
        pairs = self.pairs + 3
        counts = ((1.0, self.wins), (0.0, self.ties), (-1.0, self.losses))
        return self.better.to_go(alpha, [(v, (n + 1) / pairs) for v, n in counts])

    def reading(self, guard: str, *, promote: float, roll_back: float) -> Reading:
        """Now, with the levels of the two mistakes."""
        counts = ((1.0, self.wins), (0.0, self.ties), (-1.0, self.losses))
        low = bounds(counts, -1, 1, alpha=promote).low
        high = bounds(counts, -1, 1, alpha=roll_back).high
        return Reading(
            guard=guard,
            estimate=(self.wins - self.losses) / self.pairs if self.pairs else None,
            low=low,
            high=high,
            broken=self.worse.certain(roll_back),
            kept=self.better.certain(promote),
            evidence=self.worse.capital,
            goal=1 / roll_back,
            values=self.pairs,
        )


class ErrorWatch(Struct, kw_only=True):
    """Failed requests of both sides.

    Requests are compared in blocks. A block ends when both sides have been heard in it, and its
    value is the new side's share of failures minus the other side's: whatever the traffic of each,
    its mean is the difference of the error rates.

    Attributes:
        requests, failed: of this step; `block_requests`, `block_failed`: of the block that has
            begun. The new side first.
    """

    wager: Wager
    requests: list[int]
    failed: list[int]
    block_requests: list[int]
    block_failed: list[int]

    @classmethod
    def against(cls, limit: float) -> ErrorWatch:
        """A new watch. `limit` is the most that the new side's error rate may be higher, 0..1."""
        return cls(
            wager=Wager(limit=limit, low=-1, high=1),
            requests=[0, 0],
            failed=[0, 0],
            block_requests=[0, 0],
            block_failed=[0, 0],
        )

    @property
    def estimate(self) -> float | None:
        """How much higher the new side's error rate is, None without requests of both."""
        if not all(self.requests):
            return None
        return self.failed[0] / self.requests[0] - self.failed[1] / self.requests[1]

    def request(self, *, new: bool, failed: bool) -> None:
        """A request ended."""
        side = 0 if new else 1
        self.requests[side] += 1
        self.block_requests[side] += 1
        if failed:
            self.failed[side] += 1
            self.block_failed[side] += 1
        heard = self.block_requests
        if heard[0] and heard[1]:
            value = self.block_failed[0] / heard[0] - self.block_failed[1] / heard[1]
            self.block_requests, self.block_failed = [0, 0], [0, 0]
            self.wager.update(value)

    def reading(self, guard: str, *, roll_back: float) -> Reading:
        """Now, with the level at which it may be broken by mistake."""
        return Reading(
            guard=guard,
            estimate=self.estimate,
            broken=self.wager.certain(roll_back),
            evidence=self.wager.capital,
            goal=1 / roll_back,
            values=self.requests[0],
        )


class LatencyWatch(Struct, kw_only=True):
    """The new side's time to first token against a quantile of the other side's.

    If the new side keeps the limit, no more than 1 - share of its requests take longer than
    `limit` times the other side's quantile, nor than `limit` times an upper bound of that. Such
    late ones are what is bet on. The bound moves with the other side's requests, always before
    the request that is held against it.

    Attributes:
        other: the other side, of all steps: its answers do not depend on the new side's share.
        bar_ms: what is late, None while there is no upper bound.
        bar_values: values of the other side when `bar_ms` was made.
        whole: answers without a first token, as they came whole. The new side first.
    """

    limit: float
    wager: Wager
    new: QuantileSequence
    other: QuantileSequence
    bar_ms: float | None = None
    bar_values: int = 0
    whole: list[int] = field(default_factory=lambda: [0, 0])

    @classmethod
    def against(
        cls, limit: float, share: float, other: QuantileSequence | None = None
    ) -> LatencyWatch:
        """A new watch.

        Args:
            limit: the largest ratio of the two quantiles.
            share: which quantile, 0..1.
            other: what is known of the other side.
        """
        return cls(
            limit=limit,
            wager=Wager(limit=1 - share, low=0, high=1),
            new=QuantileSequence(share=share),
            other=other or QuantileSequence(share=share),
        )

    def request(self, ttft_ms: float | None, *, new: bool, alpha: float) -> None:
        """A request began to be answered after so long.

        Args:
            ttft_ms: None where the answer came whole.
            alpha: how often the other side's upper bound may be too low, ever.
        """
        if ttft_ms is None:
            self.whole[0 if new else 1] += 1
            return
        if not new:
            self.other.update(ttft_ms)
            return
        self.new.update(ttft_ms)
        if self.other.values > self.bar_values * _FRESH:
            self.bar_values = self.other.values
            high = self.other.interval(alpha).high
            self.bar_ms = self.limit * high if high < float("inf") else None
        if self.bar_ms is not None:
            self.wager.update(float(ttft_ms > self.bar_ms))

    @property
    def blind(self) -> tuple[int, int]:
        """Answers of each side, the new one first, of which no first token was ever seen; 0 for a
        side of which one was."""
        new, other = self.whole
        return (0 if self.new.values else new, 0 if self.other.values else other)

    @property
    def estimate(self) -> float | None:
        """The ratio of the two quantiles, None without requests of both."""
        new, other = self.new.estimate, self.other.estimate
        return None if new is None or other is None else new / other

    def reading(self, guard: str, *, roll_back: float) -> Reading:
        """Now, with the level at which it may be broken by mistake."""
        return Reading(
            guard=guard,
            estimate=self.estimate,
            broken=self.wager.certain(roll_back),
            evidence=self.wager.capital,
            goal=1 / roll_back,
            values=self.new.values,
        )
