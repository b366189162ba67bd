"""What is known of a route, in numbers with their intervals: for people and programs. Pure."""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

from reshore.evals.live.evidence import Evidence, Latency, SideWatch
from reshore.stats.interval import Interval, Verdict, non_inferior
from reshore.stats.planning import hours
from reshore.stats.quantiles import QuantileSequence
from reshore.stats.wager import Wager, bounds
from reshore.types import Side

# Of every interval: how often it may miss, ever.
ALPHA = 0.05


class Estimate(Struct, frozen=True, kw_only=True):
    """A number, and where it lies with a confidence of 95 %, however often one looks.

    Attributes:
        value: None where nothing is known.
        high: None where nothing bounds it from above.
    """

    value: float | None
    low: float
    high: float | None


class LatencyStanding(Struct, frozen=True, kw_only=True):
    """One kind of latency, in milliseconds."""

    p50_ms: Estimate
    p95_ms: Estimate


class SideStanding(Struct, frozen=True, kw_only=True):
    """How one side did with the requests that it was asked with.

    Attributes:
        failure_rate: 0..1.
    """

    requests: int
    failed: int
    failure_rate: Estimate
    ttft: LatencyStanding
    total: LatencyStanding


class DriftStanding(Struct, frozen=True, kw_only=True):
    """Whether local answers have become worse since clients get them.

    Attributes:
        level: the net win that they must keep.
        pairs: those that it was looked for in.
        evidence: an alarm from `goal` on.
        alarmed_s: when it was found, seconds since the epoch.
    """

    state: Literal["watching", "drifted"]
    level: float
    pairs: int
    evidence: float
    goal: float
    alarmed_s: float | None = None


class Standing(Struct, frozen=True, kw_only=True):
    """Two models under one route.

    Attributes:
        local: the model here; `cloud` is `upstream/model`.
        since_s, changed_s: seconds since the epoch.
        pairs: those that count: decided, and the first ones of their conversations.
        net_win: (wins - losses) / pairs.
        level: the net win that local answers must keep.
        verdict: whether they certainly keep it (`passed`), certainly do not (`failed`), or nobody
            knows yet (`open`), as far as pairs were decided.
        to_go: pairs until that is known, if they go on like this; None where it is known, where
            there are no pairs, or where they would never show that it is kept.
        hours_to_go: the same in hours, at the mean traffic between `since_s` and `changed_s`; None
            also where those are one moment.
        by: what decided pairs, and how many.
        drift: None while no client gets local answers that are compared.
    """

    route: str
    local: str
    cloud: str
    since_s: float
    changed_s: float
    pairs: int
    wins: int
    ties: int
    losses: int
    undecided: int
    repeated: int
    net_win: Estimate
    level: float
    verdict: Verdict
    to_go: int | None = None
    hours_to_go: float | None = None
    by: dict[str, int]
    sides: dict[Side, SideStanding]
    drift: DriftStanding | None = None


class Overview(Struct, frozen=True, kw_only=True):
    """What `GET /admin/evaluation` answers.

    Attributes:
        enabled: False where nothing is compared.
        standings: by route, and of one route what was compared last first.
        dropped: answered copies that made no pair, by reason, since the server was started.
        unanswered: copies that were dropped before that, of all routes: as a rule for `queue`, want
            of room, for those for this machine wait until no client needs it.
        judged: what the judge was asked since then: `verdict`, or why it gave none, by count.
    """

    enabled: bool = True
    standings: list[Standing] = []
    dropped: dict[str, int] = {}
    unanswered: dict[str, int] = {}
    judged: dict[str, int] = {}


def standing(evidence: Evidence, *, level: float, alpha: float = ALPHA) -> Standing:
    """The numbers of this moment.

    Args:
        level: the net win that must be kept where nothing else was said of the route.
        alpha: of each interval by itself.
    """
    wins, ties, losses = evidence.wins, evidence.ties, evidence.losses
    pairs = evidence.decided
    within = bounds(((1.0, wins), (0.0, ties), (-1.0, losses)), -1, 1, alpha=alpha / 2)
    level = evidence.drift.level if evidence.drift else level
    verdict = non_inferior(within, -level)
    to_go = _to_go(evidence, level, alpha) if pairs and verdict == "open" else None
    return Standing(
        route=evidence.route,
        local=evidence.local.model,
        cloud=f"{evidence.cloud.backend}/{evidence.cloud.model}",
        since_s=evidence.since_s,
        changed_s=evidence.changed_s,
        pairs=pairs,
        wins=wins,
        ties=ties,
        losses=losses,
        undecided=evidence.undecided,
        repeated=evidence.repeated,
        net_win=_estimate(evidence.net_win if pairs else None, within),
        level=level,
        verdict=verdict,
        to_go=to_go,
        hours_to_go=None if to_go is None else _hours(evidence, to_go),
        by=dict(sorted(evidence.by.items(), key=lambda item: -item[1])),
        sides={side: _side(watch, alpha) for side, watch in evidence.sides.items()},
        drift=_drift(evidence),
    )


def _to_go(evidence: Evidence, level: float, alpha: float) -> int | None:
    """A pair of each kind is added, as a few that are all alike know nothing of the variance."""
    counts = ((1.0, evidence.wins), (0.0, evidence.ties), (-1.0, evidence.losses))
    shares = [(score, (count + 1) / (evidence.decided + 3)) for score, count in counts]
    needed = Wager(limit=level, low=-1, high=1).to_go(alpha / 2, shares)
    if not math.isfinite(needed):
        return None
    return max(1, math.ceil(needed) - evidence.decided)


def _hours(evidence: Evidence, pairs: int) -> float | None:
    # Not until now: a server that is stopped, or asked for nothing, is no slower traffic.
    passed = (evidence.changed_s - evidence.since_s) / 3600
    return hours(pairs, evidence.decided / passed) if passed > 0 else None


def _side(watch: SideWatch, alpha: float) -> SideStanding:
    requests, failed = watch.requests, watch.failed
    within = bounds(((1.0, failed), (0.0, requests - failed)), 0, 1, alpha=alpha / 2)
    return SideStanding(
        requests=requests,
        failed=failed,
        failure_rate=_estimate(failed / requests if requests else None, within),
        ttft=_latency(watch.ttft, alpha),
        total=_latency(watch.total, alpha),
    )


def _latency(latency: Latency, alpha: float) -> LatencyStanding:
    return LatencyStanding(
        p50_ms=_quantile(latency.p50, alpha), p95_ms=_quantile(latency.p95, alpha)
    )


def _quantile(sequence: QuantileSequence, alpha: float) -> Estimate:
    return _estimate(sequence.estimate, sequence.interval(alpha))


def _estimate(value: float | None, within: Interval) -> Estimate:
    return Estimate(
        value=value, low=within.low, high=within.high if math.isfinite(within.high) else None
    )


def _drift(evidence: Evidence) -> DriftStanding | None:
    drift = evidence.drift
    if drift is None:
        return None
    return DriftStanding(
        state="drifted" if evidence.drifted else "watching",
        level=drift.level,
        pairs=drift.detector.values,
        evidence=drift.detector.evidence,
        goal=drift.detector.run_length,
        alarmed_s=drift.alarmed_s,
    )
