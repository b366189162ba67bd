"""What routers would be worth on traffic like that of the pairs, before any of them is live. Pure.

A pair knows the quality of both answers, so what another router would have chosen is known, too,
and nothing has to be modelled: this is off-policy evaluation with full information. What is left to
correct is which requests became pairs. One that did so with probability p stands for 1/p requests
(Horvitz & Thompson, JASA 47(260), 1952), and the weights are made to sum to one (Hajek; the
self-normalised estimator of Swaminathan & Joachims, NeurIPS 2015), which is why estimates stay
within the bounds of what they are the mean of.

Intervals are those of the percentile bootstrap, drawing whole conversations as
`stats/bootstrap.py` does. All routers are judged on the same draws, so that their differences are
differences on the same requests; that is thousands of draws times routers, and done in NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from reshore.errors import LearnError
from reshore.evals.gathering import Example
from reshore.stats.bootstrap import grouped
from reshore.stats.interval import Interval

# Fewer say too little of how much they vary among themselves.
LEAST_CONVERSATIONS = 20
_RESAMPLES = 2000
_ALPHA = 0.05
# Rows that are drawn at a time: 16 MB of them.
_ROWS = 200_000


class Estimate(Struct, frozen=True):
    """A number, and where it lies (95 %)."""

    value: float
    interval: Interval

    def __str__(self) -> str:
        return f"{self.value:.3f} {self.interval}"


class Worth(Struct, frozen=True, kw_only=True):
    """What is expected of a router.

    Attributes:
        quality: of the answers, 0..1.
        kept: that quality, in relation to the cloud's alone.
        cloud: share of the requests that go there.
    """

    router: str
    quality: Estimate
    kept: Estimate
    cloud: Estimate


class Difference(Struct, frozen=True, kw_only=True):
    """A router against another one on the same pairs: new minus old."""

    quality: Estimate
    cloud: Estimate

    @property
    def worse(self) -> str:
        """In what the new one is certainly worse, with nothing gained by it; "" where it is not."""
        if self.quality.interval.high < 0 and self.cloud.interval.high >= 0:
            return "its answers are worse, and no fewer requests go to the cloud"
        if self.cloud.interval.low > 0 and self.quality.interval.low <= 0:
            return "more requests go to the cloud, and answers are no better"
        return ""


class Evaluation(Struct, frozen=True, kw_only=True):
    """Several routers on the same pairs.

    Attributes:
        effective: pairs of equal weight that would say as much (Kish): the more unlike the
            propensities, the fewer.
        difference: between the two that were to be compared.
    """

    pairs: int
    conversations: int
    effective: float
    routers: tuple[Worth, ...]
    difference: Difference | None = None


def evaluate(
    examples: Sequence[Example],
    choices: Mapping[str, Sequence[bool]],
    *,
    compare: tuple[str, str] | None = None,
    seed: int = 0,
) -> Evaluation:
    """What each router is worth. The same seed gives the same intervals.

    Args:
        choices: of each router: whether it sends each of the examples to the cloud.
        compare: two of them, the new one and the old one.

    Raises:
        LearnError: too few conversations.
    """
    conversations = grouped(range(len(examples)), [example.pair.key for example in examples])
    if len(conversations) < LEAST_CONVERSATIONS:
        raise LearnError(
            f"{len(conversations)} conversations are too few to evaluate a router on; "
            f"{LEAST_CONVERSATIONS} are the least."
        )
    draws = _Draws(examples, conversations, choices, seed)
    difference = None
    if compare is not None:
        new, old = compare
        difference = Difference(
            quality=_estimate(draws.quality[new] - draws.quality[old]),
            cloud=_estimate(draws.cloud[new] - draws.cloud[old]),
        )
    return Evaluation(
        pairs=len(examples),
        conversations=len(conversations),
        effective=_effective([1 / example.propensity for example in examples]),
        routers=tuple(
            Worth(
                router=name,
                quality=_estimate(draws.quality[name]),
                kept=_estimate(draws.kept(name)),
                cloud=_estimate(draws.cloud[name]),
            )
            for name in choices
        ),
        difference=difference,
    )


class _Draws:
    """Weighted means of what was seen (the first of each) and of every resample.

    Attributes:
        quality, cloud: by router.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        conversations: Sequence[Sequence[int]],
        choices: Mapping[str, Sequence[bool]],
        seed: int,
    ) -> None:
        weight = np.array([1 / example.propensity for example in examples])
        weak = np.array([example.pair.weak for example in examples])
        strong = np.array([example.pair.strong for example in examples])
        columns = [weight, weight * strong]
        for chosen in choices.values():
            cloud = np.array(chosen, dtype=bool)
            columns += [weight * np.where(cloud, strong, weak), weight * cloud]
        each = np.column_stack(columns)
        totals = np.array([each[list(places)].sum(axis=0) for places in conversations])
        sums = np.vstack([totals.sum(axis=0), *_resampled(totals, seed)])
        means = sums[:, 1:] / sums[:, :1]
        self._strong = means[:, 0]
        self.quality = {name: means[:, 1 + 2 * at] for at, name in enumerate(choices)}
        self.cloud = {name: means[:, 2 + 2 * at] for at, name in enumerate(choices)}

    def kept(self, name: str) -> Any:
        """The quality in relation to the cloud's; 1 where that is never right."""
        some = self._strong > 0
        return np.divide(self.quality[name], self._strong, out=np.ones(len(some)), where=some)


def _resampled(totals: Any, seed: int) -> Iterator[Any]:
    """The sums over conversations that are drawn with replacement, some resamples at a time."""
    draw, count = np.random.default_rng(seed), len(totals)
    left = _RESAMPLES
    while left:
        some = min(left, max(1, _ROWS // count))
        yield totals[draw.integers(0, count, (some, count))].sum(axis=1)
        left -= some


def _estimate(values: Any) -> Estimate:
    low, high = np.quantile(values[1:], (_ALPHA / 2, 1 - _ALPHA / 2))
    return Estimate(float(values[0]), Interval(float(low), float(high)))


def _effective(weights: Sequence[float]) -> float:
    return sum(weights) ** 2 / sum(weight * weight for weight in weights)
