"""The confidence sequence of a mean in [0, 1]."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from reshore.stats.sequence import MeanSequence


def fed(values, **options):
    sequence = MeanSequence(**options)
    for value in values:
        sequence.update(value)
    return sequence


def hedged_capital(values, candidate, alpha):
    """The second method: the paper's formulas for one candidate, from all values at once."""
    up = down = 1.0
    for t in range(1, len(values) + 1):
        means = [(0.5 + sum(values[:i])) / (i + 1) for i in range(1, t)]
        squares = sum((x - m) ** 2 for x, m in zip(values[: t - 1], means, strict=True))
        variance = (0.25 + squares) / t
        bet = math.sqrt(2 * math.log(2 / alpha) / (variance * t * math.log(t + 1)))
        up *= 1 + min(bet, 0.5 / candidate) * (values[t - 1] - candidate)
        down *= 1 - min(bet, 0.5 / (1 - candidate)) * (values[t - 1] - candidate)
    return max(up, down) / 2


def test_candidates_are_in_exactly_while_the_paper_says_so():
    draw = random.Random(2)
    values = [draw.betavariate(2, 5) for _ in range(120)]
    sequence = fed(values, grid=50, alpha=0.1)
    for candidate in range(1, 50):
        out = any(hedged_capital(values[:t], candidate / 50, 0.1) >= 1 / 0.1 for t in range(1, 121))
        assert out == (not sequence.first <= candidate < sequence.first + len(sequence.up))


def test_it_covers_the_mean_at_all_moments_at_once():
    draw, alpha, runs, missed = random.Random(4), 0.1, 150, 0
    for _ in range(runs):
        sequence = MeanSequence(alpha=alpha, grid=100)
        for _ in range(500):
            sequence.update(float(draw.random() < 0.7))
            if 0.7 not in sequence.interval:
                missed += 1
                break
    assert missed / runs <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / runs)


def test_it_narrows_as_the_square_root_and_faster_without_variance():
    draw = random.Random(6)
    noisy = fed((float(draw.random() < 0.5) for _ in range(2000)), grid=500)
    quiet = fed((draw.uniform(0.48, 0.52) for _ in range(2000)), grid=500)
    assert 0.04 < noisy.interval.width < 0.16
    assert quiet.interval.width < 0.02
    assert 0.5 in noisy.interval
    assert quiet.mean == pytest.approx(0.5, abs=0.01)


def test_it_goes_on_after_it_was_written_and_read():
    before = fed([0.2, 0.9, 0.4], grid=40)
    read = msgspec.json.decode(msgspec.json.encode(before), type=MeanSequence)
    for sequence in (before, read):
        sequence.update(0.7)
    assert read == before


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_values_at_an_end_leave_the_candidates_near_it(value):
    sequence = fed([value] * 300, grid=100)
    assert value in sequence.interval
    assert sequence.interval.width < 0.1


def test_what_surprises_most_can_still_be_written():
    """All zeros leave the candidate 0 alone; a one then refutes even that."""
    sequence = fed([0.0] * 5000 + [1.0], grid=10)
    read = msgspec.json.decode(msgspec.json.encode(sequence), type=MeanSequence)
    assert read == sequence


def test_without_values_it_is_everything():
    assert (MeanSequence().interval.low, MeanSequence().interval.high) == (0, 1)
    assert MeanSequence().mean == 0.5


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_values_outside_are_refused(value):
    with pytest.raises(ValueError, match="not between"):
        MeanSequence().update(value)
