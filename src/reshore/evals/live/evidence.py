"""What is known of a route from its pairs and its requests. Pure.

One state for each two models of a route: what another model did says nothing of this one. Numbers
change with every pair and every request and may be looked at after each of them: all intervals are
confidence sequences.
"""

from __future__ import annotations

from copy import deepcopy

from msgspec import Struct, field, structs

from reshore.evals.answered import fault
from reshore.evals.live.conversations import Conversations
from reshore.routing.paired import Paired
from reshore.routing.watches import SCORES, PairVerdict
from reshore.stats.detector import Detector
from reshore.stats.quantiles import QuantileSequence
from reshore.types import Attempt, Side, Target


class Latency(Struct, kw_only=True):
    """One kind of latency: its median and its 95th percentile."""

    p50: QuantileSequence = field(default_factory=lambda: QuantileSequence(share=0.5))
    p95: QuantileSequence = field(default_factory=lambda: QuantileSequence(share=0.95))

    def update(self, value_ms: float) -> None:
        self.p50.update(value_ms)
        self.p95.update(value_ms)


class SideWatch(Struct, kw_only=True):
    """The requests that one side was asked with, copies included.

    Attributes:
        failed: of the requests; the others were answered to their end.
        ttft, total: from the begin of the attempt that answered. A whole answer of an upstream has
            no time to its first token, as that was never seen.
    """

    requests: int = 0
    failed: int = 0
    ttft: Latency = field(default_factory=Latency)
    total: Latency = field(default_factory=Latency)

    def tried(self, attempt: Attempt) -> None:
        """A request ended on this side; what a client did wrong or broke off says nothing of it."""
        failed = fault(attempt)
        if failed is None:
            return
        self.requests += 1
        if failed:
            self.failed += 1
            return
        self.total.update(attempt.total_ms)
        if attempt.ttft_ms is not None:
            self.ttft.update(attempt.ttft_ms)


class Drift(Struct, kw_only=True):
    """Whether local answers have become worse since clients get them.

    Attributes:
        level: the net win that they must keep.
        alarmed_s: when that was found to be broken, seconds since the epoch; it stays so until
            somebody begins anew.
    """

    level: float
    detector: Detector
    alarmed_s: float | None = None

    def pair(self, verdict: PairVerdict, now_s: float) -> bool:
        """A decided pair whose local answer the client got; whether this one raised the alarm."""
        if self.alarmed_s is not None:
            return False
        self.detector.update(SCORES[verdict])
        if not self.detector.alarmed:
            return False
        self.alarmed_s = now_s
        return True


def watching(level: float, run_length: float) -> Drift:
    """Begin to watch. `level` is a net win, above -1 and below 1."""
    return Drift(level=level, detector=Detector(limit=level, low=-1, high=1, run_length=run_length))


class Evidence(Struct, kw_only=True):
    """All that is known of two models under one route.

    Changes with every pair and request and is written and read as it is (msgspec).

    Attributes:
        since_s, changed_s: when it began and when it changed last, seconds since the epoch.
        wins, ties, losses, undecided: pairs, from the local side's view.
        repeated: further pairs of conversations of which one has counted.
        by: what decided pairs, and how many.
        drift: from the first pair on whose local answer the client got.
    """

    route: str
    local: Target
    cloud: Target
    since_s: float
    changed_s: float
    wins: int = 0
    ties: int = 0
    losses: int = 0
    undecided: int = 0
    repeated: int = 0
    by: dict[str, int] = field(default_factory=dict)
    sides: dict[Side, SideWatch] = field(
        default_factory=lambda: {"local": SideWatch(), "cloud": SideWatch()}
    )
    conversations: Conversations = field(default_factory=Conversations)
    drift: Drift | None = None

    def __post_init__(self) -> None:
        # It is read from files.
        if set(self.sides) != {"local", "cloud"}:
            raise ValueError(f"its sides are {sorted(self.sides)}, not local and cloud")
        if min(self.wins, self.ties, self.losses, self.undecided, self.repeated) < 0:
            raise ValueError("it counts fewer than no pairs")

    @property
    def decided(self) -> int:
        """Pairs that count."""
        return self.wins + self.ties + self.losses

    @property
    def net_win(self) -> float:
        """(wins - losses) / pairs, 0 without pairs."""
        return (self.wins - self.losses) / self.decided if self.decided else 0.0

    @property
    def drifted(self) -> bool:
        """Whether local answers have become worse since clients get them."""
        return self.drift is not None and self.drift.alarmed_s is not None

    def copy(self) -> Evidence:
        """What is known at this moment, without the conversations: for another thread."""
        return deepcopy(structs.replace(self, conversations=Conversations()))

    def side_of(self, target: Target) -> Side | None:
        """Which of the two models it is; None: neither."""
        if target == self.local:
            return "local"
        return "cloud" if target == self.cloud else None

    def pair(self, paired: Paired) -> bool:
        """A pair; whether it is the first one of its conversation that counts.

        An undecided pair leaves its conversation another chance.
        """
        if paired.verdict == "undecided":
            self.undecided += 1
            return False
        if not self.conversations.is_new(paired.conversation):
            self.repeated += 1
            return False
        match paired.verdict:
            case "win":
                self.wins += 1
            case "tie":
                self.ties += 1
            case "loss":
                self.losses += 1
        self.by[paired.by] = self.by.get(paired.by, 0) + 1
        return True
