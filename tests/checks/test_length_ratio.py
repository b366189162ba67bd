"""How differently long two answers are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reshore.checks.length_ratio import check_length_ratio, length_ratio


def test_a_striking_ratio_is_told_and_decides_nothing() -> None:
    check = check_length_ratio("a" * 300, "a" * 1200)
    assert (check.ok, check.detail) == (None, "the second is 4.0 times as long")
    assert "first" in check_length_ratio("a" * 1200, "").detail


def test_short_answers_have_no_ratio() -> None:
    assert length_ratio("42", "The answer is 42, since six times seven is that.") == 1
    assert check_length_ratio("42", "a" * 500).detail == ""


@given(st.text(), st.text())
def test_the_order_does_not_matter(one: str, other: str) -> None:
    assert length_ratio(one, other) == length_ratio(other, one) >= 1
