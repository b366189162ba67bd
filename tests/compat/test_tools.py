"""Function calling and structured answers through the official Python SDK."""

from __future__ import annotations

import json
from typing import Any, Literal

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from tests.compat.scripts import said, script, scripted_turn

PARIS = {"city": "Paris", "unit": "celsius"}


class GetWeather(BaseModel):
    """Look up the weather of a city."""

    city: str
    unit: Literal["celsius", "fahrenheit"]


class Step(BaseModel):
    explanation: str
    output: str


class Solution(BaseModel):
    steps: list[Step]
    answer: int
    remark: str | None


SOLUTION = Solution(steps=[Step(explanation='add "both"', output="40 + 2")], answer=42, remark=None)
WEATHER = openai.pydantic_function_tool(GetWeather)


def call_for(model: str, *cities: str, choice: Any = "auto") -> dict[str, Any]:
    """The script of a model that calls `GetWeather`.

    The engine reads calls where the template has a tool section and the choice is the model's;
    everywhere else a grammar of ours has them written out as text.
    """
    arguments = [PARIS | {"city": city} for city in cities]
    if model == "tools" and choice == "auto":
        return {"tool_calls": [{"name": "GetWeather", "arguments": each} for each in arguments]}
    written = [json.dumps({"name": "GetWeather", "arguments": each}) for each in arguments]
    return {"text": "\n".join(f"<tool_call>\n{each}\n</tool_call>" for each in written)}


both_kinds = pytest.mark.parametrize("model", ["tools", "tiny"])


@both_kinds
@pytest.mark.parametrize(
    "choice", ["auto", "required", {"type": "function", "function": {"name": "GetWeather"}}]
)
def test_a_call_has_an_id_a_name_arguments_and_no_content(
    scripted: OpenAI, model: str, choice: Any
) -> None:
    reply = scripted.chat.completions.create(
        model=model,
        messages=scripted_turn(**call_for(model, "Paris", choice=choice)),
        tools=[WEATHER],
        tool_choice=choice,
    )
    [answer] = reply.choices
    assert answer.finish_reason == "tool_calls"
    assert answer.message.content is None
    assert answer.message.tool_calls is not None
    [call] = answer.message.tool_calls
    assert call.type == "function"
    assert call.id
    assert call.function.name == "GetWeather"
    assert json.loads(call.function.arguments) == PARIS


@both_kinds
def test_streamed_calls_name_themselves_once_and_have_dense_indexes(
    scripted: OpenAI, model: str
) -> None:
    stream = scripted.chat.completions.create(
        model=model,
        messages=scripted_turn(**call_for(model, "Paris", "Rome")),
        tools=[WEATHER],
        stream=True,
    )
    heads: dict[int, list[tuple[str | None, str | None, str | None]]] = {}
    arguments: dict[int, str] = {}
    finishes = []
    for chunk in stream:
        [choice] = chunk.choices
        finishes += [choice.finish_reason] if choice.finish_reason else []
        assert len(choice.delta.tool_calls or []) <= 1  # some clients read only the first
        for piece in choice.delta.tool_calls or []:
            assert piece.function is not None
            if piece.id or piece.type or piece.function.name:
                head = (piece.id, piece.type, piece.function.name)
                heads.setdefault(piece.index, []).append(head)
            arguments[piece.index] = arguments.get(piece.index, "") + (
                piece.function.arguments or ""
            )
    assert finishes == ["tool_calls"]
    assert [len(heads[index]) for index in (0, 1)] == [1, 1]
    assert [heads[index][0][1:] for index in (0, 1)] == [("function", "GetWeather")] * 2
    assert heads[0][0][0] != heads[1][0][0]
    assert [json.loads(arguments[index])["city"] for index in (0, 1)] == ["Paris", "Rome"]


@both_kinds
def test_the_stream_helper_accumulates_and_parses_calls(scripted: OpenAI, model: str) -> None:
    with scripted.chat.completions.stream(
        model=model,
        messages=scripted_turn(**call_for(model, "Paris")),
        tools=[WEATHER],
    ) as stream:
        done = [e for e in stream if e.type == "tool_calls.function.arguments.done"]
        message = stream.get_final_completion().choices[0].message
    assert [event.name for event in done] == ["GetWeather"]
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.parsed_arguments == GetWeather(**PARIS)


