"""Where a quantile of a fixed sample lies."""

from __future__ import annotations

import random

import pytest

from reshore.stats.order import quantile_interval


def test_ranks_of_the_median_are_those_of_the_tables() -> None:
    """Conover, Practical Nonparametric Statistics: the 6th and the 15th of 20 (level 0.959)."""
    assert quantile_interval(range(1, 21), 0.5) == (6, 15)


@pytest.mark.parametrize(("count", "has_high"), [(71, False), (72, True)])
def test_a_high_quantile_has_no_upper_bound_for_lack_of_values(count: int, has_high: bool) -> None:
    low, high = quantile_interval(range(count), 0.95)
    assert (high is not None) == has_high
    assert low is not None


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_few_values_bound_no_median(count: int) -> None:
    assert quantile_interval(range(count), 0.5) == (None, None)


@pytest.mark.parametrize(("share", "truth"), [(0.5, 0.6931), (0.95, 2.9957)])
def test_the_interval_holds_the_quantile_as_often_as_it_says(share: float, truth: float) -> None:
    draw = random.Random(3)
    held = 0
    for _ in range(1000):
        values = sorted(draw.expovariate(1.0) for _ in range(120))
        low, high = quantile_interval(values, share)
        assert low is not None
        assert high is not None
        held += low <= truth <= high
    assert held >= 930  # 950 or more are expected, with a standard error of 7


def test_values_that_are_worth_fewer_have_the_ranks_of_so_many() -> None:
    ten_each = [n for n in range(1, 21) for _ in range(10)]
    assert quantile_interval(ten_each, 0.5, worth=20) == (6, 15)
    assert quantile_interval(ten_each, 0.5, worth=200) == quantile_interval(ten_each, 0.5)
    assert quantile_interval(ten_each, 0.95, worth=71.9)[1] is None
