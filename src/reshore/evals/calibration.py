"""The threshold that keeps a promise: "at least 98 % of the cloud's quality, 95 % sure". Pure.

Thresholds are tried on pairs that the training did not see, from the one that surely keeps the
promise towards the one that saves most, and the first that cannot be shown to keep it ends the
search. Tried in a fixed order, each test may use the whole of the permitted error (fixed-sequence
testing: Angelopoulos et al., Learn then Test, arXiv 2110.01052). This is the form of conformal risk
control that holds with a stated confidence, and for losses that do not always fall with the
threshold: a weak side that is sometimes better makes such. The tests are those by betting of
`stats/wager.py`, exact for every number of pairs and every distribution within bounds.

The promise holds for requests drawn like the pairs. It says nothing about other traffic.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from msgspec import Struct

from reshore.errors import LearnError
from reshore.evals.pairs import Pair
from reshore.routing.learned import Calibration
from reshore.stats.wager import bounds

# Candidates: the threshold moves by a hundredth of the traffic.
_STEPS = 100
_TARGET = re.compile(r"(quality)\s*>=\s*([\d.]+)(%?)|(cloud)\s*<=\s*([\d.]+)(%?)")


class Goal(Struct, frozen=True, kw_only=True):
    """What a threshold is to achieve.

    Attributes:
        kind: `quality`: mean quality of what is answered, at least `bound` times that of the
            strong side alone; `cloud`: share of the requests that go there, at most `bound`.
        confidence: probability with which the threshold achieves it.
    """

    kind: Literal["quality", "cloud"]
    bound: float
    confidence: float = 0.95

    def __str__(self) -> str:
        sign = ">=" if self.kind == "quality" else "<="
        return f"{self.kind}{sign}{self.bound * 100:g}%"


def parse_goal(text: str, confidence: float = 0.95) -> Goal:
    """Read `quality>=98%` or `cloud<=20%` (or 0.98 and 0.2).

    Raises:
        LearnError: it is neither.
    """
    match = _TARGET.fullmatch(text.strip())
    numbers = [group for group in match.groups() if group] if match else []
    try:
        bound = float(numbers[1]) / (100 if numbers[-1] == "%" else 1)
    except (IndexError, ValueError):
        bound = -1.0
    if not (0 < bound < 1 and 0.5 <= confidence < 1):
        raise LearnError(
            f"'{text}' with confidence {confidence:g} is no target: write quality>=98% or "
            "cloud<=20%, between 0% and 100%, and a confidence from 0.5 to below 1."
        )
    return Goal(
        kind="quality" if numbers[0] == "quality" else "cloud", bound=bound, confidence=confidence
    )


def calibrate(goal: Goal, scores: Sequence[float], pairs: Sequence[Pair]) -> Calibration:
    """The threshold that saves most among those that are shown to keep the promise.

    Args:
        scores: of the pairs, by the router; what reaches the threshold goes to the cloud.

    Raises:
        LearnError: not even the safest threshold can be shown to; more pairs are needed.
    """
    value, low, high = _value(goal)
    scored = list(zip(scores, pairs, strict=True))
    found = None
    for threshold in _candidates(goal):
        counts = Counter(value(score >= threshold, pair) for score, pair in scored)
        if bounds(counts.items(), low, high, alpha=1 - goal.confidence).low <= 0:
            break
        found = threshold
    if found is None:
        raise LearnError(
            f"{len(pairs)} pairs are too few to promise {goal} with a confidence of "
            f"{goal.confidence:g}: give more pairs, or a weaker target."
        )
    return _summary(goal, found, scored)


def _value(goal: Goal) -> tuple[Callable[[bool, Pair], float], float, float]:
    """What must be positive in the mean, and its bounds."""
    bound = goal.bound
    if goal.kind == "cloud":
        return lambda cloud, pair: bound - cloud, bound - 1, bound

    def kept(cloud: bool, pair: Pair) -> float:
        return (pair.strong if cloud else pair.weak) - bound * pair.strong

    return kept, -bound, 1.0


def _candidates(goal: Goal) -> Iterator[float]:
    """From the surest threshold to the boldest. A score above 1 does not occur."""
    steps = range(_STEPS + 2)
    yield from (step / _STEPS for step in (steps if goal.kind == "quality" else reversed(steps)))


def _summary(goal: Goal, threshold: float, scored: Sequence[tuple[float, Pair]]) -> Calibration:
    cloud = sum(score >= threshold for score, _ in scored)
    routed = sum(pair.strong if score >= threshold else pair.weak for score, pair in scored)
    strong = sum(pair.strong for _, pair in scored)
    return Calibration(
        target=str(goal),
        threshold=threshold,
        confidence=goal.confidence,
        pairs=len(scored),
        cloud=cloud / len(scored),
        quality=routed / strong if strong else 1.0,
    )
