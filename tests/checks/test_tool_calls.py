"""Calls are the same by what they ask for."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from reshore.checks.tool_calls import check_calls, same_calls
from reshore.types import ToolCall
from tests.checks.saying import said


def call(name: str, arguments: str) -> ToolCall:
    return ToolCall(id="c", name=name, arguments=arguments)


def test_the_order_of_calls_and_of_arguments_says_nothing() -> None:
    one = [call("f", '{"a": 1, "b": [true]}'), call("g", "{}")]
    other = [call("g", ""), call("f", '{"b":[true],"a":1.0}')]
    assert same_calls(one, other)


@pytest.mark.parametrize(
    "other",
    [
        [],
        [call("f", '{"a": 2}')],
        [call("g", '{"a": 1}')],
        [call("f", '{"a": 1}'), call("f", '{"a": 1}')],
        [call("f", '{"a": true}')],
        [call("f", "{")],
    ],
)
def test_other_calls_differ(other: list[ToolCall]) -> None:
    assert not same_calls([call("f", '{"a": 1}')], other, coerce=True)
    assert not same_calls(other, [call("f", '{"a": 1}')], coerce=True)


def test_quotes_around_a_number_matter_only_where_types_do() -> None:
    one, other = [call("f", '{"a": "5", "b": "True"}')], [call("f", '{"a": 5, "b": true}')]
    assert same_calls(one, other, coerce=True)
    assert not same_calls(one, other)


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
    max_leaves=8,
)


@given(some.dictionaries(some.text(), JSON, max_size=3))
def test_calls_are_the_same_as_themselves(arguments: dict[str, object]) -> None:
    written = call("f", msgspec.json.encode(arguments).decode())
    assert same_calls([written], [written])
    assert same_calls([written], [written], coerce=True)


def test_an_answer_without_calls_says_so() -> None:
    found = check_calls(said("no"), [call("f", "{}")])
    assert (found.ok, found.detail) == (False, "no calls")
    assert check_calls(said(tool_calls=(call("f", "{}"),)), [call("f", "{}")]).ok
