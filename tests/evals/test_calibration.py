"""Thresholds keep their promises, as often as is said."""

from __future__ import annotations

import random

import pytest
from msgspec import structs

from reshore.errors import LearnError
from reshore.evals.calibration import Goal, calibrate, parse_goal
from reshore.evals.pairs import Pair


@pytest.mark.parametrize(
    ("text", "kind", "bound"),
    [
        ("quality>=98%", "quality", 0.98),
        (" cloud <= 0.2 ", "cloud", 0.2),
        ("cloud<=7%", "cloud", 0.07),
    ],
)
def test_goals_are_read(text: str, kind: str, bound: float) -> None:
    goal = parse_goal(text)
    assert (goal.kind, goal.bound) == (kind, pytest.approx(bound))
    assert parse_goal(str(goal)) == goal


@pytest.mark.parametrize("text", ["", "quality<=98%", "cloud>=20%", "cloud<=120%", "quality>=.%"])
def test_other_goals_are_refused(text: str) -> None:
    with pytest.raises(LearnError, match=r"write quality>=98% or cloud<=20%"):
        parse_goal(text)


def test_a_confidence_is_a_probability() -> None:
    with pytest.raises(LearnError, match="confidence"):
        parse_goal("cloud<=20%", confidence=1.0)


def drawn(source: random.Random, count: int) -> tuple[list[float], list[Pair]]:
    """A score, and a strong side that is the better the higher it is."""
    scores = [source.random() for _ in range(count)]
    pairs = [
        Pair(prompt="", weak=source.random() < 0.9 - 0.6 * score, strong=source.random() < 0.9)
        for score in scores
    ]
    return scores, pairs


def expected_quality(threshold: float) -> float:
    """Of the mix, in relation to the strong side: the mean of 0.9 - 0.6 s below the threshold."""
    kept = min(threshold, 1.0)
    return (0.9 * kept - 0.3 * kept**2 + 0.9 * (1 - kept)) / 0.9


@pytest.mark.parametrize("text", ["quality>=95%", "cloud<=30%"])
def test_the_promise_is_kept_as_often_as_is_said(text: str) -> None:
    goal = parse_goal(text, confidence=0.8)
    source = random.Random(7)
    kept, runs, shares = 0, 100, []
    for _ in range(runs):
        found = calibrate(goal, *drawn(source, 400))
        cloud = max(0.0, 1 - found.threshold)
        shares.append(cloud)
        good = expected_quality(found.threshold) >= 0.95 if goal.kind == "quality" else cloud <= 0.3
        kept += good
    assert kept / runs >= 0.8
    # It is of use, too: not everything goes where it is safest.
    assert 0.1 < sum(shares) / runs < 0.95


def test_more_pairs_allow_a_bolder_threshold() -> None:
    goal = parse_goal("quality>=95%")
    few, many = (calibrate(goal, *drawn(random.Random(1), n)) for n in (300, 6000))
    assert few.threshold < many.threshold
    assert many.pairs == 6000
    assert many.quality > 0.95
    assert many.cloud == pytest.approx(1 - many.threshold, abs=0.03)


def test_too_few_pairs_promise_nothing() -> None:
    with pytest.raises(LearnError, match=r"20 pairs are too few to promise quality>=98%"):
        calibrate(Goal(kind="quality", bound=0.98), *drawn(random.Random(1), 20))


def test_a_weak_side_that_is_as_good_keeps_everything() -> None:
    pairs = [Pair(prompt="", weak=1.0, strong=1.0)] * 500
    found = calibrate(parse_goal("quality>=90%"), [0.5] * 500, pairs)
    assert (found.cloud, found.quality) == (0.0, 1.0)


def test_a_strong_side_that_is_never_right_is_no_division_by_zero() -> None:
    pairs = [Pair(prompt="", weak=1.0, strong=0.0)] * 100
    assert calibrate(parse_goal("cloud<=50%"), [0.5] * 100, pairs).quality == 1.0


def talked(source: random.Random, conversations: int, turns: int) -> tuple[list[float], list[Pair]]:
    """One in five conversations is beyond the weak side; all turns of one are alike."""
    scores: list[float] = []
    pairs: list[Pair] = []
    for at in range(conversations):
        score, weak = source.random(), float(source.random() >= 0.2)
        scores += [score] * turns
        pairs += [Pair(prompt="", weak=weak, strong=1.0, key=f"c{at}")] * turns
    return scores, pairs


@pytest.mark.parametrize(("conversations", "turns"), [(30, 10), (60, 5), (120, 3)])
def test_the_promise_is_kept_for_conversations_of_many_turns(
    conversations: int, turns: int
) -> None:
    goal, runs, broken = parse_goal("quality>=90%"), 60, 0
    for seed in range(runs):
        try:
            found = calibrate(goal, *talked(random.Random(seed), conversations, turns))
        except LearnError:
            continue
        broken += 1 - 0.2 * min(found.threshold, 1.0) < 0.9
    assert broken / runs <= 0.05


def test_a_conversation_says_as_much_as_one_of_its_turns() -> None:
    goal = parse_goal("quality>=90%")
    one, many = (calibrate(goal, *talked(random.Random(3), 400, turns)) for turns in (1, 5))
    assert one.threshold == many.threshold
    assert (one.cloud, one.quality) == pytest.approx((many.cloud, many.quality))
    assert (one.pairs, one.conversations) == (400, 400)
    assert (many.pairs, many.conversations) == (2000, 400)


def test_a_long_conversation_counts_no_more_than_a_short_one() -> None:
    pairs = [Pair(prompt="", weak=1.0, strong=1.0)] * 200
    pairs += [Pair(prompt="", weak=0.0, strong=1.0, key="long")] * 200
    found = calibrate(parse_goal("quality>=90%"), [0.5] * 400, pairs)
    assert (found.cloud, found.quality) == (0.0, pytest.approx(200 / 201))


def test_too_few_conversations_are_told() -> None:
    with pytest.raises(LearnError, match=r"^200 pairs of 20 conversations are too few to promise"):
        calibrate(parse_goal("quality>=98%"), *talked(random.Random(1), 20, 10))


def test_pairs_count_for_the_requests_that_they_stand_for() -> None:
    """A comparison, where the weak side does well, beside a shadow of 2 %, where it does not."""
    compared = [Pair(prompt="", weak=1.0, strong=1.0)] * 900
    copied = [Pair(prompt="", weak=float(at % 2), strong=1.0, weight=50.0) for at in range(300)]
    goal, scores = parse_goal("quality>=75%"), [0.5] * 1200
    found = calibrate(goal, scores, compared + copied)
    assert found.cloud == 1.0
    alike = [structs.replace(pair, weight=1.0) for pair in copied]
    assert calibrate(goal, scores, compared + alike).cloud == 0.0


def test_weights_that_are_all_the_same_change_nothing() -> None:
    goal, (scores, pairs) = parse_goal("quality>=95%"), drawn(random.Random(5), 600)
    heavy = [structs.replace(pair, weight=10.0) for pair in pairs]
    assert calibrate(goal, scores, heavy) == calibrate(goal, scores, pairs)
