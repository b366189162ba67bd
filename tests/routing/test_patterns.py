"""Names find their values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.routing.patterns import Patterns, is_glob


def test_an_exact_name_wins_over_every_glob() -> None:
    patterns = Patterns([("gpt-4o*", 1), ("gpt-4o-mini", 2)])
    assert (patterns.find("gpt-4o-mini"), patterns.find("gpt-4o")) == (2, 1)


@pytest.mark.parametrize("order", [1, -1])
def test_the_glob_with_the_longest_literal_beginning_wins_in_any_order(order: int) -> None:
    patterns = Patterns([("*", 0), ("gpt-*", 1), ("gpt-4o-*", 2), ("gpt-4?", 3)][::order])
    found = [patterns.find(name) for name in ("gpt-4o-mini", "gpt-4o", "gpt-3", "o1")]
    assert found == [2, 3, 1, 0]


def test_a_name_that_nothing_fits_has_no_value() -> None:
    assert Patterns([("a*", 1)]).find("b") is None
    assert Patterns[int]([]).find("b") is None


def test_an_entry_written_again_is_the_later_one() -> None:
    assert Patterns([("a*", 1), ("a*", 2)]).find("ab") == 2


@given(st.lists(st.text("ab", max_size=12), max_size=60))
def test_remembering_changes_no_answer(names: list[str]) -> None:
    entries = [("a*", 1), ("ab*", 2), ("b", 3)]
    patterns = Patterns(entries)
    for name in names:
        assert patterns.find(name) == Patterns(entries).find(name) == patterns.find(name)


def test_more_names_than_are_remembered_are_found() -> None:
    patterns = Patterns([("a*", 1)])
    assert all(patterns.find(f"a{i}") == 1 for i in range(5000))
    assert patterns.find("b") is None


def test_only_exact_entries_are_listed() -> None:
    assert list(Patterns([("a", 1), ("b*", 2), ("c[0]", 3)]).exact()) == [("a", 1)]


def test_what_a_glob_is() -> None:
    assert [is_glob(text) for text in ("a", "a*", "a?", "[ab]", "ft:a:b")] == [
        False,
        True,
        True,
        True,
        False,
    ]
