"""Rates and paired yes-or-no answers of samples whose size was fixed beforehand."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist

from reshore.stats.interval import Interval

# Of fewer clusters nobody can tell how alike the values of one are.
_FEW_CLUSTERS = 10


def effective_size(values: Sequence[bool], clusters: Sequence[Hashable]) -> float:
    """How many independent values these are worth, of which those of a cluster belong together.

    That many have the variance that the rate has by cluster (Kish's design effect). Wilson's
    interval of them holds also near 0 and 1, where a bootstrap of clusters does not: of 10 clusters
    with 10 values each, alike and right at 0.97, it covers 96 times in 100 and the bootstrap 33
    (compare Dean & Pagano, J. Survey Statistics and Methodology 3(4), 2015). Where nothing can be
    told of the variance, a cluster is worth one value.
    """
    total, rate = len(values), sum(values) / len(values) if values else 0.0
    sums: dict[Hashable, float] = {}
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value - rate
    if len(sums) == total:
        return total
    if len(sums) < _FEW_CLUSTERS or rate in (0, 1):
        return len(sums)
    spread = math.fsum(each * each for each in sums.values()) * len(sums) / (len(sums) - 1)
    return min(total, total * total * rate * (1 - rate) / spread) if spread else total


def wilson(successes: float, trials: float, *, alpha: float = 0.05) -> Interval:
    """The score interval of a rate (Wilson, JASA 22(158), 1927), two-sided, level 1 - alpha.

    Without trials it is [0, 1]. It holds for one look at a sample of a fixed size. Trials that
    belong together count by their `effective_size`.
    """
    if not trials:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(1 - alpha / 2)
    rate = successes / trials
    shrunk = 1 + z * z / trials
    middle = (rate + z * z / (2 * trials)) / shrunk
    half = z / shrunk * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    # The bounds of 0 and of all are exact; rounding must not put the rate outside.
    low = 0.0 if not successes else middle - half
    return Interval(low, 1.0 if successes == trials else middle + half)


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p value that two models are right equally often on the same prompts.

    Under the null each of the prompts on which exactly one is right is a fair coin (McNemar,
    Psychometrika 12(2), 1947; the exact binomial form). 1 where they never differ.

    Args:
        only_first: prompts on which the first model alone is right.
        only_second: those on which the second one alone is.
    """
    differing = only_first + only_second
    fewer = min(only_first, only_second)
    if fewer * 2 == differing:
        return 1.0
    tail = math.fsum(_fair(differing, heads) for heads in range(fewer + 1))
    return min(1.0, 2 * tail)


def _fair(tosses: int, heads: int) -> float:
    """Probability of so many heads of a fair coin; by logarithms, for thousands of tosses."""
    ways = math.lgamma(tosses + 1) - math.lgamma(heads + 1) - math.lgamma(tosses - heads + 1)
    return math.exp(ways - tosses * math.log(2))
