"""Tests of a mean by betting: never wrong too often, however often one looks."""

from __future__ import annotations

import math
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.stats.wager import SHARES, Wager, bounds

SCORES = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=300)


def counted(values):
    return [(value, values.count(value)) for value in (-1.0, 0.0, 1.0)]


@given(SCORES, st.floats(-0.9, 0.9), st.sampled_from(["above", "below"]))
def test_the_capital_is_the_mean_over_bets_of_the_products_of_their_gains(values, limit, claim):
    wager = Wager(limit=limit, low=-1, high=1, claim=claim)
    for value in values:
        wager.update(value)
    worth = []
    for share in SHARES:
        bet = share / (limit + 1) if claim == "above" else -share / (1 - limit)
        worth.append(math.prod(1 + bet * (value - limit) for value in values))
    assert wager.capital == pytest.approx(sum(worth) / len(worth), rel=1e-6, abs=1e-12)


@given(SCORES, st.floats(-0.95, 0.95), st.sampled_from([0.001, 0.01, 0.05, 0.3]))
def test_bounds_say_of_every_limit_what_a_wager_says_of_one(values, limit, alpha):
    found = bounds(counted(values), -1, 1, alpha=alpha)
    above, below = (Wager(limit=limit, low=-1, high=1, claim=c) for c in ("above", "below"))
    for value in values:
        above.update(value)
        below.update(value)
    if abs(limit - found.low) > 1e-9:
        assert above.certain(alpha) == (found.low > limit)
    if abs(limit - found.high) > 1e-9:
        assert below.certain(alpha) == (found.high < limit)


def test_the_expected_capital_of_a_fair_game_is_one():
    """Exactly, over all sequences of a coin whose mean is the limit: what makes it a test."""
    steps, chance = 8, 0.3
    total = 0.0
    for sequence in range(2**steps):
        tosses = [sequence >> place & 1 for place in range(steps)]
        wager = Wager(limit=chance, low=0, high=1)
        for toss in tosses:
            wager.update(toss)
        heads = sum(tosses)
        total += wager.capital * chance**heads * (1 - chance) ** (steps - heads)
    assert total == pytest.approx(1)


@pytest.mark.parametrize(
    ("limit", "low", "rare"), [(-0.03, -1, 0.115), (0.05, 0, 0.05), (0.01, -1, 0.02)]
)
def test_at_its_limit_it_is_wrong_no_more_often_than_it_says(limit, low, rare):
    """2,000 values, looked at after each: alpha is for all looks together."""
    draw, alpha, wrong, runs = random.Random(11), 0.1, 0, 400
    losing = rare - limit if low else 0.0
    for _ in range(runs):
        wager = Wager(limit=limit, low=low, high=1)
        for _ in range(2000):
            drawn = draw.random()
            wager.update(1 if drawn < rare else low if drawn > 1 - losing else 0)
            if wager.certain(alpha):
                wrong += 1
                break
    assert wrong / runs <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / runs)


def test_bounds_hold_at_all_times_at_once():
    """Coverage of each bound while one looks at 40 moments of 1,500 pairs."""
    draw, alpha, runs = random.Random(12), 0.1, 200
    missed_low = missed_high = 0
    for _ in range(runs):
        counts = {-1.0: 0, 0.0: 0, 1.0: 0}
        low, high = -1.0, 1.0
        for pair in range(1, 1501):
            counts[draw.choices((-1.0, 0.0, 1.0), (0.1, 0.75, 0.15))[0]] += 1
            if pair % 37 == 0:
                found = bounds(counts.items(), -1, 1, alpha=alpha)
                low, high = max(low, found.low), min(high, found.high)
        missed_low += low > 0.05
        missed_high += high < 0.05
    allowed = alpha + 2 * math.sqrt(alpha * (1 - alpha) / runs)
    assert missed_low / runs <= allowed
    assert missed_high / runs <= allowed


def test_a_real_difference_is_found_when_it_was_forecast():
    shares = ((1.0, 0.12), (0.0, 0.80), (-1.0, 0.08))
    forecast = Wager(limit=-0.03, low=-1, high=1).to_go(0.05, shares)
    draw, needed = random.Random(13), []
    for _ in range(101):
        wager = Wager(limit=-0.03, low=-1, high=1)
        while not wager.certain(0.05):
            wager.update(draw.choices((1.0, 0.0, -1.0), (0.12, 0.80, 0.08))[0])
        needed.append(wager.values)
    assert 0.5 * forecast <= sorted(needed)[50] <= 1.1 * forecast


def test_what_goes_the_other_way_is_never_found():
    assert Wager(limit=0.0, low=-1, high=1).to_go(0.05, ((-1.0, 0.2), (0.0, 0.8))) == math.inf


def test_a_wager_is_the_same_after_it_was_written_and_read():
    wager = Wager(limit=0.05, low=0, high=1)
    for value in (0, 1, 0, 0, 1):
        wager.update(value)
    read = msgspec.json.decode(msgspec.json.encode(wager), type=Wager)
    assert read == wager
    read.update(1)
    wager.update(1)
    assert read.capital == wager.capital


def test_an_endless_row_of_wins_does_not_overflow():
    wager = Wager(limit=0.01, low=0, high=1)
    for _ in range(2000):
        wager.update(1)
    assert math.isfinite(wager.capital)
    assert wager.certain(1e-9)


def test_without_values_nothing_is_known():
    assert (bounds([], -1, 1, alpha=0.05).low, bounds([], -1, 1, alpha=0.05).high) == (-1, 1)


@pytest.mark.parametrize("limit", [-1.0, 1.0, 2.0])
def test_a_limit_outside_the_values_is_refused(limit):
    with pytest.raises(ValueError, match="not between"):
        Wager(limit=limit, low=-1, high=1)
