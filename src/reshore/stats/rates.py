"""Rates and paired yes-or-no answers of samples whose size was fixed beforehand."""

from __future__ import annotations

import math
from statistics import NormalDist

from reshore.stats.interval import Interval


def wilson(successes: int, trials: int, *, alpha: float = 0.05) -> Interval:
    """The score interval of a rate (Wilson, JASA 22(158), 1927), two-sided, level 1 - alpha.

    Without trials it is [0, 1]. It holds for one look at a sample of a fixed size.
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
