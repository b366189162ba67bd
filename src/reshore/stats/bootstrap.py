"""Intervals of any statistic, by drawing whole clusters (conversations) with replacement.

Efron & Tibshirani, An Introduction to the Bootstrap (1993): percentile in chapter 13, BCa in
chapter 14. For one look at a fixed sample of some 20 clusters or more.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from itertools import chain
from statistics import NormalDist
from typing import Literal, TypeVar

from reshore.stats.interval import Interval

T = TypeVar("T")
Method = Literal["percentile", "bca"]


def grouped(values: Sequence[T], clusters: Sequence[Hashable]) -> list[list[T]]:
    """The values of each cluster, clusters in the order of their first value."""
    found: dict[Hashable, list[T]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        found.setdefault(cluster, []).append(value)
    return list(found.values())


def bootstrap(
    clusters: Sequence[Sequence[T]],
    statistic: Callable[[list[T]], float],
    *,
    alpha: float = 0.05,
    resamples: int = 2000,
    seed: int = 0,
    method: Method = "bca",
) -> Interval:
    """Where a statistic lies, level 1 - alpha; the same seed gives the same interval.

    BCa corrects for bias and skew, the latter from leaving out each cluster once; where a
    correction does not exist (all resamples alike, or all on one side) it is the percentile
    interval. Takes `resamples` + clusters evaluations of `statistic`.

    Args:
        clusters: the values, those that belong together in one sequence.
        statistic: of all values of a sample; must accept samples of any clusters.

    Raises:
        ValueError: there is no cluster.
    """
    if not clusters:
        raise ValueError("there is nothing to draw from")
    draw = random.Random(seed)
    count = len(clusters)
    found = sorted(
        statistic(list(chain.from_iterable(draw.choices(clusters, k=count))))
        for _ in range(resamples)
    )
    ends = (alpha / 2, 1 - alpha / 2)
    if method == "bca":
        ends = _corrected(ends, found, clusters, statistic)
    return Interval(_quantile(found, ends[0]), _quantile(found, ends[1]))


def _corrected(
    ends: tuple[float, float],
    found: Sequence[float],
    clusters: Sequence[Sequence[T]],
    statistic: Callable[[list[T]], float],
) -> tuple[float, float]:
    """Where in the resamples the ends of the BCa interval are (equations 14.10, 14.14, 14.15)."""
    whole = statistic(list(chain.from_iterable(clusters)))
    # Half of the equal ones: a statistic of counts has many.
    below = sum(value < whole for value in found) + sum(value == whole for value in found) / 2
    if not 0 < below < len(found) or len(clusters) < 2:
        return ends
    normal = NormalDist()
    bias, skew = normal.inv_cdf(below / len(found)), _acceleration(clusters, statistic)

    def moved(end: float) -> float:
        z = bias + normal.inv_cdf(end)
        bent = 1 - skew * z
        return normal.cdf(bias + z / bent) if bent > 0 else end

    return moved(ends[0]), moved(ends[1])


def _acceleration(clusters: Sequence[Sequence[T]], statistic: Callable[[list[T]], float]) -> float:
    left_out = [
        statistic(list(chain.from_iterable(c for i, c in enumerate(clusters) if i != out)))
        for out in range(len(clusters))
    ]
    mean = sum(left_out) / len(left_out)
    squares = sum((mean - value) ** 2 for value in left_out)
    cubes = sum((mean - value) ** 3 for value in left_out)
    return float(cubes / (6 * squares**1.5)) if squares else 0.0


def _quantile(ordered: Sequence[float], share: float) -> float:
    """By linear interpolation between the two nearest."""
    place = share * (len(ordered) - 1)
    before = int(place)
    after = min(before + 1, len(ordered) - 1)
    return ordered[before] + (place - before) * (ordered[after] - ordered[before])
