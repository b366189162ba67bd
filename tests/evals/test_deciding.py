"""Who decides a pair: the strongest first."""

from __future__ import annotations

import logging
import sys

import pytest

from reshore.evals.deciding import Checks, InTurn, Parties
from reshore.evals.expected import Expected
from reshore.evals.judging import Judge
from reshore.evals.program import OWN, Program
from reshore.evals.scoring import Compared
from reshore.testing import MovableClock
from tests.evals.contests import REQUEST, ScriptedJudge, heard, preferring, verdict

NOTHING = Expected()
REFUSAL = heard("I'm sorry, but I can't help with that.")
GOOD, OTHER = heard("Rayleigh scattering of the air."), heard("Small things in the sky.")


def printing(word: str) -> Program:
    return Program(f"{sys.executable} -c \"print('{word}')\"")


def judge(asks: ScriptedJudge) -> Judge:
    return Judge(asks, "gpt-4o", clock=MovableClock())


async def test_checks_alone_decide_what_they_can() -> None:
    assert await Checks().decide(REQUEST, REFUSAL, GOOD, NOTHING) == Compared(
        result="win", by="refusal"
    )
    assert (await Checks().decide(REQUEST, GOOD, OTHER, NOTHING)).result == "undecided"


async def test_a_proof_needs_nobody_else() -> None:
    asks = preferring("Rayleigh")
    decider = InTurn(printing("first"), judge(asks))
    found = await decider.decide(REQUEST, heard("5"), heard("4"), Expected(references=("4",)))
    assert (found.result, found.by) == ("win", "reference")
    found = await decider.decide(REQUEST, GOOD, heard("", error="Timeout"), NOTHING)
    assert (found.result, found.by) == ("loss", "error")
    assert asks.asked == []


async def test_the_users_own_check_goes_before_signs() -> None:
    found = await InTurn(printing("first")).decide(REQUEST, REFUSAL, GOOD, NOTHING)
    assert found == Compared(result="loss", by=OWN)
    found = await InTurn(printing("unknown")).decide(REQUEST, REFUSAL, GOOD, NOTHING)
    assert found == Compared(result="win", by="refusal")


async def test_the_judge_gets_what_nobody_else_decides() -> None:
    asks = preferring("Rayleigh")
    decider = InTurn(printing("unknown"), judge(asks))
    assert (await decider.decide(REQUEST, REFUSAL, GOOD, NOTHING)).by == "refusal"
    assert asks.asked == []
    parties = Parties(first="llama3.1:8b", second="claude", request_id="r1")
    found = await decider.decide(REQUEST, OTHER, GOOD, NOTHING, parties)
    assert found == Compared(result="win", by="judge gpt-4o")
    assert [request_id for _, _, request_id in asks.asked] == ["r1", "r1"]


async def test_a_check_that_fails_leaves_the_pair_to_the_judge_and_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "reshore.evals"):
        found = await InTurn(printing("what?"), judge(preferring("Rayleigh"))).decide(
            REQUEST, OTHER, GOOD, NOTHING
        )
    assert (found.result, found.by) == ("win", "judge gpt-4o")
    assert "which is no verdict" in found.detail
    assert "which is no verdict" in caplog.text


async def test_a_pair_that_nobody_decides_says_why() -> None:
    fickle = judge(ScriptedJudge(lambda asked, form: verdict("first")))
    found = await InTurn(judge=fickle).decide(REQUEST, GOOD, OTHER, NOTHING)
    assert (found.result, found.by) == ("undecided", "")
    assert found.detail == "the judge contradicted itself in the other order"
