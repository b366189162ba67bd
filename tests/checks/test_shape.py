"""Whether answers are complete, and of the shape that was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from reshore.checks.answers import CHECKS, EARLY, LATE, judge
from reshore.checks.shape import check_empty, check_finish, check_json, check_tools
from reshore.routing.policy import CHECKS as POLICY_CHECKS
from reshore.types import (
    CompletionRequest,
    ResponseFormat,
    Sampling,
    Tool,
    ToolCall,
    ToolChoice,
)
from tests.checks.saying import begun, said

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = Tool(name="weather", parameters=CITY)
CALL = ToolCall(id="1", name="weather", arguments='{"city": "Rome"}')


@pytest.mark.parametrize(("reason", "ok"), [("stop", True), ("tool_calls", True), (None, None)])
def test_an_answer_that_ended_by_itself_passes(reason: Any, ok: bool | None) -> None:
    assert check_finish(said("a", reason=reason)).ok is ok


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_answer_that_was_cut_off_fails(reason: Any) -> None:
    assert check_finish(said("a", reason=reason)).ok is False


@pytest.mark.parametrize(("limit", "ok"), [(1, None), (32, None), (33, False), (-1, False)])
def test_who_asks_for_few_tokens_gets_few(limit: int, ok: bool | None) -> None:
    request = {"sampling": Sampling(max_tokens=limit)}
    assert check_finish(said("a", reason="length", request=request)).ok is ok


def test_nothing_is_no_answer() -> None:
    assert check_empty(said(" \n")).ok is False
    assert check_empty(said("a")).ok is True
    assert check_empty(said(tool_calls=(CALL,))).ok is True


def test_between_two_texts_nothing_may_be_missing() -> None:
    infill = CompletionRequest(model="m", prompts=("a",), suffix="b")
    assert check_empty(replace(said(""), request=infill)).ok is None
    plain = CompletionRequest(model="m", prompts=("a",))
    assert check_empty(replace(said(""), request=plain)).ok is False


def formatted(text: str, **fields: Any) -> bool | None:
    return check_json(said(text, request={"response_format": ResponseFormat(**fields)})).ok


def test_json_is_checked_where_it_was_asked_for() -> None:
    assert formatted("oops") is None
    assert formatted("{}", kind="json_object") is True
    assert formatted("[]", kind="json_object") is False
    assert formatted("{", kind="json_object") is False
    assert formatted('{"city": "Rome"}', kind="json_schema", schema=CITY) is True
    assert formatted('{"city": 1}', kind="json_schema", schema=CITY) is False
    assert formatted("1", kind="json_schema") is True


def test_what_is_wrong_with_json_is_told_without_its_words() -> None:
    wanted = ResponseFormat(kind="json_schema", schema=CITY)
    check = check_json(said('{"city": ["secret"]}', request={"response_format": wanted}))
    assert check.detail == "does not fit the schema"
    check = check_json(said("secret", request={"response_format": wanted}))
    assert check.detail == "not JSON"


def test_an_answer_that_calls_needs_no_json() -> None:
    wanted = {"response_format": ResponseFormat(kind="json_object")}
    assert check_json(said("", tool_calls=(CALL,), request=wanted)).ok is None


def calling(*calls: ToolCall, text: str = "", **request: Any) -> bool | None:
    return check_tools(said(text, tool_calls=calls, request={"tools": (WEATHER,)} | request)).ok


def test_calls_fit_their_tools() -> None:
    assert calling(CALL) is True
    assert calling(replace(CALL, arguments='{"town": "Rome"}')) is False
    assert calling(replace(CALL, arguments="{")) is False
    assert calling(replace(CALL, name="fly")) is False
    assert calling(CALL, CALL) is True
    assert calling(CALL, CALL, parallel_tool_calls=False) is False


def test_calls_are_made_where_they_must_be() -> None:
    assert calling(text="It rains.") is None
    assert calling(text="It rains.", tool_choice=ToolChoice(mode="required")) is False
    named = ToolChoice(mode="named", name="weather")
    assert calling(CALL, tool_choice=named) is True
    other = Tool(name="other")
    wrong = replace(CALL, name="other", arguments="{}")
    assert calling(wrong, tools=(WEATHER, other), tool_choice=named) is False


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "weather", "arguments": {"city": "Rome"}}',
        '<tool_call>\n{"name": "weather", "arguments": {}}\n</tool_call>',
        '```json\n{"function": "weather", "parameters": {}}\n```',
        '{"function": {"name": "weather"}}',
    ],
)
def test_a_call_that_was_written_as_text_fails(text: str) -> None:
    assert calling(text=text) is False


@pytest.mark.parametrize("text", ['{"name": "Ann"}', '["weather"]', "weather", "{", '{"a": 1}'])
def test_other_texts_are_no_calls(text: str) -> None:
    assert calling(text=text) is None


def test_without_tools_there_is_nothing_to_say() -> None:
    assert check_tools(said("a")).ok is None
    completion = CompletionRequest(model="m", prompts=("a",))
    assert check_tools(replace(said("a"), request=completion)).ok is None


def test_there_is_a_check_for_every_name_that_a_policy_may_use() -> None:
    assert CHECKS | {"agreement"} == set(POLICY_CHECKS)
    assert EARLY < LATE < CHECKS


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_plain_answer_passes_every_check(name: str) -> None:
    check = judge(name, said("Because the sky scatters blue light."), min_logprob=-1.0)
    assert check.name == name
    assert check.ok is not False


@pytest.mark.parametrize("name", sorted(LATE))
def test_a_part_of_an_answer_never_passes(name: str) -> None:
    assert judge(name, begun("Because the"), min_logprob=-1.0).ok is None