@both_kinds
def test_parse_turns_arguments_into_the_tools_model(scripted: OpenAI, model: str) -> None:
    reply = scripted.chat.completions.parse(
        model=model, messages=scripted_turn(**call_for(model, "Paris")), tools=[WEATHER]
    )
    calls = reply.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.parsed_arguments == GetWeather(**PARIS)


@both_kinds
def test_a_call_and_its_result_make_a_round_trip(scripted: OpenAI, model: str) -> None:
    """The messages that the SDK gives back are sent as they are, helper fields included."""
    messages: list[ChatCompletionMessageParam] = [*scripted_turn(**call_for(model, "Paris"))]
    first = scripted.chat.completions.parse(model=model, messages=messages, tools=[WEATHER])
    message = first.choices[0].message
    assert message.tool_calls is not None
    messages += [
        message,
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": '{"celsius": 21}'},
        {"role": "user", "content": script(text="21 degrees")},
    ]
    second = scripted.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    assert second.choices[0].message.content == "21 degrees"
    assert second.choices[0].finish_reason == "stop"


@both_kinds
def test_a_model_may_answer_in_words_although_there_are_tools(scripted: OpenAI, model: str) -> None:
    reply = scripted.chat.completions.create(
        model=model, messages=scripted_turn(text="just words"), tools=[WEATHER]
    )
    assert reply.choices[0].message.content == "just words"
    assert not reply.choices[0].message.tool_calls
    assert reply.choices[0].finish_reason == "stop"


def test_parse_fills_a_model_from_a_strict_schema(scripted: OpenAI) -> None:
    reply = scripted.chat.completions.parse(
        model="tiny",
        messages=scripted_turn(text=SOLUTION.model_dump_json()),
        response_format=Solution,
    )
    assert reply.choices[0].message.parsed == SOLUTION


def test_the_stream_helper_parses_a_structured_answer(scripted: OpenAI) -> None:
    with scripted.chat.completions.stream(
        model="tiny",
        messages=scripted_turn(text=SOLUTION.model_dump_json()),
        response_format=Solution,
    ) as stream:
        stream.until_done()
        message = stream.get_final_completion().choices[0].message
    assert message.parsed == SOLUTION


def test_parse_reports_an_answer_that_was_cut_by_length(scripted: OpenAI) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        scripted.chat.completions.parse(
            model="tiny",
            messages=scripted_turn(text=SOLUTION.model_dump_json()),
            response_format=Solution,
            max_tokens=2,
        )


def test_an_answer_that_breaks_what_the_grammar_cannot_enforce_is_reported_in_a_header(
    scripted: OpenAI,
) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "number", "multipleOf": 2}}}
    raw = scripted.chat.completions.with_raw_response.create(
        model="tiny",
        messages=scripted_turn(text='{"n":3}'),
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
    )
    assert "multiple" in raw.headers["x-reshore-schema-violation"]


def test_in_a_stream_the_chunk_with_usage_reports_it(scripted: OpenAI) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "number", "multipleOf": 2}}}
    stream = scripted.chat.completions.create(
        model="tiny",
        messages=scripted_turn(text='{"n":3}'),
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        stream=True,
        stream_options={"include_usage": True},
    )
    *told, last = stream
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told) == '{"n":3}'
    assert last.usage is not None
    assert last.model_extra == {"x_reshore_schema_violation": "n: 3 is not a multiple of 2"}


def test_a_strict_schema_with_such_a_keyword_is_refused_by_name(scripted: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "number", "multipleOf": 0.5}},
        "required": ["n"],
        "additionalProperties": False,
    }
    with pytest.raises(openai.BadRequestError, match="multipleOf") as caught:
        scripted.chat.completions.create(
            model="tiny",
            messages=said("hello"),
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": schema, "strict": True},
            },
        )
    assert caught.value.param is not None
    assert caught.value.param.startswith("response_format")


def test_json_objects_come_as_plain_content(scripted: OpenAI) -> None:
    reply = scripted.chat.completions.create(
        model="tiny",
        messages=scripted_turn(text='{"a": [1, 2]}'),
        response_format={"type": "json_object"},
    )
    assert reply.choices[0].message.content is not None
    assert json.loads(reply.choices[0].message.content) == {"a": [1, 2]}


def test_naming_a_function_that_is_not_there_is_a_bad_request(scripted: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        scripted.chat.completions.create(
            model="tiny",
            messages=said("hello"),
            tools=[WEATHER],
            tool_choice={"type": "function", "function": {"name": "Nowhere"}},
        )
    assert caught.value.param is not None
    assert caught.value.param.startswith("tool_choice")
