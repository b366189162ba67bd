"""JSON that stands in a string."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.wire.inner import escaped, inner, opens, unescaped


@given(st.text())
def test_what_was_escaped_is_read_again(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert unescaped(json.dumps(text)[1:-1]) == text


@given(st.text(alphabet='\\"/bnu0dc83[{ ') | st.text())
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    inner(text)


@pytest.mark.parametrize("text", [r"C:\sys\q", r"\u12", "\\", r"\d+\x20", ""])
def test_other_backslashes_stay(text: str) -> None:
    assert unescaped(text) == text


def test_what_is_escaped_is_readable() -> None:
    assert escaped('Zoë "█"\n') == r"Zoë \"█\"\n"


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ('\n {"a": ["b"]}', {"a": ["b"]}),
        ('["a\nb", 1]', ["a\nb", 1]),
        (r"[cut\n", "[cut\n"),
        (r"He said \"no\"", 'He said "no"'),
        ("nothing in it", None),
        ("[", None),
        ("42", None),
    ],
)
def test_what_a_string_holds(text: str, held: Any) -> None:
    assert inner(text) == held


def test_what_begins_as_json_may_be_cut() -> None:
    assert opens(' {"a')
    assert opens("[")
    assert not opens('"{"')
