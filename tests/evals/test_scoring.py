"""Which of two answers is better, as far as checks can tell."""

from __future__ import annotations

from typing import Any

import pytest

from reshore.evals.expected import Expected
from reshore.evals.scoring import Compared, Heard, compared, judged
from reshore.types import ResponseFormat, ToolCall
from tests.checks.saying import said

NUMBER = Expected(references=("4",))
NAME = Expected(references=("Victor Hugo",))
OBJECT = Expected(schema={"type": "object"})
THREE = Expected(calls=(ToolCall(id="", name="f", arguments='{"n": 3}'),))
CALL = ToolCall(id="1", name="f", arguments='{"n": "3"}')
REFUSAL = "I'm sorry, but I can't help with that."


def heard(text: str = "", error: str = "", **more: Any) -> Heard:
    return Heard(said=said(text, **more), error=error)


RIGHT, WRONG = heard("The answer is 4."), heard("The answer is 5.")
PROSE = heard("Many have asked this.\nNobody has found out, as far as anybody knows.")
DOWN = heard(error="status 500")


@pytest.mark.parametrize(
    ("expected", "text", "good", "by"),
    [
        (NUMBER, "The answer is 4.", True, "reference"),
        (NUMBER, "The answer is 5.", False, "reference"),
        (Expected(pattern=r"\b4\b"), "It is 4", True, "pattern"),
        (Expected(pattern=r"\b4\b", references=("5",)), "5", False, "pattern"),
        (OBJECT, "{}", None, ""),
        (OBJECT, "[]", False, "schema"),
        (Expected(), "Anything", None, ""),
        (Expected(), " ", False, "empty"),
        (Expected(), REFUSAL, False, "refusal"),
        (NAME, "He who wrote it.\nAnd much else.", None, ""),
    ],
)
def test_an_answer_is_judged_by_what_is_known(
    expected: Expected, text: str, good: bool | None, by: str
) -> None:
    found = judged(heard(text), expected)
    assert (found.good, found.by) == (good, by)


def test_the_shape_that_the_request_asks_for_is_looked_at() -> None:
    wanted = {"response_format": ResponseFormat(kind="json_object")}
    assert judged(heard("no", request=wanted), Expected()).by == "json"
    assert judged(heard("{}", request=wanted), Expected()).good is None


def test_tool_calls_are_held_against_those_that_were_expected() -> None:
    assert judged(heard(tool_calls=(CALL,)), THREE).good
    assert judged(heard("three"), THREE).by == "calls"


def test_an_answer_that_was_cut_off_is_bad() -> None:
    assert judged(heard("So", reason="length"), Expected()).by == "finish"


def test_an_answer_that_never_came_is_bad_and_says_why() -> None:
    found = judged(DOWN, NUMBER)
    assert (found.good, found.by, found.detail) == (False, "error", "status 500")


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        (RIGHT, WRONG, "loss"),
        (WRONG, RIGHT, "win"),
        (RIGHT, RIGHT, "tie"),
        (WRONG, WRONG, "tie"),
        (RIGHT, DOWN, "loss"),
        (DOWN, RIGHT, "undecided"),
        (DOWN, DOWN, "undecided"),
    ],
)
def test_pairs_with_a_reference_are_decided(first: Heard, second: Heard, result: str) -> None:
    assert compared(first, second, NUMBER).result == result


@pytest.mark.parametrize(
    ("first", "second", "result", "by"),
    [
        (RIGHT, heard("So in total there are 4."), "tie", "agreement"),
        (RIGHT, WRONG, "undecided", ""),
        (PROSE, PROSE, "tie", "same text"),
        (RIGHT, heard(""), "loss", "empty"),
        (heard(""), RIGHT, "win", "empty"),
        (heard(""), heard(""), "tie", "empty"),
        (PROSE, DOWN, "loss", "error"),
    ],
)
def test_pairs_without_a_reference_are_decided_where_they_can_be(
    first: Heard, second: Heard, result: str, by: str
) -> None:
    assert compared(first, second, Expected()) == Compared(result=result, by=by)  # type: ignore[arg-type]


@pytest.mark.parametrize("other", [heard(REFUSAL), heard("")])
def test_an_answer_that_may_be_right_or_wrong_does_not_beat_one_that_is_wrong(other: Heard) -> None:
    """Both would be wrong alike, if it is."""
    assert compared(PROSE, other, NAME) == Compared(result="undecided")
    assert compared(other, PROSE, NAME) == Compared(result="undecided")
    assert compared(PROSE, DOWN, NAME).result == "loss"


def test_verdicts_have_values() -> None:
    values = [Compared(result=result).value for result in ("win", "tie", "loss", "undecided")]  # type: ignore[arg-type]
    assert values == [1, 0, -1, None]
