"""Whether traffic is split as it was meant to be, watched all the time.

A split that is off (a client that never reaches one side, retries that count twice) makes both
sides incomparable, whatever else is measured. Sequential multinomial test of Lindon & Malek
(NeurIPS 2022, "Anytime-Valid Inference for Multinomial Count Data"): the likelihood of the counts
under a Dirichlet mixture over that under the shares which were meant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

# Of the prior, in requests: shares that are off by some 5 points or more are found first.
_WEIGHT = 100.0


def ratio_evidence(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Logarithm of the evidence that the split is not what was meant.

    If it is, this ever reaches log(1/alpha) with probability alpha at most, so it may be looked at
    after every request. Counts are of what was assigned independently: conversations or users
    where the split is sticky, not their requests.

    Args:
        shares: what was meant, each above 0, the sum 1.

    Raises:
        ValueError: shares are missing, not positive, or not all there is.
    """
    if len(counts) != len(shares) or min(shares) <= 0 or not math.isclose(sum(shares), 1):
        raise ValueError(f"{list(shares)} are no shares of {len(counts)} sides")
    total = sum(counts)
    evidence = math.lgamma(_WEIGHT) - math.lgamma(_WEIGHT + total)
    for count, share in zip(counts, shares, strict=True):
        prior = _WEIGHT * share
        evidence += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return evidence


def mismatched(counts: Sequence[int], shares: Sequence[float], *, alpha: float = 0.01) -> bool:
    """Whether the split is certainly not what was meant, at level alpha over all looks."""
    return ratio_evidence(counts, shares) >= -math.log(alpha)
