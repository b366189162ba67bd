"""A quantile of a sample whose size was fixed beforehand, by ranks.

Of n values, those below the true quantile Q(p) are a binomial number, whatever the distribution;
so the values at two fixed ranks hold Q(p) between them with a probability that is known exactly
(David & Nagaraja, Order Statistics, 3rd edition 2003, section 7.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile_interval(
    ordered: Sequence[float], share: float, *, alpha: float = 0.05, worth: float | None = None
) -> tuple[float | None, float | None]:
    """Between which values the quantile lies, level 1 - alpha or more, for one look.

    A bound is None where the sample is too small for any: the 95th percentile has no upper one
    below 72 values.

    Args:
        ordered: values, the smallest first.
        share: which quantile, between 0 and 1, both excluded.
        worth: how many independent values these are worth, where they belong together: ranks are
            then those of so many (Woodruff, JASA 47(260), 1952). None: all are independent.
    """
    count = len(ordered) if worth is None else int(worth)
    below = [0.0]  # probability of fewer than k values below the quantile, by k
    for k in range(count + 1):
        below.append(below[-1] + _binomial(k, count, share))
    low = max((k for k in range(1, count + 1) if below[k] <= alpha / 2), default=None)
    high = min((k for k in range(1, count + 1) if 1 - below[k] <= alpha / 2), default=None)
    return (
        None if low is None else ordered[(low - 1) * len(ordered) // count],
        None if high is None else ordered[-(-high * len(ordered) // count) - 1],
    )


def _binomial(k: int, count: int, share: float) -> float:
    ways = math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
    return math.exp(ways + k * math.log(share) + (count - k) * math.log1p(-share))
