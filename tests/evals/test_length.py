"""How far verdicts went by length."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.evals.length import LEAST_VERDICTS, Sized, length_effect


def sized(value: int, gap: int) -> Sized:
    return Sized(value=value, first=1000, second=1000 + gap)


def verdicts(seed: int, count: int, *, better: float, by_length: float) -> list[Sized]:
    """Of a second model whose answers are 300 characters longer, and a judge that goes by quality
    (`better`: log odds) and by length."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        gap = round(chance.gauss(300, 400))
        odds = better + by_length * math.tanh(gap / 400)
        found.append(sized(1 if chance.random() < 1 / (1 + math.exp(-odds)) else -1, gap))
    return found


def test_a_judge_that_goes_by_length_alone_is_seen_through() -> None:
    found = length_effect(verdicts(1, 2000, better=0.0, by_length=3.0))
    assert found is not None
    assert found.net_win > 0.3
    assert found.correlation > 0.4
    assert found.longer > 3 * found.shorter
    assert 0 in found.interval
    assert abs(found.controlled) < 0.12


def test_a_judge_that_does_not_is_left_as_it_is() -> None:
    found = length_effect(verdicts(2, 2000, better=0.8, by_length=0.0))
    assert found is not None
    assert abs(found.correlation) < 0.1
    assert math.tanh(0.4) in found.interval
    assert found.controlled == pytest.approx(found.net_win, abs=0.05)


def test_the_interval_covers_what_is_true() -> None:
    truth, times = math.tanh(0.2), 200
    found = [length_effect(verdicts(seed, 300, better=0.4, by_length=1.0)) for seed in range(times)]
    covered = sum(each is not None and truth in each.interval for each in found)
    assert covered / times >= 0.95 - 3 * (0.95 * 0.05 / times) ** 0.5


def test_length_that_parts_the_verdicts_perfectly_leaves_numbers() -> None:
    found = length_effect([sized(1, 500), sized(-1, -500)] * 20)
    assert found is not None
    assert (found.longer, found.shorter, found.correlation) == (40, 0, pytest.approx(1))
    assert -1 <= found.interval.low <= 0 <= found.interval.high <= 1


def test_a_few_verdicts_tell_nothing() -> None:
    assert length_effect([sized(1, 5)] * (LEAST_VERDICTS - 1)) is None


@given(
    st.lists(
        st.builds(sized, st.sampled_from([-1, 0, 1]), st.integers(-1000, 10**7)),
        min_size=20,
        max_size=40,
    )
)
def test_any_verdicts_give_numbers_within_bounds(given_verdicts: list[Sized]) -> None:
    found = length_effect(given_verdicts)
    assert found is not None
    assert -1.000001 <= found.correlation <= 1.000001
    assert -1 <= found.interval.low <= found.controlled <= found.interval.high <= 1
