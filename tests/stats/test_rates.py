"""Wilson's interval and McNemar's exact test, against published values and exact arithmetic."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.stats.rates import effective_size, mcnemar, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(successes, trials, low, high):
    found = wilson(successes, trials)
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_wilsons_bounds_are_where_the_score_test_refuses(trials, part):
    """The second method: the bounds solve |rate - p| = z * sqrt(p (1 - p) / n)."""
    successes = round(part * trials)
    found, rate = wilson(successes, trials), successes / trials
    for bound in (found.low, found.high):
        assert 0 <= bound <= 1
        distance = 1.959963984540054 * math.sqrt(bound * (1 - bound) / trials)
        assert abs(rate - bound) == pytest.approx(distance, abs=1e-7)
    assert rate in found


def test_without_trials_a_rate_may_be_anything():
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0, 1)


def test_values_of_their_own_are_worth_their_number():
    assert effective_size([True, False, True], ["a", "b", "c"]) == 3
    assert effective_size([], []) == 0


def test_values_that_are_alike_are_worth_their_clusters():
    clusters = [n // 10 for n in range(200)]
    alike = [cluster % 2 == 0 for cluster in clusters]
    assert effective_size(alike, clusters) == pytest.approx(20, rel=0.06)
    assert effective_size([True] * 200, clusters) == 20


def test_values_that_are_independent_are_worth_their_number_in_any_clusters():
    draw = random.Random(1)
    values = [draw.random() < 0.5 for _ in range(2000)]
    assert effective_size(values, [n // 10 for n in range(2000)]) == pytest.approx(2000, rel=0.2)


def test_of_a_few_clusters_each_is_worth_one_value():
    assert effective_size([True, False] * 10, [n // 10 for n in range(20)]) == 2


@pytest.mark.parametrize("rate", [0.7, 0.97])
@pytest.mark.parametrize("clusters", [10, 40])
def test_the_interval_of_clusters_holds_the_rate_as_often_as_it_says(rate, clusters):
    draw = random.Random(2)
    held = 0
    for _ in range(300):
        values = [good for _ in range(clusters) for good in [draw.random() < rate] * 10]
        worth = effective_size(values, [n // 10 for n in range(clusters * 10)])
        held += rate in wilson(worth * sum(values) / len(values), worth)
    assert (
        held >= 264
    )  # 0.92 or more are expected, with a standard error of 5; without clusters 100


def test_mcnemars_exact_p_value_is_the_published_one():
    """Agresti, Categorical Data Analysis, 10.1.4: approval ratings, 86 against 150 who changed."""
    assert mcnemar(86, 150) == pytest.approx(3.7e-05, rel=0.02)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_the_two_sided_binomial_test(first, second):
    fewer, total = min(first, second), first + second
    tail = sum(math.comb(total, k) for k in range(fewer + 1))
    exact = min(Fraction(1), Fraction(2 * tail, 2**total))
    assert mcnemar(first, second) == pytest.approx(float(exact), rel=1e-9)


def test_models_that_never_differ_are_not_told_apart():
    assert mcnemar(0, 0) == 1


def test_thousands_of_pairs_do_not_overflow():
    assert 0 < mcnemar(5_000, 5_400) < 1e-4
