"""An answer beside the one that somebody wrote down."""

from __future__ import annotations

import pytest

from reshore.checks.reference import Match, check_reference, normalised
from tests.checks.saying import said


@pytest.mark.parametrize(
    ("text", "reference", "match", "ok"),
    [
        ("Paris", "Paris", "exact", True),
        ("paris", "Paris", "exact", False),
        ("  PARIS. ", "Paris", "normalised", True),
        ("Paris, France", "Paris", "normalised", False),
        ("It is Paris, as ever.", "Paris", "contains", True),
        ("It is Parish.", "Paris", "contains", False),
        ("So the total is 1,200.", "1200", "final", True),
        ("#### 42", "41", "final", False),
        ("The answer is (B).", "B", "final", True),
        ("The answer is (C).", "B", "final", False),
        ('{"b": 1.0, "a": [2]}', '{"a": [2], "b": 1}', "final", True),
        ('{"a": [3]}', '{"a": [2]}', "final", False),
        ("Yes, it is.", "yes", "final", True),
        ("The answer is 0.50", "0.5", "numeric", True),
        ("fifty", "0.5", "numeric", False),
        ("72 clips were sold.", "72", "numeric", True),
        ("They sold 48 and 24.\n\nBoth together were 72 clips.", "72", "numeric", True),
        ("They sold 48 and 24.\n\nBoth together were 72 clips.", "48", "numeric", False),
        ("It costs 8 + 4 = **$1,200.00** a year. I hope that helps!", "1200", "numeric", True),
        ("Sales went up from 20 clips to 30, which is a rise of 50%.", "50", "numeric", True),
        ("She has -3 left of what she had, which is less than nothing.", "3", "numeric", False),
        ("Yes, that makes 72.", "72", "numeric", True),
        ("In 2 months.\n#### 71", "72", "numeric", False),
        ("I do not know.", "72", "final", False),
    ],
)
def test_answers_are_matched(text: str, reference: str, match: Match, ok: bool) -> None:
    assert check_reference(said(text), [reference], match).ok is ok


def test_one_of_several_references_is_enough() -> None:
    assert check_reference(said("NYC"), ["New York", "nyc"]).ok
    assert check_reference(said("7"), ["5", "6"]).ok is False


def test_prose_that_is_worded_otherwise_proves_nothing() -> None:
    reference = "Leaves are green for their chlorophyll.\nIt absorbs red and blue light."
    assert check_reference(said("Chlorophyll.\n\nIt reflects green."), [reference]).ok is None
    assert check_reference(said(reference.upper()), [reference]).ok


@pytest.mark.parametrize("text", ["It is Paris.", "It is not Paris."])
def test_a_sentence_about_the_reference_is_not_understood(text: str) -> None:
    assert check_reference(said(text), ["Paris"]).ok is None
    assert check_reference(said("It is Rome."), ["Paris"]).ok is False


@pytest.mark.parametrize("match", ["final", "numeric"])
@pytest.mark.parametrize(
    "text",
    [
        "72 clips were sold in 2 months",
        "The answer is 72 clips in 2 months.",
        "Yes, 72 clips were sold in 2 months.",
        "They sold 48 and then 24, one after the other.\n\nThat is 72 clips in 2 months.",
        "They sold seventy-two clips.\n\nNobody knows how they did it, or what for, or to whom.",
    ],
)
def test_which_of_several_numbers_is_the_answer_is_not_guessed(text: str, match: Match) -> None:
    assert check_reference(said(text), ["72"], match).ok is None


@pytest.mark.parametrize("reference", ["72", "B", "yes", '{"clips": 72}'])
def test_prose_that_comes_down_to_nothing_is_not_wrong(reference: str) -> None:
    text = "They sold 48 and then 24, one after the other.\n\nBoth months together were 72 clips."
    assert check_reference(said(text), [reference]).ok is None


@pytest.mark.parametrize("match", ["final", "numeric"])
def test_an_empty_answer_is_wrong(match: Match) -> None:
    assert check_reference(said(" "), ["72"], match).ok is False


def test_a_reference_without_a_number_decides_no_number() -> None:
    assert check_reference(said("#### 72"), ["a few"], "numeric").ok is None


def test_compatible_characters_are_one() -> None:
    assert normalised("ﬁne\u00a0 Day!") == "fine day"
