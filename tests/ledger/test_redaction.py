"""Patterns find what a text says, however it is escaped, and leave JSON as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.ledger.redaction import Redaction

CARD = "4111111111111111"
PATTERNS = (r"\b\d{16}\b", "(?i)müller")

strings = st.text(max_size=6) | st.sampled_from([f"to:\n{CARD}", "Müller", '"', "\\", "5\n"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 10**9) | st.just(int(CARD)) | strings,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(strings, part, max_size=3),
    max_leaves=8,
)


def black(text: str, *patterns: str) -> str:
    return Redaction(patterns or PATTERNS).black_out(text)


def covered(value: Any) -> Any:
    if isinstance(value, dict):
        return {covered(key): covered(item) for key, item in value.items()}
    if isinstance(value, list):
        return [covered(item) for item in value]
    if isinstance(value, str):
        return value.replace(CARD, "█████").replace("Müller", "█████")
    return "█████" if value == int(CARD) and not isinstance(value, bool) else value


@given(st.lists(values) | st.dictionaries(strings, values), st.booleans())
def test_json_stays_json_in_which_no_string_key_or_number_matches(value: Any, ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    assert json.loads(black(text)) == covered(value)


@given(values, st.integers(0, 4))
def test_json_in_strings_stays_json(value: Any, layers: int) -> None:
    text = json.dumps([value])
    for _ in range(layers):
        text = json.dumps([text])
    found = black(text)
    for _ in range(layers):
        found = json.loads(found)[0]
    assert json.loads(found) == covered([value])


@given(st.text(alphabet='\\"/bnu0dc83[{} ') | st.text())
def test_what_does_not_match_stays_as_it_was_written(text: str) -> None:
    assert black(text, "no such thing") == text
    assert Redaction(()).black_out(text) == text


def test_only_what_matches_is_written_anew() -> None:
    text = r'{ "a" : "Z\u00fcrich",  "b":["M\u00fcller \/ \u00fc"], "c": 1.50 }'
    assert black(text) == r'{ "a" : "Z\u00fcrich",  "b":["█████ / ü"], "c": 1.50 }'


@pytest.mark.parametrize("cut", range(30, 70))
def test_a_request_that_is_cut_off_is_read_as_far_as_it_goes(cut: int) -> None:
    inner = json.dumps({"to": f"card:\n{CARD}", "of": "Müller"})
    text = json.dumps({"content": inner, "also": "x" * 40})
    assert CARD in text[:70]
    assert CARD not in black(text[:cut])
    assert not cut > 68 or r"\n█████" in black(text[:cut])


@pytest.mark.parametrize(
    "text",
    [
        f"card:\n{CARD}",
        rf"```json {{'a': 'card:\n{CARD}'}} ```",
        rf"{{'a': 'card:\n{CARD}'}}",
        json.dumps({"content": rf"{{'a': 'card:\n{CARD}'}}"}),
        json.dumps({"content": 'of 5": ' + json.dumps({"a": json.dumps([f"\n{CARD}"])})}),
    ],
    ids=["plain", "fenced", "printed", "printed in a string", "after a quote"],
)
def test_what_is_json_in_part_or_not_at_all_is_read_too(text: str) -> None:
    assert CARD not in black(text)
    assert "█████" in black(text)


def test_a_pattern_for_the_request_as_it_is_written_still_matches() -> None:
    assert black('{"pin": "x1", "a": 2}', r'"pin": "[^"]*"') == '{█████, "a": 2}'


def test_a_text_that_is_made_of_escapes_ends() -> None:
    text = '["' + "\\" * 20_000 + '"' * 20_000 + "\\u005c" + "u005c" * 4000
    assert black(text) == text
