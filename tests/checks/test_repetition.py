"""Loops, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.checks.repetition import check_repetition
from tests.checks.saying import begun, said

START = "The plan has several parts. First we look at the data. "


@pytest.mark.parametrize(
    "loop",
    [
        "and then we look at the data again, " * 20,
        "I am. " * 60,
        "la" * 200,
        "The quick brown fox jumps over the lazy dog.\n" * 10,
        ("Step: do the thing that was said before, and then wait for it to end.\n" * 12)[:-9],
        "---" * 600,
    ],
)
def test_a_loop_fails_at_any_time(loop: str) -> None:
    assert check_repetition(said(START + loop)).ok is False
    assert check_repetition(begun(START + loop)).ok is False


@pytest.mark.parametrize(
    "text",
    [
        START,
        "",
        "ha " * 20,
        "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 12,
        "-" * 200,
        "0, " * 150,
        "\n".join(f"{number}. Item number {number} of the list" for number in range(80)),
        "Row, row, row your boat\nGently down the stream\n" * 3,
        "    return None\n" * 3 + "}\n" * 40,
        "\n".join(["Yes."] * 30),
    ],
)
def test_a_text_with_repetitions_passes(text: str) -> None:
    assert check_repetition(said(text)).ok is True
    assert check_repetition(begun(text)).ok is None


def test_a_line_that_most_lines_repeat_fails_wherever_the_text_ends() -> None:
    line = "We need to find the number of apples."
    lines = [line, f"Attempt {1}", line] * 8
    assert check_repetition(said("\n".join(lines) + "\nDone at last.")).ok is False


@given(st.text(alphabet="abc ", min_size=1, max_size=30), st.integers(10, 60))
def test_a_phrase_is_found_whatever_it_is(phrase: str, times: int) -> None:
    text = phrase * times
    lettered = any(character.isalpha() for character in phrase)
    if lettered and len(text.rstrip()) >= 300:
        assert check_repetition(said(text)).ok is False


@given(st.text(max_size=500))
def test_any_text_can_be_judged(text: str) -> None:
    assert check_repetition(said(text)).ok in (True, False)
