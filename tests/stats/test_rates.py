"""Wilson's interval and McNemar's exact test, against published values and exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.stats.rates import mcnemar, wilson


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
