"""The threshold that keeps a promise: "at least 98 % of the cloud's quality, 95 % sure". Pure.

Thresholds are tried on pairs that the training did not see, from the one that surely keeps the
promise towards the one that saves most, and the first that cannot be shown to keep it ends the
search. Tried in a fixed order, each test may use the whole of the permitted error (fixed-sequence
testing: Angelopoulos et al., Learn then Test, arXiv 2110.01052). This is the form of conformal risk
control that holds with a stated confidence, and for losses that do not always fall with the
threshold: a weak side that is sometimes better makes such. The tests are those by betting of
`stats/wager.py`, exact for every number of pairs and every distribution within bounds.

Bets are for things that are independent of each other, and the turns of a conversation are not:
each conversation is one bet, about the mean over its turns. So the promise is about the mean over
conversations drawn like those of the pairs, in which a long one counts no more than a short one. It
says nothing about other traffic.

A pair that stands for more requests than others (`Pair.weight`) weighs as much more. Weights are
divided by the largest, which keeps values within the bounds of the bets: pairs that stand for few
requests beside others add next to nothing. It is taken for granted that the largest weight there is
in the traffic is among the pairs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from math import fsum
from typing import Literal, NamedTuple

from msgspec import Struct

from reshore.errors import LearnError
from reshore.evals.pairs import Pair
from reshore.routing.learned import Calibration
from reshore.stats.bootstrap import grouped
from reshore.stats.wager import Wager

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

    The promise is about the mean over conversations (pairs of one key), each by the mean over its
    turns.

    Args:
        scores: of the pairs, by the router; what reaches the threshold goes to the cloud.

    Raises:
        LearnError: not even the safest threshold can be shown to; more pairs are needed.
    """
    value, low, high = _value(goal)
    conversations = _conversations(scores, pairs)
    found = None
    for threshold in _candidates(goal):
        wager = Wager(limit=0.0, low=low, high=high)
        for mean in _means(conversations, threshold, value):
            wager.update(mean)
        if not wager.certain(1 - goal.confidence):
            break
        found = threshold
    if found is None:
        counted = f"{len(pairs)} pairs"
        if len(conversations) < len(pairs):
            counted += f" of {len(conversations)} conversations"
        raise LearnError(
            f"{counted} are too few to promise {goal} with a confidence of "
            f"{goal.confidence:g}: give more pairs, or a weaker target."
        )
    return _summary(goal, found, conversations)


class _Scored(NamedTuple):
    """A pair, what the router makes of it, and its weight as a share of the largest one."""

    score: float
    pair: Pair
    share: float


_Conversations = Sequence[Sequence[_Scored]]
# Of a pair, and whether the cloud answers it.
_Value = Callable[[bool, Pair], float]


def _conversations(scores: Sequence[float], pairs: Sequence[Pair]) -> _Conversations:
    largest = max((pair.weight for pair in pairs), default=1.0)
    scored = [
        _Scored(score, pair, pair.weight / largest)
        for score, pair in zip(scores, pairs, strict=True)
    ]
    return grouped(scored, [pair.key or at for at, pair in enumerate(pairs)])


def _means(conversations: _Conversations, threshold: float, value: _Value) -> Iterator[float]:
    """Of each conversation, what is gone by if that is the threshold."""
    for turns in conversations:
        values = (turn.share * value(turn.score >= threshold, turn.pair) for turn in turns)
        yield fsum(values) / len(turns)


def _value(goal: Goal) -> tuple[_Value, float, float]:
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


def _summary(goal: Goal, threshold: float, conversations: _Conversations) -> Calibration:
    """Means as the promise is about them."""

    def total(value: _Value) -> float:
        return fsum(_means(conversations, threshold, value))

    strong = total(lambda _, pair: pair.strong)
    routed = total(lambda cloud, pair: pair.strong if cloud else pair.weak)
    return Calibration(
        target=str(goal),
        threshold=threshold,
        confidence=goal.confidence,
        pairs=sum(map(len, conversations)),
        conversations=len(conversations),
        cloud=total(lambda cloud, _: cloud) / total(lambda *_: 1.0),
        quality=routed / strong if strong else 1.0,
    )
