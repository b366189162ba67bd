"""How far verdicts went by length, and what is left of them without. Pure.

Judges like long answers. Dubois et al. (Length-Controlled AlpacaEval, arXiv 2404.04475) take that
out with a logistic regression of the verdicts on the difference of the lengths, whose prediction
for answers of one length is the controlled win rate. This is their model for one pair of models,
without its term for how hard each instruction is, which takes many models to fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, pstdev

from msgspec import Struct

from reshore.stats.interval import Interval

# Fewer verdicts tell nothing of lengths.
LEAST_VERDICTS = 20
# Weak: it keeps both numbers finite where length parts the verdicts perfectly.
_PENALTY = 0.1
_STEPS = 50


class Sized(Struct, frozen=True, kw_only=True):
    """A verdict of a judge: 1 for the second answer, 0 for a tie, -1 for the first one.

    Attributes:
        first, second: characters of the answers.
    """

    value: int
    first: int
    second: int


class LengthEffect(Struct, frozen=True, kw_only=True):
    """What lengths have to do with verdicts.

    Attributes:
        correlation: of the verdict with being the longer one, -1..1.
        longer, shorter: how often the longer answer won, and the shorter one.
        net_win: (wins - losses) / verdicts as they are; `controlled`: as they would be between
            answers of one length, with its interval (95 %, one look).
    """

    verdicts: int
    correlation: float
    longer: int
    shorter: int
    net_win: float
    controlled: float
    interval: Interval


def length_effect(verdicts: Sequence[Sized]) -> LengthEffect | None:
    """How far the verdicts went by length; None for fewer than `LEAST_VERDICTS`."""
    if len(verdicts) < LEAST_VERDICTS:
        return None
    gaps = [float(each.second - each.first) for each in verdicts]
    spread = pstdev(gaps) or 1.0
    # The scale of the paper: what is much longer is no more so by being longer still.
    xs = [math.tanh(gap / spread) for gap in gaps]
    ys = [(each.value + 1) / 2 for each in verdicts]
    middle, half = _fit(xs, ys)
    leanings = [each.value * _sign(gap) for each, gap in zip(verdicts, gaps, strict=True)]
    return LengthEffect(
        verdicts=len(verdicts),
        correlation=_correlation(xs, ys),
        longer=leanings.count(1),
        shorter=leanings.count(-1),
        net_win=sum(each.value for each in verdicts) / len(verdicts),
        controlled=_net(middle),
        interval=Interval(_net(middle - half), _net(middle + half)),
    )


def _fit(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """The intercept of the regression, and half of its interval (sandwich variance)."""
    a = b = 0.0
    for _ in range(_STEPS):
        rates = [_logistic(a + b * x) for x in xs]
        (haa, hab, hbb), (ga, gb) = _curvature(xs, rates), _slope(xs, ys, rates, a, b)
        determinant = haa * hbb - hab * hab
        step_a, step_b = (hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant
        a, b = a + step_a, b + step_b
        if abs(step_a) + abs(step_b) < 1e-10:
            break
    rates = [_logistic(a + b * x) for x in xs]
    haa, hab, hbb = _curvature(xs, rates)
    determinant = haa * hbb - hab * hab
    # Of each pair's slope, what it moves the intercept by.
    moved = (
        ((hbb - hab * x) * (y - rate) / determinant) ** 2
        for x, y, rate in zip(xs, ys, rates, strict=True)
    )
    return a, NormalDist().inv_cdf(0.975) * math.sqrt(math.fsum(moved))


def _curvature(xs: Sequence[float], rates: Sequence[float]) -> tuple[float, float, float]:
    weights = [rate * (1 - rate) for rate in rates]
    linear = [weight * x for weight, x in zip(weights, xs, strict=True)]
    square = [each * x for each, x in zip(linear, xs, strict=True)]
    return math.fsum(weights) + _PENALTY, math.fsum(linear), math.fsum(square) + _PENALTY


def _slope(
    xs: Sequence[float], ys: Sequence[float], rates: Sequence[float], a: float, b: float
) -> tuple[float, float]:
    left = [y - rate for y, rate in zip(ys, rates, strict=True)]
    turned = math.fsum(each * x for each, x in zip(left, xs, strict=True))
    return math.fsum(left) - _PENALTY * a, turned - _PENALTY * b


def _correlation(xs: Sequence[float], ys: Sequence[float]) -> float:
    x, y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    shared = math.fsum((one - x) * (other - y) for one, other in zip(xs, ys, strict=True))
    spreads = math.fsum((one - x) ** 2 for one in xs) * math.fsum((one - y) ** 2 for one in ys)
    return shared / math.sqrt(spreads) if spreads else 0.0


def _logistic(value: float) -> float:
    return 0.5 * (1 + math.tanh(value / 2))


def _net(value: float) -> float:
    """(wins - losses) / verdicts for the logarithm of the odds."""
    return math.tanh(value / 2)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
