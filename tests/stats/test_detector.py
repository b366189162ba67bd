"""An alarm soon after a mean has fallen, and few before."""

from __future__ import annotations

import math
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.stats.detector import Detector
from reshore.stats.wager import SHARES

SCORES = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=60)
LEVEL = -0.05


def detector(limit: float = LEVEL, run_length: float = 200) -> Detector:
    return Detector(limit=limit, low=-1, high=1, run_length=run_length)


def scores(draw: random.Random, net_win: float, discordance: float = 0.3) -> float:
    """A score whose mean is `net_win`; so many pairs differ."""
    at = draw.random()
    losses = (discordance - net_win) / 2
    return -1.0 if at < losses else 1.0 if at < discordance else 0.0


def until_alarm(seed: int, net_win: float, *, run_length: float, most: int, good: int = 0) -> int:
    """Values until the alarm, at most so many; `good` ones with a mean of 0 go before."""
    draw, watch = random.Random(seed), detector(run_length=run_length)
    for _ in range(good):
        watch.update(scores(draw, 0.0))
    for count in range(1, most + 1):
        watch.update(scores(draw, net_win))
        if watch.alarmed:
            return count
    return most


@given(SCORES, st.floats(-0.9, 0.9))
def test_the_evidence_is_what_bets_have_become_that_began_at_any_moment(values, limit) -> None:
    watch = detector(limit)
    for value in values:
        watch.update(value)
    gains = [(limit - value) / (1 - limit) for value in values]
    worth = [
        math.prod(1 + share * gain for gain in gains[begin:])
        for begin in range(len(values))
        for share in SHARES
    ]
    assert watch.evidence == pytest.approx(sum(worth) / len(SHARES), rel=1e-6, abs=1e-12)


def test_the_expected_evidence_is_the_number_of_values_while_nothing_has_changed() -> None:
    """Exactly, over all sequences of a coin whose mean is the limit: what makes it a detector."""
    steps, chance = 8, 0.3
    total = 0.0
    for sequence in range(2**steps):
        tosses = [sequence >> place & 1 for place in range(steps)]
        watch = Detector(limit=chance, low=0, high=1, run_length=100)
        for toss in tosses:
            watch.update(toss)
        heads = sum(tosses)
        total += watch.evidence * chance**heads * (1 - chance) ** (steps - heads)
    assert total == pytest.approx(steps)


def test_false_alarms_are_as_rare_as_was_said() -> None:
    """At the level itself, which is the worst case. Runs are cut, which makes the mean smaller."""
    runs = [until_alarm(seed, LEVEL, run_length=200, most=1500) for seed in range(150)]
    assert sum(runs) / len(runs) >= 200


def test_a_fall_is_found_however_long_all_was_well() -> None:
    delays = [
        until_alarm(seed, -0.3, run_length=10_000, most=2000, good=good)
        for seed in range(20)
        for good in (0, 1000)
    ]
    assert max(delays) < 600
    assert sum(delays) / len(delays) < 200


def test_it_is_written_and_read_at_any_moment() -> None:
    watch, draw = detector(), random.Random(1)
    for _ in range(40):
        watch.update(scores(draw, -0.2))
        watch = msgspec.json.decode(msgspec.json.encode(watch), type=Detector)
    again = detector()
    draw = random.Random(1)
    for _ in range(40):
        again.update(scores(draw, -0.2))
    assert watch == again


def test_evidence_never_overflows() -> None:
    watch = detector()
    for _ in range(20_000):
        watch.update(-1.0)
    assert watch.alarmed
    assert math.isfinite(watch.evidence)


@pytest.mark.parametrize("limit", [-1.0, 1.0, 3.0, math.nan])
def test_a_limit_that_nothing_can_fall_below_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="not between"):
        detector(limit)


def test_sums_of_another_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="2 sums"):
        Detector(limit=0, low=-1, high=1, run_length=9, sums=[1.0, 2.0])
