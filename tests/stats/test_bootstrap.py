"""Intervals by drawing clusters again."""

from __future__ import annotations

import random
from statistics import fmean, pvariance

import pytest

from reshore.stats.bootstrap import bootstrap, grouped
from reshore.stats.paired import paired_difference

# Efron & Tibshirani, An Introduction to the Bootstrap, table 14.1: the spatial test data, A.
SPATIAL = [
    *(48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6),
    *(0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26, 30, 41),
]


def test_bca_of_the_textbook_is_found_again():
    """Table 14.2: BCa (115.8, 259.6), percentile (100.8, 233.9) at level 0.90, of 2000 resamples.

    Resamples differ with the generator: the ends have a standard error of some 2 to 4.
    """
    alone = [[value] for value in SPATIAL]
    corrected = bootstrap(alone, pvariance, alpha=0.1, resamples=4000)
    assert corrected.low == pytest.approx(115.8, abs=8)
    assert corrected.high == pytest.approx(259.6, abs=12)
    plain = bootstrap(alone, pvariance, alpha=0.1, resamples=4000, method="percentile")
    assert plain.low == pytest.approx(100.8, abs=8)
    assert plain.high == pytest.approx(233.9, abs=8)


def test_of_a_mean_it_agrees_with_the_clustered_error():
    draw = random.Random(5)
    clusters = [[draw.gauss(0, 1)] * draw.randint(1, 5) for _ in range(200)]
    values = [value for cluster in clusters for value in cluster]
    names = [place for place, cluster in enumerate(clusters) for _ in cluster]
    formula = paired_difference(values, names).interval
    found = bootstrap(clusters, fmean, resamples=2000, method="percentile")
    assert found.low == pytest.approx(formula.low, abs=0.03)
    assert found.high == pytest.approx(formula.high, abs=0.03)


def test_the_same_seed_gives_the_same_interval():
    clusters = [[1.0], [2.0, 4.0], [0.5]]
    assert bootstrap(clusters, fmean, resamples=50) == bootstrap(clusters, fmean, resamples=50)


def test_values_that_are_all_alike_have_no_width():
    assert bootstrap([[2.0]] * 5, fmean, resamples=50).width == 0


def test_values_are_grouped_by_their_cluster_in_order():
    assert grouped([1, 2, 3, 4], "abab") == [[1, 3], [2, 4]]


def test_nothing_to_draw_from_is_refused():
    with pytest.raises(ValueError, match="nothing"):
        bootstrap([], fmean)
