"""What pairs say about a margin."""

from __future__ import annotations

import random

import pytest

from reshore.evals.compare.verdict import Pair, Verdict, verdict


def pairs(wins: int = 0, ties: int = 0, losses: int = 0, undecided: int = 0) -> list[Pair]:
    values = [1] * wins + [0] * ties + [-1] * losses + [None] * undecided
    return [Pair(value=value, conversation="") for value in values]


def judged(margin: float = 0.05, **counts: int) -> Verdict:
    return verdict(pairs(**counts), margin)


def test_many_ties_are_ready_and_many_losses_are_not() -> None:
    assert judged(ties=400, wins=5, losses=5).text == "ready (margin 0.05)"
    assert judged(ties=200, losses=100).word == "not ready"


def test_few_pairs_need_more_and_then_say_how_many() -> None:
    found = judged(ties=10)
    assert found.word == "open"
    assert found.more is not None
    assert found.text == f"needs about {round(found.more, -1)} more pairs (margin 0.05)"
    assert judged(ties=10 + 3 * found.more).word == "ready"


def test_the_forecast_shrinks_as_evidence_comes() -> None:
    needed = [judged(ties=ties, wins=ties // 20, losses=ties // 20).more for ties in (40, 120)]
    assert needed[0] is not None
    assert needed[1] is not None
    assert needed[0] > needed[1]


def test_nothing_at_all_is_open() -> None:
    found = judged()
    assert (found.word, found.net_win) == ("open", None)
    assert found.interval.low == -1
    assert found.interval.high == 1
    assert found.more


def test_what_nobody_could_decide_is_no_evidence_and_may_hide_any() -> None:
    found = judged(ties=400, wins=5, losses=5, undecided=100)
    assert found.text == "open: 100 pairs that no check could decide (margin 0.05)"
    assert judged(ties=4000, undecided=40).word == "ready"
    assert judged(losses=400, ties=100, undecided=30).word == "not ready"


def test_where_most_pairs_are_undecided_more_of_them_would_not_help() -> None:
    assert judged(losses=1, ties=1, undecided=62).text.startswith("open: 62 pairs")
    assert judged(ties=1, undecided=63).more is None


def test_a_few_undecided_pairs_take_more_of_all() -> None:
    without, some = judged(ties=60).more, judged(ties=60, undecided=1).more
    assert without is not None
    assert some is not None
    assert some > without
    assert judged(ties=60 + some, undecided=1).word == "ready"


def test_turns_of_one_conversation_count_once() -> None:
    one = [Pair(value=0, conversation="c") for _ in range(400)]
    assert verdict(one, 0.05).word == "open"
    assert verdict(one, 0.05).interval == judged(ties=1).interval


@pytest.mark.parametrize("wrong", ["ready", "not ready"])
def test_at_the_margin_itself_there_is_rarely_a_verdict_for_whoever_keeps_looking(
    wrong: str,
) -> None:
    draw = random.Random(5)
    failures = 0
    for _ in range(60):
        seen: list[Pair] = []
        for _ in range(12):
            for _ in range(25):
                point = draw.random()
                value = -1 if point < 0.15 else 1 if point > 0.9 else 0
                seen.append(Pair(value=value, conversation=""))
            if verdict(seen, 0.05).word == wrong:
                failures += 1
                break
    assert failures <= 5  # 1.5 are allowed on average; more than 5 has a chance of 1 %
