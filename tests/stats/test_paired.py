"""Paired differences with clustered standard errors."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from reshore.stats.paired import paired_difference


def test_without_clusters_the_error_is_that_of_a_mean():
    values = [1, 0, 0, -1, 1, 1, 0, -1, 0, 1]
    found = paired_difference(values)
    assert found.mean == pytest.approx(0.2)
    assert found.error == pytest.approx(statistics.pstdev(values) / math.sqrt(10))
    assert (found.pairs, found.clusters) == (10, 10)


def test_the_clustered_error_is_the_double_sum_over_pairs_of_a_cluster():
    """The second method: Miller's formula as it is printed, with i, j over one cluster."""
    draw = random.Random(1)
    clusters = [draw.randrange(12) for _ in range(80)]
    values = [draw.choice((-1, 0, 1)) for _ in clusters]
    mean = sum(values) / 80
    double = sum(
        (values[i] - mean) * (values[j] - mean)
        for i in range(80)
        for j in range(80)
        if clusters[i] == clusters[j]
    )
    assert paired_difference(values, clusters).error == pytest.approx(math.sqrt(double) / 80)


def test_copies_of_a_pair_in_one_cluster_add_no_confidence():
    once = paired_difference([1, 0, -1, 1, 0], "abcde")
    thrice = paired_difference([1, 0, -1, 1, 0] * 3, "abcde" * 3)
    assert thrice.error == pytest.approx(once.error)
    assert thrice.clusters == 5


def test_the_interval_covers_the_mean_as_often_as_it_says():
    draw, covered = random.Random(3), 0
    for _ in range(400):
        values, clusters = [], []
        for cluster in range(60):
            ease = draw.gauss(0, 1)
            for _ in range(draw.randint(1, 6)):
                values.append(ease + draw.gauss(0.1, 1))
                clusters.append(cluster)
        covered += 0.1 in paired_difference(values, clusters).interval
    assert covered / 400 >= 0.92  # 0.95 but for three standard errors of the simulation


@pytest.mark.parametrize(("values", "clusters"), [([], None), ([1, 0], "a")])
def test_no_pairs_and_missing_clusters_are_refused(values, clusters):
    with pytest.raises(ValueError, match=r"no pairs|longer"):
        paired_difference(values, clusters)
