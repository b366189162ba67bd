"""Estimates are right on the mean, and their intervals as often as is said."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reshore.errors import LearnError
from reshore.evals.gathering import Example
from reshore.evals.off_policy import Difference, Estimate, Evaluation, evaluate
from reshore.evals.pairs import Pair
from reshore.routing.content import Content
from reshore.stats.interval import Interval


def example(weak: float, strong: float, key: str, propensity: float = 1.0) -> Example:
    pair = Pair(prompt="", weak=weak, strong=strong, key=key)
    return Example(pair=pair, content=Content(), arrived_s=0.0, propensity=propensity)


def worth(
    examples: Sequence[Example], chosen: Sequence[bool], seed: int = 0
) -> tuple[Estimate, Estimate, Estimate]:
    [found] = evaluate(examples, {"it": chosen}, seed=seed).routers
    return found.quality, found.kept, found.cloud


# A population of two kinds of requests. Hard ones, of which the strong side alone knows what to do,
# become pairs half as often as easy ones, and a router sends them to the cloud.
HARD = 0.3
QUALITY = 0.7 * 0.9 + 0.3 * 0.8
PROPENSITY = {True: 0.2, False: 0.4}


def population(source: random.Random, conversations: int) -> tuple[list[Example], list[bool]]:
    """What became pairs of conversations of one to three requests, and what is chosen for them."""
    found, chosen = [], []
    for key in range(conversations):
        hard = source.random() < HARD
        for _ in range(source.choice((1, 2, 3))):
            if source.random() < PROPENSITY[hard]:
                weak = source.random() < (0.3 if hard else 0.9)
                strong = source.random() < (0.8 if hard else 0.95)
                found.append(example(weak, strong, str(key), PROPENSITY[hard]))
                chosen.append(hard)
    return found, chosen


def test_estimates_are_right_on_the_mean_and_intervals_cover() -> None:
    source = random.Random(5)
    runs, covered, shares_covered = 200, 0, 0
    values, unweighted = [], []
    for seed in range(runs):
        pairs, chosen = population(source, 700)
        quality, _, cloud = worth(pairs, chosen, seed)
        values.append(quality.value)
        covered += QUALITY in quality.interval
        shares_covered += HARD in cloud.interval
        unweighted.append(
            sum(
                pair.pair.strong if cloud else pair.pair.weak
                for pair, cloud in zip(pairs, chosen, strict=True)
            )
            / len(pairs)
        )
    error = (sum((value - QUALITY) ** 2 for value in values) / runs) ** 0.5
    assert sum(values) / runs == pytest.approx(QUALITY, abs=4 * error / runs**0.5)
    assert abs(sum(unweighted) / runs - QUALITY) > 4 * error / runs**0.5
    # 95 %, within what 200 runs can tell.
    assert covered / runs > 0.91
    assert shares_covered / runs > 0.91


def test_conversations_count_as_what_they_are() -> None:
    """A hundred turns of one conversation say no more than one that went on for long."""
    source = random.Random(1)
    alone = [example(source.random() < 0.5, 1.0, str(at)) for at in range(400)]
    together = [example(float(at % 2), 1.0, str(at)) for at in range(20) for _ in range(20)]
    local = [False] * 400
    assert worth(together, local)[0].interval.width > 3 * worth(alone, local)[0].interval.width


PAIRS = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 1), st.booleans())


@settings(max_examples=30, deadline=None)
@given(st.lists(PAIRS, min_size=20, max_size=60))
def test_estimates_stay_within_what_they_are_the_mean_of(
    drawn: list[tuple[float, float, float, bool]],
) -> None:
    pairs = [example(weak, strong, str(at), p) for at, (weak, strong, p, _) in enumerate(drawn)]
    quality, _, cloud = worth(pairs, [each[3] for each in drawn])
    for estimate in (quality, cloud):
        low, high = estimate.interval.low, estimate.interval.high
        assert -1e-9 <= low <= high <= 1 + 1e-9
        assert -1e-9 <= estimate.value <= 1 + 1e-9


def test_sides_are_worth_what_their_answers_are() -> None:
    pairs = [example(at % 2, at % 4 > 0, str(at)) for at in range(100)]
    found = evaluate(pairs, {"local": [False] * 100, "cloud": [True] * 100})
    local, cloud = found.routers
    assert (local.quality.value, local.kept.value, local.cloud.value) == (
        0.5,
        pytest.approx(2 / 3),
        0,
    )
    assert (cloud.quality.value, cloud.kept.value, cloud.cloud.value) == (0.75, 1, 1)
    assert cloud.kept.interval == Interval(1.0, 1.0)
    assert (found.pairs, found.conversations, found.effective) == (100, 100, 100)


def test_a_cloud_that_is_never_right_is_no_division_by_zero() -> None:
    quality, kept, _ = worth([example(1.0, 0.0, str(at)) for at in range(30)], [True] * 30)
    assert (quality.value, kept.value) == (0.0, 1.0)


def test_rare_pairs_that_weigh_much_are_few() -> None:
    pairs = [example(1.0, 1.0, str(at), 0.01 if at == 0 else 1.0) for at in range(100)]
    assert evaluate(pairs, {}).effective == pytest.approx(199**2 / (100**2 + 99))


def test_too_few_conversations_are_told() -> None:
    with pytest.raises(LearnError, match=r"1 conversations are too few .* 20 are the least"):
        evaluate([example(1.0, 1.0, "one")] * 100, {})


# Two routers


def compared(*gains: tuple[float, float, bool, bool]) -> Difference:
    """Of a new and an old router, on many pairs like these (weak, strong, new, old)."""
    drawn = [each for each in gains for _ in range(100)]
    pairs = [example(weak, strong, str(at)) for at, (weak, strong, _, _) in enumerate(drawn)]
    choices = {"new": [each[2] for each in drawn], "old": [each[3] for each in drawn]}
    found: Evaluation = evaluate(pairs, choices, compare=("new", "old"))
    assert found.difference is not None
    return found.difference


def test_the_same_choices_are_no_difference() -> None:
    found = compared((0.0, 1.0, True, True), (1.0, 1.0, False, False))
    assert found.quality == found.cloud == Estimate(0.0, Interval(0.0, 0.0))
    assert found.worse == ""


@pytest.mark.parametrize(
    ("gains", "worse"),
    [
        ([(0.0, 1.0, False, True), (1.0, 1.0, True, False)], "answers are worse"),
        ([(1.0, 1.0, True, False), (1.0, 1.0, False, False)], "more requests go to the cloud"),
        # Cheaper and worse, better and dearer: that is what a threshold is for.
        ([(0.0, 1.0, False, True), (1.0, 1.0, False, False)], ""),
        ([(0.0, 1.0, True, False), (1.0, 1.0, False, False)], ""),
    ],
)
def test_a_router_is_worse_where_nothing_is_gained(
    gains: list[tuple[float, float, bool, bool]], worse: str
) -> None:
    found = compared(*gains).worse
    assert worse in found
    assert bool(worse) == bool(found)
