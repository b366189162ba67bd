"""How sure a model was of its words: their mean log-probability, and what it is worth.

A weak sign by itself: the likelihood of a text follows its length and style as much as its truth
(gateways.md 3.1), so that the check is not among the defaults, and its bound belongs to one model
and one kind of traffic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from reshore.checks.check import Check, Said
from reshore.types import TokenLogprob

# The mean over fewer tokens changes with each further one.
_LEAST_TOKENS = 8


class Calibration(Struct, frozen=True, kw_only=True):
    """What a mean log-probability has meant: points of a line that never falls.

    Attributes:
        points: mean log-probability, and the share of answers with it that were right; both
            ascending.
        source: what it was measured on.
    """

    points: tuple[tuple[float, float], ...]
    source: str

    def __post_init__(self) -> None:
        rising = all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(self.points))
        if len(self.points) < 2 or not rising:
            raise ValueError("a calibration needs two points or more, ascending in both numbers")

    def estimate(self, mean: float) -> float:
        """The share of right answers at `mean`, between the nearest points."""
        if mean <= self.points[0][0]:
            return self.points[0][1]
        for (low, before), (high, after) in pairwise(self.points):
            if mean <= high:
                return before + (after - before) * (mean - low) / (high - low)
        return self.points[-1][1]


# Measured on nothing: the probability of the mean token itself, in sixteen steps down to e^-4.
UNCALIBRATED = Calibration(
    points=tuple((step / 4, math.exp(step / 4)) for step in range(-16, 1)),
    source="none: the geometric mean of the tokens' probabilities",
)


def mean_logprob(logprobs: Sequence[TokenLogprob]) -> float | None:
    """The mean over all tokens, None for too few of them. What is impossible counts as -100."""
    if len(logprobs) < _LEAST_TOKENS:
        return None
    return math.fsum(max(token.logprob, -100.0) for token in logprobs) / len(logprobs)


def check_logprob(said: Said, min_logprob: float, calibration: Calibration = UNCALIBRATED) -> Check:
    """Whether the mean reaches `min_logprob`; None where log-probabilities are not known."""
    mean = mean_logprob(said.logprobs)
    if mean is None:
        return Check(name="logprob", detail="too few tokens")
    estimate = calibration.estimate(mean)
    detail = f"mean {mean:.2f}, about {estimate:.0%}"
    return Check(name="logprob", ok=mean >= min_logprob, detail=detail)
