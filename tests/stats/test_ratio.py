"""Whether traffic is split as it was meant to be."""

from __future__ import annotations

import math
import random

import pytest

from reshore.stats.ratio import mismatched, ratio_evidence


def test_the_evidence_is_the_ratio_of_the_predictions_of_both():
    """The second method: the product, request by request, of Polya's urn over what was meant."""
    draw, shares = random.Random(1), (0.2, 0.5, 0.3)
    counts, log_ratio = [0, 0, 0], 0.0
    for _ in range(200):
        side = draw.choices(range(3), shares)[0]
        urn = (100 * shares[side] + counts[side]) / (100 + sum(counts))
        log_ratio += math.log(urn / shares[side])
        counts[side] += 1
    assert ratio_evidence(counts, shares) == pytest.approx(log_ratio)


def test_a_true_split_is_doubted_no_more_often_than_it_says():
    draw, runs, alpha, doubted = random.Random(2), 300, 0.1, 0
    for _ in range(runs):
        counts = [0, 0]
        for _ in range(1500):
            counts[draw.random() < 0.05] += 1
            if mismatched(counts, (0.95, 0.05), alpha=alpha):
                doubted += 1
                break
    assert doubted / runs <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / runs)


def test_a_split_that_is_off_is_found():
    assert not mismatched([5000, 5000], (0.5, 0.5))
    assert mismatched([5400, 4600], (0.5, 0.5))


@pytest.mark.parametrize("shares", [(0.5,), (0.5, 0.6), (1.0, 0.0)])
def test_what_are_no_shares_is_refused(shares):
    with pytest.raises(ValueError, match="no shares"):
        ratio_evidence([1, 1], shares)
