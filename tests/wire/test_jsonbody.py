"""Bodies of requests: what is JSON, and how deep."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from reshore.config import LimitsConfig
from reshore.errors import RequestError
from reshore.wire.jsonbody import fitted, parse_body, too_deep

LIMITS = LimitsConfig()

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.floats(-1e300, 1e300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def depth_of(value: Any) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'{"a":1', "ends too early"),
        (b'{"a":1}}', "trailing"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":Infinity}', "NaN and Infinity"),
        (b'{"a":-Infinity}', "NaN and Infinity"),
        (b'{"a":1e999}', "out of range"),
        (b'{"a":' + b"9" * 5000 + b"}", "out of range"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
        (b'{"a":"\\ud800 alone"}', "surrogate"),
        (b'{"a":"\\ude00"}', "surrogate"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"a":["\\ud800"]}\n', "surrogate"),
        (b'{"a":"\\ud800', "ends too early"),
        (b'{"a":"\\\\ud800"', "ends too early"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b"[1]", "must be a JSON object, but it is an array"),
        (b"null", "but it is null"),
        (b'"text"', "but it is a string"),
        (b"true", "but it is a boolean"),
    ],
)
def test_what_is_no_json_object_is_refused_with_the_reason(body: bytes, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        parse_body(body, LIMITS)


def test_a_number_out_of_range_names_its_field() -> None:
    with pytest.raises(RequestError, match="'temperature'") as caught:
        parse_body(b'{"n":1,"logit_bias":{"5":2},"temperature":1e999}', LIMITS)
    assert caught.value.param == "temperature"


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_an_ordinary_object_is_read_as_it_is(value: dict[str, Any]) -> None:
    assert parse_body(json.dumps(value).encode(), LIMITS) == value


@given(st.binary(max_size=64))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with contextlib.suppress(RequestError):
        assert isinstance(parse_body(body, LIMITS), dict)


@given(JSON, st.integers(1, 6))
def test_depth_is_exact(value: Any, limit: int) -> None:
    assert too_deep(json.dumps(value).encode(), limit) == (depth_of(value) > limit)


@pytest.mark.parametrize("shape", ["[]", "{}"])
def test_depth_ends_at_the_limit(shape: str) -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' + shape[0].encode() * (depth - 1) + shape[1].encode() * (depth - 1) + b"}"

    assert not too_deep(nested(64), 64)
    assert too_deep(nested(65), 64)


@pytest.mark.parametrize(
    "body", [b"[" * 5_000_000, b'{"a":' * 1_000_000, b"[" * 100_000 + b"]" * 100_000]
)
def test_hostile_nesting_is_refused_without_recursion(body: bytes) -> None:
    with pytest.raises(RequestError, match="nested deeper than 64"):
        parse_body(body, LIMITS)


def test_brackets_in_strings_are_no_nesting() -> None:
    body = json.dumps({"a": '\\"[[[' + "[{" * 200 + "\\", "b": ["{" * 100, '"' + "[" * 100]})
    assert parse_body(body.encode(), LIMITS) == json.loads(body)


def test_a_limit_above_what_the_parser_stands_is_still_a_request_error() -> None:
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(RequestError, match="nested too deeply"):
        parse_body(deep, LimitsConfig(depth=1_000_000))


class Wanted(Struct, forbid_unknown_fields=True):
    route: str
    steps: list[int] = []


def test_a_body_becomes_what_it_is_to_be() -> None:
    assert fitted({"route": "gpt-4o", "steps": [1, 5]}, Wanted) == Wanted("gpt-4o", [1, 5])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"route": 1}, "route"),
        ({"route": "a", "steps": [1, "x"]}, "steps[1]"),
        ({"rout": "a"}, None),
    ],
)
def test_a_field_that_does_not_fit_is_named(body: dict[str, Any], param: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        fitted(body, Wanted)
    assert caught.value.param == param
