"""A judge's verdicts, corrected by people's."""

from __future__ import annotations

import random

import pytest

from reshore.stats.corrected import LEAST_LABELS, Corrected, corrected
from reshore.stats.corrected import _student as student


def drawn(
    chance: random.Random, *, pairs: int, labels: int, right: float, bias: float
) -> Corrected:
    """People find -1, 0 or 1 with 30, 40 and 30 %; a judge says the same with probability `right`,
    otherwise 1 with probability `bias`, else anything."""
    both = []
    for _ in range(pairs):
        truth = chance.choices((-1.0, 0.0, 1.0), (3, 4, 3))[0]
        other = 1.0 if chance.random() < bias else chance.choice((-1.0, 0.0, 1.0))
        both.append((truth if chance.random() < right else other, truth))
    return corrected([guess for guess, _ in both[labels:]], both[:labels])


@pytest.mark.parametrize(("right", "bias"), [(0.9, 0.0), (0.6, 0.9), (0.0, 1.0), (0.0, 0.0)])
@pytest.mark.parametrize("labels", [30, 100])
def test_it_covers_what_people_say_however_bad_the_judge(
    right: float, bias: float, labels: int
) -> None:
    chance = random.Random(f"{right}{bias}{labels}")
    times = 400
    covered = sum(
        0.0 in drawn(chance, pairs=500, labels=labels, right=right, bias=bias).interval
        for _ in range(times)
    )
    # 95 % less three standard errors of 400 simulations.
    assert covered / times >= 0.95 - 3 * (0.95 * 0.05 / times) ** 0.5


def test_a_good_judge_makes_it_narrower_than_the_labels_alone() -> None:
    good = drawn(random.Random(1), pairs=2000, labels=100, right=0.9, bias=0.0)
    useless = drawn(random.Random(1), pairs=2000, labels=100, right=0.0, bias=0.0)
    assert good.interval.width < 0.6 * useless.interval.width
    assert good.weight > 0.7
    assert useless.weight < 0.3


def test_a_biased_judge_is_set_right() -> None:
    found = drawn(random.Random(2), pairs=5000, labels=200, right=0.6, bias=0.9)
    assert found.judged > 0.3
    assert 0.0 in found.interval
    assert found.interval.high < 0.2


def test_a_judge_that_always_agrees_needs_no_correction() -> None:
    values = [1.0, 0.0, -1.0, 1.0] * 10
    found = corrected(values * 50, [(value, value) for value in values])
    assert found.estimate == pytest.approx(0.25, abs=0.02)
    assert (found.pairs, found.labels) == (2040, 40)


def test_labels_of_all_pairs_are_their_own_mean() -> None:
    found = corrected([], [(0.0, 1.0), (1.0, -1.0)] * 20)
    assert (found.estimate, found.weight, found.judged) == (0.0, 0.0, 0.5)


def test_too_few_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=f"{LEAST_LABELS} are needed"):
        corrected([1.0], [(1.0, 1.0)] * (LEAST_LABELS - 1))


@pytest.mark.parametrize(("freedom", "published"), [(29, 2.0452), (60, 2.0003), (120, 1.9799)])
def test_students_quantiles_are_those_of_the_tables(freedom: int, published: float) -> None:
    assert student(0.975, freedom) == pytest.approx(published, rel=2e-4)
