"""Answers become a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from reshore.errors import CompareError
from reshore.evals.compare.answers import Answer
from reshore.evals.compare.prompts import Prompt
from reshore.evals.compare.report import ALL, Estimate, Report, read_report
from reshore.evals.compare.summary import About, summarise
from reshore.evals.scoring import Compared
from reshore.stats.rates import mcnemar, wilson
from reshore.types import Usage
from tests.evals.compare.asked import answer, prompt

OLD, NEW = "cloud:u/old", "local:new"


def asked(count: int, **more: Any) -> list[Prompt]:
    return [prompt(f"What is {n}?", id=n, reference=str(n), **more) for n in range(count)]


def made(prompts: list[Prompt], new: dict[str, Answer] | None = None, **more: Any) -> Report:
    """Both are right, but for what is said of the new one."""
    answers = {}
    for place, each in enumerate(prompts):
        usage = Usage(prompt_tokens=5, completion_tokens=10 + place % 3)
        fields: dict[str, Any] = {"usage": usage, "ttft_ms": 100.0 + place, "total_ms": 500.0}
        answers[each.id, OLD] = answer(each.id, target=OLD, nano_usd=2_000_000, **fields)
        answers[each.id, NEW] = answer(each.id, target=NEW, nano_usd=0, **fields)
    answers |= {(name, NEW): changed for name, changed in (new or {}).items()}
    return summarise(prompts, answers, (OLD, NEW), margin=0.05, **more)


def test_right_answers_are_counted_with_their_interval() -> None:
    report = made(asked(40), {"3": answer("nonsense"), "4": answer("5")})
    [group] = report.groups
    old, new = group.sides
    assert (group.name, group.prompts) == (ALL, 40)
    assert (old.right, old.checked, new.right) == (40, 40, 38)
    assert new.quality is not None
    assert new.quality.value == 0.95
    assert new.quality.low is not None
    assert 0.8 < new.quality.low < 0.95
    [contest] = group.contests
    assert (contest.wins, contest.ties, contest.losses, contest.undecided) == (0, 38, 2, 0)
    assert contest.by == {"reference": 40}


def test_what_nobody_can_tell_is_wrong_below_and_right_above() -> None:
    prose = [prompt("Who?", id=n, reference="Victor Hugo") for n in range(20)]
    vague = answer("Somebody wrote it.\nNobody knows more.")
    report = made(prose, {str(n): vague for n in range(20)})
    new = report.groups[0].sides[1]
    assert (new.right, new.unknown) == (0, 20)
    assert new.quality is not None
    assert (new.quality.low, new.quality.high) == (0.0, 1.0)


def test_latency_tokens_and_price_have_intervals() -> None:
    old, new = made(asked(100)).groups[0].sides
    assert old.ttft_ms is not None
    assert old.ttft_ms.p50.value == 149.0
    assert old.ttft_ms.p50.low is not None
    assert old.ttft_ms.p50.high is not None
    assert 135 < old.ttft_ms.p50.low < 149 < old.ttft_ms.p50.high < 165
    assert old.completion_tokens is not None
    assert old.completion_tokens.value == pytest.approx(10.99)
    assert old.usd_per_1000 is not None
    assert old.usd_per_1000.value == pytest.approx(2.0)
    assert (old.usd, new.usd) == (pytest.approx(0.2), 0.0)


def test_a_few_answers_have_numbers_and_no_interval() -> None:
    old, _ = made(asked(3)).groups[0].sides
    assert old.completion_tokens is not None
    assert (old.completion_tokens.low, old.completion_tokens.high) == (None, None)
    assert old.ttft_ms is not None
    assert (old.ttft_ms.p50.low, old.ttft_ms.p50.high) == (None, None)
    assert old.ttft_ms.p95.high is None


def test_a_price_that_is_not_known_is_not_zero() -> None:
    report = made(asked(20), {"3": answer("3")})
    new = report.groups[0].sides[1]
    assert (new.usd, new.usd_per_1000) == (None, None)


def test_what_failed_is_counted_and_has_no_latency() -> None:
    report = made(asked(20), {"3": answer(error="status 500", total_ms=9e9), "4": answer("")})
    new = report.groups[0].sides[1]
    assert (new.answers, new.failed, new.flawed) == (20, 1, 0)
    assert new.total_ms is not None
    assert new.total_ms.p95.value == 500.0
    assert report.groups[0].contests[0].losses == 2


def test_answers_without_a_reference_may_be_flawed() -> None:
    plain = [prompt("Tell me.", id=n) for n in range(4)]
    report = made(plain, {"2": answer("")})
    assert report.groups[0].sides[1].flawed == 1
    assert report.groups[0].sides[1].quality is None


def test_each_class_has_its_own_verdict_behind_that_of_all() -> None:
    easy = [prompt(f"e{n}", id=f"e{n}", reference=f"e{n}", **{"class": "easy"}) for n in range(300)]
    hard = [prompt(f"h{n}", id=f"h{n}", reference=f"h{n}", **{"class": "hard"}) for n in range(60)]
    report = made(easy + hard, {f"h{n}": answer("no idea") for n in range(40)})
    assert [group.name for group in report.groups] == [ALL, "easy", "hard"]
    words = [group.contests[0].verdict.word for group in report.groups]
    assert words[1:] == ["ready", "not ready"]


def test_turns_of_a_conversation_are_no_independent_evidence() -> None:
    apart = made(asked(300)).groups[0].contests[0].verdict
    together = made(asked(300, conversation="c")).groups[0].contests[0].verdict
    assert (apart.word, together.word) == ("ready", "open")


def in_conversations(count: int, turns: int) -> Report:
    """In half of the conversations the new one is wrong and slow throughout."""
    prompts = [
        prompt(f"What is {n}?", id=n, reference=str(n), conversation=f"c{n // turns}")
        for n in range(count)
    ]
    slow = {str(n): 800.0 * (n // turns % 2) for n in range(count)}
    new = {n: answer("-1" if ms else n, ttft_ms=100 + ms) for n, ms in slow.items()}
    return made(prompts, new)


def width(estimate: Estimate | None) -> float:
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def test_turns_of_a_conversation_make_no_interval_narrower() -> None:
    """200 answers of 20 conversations are worth 20."""
    apart, together = (in_conversations(200, turns).groups[0].sides[1] for turns in (1, 10))
    assert width(apart.quality) == pytest.approx(wilson(100, 200).width)
    assert width(together.quality) == pytest.approx(wilson(10, 20).width, rel=0.05)
    assert apart.ttft_ms is not None
    assert together.ttft_ms is not None
    assert apart.ttft_ms.p95.high == 900
    assert together.ttft_ms.p95.high is None


def test_each_conversation_counts_once_for_the_p_value() -> None:
    apart, together = (in_conversations(200, turns).groups[0].contests[0] for turns in (1, 10))
    assert (apart.losses, apart.p) == (100, mcnemar(0, 100))
    assert (together.losses, together.p) == (100, mcnemar(0, 10))


def test_a_prompt_that_stands_there_many_times_is_evidence_once() -> None:
    same = [prompt("What is 1?", id=n, reference="1") for n in range(300)]
    assert made(same).groups[0].contests[0].verdict.word == "open"


def test_prompts_that_are_not_answered_by_all_are_left_out_and_counted() -> None:
    prompts = asked(5)
    answers = {(each.id, OLD): answer(each.id) for each in prompts}
    answers["2", NEW] = answer("2")
    report = summarise(prompts, answers, (OLD, NEW), margin=0.05)
    assert [item.id for item in report.items] == ["2"]
    assert report.missing == 4


def test_what_somebody_else_decided_goes_before_checks() -> None:
    rulings = {("1", NEW): Compared(result="win", by="judge")}
    [contest] = made(asked(3), rulings=rulings).groups[0].contests
    assert (contest.wins, contest.ties) == (1, 2)
    assert contest.by == {"reference": 2, "judge": 1}


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report = made(
        asked(12),
        {"3": answer(error="down")},
        about=About(source="a.jsonl", parameters={"seed": 1}),
    )
    path = tmp_path / "r.json"
    path.write_bytes(msgspec.json.encode(report))
    assert read_report(path) == report


@pytest.mark.parametrize("text", ["", "{}", '{"format": "reshore-compare-0"}', "[1"])
def test_what_is_no_report_is_told(text: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(CompareError, match="is no report"):
        read_report(path)


def test_a_report_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CompareError, match="cannot read"):
        read_report(tmp_path / "r.json")
