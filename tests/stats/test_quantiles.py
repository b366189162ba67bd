"""The confidence sequence of a quantile."""

from __future__ import annotations

import math
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.stats.quantiles import QuantileSequence, coin_evidence


def fed(values, share=0.95):
    sequence = QuantileSequence(share=share)
    for value in values:
        sequence.update(value)
    return sequence


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_the_estimate_is_the_quantile_within_a_bin(values, share):
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert fed(values, share).estimate == pytest.approx(exact, rel=0.011)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_it_covers_the_quantile_at_all_moments_at_once(share):
    draw, alpha, runs, missed = random.Random(8), 0.1, 150, 0
    truth = math.exp(0.8 * {0.5: 0.0, 0.95: 1.6448536}[share])
    for _ in range(runs):
        sequence = QuantileSequence(share=share)
        for number in range(1, 1201):
            sequence.update(draw.lognormvariate(0, 0.8))
            if number % 10 == 0 and truth not in sequence.interval(alpha):
                missed += 1
                break
    assert missed / runs <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / runs)


def test_a_fair_coin_s_evidence_is_one_in_the_mean():
    """Exactly, over all outcomes: what makes it a test of the quantile."""
    tosses, share = 30, 0.9
    mean = math.fsum(
        math.comb(tosses, heads)
        * share**heads
        * (1 - share) ** (tosses - heads)
        * math.exp(coin_evidence(heads, tosses, share))
        for heads in range(tosses + 1)
    )
    assert mean == pytest.approx(1)


def test_it_narrows_to_the_width_of_its_bins():
    draw = random.Random(9)
    found = fed(draw.lognormvariate(5, 0.5) for _ in range(50_000)).interval(0.05)
    assert found.high / found.low < 1.1
    assert math.exp(5 + 0.5 * 1.6448536) in found


def test_few_values_have_no_upper_bound_and_say_so():
    draw = random.Random(10)
    values = [draw.lognormvariate(0, 1) for _ in range(500)]
    least = next(n for n in range(1, 501) if fed(values[:n]).interval(0.05).high < math.inf)
    assert 60 < least < 200


def test_values_that_are_all_alike_are_within_their_bin():
    found = fed([100.0] * 500, 0.5).interval(0.05)
    assert 100 / 1.02 <= found.low <= 100 <= found.high <= 102


def test_it_goes_on_after_it_was_written_and_read():
    sequence = fed([0.3, 12.0, 500.0])
    assert msgspec.json.decode(msgspec.json.encode(sequence), type=QuantileSequence) == sequence


def test_without_values_nothing_is_known():
    empty = QuantileSequence(share=0.5)
    assert empty.estimate is None
    assert (empty.interval(0.1).low, empty.interval(0.1).high) == (0, math.inf)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_is_no_time_is_refused(value):
    with pytest.raises(ValueError, match="measured"):
        fed([value])


def test_nothing_at_all_is_a_very_short_time():
    assert fed([0.0]).estimate == pytest.approx(1e-9, rel=0.02)
