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


def test_compatible_characters_are_one() -> None:
    assert normalised("ﬁne\u00a0 Day!") == "fine day"
