"""A judge's verdict stands only if people's labels bear it out."""

from __future__ import annotations

import pytest

from reshore.evals.compare.labels import open_pairs, rulings
from reshore.evals.compare.people import heeded
from reshore.evals.compare.report import Report
from reshore.evals.compare.summary import summarise
from reshore.evals.compare.verdict import Verdict
from reshore.evals.scoring import Compared, Result
from tests.evals.compare.asked import answer, prompt
from tests.evals.compare.test_labels import JUDGE, NEW, OLD, labelled, report


def _heeded(judged: list[Result], truth: Result, labels: int) -> Verdict:
    pairs = open_pairs(report(judged))
    said = labelled(pairs, dict.fromkeys(map(str, range(len(judged))), truth), labels)
    settled = {key[0]: compared for key, compared in rulings(report(judged), said).items()}
    made = heeded(report(judged, **settled), said)
    return made.groups[0].contests[0].verdict


@pytest.mark.parametrize(("judged", "truth"), [("win", "loss"), ("loss", "win")])
def test_a_judge_whom_people_contradict_decides_nothing(judged: Result, truth: Result) -> None:
    found = _heeded([judged] * 300, truth, 40)
    assert found.word == "open"
    assert found.text == "open: 40 labels do not bear out the judge (margin 0.05)"
    assert found.net_win == pytest.approx({"loss": -1, "win": 1}[truth], abs=0.05)


def test_a_judge_whom_people_bear_out_decides() -> None:
    found = _heeded(["win"] * 300, "win", 40)
    assert (found.word, found.text) == ("ready", "ready, borne out by 40 labels (margin 0.05)")
    assert _heeded(["loss"] * 300, "loss", 40).word == "not ready"


def test_a_few_labels_change_nothing_but_their_pairs() -> None:
    found = _heeded(["win"] * 300, "loss", 10)
    assert found.word == "ready"
    assert found.net_win == pytest.approx(280 / 300, abs=0.01)


def test_what_checks_decided_counts_as_it_is() -> None:
    """Half of the pairs have a reference, which the new model misses; people see the rest even."""
    made = _half_checked()
    pairs = open_pairs(made)
    said = labelled(pairs, {str(n): "tie" for n in range(200)}, 60)
    verdict = heeded(made, said).groups[0].contests[0].verdict
    assert verdict.net_win == pytest.approx(-0.5, abs=0.05)
    assert verdict.word == "not ready"


def _half_checked() -> Report:
    prompts = [prompt(f"Why is {n} so?", id=str(n)) for n in range(200)]
    answers, ruled = {}, {}
    for place, each in enumerate(prompts):
        answers[each.id, OLD] = answer(f"Because of {place}, it is said.", target=OLD)
        answers[each.id, NEW] = answer(f"For many reasons, such as {place}.", target=NEW)
        by = JUDGE if place % 2 else "exact"
        ruled[each.id, NEW] = Compared(result="loss", by=by)
    return summarise(prompts, answers, (OLD, NEW), margin=0.05, rulings=ruled)
