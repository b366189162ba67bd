"""What a judge's verdicts are worth."""

from __future__ import annotations

import pytest

from reshore.evals.compare.judged import judge_notes, told
from reshore.evals.compare.report import Report
from reshore.evals.compare.summary import summarise
from reshore.evals.scoring import Compared, Result
from tests.evals.compare.asked import answer, prompt

OLD, NEW = "cloud:u/old", "local:new"


def report(rulings: list[tuple[Compared, int, int]]) -> Report:
    """Pairs with answers of so many words."""
    prompts = [prompt(f"Why is {n} so?", id=n) for n in range(len(rulings))]
    answers, ruled = {}, {}
    for each, (compared, old, new) in zip(prompts, rulings, strict=True):
        answers[each.id, OLD] = answer("It is. " * old, target=OLD)
        answers[each.id, NEW] = answer("It was. " * new, target=NEW)
        ruled[each.id, NEW] = compared
    return summarise(prompts, answers, (OLD, NEW), margin=0.05, rulings=ruled)


def by_judge(result: Result) -> Compared:
    return Compared(result=result, by="judge gpt-4o")


def test_wins_of_much_longer_answers_are_counted() -> None:
    [notes] = judge_notes(
        report(
            [
                (by_judge("win"), 10, 30),
                (by_judge("loss"), 30, 10),
                (by_judge("loss"), 10, 30),
                (by_judge("tie"), 10, 30),
                (by_judge("win"), 10, 15),
                (Compared(result="win", by="refusal"), 10, 30),
            ]
        )
    )
    assert (notes.target, notes.judge, notes.verdicts, notes.longer) == (NEW, "judge gpt-4o", 5, 2)
    assert notes.effect is None
    assert list(told(notes)) == [
        f"{NEW}: the judge gpt-4o decided 5 pairs",
        "  in 2 of them, an answer won that is more than twice as long",
    ]


def test_what_lengths_had_to_do_with_it_is_told() -> None:
    [notes] = judge_notes(report([(by_judge("win"), 10, 15), (by_judge("loss"), 15, 10)] * 15))
    assert notes.effect is not None
    assert (notes.effect.longer, notes.effect.shorter) == (30, 0)
    [_, line] = told(notes)
    assert line.startswith("  the longer answer won 30, the shorter 0 (correlation +1.00)")


def test_why_pairs_are_undecided_is_told() -> None:
    fickle = Compared(result="undecided", detail="the judge contradicted itself")
    [notes] = judge_notes(report([(fickle, 1, 2)] * 3))
    assert notes.silent == {"the judge contradicted itself": 3}
    assert list(told(notes)) == [f"{NEW}: undecided 3: the judge contradicted itself"]


@pytest.mark.parametrize(
    "compared", [Compared(result="win", by="refusal"), Compared(result="undecided")]
)
def test_without_a_judge_there_is_nothing_to_tell(compared: Compared) -> None:
    assert judge_notes(report([(compared, 10, 10)])) == ()
