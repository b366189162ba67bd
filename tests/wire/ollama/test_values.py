"""`keep_alive`, `think`, `format` and `top_logprobs` in every form that clients send."""

from typing import Any

import pytest

from reshore.config import LimitsConfig
from reshore.errors import RequestError
from reshore.wire.ollama.fields import TABLE
from reshore.wire.ollama.values import (
    FOR_EVER_S,
    Think,
    read_format,
    read_keep_alive,
    read_think,
    read_top_logprobs,
)
from reshore.wire.openai.reader import Reader


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (42, 42.0),
        (42.5, 42.5),
        ("42m", 2520.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        (0, 0.0),
        ("0", 0.0),
        ("0s", 0.0),
        (-1, FOR_EVER_S),
        (-3.14, FOR_EVER_S),
        ("-1m", FOR_EVER_S),
        (10**30, FOR_EVER_S),
        (10**400, FOR_EVER_S),
        ("inf", FOR_EVER_S),
        (None, None),
    ],
)
def test_keep_alive_takes_seconds_and_durations(value: Any, seconds: float | None) -> None:
    assert read_keep_alive({"keep_alive": value}) == seconds


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, "Unsupported type: 'bool'"),
        ([5], "Unsupported type: '[]interface {}'"),
        ({}, "Unsupported type: 'map[string]interface {}'"),
        ("soon", 'time: invalid duration "soon"'),
        ("", 'time: invalid duration ""'),
        ("nan", 'time: invalid duration "nan"'),
        ("5 m", 'time: invalid duration "5 m"'),
    ],
)
def test_another_keep_alive_is_refused_in_ollamas_words(value: Any, message: str) -> None:
    with pytest.raises(RequestError) as failure:
        read_keep_alive({"keep_alive": value})
    assert str(failure.value).startswith(message)


@pytest.mark.parametrize(
    ("value", "think"),
    [
        (None, Think()),
        (True, Think(thinking=True)),
        (False, Think(thinking=False)),
        ("low", Think(thinking=True, effort="low")),
        ("medium", Think(thinking=True, effort="medium")),
        ("high", Think(thinking=True, effort="high")),
        ("max", Think(thinking=True, effort="max")),
    ],
)
def test_think_is_a_switch_or_a_level(value: Any, think: Think) -> None:
    assert read_think({"think": value}) == think


def test_another_think_is_refused_in_ollamas_words() -> None:
    with pytest.raises(RequestError) as failure:
        read_think({"think": "invalid"})
    assert str(failure.value) == (
        'invalid think value: "invalid" (must be "high", "medium", "low", "max", true, or false)'
    )
    with pytest.raises(RequestError, match="think must be a boolean or string"):
        read_think({"think": 1})


def reader() -> Reader:
    return Reader(lenient=True, limits=LimitsConfig(schema_bytes=64), table=TABLE)


@pytest.mark.parametrize("value", [None, ""])
def test_no_format_is_free_text(value: Any) -> None:
    assert read_format({"format": value}, reader()).kind == "text"


def test_a_format_is_json_or_a_schema() -> None:
    assert read_format({"format": "json"}, reader()).kind == "json_object"
    found = read_format({"format": {"type": "object"}}, reader())
    assert (found.kind, found.schema, found.param) == ("json_schema", {"type": "object"}, "format")


@pytest.mark.parametrize("value", ["yaml", 5, ["json"], True])
def test_another_format_is_refused(value: Any) -> None:
    with pytest.raises(RequestError, match='expected "json" or a valid JSON Schema object'):
        read_format({"format": value}, reader())


def test_a_schema_over_the_limit_is_refused() -> None:
    with pytest.raises(RequestError, match="limit is 64"):
        read_format({"format": {"description": "x" * 99}}, reader())


@pytest.mark.parametrize("top", [-1, 21, 10**18])
def test_top_logprobs_has_a_range(top: int) -> None:
    with pytest.raises(RequestError, match=r"^top_logprobs must be between 0 and 20$"):
        read_top_logprobs({"logprobs": True, "top_logprobs": top})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, None),
        ({"logprobs": False, "top_logprobs": 3}, None),
        ({"top_logprobs": 3}, None),
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 3}, 3),
    ],
)
def test_rivals_are_shown_only_beside_logprobs(body: dict[str, Any], expected: int | None) -> None:
    assert read_top_logprobs(body) == expected
