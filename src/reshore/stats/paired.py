"""Paired differences: both models answered the same prompts."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist

from msgspec import Struct

from reshore.stats.interval import Interval


class Difference(Struct, frozen=True, kw_only=True):
    """The mean of paired differences.

    Attributes:
        error: its standard error.
        interval: normal approximation: for some 30 clusters or more, and for one look.
    """

    mean: float
    error: float
    pairs: int
    clusters: int
    interval: Interval


def paired_difference(
    differences: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    alpha: float = 0.05,
) -> Difference:
    """The mean of new - old with its standard error, clustered where pairs belong together.

    Clustered: square root of the sum over clusters of (sum of deviations)^2, over n (Miller,
    arXiv 2411.00640, section 2.2; Liang & Zeger, Biometrika 73(1), 1986). Turns of one
    conversation share what made them easy or hard; without clusters the interval would be too
    narrow.

    Args:
        clusters: what each pair belongs to, such as its conversation; None: each to itself.

    Raises:
        ValueError: there are no pairs, or not as many clusters as pairs.
    """
    pairs = len(differences)
    if not pairs:
        raise ValueError("there are no pairs to compare")
    mean = math.fsum(differences) / pairs
    sums: dict[Hashable, float] = {}
    for cluster, value in zip(clusters or range(pairs), differences, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value - mean
    error = math.sqrt(math.fsum(total * total for total in sums.values())) / pairs
    half = NormalDist().inv_cdf(1 - alpha / 2) * error
    return Difference(
        mean=mean,
        error=error,
        pairs=pairs,
        clusters=len(sums),
        interval=Interval(mean - half, mean + half),
    )
